//! Wrong input is refused before anything is sent: each row of the table runs under strace, without a network.

use std::{
    ffi::{OsStr, OsString},
    fs,
    os::unix::ffi::OsStrExt,
};

use crate::support::{
    Run,
    wrong::{Wrong, wrong, wrong_input},
};

/// Sees every system call that could send something, of every thread.
#[track_caller]
fn touches_no_network(run: Run) {
    let trace = tempfile::NamedTempFile::new().expect("must be able to make a temporary file");
    let path = trace.path().to_string_lossy().into_owned();
    let ended =
        run.through(["unshare", "--net"]).through(["strace", "-f", "-qq", "-e", "trace=%network", "-o", &path]).end();
    ended.failure();
    let calls = fs::read_to_string(trace.path()).expect("strace wrote its trace");
    // A pair of connected sockets inside the process, for signals, is no network. signal-hook sends nothing to it, to
    // see what it is.
    let calls: Vec<&str> = calls.lines().filter(|call| !call.contains(r#", "", 0, MSG_DONTWAIT, NULL, 0)"#)).collect();
    let calls = calls.join("\n");
    for call in ["socket(", "connect(", "bind(", "sendto(", "sendmsg(", "sendmmsg("] {
        assert!(!calls.contains(call), "{call} in a run that should have been refused: {calls}{ended}");
    }
}

/// The check above is worth nothing if strace shows nothing.
#[test]
fn strace_sees_a_run_that_does_connect() {
    let trace = tempfile::NamedTempFile::new().unwrap();
    let path = trace.path().to_string_lossy().into_owned();
    let closed = format!("tcp:{}", crate::support::free_port());
    Run::new(["--once", &closed]).through(["strace", "-f", "-qq", "-e", "trace=%network", "-o", &path]).end().failure();
    assert!(fs::read_to_string(trace.path()).unwrap().contains("connect("));
}

wrong_input! { |row| touches_no_network(row.run()) }

#[cfg(feature = "tls")]
#[test]
fn ca_file_that_is_no_pem() {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in [("empty", ""), ("text", "hello\n"), ("half", "-----BEGIN CERTIFICATE-----\nAAAA\n")] {
        let path = folder.path().join(name);
        fs::write(&path, text).unwrap();
        let path = path.to_string_lossy().into_owned();
        touches_no_network(Run::new(["--ca-file", &path, "tcp:h:1"]));
    }
}

/// A certificate block whose content is no certificate.
#[cfg(feature = "tls")]
#[test]
fn ca_file_with_a_broken_certificate() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ca.pem").to_string_lossy().into_owned();
    fs::write(&path, "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n").unwrap();
    touches_no_network(Run::new(["--ca-file", &path, "https://h/"]));
}

#[test]
fn bytes_that_are_no_text() {
    let target = OsString::from(OsStr::from_bytes(b"tcp:h\xff:1"));
    touches_no_network(Run::new([&target]));
}
