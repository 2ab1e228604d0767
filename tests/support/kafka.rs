//! The bytes of a Kafka broker, and a fake of one that says its answers in their order.

use std::{
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
};

use super::{Fake, fake::linger};

/// Keys and versions of the requests that a broker of today knows.
pub(crate) const TODAY: &[(i16, i16, i16)] = &[(0, 0, 13), (3, 0, 13), (17, 0, 1), (18, 0, 4), (36, 0, 2)];

/// An answer to the request of this number.
pub(crate) fn frame(number: i32, body: &[u8]) -> Vec<u8> {
    let length = u32::try_from(body.len() + 4).unwrap().to_be_bytes();
    [&length[..], &number.to_be_bytes(), body].concat()
}

/// The body of an answer to `ApiVersions` 0.
pub(crate) fn versions(error: i16, ranges: &[(i16, i16, i16)]) -> Vec<u8> {
    let count = u32::try_from(ranges.len()).unwrap().to_be_bytes();
    let ranges = ranges.iter().flat_map(|(key, least, most)| [key, least, most].map(|n| n.to_be_bytes()).concat());
    [&error.to_be_bytes()[..], &count].concat().into_iter().chain(ranges).collect()
}

pub(crate) fn string(text: &str) -> Vec<u8> {
    [&u16::try_from(text.len()).unwrap().to_be_bytes()[..], text.as_bytes()].concat()
}

/// A topic in an answer: its error, its name, and an error and a leader for each partition.
pub(crate) type Topic<'a> = (i16, &'a str, &'a [(i16, i32)]);

/// The body of an answer to Metadata 4.
pub(crate) fn metadata(brokers: &[(&str, i32)], topics: &[Topic<'_>]) -> Vec<u8> {
    let int = |number: usize| u32::try_from(number).unwrap().to_be_bytes();
    let mut out = [&[0; 4][..], &int(brokers.len())].concat();
    for (id, (host, port)) in (1..).zip(brokers) {
        out.extend([&int(id)[..], &string(host), &port.to_be_bytes(), &[0xff, 0xff]].concat());
    }
    out.extend([&string("cluster")[..], &int(1), &int(topics.len())].concat());
    for (error, name, partitions) in topics {
        out.extend([&error.to_be_bytes()[..], &string(name), &[0], &int(partitions.len())].concat());
        for (index, (error, leader)) in (0..).zip(*partitions) {
            let replicas = [int(1), int(1)].concat();
            let of = [&error.to_be_bytes()[..], &int(index), &leader.to_be_bytes(), &replicas, &replicas];
            out.extend(of.concat());
        }
    }
    out
}

/// The body of an answer to `SaslHandshake` 1.
pub(crate) fn offer(error: i16, mechanisms: &[&str]) -> Vec<u8> {
    let count = u32::try_from(mechanisms.len()).unwrap().to_be_bytes();
    let names = mechanisms.iter().flat_map(|name| string(name));
    [&error.to_be_bytes()[..], &count].concat().into_iter().chain(names).collect()
}

/// The body of an answer to `SaslAuthenticate` 0.
pub(crate) fn authenticated(error: i16, words: &str, token: &str) -> Vec<u8> {
    let length = u32::try_from(token.len()).unwrap().to_be_bytes();
    [&error.to_be_bytes()[..], &string(words), &length, token.as_bytes()].concat()
}

/// A broker with one topic after the other: those of `topics` exist when it is asked for them.
pub(crate) fn with_topics(addr: SocketAddr, topics: Arc<Mutex<Vec<String>>>) -> Fake {
    Fake::on(addr, move |mut stream: TcpStream| {
        let mut asked = [0; 4096];
        let _ = stream.read(&mut asked);
        let _ = stream.write_all(&frame(1, &versions(0, TODAY)));
        let read = stream.read(&mut asked).unwrap_or(0);
        let topics = topics.lock().expect("no thread panics with this lock").clone();
        // What follows the client's id is one topic, and whether the broker may create it.
        let name = asked[..read].get(28..).and_then(|rest| rest.strip_suffix(b"\0")).unwrap_or_default();
        let name = String::from_utf8_lossy(name).into_owned();
        let said: Topic<'_> = if topics.contains(&name) { (0, &name, &[(0, 1)]) } else { (3, &name, &[]) };
        let _ = stream.write_all(&frame(2, &metadata(&[("127.0.0.1", 9092)], &[said])));
        linger(stream);
    })
}

/// The answers of one connection. After the last one it is closed, as after a refusal, or stays open.
#[derive(Clone)]
pub(crate) struct Session {
    pub(crate) answers: Vec<Vec<u8>>,
    pub(crate) closes: bool,
}

/// A connection with these bodies.
pub(crate) fn session(bodies: &[Vec<u8>]) -> Session {
    Session { answers: (1..).zip(bodies).map(|(number, body)| frame(number, body)).collect(), closes: false }
}

/// The same, and the broker hangs up at the next request.
pub(crate) fn closing(bodies: &[Vec<u8>]) -> Session {
    Session { closes: true, ..session(bodies) }
}

/// A broker: each connection is the next session, and the last one is repeated.
pub(crate) fn broker(sessions: Vec<Session>) -> Fake {
    let at = AtomicUsize::new(0);
    Fake::new(move |mut stream: TcpStream| {
        let session = &sessions[at.fetch_add(1, Ordering::SeqCst).min(sessions.len() - 1)];
        for answer in &session.answers {
            if stream.read(&mut [0; 4096]).unwrap_or(0) == 0 || stream.write_all(answer).is_err() {
                return;
            }
        }
        if session.closes {
            let _ = stream.read(&mut [0; 4096]);
        } else {
            linger(stream);
        }
    })
}
