//! Logins against scripted servers.

use super::*;
use crate::kind::{Given, Target};

#[tokio::test]
async fn a_failed_login_says_why() {
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
        (|stream| send(stream, b'R', &[0, 0, 0, 7]), Code::ProtocolAuthMethod, "GSSAPI"),
        (|stream| send(stream, b'Z', b"I"), Code::ProtocolOther, "not in PostgreSQL's protocol"),
        (|stream| stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").unwrap(), Code::ProtocolOther, "HTTP"),
        (|stream| stream.write_all(b"E\x7f\xff\xff\xff").unwrap(), Code::ProtocolOther, "not in PostgreSQL's protocol"),
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
        answer_sync(stream);
        assert_eq!(rest(stream), b"X\0\0\0\x04");
    })
    .await;
    assert!(outcome.unwrap().note.unwrap().starts_with("logged in at"));
}

/// A pooler answers from what it remembers. Its server does not answer the Sync.
#[tokio::test]
async fn a_login_that_only_a_pooler_accepts_is_not_ready() {
    for url in ["postgres://app:hunter2@127.0.0.1:PORT/shop?sslmode=disable", PLAIN] {
        let (port, handle) = server(vec![|stream| {
            startup(stream);
            send(stream, b'R', &[0; 4]);
            send(stream, b'Z', b"I");
            rest(stream);
        }]);
        let (outcome, _) = probe(&parse(&url.replace("PORT", &port.to_string())), Duration::from_millis(300)).await;
        handle.join().unwrap();
        let reason = outcome.unwrap_err();
        assert_eq!(reason.code(), Code::ProtocolTimeout);
        assert!(reason.text().contains("as a pooler does while it has no server"), "{}", reason.text());
    }
}

/// What is sent to a server that asks for this, or lets the client in without a question.
async fn answered(more: &str, request: u32) -> (Reason, Vec<u8>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let server = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        stream.set_read_timeout(Some(Duration::from_millis(500))).unwrap();
        startup(&mut stream);
        let mechanisms: &[u8] = if request == 10 { b"SCRAM-SHA-256\0\0" } else { b"salt" };
        let more = if request == 5 || request == 10 { mechanisms } else { b"" };
        send(&mut stream, b'R', &[&request.to_be_bytes()[..], more].concat());
        rest(&mut stream)
    });
    let target = parse(&format!("postgres://app:hunter2@127.0.0.1:{port}/shop?sslmode=disable{more}"));
    let (outcome, _) = probe(&target, Duration::from_secs(2)).await;
    (outcome.unwrap_err(), server.join().unwrap())
}

#[tokio::test]
async fn require_auth_is_never_answered_against() {
    for (list, request, sends) in [
        ("scram-sha-256", 3, false),
        ("scram-sha-256", 5, false),
        ("scram-sha-256", 0, false),
        ("scram-sha-256", 10, true),
        ("md5,scram-sha-256", 3, false),
        ("md5,scram-sha-256", 5, true),
        ("!password", 3, false),
        ("!password", 5, true),
        ("!none", 0, false),
        ("none", 3, false),
        ("gss", 10, false),
    ] {
        let (reason, sent) = answered(&format!("&require_auth={list}"), request).await;
        assert_eq!(!sent.is_empty(), sends, "{list} {request}: {sent:?}");
        assert_eq!(reason.code() == Code::ProtocolAuthMethod, !sends, "{list} {request}: {}", reason.text());
        assert_eq!(reason.text().contains("require_auth= forbids"), !sends, "{}", reason.text());
    }
    let (_, sent) = answered("", 3).await;
    assert_eq!(sent, b"p\0\0\0\x0chunter2\0", "without the parameter it is answered");
}

/// A server's words may hold what it got.
#[tokio::test]
async fn secrets_in_a_servers_words_are_hidden() {
    for code in ["28P01", "28000", "57P03", "53300", "08P01", "XX000", "42501", ""] {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let server = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            startup(&mut stream);
            let error = format!("SFATAL\0C{code}\0Mno: hunter2 o'hunter2\0Dit was \"hunter2\"\0\0");
            send(&mut stream, b'E', error.as_bytes());
        });
        let url = format!("postgres://app:hunter2@127.0.0.1:{port}/shop?sslmode=disable");
        let env = crate::env::Env::default();
        let (target, mask) = Target::parse_masking(&url, Given { env: &env, ca_file: false }).unwrap();
        let bound = Duration::from_secs(2);
        let attempt = Attempt::new(Bounds { attempt: bound, connect: bound }, false).hiding(&mask);
        let outcome = target.probe(&Net::plain(SystemFiles::default()), &attempt).await;
        server.join().unwrap();
        let text = outcome.unwrap_err().text().to_owned();
        assert!(text.contains("no: *** o'***: it was \"***\"") && !text.contains("hunter2"), "{text}");
    }
}

#[tokio::test]
async fn a_password_file_is_read_again_for_each_attempt() {
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

/// The addresses of a name have the same users: after a wrong password, waitgate does not try the next address.
#[tokio::test]
async fn a_wrong_password_is_tried_once_in_an_attempt() {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};
    // How often waitgate logs in where a name has two addresses, and where the target has two hosts. libpq does not try the
    // next host after an error, except "not now".
    for (code, routine, of_a_name, of_a_list) in [
        ("28P01", "auth_failed", 1, 1),
        ("28000", "auth_failed", 1, 1),
        ("28000", "ClientAuthentication", 2, 1),
        ("3D000", "InitPostgres", 2, 1),
        ("53300", "InitPostgres", 2, 1),
        ("57P03", "ProcessStartupPacket", 2, 2),
    ] {
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
                    send(&mut stream, b'E', format!("SFATAL\0VFATAL\0C{code}\0Mno\0R{routine}\0\0").as_bytes());
                }
            });
        }
        let dir = tempfile::tempdir().unwrap();
        let hosts = dir.path().join("hosts");
        std::fs::write(&hosts, "127.0.0.1 db.test\n127.0.0.2 db.test\n").unwrap();
        for (hosts_of, expected) in [("db.test:PORT", of_a_name), ("127.0.0.1:PORT,127.0.0.2:PORT", of_a_list)] {
            let servers = hosts_of.replace("PORT", &port.to_string());
            let target = parse(&format!("postgres://app:pw@{servers}?sslmode=disable"));
            logins.store(0, Ordering::SeqCst);
            let (outcome, _) = probe_with(&hosts, &target, Duration::from_secs(2)).await;
            assert!(outcome.unwrap_err().text().contains(code));
            assert_eq!(logins.load(Ordering::SeqCst), expected, "{code} {routine} {servers}");
        }
    }
}

/// Any server can send another server's certificate, so a bound login needs proof that the server holds its key.
#[cfg(feature = "tls")]
#[tokio::test]
async fn a_bound_login_needs_the_certificates_key() {
    use rustls::ServerConfig;
    use rustls::crypto::ring;
    use rustls::server::{ClientHello, ResolvesServerCert};
    use rustls::sign::CertifiedKey;
    use std::sync::Arc;

    #[derive(Debug)]
    struct SentCertificate(Arc<CertifiedKey>);
    impl ResolvesServerCert for SentCertificate {
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
            let sent = SentCertificate(Arc::new(CertifiedKey::new(vec![certificate.der().clone()], Arc::clone(&key))));
            let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
                .with_protocol_versions(&[version])
                .unwrap()
                .with_no_client_auth()
                .with_cert_resolver(Arc::new(sent));
            let config = Arc::new(config);
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            let port = listener.local_addr().unwrap().port();
            let server = std::thread::spawn(move || {
                let (mut stream, _) = listener.accept().unwrap();
                packet(&mut stream);
                stream.write_all(b"S").unwrap();
                let mut session = rustls::ServerConnection::new(config).unwrap();
                let mut stream = rustls::Stream::new(&mut session, &mut stream);
                // The client sends the startup packet only if it accepted the handshake.
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

/// A server that has no `SET LOCAL`: the query itself did not run.
#[tokio::test]
async fn a_transaction_that_does_not_begin_is_not_blamed_on_the_query() {
    let reason = probed("postgres://app@127.0.0.1:PORT/shop?sslmode=disable#query=SELECT 1", |stream| {
        startup(stream);
        send(stream, b'R', &[0; 4]);
        send(stream, b'Z', b"I");
        let mut tag = [0];
        stream.read_exact(&mut tag).unwrap();
        assert!(tag == *b"Q" && packet(stream).starts_with(b"BEGIN READ ONLY"));
        send(stream, b'E', b"SERROR\0VERROR\0C0A000\0MSET LOCAL is not implemented\0\0");
        send(stream, b'Z', b"I");
        rest(stream);
    })
    .await
    .unwrap_err();
    assert_eq!(reason.code(), Code::ExpectQuery);
    let text = reason.text();
    assert!(text.contains("does not begin a read-only transaction") && text.contains("not implemented"), "{text}");
}

/// After a crash the server ends every session with a warning, and with no error (postgres.c: quickdie).
#[tokio::test]
async fn the_last_words_before_a_crash_are_the_reason() {
    let reason = probed("postgres://app@127.0.0.1:PORT/shop?sslmode=disable#login", |stream| {
        startup(stream);
        send(stream, b'R', &[0; 4]);
        send(stream, b'Z', b"I");
        let mut sync = [0; 5];
        stream.read_exact(&mut sync).unwrap();
        send(stream, b'N', b"SWARNING\0VWARNING\0C01000\0Mnothing\0\0");
        send(stream, b'N', b"SWARNING\0VWARNING\0C57P02\0Mbecause of crash of another server process\0\0");
    })
    .await
    .unwrap_err();
    assert_eq!(reason.code(), Code::ProtocolNotAccepting);
    assert!(reason.text().contains("crash of another server process"), "{}", reason.text());
}

/// The words of tokio-postgres and postgres-protocol decide here. An update of them must not change the reason.
#[tokio::test]
async fn a_login_that_waitgate_does_not_have_is_named() {
    let reason = probed("postgres://app:hunter2@127.0.0.1:PORT/shop?sslmode=disable", |stream| {
        startup(stream);
        send(stream, b'R', b"\0\0\0\x0aOAUTHBEARER\0\0");
        rest(stream);
    })
    .await
    .unwrap_err();
    assert_eq!(reason.code(), Code::ProtocolAuthMethod);
    assert!(reason.text().contains("a SASL login other than SCRAM"), "{}", reason.text());
}

/// A query may raise such a warning itself.
#[tokio::test]
async fn a_warning_of_the_query_is_not_the_servers_end() {
    let outcome = probed("postgres://app@127.0.0.1:PORT/shop?sslmode=disable#query=SELECT f()", |stream| {
        startup(stream);
        send(stream, b'R', &[0; 4]);
        send(stream, b'Z', b"I");
        let mut tag = [0];
        stream.read_exact(&mut tag).unwrap();
        packet(stream);
        send(stream, b'C', b"BEGIN\0");
        send(stream, b'Z', b"T");
        // Parse, Bind, Describe, Execute and Sync.
        for _ in 0..5 {
            stream.read_exact(&mut tag).unwrap();
            packet(stream);
        }
        send(stream, b'1', b"");
        send(stream, b'2', b"");
        send(stream, b'T', b"\0\x01f\0\0\0\0\0\0\0\0\0\0\x17\0\x04\xff\xff\xff\xff\0\0");
        send(stream, b'N', b"SWARNING\0VWARNING\0C57P01\0Mraised by f\0\0");
        send(stream, b'D', b"\0\x01\0\0\0\x011");
        send(stream, b'C', b"SELECT 1\0");
        send(stream, b'Z', b"T");
        stream.read_exact(&mut tag).unwrap();
        packet(stream);
        send(stream, b'C', b"ROLLBACK\0");
        send(stream, b'Z', b"I");
        rest(stream);
    });
    outcome.await.unwrap();
}
