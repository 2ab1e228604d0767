//! What may follow the `?` in an AMQP URI: the words of RabbitMQ (<https://www.rabbitmq.com/docs/uri-query-parameters>), and
//! those of kombu (Celery), pika, aio-pika, amqplib and Symfony. Pure.
//!
//! A parameter that restricts a connection is honoured, or it is an error. Others that clients know have no effect here, and
//! for unknown ones there is a warning.

use anyhow::{Context as _, Result, bail};

use super::mechanism::Mechanism;
use crate::env::Fill;
use crate::kind::path::NamedFile;
use crate::kind::tls_options::TlsFile;
use crate::net::address::Host;
use crate::text::InForm as _;

/// The parameters of a URI that have an effect.
#[derive(Clone, Debug, Default)]
pub(super) struct Params {
    /// `auth_mechanism=`, in their order.
    pub(super) mechanisms: Vec<Mechanism>,
    pub(super) ca: Option<TlsFile>,
    pub(super) cert: Option<TlsFile>,
    pub(super) key: Option<TlsFile>,
    /// The server's certificate is not verified.
    pub(super) unverified: bool,
    /// The name that the server's certificate must have, in place of the host.
    pub(super) server_name: Option<String>,
    /// The name of a parameter that only TLS has a use for.
    pub(super) of_tls: Option<&'static str>,
    /// How many parameters waitgate does not know.
    unknown: usize,
}

/// What has an effect, for messages.
const KNOWN: &str = "auth_mechanism, cacertfile, certfile, keyfile, verify, server_name_indication";

/// What clients know and a wait has no use for: how they wait, name themselves and bound a session. One text takes less of the
/// binary than a list.
const HARMLESS: &str = "heartbeat connection_timeout channel_max channelmax frame_max framemax locale fail_if_no_peer_cert \
    backpressure_detection blocked_connection_timeout client_properties connection_attempts connect_timeout \
    connection_name name product reconnect_interval read_timeout retry_delay socket_timeout stack_timeout \
    tcp_options timeout write_timeout";

/// What restricts a connection in a way that waitgate does not have, and what to write instead.
const REFUSED: &[(&str, &str)] = &[
    ("password", "give a key without a passphrase, with keyfile=FILE; the user's password is before the '@'"),
    ("depth", "leave it out"),
    ("ssl_options", "write amqps:// and #ca=FILE, #cert=FILE, #key=FILE"),
    ("ssl_version", "leave it out: waitgate speaks TLS 1.2 and 1.3 only"),
    ("ssl_ciphers", "leave it out: waitgate has the ciphers of TLS 1.2 and 1.3 that are safe"),
    ("capath", "give one file, with cacertfile=FILE"),
    ("cadata", "give a file, with cacertfile=FILE"),
];

impl Params {
    /// Parses what follows the `?`. `form` is the expected form of a target.
    pub(super) fn parse(query: &str, form: &str, fill: Fill<'_>) -> Result<Self> {
        let mut params = Self::default();
        for (at, pair) in query.split('&').filter(|pair| !pair.is_empty()).enumerate() {
            let position = at + 1;
            let Some((name, raw)) = pair.split_once('=') else {
                bail!("parameter {position} after the '?' has no '='; in a password '?' is written %3F ({form})");
            };
            let value =
                fill.decoded(raw).with_context(|| format!("parameter {position} after the '?'")).in_form(form)?;
            params.take(&name.to_ascii_lowercase(), raw, &value, form, fill)?;
        }
        if params.key.is_some() && params.cert.is_none() {
            bail!("keyfile: its certificate is missing: give certfile=FILE too ({form})");
        }
        Ok(params)
    }

    fn take(&mut self, name: &str, raw: &str, value: &str, form: &str, fill: Fill<'_>) -> Result<()> {
        let file = |by: &str| {
            // All of a variable's value may be secret.
            let written = if fill.is_none() { crate::secret::HIDDEN } else { raw };
            let file = NamedFile::new(value, written).with_context(|| by.to_owned()).in_form(form)?;
            Ok::<_, anyhow::Error>(Some(TlsFile { by: by.to_owned(), file }))
        };
        match name {
            "auth_mechanism" => match Mechanism::named(value) {
                Some(mechanism) if self.mechanisms.contains(&mechanism) => {}
                Some(mechanism) => self.mechanisms.push(mechanism),
                None => bail!("auth_mechanism: the value is unknown (expected plain, amqplain or external)"),
            },
            "cacertfile" | "ssl_ca_certs" | "cafile" | "cacert" => {
                self.ca = file("cacertfile")?;
                self.of_tls = Some("cacertfile");
            }
            "certfile" | "ssl_certfile" | "cert" => {
                self.cert = file("certfile")?;
                self.of_tls = Some("certfile");
            }
            "keyfile" | "ssl_keyfile" | "key" => {
                self.key = file("keyfile")?;
                self.of_tls = Some("keyfile");
            }
            "verify" | "ssl_cert_reqs" => {
                self.of_tls = Some("verify");
                // kombu has the names of Python's constants, whose "optional" a client takes as "required".
                match value.to_ascii_lowercase().trim_start_matches("cert_").trim_start_matches("verify_") {
                    "none" | "false" | "0" => self.unverified = true,
                    "peer" | "true" | "1" | "required" | "optional" => {}
                    _ => bail!("verify: the value is unknown (expected verify_peer or verify_none)"),
                }
            }
            "no_verify_ssl" => {
                self.of_tls = Some("no_verify_ssl");
                self.unverified |= !matches!(value, "0" | "false" | "");
            }
            "server_name_indication" => {
                self.of_tls = Some("server_name_indication");
                self.server_name = match Host::parse(value).context("server_name_indication").in_form(form)? {
                    _ if value == "disable" => {
                        bail!("waitgate cannot do server_name_indication=disable: leave it out ({form})")
                    }
                    Host::Name(name) => Some(name),
                    Host::Ip(_) => bail!("server_name_indication: found an address, but TLS sends names only ({form})"),
                };
            }
            "ssl" => {
                if !matches!(value.to_ascii_lowercase().as_str(), "0" | "false" | "") {
                    self.of_tls = Some("ssl");
                }
            }
            _ => match REFUSED.iter().find(|(known, _)| *known == name) {
                Some((known, instead)) => bail!("waitgate cannot do {known}=: {instead} ({form})"),
                None if HARMLESS.split(' ').any(|known| known == name) => {}
                None => self.unknown += 1,
            },
        }
        Ok(())
    }

    pub(super) fn warnings(&self) -> Vec<String> {
        let unknown = (self.unknown > 0).then(|| {
            let count = crate::text::count(self.unknown, "parameter");
            format!("waitgate does not know {count} after the '?' and ignores it (known: {KNOWN})")
        });
        let unverified =
            self.unverified.then(|| "the URL says so: the server's certificate is not verified".to_owned());
        unknown.into_iter().chain(unverified).collect()
    }
}
