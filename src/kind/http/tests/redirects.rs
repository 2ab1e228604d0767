//! Which redirects waitgate follows, and what it sends to the next URL.

use super::*;

#[tokio::test]
async fn redirects_are_followed_on_the_same_host_only() {
    let server = Server::start(|seen| match seen.head.split(' ').nth(1) {
        Some("/") => "HTTP/1.1 301 Moved\r\nLocation: next?token=hunter2\r\n\r\n".into(),
        Some("/next?token=hunter2") => ok("200 OK"),
        Some("/loop") => "HTTP/1.1 302 Found\r\nLocation: /loop\r\n\r\n".into(),
        Some("/away") => "HTTP/1.1 302 Found\r\nLocation: https://login.example.org/?hunter2\r\n\r\n".into(),
        Some("/ftp") => "HTTP/1.1 302 Found\r\nLocation: ftp://127.0.0.1/\r\n\r\n".into(),
        Some("/odd") => "HTTP/1.1 302 Found\r\nLocation: http://[\r\n\r\n".into(),
        _ => ok("404 Not Found"),
    });
    let ready = probe(&server.url("/")).await.unwrap();
    assert_eq!(ready.note.unwrap(), format!("200 OK from {} after 1 redirect", server.address));
    let ready = probe(&server.url("/away")).await.unwrap();
    assert!(ready.note.unwrap().ends_with("which redirects to another host, login.example.org"));
    for (expected, says) in [("status=200", "#status does not list it"), ("body=x", "no body to look at")] {
        let reason = probe(&server.url(&format!("/away#{expected}"))).await.unwrap_err();
        assert_eq!(reason.code(), Code::ExpectRedirect);
        assert!(reason.text().contains("login.example.org") && reason.text().contains(says), "{}", reason.text());
    }
    let before = server.seen().len();
    let reason = probe(&server.url("/loop")).await.unwrap_err();
    assert_eq!(reason.code(), Code::ExpectRedirect);
    assert!(reason.text().starts_with("more than 10 redirects, the last one on 127.0.0.1:"), "{}", reason.text());
    assert_eq!(server.seen().len() - before, 11);
    for (path, says) in [("/ftp", "not http: or https:"), ("/odd", "not a URL")] {
        let reason = probe(&server.url(path)).await.unwrap_err();
        assert!(reason.code() == Code::ExpectRedirect && reason.text().contains(says), "{}", reason.text());
    }
}

#[tokio::test]
async fn a_redirect_without_a_location_is_a_status_like_any_other() {
    for answer in ["HTTP/1.1 302 x\r\n\r\n", "HTTP/1.1 307 x\r\nLocation:\r\n\r\n", "HTTP/1.1 304 x\r\n\r\n"] {
        let server = Server::always(answer);
        let status = answer[9..12].to_owned();
        let ready = probe(&server.url("/")).await.unwrap();
        assert!(ready.note.unwrap().starts_with(&status));
        assert!(probe(&server.url(&format!("/#status=200,{status}"))).await.is_ok());
        let reason = probe(&server.url("/#status=200")).await.unwrap_err();
        assert_eq!(reason.code(), Code::ExpectStatus, "{}", reason.text());
        assert_eq!(probe(&server.url("/#body=x")).await.unwrap_err().code(), Code::ExpectBody);
    }
    let listed = Server::always("HTTP/1.1 302 x\r\nLocation: http://login.invalid/\r\n\r\n");
    assert!(probe(&listed.url("/#status=300-399")).await.is_ok());
}

/// Everything that a target can give.
pub(super) const GIVEN: &str = "#header=Cookie:hunter2#header=Host:hunter2#header=X-Api-Key:hunter2#header=User-Agent:hunter2#header=Content-Type:hunter2/x";

/// What another origin may see: what waitgate sends by itself.
pub(super) fn assert_bare(seen: &Seen) {
    let mut names: Vec<&str> = seen.head.lines().skip(1).filter_map(|line| Some(line.split_once(": ")?.0)).collect();
    names.sort_unstable();
    assert_eq!(names, ["accept", "accept-encoding", "connection", "host", "user-agent"], "{}", seen.head);
    assert!(!seen.head.contains("hunter2") && !seen.head.contains("Basic"), "{}", seen.head);
    assert!(seen.head.starts_with("GET /x HTTP/1.1\r\n") && seen.body.is_empty(), "{seen:?}");
}

#[tokio::test]
async fn another_port_of_the_host_gets_nothing_of_the_target() {
    for status in ["301", "302", "303", "307", "308"] {
        let other = Server::always(&ok("200 OK"));
        let server = Server::always(&format!("HTTP/1.1 {status} x\r\nLocation: {}\r\n\r\n", other.url("/x")));
        let url = server.url(&format!("/{GIVEN}")).replace("http://", "http://hunter2:hunter2@");
        probe(&url).await.unwrap();
        assert_eq!(server.seen()[0].header("x-api-key"), ["hunter2"]);
        assert_bare(&other.seen()[0]);
        let outcome = probe(&format!("{url}#data=hunter2")).await;
        if status < "304" {
            outcome.unwrap();
            assert_bare(&other.seen()[1]);
        } else {
            let reason = outcome.unwrap_err();
            assert_eq!(reason.code(), Code::ExpectRedirect);
            assert!(reason.text().ends_with("waitgate sends no data to another origin"), "{}", reason.text());
            assert_eq!(other.seen().len(), 1);
        }
    }
}

#[tokio::test]
async fn what_was_dropped_stays_dropped() {
    // The port of `other` is known only after `server` has started.
    let there = Arc::new(Mutex::new(String::new()));
    let to = Arc::clone(&there);
    let server = Server::start(move |seen| match seen.head.split(' ').nth(1) {
        Some("/") => format!("HTTP/1.1 302 x\r\nLocation: {}\r\n\r\n", to.lock().unwrap()),
        _ => ok("200 OK"),
    });
    let other = Server::always(&format!("HTTP/1.1 302 x\r\nLocation: {}\r\n\r\n", server.url("/x")));
    *there.lock().unwrap() = other.url("/x");
    probe(&server.url(&format!("/{GIVEN}"))).await.unwrap();
    assert_bare(&other.seen()[0]);
    assert_bare(&server.seen()[1]);
}

#[tokio::test]
async fn the_same_origin_keeps_everything() {
    let server = Server::start(|seen| match seen.head.split(' ').nth(1) {
        Some("/") => "HTTP/1.1 307 x\r\nLocation: /x\r\n\r\n".into(),
        _ => ok("200 OK"),
    });
    let url = server.url(&format!("/{GIVEN}#data=a")).replace("http://", "http://u:p@");
    probe(&url).await.unwrap();
    let seen = server.seen();
    let with_path = |seen: &Seen| (seen.head.replace(" /x ", " / "), seen.body.clone());
    assert_eq!(with_path(&seen[0]), with_path(&seen[1]));
    assert_eq!(seen[1].header("authorization"), ["Basic dTpw"]);
}

#[tokio::test]
async fn a_failure_after_a_redirect_says_where_it_was() {
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let refused = Server::always(&format!("HTTP/1.1 302 x\r\nLocation: http://{closed}/\r\n\r\n"));
    let reason = probe(&refused.url("/")).await.unwrap_err();
    assert_eq!(reason.text(), format!("after a redirect to {closed}: refused by {closed}"));
    let missing = Server::always(&ok("404 Not Found"));
    let server = Server::always(&format!("HTTP/1.1 302 x\r\nLocation: {}\r\n\r\n", missing.url("/")));
    let reason = probe(&server.url("/")).await.unwrap_err();
    assert_eq!(reason.text(), format!("after a redirect to {0}: 404 Not Found from {0}", missing.address));
}

/// The gate cuts an attempt off, so the reason comes from the attempt: in each stage it says where it was.
#[tokio::test]
async fn an_attempt_that_is_cut_off_after_a_redirect_says_where_it_was() {
    let cut_off = async |to: &str| {
        let server = Server::always(&format!("HTTP/1.1 302 x\r\nLocation: {to}\r\n\r\n"));
        let bounds = Bounds { attempt: Duration::from_millis(700), connect: Duration::from_secs(5) };
        let http = parse(&server.url("/#body=x"));
        let attempt = Attempt::new(bounds, false);
        let outcome = tokio::time::timeout(bounds.attempt, http.probe(&net(), &attempt)).await;
        assert!(outcome.is_err(), "{to}: {outcome:?}");
        attempt.cut_off()
    };
    // A queue of one connection that is full: the kernel drops the next SYN.
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let full = socket.listen(1).unwrap();
    let at = full.local_addr().unwrap();
    let connect = || TcpStream::connect_timeout(&at, Duration::from_millis(200));
    let _queued: Vec<TcpStream> = std::iter::from_fn(|| connect().ok()).take(8).collect();
    let reason = cut_off(&format!("http://{at}/")).await;
    assert_eq!(reason.code(), Code::ConnectTimeout);
    assert_eq!(
        reason.text(),
        format!("after a redirect to {at}: no answer to the connection attempt from {at} within 700ms")
    );
    let silent = raw(|mut connection| while !matches!(connection.read(&mut [0; 512]), Ok(0) | Err(_)) {});
    let reason = cut_off(&format!("http://{silent}/")).await;
    assert_eq!(reason.code(), Code::ProtocolTimeout);
    assert!(
        reason.text().starts_with(&format!("after a redirect to {silent}: {silent} accepted")),
        "{}",
        reason.text()
    );
    assert_eq!(reason.text().matches("after a redirect").count(), 1, "{}", reason.text());
    let slow = raw(|mut connection| {
        let _ = connection.read(&mut [0; 512]);
        let _ = connection.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nab");
        while !matches!(connection.read(&mut [0; 512]), Ok(0) | Err(_)) {}
    });
    let reason = cut_off(&format!("http://{slow}/")).await;
    assert_eq!(reason.code(), Code::ExpectTimeout);
    assert_eq!(
        reason.text(),
        format!("after a redirect to {slow}: the body of 200 OK from {slow} did not end within 700ms")
    );
    #[cfg(feature = "tls")]
    {
        let reason = cut_off(&format!("https://{silent}/")).await;
        assert_eq!(reason.code(), Code::TlsTimeout);
        assert!(reason.text().starts_with(&format!("after a redirect to {silent}: {silent} accepted")));
    }
}

#[tokio::test]
async fn a_redirected_post_becomes_a_get_and_loses_its_body() {
    let server = Server::start(|seen| match seen.head.split(' ').nth(1) {
        Some("/303") => "HTTP/1.1 303 x\r\nLocation: /next\r\n\r\n".into(),
        Some("/307") => "HTTP/1.1 307 x\r\nLocation: /next\r\n\r\n".into(),
        _ => ok("200 OK"),
    });
    probe(&server.url("/303#data=a")).await.unwrap();
    probe(&server.url("/307#data=a")).await.unwrap();
    let seen = server.seen();
    assert!(seen[1].head.starts_with("GET /next") && seen[1].header("content-type").is_empty());
    assert!(seen[3].head.starts_with("POST /next") && seen[3].body == "a");
}

#[tokio::test]
async fn another_host_gets_nothing_of_the_target() {
    let other = Server::start_at("127.0.0.2:0", |_| ok("204 No Content"));
    let server = Server::always(&format!("HTTP/1.1 302 x\r\nLocation: {}\r\n\r\n", other.url("/x")));
    let url = server.url(&format!("/#follow{GIVEN}")).replace("http://", "http://u:hunter2@");
    let ready = probe(&url).await.unwrap();
    assert_eq!(ready.note.unwrap(), format!("204 No Content from {} after 1 redirect", other.address));
    assert_bare(&other.seen()[0]);
    let reason = probe(&server.url("/#body=x")).await.unwrap_err();
    assert_eq!(reason.code(), Code::ExpectRedirect);
}
