//! `mongodb:` and `mongodb+srv:`: a server answers hello and serves clients, or, if the target has a login, it works.

mod auth;
mod bson;
mod errors;
mod hello;
mod message;
mod options;
mod probe;
mod srv;
#[cfg(test)]
mod tests;
mod uri;
mod wire;

use std::fmt;
use std::time::Duration;

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
use auth::Mechanism;
use probe::Context;
use uri::{Info, Seeds, Verified};

/// The expected form, which ends every message.
const FORM: &str =
    "expected mongodb://[USER:PASSWORD@]HOST[:PORT][,HOST[:PORT]][/DATABASE][?OPTIONS] or mongodb:HOST:PORT";

/// The longest time that a URL can give each server.
const TIMEOUT_MAX: Duration = Duration::from_secs(60);

/// One or more servers of MongoDB, or of what speaks like it. The target is ready when one of them is.
#[derive(Clone, Debug)]
pub(crate) struct MongoDb {
    info: Info,
    login: bool,
    password_file: Option<PasswordFile>,
    role: Option<Role>,
    /// `set=`, if the URL has no `replicaSet=`.
    set: Option<String>,
    gone: bool,
    /// The expectations as the log shows them.
    shown: String,
}

/// What a server must be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Role {
    /// It takes writes.
    Primary,
    /// A member of a replica set that reads can go to.
    Secondary,
}

impl Kind for MongoDb {
    const NAMES: &'static [&'static str] = &["mongodb", "mongodb+srv"];
    const FORM: &'static str = "mongodb://HOST";
    const HELP: &'static [(&'static str, &'static str)] = &[
        ("mongodb:HOST:PORT", "the server answers hello, and neither starts nor recovers"),
        ("mongodb://USER:PASSWORD@HOST,HOST", "the login works at one of them (mongodb+srv: finds them in the DNS)"),
    ];
    const EXPECTATIONS: &'static [Spec] = &[
        Spec::flag("login").says("the target must have a login, and it must work"),
        Spec::value("role", "primary|secondary").says("the server takes writes, or is a secondary"),
        Spec::value("set", "NAME").says("the server is a member of this replica set"),
        PASSWORD,
        CA,
        CERT,
        KEY,
        SERVERNAME,
        INSECURE,
        gone::GONE,
    ];
    const SPEAKS: &'static [(Protocol, &'static str)] = &[(Protocol::MongoDb, "mongodb")];

    fn parse(parts: &Parts<'_>) -> Result<Self> {
        let info = Info::parse(parts)?;
        let it = &parts.expectations;
        let role = match it.get("role") {
            None => None,
            Some("primary") => Some(Role::Primary),
            Some("secondary") => Some(Role::Secondary),
            Some(_) => bail!("#role: the value is unknown (expected #role=primary or #role=secondary)"),
        };
        let set = match it.get("set") {
            Some("") => bail!("#set: found nothing (expected #set=NAME, the name of the replica set)"),
            other => other.map(str::to_owned),
        };
        if set.is_some() && info.set.as_ref().is_some_and(|named| Some(named) != set.as_ref()) {
            bail!("#set: replicaSet= in the URL names another set: leave one of them out");
        }
        let password_file = password_file(it, info.password.is_some())?;
        let gone = gone::is_given(it, Self::EXPECTATIONS)?;
        let has_password = info.password.is_some() || password_file.is_some();
        if !gone {
            check_login(&info, has_password, it.has("login"))?;
        }
        let login = !gone && (has_password || info.mechanism == Mechanism::X509);
        Ok(Self { info, login, password_file, role, set, gone, shown: it.shown() })
    }

    fn warnings(&self) -> Vec<String> {
        let idle = (self.info.user.is_some() && !self.login && !self.gone)
            .then(|| "the target has a user and no password: waitgate does not log in".to_owned());
        let insecure = self.info.options.is_insecure().then(|| INSECURE_WARNING.to_owned());
        self.info.warnings.iter().cloned().chain(idle).chain(insecure).collect()
    }

    fn ready_when(&self) -> String {
        let ready =
            if self.login { "the login works" } else { "the server answers hello, and neither starts nor recovers" };
        ready.to_owned()
    }

    fn uses_tls(&self) -> bool {
        self.info.tls
    }

    /// The drivers give each server `connectTimeoutMS`. The application that uses this URL would wait as long.
    fn attempt_timeout(&self) -> Option<Duration> {
        let hosts = match &self.info.seeds {
            Seeds::Listed(servers) => u32::try_from(servers.len()).unwrap_or(1),
            Seeds::Srv { .. } => 1,
        };
        self.info.connect_timeout.map(|bound| bound.min(TIMEOUT_MAX).saturating_mul(hosts).min(TIMEOUT_MAX))
    }

    async fn probe(&self, net: &Net, attempt: &Attempt) -> Result<Ready, Reason> {
        Context::new(self, net, attempt)?.run().await
    }
}

/// An error if the login cannot work as it is given. `wanted` says that `#login` is.
fn check_login(info: &Info, has_password: bool, wanted: bool) -> Result<()> {
    let needs_user = info.mechanism != Mechanism::X509;
    if info.user.is_none() && needs_user && (has_password || wanted) {
        bail!("the user of the login is missing ({FORM})");
    }
    if wanted && needs_user && !has_password {
        bail!("the password of the login is missing (expected mongodb://USER:PASSWORD@HOST or #password=@FILE)");
    }
    match info.mechanism {
        Mechanism::X509 if !info.options.has_identity() => {
            bail!(
                "authMechanism=MONGODB-X509 needs a client's certificate (expected tlsCertificateKeyFile=FILE, or #cert=FILE and #key=FILE)"
            )
        }
        Mechanism::X509 if has_password => {
            bail!("authMechanism=MONGODB-X509 takes no password: the certificate is the login ({FORM})")
        }
        Mechanism::X509 if info.source.as_deref().is_some_and(|source| source != "$external") => {
            bail!("authMechanism=MONGODB-X509 takes no authSource= but $external ({FORM})")
        }
        Mechanism::Plain if !info.tls || info.verified != Verified::Full => {
            bail!(
                "authMechanism=PLAIN sends the password itself, so it needs TLS with a verified certificate (expected tls=true)"
            )
        }
        _ => Ok(()),
    }
}

impl MongoDb {
    /// Tries one connection, for the fuzzers.
    pub(crate) async fn over(&self, stream: Stream, net: &Net, attempt: &Attempt) -> Result<Ready, Reason> {
        Context::new(self, net, attempt)?.over(stream).await
    }
}

impl fmt::Display for MongoDb {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", crate::text::printable(&self.info.shown), self.shown)
    }
}
