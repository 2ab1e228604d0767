//! The answers of a broker, of another server, and of a server that says nothing.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;

use crate::support::{
    Fake, Run, free_port,
    kafka::{TODAY, Topic, broker, closing, metadata, offer, session, versions},
    run::Ended,
};

fn once(target: &str, fake: &Fake) -> Ended {
    Run::new(["--once", "--attempt-timeout=1s", &target.replace("ADDR", &fake.addr.to_string())]).end()
}

fn today() -> Vec<u8> {
    versions(0, TODAY)
}

const THREE: &[(&str, i32)] = &[("127.0.0.1", 1), ("127.0.0.1", 2), ("127.0.0.1", 3)];

#[test]
fn ready_answers() {
    let orders: &[Topic<'_>] = &[(0, "orders", &[(0, 1), (0, 3)])];
    for (target, body, says) in [
        ("kafka:ADDR", metadata(THREE, &[]), "3 brokers at"),
        ("kafka:ADDR", metadata(&THREE[..1], &[]), "1 broker at"),
        ("kafka:ADDR#min=3", metadata(THREE, &[]), "3 brokers at"),
        ("kafka:ADDR#topic=orders", metadata(THREE, orders), "a leader for every partition of orders"),
        ("PLAINTEXT://ADDR#topic=orders", metadata(THREE, orders), "a leader for every partition of orders"),
    ] {
        once(target, &broker(vec![session(&[today(), body])])).success().stderr_has(says);
    }
}

#[test]
fn not_ready_answers() {
    for (target, bodies, says, code) in [
        ("kafka:ADDR", vec![today(), metadata(&[], &[])], "knows no broker yet", "protocol.not-accepting"),
        ("kafka:ADDR#min=4", vec![today(), metadata(THREE, &[])], "knows 3 brokers of 4", "expect.state"),
        (
            "kafka:ADDR#topic=orders",
            vec![today(), metadata(THREE, &[(3, "orders", &[])])],
            "there is no topic orders",
            "expect.missing",
        ),
        (
            "kafka:ADDR#topic=orders",
            vec![today(), metadata(THREE, &[(0, "orders", &[(5, -1), (0, 1)])])],
            "1 of 2 partitions of the topic orders have no leader (0): LEADER_NOT_AVAILABLE (5)",
            "expect.state",
        ),
        (
            "kafka:ADDR#topic=orders",
            vec![today(), metadata(THREE, &[(29, "orders", &[])])],
            "may not describe the topic orders",
            "protocol.forbidden",
        ),
        ("kafka:ADDR", vec![versions(35, &[])], "UNSUPPORTED_VERSION (35)", "protocol.error"),
        ("kafka:ADDR", vec![versions(0, &[(18, 0, 4), (52, 0, 2)])], "a controller does not", "protocol.other"),
        ("kafka:ADDR", vec![versions(0, &[(3, 14, 20)])], "in the versions 14 to 20", "protocol.error"),
        ("kafka:ADDR#min=1", vec![today(), b"\0\0".to_vec()], "Kafka's protocol does not have", "protocol.error"),
    ] {
        let fake = broker(vec![session(&bodies)]);
        once(target, &fake).failure().stderr_has(says);
        let target = target.replace("ADDR", &fake.addr.to_string());
        Run::new(["--once", "--log-format=json", &target]).end().failure().stderr_has(code);
    }
}

/// A listener with SASL answers ApiVersions, and closes at anything else than a login.
#[test]
fn a_broker_that_asks_for_a_login() {
    let listed = &[closing(&[today()]), session(&[offer(33, &["PLAIN", "SCRAM-SHA-256"])])];
    let offered = &[closing(&[today()]), session(&[offer(0, &["SCRAM-SHA-512"])])];
    let fake = || broker(listed.to_vec());
    once("kafka:ADDR", &fake()).success().stderr_has("asks for a login (PLAIN, SCRAM-SHA-256) at");
    once("kafka:ADDR", &broker(offered.to_vec())).success().stderr_has("asks for a login (SCRAM-SHA-512) at");
    for target in ["kafka:ADDR#min=1", "kafka:ADDR#topic=orders"] {
        once(target, &fake()).failure().stderr_has("asks for a login (PLAIN, SCRAM-SHA-256), and none is given");
    }
    // It closes at Metadata, and it is no login that it wants.
    let plain = broker(vec![closing(&[today()]), session(&[offer(34, &[])])]);
    once("kafka:ADDR", &plain).failure().stderr_has("closed the connection after a Metadata request");
    once("kafka:ADDR", &broker(vec![closing(&[today()])])).failure();
}

/// Any server of the list is enough, and the reason names all of them.
#[test]
fn several_servers() {
    let (ready, closed) = (broker(vec![session(&[today(), metadata(THREE, &[])])]), free_port());
    once(&format!("kafka:{closed},ADDR"), &ready).success().stderr_has(&format!("3 brokers at {}", ready.addr));
    let starting = broker(vec![session(&[today(), metadata(&[], &[])])]);
    let ended = once(&format!("kafka:{closed},ADDR"), &starting);
    ended.failure().stderr_has(&format!("refused by {closed}")).stderr_has("knows no broker yet");
    let list = format!("PLAINTEXT://{closed},PLAINTEXT://{}", ready.addr);
    Run::new(["--once", "kafka:$(BOOTSTRAP)"]).env("BOOTSTRAP", &list).end().success();
    Run::new(["--once", "env:BOOTSTRAP"]).env("BOOTSTRAP", &list).end().success();
}

/// A broker whose clients would go elsewhere is ready, with a warning.
#[test]
fn what_is_advertised() {
    let said = |host: &str| {
        let ended = once("kafka:ADDR", &broker(vec![session(&[today(), metadata(&[(host, 9092)], &[])])]));
        ended.success();
        ended.stderr
    };
    let warned = said("0.0.0.0");
    assert!(warned.contains("advertises 0.0.0.0:9092, to which nothing can connect"), "{warned}");
    assert!(said("no\nhost").contains("advertises no\\nhost:9092, which is no host"));
    for fine in ["localhost", "127.0.0.1", "10.0.0.1", "::1"] {
        assert!(!said(fine).contains("advertises"), "{fine}");
    }
}

#[test]
fn another_protocol_is_named() {
    for (first, says) in [
        ("HTTP/1.1 400 Bad Request\r\n\r\n", "answered in HTTP, not in Kafka's protocol"),
        ("-ERR unknown command\r\n", "answered in Redis"),
        ("\x4a\0\0\0\x0a8.0.36\0", "answered in MySQL"),
        ("\x15\x03\x03\0\x02\x02\x46", "wants TLS on this port"),
        ("E\0\0\0\x50SFATAL\0", "answered in PostgreSQL"),
        ("220 mail.example ESMTP\r\n", "answered in SMTP"),
        ("\0\0\0\x08\0\0\0\x07aaaa", "answered, but not in Kafka's protocol"),
        ("\0\0\0\x02\0\0", "answered, but not in Kafka's protocol"),
        ("garbage garbage", "answered, but not in Kafka's protocol"),
    ] {
        once("kafka:ADDR", &Fake::answering(first)).failure().stderr_has(says);
        once("kafka://app:hunter2@ADDR", &Fake::answering(first)).failure().stderr_has(says).nowhere("hunter2");
    }
}

#[test]
fn silence_and_an_end() {
    once("kafka:ADDR", &Fake::silent()).failure().stderr_says("no complete answer");
    once("kafka:ADDR", &Fake::closing()).failure().stderr_has("closed it without an answer").stderr_has("a proxy");
    let silent = broker(vec![session(&[today()])]);
    once("kafka:ADDR", &silent).failure().stderr_says("a Metadata request, and no complete answer");
}

/// The wrong form of the kind: the hint names the other one.
#[cfg(feature = "tls")]
#[test]
fn a_broker_without_tls() {
    // It takes a ClientHello for a request that is too large, and closes.
    let plain = Fake::new(|mut stream: TcpStream| {
        let mut asked = [0; 4096];
        if stream.read(&mut asked).is_ok() && asked[0] == 0 {
            let _ = stream.write_all(&crate::support::kafka::frame(1, &versions(0, TODAY)));
        }
    });
    once("kafkas:ADDR", &plain)
        .failure()
        .stderr_has("answered in Kafka's protocol, not in TLS")
        .stderr_has("use kafka:");
    once("kafkas:ADDR", &Fake::answering("HTTP/1.1 400 x\r\n\r\n"))
        .failure()
        .stderr_has("answered in HTTP, not in TLS");
}

#[test]
fn gone() {
    let fake = broker(vec![session(&[today(), metadata(THREE, &[])])]);
    let target = format!("kafka:{},{}#gone#successes=1", free_port(), fake.addr);
    Run::new(["--once", &target]).end().failure().stderr_has("still there");
    Run::new(["--once", &format!("kafka:{}#gone#successes=1", free_port())]).end().success();
}
