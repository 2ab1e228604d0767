//! A folder that takes a second or more to make, such as a server's first data: one test makes it, and every test copies it.

use std::{fs, path::Path, process::Command};

use super::tool;

/// Puts a copy of the template `name` at `to`, where nothing is yet. If there is no template, `make` makes the folder.
#[track_caller]
pub(crate) fn copied(name: &str, to: &Path, make: impl FnOnce()) {
    let template = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    if template.is_dir() {
        return copy(&template, to);
    }
    make();
    let own = template.with_extension(std::process::id().to_string());
    // A run that was killed may have left one.
    let _ = fs::remove_dir_all(&own);
    copy(to, &own);
    // Another test may have been faster.
    if fs::rename(&own, &template).is_err() {
        fs::remove_dir_all(&own).expect("the folder is ours");
    }
}

#[track_caller]
fn copy(from: &Path, to: &Path) {
    let copied = Command::new(tool("cp")).arg("-a").args([from, to]).status();
    assert!(copied.is_ok_and(|status| status.success()), "must be able to copy {}", from.display());
}
