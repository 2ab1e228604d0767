//! A fake of `MySQL` that says its packets in their order.

use std::{
    io::{Read as _, Write as _},
    net::TcpStream,
};

use super::{Fake, fake::linger};

pub(crate) const OK: &[u8] = b"\0\0\0\x02\0\0\0";

/// A packet with its header.
pub(crate) fn packet(sequence: u8, body: &[u8]) -> Vec<u8> {
    let length = u32::try_from(body.len()).unwrap().to_le_bytes();
    [&length[..3], &[sequence], body].concat()
}

/// A greeting that offers no TLS.
pub(crate) fn greeting(plugin: &str) -> Vec<u8> {
    let capabilities: u32 = 1 | 1 << 2 | 1 << 3 | 1 << 9 | 1 << 13 | 1 << 15 | 1 << 19;
    let [a, b, c, d] = capabilities.to_le_bytes();
    let fixed = [b"\x0a8.0.36\0\x07\0\0\0aaaaaaaa\0".as_slice(), &[a, b, 0xff, 2, 0, c, d, 21]].concat();
    [fixed.as_slice(), &[0; 10], b"bbbbbbbbbbbb\0", plugin.as_bytes(), b"\0"].concat()
}

pub(crate) fn err(number: u16, words: &str) -> Vec<u8> {
    [&[0xff][..], &number.to_le_bytes(), b"#HY000", words.as_bytes()].concat()
}

/// What a server says after the greeting: each answer follows one thing that the client sent.
pub(crate) fn saying(answers: Vec<Vec<u8>>) -> Fake {
    Fake::new(move |mut stream: TcpStream| {
        let mut sent = stream.write_all(&packet(0, &greeting("mysql_native_password")));
        for answer in &answers {
            if sent.is_err() || stream.read(&mut [0; 4096]).unwrap_or(0) == 0 {
                return;
            }
            sent = stream.write_all(answer);
        }
        linger(stream);
    })
}

/// A result with one column of type `kind` and one row. `rows` follow the description.
pub(crate) fn result(kind: u8, rows: &[&[u8]]) -> Vec<u8> {
    let column = [b"\x03def\0\0\0\x01a\0\x0c\x3f\0\x01\0\0\0".as_slice(), &[kind], b"\0\0\0\0\0"].concat();
    let eof: &[u8] = b"\xfe\0\0\x02\0";
    let bodies = [&[1][..], &column, eof].into_iter().chain(rows.iter().copied()).chain([eof]);
    bodies.zip(1..).flat_map(|(body, sequence)| packet(sequence, body)).collect()
}

/// What a server says to a login with a query, up to the query's own answer.
pub(crate) fn up_to_the_query() -> Vec<Vec<u8>> {
    let prepared =
        [packet(1, b"\0\x01\0\0\0\x01\0\0\0\0\0\0"), packet(2, b"\x03def\0\0\0\x01a\0"), packet(3, b"\xfe\0\0\x02\0")];
    vec![packet(2, OK), packet(1, OK), packet(1, OK), prepared.concat(), packet(1, OK)]
}
