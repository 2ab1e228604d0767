//! `send=`: what waitgate says first, and the answers of servers that are right, wrong, late or silent.

use std::{
    fs,
    io::{Read as _, Write as _},
    os::unix::net::UnixListener,
    thread,
    time::Duration,
};

use crate::support::{Fake, Run, fake::linger, run::Ended};

fn secs(seconds: f64) -> Duration {
    Duration::from_secs_f64(seconds)
}

fn once(fake: &Fake, more: &str) -> Ended {
    Run::new(["--once", &format!("tcp:{}{more}", fake.addr)]).end()
}

/// Answers each text of `script` and nothing else, and then closes the connection if `ends`.
fn scripted(script: &'static [(&'static [u8], &'static [u8])], ends: bool) -> Fake {
    Fake::new(move |mut stream| {
        let mut text = [0; 4096];
        let read = stream.read(&mut text).unwrap_or(0);
        if let Some((_, answer)) = script.iter().find(|(asked, _)| *asked == &text[..read]) {
            let _ = stream.write_all(answer);
        } else {
            let _ = stream.write_all(b"ERROR\r\n");
        }
        if !ends {
            linger(stream);
        }
    })
}

/// The bytes go out as they are meant: a line's end, a NUL, a `#`, letters of UTF-8.
#[test]
fn the_bytes_that_arrive() {
    let fake = scripted(
        &[
            (b"version\r\n", b"VERSION 1.6.18\r\n"),
            (b"\0\x01#%$ \xc3\xa9", b"bytes\r\n"),
            (b"stats\r\n", b"STAT pid 1\r\nEND\r\n"),
        ],
        false,
    );
    once(&fake, "#send=version%0D%0A#banner=VERSION").success();
    once(&fake, "#send=version\r\n#banner-match=^VERSION \\d+\\.").success();
    once(&fake, "#send=%00%01%23%25%24 é#banner=bytes").success();
    once(&fake, "#send=stats%0D%0A#banner=STAT#banner-match=END\\r\\n$").success();
    let ended = once(&fake, "#send=version#banner=VERSION");
    ended.failure().stderr_has("answers \"ERROR\", which is not what is expected").stderr_has("[expect.banner]");
}

#[test]
fn texts_that_cannot_be_sent() {
    let long = format!("tcp:db:1#send={}", "x".repeat(4097));
    for (target, says) in [
        ("tcp:db:1#send=", "#send: found nothing"),
        ("tcp:db:1#send", "#send needs a value"),
        ("tcp:db:1#send=%FF", "UTF-8"),
        ("tcp:db:1#send=%0", "two hex digits"),
        ("tcp:db:1#send=a#send=b", "#send is given twice"),
        ("tcp:db:1#send=a#gone", "#gone excludes #send"),
        (&long, "#send: the text is too long"),
    ] {
        Run::new([target]).end().failure().stderr_has(says).took(secs(0.0)..secs(2.0));
    }
}

/// ZooKeeper closes the connection after its answer to a four-letter word.
#[test]
fn a_server_may_close_after_the_expected_answer() {
    let fake = scripted(&[(b"ruok", b"imok")], true);
    once(&fake, "#send=ruok#banner=imok").success();
    let ended = once(&fake, "#send=mntr#banner=imok");
    ended.failure().stderr_has("answers \"ERROR\"").stderr_has("[expect.banner]");
    // Without an expected answer, the connection must stay open as it must without a text.
    let ended = once(&fake, "#send=ruok");
    ended.failure().stderr_has("[protocol.closed]");
    let stays = scripted(&[(b"ruok", b"imok")], false);
    once(&stays, "#send=ruok").success();
}

/// It closes the connection without an answer, as ZooKeeper does with a word that is not in its list.
#[test]
fn closed_without_an_answer() {
    let fake = Fake::new(|mut stream| {
        let _ = stream.read(&mut [0; 64]);
    });
    let ended = once(&fake, "#send=ruok#banner=imok");
    ended.failure().stderr_has("closed it at once").stderr_has("[protocol.closed]");
}

#[test]
fn no_answer_at_all() {
    let fake = Fake::silent();
    let ended = Run::new(["--once", "--attempt-timeout=1s", &format!("tcp:{}#send=x#banner=y", fake.addr)]).end();
    ended.failure().stderr_has("got the text of #send").stderr_has("[protocol.timeout]");
    ended.took(secs(1.0)..secs(2.0));
}

/// The reason shows the answer so far, and not that the time was over.
#[test]
fn an_answer_that_never_becomes_the_expected_one() {
    let trickle = Fake::new(|mut stream| {
        while stream.write_all(b"a").is_ok() {
            thread::sleep(secs(0.2));
        }
    });
    for more in ["#send=x#banner=b", "#banner=b"] {
        let target = format!("tcp:{}{more}", trickle.addr);
        let ended = Run::new(["--once", "--attempt-timeout=1s", &target]).end();
        ended.failure().stderr_has(" \"aaa").stderr_has("[expect.banner]").took(secs(0.7)..secs(2.0));
    }
    let endless = Fake::endless("", vec![b'a'; 512]);
    let ended = once(&endless, "#send=x#banner=b");
    ended.failure().stderr_has("answers \"aaa").stderr_has("[expect.banner]").took(secs(0.0)..secs(2.0));
}

/// A server that greets first, and answers the text later than a greeting may take.
#[test]
fn a_greeting_before_the_answer() {
    let fake = Fake::new(|mut stream| {
        let _ = stream.write_all(b"220 mail.test ESMTP\r\n");
        let _ = stream.read(&mut [0; 64]);
        thread::sleep(secs(0.6));
        let _ = stream.write_all(b"250-mail.test\r\n250 HELP\r\n");
        linger(stream);
    });
    once(&fake, "#send=EHLO waitgate%0D%0A#banner-match=(?m)^250 ").success();
    let ended = once(&fake, "#send=EHLO waitgate%0D%0A#banner=530");
    ended.failure().stderr_has("answers \"220 mail.test ESMTP\"");
}

/// The last words of a server that refuses the client are read, although the text has no reader any more.
#[test]
fn a_refusal_before_the_text_is_read() {
    let fake = Fake::new(|mut stream| {
        let _ = stream.write_all(b"554 no SMTP service here\r\n");
    });
    let ended = once(&fake, "#send=EHLO waitgate%0D%0A#banner=250");
    ended.failure().stderr_has("answers \"554 no SMTP service here\"");
}

#[test]
fn each_address_of_a_quorum_is_asked() {
    let fake = scripted(&[(b"PING\r\n", b"+PONG\r\n")], false);
    once(&fake, "#send=PING%0D%0A#banner=+PONG#all").success();
    once(&fake, "#send=PANG%0D%0A#banner=+PONG#all").failure().stderr_has("[expect.banner]");
}

#[test]
fn over_a_unix_socket() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("clamd.sock");
    let listener = UnixListener::bind(&path).unwrap();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut text = [0; 16];
            let read = stream.read(&mut text).unwrap_or(0);
            let answer: &[u8] = match &text[..read] {
                b"zPING\0" => b"PONG\0",
                b"GET" => b"HTTP/1.1 400 Bad Request\r\n\r\n",
                _ => b"no\n",
            };
            let _ = stream.write_all(answer);
        }
    });
    let target = format!("unix:{}", path.display());
    Run::new(["--once", &format!("{target}#send=zPING%00#banner=PONG")]).end().success();
    Run::new(["--once", &format!("{target}#send=PING#banner=PONG")]).end().failure().stderr_has("answers \"no\"");
    let ended = Run::new(["--once", &format!("{target}#send=GET#banner=200")]).end();
    ended.failure();
    if cfg!(feature = "http") {
        ended.stderr_has("use http+unix:");
    }
}

/// The kind that asks for more is named if there is one.
#[cfg(all(feature = "http", feature = "tls"))]
#[test]
fn the_kind_that_proves_more() {
    let fake = Fake::answering("HTTP/1.1 200 OK\r\n\r\n");
    let ended = once(&fake, "#send=GET / HTTP/1.0%0D%0A%0D%0A#banner=200");
    ended.success().stderr_has("which speaks HTTP: http: would prove that it serves");
    let tls = Fake::answering(b"\x15\x03\x01\0\x02\x02\x46");
    once(&tls, "#send=x#banner=y").failure().stderr_has("use tls:");
    let nats = Fake::greeting("INFO {\"server_id\":\"x\"}\r\n");
    once(&nats, "#banner=INFO").success().nowhere("would prove");
}

/// A password in the text is never printed: not as it is, not alone, and not where the server repeats it.
#[test]
fn secrets_are_never_printed() {
    let echo = Fake::new(|mut stream| {
        let mut text = [0; 256];
        let read = stream.read(&mut text).unwrap_or(0);
        let words = String::from_utf8_lossy(&text[..read]).replace("AUTH ", "").replace("\r\n", " ");
        let _ = stream.write_all(format!("-ERR no: {words}\r\n").as_bytes());
        let _ = stream.write_all(&text[..read]);
    });
    let folder = tempfile::tempdir().unwrap();
    let message = folder.path().join("message");
    for target in [
        "#send=AUTH hunter2-zw0lf%0D%0APING%0D%0A",
        "#send=AUTH $(PW)%0D%0APING%0D%0A",
        "#send=AUTH app $(PW)%0D%0APING%0D%0A",
        "#send=$(ALL)",
        "#send={\"user\":\"x\",\"pw\":\"hunter2-zw0lf\"}",
    ] {
        for (more, args) in [
            ("#banner=+PONG", &["--once"][..]),
            ("#banner=+PONG", &["--once", "-v", "--explain"]),
            ("#banner=+PONG", &["--once", "-v", "--log-format=json"]),
            ("#banner=+PONG", &["-t", "300ms", "-v"]),
            ("#banner-match=^\\+PONG", &["--once"]),
            ("", &["--once"]),
            ("#hold=0", &["--once", "-v"]),
            ("", &["--dry-run"]),
            ("#banner=", &["--once"]),
        ] {
            fs::write(&message, "").unwrap();
            let run = Run::new(args).arg(format!("--termination-log={}", message.display()));
            let run = run.env("PW", "hunter2-zw0lf").env("ALL", "AUTH hunter2-zw0lf\r\nPING\r\n");
            let ended = run.arg(format!("tcp:{}{target}{more}", echo.addr)).end();
            let left = fs::read_to_string(&message).unwrap();
            for piece in ["hunter2", "zw0lf"] {
                ended.nowhere(piece);
                assert!(!left.contains(piece), "{left}{ended}");
            }
        }
    }
}
