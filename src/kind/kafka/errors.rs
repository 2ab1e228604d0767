//! From what a broker says, or does not say, to a reason. Pure.

use super::wire::Unread;
use crate::kind::no_answer::NoAnswer;
use crate::kind::unanswered::{self, Spoken};

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

impl From<Unread> for NoAnswer {
    fn from(_: Unread) -> Self {
        Self::Malformed
    }
}

/// Kafka's protocol, as reasons know it.
pub(super) const KAFKA: Spoken =
    Spoken { name: "Kafka's protocol", protocol: None, wants_tls: |peer| unanswered::wants_tls(peer, "kafkas") };
