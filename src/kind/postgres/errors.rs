//! What a server's error means for its readiness, by SQLSTATE (PostgreSQL manual, appendix A).

use super::messages::ServerError;
use crate::net::stream::Peer;
use crate::reason::{Code, Hint, Reason};

/// What an error means for a probe that only asks whether the server accepts connections; `None` if it does.
///
/// libpq's rule is: a server that sends any error except 57P03 accepts connections (fe-connect.c: internal_ping). The
/// rule has two traps. A server without a free connection is of no use yet. And an error of a pooler says nothing about
/// the server that the pooler connects to.
///
/// `database_named` is set if the target names the database: then a pooler that does not know the database is not ready.
pub(super) fn of_ping(peer: &Peer, error: &ServerError, database_named: bool) -> Option<Reason> {
    match error.code.as_str() {
        // The empty code is an error without an SQLSTATE: it may not come from PostgreSQL.
        "53300" | "57P01" | "57P02" | "57P03" | "" => Some(reason(peer, error)),
        "08P01" => match Pooler::of(&error.message) {
            Pooler::NoDatabase if !database_named => None,
            _ => Some(reason(peer, error)),
        },
        _ => None,
    }
}

/// What PgBouncer's error means. All its errors have the SQLSTATE 08P01 (pgbouncer: src/proto.c, send_pooler_error).
#[derive(PartialEq)]
enum Pooler {
    NoDatabase,
    Credentials,
    Other,
}

impl Pooler {
    fn of(message: &str) -> Self {
        if message.starts_with("no such database") {
            Self::NoDatabase
        } else if message.contains("authentication failed") || message.starts_with("no such user") {
            Self::Credentials
        } else {
            Self::Other
        }
    }
}

/// The reason for the error that `peer` sent.
pub(super) fn reason(peer: &Peer, error: &ServerError) -> Reason {
    let code = error.code.as_str();
    let said = error.said();
    let but = |code: Code, what: &str| {
        Reason::new(code, format!("the server is there ({peer}), but {what}: {said} ({})", error.code))
            .with_key(&error.code)
    };
    match code {
        // Only the message tells starting up from shutting down, so it is the reason's key.
        "57P03" => {
            Reason::new(Code::ProtocolNotAccepting, format!("{peer} does not accept connections: {said} (57P03)"))
                .with_key(&error.message)
        }
        "57P01" | "57P02" => Reason::new(Code::ProtocolNotAccepting, format!("{peer} is going down: {said} ({code})"))
            .with_key(&error.message),
        "53300" => {
            Reason::new(Code::ProtocolTooManyClients, format!("{peer} has no connection left for us: {said} (53300)"))
        }
        "08P01" => match Pooler::of(&error.message) {
            Pooler::NoDatabase => Reason::new(
                Code::ProtocolNoDatabase,
                format!("the pooler at {peer} does not have the database: {said}"),
            )
            .with_hint(Hint::Database)
            .with_key(code),
            Pooler::Credentials => {
                Reason::new(Code::ProtocolPassword, format!("the pooler at {peer} refuses the login: {said}"))
                    .with_hint(Hint::Credentials)
                    .with_key(code)
            }
            Pooler::Other => Reason::new(
                Code::ProtocolPooler,
                format!("a pooler answers at {peer}, and has no server behind it for us: {said} (08P01)"),
            )
            .with_key(&error.message),
        },
        "28P01" => but(Code::ProtocolPassword, "it refuses the password").with_hint(Hint::Credentials),
        "3D000" => but(Code::ProtocolNoDatabase, "the database is not").with_hint(Hint::Database),
        "" => Reason::new(Code::ProtocolError, format!("{peer} answered with an error: {said}")),
        // Class 28 is invalid authorization. 42501: this user may not connect to the database.
        other if other == "42501" || other.starts_with("28") => {
            let hint = if other == "28000" { Hint::AccessRules } else { Hint::Credentials };
            but(Code::ProtocolNotAuthorized, "it refuses the login").with_hint(hint)
        }
        _ => Reason::new(Code::ProtocolError, format!("{peer} answered with an error: {said} ({code})")).with_key(code),
    }
}

/// The reason for an error of a query. An error that concerns the whole server has the same reason as at the login.
pub(super) fn of_query(peer: &Peer, error: &ServerError) -> Reason {
    match error.code.as_str() {
        "57P01" | "57P02" | "57P03" | "53300" | "08P01" => reason(peer, error),
        code => {
            let text = format!("the query at {peer} failed: {} ({code})", error.said());
            Reason::new(Code::ExpectQuery, text).with_key(code)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reason::Cost;

    fn error(code: &str, message: &str) -> ServerError {
        ServerError { code: code.into(), message: message.into(), detail: None }
    }

    fn peer() -> Peer {
        Peer::Tcp(([10, 0, 0, 1], 5432).into())
    }

    #[test]
    fn a_ping_follows_libpqs_rule_without_its_traps() {
        let pinged = |code: &str, message: &str, named| {
            of_ping(&peer(), &error(code, message), named).map(|reason| reason.code())
        };
        for ready in ["28P01", "28000", "3D000", "42501", "0A000", "XX000"] {
            assert_eq!(pinged(ready, "x", true), None, "{ready}");
        }
        assert_eq!(pinged("57P03", "the database system is starting up", true), Some(Code::ProtocolNotAccepting));
        assert_eq!(pinged("53300", "sorry, too many clients already", true), Some(Code::ProtocolTooManyClients));
        assert_eq!(pinged("08P01", "query_wait_timeout", false), Some(Code::ProtocolPooler));
        assert_eq!(pinged("08P01", "no such database: postgres", false), None);
        assert_eq!(pinged("08P01", "no such database: shop", true), Some(Code::ProtocolNoDatabase));
        assert_eq!(pinged("", "could not fork new process", false), Some(Code::ProtocolError));
    }

    #[test]
    fn a_failed_login_says_that_the_server_is_there() {
        let wrong_password = reason(&peer(), &error("28P01", "password authentication failed for user \"app\""));
        assert_eq!(wrong_password.code(), Code::ProtocolPassword);
        assert_eq!(wrong_password.cost(), Cost::Credentials);
        assert_eq!(
            wrong_password.text(),
            "the server is there (10.0.0.1:5432), but it refuses the password: password authentication failed for user \"app\" (28P01)"
        );
        let missing = reason(&peer(), &error("3D000", "database \"shop\" does not exist"));
        assert_eq!((missing.code(), missing.cost()), (Code::ProtocolNoDatabase, Cost::Work));
    }

    #[test]
    fn starting_up_and_shutting_down_are_different_reasons() {
        let up = reason(&peer(), &error("57P03", "the database system is starting up"));
        let down = reason(&peer(), &error("57P03", "the database system is shutting down"));
        assert!(!up.is_like(&down) && up.is_like(&up.clone()));
    }
}
