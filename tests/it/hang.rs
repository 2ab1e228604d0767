//! Nothing hangs: with `--timeout 2s` each of these ends with status 1 soon after 2 s, and names the
//! stage that it hung in.

use crate::support::{
    Fake, Run,
    hang::{DEADLINE, LATE, hangs},
};

#[cfg(feature = "http")]
#[test]
fn silent_http_server() {
    let fake = Fake::silent();
    hangs(&format!("http://{}/", fake.addr), None, &[&fake.addr.to_string(), "no complete answer came"]);
}

#[cfg(feature = "http")]
#[test]
fn endless_header() {
    let long_line = Fake::endless("HTTP/1.1 200 OK\r\nx-long: ", "y");
    let many_lines = Fake::endless("HTTP/1.1 200 OK\r\n", "x: y\r\n");
    for fake in [long_line, many_lines] {
        let ended = hangs(&format!("http://{}/", fake.addr), None, &[&fake.addr.to_string()]);
        // Something does come, over and over: saying that nothing did would send people to look for a deadlock.
        for run in &ended {
            run.nowhere("nothing came");
        }
    }
}

/// Nobody waits for the end of a body that says no more than the status did.
#[cfg(feature = "http")]
#[test]
fn endless_body_of_a_server_in_trouble() {
    let fake = Fake::endless("HTTP/1.1 503 Busy\r\ntransfer-encoding: chunked\r\n\r\n", "4\r\nbody\r\n");
    hangs(&format!("http://{}/", fake.addr), None, &["503"]);
}

/// The first record of a TLS answer promises more bytes than ever come.
const HALF_A_SERVER_HELLO: &[u8] = &[0x16, 0x03, 0x03, 0x00, 0x7a, 0x02, 0x00, 0x00, 0x76, 0x03, 0x03];

#[cfg(all(feature = "http", feature = "tls"))]
#[test]
fn tls_server_that_stops_mid_handshake() {
    let fake = Fake::answering(HALF_A_SERVER_HELLO);
    hangs(&format!("https://{}/", fake.addr), None, &[&fake.addr.to_string(), "TLS"]);
}

#[cfg(all(feature = "http", feature = "tls"))]
#[test]
fn tls_server_that_says_nothing() {
    let fake = Fake::silent();
    hangs(&format!("https://{}/", fake.addr), None, &[&fake.addr.to_string(), "TLS"]);
}

#[cfg(feature = "postgres")]
#[test]
fn silent_postgres_server() {
    let fake = Fake::silent();
    hangs(&format!("postgres:{}", fake.addr), None, &[&fake.addr.to_string(), "no complete answer came"]);
    hangs(
        &format!("postgres://app:hunter2@{}/app", fake.addr),
        None,
        &[&fake.addr.to_string(), "no complete answer came"],
    );
}

/// It agrees to TLS and then stops.
#[cfg(all(feature = "postgres", feature = "tls"))]
#[test]
fn postgres_server_that_stops_mid_handshake() {
    let fake = Fake::answering([b"S", HALF_A_SERVER_HELLO].concat());
    hangs(&format!("postgres://app:hunter2@{}/app", fake.addr), None, &[&fake.addr.to_string(), "TLS"]);
}

/// Eight of them at once: the deadline is one, whatever is in flight.
#[test]
fn many_at_once() {
    let fakes: [Fake; 8] = std::array::from_fn(|_| Fake::closing());
    let targets = fakes.iter().map(|fake| format!("tcp:{}", fake.addr));
    let ended = Run::new(["--timeout=2s".to_owned(), "--parallel".to_owned()].into_iter().chain(targets)).end();
    ended.failure().took(DEADLINE..LATE);
    for fake in &fakes {
        ended.stderr_has(&fake.addr.to_string());
    }
}
