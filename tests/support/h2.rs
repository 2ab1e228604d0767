//! A server of HTTP/2 that speaks bytes (RFC 9113, RFC 7541): it reads frames until the call is complete, and then says
//! what the test wants.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};

use super::Fake;
use super::fake::{linger, loopback};

pub(crate) const DATA: u8 = 0;
pub(crate) const HEADERS: u8 = 1;
pub(crate) const RST_STREAM: u8 = 3;
pub(crate) const SETTINGS: u8 = 4;
pub(crate) const PING: u8 = 6;
pub(crate) const GOAWAY: u8 = 7;
pub(crate) const WINDOW_UPDATE: u8 = 8;
pub(crate) const CONTINUATION: u8 = 9;

/// END_STREAM, and ACK of SETTINGS and PING.
pub(crate) const END: u8 = 1;
pub(crate) const END_HEADERS: u8 = 4;

const PREFACE: usize = 24;

pub(crate) fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

/// Fields as literals that are not indexed (RFC 7541 section 6.2.2), without Huffman's code.
pub(crate) fn fields(fields: &[(&str, &str)]) -> Vec<u8> {
    let text = |text: &str| {
        // A length from 127 on goes on in more bytes (RFC 7541 section 5.1).
        let mut out = vec![u8::try_from(text.len().min(127)).unwrap()];
        if let Some(mut rest) = text.len().checked_sub(127) {
            while rest >= 0x80 {
                out.push(u8::try_from(rest & 0x7f).unwrap() | 0x80);
                rest >>= 7;
            }
            out.push(u8::try_from(rest).unwrap());
        }
        out.extend(text.as_bytes());
        out
    };
    fields.iter().flat_map(|(name, value)| [&[0][..], &text(name), &text(value)].concat()).collect()
}

/// HEADERS on stream 1.
pub(crate) fn headers(flags: u8, list: &[(&str, &str)]) -> Vec<u8> {
    frame(HEADERS, END_HEADERS | flags, 1, &fields(list))
}

/// The head of each answer of gRPC.
pub(crate) const HEAD: &[(&str, &str)] = &[(":status", "200"), ("content-type", "application/grpc")];

/// An answer: a head, a message, and trailers.
pub(crate) fn answer(message: &[u8], trailers: &[(&str, &str)]) -> Vec<u8> {
    [headers(0, HEAD), frame(DATA, 0, 1, message), headers(END, trailers)].concat()
}

/// A health of the server (grpc.health.v1): 1 is SERVING.
pub(crate) fn health(status: u8) -> Vec<u8> {
    answer(&[0, 0, 0, 0, 2, 8, status], &[("grpc-status", "0")])
}

/// An answer that has trailers only.
pub(crate) fn refusal(status: &str, message: &str) -> Vec<u8> {
    headers(END, &[HEAD, &[("grpc-status", status), ("grpc-message", message)]].concat())
}

/// Says `first` at once, and `answer` when the call is complete. Then the connection stays open.
pub(crate) fn server_of(first: impl Into<Vec<u8>>, answer: impl Into<Vec<u8>>) -> Fake {
    server_at((loopback(), 0).into(), first, answer)
}

/// The same at a given address.
pub(crate) fn server_at(addr: SocketAddr, first: impl Into<Vec<u8>>, answer: impl Into<Vec<u8>>) -> Fake {
    let (first, answer) = (first.into(), answer.into());
    Fake::on(addr, move |mut stream| {
        let _ = stream.write_all(&first);
        if hear(&mut stream) {
            let _ = stream.write_all(&answer);
            linger(stream);
        }
    })
}

/// The same after SETTINGS that are in order.
pub(crate) fn server(answer: impl Into<Vec<u8>>) -> Fake {
    server_of(frame(SETTINGS, 0, 0, &[]), answer)
}

/// Reads until the end of the call on stream 1. False: the client went away.
pub(crate) fn hear(stream: &mut TcpStream) -> bool {
    let mut preface = [0; PREFACE];
    if stream.read_exact(&mut preface).is_err() || !preface.starts_with(b"PRI * HTTP/2.0\r\n") {
        return false;
    }
    loop {
        let mut head = [0; 9];
        if stream.read_exact(&mut head).is_err() {
            return false;
        }
        let length = usize::from(head[0]) << 16 | usize::from(head[1]) << 8 | usize::from(head[2]);
        let mut payload = vec![0; length];
        if stream.read_exact(&mut payload).is_err() {
            return false;
        }
        match (head[3], head[4] & END) {
            (SETTINGS, 0) => {
                let _ = stream.write_all(&frame(SETTINGS, END, 0, &[]));
            }
            (PING, 0) => {
                let _ = stream.write_all(&frame(PING, END, 0, &payload));
            }
            (DATA | HEADERS, END) => return true,
            _ => {}
        }
    }
}
