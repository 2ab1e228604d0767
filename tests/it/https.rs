//! `https:` by address: an authority of our own, and a port that speaks the other of the two.

use std::{fs, thread, time::Duration};

use rcgen::{CertificateParams, KeyPair};
use tempfile::NamedTempFile;

use crate::support::{
    Fake, Run, free_port,
    signals::wait_for,
    web::{Authority, Reply, Web},
};

const OK: u16 = 200;

#[test]
fn address_in_the_certificate() {
    let authority = Authority::new();
    let addr = free_port();
    let config = authority.server(&[&addr.ip().to_string()]);
    let web = Web::on(addr, Some(config), |_, _| Reply::status(OK));
    Run::new(["--once", &web.https("/")]).arg("--ca-file").arg(authority.file()).end().success();
}

#[test]
fn a_server_without_tls_is_named_as_such() {
    let web = Web::always(OK);
    let ended = Run::new(["--once", &web.https("/")]).end();
    ended.failure().stderr_has("http:").stderr_says("TLS");
}

#[test]
fn a_server_with_tls_is_named_as_such() {
    let authority = Authority::new();
    let config = authority.server(&["127.0.0.1"]);
    let web = Web::on(free_port(), Some(config), |_, _| Reply::status(OK));
    let ended = Run::new(["-t", "300ms", &web.url("/")]).end();
    ended.failure().stderr_has("https:");
}

/// The bundle of public CAs has 0.2 MB. Attempts at the same time share it, and it is read once for all of them.
#[test]
fn many_targets_with_a_bundle_of_cas() {
    let one = CertificateParams::new(vec!["x".repeat(600)]).unwrap();
    let pems = (0..150).map(|_| one.clone().self_signed(&KeyPair::generate().unwrap()).unwrap().pem());
    let bundle = NamedTempFile::new().unwrap();
    fs::write(bundle.path(), pems.collect::<String>()).unwrap();
    assert!(bundle.path().metadata().unwrap().len() > 150_000);
    let fake = Fake::silent();
    let target = format!("https://{}/#ca={}", fake.addr, bundle.path().display());
    let targets = vec![target; 120];
    let running = Run::new(["--timeout=2s", "--parallel"].map(str::to_owned).into_iter().chain(targets)).start();
    wait_for(|| fake.hits() >= 60);
    thread::sleep(Duration::from_millis(500));
    let status = fs::read_to_string(format!("/proc/{}/status", running.pid().as_raw_nonzero())).unwrap();
    let anonymous = status.lines().find_map(|line| line.strip_prefix("RssAnon:")).unwrap();
    let anonymous: u32 = anonymous.split_whitespace().next().unwrap().parse().unwrap();
    assert!(anonymous < 12 * 1024, "{anonymous} kB");
    running.end().failure();
}
