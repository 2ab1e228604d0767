//! No path reaches getaddrinfo or getpwuid: in a static glibc binary they may crash. What is
//! asserted is what the process opens, and that it runs where they would fail.

use std::{fs, os::unix::fs::PermissionsExt};

use crate::support::{Fake, Pod, Run, dns::Knot, fake::linger};

/// Files that only libc's name service and its loader of modules would open.
const NEVER: [&str; 6] = ["nsswitch.conf", "/etc/passwd", "/etc/group", "/etc/gai.conf", "/etc/host.conf", "libnss"];

/// The files that a run in the Pod opened, after the dynamic loader was done with its own.
#[track_caller]
fn opened(pod: &Pod, args: &[&str]) -> (crate::support::run::Ended, String) {
    let trace = tempfile::NamedTempFile::new().expect("must be able to make a temporary file");
    let path = trace.path().to_string_lossy().into_owned();
    let ended = Run::new(args)
        .inside(pod)
        .through(["strace", "-f", "-qq", "-e", "trace=%file,socket,connect,sendto", "-o", &path])
        .end();
    (ended, fs::read_to_string(trace.path()).expect("strace wrote its trace"))
}

/// A Pod whose `/etc` has everything that would lead libc astray.
fn baited() -> (Pod, Knot) {
    let pod = Pod::new();
    pod.etc("nsswitch.conf", "hosts: resolve myhostname mymachines files dns\npasswd: files systemd sss\n");
    pod.etc("passwd", "root:x:0:0::/:/bin/sh\n");
    pod.etc("resolv.conf", "nameserver 127.0.0.1\nsearch cluster.test\n");
    let knot = Knot::start(&pod, "db A 127.0.5.1");
    (pod, knot)
}

#[track_caller]
fn reaches_no_name_service(args: &[&str], ready: bool) {
    let (pod, _knot) = baited();
    let _fake = pod.within(|| Fake::on(([127, 0, 5, 1], 7000).into(), linger));
    let (ended, trace) = opened(&pod, args);
    ended.code(i32::from(!ready));
    assert!(trace.contains("/etc/resolv.conf"), "strace saw the run: {trace}");
    for file in NEVER {
        assert!(!trace.contains(file), "{file} was touched: {trace}{ended}");
    }
    // nscd, which libc asks first.
    assert!(!trace.contains("/run/nscd"), "{trace}");
    // One image of the dynamic loader's cache, for the test's own dynamic binary, before main.
    assert!(trace.matches("ld.so.cache").count() <= 1, "{trace}");
}

#[test]
fn tcp_by_name() {
    reaches_no_name_service(&["--once", "tcp:db:7000"], true);
}

#[cfg(feature = "dns")]
#[test]
fn dns_by_name() {
    reaches_no_name_service(&["--once", "dns:db"], true);
    reaches_no_name_service(&["--once", "dns:nowhere"], false);
}

#[cfg(feature = "http")]
#[test]
fn http_by_name() {
    reaches_no_name_service(&["--once", "--attempt-timeout=300ms", "http://db:7000/"], false);
    reaches_no_name_service(&["--once", "--attempt-timeout=300ms", "https://db:7000/"], false);
}

/// Without a user in the address, libpq and tokio-postgres ask who we are.
#[cfg(feature = "postgres")]
#[test]
fn postgres_by_name_without_a_user() {
    reaches_no_name_service(&["--once", "--attempt-timeout=300ms", "postgres:db:7000"], false);
    reaches_no_name_service(&["--once", "--attempt-timeout=300ms", "postgres://:secret@db:7000/app"], false);
}

/// `OpenShift` runs any image under a UID of its choice.
#[test]
fn uid_without_a_passwd_entry() {
    let (pod, _knot) = baited();
    let _fake = pod.within(|| Fake::on(([127, 0, 5, 1], 7000).into(), linger));
    // The build folder may be closed to others; all users may run the binary itself, as in the image.
    let folder = tempfile::Builder::new().permissions(fs::Permissions::from_mode(0o755)).tempdir().unwrap();
    let binary = folder.path().join("waitgate");
    fs::copy(env!("CARGO_BIN_EXE_waitgate"), &binary).unwrap();
    let someone = [
        "setpriv",
        "--reuid=54321",
        "--regid=54321",
        "--clear-groups",
        "--no-new-privs",
        "--bounding-set=-all",
        "--inh-caps=-all",
    ];
    let as_someone = |args: &[&str]| Run::program(&binary, args).inside(&pod).through(someone).end();
    as_someone(&["--once", "tcp:db:7000"]).success();
    let ended = as_someone(&["--once", "tcp:db:7000#hold=0", "--", "/usr/bin/id", "-u"]);
    ended.success();
    assert_eq!(ended.stdout.trim(), "54321", "{ended}");
    if cfg!(feature = "postgres") {
        // It gets as far as the server, which is none: the reason is not who we are.
        let ended = as_someone(&["--once", "postgres:127.0.5.1:7001"]);
        ended.failure().stderr_has("refused");
    }
}

#[cfg(feature = "postgres")]
#[test]
fn postgres_under_a_uid_without_a_passwd_entry() {
    let pg = crate::support::pg::Pg::started();
    let folder = tempfile::Builder::new().permissions(fs::Permissions::from_mode(0o755)).tempdir().unwrap();
    let binary = folder.path().join("waitgate");
    fs::copy(env!("CARGO_BIN_EXE_waitgate"), &binary).unwrap();
    let someone = ["setpriv", "--reuid=54321", "--regid=54321", "--clear-groups"];
    for target in [format!("postgres:{}", pg.addr), pg.url("postgres:secret", "")] {
        Run::program(&binary, ["--once", &target]).through(someone).end().success();
    }
}
