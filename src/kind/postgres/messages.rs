//! Reads PostgreSQL's messages from a stream. It bounds their size and never trusts them.

use std::io;

use tokio::io::{AsyncRead, AsyncReadExt};
use tokio_postgres::error::DbError;

use crate::attempt::Attempt;
use crate::kind;
use crate::kind::no_answer::{self, NoAnswer};
use crate::net::sniff::Protocol;
use crate::net::stream::{Peer, Stream};
use crate::reason::{Code, Hint, Reason};
use crate::secret::Secret;

/// One session reads at most this much from a server, in bytes.
pub(super) const SESSION_MAX: u64 = 1024 * 1024;

/// The longest message that waitgate reads, in bytes. libpq's bound for an error before the login is 30,000
/// (fe-connect.c: PQconnectPoll, CONNECTION_AWAITING_RESPONSE).
pub(super) const MESSAGE_MAX: usize = 64 * 1024;

/// A reason repeats at most this much of a server's text, in characters.
pub(super) const WORDS_MAX: usize = 300;

/// One message: its type byte, and what follows the length field.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Message {
    pub(super) tag: u8,
    pub(super) body: Vec<u8>,
}

/// The messages of one connection.
pub(super) struct Messages<'a, S> {
    stream: &'a mut S,
    buffer: Vec<u8>,
    /// The longest message, in bytes.
    max: usize,
}

impl<'a, S: AsyncRead + Unpin> Messages<'a, S> {
    /// The messages before a login, which are short. `head` has the bytes of the first one that are already read.
    pub(super) fn new(stream: &'a mut S, head: &[u8]) -> Self {
        Self { stream, buffer: head.to_vec(), max: MESSAGE_MAX }
    }

    /// The messages after a login, which may hold rows.
    pub(super) fn with_rows(stream: &'a mut S) -> Self {
        Self { stream, buffer: Vec::new(), max: usize::try_from(SESSION_MAX).unwrap_or(MESSAGE_MAX) }
    }

    /// The next message. Its length is checked before any memory is allocated for it.
    pub(super) async fn next(&mut self) -> Result<Message, NoAnswer> {
        const HEADER_LEN: usize = 5;
        self.fill(HEADER_LEN).await?;
        let tag = self.buffer[0];
        let length = u32::from_be_bytes([self.buffer[1], self.buffer[2], self.buffer[3], self.buffer[4]]);
        // Every type byte of a server is a letter or a digit (protocol-message-formats).
        let length = usize::try_from(length).unwrap_or(usize::MAX);
        if !tag.is_ascii_alphanumeric() || length < 4 {
            return Err(NoAnswer::Malformed);
        }
        if length > self.max {
            return Err(NoAnswer::TooLarge);
        }
        self.fill(length + 1).await?;
        let rest = self.buffer.split_off(length + 1);
        let mut body = std::mem::replace(&mut self.buffer, rest);
        body.drain(..HEADER_LEN);
        Ok(Message { tag, body })
    }

    /// The bytes that are read and do not belong to a returned message.
    pub(super) fn unread(&self) -> &[u8] {
        &self.buffer
    }

    async fn fill(&mut self, wanted: usize) -> Result<(), NoAnswer> {
        let mut chunk = [0; 4096];
        while self.buffer.len() < wanted {
            match self.stream.read(&mut chunk).await {
                Ok(0) => return Err(NoAnswer::Closed),
                Ok(n) => self.buffer.extend_from_slice(&chunk[..n]),
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }
}

/// The fields of an ErrorResponse that waitgate uses.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct ServerError {
    /// The SQLSTATE: five letters and digits. Empty if the server sent none.
    pub(super) code: String,
    /// The server's own text, for what depends on its words. It is never shown: it may hold a secret.
    pub(super) message: Option<Secret>,
    /// The same for a reason: without secrets, and shortened.
    pub(super) words: String,
    /// The server's detail for a reason.
    pub(super) detail: Option<String>,
    /// ERROR, FATAL or PANIC, in English if the server says that too (PostgreSQL 9.6 and later do).
    pub(super) severity: String,
    /// The routine of PostgreSQL that reported the error. It is never translated. A pooler's own errors have none.
    pub(super) routine: String,
}

impl ServerError {
    /// Parses the body of an ErrorResponse; `None` if it is invalid.
    pub(super) fn parse(body: &[u8], attempt: &Attempt) -> Option<Self> {
        let mut error = Self::default();
        let (mut message, mut detail): (&[u8], Option<&[u8]>) = (&[], None);
        let mut shown_severity = String::new();
        let mut rest = body;
        loop {
            let (&field, tail) = rest.split_first()?;
            if field == 0 {
                if error.severity.is_empty() {
                    error.severity = shown_severity;
                }
                return (!message.is_empty()).then(|| error.saying(message, detail, attempt));
            }
            let end = tail.iter().position(|byte| *byte == 0)?;
            let text = &tail[..end];
            match field {
                b'C' => error.code = sqlstate(text),
                b'M' => message = text,
                b'D' => detail = Some(text),
                b'S' => shown_severity = word(text),
                b'V' => error.severity = word(text),
                b'R' => error.routine = word(text),
                _ => {}
            }
            rest = &tail[end + 1..];
        }
    }

    /// Parses the body of a NoticeResponse, and returns it if the server ends every session with it. After a crash of
    /// another session, and in an immediate shutdown, it sends no error (postgres.c: quickdie).
    pub(super) fn last_words(body: &[u8], attempt: &Attempt) -> Option<Self> {
        Self::parse(body, attempt).filter(|notice| matches!(notice.code.as_str(), "57P01" | "57P02"))
    }

    /// An error that tokio-postgres has parsed.
    pub(super) fn of(error: &DbError, attempt: &Attempt) -> Self {
        let severity = error.parsed_severity().map_or_else(|| error.severity().to_owned(), |known| known.to_string());
        let found = Self {
            code: sqlstate(error.code().code().as_bytes()),
            severity,
            routine: word(error.routine().unwrap_or_default().as_bytes()),
            ..Self::default()
        };
        found.saying(error.message().as_bytes(), error.detail().map(str::as_bytes), attempt)
    }

    fn saying(self, message: &[u8], detail: Option<&[u8]>, attempt: &Attempt) -> Self {
        Self {
            message: Some(Secret::new(String::from_utf8_lossy(message))),
            words: words(message, attempt),
            detail: detail.map(|detail| words(detail, attempt)),
            ..self
        }
    }

    /// The message, and after it the detail.
    pub(super) fn said(&self) -> String {
        match &self.detail {
            Some(detail) => format!("{}: {detail}", self.words),
            None => self.words.clone(),
        }
    }

    /// The message as the server sent it. It decides, and is never shown.
    pub(super) fn message(&self) -> &str {
        self.message.as_ref().map_or("", Secret::expose)
    }

    /// Whether pg_hba.conf rejects the login: the server has seen no password, and another encryption may help.
    ///
    /// Every wrong password, and every role that may not log in, has the same SQLSTATE (auth.c: ClientAuthentication,
    /// auth_failed; miscinit.c: InitializeSessionUserId). A server that sends no routine says it in words.
    pub(super) fn by_access_rules(&self) -> bool {
        self.code == "28000"
            && (self.routine == "ClientAuthentication"
                || self.routine.is_empty() && self.message().contains("pg_hba.conf"))
    }
}

fn sqlstate(bytes: &[u8]) -> String {
    let good = bytes.len() == 5 && bytes.iter().all(u8::is_ascii_alphanumeric);
    if good { bytes.iter().copied().map(char::from).collect() } else { String::new() }
}

/// A server's text for a reason. Before the login it is in the server's own encoding, so invalid UTF-8 is replaced.
pub(super) fn words(bytes: &[u8], attempt: &Attempt) -> String {
    attempt.quote(bytes, WORDS_MAX)
}

/// A word that is compared and never shown.
fn word(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).chars().take(WORDS_MAX).collect()
}

/// The protocol that these first bytes belong to, if it is not PostgreSQL's.
fn other_protocol(first: &[u8]) -> Option<Protocol> {
    Protocol::of(first).filter(|protocol| *protocol != Protocol::PostgreSql)
}

/// The reason for a peer that answered in another protocol.
pub(super) fn not_postgres(peer: &Peer, first: &[u8]) -> Reason {
    kind::other_protocol(peer, "PostgreSQL's protocol", other_protocol(first))
}

/// The reason when no message came. `after` says what waitgate sent last.
pub(super) fn reason(why: &NoAnswer, stream: &Stream, after: &str) -> Reason {
    let peer = stream.peer();
    if stream.over_limit() {
        return too_large(peer);
    }
    match why {
        // No message before a login is too long: these bytes are another protocol's.
        NoAnswer::Malformed | NoAnswer::TooLarge => not_postgres(peer, stream.first()),
        NoAnswer::Closed => closed(peer, stream.first(), after),
        NoAnswer::Failed(error) => no_answer::failed(peer, error),
    }
}

/// The reason when `peer` closed the connection. Even a part of a greeting may show another protocol.
pub(super) fn closed(peer: &Peer, first: &[u8], after: &str) -> Reason {
    if other_protocol(first).is_some() {
        return not_postgres(peer, first);
    }
    let reason = Reason::new(Code::ProtocolClosed, format!("{peer} accepted the connection and closed it {after}"));
    // PostgreSQL itself says why it ends a session, so something else is there.
    if first.is_empty() { reason.with_hint(Hint::ClosedUnanswered) } else { reason }
}

/// Whether an error comes from TLS.
pub(super) fn is_tls(error: &io::Error) -> bool {
    #[cfg(feature = "tls")]
    return crate::net::tls::cause(error).is_some();
    #[cfg(not(feature = "tls"))]
    return {
        let _ = error;
        false
    };
}

/// The reason when a server sends more than the bound.
pub(super) fn too_large(peer: &Peer) -> Reason {
    Reason::new(Code::ProtocolTooLarge, format!("{peer} sent more than 1 MiB without finishing"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn attempt() -> Attempt {
        let bound = std::time::Duration::from_secs(1);
        Attempt::new(crate::attempt::Bounds { attempt: bound, connect: bound }, false)
    }

    async fn read(bytes: &[u8]) -> Result<Message, NoAnswer> {
        let mut stream = bytes;
        Messages::new(&mut stream, &[]).next().await
    }

    #[tokio::test]
    async fn a_message_is_complete_and_within_the_bound() {
        let mut stream: &[u8] = b"\0\0\0\x08\0\0\0\0Z\0\0\0\x05I";
        let mut messages = Messages::new(&mut stream, b"R");
        assert_eq!(messages.next().await.unwrap(), Message { tag: b'R', body: vec![0; 4] });
        assert_eq!(messages.next().await.unwrap(), Message { tag: b'Z', body: b"I".to_vec() });
        assert!(matches!(messages.next().await, Err(NoAnswer::Closed)));

        assert!(matches!(read(b"").await, Err(NoAnswer::Closed)));
        assert!(matches!(read(b"R\0\0\0\x08\0").await, Err(NoAnswer::Closed)));
        for foreign in [&b"R\0\0\0\0"[..], b"R\0\0\0\x03", b"\0\0\0\0\0", b"\xff\0\0\0\x08"] {
            assert!(matches!(read(foreign).await, Err(NoAnswer::Malformed)), "{foreign:?}");
        }
        for long in [&b"HTTP/1.1 400"[..], b"E\x7f\xff\xff\xff", b"R\xff\xff\xff\xff", b"N\0\x01\0\x01"] {
            assert!(matches!(read(long).await, Err(NoAnswer::TooLarge)), "{long:?}");
        }
    }

    #[test]
    fn errors_with_odd_fields_are_parsed() {
        let error =
            ServerError::parse(b"SFATAL\0VFATAL\0C57P03\0Mthe database system is starting up\0\0", &attempt()).unwrap();
        assert_eq!((error.code.as_str(), error.message()), ("57P03", "the database system is starting up"));
        assert_eq!(ServerError::parse(b"MFehler: \xfc\0\0", &attempt()).unwrap().words, "Fehler: \u{fffd}");
        let fields = b"SFATALE\0VFATAL\0C28000\0Mx\0RClientAuthentication\0\0";
        let error = ServerError::parse(fields, &attempt()).unwrap();
        assert_eq!((error.severity.as_str(), error.by_access_rules()), ("FATAL", true));
        let hidden = attempt();
        hidden.hide(&Secret::new("hunter2"));
        let cut = [b"M".as_slice(), &[b'a'; WORDS_MAX - 3], b"hunter2\0\0"].concat();
        let words = ServerError::parse(&cut, &hidden).unwrap().words;
        assert!(words.ends_with("aaa***"), "masked before it is shortened: {words}");
        assert_eq!(ServerError::parse(b"C123456\0Mx\0\0", &attempt()).unwrap().code, "");
        let long = [b"M".as_slice(), &[b'a'; 1000], b"\0\0"].concat();
        assert_eq!(ServerError::parse(&long, &attempt()).unwrap().words.chars().count(), WORDS_MAX + 1);
        for bad in [&b""[..], b"\0", b"M", b"Mx", b"Mx\0", b"C57P03\0\0"] {
            assert_eq!(ServerError::parse(bad, &attempt()), None, "{bad:?}");
        }
    }
}
