//! Hostile servers: an attempt at each ends in a reason, within the bounds of time and of 16 MiB of memory.

use std::{
    io::{Read as _, Write as _},
    net::TcpStream,
    time::Duration,
};

use crate::support::{Fake, Run, run::Ended};

/// What a server says after the startup packet, to be repeated without an end or not.
struct Words {
    once: Vec<u8>,
    endless: Vec<u8>,
}

/// Declines TLS, reads the startup packet, and then speaks `words`.
fn speaking(words: Words) -> Fake {
    Fake::new(move |mut stream: TcpStream| {
        let mut packet = [0; 1024];
        let _ = stream.read(&mut packet[..8]);
        let _ = stream.write_all(b"N");
        let _ = stream.read(&mut packet);
        let mut sent = stream.write_all(&words.once);
        while sent.is_ok() && !words.endless.is_empty() {
            sent = stream.write_all(&words.endless);
        }
        if sent.is_ok() {
            crate::support::fake::linger(stream);
        }
    })
}

fn message(tag: u8, body: &[u8]) -> Vec<u8> {
    let length = u32::try_from(body.len() + 4).unwrap().to_be_bytes();
    [&[tag][..], &length, body].concat()
}

/// One attempt each as a ping and as a login, with at most 16 MiB of address space for its data.
#[track_caller]
fn attempts(once: &[u8], endless: &[u8]) -> [Ended; 2] {
    let fake = speaking(Words { once: once.to_vec(), endless: endless.to_vec() });
    ["", "app:hunter2@"].map(|login| {
        let target = format!("postgres://{login}{}/shop", fake.addr);
        let run = Run::new(["--once", "--attempt-timeout=1s", &target]);
        let ended = run.through(["prlimit", "--data=16777216"]).end();
        ended.failure().took(Duration::ZERO..Duration::from_secs(3)).nowhere("hunter2");
        ended.expect("a reason", ended.last_line().contains(&fake.addr.to_string()));
        ended
    })
}

/// Every message that a server may send before ReadyForQuery, each cut off after every byte, then silence.
#[test]
fn every_message_cut_short() {
    let messages = [
        message(b'R', &[0, 0, 0, 5, 1, 2, 3, 4]),
        message(b'R', &[&[0, 0, 0, 10][..], b"SCRAM-SHA-256\0\0"].concat()),
        message(b'E', b"SFATAL\0VFATAL\0C57P03\0Mthe database system is starting up\0\0"),
        message(b'N', b"SNOTICE\0VNOTICE\0C00000\0Mhello\0\0"),
        message(b'S', b"server_version\x0015.1\0"),
        message(b'K', &[0; 8]),
    ];
    let cuts = messages.iter().flat_map(|message| (0..message.len()).map(|cut| message[..cut].to_vec()));
    for bytes in cuts.step_by(3) {
        let fake = Fake::new(move |mut stream: TcpStream| {
            let _ = stream.read(&mut [0; 8]);
            let _ = stream.write_all(b"N");
            let _ = stream.read(&mut [0; 1024]);
            let _ = stream.write_all(&bytes);
        });
        for login in ["", "app:hunter2@"] {
            let target = format!("postgres://{login}{}/shop", fake.addr);
            Run::new(["--once", "--attempt-timeout=1s", &target]).end().failure().nowhere("hunter2");
        }
    }
}

#[test]
fn lengths_that_lie() {
    for length in [0_u32, 3, 0x7fff_ffff, 0x8000_0000, u32::MAX] {
        for tag in [b'R', b'E', b'N', b'S', b'Z'] {
            attempts(&[&[tag][..], &length.to_be_bytes()].concat(), &[]);
        }
    }
}

#[cfg(feature = "tls")]
#[test]
fn notices_without_end() {
    let notice = message(b'N', &[b"SNOTICE\0M".as_slice(), &[b'a'; 4000], b"\0\0"].concat());
    let [ping, _] = attempts(&[], &notice);
    ping.stderr_has("1 MiB");
    let [_, login] = attempts(&message(b'R', &[0; 4]), &notice);
    login.stderr_has("1 MiB");
}

#[cfg(feature = "tls")]
#[test]
fn parameters_without_end() {
    let status = message(b'S', &[&[b'a'; 2000][..], b"\0", &[b'b'; 2000], b"\0"].concat());
    for ended in attempts(&message(b'R', &[0; 4]), &status) {
        ended.stderr_has("1 MiB");
    }
}

#[test]
fn errors_that_say_little() {
    for body in [&b"\0"[..], b"SFATAL\0\0", b"Mno code\0\0", b"C57P03\0\0", b"Cxx\0Mx\0\0", b"garbage"] {
        attempts(&message(b'E', body), &[]);
    }
}

/// A server's words are escaped: they steer no terminal and forge no line.
#[test]
fn words_that_steer() {
    let hostile = b"SFATAL\0C57P03\0M\x1b[2J\nwaitgate: ready\r\0\0";
    for ended in attempts(&message(b'E', hostile), &[]) {
        ended.expect("no control character", !ended.stderr.contains('\u{1b}') && !ended.stderr.contains('\r'));
        assert_eq!(ended.stderr.lines().filter(|line| line.starts_with("waitgate: ready")).count(), 0, "{ended}");
    }
}

/// A login that would have this machine hash for hours.
#[cfg(feature = "tls")]
#[test]
fn scram_with_too_many_rounds() {
    let fake = Fake::new(|mut stream: TcpStream| {
        let mut packet = [0; 1024];
        let _ = stream.read(&mut packet[..8]);
        let _ = stream.write_all(b"N");
        let _ = stream.read(&mut packet);
        let _ = stream.write_all(&message(b'R', &[&[0, 0, 0, 10][..], b"SCRAM-SHA-256\0\0"].concat()));
        let count = stream.read(&mut packet).unwrap_or(0);
        let said = String::from_utf8_lossy(&packet[..count]).into_owned();
        let nonce = said.rsplit_once("r=").map_or("", |(_, nonce)| nonce);
        let challenge = format!("r={nonce}x,s=c2FsdA==,i=4294967295");
        let _ = stream.write_all(&message(b'R', &[&[0, 0, 0, 11][..], challenge.as_bytes()].concat()));
        crate::support::fake::linger(stream);
    });
    let target = format!("postgres://app:hunter2@{}/shop", fake.addr);
    let ended = Run::new(["--once", "--attempt-timeout=1s", &target]).end();
    ended.failure().took(Duration::ZERO..Duration::from_secs(3)).stderr_says("iteration").nowhere("hunter2");
}

/// 100 MB in one row, from a server that let us in.
#[cfg(feature = "tls")]
#[test]
fn a_row_without_end() {
    let fake = Fake::new(|mut stream: TcpStream| {
        let mut packet = [0; 1024];
        let _ = stream.read(&mut packet[..8]);
        let _ = stream.write_all(b"N");
        let _ = stream.read(&mut packet);
        let _ = stream.write_all(&[message(b'R', &[0; 4]), message(b'Z', b"I")].concat());
        // BEGIN and SET LOCAL, then the query itself.
        let _ = stream.read(&mut packet);
        let _ = stream.write_all(&[message(b'C', b"BEGIN\0"), message(b'C', b"SET\0"), message(b'Z', b"T")].concat());
        let _ = stream.read(&mut packet);
        let _ = stream.write_all(b"1\0\0\0\x042\0\0\0\x04D\x05\xf5\xe1\x00\0\x01\x05\xf5\xe0\xf0");
        let row = vec![b'a'; 65536];
        while stream.write_all(&row).is_ok() {}
    });
    let target = format!("postgres://app:hunter2@{}/shop#query=SELECT 1", fake.addr);
    let run = Run::new(["--once", "--attempt-timeout=2s", &target]).through(["prlimit", "--data=16777216"]);
    run.end().failure().stderr_has("1 MiB").nowhere("hunter2").took(Duration::ZERO..Duration::from_secs(3));
}
