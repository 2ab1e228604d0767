//! `redis:` and `rediss:`: the server answers PING, or, if the target has a password, the login works.

mod errors;
mod params;
mod probe;
mod resp;
mod role;
mod session;
mod tls;
mod uri;

use std::fmt;

use anyhow::{Result, bail};

use super::credentials::{PASSWORD, PasswordFile, password_file};
use super::expect::Spec;
use super::tls_options::{self, TlsOptions};
use super::{Kind, Parts, Ready, gone};
use crate::attempt::Attempt;
use crate::net::Net;
use crate::net::sniff::Protocol;
use crate::reason::Reason;
use probe::Context;
use role::Wanted;
use tls::Tls;
use uri::Location;

/// Whether a target needs a login.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Login {
    /// No: a server that asks for a password is ready, if the target has none.
    Optional,
    /// `#role=` and `#cluster` need one, if the server has a password.
    Needed,
    /// `#login`: a server without a password is not ready, if the target has one.
    Given,
}

/// One Redis server, or one of its relatives that speak RESP2: Valkey, KeyDB, Dragonfly.
#[derive(Clone, Debug)]
pub(crate) struct Redis {
    location: Location,
    tls: Tls,
    password_file: Option<PasswordFile>,
    login: Login,
    role: Option<Wanted>,
    cluster: bool,
    gone: bool,
    /// The expectations as the log shows them.
    shown: String,
}

impl Kind for Redis {
    const NAMES: &'static [&'static str] = &["redis", "rediss", "valkey", "valkeys"];
    /// Of lettuce, and of tools that name the socket or the Sentinels.
    const ALSO: &'static [&'static str] = &[
        "redis+ssl",
        "redis+tls",
        "redis+socket",
        "redis-socket",
        "redis+unix",
        "redis-sentinel",
        "redis+sentinel",
        "rediss+sentinel",
        "rediss-sentinel",
    ];
    const FORM: &'static str = "redis:HOST:PORT";
    const HELP: &'static [(&'static str, &'static str)] = &[
        ("redis:HOST:PORT", "the server answers PING (rediss: for TLS)"),
        ("redis://USER:PASSWORD@HOST/DB", "the login works, and the server answers PING"),
    ];
    const EXPECTATIONS: &'static [Spec] = &[
        Spec::flag("login").says("the login must work; a server that only asks for a password is not ready"),
        Spec::value("role", "primary|replica").says("the server is a primary or a replica"),
        Spec::flag("cluster").says("the cluster serves: cluster_state is ok"),
        PASSWORD,
        tls_options::CA,
        tls_options::CERT,
        tls_options::KEY,
        tls_options::SERVERNAME,
        tls_options::INSECURE,
        gone::GONE,
    ];
    const SPEAKS: &'static [(Protocol, &'static str)] = &[(Protocol::Redis, "redis")];

    fn parse(parts: &Parts<'_>) -> Result<Self> {
        let location = Location::parse(parts)?;
        let it = &parts.expectations;
        if location.tls && cfg!(not(feature = "tls")) {
            bail!("this build has no TLS: a cargo feature left it out (expected redis:HOST:PORT)");
        }
        if let Some(given) = TlsOptions::given(it).filter(|_| !location.tls) {
            bail!("#{given}: redis: does not speak TLS (expected rediss://HOST[:PORT])");
        }
        let role = match it.get("role") {
            None => None,
            Some("primary") => Some(Wanted::Primary),
            Some("replica") => Some(Wanted::Replica),
            Some(_) => bail!("#role: the value is unknown (expected #role=primary or #role=replica)"),
        };
        let password_file = password_file(it, location.password.is_some())?;
        let cluster = it.has("cluster");
        let gone = gone::is_given(it, Self::EXPECTATIONS)?;
        let login = match (it.has("login"), role.is_some() || cluster) {
            (true, _) => Login::Given,
            (false, true) => Login::Needed,
            (false, false) => Login::Optional,
        };
        if login != Login::Optional && location.one_word {
            bail!(
                "found one word before the '@': for some drivers it is the user, for others the password (expected redis://USER:PASSWORD@HOST or redis://:PASSWORD@HOST)"
            );
        }
        let tls = Tls::parse(&location.params, it)?;
        Ok(Self { location, tls, password_file, login, role, cluster, gone, shown: it.shown() })
    }

    fn warnings(&self) -> Vec<String> {
        let mut warnings = self.location.params.warnings();
        if self.location.one_word && !self.gone {
            warnings.push(
                "one word is before the '@', which some drivers take for the user and others for the password: waitgate does not log in with it (write USER:PASSWORD@ or :PASSWORD@)"
                    .to_owned(),
            );
        }
        if self.tls.is_insecure() {
            warnings.push(tls_options::INSECURE_WARNING.to_owned());
        }
        warnings
    }

    fn ready_when(&self) -> String {
        let logs_in = self.location.password.is_some() || self.password_file.is_some();
        if logs_in { "the login works, and the server answers PING" } else { "the server answers PING" }.to_owned()
    }

    fn uses_tls(&self) -> bool {
        self.location.tls
    }

    async fn probe(&self, net: &Net, attempt: &Attempt) -> Result<Ready, Reason> {
        let context = Context { target: self, net, attempt };
        if self.gone { context.gone().await } else { context.run().await }
    }
}

impl fmt::Display for Redis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", crate::text::printable(&self.location.to_string()), self.shown)
    }
}

/// Reads every reply in `data`, for the fuzzer. Whatever it holds, what is kept is within bounds.
///
/// # Panics
/// If it is not.
pub(crate) fn replies(data: &[u8]) {
    use futures_util::FutureExt as _;
    use resp::{ELEMENTS_MAX, Reader, Reply};
    let mut stream = data;
    let mut reader = Reader::default();
    while let Some(Ok(reply)) = reader.next(&mut stream).now_or_never() {
        let kept = match &reply {
            Reply::Number(_) => 0,
            Reply::Simple(text) | Reply::Error(text) | Reply::Bulk(text) => text.len(),
            Reply::Array(items) => {
                assert!(items.len() <= ELEMENTS_MAX);
                items.iter().map(String::len).sum()
            }
        };
        // A byte that is not UTF-8 becomes a character of three bytes.
        assert!(kept <= 3 * data.len());
        let _ =
            (role::Role::of_role(&reply), role::Role::of_info(&reply), role::progress(&reply), role::cluster(&reply));
        if let Reply::Error(said) = &reply {
            let _ = errors::Meaning::of(said);
        }
    }
}
