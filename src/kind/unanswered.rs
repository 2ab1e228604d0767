//! The reason when a server gave no answer that a kind can use. The kinds have the same words for it.

use std::net::SocketAddr;

use super::no_answer::{NoAnswer, failed};
use super::other_protocol;
use crate::attempt::Attempt;
use crate::net::sniff::{self, Protocol};
use crate::net::stream::{Peer, Stream};
use crate::reason::{Code, Hint, Reason};

/// Why a session failed.
pub(super) struct Failed {
    pub(super) reason: Reason,
    /// The server closed the connection without a byte.
    pub(super) silent: bool,
}

impl Failed {
    /// After a session over `stream`, whose server may have sent nothing.
    pub(super) fn new(reason: Reason, first: &[u8]) -> Self {
        Self { silent: first.is_empty() && reason.code() == Code::ProtocolClosed, reason }
    }
}

/// The protocol that a kind asks in.
pub(super) struct Spoken {
    /// As a reason calls it: "Kafka's protocol".
    pub(super) name: &'static str,
    /// The same, if the first bytes of an answer can show it.
    pub(super) protocol: Option<Protocol>,
    /// The reason when a port speaks TLS, and the target does not.
    pub(super) wants_tls: fn(&Peer) -> Reason,
}

impl Spoken {
    /// The reason when no answer came to `did`. `answered`: the peer has answered in this protocol before.
    pub(super) fn no_answer(&self, why: &NoAnswer, stream: &Stream, answered: bool, did: &str) -> Reason {
        let peer = stream.peer();
        let first = stream.first();
        // Even a part of a greeting may show another protocol.
        if let Some(other) = Protocol::of(first).filter(|_| !answered)
            && let Some(reason) = self.other(peer, other)
        {
            return reason;
        }
        match why {
            NoAnswer::Closed if first.is_empty() => closed_unanswered(peer),
            _ if stream.over_limit() => too_large(peer, did),
            NoAnswer::TooLarge => too_large(peer, did),
            NoAnswer::Malformed if !answered => other_protocol(peer, self.name, None),
            NoAnswer::Malformed => {
                let text = format!("{peer} answered {did} with what {} does not have there", self.name);
                Reason::new(Code::ProtocolError, text).with_key("malformed")
            }
            NoAnswer::Closed => {
                Reason::new(Code::ProtocolClosed, format!("{peer} closed the connection after {did}")).with_key("later")
            }
            NoAnswer::Failed(error) => failed(peer, error),
        }
    }

    /// The reason if `spoken`, which `peer` speaks, is another protocol.
    fn other(&self, peer: &Peer, spoken: Protocol) -> Option<Reason> {
        match spoken {
            _ if Some(spoken) == self.protocol => None,
            Protocol::Tls => Some((self.wants_tls)(peer)),
            other => Some(other_protocol(peer, self.name, Some(other))),
        }
    }

    /// The reason when the server closed without a byte: a TLS port does so on plain text, and servers of other protocols do.
    pub(super) async fn silent(&self, address: SocketAddr, reason: Reason, attempt: &Attempt) -> Reason {
        match sniff::look(address, attempt).await {
            Ok(found) => found.and_then(|spoken| self.other(&Peer::Tcp(address), spoken)).unwrap_or(reason),
            Err(refused) => refused,
        }
    }
}

#[cfg(all(feature = "tls", any(feature = "mongodb", feature = "redis")))]
impl Spoken {
    /// The reason after a handshake of TLS that failed: what the port speaks in its place, if a look finds that out. `plain` is
    /// said of a server that speaks this protocol without TLS; `None`: as of any other.
    pub(super) async fn not_tls(
        &self,
        address: SocketAddr,
        (failed, look): (Reason, bool),
        plain: Option<&str>,
        attempt: &Attempt,
    ) -> Reason {
        if !look {
            return failed;
        }
        match (sniff::look(address, attempt).await, plain) {
            (Err(refused), _) => refused,
            (Ok(None | Some(Protocol::Tls)), _) => failed,
            (Ok(spoken), Some(plain)) if spoken == self.protocol => {
                Reason::new(Code::TlsNotTls, format!("{address} {plain}")).with_key("plain")
            }
            (Ok(Some(spoken)), _) => {
                let text = format!("{address} answered in {spoken}, not in TLS");
                Reason::new(Code::TlsNotTls, text).with_hint(super::instead(Some(spoken)))
            }
        }
    }
}

/// The reason when `peer` closed a connection that it had accepted, without a byte.
pub(super) fn closed_unanswered(peer: &Peer) -> Reason {
    Reason::new(Code::ProtocolClosed, format!("{peer} accepted the connection and closed it without an answer"))
        .with_hint(Hint::ProxyClosed)
}

fn too_large(peer: &Peer, did: &str) -> Reason {
    Reason::new(Code::ProtocolTooLarge, format!("{peer} sent a longer answer to {did} than waitgate reads"))
}

/// The reason when a port speaks TLS, and `kind` is the one for it.
pub(super) fn wants_tls(peer: &Peer, kind: &'static str) -> Reason {
    Reason::new(Code::ProtocolTlsWanted, format!("{peer} wants TLS on this port")).with_hint(Hint::UseKind(kind))
}
