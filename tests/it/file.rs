//! `file:`: a file that another container of the Pod writes.

use std::fs;
use std::thread;
use std::time::Duration;

use crate::support::Run;

#[test]
fn a_file_that_is_written_while_waitgate_waits() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("state.json");
    let target = format!("file:{}#json=/state=done", path.display());
    let running = Run::new(["-t", "20s", &target]).start();
    running.line("there is no ");
    fs::write(&path, "{\"state\": \"running\"}").unwrap();
    running.line("has \"running\" at /state");
    // A program that writes and renames is never seen half done.
    let next = folder.path().join("next");
    fs::write(&next, "{\"state\": \"done\"}").unwrap();
    fs::rename(&next, &path).unwrap();
    running.end().success().stderr_has(&format!("{} exists", path.display()));
}

#[test]
fn a_file_that_goes_away() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("lock");
    fs::write(&path, "").unwrap();
    let running = Run::new(["-t", "20s", &format!("file:{}#gone", path.display())]).start();
    running.line("still there: ");
    thread::sleep(Duration::from_millis(100));
    fs::remove_file(&path).unwrap();
    running.end().success();
}

#[test]
fn what_is_not_as_expected_is_said() {
    let folder = tempfile::tempdir().unwrap();
    let name = folder.path().display().to_string();
    let once =
        |expectations: &str| Run::new(["--once", "--log-format=json", &format!("file:{name}{expectations}")]).end();
    once("#type=directory").success();
    once("#type=file").failure().stderr_has(&format!("{name} is not a regular file")).stderr_has("expect.file");
    once("/none").failure().stderr_has(&format!("there is no {name}/none")).stderr_has("local.missing");
}
