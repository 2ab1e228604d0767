//! The parameters of a connection URI, and the environment variables that libpq reads in their place. Pure.

use anyhow::{Context as _, Result, bail};

use super::FORM;
use crate::env::{Env, Fill, percent_decode};
use crate::text::InForm as _;

/// The parameters that waitgate uses, each with the variable that libpq reads if the URI leaves it out
/// (fe-connect.c: PQconninfoOptions).
const KNOWN: &[(&str, Option<&str>)] = &[
    ("host", Some("PGHOST")),
    ("hostaddr", Some("PGHOSTADDR")),
    ("port", Some("PGPORT")),
    ("user", Some("PGUSER")),
    ("password", Some("PGPASSWORD")),
    ("dbname", Some("PGDATABASE")),
    ("sslmode", Some("PGSSLMODE")),
    ("ssl", None),
    ("sslrootcert", Some("PGSSLROOTCERT")),
    ("sslcert", Some("PGSSLCERT")),
    ("sslkey", Some("PGSSLKEY")),
    ("passfile", Some("PGPASSFILE")),
    ("application_name", Some("PGAPPNAME")),
    ("connect_timeout", Some("PGCONNECT_TIMEOUT")),
    ("target_session_attrs", Some("PGTARGETSESSIONATTRS")),
    ("options", Some("PGOPTIONS")),
    ("channel_binding", Some("PGCHANNELBINDING")),
];

/// Parameters of libpq and of drivers that change nothing for a probe.
const HARMLESS: &[&str] = &[
    "client_encoding",
    "connection_limit",
    "fallback_application_name",
    "gssencmode",
    "gssdelegation",
    "keepalives",
    "keepalives_count",
    "keepalives_idle",
    "keepalives_interval",
    "krbsrvname",
    "gsslib",
    "load_balance_hosts",
    "pgbouncer",
    "pool_timeout",
    "prepareThreshold",
    "reWriteBatchedInserts",
    "schema",
    "search_path",
    "socket_timeout",
    "sslcompression",
    "sslnegotiation",
    "sslsni",
    "statement_cache_size",
    "tcp_user_timeout",
];

/// The parameters in a URI's query and in the environment.
pub(super) struct Params<'a> {
    given: Vec<(&'static str, String)>,
    env: &'a Env,
    /// A warning for each unknown parameter. It repeats nothing of the parameter.
    pub(super) ignored: Vec<String>,
}

impl<'a> Params<'a> {
    /// Splits `raw`, the text after the `?`, and replaces each `$(NAME)` in the values.
    pub(super) fn parse(raw: &str, fill: Fill<'_>, env: &'a Env) -> Result<Self> {
        let mut params = Self { given: Vec::new(), env, ignored: Vec::new() };
        for (at, pair) in raw.split('&').filter(|pair| !pair.is_empty()).enumerate() {
            let position = at + 1;
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let name = percent_decode(name).with_context(|| format!("parameter {position}")).in_form(FORM)?;
            if let Some((known, _)) = KNOWN.iter().find(|(known, _)| *known == name) {
                let value = fill.decoded(value).with_context(|| format!("parameter {known}=")).in_form(FORM)?;
                params.given.retain(|(earlier, _)| earlier != known);
                params.given.push((known, without_nul(value, known)?));
            } else if pair.contains('@') {
                bail!("found '@' after a '?': in a password '?' is written %3F ({FORM})");
            } else if !pair.contains('=') {
                bail!("parameter {position} after the '?' has no '='; in a password '?' is written %3F ({FORM})");
            } else if !HARMLESS.contains(&name.as_str()) {
                params
                    .ignored
                    .push(format!("waitgate does not know parameter {position} after the '?' and ignores it"));
            }
        }
        Ok(params)
    }

    /// The parameter's value in the URI. An empty value counts as unset, as in libpq.
    pub(super) fn in_url(&self, name: &str) -> Option<String> {
        self.given.iter().find(|(given, value)| *given == name && !value.is_empty()).map(|(_, value)| value.clone())
    }

    /// The parameter's value in the URI, or else in libpq's environment variable.
    pub(super) fn get(&self, name: &str) -> Result<Option<String>> {
        if let Some(value) = self.in_url(name) {
            return Ok(Some(value));
        }
        match KNOWN.iter().find(|(known, _)| *known == name) {
            Some((_, Some(variable))) => Ok(self.env.text(variable)?.map(str::to_owned)),
            _ => Ok(None),
        }
    }

    /// The value that belongs to the parameter's word; `unset` if there is no word. Any other word is invalid.
    pub(super) fn choice<T: Copy>(&self, name: &str, words: &[(&str, T)], unset: T) -> Result<T> {
        let Some(text) = self.get(name)? else { return Ok(unset) };
        if let Some((_, value)) = words.iter().find(|(word, _)| *word == text) {
            return Ok(*value);
        }
        let list: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
        let variable = KNOWN.iter().find(|(known, _)| *known == name).and_then(|(_, variable)| *variable);
        let source = match variable {
            Some(variable) if self.in_url(name).is_none() => variable,
            _ => name,
        };
        bail!("{source}= has an unknown value: use one of {} ({FORM})", list.join(", "))
    }
}

/// A text without NUL. The protocol ends every text with a NUL, so a text cannot hold one.
pub(super) fn without_nul(text: String, what: &str) -> Result<String> {
    if text.contains('\0') {
        bail!("{what} cannot hold a NUL (%00) ({FORM})");
    }
    Ok(text)
}
