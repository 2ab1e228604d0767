//! Parses libpq's connection URIs: from a text to hosts, login and TLS. Pure.
//!
//! waitgate splits the text first and replaces each `$(NAME)` afterwards, so a value may hold any character.
//! No message repeats any part of the text: a misplaced part may be the end of a password.

use std::net::IpAddr;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};

use super::FORM;
use super::auth::RequireAuth;
use super::jdbc;
use super::params::{self, Params, Path};
use super::restrict;
use super::server::{HostOrFolder, Server};
use super::session::{self, Session};
use super::sslmode::{self, RootCert, SslMode};
use crate::env::{self, Env, Fill};
use crate::kind::Parts;
use crate::kind::path::SOCKET_PATH_MAX;
use crate::net::address::{self, Host};
use crate::secret::{Form, HIDDEN, Secret};
use crate::text::InForm as _;

#[cfg(test)]
pub(super) mod tests;

/// PostgreSQL's port (libpq: DEF_PGPORT).
const DEFAULT_PORT: u16 = 5432;

/// The user if neither the target nor the environment names one.
///
/// libpq takes the name of the operating system's user, which a container often does not have. waitgate must never ask
/// for it (getpwuid).
const DEFAULT_USER: &str = "postgres";

/// libpq's `channel_binding`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Binding {
    /// Never bind the login to the certificate.
    Disable,
    /// Bind it if the server offers that.
    Prefer,
    /// Bind it, or do not log in.
    Require,
}

/// Everything that the target and the environment say about the connection.
#[derive(Clone, Debug)]
pub(super) struct ConnectionInfo {
    pub(super) servers: Vec<Server>,
    pub(super) user: String,
    pub(super) password: Option<Secret>,
    /// `passfile=` or PGPASSFILE. It counts only if there is no password.
    pub(super) passfile: Option<Path>,
    pub(super) database: Option<String>,
    pub(super) ssl_mode: SslMode,
    #[cfg_attr(not(feature = "tls"), expect(dead_code, reason = "without TLS there is no certificate"))]
    pub(super) root_cert: RootCert,
    /// The files of `sslcert` and `sslkey`. waitgate reads them again for each attempt.
    pub(super) identity: Option<(Path, Path)>,
    pub(super) application_name: Option<String>,
    pub(super) options: Option<String>,
    pub(super) connect_timeout: Option<Duration>,
    pub(super) binding: Binding,
    pub(super) session: Session,
    /// Which authentication requests may be answered.
    pub(super) require_auth: RequireAuth,
    /// Whether TLS 1.2 is forbidden.
    #[cfg_attr(not(feature = "tls"), expect(dead_code, reason = "without TLS there is no version of it"))]
    pub(super) tls13_only: bool,
    /// The `search_path` for the target's query.
    pub(super) search_path: Option<String>,
    /// A warning for each parameter that waitgate does not use.
    pub(super) ignored: Vec<String>,
    /// The address as the log shows it.
    pub(super) shown: String,
}

/// The parts of a URI, with each `$(NAME)` as written in the target. No Debug: one of them is the password.
#[derive(Default)]
struct Raw<'a> {
    user: &'a str,
    password: &'a str,
    hosts: &'a str,
    database: &'a str,
    query: &'a str,
}

impl ConnectionInfo {
    /// Parses what follows the kind's colon. libpq's environment variables fill in what it leaves out.
    pub(super) fn parse(parts: &Parts<'_>) -> Result<Self> {
        let fill = parts.fill;
        let address = if parts.jdbc { jdbc::address(parts.address) } else { parts.address.into() };
        let raw = Raw::split(&address)?;
        // The JDBC driver reads none of libpq's variables.
        let none = Env::default();
        let params = Params::parse(raw.query, fill, if parts.jdbc { &none } else { parts.given.env })?;

        let database = match params.in_url("dbname") {
            None if !raw.database.is_empty() => Some(decoded(raw.database, "the database", fill)?),
            _ => params.get("dbname")?,
        };
        let user = match params.in_url("user") {
            None if !raw.user.is_empty() => Some(decoded(raw.user, "the user", fill)?),
            _ => params.get("user")?,
        };
        let password = match params.in_url("password") {
            None if !raw.password.is_empty() => Some(decoded(raw.password, "the password", fill)?),
            _ => params.get("password")?,
        };
        let servers = servers(&raw, &params, fill)?;
        // All of `env:NAME` may be secret, except where waitgate connects.
        let whole = params::from_variable(fill);
        let shown = {
            let show = |name, raw: &str, value: &Option<String>| {
                value.as_ref().map(|value| match params.shown(name) {
                    Some(shown) => shown.to_owned(),
                    // From libpq's variable.
                    None if raw.is_empty() => value.clone(),
                    None if whole => HIDDEN.to_owned(),
                    None if env::refers(raw) => raw.to_owned(),
                    None => value.clone(),
                })
            };
            let user = show("user", raw.user, &user).map(|user| user + "@").unwrap_or_default();
            let database = show("dbname", raw.database, &database).map(|name| format!("/{name}"));
            let servers: Vec<String> = servers.iter().map(ToString::to_string).collect();
            let servers = servers.join(",");
            match (user, database) {
                // The short form, if the environment adds neither a user nor a database.
                (user, None) if user.is_empty() && !address.starts_with("//") => format!("postgres:{servers}"),
                (user, database) => format!("postgres://{user}{servers}{}", database.unwrap_or_default()),
            }
        };
        let (ssl_mode, root_cert) = sslmode::choose(&params, parts.given.ca_file, parts.jdbc)?;
        let socket = servers.iter().any(|server| matches!(server.host, HostOrFolder::Folder(_)));
        let restrict::Restrictions { require_auth, tls13_only, no_certificate } =
            restrict::restrictions(&params, socket)?;
        let identity = sslmode::identity(&params)?.filter(|_| !no_certificate);
        let binding = params.choice(
            "channel_binding",
            &[("disable", Binding::Disable), ("prefer", Binding::Prefer), ("require", Binding::Require)],
            Binding::Prefer,
        )?;
        if binding == Binding::Require && ssl_mode == SslMode::Disable {
            bail!("channel_binding=require needs TLS, which sslmode=disable forbids ({FORM})");
        }
        // The values of `$(NAME)` are noted already, and so is the login in the URL.
        if let Some(password) = &password {
            fill.note(password);
        }
        if whole {
            let in_url = |name| params.in_url(name).unwrap_or_default();
            let database = decoded(raw.database, "the database", fill)?;
            let others = ["user", "dbname", "options", "application_name"].map(in_url);
            [database].iter().chain(&others).for_each(|value| fill.note_as(Form::Word, value));
        }
        Ok(Self {
            servers,
            user: user.unwrap_or_else(|| DEFAULT_USER.to_owned()),
            password: password.map(Secret::new),
            passfile: params.path("passfile")?,
            database,
            ssl_mode,
            root_cert,
            identity,
            application_name: params.get("application_name")?,
            options: params.get("options")?,
            connect_timeout: connect_timeout(&params)?,
            binding,
            session: session::choose(&params)?,
            require_auth,
            tls13_only,
            search_path: search_path(&params),
            ignored: params.ignored,
            shown,
        })
    }
}

impl ConnectionInfo {
    /// Whether TLS needs files that only this target names.
    #[cfg(feature = "tls")]
    pub(super) fn names_tls_files(&self) -> bool {
        let verified = matches!(self.ssl_mode, SslMode::VerifyCa | SslMode::VerifyFull);
        self.ssl_mode != SslMode::Disable
            && (self.identity.is_some() || verified && matches!(self.root_cert, RootCert::File(_)))
    }
}

impl<'a> Raw<'a> {
    fn split(address: &'a str) -> Result<Self> {
        let url = address.strip_prefix("//");
        if url.is_none() && address.contains('=') && !address.contains('?') {
            bail!("found libpq's keywords (host=… user=…): write a URL in their place ({FORM})");
        }
        if address.contains(char::is_whitespace) {
            bail!("found a blank: in a URL a blank is written %20 ({FORM})");
        }
        address::refuse_service_link(url.unwrap_or(address)).in_form(FORM)?;
        let Some(url) = url else {
            if address.contains(['@', '/', '?', ',']) {
                bail!("more than a host and a port needs the form with // ({FORM})");
            }
            if address::split(address).1.is_none() && !address.ends_with(']') {
                bail!("the port is missing in postgres:HOST:PORT ({FORM})");
            }
            if !address.is_empty() && address::split(address).1.is_none() {
                bail!("the port is missing ({FORM})");
            }
            return Ok(Self { hosts: address, ..Self::default() });
        };
        let (authority, tail) = url.split_at(url.find(['/', '?']).unwrap_or(url.len()));
        let (path, query) = tail.split_once('?').unwrap_or((tail, ""));
        if authority.matches('@').count() > 1 && authority.contains(',') {
            bail!(
                "found more than one '@' before the path: one login, before the first host, is for all hosts (USER:PASSWORD@HOST,HOST); an '@' in a user or password is written %40 ({FORM})"
            );
        }
        let (userinfo, hosts) = address::userinfo(authority).in_form(FORM)?;
        // A raw '/' ends the host, as in libpq. An '@' after it shows that the '/' belongs to a password.
        if path.contains('@') {
            bail!(
                "found '@' after a '/': in a password '/' is written %2F, in a database's name '@' is written %40 ({FORM})"
            );
        }
        let (user, password) =
            userinfo.unwrap_or_default().split_once(':').unwrap_or((userinfo.unwrap_or_default(), ""));
        Ok(Self { user, password, hosts, database: path.strip_prefix('/').unwrap_or(path), query })
    }
}

/// Decodes one part of the URI, and replaces each `$(NAME)` in it. A message calls the part `what`.
fn decoded(raw: &str, what: &str, fill: Fill<'_>) -> Result<String> {
    let text = fill.decoded(raw).with_context(|| what.to_owned()).in_form(FORM)?;
    params::without_nul(text, what)
}

/// The servers in their order: from the query, the authority or the environment.
fn servers(raw: &Raw<'_>, params: &Params<'_>, fill: Fill<'_>) -> Result<Vec<Server>> {
    let fallback = ports(params)?;
    let hostaddrs = match params.get("hostaddr")? {
        None => Vec::new(),
        Some(list) => list.split(',').map(hostaddr).collect::<Result<Vec<_>>>()?,
    };
    let mut hosts: Vec<(HostOrFolder, Option<u16>)> = Vec::new();
    // `host=` in the query overrides the authority, as in libpq.
    let in_authority = params.in_url("host").is_none() && !raw.hosts.is_empty();
    if in_authority && !raw.hosts.starts_with(':') {
        for one in raw.hosts.split(',') {
            let (host, port) = address::split(one);
            if host.is_empty() {
                bail!("the host is missing ({FORM})");
            }
            let host = self::host(&decoded(host, "the host", fill)?)?;
            let port = match port {
                None => None,
                Some(port) => {
                    let port = fill.plain(port).in_form(FORM)?;
                    Some(address::port(&port).in_form(FORM)?)
                }
            };
            hosts.push((host, port));
        }
    } else if let Some(list) = params.get("host")? {
        for one in list.split(',') {
            hosts.push((host(one)?, None));
        }
        // The authority may still hold the port: postgres://:5433/shop?host=db.
        if let Some(port) = raw.hosts.strip_prefix(':') {
            let port = address::port(&fill.plain(port).in_form(FORM)?).in_form(FORM)?;
            for (_, own_port) in &mut hosts {
                *own_port = Some(port);
            }
        }
    } else {
        hosts.extend(hostaddrs.iter().map(|ip| (HostOrFolder::Host(Host::Ip(*ip)), None)));
    }
    if hosts.is_empty() {
        bail!("the host is missing, and neither host= nor PGHOST names one ({FORM})");
    }
    if !hostaddrs.is_empty() && hostaddrs.len() != hosts.len() {
        bail!("hostaddr= needs one address for each host ({FORM})");
    }
    if fallback.len() > 1 && fallback.len() != hosts.len() {
        bail!("port= needs one port, or one for each host ({FORM})");
    }
    let port_of = |at: usize| fallback.get(at).or(fallback.first()).copied().flatten().unwrap_or(DEFAULT_PORT);
    let mut servers = Vec::with_capacity(hosts.len());
    for (at, (host, port)) in hosts.into_iter().enumerate() {
        let port = port.unwrap_or_else(|| port_of(at));
        if matches!(&host, HostOrFolder::Folder(folder) if Server::socket_path(folder, port).len() > SOCKET_PATH_MAX) {
            bail!("the path of a unix socket has at most {SOCKET_PATH_MAX} bytes ({FORM})");
        }
        servers.push(Server { host, hostaddr: hostaddrs.get(at).copied(), port });
    }
    Ok(servers)
}

fn host(text: &str) -> Result<HostOrFolder> {
    // For libpq a text that begins with '@' is one of Linux's abstract sockets. They do not reach other containers.
    if text.starts_with('/') {
        return Ok(HostOrFolder::Folder(text.to_owned()));
    }
    Host::parse(text).map(HostOrFolder::Host).in_form(FORM)
}

fn hostaddr(text: &str) -> Result<IpAddr> {
    match text.parse() {
        Ok(ip) => Ok(ip),
        Err(_) => bail!("hostaddr= takes only IP addresses ({FORM})"),
    }
}

/// `port=` or PGPORT: one port for all hosts, or one for each host. An empty one is the default port.
fn ports(params: &Params<'_>) -> Result<Vec<Option<u16>>> {
    let Some(list) = params.get("port")? else { return Ok(Vec::new()) };
    let one = |text: &str| {
        if text.is_empty() { Ok(None) } else { address::port(text).map(Some).context("port= or PGPORT").in_form(FORM) }
    };
    list.split(',').map(one).collect()
}

/// The search path that the application's URL asks for: one schema in Prisma's URLs, a list in pgx's and JDBC's.
fn search_path(params: &Params<'_>) -> Option<String> {
    let schema = params.in_url("schema").map(|schema| format!("\"{}\"", schema.replace('"', "\"\"")));
    schema.or_else(|| params.in_url("search_path")).or_else(|| params.in_url("currentSchema"))
}

/// libpq counts in seconds. Zero or less means no timeout.
fn connect_timeout(params: &Params<'_>) -> Result<Option<Duration>> {
    let Some(text) = params.get("connect_timeout")? else { return Ok(None) };
    match text.parse::<i32>() {
        Ok(seconds) => Ok(u64::try_from(seconds).ok().filter(|seconds| *seconds > 0).map(Duration::from_secs)),
        Err(_) => bail!("connect_timeout= takes a whole number of seconds ({FORM})"),
    }
}
