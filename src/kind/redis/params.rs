//! What may follow the `?` in a URL of Redis: the words of redis-py, Celery, go-redis, ioredis and lettuce. Pure.
//!
//! A parameter that restricts a connection is honoured, or it is an error. Others that drivers know have no effect here, and
//! for unknown ones there is a warning.

use anyhow::{Context as _, Result, bail};

use crate::env::Fill;
use crate::kind::path::NamedFile;
use crate::secret::Secret;
use crate::text::InForm as _;

/// What is verified in the server's certificate.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Verified {
    /// The chain and the name.
    #[default]
    Full,
    /// The chain alone.
    Chain,
    Nothing,
}

/// The parameters of a URL that have an effect.
#[derive(Clone, Debug, Default)]
pub(super) struct Params {
    pub(super) db: Option<String>,
    pub(super) user: Option<String>,
    pub(super) password: Option<Secret>,
    pub(super) verified: Option<Verified>,
    pub(super) ca: Option<NamedFile>,
    pub(super) cert: Option<NamedFile>,
    pub(super) key: Option<NamedFile>,
    /// The name of a parameter that only TLS has a use for.
    pub(super) of_tls: Option<&'static str>,
    /// How many parameters waitgate does not know.
    unknown: usize,
}

/// What has an effect, for messages.
const KNOWN: &str =
    "db, username, password, ssl_cert_reqs, ssl_check_hostname, ssl_ca_certs, ssl_certfile, ssl_keyfile";

/// What drivers know and a wait has no use for: how they wait, pool, decode, and name themselves.
const HARMLESS: &[&str] = &[
    "protocol",
    "timeout",
    "socket_timeout",
    "socket_connect_timeout",
    "socket_keepalive",
    "retry_on_timeout",
    "retry_on_error",
    "max_connections",
    "health_check_interval",
    "client_name",
    "clientname",
    "decode_responses",
    "encoding",
    "family",
    "connect_timeout",
    "dial_timeout",
    "read_timeout",
    "write_timeout",
    "pool_size",
    "pool_timeout",
    "min_idle_conns",
    "max_retries",
];

/// What restricts a connection in a way that waitgate does not have, and what to write instead.
const REFUSED: &[(&str, &str)] = &[
    ("ssl_ca_path", "give one file, with #ca=FILE"),
    ("ssl_ca_data", "give a file, with #ca=FILE"),
    ("ssl_password", "give a key without a passphrase, with #key=FILE"),
    ("ssl_ciphers", "leave it out: waitgate has the ciphers of TLS 1.2 and 1.3 that are safe"),
    ("ssl_min_version", "leave it out: waitgate speaks TLS 1.2 and 1.3 only"),
    ("ssl_include_verify_flags", "leave it out"),
    ("ssl_validate_ocsp", "leave it out: waitgate asks no OCSP server"),
    ("ssl_validate_ocsp_stapled", "leave it out: waitgate asks no OCSP server"),
    (
        "sentinelmasterid",
        "give the address of a server: waitgate asks no Sentinel where the primary is (#role=primary)",
    ),
];

impl Params {
    /// Parses what follows the `?`. `form` is the expected form of a target.
    pub(super) fn parse(query: &str, form: &str, fill: Fill<'_>) -> Result<Self> {
        let mut params = Self::default();
        for (at, pair) in query.split(['&', ';']).filter(|pair| !pair.is_empty()).enumerate() {
            let position = at + 1;
            let Some((name, raw)) = pair.split_once('=') else {
                bail!("parameter {position} after the '?' has no '='; in a password '?' is written %3F ({form})");
            };
            let name = name.to_ascii_lowercase();
            let decoded =
                || fill.decoded(raw).with_context(|| format!("parameter {position} after the '?'")).in_form(form);
            params.take(&name, raw, decoded, form, fill)?;
        }
        if params.key.is_some() && params.cert.is_none() {
            bail!("ssl_keyfile: its certificate is missing: give ssl_certfile=FILE too ({form})");
        }
        Ok(params)
    }

    fn take(
        &mut self,
        name: &str,
        raw: &str,
        decoded: impl Fn() -> Result<String>,
        form: &str,
        fill: Fill<'_>,
    ) -> Result<()> {
        let file = |name: &str| {
            let path = decoded()?;
            // All of a variable's value may be secret.
            let written = if fill.is_none() { crate::secret::HIDDEN } else { raw };
            NamedFile::new(&path, written).with_context(|| name.to_owned()).in_form(form)
        };
        match name {
            "db" | "database" => self.db = Some(decoded()?),
            "username" => self.user = Some(decoded()?).filter(|user| !user.is_empty()),
            "password" => {
                let password = decoded()?;
                fill.note(&password);
                self.password = Some(Secret::new(password)).filter(|password| !password.expose().is_empty());
            }
            "ssl_cert_reqs" => {
                self.of_tls = Some("ssl_cert_reqs");
                // Celery has the names of Python's constants.
                match decoded()?.to_ascii_lowercase().trim_start_matches("cert_") {
                    "none" => self.verified = Some(Verified::Nothing),
                    // For a client, Python's ssl takes "optional" as "required".
                    "required" | "optional" => {}
                    _ => bail!("ssl_cert_reqs: the value is unknown (expected none, optional or required)"),
                }
            }
            "verifypeer" => {
                self.of_tls = Some("verifyPeer");
                match decoded()?.to_ascii_lowercase().as_str() {
                    "none" | "false" => self.verified = Some(Verified::Nothing),
                    "ca" => self.weaken(Verified::Chain),
                    "full" | "true" => {}
                    _ => bail!("verifyPeer: the value is unknown (expected NONE, CA or FULL)"),
                }
            }
            "skip_verify" => {
                self.of_tls = Some("skip_verify");
                if is_true("skip_verify", &decoded()?)? {
                    self.verified = Some(Verified::Nothing);
                }
            }
            "ssl_check_hostname" => {
                self.of_tls = Some("ssl_check_hostname");
                if !is_true("ssl_check_hostname", &decoded()?)? {
                    self.weaken(Verified::Chain);
                }
            }
            "ssl_ca_certs" => self.ca = Some(file("ssl_ca_certs")?),
            "ssl_certfile" => self.cert = Some(file("ssl_certfile")?),
            "ssl_keyfile" => self.key = Some(file("ssl_keyfile")?),
            "ssl" | "tls" => {
                let wanted = if name == "ssl" { "ssl" } else { "tls" };
                if is_true(wanted, &decoded()?)? {
                    self.of_tls = Some(wanted);
                }
            }
            _ => match REFUSED.iter().find(|(known, _)| *known == name) {
                Some(_) if decoded()?.eq_ignore_ascii_case("false") => {}
                Some((known, instead)) => bail!("waitgate cannot do {known}=: {instead} ({form})"),
                None if HARMLESS.contains(&name) => {}
                None => self.unknown += 1,
            },
        }
        for (given, known) in [(&self.ca, "ssl_ca_certs"), (&self.cert, "ssl_certfile"), (&self.key, "ssl_keyfile")] {
            if given.is_some() {
                self.of_tls = Some(known);
            }
        }
        Ok(())
    }

    /// Verifies at most `verified`.
    fn weaken(&mut self, verified: Verified) {
        if self.verified != Some(Verified::Nothing) {
            self.verified = Some(verified);
        }
    }

    pub(super) fn warnings(&self) -> Vec<String> {
        let unknown = (self.unknown > 0).then(|| {
            let count = crate::text::count(self.unknown, "parameter");
            format!("waitgate does not know {count} after the '?' and ignores it (known: {KNOWN})")
        });
        let unverified = (self.verified == Some(Verified::Nothing))
            .then(|| "the URL says so: the server's certificate is not verified".to_owned());
        unknown.into_iter().chain(unverified).collect()
    }
}

/// A truth value as the drivers write it.
fn is_true(name: &str, text: &str) -> Result<bool> {
    match text.to_ascii_lowercase().as_str() {
        "true" | "1" | "yes" | "t" | "y" => Ok(true),
        "false" | "0" | "no" | "f" | "n" | "" => Ok(false),
        _ => bail!("{name}: the value is unknown (expected true or false)"),
    }
}
