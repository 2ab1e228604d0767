//! What a port speaks, and which kind waits for that.

use std::fmt;

use super::{KINDS, Row, banner};
use crate::net::sniff::Protocol;
use crate::reason::{Code, Hint, Reason};

/// The hint for a port that speaks `protocol`: the kind that waits for it, or else tcp:.
pub(crate) fn instead(protocol: Option<Protocol>) -> Hint {
    Hint::UseKind(protocol.and_then(spoken_by).unwrap_or("tcp"))
}

/// The kind that waits for `protocol`, if there is one.
pub(crate) fn spoken_by(protocol: Protocol) -> Option<&'static str> {
    KINDS.iter().flat_map(|row| row.speaks).find(|(known, _)| *known == protocol).map(|(_, name)| *name)
}

/// The words before the colon that a hint can name, beside tcp:.
pub(crate) fn spoken() -> impl Iterator<Item = &'static str> {
    let more = banner::KINDS.iter().copied().filter(|name| Row::named(name).is_some());
    KINDS.iter().flat_map(|row| row.speaks).map(|(_, name)| *name).chain(more)
}

/// The reason for a server that answered in another protocol than `wanted`.
pub(crate) fn other_protocol(peer: impl fmt::Display, wanted: &str, protocol: Option<Protocol>) -> Reason {
    let hint = instead(protocol);
    match protocol {
        Some(other) => Reason::new(Code::ProtocolOther, format!("{peer} answered in {other}, not in {wanted}"))
            .with_key(other)
            .with_hint(hint),
        None => Reason::new(Code::ProtocolOther, format!("{peer} answered, but not in {wanted}")).with_hint(hint),
    }
}
