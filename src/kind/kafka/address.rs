//! The address of a target: a list of servers, as `bootstrap.servers` has it, with or without a scheme, and a login. Pure.
//!
//! Kafka has no URL of its own. Its clients take `HOST:PORT,HOST:PORT`; brokers and charts write the listener's protocol before
//! it (`SASL_SSL://HOST:PORT`), Heroku writes `kafka+ssl://` before each server. No message repeats any part of the text.

use std::fmt;

use anyhow::{Context as _, Result, anyhow, bail};

use crate::env::{self, Fill};
use crate::kind::endpoint::only_reference;
use crate::kind::{Parts, note_login, slips};
use crate::net::address::{self, Host};
use crate::secret::{HIDDEN, Secret};
use crate::text::InForm as _;

/// Kafka itself has no default. librdkafka (RD_KAFKA_PORT) and kafka-python take this one, with and without TLS.
const DEFAULT_PORT: u16 = 9092;

/// Words before `://`, and whether they mean TLS.
const SCHEMES: &[(&str, bool)] = &[
    ("kafka", false),
    ("kafkas", true),
    ("kafka+ssl", true),
    ("plaintext", false),
    ("sasl_plaintext", false),
    ("sasl_ssl", true),
    ("ssl", true),
];

/// One server of the target.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Server {
    pub(super) host: Host,
    pub(super) port: u16,
}

impl fmt::Display for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.host, self.port)
    }
}

/// What a target's address says.
#[derive(Clone, Debug)]
pub(super) struct Location {
    pub(super) servers: Vec<Server>,
    pub(super) tls: bool,
    pub(super) user: Option<String>,
    pub(super) password: Option<Secret>,
    /// The address as the log shows it.
    pub(super) shown: String,
}

impl Location {
    /// Parses what follows the kind's colon.
    pub(super) fn parse(parts: &Parts<'_>) -> Result<Self> {
        let tls = SCHEMES.iter().any(|(scheme, tls)| *scheme == parts.kind && *tls);
        let name = if tls { "kafkas" } else { "kafka" };
        let form = format!("expected {name}:HOST:PORT,HOST:PORT or {name}://[USER:PASSWORD@]HOST:PORT,HOST:PORT");
        let in_form = |parsed: Result<Self>| parsed.in_form(&form);
        let raw = parts.address;
        let Some(name) = only_reference(raw.strip_prefix("//").unwrap_or(raw)) else {
            return in_form(Self::of(raw, tls, parts.fill));
        };
        // All of the list is in one variable: KAFKA_BOOTSTRAP_SERVERS.
        let value = parts.fill.plain(name).in_form(&form)?;
        let value = value.trim_end_matches(['\r', '\n']);
        if let Some(slip) = slips::around(value) {
            bail!("{name}: its value: {slip} ({form})");
        }
        if value.is_empty() {
            bail!("{name} is empty: set it to a value ({form})");
        }
        let fill = Fill::none().sharing(parts.fill);
        note_login(value, fill);
        in_form(Self::of(value, tls, fill)).with_context(|| name.to_owned())
    }

    fn of(raw: &str, tls: bool, fill: Fill<'_>) -> Result<Self> {
        // With slashes, or with the protocol of a listener, a port may be left out, as in the URLs of clients.
        let (url, rest) = match raw.strip_prefix("//") {
            Some(rest) => (true, rest),
            None => (scheme_of(raw, tls)?.is_some(), without_scheme(raw)),
        };
        let (authority, _) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
        let (login, _) = address::userinfo(authority)?;
        let list = login.map_or(rest, |login| &rest[login.len() + 1..]);
        if login.is_some() && !url {
            bail!("more than hosts and ports needs the form with //");
        }
        let mut servers = Vec::new();
        for one in list.split(',').map(str::trim) {
            scheme_of(one, tls)?;
            let one = without_scheme(one);
            let one = one.strip_suffix('/').unwrap_or(one);
            if one.contains('@') {
                bail!(
                    "found '@' after a server: the login comes once, before the first server; in a password '/' is written %2F and ',' is written %2C"
                );
            }
            if one.contains(['/', '?']) && !one.contains("://") {
                bail!("found '/' or '?' after a server: a topic is an expectation, #topic=NAME");
            }
            if one.contains(char::is_whitespace) {
                bail!("found a blank in a server: servers are separated by commas");
            }
            if one.is_empty() {
                bail!("a server is missing: each has a host");
            }
            let (host, port) = match address::split(one) {
                (host, None) if url && !host.contains(':') => host_port(&format!("{host}:{DEFAULT_PORT}"), fill)?,
                _ => host_port(one, fill)?,
            };
            servers.push(Server { host, port });
        }
        let (raw_user, raw_password) =
            login.unwrap_or_default().split_once(':').unwrap_or((login.unwrap_or_default(), ""));
        let user = Some(fill.decoded(raw_user).context("the user")?).filter(|user| !user.is_empty());
        let password =
            Some(fill.decoded(raw_password).context("the password")?).filter(|password| !password.is_empty());
        let user_shown = match &user {
            None => String::new(),
            Some(_) if fill.is_none() => format!("{HIDDEN}@"),
            Some(_) if env::refers(raw_user) => format!("{raw_user}@"),
            // Encoded as it was, so that a person can paste it.
            Some(_) => format!("{raw_user}@"),
        };
        let list: Vec<String> = servers.iter().map(ToString::to_string).collect();
        let slashes = if user.is_some() { "//" } else { "" };
        let name = if tls { "kafkas" } else { "kafka" };
        let shown = format!("{name}:{slashes}{user_shown}{}", list.join(","));
        Ok(Self { servers, tls, user, password: password.map(Secret::new), shown })
    }
}

/// The scheme of one server of the list, which must be alike in TLS.
fn scheme_of(one: &str, tls: bool) -> Result<Option<&'static str>> {
    let Some((word, _)) = one.split_once("://") else { return Ok(None) };
    let word = word.to_ascii_lowercase();
    match SCHEMES.iter().find(|(scheme, _)| *scheme == word) {
        None => Ok(None),
        Some((scheme, theirs)) if *theirs == tls => Ok(Some(scheme)),
        Some((_, true)) => bail!("found a listener with TLS: write kafkas: in place of kafka:"),
        Some((_, false)) => bail!("found a listener without TLS: write kafka: in place of kafkas:"),
    }
}

/// One server of the list without its scheme.
fn without_scheme(one: &str) -> &str {
    match one.split_once("://") {
        Some((word, rest)) if SCHEMES.iter().any(|(scheme, _)| word.eq_ignore_ascii_case(scheme)) => rest,
        _ => one,
    }
}

/// One server. The form of the whole list is added to a message later, and not that of its part.
fn host_port(text: &str, fill: Fill<'_>) -> Result<(Host, u16)> {
    const PART: &str = "HOST:PORT";
    let own = format!(" (expected {PART})");
    address::host_port(text, PART, fill).map_err(|error| anyhow!("{}", format!("{error:#}").replace(&own, "")))
}
