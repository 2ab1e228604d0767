//! The frames of AMQP 0-9-1, and the methods in them (AMQP 0-9-1 specification, sections 2.3.5 and 4.2).
//!
//! Everything that a server sends has a bound: a frame, and a whole session.

use std::io;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::time;

use crate::kind::no_answer::NoAnswer;
use crate::net::sniff::Protocol;
use crate::net::stream::{Peer, Stream};

/// What a client sends first: the protocol, and the version 0-9-1.
pub(super) const HEADER: &[u8; 8] = b"AMQP\0\0\x09\x01";

/// The longest frame that waitgate reads, and its proposal for the session. RabbitMQ's own default is the same, and its
/// least is 8192 bytes since version 4.1.
pub(super) const FRAME_MAX: u32 = 128 * 1024;

/// One session reads at most this much from a server, in bytes.
const SESSION_MAX: u64 = 512 * 1024;

/// One session reads at most so many frames. It needs fewer than ten, and heartbeats.
const FRAMES_MAX: u32 = 1000;

/// How much of a frame is read at once. Memory grows with what has come, not with what a length says.
const CHUNK: usize = 8 * 1024;

/// The octet that ends a frame.
const FRAME_END: u8 = 0xce;

/// The types of frames.
const METHOD: u8 = 1;
const CONTENT_HEADER: u8 = 2;
const CONTENT_BODY: u8 = 3;
const HEARTBEAT: u8 = 8;

/// A method by the numbers of its class and of itself.
pub(super) type Id = (u16, u16);

/// The methods that waitgate sends or reads.
pub(super) mod id {
    use super::Id;

    pub(in super::super) const START: Id = (10, 10);
    pub(in super::super) const START_OK: Id = (10, 11);
    pub(in super::super) const SECURE: Id = (10, 20);
    pub(in super::super) const TUNE: Id = (10, 30);
    pub(in super::super) const TUNE_OK: Id = (10, 31);
    pub(in super::super) const OPEN: Id = (10, 40);
    pub(in super::super) const OPEN_OK: Id = (10, 41);
    pub(in super::super) const CLOSE: Id = (10, 50);
    pub(in super::super) const CLOSE_OK: Id = (10, 51);
    /// An extension of RabbitMQ: <https://www.rabbitmq.com/docs/connection-blocked>.
    pub(in super::super) const BLOCKED: Id = (10, 60);
    pub(in super::super) const UNBLOCKED: Id = (10, 61);
    pub(in super::super) const CHANNEL_OPEN: Id = (20, 10);
    pub(in super::super) const CHANNEL_OPEN_OK: Id = (20, 11);
    pub(in super::super) const CHANNEL_CLOSE: Id = (20, 40);
    pub(in super::super) const CHANNEL_CLOSE_OK: Id = (20, 41);
    pub(in super::super) const QUEUE_DECLARE: Id = (50, 10);
    pub(in super::super) const QUEUE_DECLARE_OK: Id = (50, 11);
    pub(in super::super) const BASIC_PUBLISH: Id = (60, 40);
}

/// One method that a server sent.
pub(super) struct Method {
    pub(super) channel: u16,
    pub(super) id: Id,
    pub(super) arguments: Vec<u8>,
}

/// Why there is no method.
#[derive(Debug)]
pub(super) enum NoMethod {
    /// The server answered with a protocol header: it speaks this version of AMQP, and not ours.
    Version([u8; 4]),
    /// No frame or method that belongs here came.
    No(NoAnswer),
}

impl From<NoAnswer> for NoMethod {
    fn from(why: NoAnswer) -> Self {
        Self::No(why)
    }
}

impl From<io::Error> for NoMethod {
    fn from(error: io::Error) -> Self {
        Self::No(error.into())
    }
}

/// One connection, method by method.
pub(super) struct Wire {
    stream: Stream,
    /// Whether the server has sent a frame.
    pub(super) greeted: bool,
    /// How many frames it has sent.
    frames: u32,
}

impl Wire {
    pub(super) fn new(stream: Stream) -> Self {
        Self { stream: stream.limited(SESSION_MAX), greeted: false, frames: 0 }
    }

    pub(super) fn peer(&self) -> &Peer {
        self.stream.peer()
    }

    pub(super) fn stream(&self) -> &Stream {
        &self.stream
    }

    pub(super) async fn write(&mut self, bytes: &[u8]) -> Result<(), NoMethod> {
        self.stream.write_all(bytes).await?;
        self.stream.flush().await?;
        Ok(())
    }

    /// The next method. Heartbeats and the content of messages are read and dropped.
    pub(super) async fn method(&mut self) -> Result<Method, NoMethod> {
        loop {
            let mut first = [0];
            self.stream.read_exact(&mut first).await?;
            let kind = first[0];
            if !matches!(kind, METHOD | CONTENT_HEADER | CONTENT_BODY | HEARTBEAT) {
                return Err(self.not_a_frame(kind).await);
            }
            let mut rest = [0; 6];
            self.stream.read_exact(&mut rest).await?;
            let [c, d, length @ ..] = rest;
            let (channel, length) = (u16::from_be_bytes([c, d]), u32::from_be_bytes(length));
            if length > FRAME_MAX {
                // Before its first frame this is a server of another protocol, more likely.
                return Err(if self.greeted { NoAnswer::TooLarge } else { NoAnswer::Malformed }.into());
            }
            let payload = self.payload(length as usize).await?;
            self.greeted = true;
            self.frames += 1;
            if self.frames > FRAMES_MAX {
                return Err(NoAnswer::TooLarge.into());
            }
            if kind != METHOD {
                continue;
            }
            let mut fields = Fields(&payload);
            let (Some(class), Some(method)) = (fields.short(), fields.short()) else {
                return Err(NoAnswer::Malformed.into());
            };
            return Ok(Method { channel, id: (class, method), arguments: fields.0.to_vec() });
        }
    }

    /// What follows a frame's header, without the octet at its end.
    async fn payload(&mut self, length: usize) -> Result<Vec<u8>, NoMethod> {
        let whole = length + 1;
        let mut payload = Vec::new();
        while payload.len() < whole {
            let from = payload.len();
            payload.resize(from + (whole - from).min(CHUNK), 0);
            self.stream.read_exact(&mut payload[from..]).await?;
        }
        if payload.pop() != Some(FRAME_END) {
            return Err(NoAnswer::Malformed.into());
        }
        Ok(payload)
    }

    /// What bytes are that no frame begins with: the header of another version, or another protocol. A little of it is read,
    /// so that its first bytes can tell.
    async fn not_a_frame(&mut self, kind: u8) -> NoMethod {
        const LOOK: Duration = Duration::from_millis(100);
        if self.greeted {
            return NoAnswer::Malformed.into();
        }
        let mut header = [0; 7];
        let read = time::timeout(LOOK, self.stream.read_exact(&mut header)).await;
        match (kind, header) {
            (b'A', [b'M', b'Q', b'P', version @ ..]) if matches!(read, Ok(Ok(_))) => NoMethod::Version(version),
            // Its first bytes are a part of "AMQP", and the rest did not come.
            (b'A', _) if Protocol::of(self.stream.first()).is_none_or(|known| known == Protocol::Amqp) => {
                NoAnswer::Closed.into()
            }
            _ => {
                let _ = time::timeout(LOOK, self.stream.read(&mut [0; 64])).await;
                NoAnswer::Malformed.into()
            }
        }
    }

    /// Ends the stream.
    pub(super) async fn shutdown(&mut self) {
        let _ = self.stream.shutdown().await;
    }
}

/// The fields of a method that are not read yet. Each is `None` if the method is too short for it.
pub(super) struct Fields<'a>(pub(super) &'a [u8]);

impl<'a> Fields<'a> {
    fn bytes(&mut self, count: usize) -> Option<&'a [u8]> {
        let (bytes, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(bytes)
    }

    pub(super) fn octet(&mut self) -> Option<u8> {
        self.bytes(1).map(|bytes| bytes[0])
    }

    pub(super) fn short(&mut self) -> Option<u16> {
        Some(u16::from_be_bytes(self.bytes(2)?.try_into().ok()?))
    }

    pub(super) fn long(&mut self) -> Option<u32> {
        Some(u32::from_be_bytes(self.bytes(4)?.try_into().ok()?))
    }

    /// A short string.
    pub(super) fn text(&mut self) -> Option<&'a [u8]> {
        let length = self.octet()?;
        self.bytes(length.into())
    }

    /// A long string, or a table: both have their length first.
    pub(super) fn long_text(&mut self) -> Option<&'a [u8]> {
        let length = self.long()?;
        self.bytes(usize::try_from(length).ok()?)
    }

    /// The value of a table's field (<https://www.rabbitmq.com/amqp-0-9-1-errata>, section 3): its type, and its bytes
    /// without their length.
    fn value(&mut self) -> Option<(u8, &'a [u8])> {
        let kind = self.octet()?;
        let length = match kind {
            b'S' | b'x' | b'A' | b'F' => return Some((kind, self.long_text()?)),
            b't' | b'b' | b'B' => 1,
            b's' | b'u' | b'U' => 2,
            b'I' | b'i' | b'f' => 4,
            b'D' => 5,
            b'l' | b'L' | b'd' | b'T' => 8,
            b'V' => 0,
            _ => return None,
        };
        Some((kind, self.bytes(length)?))
    }
}

/// The field `name` of a table: its type and its value. Nothing recurses: a table or an array in it is one value.
pub(super) fn field_of<'a>(table: &'a [u8], name: &str) -> Option<(u8, &'a [u8])> {
    let mut fields = Fields(table);
    loop {
        let found = fields.text()? == name.as_bytes();
        let value = fields.value()?;
        if found {
            return Some(value);
        }
    }
}

/// What waitgate sends: a frame, or a table in one.
#[derive(Default)]
pub(super) struct Out(pub(super) Vec<u8>);

impl Out {
    /// Begins a frame with a method. Its arguments follow, and then [`Out::end`].
    pub(super) fn method(channel: u16, (class, method): Id) -> Self {
        let mut out = Self::frame(METHOD, channel);
        out.bytes(&class.to_be_bytes()).bytes(&method.to_be_bytes());
        out
    }

    fn frame(kind: u8, channel: u16) -> Self {
        let [high, low] = channel.to_be_bytes();
        // The length takes the place of the zeros at the end.
        Self(vec![kind, high, low, 0, 0, 0, 0])
    }

    pub(super) fn bytes(&mut self, bytes: &[u8]) -> &mut Self {
        self.0.extend_from_slice(bytes);
        self
    }

    /// A short string. What is longer than 255 bytes was refused when the target was parsed.
    pub(super) fn text(&mut self, text: &str) -> &mut Self {
        let bytes = &text.as_bytes()[..text.len().min(255)];
        self.0.push(u8::try_from(bytes.len()).unwrap_or_default());
        self.bytes(bytes)
    }

    /// A long string, or a table.
    pub(super) fn long_text(&mut self, bytes: &[u8]) -> &mut Self {
        let length = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
        self.bytes(&length.to_be_bytes()).bytes(bytes)
    }

    /// Ends a frame.
    pub(super) fn end(mut self) -> Vec<u8> {
        let length = u32::try_from(self.0.len() - 7).unwrap_or(u32::MAX);
        self.0[3..7].copy_from_slice(&length.to_be_bytes());
        self.0.push(FRAME_END);
        self.0
    }
}

/// The header of a message of class `basic` without a body or a property: the whole content of an empty message.
pub(super) fn empty_content(channel: u16) -> Vec<u8> {
    let mut out = Out::frame(CONTENT_HEADER, channel);
    out.bytes(&[0, 60, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
    out.end()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_method_is_a_frame_with_its_length_and_its_end() {
        let mut open = Out::method(1, id::CHANNEL_OPEN);
        open.text("");
        assert_eq!(open.end(), b"\x01\0\x01\0\0\0\x05\0\x14\0\x0a\0\xce");
        assert_eq!(empty_content(1).len(), 7 + 14 + 1);
        assert_eq!(Out::default().long_text(b"ab").0, b"\0\0\0\x02ab");
    }

    #[test]
    fn a_table_is_walked_over_every_type_and_never_beyond_its_end() {
        let table = [
            &b"\x01aF\0\0\0\x04\x01bt\x01"[..],
            b"\x01cA\0\0\0\x02t\0\x01dt\x01\x01eb\x01\x01fs\0\x01\x01gI\0\0\0\x01\x01hl\0\0\0\0\0\0\0\x01",
            b"\x01iD\x02\0\0\0\x01\x01jT\0\0\0\0\0\0\0\x01\x01kV\x01lf\0\0\0\0\x01md\0\0\0\0\0\0\0\0\x01xx\0\0\0\x01z",
            b"\x07productS\0\0\0\x08RabbitMQ",
        ]
        .concat();
        assert_eq!(field_of(&table, "product"), Some((b'S', &b"RabbitMQ"[..])));
        assert_eq!(field_of(&table, "a").and_then(|(_, inner)| field_of(inner, "b")), Some((b't', &b"\x01"[..])));
        assert_eq!(field_of(&table, "b"), None, "it is in another table");
        for end in 0..table.len() {
            assert_eq!(field_of(&table[..end], "product"), None, "{end}");
        }
        for bad in [&b"\x01aF\xff\xff\xff\xff"[..], b"\x01a?", b"\xffa"] {
            assert_eq!(field_of(bad, "product"), None, "{bad:?}");
        }
    }
}
