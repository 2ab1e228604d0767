//! The files that a package ships beside the binary: they are made from the command line's own description, here
//! and not in the binary, which would carry their makers about.

use std::fs;
use std::path::PathBuf;

use clap::CommandFactory as _;
use clap_complete::{Shell, generate};
use waitgate::cli::Cli;

/// `UPDATE_DOCS=1 cargo test --test it shipped` writes the file anew.
#[expect(clippy::disallowed_methods, reason = "a developer's switch, not the program's")]
fn is_current(name: &str, bytes: &[u8]) {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("docs").join(name);
    if std::env::var_os("UPDATE_DOCS").is_some() {
        fs::create_dir_all(path.parent().expect("docs")).expect("a folder");
        fs::write(&path, bytes).expect("a file");
    }
    let shipped = fs::read(&path).unwrap_or_default();
    assert!(shipped == bytes, "docs/{name} is not current: UPDATE_DOCS=1 cargo test --test it shipped writes it");
}

#[test]
fn completions() {
    for (shell, name) in [(Shell::Bash, "waitgate.bash"), (Shell::Zsh, "_waitgate"), (Shell::Fish, "waitgate.fish")] {
        let mut bytes = Vec::new();
        generate(shell, &mut Cli::command(), "waitgate", &mut bytes);
        is_current(&format!("completions/{name}"), &bytes);
    }
}

#[test]
fn man_page() {
    let command = Cli::command();
    let about = command.get_about().expect("an about").to_string();
    let (name, description) = about.split_once(".\n\n").expect("a sentence, then the rest");
    let command = command.about(name.to_lowercase()).long_about(description.to_owned());
    let mut bytes = Vec::new();
    clap_mangen::Man::new(command).render(&mut bytes).expect("a page");
    // The table of kinds keeps its lines.
    let page = String::from_utf8(bytes).expect("text");
    let page =
        page.replace("Each TARGET", ".nf\nEach TARGET").replace("\nTargets are probed", "\n.fi\nTargets are probed");
    is_current("waitgate.1", page.as_bytes());
}
