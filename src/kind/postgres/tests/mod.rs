//! Probes against scripted servers.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::thread::JoinHandle;
use std::time::Duration;

use super::uri::tests::parse;
use super::*;
use crate::attempt::Bounds;
use crate::net::names::resolv_conf::SystemFiles;
use crate::reason::{Code, Hint};
use tokio::time;

#[cfg(feature = "tls")]
mod encryption;
mod logins;

/// What a scripted server does with one connection.
type Script = fn(&mut TcpStream);

/// A server that accepts one connection after another. Each has its own script.
fn server(scripts: Vec<Script>) -> (u16, JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let handle = std::thread::spawn(move || {
        for script in scripts {
            let (mut stream, _) = listener.accept().unwrap();
            stream.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
            script(&mut stream);
        }
    });
    (port, handle)
}

/// Reads one untyped packet (SSLRequest, startup) and returns what follows its length.
fn packet(stream: &mut TcpStream) -> Vec<u8> {
    let mut length = [0; 4];
    stream.read_exact(&mut length).unwrap();
    let mut body = vec![0; usize::try_from(u32::from_be_bytes(length)).unwrap() - 4];
    stream.read_exact(&mut body).unwrap();
    body
}

/// Reads the startup packet. If a request for TLS comes first, the server declines it.
fn startup(stream: &mut TcpStream) -> Vec<u8> {
    let first = packet(stream);
    if first != 80_877_103_u32.to_be_bytes() {
        return first;
    }
    stream.write_all(b"N").unwrap();
    packet(stream)
}

fn send(stream: &mut TcpStream, tag: u8, body: &[u8]) {
    let length = u32::try_from(body.len() + 4).unwrap().to_be_bytes();
    // The client may have closed the connection already.
    let _ = stream.write_all(&[&[tag][..], &length, body].concat());
}

fn error(stream: &mut TcpStream, code: &str, message: &str) {
    send(stream, b'E', format!("SFATAL\0VFATAL\0C{code}\0M{message}\0\0").as_bytes());
}

fn rest(stream: &mut TcpStream) -> Vec<u8> {
    let mut all = Vec::new();
    let _ = stream.read_to_end(&mut all);
    all
}

/// Reads one Sync and answers it.
fn answer_sync(stream: &mut TcpStream) {
    let mut sync = [0; 5];
    stream.read_exact(&mut sync).unwrap();
    assert_eq!(&sync, b"S\0\0\0\x04");
    send(stream, b'Z', b"I");
}

async fn probe(target: &Postgres, bound: Duration) -> (Result<Ready, Reason>, Duration) {
    probe_with(Path::new("/nonexistent"), target, bound).await
}

async fn probe_with(hosts: &Path, target: &Postgres, bound: Duration) -> (Result<Ready, Reason>, Duration) {
    let files = SystemFiles { resolv_conf: "/nonexistent".into(), hosts: hosts.into() };
    let net = Net::plain(files);
    let attempt = Attempt::new(Bounds { attempt: bound, connect: bound }, false);
    let outcome = time::timeout(bound, target.probe(&net, &attempt)).await.unwrap_or_else(|_| Err(attempt.cut_off()));
    (outcome, attempt.started().elapsed())
}

async fn probed(url: &str, script: Script) -> Result<Ready, Reason> {
    let (port, handle) = server(vec![script]);
    let target = parse(&url.replace("PORT", &port.to_string()));
    let (outcome, _) = probe(&target, Duration::from_secs(2)).await;
    handle.join().unwrap();
    outcome
}

const PLAIN: &str = "postgres://127.0.0.1:PORT?sslmode=disable";

#[tokio::test]
async fn a_server_that_asks_for_credentials_is_ready_and_gets_no_terminate() {
    for url in [PLAIN, "postgres://app@127.0.0.1:PORT/shop"] {
        let outcome = probed(url, |stream| {
            let packet = startup(stream);
            assert_eq!(packet[..4], [0, 3, 0, 0]);
            let text = String::from_utf8_lossy(&packet[4..]).replace('\0', " ");
            assert!(
                text.starts_with("user postgres application_name waitgate")
                    || text.starts_with("user app database shop application_name waitgate"),
                "{text}"
            );
            send(stream, b'R', &[&[0, 0, 0, 10][..], b"SCRAM-SHA-256\0\0"].concat());
            assert_eq!(rest(stream), b"", "libpq leaves without a word at this point");
        })
        .await;
        assert!(outcome.unwrap().note.unwrap().starts_with("accepting connections at 127.0.0.1:"));
    }
}

#[tokio::test]
async fn a_server_that_needs_no_password_is_ready_and_gets_terminate() {
    let outcome = probed(PLAIN, |stream| {
        startup(stream);
        send(stream, b'N', b"SNOTICE\0C00000\0Mhello\0\0");
        send(stream, b'R', &[0; 4]);
        send(stream, b'S', b"server_version\x0015.1\0");
        send(stream, b'K', &[0; 8]);
        send(stream, b'Z', b"I");
        answer_sync(stream);
        assert_eq!(rest(stream), b"X\0\0\0\x04");
    })
    .await;
    assert!(outcome.is_ok(), "{outcome:?}");
}

#[tokio::test]
async fn an_unknown_authentication_request_counts_as_ready() {
    let outcome = probed(PLAIN, |stream| {
        startup(stream);
        send(stream, b'R', &[0, 0, 0, 99, 1, 2, 3]);
    })
    .await;
    assert!(outcome.is_ok(), "{outcome:?}");
}

#[tokio::test]
async fn some_errors_count_as_ready_and_others_do_not() {
    let rows: [(Script, Option<Code>); 11] = [
        (|stream| error(stream, "58P01", "could not open file"), Some(Code::ProtocolError)),
        (|stream| error(stream, "XX000", "failed to create a backend connection"), Some(Code::ProtocolError)),
        (
            // A pooler that trusts, and whose server is gone.
            |stream| {
                send(stream, b'R', &[0; 4]);
                send(stream, b'Z', b"I");
                let _ = stream.read_exact(&mut [0; 5]);
                error(stream, "08P01", "query_wait_timeout");
            },
            Some(Code::ProtocolPooler),
        ),
        (|stream| error(stream, "57P03", "the database system is starting up"), Some(Code::ProtocolNotAccepting)),
        (|stream| error(stream, "53300", "sorry, too many clients already"), Some(Code::ProtocolTooManyClients)),
        (|stream| error(stream, "08P01", "query_wait_timeout"), Some(Code::ProtocolPooler)),
        (|stream| error(stream, "28000", "no pg_hba.conf entry"), None),
        (|stream| error(stream, "3D000", "database does not exist"), None),
        (|stream| send(stream, b'E', b"Mno code\0\0"), Some(Code::ProtocolError)),
        (|stream| send(stream, b'E', b"garbage"), Some(Code::ProtocolOther)),
        (
            |stream| {
                send(stream, b'R', &[0; 4]);
                error(stream, "53300", "remaining connection slots are reserved");
            },
            Some(Code::ProtocolTooManyClients),
        ),
    ];
    for (at, (script, expected)) in rows.into_iter().enumerate() {
        let (port, handle) = {
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            let port = listener.local_addr().unwrap().port();
            let handle = std::thread::spawn(move || {
                let (mut stream, _) = listener.accept().unwrap();
                startup(&mut stream);
                script(&mut stream);
                rest(&mut stream);
            });
            (port, handle)
        };
        let target = parse(&PLAIN.replace("PORT", &port.to_string()));
        let (outcome, _) = probe(&target, Duration::from_secs(2)).await;
        handle.join().unwrap();
        assert_eq!(outcome.err().map(|reason| reason.code()), expected, "row {at}");
    }
}

#[tokio::test]
async fn another_protocol_is_named_in_the_reason() {
    let http = probed("postgres://127.0.0.1:PORT", |stream| {
        packet(stream);
        stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").unwrap();
    })
    .await
    .unwrap_err();
    assert_eq!(http.code(), Code::ProtocolOther);
    assert!(http.text().contains("answered in HTTP"), "{}", http.text());

    let mysql = probed("postgres://127.0.0.1:PORT", |stream| {
        stream.write_all(b"\x4a\0\0\0\x0a8.0.36\0aaaaaaaaaaaaaaaaaaaaaaa").unwrap();
        rest(stream);
    })
    .await
    .unwrap_err();
    assert!(mysql.text().contains("MySQL"), "{}", mysql.text());

    // A greeting whose first byte looks like the answer "no TLS".
    let mysql = probed("postgres://127.0.0.1:PORT", |stream| {
        stream.write_all(b"N\0\0\0\x0a8.0.36\0aaaaaaaaaaaaaaaaaaaaaaa").unwrap();
        rest(stream);
    })
    .await
    .unwrap_err();
    assert!(mysql.text().contains("MySQL"), "{}", mysql.text());

    let garbage = probed(PLAIN, |stream| {
        stream.write_all(&[0xff; 32]).unwrap();
        rest(stream);
    })
    .await
    .unwrap_err();
    assert_eq!(garbage.code(), Code::ProtocolOther);
}

#[tokio::test]
async fn a_fork_failure_in_the_old_protocol_is_reported() {
    for url in [PLAIN, "postgres://127.0.0.1:PORT"] {
        let reason = probed(url, |stream| {
            packet(stream);
            let _ = stream.write_all(b"Ecould not fork new process for connection: Cannot allocate memory\n\0");
        })
        .await
        .unwrap_err();
        assert_eq!(reason.code(), Code::ProtocolError, "{}", reason.text());
        assert!(reason.text().contains("could not fork"), "{}", reason.text());
    }
}

#[tokio::test]
async fn a_closed_connection_is_reported_at_every_step() {
    let scripts: [(&str, Script); 4] = [
        (PLAIN, |_| {}),
        (PLAIN, |stream| drop(startup(stream))),
        ("postgres://127.0.0.1:PORT", |stream| drop(packet(stream))),
        (PLAIN, |stream| {
            startup(stream);
            stream.write_all(b"R\0\0\0").unwrap();
        }),
    ];
    for (at, (url, script)) in scripts.into_iter().enumerate() {
        let reason = probed(url, script).await.unwrap_err();
        assert_eq!(reason.code(), Code::ProtocolClosed, "row {at}: {}", reason.text());
        // In the last row the server has said something.
        assert_eq!(reason.hint(), (at < 3).then_some(Hint::ClosedUnanswered), "row {at}: {}", reason.text());
    }
}

#[tokio::test]
async fn a_silent_server_is_cut_off_with_what_was_awaited() {
    for (url, says) in [
        (PLAIN, "accepted the connection and the startup packet, and no complete answer came"),
        #[cfg(feature = "tls")]
        ("postgres://127.0.0.1:PORT", "accepted the connection and the request for TLS, and no complete answer came"),
    ] {
        let (port, handle) = server(vec![|stream| {
            rest(stream);
        }]);
        let target = parse(&url.replace("PORT", &port.to_string()));
        let (outcome, took) = probe(&target, Duration::from_millis(200)).await;
        handle.join().unwrap();
        let reason = outcome.unwrap_err();
        assert_eq!(reason.code(), Code::ProtocolTimeout);
        assert!(reason.text().contains(says), "{}", reason.text());
        assert!(took < Duration::from_millis(400));
    }
}

#[tokio::test]
async fn endless_messages_are_cut_off() {
    let reason = probed(PLAIN, |stream| {
        startup(stream);
        let notice = [&b"N\0\0\x10\0S"[..], &[b'a'; 4091]].concat();
        while stream.write_all(&notice).is_ok() {}
    })
    .await
    .unwrap_err();
    assert_eq!(reason.code(), Code::ProtocolTooLarge);
    let reason = probed("postgres://u:p@127.0.0.1:PORT?sslmode=disable", |stream| {
        startup(stream);
        send(stream, b'R', &[0; 4]);
        let status = [&b"S\0\0\x10\0"[..], &[b'a'; 2000], b"\0", &[b'b'; 2090], b"\0"].concat();
        while stream.write_all(&status).is_ok() {}
    })
    .await
    .unwrap_err();
    assert_eq!(reason.code(), Code::ProtocolTooLarge);
}

#[tokio::test]
async fn the_next_host_is_tried_when_the_first_is_not_ready() {
    let (dead, first) = server(vec![|stream| error(stream, "57P03", "the database system is shutting down")]);
    let (alive, second) = server(vec![|stream| {
        startup(stream);
        send(stream, b'R', &[0, 0, 0, 3]);
    }]);
    let target = parse(&format!("postgres://127.0.0.1:{dead},127.0.0.1:{alive}?sslmode=disable"));
    let (outcome, _) = probe(&target, Duration::from_secs(2)).await;
    first.join().unwrap();
    second.join().unwrap();
    assert!(outcome.unwrap().note.unwrap().ends_with(&alive.to_string()));

    // A silent server uses only its share of the time.
    let (silent, first) = server(vec![|stream| drop(rest(stream))]);
    let (alive, second) = server(vec![|stream| {
        startup(stream);
        send(stream, b'R', &[0, 0, 0, 3]);
    }]);
    let target = parse(&format!("postgres://127.0.0.1:{silent},127.0.0.1:{alive}?sslmode=disable"));
    let (outcome, took) = probe(&target, Duration::from_millis(600)).await;
    first.join().unwrap();
    second.join().unwrap();
    assert!(outcome.is_ok() && took < Duration::from_millis(500), "{outcome:?} after {took:?}");
}
