//! `kafka:` and `kafkas:`: a broker answers ApiVersions and Metadata, or, if the target has a login, after the login.

mod address;
mod advertised;
mod errors;
mod judge;
mod metadata;
mod probe;
mod sasl;
mod session;
#[cfg(test)]
mod tests;
mod versions;
mod wire;

use std::fmt;

use anyhow::{Result, bail};

use super::credentials::{PASSWORD, PasswordFile, password_file};
use super::expect::{Expectations, Spec};
use super::tls_options::{self, TlsOptions};
use super::{Kind, Parts, Ready, gone};
use crate::attempt::Attempt;
use crate::net::Net;
use crate::reason::Reason;
use address::Location;
use probe::Context;
use sasl::Mechanism;

/// The longest name of a topic (Kafka: Topic.java).
const TOPIC_MAX: usize = 249;

/// So many topics of one target are enough. They are asked for in one request.
const TOPICS_MAX: usize = 64;

/// A cluster of Kafka, or of what speaks its protocol: Redpanda, Tansu, Event Hubs.
#[derive(Clone, Debug)]
pub(crate) struct Kafka {
    location: Location,
    tls: TlsOptions,
    /// From the address, or from `#user=`.
    user: Option<String>,
    password_file: Option<PasswordFile>,
    mechanism: Option<Mechanism>,
    wanted: Wanted,
    gone: bool,
    /// The expectations as the log shows them.
    shown: String,
}

/// What the metadata must say.
#[derive(Clone, Debug, Default)]
struct Wanted {
    /// `min=`.
    brokers: Option<u32>,
    topics: Vec<String>,
    /// The topics as the target writes them: what is in a variable may be a secret.
    shown_topics: Vec<String>,
}

impl Kind for Kafka {
    const NAMES: &'static [&'static str] = &["kafka", "kafkas"];
    /// The protocols of Kafka's listeners, and Heroku's word. `ssl:` alone could be anything.
    const ALSO: &'static [&'static str] = &["plaintext", "sasl_plaintext", "sasl_ssl", "kafka+ssl"];
    const FORM: &'static str = "kafka:HOST:PORT";
    const HELP: &'static [(&'static str, &'static str)] = &[
        ("kafka:HOST:PORT,HOST:PORT", "a broker answers (kafkas: for TLS)"),
        ("kafka://USER:PASSWORD@HOST:PORT", "the login works (SASL), and a broker answers"),
    ];
    const EXPECTATIONS: &'static [Spec] = &[
        Spec::value("topic", "NAME").repeatable().says("the topic exists, and each of its partitions has a leader"),
        Spec::value("min", "N").says("the cluster has at least N brokers"),
        Spec::value("user", "NAME").says("log in as this user (SASL)"),
        PASSWORD,
        Spec::value("mechanism", "NAME").says("SCRAM-SHA-512, SCRAM-SHA-256 or PLAIN [default: the strongest offered]"),
        tls_options::CA,
        tls_options::CERT,
        tls_options::KEY,
        tls_options::SERVERNAME,
        tls_options::INSECURE,
        gone::GONE,
    ];

    fn parse(parts: &Parts<'_>) -> Result<Self> {
        let location = Location::parse(parts)?;
        let it = &parts.expectations;
        if location.tls && cfg!(not(feature = "tls")) {
            bail!("this build has no TLS: a cargo feature left it out (expected kafka:HOST:PORT)");
        }
        if let Some(given) = TlsOptions::given(it).filter(|_| !location.tls) {
            bail!("#{given}: kafka: does not speak TLS (expected kafkas:HOST:PORT)");
        }
        let password_file = password_file(it, location.password.is_some())?;
        let user = match (it.get("user"), &location.user) {
            (Some(_), Some(_)) => bail!("#user: the address has a user too: leave one of them out"),
            (Some(""), None) => bail!("#user: found nothing (expected #user=NAME)"),
            (Some(user), None) => Some(user.to_owned()),
            (None, user) => user.clone(),
        };
        let has_password = password_file.is_some() || location.password.is_some();
        if user.is_some() && !has_password {
            bail!("the user has no password (expected #password=@FILE, or kafka://USER:PASSWORD@HOST:PORT)");
        }
        if user.is_none() && has_password {
            bail!("the password has no user (expected #user=NAME, or kafka://USER:PASSWORD@HOST:PORT)");
        }
        if let (Some(user), Some(password)) = (&user, &location.password) {
            parts.fill.note_login(user, password.expose());
        }
        let mechanism = mechanism(it)?;
        if mechanism.is_some() && user.is_none() {
            bail!("#mechanism: there is no user to log in (expected #user=NAME#password=@FILE)");
        }
        let gone = gone::is_given(it, Self::EXPECTATIONS)?;
        let wanted = Wanted::parse(it)?;
        let tls = TlsOptions::parse(it)?;
        Ok(Self { location, tls, user, password_file, mechanism, wanted, gone, shown: it.shown() })
    }

    fn warnings(&self) -> Vec<String> {
        let insecure = self.tls.is_insecure();
        let readable = self.mechanism == Some(Mechanism::Plain) && (insecure || !self.location.tls);
        let readable =
            readable.then_some("#mechanism=PLAIN without verified TLS: anyone on the way can read the password");
        let insecure = insecure.then_some(tls_options::INSECURE_WARNING);
        readable.into_iter().chain(insecure).map(str::to_owned).collect()
    }

    fn ready_when(&self) -> String {
        if self.user.is_some() { "the login works, and a broker answers" } else { "a broker answers" }.to_owned()
    }

    fn uses_tls(&self) -> bool {
        self.location.tls
    }

    async fn probe(&self, net: &Net, attempt: &Attempt) -> Result<Ready, Reason> {
        let context = Context::new(self, net, attempt)?;
        if self.gone { context.gone().await } else { context.run().await }
    }
}

fn mechanism(it: &Expectations) -> Result<Option<Mechanism>> {
    let Some(name) = it.get("mechanism") else { return Ok(None) };
    match Mechanism::named(name) {
        Some(mechanism) => Ok(Some(mechanism)),
        None => bail!(
            "#mechanism: waitgate logs in by SCRAM and PLAIN only (expected SCRAM-SHA-512, SCRAM-SHA-256 or PLAIN)"
        ),
    }
}

impl Wanted {
    fn parse(it: &Expectations) -> Result<Self> {
        let mut wanted = Self { brokers: it.count("min")?, ..Self::default() };
        for (topic, written) in it.written("topic") {
            let legal = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-');
            if topic.is_empty() || topic.len() > TOPIC_MAX || !topic.bytes().all(legal) || matches!(topic, "." | "..") {
                bail!(
                    "#topic: this is no name of a topic (expected #topic=NAME, with letters, digits, '.', '_' and '-', at most {TOPIC_MAX} of them)"
                );
            }
            if !wanted.topics.iter().any(|known| known == topic) {
                wanted.topics.push(topic.to_owned());
                wanted.shown_topics.push(written.to_owned());
            }
        }
        if wanted.topics.len() > TOPICS_MAX {
            bail!("#topic: found more than {TOPICS_MAX} topics: divide them among several targets");
        }
        Ok(wanted)
    }
}

impl fmt::Display for Kafka {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", crate::text::printable(&self.location.shown), self.shown)
    }
}

/// Reads `data` as each answer of a broker, for the fuzzer. The first byte picks the version of Metadata, the second one the size of
/// the pieces in which it comes.
///
/// # Panics
/// If the outcome depends on the pieces, or what is kept is out of its bounds.
pub(crate) fn answers(data: &[u8]) {
    let [version, piece, body @ ..] = data else { return };
    let _ = (versions::Versions::parse(body), sasl::Offer::parse(body));
    let wanted = ["a".to_owned(), "b".to_owned()];
    for wanted in [&wanted[..], &[]] {
        let read = |piece: usize| {
            let mut metadata = metadata::Metadata::new(i16::from(version % 14), wanted);
            let mut buffer = Vec::new();
            for more in body.chunks(piece) {
                buffer.extend_from_slice(more);
                let Ok(used) = metadata.take(&buffer) else { return None };
                buffer.drain(..used);
            }
            assert!(metadata.advertised.len() <= metadata::ADVERTISED_MAX);
            assert!(metadata.advertised.iter().all(|broker| broker.host.len() <= 3 * 255));
            Some((metadata.is_done(), metadata.brokers, metadata.advertised, metadata.topics))
        };
        assert_eq!(read(usize::from(*piece).max(1)), read(body.len().max(1)));
    }
}
