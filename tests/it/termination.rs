//! The termination message, which `kubectl describe pod` shows, in a file that an option names.

use std::{fs, os::unix::fs::PermissionsExt, path::Path, time::Duration};

use crate::support::{Fake, Run, free_port, loopback};

/// A file for a termination message, as the kubelet makes it: empty, and open to all users.
fn kubelets_file(path: &Path) {
    fs::write(path, "").expect("the folder is ours");
    fs::set_permissions(path, fs::Permissions::from_mode(0o666)).expect("the file is ours");
}

#[test]
fn termination_message_says_what_is_missing() {
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("log");
    kubelets_file(&log);
    let (ready, addr) = (Fake::silent(), free_port());
    let targets = [format!("tcp:{}", ready.addr), format!("tcp:{addr}")];
    Run::new(["-t", "500ms"]).arg(&targets[0]).arg(&targets[1]).arg("--termination-log").arg(&log).end().failure();
    let message = fs::read_to_string(&log).unwrap();
    assert!(message.contains(&addr.to_string()) && message.contains("refused"), "{message}");
    assert!(!message.contains(&ready.addr.to_string()), "only what is missing: {message}");
    assert!(message.len() <= 1000 && !message.contains('\x1b'), "{message}");
}

/// The message of the run before is not added to.
#[test]
fn termination_message_replaces_what_was_there() {
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("log");
    fs::write(&log, "old\n".repeat(1000)).unwrap();
    Run::new(["-t", "300ms", &format!("tcp:{}", free_port())]).arg("--termination-log").arg(&log).end().failure();
    assert!(!fs::read_to_string(&log).unwrap().contains("old"));
}

#[test]
fn termination_message_is_at_most_1000_bytes() {
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("log");
    kubelets_file(&log);
    let ip = loopback();
    let targets = (1..=100).map(|port| format!("tcp:{ip}:{port}"));
    let args = ["-t", "500ms", "--parallel"].map(str::to_owned).into_iter().chain(targets);
    Run::new(args).arg("--termination-log").arg(&log).end().failure();
    let message = fs::read_to_string(&log).unwrap();
    assert!((100..=1000).contains(&message.len()), "{} bytes: {message}", message.len());
    assert!(message.contains(&format!("{ip}:1")), "{message}");
}

/// Reasons that are longer than the room for them, with letters of more than one byte.
#[test]
fn termination_message_is_cut_between_letters() {
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("log");
    kubelets_file(&log);
    // A letter more before them, and they begin at another byte of what is cut.
    let targets = (1..=7).map(|n| format!("unix:/{}{}", "a".repeat(n), "ü".repeat(30)));
    let args = ["--once", "--parallel"].map(str::to_owned).into_iter().chain(targets);
    let ended = Run::new(args).arg("--termination-log").arg(&log).end();
    let message = String::from_utf8(fs::read(&log).unwrap());
    let message = message.unwrap_or_else(|error| panic!("{error}: {ended}"));
    assert!(message.len() <= 1000 && message.matches("ü…").count() > 3, "{message}");
    assert!(ended.failure().last_line().starts_with(message.split('…').next().unwrap()), "{ended}");
}

#[test]
fn termination_message_is_never_created() {
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("log");
    let ended = Run::new(["-t", "300ms", &format!("tcp:{}", free_port())]).arg("--termination-log").arg(&log).end();
    ended.failure().nowhere("termination").nowhere("No such file");
    assert!(!log.exists());
}

#[test]
fn termination_message_is_left_alone_when_ready() {
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("log");
    fs::write(&log, "before").unwrap();
    let fake = Fake::silent();
    Run::new([format!("tcp:{}", fake.addr)]).arg("--termination-log").arg(&log).end().success();
    assert_eq!(fs::read_to_string(&log).unwrap(), "before");
}

/// Neither a folder nor a pipe without a reader holds up the end or changes it.
#[test]
fn termination_message_that_cannot_be_written() {
    let folder = tempfile::tempdir().unwrap();
    let pipe = folder.path().join("pipe");
    rustix::fs::mknodat(rustix::fs::CWD, &pipe, rustix::fs::FileType::Fifo, 0o600.into(), 0).unwrap();
    for path in [folder.path(), &pipe] {
        let run = Run::new(["-t", "200ms", &format!("tcp:{}", free_port())]);
        run.arg("--termination-log").arg(path).end().failure().took(Duration::from_millis(200)..Duration::from_secs(4));
    }
}
