//! Which redirects waitgate follows, and what it sends to the next URL.

use super::*;

#[tokio::test]
async fn redirects_are_followed_on_the_same_host_only() {
    let server = Server::start(|seen| match seen.head.split(' ').nth(1) {
        Some("/") => "HTTP/1.1 301 Moved\r\nLocation: next?token=hunter2\r\n\r\n".into(),
        Some("/next?token=hunter2") => ok("200 OK"),
        Some("/loop") => "HTTP/1.1 302 Found\r\nLocation: /loop\r\n\r\n".into(),
        Some("/away") => "HTTP/1.1 302 Found\r\nLocation: https://login.example.org/?hunter2\r\n\r\n".into(),
        Some("/nowhere") => "HTTP/1.1 302 Found\r\n\r\n".into(),
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
    for (path, says) in [("/nowhere", "does not say where to"), ("/ftp", "not http: or https:"), ("/odd", "not a URL")]
    {
        let reason = probe(&server.url(path)).await.unwrap_err();
        assert!(reason.code() == Code::ExpectRedirect && reason.text().contains(says), "{}", reason.text());
    }
}

#[tokio::test]
async fn a_redirect_to_another_port_of_the_host_is_followed() {
    let target = Server::always(&ok("200 OK"));
    let location = format!("HTTP/1.1 307 x\r\nLocation: {}\r\n\r\n", target.url("/x"));
    let server = Server::always(&location);
    assert!(probe(&server.url("/#data=a")).await.is_ok());
    assert_eq!(target.seen()[0].body, "a");
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
async fn credentials_and_host_headers_are_not_sent_to_another_host() {
    let other = Server::start_at("127.0.0.2:0", |_| ok("204 No Content"));
    let location = format!("HTTP/1.1 302 x\r\nLocation: {}\r\n\r\n", other.url("/next"));
    let server = Server::always(&location);
    let url = server.url("/#follow#header=Cookie:c#header=Host:h#header=X-A:1").replace("http://", "http://u:p@");
    let ready = probe(&url).await.unwrap();
    assert_eq!(ready.note.unwrap(), format!("204 No Content from {} after 1 redirect", other.address));
    let seen = &other.seen()[0];
    assert!(seen.header("authorization").is_empty() && seen.header("cookie").is_empty());
    assert_eq!((seen.header("host"), seen.header("x-a")), (vec![other.address.to_string().as_str()], vec!["1"]));
    assert!(!server.seen()[0].header("authorization").is_empty());
    let reason = probe(&server.url("/#body=x")).await.unwrap_err();
    assert_eq!(reason.code(), Code::ExpectRedirect);
}
