//! The login (KIP-43, KIP-152): SaslHandshake chooses a mechanism, SaslAuthenticate carries its messages.

use super::errors::{self, AUTHENTICATION_FAILED, ILLEGAL_SASL_STATE, UNSUPPORTED_MECHANISM};
use super::session::Session;
use super::wire::{Fields, Request, SASL_AUTHENTICATE, SASL_HANDSHAKE, Unread};
use crate::kind::no_answer::NoAnswer;
use crate::kind::scram::{Failed as ScramFailed, Hash, Scram};
use crate::net::stream::Peer;
use crate::reason::{Code, Hint, Reason};
use crate::secret::Secret;

/// What a reason calls the two requests.
const HANDSHAKE: &str = "a SaslHandshake";
const AUTHENTICATE: &str = "a SaslAuthenticate";

/// So many mechanisms of a broker are looked at. Kafka knows five.
const MECHANISMS_MAX: u32 = 16;

/// The most characters of a mechanism's name in a reason.
const NAME_MAX: usize = 30;

/// A way to log in that waitgate has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mechanism {
    /// The password itself (RFC 4616).
    Plain,
    /// A proof of the password.
    Scram(Hash),
}

impl Mechanism {
    /// The strongest one comes first.
    pub(super) const ALL: [Self; 3] = [Self::Scram(Hash::Sha512), Self::Scram(Hash::Sha256), Self::Plain];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Plain => "PLAIN",
            Self::Scram(hash) => hash.mechanism(),
        }
    }

    pub(super) fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|mechanism| mechanism.name().eq_ignore_ascii_case(name))
    }
}

/// Who logs in.
pub(super) struct Login<'a> {
    pub(super) user: &'a str,
    pub(super) password: &'a Secret,
}

/// The answer to a SaslHandshake.
pub(super) struct Offer {
    pub(super) error: i16,
    /// The broker's own words.
    mechanisms: Vec<String>,
}

impl Offer {
    pub(super) fn parse(body: &[u8]) -> Result<Self, Unread> {
        let mut fields = Fields::plain(body);
        let error = fields.short()?;
        let count = fields.array()?.min(MECHANISMS_MAX);
        let names = (0..count).map(|_| match fields.string()? {
            name if name.is_empty() || !name.iter().all(u8::is_ascii_graphic) => Err(Unread::Malformed),
            name => Ok(String::from_utf8_lossy(name).into_owned()),
        });
        Ok(Self { error, mechanisms: names.collect::<Result<_, _>>()? })
    }

    /// The strongest mechanism that the broker offers and waitgate has.
    pub(super) fn strongest(&self) -> Option<Mechanism> {
        Mechanism::ALL.into_iter().find(|ours| self.mechanisms.iter().any(|theirs| theirs == ours.name()))
    }

    /// The mechanisms, for a log.
    pub(super) fn shown(&self, session: &Session<'_>) -> String {
        let shown: Vec<String> = self.mechanisms.iter().map(|name| session.attempt.quote(name, NAME_MAX)).collect();
        if shown.is_empty() { "no mechanism".to_owned() } else { shown.join(", ") }
    }
}

/// Sends a SaslHandshake. A broker that refuses the mechanism lists those that it has, and closes the connection.
pub(super) async fn handshake(
    session: &mut Session<'_>,
    mechanism: Mechanism,
    answered: bool,
) -> Result<Offer, Reason> {
    let asked = session.ask(Request::new(SASL_HANDSHAKE, 1).string(mechanism.name()), HANDSHAKE).await;
    let offer = asked.and_then(|body| Offer::parse(&body).map_err(NoAnswer::from));
    offer.map_err(|why| session.no_answer(&why, answered, HANDSHAKE))
}

/// The reason when a SaslHandshake has an error.
pub(super) fn no_handshake(session: &Session<'_>, mechanism: Mechanism, offer: &Offer) -> Reason {
    let peer = session.peer();
    let there = |what: &str| Reason::new(Code::ProtocolAuthMethod, format!("the broker is there ({peer}), but {what}"));
    match offer.error {
        UNSUPPORTED_MECHANISM => {
            let offers = offer.shown(session);
            there(&format!("it does not log in by {}: it offers {offers}", mechanism.name())).with_key("mechanism")
        }
        ILLEGAL_SASL_STATE => {
            there("this listener takes no login (its protocol is PLAINTEXT or SSL): leave the user out, or give the SASL listener's port")
                .with_key("no login")
        }
        other => Reason::new(
            Code::ProtocolError,
            format!("{peer} answered {HANDSHAKE} with an error: {}", errors::named(other)),
        )
        .with_key(other),
    }
}

/// Logs in, after a handshake for `mechanism`.
pub(super) async fn authenticate(
    session: &mut Session<'_>,
    mechanism: Mechanism,
    login: &Login<'_>,
) -> Result<(), Reason> {
    let password = login.password.expose();
    let Mechanism::Scram(hash) = mechanism else {
        let token = ["\0", login.user, "\0", password].concat();
        return say(session, mechanism, token.as_bytes()).await.map(|_| ());
    };
    let scram = Scram::new(hash, login.user)?;
    let first = say(session, mechanism, scram.first().as_bytes()).await?;
    let failed = |session: &Session<'_>, failed: ScramFailed| not_proven(session, mechanism, &failed);
    let (last, proven) = scram.prove(password.as_bytes(), &first).map_err(|why| failed(session, why))?;
    let last = say(session, mechanism, last.as_bytes()).await?;
    proven.judge(&last).map_err(|why| failed(session, why))
}

/// Sends one message of the mechanism and returns the broker's.
async fn say(session: &mut Session<'_>, mechanism: Mechanism, token: &[u8]) -> Result<Vec<u8>, Reason> {
    let length = u32::try_from(token.len()).unwrap_or(u32::MAX);
    let request = Request::new(SASL_AUTHENTICATE, 0).bytes(&length.to_be_bytes()).bytes(token);
    let body = session.ask(request, AUTHENTICATE).await.map_err(|why| session.no_answer(&why, true, AUTHENTICATE))?;
    let mut fields = Fields::plain(&body);
    let mut parse = || Ok::<_, Unread>((fields.short()?, fields.string()?, fields.bytes()?));
    match parse() {
        Ok((0, _, token)) => Ok(token.to_vec()),
        Ok((error, words, _)) => {
            let words = session.attempt.quote(words, errors::WORDS_MAX);
            Err(refused(session.peer(), mechanism, error, &words))
        }
        Err(unread) => Err(session.no_answer(&unread.into(), true, AUTHENTICATE)),
    }
}

/// The reason for an error in a SaslAuthenticate. `words` are the broker's, fit for a log.
fn refused(peer: &Peer, mechanism: Mechanism, error: i16, words: &str) -> Reason {
    let words = if words.is_empty() { String::new() } else { format!(": {words}") };
    match error {
        AUTHENTICATION_FAILED => {
            // A user has a password for each mechanism of SCRAM, and may lack one.
            let (by, other) = match mechanism {
                Mechanism::Scram(Hash::Sha512) => {
                    (mechanism.name(), "; if the user is of another mechanism, give it: #mechanism=SCRAM-SHA-256")
                }
                _ => (mechanism.name(), ""),
            };
            let text = format!("the broker is there ({peer}), but it refuses the login by {by}{words}{other}");
            Reason::new(Code::ProtocolPassword, text).with_hint(Hint::Credentials)
        }
        other => Reason::new(
            Code::ProtocolError,
            format!("{peer} answered {AUTHENTICATE} with an error: {}{words}", errors::named(other)),
        )
        .with_key(other),
    }
}

/// The reason when SCRAM fails after the broker's own messages.
fn not_proven(session: &Session<'_>, mechanism: Mechanism, failed: &ScramFailed) -> Reason {
    let peer = session.peer();
    failed.reason(peer, mechanism.name()).unwrap_or_else(|| {
        let said = session.attempt.quote(failed.said(), errors::WORDS_MAX);
        refused(peer, mechanism, AUTHENTICATION_FAILED, &said)
    })
}
