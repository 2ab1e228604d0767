//! From what a server says, or does not say, to a reason. Pure.

use super::bson::{Document, Element};
use super::hello::{Hello, State};
use crate::attempt::Attempt;
use crate::kind::unanswered::Spoken;
use crate::net::sniff::Protocol;
use crate::net::stream::Peer;
use crate::reason::{Code, Hint, Reason};

/// The most characters of a server's words in a reason.
const WORDS_MAX: usize = 300;

/// The most characters of a name that a server gives: of a replica set, of a member.
pub(super) const NAME_MAX: usize = 80;

/// What a code of an error means (mongo: src/mongo/base/error_codes.yml).
///
/// Each code that a server sends while it starts, changes its role or shuts down means the same: not yet.
const NOT_YET: &[u32] = &[
    6,     // HostUnreachable
    7,     // HostNotFound
    50,    // MaxTimeMSExpired
    89,    // NetworkTimeout
    91,    // ShutdownInProgress
    133,   // FailedToSatisfyReadPreference: a router without its config servers
    134,   // ReadConcernMajorityNotAvailableYet
    189,   // PrimarySteppedDown
    202,   // NetworkInterfaceExceededTimeLimit
    211,   // KeyNotFound: the keys of the cluster's time are not there yet
    262,   // ExceededTimeLimit
    9001,  // SocketException
    10058, // LegacyNotPrimary
    10107, // NotWritablePrimary
    11600, // InterruptedAtShutdown
    11602, // InterruptedDueToReplStateChange
    13435, // NotPrimaryNoSecondaryOk
    13436, // NotPrimaryOrSecondary
    16500, // RequestRateTooLarge, of Azure Cosmos DB
];

/// The reason if `answer` is an error. `did` says what was asked for: "a hello".
pub(super) fn of(peer: &Peer, answer: Document<'_>, did: &str, attempt: &Attempt) -> Option<Reason> {
    if answer.is_true("ok") {
        return None;
    }
    let code = answer.get("code").and_then(Element::number).unwrap_or_default();
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "what is no code becomes another one")]
    let code = code as u32;
    let message = answer.text("errmsg").or_else(|| answer.text("$err")).unwrap_or_default();
    let words = attempt.quote(message, WORDS_MAX);
    let words = if words.is_empty() { "without a word".to_owned() } else { words };
    let of = |reason: Code, what: &str| Reason::new(reason, format!("{what}: {words} ({code})")).with_key(code);
    let there = |reason: Code, what: &str| of(reason, &format!("the server is there ({peer}), but {what}"));
    Some(match code {
        _ if NOT_YET.contains(&code) => of(Code::ProtocolNotAccepting, &format!("{peer} is not ready for {did}")),
        // AuthenticationFailed and UserNotFound.
        18 | 11 => there(Code::ProtocolPassword, "it refuses the login").with_hint(Hint::Credentials),
        // Atlas has one code for all of its own errors.
        8000 if message.starts_with(b"bad auth") => {
            there(Code::ProtocolPassword, "it refuses the login").with_hint(Hint::Credentials)
        }
        // Unauthorized.
        13 => there(Code::ProtocolNotAuthorized, &format!("the user may not do {did}")),
        // MechanismUnavailable; before it had a code of its own, BadValue.
        334 => there(Code::ProtocolAuthMethod, "it does not have this way to log in"),
        2 if contains(message, b"echanism") => there(Code::ProtocolAuthMethod, "it does not have this way to log in"),
        _ => of(Code::ProtocolError, &format!("{peer} answered {did} with an error")),
    })
}

fn contains(text: &[u8], part: &[u8]) -> bool {
    text.windows(part.len()).any(|window| window == part)
}

/// The reason of a server that says it does not serve clients, if it does.
pub(super) fn not_serving(peer: &Peer, hello: &Hello<'_>) -> Option<Reason> {
    let (code, key, what) = match hello.state {
        State::Uninitiated => (
            Code::ExpectState,
            "uninitiated",
            "was started with --replSet and is in no replica set: rs.initiate() was not called yet, or rs.add() not for this member, or it still reads its configuration",
        ),
        State::Recovering => (
            Code::ProtocolNotAccepting,
            "recovering",
            "is neither a primary nor a secondary: it starts, copies data or recovers (rs.status() shows which)",
        ),
        State::Arbiter => (Code::ExpectState, "arbiter", "is an arbiter, which has no data and serves no client"),
        State::Standalone | State::Mongos | State::Primary | State::Secondary | State::Hidden => return None,
    };
    Some(Reason::new(code, format!("{peer} {what}")).with_key(key))
}

/// The reason of a server of another replica set than the expected one, if it is.
pub(super) fn other_set(peer: &Peer, hello: &Hello<'_>, wanted: &str, attempt: &Attempt) -> Option<Reason> {
    let text = match hello.set {
        Some(set) if set == wanted.as_bytes() => return None,
        Some(set) => {
            let (set, wanted) = (attempt.quote(set, NAME_MAX), attempt.quote(wanted, NAME_MAX));
            format!("{peer} is a member of the replica set \"{set}\", not of \"{wanted}\"")
        }
        None if hello.state == State::Mongos => {
            format!("{peer} is a router of a sharded cluster, not a member of the expected replica set")
        }
        None => format!("{peer} is not a member of a replica set (the server's --replSet is not set)"),
    };
    Some(Reason::new(Code::ExpectState, text).with_key("set"))
}

/// MongoDB's protocol, as reasons know it.
pub(super) const MONGODB: Spoken = Spoken { name: "MongoDB's protocol", protocol: Some(Protocol::MongoDb), wants_tls };

fn wants_tls(peer: &Peer) -> Reason {
    Reason::new(Code::ProtocolTlsWanted, format!("{peer} wants TLS on this port (tls=true in the URL, or #ca=FILE)"))
}

#[cfg(test)]
mod tests {
    use super::super::bson::Writer;
    use super::*;
    use crate::reason::Cost;

    fn peer() -> Peer {
        Peer::Tcp(([10, 0, 0, 1], 27017).into())
    }

    fn attempt() -> Attempt {
        let second = std::time::Duration::from_secs(1);
        Attempt::new(crate::attempt::Bounds { attempt: second, connect: second }, false)
    }

    fn reason(code: i32, message: &str) -> Reason {
        let bytes = Writer::default().int("ok", 0).text("errmsg", message).int("code", code).finish();
        of(&peer(), Document::parse(&bytes).unwrap().0, "a hello", &attempt()).unwrap()
    }

    #[test]
    fn each_code_has_its_meaning() {
        for (number, code) in [
            (18, Code::ProtocolPassword),
            (11, Code::ProtocolPassword),
            (13, Code::ProtocolNotAuthorized),
            (334, Code::ProtocolAuthMethod),
            (91, Code::ProtocolNotAccepting),
            (211, Code::ProtocolNotAccepting),
            (189, Code::ProtocolNotAccepting),
            (11600, Code::ProtocolNotAccepting),
            (13435, Code::ProtocolNotAccepting),
            (13436, Code::ProtocolNotAccepting),
            (59, Code::ProtocolError),
            (-1, Code::ProtocolError),
        ] {
            assert_eq!(reason(number, "x").code(), code, "{number}");
        }
        assert_eq!(reason(8000, "bad auth : Authentication failed.").code(), Code::ProtocolPassword);
        assert_eq!(reason(8000, "something else").code(), Code::ProtocolError);
        assert_eq!(reason(2, "Unsupported mechanism SCRAM-SHA-256").code(), Code::ProtocolAuthMethod);
        assert_eq!(reason(2, "bad value").code(), Code::ProtocolError);
        assert_eq!(reason(91, "The server is in quiesce mode and will shut down").cost(), Cost::Session);
        assert_eq!(reason(18, "x").cost(), Cost::Credentials);
        let text = reason(91, "The server is in quiesce mode and will shut down");
        assert_eq!(
            text.text(),
            "10.0.0.1:27017 is not ready for a hello: The server is in quiesce mode and will shut down (91)"
        );
    }

    #[test]
    fn an_answer_without_ok_is_an_error() {
        let of = |document: Writer| {
            let bytes = document.finish();
            super::of(&peer(), Document::parse(&bytes).unwrap().0, "a hello", &attempt())
                .map(|reason| reason.text().to_owned())
        };
        assert_eq!(of(Writer::default().int("ok", 1)), None);
        let text = of(Writer::default().text("$err", "not this way").int("code", 352)).unwrap();
        assert_eq!(text, "10.0.0.1:27017 answered a hello with an error: not this way (352)");
        assert!(of(Writer::default()).unwrap().ends_with("without a word (0)"));
    }
}
