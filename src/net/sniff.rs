//! Tells which protocol a server speaks by the first bytes that it sends.
//!
//! If a server answers in another protocol than the target's kind, waitgate opens a second, plain connection to find
//! out which protocol it is.

use std::fmt;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::{self, Instant};

use super::connect;
use crate::attempt::Attempt;
use crate::reason::{Code, Reason};

/// The bound on the look. It is enough for a server nearby, and a better reason is not worth a longer wait.
const LOOK_MAX: Duration = Duration::from_millis(300);

/// The look ends this long before the attempt does, so that the attempt can still report its reason.
const MARGIN: Duration = Duration::from_millis(20);

/// How many bytes of an answer are read: enough to recognise the protocol, also in the body of a short answer in HTTP.
const FIRST_MAX: usize = 256;

/// In MongoDB's answer to an HTTP request.
pub(crate) const MONGODB: &[u8] = b"trying to access MongoDB over HTTP";

/// What waitgate sends first. A server that speaks first ignores it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ask {
    /// An HTTP request.
    Http,
    /// An SSLRequest (PostgreSQL's documentation, section 55.7). PostgreSQL closes the connection after an HTTP
    /// request.
    PostgreSql,
    /// A ClientHello. OpenSSL closes the connection without an alert after an HTTP request.
    Tls,
}

/// A ClientHello of TLS 1.2 (RFC 5246 section 7.4.1.2). A server that speaks only TLS 1.3 answers with an alert, which
/// tells as much.
const CLIENT_HELLO: &[u8] = &[
    0x16, 3, 1, 0, 75, 1, 0, 0, 71, 3, 3, // A record, a ClientHello, version 1.2.
    b'w', b'a', b'i', b't', b'g', b'a', b't', b'e', 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
    0, 0, // The random number keeps no secret: no handshake follows.
    0, // No session.
    0, 8, 0xc0, 0x2b, 0xc0, 0x2f, 0xc0, 0x2c, 0xc0, 0x30, // ECDHE with AES in GCM.
    1, 0, // No compression.
    0, 22, 0, 10, 0, 6, 0, 4, 0, 23, 0, 24, // Extensions: the groups P-256 and P-384,
    0, 13, 0, 8, 0, 6, 4, 3, 8, 4, 4, 1, // and three signatures with SHA-256.
];

/// The shortest request.
pub(super) const HTTP: &[u8] = b"GET / HTTP/1.0\r\n\r\n";

impl Ask {
    fn bytes(self) -> &'static [u8] {
        match self {
            Self::Tls => CLIENT_HELLO,
            Self::Http => HTTP,
            Self::PostgreSql => &[0, 0, 0, 8, 0x04, 0xd2, 0x16, 0x2f],
        }
    }
}

/// The protocol that the first bytes look like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Protocol {
    Amqp,
    Ftp,
    Http,
    Http2,
    Imap,
    Memcached,
    MongoDb,
    MySql,
    Nats,
    Pop3,
    PostgreSql,
    Redis,
    Smtp,
    Ssh,
    Tls,
}

impl Protocol {
    /// Recognises the first bytes of an answer.
    pub(crate) fn of(first: &[u8]) -> Option<Self> {
        let starts = |text: &str| first.starts_with(text.as_bytes());
        let found = match first {
            // An ErrorResponse: its type, and a length that fits in two bytes.
            [b'E', 0, 0, ..] => Self::PostgreSql,
            // An alert or a handshake of any version of TLS.
            [0x15 | 0x16, 3, 0..=4, ..] => Self::Tls,
            // SETTINGS or GOAWAY on stream 0 (RFC 9113 section 4.1).
            [0, _, _, 4 | 7, _, 0, 0, 0, 0, ..] => Self::Http2,
            // A packet with sequence number 0: the greeting of protocol 10, or an error instead of it.
            [_, _, 0, 0, 0x0a | 0xff, ..] => Self::MySql,
            // MongoDB answers an HTTP request in HTTP, and only the body says who it is.
            _ if first.windows(MONGODB.len()).any(|words| words == MONGODB) => Self::MongoDb,
            _ if starts("HTTP/") || starts("<!") || starts("<html") || starts("<HTML") => Self::Http,
            _ if starts("SSH-") => Self::Ssh,
            _ if starts("AMQP") => Self::Amqp,
            _ if starts("INFO {") => Self::Nats,
            _ if starts("* OK") || starts("* PREAUTH") => Self::Imap,
            _ if starts("ERROR\r\n") => Self::Memcached,
            _ if ["-ERR ", "-NOAUTH ", "-DENIED ", "-LOADING ", "-BUSY ", "-MASTERDOWN "].into_iter().any(starts) => {
                Self::Redis
            }
            _ if starts("+OK ") => Self::Pop3,
            _ if starts("220 ") || starts("220-") => {
                let line = first.to_ascii_uppercase();
                if line.windows(3).any(|word| word == b"FTP") { Self::Ftp } else { Self::Smtp }
            }
            _ => return None,
        };
        Some(found)
    }
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Amqp => "AMQP",
            Self::Ftp => "FTP",
            Self::Http => "HTTP",
            Self::Http2 => "HTTP/2, as gRPC servers speak it",
            Self::Imap => "IMAP",
            Self::Memcached => "memcached",
            Self::MongoDb => "MongoDB",
            Self::MySql => "MySQL or MariaDB",
            Self::Nats => "NATS",
            Self::Pop3 => "POP3",
            Self::PostgreSql => "PostgreSQL",
            Self::Redis => "Redis",
            Self::Smtp => "SMTP",
            Self::Ssh => "SSH",
            Self::Tls => "TLS",
        })
    }
}

/// Finds out which protocol the server at `address` speaks. It is an error only if the connection is refused.
///
/// Redis answers a request without a Host header; if there is one, it closes without an answer. PostgreSQL closes after
/// any HTTP request, so waitgate sends it an SSLRequest next. OpenSSL closes after both, so a ClientHello comes last.
pub(crate) async fn look(address: SocketAddr, attempt: &Attempt) -> Result<Option<Protocol>, Reason> {
    let looking = async {
        for ask in [Ask::Http, Ask::PostgreSql, Ask::Tls] {
            let mut stream = match connect::one(address, attempt).await {
                Ok(stream) => stream,
                // The first connection may have been a connection of the socket to itself.
                Err(reason) if reason.code() == Code::ConnectRefused => return Err(reason),
                Err(_) => break,
            };
            let mut first = [0; FIRST_MAX];
            if stream.write_all(ask.bytes()).await.is_err() {
                continue;
            }
            let read = stream.read(&mut first).await.unwrap_or(0);
            if read > 0 {
                let first = &first[..read];
                // The answer to an SSLRequest is one letter.
                let answered = ask == Ask::PostgreSql && matches!(first, [b'S' | b'N']);
                return Ok(if answered { Some(Protocol::PostgreSql) } else { Protocol::of(first) });
            }
        }
        Ok(None)
    };
    in_time(looking, attempt).await.unwrap_or(Ok(None))
}

/// What a look finds within its bound.
pub(super) async fn in_time<T>(looking: impl Future<Output = T>, attempt: &Attempt) -> Option<T> {
    let until = (Instant::now() + LOOK_MAX).min(attempt.until() - MARGIN);
    time::timeout_at(until, looking).await.ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_client_hello_has_the_lengths_that_it_says() {
        let length = |at: usize| usize::from(CLIENT_HELLO[at]) << 8 | usize::from(CLIENT_HELLO[at + 1]);
        assert_eq!(length(3), CLIENT_HELLO.len() - 5);
        assert_eq!(length(7), CLIENT_HELLO.len() - 9);
        assert_eq!(length(56), CLIENT_HELLO.len() - 58);
    }

    #[test]
    fn first_bytes_tell_the_protocol() {
        for (first, protocol) in [
            (&b"HTTP/1.1 400 Bad Request"[..], Some(Protocol::Http)),
            (b"\x4a\0\0\0\x0a8.0.36\0", Some(Protocol::MySql)),
            (b"\x15\x03\x01\0\x02\x02\x46", Some(Protocol::Tls)),
            (b"-ERR unknown command", Some(Protocol::Redis)),
            (b"E\0\0\0\x50", Some(Protocol::PostgreSql)),
            (b"220 mail.example ESMTP", Some(Protocol::Smtp)),
            (b"R\0\0\0\x08", None),
            (b"S", None),
            (b"", None),
        ] {
            assert_eq!(Protocol::of(first), protocol, "{first:?}");
        }
    }
}
