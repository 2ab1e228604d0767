//! The login: SCRAM-SHA-256 and SCRAM-SHA-1, PLAIN, and MONGODB-X509, as the drivers' specification has them
//! (source/auth/auth.md).
//!
//! A server cannot make waitgate send less than the target allows: the password itself goes out only with
//! `authMechanism=PLAIN`, over TLS with a certificate that was verified.

use md5::{Digest as _, Md5};

use super::bson::{Document, Element, Writer};
use super::errors;
use super::message::Answer;
use super::wire::Session;
use crate::kind::scram::{Failed, Hash, NONCE_LEN, Scram};
use crate::reason::{Code, Reason, Stage};
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
    match who.mechanism {
        // The specification: SCRAM-SHA-256 if the server lists it, or else SCRAM-SHA-1, whatever the list has.
        Mechanism::Any => {
            let hash = if sha_256 { Hash::Sha256 } else { Hash::Sha1 };
            scram(session, who.source, hash, user, password).await
        }
        Mechanism::Scram(hash) => scram(session, who.source, hash, user, password).await,
        Mechanism::Plain => {
            // RFC 4616: without another identity to act as.
            let payload = format!("\0{user}\0{password}");
            let command = start("PLAIN", payload.as_bytes());
            ask(session, who.source, command).await.map(|_| ())
        }
        Mechanism::X509 => {
            let command = Writer::default().int("authenticate", 1).text("mechanism", "MONGODB-X509");
            let command = if user.is_empty() { command } else { command.text("user", user) };
            ask(session, who.source, command).await.map(|_| ())
        }
    }
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

async fn ask(session: &mut Session<'_>, db: &str, command: Writer) -> Result<Answer, Reason> {
    let answer = session.ask(db, command, DID).await?;
    match errors::of(&session.peer(), answer.document(), DID, session.attempt) {
        Some(reason) => Err(reason),
        None => Ok(answer),
    }
}

async fn scram(session: &mut Session<'_>, source: &str, hash: Hash, user: &str, password: &str) -> Result<(), Reason> {
    let peer = session.peer();
    let garbled = || errors::of_login(Code::ProtocolError, &peer, "did not lead the login as SCRAM is led", "scram");
    let mut random = [0; NONCE_LEN];
    getrandom::fill(&mut random)
        .map_err(|_| Reason::new(Code::LocalSocket, "this machine has no random numbers").with_key("random"))?;
    let login = Scram::new(hash, user, random);
    let first = ask(session, source, start(hash.mechanism(), login.first().as_bytes())).await?;
    let (payload, conversation) = said(first.document()).ok_or_else(garbled)?;
    if iterations(payload).is_some_and(|iterations| iterations < ITERATIONS_MIN) {
        let what = "asks to hash the password fewer than 4096 times, which would make it cheap to guess";
        return Err(errors::of_login(Code::ProtocolAuthMethod, &peer, what, "few"));
    }
    let (last, proven) = login.prove(&prepared(hash, user, password), payload).map_err(|failed| match failed {
        Failed::Iterations => {
            let what = "asks to hash the password more than 100000 times, which waitgate does not do";
            errors::of_login(Code::ProtocolAuthMethod, &peer, what, "many")
        }
        _ => garbled(),
    })?;
    let answer = ask(session, source, next(conversation, last.as_bytes())).await?;
    let (payload, _) = said(answer.document()).ok_or_else(garbled)?;
    match proven.judge(payload) {
        Ok(()) => {}
        Err(Failed::Signature) => {
            let what = "let the user in and did not prove that it knows the password: it may be another server";
            return Err(errors::of_login(Code::ProtocolError, &peer, what, "signature"));
        }
        Err(Failed::Refused(error)) => {
            let words = session.attempt.quote(error, errors::NAME_MAX);
            let what = format!("refuses the login: {words}");
            return Err(errors::of_login(Code::ProtocolPassword, &peer, &what, "refused"));
        }
        Err(Failed::Garbled | Failed::Iterations) => return Err(garbled()),
    }
    let mut done = answer.document().is_true("done");
    for _ in 0..EMPTY_ROUNDS {
        if done {
            return Ok(());
        }
        session.attempt.enter(Stage::Protocol, format_args!("{peer} accepted the login"));
        let answer = ask(session, source, next(conversation, b"")).await?;
        done = answer.document().is_true("done");
    }
    if done { Ok(()) } else { Err(garbled()) }
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
