//! `postgres:` at a port that is closed, speaks something else or hangs up.

use std::{
    io::{Read as _, Write as _},
    net::TcpStream,
    thread,
    time::Duration,
};

use serde_json::Value;

use crate::support::{Fake, Run, free_port, web::Web};

/// One attempt at a target, which is to fail.
#[track_caller]
fn unready(target: &str) -> crate::support::run::Ended {
    let ended = Run::new(["--once", target]).end();
    ended.failure();
    ended
}

#[cfg(feature = "http")]
#[test]
fn an_http_server_on_the_port_is_named_as_such() {
    let web = Web::always(200);
    unready(&format!("postgres:{}", web.fake.addr)).stderr_says("PostgreSQL").stderr_says("HTTP");
}

#[test]
fn a_server_that_hangs_up() {
    let fake = Fake::closing();
    unready(&format!("postgres:{}", fake.addr)).stderr_says("closed");
    let fake = Fake::answering("");
    let ended = Run::new(["--once", "--attempt-timeout=300ms", &format!("postgres:{}", fake.addr)]).end();
    ended.failure().took(Duration::from_millis(300)..Duration::from_millis(2500));
}

/// A server's length field may claim anything.
#[test]
fn lengths_of_a_hostile_server_are_bounded() {
    for length in [u32::MAX, 0x7fff_ffff, 3, 0] {
        let mut message = vec![b'N', b'R'];
        message.extend_from_slice(&length.to_be_bytes());
        let fake = Fake::answering(message);
        unready(&format!("postgres:{}", fake.addr));
    }
    let mut status = b"NS\0\0\x10\x04".to_vec();
    status.resize(4096 + 5, b'a');
    let fake = Fake::endless(status.clone(), status);
    let ended = Run::new(["--once", &format!("postgres://u:hunter2@{}/d", fake.addr)]).end();
    ended.failure().took(Duration::ZERO..Duration::from_secs(4)).nowhere("hunter2");
}

#[test]
fn refused_names_the_address() {
    let addr = free_port();
    unready(&format!("postgres:{addr}")).stderr_has("refused").stderr_has(&addr.to_string());
}

/// How long a server needs to say that it starts tells how busy it is. So after two such answers the next attempt comes fifty
/// times as much later, less the jitter.
#[test]
fn a_busy_server_is_asked_less_often() {
    let fake = Fake::new(|mut stream: TcpStream| {
        // The server's work for a new session, and its place in the queue.
        thread::sleep(Duration::from_millis(150));
        let _ = stream.read(&mut [0; 8]);
        let _ = stream.write_all(b"N");
        let _ = stream.read(&mut [0; 1024]);
        let _ = stream.write_all(b"E\0\0\0\x3eSFATAL\0VFATAL\0C57P03\0Mthe database system is starting up\0\0");
        crate::support::fake::linger(stream);
    });
    let target = format!("postgres:{}", fake.addr);
    let ended = Run::new(["-v", "--log-format=json", "-t", "2s", &target]).end();
    ended.failure().stderr_has("the database system is starting up");
    let lines = ended.stderr.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let pauses: Vec<_> = lines.filter_map(|line| line["pause"].as_f64()).collect();
    assert!(matches!(pauses[..], [first, second] if first <= 0.25 && (3.75..=10.0).contains(&second)), "{pauses:?}");
}

/// `connect_timeout=` lengthens an attempt, and the run's own deadline still holds. What the user says about the attempt
/// counts more.
#[test]
fn connect_timeout_bounds_an_attempt_and_not_the_run() {
    let fake = Fake::silent();
    let target = format!("postgres://app:hunter2@{}/shop?connect_timeout=20", fake.addr);
    let ended = Run::new(["--timeout=1s", &target]).end();
    ended.failure().took(Duration::from_secs(1)..Duration::from_secs(3)).nowhere("hunter2");
    let ended = Run::new(["--once", &format!("{target}#attempt-timeout=300ms")]).end();
    ended.failure().took(Duration::from_millis(300)..Duration::from_millis(2500));
    for (more, says) in [("", "attempt 20s"), ("#attempt-timeout=2s", "attempt 2s")] {
        let plan = Run::new(["--dry-run", &format!("{target}{more}")]).end();
        plan.success().expect(says, plan.stdout.contains(says));
    }
    let short = format!("postgres://{}/shop?connect_timeout=1", fake.addr);
    let plan = Run::new(["--dry-run", &short]).end();
    plan.success().expect("the default", plan.stdout.contains("attempt 3s"));
}
