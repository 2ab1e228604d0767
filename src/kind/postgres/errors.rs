//! What a server's error means for its readiness, by SQLSTATE (PostgreSQL manual, appendix A).

use super::messages::ServerError;
use crate::net::stream::Peer;
use crate::reason::{Code, Hint, Reason};

/// What an error means for a probe that only asks whether the server accepts connections; `None` if it does.
///
/// libpq's rule is: a server that sends any error except 57P03 accepts connections (fe-connect.c: internal_ping). The
/// rule has three traps. A server without a free connection is of no use yet. A server that is broken inside (its files:
/// class 58, itself: class XX) lets no client in. And an error of a pooler says nothing about the server that the pooler
/// connects to.
///
/// `database_named` is set if the target names the database: then a pooler that does not know the database is not ready.
pub(super) fn of_ping(peer: &Peer, error: &ServerError, database_named: bool) -> Option<Reason> {
    let code = error.code.as_str();
    if Pooler::of(error) == Some(Pooler::NoDatabase) && !database_named {
        return None;
    }
    // The empty code is an error without an SQLSTATE: it may not come from PostgreSQL.
    let unusable = ["08", "53", "57", "58", "XX"].iter().any(|class| code.starts_with(class)) || code.is_empty();
    unusable.then(|| reason(peer, error))
}

/// What a pooler's error means. All errors of PgBouncer have the SQLSTATE 08P01, its server's too (pgbouncer:
/// src/proto.c, send_pooler_error). Only the words tell them apart.
#[derive(Clone, Copy, PartialEq)]
enum Pooler {
    NoDatabase,
    Credentials,
    Full,
    NoServer,
    Other,
}

impl Pooler {
    /// `None` if the error is not a pooler's: PostgreSQL itself names its routine.
    fn of(error: &ServerError) -> Option<Self> {
        if error.code != "08P01" || !error.routine.is_empty() {
            return None;
        }
        let message = error.message();
        let has = |words: &[&str]| words.iter().any(|word| message.contains(word));
        Some(
            if has(&["query_wait_timeout", "server_login", "server login", "server down", "cannot connect to server"]) {
                Self::NoServer
            } else if message.starts_with("no such database")
                || message.starts_with("database \"") && message.ends_with("does not exist")
            {
                Self::NoDatabase
            } else if has(&["max_client_conn", "no more connections allowed"]) {
                Self::Full
            } else if has(&["authentication failed"]) || message.starts_with("no such user") {
                Self::Credentials
            } else {
                Self::Other
            },
        )
    }
}

/// The reason for the error that `peer` sent.
pub(super) fn reason(peer: &Peer, error: &ServerError) -> Reason {
    let code = error.code.as_str();
    let said = error.said();
    if let Some(pooler) = Pooler::of(error) {
        return of_pooler(peer, pooler, error);
    }
    let but = |code: Code, what: &str| {
        Reason::new(code, format!("the server is there ({peer}), but {what}: {said} ({})", error.code))
            .with_key(&error.code)
    };
    match code {
        // Only the message tells starting up from shutting down, so it is the reason's key.
        "57P03" => {
            Reason::new(Code::ProtocolNotAccepting, format!("{peer} does not accept connections: {said} (57P03)"))
                .with_key(&error.words)
        }
        // A shutdown, the crash of another session, or an administrator who ended only this session.
        "57P01" | "57P02" => {
            Reason::new(Code::ProtocolNotAccepting, format!("{peer} ended the session: {said} ({code})"))
                .with_key(&error.words)
        }
        "53300" => {
            Reason::new(Code::ProtocolTooManyClients, format!("{peer} has no connection left for us: {said} (53300)"))
        }
        "28P01" => but(Code::ProtocolPassword, "it refuses the password").with_hint(Hint::Credentials),
        // LDAP, PAM, RADIUS, ident, certificates: the password or what is in its place is wrong.
        _ if code.starts_with("28") && error.routine == "auth_failed" => {
            but(Code::ProtocolPassword, "it refuses the credentials").with_hint(Hint::Credentials)
        }
        "3D000" => but(Code::ProtocolNoDatabase, "the database is not").with_hint(Hint::Database),
        "42501" => but(Code::ProtocolNotAuthorized, "the user lacks a privilege, which a GRANT gives"),
        "" => Reason::new(Code::ProtocolError, format!("{peer} answered with an error: {said}")),
        // Class 28 is invalid authorization.
        _ if code.starts_with("28") => {
            let hint = error.by_access_rules().then_some(Hint::AccessRules);
            but(Code::ProtocolNotAuthorized, "it refuses the login").with_hint(hint)
        }
        _ => Reason::new(Code::ProtocolError, format!("{peer} answered with an error: {said} ({code})")).with_key(code),
    }
}

fn of_pooler(peer: &Peer, pooler: Pooler, error: &ServerError) -> Reason {
    let said = error.said();
    match pooler {
        Pooler::NoDatabase => {
            Reason::new(Code::ProtocolNoDatabase, format!("the pooler at {peer} does not have the database: {said}"))
                .with_hint(Hint::Database)
                .with_key(&error.code)
        }
        Pooler::Credentials => Reason::new(
            Code::ProtocolPassword,
            format!("the pooler at {peer} refuses the login, or its server refuses the pooler's own: {said}"),
        )
        .with_hint(Hint::Credentials)
        .with_key(&error.code),
        Pooler::Full => Reason::new(
            Code::ProtocolTooManyClients,
            format!("the pooler at {peer} has no connection left for us: {said} (08P01)"),
        ),
        Pooler::NoServer => Reason::new(
            Code::ProtocolPooler,
            format!("a pooler answers at {peer}, and has no server behind it for us: {said} (08P01)"),
        )
        .with_key(&error.words),
        Pooler::Other => {
            let why = if error.message().contains("statement pooling") {
                ": #query= needs a transaction, which this pooling mode does not have"
            } else {
                ""
            };
            let text = format!("the pooler at {peer} rejects this client: {said} (08P01){why}");
            Reason::new(Code::ProtocolError, text).with_key(&error.words)
        }
    }
}

/// The reason for an error of a query. An error that ends the session has the same reason as at the login.
pub(super) fn of_query(peer: &Peer, error: &ServerError) -> Reason {
    match error.code.as_str() {
        "57P01" | "57P02" | "57P03" | "53300" => reason(peer, error),
        "08P01" if error.severity != "ERROR" => reason(peer, error),
        // The timeout that waitgate sets, or an administrator.
        code @ "57014" => {
            let text = format!(
                "the query at {peer} was cancelled: {} (57014): it is slow, or it waits for a lock of another session, such as a migration (--attempt-timeout sets how long it may take)",
                error.said()
            );
            Reason::new(Code::ExpectQuery, text).with_key(code)
        }
        code => {
            let text = format!("the query at {peer} failed: {} ({code})", error.said());
            Reason::new(Code::ExpectQuery, text).with_key(code)
        }
    }
}

/// The reason for an error of the transaction that waitgate begins for a query: the query did not run.
pub(super) fn of_begin(peer: &Peer, error: &ServerError) -> Reason {
    let reason = of_query(peer, error);
    if reason.code() != Code::ExpectQuery {
        return reason;
    }
    reason.with_text(format!(
        "{peer} does not begin a read-only transaction, which #query= needs: {} ({})",
        error.said(),
        error.code
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reason::Cost;
    use crate::secret::Secret;

    fn error(code: &str, message: &str) -> ServerError {
        let (message, words) = (Some(Secret::new(message)), message.to_owned());
        ServerError { code: code.into(), message, words, ..ServerError::default() }
    }

    fn by(code: &str, message: &str, routine: &str) -> ServerError {
        ServerError { routine: routine.into(), severity: "FATAL".into(), ..error(code, message) }
    }

    fn peer() -> Peer {
        Peer::Tcp(([10, 0, 0, 1], 5432).into())
    }

    #[test]
    fn a_ping_follows_libpqs_rule_without_its_traps() {
        let pinged = |code: &str, message: &str, named| {
            of_ping(&peer(), &error(code, message), named).map(|reason| reason.code())
        };
        for ready in ["28P01", "28000", "3D000", "42501", "0A000", "22023", "55000"] {
            assert_eq!(pinged(ready, "x", true), None, "{ready}");
        }
        for broken in ["58P01", "58030", "XX000", "XX001", "53100", "53200", "57P02", "57P04", "08006"] {
            assert!(pinged(broken, "x", true).is_some(), "{broken}");
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

    /// The words are PgBouncer's 1.18 and PostgreSQL's 15.
    #[test]
    fn what_08p01_means_is_in_its_words() {
        let rows = [
            ("query_wait_timeout", Code::ProtocolPooler, "no server behind it"),
            ("server login has been failing, try again later (server_login_retry)", Code::ProtocolPooler, "no server"),
            ("no more connections allowed (max_client_conn)", Code::ProtocolTooManyClients, "the pooler at"),
            ("database \"nodb\" does not exist", Code::ProtocolNoDatabase, "does not have the database"),
            ("no such database: shop", Code::ProtocolNoDatabase, "does not have the database"),
            ("password authentication failed for user \"app\"", Code::ProtocolPassword, "refuses the login"),
            ("unsupported startup parameter: options", Code::ProtocolError, "rejects this client: unsupported"),
            ("SSL required", Code::ProtocolError, "rejects this client: SSL required"),
            ("bouncer config error", Code::ProtocolError, "rejects this client"),
        ];
        for (message, code, says) in rows {
            let reason = reason(&peer(), &error("08P01", message));
            assert_eq!(reason.code(), code, "{message}");
            assert!(reason.text().contains(says) && reason.text().contains(message), "{}", reason.text());
        }
        let parameter = ServerError {
            severity: "ERROR".into(),
            ..by(
                "08P01",
                "bind message supplies 0 parameters, but prepared statement \"\" requires 1",
                "exec_bind_message",
            )
        };
        assert_eq!(of_query(&peer(), &parameter).code(), Code::ExpectQuery);
        let mode = ServerError {
            severity: "FATAL".into(),
            ..error("08P01", "transaction blocks not allowed in statement pooling mode")
        };
        assert!(of_query(&peer(), &mode).text().contains("#query= needs a transaction"));
    }

    #[test]
    fn the_routine_tells_refused_credentials_from_access_rules() {
        let rows = [
            (
                "28000",
                "LDAP authentication failed for user \"app\"",
                "auth_failed",
                Code::ProtocolPassword,
                Some(Hint::Credentials),
            ),
            (
                "28000",
                "Ident-Authentifizierung fehlgeschlagen",
                "auth_failed",
                Code::ProtocolPassword,
                Some(Hint::Credentials),
            ),
            (
                "28000",
                "kein pg_hba-Eintrag",
                "ClientAuthentication",
                Code::ProtocolNotAuthorized,
                Some(Hint::AccessRules),
            ),
            ("28000", "no pg_hba.conf entry for host", "", Code::ProtocolNotAuthorized, Some(Hint::AccessRules)),
            (
                "28000",
                "role \"x\" is not permitted to log in",
                "InitializeSessionUserId",
                Code::ProtocolNotAuthorized,
                None,
            ),
            ("42501", "permission denied for database \"shop\"", "CheckMyDatabase", Code::ProtocolNotAuthorized, None),
        ];
        for (code, message, routine, expected, hint) in rows {
            let error = by(code, message, routine);
            let reason = reason(&peer(), &error);
            assert_eq!((reason.code(), reason.hint()), (expected, hint), "{message}");
            assert_eq!(error.by_access_rules(), hint == Some(Hint::AccessRules), "{message}");
            if expected == Code::ProtocolPassword {
                assert_eq!(reason.cost(), Cost::Credentials);
            }
        }
        assert!(reason(&peer(), &by("42501", "x", "CheckMyDatabase")).text().contains("GRANT"));
        assert!(reason(&peer(), &by("57P01", "x", "ProcessInterrupts")).text().contains("ended the session"));
    }
}
