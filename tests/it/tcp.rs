//! `tcp:` against ports that open late, close at once or stay silent.

use std::{
    io::Write as _,
    sync::atomic::{AtomicU32, Ordering},
    thread,
    time::Duration,
};

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

/// A server that is full says so and closes the connection.
#[test]
fn a_refusal_in_words_is_not_ready() {
    let fake = Fake::new(|mut stream| {
        let _ = stream.write_all(b"-ERR max number of clients reached\r\n");
    });
    for expectation in ["", "#banner=-ERR"] {
        let ended = Run::new(["--once", &format!("tcp:{}{expectation}", fake.addr)]).end();
        ended.failure().stderr_has("said \"-ERR max number of clients reached\" and closed it");
    }
}

#[test]
fn a_server_that_greets_and_stays_is_ready() {
    let fake = Fake::greeting("220 mail.test ESMTP\r\n");
    for expectation in ["", "#banner=220", "#hold=300ms"] {
        Run::new(["--once", &format!("tcp:{}{expectation}", fake.addr)]).end().success();
    }
}

/// On a busy machine a proxy may need more than 50 ms to close. It has closed before, so waitgate waits for longer.
#[test]
fn a_proxy_that_closes_late_is_not_ready_after_it_has_closed_at_once() {
    let hits = AtomicU32::new(0);
    let fake = Fake::new(move |stream| {
        if hits.fetch_add(1, Ordering::Relaxed) > 0 {
            thread::sleep(secs(0.1));
        }
        drop(stream);
    });
    let ended = Run::new(["-t", "2s", &format!("tcp:{}", fake.addr)]).end();
    ended.failure().stderr_has("closed it at once");
    assert!(fake.hits() > 2, "{ended}");
}

/// The hold of a target is longer than what one attempt may take: that can never be ready.
#[test]
fn hold_is_within_the_attempt() {
    let fake = Fake::silent();
    Run::new(["--once", "--attempt-timeout=500ms", &format!("tcp:{}#hold=2s", fake.addr)]).end().failure();
}
