//! What a hello says of a server: what it is in its deployment, and how a user may log in. Pure.
//!
//! Server Discovery and Monitoring (the drivers' specifications, section TypeS of servers) has the fields that tell them apart.

use super::bson::{Document, Element};

/// What a server is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// Not part of a replica set.
    Standalone,
    /// A router of a sharded cluster, or what looks like one: a load balancer, Atlas Serverless.
    Mongos,
    Primary,
    Secondary,
    /// A secondary that its set does not show to clients.
    Hidden,
    /// A member without data.
    Arbiter,
    /// Started as a member of a replica set, and no set has it as a member.
    Uninitiated,
    /// Neither a primary nor a secondary: STARTUP2, RECOVERING, ROLLBACK.
    Recovering,
}

/// What an answer to hello holds. The texts are the server's own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Hello<'a> {
    pub(super) state: State,
    /// The name of the replica set.
    pub(super) set: Option<&'a [u8]>,
    /// Which member is the primary. A set without one has none elected.
    pub(super) primary: Option<&'a [u8]>,
    /// Whether the server takes OP_MSG (MongoDB 3.6: wire version 6).
    pub(super) takes_messages: bool,
    /// Whether a load balancer is before the server.
    pub(super) balanced: bool,
    /// Whether the server lists SCRAM-SHA-256 for the user.
    pub(super) sha_256: bool,
}

impl<'a> Hello<'a> {
    pub(super) fn of(document: Document<'a>) -> Self {
        let is = |name| document.is_true(name);
        let set = document.text("setName");
        let writable = is("isWritablePrimary") || is("ismaster");
        let state = match set {
            _ if document.text("msg") == Some(b"isdbgrid") => State::Mongos,
            None if is("isreplicaset") => State::Uninitiated,
            None if writable => State::Standalone,
            Some(_) if writable => State::Primary,
            _ if is("arbiterOnly") => State::Arbiter,
            _ if is("hidden") && is("secondary") => State::Hidden,
            _ if is("secondary") => State::Secondary,
            _ => State::Recovering,
        };
        let mechanisms = document.get("saslSupportedMechs");
        Self {
            state,
            set,
            primary: document.text("primary"),
            takes_messages: document.get("maxWireVersion").and_then(Element::number) >= Some(6.0),
            balanced: document.get("serviceId").is_some(),
            sha_256: mechanisms.is_some_and(|list| list.texts().any(|mechanism| mechanism == b"SCRAM-SHA-256")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::bson::Writer;
    use super::*;

    fn state(document: Writer) -> State {
        let bytes = document.finish();
        Hello::of(Document::parse(&bytes).unwrap().0).state
    }

    /// The fields are those of MongoDB 7 for each state.
    #[test]
    fn each_state_is_told_by_its_fields() {
        let new = Writer::default;
        let member = || new().text("setName", "rs0").no("arbiterOnly");
        for (document, expected) in [
            (new().yes("isWritablePrimary"), State::Standalone),
            // FerretDB and old servers, in the old words.
            (new().yes("ismaster"), State::Standalone),
            (new().yes("ismaster").text("msg", "isdbgrid"), State::Mongos),
            (member().yes("isWritablePrimary").no("secondary"), State::Primary),
            (member().no("isWritablePrimary").yes("secondary"), State::Secondary),
            (member().no("ismaster").yes("secondary").yes("passive"), State::Secondary),
            (member().no("isWritablePrimary").yes("secondary").yes("passive").yes("hidden"), State::Hidden),
            (new().text("setName", "rs0").no("ismaster").no("secondary").yes("arbiterOnly"), State::Arbiter),
            (member().no("isWritablePrimary").no("secondary"), State::Recovering),
            (member().no("isWritablePrimary").no("secondary").yes("hidden"), State::Recovering),
            (
                new()
                    .no("isWritablePrimary")
                    .no("secondary")
                    .text("info", "Does not have a valid replica set config")
                    .yes("isreplicaset"),
                State::Uninitiated,
            ),
            (new().no("ismaster").no("secondary"), State::Recovering),
            (new(), State::Recovering),
        ] {
            assert_eq!(state(document), expected);
        }
    }

    #[test]
    fn versions_and_mechanisms() {
        let hello = |document: Writer| {
            let bytes = document.finish();
            let hello = Hello::of(Document::parse(&bytes).unwrap().0);
            (hello.takes_messages, hello.sha_256, hello.balanced)
        };
        let mechanisms = |list: &[&str]| {
            let array =
                list.iter().enumerate().fold(Writer::default(), |array, (at, name)| array.text(&at.to_string(), name));
            Writer::default().array("saslSupportedMechs", array)
        };
        assert_eq!(hello(Writer::default().int("maxWireVersion", 5)), (false, false, false));
        assert_eq!(hello(Writer::default().int("maxWireVersion", 6)), (true, false, false));
        assert_eq!(hello(mechanisms(&["SCRAM-SHA-1", "SCRAM-SHA-256"])), (false, true, false));
        assert_eq!(hello(mechanisms(&["SCRAM-SHA-1", "PLAIN"])), (false, false, false));
        assert_eq!(hello(Writer::default().text("saslSupportedMechs", "SCRAM-SHA-256")), (false, false, false));
        assert_eq!(hello(Writer::default().bytes("serviceId", b"x")), (false, false, true));
    }
}
