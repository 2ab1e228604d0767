//! `tcp:` against ports that open late, close at once or stay silent.

use std::{thread, time::Duration};

use crate::support::{Fake, Run, fake::linger, free_port};

fn secs(seconds: f64) -> Duration {
    Duration::from_secs_f64(seconds)
}

#[test]
fn late_port() {
    let addr = free_port();
    let running = Run::new([format!("tcp:{addr}")]).start();
    let line = running.line("refused");
    assert!(line.contains(&addr.to_string()), "{line}");
    let _fake = Fake::on(addr, linger);
    running.end().success().stderr_has("ready");
}

#[test]
fn accept_and_close_is_not_ready() {
    let fake = Fake::closing();
    let ended = Run::new(["-t", "1s", &format!("tcp:{}", fake.addr)]).end();
    ended.failure().stderr_has("closed");
    assert!(fake.hits() > 2, "{ended}");
}

#[test]
fn accept_and_close_is_ready_without_hold() {
    let fake = Fake::closing();
    Run::new(["--once", &format!("tcp:{}#hold=0", fake.addr)]).end().success();
}

#[test]
fn silent_accept_is_ready_after_hold() {
    let fake = Fake::silent();
    let ended = Run::new(["--once", &format!("tcp:{}#hold=600ms", fake.addr)]).end();
    ended.success().took(secs(0.6)..secs(1.6));
}

/// A server that closes late within the hold, as docker-proxy does when its backend refuses.
#[test]
fn a_close_late_in_the_hold_is_seen() {
    let fake = Fake::new(|stream| {
        thread::sleep(secs(0.2));
        drop(stream);
    });
    Run::new(["--once", &format!("tcp:{}#hold=1s", fake.addr)]).end().failure().stderr_has("closed");
}

#[test]
fn bytes_from_the_server_end_the_hold() {
    let fake = Fake::greeting("220 mail.test ESMTP\r\n");
    let ended = Run::new(["--once", &format!("tcp:{}#hold=2s", fake.addr)]).end();
    ended.success().took(secs(0.0)..secs(1.5));
}

/// The hold of a target is longer than what one attempt may take: that can never be ready.
#[test]
fn hold_is_within_the_attempt() {
    let fake = Fake::silent();
    Run::new(["--once", "--attempt-timeout=500ms", &format!("tcp:{}#hold=2s", fake.addr)]).end().failure();
}
