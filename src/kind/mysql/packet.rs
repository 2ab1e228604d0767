//! MySQL's packets: a length of three bytes, a sequence number and a body; and the fields in a body.
//!
//! MySQL's manual (dev.mysql.com/doc/dev/mysql-server: Client/Server Protocol) calls the fields `int<1>`, `string<NUL>`,
//! `string<lenenc>` and so on.

use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::time;

use crate::kind::no_answer::NoAnswer;
use crate::net::stream::{Peer, Stream};

/// One session reads at most this much from a server, in bytes.
pub(super) const SESSION_MAX: u64 = 1024 * 1024;

/// How much of a packet is read at once. Memory grows with what has come, not with what a length says.
const CHUNK: usize = 8 * 1024;

/// The first byte of an error packet.
pub(super) const ERR: u8 = 0xff;

/// One connection, packet by packet.
pub(super) struct Wire {
    stream: Stream,
    /// The number of the next packet, of either side.
    sequence: u8,
    /// Whether the server has sent a greeting, or an error in its place.
    pub(super) greeted: bool,
}

impl Wire {
    pub(super) fn new(stream: Stream) -> Self {
        // More than the session may read, because TLS adds bytes of its own.
        Self { stream: stream.limited(SESSION_MAX + SESSION_MAX / 4), sequence: 0, greeted: false }
    }

    pub(super) fn peer(&self) -> Peer {
        self.stream.peer().clone()
    }

    pub(super) fn stream(&self) -> &Stream {
        &self.stream
    }

    /// The stream, for a TLS handshake on it. No byte of it has been read beyond the last packet.
    #[cfg(feature = "tls")]
    pub(super) fn into_stream(self) -> Stream {
        self.stream
    }

    /// The same session over TLS.
    #[cfg(feature = "tls")]
    pub(super) fn over_tls(stream: Stream, sequence: u8) -> Self {
        Self { stream: stream.limited(SESSION_MAX), sequence, greeted: true }
    }

    /// The number of the next packet.
    #[cfg(feature = "tls")]
    pub(super) fn sequence(&self) -> u8 {
        self.sequence
    }

    /// The body of the next packet. No byte after it is read: a TLS handshake may follow.
    pub(super) async fn read(&mut self) -> Result<Vec<u8>, NoAnswer> {
        let mut header = [0; 4];
        self.stream.read_exact(&mut header).await?;
        let [a, b, c, sequence] = header;
        let length = usize::from(a) | usize::from(b) << 8 | usize::from(c) << 16;
        if sequence != self.sequence {
            // A server that ends an idle session numbers its error from zero.
            let mut first = [0];
            if sequence != 0 || length == 0 || self.stream.read_exact(&mut first).await.is_err() || first != [ERR] {
                return Err(NoAnswer::Malformed);
            }
            return self.body(vec![ERR], length).await;
        }
        self.sequence = sequence.wrapping_add(1);
        self.body(Vec::new(), length).await
    }

    /// Reads up to `length` bytes in all.
    async fn body(&mut self, mut body: Vec<u8>, length: usize) -> Result<Vec<u8>, NoAnswer> {
        if length as u64 > SESSION_MAX {
            return Err(NoAnswer::TooLarge);
        }
        while body.len() < length {
            let from = body.len();
            body.resize(from + (length - from).min(CHUNK), 0);
            self.stream.read_exact(&mut body[from..]).await?;
        }
        Ok(body)
    }

    /// Sends a packet of fewer than 16 MiB.
    pub(super) async fn write(&mut self, body: &[u8]) -> Result<(), NoAnswer> {
        let Some([a, b, c, 0]) = u32::try_from(body.len()).ok().map(u32::to_le_bytes) else {
            return Err(NoAnswer::TooLarge);
        };
        let mut packet = vec![a, b, c, self.sequence];
        packet.extend_from_slice(body);
        self.sequence = self.sequence.wrapping_add(1);
        self.stream.write_all(&packet).await?;
        self.stream.flush().await?;
        Ok(())
    }

    /// Sends a command, with which the numbers begin again.
    pub(super) async fn command(&mut self, command: u8, text: &[u8]) -> Result<(), NoAnswer> {
        self.sequence = 0;
        self.write(&[&[command], text].concat()).await
    }

    /// Reads a little of what is not a packet, so that its protocol can be recognised by the first bytes.
    pub(super) async fn look_further(&mut self) {
        const LOOK: Duration = Duration::from_millis(100);
        let _ = time::timeout(LOOK, self.stream.read(&mut [0; 64])).await;
    }

    /// Ends the stream.
    pub(super) async fn shutdown(&mut self) {
        let _ = self.stream.shutdown().await;
    }
}

/// The fields of a body that are not read yet. Each is `None` if the body is too short for it.
pub(super) struct Fields<'a>(pub(super) &'a [u8]);

impl<'a> Fields<'a> {
    pub(super) fn bytes(&mut self, count: usize) -> Option<&'a [u8]> {
        let (bytes, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(bytes)
    }

    /// `int<1>`.
    pub(super) fn byte(&mut self) -> Option<u8> {
        self.bytes(1).map(|bytes| bytes[0])
    }

    /// `int<2>`.
    pub(super) fn short(&mut self) -> Option<u16> {
        Some(u16::from_le_bytes(self.bytes(2)?.try_into().ok()?))
    }

    /// `string<NUL>`, without its NUL.
    pub(super) fn text(&mut self) -> Option<&'a [u8]> {
        let end = self.0.iter().position(|byte| *byte == 0)?;
        let text = self.bytes(end)?;
        self.bytes(1)?;
        Some(text)
    }

    /// `int<lenenc>`.
    pub(super) fn number(&mut self) -> Option<u64> {
        let width = match self.byte()? {
            small @ ..=0xfa => return Some(u64::from(small)),
            0xfc => 2,
            0xfd => 3,
            0xfe => 8,
            _ => return None,
        };
        let mut wide = [0; 8];
        wide[..width].copy_from_slice(self.bytes(width)?);
        Some(u64::from_le_bytes(wide))
    }

    /// `string<lenenc>`.
    pub(super) fn counted(&mut self) -> Option<&'a [u8]> {
        let length = self.number()?;
        self.bytes(usize::try_from(length).ok()?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_never_longer_than_the_body() {
        let body = b"\x0a8.0\0\xfc\x03\x01\x02ab\xfb";
        let mut fields = Fields(body);
        assert_eq!((fields.byte(), fields.text()), (Some(10), Some(&b"8.0"[..])));
        assert_eq!((fields.number(), fields.counted()), (Some(259), Some(&b"ab"[..])));
        assert_eq!((fields.number(), fields.number()), (None, None));
        for huge in [&b"\xfe\xff\xff\xff\xff\xff\xff\xff\xff"[..], b"\xfd\xff\xff\xff", b"\xfc\x01", b"\xff", b""] {
            assert_eq!(Fields(huge).counted(), None, "{huge:?}");
        }
        assert_eq!(Fields(b"no end").text(), None);
        assert_eq!((Fields(b"1").short(), Fields(b"").byte()), (None, None));
    }
}
