//! The options after the `?` of a connection string, by the drivers' specification (source/uri-options/uri-options.md). Pure.
//!
//! The case of a name does not count. What restricts a session is honoured, or it is an error.

use std::time::Duration;

use anyhow::{Context as _, Result, bail};

use super::FORM;
use super::auth::Mechanism;
use crate::env::{self, Fill, percent_decode};
use crate::kind::path::NamedFile;
use crate::kind::scram::Hash;
use crate::kind::tls_options::TlsFile;
use crate::secret::HIDDEN;
use crate::text::InForm as _;

/// The options that waitgate uses. One text takes less of the binary than a list.
const KNOWN: &str = "authSource authMechanism replicaSet directConnection loadBalanced tls tlsCAFile tlsCertificateKeyFile tlsInsecure \
    tlsAllowInvalidCertificates tlsAllowInvalidHostnames srvServiceName connectTimeoutMS";

/// Other names of the same, of older drivers and of PyMongo, in lower case.
const ALIASES: &[(&str, &str)] = &[
    ("ssl", "tls"),
    ("sslcertificateauthorityfile", "tlsCAFile"),
    ("sslca", "tlsCAFile"),
    ("ssl_ca_certs", "tlsCAFile"),
    ("sslclientcertificatekeyfile", "tlsCertificateKeyFile"),
    ("sslallowinvalidcertificates", "tlsAllowInvalidCertificates"),
    ("sslallowinvalidhostnames", "tlsAllowInvalidHostnames"),
    ("sslinvalidhostnameallowed", "tlsAllowInvalidHostnames"),
    ("sslinsecure", "tlsInsecure"),
];

/// What restricts a session in a way that waitgate does not have, in lower case, and what to write in its place.
const REFUSED: &[(&str, &str)] = &[
    ("tlscertificatekeyfilepassword", "write a key without a passphrase"),
    ("sslclientcertificatekeypassword", "write a key without a passphrase"),
    ("tlscrlfile", "there are no revocation lists: leave it out"),
    ("proxyhost", "waitgate connects to the server itself: leave it out"),
];

/// Options that change nothing for a probe, in lower case: how drivers pool, retry, read, write and name themselves. waitgate
/// asks no OCSP server and tries every host that is given.
const HARMLESS: &str = "appname authmechanismproperties compressors connect fsync gssapiservicename heartbeatfrequencyms j journal \
    localthresholdms maxconnecting maxidletimems maxpoolsize maxstalenessseconds minpoolsize proxyport readconcernlevel \
    readpreference readpreferencetags retryreads retrywrites safe servermonitoringmode serverselectiontimeoutms \
    serverselectiontryonce slaveok sockettimeoutms srvmaxhosts timeoutms tlsdisablecertificaterevocationcheck \
    tlsdisableocspendpointcheck tz_aware unicode_decode_error_handler usenewurlparser useunifiedtopology uuidrepresentation w \
    waitqueuemultiple waitqueuetimeoutms wtimeout wtimeoutms zlibcompressionlevel";

/// The ways to log in (source/auth/auth.md).
const MECHANISMS: &[(&str, Mechanism)] = &[
    ("DEFAULT", Mechanism::Any),
    ("SCRAM-SHA-256", Mechanism::Scram(Hash::Sha256)),
    ("SCRAM-SHA-1", Mechanism::Scram(Hash::Sha1)),
    ("PLAIN", Mechanism::Plain),
    ("MONGODB-X509", Mechanism::X509),
];

/// Their names, for messages.
const HAS: &str = "SCRAM-SHA-256, SCRAM-SHA-1, PLAIN, MONGODB-X509";

/// The options of a connection string.
#[derive(Default)]
pub(super) struct Options {
    given: Vec<Given>,
    /// How many options waitgate does not know.
    unknown: usize,
}

/// One option.
struct Given {
    name: &'static str,
    /// The name as the target spells it.
    spelled: String,
    value: String,
    /// How a message may show the value.
    shown: String,
}

impl Options {
    /// Splits `raw`, the text after the `?`, and replaces each `$(NAME)` in the values.
    pub(super) fn parse(raw: &str, fill: Fill<'_>) -> Result<Self> {
        let mut options = Self::default();
        for (at, pair) in raw.split('&').filter(|pair| !pair.is_empty()).enumerate() {
            let position = at + 1;
            let Some((name, raw_value)) = pair.split_once('=') else {
                bail!("option {position} after the '?' has no '='; in a password '?' is written %3F ({FORM})");
            };
            let spelled = percent_decode(name).with_context(|| format!("option {position}")).in_form(FORM)?;
            let plain = spelled.to_ascii_lowercase();
            if let Some(name) = known(&plain) {
                let value = fill.decoded(raw_value).with_context(|| format!("{name}=")).in_form(FORM)?;
                if value.contains('\0') {
                    bail!("{name}= cannot hold a NUL (%00) ({FORM})");
                }
                let shown = match () {
                    () if fill.is_none() => HIDDEN.to_owned(),
                    () if env::refers(raw_value) => raw_value.to_owned(),
                    () => value.clone(),
                };
                // `tls` and `ssl` are one option: one that says no must not follow one that says yes.
                if options.get(name).is_some_and(|other| name == "tls" && other != value) {
                    bail!("tls= and ssl= contradict each other: leave one of them out ({FORM})");
                }
                options.given.retain(|earlier| earlier.name != name);
                options.given.push(Given { name, spelled, value, shown });
            } else if let Some((_, instead)) = REFUSED.iter().find(|(name, _)| *name == plain) {
                bail!("{spelled}= cannot be honoured: {instead} ({FORM})");
            } else if pair.contains('@') && plain != "appname" {
                // The strings of Azure Cosmos DB have appName=@NAME@.
                bail!("found '@' after a '?': in a password '?' is written %3F ({FORM})");
            } else if HARMLESS.split(' ').any(|harmless| harmless == plain) {
            } else if plain.starts_with("tls") || plain.starts_with("ssl") {
                bail!("option {position} after the '?' is about TLS, and waitgate does not know it ({FORM})");
            } else {
                options.unknown += 1;
            }
        }
        Ok(options)
    }

    /// A warning if waitgate does not know some options. It repeats nothing of them.
    pub(super) fn warning(&self) -> Option<String> {
        (self.unknown > 0).then(|| {
            let count = crate::text::count(self.unknown, "option");
            format!("waitgate does not know {count} after the '?' and ignores it (known: {})", KNOWN.replace(' ', ", "))
        })
    }

    fn given(&self, name: &str) -> Option<&Given> {
        self.given.iter().find(|given| given.name == name && !given.value.is_empty())
    }

    /// The option's value. An empty one counts as unset.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.given(name).map(|given| given.value.as_str())
    }

    /// `true` or `false`. Another word is an error, because the option may restrict the session.
    pub(super) fn bool(&self, name: &str) -> Result<Option<bool>> {
        match self.given(name) {
            None => Ok(None),
            Some(given) => match given.value.as_str() {
                "true" => Ok(Some(true)),
                "false" => Ok(Some(false)),
                _ => bail!("{}= has an unknown value: use true or false ({FORM})", given.spelled),
            },
        }
    }

    /// The file that the option names. The text of a file in its place is invalid.
    pub(super) fn file(&self, name: &str) -> Result<Option<TlsFile>> {
        let Some(given) = self.given(name) else { return Ok(None) };
        let file = NamedFile::new(&given.value, &given.shown).with_context(|| given.spelled.clone()).in_form(FORM)?;
        Ok(Some(TlsFile { by: given.spelled.clone(), file }))
    }

    pub(super) fn mechanism(&self) -> Result<Mechanism> {
        let Some(word) = self.get("authMechanism") else { return Ok(Mechanism::Any) };
        match MECHANISMS.iter().find(|(name, _)| *name == word) {
            Some((_, mechanism)) => Ok(*mechanism),
            None if matches!(word, "GSSAPI" | "MONGODB-AWS" | "MONGODB-OIDC" | "MONGODB-CR") => {
                bail!("authMechanism={word} is a way to log in that waitgate does not have: it has {HAS} ({FORM})")
            }
            None => bail!("authMechanism= has an unknown value: use one of {HAS} ({FORM})"),
        }
    }

    /// How long a driver waits for one server.
    pub(super) fn connect_timeout(&self) -> Result<Option<Duration>> {
        match self.get("connectTimeoutMS").map(str::parse::<u32>) {
            // For the drivers, zero is no bound.
            None | Some(Ok(0)) => Ok(None),
            Some(Ok(millis)) => Ok(Some(Duration::from_millis(millis.into()))),
            Some(Err(_)) => bail!("connectTimeoutMS= takes a whole number of milliseconds ({FORM})"),
        }
    }
}

/// The option that `plain`, a name in lower case, means.
fn known(plain: &str) -> Option<&'static str> {
    let alias = ALIASES.iter().find(|(alias, _)| *alias == plain).map(|(_, name)| *name);
    alias.or_else(|| KNOWN.split(' ').find(|known| known.eq_ignore_ascii_case(plain)))
}
