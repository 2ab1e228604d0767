//! Expectations beyond the default: banners, bodies, headers and data out of files, redirects.

use std::{io::Write, net::TcpStream, thread, time::Duration};

use crate::support::{Fake, Run, fake::linger};

fn once(target: &str) -> crate::support::run::Ended {
    Run::new(["--once", "--attempt-timeout=600ms", target]).end()
}

#[test]
fn banner() {
    let fake = Fake::greeting("220 mail.test ESMTP ready\r\n");
    let target = format!("tcp:{}", fake.addr);
    for expected in ["banner=220 ", "banner=ESMTP", "banner-match=^220 .* ready"] {
        once(&format!("{target}#{expected}")).success();
    }
    for expected in ["banner=221", "banner-match=^ready"] {
        once(&format!("{target}#{expected}")).failure().stderr_has("banner");
    }
    once(&format!("tcp:{}#banner=x", Fake::silent().addr)).failure();
}

/// TCP keeps no borders between writes.
#[test]
fn banner_in_pieces() {
    let fake = Fake::new(|mut stream: TcpStream| {
        for piece in ["SSH-2", ".0-", "Open", "SSH\r\n"] {
            let _ = stream.write_all(piece.as_bytes());
            thread::sleep(Duration::from_millis(30));
        }
        linger(stream);
    });
    once(&format!("tcp:{}#banner=SSH-2.0-OpenSSH", fake.addr)).success();
}

#[test]
fn banner_is_bounded() {
    let fake = Fake::greeting(format!("{}needle", "x".repeat(100_000)));
    once(&format!("tcp:{}#banner=needle", fake.addr)).failure();
}

#[cfg(feature = "http")]
mod http {
    use super::*;
    use crate::support::web::{Reply, Web};

    fn saying(body: &str) -> Web {
        let body = body.to_owned();
        Web::new(move |_, _| Reply::body(200, body.clone()))
    }

    #[test]
    fn body_and_match() {
        let web = saying("{\"status\": \"UP\"}\n");
        for expected in ["body=UP", "match=\"status\": *\"UP\"", "json=/status=UP", "json=/status"] {
            once(&web.url(&format!("/#{expected}"))).success();
        }
        for expected in ["body=DOWN", "match=^UP", "json=/status=DOWN", "json=/nowhere"] {
            once(&web.url(&format!("/#{expected}"))).failure();
        }
    }

    /// The value is not printed back: a status page may hold anything.
    #[test]
    fn json_pointers() {
        let web = saying(r#"{"a/b": {"m~n": [1, true, null, {"x": "y"}]}}"#);
        for expected in ["json=/a~1b/m~0n/0=1", "json=/a~1b/m~0n/1=true", "json=/a~1b/m~0n/3/x=y", "json=/a~1b/m~0n/2"]
        {
            once(&web.url(&format!("/#{expected}"))).success();
        }
        once(&web.url("/#json=/a~1b/m~0n/0=1#json=/a~1b/m~0n/1=false")).failure();
        once(&saying("no json").url("/#json=/a")).failure().stderr_says("JSON");
    }

    #[test]
    fn bodies_are_bounded() {
        let endless = Fake::endless("HTTP/1.1 200 OK\r\n\r\n", "x".repeat(65536));
        let started = std::time::Instant::now();
        Run::new(["--once", "--attempt-timeout=20s", &format!("http://{}/#body=needle", endless.addr)]).end().failure();
        assert!(started.elapsed() < Duration::from_secs(10), "{:?}", started.elapsed());
        let late = saying(&format!("{}needle", "x".repeat(2 << 20)));
        once(&late.url("/#body=needle")).failure();
    }

    /// A mounted Secret or a rotated token: read anew at each attempt.
    #[test]
    fn files_are_read_anew() {
        let folder = tempfile::tempdir().unwrap();
        let token = folder.path().join("token");
        let web = Web::new(|seen, _| {
            Reply::status(if seen.header("authorization") == Some("Bearer new") { 200 } else { 401 })
        });
        let target = web.url(&format!("/#header=Authorization:@{}", token.display()));
        let running = Run::new(["--max-pause=200ms", &target]).start();
        running.line(token.to_str().unwrap());
        std::fs::write(&token, "Bearer old\n").unwrap();
        running.line("401");
        std::fs::write(&token, "Bearer new\n").unwrap();
        running.end().success().nowhere("Bearer");
        std::fs::write(&token, "body of\na request").unwrap();
        let data = Web::always(200);
        once(&data.url(&format!("/#method=PUT#data=@{}", token.display()))).success();
        assert_eq!(data.seen()[0].body, "body of\na request");
    }

    /// A fifo without a writer, an endless device: neither holds up an attempt.
    #[test]
    fn files_that_are_none() {
        let folder = tempfile::tempdir().unwrap();
        let fifo = folder.path().join("fifo");
        rustix::fs::mknodat(rustix::fs::CWD, &fifo, rustix::fs::FileType::Fifo, 0o600.into(), 0).unwrap();
        let web = Web::always(200);
        for path in [fifo.to_str().unwrap(), "/dev/zero", "/"] {
            once(&web.url(&format!("/#header=X-A:@{path}"))).failure().stderr_has(path);
        }
        assert_eq!(web.seen().len(), 0);
    }

    #[test]
    fn follow_goes_to_another_host() {
        let elsewhere = Web::always(503);
        let location = elsewhere.url("/there");
        let web = Web::new(move |_, _| Reply::to(302, location.clone()));
        once(&web.url("/")).success();
        once(&web.url("/#follow")).failure().stderr_has("503");
        assert_eq!(elsewhere.seen()[0].path, "/there");
    }

    /// Credentials are for the host that they were given for.
    #[test]
    fn follow_takes_no_credentials_along() {
        let elsewhere = Web::always(200);
        let location = elsewhere.url("/");
        let web = Web::new(move |_, _| Reply::to(302, location.clone()));
        let target = web.url("/#follow#header=Authorization:Bearer hunter2#header=Cookie:hunter2");
        once(&target).success();
        let seen = &elsewhere.seen()[0];
        assert_eq!((seen.header("authorization"), seen.header("cookie")), (None, None), "{seen:?}");
    }
}
