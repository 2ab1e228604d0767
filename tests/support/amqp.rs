//! A fake of a broker that speaks AMQP 0-9-1 and says its frames in their order.

use std::{
    io::{Read as _, Write as _},
    net::TcpStream,
};

use super::{Fake, fake::linger};

/// A frame with a method.
pub(crate) fn method(channel: u16, class: u16, method: u16, arguments: &[u8]) -> Vec<u8> {
    let payload = [&class.to_be_bytes()[..], &method.to_be_bytes(), arguments].concat();
    frame(1, channel, &payload)
}

pub(crate) fn frame(kind: u8, channel: u16, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    [&[kind], &channel.to_be_bytes()[..], &length, payload, &[0xce]].concat()
}

fn text(text: &str) -> Vec<u8> {
    [&[u8::try_from(text.len()).unwrap()], text.as_bytes()].concat()
}

fn long_text(bytes: &[u8]) -> Vec<u8> {
    [&u32::try_from(bytes.len()).unwrap().to_be_bytes()[..], bytes].concat()
}

/// Connection.Start of a server that offers these ways to log in. `capable` says whether it tells why it refuses a login.
pub(crate) fn start(mechanisms: &str, capable: bool) -> Vec<u8> {
    let string = |name: &str, value: &str| [text(name), b"S".to_vec(), long_text(value.as_bytes())].concat();
    let flag = [text("authentication_failure_close"), b"t\x01".to_vec()].concat();
    let capabilities = [text("capabilities"), b"F".to_vec(), long_text(&flag)].concat();
    let capabilities = if capable { capabilities } else { Vec::new() };
    let properties = [capabilities, string("product", "FakeMQ"), string("version", "1.2")].concat();
    let arguments = [b"\0\x09".to_vec(), long_text(&properties), long_text(mechanisms.as_bytes()), long_text(b"en_US")];
    method(0, 10, 10, &arguments.concat())
}

pub(crate) fn greeting() -> Vec<u8> {
    start("AMQPLAIN PLAIN", true)
}

pub(crate) fn tune() -> Vec<u8> {
    method(0, 10, 30, b"\x07\xff\0\x02\0\0\0\x3c")
}

pub(crate) fn open_ok() -> Vec<u8> {
    method(0, 10, 41, b"\0")
}

pub(crate) fn close(number: u16, words: &str) -> Vec<u8> {
    method(0, 10, 50, &[&number.to_be_bytes()[..], &text(words), b"\0\0\0\0"].concat())
}

pub(crate) fn close_ok() -> Vec<u8> {
    method(0, 10, 51, b"")
}

pub(crate) fn blocked(words: &str) -> Vec<u8> {
    method(0, 10, 60, &text(words))
}

pub(crate) fn channel_ok() -> Vec<u8> {
    method(1, 20, 11, b"\0\0\0\0")
}

pub(crate) fn channel_close(number: u16, words: &str) -> Vec<u8> {
    method(1, 20, 40, &[&number.to_be_bytes()[..], &text(words), b"\0\0\0\0"].concat())
}

pub(crate) fn channel_close_ok() -> Vec<u8> {
    method(1, 20, 41, b"")
}

/// Queue.Declare-Ok of a queue with 3 messages and 1 consumer.
pub(crate) fn declared(queue: &str) -> Vec<u8> {
    method(1, 50, 11, &[&text(queue)[..], b"\0\0\0\x03\0\0\0\x01"].concat())
}

/// What a server says up to the end of a login. Each answer follows one thing that the client sent.
pub(crate) fn logged_in() -> Vec<Vec<u8>> {
    vec![greeting(), tune(), open_ok()]
}

/// A server that says these answers, and takes the farewell.
pub(crate) fn saying(answers: Vec<Vec<u8>>) -> Fake {
    Fake::new(move |mut stream: TcpStream| {
        let close_ok = close_ok();
        for answer in answers.iter().chain([&close_ok]) {
            if stream.read(&mut [0; 4096]).unwrap_or(0) == 0 || stream.write_all(answer).is_err() {
                return;
            }
        }
        linger(stream);
    })
}
