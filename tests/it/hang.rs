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
fn hangs(target: &str, pod: Option<&Pod>, says: &[&str]) -> [Ended; 2] {
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
    ended
}

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

#[cfg(feature = "postgres")]
#[test]
fn stopped_postgres() {
    let pg = Pg::started();
    pg.signal(Signal::STOP);
    hangs(&format!("postgres:{}", pg.addr), None, &[&pg.addr.to_string(), "no complete answer came"]);
    hangs(&pg.url("postgres:secret", "postgres"), None, &[&pg.addr.to_string(), "no complete answer came"]);
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
    hangs("tcp:db:7000", Some(&pod), &["db", "127.0.0.1", "nameserver"]);
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
    hangs("dns:db", Some(&pod), &["db", "127.0.0.1", "nameserver"]);
}

/// The nameserver's packets vanish, rather than its answers.
#[test]
fn unreachable_nameserver() {
    let pod = Pod::new();
    pod.sh("nft add table inet t\nnft add chain inet t in '{ type filter hook input priority 0; }'\n\
         nft add rule inet t in udp dport 53 drop\nnft add rule inet t in tcp dport 53 drop");
    hangs("tcp:db:7000", Some(&pod), &["db", "127.0.0.1", "nameserver"]);
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
