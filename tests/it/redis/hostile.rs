//! Hostile servers: an attempt at each ends in a reason, within the bounds of time and of 16 MiB of memory.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::thread;
use std::time::Duration;

use crate::support::{Fake, Run, fake::linger, run::Ended};

/// What is said to the first command, and what is then repeated without an end.
fn speaking(once: &[u8], endless: &[u8]) -> Fake {
    let (once, endless) = (once.to_vec(), endless.to_vec());
    Fake::new(move |mut stream: TcpStream| {
        let _ = stream.read(&mut [0; 1024]);
        let mut sent = stream.write_all(&once);
        while sent.is_ok() && !endless.is_empty() {
            sent = stream.write_all(&endless);
        }
        if sent.is_ok() {
            linger(stream);
        }
    })
}

/// One attempt each as a ping, as a login and for a role, with at most 16 MiB of address space for its data.
#[track_caller]
fn attempts(once: &[u8], endless: &[u8]) -> Vec<Ended> {
    ["redis:ADDR", "redis://app:hunter2@ADDR", "redis:ADDR#role=primary"]
        .map(|target| {
            let fake = speaking(once, endless);
            let target = target.replace("ADDR", &fake.addr.to_string());
            let run = Run::new(["--once", "--attempt-timeout=1s", &target]);
            let ended = run.through(["prlimit", "--data=16777216"]).end();
            ended.failure().took(Duration::ZERO..Duration::from_secs(3)).nowhere("hunter2");
            ended.expect("a reason", ended.last_line().contains(&fake.addr.to_string()));
            ended
        })
        .into()
}

#[test]
fn every_reply_cut_short() {
    for whole in ["+PONG\r\n", "-LOADING x\r\n", ":12345\r\n", "$4\r\nPONG\r\n", "*2\r\n$4\r\nPONG\r\n*1\r\n:1\r\n"] {
        for cut in 0..whole.len() {
            let start = whole.as_bytes()[..cut].to_vec();
            let fake = Fake::new(move |mut stream: TcpStream| {
                let _ = stream.read(&mut [0; 1024]);
                let _ = stream.write_all(&start);
            });
            for target in ["redis:ADDR", "redis://:hunter2@ADDR"] {
                let target = target.replace("ADDR", &fake.addr.to_string());
                Run::new(["--once", "--attempt-timeout=1s", &target]).end().failure().nowhere("hunter2");
            }
        }
    }
}

#[test]
fn lengths_that_lie() {
    for kind in ["$", "*"] {
        for length in [
            "0",
            "-1",
            "-2",
            "16777216",
            "16777217",
            "2147483647",
            "9223372036854775807",
            "99999999999999999999",
            "",
            "x",
        ] {
            attempts(format!("{kind}{length}\r\n").as_bytes(), &[]);
        }
    }
}

#[test]
fn replies_without_end() {
    for (once, endless) in [
        (&b"+"[..], &[b'a'; 4096][..]),
        (b"-LOADING ", &[b'a'; 4096]),
        (b"$16777216\r\n", &[b'a'; 4096]),
        (b"$32768\r\n", &[b'a'; 4096]),
        (b"", b"*1\r\n"),
        (b"", b"*2048\r\n"),
        (b"*2048\r\n", b"$20000\r\n"),
        (b"*16777216\r\n", b":1\r\n"),
        (b"", b"-LOADING x\r\n"),
        (b"", b"\0"),
    ] {
        attempts(once, endless);
    }
}

/// After the login, or instead of the progress of a load, the bounds are the same.
#[test]
fn a_later_reply_without_end() {
    let fake = Fake::new(|mut stream: TcpStream| {
        for reply in ["+PONG\r\n", "*3\r\n$6\r\nmaster\r\n:0\r\n*2048\r\n"] {
            let _ = stream.read(&mut [0; 1024]);
            let _ = stream.write_all(reply.as_bytes());
        }
        while stream.write_all(&b"*1\r\n".repeat(1024)).is_ok() {}
    });
    let ended = Run::new(["--once", &format!("redis:{}#role=primary", fake.addr)]).end();
    ended.failure().stderr_has("a longer answer to a ROLE than waitgate reads");
}

#[test]
fn one_byte_a_second() {
    let fake = Fake::new(|mut stream: TcpStream| {
        for byte in b"+PONGPONGPONG" {
            if stream.write_all(&[*byte]).is_err() {
                return;
            }
            thread::sleep(Duration::from_secs(1));
        }
    });
    let ended = Run::new(["--once", "--attempt-timeout=2s", &format!("redis:{}", fake.addr)]).end();
    ended.failure().took(Duration::from_secs(1)..Duration::from_secs(5)).stderr_says("no complete answer");
}

/// A server's words are escaped: they steer no terminal and forge no line.
#[test]
fn words_that_steer() {
    for ended in attempts(b"-MISCONF \x1b[2J\x0bwaitgate: ready\x07\xff\r\n", &[]) {
        ended.expect("no control character", !ended.stderr.contains(['\u{1b}', '\u{b}', '\u{7}']));
    }
}
