//! PostgreSQL's messages as they come off a stream: bounded, and never trusted.

use std::io;

use tokio::io::{AsyncRead, AsyncReadExt};

use crate::kind;
use crate::net::sniff::Protocol;
use crate::net::stream::{Peer, Stream};
use crate::reason::{Code, Reason};
use crate::text::os_error;

/// What one attempt reads from a server, at most.
pub(super) const SESSION_MAX: u64 = 1024 * 1024;

/// The longest message that is read, in bytes. libpq takes 30,000 for an error before the login
/// (fe-connect.c: PQconnectPoll, CONNECTION_AWAITING_RESPONSE).
pub(super) const MESSAGE_MAX: usize = 64 * 1024;

/// How much of a server's words is repeated.
const WORDS_MAX: usize = 300;

/// One message: its type byte, and what follows its length.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Message {
    pub(super) tag: u8,
    pub(super) body: Vec<u8>,
}

/// Why there is no message.
#[derive(Debug)]
pub(super) enum Broken {
    /// The connection ended, in the middle of a message or before one.
    Closed,
    /// What came is not a message of this protocol.
    Foreign,
    /// A message is longer than what is read.
    TooLong,
    /// Reading failed.
    Failed(io::Error),
}

/// The messages of one connection.
pub(super) struct Messages<'a, S> {
    stream: &'a mut S,
    buffer: Vec<u8>,
    longest: usize,
}

impl<'a, S: AsyncRead + Unpin> Messages<'a, S> {
    /// The messages before a login, which are short. `head` is what has already been read of the first.
    pub(super) fn new(stream: &'a mut S, head: &[u8]) -> Self {
        Self { stream, buffer: head.to_vec(), longest: MESSAGE_MAX }
    }

    /// The messages after a login, which may hold rows.
    pub(super) fn with_rows(stream: &'a mut S) -> Self {
        Self { stream, buffer: Vec::new(), longest: usize::try_from(SESSION_MAX).unwrap_or(MESSAGE_MAX) }
    }

    /// The next message. Its length is looked at before anything is allocated for it.
    pub(super) async fn next(&mut self) -> Result<Message, Broken> {
        const HEADER: usize = 5;
        self.fill(HEADER).await?;
        let tag = self.buffer[0];
        let length = u32::from_be_bytes([self.buffer[1], self.buffer[2], self.buffer[3], self.buffer[4]]);
        // Every type byte of a server is a letter or a digit (protocol-message-formats).
        let length = usize::try_from(length).unwrap_or(usize::MAX);
        if !tag.is_ascii_alphanumeric() || length < 4 {
            return Err(Broken::Foreign);
        }
        if length > self.longest {
            return Err(Broken::TooLong);
        }
        self.fill(length + 1).await?;
        let rest = self.buffer.split_off(length + 1);
        let mut body = std::mem::replace(&mut self.buffer, rest);
        body.drain(..HEADER);
        Ok(Message { tag, body })
    }

    /// What has been read and not yet handed out.
    pub(super) fn unread(&self) -> &[u8] {
        &self.buffer
    }

    async fn fill(&mut self, wanted: usize) -> Result<(), Broken> {
        let mut chunk = [0; 4096];
        while self.buffer.len() < wanted {
            match self.stream.read(&mut chunk).await {
                Ok(0) => return Err(Broken::Closed),
                Ok(n) => self.buffer.extend_from_slice(&chunk[..n]),
                Err(error) if hung_up(&error) => return Err(Broken::Closed),
                Err(error) => return Err(Broken::Failed(error)),
            }
        }
        Ok(())
    }
}

/// Whether an error is only another way to say that the peer is gone.
pub(super) fn hung_up(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionReset
            | io::ErrorKind::BrokenPipe
            | io::ErrorKind::UnexpectedEof
            | io::ErrorKind::ConnectionAborted
    )
}

/// What an ErrorResponse says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct ServerError {
    /// The SQLSTATE: five letters and digits, or nothing.
    pub(super) code: String,
    /// The server's own words, shortened.
    pub(super) message: String,
    /// What it adds to them.
    pub(super) detail: Option<String>,
}

impl ServerError {
    /// An error that has been taken apart already.
    pub(super) fn new(code: &str, message: &str, detail: Option<&str>) -> Self {
        let detail = detail.map(|detail| words(detail.as_bytes()));
        Self { code: sqlstate(code.as_bytes()), message: words(message.as_bytes()), detail }
    }

    /// Reads the fields of an ErrorResponse's body; `None` if it is none.
    pub(super) fn parse(body: &[u8]) -> Option<Self> {
        let mut error = Self::default();
        let mut rest = body;
        loop {
            let (&field, tail) = rest.split_first()?;
            if field == 0 {
                return (!error.message.is_empty()).then_some(error);
            }
            let end = tail.iter().position(|byte| *byte == 0)?;
            match field {
                b'C' => error.code = sqlstate(&tail[..end]),
                b'M' => error.message = words(&tail[..end]),
                b'D' => error.detail = Some(words(&tail[..end])),
                _ => {}
            }
            rest = &tail[end + 1..];
        }
    }

    /// The first error among two: what follows is often only its echo.
    pub(super) fn or(self, earlier: Option<Self>) -> Self {
        earlier.unwrap_or(self)
    }

    /// The words, with the detail behind them.
    pub(super) fn said(&self) -> String {
        match &self.detail {
            Some(detail) => format!("{}: {detail}", self.message),
            None => self.message.clone(),
        }
    }
}

fn sqlstate(bytes: &[u8]) -> String {
    let good = bytes.len() == 5 && bytes.iter().all(u8::is_ascii_alphanumeric);
    if good { bytes.iter().copied().map(char::from).collect() } else { String::new() }
}

/// A server's words before the login are in its own encoding, so they are read leniently.
pub(super) fn words(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    let mut shortened: String = text.chars().take(WORDS_MAX).collect();
    if shortened.len() < text.len() {
        shortened.push('…');
    }
    shortened
}

/// The protocol of a server that does not speak PostgreSQL's.
fn protocol(first: &[u8]) -> Option<Protocol> {
    Protocol::of(first).filter(|protocol| *protocol != Protocol::PostgreSql)
}

/// The reason for a peer that answered in another protocol.
pub(super) fn not_postgres(peer: &Peer, first: &[u8]) -> Reason {
    kind::other_protocol(peer, "PostgreSQL's protocol", protocol(first))
}

/// The reason where no message came, whatever the cause. `after` says what was sent last.
pub(super) fn broken(broken: &Broken, stream: &Stream, after: &str) -> Reason {
    let peer = &stream.peer();
    if stream.over_limit() {
        return too_large(peer);
    }
    match broken {
        // No message before a login is that long: it is a length only to us.
        Broken::Foreign | Broken::TooLong => not_postgres(peer, stream.first()),
        Broken::Closed => closed(peer, stream.first(), after),
        Broken::Failed(error) => failed(peer, error),
    }
}

/// The reason where `peer` hung up. Half a greeting of another protocol is as telling as a whole one.
pub(super) fn closed(peer: &Peer, first: &[u8], after: &str) -> Reason {
    if protocol(first).is_some() {
        return not_postgres(peer, first);
    }
    Reason::new(Code::ProtocolClosed, format!("{peer} accepted the connection and closed it {after}"))
}

/// Whether an error came out of TLS.
pub(super) fn is_tls(error: &io::Error) -> bool {
    #[cfg(feature = "tls")]
    return crate::net::tls::cause(error).is_some();
    #[cfg(not(feature = "tls"))]
    return {
        let _ = error;
        false
    };
}

/// The reason where reading or writing failed.
pub(super) fn failed(peer: &Peer, error: &io::Error) -> Reason {
    #[cfg(feature = "tls")]
    if let Some(error) = crate::net::tls::cause(error) {
        return crate::net::tls::reason(error, "this host", peer);
    }
    let words = if error.raw_os_error().is_some() { format!(": {}", os_error(error)) } else { String::new() };
    Reason::new(Code::ProtocolClosed, format!("the connection to {peer} failed{words}"))
}

/// The reason for a server that does not finish.
pub(super) fn too_large(peer: &Peer) -> Reason {
    Reason::new(Code::ProtocolTooLarge, format!("{peer} sent more than 1 MiB without finishing"))
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn read(bytes: &[u8]) -> Result<Message, Broken> {
        let mut stream = bytes;
        Messages::new(&mut stream, &[]).next().await
    }

    #[tokio::test]
    async fn messages_are_bounded_and_whole() {
        let mut stream: &[u8] = b"\0\0\0\x08\0\0\0\0Z\0\0\0\x05I";
        let mut messages = Messages::new(&mut stream, b"R");
        assert_eq!(messages.next().await.unwrap(), Message { tag: b'R', body: vec![0; 4] });
        assert_eq!(messages.next().await.unwrap(), Message { tag: b'Z', body: b"I".to_vec() });
        assert!(matches!(messages.next().await, Err(Broken::Closed)));

        assert!(matches!(read(b"").await, Err(Broken::Closed)));
        assert!(matches!(read(b"R\0\0\0\x08\0").await, Err(Broken::Closed)));
        for foreign in [&b"R\0\0\0\0"[..], b"R\0\0\0\x03", b"\0\0\0\0\0", b"\xff\0\0\0\x08"] {
            assert!(matches!(read(foreign).await, Err(Broken::Foreign)), "{foreign:?}");
        }
        for long in [&b"HTTP/1.1 400"[..], b"E\x7f\xff\xff\xff", b"R\xff\xff\xff\xff", b"N\0\x01\0\x01"] {
            assert!(matches!(read(long).await, Err(Broken::TooLong)), "{long:?}");
        }
    }

    #[test]
    fn errors_are_read_leniently() {
        let error = ServerError::parse(b"SFATAL\0VFATAL\0C57P03\0Mthe database system is starting up\0\0").unwrap();
        assert_eq!((error.code.as_str(), error.message.as_str()), ("57P03", "the database system is starting up"));
        assert_eq!(ServerError::parse(b"MFehler: \xfc\0\0").unwrap().message, "Fehler: \u{fffd}");
        assert_eq!(ServerError::parse(b"C123456\0Mx\0\0").unwrap().code, "");
        let long = [b"M".as_slice(), &[b'a'; 1000], b"\0\0"].concat();
        assert_eq!(ServerError::parse(&long).unwrap().message.chars().count(), WORDS_MAX + 1);
        for bad in [&b""[..], b"\0", b"M", b"Mx", b"Mx\0", b"C57P03\0\0"] {
            assert_eq!(ServerError::parse(bad), None, "{bad:?}");
        }
    }
}
