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

/// A server that follows the protocol: it answers each method that a client sends, knows the queue `jobs`, and lets in with
/// the password `hunter2` alone.
pub(crate) fn broker() -> Fake {
    Fake::new(|mut stream: TcpStream| {
        let _ = serve(&mut stream);
    })
}

fn serve(stream: &mut TcpStream) -> std::io::Result<()> {
    let mut header = [0; 8];
    stream.read_exact(&mut header)?;
    if &header != b"AMQP\0\0\x09\x01" {
        return stream.write_all(b"AMQP\0\0\x09\x01");
    }
    stream.write_all(&greeting())?;
    loop {
        let mut head = [0; 7];
        stream.read_exact(&mut head)?;
        let mut payload =
            vec![0; usize::try_from(u32::from_be_bytes([head[3], head[4], head[5], head[6]])).unwrap() + 1];
        stream.read_exact(&mut payload)?;
        assert_eq!(payload.pop(), Some(0xce), "a frame ends so");
        let (1, [_, class, _, id, arguments @ ..]) = (head[0], &payload[..]) else { continue };
        let has = |words: &[u8]| arguments.windows(words.len()).any(|window| window == words);
        let answer = match (class, id) {
            (10, 11) if has(b"\0app\0hunter2") => tune(),
            (10, 11) => close(403, "ACCESS_REFUSED - Login was refused"),
            (10, 40) if has(b"\x04shop") => open_ok(),
            (10, 40) => close(530, "NOT_ALLOWED - vhost not found"),
            (10, 50) => return stream.write_all(&close_ok()),
            (10, 51) => return Ok(()),
            (20, 10) => channel_ok(),
            (20, 40) => channel_close_ok(),
            (50, 10) if has(b"\x04jobs\x01") => declared("jobs"),
            (50, 10) => channel_close(404, "NOT_FOUND - no queue"),
            // Connection.Tune-Ok, Channel.Close-Ok and Basic.Publish have no answer.
            (10, 31) | (20, 41) | (60, 40) => continue,
            other => panic!("a method that this server does not know: {other:?}"),
        };
        stream.write_all(&answer)?;
    }
}
