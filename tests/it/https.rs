//! `https:` by address: an authority of our own, and a port that speaks the other of the two.

use crate::support::{
    Run, free_port,
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
