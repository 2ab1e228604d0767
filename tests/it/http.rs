//! `http:` against servers of our own: statuses, redirects, requests, proxies, and answers that are none.

use std::io::{Read as _, Write as _};
use std::time::Duration;

use crate::support::{
    Fake, Run, free_port,
    web::{Reply, Web},
};

const OK: u16 = 200;

/// One attempt at a target, which is to succeed.
#[track_caller]
fn ready(target: &str) {
    Run::new(["--once", target]).end().success();
}

/// One attempt at a target, which is to fail; stderr.
#[track_caller]
fn unready(target: &str) -> crate::support::run::Ended {
    let ended = Run::new(["--once", target]).end();
    ended.failure();
    ended
}

#[test]
fn any_2xx_is_ready() {
    for status in [OK, 201, 204, 299] {
        ready(&Web::always(status).url("/"));
    }
}

#[test]
fn a_4xx_or_5xx_is_not() {
    for status in [400, 401, 404, 418, 500, 503] {
        let web = Web::always(status);
        unready(&web.url("/healthz")).stderr_has(&status.to_string());
    }
}

#[test]
fn unavailable_then_ok() {
    let web = Web::new(|_, before| Reply::status(if before < 3 { 503 } else { OK }));
    let ended = Run::new([web.url("/healthz?full=1")]).end();
    ended.success().stderr_has("503").stderr_says("ready");
    let seen = web.seen();
    assert_eq!(seen.len(), 4, "{ended}");
    assert!(seen.iter().all(|seen| seen.method == "GET" && seen.path == "/healthz?full=1"), "{seen:?}");
}

/// A connection for each attempt: a kept one would show what is behind a Pod that is going away.
#[test]
fn each_attempt_connects_anew() {
    let web = Web::new(|_, before| Reply::status(if before < 3 { 503 } else { OK }));
    Run::new([web.url("/")]).end().success();
    assert_eq!((web.seen().len(), web.fake.hits()), (4, 4));
}

#[test]
fn late_server() {
    let addr = free_port();
    let running = Run::new([format!("http://{addr}/")]).start();
    running.line("refused");
    let _web = Web::on(addr, None, |_, _| Reply::status(OK));
    running.end().success();
}

#[test]
fn redirects_on_the_same_host_are_followed() {
    let web = Web::new(|seen, _| match seen.path.as_str() {
        "/" => Reply::to(302, "/login?next=%2F"),
        "/login?next=%2F" => Reply::to(307, "done"),
        "/done" => Reply::status(OK),
        _ => Reply::status(404),
    });
    ready(&web.url("/"));
    let web = Web::new(|seen, _| if seen.path == "/" { Reply::to(301, "/gone") } else { Reply::status(404) });
    unready(&web.url("/")).stderr_has("404");
}

#[test]
fn redirects_in_a_circle_end() {
    let web = Web::new(|_, _| Reply::to(302, "/"));
    unready(&web.url("/")).stderr_says("redirect");
    assert!(web.seen().len() <= 11, "{}", web.seen().len());
}

/// As the kubelet has it: the application answered, the other host is not our business.
#[test]
fn redirects_to_another_host_are_ready_and_named() {
    let elsewhere = Web::always(OK);
    let location = elsewhere.url("/elsewhere");
    let web = Web::new(move |_, _| Reply::to(302, location.clone()));
    let ended = Run::new([web.url("/")]).end();
    ended.success().stderr_has(&elsewhere.fake.ip().to_string());
    assert_eq!(elsewhere.fake.hits(), 0, "{ended}");
}

#[test]
fn status_says_what_is_ready() {
    let web = Web::always(404);
    ready(&web.url("/#status=404"));
    ready(&web.url("/#status=200,204,400-499"));
    unready(&web.url("/#status=200-299")).stderr_has("404").stderr_has("200-299");
}

/// Listing a 3xx follows none.
#[test]
fn status_of_a_redirect() {
    let web = Web::new(|seen, _| if seen.path == "/" { Reply::to(302, "/next") } else { Reply::status(404) });
    ready(&web.url("/#status=302"));
    assert_eq!(web.seen().len(), 1);
}

#[test]
fn method_is_sent() {
    let web = Web::new(|seen, _| Reply::status(if seen.method == "HEAD" { OK } else { 405 }));
    ready(&web.url("/#method=HEAD"));
    unready(&web.url("/")).stderr_has("405");
}

#[test]
fn headers_are_sent() {
    let web = Web::always(OK);
    ready(&web.url("/#header=X-One:1#header=x-two: two words #header=Host:api.example.test"));
    let seen = &web.seen()[0];
    assert_eq!(seen.header("x-one"), Some("1"));
    assert_eq!(seen.header("x-two"), Some("two words"));
    let hosts: Vec<_> = seen.headers.iter().filter(|(name, _)| name.eq_ignore_ascii_case("host")).collect();
    assert_eq!(hosts.len(), 1, "{hosts:?}");
    assert_eq!(hosts[0].1, "api.example.test");
}

#[test]
fn host_header_is_the_address_by_default() {
    let web = Web::always(OK);
    ready(&web.url("/"));
    assert_eq!(web.seen()[0].header("host"), Some(web.fake.addr.to_string().as_str()));
}

#[test]
fn data_is_sent_on_every_attempt() {
    let web = Web::new(|_, before| Reply::status(if before < 2 { 503 } else { 201 }));
    Run::new([web.url("/register#method=POST#data=instance=a%23b&ip=10.0.0.1")]).end().success();
    let seen = web.seen();
    assert_eq!(seen.len(), 3);
    for seen in seen {
        assert_eq!((seen.method.as_str(), seen.body.as_str()), ("POST", "instance=a#b&ip=10.0.0.1"));
        assert_eq!(seen.header("content-length"), Some("24"));
    }
}

/// The value keeps whatever characters it has; `%24(` is a literal `$(`.
#[test]
fn names_are_filled_after_the_text_was_split() {
    let web = Web::always(OK);
    let odd = "a#b&c=d e%41'\"";
    Run::new(["--once", &web.url("/p/$(ODD)?q=$(ODD)#method=POST#data=$(ODD)%24(ODD)#header=X-Odd:$(ODD)")])
        .env("ODD", odd)
        .end()
        .success();
    let seen = &web.seen()[0];
    assert_eq!(seen.body, format!("{odd}$(ODD)"));
    assert_eq!(seen.header("x-odd"), Some(odd));
    let (path, query) = seen.path.split_once('?').expect("a query");
    for part in [path, query] {
        assert!(part.contains("a%23b") && part.contains("%2541") && part.contains("%20e"), "{part}");
    }
    assert!(query.starts_with("q=") && query.contains("%26c"), "{query}");
}

#[test]
fn an_address_in_the_environment() {
    let web = Web::new(|seen, _| Reply::status(if seen.path == "/x?a=b" { OK } else { 404 }));
    Run::new(["--once", "env:UPSTREAM_URL"]).env("UPSTREAM_URL", web.url("/x?a=b")).end().success();
}

#[test]
fn proxy_variables_are_ignored() {
    let (web, proxy) = (Web::always(OK), Fake::closing());
    let address = format!("http://{}", proxy.addr);
    let run = ["HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"]
        .iter()
        .fold(Run::new(["--once", &web.url("/")]), |run, name| run.env(name, &address));
    run.end().success();
    assert_eq!(proxy.hits(), 0);
}

#[test]
fn a_circle_of_redirects_behind_a_proxy_names_the_last_host() {
    let proxy = Fake::new(|mut stream| {
        let _ = stream.read(&mut [0; 4096]);
        let _ = stream.write_all(b"HTTP/1.1 302 Found\r\nLocation: http://other.example/\r\nContent-Length: 0\r\n\r\n");
    });
    let run = Run::new(["--once", "http://api.example.test/#proxy#follow"]);
    let run = run.env("http_proxy", format!("http://{}", proxy.addr));
    run.end().failure().stderr_has("more than 10 redirects, the last one on other.example:80");
}

/// With `proxy` the request goes to the proxy, in the form that a proxy takes.
#[test]
fn a_proxy_is_asked_when_told() {
    let proxy = Web::always(OK);
    let address = proxy.url("");
    let at = |target: &str| Run::new(["--once", target]).env("http_proxy", &address);
    at("http://api.example.test/x#proxy").end().success();
    assert_eq!(proxy.seen()[0].path, "http://api.example.test/x", "{:?}", proxy.seen());
    let web = Web::always(OK);
    let run = at(&web.url("/y#proxy")).env("no_proxy", web.fake.ip().to_string());
    run.end().success();
    assert_eq!((web.seen().len(), proxy.seen().len()), (1, 1));
    Run::new(["--once", "http://api.example.test/#proxy"]).end().failure().stderr_has("http_proxy");
    let odd = Fake::greeting("SSH-2.0-x\r\n");
    let run = Run::new(["--once", "http://api.example.test/#proxy"]).env("http_proxy", format!("http://{}", odd.addr));
    // The server behind it may well speak HTTP.
    run.end().failure().stderr_has(&format!("the proxy {} answered in SSH, not in HTTP", odd.addr)).nowhere("use tcp:");
}

#[test]
fn secrets_of_a_request_are_never_printed() {
    let web = Web::always(401);
    let header = web.url("/x?token=hunter2#header=Authorization:Bearer hunter3#method=POST#data=hunter4");
    let user = web.url("/x?token=hunter2").replace("http://", "http://user:hunter5@");
    for target in [header, user] {
        let ended = Run::new(["-v", "-t", "400ms", &target]).end();
        ended.failure().stderr_has("401");
        for secret in ["hunter2", "hunter3", "hunter4", "hunter5"] {
            ended.nowhere(secret);
        }
    }
    // The password did go where it belongs.
    let basic = web.seen().iter().any(|seen| seen.header("authorization") == Some("Basic dXNlcjpodW50ZXI1"));
    assert!(basic, "{:?}", web.seen());
}

/// A redirect may carry a session in its query.
#[test]
fn secrets_of_a_redirect_are_never_printed() {
    let web = Web::new(|_, _| Reply::to(302, "http://u:hunter3@elsewhere.test/x?token=hunter2"));
    let ended = Run::new(["-v", &web.url("/")]).end();
    ended.success().stderr_has("elsewhere.test").nowhere("hunter2").nowhere("hunter3");
    let circle = Web::new(|_, _| Reply::to(302, "/?token=hunter2"));
    Run::new(["-v", "--once", &circle.url("/")]).end().failure().nowhere("hunter2");
    let broken = Web::new(|_, _| Reply::to(302, "http://u:hunter3@[?token=hunter2"));
    Run::new(["-v", "--once", &broken.url("/")]).end().failure().nowhere("hunter2").nowhere("hunter3");
}

/// What a server says may go to a terminal.
#[test]
fn control_characters_are_escaped() {
    let fake = Fake::answering("HTTP/1.1 503 \x1b[31mred\x07\r\ncontent-length: 0\r\n\r\n");
    let ended = Run::new(["-v", "-t", "500ms", &format!("http://{}/", fake.addr)]).end();
    ended.failure().nowhere("\x1b").nowhere("\x07");
    let fake = Fake::greeting("\x1b]0;title\x07 not http\r\n");
    let ended = Run::new(["-v", "-t", "500ms", &format!("http://{}/", fake.addr)]).end();
    ended.failure().nowhere("\x1b").nowhere("\x07");
}

/// `curl` on Redis's port, as an article had it: "use redis:" is the help.
#[cfg(feature = "redis")]
#[test]
fn a_server_that_does_not_speak_http_is_named_as_such() {
    let redis = Fake::answering("-ERR unknown command 'GET'\r\n");
    let ended = Run::new(["-t", "300ms", &format!("http://{}/", redis.addr)]).end();
    ended.failure().stderr_says("HTTP").stderr_has("use redis:");
}

/// Old servers, interim answers, and ones that stop early: the final status is what counts.
#[test]
fn odd_answers_that_are_ready() {
    for answer in [
        "HTTP/1.0 200 OK\r\n\r\nhello",
        "HTTP/1.1 200\r\ncontent-length: 0\r\n\r\n",
        "HTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n",
        "HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\ncut",
        "HTTP/1.1 304 Not Modified\r\n\r\n",
        // Without a Location it is no redirect, as for the kubelet.
        "HTTP/1.1 302 Found\r\ncontent-length: 0\r\n\r\n",
    ] {
        let fake = Fake::answering(answer);
        let ended = Run::new(["--once", &format!("http://{}/", fake.addr)]).end();
        ended.expect(&format!("ready after {answer:?}"), ended.status.success());
    }
}

#[test]
fn odd_answers_that_are_not() {
    let many = format!("HTTP/1.1 200 OK\r\n{}\r\n", "x: y\r\n".repeat(101));
    let long = format!("HTTP/1.1 200 OK\r\nx: {}\r\n\r\n", "y".repeat(1 << 20));
    for answer in [
        many.as_str(),
        &long,
        "HTTP/1.1 999 Odd\r\ncontent-length: 0\r\n\r\n",
        "HTTP/1.1 302 Found\r\nlocation: http://[\r\ncontent-length: 0\r\n\r\n",
        "HTTP/1.1 302 Found\r\nlocation: ftp://127.0.0.1/\r\ncontent-length: 0\r\n\r\n",
        "HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\nconnection: upgrade\r\n\r\n",
        "HTTP/1.1 2000 OK\r\n\r\n",
        "hello\r\n",
    ] {
        let fake = Fake::answering(answer);
        let ended = Run::new(["--once", "--attempt-timeout=1s", &format!("http://{}/", fake.addr)]).end();
        ended.expect(&format!("not ready after {answer:.60?}"), ended.status.code() == Some(1));
        ended.expect("a line of a few hundred bytes", ended.stderr.len() < 1000);
    }
}

#[test]
fn hangs_up_without_an_answer() {
    let fake = Fake::closing();
    let ended = Run::new(["-t", "300ms", &format!("http://{}/", fake.addr)]).end();
    ended.failure().stderr_says("closed");
}

#[test]
fn an_endless_header_is_cut_off() {
    let fake = Fake::endless("HTTP/1.1 200 OK\r\n", "x: y\r\n".repeat(50));
    let ended = unready(&format!("http://{}/#attempt-timeout=1s", fake.addr));
    ended.took(Duration::ZERO..Duration::from_millis(2500));
}

/// The status decides: waitgate does not read a body that no expectation is about.
#[test]
fn an_endless_body_does_not_matter() {
    let fake = Fake::endless("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n", "4\r\nbody\r\n");
    let ended = Run::new(["--once", &format!("http://{}/", fake.addr)]).end();
    ended.success().took(Duration::ZERO..Duration::from_secs(2));
}
