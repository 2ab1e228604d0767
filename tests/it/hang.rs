//! Nothing hangs: with `--timeout 2s` each of these ends with status 1 between 2.0 and 2.2 s, and
//! names the stage that it hung in.

use std::time::Duration;

use rustix::process::Signal;

use crate::support::{
    Fake, Pod, Run,
    dns::{Answer, Names},
    pg::Pg,
    run::Ended,
};

/// The bound of one attempt is off in half of the runs, so that the deadline itself has to cut one.
const BOUNDS: [&[&str]; 2] = [&["--timeout=2s"], &["--timeout=2s", "--attempt-timeout=20s", "--connect-timeout=20s"]];

/// Runs against a target that hangs, and checks the time; `says` is in the verdict both times.
#[track_caller]
fn hangs(target: &str, pod: Option<&Pod>, says: &[&str]) {
    let ended: [Ended; 2] = BOUNDS.map(|bounds| {
        let run = Run::new(bounds).arg(target);
        pod.map_or_else(|| Run::new(bounds).arg(target), |pod| run.inside(pod)).end()
    });
    for run in &ended {
        run.failure().took(Duration::from_secs(2)..Duration::from_millis(2200));
        let verdict = run.last_line().to_lowercase();
        for text in says {
            run.expect(&format!("{text:?} in the last line"), verdict.contains(&text.to_lowercase()));
        }
    }
}

#[cfg(feature = "http")]
#[test]
fn silent_http_server() {
    let fake = Fake::silent();
    hangs(&format!("http://{}/", fake.addr), None, &[&fake.addr.to_string(), "answer"]);
}

#[cfg(feature = "http")]
#[test]
fn endless_header() {
    // Slow: each line is within the bounds, only their number is not.
    let fake = Fake::endless("HTTP/1.1 200 OK\r\nx-long: ", "y");
    hangs(&format!("http://{}/", fake.addr), None, &[&fake.addr.to_string(), "header"]);
}

#[cfg(feature = "http")]
#[test]
fn endless_run_of_short_headers() {
    let fake = Fake::endless("HTTP/1.1 200 OK\r\n", "x: y\r\n");
    hangs(&format!("http://{}/", fake.addr), None, &[&fake.addr.to_string(), "header"]);
}

/// A redirect's body, then the next one's: an attempt that could go on for ever.
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
    hangs(&format!("postgres:{}", fake.addr), None, &[&fake.addr.to_string(), "answer"]);
    hangs(&format!("postgres://app:hunter2@{}/app", fake.addr), None, &[&fake.addr.to_string(), "answer"]);
}

/// It agrees to TLS and then stops.
#[cfg(all(feature = "postgres", feature = "tls"))]
#[test]
fn postgres_server_that_stops_mid_handshake() {
    let fake = Fake::answering([b"S", HALF_A_SERVER_HELLO].concat());
    hangs(&format!("postgres://app:hunter2@{}/app", fake.addr), None, &[&fake.addr.to_string(), "TLS"]);
}

#[cfg(feature = "postgres")]
#[test]
fn stopped_postgres() {
    let pg = Pg::started();
    pg.signal(Signal::STOP);
    hangs(&format!("postgres:{}", pg.addr), None, &[&pg.addr.to_string(), "answer"]);
    hangs(&pg.url("postgres:secret", "postgres"), None, &[&pg.addr.to_string(), "answer"]);
}

#[test]
fn dropped_syn() {
    let pod = Pod::new();
    pod.sh("nft add table inet t\nnft add chain inet t in '{ type filter hook input priority 0; }'\n\
         nft add rule inet t in tcp dport 7000 drop");
    hangs("tcp:127.0.0.1:7000", Some(&pod), &["127.0.0.1:7000", "connect"]);
}

#[test]
fn silent_nameserver() {
    let pod = Pod::new();
    let _names = Names::start(&pod, |_| Answer::Silence);
    hangs("tcp:db:7000", Some(&pod), &["db", "127.0.0.1", "DNS"]);
}

#[cfg(feature = "dns")]
#[test]
fn silent_nameserver_behind_a_search_list() {
    let pod = Pod::new();
    pod.etc(
        "resolv.conf",
        "nameserver 127.0.0.1\nnameserver 127.0.0.2\nsearch a.test b.test c.test\noptions ndots:5\n",
    );
    let _names = Names::start(&pod, |_| Answer::Silence);
    let _second = Names::start_at(&pod, ([127, 0, 0, 2], 53).into(), |_| Answer::Silence);
    hangs("dns:db", Some(&pod), &["db", "127.0.0.1", "DNS"]);
}

/// The nameserver's packets vanish, rather than its answers.
#[test]
fn unreachable_nameserver() {
    let pod = Pod::new();
    pod.sh("nft add table inet t\nnft add chain inet t in '{ type filter hook input priority 0; }'\n\
         nft add rule inet t in udp dport 53 drop\nnft add rule inet t in tcp dport 53 drop");
    hangs("tcp:db:7000", Some(&pod), &["db", "127.0.0.1", "DNS"]);
}

/// Eight of them at once: the deadline is one, whatever is in flight.
#[test]
fn many_at_once() {
    let fakes: [Fake; 8] = std::array::from_fn(|_| Fake::closing());
    let targets = fakes.iter().map(|fake| format!("tcp:{}", fake.addr));
    let ended = Run::new(["--timeout=2s".to_owned(), "--parallel".to_owned()].into_iter().chain(targets)).end();
    ended.failure().took(Duration::from_secs(2)..Duration::from_millis(2200));
    for fake in &fakes {
        ended.stderr_has(&fake.addr.to_string());
    }
}
