//! The answers of a server, of a proxy, of another server, and of a server that says nothing.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, TcpStream};
use std::time::Duration;

use crate::support::h2::{
    DATA, END, GOAWAY, HEAD, RST_STREAM, SETTINGS, answer, frame, headers, health, hear, refusal, server, server_of,
};
use crate::support::{Fake, Run, fake::linger, run::Ended};

fn once(target: &str, fake: &Fake) -> Ended {
    Run::new(["--once", "--attempt-timeout=2s", &target.replace("ADDR", &fake.addr.to_string())]).end()
}

const ASK: &str = "grpc:ADDR";
const OK: &[(&str, &str)] = &[("grpc-status", "0")];

#[test]
fn ready_answers() {
    let informed = [headers(0, &[(":status", "103")]), health(1)].concat();
    let padded = [headers(0, HEAD), frame(DATA, 8, 1, b"\x02\0\0\0\0\x02\x08\x01\0\0"), headers(END, OK)].concat();
    let halves = [
        headers(0, HEAD),
        frame(DATA, 0, 1, &[0, 0, 0]),
        frame(DATA, 0, 1, &[0, 2, 8]),
        frame(DATA, 0, 1, &[1]),
        headers(END, OK),
    ];
    for (answer, target) in [
        (health(1), ASK),
        (health(1), "grpc://ADDR"),
        (health(1), "grpc://ADDR/"),
        (health(1), "grpc+tcp://ADDR"),
        (health(1), "grpc:ADDR#service=shop.Cart#header=x-a: b"),
        (health(1), "grpc:http://ADDR/v1"),
        (informed, ASK),
        (padded, ASK),
        (halves.concat(), ASK),
        // The end of the connection comes with the answer.
        ([health(1), frame(GOAWAY, 0, 0, &[0, 0, 0, 1, 0, 0, 0, 0])].concat(), ASK),
        // A server may say that it needs no more of the request (RFC 9113 section 8.1).
        ([health(1), frame(RST_STREAM, 0, 1, &[0; 4])].concat(), ASK),
        (answer_of("application/grpc+proto"), ASK),
    ] {
        once(target, &server(answer)).success().stderr_has("SERVING from");
    }
    let closing = Fake::new(|mut stream: TcpStream| {
        let _ = stream.write_all(&frame(SETTINGS, 0, 0, &[]));
        if hear(&mut stream) {
            let _ = stream.write_all(&health(1));
        }
        // What is unread would make the FIN a RST, and the answer might be lost.
        let _ = stream.shutdown(Shutdown::Write);
        linger(stream);
    });
    once(ASK, &closing).success();
}

fn answer_of(content_type: &str) -> Vec<u8> {
    let head = headers(0, &[(":status", "200"), ("content-type", content_type)]);
    [head, frame(DATA, 0, 1, &[0, 0, 0, 0, 2, 8, 1]), headers(END, OK)].concat()
}

#[test]
fn not_ready_answers() {
    let of = |message: &[u8]| answer(message, OK);
    for (answer, says, code) in [
        (health(2), "says NOT_SERVING", "expect.state"),
        (health(0), "says UNKNOWN: its health is not set yet", "expect.state"),
        (health(3), "says SERVICE_UNKNOWN", "expect.state"),
        (health(9), "says the unknown status 9", "expect.state"),
        (of(&[0, 0, 0, 0, 0]), "says UNKNOWN", "expect.state"),
        (refusal("5", "unknown service"), "knows no health of the whole server", "expect.missing"),
        (refusal("12", "unknown%20service"), "has no health service: tcp:", "protocol.error"),
        (refusal("14", "no healthy upstream"), "cannot serve now: UNAVAILABLE: no healthy", "protocol.not-accepting"),
        (refusal("16", "no token"), "asks for credentials, and none are given: UNAUTHENTICATED", "protocol.password"),
        (refusal("7", "%C3%A4 no"), "does not permit the health check: PERMISSION_DENIED: ä no", "protocol.forbidden"),
        (refusal("4", ""), "in time: DEADLINE_EXCEEDED [", "protocol.timeout"),
        (refusal("8", "too many"), "with an error: RESOURCE_EXHAUSTED: too many", "protocol.error"),
        (refusal("99", ""), "with an error: the unknown grpc-status 99", "protocol.error"),
        (refusal("many", ""), "a grpc-status that is not a number: \"many\"", "protocol.error"),
        // Trailers after a head without a message.
        (
            [headers(0, HEAD), headers(END, &[("grpc-status", "14"), ("grpc-message", "later")])].concat(),
            "UNAVAILABLE: later",
            "protocol.not-accepting",
        ),
        (of(b""), "with OK and without a health", "protocol.error"),
        (refusal("0", ""), "with OK and without a health", "protocol.error"),
        (of(&[1, 0, 0, 0, 2, 8, 1]), "compressed its answer", "protocol.error"),
        (of(&[0, 0, 0, 0, 2, 8]), "not a HealthCheckResponse", "protocol.error"),
        (of(b"\0\0\0\0\x02\x0a\x09"), "not a HealthCheckResponse", "protocol.error"),
        (answer(&[0, 0, 0, 0, 2, 8, 1], &[("x", "y")]), "without a grpc-status", "protocol.error"),
        (frame(RST_STREAM, 0, 1, &[0, 0, 0, 7]), "did not take the call: REFUSED_STREAM", "protocol.not-accepting"),
        (frame(RST_STREAM, 0, 1, &[0, 0, 0, 11]), "broke the call off: ENHANCE_YOUR_CALM", "protocol.error"),
        (frame(GOAWAY, 0, 0, &[0; 8]), "takes no calls", "protocol.not-accepting"),
        (frame(GOAWAY, 0, 0, &[0, 0, 0, 0, 0, 0, 0, 2]), "GOAWAY: INTERNAL_ERROR", "protocol.error"),
        (frame(SETTINGS, 0, 1, &[]), "broke its rules: PROTOCOL_ERROR", "protocol.other"),
    ] {
        let ended = once(ASK, &server(answer));
        ended.failure().took(Duration::ZERO..Duration::from_millis(1900)).stderr_has(says);
        ended.stderr_has(&format!("[{code}]"));
    }
    let named = once("grpc:ADDR#service=shop.Cart", &server(refusal("5", "")));
    named.failure().stderr_has("does not know the service \"shop.Cart\": NOT_FOUND");
    let named = once("grpc:ADDR#service=shop.Cart", &server(health(2)));
    named.failure().stderr_has("says NOT_SERVING for the service \"shop.Cart\"");
    let given = once("grpc:ADDR#header=authorization:Bearer abcdefgh", &server(refusal("16", "bad")));
    given.failure().stderr_has("refuses the credentials: UNAUTHENTICATED: bad").stderr_has("[protocol.password]");
}

/// Without a grpc-status it is not a server of gRPC that answers (grpc: doc/http-grpc-status-mapping.md).
#[test]
fn answers_of_proxies_and_web_servers() {
    let page = |status: &str| {
        let head = headers(0, &[(":status", status), ("content-type", "text/html"), ("server", "nginx")]);
        [head, frame(DATA, END, 1, b"<html>")].concat()
    };
    for (status, says, code) in [
        ("200", "in HTTP/2 and not in gRPC: with content of the type text/html", "protocol.other"),
        ("404", "with the HTTP status 404 Not Found, and not in gRPC", "expect.status"),
        ("401", "401 Unauthorized", "expect.status"),
        ("403", "403 Forbidden, and not in gRPC: the server, or a policy of a proxy, forbids", "expect.status"),
        ("415", "415 Unsupported Media Type", "expect.status"),
        ("502", "502 Bad Gateway, and not in gRPC: probably a proxy's own answer", "expect.status"),
        ("503", "503 Service Unavailable, and not in gRPC: probably a proxy's own answer", "expect.status"),
        ("504", "504 Gateway Timeout, and not in gRPC: probably a proxy's own answer", "expect.status"),
        ("299", "with the HTTP status 299, and", "expect.status"),
    ] {
        let ended = once(ASK, &server(page(status)));
        ended.failure().stderr_has(says).stderr_has(&format!("[{code}]")).nowhere("<html>");
    }
    let bare = headers(END, &[(":status", "200")]);
    once(ASK, &server(bare)).failure().stderr_has("not in gRPC: without a content-type");
    // Envoy's own answer to a call, and one that it passes on with a status of gRPC.
    let head = [HEAD, &[("grpc-status", "14"), ("grpc-message", "no healthy upstream"), ("server", "envoy")]].concat();
    once(ASK, &server(headers(END, &head))).failure().stderr_has("no healthy upstream: probably a proxy's own answer");
    let both = headers(END, &[(":status", "503"), ("content-type", "application/grpc"), ("grpc-status", "12")]);
    once(ASK, &server(both)).failure().stderr_has("UNIMPLEMENTED");
}

#[test]
fn another_server() {
    for (said, says, code) in [
        (
            &b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n"[..],
            "answered in HTTP, not in gRPC",
            "protocol.other",
        ),
        (b"-ERR unknown command 'PRI'\r\n", "answered in Redis, not in gRPC", "protocol.other"),
        (b"SSH-2.0-OpenSSH_9.2\r\n", "answered in SSH, not in gRPC", "protocol.other"),
        (b"\x15\x03\x01\0\x02\x02\x46", "wants TLS on this port: use grpcs:", "protocol.tls-wanted"),
        (b"what is this? I do not know it", "answered, but not in gRPC", "protocol.other"),
    ] {
        let ended = once(ASK, &Fake::answering(said));
        ended.failure().stderr_has(says).stderr_has(&format!("[{code}]"));
    }
    #[cfg(feature = "http")]
    once(ASK, &Fake::answering("HTTP/1.1 400 Bad Request\r\n\r\n")).stderr_has("use http: for this port");
    let silent = Fake::silent();
    let ended = Run::new(["--once", "--attempt-timeout=300ms", &format!("grpc:{}", silent.addr)]).end();
    ended.failure().stderr_has("accepted the connection and the call, and no complete answer came");
    once(ASK, &Fake::closing()).failure().stderr_has("closed it without an answer").stderr_has("[protocol.closed]");
    once(ASK, &Fake::resetting()).failure().stderr_has("[protocol.closed]");
    // It hangs up in the middle of an answer.
    let half = Fake::new(|mut stream: TcpStream| {
        let _ = stream.write_all(&frame(SETTINGS, 0, 0, &[]));
        if hear(&mut stream) {
            let _ = stream.write_all(&headers(0, HEAD));
            let _ = stream.shutdown(Shutdown::Write);
            linger(stream);
        }
    });
    once(ASK, &half).failure().stderr_has("before its answer was complete").stderr_has("[protocol.closed]");
}

/// OpenSSL closes without a word on plain text: a second look finds TLS.
#[test]
fn a_tls_server_that_closes_is_recognised() {
    let openssl = Fake::new(|mut stream: TcpStream| {
        let mut first = [0; 512];
        if matches!(stream.read(&mut first), Ok(1..)) && first[..2] == [0x16, 3] {
            let _ = stream.write_all(&[0x16, 3, 3, 0, 0x7a, 2]);
            linger(stream);
        }
    });
    once(ASK, &openssl).failure().stderr_has("wants TLS on this port: use grpcs:");
}

/// `http:` names the kind for a port that speaks HTTP/2 only.
#[cfg(feature = "http")]
#[test]
fn http_names_grpc() {
    // grpcio says its SETTINGS at once. Others read the preface first, and miss it.
    for first in [frame(SETTINGS, 0, 0, &[]), Vec::new()] {
        let deaf = Fake::new(move |mut stream: TcpStream| {
            let _ = stream.write_all(&first);
            let _ = stream.read(&mut [0; 4096]);
            let _ = stream
                .write_all(&[frame(SETTINGS, 0, 0, &[]), frame(GOAWAY, 0, 0, &[0, 0, 0, 0, 0, 0, 0, 1])].concat());
            linger(stream);
        });
        let ended = once("http://ADDR/", &deaf);
        ended.failure().stderr_has("speaks HTTP/2 only").stderr_has("use grpc: for this port");
    }
}

#[cfg(feature = "tls")]
#[test]
fn addresses_and_expectations_that_are_wrong() {
    for (target, says) in [
        ("grpc:host", "the port is missing (expected grpc:HOST:PORT)"),
        ("grpcs:host", "the port is missing (expected grpcs:HOST:PORT)"),
        ("grpc:dns:///host:50051", "found dns: in the address, which is gRPC's syntax"),
        ("grpc:///dns:///host:50051", "expected grpc:HOST:PORT"),
        ("grpc:ipv4:127.0.0.1:50051", "found ipv4: in the address"),
        ("grpc:xds:///x", "found xds: in the address"),
        ("grpc:unix:///run/x.sock", "unix:/PATH waits until the socket accepts"),
        ("grpc://u@host:1", "found '@'"),
        ("grpc:host:1#service=", "#service: found nothing"),
        ("grpc:host:1#ca=/x", "#ca: grpc: does not speak TLS (expected grpcs:HOST:PORT)"),
        ("grpc:host:1#header=grpc-timeout:1S", "waitgate sets grpc-timeout itself"),
        ("grpc:host:1#header=TE:x", "waitgate sets te itself"),
        ("grpc:host:1#header=content-type:x", "waitgate sets content-type itself"),
        ("grpc:host:1#header=connection:x", "waitgate sets connection itself"),
        ("grpc:host:1#header=trace-bin:AA==", "ends in -bin"),
        ("grpc:host:1#header=:path:/x", "a header's name has letters"),
        ("grpc:host:1#header=x:ä", "is not ASCII"),
        ("grpc:host:1#header=Host:a b", "Host is not a host"),
        ("grpc:host:1#header=Host:a#header=host:b", "Host is given twice"),
        ("grpc:host:1#gone#service=x", "#gone excludes #service"),
        ("grpc:host:1#servce=x", "did you mean #service?"),
    ] {
        Run::new(["--dry-run", target]).end().failure().stderr_has(says);
    }
    Run::new(["--dry-run", &format!("grpc:host:1#service={}", "x".repeat(1025))])
        .end()
        .failure()
        .stderr_has("#service: the name is too long");
}

/// A name whose first address does not serve, and whose second one does.
#[test]
fn gone_and_late() {
    let fake = server(health(1));
    let target = format!("grpc:{}#gone", fake.addr);
    Run::new(["--once", &target]).end().failure().stderr_has("still there").stderr_has("[expect.gone]");
    drop(fake);
    Run::new(["--once", &target]).end().success().stderr_has("refused by");
    // SETTINGS that allow no stream: the call waits, and ends.
    let none = server_of(frame(SETTINGS, 0, 0, &[0, 3, 0, 0, 0, 0]), health(1));
    let ended = Run::new(["--once", "--attempt-timeout=500ms", &format!("grpc:{}", none.addr)]).end();
    ended.took(Duration::ZERO..Duration::from_secs(3));
}
