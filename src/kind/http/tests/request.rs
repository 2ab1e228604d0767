//! What waitgate sends, how often, and over which proxy.

use super::*;

#[tokio::test]
async fn the_request_has_the_method_headers_and_data_of_the_target() {
    let server = Server::always(&ok("200 OK"));
    probe(&server.url("/p?q=1")).await.unwrap();
    probe(&server.url("/#header=Host:api.example.org#header=X-A: 1#header=X-A:2#header=User-Agent:me")).await.unwrap();
    probe(&server.url("/#method=HEAD")).await.unwrap();
    for _ in 0..2 {
        probe(&server.url("/#data={\"a\":1}")).await.unwrap();
    }
    probe(&server.url("/#data=a=1#method=PUT")).await.unwrap();
    probe(&server.url("/#data=[1]#header=content-type:text/plain")).await.unwrap();
    probe(&server.url("/#data=")).await.unwrap();
    let with_login = server.url("/").replace("http://", "http://user:p%40ss@");
    probe(&with_login).await.unwrap();

    let seen = server.seen();
    let line = |at: usize| seen[at].head.lines().next().unwrap().to_owned();
    assert_eq!(line(0), "GET /p?q=1 HTTP/1.1");
    assert_eq!(seen[0].header("host"), [server.address.to_string()]);
    assert_eq!(seen[0].header("connection"), ["close"]);
    assert_eq!(seen[0].header("accept-encoding"), ["identity"]);
    assert_eq!(seen[0].header("user-agent"), [concat!("waitgate/", env!("CARGO_PKG_VERSION"))]);
    assert!(seen[0].header("referer").is_empty() && seen[0].header("authorization").is_empty());
    assert_eq!(seen[1].header("host"), ["api.example.org"]);
    assert_eq!(seen[1].header("x-a"), ["1", "2"]);
    assert_eq!(seen[1].header("user-agent"), ["me"]);
    assert_eq!(line(2), "HEAD / HTTP/1.1");
    for seen in &seen[3..5] {
        assert_eq!(seen.body, "{\"a\":1}");
        assert_eq!(seen.header("content-type"), ["application/json"]);
        assert!(seen.head.starts_with("POST "));
    }
    assert_eq!(line(5), "PUT / HTTP/1.1");
    assert_eq!(seen[5].header("content-type"), ["application/x-www-form-urlencoded"]);
    assert_eq!(seen[6].header("content-type"), ["text/plain"]);
    assert_eq!(seen[7].header("content-length"), ["0"]);
    assert_eq!(seen[8].header("authorization"), ["Basic dXNlcjpwQHNz"]);
}

#[tokio::test]
async fn a_post_is_sent_once_even_with_several_addresses() {
    let slow = Server::start(|_| {
        thread::sleep(Duration::from_millis(600));
        ok("200 OK")
    });
    let other = Server::start_at(&format!("127.0.0.2:{}", slow.address.port()), |_| ok("200 OK"));
    let http = parse("http://several/#data=a");
    let addresses = vec![slow.address, other.address];
    let ready = ask(&http, addresses, &attempt()).await.unwrap();
    assert_eq!(ready.note.unwrap(), format!("200 OK from {}", slow.address));
    assert_eq!((slow.seen().len(), other.seen().len()), (1, 0));
}

#[tokio::test]
async fn files_are_read_again_for_each_attempt() {
    let dir = tempfile::tempdir().unwrap();
    let (token, data) = (dir.path().join("token"), dir.path().join("data"));
    let server = Server::always(&ok("200 OK"));
    let env: Env = [("DIR", dir.path().to_str().unwrap()), ("AT", "@/etc/passwd")].into_iter().collect();
    let text = server.url("/#header=Authorization: @$(DIR)/token#data=@$(DIR)/data#header=X-At:$(AT)");
    let http = parse_with(&text, &env).unwrap();
    assert!(!format!("{http} {http:?}").contains("token"));
    let (net, attempt) = (net(), attempt());
    let reason = http.probe(&net, &attempt).await.unwrap_err();
    assert_eq!((reason.code(), reason.stage()), (Code::LocalFile, Stage::Local));
    assert!(reason.text().contains("#header=authorization:@"), "{}", reason.text());
    std::fs::write(&token, "Bearer one\r\n").unwrap();
    assert!(http.probe(&net, &attempt).await.unwrap_err().text().contains("#data=@"));
    std::fs::write(&data, "{}\n").unwrap();
    http.probe(&net, &attempt).await.unwrap();
    std::fs::write(&token, "Bearer two").unwrap();
    http.probe(&net, &attempt).await.unwrap();
    let seen = server.seen();
    assert_eq!(
        (seen[0].header("authorization"), seen[1].header("authorization")),
        (vec!["Bearer one"], vec!["Bearer two"])
    );
    assert_eq!((seen[0].body.as_str(), seen[0].header("content-type")), ("{}\n", vec!["application/json"]));
    assert_eq!(seen[0].header("x-at"), ["@/etc/passwd"]);
    for bad in ["", "\n", "hunter2\nX: y", "hunter2\0"] {
        std::fs::write(&token, bad).unwrap();
        let reason = http.probe(&net, &attempt).await.unwrap_err();
        assert!(reason.code() == Code::LocalFile && !reason.text().contains("hunter2"), "{}", reason.text());
    }
    std::fs::write(&token, vec![b'a'; 65 * 1024]).unwrap();
    assert!(http.probe(&net, &attempt).await.unwrap_err().text().contains("64 KiB"));
}

#[tokio::test]
async fn a_proxy_is_used_only_if_the_target_asks_for_one() {
    let proxy = Server::start(|seen| match seen.head.split(' ').nth(1) {
        Some("http://nowhere.invalid/x") => ok("200 OK"),
        Some("nowhere.invalid:443") => "HTTP/1.1 407 Proxy Authentication Required\r\n\r\n".into(),
        _ => ok("502 Bad Gateway"),
    });
    let direct = Server::always(&ok("200 OK"));
    let at = proxy.address.to_string();
    let env: Env = [
        ("HTTP_PROXY", format!("http://u:hunter2@{at}")),
        ("https_proxy", at),
        ("NO_PROXY", "direct,127.0.0.0/8".into()),
    ]
    .into_iter()
    .collect();
    let (net, attempt) = (net(), attempt());
    let http = |text: &str| parse_with(text, &env).unwrap();
    let ready = http("http://nowhere.invalid/x#proxy").probe(&net, &attempt).await.unwrap();
    assert_eq!(ready.note.unwrap(), format!("200 OK from {} (a proxy)", proxy.address));
    assert_eq!(proxy.seen()[0].header("proxy-authorization"), ["Basic dTpodW50ZXIy"]);
    assert_eq!(proxy.seen()[0].header("host"), ["nowhere.invalid"]);
    let reason = http("http://other.invalid/#proxy").probe(&net, &attempt).await.unwrap_err();
    assert_eq!(reason.text(), format!("502 Bad Gateway from {} (a proxy)", proxy.address));
    http(&direct.url("/")).probe(&net, &attempt).await.unwrap();
    http(&direct.url("/#proxy")).probe(&net, &attempt).await.unwrap();
    assert_eq!((proxy.seen().len(), direct.seen().len()), (2, 2));
    #[cfg(feature = "tls")]
    {
        let reason = http("https://nowhere.invalid/#proxy").probe(&net, &attempt).await.unwrap_err();
        assert_eq!((reason.code(), reason.cost()), (Code::ProtocolError, Cost::Credentials), "{}", reason.text());
        assert!(proxy.seen()[2].head.starts_with("CONNECT nowhere.invalid:443"));
        assert_eq!(proxy.seen().len(), 3, "a login that failed is not repeated");
        assert!(reason.text().ends_with("does not open a tunnel: it answers 407 Proxy Authentication Required"));
        let reason = http("https://other.invalid/#proxy").probe(&net, &attempt).await.unwrap_err();
        let says = format!("the proxy {} does not open a tunnel: it answers 502 Bad Gateway", proxy.address);
        assert_eq!(reason.text(), says);
    }
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let env: Env = [("ALL_PROXY", closed.to_string())].into_iter().collect();
    for kind in if cfg!(feature = "tls") { &["http", "https"][..] } else { &["http"] } {
        let http = parse_with(&format!("{kind}://other.invalid/#proxy"), &env).unwrap();
        let reason = http.probe(&net, &attempt).await.unwrap_err();
        assert_eq!(reason.code(), Code::ConnectRefused);
        assert_eq!(reason.text(), format!("the proxy {closed} cannot be reached: refused by {closed}"));
    }
    assert!(invalid("http://host/#proxy").contains("is set in the environment"));
}

/// Data that no server takes in one read, in a file, as a target.
fn long_data(folder: &tempfile::TempDir) -> String {
    let path = folder.path().join("data");
    std::fs::write(&path, "0123456789".repeat(6000)).unwrap();
    format!("#data=@{}", path.display())
}

/// A server that does not read all of the data resets the connection when it closes it.
#[tokio::test]
async fn an_answer_before_the_end_of_the_data_counts() {
    let folder = tempfile::tempdir().unwrap();
    let data = long_data(&folder);
    let early = |answer: &'static str| {
        raw(move |mut connection| {
            let _ = connection.read(&mut [0; 100]);
            let _ = connection.write_all(answer.as_bytes());
        })
    };
    let server = early("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello");
    let refusing = early("HTTP/1.1 401 x\r\nContent-Length: 0\r\n\r\n");
    // One byte of the body is missing.
    let short = early("HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nhello");
    for _ in 0..20 {
        probe(&format!("http://{server}/{data}#body=hello")).await.unwrap();
        let reason = probe(&format!("http://{refusing}/{data}")).await.unwrap_err();
        assert_eq!((reason.code(), reason.hint()), (Code::ExpectStatus, Some(Hint::Credentials)));
        let reason = probe(&format!("http://{short}/{data}#match=hello$")).await.unwrap_err();
        assert_eq!(reason.code(), Code::ExpectBody, "{}", reason.text());
    }
}

#[tokio::test]
async fn long_data_arrives_whole() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::always(&ok("200 OK"));
    probe(&server.url(&format!("/{}", long_data(&folder)))).await.unwrap();
    let seen = server.seen();
    assert_eq!(seen[0].header("content-length"), ["60000"]);
    assert!(seen[0].header("transfer-encoding").is_empty());
    assert_eq!(seen[0].body, "0123456789".repeat(6000));
}

/// An echo answers while it reads, and ends its answer after it has read all of the data.
#[tokio::test]
async fn a_server_may_need_all_of_the_data_to_end_its_answer() {
    let folder = tempfile::tempdir().unwrap();
    let echo = raw(|connection| {
        let mut reader = BufReader::new(&connection);
        let mut line = String::new();
        while line != "\r\n" {
            line.clear();
            reader.read_line(&mut line).unwrap();
        }
        (&connection).write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 60000\r\n\r\n").unwrap();
        std::io::copy(&mut reader.take(60_000), &mut &connection).unwrap();
    });
    probe(&format!("http://{echo}/{}#match=789$", long_data(&folder))).await.unwrap();
}

/// Neither the rest of the data nor the body of the answer keeps the connection open.
#[tokio::test]
async fn no_connection_outlives_an_answer_before_the_end_of_the_data() {
    let folder = tempfile::tempdir().unwrap();
    let (tell, told) = std::sync::mpsc::channel();
    let server = raw(move |mut connection| {
        let _ = connection.read(&mut [0; 100]);
        let _ = connection.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhello");
        let _ = connection.set_read_timeout(Some(Duration::from_secs(10)));
        let end = std::iter::repeat_with(|| connection.read(&mut [0; 4096])).find(|read| !matches!(read, Ok(1..)));
        let closed = match end {
            Some(Ok(_)) => true,
            Some(Err(error)) => error.kind() == std::io::ErrorKind::ConnectionReset,
            None => false,
        };
        tell.send(closed).unwrap();
    });
    let (http, net, attempt) = (parse(&format!("http://{server}/{}", long_data(&folder))), net(), attempt());
    http.probe(&net, &attempt).await.unwrap();
    // The network is still there, as in a run.
    assert!(told.recv_timeout(Duration::from_secs(15)).unwrap(), "it is still open");
    drop(net);
}

#[tokio::test]
async fn a_target_may_ask_for_a_coding_and_send_a_word_before_a_file() {
    let dir = tempfile::tempdir().unwrap();
    let token = dir.path().join("token");
    std::fs::write(&token, "t0ken\n").unwrap();
    let server = Server::start(|seen| match seen.header("accept-encoding")[..] {
        ["gzip"] => "HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 2\r\n\r\nxx".to_owned(),
        _ => ok("200 OK"),
    });
    let file = token.display();
    probe(&server.url(&format!("/#bearer=@{file}#body=ok"))).await.unwrap();
    probe(&server.url(&format!("/#header=Authorization:token @{file}#header=X-Key:@{file}"))).await.unwrap();
    let reason = probe(&server.url("/#header=Accept-Encoding:gzip#body=ok")).await.unwrap_err();
    assert!(reason.text().contains("is compressed (Content-Encoding)"), "{}", reason.text());
    let seen = server.seen();
    assert_eq!(seen[0].header("authorization"), ["Bearer t0ken"]);
    assert_eq!(
        (&seen[1].header("authorization")[..], &seen[1].header("x-key")[..]),
        (&["token t0ken"][..], &["t0ken"][..])
    );
    assert_eq!(seen[2].header("accept-encoding"), ["gzip"]);
}
