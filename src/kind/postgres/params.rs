//! The parameters of a connection URI, and the environment variables that libpq reads in their place. Pure.

use std::fmt;

use anyhow::{Context as _, Result, bail};

use super::FORM;
use crate::env::{self, Env, Fill, percent_decode};
use crate::kind::path::takes_a_path;
use crate::secret::HIDDEN;
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
    ("require_auth", Some("PGREQUIREAUTH")),
    ("sslnegotiation", Some("PGSSLNEGOTIATION")),
    ("gssencmode", Some("PGGSSENCMODE")),
    ("sslcrl", Some("PGSSLCRL")),
    ("sslcrldir", Some("PGSSLCRLDIR")),
    ("ssl_min_protocol_version", Some("PGSSLMINPROTOCOLVERSION")),
    ("ssl_max_protocol_version", Some("PGSSLMAXPROTOCOLVERSION")),
    ("min_protocol_version", Some("PGMINPROTOCOLVERSION")),
    ("requirepeer", Some("PGREQUIREPEER")),
    ("requiressl", Some("PGREQUIRESSL")),
    ("sslcertmode", Some("PGSSLCERTMODE")),
    ("service", None),
    // Prisma's: https://www.prisma.io/docs/orm/overview/databases/postgresql
    ("sslaccept", None),
    ("sslidentity", None),
    ("schema", None),
    // Those of pgx, of the JDBC driver and of others.
    ("search_path", None),
    ("currentSchema", None),
    ("targetServerType", None),
    ("require_ssl", None),
    ("sslfactory", None),
];

/// Each variable that takes the place of a parameter, for the man page.
pub(crate) fn variables() -> impl Iterator<Item = &'static str> {
    KNOWN.iter().filter_map(|(_, variable)| *variable)
}

/// Parameters of libpq and of drivers that change nothing for a probe.
const HARMLESS: &[&str] = &[
    "client_encoding",
    "connection_limit",
    "fallback_application_name",
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
    "socket_timeout",
    "sslcompression",
    "sslsni",
    "statement_cache_size",
    "tcp_user_timeout",
    "max_protocol_version",
    "sslkeylogfile",
];

/// Parameters of libpq and of drivers that waitgate does not use, and that a warning may name.
const IGNORED: &[&str] = &[
    "ApplicationName",
    "TimeZone",
    "binary_parameters",
    "charset",
    "connectTimeout",
    "connectionTimeout",
    "connection_timeout",
    "datestyle",
    "default_query_exec_mode",
    "idle_in_transaction_session_timeout",
    "idle_timeout",
    "krb_server_name",
    "lock_timeout",
    "loginTimeout",
    "max_lifetime",
    "maxsize",
    "minsize",
    "oauth_client_id",
    "oauth_client_secret",
    "oauth_issuer",
    "oauth_scope",
    "pool",
    "pool_max_conn_idle_time",
    "pool_max_conn_lifetime",
    "pool_max_conns",
    "pool_min_conns",
    "pool_mode",
    "pool_size",
    "prepared_statement_cache_queries",
    "prepared_statements",
    "replication",
    "scram_client_key",
    "scram_server_key",
    "serverVersion",
    "server_version",
    "servicefile",
    "socketTimeout",
    "sslhostnameverification",
    "sslpassword",
    "statement_timeout",
    "stringtype",
    "supa",
    "timezone",
    "uselibpqcompat",
];

/// A file that a parameter names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Path {
    pub(super) path: String,
    /// How the target writes it. What came out of a variable is never shown.
    shown: String,
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.shown)
    }
}

/// The parameters in a URI's query and in the environment.
pub(super) struct Params<'a> {
    given: Vec<Given>,
    env: &'a Env,
    /// A warning for each parameter that waitgate does not use. It names a known one, and repeats nothing of any other.
    pub(super) ignored: Vec<String>,
}

/// One parameter of the URI.
struct Given {
    name: &'static str,
    value: String,
    /// How a message may show the value.
    shown: String,
}

impl<'a> Params<'a> {
    /// Splits `raw`, the text after the `?`, and replaces each `$(NAME)` in the values.
    pub(super) fn parse(raw: &str, fill: Fill<'_>, env: &'a Env) -> Result<Self> {
        let mut params = Self { given: Vec::new(), env, ignored: Vec::new() };
        for (at, pair) in raw.split('&').filter(|pair| !pair.is_empty()).enumerate() {
            let position = at + 1;
            let (name, raw_value) = pair.split_once('=').unwrap_or((pair, ""));
            let name = percent_decode(name).with_context(|| format!("parameter {position}")).in_form(FORM)?;
            if let Some((known, _)) = KNOWN.iter().find(|(known, _)| *known == name) {
                // Where waitgate connects is no secret: a reason names it.
                let noting = if ["host", "hostaddr", "port"].contains(known) { fill.unnoted() } else { fill };
                let value = noting.decoded(raw_value).with_context(|| format!("parameter {known}=")).in_form(FORM)?;
                if params.given.iter().any(|earlier| earlier.name == *known) {
                    let list = if *known == "host" { "; several hosts are one list, host=A,B" } else { "" };
                    params.ignored.push(format!(
                        "the parameter {known}= is there more than once: only the last one counts, as in libpq{list}"
                    ));
                    params.given.retain(|earlier| earlier.name != *known);
                }
                let shown = match () {
                    () if from_variable(fill) => HIDDEN.to_owned(),
                    () if env::refers(raw_value) => raw_value.to_owned(),
                    () => value.clone(),
                };
                params.given.push(Given { name: known, value: without_nul(value, known)?, shown });
            } else if pair.contains('@') {
                bail!("found '@' after a '?': in a password '?' is written %3F ({FORM})");
            } else if !pair.contains('=') {
                bail!("parameter {position} after the '?' has no '='; in a password '?' is written %3F ({FORM})");
            } else if let Some(known) = IGNORED.iter().find(|known| **known == name) {
                params.ignored.push(format!("waitgate does not use the parameter {known}= and ignores it"));
            } else if !HARMLESS.contains(&name.as_str()) {
                params
                    .ignored
                    .push(format!("waitgate does not know parameter {position} after the '?' and ignores it"));
            }
        }
        if env.text("PGSERVICE")?.is_some() {
            params.ignored.push("PGSERVICE is set, and waitgate reads no service file".to_owned());
        }
        Ok(params)
    }

    /// The parameter's value in the URI. An empty value counts as unset, as in libpq.
    pub(super) fn in_url(&self, name: &str) -> Option<String> {
        self.given(name).map(|given| given.value.clone())
    }

    /// How a message may show the parameter's value in the URI.
    pub(super) fn shown(&self, name: &str) -> Option<&str> {
        self.given(name).map(|given| given.shown.as_str())
    }

    fn given(&self, name: &str) -> Option<&Given> {
        self.given.iter().find(|given| given.name == name && !given.value.is_empty())
    }

    /// Where the parameter's value comes from: its own name, or that of libpq's variable.
    pub(super) fn source(&self, name: &'static str) -> &'static str {
        let variable = KNOWN.iter().find(|(known, _)| *known == name).and_then(|(_, variable)| *variable);
        variable.filter(|_| self.in_url(name).is_none()).unwrap_or(name)
    }

    /// The file that the parameter names. The text of a file in its place is invalid.
    pub(super) fn path(&self, name: &'static str) -> Result<Option<Path>> {
        let Some(path) = self.get(name)? else { return Ok(None) };
        let source = self.source(name);
        takes_a_path(&path).with_context(|| source.to_owned())?;
        let shown = self.given(name).map_or_else(|| format!("$({source})"), |given| given.shown.clone());
        Ok(Some(Path { path, shown }))
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
    pub(super) fn choice<T: Copy>(&self, name: &'static str, words: &[(&str, T)], unset: T) -> Result<T> {
        let Some(text) = self.get(name)? else { return Ok(unset) };
        if let Some((_, value)) = words.iter().find(|(word, _)| *word == text) {
            return Ok(*value);
        }
        let list: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
        let source = self.source(name);
        bail!("{source}= has an unknown value: use one of {} ({FORM})", list.join(", "))
    }
}

/// Whether the whole address came out of a variable (`env:NAME`). Then a `$(` in it is literal.
pub(super) fn from_variable(fill: Fill<'_>) -> bool {
    fill.plain("$()").is_ok()
}

/// A text without NUL. The protocol ends every text with a NUL, so a text cannot hold one.
pub(super) fn without_nul(text: String, what: &str) -> Result<String> {
    if text.contains('\0') {
        bail!("{what} cannot hold a NUL (%00) ({FORM})");
    }
    Ok(text)
}
