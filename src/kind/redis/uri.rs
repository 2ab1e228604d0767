//! The address of a target: the URLs of Redis' drivers, the short form HOST:PORT, and the path of a socket. Pure.
//!
//! waitgate splits the text first and replaces each `$(NAME)` afterwards, so a value may hold any character. No message
//! repeats any part of the text: a misplaced part may be the end of a password.

use std::fmt;

use anyhow::{Context as _, Result, bail};

use super::params::Params;
use crate::env::{self, Fill};
use crate::kind::Parts;
use crate::kind::credentials::PASSWORD;
use crate::kind::path::{SOCKET_PATH_MAX, takes_a_path};
use crate::net::address::{self, Host};
use crate::secret::{HIDDEN, Secret};
use crate::text::{InForm as _, printable};

/// Redis' port, with and without TLS.
const DEFAULT_PORT: u16 = 6379;

/// Databases have numbers. No server has more than this.
const DB_MAX: u32 = i32::MAX as u32;

/// Where the server listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Place {
    Tcp(Host, u16),
    /// A unix socket: its path, and the path for a person. What is in a variable may be a secret.
    Socket {
        path: String,
        name: String,
    },
}

/// How a kind's name says that the server listens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Transport {
    Plain,
    Tls,
    Socket,
}

impl Transport {
    /// `None` for a URL of Sentinels.
    ///
    /// lettuce has `redis+ssl`, `redis+tls`, `redis-socket`, `redis+socket` and `redis-sentinel` (RedisURI.java).
    pub(super) fn of(kind: &str) -> Option<Self> {
        match kind {
            "rediss" | "valkeys" | "redis+ssl" | "redis+tls" => Some(Self::Tls),
            "redis+socket" | "redis-socket" | "redis+unix" => Some(Self::Socket),
            _ if kind.ends_with("sentinel") => None,
            _ => Some(Self::Plain),
        }
    }
}

/// What a target's address says.
#[derive(Clone, Debug)]
pub(super) struct Location {
    pub(super) place: Place,
    pub(super) tls: bool,
    pub(super) user: Option<String>,
    pub(super) password: Option<Secret>,
    /// The URL has one word before its '@', and nothing else tells a password. For some drivers it is the user, and for others the password.
    pub(super) one_word: bool,
    /// The database, if it is not 0.
    pub(super) db: u32,
    pub(super) params: Params,
    /// The address as the log shows it.
    shown: String,
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.shown)
    }
}

impl Location {
    /// Parses what follows the kind's colon.
    pub(super) fn parse(parts: &Parts<'_>) -> Result<Self> {
        let (kind, fill) = (parts.kind, parts.fill);
        let form = &format!("expected {kind}://[USER][:PASSWORD]@HOST[:PORT][/DB] or {kind}:HOST:PORT");
        let Some(transport) = Transport::of(kind) else {
            bail!(
                "waitgate asks no Sentinel where the primary is: give the address of the servers (expected redis://HOST:PORT#role=primary), or wait for the Sentinels (redis:HOST:26379)"
            );
        };
        let tls = transport == Transport::Tls;
        let file = parts.expectations.has(PASSWORD.name);
        let Some(url) = parts.address.strip_prefix("//") else {
            if transport == Transport::Socket {
                return Self::socket(kind, parts.address, file, fill);
            }
            if parts.address.contains(['@', '/', '?']) {
                bail!("more than a host and a port needs the form with // ({form})");
            }
            let (host, port) = address::host_port(parts.address, &format!("{kind}:HOST:PORT"), fill)?;
            let shown = format!("{kind}:{host}:{port}");
            return Ok(Self { tls, shown, ..Self::of(Place::Tcp(host, port)) });
        };
        if transport == Transport::Socket {
            return Self::socket(kind, url, file, fill);
        }
        address::refuse_service_link(url).in_form(form)?;
        let Split { login, host: server, path, query } = Split::of(url).in_form(form)?;
        if server.contains(',') {
            bail!("found a ',': a target has one host and one port; give each its own target ({form})");
        }
        let (host, port) = address::split(server);
        if host.is_empty() {
            bail!("the host is missing ({form})");
        }
        let host = address::host(host, fill).in_form(form)?;
        let port = match port {
            None => DEFAULT_PORT,
            Some(port) => address::port_in(port, fill).in_form(form)?,
        };
        let params = Params::parse(query, form, fill)?;
        if let Some(known) = params.of_tls.filter(|_| !tls) {
            bail!("{known}= needs TLS: write {kind}s:// in place of {kind}:// ({form})");
        }
        let in_path = path.trim_matches('/');
        let db = match (&params.db, in_path) {
            // redis-py and go-redis let the parameter override the path.
            (Some(db), _) => number(db, form)?,
            (None, "") => 0,
            (None, db) => number(&fill.decoded(db).in_form(form)?, form)?,
        };
        let place = Place::Tcp(host, port);
        Ok(Self { tls, db, params, ..Self::of(place) }.with_login(login, file, form, fill)?.shown_as(kind, login, fill))
    }

    fn of(place: Place) -> Self {
        Self {
            place,
            tls: false,
            user: None,
            password: None,
            one_word: false,
            db: 0,
            params: Params::default(),
            shown: String::new(),
        }
    }

    /// Parses `[LOGIN@]/PATH[?db=N]`, with or without the `//`.
    fn socket(kind: &str, url: &str, file: bool, fill: Fill<'_>) -> Result<Self> {
        let form = &format!("expected {kind}:///PATH");
        let Split { login, host, path, query } = Split::of(url).in_form(form)?;
        if !host.is_empty() || path.is_empty() {
            bail!("the path is not absolute: an init container has its own working directory ({form})");
        }
        let raw = path;
        let path = fill.decoded(raw).in_form(form)?;
        takes_a_path(&path).in_form(form)?;
        if path.contains('\0') {
            bail!("found a NUL (%00) in the path ({form})");
        }
        if path.len() > SOCKET_PATH_MAX {
            bail!("the path is too long: the path of a socket has at most {SOCKET_PATH_MAX} bytes ({form})");
        }
        let params = Params::parse(query, form, fill)?;
        if let Some(known) = params.of_tls {
            bail!("{known}= needs TLS, which a unix socket has not ({form})");
        }
        let db = params.db.as_deref().map_or(Ok(0), |db| number(db, form))?;
        let name = match (fill.is_none(), env::refers(raw)) {
            (true, _) => HIDDEN.to_owned(),
            (false, true) => raw.to_owned(),
            (false, false) => printable(&path),
        };
        let found = Self { db, params, ..Self::of(Place::Socket { path, name }) };
        Ok(found.with_login(login, file, form, fill)?.shown_as(kind, login, fill))
    }

    /// The user and the password before the '@'. They override those after the '?', as in redis-py. `file` says whether an
    /// expectation names the file with the password.
    fn with_login(mut self, login: Option<&str>, file: bool, form: &str, fill: Fill<'_>) -> Result<Self> {
        let (user, password) = match login.unwrap_or_default().split_once(':') {
            None => (login.unwrap_or_default(), None),
            Some((user, password)) => (user, Some(password)),
        };
        let decoded = |raw: &str, what: &'static str| fill.decoded(raw).context(what).in_form(form);
        let user = Some(decoded(user, "the user")?).filter(|user| !user.is_empty());
        let password = password.map(|raw| decoded(raw, "the password")).transpose()?;
        let password = password.filter(|password| !password.is_empty()).map(Secret::new);
        self.one_word = user.is_some() && password.is_none() && self.params.password.is_none() && !file;
        if let Some(word) = user.as_deref().filter(|_| self.one_word) {
            fill.note(word);
        }
        self.user = user.or_else(|| self.params.user.clone());
        if let Some(password) = &password {
            fill.note(password.expose());
        }
        self.password = password.or_else(|| self.params.password.clone());
        Ok(self)
    }

    /// All of `env:NAME` may be secret, except where waitgate connects.
    fn shown_as(mut self, kind: &str, login: Option<&str>, fill: Fill<'_>) -> Self {
        let whole = fill.is_none();
        let raw_user = login.unwrap_or_default().split(':').next().unwrap_or_default();
        // A user after the '?' is not shown, as all that is there.
        let user = match &self.user {
            // The one word before an '@' may be the password.
            Some(_) if whole || self.one_word => format!("{HIDDEN}@"),
            Some(_) if env::refers(raw_user) => format!("{raw_user}@"),
            // Encoded where a URL needs it, so that a person can paste it into one.
            Some(user) if !raw_user.is_empty() => {
                let plain = user.chars().all(|c| c.is_ascii_alphanumeric() || "-._~".contains(c));
                format!("{}@", if plain { user } else { raw_user })
            }
            _ => String::new(),
        };
        let db = match (self.db, whole, &self.params.db) {
            (0, ..) => String::new(),
            (_, true, _) => format!("/{HIDDEN}"),
            (db, ..) => format!("/{db}"),
        };
        self.shown = match &self.place {
            Place::Tcp(host, port) => format!("{kind}://{user}{host}:{port}{db}"),
            Place::Socket { name, .. } => format!("{kind}://{user}{name}"),
        };
        self
    }
}

/// The parts of a URL behind its `//`, with each `$(NAME)` as written in the target.
struct Split<'a> {
    login: Option<&'a str>,
    host: &'a str,
    /// With its first '/'.
    path: &'a str,
    query: &'a str,
}

impl<'a> Split<'a> {
    fn of(url: &'a str) -> Result<Self> {
        let (authority, tail) = url.split_at(url.find(['/', '?']).unwrap_or(url.len()));
        let (path, query) = tail.split_once('?').unwrap_or((tail, ""));
        let (login, host) = address::userinfo(authority)?;
        // A raw '/' or '?' ends the host. An '@' after it shows that it belongs to a password.
        if path.contains('@') {
            bail!("found '@' after a '/': in a password '/' is written %2F");
        }
        if login.is_none() && query.split(['&', ';']).any(|pair| pair.contains('@') && !pair.contains('=')) {
            bail!("found '@' after a '?': in a password '?' is written %3F");
        }
        Ok(Self { login, host, path, query })
    }
}

fn number(text: &str, form: &str) -> Result<u32> {
    match text.parse() {
        Ok(db @ 0..=DB_MAX) if !text.starts_with('+') => Ok(db),
        _ => bail!("the database is not a number: Redis' databases are 0, 1, 2 and so on ({form})"),
    }
}
