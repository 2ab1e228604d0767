//! Hostile servers: an attempt at each ends in a reason, within the bounds of time and of 16 MiB of memory.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::thread;
use std::time::Duration;

use crate::support::{
    Fake, Run,
    fake::linger,
    kafka::{TODAY, authenticated, broker, frame, metadata, offer, session, versions},
    run::Ended,
};

/// Says `before`, each after a request, then `once`, and repeats `endless` without an end.
fn speaking(before: &[Vec<u8>], once: &[u8], endless: &[u8]) -> Fake {
    let (before, once, endless) = (before.to_vec(), once.to_vec(), endless.to_vec());
    Fake::new(move |mut stream: TcpStream| {
        for said in before.iter().chain([&once]) {
            let _ = stream.read(&mut [0; 1024]);
            if stream.write_all(said).is_err() {
                return;
            }
        }
        let mut sent = Ok(());
        while sent.is_ok() && !endless.is_empty() {
            sent = stream.write_all(&endless);
        }
        if sent.is_ok() {
            linger(stream);
        }
    })
}

/// One attempt with at most 16 MiB of address space for its data.
#[track_caller]
fn attempt(target: &str, fake: &Fake) -> Ended {
    let target = target.replace("ADDR", &fake.addr.to_string());
    let ended = Run::new(["--once", "--attempt-timeout=1s", &target]).through(["prlimit", "--data=16777216"]).end();
    ended.failure().took(Duration::ZERO..Duration::from_secs(3)).nowhere("hunter2");
    ended.expect("a reason", ended.last_line().contains(&fake.addr.to_string()));
    ended
}

const TARGETS: [&str; 3] = ["kafka:ADDR#min=2", "kafka:ADDR#topic=a", "kafka://app:hunter2@ADDR"];

#[test]
fn every_answer_cut_short() {
    let first = frame(1, &versions(0, TODAY));
    let second = frame(2, &metadata(&[("127.0.0.1", 1), ("127.0.0.1", 2)], &[(0, "a", &[(0, 1), (0, 2)])]));
    let cut = |whole: &[u8], at: usize| {
        let (first, start) = (first.clone(), whole[..at].to_vec());
        let is_first = whole == first;
        Fake::new(move |mut stream: TcpStream| {
            let _ = stream.read(&mut [0; 1024]);
            if !is_first {
                let _ = stream.write_all(&first);
                let _ = stream.read(&mut [0; 1024]);
            }
            let _ = stream.write_all(&start);
        })
    };
    for at in 0..first.len() {
        attempt("kafka:ADDR#topic=a", &cut(&first, at));
    }
    for at in 0..second.len() {
        attempt("kafka:ADDR#topic=a", &cut(&second, at));
    }
}

#[test]
fn lengths_that_lie() {
    let lie = |length: u32| {
        let lie = [length.to_be_bytes(), 1_u32.to_be_bytes()].concat();
        for target in TARGETS {
            attempt(target, &speaking(&[], &lie, &[]));
        }
        let lie = [length.to_be_bytes(), 2_u32.to_be_bytes()].concat();
        let first = frame(1, &versions(0, TODAY));
        for target in TARGETS {
            attempt(target, &speaking(std::slice::from_ref(&first), &lie, &[]));
        }
    };
    // They wait for most of the time.
    thread::scope(|scope| {
        for length in [0, 1, 3, 4, 5, 0x1_0000, 0x10_0000, 0x10_0005, 0x7fff_ffff, 0x8000_0000, 0xffff_ffff] {
            scope.spawn(move || lie(length));
        }
    });
}

#[test]
fn answers_without_end() {
    let first = frame(1, &versions(0, TODAY));
    let head = |length: u32| [length.to_be_bytes(), 2_u32.to_be_bytes(), [0; 4]].concat();
    for endless in [&[0_u8; 4096][..], &[b'a'; 4096], &[0x7f; 4096], &[0xff; 4096]] {
        for target in TARGETS {
            attempt(target, &speaking(&[], b"", endless));
            attempt(target, &speaking(std::slice::from_ref(&first), b"", endless));
            attempt(target, &speaking(std::slice::from_ref(&first), &head(0x7fff_ffff), endless));
            attempt(target, &speaking(std::slice::from_ref(&first), &head(0x000f_ffff), endless));
        }
    }
}

/// A broker before Kafka 0.11 tells of all its topics: more than waitgate reads is a reason of its own.
#[test]
fn an_old_broker_with_many_topics() {
    let old = versions(0, &[(3, 0, 2), (18, 0, 0)]);
    let announced = [&2_000_000_u32.to_be_bytes()[..], &2_u32.to_be_bytes()].concat();
    let fake = speaking(&[frame(1, &old)], &announced, &[]);
    let ended = attempt("kafka:ADDR#topic=a", &fake);
    ended.stderr_has("a longer answer to a Metadata request than waitgate reads");
}

/// An hour of hashing would be an attack: the number of iterations has a bound.
#[test]
fn a_login_without_end() {
    for (token, says) in [
        (
            "r=NONCE,s=QSXCR+Q6sek8bf92,i=2000000000",
            "more iterations than waitgate does (100000) in the login by SCRAM-SHA-512",
        ),
        ("r=other,s=QSXCR+Q6sek8bf92,i=4096", "sent a message that SCRAM does not have"),
        ("", "sent a message that SCRAM does not have"),
    ] {
        let token = token.to_owned();
        let fake = Fake::new(move |mut stream: TcpStream| {
            let mut asked = [0; 4096];
            for (number, body) in (1..).zip([versions(0, TODAY), offer(0, &["SCRAM-SHA-512"])]) {
                let _ = stream.read(&mut asked);
                let _ = stream.write_all(&frame(number, &body));
            }
            let read = stream.read(&mut asked).unwrap_or(0);
            let said = String::from_utf8_lossy(&asked[..read]).into_owned();
            let nonce = said.split("r=").nth(1).unwrap_or_default();
            let token = token.replace("NONCE", &format!("{nonce}x"));
            let _ = stream.write_all(&frame(3, &authenticated(0, "", &token)));
            linger(stream);
        });
        attempt("kafka://app:hunter2@ADDR", &fake).stderr_has(says);
    }
}

/// A broker's words are escaped: they steer no terminal and forge no line.
#[test]
fn words_that_steer() {
    let words = "\u{1b}[2J\nwaitgate: ready\u{7}";
    let sessions = [
        session(&[versions(0, TODAY), offer(0, &[]), authenticated(58, words, "")]),
        session(&[versions(0, TODAY), offer(33, &[words])]),
    ];
    for said in sessions {
        let ended = attempt("kafka://app:hunter2@ADDR", &broker(vec![said]));
        ended.expect("no control character", !ended.stderr.contains(['\u{1b}', '\u{7}']));
        ended.expect("no forged line", !ended.stderr.contains("\nwaitgate: ready"));
    }
}
