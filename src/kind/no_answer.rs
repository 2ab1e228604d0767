//! Why a server gave no answer, whatever protocol a kind asks in.

use std::io;

use crate::net::stream::Peer;
use crate::reason::{Code, Reason};
use crate::text::os_error;

/// Why there is no answer.
#[derive(Debug)]
pub(super) enum NoAnswer {
    /// The connection ended, before an answer or within one.
    Closed,
    /// The bytes are not what the protocol has in this place.
    Malformed,
    /// The answer is longer than the bound.
    TooLarge,
    /// Reading or writing failed.
    Failed(io::Error),
}

impl From<io::Error> for NoAnswer {
    fn from(error: io::Error) -> Self {
        if hung_up(&error) { Self::Closed } else { Self::Failed(error) }
    }
}

/// Whether an error means that the peer closed the connection.
pub(super) fn hung_up(error: &io::Error) -> bool {
    use io::ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionReset, UnexpectedEof};
    matches!(error.kind(), BrokenPipe | ConnectionAborted | ConnectionReset | UnexpectedEof)
}

/// The reason when reading or writing failed.
pub(super) fn failed(peer: &Peer, error: &io::Error) -> Reason {
    #[cfg(feature = "tls")]
    if let Some(error) = crate::net::tls::cause(error) {
        return crate::net::tls::reason(error, "this host", peer);
    }
    let words = if error.raw_os_error().is_some() { format!(": {}", os_error(error)) } else { String::new() };
    Reason::new(Code::ProtocolClosed, format!("the connection to {peer} failed{words}")).with_key("failed")
}
