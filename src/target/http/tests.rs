//! Against servers that speak bytes, on loopback.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use super::*;
use crate::net::conf::SystemFiles;
use crate::reason::{Class, Hint, Stage};
use crate::target::{Given, Target};
use crate::trail::Bounds;
use crate::vars::Env;

const BOUNDS: Bounds = Bounds { attempt: Duration::from_secs(3), connect: Duration::from_secs(1) };

fn net() -> Net {
    Net::new(
        SystemFiles::default(),
        #[cfg(feature = "tls")]
        crate::net::tls::Tls::default(),
    )
}

fn trail() -> Trail {
    Trail::new(BOUNDS, false)
}

fn parse_with(text: &str, env: &Env) -> Result<Box<Http>> {
    match Target::parse(text, Given { env, ca_file: false })?.0 {
        Target::Http(http) => Ok(http),
        other => panic!("{other} is not an http target"),
    }
}

fn parse(text: &str) -> Box<Http> {
    parse_with(text, &Env::default()).unwrap()
}

fn refused(text: &str) -> String {
    let env: Env = [("UNSAFE", "a\r\nX: y"), ("TOKEN", "s3cret")].into_iter().collect();
    format!("{:#}", parse_with(text, &env).unwrap_err())
}

/// What the server saw of one request.
#[derive(Clone, Debug)]
struct Seen {
    head: String,
    body: String,
}

impl Seen {
    fn header(&self, name: &str) -> Vec<&str> {
        self.head
            .lines()
            .skip(1)
            .filter_map(|line| line.split_once(": "))
            .filter(|(found, _)| found.eq_ignore_ascii_case(name))
            .map(|(_, value)| value)
            .collect()
    }
}

/// A server that answers each connection with the bytes that `script` gives for its request.
struct Server {
    address: SocketAddr,
    seen: Arc<Mutex<Vec<Seen>>>,
}

impl Server {
    fn start(script: impl Fn(&Seen) -> String + Send + 'static) -> Self {
        Self::start_at("127.0.0.1:0", script)
    }

    fn start_at(at: &str, script: impl Fn(&Seen) -> String + Send + 'static) -> Self {
        let listener = TcpListener::bind(at).unwrap();
        let address = listener.local_addr().unwrap();
        let seen = Arc::new(Mutex::new(Vec::new()));
        let log = Arc::clone(&seen);
        thread::spawn(move || {
            for connection in listener.incoming() {
                let Ok(mut connection) = connection else { return };
                let Some(request) = read(&connection) else { continue };
                log.lock().unwrap().push(request.clone());
                let _ = connection.write_all(script(&request).as_bytes());
            }
        });
        Self { address, seen }
    }

    fn always(answer: &str) -> Self {
        let answer = answer.to_owned();
        Self::start(move |_| answer.clone())
    }

    fn url(&self, rest: &str) -> String {
        format!("http://{}{rest}", self.address)
    }

    fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }
}

fn read(connection: &TcpStream) -> Option<Seen> {
    let mut reader = BufReader::new(connection);
    let mut head = String::new();
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).ok()? == 0 {
            return None;
        }
        if line == "\r\n" {
            break;
        }
        head.push_str(&line);
    }
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")?.parse().ok()).unwrap_or(0);
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    Some(Seen { head, body: String::from_utf8(body).unwrap() })
}

/// A server that does `script` with every connection, each in a thread of its own.
fn raw(script: impl Fn(TcpStream) + Send + Sync + 'static) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let script = Arc::new(script);
    thread::spawn(move || {
        for connection in listener.incoming() {
            let script = Arc::clone(&script);
            thread::spawn(move || script(connection.unwrap()));
        }
    });
    address
}

fn ok(status: &str) -> String {
    format!("HTTP/1.1 {status}\r\nContent-Length: 2\r\n\r\nok")
}

async fn ask(http: &Http, addresses: Vec<SocketAddr>, trail: &Trail) -> Result<Ready, Reason> {
    let net = net();
    http.ask(http.request.read(&net)?, &net, addresses, trail).await
}

async fn probe(text: &str) -> Result<Ready, Reason> {
    let http = parse(text);
    let trail = trail();
    tokio::time::timeout(BOUNDS.attempt, http.probe(&net(), &trail)).await.unwrap_or_else(|_| Err(trail.cut_off()))
}

#[test]
fn what_is_accepted_and_how_it_is_shown() {
    let env: Env = [("HOST", "api"), ("PORT", "8080"), ("ID", "a/b c?d#e%"), ("TOKEN", "s3cret&x=1"), ("V6", "::1")]
        .into_iter()
        .collect();
    for (text, url, shown) in [
        ("http://api", "http://api/", "http://api"),
        ("HTTP://API:80/x", "http://api/x", "http://API:80/x"),
        ("http://$(HOST):$(PORT)/v1", "http://api:8080/v1", "http://api:8080/v1"),
        ("http://api?ready", "http://api/?ready", "http://api?***"),
        ("http://api/?a=1&b&c=2", "http://api/?a=1&b&c=2", "http://api/?a=***&***&c=***"),
        ("http://api/$(ID)/x", "http://api/a/b%20c%3Fd%23e%25/x", "http://api/$(ID)/x"),
        (
            "http://api/?token=$(TOKEN)&$(TOKEN)=1",
            "http://api/?token=s3cret%26x%3D1&s3cret%26x%3D1=1",
            "http://api/?token=***&***",
        ),
        ("http://api/%24(HOST)", "http://api/%24(HOST)", "http://api/%24(HOST)"),
        ("http://user:p%40ss@api/", "http://api/", "http://***@api/"),
        ("http://[::1]:8080/", "http://[::1]:8080/", "http://[::1]:8080/"),
        ("http://[$(V6)]/", "http://[::1]/", "http://[::1]/"),
        (
            "http://db.ns.svc.cluster.local.:81/",
            "http://db.ns.svc.cluster.local:81/",
            "http://db.ns.svc.cluster.local.:81/",
        ),
        ("http://my_service/a@b", "http://my_service/a@b", "http://my_service/a@b"),
        ("http://xn--bcher-kva.example/", "http://xn--bcher-kva.example/", "http://xn--bcher-kva.example/"),
        (
            "http://api/#status=200,300-399#header=Authorization: Bearer x#data=hunter2",
            "http://api/",
            "http://api/#status=200,300-399#header=***#data=***",
        ),
    ] {
        let http = parse_with(text, &env).unwrap_or_else(|error| panic!("{text}: {error:#}"));
        assert_eq!(http.request.url().as_str(), url, "{text}");
        assert_eq!(http.to_string(), shown, "{text}");
        assert!(!format!("{http:?}").contains("s3cret"), "{text}");
    }
}

#[test]
fn what_is_refused_says_the_form_and_no_secret() {
    for (text, says) in [
        ("http:host", "expected http://HOST[:PORT]/PATH: the two slashes behind http: are missing"),
        ("http:/host", "two slashes"),
        ("http://", "the host is missing"),
        ("http://a:hunter2@b@c/", "two '@' before the path"),
        ("http://u:hunter2@", "the host is missing"),
        ("http://u:hunter2@host:port/", "not a number"),
        ("http://u:hunter2/x@host/", "not a number"),
        ("http://u:hunter%zz@host/", "two hex digits"),
        ("http://a%3ab:hunter2@host/", "a ':' in the user"),
        ("http://host:0/", "not within"),
        ("http://host:/", "the port is missing"),
        ("http://::1/", "brackets"),
        ("http://${HOST}/", "no shell runs here"),
        ("http://$(NOPE)/", "$(NOPE) is not set"),
        ("http://host/$(NOPE)", "$(NOPE) is not set"),
        ("http://host/%4", "two hex digits"),
        ("http://host/?t=hunter2%g", "two hex digits"),
        ("http://127.1/", "write 127.0.0.1"),
        ("http://bücher.de/", "xn--"),
        ("http://host/ x", "blank"),
        ("http://host/#status=", "three digits"),
        ("http://host/#status=20", "three digits"),
        ("http://host/#status=099", "from 100"),
        ("http://host/#status=600", "from 100"),
        ("http://host/#status=200-", "three digits"),
        ("http://host/#status=300-200", "the lower one"),
        ("http://host/#status=200,,204", "three digits"),
        ("http://host/#status=+20", "three digits"),
        ("http://host/#status=ok", "three digits"),
        ("http://host/#method=get", "write GET"),
        ("http://host/#method=", "one word"),
        ("http://host/#method=A B", "one word"),
        ("http://host/#method=CONNECT", "tunnel"),
        ("http://host/#header=hunter2", "the colon is missing"),
        ("http://host/#header=A b:hunter2", "no blank before"),
        ("http://host/#header=:hunter2", "a header's name"),
        ("http://host/#header=X:$(UNSAFE)", "line break"),
        ("http://host/#header=X:hunter2%00", "control character"),
        ("http://host/#header=Content-Length:5", "waitgate's own"),
        ("http://host/#header=Host:a#header=host:b", "given twice"),
        ("http://u:hunter2@host/#header=Authorization:x", "one of them"),
        ("http://host/#follw", "did you mean #follow?"),
        ("http://host/#follow#status=200,302", "give one of them"),
        ("http://host/#body=", "found nothing"),
        ("http://host/#match=(", "expected a regular expression"),
        ("http://host/#match=", "found nothing"),
        ("http://host/#json=status=UP", "begins with '/'"),
        ("http://host/#json=/~2", "~0"),
        ("http://host/#method=HEAD#body=x", "no body to look at"),
        ("http://host/#gone#status=404", "stands alone"),
        ("http://host/#data=@", "'@' alone"),
        ("http://host/#header=X:@", "is missing behind the '@'"),
        ("http://host/#insecure", "does not speak TLS"),
        ("http://host/#ca=/x", "does not speak TLS"),
        ("https://host/#ca=", "found nothing"),
        ("https://host/#cert=/x", "its key is missing"),
        ("https://host/#key=/x", "its certificate is missing"),
        ("https://host/#servername=10.0.0.1", "found an address"),
        ("https://host/#ca=/x#insecure", "give one of them"),
        ("https://host/#proxy#servername=x", "give one of them"),
        ("http://host/#statsu=200", "did you mean #status?"),
        ("http://u:p#hunter2@host/", "%23"),
    ] {
        let message = refused(text);
        assert!(message.contains(says), "{text}: {message}");
        assert!(!message.contains("hunter2"), "{text}: {message}");
    }
}

#[cfg(not(feature = "tls"))]
#[test]
fn without_tls_https_is_refused_at_once() {
    assert!(refused("https://host/").contains("no TLS"));
}

#[tokio::test]
async fn two_hundred_to_three_ninety_nine_is_ready() {
    for status in ["200 OK", "204 No Content", "299 Odd", "300 Multiple Choices", "304 Not Modified", "399 Odd"] {
        let answer = if status.starts_with("204") { format!("HTTP/1.1 {status}\r\n\r\n") } else { ok(status) };
        let server = Server::always(&answer);
        let ready = probe(&server.url("/")).await.unwrap_or_else(|reason| panic!("{status}: {reason:?}"));
        assert!(ready.note.unwrap().ends_with(&format!("from {}", server.address)));
    }
    for (status, class) in
        [("404 x", Class::Work), ("500 x", Class::Work), ("401 x", Class::Credentials), ("403 x", Class::Credentials)]
    {
        let server = Server::always(&ok(status));
        let reason = probe(&server.url("/?token=hunter2")).await.unwrap_err();
        assert_eq!((reason.code(), reason.cost()), (Code::ExpectStatus, class), "{status}");
        assert!(!reason.text().contains("hunter2") && !reason.text().contains('x'), "{}", reason.text());
    }
    let server = Server::always(&ok("503 Service Unavailable"));
    let reason = probe(&server.url("/")).await.unwrap_err();
    assert_eq!(reason.text(), format!("503 Service Unavailable from {}", server.address));
}

#[tokio::test]
async fn a_list_of_statuses_is_all_that_counts() {
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
    let before = server.seen().len();
    let reason = probe(&server.url("/loop")).await.unwrap_err();
    assert_eq!(reason.code(), Code::ExpectRedirect);
    assert_eq!(reason.text(), "more than 10 redirects, the last one on 127.0.0.1");
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
async fn the_request_is_what_was_asked_for() {
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
async fn a_post_goes_out_once_whatever_the_number_of_addresses() {
    let slow = Server::start(|_| {
        thread::sleep(Duration::from_millis(600));
        ok("200 OK")
    });
    let other = Server::start_at(&format!("127.0.0.2:{}", slow.address.port()), |_| ok("200 OK"));
    let http = parse("http://several/#data=a");
    let addresses = vec![slow.address, other.address];
    let ready = ask(&http, addresses, &trail()).await.unwrap();
    assert_eq!(ready.note.unwrap(), format!("200 OK from {}", slow.address));
    assert_eq!((slow.seen().len(), other.seen().len()), (1, 0));
}

#[tokio::test]
async fn a_refused_address_is_followed_by_the_next_at_once() {
    let server = Server::always(&ok("200 OK"));
    let closed = SocketAddr::from(([127, 0, 0, 3], server.address.port()));
    let http = parse("http://several/");
    let trail = trail();
    ask(&http, vec![closed, server.address], &trail).await.unwrap();
    assert!(trail.started().elapsed() < Duration::from_millis(200));
    let reason = ask(&http, vec![closed, closed], &trail).await.unwrap_err();
    assert_eq!(reason.code(), Code::ConnectRefused);
}

#[tokio::test]
async fn a_refusal_is_a_refusal() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let reason = probe(&format!("http://{address}/?token=hunter2")).await.unwrap_err();
    assert_eq!(reason.text(), format!("refused by {address}"));
    assert_eq!((reason.code(), reason.hinted()), (Code::ConnectRefused, Some(Hint::NothingListens)));
}

#[tokio::test]
async fn a_silent_server_is_named_and_where_it_hung() {
    let address = raw(|_connection| thread::sleep(Duration::from_secs(30)));
    let http = parse(&format!("http://{address}/"));
    let trail = Trail::new(Bounds { attempt: Duration::from_millis(200), connect: BOUNDS.connect }, false);
    let net = net();
    assert!(tokio::time::timeout(Duration::from_millis(200), http.probe(&net, &trail)).await.is_err());
    assert!(trail.accepted());
    let reason = trail.cut_off();
    assert_eq!(reason.code(), Code::ProtocolTimeout);
    assert!(
        reason
            .text()
            .starts_with(&format!("{address} accepted the connection and the request, and no complete answer came"))
    );
}

#[tokio::test]
async fn what_answers_instead_of_http_is_named() {
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
    for (address, looks_like, hint) in [
        (said(b"SSH-2.0-OpenSSH_9.2\r\n"), "SSH", Hint::UseTcp),
        (said(b"220 mail.example.org ESMTP\r\n"), "SMTP", Hint::UseTcp),
        (said(b"\x4a\0\0\0\x0a8.0.36\0"), "MySQL", Hint::UseTcp),
        (answered(b"-ERR wrong number of arguments for 'get' command\r\n"), "Redis", Hint::UseTcp),
        (answered(b"\0\0\x06\x04\0\0\0\0\0\0\x05\0\0\x40\0"), "HTTP/2", Hint::UseTcp),
    ] {
        let reason = probe(&format!("http://{address}/")).await.unwrap_err();
        assert_eq!((reason.code(), reason.hinted()), (Code::ProtocolNotHttp, Some(hint)), "{}", reason.text());
        assert!(
            reason.text().starts_with(&format!("{address} answered, but not in HTTP (it looks like {looks_like}")),
            "{}",
            reason.text()
        );
    }
    let tls = answered(&[0x15, 3, 1, 0, 2, 2, 70]);
    let reason = probe(&format!("http://{tls}/")).await.unwrap_err();
    assert_eq!((reason.code(), reason.hinted()), (Code::ProtocolTlsWanted, Some(Hint::UseHttps)));
    let garbage = answered(b"\x1b[2Jwhat?\r\n");
    let reason = probe(&format!("http://{garbage}/")).await.unwrap_err();
    assert_eq!(reason.text(), format!("{garbage} answered, but not in HTTP"));
    let broken = answered(b"HTTP/1.1 2OO OK\r\n\r\n");
    let reason = probe(&format!("http://{broken}/")).await.unwrap_err();
    assert_eq!(reason.text(), format!("{broken} answered in HTTP with a mistake in it"));
    let nginx = Server::always(
        "HTTP/1.1 400 Bad Request\r\n\r\n<center>The plain HTTP request was sent to HTTPS port</center>",
    );
    let reason = probe(&nginx.url("/")).await.unwrap_err();
    assert_eq!((reason.code(), reason.hinted()), (Code::ProtocolTlsWanted, Some(Hint::UseHttps)));
}

#[tokio::test]
async fn a_server_that_closes_is_looked_at_again() {
    let postgres = raw(|mut connection| {
        let mut first = [0; 8];
        if connection.read_exact(&mut first).is_ok() && first == [0, 0, 0, 8, 4, 0xd2, 0x16, 0x2f] {
            let _ = connection.write_all(b"N");
        }
    });
    let reason = probe(&format!("http://{postgres}/")).await.unwrap_err();
    assert_eq!((reason.code(), reason.hinted()), (Code::ProtocolNotHttp, Some(Hint::UsePostgres)));
    #[cfg(feature = "tls")]
    {
        let reason = probe(&format!("https://{postgres}/")).await.unwrap_err();
        assert_eq!((reason.code(), reason.hinted()), (Code::TlsNotTls, Some(Hint::UsePostgres)));
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
    assert_eq!((reason.code(), reason.hinted()), (Code::ProtocolNotHttp, Some(Hint::UseTcp)));
    assert!(reason.text().contains("it looks like Redis"));
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
async fn endless_headers_end_at_a_bound() {
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
async fn a_body_that_nobody_asked_for_is_not_read() {
    let endless = raw(|mut connection| {
        let _ = connection.read(&mut [0; 512]);
        let _ = connection.write_all(b"HTTP/1.1 200 OK\r\n\r\n");
        while connection.write_all(&[b'a'; 4096]).is_ok() {}
    });
    let trail = trail();
    parse(&format!("http://{endless}/")).probe(&net(), &trail).await.unwrap();
    assert!(trail.started().elapsed() < Duration::from_millis(500));
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
async fn follow_goes_to_other_hosts_without_what_was_meant_for_one() {
    let other = Server::start_at("127.0.0.2:0", |_| ok("204 No Content"));
    let location = format!("HTTP/1.1 302 x\r\nLocation: {}\r\n\r\n", other.url("/there"));
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

#[tokio::test]
async fn bodies_are_looked_at_by_all_expectations_together() {
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
async fn odd_bodies_are_said() {
    let chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nre\r\n3\r\nady\r\n0\r\nX: 1\r\n\r\n";
    assert!(probe(&Server::always(chunked).url("/#body=ready#match=^ready$")).await.is_ok());
    let gzip = "HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n\r\nready";
    for (answer, says) in [
        (gzip, "is compressed"),
        ("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nnot", "was cut short"),
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nno\r\n", "was cut short"),
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxx\r\nno\r\n", "was cut short"),
    ] {
        let reason = probe(&Server::always(answer).url("/#body=ready")).await.unwrap_err();
        assert!(reason.code() == Code::ExpectBody && reason.text().contains(says), "{}", reason.text());
    }
    assert!(probe(&Server::always(gzip).url("/")).await.is_ok());
    let continued = "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nready";
    assert!(probe(&Server::always(continued).url("/#body=ready#data=x")).await.is_ok());
}

#[tokio::test]
async fn endless_bodies_end_at_their_bounds() {
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
        let _ = connection.write_all(b"HTTP/1.1 200 OK\r\n\r\n");
        while connection.write_all(b"a").is_ok() {
            thread::sleep(Duration::from_millis(50));
        }
    });
    let http = parse(&format!("http://{slow}/#body=b"));
    let trail = Trail::new(Bounds { attempt: Duration::from_millis(300), connect: BOUNDS.connect }, false);
    let net = net();
    assert!(tokio::time::timeout(Duration::from_millis(300), http.probe(&net, &trail)).await.is_err());
    let reason = trail.cut_off();
    assert_eq!(reason.code(), Code::ExpectTimeout);
    assert!(reason.text().starts_with(&format!("the body of 200 OK from {slow} did not come to its end")));
}

#[tokio::test]
async fn files_are_read_anew_each_attempt() {
    let dir = tempfile::tempdir().unwrap();
    let (token, data) = (dir.path().join("token"), dir.path().join("data"));
    let server = Server::always(&ok("200 OK"));
    let env: Env = [("DIR", dir.path().to_str().unwrap()), ("AT", "@/etc/passwd")].into_iter().collect();
    let text = server.url("/#header=Authorization: @$(DIR)/token#data=@$(DIR)/data#header=X-At:$(AT)");
    let http = parse_with(&text, &env).unwrap();
    assert!(!format!("{http} {http:?}").contains("token"));
    let (net, trail) = (net(), trail());
    let reason = http.probe(&net, &trail).await.unwrap_err();
    assert_eq!((reason.code(), reason.stage()), (Code::LocalFile, Stage::Local));
    assert!(reason.text().contains("#header=authorization:@"), "{}", reason.text());
    std::fs::write(&token, "Bearer one\r\n").unwrap();
    assert!(http.probe(&net, &trail).await.unwrap_err().text().contains("#data=@"));
    std::fs::write(&data, "{}\n").unwrap();
    http.probe(&net, &trail).await.unwrap();
    std::fs::write(&token, "Bearer two").unwrap();
    http.probe(&net, &trail).await.unwrap();
    let seen = server.seen();
    assert_eq!(
        (seen[0].header("authorization"), seen[1].header("authorization")),
        (vec!["Bearer one"], vec!["Bearer two"])
    );
    assert_eq!((seen[0].body.as_str(), seen[0].header("content-type")), ("{}\n", vec!["application/json"]));
    assert_eq!(seen[0].header("x-at"), ["@/etc/passwd"]);
    for bad in ["", "\n", "hunter2\nX: y", "hunter2\0"] {
        std::fs::write(&token, bad).unwrap();
        let reason = http.probe(&net, &trail).await.unwrap_err();
        assert!(reason.code() == Code::LocalFile && !reason.text().contains("hunter2"), "{}", reason.text());
    }
    std::fs::write(&token, vec![b'a'; 65 * 1024]).unwrap();
    assert!(http.probe(&net, &trail).await.unwrap_err().text().contains("64 KiB"));
}

#[tokio::test]
async fn proxies_are_used_where_asked_for_and_only_there() {
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
    let (net, trail) = (net(), trail());
    let http = |text: &str| parse_with(text, &env).unwrap();
    let ready = http("http://nowhere.invalid/x#proxy").probe(&net, &trail).await.unwrap();
    assert_eq!(ready.note.unwrap(), format!("200 OK from {}, a proxy", proxy.address));
    assert_eq!(proxy.seen()[0].header("proxy-authorization"), ["Basic dTpodW50ZXIy"]);
    assert_eq!(proxy.seen()[0].header("host"), ["nowhere.invalid"]);
    let reason = http("http://other.invalid/#proxy").probe(&net, &trail).await.unwrap_err();
    assert_eq!(reason.text(), format!("502 Bad Gateway from {}, a proxy", proxy.address));
    http(&direct.url("/")).probe(&net, &trail).await.unwrap();
    http(&direct.url("/#proxy")).probe(&net, &trail).await.unwrap();
    assert_eq!((proxy.seen().len(), direct.seen().len()), (2, 2));
    #[cfg(feature = "tls")]
    {
        let reason = http("https://nowhere.invalid/#proxy").probe(&net, &trail).await.unwrap_err();
        assert_eq!((reason.code(), reason.cost()), (Code::ProtocolError, Class::Credentials), "{}", reason.text());
        assert!(proxy.seen()[2].head.starts_with("CONNECT nowhere.invalid:443"));
    }
    assert!(refused("http://host/#proxy").contains("is set in the environment"));
}

#[tokio::test]
async fn gone_is_refused_and_nothing_else() {
    let server = Server::always(&ok("500 x"));
    assert_eq!(probe(&server.url("/#gone")).await.unwrap_err().code(), Code::ExpectGone);
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    assert_eq!(probe(&format!("http://{closed}/#gone")).await.unwrap().note.unwrap(), format!("refused by {closed}"));
}

#[cfg(feature = "tls")]
mod tls {
    use super::*;
    use crate::net::tls::Tls;
    use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
    use rustls::pki_types::{CertificateDer, PrivateKeyDer};
    use rustls::{RootCertStore, ServerConfig, ServerConnection, StreamOwned};

    struct Ca(CertifiedIssuer<'static, KeyPair>);

    impl Ca {
        fn new() -> Self {
            let mut params = CertificateParams::new(vec![]).unwrap();
            params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
            params.distinguished_name.push(rcgen::DnType::CommonName, format!("CA {}", getrandom::u64().unwrap()));
            Self(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
        }

        fn net(&self) -> Net {
            Net::new(SystemFiles::default(), Tls::new(Some(self.0.pem().as_bytes()), false).unwrap())
        }

        fn issue(&self, name: &str) -> (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>) {
            let key = KeyPair::generate().unwrap();
            let cert = CertificateParams::new(vec![name.to_owned()]).unwrap().signed_by(&key, &self.0).unwrap();
            (vec![cert.der().clone()], PrivateKeyDer::try_from(key.serialize_der()).unwrap())
        }

        fn server(&self, name: &str, clients: bool, alpn: &[&str], answer: &'static str) -> SocketAddr {
            let provider = Arc::new(rustls::crypto::ring::default_provider());
            let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
                .with_safe_default_protocol_versions()
                .unwrap();
            let (chain, key) = self.issue(name);
            let builder = if clients {
                let mut roots = RootCertStore::empty();
                roots.add(self.0.der().clone()).unwrap();
                let verifier =
                    rustls::server::WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).build();
                builder.with_client_cert_verifier(verifier.unwrap())
            } else {
                builder.with_no_client_auth()
            };
            let mut config = builder.with_single_cert(chain, key).unwrap();
            config.alpn_protocols = alpn.iter().map(|name| name.as_bytes().to_vec()).collect();
            let config = Arc::new(config);
            raw(move |connection| {
                let session = ServerConnection::new(Arc::clone(&config)).unwrap();
                let mut stream = StreamOwned::new(session, connection);
                if stream.read(&mut [0; 1024]).is_ok() {
                    let _ = stream.write_all(answer.as_bytes());
                    stream.conn.send_close_notify();
                    let _ = stream.flush();
                }
            })
        }
    }

    async fn probe_by(net: &Net, text: &str) -> Result<Ready, Reason> {
        let trail = trail();
        parse(text).probe(net, &trail).await
    }

    const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";

    #[tokio::test]
    async fn certificates_are_verified() {
        let ca = Ca::new();
        let address = ca.server("127.0.0.1", false, &["h2", "http/1.1"], OK);
        let url = format!("https://{address}/");
        assert!(parse(&url).uses_tls());
        let trail = trail();
        let ready = parse(&url).probe(&ca.net(), &trail).await.unwrap();
        assert_eq!(ready.note.unwrap(), format!("200 OK from {address}"));
        assert!(trail.timings().iter().any(|(stage, _)| *stage == Stage::Tls));
        assert_eq!(probe_by(&Ca::new().net(), &url).await.unwrap_err().code(), Code::TlsUnknownIssuer);
        assert_eq!(probe_by(&net(), &url).await.unwrap_err().code(), Code::TlsUnknownIssuer);
        let insecure = Net::new(SystemFiles::default(), Tls::new(None, true).unwrap());
        assert!(probe_by(&insecure, &url).await.is_ok());
        let other = ca.server("other.example.org", false, &[], OK);
        let reason = probe_by(&ca.net(), &format!("https://{other}/")).await.unwrap_err();
        assert_eq!(reason.code(), Code::TlsWrongName);
        assert!(reason.text().contains("other.example.org"), "{}", reason.text());
    }

    #[tokio::test]
    async fn a_target_has_its_own_ca_certificate_and_name() {
        let ca = Ca::new();
        let dir = tempfile::tempdir().unwrap();
        let path = |name: &str| dir.path().join(name).display().to_string();
        let url = |address, rest: &str| format!("https://{address}/#ca={}{rest}", path("ca"));

        let plain = ca.server("127.0.0.1", false, &[], OK);
        assert_eq!(probe(&url(plain, "")).await.unwrap_err().code(), Code::LocalFile);
        std::fs::write(path("ca"), "nonsense").unwrap();
        assert_eq!(probe(&url(plain, "")).await.unwrap_err().code(), Code::LocalFile);
        std::fs::write(path("ca"), ca.0.pem()).unwrap();
        probe(&url(plain, "")).await.unwrap();
        let insecure = format!("https://{plain}/#insecure");
        probe(&insecure).await.unwrap();
        assert_eq!(parse(&insecure).warnings().len(), 1);

        let named = ca.server("api.example.org", false, &[], OK);
        let reason = probe(&url(named, "")).await.unwrap_err();
        assert_eq!(reason.code(), Code::TlsWrongName);
        probe(&url(named, "#servername=api.example.org")).await.unwrap();
        let reason = probe(&url(named, "#servername=other.example.org")).await.unwrap_err();
        assert!(reason.text().contains("not for other.example.org"), "{}", reason.text());

        let mutual = ca.server("127.0.0.1", true, &[], OK);
        let (chain, key) = ca.issue("client");
        let pem = |kind: &str, der: &[u8]| rcgen_pem(kind, der);
        std::fs::write(path("both"), pem("CERTIFICATE", &chain[0]) + &pem("PRIVATE KEY", key.secret_der())).unwrap();
        let both = format!("#cert={0}#key={0}", path("both"));
        probe(&url(mutual, &both)).await.unwrap();
        std::fs::write(path("stranger"), rcgen_pem("PRIVATE KEY", Ca::new().issue("x").1.secret_der())).unwrap();
        let wrong = format!("#cert={}#key={}", path("both"), path("stranger"));
        assert_eq!(probe(&url(mutual, &wrong)).await.unwrap_err().code(), Code::LocalFile);
    }

    /// PEM, as RFC 7468 has it, without its line length.
    fn rcgen_pem(kind: &str, der: &[u8]) -> String {
        const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
        let mut text = String::new();
        for piece in der.chunks(3) {
            let word = piece.iter().fold(0_u32, |word, byte| word << 8 | u32::from(*byte)) << (8 * (3 - piece.len()));
            for at in 0..4 {
                let index = (word >> (18 - 6 * at)) as usize & 63;
                text.push(if at > piece.len() { '=' } else { char::from(ALPHABET[index]) });
            }
        }
        format!("-----BEGIN {kind}-----\n{text}\n-----END {kind}-----\n")
    }

    #[tokio::test]
    async fn a_tunnel_through_a_proxy_ends_at_the_server() {
        let ca = Ca::new();
        let address = ca.server("api.example.org", false, &[], OK);
        let proxy = raw(move |mut client| {
            let mut head = [0; 1024];
            let read = client.read(&mut head).unwrap();
            assert!(head[..read].starts_with(b"CONNECT api.example.org:443 HTTP/1.1\r\n"));
            client.write_all(b"HTTP/1.1 200 Connection established\r\n\r\n").unwrap();
            let mut server = TcpStream::connect(address).unwrap();
            let (mut from, mut to) = (client.try_clone().unwrap(), server.try_clone().unwrap());
            thread::spawn(move || std::io::copy(&mut from, &mut to));
            let _ = std::io::copy(&mut server, &mut client);
        });
        let env: Env = [("HTTPS_PROXY", format!("http://{proxy}"))].into_iter().collect();
        let http = parse_with("https://api.example.org/#proxy", &env).unwrap();
        let ready = http.probe(&ca.net(), &trail()).await.unwrap();
        assert_eq!(ready.note.unwrap(), format!("200 OK from {proxy}, a proxy"));
        let reason = http.probe(&net(), &trail()).await.unwrap_err();
        assert_eq!(reason.code(), Code::TlsUnknownIssuer);
    }

    #[tokio::test]
    async fn the_host_header_keeps_the_urls_host() {
        let ca = Ca::new();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let (chain, key) = ca.issue("api.example.org");
        let config = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
        let config = Arc::new(config.with_no_client_auth().with_single_cert(chain, key).unwrap());
        let (tell, told) = std::sync::mpsc::channel();
        let address = raw(move |connection| {
            let mut stream = StreamOwned::new(ServerConnection::new(Arc::clone(&config)).unwrap(), connection);
            let mut head = [0; 1024];
            let read = stream.read(&mut head).unwrap();
            tell.send((
                stream.conn.server_name().map(str::to_owned),
                String::from_utf8_lossy(&head[..read]).into_owned(),
            ))
            .unwrap();
            let _ = stream.write_all(OK.as_bytes());
        });
        probe_by(&ca.net(), &format!("https://{address}/#servername=api.example.org")).await.unwrap();
        let (name, head) = told.recv().unwrap();
        assert_eq!(name.as_deref(), Some("api.example.org"));
        assert!(head.contains(&format!("host: {address}\r\n")), "{head}");
    }

    #[tokio::test]
    async fn a_client_certificate_that_is_missing_is_said() {
        let ca = Ca::new();
        let address = ca.server("127.0.0.1", true, &[], OK);
        let reason = probe_by(&ca.net(), &format!("https://{address}/")).await.unwrap_err();
        assert_eq!((reason.code(), reason.cost()), (Code::TlsClientCertificate, Class::Credentials));
    }

    #[tokio::test]
    async fn http2_only_is_said() {
        let ca = Ca::new();
        let address = ca.server("127.0.0.1", false, &["h2"], OK);
        let reason = probe_by(&ca.net(), &format!("https://{address}/")).await.unwrap_err();
        assert_eq!((reason.code(), reason.hinted()), (Code::ProtocolNotHttp, Some(Hint::UseTcp)));
    }

    #[tokio::test]
    async fn tls_and_plain_the_wrong_way_round() {
        let ca = Ca::new();
        let plain = raw(|mut connection| {
            let _ = connection.read(&mut [0; 1024]);
            let _ = connection.write_all(ok("400 Bad Request").as_bytes());
        });
        let reason = probe_by(&ca.net(), &format!("https://{plain}/")).await.unwrap_err();
        assert_eq!((reason.code(), reason.hinted()), (Code::TlsNotTls, Some(Hint::UseHttp)), "{}", reason.text());
        let ssh = raw(|mut connection| {
            let _ = connection.write_all(b"SSH-2.0-OpenSSH_9.2\r\n");
            let _ = connection.read(&mut [0; 512]);
        });
        let reason = probe_by(&ca.net(), &format!("https://{ssh}/")).await.unwrap_err();
        assert_eq!((reason.code(), reason.hinted()), (Code::TlsNotTls, Some(Hint::UseTcp)), "{}", reason.text());
        assert!(reason.text().contains("it looks like SSH"));
        let address = ca.server("127.0.0.1", false, &[], OK);
        let reason = probe(&format!("http://{address}/")).await.unwrap_err();
        assert_eq!((reason.code(), reason.hinted()), (Code::ProtocolTlsWanted, Some(Hint::UseHttps)));
    }

    #[tokio::test]
    async fn an_echo_is_not_tls() {
        let echo = raw(|mut connection| {
            let mut buffer = [0; 2048];
            while let Ok(read @ 1..) = connection.read(&mut buffer) {
                let _ = connection.write_all(&buffer[..read]);
            }
        });
        let reason = probe_by(&net(), &format!("https://{echo}/")).await.unwrap_err();
        assert_eq!(reason.stage(), Stage::Tls, "{}", reason.text());
    }

    #[tokio::test]
    async fn a_handshake_that_hangs_is_cut_off_in_its_stage() {
        let hangs = raw(|_connection| thread::sleep(Duration::from_secs(30)));
        // The bound on connecting is not one on the handshake.
        let bounds = Bounds { attempt: Duration::from_millis(300), connect: Duration::from_millis(50) };
        let trail = Trail::new(bounds, false);
        let (http, net) = (parse(&format!("https://{hangs}/")), net());
        assert!(tokio::time::timeout(bounds.attempt, http.probe(&net, &trail)).await.is_err());
        assert!(trail.accepted());
        let reason = trail.cut_off();
        assert_eq!(reason.code(), Code::TlsTimeout);
        assert!(reason.text().starts_with(&hangs.to_string()), "{}", reason.text());
    }

    #[tokio::test]
    async fn a_handshake_that_is_closed_is_said() {
        let closes = raw(|mut connection| drop(connection.read(&mut [0; 64])));
        let reason = probe_by(&net(), &format!("https://{closes}/")).await.unwrap_err();
        assert_eq!(reason.code(), Code::TlsClosed, "{}", reason.text());
    }

    #[tokio::test]
    async fn from_https_to_http_is_not_followed() {
        let ca = Ca::new();
        let back = "HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1/\r\nContent-Length: 0\r\n\r\n";
        let address = ca.server("127.0.0.1", false, &[], back);
        let reason = probe_by(&ca.net(), &format!("https://{address}/")).await.unwrap_err();
        assert_eq!(reason.code(), Code::ExpectRedirect);
        let forth = ca.server("127.0.0.1", false, &[], OK);
        let plain = Server::always(&format!("HTTP/1.1 301 x\r\nLocation: https://{forth}/\r\n\r\n"));
        assert!(probe_by(&ca.net(), &plain.url("/")).await.is_ok());
    }
}
