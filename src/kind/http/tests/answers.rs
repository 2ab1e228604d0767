//! Which statuses are ready, and how much of an answer waitgate reads.

use super::*;

#[tokio::test]
async fn status_200_to_399_is_ready() {
    for status in ["200 OK", "204 No Content", "299 Odd", "300 Multiple Choices", "304 Not Modified", "399 Odd"] {
        let answer = if status.starts_with("204") { format!("HTTP/1.1 {status}\r\n\r\n") } else { ok(status) };
        let server = Server::always(&answer);
        let ready = probe(&server.url("/")).await.unwrap_or_else(|reason| panic!("{status}: {reason:?}"));
        assert!(ready.note.unwrap().ends_with(&format!("from {}", server.address)));
    }
    for (status, cost) in
        [("404 x", Cost::Work), ("500 x", Cost::Work), ("401 x", Cost::Credentials), ("403 x", Cost::Credentials)]
    {
        let server = Server::always(&ok(status));
        let reason = probe(&server.url("/?token=hunter2")).await.unwrap_err();
        assert_eq!((reason.code(), reason.cost()), (Code::ExpectStatus, cost), "{status}");
        assert!(!reason.text().contains("hunter2") && !reason.text().contains('x'), "{}", reason.text());
    }
    let server = Server::always(&ok("503 Service Unavailable"));
    let reason = probe(&server.url("/")).await.unwrap_err();
    assert_eq!(reason.text(), format!("503 Service Unavailable from {}", server.address));
}

#[tokio::test]
async fn only_a_listed_status_is_ready() {
    let not_found = Server::always(&ok("404 Not Found"));
    assert!(probe(&not_found.url("/#status=404,410")).await.is_ok());
    let reason = probe(&not_found.url("/#status=200-299")).await.unwrap_err();
    assert!(reason.text().starts_with("404 Not Found from"));
    let denied = Server::always(&ok("401 Unauthorized"));
    assert!(probe(&denied.url("/#status=401")).await.is_ok());
    let moved = Server::always("HTTP/1.1 302 Found\r\nLocation: /next\r\n\r\n");
    assert!(probe(&moved.url("/#status=300-399")).await.is_ok());
    assert_eq!(moved.seen().len(), 1);
    assert_eq!(probe(&moved.url("/#status=200,301")).await.unwrap_err().code(), Code::ExpectStatus);
    let old = Server::always("HTTP/1.0 200 OK\r\n\r\n");
    assert!(probe(&old.url("/")).await.is_ok());
}

#[tokio::test]
async fn endless_headers_are_cut_off() {
    let many = raw(|mut connection| {
        let _ = connection.read(&mut [0; 512]);
        let _ = connection.write_all(b"HTTP/1.1 200 OK\r\n");
        while connection.write_all(b"X: 1\r\n").is_ok() {}
    });
    let long = raw(|mut connection| {
        let _ = connection.read(&mut [0; 512]);
        let _ = connection.write_all(b"HTTP/1.1 200 OK\r\nX: ");
        while connection.write_all(&[b'a'; 4096]).is_ok() {}
    });
    for address in [many, long] {
        let reason = probe(&format!("http://{address}/")).await.unwrap_err();
        assert_eq!(reason.code(), Code::ProtocolTooLarge, "{}", reason.text());
    }
}

#[tokio::test]
async fn a_body_without_expectations_is_not_read() {
    let endless = raw(|mut connection| {
        let _ = connection.read(&mut [0; 512]);
        let _ = connection.write_all(b"HTTP/1.1 200 OK\r\n\r\n");
        while connection.write_all(&[b'a'; 4096]).is_ok() {}
    });
    let attempt = attempt();
    parse(&format!("http://{endless}/")).probe(&net(), &attempt).await.unwrap();
    assert!(attempt.started().elapsed() < Duration::from_millis(500));
}

#[tokio::test]
async fn only_a_refused_connection_is_gone() {
    let server = Server::always(&ok("500 x"));
    assert_eq!(probe(&server.url("/#gone")).await.unwrap_err().code(), Code::ExpectGone);
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    assert_eq!(probe(&format!("http://{closed}/#gone")).await.unwrap().note.unwrap(), format!("refused by {closed}"));
}

#[tokio::test]
async fn a_header_of_the_answer_may_be_expected() {
    let server =
        Server::always("HTTP/1.1 200 OK\r\nServer: MinIO\r\nX-A: 1\r\nX-A:  2 \r\nSet-Cookie: hunter2\r\n\r\n");
    for good in ["server", "Server:MinIO", "x-a:2", "X-A: 1#answer-header=server", "set-cookie"] {
        probe(&server.url(&format!("/#answer-header={good}"))).await.unwrap();
    }
    for (bad, says) in [
        ("x-b", "has no header x-b"),
        ("Server:minio", "has another value in its header server"),
        ("x-a:1, 2", "has another value in its header x-a"),
        ("set-cookie:x", "has another value in its header set-cookie"),
        ("server#answer-header=x-b", "has no header x-b"),
    ] {
        let reason = probe(&server.url(&format!("/#answer-header={bad}"))).await.unwrap_err();
        assert_eq!(reason.code(), Code::ExpectHeader);
        assert_eq!(reason.text(), format!("200 OK from {} {says}", server.address));
    }
    let away = Server::always("HTTP/1.1 302 x\r\nLocation: http://other.example/\r\nServer: MinIO\r\n\r\n");
    let reason = probe(&away.url("/#answer-header=server")).await.unwrap_err();
    assert_eq!(reason.code(), Code::ExpectRedirect);
    assert!(invalid("http://h/#answer-header=").contains("expected NAME"));
}

#[tokio::test]
async fn a_status_may_have_any_three_digits() {
    let odd = Server::always("HTTP/1.1 999 x\r\n\r\n");
    assert!(probe(&odd.url("/#status=600-999")).await.is_ok());
    assert_eq!(probe(&odd.url("/")).await.unwrap_err().code(), Code::ExpectStatus);
}
