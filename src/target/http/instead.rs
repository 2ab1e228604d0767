//! What answers where HTTP was expected: a second, plain connection takes a look at its first bytes.

use std::fmt;
use std::net::SocketAddr;
use std::time::Duration;

use reqwest::Response;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::{self, Instant};

use crate::net::connect;
use crate::reason::{Code, Hint, Reason};
use crate::trail::Trail;

/// Enough for a server nearby; a reason is not worth waiting for longer.
const BOUND: Duration = Duration::from_millis(300);

/// So that the attempt still ends by itself, with what is known, before it is cut off.
const MARGIN: Duration = Duration::from_millis(20);

/// Enough of an answer to recognise it.
const ENOUGH: usize = 64;

/// What is sent first. Servers that speak first do so whatever it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ask {
    /// What may have brought the odd answer about.
    Http,
    /// An SSLRequest (PostgreSQL's documentation, section 55.7), for a server that closes on anything else.
    PostgreSql,
}

impl Ask {
    fn bytes(self) -> &'static [u8] {
        match self {
            Self::Http => b"GET / HTTP/1.0\r\n\r\n",
            Self::PostgreSql => &[0, 0, 0, 8, 0x04, 0xd2, 0x16, 0x2f],
        }
    }
}

/// Who it looks like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Protocol {
    Amqp,
    Ftp,
    Http,
    Http2,
    Imap,
    Memcached,
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
    pub(super) fn of(first: &[u8], asked: Ask) -> Option<Self> {
        let starts = |text: &str| first.starts_with(text.as_bytes());
        let found = match first {
            [b'S' | b'N'] if asked == Ask::PostgreSql => Self::PostgreSql,
            // An error: its type, and a length that fits in two bytes.
            [b'E', 0, 0, ..] => Self::PostgreSql,
            // An alert or a handshake of any version of TLS.
            [0x15 | 0x16, 0x03, ..] => Self::Tls,
            // SETTINGS or GOAWAY on stream 0 (RFC 9113 section 4.1).
            [0, _, _, 4 | 7, _, 0, 0, 0, 0, ..] => Self::Http2,
            // A packet of sequence 0: the greeting of protocol 10, or an error before it.
            [_, _, 0, 0, 0x0a | 0xff, ..] => Self::MySql,
            _ if starts("HTTP/") => Self::Http,
            _ if starts("SSH-") => Self::Ssh,
            _ if starts("AMQP") => Self::Amqp,
            _ if starts("INFO {") => Self::Nats,
            _ if starts("* OK") || starts("* PREAUTH") => Self::Imap,
            _ if starts("ERROR\r\n") => Self::Memcached,
            _ if starts("-ERR ") || starts("-NOAUTH ") || starts("-DENIED ") || starts("-LOADING ") => Self::Redis,
            _ if starts("+OK ") => Self::Pop3,
            _ if starts("220 ") || starts("220-") => {
                let line = first.to_ascii_uppercase();
                if line.windows(3).any(|word| word == b"FTP") { Self::Ftp } else { Self::Smtp }
            }
            _ => return None,
        };
        Some(found)
    }

    /// What to write instead.
    pub(super) fn hint(self) -> Hint {
        match self {
            Self::Http => Hint::UseHttp,
            Self::Tls => Hint::UseHttps,
            Self::PostgreSql => Hint::UsePostgres,
            _ => Hint::UseTcp,
        }
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
            Self::MySql => "MySQL",
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

/// Takes a look at who is at `address`; nobody (any more) is an error.
///
/// Redis aborts the connection of a request with a Host header, without a word, and answers one without; PostgreSQL
/// closes on either, so that it is asked in its own way next.
pub(super) async fn look(address: SocketAddr, trail: &Trail) -> Result<Option<Protocol>, Reason> {
    let looking = async {
        for ask in [Ask::Http, Ask::PostgreSql] {
            let mut stream = match connect::one(address, trail).await {
                Ok(stream) => stream,
                // The first connection may have been one to ourselves.
                Err(reason) if reason.code() == Code::ConnectRefused => return Err(reason),
                Err(_) => break,
            };
            let mut first = [0; ENOUGH];
            if stream.write_all(ask.bytes()).await.is_err() {
                continue;
            }
            let read = stream.read(&mut first).await.unwrap_or(0);
            if read > 0 {
                return Ok(Protocol::of(&first[..read], ask));
            }
        }
        Ok(None)
    };
    let until = (Instant::now() + BOUND).min(trail.until() - MARGIN);
    time::timeout_at(until, looking).await.unwrap_or(Ok(None))
}

/// What the body of a 400 says that it is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Complaint {
    /// The request was not in TLS.
    Tls,
    /// It came without a client certificate, or with a wrong one.
    Certificate,
}

/// What the body of a 400 complains about, in the words of nginx, Go and Apache: they answer what is wrong with
/// the TLS session in HTTP.
pub(super) async fn complaint(mut response: Response, trail: &Trail) -> Option<Complaint> {
    const SAID: [(&str, Complaint); 5] = [
        ("plain HTTP request was sent to HTTPS port", Complaint::Tls),
        ("HTTP request to an HTTPS server", Complaint::Tls),
        ("plain HTTP to an SSL-enabled", Complaint::Tls),
        ("No required SSL certificate was sent", Complaint::Certificate),
        ("The SSL certificate error", Complaint::Certificate),
    ];
    const BYTES: usize = 2048;
    let reading = async {
        let mut body = Vec::new();
        while body.len() < BYTES {
            match response.chunk().await {
                Ok(Some(chunk)) => body.extend_from_slice(&chunk[..chunk.len().min(BYTES)]),
                _ => break,
            }
        }
        body
    };
    let until = (Instant::now() + BOUND).min(trail.until() - MARGIN);
    let body = time::timeout_at(until, reading).await.unwrap_or_default();
    let body = String::from_utf8_lossy(&body);
    SAID.into_iter().find(|(said, _)| body.contains(said)).map(|(_, complaint)| complaint)
}
