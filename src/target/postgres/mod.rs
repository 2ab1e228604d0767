//! `postgres:`: the server accepts connections, or the login succeeds.

#[cfg(feature = "tls")]
mod binding;
mod conninfo;
mod frame;
mod login;
mod negotiate;
mod params;
mod ping;
mod query;
mod refusal;
#[cfg(test)]
mod tests;
mod wire;

use std::fmt;
use std::net::SocketAddr;
use std::path::Path;

use anyhow::{Result, bail};
use tokio::time::{self, Instant};

use super::expect::Spec;
use super::{Parts, Ready, file};
use crate::net::Net;
use crate::net::connect::{self, race};
use crate::net::stream::Stream;
use crate::reason::{Code, Reason};
use crate::secret::Secret;
use crate::trail::Trail;
use conninfo::{Conninfo, Place, Session, SslMode};
use negotiate::{Unopened, Way};

/// What `postgres:` expects beyond the common ones.
pub const EXPECTATIONS: &[Spec] = &[
    Spec::flag("login"),
    Spec::value("role", "primary|standby"),
    Spec::value("query", "SQL"),
    Spec::value("password", "@FILE"),
];

/// What a session calls itself in the server's log, unless the target says otherwise.
const APPLICATION: &str = "waitgate";

/// The longest password file, in bytes.
const PASSWORD_MAX: u64 = 64 * 1024;

/// The longest CA file, in bytes: a whole system's bundle is a quarter of it.
#[cfg(feature = "tls")]
const CA_MAX: u64 = 1024 * 1024;

/// A PostgreSQL server.
#[derive(Clone, Debug)]
pub struct Postgres {
    info: Conninfo,
    login: bool,
    password_file: Option<String>,
    query: Option<String>,
    shown: String,
}

/// Why one session failed, with the SQLSTATE if it was the server's word.
struct Failed {
    reason: Reason,
    code: String,
}

impl Failed {
    fn here(reason: Reason) -> Self {
        Self { reason, code: String::new() }
    }
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
        let password_file = match expectations.get("password").map(|value| value.strip_prefix('@')) {
            None => None,
            Some(Some(path)) if !path.is_empty() => Some(path.to_owned()),
            Some(_) => bail!(
                "expected #password=@FILE, the file that holds the password: a password itself stands in the URL or in PGPASSWORD"
            ),
        };
        let login = info.password.is_some()
            || password_file.is_some()
            || expectations.has("login")
            || query.is_some()
            || info.session != Session::Any;
        Ok(Self { info, login, password_file, query, shown: expectations.shown(&[]) })
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
        let password = self.password()?;
        let places = &self.info.places;
        let mut failed = Vec::new();
        for (at, place) in places.iter().enumerate() {
            // A silent server must not use up what the next ones need.
            let until = share(trail.until(), places.len() - at);
            let until = self.info.connect_timeout.map_or(until, |bound| until.min(Instant::now() + bound));
            let outcome = match (at + 1 == places.len(), self.info.connect_timeout) {
                // The last one has all that is left, and the gate cuts it off.
                (true, None) => self.at_place(place, until, password.as_ref(), net, trail).await,
                _ => time::timeout_at(until, self.at_place(place, until, password.as_ref(), net, trail))
                    .await
                    .unwrap_or_else(|_| Err(trail.cut_off())),
            };
            match outcome {
                Ok(ready) => return Ok(ready),
                Err(reason) => failed.push((place, reason)),
            }
        }
        Err(most_telling(failed))
    }

    /// Probes each address of one server until one is ready.
    async fn at_place(
        &self,
        place: &Place,
        until: Instant,
        password: Option<&Secret>,
        net: &Net,
        trail: &Trail,
    ) -> Result<Ready, Reason> {
        let mut addresses = match place.hostaddr {
            Some(ip) => vec![SocketAddr::new(ip, place.port)],
            None => connect::resolve(net, &place.host, place.port, trail).await?,
        };
        let mut failed: Vec<(SocketAddr, Reason)> = Vec::new();
        while !addresses.is_empty() {
            let stream = match race(&addresses, trail, |address| connect::one(address, trail)).await {
                Ok(stream) => stream,
                Err(mut each) => {
                    failed.append(&mut each);
                    break;
                }
            };
            let peer = stream.peer();
            let session = self.session(place, stream, password, net, trail);
            let outcome = if addresses.len() == 1 {
                session.await
            } else {
                let outcome = time::timeout_at(share(until, addresses.len()), session).await;
                outcome.unwrap_or_else(|_| Err(trail.cut_off()))
            };
            match outcome {
                Ok(ready) => return Ok(ready),
                Err(reason) => failed.push((peer, reason)),
            }
            addresses.retain(|address| *address != peer);
        }
        Err(connect::explain(net, &place.host, &failed))
    }

    /// Probes one address, and once more the other way where sslmode has two and the first one failed.
    async fn session(
        &self,
        place: &Place,
        stream: Stream,
        password: Option<&Secret>,
        net: &Net,
        trail: &Trail,
    ) -> Result<Ready, Reason> {
        let peer = stream.peer();
        let (way, other) = negotiate::ways(self.info.ssl_mode);
        let (first, again) = match self.one_way(way, place, stream, password, net, trail).await {
            Ok(ready) => return Ok(ready),
            Err(outcome) => outcome,
        };
        let Some(other) = other.filter(|_| again) else { return Err(first) };
        let stream = connect::one(peer, trail).await?;
        match self.one_way(other, place, stream, password, net, trail).await {
            Ok(ready) => Ok(ready),
            Err((second, _)) => {
                let with = if way == Way::Plain { "without TLS" } else { "with TLS" };
                let text = format!("{}; before that, {with}: {}", second.text(), first.text());
                Err(Reason::new(second.code(), text).class(second.cost()).hint(second.hinted()).key(second.code()))
            }
        }
    }

    /// Probes over one connection; a failure comes with whether the other way may cure it.
    async fn one_way(
        &self,
        way: Way,
        place: &Place,
        stream: Stream,
        password: Option<&Secret>,
        net: &Net,
        trail: &Trail,
    ) -> Result<Ready, (Reason, bool)> {
        let peer = stream.peer();
        let opened = match negotiate::open(self, way, place, stream, net, trail).await {
            Ok(opened) => opened,
            Err(Unopened::Handshake(reason)) => return Err((reason, true)),
            Err(Unopened::Reason(reason)) => return Err((reason, false)),
            Err(Unopened::Said(error)) => return Err((refusal::reason(peer, &error), false)),
        };
        let encrypted = opened.encrypted;
        let outcome = if self.login {
            login::login(self, opened.stream, password, trail).await
        } else {
            ping::ping(self, opened.stream, trail).await
        };
        outcome.map_err(|failed| {
            // pg_hba.conf may let in by one way only (hostssl, hostnossl), and then says 28000.
            let again = failed.code == "28000" && encrypted == (way == Way::Offered);
            (failed.reason, again)
        })
    }

    /// The password as it is now.
    fn password(&self) -> Result<Option<Secret>, Reason> {
        let Some(path) = &self.password_file else { return Ok(self.info.password.clone()) };
        let what = format!("#password=@{path}");
        let content = file::read(Path::new(path), PASSWORD_MAX, &what)?;
        match String::from_utf8(content) {
            // An editor's last newline is not part of it.
            Ok(text) => match text.trim_end_matches(['\r', '\n']) {
                "" => Err(Reason::new(Code::LocalFile, format!("{what} is empty")).key("empty")),
                password => Ok(Some(Secret::new(password))),
            },
            Err(_) => Err(Reason::new(Code::LocalFile, format!("{what} is not UTF-8 text")).key("utf-8")),
        }
    }

    #[cfg(feature = "tls")]
    fn tls_config(&self, net: &Net) -> Result<std::sync::Arc<rustls::ClientConfig>, Reason> {
        use crate::net::tls::{self, Roots, Verify, Wants};
        let verify = match self.info.ssl_mode {
            SslMode::VerifyFull => Verify::Full,
            SslMode::VerifyCa => Verify::Chain,
            _ => Verify::Nothing,
        };
        let roots = match &self.info.root_cert {
            _ if verify == Verify::Nothing => Roots::Mozilla,
            conninfo::RootCert::Unset => Roots::Run,
            conninfo::RootCert::System => Roots::Mozilla,
            conninfo::RootCert::File(path) => {
                let what = format!("sslrootcert={path}");
                let pem = file::read(Path::new(path), CA_MAX, &what)?;
                let parsed = tls::certificates(&pem);
                Roots::Only(parsed.map_err(|error| {
                    Reason::new(Code::LocalFile, format!("{what} cannot be used: {error}")).key("pem")
                })?)
            }
        };
        net.tls
            .config_for(Wants { verify, roots, identity: None })
            .map_err(|error| Reason::new(Code::LocalFile, error.to_string()).key("identity"))
    }
}

/// The instant at which the first of `left` contenders has used up its share of what remains until `end`.
fn share(end: Instant, left: usize) -> Instant {
    let now = Instant::now();
    let left = u32::try_from(left).unwrap_or(u32::MAX).max(1);
    now + end.saturating_duration_since(now) / left
}

/// One reason for several servers: the one that got furthest, and what the others did.
fn most_telling(failed: Vec<(&Place, Reason)>) -> Reason {
    let several = failed.len() > 1;
    let text: Vec<String> =
        failed.iter().map(|(place, reason)| format!("{}:{}: {}", place.host, place.port, reason.text())).collect();
    let main = failed.into_iter().map(|(_, reason)| reason).max_by_key(Reason::stage);
    match main {
        Some(main) if several => {
            Reason::new(main.code(), text.join("; ")).class(main.cost()).hint(main.hinted()).key(main.code())
        }
        Some(main) => main,
        None => Reason::new(Code::ResolveNoAddresses, "no host to connect to"),
    }
}

impl fmt::Display for Postgres {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", crate::reason::printable(&self.info.shown), self.shown)
    }
}

impl fmt::Display for SslMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Disable => "disable",
            Self::Allow => "allow",
            Self::Prefer => "prefer",
            Self::Require => "require",
            Self::VerifyCa => "verify-ca",
            Self::VerifyFull => "verify-full",
        })
    }
}
