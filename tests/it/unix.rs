//! `unix:`: the socket of a sidecar in a shared volume.

use std::{
    fs,
    io::Write,
    os::unix::{fs::PermissionsExt, net::UnixListener},
    path::Path,
    thread,
    time::Duration,
};

use crate::support::Run;

/// Accepts on `path` until the test ends, says `greeting` and keeps the connections open if `keep`.
fn listen(path: &Path, greeting: &'static str, keep: bool) {
    let listener = UnixListener::bind(path).expect("the folder is ours");
    thread::spawn(move || {
        let mut kept = Vec::new();
        while let Ok((mut stream, _)) = listener.accept() {
            let _ = stream.write_all(greeting.as_bytes());
            if keep {
                kept.push(stream);
            }
        }
    });
}

#[test]
fn late_socket() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("app.sock");
    let target = format!("unix:{}", path.display());
    let running = Run::new([&target]).start();
    running.line(path.to_str().unwrap());
    listen(&path, "", true);
    running.end().success();
}

/// A server that died leaves its socket behind.
#[test]
fn stale_socket_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("app.sock");
    drop(UnixListener::bind(&path).unwrap());
    Run::new(["--once", &format!("unix:{}", path.display())]).end().failure().stderr_has("refused");
}

#[test]
fn what_is_no_socket_is_not_ready() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    fs::write(&file, "").unwrap();
    for path in [file.as_path(), folder.path()] {
        let ended = Run::new(["--once", &format!("unix:{}", path.display())]).end();
        ended.failure().stderr_has(path.to_str().unwrap());
    }
}

#[test]
fn a_refusal_in_words_is_not_ready() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("app.sock");
    listen(&path, "421 too many users\r\n", false);
    let ended = Run::new(["--once", &format!("unix:{}", path.display())]).end();
    ended.failure().stderr_has("said \"421 too many users\" and closed it");
}

#[test]
fn accept_and_close_is_not_ready() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("app.sock");
    listen(&path, "", false);
    let target = format!("unix:{}", path.display());
    Run::new(["--once", &target]).end().failure().stderr_has("closed");
    Run::new(["--once", &format!("{target}#hold=0")]).end().success();
}

#[test]
fn banner() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("app.sock");
    listen(&path, "hello 1.2\n", true);
    let target = format!("unix:{}", path.display());
    Run::new(["--once", &format!("{target}#banner=hello")]).end().success();
    Run::new(["--once", "--attempt-timeout=300ms", &format!("{target}#banner=bye")]).end().failure();
}

/// Another user's socket: waiting for the permission is of use, saying it even more.
#[test]
fn permission_is_named() {
    let folder = tempfile::Builder::new().permissions(fs::Permissions::from_mode(0o755)).tempdir().unwrap();
    let path = folder.path().join("app.sock");
    listen(&path, "", true);
    fs::set_permissions(&path, fs::Permissions::from_mode(0o000)).unwrap();
    let binary = folder.path().join("waitgate");
    fs::copy(env!("CARGO_BIN_EXE_waitgate"), &binary).unwrap();
    let run = Run::program(&binary, ["--once", &format!("unix:{}", path.display())]);
    // Root may connect to any socket, so it has to become someone else.
    let someone = ["setpriv", "--reuid=54321", "--regid=54321", "--clear-groups"];
    let run = if rustix::process::geteuid().is_root() { run.through(someone) } else { run };
    run.end().failure().stderr_has("may not connect");
}

#[test]
fn a_path_that_no_socket_can_have_is_refused() {
    let long = format!("unix:/{}", "x".repeat(120));
    for target in ["unix:", "unix:relative", &long] {
        let ended = Run::new([target]).end();
        ended.failure().stderr_has("unix:/").took(Duration::ZERO..Duration::from_secs(1));
    }
}

#[test]
fn gone() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("app.sock");
    let target = format!("unix:{}#gone", path.display());
    Run::new(["--max-pause=50ms", &target]).end().success();
    listen(&path, "", true);
    let running = Run::new(["--max-pause=50ms", &target]).start();
    running.line(path.to_str().unwrap());
    fs::remove_file(&path).unwrap();
    running.end().success();
}
