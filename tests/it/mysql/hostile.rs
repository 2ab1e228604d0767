//! Hostile servers: an attempt at each ends in a reason, within the bounds of time and of 16 MiB of memory.

use std::{
    io::{Read as _, Write as _},
    net::TcpStream,
    thread,
    time::Duration,
};

use crate::support::{
    Fake, Run, door,
    mysql::{OK, err, greeting, packet, result, saying, up_to_the_query},
    run::Ended,
};

/// One attempt, with at most 16 MiB of address space for its data.
#[track_caller]
fn attempt(fake: &Fake, login: &str, more: &str) -> Ended {
    let target = format!("mysql://{login}{}/shop{more}", fake.addr);
    let run = Run::new(["--once", "--log-format=json", "--attempt-timeout=1s", &target]);
    let ended = run.through(["prlimit", "--data=16777216"]).end();
    ended.failure().took(Duration::ZERO..Duration::from_secs(3)).nowhere("hunter2");
    ended.expect("a reason", ended.last_line().contains(&fake.addr.to_string()));
    ended
}

const LOGIN: &str = "app:hunter2@";
const QUERY: &str = "#query=SELECT 1";

/// Says `bytes` and hangs up.
fn saying_at_once(bytes: Vec<u8>) -> Fake {
    Fake::new(move |mut stream: TcpStream| {
        let _ = stream.write_all(&bytes);
        let _ = stream.shutdown(std::net::Shutdown::Write);
        let _ = stream.read(&mut [0; 64]);
    })
}

#[test]
fn a_server_that_goes() {
    let addr = crate::support::free_port();
    Run::new(["--max-pause=50ms", &format!("mysql:{addr}#gone")]).end().success().stderr_says("refused by");
    let fake = Fake::greeting(packet(0, &greeting("mysql_native_password")));
    let ended = Run::new(["--once", &format!("mysql://{LOGIN}{}/shop#gone", fake.addr)]).end();
    ended.failure().stderr_says("still there").nowhere("hunter2");
}

/// The fakes are servers: without a fault in it, the whole talk is ready.
#[test]
fn without_a_fault_it_is_ready() {
    let mut all = up_to_the_query();
    all.push(result(8, &[b"\x011"]));
    let fake = saying(all);
    let target = format!("mysql://{LOGIN}{}/shop{QUERY}", fake.addr);
    Run::new(["--once", &target]).end().success().stderr_says("logged in");
    let ping = saying(vec![packet(2, &err(1045, "no"))]);
    Run::new(["--once", &format!("mysql:{}", ping.addr)]).end().success();
}

#[test]
fn a_greeting_cut_at_each_byte() {
    let whole = packet(0, &greeting("caching_sha2_password"));
    let error = packet(0, &err(1040, "Too many connections"));
    for bytes in [whole, error] {
        for cut in (0..bytes.len()).step_by(2) {
            attempt(&saying_at_once(bytes[..cut].to_vec()), "", "");
        }
    }
}

/// Every packet that may follow the greeting, cut in its bytes (with an end of the stream) and in its body (with a length
/// that fits).
#[test]
fn later_packets_cut_at_each_byte() {
    let switch = b"\xfemysql_native_password\0bbbbbbbbbbbbbbbbbbbb\0".as_slice();
    for body in [switch, b"\x01\x04", b"\xff\x15\x04#28000no"] {
        for cut in (0..body.len()).step_by(4) {
            let fake = saying(vec![packet(2, &body[..cut]), packet(4, &err(1045, "no"))]);
            let target = format!("mysql://{LOGIN}{}/shop", fake.addr);
            let run = Run::new(["--once", "--attempt-timeout=300ms", &target]);
            run.end().failure().nowhere("hunter2").took(Duration::ZERO..Duration::from_secs(2));
        }
    }
    let answer = result(8, &[b"\x011"]);
    for cut in (0..answer.len()).step_by(3) {
        let mut all = up_to_the_query();
        all.push(answer[..cut].to_vec());
        let fake = saying(all);
        let target = format!("mysql://{LOGIN}{}/shop{QUERY}", fake.addr);
        let run = Run::new(["--once", "--attempt-timeout=300ms", &target]);
        run.end().failure().nowhere("hunter2").took(Duration::ZERO..Duration::from_secs(2));
    }
}

#[test]
fn lengths_that_lie() {
    for length in [[0, 0, 0], [0xff, 0xff, 0xff], [1, 0, 0x10], [5, 0, 0]] {
        for sequence in [0, 1, 2, 255] {
            let header = [&length[..], &[sequence]].concat();
            attempt(&saying_at_once(header.clone()), "", "");
            attempt(&saying(vec![[header.as_slice(), &[0xfe; 64]].concat()]), LOGIN, "");
            let mut all = up_to_the_query();
            all.push([header.as_slice(), &[0xfc; 64]].concat());
            attempt(&saying(all), LOGIN, QUERY);
        }
    }
}

/// A row, a column, a count or a text that says it is longer than anything.
#[test]
fn numbers_that_lie() {
    for body in [&b"\xfe\xff\xff\xff\xff\xff\xff\xff\xff"[..], b"\xfd\xff\xff\xff", b"\xfc\xff\xff", b"\xfb", b"\xfa"] {
        let mut all = up_to_the_query();
        all.push(packet(1, body));
        attempt(&saying(all), LOGIN, QUERY);
        let mut all = up_to_the_query();
        all.push(result(253, &[body]));
        let fake = saying(all);
        let target = format!("mysql://{LOGIN}{}/shop{QUERY}", fake.addr);
        Run::new(["--once", "--attempt-timeout=300ms", &target]).end().failure();
    }
    let mut prepared = up_to_the_query();
    prepared[3] = packet(1, b"\0\x01\0\0\0\xff\xff\xff\xff\0\0\0");
    attempt(&saying(prepared), LOGIN, QUERY);
}

#[test]
fn wrong_sequence_numbers() {
    for sequence in [0, 1, 3, 77, 255] {
        let ended = attempt(&saying(vec![packet(sequence, OK)]), LOGIN, "");
        ended.stderr_has("protocol.error");
    }
    attempt(&saying_at_once(packet(1, &greeting("mysql_native_password"))), LOGIN, "");
}

/// A server that asks again and again.
#[test]
fn questions_without_end() {
    let switches = (0..1000).map(|round: u32| {
        let sequence = u8::try_from((2 + 2 * round) % 256).unwrap();
        packet(sequence, b"\xfemysql_native_password\0bbbbbbbbbbbbbbbbbbbb\0")
    });
    for login in ["", LOGIN] {
        attempt(&saying(switches.clone().collect()), login, "").stderr_has("protocol.error");
    }
}

/// 100 MB of rows from a server that let us in, in many packets and in one.
#[test]
fn rows_without_end() {
    // A busy machine takes its time for a hundred thousand rows.
    let query = format!("{QUERY}#attempt-timeout=20s");
    let endless = |first: Vec<u8>, again: Vec<u8>| {
        Fake::new(move |mut stream: TcpStream| {
            let _ = stream.write_all(&packet(0, &greeting("mysql_native_password")));
            for answer in up_to_the_query() {
                let _ = stream.read(&mut [0; 4096]);
                let _ = stream.write_all(&answer);
            }
            let _ = stream.read(&mut [0; 4096]);
            let mut sent = stream.write_all(&first);
            while sent.is_ok() {
                sent = stream.write_all(&again);
            }
        })
    };
    let head = result(253, &[]);
    let head = head[..head.len() - 9].to_vec();
    let rows: Vec<u8> = (0..=255_u8).map(|at| at.wrapping_add(4)).flat_map(|at| packet(at, b"\x04rows")).collect();
    attempt(&endless(head.clone(), rows), LOGIN, &query).stderr_has("protocol.too-large");
    let one = [head, vec![0xff, 0xff, 0xff, 4, 0xfd, 0xff, 0xff, 0xff]].concat();
    attempt(&endless(one, vec![b'a'; 65536]), LOGIN, &query).stderr_has("protocol.too-large");
    let columns: Vec<u8> = (0..=255_u8)
        .map(|at| at.wrapping_add(2))
        .flat_map(|at| packet(at, b"\x03def\0\0\0\x01a\0\x0c\x3f\0\x01\0\0\0\x08\0\0\0\0\0"))
        .collect();
    attempt(&endless(packet(1, b"\xfd\xff\xff\xff"), columns), LOGIN, &query).stderr_has("protocol.too-large");
}

/// One byte at a time, each within every bound on silence.
#[test]
fn a_byte_at_a_time() {
    let whole = packet(0, &greeting("mysql_native_password"));
    let fake = Fake::new(move |mut stream: TcpStream| {
        for byte in &whole {
            if stream.write_all(&[*byte]).is_err() {
                return;
            }
            thread::sleep(Duration::from_millis(200));
        }
    });
    attempt(&fake, "", "").stderr_has("protocol.timeout");
}

/// A request for a file of the client: waitgate does not offer to send one.
#[test]
fn a_request_for_a_local_file() {
    let mut all = up_to_the_query();
    all.push(packet(1, b"\xfb/etc/passwd"));
    attempt(&saying(all), LOGIN, QUERY).stderr_has("protocol.error").nowhere("root:");
}

/// A server's words are escaped: they steer no terminal and forge no line.
#[test]
fn words_that_steer() {
    let hostile = "\u{1b}[2J\nwaitgate: ready\r";
    let plugin = format!("\u{fe}{hostile}\0").replace('\u{fe}', "");
    for fake in [
        saying_at_once(packet(0, &err(1040, hostile))),
        saying(vec![packet(2, &err(1045, hostile))]),
        saying(vec![packet(2, &[&[0xfe][..], plugin.as_bytes()].concat()), packet(4, &err(1045, "no"))]),
    ] {
        let target = format!("mysql://{LOGIN}{}/shop", fake.addr);
        let ended = Run::new(["--once", "--attempt-timeout=1s", &target]).end();
        ended.failure();
        ended.expect("no control character", !ended.stderr.contains('\u{1b}') && !ended.stderr.contains('\r'));
        assert_eq!(ended.stderr.lines().filter(|line| line.starts_with("waitgate: ready")).count(), 0, "{ended}");
    }
}

/// An error in place of the greeting is the server's own word, with and without an SQLSTATE.
#[test]
fn errors_in_place_of_the_greeting() {
    for (number, says) in [
        (1040, "protocol.too-many-clients"),
        (1129, "protocol.blocked"),
        (1130, "protocol.not-authorized"),
        (1053, "protocol.not-accepting"),
        (1203, "protocol.too-many-clients"),
        (9999, "protocol.error"),
    ] {
        for login in ["", LOGIN] {
            let ended = attempt(&saying_at_once(packet(0, &err(number, "the words"))), login, "");
            ended.stderr_has(says).stderr_has(&format!("the words ({number})"));
        }
        let bare = [&[0xff][..], &u16::to_le_bytes(number), b"the words"].concat();
        attempt(&saying_at_once(packet(0, &bare)), "", "").stderr_has(says);
    }
}

/// Talks that are right up to some bytes: an attempt at each ends, and says nothing that it must not.
#[test]
fn talks_with_a_few_wrong_bytes() {
    let mut all = vec![packet(0, &greeting("caching_sha2_password")), packet(2, b"\x01\x03"), packet(3, OK)];
    all.push(result(8, &[b"\x010"]));
    all.extend(up_to_the_query().split_off(1));
    all.push(result(8, &[b"\x011"]));
    let right = all.concat();
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
            talk[at] = [0, 1, 2, 0xfb, 0xfc, 0xfe, 0xff, b'a'][next(8)];
        }
        talk.truncate(talk.len() - next(talk.len()) * usize::from(round % 3 == 0));
        for which in 0..3 {
            door::mysql(&[&[which], talk.as_slice()].concat());
        }
    }
}
