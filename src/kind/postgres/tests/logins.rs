//! Logins against scripted servers.

use super::*;

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
        (|stream| send(stream, b'R', &[0, 0, 0, 7]), Code::ProtocolError, "unsupported authentication method"),
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
        assert_eq!(rest(stream), b"X\0\0\0\x04");
    })
    .await;
    assert!(outcome.unwrap().note.unwrap().starts_with("logged in at"));
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
