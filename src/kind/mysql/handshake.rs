//! The handshake after the greeting: the client's answer, and what follows up to the server's last word.
//!
//! A connection that ends before that counts at the server towards `max_connect_errors`, and after so many the server
//! blocks the host. So every handshake is led to its end, also one that waitgate does not want any more.

use super::auth::{Channel, Plugin, Refused};
use super::errors::ServerError;
use super::greeting::{Greeting, NONCE_LEN, capability};
use super::packet::{ERR, Fields, Wire};
use crate::attempt::Attempt;
use crate::kind::no_answer::NoAnswer;
use crate::net::stream::Peer;
use crate::reason::{Code, Cost, Hint, Reason};
use crate::secret::Secret;

/// The user of a handshake without a login. No server has it: a password that is missing may lock an account, or count
/// towards that (MySQL: `FAILED_LOGIN_ATTEMPTS`; MariaDB: `max_password_errors`). So it is never the application's user.
const NO_USER: &str = "waitgate";

/// utf8mb4_general_ci: what servers and clients say to each other.
const CHARSET: u8 = 45;

/// The longest packet that waitgate wants to get, in bytes. It is a wish only.
const PACKET_MAX: u32 = 1024 * 1024;

/// How often a server may ask for something else within one handshake.
const ROUNDS_MAX: usize = 16;

const OK: u8 = 0;
const MORE_DATA: u8 = 1;
const SWITCH: u8 = 0xfe;

/// Who logs in.
#[derive(Clone, Copy)]
pub(super) enum Who<'a> {
    /// No one: the handshake only has to end. No password is sent, whatever the server asks for.
    NoOne,
    /// A user, perhaps without a password.
    User { user: &'a str, password: Option<&'a Secret>, database: Option<&'a str> },
}

/// How a handshake ended.
pub(super) struct End {
    /// The way to log in that the server asked for, and why waitgate did not answer.
    pub(super) refused: Option<(Plugin, Refused)>,
    /// The server's last word.
    pub(super) last: Result<(), ServerError>,
}

/// What both sides can do of what waitgate wants. Not among it: LOCAL INFILE, with which a server can ask for a file, and
/// several statements in one.
fn capabilities(greeting: &Greeting, who: Who<'_>, tls: bool) -> u32 {
    use capability::{CONNECT_WITH_DB, LONG_FLAG, LONG_PASSWORD, PLUGIN_AUTH, PROTOCOL_41, SECURE_CONNECTION, SSL};
    let mut wanted =
        LONG_PASSWORD | LONG_FLAG | PROTOCOL_41 | capability::TRANSACTIONS | SECURE_CONNECTION | PLUGIN_AUTH;
    if matches!(who, Who::User { database: Some(_), .. }) {
        wanted |= CONNECT_WITH_DB;
    }
    if tls {
        wanted |= SSL;
    }
    // MariaDB does not offer LONG_PASSWORD, whose bit says that the client is not MariaDB's own.
    wanted & (greeting.capabilities | LONG_PASSWORD)
}

fn head(capabilities: u32) -> Vec<u8> {
    [&capabilities.to_le_bytes()[..], &PACKET_MAX.to_le_bytes(), &[CHARSET], &[0; 23]].concat()
}

/// Asks for TLS (MySQL's manual: Protocol::SSLRequest), and returns the capabilities. The handshake of TLS follows.
#[cfg(feature = "tls")]
pub(super) async fn ask_for_tls(wire: &mut Wire, greeting: &Greeting, who: Who<'_>) -> Result<u32, NoAnswer> {
    let capabilities = capabilities(greeting, who, true);
    wire.write(&head(capabilities)).await?;
    Ok(capabilities)
}

/// Answers the greeting, and what the server asks for after it, up to its last word. `declared` are the capabilities in the
/// request for TLS, which must not change after it.
pub(super) async fn finish(
    wire: &mut Wire,
    greeting: &Greeting,
    who: Who<'_>,
    channel: Channel,
    declared: Option<u32>,
) -> Result<End, NoAnswer> {
    let (name, password, database) = match who {
        Who::NoOne => (NO_USER, None, None),
        Who::User { user, password, database } => (user, Some(password.map_or("", Secret::expose)), database),
    };
    // The first answer is never the password itself, even where the server expects most users to send it.
    let mut plugin = match Plugin::of(greeting.plugin.as_bytes()) {
        Plugin::CachingSha2 => Plugin::CachingSha2,
        _ => Plugin::Native,
    };
    let mut refused = None;
    let first = match password {
        None => plugin.nothing(false),
        Some(password) => plugin.answer(password, &greeting.nonce, channel).unwrap_or_default(),
    };
    let common = declared.unwrap_or_else(|| capabilities(greeting, who, false));
    let mut packet = head(common);
    packet.extend_from_slice(name.as_bytes());
    packet.push(0);
    // At most 32 bytes, so its length fits.
    packet.push(u8::try_from(first.len()).unwrap_or_default());
    packet.extend_from_slice(&first);
    if common & capability::CONNECT_WITH_DB != 0 {
        packet.extend_from_slice(database.unwrap_or_default().as_bytes());
        packet.push(0);
    }
    if common & capability::PLUGIN_AUTH != 0 {
        packet.extend_from_slice(plugin.name().as_bytes());
        packet.push(0);
    }
    wire.write(&packet).await?;
    for _ in 0..ROUNDS_MAX {
        let body = wire.read().await?;
        let answer = match body.split_first().ok_or(NoAnswer::Malformed)? {
            (&OK, _) => return Ok(End { refused, last: Ok(()) }),
            (&ERR, _) => {
                let error = ServerError::parse(&body).ok_or(NoAnswer::Malformed)?;
                return Ok(End { refused, last: Err(error) });
            }
            (&SWITCH, data) => {
                let mut data = Fields(data);
                // Without a name it is the way of servers before 4.1.
                let name =
                    if data.0.is_empty() { b"mysql_old_password" } else { data.text().ok_or(NoAnswer::Malformed)? };
                plugin = Plugin::of(name);
                let nonce = &data.0[..data.0.len().min(NONCE_LEN)];
                password.map(|password| plugin.answer(password, nonce, channel))
            }
            (&MORE_DATA, [3]) if plugin == Plugin::CachingSha2 => continue,
            (&MORE_DATA, [4]) if plugin == Plugin::CachingSha2 => {
                password.map(|password| Plugin::full_answer(password, channel))
            }
            (&MORE_DATA, _) => password.map(|_| Err(Refused::Unknown)),
            _ => return Err(NoAnswer::Malformed),
        };
        let nothing = plugin.nothing(body[0] == MORE_DATA);
        let answer = match answer {
            Some(Ok(answer)) if refused.is_none() => answer,
            Some(Err(why)) => {
                refused.get_or_insert((plugin.clone(), why));
                nothing
            }
            _ => nothing,
        };
        wire.write(&answer).await?;
    }
    Err(NoAnswer::Malformed)
}

/// The reason if the server asked for something that waitgate did not answer.
pub(super) fn refusal(peer: &Peer, (plugin, why): &(Plugin, Refused), attempt: &Attempt) -> Reason {
    // The server chooses the name.
    let name = attempt.quote(plugin.name(), 64);
    let (what, key) = match why {
        Refused::NeedsTls => (
            format!(
                "it asks for the password itself ({name}), which goes out over TLS only: allow it (ssl-mode=REQUIRED, or better VERIFY_IDENTITY)"
            ),
            "tls",
        ),
        Refused::NeedsVerifiedTls => (
            format!(
                "it asks for the password itself ({name}), which goes out only to a server whose certificate is verified (ssl-mode=VERIFY_CA or VERIFY_IDENTITY)"
            ),
            "verified",
        ),
        Refused::Unknown => (
            format!(
                "it asks for a login by {name}, which waitgate does not have (MariaDB may ask so for a user that it does not have)"
            ),
            "unknown",
        ),
    };
    // For the server it is a wrong password.
    Reason::new(Code::ProtocolAuthMethod, format!("the server is there ({peer}), but {what}"))
        .with_key(key)
        .with_cost(Cost::Credentials)
}

/// The reason if the server asks for a password, and none is given.
pub(super) fn no_password(peer: &Peer, error: &ServerError, attempt: &Attempt) -> Reason {
    let text =
        format!("the server is there ({peer}), but it wants a password, and none is given: {}", error.said(attempt));
    Reason::new(Code::ProtocolPassword, format!("{text} ({})", error.number))
        .with_key("none")
        .with_hint(Hint::Credentials)
}
