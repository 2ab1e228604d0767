//! The files that a package ships beside the binary: they are made from the command line's own description, here
//! and not in the binary, which would carry their makers about.

use clap_complete::{Shell, generate};
use expect_test::expect_file;

use crate::support::door;

/// `UPDATE_EXPECT=1 cargo test --test it shipped` writes the file anew.
fn is_current(name: &str, text: &str) {
    expect_file![format!("{}/docs/{name}", env!("CARGO_MANIFEST_DIR"))].assert_eq(text);
}

#[test]
fn completions() {
    for (shell, name) in [(Shell::Bash, "waitgate.bash"), (Shell::Zsh, "_waitgate"), (Shell::Fish, "waitgate.fish")] {
        let mut bytes = Vec::new();
        generate(shell, &mut door::command(), "waitgate", &mut bytes);
        is_current(&format!("completions/{name}"), &String::from_utf8(bytes).expect("text"));
    }
}

#[test]
fn man_page() {
    let command = door::command();
    let about = command.get_about().expect("an about").to_string();
    let (name, description) = about.split_once(".\n\n").expect("a sentence, then the rest");
    let command = command.about(name.to_lowercase()).long_about(description.to_owned());
    let mut bytes = Vec::new();
    clap_mangen::Man::new(command).render(&mut bytes).expect("a page");
    // The table of kinds keeps its lines.
    let page = String::from_utf8(bytes).expect("text");
    let page =
        page.replace("Each TARGET", ".nf\nEach TARGET").replace("\nTargets are probed", "\n.fi\nTargets are probed");
    is_current("waitgate.1", &page);
}
