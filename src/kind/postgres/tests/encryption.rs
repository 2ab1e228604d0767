//! TLS and plain text, one after the other.

use super::*;

/// A server that answers each startup packet, over TLS that it never gets right or without TLS, with its script.
fn broken_tls(then: Script) -> (u16, JoinHandle<Vec<u8>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let handle = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        packet(&mut stream);
        stream.write_all(b"S").unwrap();
        let _ = stream.read(&mut [0; 4096]);
        // handshake_failure
        stream.write_all(&[21, 3, 3, 0, 2, 2, 40]).unwrap();
        drop(stream);
        let (mut stream, _) = listener.accept().unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(2))).unwrap();
        packet(&mut stream);
        then(&mut stream);
        rest(&mut stream)
    });
    (port, handle)
}

/// A relay that breaks the handshake would otherwise get the password.
#[tokio::test]
async fn no_readable_password_goes_out_after_a_failed_handshake() {
    let scripts: [(Script, bool, &str); 3] = [
        (|stream| send(stream, b'R', &[0, 0, 0, 3]), false, "asks for the password in clear text"),
        (|stream| send(stream, b'R', &[0, 0, 0, 5, 1, 2, 3, 4]), false, "asks for the password as an MD5 hash"),
        (|stream| send(stream, b'R', &[&[0, 0, 0, 10][..], b"SCRAM-SHA-256\0\0"].concat()), true, ""),
    ];
    for (script, sends, says) in scripts {
        let (port, handle) = broken_tls(script);
        let target = parse(&format!("postgres://app:hunter2@127.0.0.1:{port}/shop"));
        let (outcome, _) = probe(&target, Duration::from_secs(3)).await;
        let reason = outcome.unwrap_err();
        let sent = handle.join().unwrap();
        assert_eq!(!sent.is_empty(), sends, "{}", reason.text());
        assert!(!String::from_utf8_lossy(&sent).contains("hunter2"));
        assert!(reason.text().contains(says), "{}", reason.text());
        if !sends {
            assert_eq!(reason.code(), Code::ProtocolAuthMethod);
            assert!(
                reason.text().contains("HandshakeFailure") || reason.text().contains("handshake"),
                "{}",
                reason.text()
            );
        }
    }
}

/// An SSH server's first byte is the 'S' that accepts TLS.
#[tokio::test]
async fn what_is_neither_tls_nor_http_is_not_called_http() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let handle = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        stream.write_all(b"SSH-2.0-OpenSSH_9.2\r\n").unwrap();
        rest(&mut stream)
    });
    let target = parse(&format!("postgres://app:hunter2@127.0.0.1:{port}/shop?sslmode=require"));
    let (outcome, _) = probe(&target, Duration::from_secs(3)).await;
    let reason = outcome.unwrap_err();
    assert_eq!(reason.code(), Code::TlsNotTls);
    assert_eq!(reason.hint(), Some(crate::reason::Hint::UseKind("tcp")));
    drop(handle.join());
}

/// Counts the startup packets that a server gets with the default sslmode, if it refuses each with this error.
async fn tries(routine: &'static str) -> (usize, String) {
    use rustls::ServerConfig;
    use rustls::crypto::ring;
    use std::sync::Arc;
    let own = rcgen::generate_simple_self_signed(["db.test".to_owned()]).unwrap();
    let key = rustls::pki_types::PrivateKeyDer::Pkcs8(own.signing_key.serialize_der().into());
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![own.cert.der().clone()], key)
        .unwrap();
    let config = Arc::new(config);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let (told, hear) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        for (at, stream) in listener.incoming().enumerate() {
            let mut stream = stream.unwrap();
            let body = format!("SFATAL\0VFATAL\0C28000\0Mrefused {at}\0R{routine}\0\0");
            let error = [&b"E"[..], &u32::try_from(body.len() + 4).unwrap().to_be_bytes(), body.as_bytes()].concat();
            if packet(&mut stream) == 80_877_103_u32.to_be_bytes() {
                stream.write_all(b"S").unwrap();
                let mut session = rustls::ServerConnection::new(Arc::clone(&config)).unwrap();
                let mut stream = rustls::Stream::new(&mut session, &mut stream);
                stream.read_exact(&mut [0; 4]).unwrap();
                stream.write_all(&error).unwrap();
                told.send(()).unwrap();
                let _ = stream.read(&mut [0; 1024]);
            } else {
                told.send(()).unwrap();
                if at == 1 && routine == "ClientAuthentication" {
                    std::thread::sleep(Duration::from_secs(3));
                }
                let _ = stream.write_all(&error);
            }
        }
    });
    let target = parse(&format!("postgres://app:hunter2@127.0.0.1:{port}/shop"));
    let (outcome, _) = probe(&target, Duration::from_secs(1)).await;
    (hear.try_iter().count(), outcome.unwrap_err().text().to_owned())
}

#[tokio::test]
async fn only_access_rules_lead_to_the_other_encryption() {
    for routine in ["auth_failed", "InitializeSessionUserId"] {
        let (count, text) = tries(routine).await;
        assert_eq!(count, 1, "{routine}: {text}");
        assert!(text.contains("refused 0"), "{text}");
    }
    // The second way is cut off, and the first one's reason is still there, before it.
    let (count, text) = tries("ClientAuthentication").await;
    assert_eq!(count, 2, "{text}");
    let first = text.find("refused 0").unwrap();
    assert!(text[first..].contains("; without TLS: ") && text.contains("no complete answer came"), "{text}");
}
