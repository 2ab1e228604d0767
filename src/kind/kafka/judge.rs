//! What an answer to Metadata means for what the target expects. Pure.

use super::Wanted;
use super::errors::{self, INVALID_TOPIC, LEADER_NOT_AVAILABLE, TOPIC_AUTHORIZATION_FAILED, UNKNOWN_TOPIC};
use super::metadata::{Metadata, Topic};
use crate::net::stream::Peer;
use crate::reason::{Code, Reason};
use crate::text::count;

/// The note of a ready answer, or the reason why it is not one.
pub(super) fn judge(peer: &Peer, wanted: &Wanted, metadata: &Metadata<'_>) -> Result<String, Reason> {
    let brokers = metadata.brokers;
    if brokers == 0 {
        let text = format!("{peer} answers and knows no broker yet, not even itself: it has not joined its cluster");
        return Err(Reason::new(Code::ProtocolNotAccepting, text).with_key("brokers"));
    }
    if let Some(min) = wanted.brokers.filter(|min| brokers < *min) {
        let text = format!("{peer} knows {} of {min}", count(brokers as usize, "broker"));
        return Err(Reason::new(Code::ExpectState, text).with_key("brokers"));
    }
    let failed: Vec<(Code, String)> = wanted
        .shown_topics
        .iter()
        .zip(&metadata.topics)
        .filter_map(|(name, topic)| why_not(name, topic.as_ref()))
        .collect();
    if let Some((code, _)) = failed.first() {
        let texts: Vec<&str> = failed.iter().map(|(_, text)| text.as_str()).collect();
        let key = failed.len();
        return Err(Reason::new(*code, format!("at {peer} {}", texts.join("; "))).with_key(key));
    }
    let known = format!("{} at {peer}", count(brokers as usize, "broker"));
    Ok(match wanted.shown_topics.as_slice() {
        [] => known,
        topics => format!("{known}, with a leader for every partition of {}", topics.join(", ")),
    })
}

/// Why a topic is not ready.
fn why_not(name: &str, topic: Option<&Topic>) -> Option<(Code, String)> {
    let Some(topic) = topic else {
        let text = format!(
            "the topic {name} is not in the list of all topics: it is not there, or this client may not see it"
        );
        return Some((Code::ExpectMissing, text));
    };
    let error = errors::named(topic.error);
    Some(match topic.error {
        0 if topic.partitions == 0 => (Code::ExpectState, format!("the topic {name} has no partition yet")),
        0 if topic.leaderless == 0 => return None,
        0 => {
            let more = if topic.leaderless as usize > topic.named.len() { ", …" } else { "" };
            let which: Vec<String> = topic.named.iter().map(ToString::to_string).collect();
            let (few, all, which) = (topic.leaderless, topic.partitions, which.join(", "));
            let error = errors::named(topic.partition_error);
            (
                Code::ExpectState,
                format!("{few} of {all} partitions of the topic {name} have no leader ({which}{more}): {error}"),
            )
        }
        UNKNOWN_TOPIC => {
            (Code::ExpectMissing, format!("there is no topic {name} (waitgate's question creates none): {error}"))
        }
        LEADER_NOT_AVAILABLE => (Code::ExpectState, format!("the topic {name} has no leaders yet: {error}")),
        INVALID_TOPIC => (Code::ExpectMissing, format!("the broker calls the name {name} invalid: {error}")),
        TOPIC_AUTHORIZATION_FAILED => (
            Code::ProtocolForbidden,
            format!("this client may not describe the topic {name}, an ACL with Describe lets it: {error}"),
        ),
        _ => (Code::ProtocolError, format!("the topic {name} has an error: {error}")),
    })
}
