//! The completions of docs/completions, with Tab pressed in a real bash, zsh and fish on a terminal. And the man page, as
//! mandoc reads it.

use std::fs;
use std::path::Path;
use std::process::Command;

use tempfile::TempDir;

use crate::support::{tool, tty::Tmux};

/// What is typed before Tab is pressed, and what the line is then. `|` is its end, to show blanks.
const LINES: &[(&str, &str)] = &[
    ("waitgate --log-format=j", "waitgate --log-format=json |"),
    ("waitgate --color al", "waitgate --color always |"),
    ("waitgate --explain=connect.re", "waitgate --explain=connect.refused |"),
    ("waitgate --explain tls.e", "waitgate --explain tls.expired |"),
    ("waitgate --ca-file=one-f", "waitgate --ca-file=one-file.pem |"),
    ("waitgate --ca-file one-f", "waitgate --ca-file one-file.pem |"),
    ("waitgate --termination-log=one-f", "waitgate --termination-log=one-file.pem |"),
    ("waitgate --insec", "waitgate --insecure |"),
    // An address follows at once, so there is no blank.
    ("waitgate tc", "waitgate tcp:|"),
    ("waitgate -t 5m tcp:db:1 uni", "waitgate -t 5m tcp:db:1 unix:|"),
    // A duration cannot be guessed, and a file or a kind is none.
    ("waitgate -t one-f", "waitgate -t one-f|"),
    ("waitgate one-f", "waitgate one-f|"),
    // The command and its arguments are no concern of waitgate's.
    ("waitgate tcp:db:1 -- sha256s", "waitgate tcp:db:1 -- sha256sum |"),
    ("waitgate tcp:db:1 -- cat one-f", "waitgate tcp:db:1 -- cat one-file.pem |"),
];

/// fish completes a path only where the word begins with it.
const PATHS: &[(&str, &str)] = &[("waitgate --once file:one-f", "waitgate --once file:one-file.pem |")];

fn folder() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("one-file.pem"), "").unwrap();
    folder
}

/// Types each line in a shell of its own folder and presses Tab. Ctrl-T shows the line that the shell then has.
fn complete(shell: &[&str], setup: &str, lines: &[(&str, &str)]) {
    let folder = folder();
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/completions");
    let setup = setup.replace("SCRIPTS", script.to_str().unwrap());
    let file = folder.path().join(".setup");
    fs::write(&file, format!("cd {}\n{setup}\necho set-up is over\n", folder.path().display())).unwrap();
    let tmux = Tmux::program(160, 50, shell);
    tmux.enter(&format!("{} {}", if shell[0] == "fish" { "source" } else { "." }, file.display()));
    tmux.press("Enter");
    tmux.wait("the set-up", |screen| screen.iter().any(|row| row == "set-up is over"));
    for (number, (typed, wanted)) in lines.iter().enumerate() {
        tmux.enter(typed);
        tmux.press("Tab");
        // Ctrl-T prints the line with its number, and empties it.
        tmux.press("C-t");
        let start = format!("line {}: ", number + 1);
        let screen = tmux.wait(&format!("{start}{wanted}"), |screen| screen.iter().any(|row| row.starts_with(&start)));
        let shown = screen.iter().rev().find_map(|row| row.strip_prefix(&start));
        assert_eq!(shown, Some(*wanted), "{shell:?} after {typed:?}:\n{}", screen.join("\n"));
    }
}

#[test]
fn bash() {
    let setup = r#"
PS1='$ '
number=0
show() { number=$((number + 1)); printf '\nline %s: %s|\n' "$number" "$READLINE_LINE"; READLINE_LINE=; READLINE_POINT=0; }
bind -x '"\C-t": show' 2>/dev/null
. SCRIPTS/waitgate.bash
"#;
    complete(&["bash", "--noprofile", "--norc", "-i"], setup, &[LINES, PATHS].concat());
}

#[test]
fn zsh() {
    let setup = r#"
PS1='$ '
fpath=(SCRIPTS $fpath)
autoload -Uz compinit
compinit -u -D
number=0
show() { number=$((number + 1)); zle -I; print -r -- "line $number: $BUFFER|"; BUFFER=; }
zle -N show
bindkey '^T' show
"#;
    complete(&["zsh", "-f", "-i"], setup, &[LINES, PATHS].concat());
}

#[test]
fn fish() {
    let setup = r"
set -g number 0
function show
    set -g number (math $number + 1)
    printf '\nline %s: %s|\n' $number (commandline | string collect)
    commandline -r ''
    commandline -f repaint
end
bind \ct show
source SCRIPTS/waitgate.fish
";
    complete(&["fish", "--no-config", "-i"], setup, LINES);
}

#[test]
fn man_page() {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/waitgate.1");
    let mandoc = |args: &[&str]| {
        let done = Command::new(tool("mandoc")).args(args).arg(&page).output().unwrap();
        (String::from_utf8(done.stdout).unwrap(), String::from_utf8(done.stderr).unwrap())
    };
    let (said, wrong) = mandoc(&["-T", "lint", "-W", "warning"]);
    // There is no date: a day that is not kept current would be wrong.
    let faults = said.lines().chain(wrong.lines()).filter(|line| !line.contains("missing date"));
    assert_eq!(faults.collect::<Vec<_>>(), [""; 0]);
    // Bold and underlined letters are printed twice by a terminal of paper.
    let (text, _) = mandoc(&["-T", "ascii", "-O", "width=200"]);
    let letter = |c: char| c != '\u{8}';
    assert!(text.chars().any(|c| !letter(c)), "it has bold letters");
    let plain = text.chars().fold(String::new(), |mut out, c| {
        if letter(c) {
            out.push(c);
        } else {
            out.pop();
        }
        out
    });
    for section in ["NAME", "EXPECTATIONS", "EXAMPLES", "EXIT STATUS", "ENVIRONMENT", "FILES"] {
        assert!(plain.lines().any(|line| line == section), "no {section}:\n{plain}");
    }
    for line in ["waitgate --timeout=5m 'postgres://app:$(DB_PASSWORD)@db/shop' -- ./server", "#json=/POINTER=VALUE"] {
        assert!(plain.contains(line), "no {line}:\n{plain}");
    }
}
