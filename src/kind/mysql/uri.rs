//! Parses the address: URLs as applications have them, those of the JDBC drivers among them, and `HOST:PORT`. Pure.
//!
//! No message repeats any part of the text: a misplaced part may be the end of a password.

use std::fmt;

use anyhow::{Context as _, Result, bail};

use super::FORM;
use super::mode::{self, Mode};
use super::params::Params;
use crate::env::{self, Env, Fill};
use crate::kind::Parts;
use crate::kind::path::{SOCKET_PATH_MAX, takes_a_path};
use crate::kind::tls_options::{TlsFile, TlsOptions};
use crate::net::address::{self, Host};
use crate::secret::{HIDDEN, Secret};
use crate::text::InForm as _;

/// MySQL's port (MySQL's manual: `--port`).
const DEFAULT_PORT: u16 = 3306;

/// One server of the target.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Server {
    Tcp {
        host: Host,
        port: u16,
    },
    /// The path of a unix socket, and how the target writes it.
    Socket(String),
}

impl fmt::Display for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp { host, port } => write!(f, "{host}:{port}"),
            // Encoded as in a URL, so that a person can paste it into one.
            Self::Socket(path) => f.write_str(&path.replace('/', "%2F")),
        }
    }
}

/// Everything that the target and the environment say about the connection.
#[derive(Clone, Debug)]
pub(super) struct Info {
    pub(super) servers: Vec<Server>,
    pub(super) user: Option<String>,
    pub(super) password: Option<Secret>,
    pub(super) database: Option<String>,
    pub(super) mode: Mode,
    /// The files of TLS, from the URL and the expectations.
    pub(super) tls: TlsOptions,
    /// Whether TLS 1.2 is forbidden.
    #[cfg_attr(not(feature = "tls"), expect(dead_code, reason = "without TLS there is no version of it"))]
    pub(super) tls13_only: bool,
    /// A warning for each parameter that waitgate does not use.
    pub(super) ignored: Vec<String>,
    /// The address as the log shows it.
    pub(super) shown: String,
}

/// The parts of an address, with each `$(NAME)` as written in the target.
#[derive(Debug, Default)]
struct Raw<'a> {
    user: &'a str,
    password: &'a str,
    hosts: &'a str,
    database: &'a str,
    query: &'a str,
}

/// A text for the server, and how a message may show it.
struct Part {
    value: String,
    shown: String,
}

impl Info {
    /// Parses what follows the kind's colon.
    pub(super) fn parse(parts: &Parts<'_>) -> Result<Self> {
        let fill = parts.fill;
        let env = parts.given.env;
        let raw = Raw::split(parts)?;
        let params = Params::parse(raw.query, fill)?;
        let part = |names: &[&str], raw: &str, what: &str| -> Result<Option<Part>> {
            if let Some(name) = names.iter().find(|name| params.get(name).is_some()) {
                let (value, shown) = (params.get(name), params.shown(name));
                let (value, shown) = (value.unwrap_or_default().to_owned(), shown.unwrap_or_default().to_owned());
                return Ok(Some(Part { value, shown }));
            }
            part(raw, what, fill)
        };
        let user = part(&["user", "username"], raw.user, "the user")?;
        let password = part(&["password"], raw.password, "the password")?.map(|part| part.value);
        let password = match (password, &user) {
            // MySQL's client library reads the variable if no password is given (client.c: mysql_real_connect). A ping
            // has no user, and needs none.
            (None, Some(_)) => env.text("MYSQL_PWD")?.map(str::to_owned),
            (password, _) => password,
        };
        if let Some(password) = &password {
            fill.note(password);
        }
        if fill.is_none() {
            for name in ["user", "username"] {
                fill.note(params.get(name).unwrap_or_default());
            }
        }
        let database = part(&[], raw.database, "the database")?;
        let servers = servers(&raw, &params, parts)?;
        let (mode, tls) = tls(&params, parts)?;
        if let Some("false" | "0") = params.get("allownativepasswords") {
            bail!("allowNativePasswords=false cannot be honoured: leave it out ({FORM})");
        }
        let shown = {
            let servers: Vec<String> = servers.iter().map(ToString::to_string).collect();
            let servers = servers.join(",");
            match (&user, &database) {
                (None, None) if !parts.address.contains("//") => format!("mysql:{servers}"),
                (user, database) => {
                    let user = user.as_ref().map(|user| user.shown.clone() + "@").unwrap_or_default();
                    let database = database.as_ref().map(|name| format!("/{}", name.shown)).unwrap_or_default();
                    format!("mysql://{user}{servers}{database}")
                }
            }
        };
        Ok(Self {
            servers,
            user: user.map(|part| part.value),
            password: password.filter(|password| !password.is_empty()).map(Secret::new),
            database: database.map(|part| part.value),
            mode,
            tls,
            tls13_only: params.tls13_only()?,
            ignored: params.ignored,
            shown,
        })
    }
}

impl<'a> Raw<'a> {
    fn split(parts: &Parts<'a>) -> Result<Self> {
        let mut address = parts.address;
        // The ways of the JDBC drivers to choose a host: jdbc:mysql:loadbalance://, jdbc:mariadb:sequential://.
        if parts.jdbc
            && let Some((way, rest)) = address.split_once("://")
            && way.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
        {
            address = &address[address.len() - rest.len() - 2..];
        }
        let url = address.strip_prefix("//");
        if address.contains(char::is_whitespace) {
            bail!("found a blank: in a URL a blank is written %20 ({FORM})");
        }
        address::refuse_service_link(url.unwrap_or(address)).in_form(FORM)?;
        let Some(url) = url else {
            if address.contains(['@', '/', '?', ',', '=']) {
                bail!("more than a host and a port needs the form with // ({FORM})");
            }
            if address::split(address).1.is_none() {
                bail!("the port is missing in mysql:HOST:PORT ({FORM})");
            }
            return Ok(Self { hosts: address, ..Self::default() });
        };
        let (authority, tail) = url.split_at(url.find(['/', '?']).unwrap_or(url.len()));
        let (path, query) = tail.split_once('?').unwrap_or((tail, ""));
        let (userinfo, hosts) = address::userinfo(authority).in_form(FORM)?;
        // A raw '/' ends the host. An '@' after it shows that the '/' belongs to a password.
        if path.contains('@') {
            bail!(
                "found '@' after a '/': in a password '/' is written %2F, in a database's name '@' is written %40 ({FORM})"
            );
        }
        // Go's driver: USER:PASSWORD@tcp(HOST:PORT)/DATABASE.
        let hosts = hosts.strip_prefix("tcp(").and_then(|hosts| hosts.strip_suffix(')')).unwrap_or(hosts);
        if hosts.contains(['(', ')']) && !env::refers(hosts) {
            bail!("found a parenthesis in the host: write HOST:PORT, and HOST:PORT,HOST:PORT for several ({FORM})");
        }
        let userinfo = userinfo.unwrap_or_default();
        let (user, password) = userinfo.split_once(':').unwrap_or((userinfo, ""));
        Ok(Self { user, password, hosts, database: path.strip_prefix('/').unwrap_or(path), query })
    }
}

/// Decodes one part of the URL, and replaces each `$(NAME)` in it. A message calls the part `what`.
fn part(raw: &str, what: &str, fill: Fill<'_>) -> Result<Option<Part>> {
    let value = fill.decoded(raw).with_context(|| what.to_owned()).in_form(FORM)?;
    if value.contains('\0') {
        bail!("{what} cannot hold a NUL (%00) ({FORM})");
    }
    let shown = match () {
        () if fill.is_none() => HIDDEN.to_owned(),
        () if env::refers(raw) => raw.to_owned(),
        () => value.clone(),
    };
    if fill.is_none() {
        fill.note(&value);
    }
    Ok(Some(Part { value, shown }).filter(|part| !part.value.is_empty()))
}

/// The servers in their order.
fn servers(raw: &Raw<'_>, params: &Params, parts: &Parts<'_>) -> Result<Vec<Server>> {
    let sockets = ["socket", "unixsocket", "localsocket"];
    if let Some(path) = sockets.iter().find_map(|name| params.get(name)) {
        return Ok(vec![socket(path)?]);
    }
    let fill = parts.fill;
    if raw.hosts.is_empty() || raw.hosts.starts_with(':') {
        let Some(host) = parts.given.env.text("MYSQL_HOST")? else {
            bail!("the host is missing, and MYSQL_HOST names none ({FORM})");
        };
        let host = Host::parse(host).context("MYSQL_HOST").in_form(FORM)?;
        let port = raw.hosts.strip_prefix(':');
        return Ok(vec![Server::Tcp { host, port: port_of(port, parts)? }]);
    }
    let one = |one: &str| {
        let (host, port) = address::split(one);
        let text = fill.decoded(host).context("the host").in_form(FORM)?;
        if text.starts_with('/') {
            return socket(&text);
        }
        if text.is_empty() && env::refers(host) {
            bail!("{host} is empty: set it to a value ({FORM})");
        }
        let host = Host::parse(&text).in_form(FORM)?;
        Ok(Server::Tcp { host, port: port_of(port, parts)? })
    };
    raw.hosts.split(',').map(one).collect()
}

fn socket(path: &str) -> Result<Server> {
    takes_a_path(path).context("the path of the unix socket").in_form(FORM)?;
    if !path.starts_with('/') || path.len() > SOCKET_PATH_MAX {
        bail!("the path of a unix socket begins with '/' and has at most {SOCKET_PATH_MAX} bytes ({FORM})");
    }
    Ok(Server::Socket(path.to_owned()))
}

/// The port, or that of MYSQL_TCP_PORT, or the default one.
fn port_of(raw: Option<&str>, parts: &Parts<'_>) -> Result<u16> {
    match raw {
        Some(raw) => address::port_in(raw, parts.fill).in_form(FORM),
        None => Ok(port_in(parts.given.env)?.unwrap_or(DEFAULT_PORT)),
    }
}

/// MySQL's client library reads the variable for its default port (libmysql.c: mysql_server_init).
///
/// A Service `mysql-tcp` makes the kubelet set a variable of the same name, which holds a URL: that is not meant.
fn port_in(env: &Env) -> Result<Option<u16>> {
    match env.text("MYSQL_TCP_PORT")?.filter(|text| !text.contains("://")) {
        None => Ok(None),
        Some(text) => address::port(text).map(Some).context("MYSQL_TCP_PORT").in_form(FORM),
    }
}

/// The mode, and the files of TLS.
fn tls(params: &Params, parts: &Parts<'_>) -> Result<(Mode, TlsOptions)> {
    let expectations = &parts.expectations;
    let given = TlsOptions::given(expectations);
    let mut tls = TlsOptions::parse(expectations)?;
    let mut ca = match params.file("sslca")? {
        Some(ca) => Some(ca),
        None => params.file("serversslcert")?,
    };
    let identity = match (params.file("sslcert")?, params.file("sslkey")?) {
        (Some(cert), Some(key)) => Some((cert, key)),
        (None, None) => None,
        // In Prisma's URLs sslcert= is the CA of the server.
        (Some(prisma), None) if params.get("sslaccept").is_some() => {
            ca = ca.or(Some(prisma));
            None
        }
        (Some(TlsFile { by, .. }), None) => bail!("{by}= needs ssl_key=, the file with its private key ({FORM})"),
        (None, Some(TlsFile { by, .. })) => bail!("{by}= needs ssl_cert=, the file with its certificate ({FORM})"),
    };
    tls.or_files(ca, identity);
    let mariadb = parts.jdbc && parts.kind == "mariadb";
    let insecure = tls.is_insecure();
    let mode = mode::choose(params, !insecure && (tls.names_trust() || parts.given.ca_file), mariadb)?;
    match given {
        Some(name) if cfg!(not(feature = "tls")) => {
            bail!("#{name}: this build has no TLS (a cargo feature left it out)")
        }
        Some(name) if mode == Mode::Disabled => {
            bail!("#{name}: the URL turns TLS off (expected ssl-mode=REQUIRED or more)")
        }
        _ => Ok((mode, tls)),
    }
}
