//! Completions for bash, zsh and fish. `clap_complete` knows neither targets, which end with a colon, nor the command
//! after `--`, and its script for bash does not expect that bash splits words at `=` and `:`.
//!
//! tests/real/shipped.rs presses Tab in each of these shells.

use std::fmt::Write as _;

use clap::builder::PossibleValue;
use clap::{Arg, Command, ValueHint};

/// A word to complete, and what it means.
type Word = (String, String);

/// What follows an option.
enum Value {
    None,
    /// A duration or a number, which nothing can guess.
    Free,
    File,
    Words(Vec<Word>),
}

struct Opt {
    short: Option<char>,
    long: String,
    help: String,
    name: String,
    value: Value,
}

/// What a completion has to know of waitgate.
pub(super) struct Program {
    options: Vec<Opt>,
    kinds: Vec<Word>,
}

fn words(values: &[PossibleValue]) -> Vec<Word> {
    let help = |value: &PossibleValue| value.get_help().map(ToString::to_string).unwrap_or_default();
    values.iter().map(|value| (value.get_name().to_owned(), help(value))).collect()
}

impl Opt {
    fn of(arg: &Arg) -> Option<Self> {
        let value = match (arg.get_action().takes_values(), arg.get_value_hint(), arg.get_possible_values()) {
            (false, ..) => Value::None,
            (_, ValueHint::FilePath, _) => Value::File,
            (_, _, values) if values.is_empty() => Value::Free,
            (_, _, values) => Value::Words(words(&values)),
        };
        let name = arg.get_value_names().and_then(|names| names.first()).map(ToString::to_string).unwrap_or_default();
        let help = arg.get_long_help().or(arg.get_help()).map(ToString::to_string).unwrap_or_default();
        Some(Self { short: arg.get_short(), long: arg.get_long()?.to_owned(), help, name, value })
    }

    /// `-t` and `--timeout`.
    fn names(&self) -> Vec<String> {
        self.short.map(|short| format!("-{short}")).into_iter().chain([format!("--{}", self.long)]).collect()
    }
}

/// The words of a list, with one blank between them.
fn join(words: &[Word]) -> String {
    words.iter().map(|(word, _)| word.as_str()).collect::<Vec<_>>().join(" ")
}

/// In single quotes of a shell, where `quote` is how a single quote is written there.
fn quoted(text: &str, quote: &str) -> String {
    format!("'{}'", text.replace('\'', quote))
}

impl Program {
    pub(super) fn of(command: &Command) -> Self {
        let mut command = command.clone();
        command.build();
        let targets = command.get_arguments().find(|arg| arg.get_id() == "targets").expect("targets");
        Self {
            kinds: words(&targets.get_possible_values()),
            options: command.get_arguments().filter_map(Opt::of).collect(),
        }
    }

    pub(super) fn bash(&self) -> String {
        let mut cases = String::new();
        let mut free = Vec::new();
        let mut files = Vec::new();
        let mut options = Vec::new();
        for option in &self.options {
            let names = option.names();
            options.extend(names.iter().map(|name| match option.value {
                Value::None => name.clone(),
                // With = the value is in the same word, so a value that begins with a dash is no option.
                _ if name.starts_with("--") => format!("{name}="),
                _ => name.clone(),
            }));
            match &option.value {
                Value::None => {}
                Value::Free => free.extend(names),
                Value::File => files.extend(names),
                Value::Words(words) => {
                    let _ = writeln!(cases, "        {}) list='{}' ;;", names.join(" | "), join(words));
                }
            }
        }
        BASH.replace("CASES\n", &cases)
            .replace("FREE", &free.join(" | "))
            .replace("FILES", &files.join(" | "))
            .replace("OPTIONS", &options.join(" "))
            .replace("KINDS", &join(&self.kinds))
    }

    pub(super) fn zsh(&self) -> String {
        // Brackets and colons have a meaning in a specification of _arguments, a colon in one of _describe.
        let escaped = |text: &str, what: &[char]| {
            text.chars().fold(String::new(), |out, c| if what.contains(&c) { out + "\\" } else { out } + &c.to_string())
        };
        let described = |(word, help): &Word| {
            let help = if help.is_empty() { String::new() } else { format!(":{help}") };
            quoted(&format!("{}{help}", escaped(word, &[':'])), r"'\''")
        };
        let list = |words: &[Word]| words.iter().map(described).collect::<Vec<_>>().join("\n        ");
        let (mut specs, mut functions) = (String::new(), String::new());
        for option in &self.options {
            let action = match &option.value {
                Value::None => String::new(),
                Value::Free => format!(":{}: ", option.name),
                Value::File => format!(":{}:_files", option.name),
                Value::Words(words) if words.iter().all(|(_, help)| help.is_empty()) => {
                    format!(":{}:({})", option.name, join(words))
                }
                Value::Words(words) => {
                    let name = format!("_waitgate_{}", option.long);
                    let _ = writeln!(functions, "{}", ZSH_LIST.replace("NAME", &name).replace("LIST", &list(words)));
                    format!(":{}:{name}", option.name)
                }
            };
            let both = option.names();
            let others = if both.len() > 1 { format!("({})", both.join(" ")) } else { String::new() };
            for name in &both {
                let joint = match option.value {
                    Value::None => "",
                    _ if name.starts_with("--") => "=",
                    _ => "+",
                };
                let help = escaped(&option.help, &['[', ']', ':']);
                let spec = quoted(&format!("{others}{name}{joint}[{help}]{action}"), r"'\''");
                let _ = writeln!(specs, "        {spec} \\");
            }
        }
        ZSH.replace("FUNCTIONS\n", &functions).replace("SPECS\n", &specs).replace("KINDS", &list(&self.kinds))
    }

    pub(super) fn fish(&self) -> String {
        let plain = |text: &str| quoted(&text.replace('\\', "\\\\"), r"\'");
        // fish reads the list itself as a line of a shell, so quotes in it would count: a function prints it.
        let list = |name: &str, words: &[Word]| {
            let line = |(word, help): &Word| format!("        {} {}", plain(word), plain(help));
            FISH_LIST.replace("NAME", name).replace("LIST", &words.iter().map(line).collect::<Vec<_>>().join(" \\\n"))
        };
        let mut out = FISH.replace("FUNCTION\n", &list("__waitgate_target", &self.kinds));
        for option in &self.options {
            let value = match &option.value {
                Value::None => String::new(),
                Value::Free => " -x".to_owned(),
                Value::File => " -r -F".to_owned(),
                Value::Words(words) if words.iter().all(|(_, help)| help.is_empty()) => {
                    format!(" -x -a {}", plain(&join(words)))
                }
                Value::Words(words) => {
                    let name = format!("__waitgate_{}", option.long);
                    let _ = writeln!(out, "\n{}", list(&name, words));
                    format!(" -x -a '({name})'")
                }
            };
            let short = option.short.map(|short| format!(" -s {short}")).unwrap_or_default();
            let (long, help) = (&option.long, plain(&option.help));
            let _ = writeln!(out, "complete -c waitgate -n __waitgate_own{short} -l {long}{value} -d {help}");
        }
        out
    }
}

const BASH: &str = r#"# Completion of waitgate for bash. Generated: do not edit.
# Source this file, or copy it to /usr/share/bash-completion/completions/waitgate.

_waitgate() {
    local line=${COMP_LINE:0:COMP_POINT} list= files= word previous option part prefix head candidate i
    local -a words
    COMPREPLY=()
    # bash splits the line at = and : too. So the word is read from the line, and of each candidate the part is cut off
    # that bash does not replace.
    read -ra words <<<"$line"
    [[ $line == *[[:blank:]] ]] && words+=("")
    word=${words[${#words[@]} - 1]} previous=${words[${#words[@]} - 2]}
    head=${word%"$2"}

    # After -- there is the command to run, and its arguments.
    for ((i = 1; i < ${#words[@]} - 1; i++)); do
        [[ ${words[i]} == -- ]] || continue
        if ((i == ${#words[@]} - 2)); then
            mapfile -t COMPREPLY < <(compgen -c -- "$2")
        else
            compopt -o default
        fi
        return
    done

    option=$previous part=$word
    if [[ $word == --*=* ]]; then
        option=${word%%=*} part=${word#*=}
    fi
    case $option in
CASES
        FILES) files=yes ;;
        FREE) return ;;
        *)
            case $word in
                -*) list='OPTIONS' ;;
                file:* | unix:*) files=yes part=${word#*:} ;;
                *) list='KINDS' ;;
            esac
            ;;
    esac
    if [[ $files ]]; then
        compopt -o filenames
        mapfile -t COMPREPLY < <(compgen -f -- "$part")
    else
        mapfile -t COMPREPLY < <(compgen -W "$list" -- "$part")
    fi
    prefix=${word%"$part"}
    for i in "${!COMPREPLY[@]}"; do
        candidate=$prefix${COMPREPLY[i]}
        COMPREPLY[i]=${candidate#"$head"}
    done
    # An address or a value follows at once.
    if [[ ${#COMPREPLY[@]} -eq 1 && ${COMPREPLY[0]} == *[:=] ]]; then
        compopt -o nospace
    fi
}

complete -F _waitgate waitgate
"#;

const ZSH_LIST: &str = "\
NAME() {
    local -a list=(
        LIST
    )
    _describe -t values value list
}
";

const ZSH: &str = r#"#compdef waitgate
# Completion of waitgate for zsh. Generated: do not edit.
# Copy this file into a folder of $fpath.

FUNCTIONS
# A target, or after -- the command to run and its arguments.
_waitgate_word() {
    local at=${words[(i)--]}
    if ((at < CURRENT)); then
        shift $at words
        ((CURRENT -= at))
        _normal
        return
    fi
    if compset -P '(file|unix):'; then
        _files
        return
    fi
    local -a list=(
        KINDS
    )
    # An address follows at once.
    _describe -t kinds target list -S ''
}

_waitgate() {
    _arguments -s -S : \
SPECS
        '*:target:_waitgate_word'
}

_waitgate "$@"
"#;

const FISH_LIST: &str = r"function NAME
    printf '%s\t%s\n' \
LIST
end
";

const FISH: &str = r"# Completion of waitgate for fish. Generated: do not edit.
# Copy this file to ~/.config/fish/completions/waitgate.fish.

# Whether the word belongs to waitgate, and not to the command after --.
function __waitgate_own
    not contains -- -- (commandline -opc)
end

# What fish knows of the command after --.
function __waitgate_command
    set -l words (commandline -opc)
    set -l at (contains -i -- -- $words)
    set -l before (string escape -- $words[(math $at + 1)..])
    complete -C (string join ' ' -- $before (commandline -ct))
end

FUNCTION

complete -c waitgate -f
complete -c waitgate -n 'not __waitgate_own' -a '(__waitgate_command)'
complete -c waitgate -n __waitgate_own -a '(__waitgate_target)'
";
