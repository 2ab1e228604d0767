//! The files that a package ships beside the binary: they are made from the command line's own description, here
//! and not in the binary, which would carry their makers about.

/// For bash, zsh and fish.
mod completions;
/// In roff.
mod man;

use expect_test::expect_file;

use crate::support::door;

/// `UPDATE_EXPECT=1 cargo test --test it shipped` writes the file anew.
fn is_current(name: &str, text: &str) {
    expect_file![format!("{}/docs/{name}", env!("CARGO_MANIFEST_DIR"))].assert_eq(text);
}

#[test]
fn completions() {
    let program = completions::Program::of(&door::command());
    is_current("completions/waitgate.bash", &program.bash());
    is_current("completions/_waitgate", &program.zsh());
    is_current("completions/waitgate.fish", &program.fish());
}

#[test]
fn man_page() {
    is_current("waitgate.1", &man::page(door::command()));
}
