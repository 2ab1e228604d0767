//! What a server's error means for its readiness, by its number (MySQL's manual: Server Error Message Reference; MariaDB's:
//! Error Codes).

use super::packet::{ERR, Fields};
use crate::attempt::Attempt;
use crate::net::stream::Peer;
use crate::reason::{Code, Cost, Hint, Reason};
use crate::secret::Secret;

/// A reason repeats at most this much of a server's text, in characters.
const WORDS_MAX: usize = 300;

/// An ERR packet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ServerError {
    pub(super) number: u16,
    /// The SQLSTATE. It may be missing in an error in place of the greeting.
    pub(super) state: String,
    /// The server's own text. It may repeat a secret, so it is shown by [`ServerError::said`] alone.
    message: Secret,
}

impl ServerError {
    /// Parses the body of a packet; `None` if it is not an ERR packet.
    pub(super) fn parse(body: &[u8]) -> Option<Self> {
        let mut fields = Fields(body);
        if fields.byte()? != ERR {
            return None;
        }
        let number = fields.short()?;
        let state = match fields.0 {
            [b'#', state @ ..] if state.len() >= 5 && state[..5].iter().all(u8::is_ascii_alphanumeric) => {
                fields.0 = &state[5..];
                state[..5].iter().copied().map(char::from).collect()
            }
            _ => String::new(),
        };
        let text = String::from_utf8_lossy(fields.0);
        Some(Self { number, state, message: Secret::new(text.trim_end_matches('\0')) })
    }

    /// The server's words for a reason.
    pub(super) fn said(&self, attempt: &Attempt) -> String {
        attempt.quote(self.message.expose(), WORDS_MAX)
    }
}

/// What the last word of a handshake without a password means; `None` if the server accepts sessions.
///
/// `mysqladmin ping` takes every error after a connection for an answer of a server that lives. Here only an error about the
/// user or the way to log in is one.
pub(super) fn of_ping(peer: &Peer, error: &ServerError, attempt: &Attempt) -> Option<Reason> {
    let about_the_user = match error.number {
        // Access denied (also: by a socket's user), no such database, an old or unknown way to log in, an expired password.
        1044 | 1045 | 1049 | 1251 | 1275 | 1524 | 1698 | 1820 | 1862
        // A locked or blocked account, and TLS that is demanded.
        | 3118 | 3159 | 3955 | 4150 | 4151 => true,
        _ => error.state.starts_with("28"),
    };
    (!about_the_user).then(|| reason(peer, error, attempt))
}

/// The reason for the error that `peer` sent, in place of a greeting or in the login.
pub(super) fn reason(peer: &Peer, error: &ServerError, attempt: &Attempt) -> Reason {
    let (number, message) = (&error.number, error.said(attempt));
    let of = |code: Code, what: &str| Reason::new(code, format!("{what}: {message} ({number})")).with_key(number);
    let there = |code: Code, what: &str| of(code, &format!("the server is there ({peer}), but {what}"));
    match *number {
        1040 => of(Code::ProtocolTooManyClients, &format!("{peer} has no connection left for us")),
        1203 | 1226 => there(Code::ProtocolTooManyClients, "the user has no connection left"),
        1129 => of(Code::ProtocolBlocked, &format!("{peer} blocks this host")),
        3118 | 3955 | 4150 | 4151 => {
            there(Code::ProtocolBlocked, "it blocks the user's account").with_cost(Cost::Credentials)
        }
        1130 => there(Code::ProtocolNotAuthorized, "it lets in no user from this host"),
        1053 | 1927 | 3032 => of(Code::ProtocolNotAccepting, &format!("{peer} does not accept sessions")),
        1045 | 1698 => there(Code::ProtocolPassword, "it refuses the login").with_hint(Hint::Credentials),
        1820 | 1862 => there(Code::ProtocolPassword, "the user's password has expired").with_hint(Hint::Credentials),
        1044 => there(Code::ProtocolNotAuthorized, "the user may not use the database"),
        1049 => there(Code::ProtocolNoDatabase, "the database is not").with_hint(Hint::Database),
        3159 => there(Code::ProtocolTlsWanted, "it wants TLS (ssl-mode=REQUIRED)"),
        1251 | 1275 | 1524 => there(Code::ProtocolAuthMethod, "it cannot log the user in this way"),
        1142 | 1143 | 1227 => there(Code::ProtocolNotAuthorized, "the user lacks a privilege, which a GRANT gives"),
        _ if error.state.starts_with("28") => {
            there(Code::ProtocolPassword, "it refuses the login").with_hint(Hint::Credentials)
        }
        _ => of(Code::ProtocolError, &format!("{peer} answered with an error")),
    }
}

/// The reason for an error of a query. An error that ends the session has the same reason as at the login.
pub(super) fn of_query(peer: &Peer, error: &ServerError, attempt: &Attempt) -> Reason {
    match error.number {
        1040 | 1053 | 1927 | 3032 => reason(peer, error, attempt),
        number => {
            let text = format!("the query at {peer} failed: {} ({number})", error.said(attempt));
            Reason::new(Code::ExpectQuery, text).with_key(number)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peer() -> Peer {
        Peer::Tcp(([10, 0, 0, 1], 3306).into())
    }

    fn attempt() -> Attempt {
        let second = std::time::Duration::from_secs(1);
        Attempt::new(crate::attempt::Bounds { attempt: second, connect: second }, false)
    }

    fn error(number: u16, state: &str, message: &str) -> ServerError {
        ServerError { number, state: state.into(), message: Secret::new(message) }
    }

    #[test]
    fn an_error_has_its_state_or_not() {
        let late = ServerError::parse(b"\xff\x15\x04#28000Access denied").unwrap();
        assert_eq!(late, error(1045, "28000", "Access denied"));
        let early = ServerError::parse(b"\xff\x10\x04Too many connections").unwrap();
        assert_eq!(early, error(1040, "", "Too many connections"));
        assert_eq!(ServerError::parse(b"\xff\x10\x04#08").unwrap(), error(1040, "", "#08"));
        for bad in [&b""[..], b"\xff", b"\xff\x10", b"\x00\x10\x04x"] {
            assert_eq!(ServerError::parse(bad), None, "{bad:?}");
        }
        let long = [&b"\xff\x10\x04"[..], "ä".repeat(1000).as_bytes()].concat();
        assert_eq!(ServerError::parse(&long).unwrap().said(&attempt()).chars().count(), WORDS_MAX + 1);
    }

    #[test]
    fn a_ping_takes_only_words_about_the_user_for_a_yes() {
        let code = |number, state| of_ping(&peer(), &error(number, state, "x"), &attempt()).map(|reason| reason.code());
        for (number, state) in
            [(1045, "28000"), (1049, "42000"), (1698, "28000"), (3118, "HY000"), (3159, "HY000"), (4000, "28000")]
        {
            assert_eq!(code(number, state), None, "{number}");
        }
        assert_eq!(code(1040, ""), Some(Code::ProtocolTooManyClients));
        assert_eq!(code(1129, ""), Some(Code::ProtocolBlocked));
        assert_eq!(code(1130, ""), Some(Code::ProtocolNotAuthorized));
        assert_eq!(code(1053, "08S01"), Some(Code::ProtocolNotAccepting));
        assert_eq!(code(1043, "08S01"), Some(Code::ProtocolError));
        assert_eq!(code(1135, "HY000"), Some(Code::ProtocolError));
    }

    #[test]
    fn a_refused_login_costs_more_than_a_full_server() {
        assert_eq!(reason(&peer(), &error(1045, "28000", "x"), &attempt()).cost(), Cost::Credentials);
        assert_eq!(reason(&peer(), &error(1040, "", "x"), &attempt()).cost(), Cost::Session);
        assert_eq!(reason(&peer(), &error(4151, "HY000", "x"), &attempt()).cost(), Cost::Credentials);
        let full = reason(&peer(), &error(1040, "", "Too many connections"), &attempt());
        assert_eq!(full.text(), "10.0.0.1:3306 has no connection left for us: Too many connections (1040)");
        assert_eq!(of_query(&peer(), &error(1146, "42S02", "x"), &attempt()).code(), Code::ExpectQuery);
        assert_eq!(of_query(&peer(), &error(1053, "08S01", "x"), &attempt()).code(), Code::ProtocolNotAccepting);
    }
}
