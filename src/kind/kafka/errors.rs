//! From what a broker says, or does not say, to a reason. Pure.

use std::io;

use super::wire::Unread;
use crate::kind;
use crate::net::sniff::Protocol;
use crate::net::stream::{Peer, Stream};
use crate::reason::{Code, Hint, Reason};
use crate::text::os_error;

/// The most characters of a broker's words in a reason.
pub(super) const WORDS_MAX: usize = 200;

/// The errors that waitgate tells apart (Kafka: Errors.java).
pub(super) const UNKNOWN_TOPIC: i16 = 3;
pub(super) const LEADER_NOT_AVAILABLE: i16 = 5;
pub(super) const INVALID_TOPIC: i16 = 17;
pub(super) const TOPIC_AUTHORIZATION_FAILED: i16 = 29;
pub(super) const UNSUPPORTED_MECHANISM: i16 = 33;
pub(super) const ILLEGAL_SASL_STATE: i16 = 34;
pub(super) const AUTHENTICATION_FAILED: i16 = 58;

/// An error's number with its name, as Kafka's own tools print it.
pub(super) fn named(error: i16) -> String {
    let name = match error {
        -1 => "UNKNOWN_SERVER_ERROR",
        UNKNOWN_TOPIC => "UNKNOWN_TOPIC_OR_PARTITION",
        LEADER_NOT_AVAILABLE => "LEADER_NOT_AVAILABLE",
        7 => "REQUEST_TIMED_OUT",
        8 => "BROKER_NOT_AVAILABLE",
        INVALID_TOPIC => "INVALID_TOPIC_EXCEPTION",
        TOPIC_AUTHORIZATION_FAILED => "TOPIC_AUTHORIZATION_FAILED",
        31 => "CLUSTER_AUTHORIZATION_FAILED",
        UNSUPPORTED_MECHANISM => "UNSUPPORTED_SASL_MECHANISM",
        ILLEGAL_SASL_STATE => "ILLEGAL_SASL_STATE",
        35 => "UNSUPPORTED_VERSION",
        42 => "INVALID_REQUEST",
        AUTHENTICATION_FAILED => "SASL_AUTHENTICATION_FAILED",
        72 => "LISTENER_NOT_FOUND",
        _ => return format!("error {error}"),
    };
    format!("{name} ({error})")
}

/// Why there is no answer.
#[derive(Debug)]
pub(super) enum NoAnswer {
    /// The broker closed the connection before the end of an answer.
    Closed,
    /// These bytes are no answer to this request.
    Malformed,
    /// The answer has so many bytes, which is more than waitgate reads.
    TooLarge(u32),
    /// Reading or writing failed.
    Failed(io::Error),
}

impl From<io::Error> for NoAnswer {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::ConnectionReset
            | io::ErrorKind::BrokenPipe
            | io::ErrorKind::UnexpectedEof
            | io::ErrorKind::ConnectionAborted => Self::Closed,
            _ => Self::Failed(error),
        }
    }
}

impl From<Unread> for NoAnswer {
    fn from(_: Unread) -> Self {
        Self::Malformed
    }
}

/// The reason when no answer came to `did`. `answered`: the peer has answered a request before, so it is a broker.
pub(super) fn no_answer(why: &NoAnswer, stream: &Stream, answered: bool, did: &str) -> Reason {
    let peer = &stream.peer();
    let first = stream.first();
    // Even a part of a greeting may show another protocol.
    let other = Protocol::of(first).filter(|_| !answered);
    match why {
        _ if other == Some(Protocol::Tls) => wants_tls(peer),
        _ if other.is_some() => kind::other_protocol(peer, WANTED, other),
        NoAnswer::Closed if first.is_empty() => {
            Reason::new(Code::ProtocolClosed, format!("{peer} accepted the connection and closed it without an answer"))
                .with_hint(Hint::ProxyClosed)
        }
        _ if stream.over_limit() => too_large(peer, did, None),
        NoAnswer::TooLarge(length) => too_large(peer, did, Some(*length)),
        NoAnswer::Malformed if !answered => kind::other_protocol(peer, WANTED, None),
        NoAnswer::Malformed => Reason::new(
            Code::ProtocolError,
            format!("{peer} answered {did} with something that Kafka's protocol does not have"),
        )
        .with_key("malformed"),
        NoAnswer::Closed => {
            Reason::new(Code::ProtocolClosed, format!("{peer} closed the connection after {did}")).with_key("later")
        }
        NoAnswer::Failed(error) => failed(peer, error),
    }
}

const WANTED: &str = "Kafka's protocol";

fn too_large(peer: &Peer, did: &str, length: Option<u32>) -> Reason {
    let length = length.map(|length| format!(" of {length} bytes")).unwrap_or_default();
    let text = format!("{peer} sends a longer answer{length} to {did} than waitgate reads (1 MiB)");
    Reason::new(Code::ProtocolTooLarge, text)
}

/// The reason when a port speaks TLS, and the target does not.
pub(super) fn wants_tls(peer: &Peer) -> Reason {
    Reason::new(Code::ProtocolTlsWanted, format!("{peer} wants TLS on this port")).with_hint(Hint::UseKind("kafkas"))
}

fn failed(peer: &Peer, error: &io::Error) -> Reason {
    #[cfg(feature = "tls")]
    if let Some(error) = crate::net::tls::cause(error) {
        return crate::net::tls::reason(error, "this host", peer);
    }
    let words = if error.raw_os_error().is_some() { format!(": {}", os_error(error)) } else { String::new() };
    Reason::new(Code::ProtocolClosed, format!("the connection to {peer} failed{words}")).with_key("failed")
}
