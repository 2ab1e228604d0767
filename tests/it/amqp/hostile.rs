//! Hostile servers: an attempt at each ends in a reason, within the bounds of time and of 16 MiB of memory.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::thread;
use std::time::Duration;

use crate::support::{
    Fake, Run,
    amqp::{channel_ok, close, declared, frame, greeting, logged_in, method, open_ok, saying, tune},
    door,
    fake::linger,
    run::Ended,
};

/// What is said to the first words of a client, and what is then repeated without an end.
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

/// One attempt each without and with a login, with at most 16 MiB of address space for its data.
#[track_caller]
fn attempts(once: &[u8], endless: &[u8]) -> Vec<Ended> {
    ["amqp:ADDR", "amqp://app:hunter2@ADDR/shop#queue=jobs"]
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

/// Says `bytes` and hangs up.
fn saying_at_once(bytes: Vec<u8>) -> Fake {
    Fake::new(move |mut stream: TcpStream| {
        let _ = stream.write_all(&bytes);
        let _ = stream.shutdown(std::net::Shutdown::Write);
        let _ = stream.read(&mut [0; 64]);
    })
}

#[test]
fn every_answer_cut_short() {
    for whole in [greeting(), close(320, "going"), b"AMQP\0\x01\0\0".to_vec()] {
        for cut in (0..whole.len()).step_by(3) {
            let fake = saying_at_once(whole[..cut].to_vec());
            let ended = Run::new(["--once", "--attempt-timeout=1s", &format!("amqp:{}", fake.addr)]).end();
            ended.failure();
        }
    }
    let whole = [logged_in(), vec![channel_ok(), declared("jobs")]].concat().concat();
    for cut in (0..whole.len()).step_by(7) {
        let fake = saying_at_once(whole[..cut].to_vec());
        let target = format!("amqp://app:hunter2@{}/shop#queue=jobs", fake.addr);
        Run::new(["--once", "--attempt-timeout=1s", &target]).end().failure().nowhere("hunter2");
    }
}

#[test]
fn lengths_that_lie() {
    let lie = |length: u32| {
        for kind in [1, 2, 3, 8] {
            let header = [&[kind, 0, 0][..], &length.to_be_bytes()].concat();
            attempts(&header, &[]);
            let after_the_greeting = [greeting(), header].concat();
            login(&after_the_greeting, &[b'a'; 4096]).failure().nowhere("hunter2");
        }
    };
    // They wait for most of the time.
    thread::scope(|scope| {
        for length in [0_u32, 1, 0x1_ffff, 0x2_0000, 0x2_0001, 0x00ff_ffff, u32::MAX] {
            scope.spawn(move || lie(length));
        }
    });
    // A text, a table and a mechanism that are longer than their method.
    for arguments in [&b"\0\x09\xff\xff\xff\xff"[..], b"\0\x09\0\0\0\0\xff\xff\xff\xff", b"\0\x09\0\0\0\0\0\0\0\0"] {
        for ended in attempts(&method(0, 10, 10, arguments), &[]) {
            ended.stderr_has("protocol.error");
        }
    }
}

#[test]
fn answers_without_end() {
    for (once, endless) in [
        (Vec::new(), frame(8, 0, b"")),
        (Vec::new(), frame(3, 1, &[b'a'; 4000])),
        (b"\x01\0\0\0\x02\0\0".to_vec(), vec![b'a'; 4096]),
        (b"A".to_vec(), vec![b'M'; 4096]),
        (Vec::new(), vec![0; 4096]),
        (Vec::new(), vec![1; 4096]),
        (Vec::new(), greeting()),
    ] {
        login(&once, &endless).failure().nowhere("hunter2");
    }
    let blocked = method(0, 10, 60, b"\x03low");
    for ended in attempts(&[], &blocked) {
        ended.stderr_has("protocol.too-large");
    }
}

/// A login at a server that may have said a right greeting.
#[track_caller]
fn login(once: &[u8], endless: &[u8]) -> Ended {
    let fake = speaking(once, endless);
    let target = format!("amqp://app:hunter2@{}/shop", fake.addr);
    let run = Run::new(["--once", "--attempt-timeout=1s", &target]);
    let ended = run.through(["prlimit", "--data=16777216"]).end();
    ended.took(Duration::ZERO..Duration::from_secs(3));
    ended
}

/// After the login the bounds are the same.
#[test]
fn a_later_answer_without_end() {
    let fake = Fake::new(|mut stream: TcpStream| {
        for answer in logged_in() {
            let _ = stream.read(&mut [0; 4096]);
            let _ = stream.write_all(&answer);
        }
        while stream.write_all(&frame(2, 1, &[0; 8000])).is_ok() {}
    });
    let ended = Run::new(["--once", &format!("amqp://app:hunter2@{}#queue=q", fake.addr)]).end();
    ended.failure().stderr_has("protocol.too-large").nowhere("hunter2");
}

/// A server that never takes the farewell does not undo that it is ready.
#[test]
fn a_farewell_without_an_answer() {
    let fake = Fake::new(|mut stream: TcpStream| {
        for answer in logged_in() {
            let _ = stream.read(&mut [0; 4096]);
            let _ = stream.write_all(&answer);
        }
        while stream.write_all(&frame(8, 0, b"")).is_ok() {
            thread::sleep(Duration::from_millis(5));
        }
    });
    for bound in ["200ms", "3s"] {
        let run = Run::new(["--once", "--attempt-timeout", bound, &format!("amqp://app:hunter2@{}", fake.addr)]);
        run.end().success().took(Duration::ZERO..Duration::from_secs(2));
    }
}

#[test]
fn one_byte_a_second() {
    let fake = Fake::new(|mut stream: TcpStream| {
        for byte in greeting() {
            if stream.write_all(&[byte]).is_err() {
                return;
            }
            thread::sleep(Duration::from_secs(1));
        }
    });
    let ended = Run::new(["--once", "--attempt-timeout=2s", &format!("amqp:{}", fake.addr)]).end();
    ended.failure().took(Duration::from_secs(1)..Duration::from_secs(5)).stderr_says("no complete answer");
}

/// A server's words are escaped: they steer no terminal and forge no line.
#[test]
fn words_that_steer() {
    let hostile = "\u{1b}[2J\nwaitgate: ready\r\u{7}";
    for fake in [
        saying(vec![close(320, hostile)]),
        saying(vec![crate::support::amqp::start(hostile, true)]),
        saying(vec![greeting(), tune(), close(530, hostile)]),
        saying(vec![greeting(), tune(), open_ok(), channel_ok(), crate::support::amqp::channel_close(404, hostile)]),
    ] {
        let target = format!("amqp://app:hunter2@{}#queue=q", fake.addr);
        let ended = Run::new(["--once", "--attempt-timeout=1s", &target]).end();
        ended.failure();
        ended.expect("no control character", !ended.stderr.contains(['\u{1b}', '\r', '\u{7}']));
        assert_eq!(ended.stderr.lines().filter(|line| line.starts_with("waitgate: ready")).count(), 0, "{ended}");
    }
}

/// Talks that are right up to some bytes: an attempt at each ends, and says nothing that it must not.
#[test]
fn talks_with_a_few_wrong_bytes() {
    let right = [logged_in(), vec![channel_ok(), declared("q"), channel_ok(), close(320, "s")]].concat().concat();
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut next = |below: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        usize::try_from(state % below as u64).unwrap()
    };
    for round in 0..3000 {
        let mut talk = right.clone();
        for _ in 0..round % 4 {
            let at = next(talk.len());
            talk[at] = [0, 1, 8, 0xce, 0xff, b'F', b'S', b'A'][next(8)];
        }
        talk.truncate(talk.len() - next(talk.len()) * usize::from(round % 3 == 0));
        for which in 0..3 {
            door::amqp(&[&[which], talk.as_slice()].concat());
        }
    }
}
