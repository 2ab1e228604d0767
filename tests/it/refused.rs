//! Wrong input: each run ends with status 1 within 100 ms, says what is wrong, what was expected and what to do, and
//! repeats no secret. tests/real/refused.rs shows that none of them touches the network.

use std::{
    ffi::{OsStr, OsString},
    fs,
    os::unix::ffi::OsStrExt,
};

use crate::support::{
    Run,
    wrong::{Wrong, in_time, wrong, wrong_input},
};

wrong_input! { |row| row.check() }

#[cfg(feature = "tls")]
#[test]
fn ca_file_that_is_no_pem() {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in [("empty", ""), ("text", "hello\n"), ("half", "-----BEGIN CERTIFICATE-----\nAAAA\n")] {
        let path = folder.path().join(name);
        fs::write(&path, text).unwrap();
        let path = path.to_string_lossy().into_owned();
        in_time(|| Run::new(["--ca-file", &path, "tcp:h:1"])).stderr_has(&path).stderr_has("PEM");
    }
}

/// A certificate block whose content is no certificate.
#[cfg(feature = "tls")]
#[test]
fn ca_file_with_a_broken_certificate() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ca.pem").to_string_lossy().into_owned();
    fs::write(&path, "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n").unwrap();
    in_time(|| Run::new(["--ca-file", &path, "tls:h:443"])).stderr_has(&path);
}

#[test]
fn bytes_that_are_no_text() {
    let target = OsString::from(OsStr::from_bytes(b"tcp:h\xff:1"));
    in_time(|| Run::new([&target])).stderr_says("UTF-8");
}

/// The verdict of a refused run is not for `kubectl describe` alone: nothing to read means nothing
/// to fix, so `-q` does not silence it.
#[test]
fn quiet_does_not_hide_an_error() {
    in_time(|| Run::new(["-q", "tcp:h"])).stderr_has("tcp:HOST:PORT");
}
