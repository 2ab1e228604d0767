//! The login: SCRAM-SHA-256 and SCRAM-SHA-1, PLAIN, and MONGODB-X509, as the drivers' specification has them
//! (source/auth/auth.md).
//!
//! A server cannot make waitgate send less than the target allows: the password itself goes out only with
//! `authMechanism=PLAIN`, over TLS with a certificate that was verified.

use md5::{Digest as _, Md5};

use super::bson::{Document, Element, Writer};
use super::errors;
use super::wire::Session;
use crate::kind::scram::{Failed, Hash, Scram};
use crate::net::stream::Peer;
use crate::reason::{Code, Cost, Hint, Reason, Stage};
use crate::secret::Secret;

/// A server that asks to hash less often makes a password cheap to guess (the specification: "MUST enforce a minimum
/// iteration count of 4096"; RFC 5802 section 5.1).
const ITERATIONS_MIN: u32 = 4096;

/// How often a login may go on after the server has proved that it knows the password.
const EMPTY_ROUNDS: usize = 2;

const DID: &str = "a login";

/// How to log in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mechanism {
    /// SCRAM with the hash that the server has for the user.
    Any,
    Scram(Hash),
    /// The password itself.
    Plain,
    /// The client's certificate.
    X509,
}

/// Who logs in.
pub(super) struct Who<'a> {
    pub(super) mechanism: Mechanism,
    /// The database that has the user.
    pub(super) source: &'a str,
    /// Not given for MONGODB-X509: the certificate has it.
    pub(super) user: Option<&'a str>,
    pub(super) password: Option<&'a Secret>,
}

/// Logs in, after a hello. `sha_256`: the server has that hash for the user.
pub(super) async fn log_in(session: &mut Session<'_>, who: &Who<'_>, sha_256: bool) -> Result<(), Reason> {
    let user = who.user.unwrap_or_default();
    let password = who.password.map(Secret::expose).unwrap_or_default();
    let hash = match who.mechanism {
        // The specification: SCRAM-SHA-256 if the server lists it, or else SCRAM-SHA-1, whatever the list has.
        Mechanism::Any => Some(if sha_256 { Hash::Sha256 } else { Hash::Sha1 }),
        Mechanism::Scram(hash) => Some(hash),
        Mechanism::Plain | Mechanism::X509 => None,
    };
    let scram = hash.map(|hash| Scram::new(hash, user)).transpose()?;
    let mut command = match (&scram, hash, who.mechanism) {
        (Some(scram), Some(hash), _) => start(hash.mechanism(), scram.first().as_bytes()),
        // RFC 4616: without another identity to act as.
        (_, _, Mechanism::Plain) => start("PLAIN", format!("\0{user}\0{password}").as_bytes()),
        _ => {
            let command = Writer::default().int("authenticate", 1).text("mechanism", "MONGODB-X509");
            if user.is_empty() { command } else { command.text("user", user) }
        }
    };
    let mut proven = None;
    for round in 0..2 + EMPTY_ROUNDS {
        let answer = session.ask(who.source, command, DID).await?;
        let document = answer.document();
        if let Some(reason) = errors::of(session.peer(), document, DID, session.attempt) {
            return Err(reason);
        }
        let (Some(scram), Some(hash)) = (&scram, hash) else { return Ok(()) };
        let failed = |failed: Failed| not_led(session, hash, &failed);
        let done = document.is_true("done");
        if round > 1 && done {
            return Ok(());
        }
        let (payload, conversation) = said(document).ok_or_else(|| failed(Failed::Garbled))?;
        let words = match proven.take() {
            None if round == 0 => {
                if iterations(payload).is_some_and(|iterations| iterations < ITERATIONS_MIN) {
                    return Err(few_iterations(session.peer()));
                }
                let (last, proof) = scram.prove(&prepared(hash, user, password), payload).map_err(failed)?;
                proven = Some(proof);
                last
            }
            Some(proof) => {
                proof.judge(payload).map_err(failed)?;
                if done {
                    return Ok(());
                }
                session.attempt.enter(Stage::Protocol, format_args!("{} accepted the login", session.peer()));
                String::new()
            }
            None => String::new(),
        };
        command = next(conversation, words.as_bytes());
    }
    Err(not_led(session, hash.unwrap_or(Hash::Sha1), &Failed::Garbled))
}

fn start(mechanism: &str, payload: &[u8]) -> Writer {
    // Since MongoDB 4.4 a login may end without a round that has nothing to say.
    let options = Writer::default().yes("skipEmptyExchange");
    Writer::default()
        .int("saslStart", 1)
        .text("mechanism", mechanism)
        .bytes("payload", payload)
        .int("autoAuthorize", 1)
        .document("options", options)
}

fn few_iterations(peer: &Peer) -> Reason {
    let text = format!("{peer} asks to hash the password fewer than 4096 times, which would make it cheap to guess");
    Reason::new(Code::ProtocolAuthMethod, text).with_cost(Cost::Credentials).with_key("few")
}

/// The reason when a server does not lead the login as SCRAM is led, or refuses it in SCRAM's own words.
fn not_led(session: &Session<'_>, hash: Hash, failed: &Failed) -> Reason {
    let peer = session.peer();
    failed.reason(peer, hash.mechanism()).unwrap_or_else(|| {
        let words = session.attempt.quote(failed.said(), errors::NAME_MAX);
        let text = format!("the server is there ({peer}), but it refuses the login: {words}");
        Reason::new(Code::ProtocolPassword, text).with_key("refused").with_hint(Hint::Credentials)
    })
}

fn next(conversation: Element<'_>, payload: &[u8]) -> Writer {
    // The number of the login goes back as it came: a server chooses its type.
    Writer::default().int("saslContinue", 1).copy(conversation).bytes("payload", payload)
}

/// The payload of an answer, and the number of the login.
fn said(answer: Document<'_>) -> Option<(&[u8], Element<'_>)> {
    Some((answer.get("payload")?.bytes()?, answer.get("conversationId")?))
}

/// How often the server's first message asks to hash.
fn iterations(server_first: &[u8]) -> Option<u32> {
    let text = std::str::from_utf8(server_first).ok()?;
    text.split(',').find_map(|attribute| attribute.strip_prefix("i="))?.parse().ok()
}

/// The password as each hash takes it.
fn prepared(hash: Hash, user: &str, password: &str) -> Vec<u8> {
    match hash {
        // What MongoDB kept of a password before it had SCRAM.
        Hash::Sha1 => {
            let digest = Md5::digest(format!("{user}:mongo:{password}"));
            digest.iter().flat_map(|byte| format!("{byte:02x}").into_bytes()).collect()
        }
        // No server keeps a password that SASLprep refuses. Then it refuses the login in its own words.
        Hash::Sha256 | Hash::Sha512 => stringprep::saslprep(password)
            .map_or_else(|_| password.as_bytes().to_vec(), |text| text.as_bytes().to_vec()),
    }
}

/// What a hello asks about the user, so that the server says which hashes it has for it.
pub(super) fn asking(who: &Who<'_>, hello: Writer) -> Writer {
    match who.user {
        Some(user) if who.mechanism == Mechanism::Any => {
            hello.text("saslSupportedMechs", &format!("{}.{user}", who.source))
        }
        _ => hello,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_password_of_each_hash() {
        // source/auth/auth.md has the example user "user" with the password "pencil".
        assert_eq!(prepared(Hash::Sha1, "user", "pencil"), b"1c33006ec1ffd90f9cadcbcc0e118200");
        // RFC 4013 section 3: a soft hyphen is nothing, and a Roman numeral is letters.
        assert_eq!(prepared(Hash::Sha256, "user", "I\u{ad}X"), b"IX");
        assert_eq!(prepared(Hash::Sha256, "user", "\u{2168}"), b"IX");
        assert_eq!(prepared(Hash::Sha256, "user", "a\u{7}"), b"a\x07");
    }

    #[test]
    fn iterations_of_a_first_message() {
        assert_eq!(iterations(b"r=a,s=b,i=4096"), Some(4096));
        assert_eq!(iterations(b"r=a,s=b"), None);
        assert_eq!(iterations(b"\xff,i=1"), None);
    }
}
