//! Servers that hang: each run ends with status 1 soon after its `--timeout`, and names the stage that it hung in.

use std::{thread, time::Duration};

use crate::support::{
    Fake, Run,
    hang::{hangs, soon_after},
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
