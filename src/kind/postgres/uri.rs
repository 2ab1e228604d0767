//! libpq's connection URIs as people write them: text in, hosts, login and TLS out. Pure.
//!
//! The raw text is split first and filled afterwards, so that a value may hold any character.
//! No message repeats anything that stood in it: a piece out of place may be the tail of a password.

use std::fmt;
use std::net::IpAddr;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};

use super::params::{self, Params};
use super::sslmode::{self, RootCert, SslMode};
use crate::env::{self, Fill};
use crate::kind::Parts;
use crate::net::address::{self, Host};
use crate::secret::Secret;
use crate::text::InForm as _;

#[cfg(test)]
pub(super) mod tests;

/// The form that begins every message.
pub(super) const FORM: &str = "expected postgres://[USER[:PASSWORD]@]HOST[:PORT][/DATABASE] or postgres:HOST:PORT";

/// PostgreSQL's port (libpq: DEF_PGPORT).
const PORT: u16 = 5432;

/// The user where nobody names one. libpq takes the operating system's name for the process, which a
/// container often does not have; it must never be asked for (getpwuid).
const USER: &str = "postgres";

/// What stands for one server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Server {
    /// Its name or address: what is looked up, and what its certificate must be for.
    Host(Host),
    /// The folder of its unix socket.
    Folder(String),
}

/// Where one server is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Place {
    /// What stands for it.
    pub(super) server: Server,
    /// `hostaddr=`: where to connect instead of looking the name up.
    pub(super) hostaddr: Option<IpAddr>,
    /// Its port, which is in a unix socket's name too.
    pub(super) port: u16,
}

/// libpq's `channel_binding`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Binding {
    /// Never.
    Disable,
    /// Where it can be had.
    Prefer,
    /// Or no login.
    Require,
}

/// libpq's `target_session_attrs`, and `#role=`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Session {
    /// Any server will do (`any`, `prefer-standby`).
    Any,
    /// One that takes writes.
    ReadWrite,
    /// One that does not.
    ReadOnly,
    /// One that is not in recovery.
    Primary,
    /// One that is in hot standby.
    Standby,
}

/// All that a target and the environment say about a connection.
#[derive(Clone, Debug)]
pub(super) struct Conninfo {
    pub(super) places: Vec<Place>,
    pub(super) user: String,
    pub(super) password: Option<Secret>,
    /// `passfile=` or PGPASSFILE, which counts where no password is given.
    pub(super) passfile: Option<String>,
    pub(super) database: Option<String>,
    pub(super) ssl_mode: SslMode,
    #[cfg_attr(not(feature = "tls"), expect(dead_code, reason = "there is nothing to verify then"))]
    pub(super) root_cert: RootCert,
    /// `sslcert` and `sslkey`: files, read anew each attempt.
    pub(super) identity: Option<(String, String)>,
    pub(super) application_name: Option<String>,
    pub(super) options: Option<String>,
    pub(super) connect_timeout: Option<Duration>,
    pub(super) binding: Binding,
    pub(super) session: Session,
    /// What stands in the URL and changes nothing here.
    pub(super) ignored: Vec<String>,
    /// The address as the log shows it.
    pub(super) shown: String,
}

/// The pieces of a URI, unfilled.
#[derive(Debug, Default, PartialEq, Eq)]
struct Raw<'a> {
    user: &'a str,
    password: &'a str,
    hosts: &'a str,
    database: &'a str,
    query: &'a str,
}

impl Conninfo {
    /// Parses what stands behind the kind's colon, with libpq's variables for what it leaves out.
    pub(super) fn parse(parts: &Parts<'_>) -> Result<Self> {
        let fill = parts.fill;
        let raw = Raw::split(parts.address)?;
        let params = Params::parse(raw.query, fill, parts.given.env)?;

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
        let places = places(&raw, &params, fill)?;
        let shown = {
            // A name that came out of the environment is shown as it was asked for.
            let show = |raw: &str, filled: Option<&str>| match filled {
                Some(_) if env::refers(raw) => raw.to_owned(),
                Some(filled) => filled.to_owned(),
                None => String::new(),
            };
            let user = user.as_deref().map(|user| show(raw.user, Some(user)) + "@").unwrap_or_default();
            let database = database.as_deref().map(|name| format!("/{}", show(raw.database, Some(name))));
            let places: Vec<String> = places.iter().map(ToString::to_string).collect();
            let server = places.join(",");
            match (user, database) {
                // As it was written, where the environment adds nothing to it.
                (user, None) if user.is_empty() && !parts.address.starts_with("//") => format!("postgres:{server}"),
                (user, database) => format!("postgres://{user}{server}{}", database.unwrap_or_default()),
            }
        };
        let (ssl_mode, root_cert) = sslmode::choose(&params, parts.given.ca_file)?;
        let binding = params.choice(
            "channel_binding",
            &[("disable", Binding::Disable), ("prefer", Binding::Prefer), ("require", Binding::Require)],
            Binding::Prefer,
        )?;
        if binding == Binding::Require && ssl_mode == SslMode::Disable {
            bail!("channel_binding=require needs TLS, which sslmode=disable forbids ({FORM})");
        }
        Ok(Self {
            places,
            user: user.unwrap_or_else(|| USER.to_owned()),
            password: password.map(Secret::new),
            passfile: params.get("passfile")?,
            database,
            ssl_mode,
            root_cert,
            identity: sslmode::identity(&params)?,
            application_name: params.get("application_name")?,
            options: params.get("options")?,
            connect_timeout: connect_timeout(&params)?,
            binding,
            session: params.choice(
                "target_session_attrs",
                &[
                    ("any", Session::Any),
                    ("read-write", Session::ReadWrite),
                    ("read-only", Session::ReadOnly),
                    ("primary", Session::Primary),
                    ("standby", Session::Standby),
                    ("prefer-standby", Session::Any),
                ],
                Session::Any,
            )?,
            ignored: params.ignored,
            shown,
        })
    }
}

impl Conninfo {
    /// Whether TLS needs files of this target's own.
    #[cfg(feature = "tls")]
    pub(super) fn names_tls_files(&self) -> bool {
        let verified = matches!(self.ssl_mode, SslMode::VerifyCa | SslMode::VerifyFull);
        self.ssl_mode != SslMode::Disable
            && (self.identity.is_some() || verified && matches!(self.root_cert, RootCert::File(_)))
    }
}

/// The default folder of the sockets, as libpq is built upstream and by Debian: password files call both localhost.
const SOCKET_FOLDERS: [&str; 2] = ["/tmp", "/var/run/postgresql"];

impl Place {
    /// The host as a password file has it: an IPv6 address without brackets (fe-connect.c: passwordFromFile).
    pub(super) fn in_passfile(&self) -> String {
        match &self.server {
            Server::Host(Host::Ip(ip)) => ip.to_string(),
            Server::Host(Host::Name(name)) => name.clone(),
            Server::Folder(folder) if SOCKET_FOLDERS.contains(&folder.as_str()) => "localhost".into(),
            Server::Folder(folder) => folder.clone(),
        }
    }

    /// The path of the unix socket (libpq: UNIXSOCK_PATH).
    pub(super) fn socket(folder: &str, port: u16) -> String {
        format!("{}/.s.PGSQL.{port}", folder.trim_end_matches('/'))
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.server {
            Server::Host(host) => write!(f, "{host}:{}", self.port),
            // As it stands in a URI, so that it can be pasted back into one.
            Server::Folder(folder) => write!(f, "{}:{}", folder.replace('/', "%2F"), self.port),
        }
    }
}

impl<'a> Raw<'a> {
    fn split(address: &'a str) -> Result<Self> {
        let url = address.strip_prefix("//");
        if url.is_none() && address.contains('=') {
            bail!("found a keyword string such as host=… user=…: write it as a URL ({FORM})");
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
        let (userinfo, hosts) = address::userinfo(authority).in_form(FORM)?;
        // A raw '/' ends the host, as libpq has it; an '@' behind it was meant to come before it.
        if path.contains('@') {
            bail!(
                "found '@' behind a '/': in a password '/' is written %2F, in a database's name '@' is written %40 ({FORM})"
            );
        }
        let (user, password) =
            userinfo.unwrap_or_default().split_once(':').unwrap_or((userinfo.unwrap_or_default(), ""));
        Ok(Self { user, password, hosts, database: path.strip_prefix('/').unwrap_or(path), query })
    }
}

/// Fills and decodes one piece; `what` names it.
fn decoded(raw: &str, what: &str, fill: Fill<'_>) -> Result<String> {
    let text = fill.decoded(raw).with_context(|| what.to_owned()).in_form(FORM)?;
    params::without_nul(text, what)
}

/// The servers, in the order in which they stand: from the query, the authority, or the environment.
fn places(raw: &Raw<'_>, params: &Params<'_>, fill: Fill<'_>) -> Result<Vec<Place>> {
    let fallback = ports(params)?;
    let hostaddrs = match params.get("hostaddr")? {
        None => Vec::new(),
        Some(list) => list.split(',').map(hostaddr).collect::<Result<Vec<_>>>()?,
    };
    let mut places: Vec<(Server, Option<u16>)> = Vec::new();
    // `host=` in the query counts more than the authority, as libpq has it.
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
            places.push((host, port));
        }
    } else if let Some(hosts) = params.get("host")? {
        for one in hosts.split(',') {
            places.push((host(one)?, None));
        }
        // The authority may still hold the port: postgres://:5433/shop?host=db.
        if let Some(port) = raw.hosts.strip_prefix(':') {
            let port = address::port(&fill.plain(port).in_form(FORM)?).in_form(FORM)?;
            for place in &mut places {
                place.1 = Some(port);
            }
        }
    } else {
        places.extend(hostaddrs.iter().map(|ip| (Server::Host(Host::Ip(*ip)), None)));
    }
    if places.is_empty() {
        bail!("the host is missing, and neither host= nor PGHOST names one ({FORM})");
    }
    if !hostaddrs.is_empty() && hostaddrs.len() != places.len() {
        bail!("hostaddr= needs one address for each host ({FORM})");
    }
    if fallback.len() > 1 && fallback.len() != places.len() {
        bail!("port= needs one port, or one for each host ({FORM})");
    }
    let port_of = |at: usize| fallback.get(at).or(fallback.first()).copied().flatten().unwrap_or(PORT);
    let mut out = Vec::with_capacity(places.len());
    for (at, (server, port)) in places.into_iter().enumerate() {
        let port = port.unwrap_or_else(|| port_of(at));
        // unix(7): sun_path, and its final zero.
        if matches!(&server, Server::Folder(folder) if Place::socket(folder, port).len() > 107) {
            bail!("the path of a unix socket has at most 107 bytes ({FORM})");
        }
        out.push(Place { server, hostaddr: hostaddrs.get(at).copied(), port });
    }
    Ok(out)
}

fn host(text: &str) -> Result<Server> {
    // Linux's abstract sockets, which begin with '@' for libpq, do not reach across containers.
    if text.starts_with('/') {
        return Ok(Server::Folder(text.to_owned()));
    }
    Host::parse(text).map(Server::Host).in_form(FORM)
}

fn hostaddr(text: &str) -> Result<IpAddr> {
    match text.parse() {
        Ok(ip) => Ok(ip),
        Err(_) => bail!("hostaddr= takes IP addresses ({FORM})"),
    }
}

/// `port=` or PGPORT: one for every host, or one for each; an empty one is the default.
fn ports(params: &Params<'_>) -> Result<Vec<Option<u16>>> {
    let Some(list) = params.get("port")? else { return Ok(Vec::new()) };
    let one = |text: &str| {
        if text.is_empty() { Ok(None) } else { address::port(text).map(Some).context("port= or PGPORT").in_form(FORM) }
    };
    list.split(',').map(one).collect()
}

/// libpq counts in seconds; zero and less is no bound of its own.
fn connect_timeout(params: &Params<'_>) -> Result<Option<Duration>> {
    let Some(text) = params.get("connect_timeout")? else { return Ok(None) };
    match text.parse::<i32>() {
        Ok(seconds) => Ok(u64::try_from(seconds).ok().filter(|seconds| *seconds > 0).map(Duration::from_secs)),
        Err(_) => bail!("connect_timeout= takes a whole number of seconds ({FORM})"),
    }
}
