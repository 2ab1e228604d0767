//! Expectations of bodies, with odd and endless bodies.

use super::*;

#[tokio::test]
async fn a_body_must_meet_all_expectations() {
    let body = r#"{"status":"UP","db":{"ok":true},"n":[1,2]}"#;
    let server = Server::always(&format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len()));
    let all = "/#body=\"UP\"#match=\"n\":.1,#json=/status=UP#json=/db/ok=true#json=/n/1=2#json=/db";
    probe(&server.url(all)).await.unwrap();
    let address = server.address;
    for (expectation, says) in [
        ("#body=DOWN", "does not hold the text of #body".to_owned()),
        ("#match=^UP", "has nothing that #match matches".to_owned()),
        ("#json=/status=DOWN", "has \"UP\" at /status".to_owned()),
        ("#json=/nope", "has nothing at /nope".to_owned()),
    ] {
        let reason = probe(&server.url(&format!("/{expectation}"))).await.unwrap_err();
        assert_eq!(reason.code(), Code::ExpectBody);
        assert_eq!(reason.text(), format!("the body of 200 OK from {address} {says}"));
    }
    let status = Server::always(&format!("HTTP/1.1 503 x\r\n\r\n{body}"));
    assert_eq!(probe(&status.url("/#json=/status=UP")).await.unwrap_err().code(), Code::ExpectStatus);
    assert!(probe(&status.url("/#json=/status=UP#status=503")).await.is_ok());
}

#[tokio::test]
async fn odd_bodies_are_named_in_the_reason() {
    let chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nre\r\n3\r\nady\r\n0\r\nX: 1\r\n\r\n";
    assert!(probe(&Server::always(chunked).url("/#body=ready#match=^ready$")).await.is_ok());
    let gzip = "HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n\r\nready";
    for (answer, says) in [
        (gzip, "is compressed"),
        ("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nnot", "was cut short"),
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nno\r\n", "was cut short"),
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxx\r\nno\r\n", "in the chunks of HTTP/1.1"),
    ] {
        let reason = probe(&Server::always(answer).url("/#body=ready")).await.unwrap_err();
        assert!(reason.code() == Code::ExpectBody && reason.text().contains(says), "{}", reason.text());
    }
    assert!(probe(&Server::always(gzip).url("/")).await.is_ok());
    for plain in ["identity", "IDENTITY", ""] {
        let answer = format!("HTTP/1.1 200 OK\r\nContent-Encoding: {plain}\r\n\r\nready");
        assert!(probe(&Server::always(&answer).url("/#body=ready")).await.is_ok(), "{plain}");
    }
    let line = Server::always("HTTP/1.1 200 OK\r\n\r\nyellow\n");
    assert!(probe(&line.url("/#match=^(yellow|green)$")).await.is_ok());
    let nodes = Server::always("HTTP/1.1 200 OK\r\n\r\n{\"nodes\":3,\"status\":\"yellow\"}");
    assert!(probe(&nodes.url("/#json=/nodes>=3#json=/status=yellow,green#json=/nodes")).await.is_ok());
    assert_eq!(probe(&nodes.url("/#json=/nodes>3")).await.unwrap_err().code(), Code::ExpectBody);
    assert!(invalid("http://h/#json=/n>=x").contains("comes a number"));
    let continued = "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nready";
    assert!(probe(&Server::always(continued).url("/#body=ready#data=x")).await.is_ok());
}

#[tokio::test]
async fn endless_bodies_are_cut_off() {
    let endless = |piece: &'static [u8]| {
        raw(move |mut connection| {
            let _ = connection.read(&mut [0; 512]);
            let _ = connection.write_all(b"HTTP/1.1 200 OK\r\n\r\n");
            while connection.write_all(piece).is_ok() {}
        })
    };
    for (piece, expectation, code) in [
        (&b"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"[..], "#body=b", Code::ExpectBody),
        (b"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", "#match=b$", Code::ExpectBody),
        (b"[1,[1,[1,[1,[1,[1,[1,[1,[1,[1,[1", "#json=/0=2", Code::ProtocolTooLarge),
    ] {
        let reason = probe(&format!("http://{}/{expectation}", endless(piece))).await.unwrap_err();
        assert_eq!(reason.code(), code, "{expectation}: {}", reason.text());
    }
    let found = endless(b"not ready\n");
    probe(&format!("http://{found}/#body=ready")).await.unwrap();
    let slow = raw(|mut connection| {
        let _ = connection.read(&mut [0; 512]);
        let _ = connection.write_all(b"HTTP/1.1 200 OK\r\n\r\n");
        while connection.write_all(b"a").is_ok() {
            thread::sleep(Duration::from_millis(50));
        }
    });
    let http = parse(&format!("http://{slow}/#body=b"));
    let attempt = Attempt::new(Bounds { attempt: Duration::from_millis(300), connect: BOUNDS.connect }, false);
    let net = net();
    let outcome = tokio::time::timeout(Duration::from_millis(300), http.probe(&net, &attempt)).await;
    assert!(outcome.is_err(), "{outcome:?}");
    let reason = attempt.cut_off();
    assert_eq!(reason.code(), Code::ExpectTimeout);
    assert!(reason.text().starts_with(&format!("the body of 200 OK from {slow} did not end")));
}
