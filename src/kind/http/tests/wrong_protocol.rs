//! No server, or a server of another protocol, in the place of a web server.

use super::*;
use crate::kind::instead;
use crate::net::sniff::Protocol;

#[tokio::test]
async fn after_a_refused_connection_the_next_address_is_tried_at_once() {
    let server = Server::always(&ok("200 OK"));
    let closed = SocketAddr::from(([127, 0, 0, 3], server.address.port()));
    let http = parse("http://several/");
    let attempt = attempt();
    ask(&http, vec![closed, server.address], &attempt).await.unwrap();
    assert!(attempt.started().elapsed() < Duration::from_millis(200));
    let reason = ask(&http, vec![closed, closed], &attempt).await.unwrap_err();
    assert_eq!(reason.code(), Code::ConnectRefused);
}

#[tokio::test]
async fn a_refused_connection_names_the_address() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let reason = probe(&format!("http://{address}/?token=hunter2")).await.unwrap_err();
    assert_eq!(reason.text(), format!("refused by {address}"));
    assert_eq!((reason.code(), reason.hint()), (Code::ConnectRefused, Some(Hint::NothingListens)));
}

#[tokio::test]
async fn a_silent_server_is_named_in_the_reason() {
    let address = raw(|_connection| thread::sleep(Duration::from_secs(30)));
    let http = parse(&format!("http://{address}/"));
    let attempt = Attempt::new(Bounds { attempt: Duration::from_millis(200), connect: BOUNDS.connect }, false);
    let net = net();
    assert!(tokio::time::timeout(Duration::from_millis(200), http.probe(&net, &attempt)).await.is_err());
    assert!(attempt.accepted());
    let reason = attempt.cut_off();
    assert_eq!(reason.code(), Code::ProtocolTimeout);
    assert!(
        reason
            .text()
            .starts_with(&format!("{address} accepted the connection and the request, and no complete answer came"))
    );
}

#[tokio::test]
async fn another_protocol_is_named_in_the_reason() {
    let said = |bytes: &'static [u8]| {
        raw(move |mut connection| {
            let _ = connection.write_all(bytes);
            let _ = connection.read(&mut [0; 512]);
        })
    };
    let answered = |bytes: &'static [u8]| {
        raw(move |mut connection| {
            let _ = connection.read(&mut [0; 512]);
            let _ = connection.write_all(bytes);
        })
    };
    let mysql = Hint::UseKind(if cfg!(feature = "mysql") { "mysql" } else { "tcp" });
    for (address, protocol, hint) in [
        (said(b"SSH-2.0-OpenSSH_9.2\r\n"), "SSH", Hint::UseKind("tcp")),
        (said(b"220 mail.example.org ESMTP\r\n"), "SMTP", Hint::UseKind("tcp")),
        (said(b"\x4a\0\0\0\x0a8.0.36\0"), "MySQL", mysql),
        (answered(b"-ERR wrong number of arguments for 'get' command\r\n"), "Redis", instead(Some(Protocol::Redis))),
    ] {
        let reason = probe(&format!("http://{address}/")).await.unwrap_err();
        assert_eq!((reason.code(), reason.hint()), (Code::ProtocolOther, Some(hint)), "{}", reason.text());
        assert!(reason.text().starts_with(&format!("{address} answered in {protocol}")), "{}", reason.text());
    }
    let http2 = answered(b"\0\0\x06\x04\0\0\0\0\0\0\x05\0\0\x40\0");
    let reason = probe(&format!("http://{http2}/")).await.unwrap_err();
    assert_eq!((reason.code(), reason.hint()), (Code::ProtocolOther, Some(instead(Some(Protocol::Http2)))));
    assert!(reason.text().starts_with(&format!("{http2} speaks HTTP/2 only")), "{}", reason.text());
    let tls = answered(&[0x15, 3, 1, 0, 2, 2, 70]);
    let reason = probe(&format!("http://{tls}/")).await.unwrap_err();
    assert_eq!((reason.code(), reason.hint()), (Code::ProtocolTlsWanted, Some(Hint::UseKind("https"))));
    let garbage = answered(b"\x1b[2Jwhat?\r\n");
    let reason = probe(&format!("http://{garbage}/")).await.unwrap_err();
    assert_eq!(reason.text(), format!("{garbage} answered, but not in HTTP"));
    let broken = answered(b"HTTP/1.1 2OO OK\r\n\r\n");
    let reason = probe(&format!("http://{broken}/")).await.unwrap_err();
    assert!(reason.text().starts_with(&format!("{broken} sent an HTTP answer that is not valid: its status")));
    let nginx = Server::always(
        "HTTP/1.1 400 Bad Request\r\n\r\n<center>The plain HTTP request was sent to HTTPS port</center>",
    );
    let reason = probe(&nginx.url("/")).await.unwrap_err();
    assert_eq!((reason.code(), reason.hint()), (Code::ProtocolTlsWanted, Some(Hint::UseKind("https"))));
}

#[tokio::test]
async fn a_server_that_closes_is_asked_again_for_its_protocol() {
    let postgres = raw(|mut connection| {
        let mut first = [0; 8];
        if connection.read_exact(&mut first).is_ok() && first == [0, 0, 0, 8, 4, 0xd2, 0x16, 0x2f] {
            let _ = connection.write_all(b"N");
        }
    });
    let reason = probe(&format!("http://{postgres}/")).await.unwrap_err();
    assert_eq!((reason.code(), reason.hint()), (Code::ProtocolOther, Some(instead(Some(Protocol::PostgreSql)))));
    #[cfg(feature = "tls")]
    {
        let reason = probe(&format!("https://{postgres}/")).await.unwrap_err();
        assert_eq!((reason.code(), reason.hint()), (Code::TlsNotTls, Some(instead(Some(Protocol::PostgreSql)))));
    }
    // Redis 7.0.15: "Possible SECURITY ATTACK detected", and an error for the same without Host.
    let redis = raw(|mut connection| {
        let mut request = [0; 512];
        let read = connection.read(&mut request).unwrap_or(0);
        if !String::from_utf8_lossy(&request[..read]).to_lowercase().contains("host:") {
            let _ = connection.write_all(b"-ERR wrong number of arguments for 'get' command\r\n");
        }
    });
    let reason = probe(&format!("http://{redis}/")).await.unwrap_err();
    assert_eq!((reason.code(), reason.hint()), (Code::ProtocolOther, Some(instead(Some(Protocol::Redis)))));
    assert!(reason.text().contains("answered in Redis, not in HTTP"));
    for script in [
        Box::new(|_: TcpStream| ()) as Box<dyn Fn(TcpStream) + Send + Sync>,
        Box::new(|mut connection: TcpStream| drop(connection.read(&mut [0; 512]))),
        Box::new(|mut connection: TcpStream| {
            let _ = connection.read(&mut [0; 512]);
            let _ = connection.write_all(b"HTTP/1.1 200 OK\r\nContent-Le");
        }),
    ] {
        let closes = raw(script);
        let reason = probe(&format!("http://{closes}/")).await.unwrap_err();
        assert_eq!((reason.code(), reason.stage()), (Code::ProtocolClosed, Stage::Protocol), "{}", reason.text());
    }
}

#[tokio::test]
async fn a_tls_server_that_closes_without_an_alert_is_recognised() {
    // OpenSSL closes after a plain request. It answers a ClientHello with a ServerHello.
    let openssl = raw(|mut connection| {
        let mut first = [0; 512];
        if matches!(connection.read(&mut first), Ok(1..)) && first[..2] == [0x16, 3] {
            let _ = connection.write_all(&[0x16, 3, 3, 0, 0x7a, 2]);
        }
    });
    let reason = probe(&format!("http://{openssl}/")).await.unwrap_err();
    assert_eq!(reason.code(), Code::ProtocolTlsWanted, "{}", reason.text());
    let silent = raw(|mut connection| drop(connection.read(&mut [0; 512])));
    let reason = probe(&format!("http://{silent}/")).await.unwrap_err();
    assert_eq!(
        (reason.code(), reason.hint()),
        (Code::ProtocolClosed, Some(Hint::ClosedUnanswered)),
        "{}",
        reason.text()
    );
}

#[tokio::test]
async fn a_mistake_in_an_answer_is_named() {
    for (answer, says) in [
        ("HTTP/2.0 200 OK\r\n\r\n", ": its version is neither HTTP/1.1 nor HTTP/1.0"),
        ("HTTP/1.1 2x0 OK\r\n\r\n", ": its status is not a number of three digits"),
        ("HTTP/1.1 200 OK\r\nX-A : 1\r\n\r\n", ": one of its headers breaks the rules (RFC 9112 section 5)"),
        ("HTTP/1.1 200 OK\r\nX: a\r\n folded\r\n\r\n", ": one of its headers breaks the rules (RFC 9112 section 5)"),
        ("HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n", ": its Content-Length is not one number"),
        (
            "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            ": it has a Transfer-Encoding, which HTTP/1.0 does not have",
        ),
    ] {
        let server = Server::always(answer);
        let reason = probe(&server.url("/")).await.unwrap_err();
        assert_eq!(reason.code(), Code::ProtocolOther, "{}", reason.text());
        assert_eq!(reason.text(), format!("{} sent an HTTP answer that is not valid{says}", server.address));
    }
    let hasty = raw(|mut connection| {
        let _ = connection.write_all(ok("200 OK").as_bytes());
        let _ = connection.read(&mut [0; 512]);
    });
    // It depends on the moment whether the answer comes before the request.
    if let Err(reason) = probe(&format!("http://{hasty}/")).await {
        assert!(reason.text().ends_with("sent an HTTP answer that is not valid: it came before the request"));
    }
}
