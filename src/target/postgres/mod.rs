//! `postgres:`: the server accepts connections, or the login succeeds.

mod attempt;
#[cfg(feature = "tls")]
mod binding;
mod conninfo;
mod frame;
mod login;
mod negotiate;
mod params;
mod passfile;
mod ping;
mod query;
mod refusal;
mod sslmode;
#[cfg(test)]
mod tests;
mod wire;

use std::fmt;

use anyhow::{Result, bail};

use super::expect::Spec;
use super::{Parts, Ready, gone};
use crate::net::Net;
use crate::reason::Reason;
use crate::trail::Trail;
use attempt::Attempt;
use conninfo::{Conninfo, Session};
use sslmode::SslMode;

/// What `postgres:` expects beyond the common ones.
pub const EXPECTATIONS: &[Spec] = &[
    Spec::flag("login"),
    Spec::value("role", "primary|standby"),
    Spec::value("query", "SQL"),
    Spec::value("password", "@FILE"),
    gone::GONE,
];

/// What a session calls itself in the server's log, unless the target says otherwise.
const APPLICATION: &str = "waitgate";

/// A PostgreSQL server.
#[derive(Clone, Debug)]
pub struct Postgres {
    info: Conninfo,
    login: bool,
    password_file: Option<String>,
    query: Option<String>,
    gone: bool,
    shown: String,
}

impl Postgres {
    /// Parses the URL and the expectations.
    pub fn parse(parts: &Parts<'_>) -> Result<Self> {
        let mut info = Conninfo::parse(parts)?;
        let expectations = &parts.expectations;
        // `role=` is waitgate's word and counts more than what an application's URL asks for itself.
        match expectations.get("role") {
            None => {}
            Some("primary") => info.session = Session::Primary,
            Some("standby") => info.session = Session::Standby,
            Some(_) => bail!("expected #role=primary or #role=standby"),
        }
        let query = match expectations.get("query") {
            Some(sql) if sql.trim().is_empty() => bail!("expected #query=SQL, a SELECT; found nothing"),
            Some(sql) if sql.contains('\0') => bail!("expected #query=SQL, a SELECT; found a NUL (%00) in it"),
            other => other.map(str::to_owned),
        };
        // The '@' has to be written: a password that a variable holds may begin with one, and is refused here.
        let file = |(value, written): (&str, &str)| {
            value.strip_prefix('@').filter(|_| written.starts_with('@')).map(str::to_owned)
        };
        let password_file = match expectations.written("password").next().map(file) {
            None => None,
            Some(Some(path)) if !path.is_empty() => Some(path),
            Some(_) => bail!(
                "expected #password=@FILE, the file that holds the password: a password itself stands in the URL or in PGPASSWORD"
            ),
        };
        let gone = gone::is_given(expectations, EXPECTATIONS)?;
        let login = info.password.is_some()
            || info.passfile.is_some()
            || info.identity.is_some()
            || password_file.is_some()
            || expectations.has("login")
            || query.is_some()
            || info.session != Session::Any;
        Ok(Self { info, login, password_file, query, gone, shown: expectations.shown(&[]) })
    }

    /// What the target's text holds that changes nothing, for a warning.
    #[must_use]
    pub fn ignored(&self) -> &[String] {
        &self.info.ignored
    }

    /// Whether TLS may be spoken.
    #[must_use]
    pub fn uses_tls(&self) -> bool {
        self.info.ssl_mode != SslMode::Disable
    }

    /// Probes the servers once, in order; the first that is ready will do.
    pub async fn probe(&self, net: &Net, trail: &Trail) -> Result<Ready, Reason> {
        let attempt = Attempt::new(self, net, trail)?;
        if self.gone { attempt.gone().await } else { attempt.run().await }
    }
}

impl fmt::Display for Postgres {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", crate::reason::printable(&self.info.shown), self.shown)
    }
}
