//! From what a server says, or does not say, to a reason. Pure.

use crate::kind::unanswered::{self, Spoken};
use crate::net::sniff::Protocol;
use crate::net::stream::Peer;
use crate::reason::{Code, Cost, Hint, Reason};

/// The most characters of a server's words in a reason. Protected mode says a page.
pub(super) const WORDS_MAX: usize = 200;

/// What an error of Redis means. The first word tells, and for `ERR` only the text does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Meaning {
    /// It reads its dataset.
    Loading,
    /// It runs a script or a function for longer than `busy-reply-threshold`.
    Busy,
    /// A replica without its primary (`replica-serve-stale-data no`).
    MasterDown,
    /// It wants a login before this command.
    NoAuth,
    WrongPassword,
    /// It has no password, and one was sent.
    NoPasswordThere,
    /// AUTH with a user: Redis 5 and older know none.
    NoUsersThere,
    /// The user lacks a permission of the ACL.
    NoPermission,
    /// Protected mode.
    Denied,
    TooManyClients,
    NoSuchDatabase,
    /// CLUSTER on a server that is not part of a cluster.
    NoCluster,
    Other,
}

impl Meaning {
    /// The meaning of an error without its `-`.
    pub(super) fn of(said: &str) -> Self {
        let (word, rest) = said.split_once(' ').unwrap_or((said, ""));
        match word {
            "LOADING" => Self::Loading,
            "BUSY" => Self::Busy,
            "MASTERDOWN" => Self::MasterDown,
            "NOAUTH" => Self::NoAuth,
            "WRONGPASS" => Self::WrongPassword,
            "NOPERM" => Self::NoPermission,
            "DENIED" => Self::Denied,
            "ERR" if rest.starts_with("max number of clients") => Self::TooManyClients,
            // Redis 5 and older.
            "ERR" if rest.starts_with("invalid password") => Self::WrongPassword,
            "ERR" if rest.contains("without any password configured") || rest.contains("no password is set") => {
                Self::NoPasswordThere
            }
            "ERR" if rest.starts_with("wrong number of arguments for 'auth'") => Self::NoUsersThere,
            "ERR" if rest.starts_with("DB index is out of range") || rest.starts_with("invalid DB index") => {
                Self::NoSuchDatabase
            }
            "ERR" if rest.contains("cluster support disabled") => Self::NoCluster,
            _ => Self::Other,
        }
    }
}

/// The reason for an error with this meaning. `said` is fit for a log, and `did` says what was asked for: "a PING".
pub(super) fn reason(peer: &Peer, meaning: Meaning, said: &str, did: &str) -> Reason {
    let there = |code: Code, what: &str| {
        Reason::new(code, format!("the server is there ({peer}), but {what}: {said}"))
            .with_key(format_args!("{meaning:?}"))
    };
    let waits = |what: &str| {
        Reason::new(Code::ProtocolNotAccepting, format!("{peer} {what}: {said}")).with_key(format_args!("{meaning:?}"))
    };
    match meaning {
        Meaning::Loading => loading(peer, said, None),
        Meaning::Busy => waits("runs a script and answers nothing else"),
        Meaning::MasterDown => waits("is a replica without its primary"),
        // Nothing was refused: there is no reason to be as slow as after a wrong password.
        Meaning::NoAuth => there(Code::ProtocolPassword, "it asks for a password, and none is given")
            .with_cost(Cost::Work)
            .with_hint(Hint::Credentials),
        Meaning::WrongPassword => there(Code::ProtocolPassword, "it refuses the password").with_hint(Hint::Credentials),
        Meaning::NoPasswordThere => {
            there(Code::ProtocolPassword, "it has no password and refuses the one that is given")
        }
        Meaning::NoUsersThere => {
            there(Code::ProtocolAuthMethod, "it knows no users, as before Redis 6: give the password alone")
        }
        Meaning::NoPermission => there(Code::ProtocolNotAuthorized, &format!("the user may not do {did}")),
        Meaning::Denied => Reason::new(
            Code::ProtocolNotAuthorized,
            format!("{peer} is in protected mode and lets no other host in: {said}"),
        )
        .with_cost(Cost::Work)
        .with_key("denied"),
        Meaning::TooManyClients => {
            Reason::new(Code::ProtocolTooManyClients, format!("{peer} has no connection left for us: {said}"))
        }
        Meaning::NoSuchDatabase => there(Code::ProtocolNoDatabase, "it has fewer databases"),
        Meaning::NoCluster => {
            Reason::new(Code::ExpectState, format!("{peer} is not part of a cluster: {said}")).with_key("disabled")
        }
        Meaning::Other => {
            let word = said.split(' ').next().unwrap_or_default();
            Reason::new(Code::ProtocolError, format!("{peer} answered {did} with an error: {said}")).with_key(word)
        }
    }
}

/// The reason of a server that loads its dataset, with its progress.
pub(super) fn loading(peer: &Peer, said: &str, progress: Option<&str>) -> Reason {
    let progress = progress.map(|progress| format!(" ({progress})")).unwrap_or_default();
    Reason::new(Code::ProtocolNotAccepting, format!("{peer} loads its dataset{progress}: {said}")).with_key("loading")
}

/// Redis' protocol, as reasons know it.
pub(super) const REDIS: Spoken = Spoken {
    name: "Redis' protocol",
    protocol: Some(Protocol::Redis),
    wants_tls: |peer| unanswered::wants_tls(peer, "rediss"),
};

#[cfg(test)]
mod tests {
    use super::*;

    /// The words are those of Redis 7.0, 5.0 and Valkey 8.
    #[test]
    fn each_error_has_its_meaning() {
        for (said, meaning) in [
            ("LOADING Redis is loading the dataset in memory", Meaning::Loading),
            ("LOADING Valkey is loading the dataset in memory", Meaning::Loading),
            ("BUSY Redis is busy running a script. You can only call SCRIPT KILL or SHUTDOWN NOSAVE.", Meaning::Busy),
            ("MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'.", Meaning::MasterDown),
            ("NOAUTH Authentication required.", Meaning::NoAuth),
            ("WRONGPASS invalid username-password pair or user is disabled.", Meaning::WrongPassword),
            ("ERR invalid password", Meaning::WrongPassword),
            (
                "ERR AUTH <password> called without any password configured for the default user. Are you sure your configuration is correct?",
                Meaning::NoPasswordThere,
            ),
            ("ERR Client sent AUTH, but no password is set", Meaning::NoPasswordThere),
            ("ERR wrong number of arguments for 'auth' command", Meaning::NoUsersThere),
            ("NOPERM this user has no permissions to run the 'ping' command", Meaning::NoPermission),
            ("DENIED Redis is running in protected mode because protected mode is enabled", Meaning::Denied),
            ("ERR max number of clients reached", Meaning::TooManyClients),
            ("ERR max number of clients + cluster connections reached", Meaning::TooManyClients),
            ("ERR DB index is out of range", Meaning::NoSuchDatabase),
            ("ERR This instance has cluster support disabled", Meaning::NoCluster),
            ("ERR unknown command 'PING'", Meaning::Other),
            ("MISCONF Redis is configured to save RDB snapshots", Meaning::Other),
            ("", Meaning::Other),
            ("ERR", Meaning::Other),
        ] {
            assert_eq!(Meaning::of(said), meaning, "{said}");
        }
    }

    #[test]
    fn only_a_refused_password_is_as_slow_as_one() {
        let peer = Peer::Tcp(([10, 0, 0, 1], 6379).into());
        let of = |meaning| reason(&peer, meaning, "SAID so", "a PING");
        assert_eq!(of(Meaning::WrongPassword).cost(), Cost::Credentials);
        for work in [Meaning::NoAuth, Meaning::Denied, Meaning::Other] {
            assert_eq!(of(work).cost(), Cost::Work, "{work:?}");
        }
        for session in [Meaning::Loading, Meaning::TooManyClients] {
            assert_eq!(of(session).cost(), Cost::Session, "{session:?}");
        }
        assert_eq!(of(Meaning::Other).text(), "10.0.0.1:6379 answered a PING with an error: SAID so");
        assert_eq!(of(Meaning::Other).key(), "SAID");
    }
}
