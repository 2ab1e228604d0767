//! Hostile servers: an attempt at each ends in a reason, within the bounds of time and of 16 MiB of memory.

use std::io::Write as _;
use std::net::TcpStream;
use std::thread;
use std::time::Duration;

use crate::support::h2::{
    CONTINUATION, DATA, END, END_HEADERS, GOAWAY, HEAD, HEADERS, PING, RST_STREAM, SETTINGS, WINDOW_UPDATE, fields,
    frame, headers, health, hear, server, server_of,
};
use crate::support::{Fake, Run, run::Ended};

/// `once` after the call, and then `again` without an end.
fn endless(once: Vec<u8>, again: Vec<u8>) -> Fake {
    Fake::new(move |mut stream: TcpStream| {
        let _ = stream.write_all(&frame(SETTINGS, 0, 0, &[]));
        if !hear(&mut stream) {
            return;
        }
        // Nothing that the client says is read from now on.
        let mut sent = stream.write_all(&once);
        let many = again.repeat((1 << 16) / again.len() + 1);
        while sent.is_ok() {
            sent = stream.write_all(&many);
        }
    })
}

/// One attempt, with at most 16 MiB of address space for its data.
#[track_caller]
fn attempt(fake: &Fake) -> Ended {
    let target = format!("grpc:{}#header=authorization:hunter2-zw0lf", fake.addr);
    let run = Run::new(["--once", "--attempt-timeout=1s", &target]);
    let ended = run.through(["prlimit", "--data=16777216"]).end();
    ended.failure().took(Duration::ZERO..Duration::from_secs(3)).nowhere("hunter2");
    ended.expect("a reason", ended.last_line().contains(&fake.addr.to_string()));
    ended
}

#[test]
fn frames_without_end() {
    let open = frame(HEADERS, 0, 1, &fields(HEAD));
    let long = "x".repeat(8000);
    let large = fields(&[("x", &long)]);
    for (name, once, again) in [
        ("SETTINGS", Vec::new(), frame(SETTINGS, 0, 0, &[])),
        ("large SETTINGS", Vec::new(), frame(SETTINGS, 0, 0, &[0, 1, 0xff, 0xff, 0xff, 0xff].repeat(2000))),
        ("PING", Vec::new(), frame(PING, 0, 0, &[0; 8])),
        ("WINDOW_UPDATE", Vec::new(), frame(WINDOW_UPDATE, 0, 0, &[0, 0, 0, 1])),
        ("unknown frames", Vec::new(), frame(0xbe, 0, 0, &[0; 64])),
        ("PRIORITY", Vec::new(), frame(2, 0, 1, &[0; 5])),
        ("empty CONTINUATION", open.clone(), frame(CONTINUATION, 0, 1, &[])),
        ("CONTINUATION", open.clone(), frame(CONTINUATION, 0, 1, &large)),
        ("half a field", frame(HEADERS, 0, 1, &[0, 127, 0xff, 0xff, 0xff, 7]), frame(CONTINUATION, 0, 1, &[b'x'; 900])),
        ("empty DATA", headers(0, HEAD), frame(DATA, 0, 1, &[])),
        ("padding", headers(0, HEAD), frame(DATA, 8, 1, &[&[200][..], &[0; 200]].concat())),
        ("DATA", headers(0, HEAD), frame(DATA, 0, 1, &[0; 4096])),
        ("informational answers", Vec::new(), headers(0, &[(":status", "103")])),
        ("heads", Vec::new(), headers(0, HEAD)),
        ("RST_STREAM", Vec::new(), frame(RST_STREAM, 0, 1, &[0, 0, 0, 8])),
        ("streams of its own", Vec::new(), frame(HEADERS, END_HEADERS, 2, &fields(HEAD))),
        ("GOAWAY", Vec::new(), frame(GOAWAY, 0, 0, &[0x7f, 0xff, 0xff, 0xff, 0, 0, 0, 0])),
    ] {
        let ended = attempt(&endless(once, again));
        ended.expect(name, ended.stderr.contains("[protocol."));
    }
}

#[test]
fn large_headers() {
    let long = "x".repeat(15_000);
    let many: Vec<(String, &str)> = (0..2000).map(|number| (format!("x-{number}"), "y")).collect();
    let many: Vec<(&str, &str)> = many.iter().map(|(name, value)| (name.as_str(), *value)).collect();
    for list in [vec![("a", long.as_str()), ("b", &long)], many] {
        // Each frame is within its bound, and the whole is not.
        let block = fields(&[HEAD, &list].concat());
        let mut chunks = block.chunks(15_000);
        let mut said = frame(HEADERS, 0, 1, chunks.next().unwrap());
        for chunk in chunks {
            said.extend(frame(CONTINUATION, 0, 1, chunk));
        }
        said.extend(frame(CONTINUATION, END_HEADERS, 1, &fields(&[("end", "x")])));
        attempt(&server(said)).stderr_has("a longer answer than a health check has");
    }
    // A table of 4 KiB, and a reference of one byte to its one field, over and over (RFC 7541 sections 6.1 and 6.2.1).
    let value = "x".repeat(4000);
    let bomb = [&[0x40][..], &fields(&[("n", &value)])[1..], &[0xbe; 9000]].concat();
    attempt(&server(frame(HEADERS, END_HEADERS | END, 1, &[fields(HEAD), bomb].concat())));
    // A field without an end of its length, Huffman's code that is none, an index that does not exist.
    for block in [
        &[0, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff][..],
        &[0, 0x84, 0xff, 0xff, 0xff, 0xff],
        &[0xff, 0xff, 0xff, 0x7f],
    ] {
        attempt(&server(frame(HEADERS, END_HEADERS | END, 1, block))).stderr_has("broke its rules");
    }
}

#[test]
fn a_frame_longer_than_allowed() {
    attempt(&server(frame(DATA, 0, 1, &vec![0; 16_385]))).stderr_has("broke its rules: FRAME_SIZE_ERROR");
    let head = [0xff, 0xff, 0xff, DATA, 0, 0, 0, 0, 1];
    attempt(&server(head)).stderr_has("broke its rules");
    let message = [&[0, 0, 0, 0x20, 0][..], &[0; 8192]].concat();
    let long = [headers(0, HEAD), frame(DATA, 0, 1, &message), headers(END, &[("grpc-status", "0")])].concat();
    attempt(&server(long)).stderr_has("a longer answer").stderr_has("[protocol.too-large]");
}

/// Windows that are zero, overflow, or shrink; a push; settings out of range.
#[test]
fn windows_and_settings() {
    for settings in [
        &[0, 4, 0xff, 0xff, 0xff, 0xff][..],
        &[0, 5, 0, 0, 0, 1],
        &[0, 2, 0, 0, 0, 1],
        &[0, 4, 0, 0, 0, 0],
        &[0, 3, 0, 0, 0, 0],
        &[0, 6, 0, 0, 0, 0],
        &[1, 2, 3],
    ] {
        let fake = server_of(frame(SETTINGS, 0, 0, settings), Vec::new());
        attempt(&fake);
    }
    for said in [
        frame(WINDOW_UPDATE, 0, 0, &[0x7f, 0xff, 0xff, 0xff]),
        frame(WINDOW_UPDATE, 0, 1, &[0; 4]),
        frame(5, END_HEADERS, 1, &[&[0, 0, 0, 2][..], &fields(HEAD)].concat()),
        frame(PING, 0, 0, &[0; 3]),
        frame(SETTINGS, END, 0, &[0; 6]),
        frame(GOAWAY, 0, 0, &[]),
        frame(DATA, END, 1, &[]),
        frame(DATA, END, 9, &[0; 9]),
        headers(END, &[("x", "y")]),
        headers(END, &[(":status", "")]),
        headers(END, &[(":status", "200"), (":path", "/")]),
        headers(END, &[(":status", "200"), ("Upper", "x")]),
        headers(END, &[(":status", "200"), ("a", "b\r\nc")]),
        headers(0, HEAD),
    ] {
        attempt(&server(said));
    }
    // The table of SETTINGS_HEADER_TABLE_SIZE with 4 GiB is not made.
    let wide = server_of(frame(SETTINGS, 0, 0, &[0, 1, 0xff, 0xff, 0xff, 0xff]), health(2));
    attempt(&wide).stderr_has("NOT_SERVING");
}

/// An answer, and a stream of settings before it, cut short after each byte.
#[test]
fn every_answer_cut_short() {
    let whole = health(1);
    for cut in 0..whole.len() {
        let start = whole[..cut].to_vec();
        let fake = Fake::new(move |mut stream: TcpStream| {
            let _ = stream.write_all(&frame(SETTINGS, 0, 0, &[]));
            if hear(&mut stream) {
                let _ = stream.write_all(&start);
            }
        });
        let ended = Run::new(["--once", "--attempt-timeout=1s", &format!("grpc:{}", fake.addr)]).end();
        ended.failure().stderr_has("[protocol.closed]");
    }
}

#[test]
fn one_byte_a_second() {
    let fake = Fake::new(|mut stream: TcpStream| {
        for byte in [frame(SETTINGS, 0, 0, &[]), health(1)].concat() {
            if stream.write_all(&[byte]).is_err() {
                return;
            }
            thread::sleep(Duration::from_secs(1));
        }
    });
    let ended = Run::new(["--once", "--attempt-timeout=2s", &format!("grpc:{}", fake.addr)]).end();
    ended.failure().took(Duration::from_secs(1)..Duration::from_secs(5)).stderr_says("no complete answer");
}

/// What the fuzzer does, for some thousand inputs that are made up: no input ends in a panic, or in a long reason.
#[test]
fn made_up_streams() {
    let mut state = 0x2545_f491_u32;
    let mut next = move || {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        state
    };
    let serving = [&[2, 1, 4, 1, 30][..], &fields(HEAD)[..30], &[0, 0, 1, 7, 0, 0, 0, 0, 2, 8, 1]].concat();
    for round in 0..6000 {
        let mut data: Vec<u8> = match round % 3 {
            0 => (0..next() % 200).map(|_| next().to_le_bytes()[0]).collect(),
            1 => serving.clone(),
            _ => [&[1][..], &frame(SETTINGS, 0, 0, &[]), &health(1)].concat(),
        };
        for _ in 0..next() % 4 {
            let (at, byte) = (next() as usize % data.len().max(1), next().to_le_bytes()[0]);
            if let Some(changed) = data.get_mut(at) {
                *changed = byte;
            }
        }
        crate::support::door::grpc(&data);
    }
}

/// A server's words are escaped: they steer no terminal and forge no line.
#[test]
fn words_that_steer() {
    let head = [HEAD, &[("grpc-status", "14"), ("grpc-message", "%1B[2J%0Awaitgate: ready%07%FF")]].concat();
    let ended = attempt(&server(headers(END, &head)));
    ended.expect("no control character", !ended.stderr.contains(['\u{1b}', '\u{7}']));
    ended.stderr_has("UNAVAILABLE: \\u{1b}[2J\\nwaitgate: ready");
}
