//! Hostile servers: an attempt at each ends in a reason, within the bounds of time and of 16 MiB of memory.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use crate::support::mongodb::{Doc, Request, state};
use crate::support::{Fake, Run, door, fake::linger, run::Ended};

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

fn attempt(target: &str, fake: &Fake) -> Ended {
    let target = target.replace("ADDR", &fake.addr.to_string());
    let run = Run::new(["--once", "--attempt-timeout=1s", &target]);
    let ended = run.through(["prlimit", "--data=16777216"]).end();
    ended.failure().took(Duration::ZERO..Duration::from_secs(3)).nowhere("hunter2");
    ended.expect("a reason", ended.last_line().contains(&fake.addr.to_string()));
    ended
}

const TARGETS: [&str; 2] = ["mongodb:ADDR", "mongodb://app:hunter2@ADDR"];

/// A message with its header: what it is, and its body. The first command of a session has the number 1.
fn message(length: u32, code: u32, body: &[u8]) -> Vec<u8> {
    [&length.to_le_bytes()[..], &[9, 0, 0, 0], &1_u32.to_le_bytes(), &code.to_le_bytes(), body].concat()
}

#[test]
fn lengths_that_lie() {
    let lies = [0, 15, 16, 20, 35, 36, 40, 41, 256 * 1024, 256 * 1024 + 1, 48_000_000, u32::MAX >> 1, u32::MAX];
    for code in [1, 2013] {
        for length in lies {
            for target in TARGETS {
                attempt(target, &speaking(&message(length, code, &[0; 25]), &[]));
            }
        }
    }
    // A document with a length of its own.
    for length in [0_u32, 4, 5, 6, 1000, u32::MAX] {
        let body = [&[0; 20][..], &length.to_le_bytes(), b"\0"].concat();
        attempt(TARGETS[0], &speaking(&message(41, 1, &body), &[]));
    }
}

#[test]
fn answers_without_end() {
    let name = b"\x02a\0\x02\0\0\0x\0";
    for (once, endless) in [
        (message(256 * 1024, 1, &[0; 20]), name.repeat(100)),
        (message(256 * 1024, 2013, &[0; 5]), name.repeat(100)),
        (message(41, 1, &[0; 25]), message(41, 1, &[0; 25])),
        (Vec::new(), vec![0; 4096]),
        (Vec::new(), b"a".repeat(4096)),
        (Vec::new(), message(36, 2013, &[0; 20])),
    ] {
        for target in TARGETS {
            attempt(target, &speaking(&once, &endless));
        }
    }
}

#[test]
fn every_answer_cut_short() {
    let whole = |request: &Request| request.answer(&state("primary", "a:1"));
    let length = 420;
    for cut in (0..length).step_by(7) {
        let fake = Fake::new(move |mut stream| {
            if let Some(request) = Request::read(&mut stream) {
                let answer = whole(&request);
                let _ = stream.write_all(&answer[..cut.min(answer.len() - 1)]);
            }
        });
        let target = format!("mongodb:{}", fake.addr);
        Run::new(["--once", "--attempt-timeout=1s", &target]).end().failure();
    }
}

/// Documents as deep as the message allows.
#[test]
fn a_deep_document() {
    let deep =
        (0..20_000).fold(Vec::new(), |inner: Vec<u8>, _| if inner.len() > 200_000 { inner } else { nest(&inner) });
    let length = u32::try_from(16 + 20 + deep.len()).unwrap();
    let body = [&[0; 20][..], &deep].concat();
    let ended = attempt(TARGETS[0], &speaking(&message(length, 1, &body), &[]));
    ended.stderr_has("without a word");
}

fn nest(inner: &[u8]) -> Vec<u8> {
    let inner = if inner.is_empty() { b"\x05\0\0\0\0" } else { inner };
    let length = u32::try_from(4 + 3 + inner.len() + 1).unwrap().to_le_bytes();
    [&length[..], b"\x03a\0", inner, b"\0"].concat()
}

/// A login that never ends, and one that asks for years of work.
#[test]
fn a_login_without_end() {
    for iterations in ["4294967295", "100001", "99999999999999999999"] {
        let fake = Fake::new(move |mut stream| {
            while let Some(request) = Request::read(&mut stream) {
                let nonce = first_nonce(&request);
                let payload = format!("r={nonce}x,s=YQ==,i={iterations}");
                let login = Doc::ok().int("conversationId", 1).bool("done", false).bytes("payload", payload.as_bytes());
                let answer = if request.command() == "isMaster" { state("primary", "a:1") } else { login };
                let _ = stream.write_all(&request.answer(&answer));
            }
        });
        attempt(TARGETS[1], &fake);
    }
}

fn first_nonce(request: &Request) -> String {
    let text = String::from_utf8_lossy(&request.doc);
    text.split("r=").nth(1).unwrap_or_default().chars().take(24).collect()
}

#[test]
fn silence_close_and_reset() {
    attempt(TARGETS[0], &Fake::silent()).stderr_has("[protocol.timeout]");
    attempt(TARGETS[0], &Fake::closing()).stderr_has("closed it without an answer");
    attempt(TARGETS[1], &Fake::resetting());
}

/// Right answers, cut, repeated and with bytes changed, the same in every run: each session ends in a reason without a secret.
#[test]
fn answers_at_random() {
    let mut state_of = 0x9e37_79b9_7f4a_7c15_u64;
    let mut next = |below: usize| {
        state_of ^= state_of << 13;
        state_of ^= state_of >> 7;
        state_of ^= state_of << 17;
        usize::try_from(state_of % below as u64).unwrap()
    };
    let payload = Doc::ok().int("conversationId", 1).bool("done", true).bytes("payload", b"r=x,s=YQ==,i=4096");
    let seeds = [
        Request::numbered(1, 2004).answer(&state("primary", "a:1")),
        Request::numbered(1, 2013).answer(&state("mongos", "a:1").bytes("serviceId", b"x")),
        Request::numbered(1, 2004).answer(&state("uninitiated", "").texts("saslSupportedMechs", &["SCRAM-SHA-256"])),
        Request::numbered(2, 2013).answer(&payload),
        Request::numbered(2, 2013).answer(&Doc::error(18, "AuthenticationFailed", "no")),
    ];
    for round in 0..4000 {
        let mut stream = seeds[next(3)].clone();
        stream.extend(&seeds[3 + next(2)]);
        for _ in 0..next(4) {
            let at = next(stream.len());
            match next(3) {
                0 => stream[at] = u8::try_from(next(256)).unwrap(),
                1 => stream.truncate(at + 1),
                _ => drop(stream.remove(at)),
            }
            if stream.is_empty() {
                stream.push(0);
            }
        }
        let which = u8::try_from(round % 4).unwrap();
        door::mongodb(&[&[which][..], &stream].concat());
    }
}
