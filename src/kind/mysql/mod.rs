//! `mysql:`: a MySQL or MariaDB server accepts sessions, or, if the target has credentials, the login succeeds.

mod auth;
mod context;
mod errors;
mod greeting;
mod handshake;
mod mode;
mod packet;
mod params;
mod probe;
mod query;
mod session;
#[cfg(test)]
mod tests;
mod uri;

use std::fmt;

use anyhow::{Result, bail};

use super::credentials::{PASSWORD, PasswordFile, password_file};
use super::expect::Spec;
use super::tls_options::{CA, CERT, INSECURE, INSECURE_WARNING, KEY, SERVERNAME};
use super::{Kind, Parts, Ready, gone};
use crate::attempt::Attempt;
use crate::net::Net;
use crate::net::sniff::Protocol;
use crate::net::stream::Stream;
use crate::reason::Reason;
use context::Context;
use mode::Mode;
use uri::Info;

/// The expected form, which ends every message.
const FORM: &str = "expected mysql://[USER[:PASSWORD]@]HOST[:PORT][/DATABASE] or mysql:HOST:PORT";

/// One or more MySQL or MariaDB servers. The target is ready when one of them is.
#[derive(Clone, Debug)]
pub(crate) struct MySql {
    info: Info,
    /// Whether waitgate logs in. Otherwise it only asks whether the server accepts sessions.
    login: bool,
    password_file: Option<PasswordFile>,
    role: Option<Role>,
    query: Option<String>,
    gone: bool,
    /// The expectations as the log shows them.
    shown: String,
}

/// Whether a server takes writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Role {
    Primary,
    Replica,
}

impl Kind for MySql {
    const NAMES: &'static [&'static str] = &["mysql", "mariadb"];
    /// Of Rails and of Django's dj-database-url, of SQLAlchemy's older dialects, and of PHP's Doctrine and PDO.
    const ALSO: &'static [&'static str] = &["mysql2", "mysqlgis", "mysql-connector", "pdo-mysql", "mysqli"];
    const FORM: &'static str = "mysql://HOST/DATABASE";
    const HELP: &'static [(&'static str, &'static str)] = &[
        ("mysql:HOST:PORT", "a MySQL or MariaDB server accepts sessions"),
        ("mysql://USER:PASSWORD@HOST/DATABASE", "the login works"),
    ];
    const EXPECTATIONS: &'static [Spec] = &[
        Spec::flag("login").says("log in, also without a password"),
        Spec::value("role", "primary|replica").says("the server is a primary or a replica"),
        Spec::value("query", "SQL").says("log in; the first value of the answer is not NULL, false, 0 or empty"),
        PASSWORD,
        CA,
        CERT,
        KEY,
        SERVERNAME,
        INSECURE,
        gone::GONE,
    ];
    const SPEAKS: &'static [(Protocol, &'static str)] = &[(Protocol::MySql, "mysql")];
    const JDBC: &'static [&'static str] = &["mysql", "mariadb"];
    const DROPS_DRIVER: bool = true;

    fn parse(parts: &Parts<'_>) -> Result<Self> {
        let info = Info::parse(parts)?;
        let expectations = &parts.expectations;
        let role = match expectations.get("role") {
            None => None,
            Some("primary") => Some(Role::Primary),
            Some("replica") => Some(Role::Replica),
            Some(_) => bail!("#role: the value is unknown (expected #role=primary or #role=replica)"),
        };
        let query = match expectations.get("query") {
            Some(sql) if sql.trim().is_empty() => bail!("#query: found nothing (expected #query=SQL, a SELECT)"),
            other => other.map(str::to_owned),
        };
        let password_file = password_file(expectations, false)?;
        let gone = gone::is_given(expectations, Self::EXPECTATIONS)?;
        let login = info.password.is_some()
            || info.user.is_some() && info.tls.has_identity()
            || password_file.is_some()
            || expectations.has("login")
            || query.is_some()
            || role.is_some();
        if login && info.user.is_none() && !gone {
            bail!("the user of the login is missing ({FORM})");
        }
        Ok(Self { info, login, password_file, role, query, gone, shown: expectations.shown() })
    }

    fn warnings(&self) -> Vec<String> {
        let insecure = self.info.tls.is_insecure().then(|| INSECURE_WARNING.to_owned());
        self.info.ignored.iter().cloned().chain(insecure).collect()
    }

    fn ready_when(&self) -> String {
        if self.login { "the login works" } else { "the server accepts sessions" }.to_owned()
    }

    fn uses_tls(&self) -> bool {
        self.info.mode != Mode::Disabled
    }

    async fn probe(&self, net: &Net, attempt: &Attempt) -> Result<Ready, Reason> {
        let context = Context::new(self, net, attempt)?;
        if self.gone { context.gone().await } else { context.run().await }
    }
}

impl MySql {
    /// Tries one connection, for the fuzzers.
    pub(crate) async fn over(&self, stream: Stream, net: &Net, attempt: &Attempt) -> Result<Ready, Reason> {
        let Some(server) = self.info.servers.first() else { return Ok(Ready::default()) };
        Context::new(self, net, attempt)?.on(server, stream).await
    }
}

impl fmt::Display for MySql {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", crate::text::printable(&self.info.shown), self.shown)
    }
}
