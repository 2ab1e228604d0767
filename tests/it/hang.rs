//! Servers that hang: each run ends with status 1 soon after its `--timeout`, and names the stage that it hung in.

use std::{
    fs,
    io::{Read, Write},
    thread,
    time::Duration,
};

use rustix::process::Signal;

use crate::support::{
    Fake, Run,
    hang::{hangs, soon_after},
    signals::{interrupted, wait_for},
};

#[cfg(feature = "http")]
#[test]
fn silent_http_server() {
    let fake = Fake::silent();
    hangs(&format!("http://{}/", fake.addr), &[&fake.addr.to_string(), "no complete answer came"]);
}

#[cfg(feature = "http")]
#[test]
fn endless_header() {
    let long_line = Fake::endless("HTTP/1.1 200 OK\r\nx-long: ", "y");
    let many_lines = Fake::endless("HTTP/1.1 200 OK\r\n", "x: y\r\n");
    thread::scope(|scope| {
        for fake in [long_line, many_lines] {
            scope.spawn(move || {
                let ended = hangs(&format!("http://{}/", fake.addr), &[&fake.addr.to_string()]);
                // Something does come, over and over: saying that nothing did would send people to look for a deadlock.
                for run in &ended {
                    run.nowhere("nothing came");
                }
            });
        }
    });
}

/// waitgate does not wait for the end of a body when the status has said it all.
#[cfg(feature = "http")]
#[test]
fn endless_body_of_a_server_in_trouble() {
    let fake = Fake::endless("HTTP/1.1 503 Busy\r\ntransfer-encoding: chunked\r\n\r\n", "4\r\nbody\r\n");
    hangs(&format!("http://{}/", fake.addr), &["503"]);
}

/// hyper goes through such answers byte by byte. The deadline and a signal do not wait for it.
#[cfg(feature = "http")]
#[test]
fn endless_chunk_size_and_endless_interim_answers() {
    let chunk = ("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n", "0".repeat(16 * 1024));
    let interim = ("", "HTTP/1.1 102 Processing\r\n\r\n".repeat(512));
    for (start, again) in [chunk, interim] {
        let fake = Fake::new(move |mut stream| {
            let _ = stream.read(&mut [0; 4096]);
            let mut sent = stream.write_all(start.as_bytes());
            while sent.is_ok() {
                sent = stream.write_all(again.as_bytes());
            }
        });
        let target = format!("http://{}/#json=/x=1", fake.addr);
        let quickest =
            (0..3).map(|_| Run::new(["--timeout=500ms", &target]).end()).map(|ended| ended.failure().elapsed);
        let quickest = quickest.min().unwrap();
        assert!(quickest < Duration::from_millis(600), "{quickest:?}");
        let quickest = (0..3).map(|_| {
            let running = Run::new([&target]).start();
            wait_for(|| fake.hits() > 0);
            thread::sleep(Duration::from_millis(300));
            let pid = running.pid();
            interrupted(running, pid, Signal::TERM).1
        });
        let quickest = quickest.min().unwrap();
        assert!(quickest < Duration::from_millis(100), "{quickest:?}");
    }
}

/// Sixty patterns that take seconds each: neither threads nor memory grow with them, and the deadline holds.
#[cfg(feature = "http")]
#[test]
fn sixty_slow_patterns() {
    let fake = Fake::answering(format!("HTTP/1.1 200 OK\r\n\r\n{}", "a".repeat(70_000)));
    let target = format!("http://{}/#match=((a?){{40}}){{20}}b", fake.addr);
    let targets = vec![target; 60];
    let running = Run::new(["--timeout=2s", "--parallel"].map(str::to_owned).into_iter().chain(targets)).start();
    thread::sleep(Duration::from_millis(1500));
    let status = fs::read_to_string(format!("/proc/{}/status", running.pid().as_raw_nonzero())).unwrap();
    let number = |name: &str| -> u32 {
        let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
        line.split_whitespace().next().unwrap().parse().unwrap()
    };
    // waitgate's own, the one that reads answers, and two that match.
    assert!(number("Threads:") <= 4, "{status}");
    let anonymous = number("RssAnon:");
    assert!(anonymous < 16 * 1024, "{anonymous} kB");
    running.end().failure().took(soon_after(Duration::from_secs(2)));
}

/// The first record of a TLS answer promises more bytes than ever come.
const HALF_A_SERVER_HELLO: &[u8] = &[0x16, 0x03, 0x03, 0x00, 0x7a, 0x02, 0x00, 0x00, 0x76, 0x03, 0x03];

#[cfg(all(feature = "http", feature = "tls"))]
#[test]
fn tls_server_that_stops_mid_handshake() {
    let fake = Fake::answering(HALF_A_SERVER_HELLO);
    hangs(&format!("https://{}/", fake.addr), &[&fake.addr.to_string(), "TLS"]);
}

#[cfg(all(feature = "http", feature = "tls"))]
#[test]
fn tls_server_that_says_nothing() {
    let fake = Fake::silent();
    hangs(&format!("https://{}/", fake.addr), &[&fake.addr.to_string(), "TLS"]);
}

#[cfg(feature = "postgres")]
#[test]
fn silent_postgres_server() {
    let fake = Fake::silent();
    let addr = fake.addr.to_string();
    thread::scope(|scope| {
        for target in [format!("postgres:{addr}"), format!("postgres://app:hunter2@{addr}/app")] {
            let says = [&addr, "no complete answer came"];
            scope.spawn(move || hangs(&target, &says));
        }
    });
}

/// It agrees to TLS and then stops.
#[cfg(all(feature = "postgres", feature = "tls"))]
#[test]
fn postgres_server_that_stops_mid_handshake() {
    let fake = Fake::answering([b"S", HALF_A_SERVER_HELLO].concat());
    hangs(&format!("postgres://app:hunter2@{}/app", fake.addr), &[&fake.addr.to_string(), "TLS"]);
}

/// Eight of them at once: the deadline is one, whatever is in flight.
#[test]
fn many_at_once() {
    let fakes: [Fake; 8] = std::array::from_fn(|_| Fake::closing());
    let targets = fakes.iter().map(|fake| format!("tcp:{}", fake.addr));
    let ended = Run::new(["--timeout=1s".to_owned(), "--parallel".to_owned()].into_iter().chain(targets)).end();
    ended.failure().took(soon_after(Duration::from_secs(1)));
    for fake in &fakes {
        ended.stderr_has(&fake.addr.to_string());
    }
}
