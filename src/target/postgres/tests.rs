//! Byte-level servers for the probe.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::thread::JoinHandle;
use std::time::Duration;

use super::conninfo::tests::parse;
use super::*;
use crate::net::conf::SystemFiles;
use crate::reason::Code;
use crate::trail::Bounds;
use tokio::time;

/// What a server does with one connection.
type Script = fn(&mut TcpStream);

/// A server of one connection after another, each with a script of its own.
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

/// Reads the startup packet, past a request for TLS that is declined.
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
    // The other side may have heard enough.
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

async fn probe(target: &Postgres, bound: Duration) -> (Result<Ready, Reason>, Duration) {
    probe_with(Path::new("/nonexistent"), target, bound).await
}

async fn probe_with(hosts: &Path, target: &Postgres, bound: Duration) -> (Result<Ready, Reason>, Duration) {
    let files = SystemFiles { resolv_conf: "/nonexistent".into(), hosts: hosts.into() };
    let net = Net::new(
        files,
        #[cfg(feature = "tls")]
        crate::net::tls::Tls::default(),
    );
    let trail = Trail::new(Bounds { attempt: bound, connect: bound }, false);
    let outcome = time::timeout(bound, target.probe(&net, &trail)).await.unwrap_or_else(|_| Err(trail.cut_off()));
    (outcome, trail.started().elapsed())
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
async fn a_server_that_asks_for_credentials_is_ready_and_left_quietly() {
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
async fn a_server_that_lets_us_in_is_ready_and_hears_terminate() {
    let outcome = probed(PLAIN, |stream| {
        startup(stream);
        send(stream, b'N', b"SNOTICE\0C00000\0Mhello\0\0");
        send(stream, b'R', &[0; 4]);
        send(stream, b'S', b"server_version\x0015.1\0");
        send(stream, b'K', &[0; 8]);
        send(stream, b'Z', b"I");
        assert_eq!(rest(stream), b"X\0\0\0\x04");
    })
    .await;
    assert!(outcome.is_ok(), "{outcome:?}");
}

#[tokio::test]
async fn an_unknown_authentication_request_is_one() {
    let outcome = probed(PLAIN, |stream| {
        startup(stream);
        send(stream, b'R', &[0, 0, 0, 99, 1, 2, 3]);
    })
    .await;
    assert!(outcome.is_ok(), "{outcome:?}");
}

#[tokio::test]
async fn errors_before_and_after_the_authentication() {
    let rows: [(Script, Option<Code>); 8] = [
        (|stream| error(stream, "57P03", "the database system is starting up"), Some(Code::ProtocolNotAccepting)),
        (|stream| error(stream, "53300", "sorry, too many clients already"), Some(Code::ProtocolTooManyClients)),
        (|stream| error(stream, "08P01", "query_wait_timeout"), Some(Code::ProtocolPooler)),
        (|stream| error(stream, "28000", "no pg_hba.conf entry"), None),
        (|stream| error(stream, "3D000", "database does not exist"), None),
        (|stream| send(stream, b'E', b"Mno code\0\0"), Some(Code::ProtocolError)),
        (|stream| send(stream, b'E', b"garbage"), Some(Code::ProtocolNotPostgres)),
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
async fn what_is_not_postgresql_is_named() {
    let http = probed("postgres://127.0.0.1:PORT", |stream| {
        packet(stream);
        stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").unwrap();
    })
    .await
    .unwrap_err();
    assert_eq!(http.code(), Code::ProtocolNotPostgres);
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
    assert_eq!(garbage.code(), Code::ProtocolNotPostgres);
}

#[tokio::test]
async fn a_fork_failure_in_the_old_form_is_read() {
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
async fn a_close_is_said_wherever_it_comes() {
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
    }
}

#[tokio::test]
async fn silence_is_cut_off_with_what_was_awaited() {
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
async fn endless_messages_are_bounded() {
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
async fn the_next_host_is_asked_where_the_first_has_nothing_to_say() {
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

    // A silent one uses up no more than its share.
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

#[tokio::test]
async fn a_login_says_why_it_failed() {
    const LOGIN: &str = "postgres://app:hunter2@127.0.0.1:PORT/shop?sslmode=disable";
    let rows: [(Script, Code, &str); 9] = [
        (
            |stream| error(stream, "28P01", "password authentication failed for user \"app\""),
            Code::ProtocolPassword,
            "28P01",
        ),
        (
            |stream| error(stream, "3D000", "database \"shop\" does not exist"),
            Code::ProtocolNoDatabase,
            "the database is not",
        ),
        (|stream| error(stream, "08P01", "no such database: shop"), Code::ProtocolNoDatabase, "pooler"),
        (|stream| send(stream, b'R', &[0, 0, 0, 7]), Code::ProtocolError, "unsupported authentication method"),
        (|stream| send(stream, b'Z', b"I"), Code::ProtocolNotPostgres, "not as PostgreSQL"),
        (|stream| stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").unwrap(), Code::ProtocolNotPostgres, "HTTP"),
        (|stream| stream.write_all(b"E\x7f\xff\xff\xff").unwrap(), Code::ProtocolNotPostgres, "not as PostgreSQL"),
        (|stream| stream.write_all(b"E\0\0\x7f\xff").unwrap(), Code::ProtocolClosed, "closed it during the login"),
        (|_| {}, Code::ProtocolClosed, "closed it during the login"),
    ];
    for (at, (script, code, says)) in rows.into_iter().enumerate() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let handle = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            startup(&mut stream);
            script(&mut stream);
        });
        let (outcome, _) = probe(&parse(&LOGIN.replace("PORT", &port.to_string())), Duration::from_secs(2)).await;
        handle.join().unwrap();
        let reason = outcome.unwrap_err();
        assert_eq!(reason.code(), code, "row {at}: {}", reason.text());
        assert!(reason.text().contains(says) && !reason.text().contains("hunter2"), "row {at}: {}", reason.text());
    }
    let reason = probed("postgres://app@127.0.0.1:PORT/shop?sslmode=disable#login", |stream| {
        startup(stream);
        send(stream, b'R', &[0, 0, 0, 3]);
    })
    .await
    .unwrap_err();
    assert_eq!(reason.code(), Code::ProtocolPassword);
    assert!(reason.text().contains("none is given"), "{}", reason.text());
}

#[tokio::test]
async fn a_login_ends_with_terminate() {
    let outcome = probed("postgres://app:hunter2@127.0.0.1:PORT/shop?sslmode=disable", |stream| {
        startup(stream);
        send(stream, b'R', &[0, 0, 0, 3]);
        let mut password = [0; 13];
        stream.read_exact(&mut password).unwrap();
        assert_eq!(&password, b"p\0\0\0\x0chunter2\0");
        send(stream, b'R', &[0; 4]);
        send(stream, b'Z', b"I");
        assert_eq!(rest(stream), b"X\0\0\0\x04");
    })
    .await;
    assert!(outcome.unwrap().note.unwrap().starts_with("logged in at"));
}

#[tokio::test]
async fn a_password_file_is_read_anew() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("password");
    let target = parse(&format!("postgres://app@127.0.0.1:1#password=@{}", path.display()));
    assert!(target.login);
    let (outcome, _) = probe(&target, Duration::from_secs(1)).await;
    assert_eq!(outcome.unwrap_err().code(), Code::LocalFile);
    std::fs::write(&path, "hunter2\r\n").unwrap();
    let (outcome, _) = probe(&target, Duration::from_secs(1)).await;
    assert_eq!(outcome.unwrap_err().code(), Code::ConnectRefused);
    std::fs::write(&path, "\n").unwrap();
    let (outcome, _) = probe(&target, Duration::from_secs(1)).await;
    assert!(outcome.unwrap_err().text().contains("empty"));
}

/// A name's addresses share their accounts: a password that one refuses is not tried at the next.
#[tokio::test]
async fn a_refused_password_is_tried_once_an_attempt() {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};
    for (code, expected) in [("28P01", 1), ("28000", 2), ("53300", 2)] {
        let first = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = first.local_addr().unwrap().port();
        let second = TcpListener::bind(("127.0.0.2", port)).unwrap();
        let logins = Arc::new(AtomicUsize::new(0));
        for listener in [first, second] {
            let logins = Arc::clone(&logins);
            std::thread::spawn(move || {
                for stream in listener.incoming() {
                    let mut stream = stream.unwrap();
                    startup(&mut stream);
                    logins.fetch_add(1, Ordering::SeqCst);
                    error(&mut stream, code, "no");
                }
            });
        }
        let dir = tempfile::tempdir().unwrap();
        let hosts = dir.path().join("hosts");
        std::fs::write(&hosts, "127.0.0.1 db.test\n127.0.0.2 db.test\n").unwrap();
        let target = parse(&format!("postgres://app:pw@db.test:{port}?sslmode=disable"));
        let (outcome, _) = probe_with(&hosts, &target, Duration::from_secs(2)).await;
        assert!(outcome.unwrap_err().text().contains(code));
        assert_eq!(logins.load(Ordering::SeqCst), expected, "{code}");
    }
}

/// Anybody can show a server's certificate; a login that is bound to it needs the key to be there too.
#[cfg(feature = "tls")]
#[tokio::test]
async fn a_bound_login_wants_the_certificates_key() {
    use rustls::ServerConfig;
    use rustls::crypto::ring;
    use rustls::server::{ClientHello, ResolvesServerCert};
    use rustls::sign::CertifiedKey;
    use std::sync::Arc;

    #[derive(Debug)]
    struct Shown(Arc<CertifiedKey>);
    impl ResolvesServerCert for Shown {
        fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
            Some(Arc::clone(&self.0))
        }
    }

    let own = rcgen::generate_simple_self_signed(["db.test".to_owned()]).unwrap();
    let others = rcgen::generate_simple_self_signed(["db.test".to_owned()]).unwrap();
    let key = rustls::pki_types::PrivateKeyDer::Pkcs8(own.signing_key.serialize_der().into());
    let key = ring::sign::any_supported_type(&key).unwrap();
    for version in [&rustls::version::TLS12, &rustls::version::TLS13] {
        for (certificate, more, let_in) in [
            (&own.cert, "channel_binding=require", true),
            (&others.cert, "channel_binding=require", false),
            (&others.cert, "channel_binding=prefer", true),
        ] {
            let shown = Shown(Arc::new(CertifiedKey::new(vec![certificate.der().clone()], Arc::clone(&key))));
            let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
                .with_protocol_versions(&[version])
                .unwrap()
                .with_no_client_auth()
                .with_cert_resolver(Arc::new(shown));
            let config = Arc::new(config);
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            let port = listener.local_addr().unwrap().port();
            let server = std::thread::spawn(move || {
                let (mut stream, _) = listener.accept().unwrap();
                packet(&mut stream);
                stream.write_all(b"S").unwrap();
                let mut session = rustls::ServerConnection::new(config).unwrap();
                let mut stream = rustls::Stream::new(&mut session, &mut stream);
                // The startup packet comes where the handshake was to the client's liking.
                stream.read_exact(&mut [0; 4]).is_ok()
            });
            let target = parse(&format!("postgres://app:pw@127.0.0.1:{port}?sslmode=require&{more}"));
            let (outcome, _) = probe(&target, Duration::from_secs(2)).await;
            let text = outcome.unwrap_err().text().to_owned();
            assert_eq!(server.join().unwrap(), let_in, "{version:?} {more}: {text}");
            assert_eq!(text.contains("whose key it does not hold"), !let_in, "{version:?} {more}: {text}");
        }
    }
}
