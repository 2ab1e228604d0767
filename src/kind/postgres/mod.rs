//! `postgres:`: the server accepts connections, or, if the target has credentials, the login succeeds.

mod alive;
mod auth;
#[cfg(feature = "tls")]
mod binding;
mod context;
mod errors;
mod frame;
mod jdbc;
mod login;
mod messages;
mod negotiate;
mod params;
mod passfile;
mod ping;
mod probe;
mod query;
mod restrict;
mod server;
mod session;
mod sslmode;
#[cfg(test)]
mod tests;
mod uri;

use std::fmt;
use std::time::Duration;

use anyhow::{Result, bail};

use super::credentials::{PASSWORD, PasswordFile, password_file};
use super::expect::Spec;
use super::{Kind, Parts, Ready, gone};
use crate::attempt::Attempt;
use crate::net::Net;
use crate::net::sniff::Protocol;
use crate::reason::Reason;
use context::Context;
pub(super) use params::variables;
use session::Session;
use sslmode::SslMode;
use uri::ConnectionInfo;

/// The expected form, which ends every message.
const FORM: &str = "expected postgres://[USER[:PASSWORD]@]HOST[:PORT][/DATABASE] or postgres:HOST:PORT";

/// The `application_name` of a session, unless the target sets one.
const APPLICATION_NAME: &str = "waitgate";

/// One or more PostgreSQL servers. The target is ready when one of them is.
#[derive(Clone, Debug)]
pub(crate) struct Postgres {
    info: ConnectionInfo,
    /// Whether waitgate logs in. Otherwise it only asks whether the server accepts connections.
    login: bool,
    password_file: Option<PasswordFile>,
    query: Option<String>,
    gone: bool,
    /// The expectations as the log shows them.
    shown: String,
}

impl Kind for Postgres {
    const NAMES: &'static [&'static str] = &["postgres", "postgresql"];
    /// Of Django's dj-database-url and django-environ, Doctrine, Ecto, golang-migrate and SQLAlchemy's dialects.
    const ALSO: &'static [&'static str] = &[
        "postgis",
        "pgsql",
        "psql",
        "pdo-pgsql",
        "pg",
        "pgx",
        "pgx4",
        "pgx5",
        "ecto",
        "cockroachdb",
        "cockroach",
        "crdb",
        "timescale",
        "timescaledb",
        "timescalegis",
    ];
    const FORM: &'static str = "postgres://HOST/DATABASE";
    const HELP: &'static [(&'static str, &'static str)] = &[
        ("postgres:HOST:PORT", "the server accepts connections"),
        ("postgres://USER:PASSWORD@HOST/DATABASE", "the login works"),
    ];
    const EXPECTATIONS: &'static [Spec] = &[
        Spec::flag("login").says("log in, also without a password"),
        Spec::value("role", "primary|standby").says("log in; the server is a primary or a standby"),
        Spec::value("query", "SQL").says("log in; the first value of the answer is not NULL, false, 0 or empty"),
        PASSWORD,
        gone::GONE,
    ];
    const SPEAKS: &'static [(Protocol, &'static str)] = &[(Protocol::PostgreSql, "postgres")];
    const JDBC: &'static [&'static str] = &["postgresql"];
    const DROPS_DRIVER: bool = true;
    const BLANK: &'static str = "found a blank in the address: in a URL a blank is written %20, and in place of libpq's keywords (host=… user=…) write a URL";

    fn parse(parts: &Parts<'_>) -> Result<Self> {
        let mut info = ConnectionInfo::parse(parts)?;
        let expectations = &parts.expectations;
        // `role=` is written for waitgate, so it overrides `target_session_attrs` in the application's URL.
        match expectations.get("role") {
            None => {}
            Some("primary") => info.session = Session::Primary,
            Some("standby") => info.session = Session::Standby,
            Some(_) => bail!("#role: the value is unknown (expected #role=primary or #role=standby)"),
        }
        let query = match expectations.get("query") {
            Some(sql) if sql.trim().is_empty() => bail!("#query: found nothing (expected #query=SQL, a SELECT)"),
            Some(sql) if sql.contains('\0') => bail!("#query: found a NUL (%00) (expected #query=SQL, a SELECT)"),
            other => other.map(str::to_owned),
        };
        let password_file = password_file(expectations, false)?;
        let gone = gone::is_given(expectations, Self::EXPECTATIONS)?;
        let login = info.password.is_some()
            || info.passfile.is_some()
            || info.identity.is_some()
            || password_file.is_some()
            || expectations.has("login")
            || query.is_some()
            || info.session != Session::Any;
        Ok(Self { info, login, password_file, query, gone, shown: expectations.shown() })
    }

    fn warnings(&self) -> Vec<String> {
        self.info.ignored.clone()
    }

    fn ready_when(&self) -> String {
        match self.info.session {
            Session::Any if self.login => "the login works".to_owned(),
            Session::Any => "the server accepts connections".to_owned(),
            Session::ReadWrite => "the login works, and the server takes writes".to_owned(),
            Session::ReadOnly => "the login works, and the server takes no writes".to_owned(),
            Session::Primary => "the login works, and the server is a primary".to_owned(),
            Session::Standby => "the login works, and the server is a standby".to_owned(),
        }
    }

    /// libpq gives each host `connect_timeout` for the whole login. The application that uses this URL would wait as long.
    fn attempt_timeout(&self) -> Option<Duration> {
        let hosts = u32::try_from(self.info.servers.len()).unwrap_or(1);
        self.info.connect_timeout.map(|bound| bound.saturating_mul(hosts))
    }

    fn uses_tls(&self) -> bool {
        self.info.ssl_mode != SslMode::Disable
    }

    async fn probe(&self, net: &Net, attempt: &Attempt) -> Result<Ready, Reason> {
        let probe = Context::new(self, net, attempt)?;
        if self.gone { probe.gone().await } else { probe.run().await }
    }
}

impl fmt::Display for Postgres {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", crate::text::printable(&self.info.shown), self.shown)
    }
}

/// Reads `text` as a password file, for the fuzzer. Its first line, written as a login of such a file, gives its password back.
///
/// # Panics
/// If it does not.
#[cfg(feature = "tls")]
pub(crate) fn password_file_text(text: &str) {
    let (first, rest) = text.split_once('\n').unwrap_or((text, ""));
    let mut words = first.split('\t');
    let mut word = || words.next().filter(|word| !word.is_empty() && !word.contains('\r')).unwrap_or("x");
    let (host, database, user, password) = (word(), word(), word(), word());
    let login = passfile::Login { host, port: 5432, database, user };
    let _ = passfile::find(text, &login);
    // A line that begins with `#` is a comment, as in libpq.
    if !host.starts_with('#') {
        let field = |text: &str| text.replace('\\', "\\\\").replace(':', "\\:");
        let line = format!("{}:5432:{}:{}:{}\n{rest}", field(host), field(database), field(user), field(password));
        let found = passfile::find(&line, &login).map(|secret| secret.expose().to_owned());
        assert_eq!(found.as_deref(), Some(password), "{line:?}");
    }
}

/// Reads a certificate for the channel binding, for the fuzzer.
#[cfg(feature = "tls")]
pub(crate) fn certificate(der: &[u8]) {
    let _ = binding::server_end_point(der);
}
