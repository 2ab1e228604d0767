//! Parses the connection string, by the drivers' specification (source/connection-string/connection-string-spec.md), and the
//! short form `HOST[:PORT]`. Pure.
//!
//! waitgate splits the text first and replaces each `$(NAME)` afterwards, so a value may hold any character. No message
//! repeats any part of the text: a misplaced part may be the end of a password.

use std::fmt;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};

use super::FORM;
use super::auth::Mechanism;
use super::options::Options;
use crate::env::{self, Fill};
use crate::kind::Parts;
use crate::kind::path::{SOCKET_PATH_MAX, takes_a_path};
use crate::kind::tls_options::{self, TlsOptions};
use crate::net::address::{self, Host};
use crate::secret::{Form, HIDDEN, Secret};
use crate::text::InForm as _;

/// MongoDB's port (MongoDB's manual: Default MongoDB Port).
const DEFAULT_PORT: u16 = 27017;

/// The name of the service in SRV records (source/initial-dns-seedlist-discovery: srvServiceName).
const SERVICE: &str = "mongodb";

/// One server of the target.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Server {
    Tcp {
        host: Host,
        port: u16,
    },
    /// A unix socket: its path, and how a message may show it. What is in a variable may be a secret.
    Socket {
        path: String,
        shown: String,
    },
}

impl fmt::Display for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp { host, port } => write!(f, "{host}:{port}"),
            Self::Socket { shown, .. } => f.write_str(shown),
        }
    }
}

/// Where the servers are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Seeds {
    /// They are in the target.
    Listed(Vec<Server>),
    /// They are in SRV records: of which name, and under which service.
    Srv { name: String, service: String },
}

/// What is verified in the server's certificate.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Verified {
    /// The chain and the name.
    #[default]
    Full,
    /// The chain alone.
    Chain,
    Nothing,
}

/// Everything that a connection string says.
#[derive(Clone, Debug)]
pub(super) struct Info {
    pub(super) seeds: Seeds,
    pub(super) user: Option<String>,
    pub(super) password: Option<Secret>,
    /// The database in the path: it has the user, if no option says otherwise.
    pub(super) database: Option<String>,
    /// `authSource=`.
    pub(super) source: Option<String>,
    pub(super) mechanism: Mechanism,
    /// `replicaSet=`.
    pub(super) set: Option<String>,
    pub(super) balanced: Option<bool>,
    pub(super) tls: bool,
    pub(super) verified: Verified,
    /// The files of TLS, from the URL and the expectations.
    pub(super) options: TlsOptions,
    pub(super) connect_timeout: Option<Duration>,
    pub(super) warnings: Vec<String>,
    /// The address as the log shows it.
    pub(super) shown: String,
}

/// The parts of an address, with each `$(NAME)` as written in the target.
#[derive(Default)]
struct Raw<'a> {
    user: &'a str,
    password: &'a str,
    hosts: &'a str,
    database: &'a str,
    query: &'a str,
}

impl Info {
    /// Parses what follows the kind's colon.
    pub(super) fn parse(parts: &Parts<'_>) -> Result<Self> {
        let (kind, fill) = (parts.kind, parts.fill);
        let srv = kind == "mongodb+srv";
        let raw = Raw::split(parts.address, srv)?;
        let options = Options::parse(raw.query, fill)?;
        let user = part(raw.user, "the user", fill)?;
        let password = part(raw.password, "the password", fill)?;
        // A collection after a dot is of old drivers.
        let database = part(raw.database.split('.').next().unwrap_or_default(), "the database", fill)?;
        if let Some(password) = &password {
            fill.note(password);
        }
        let text = |name: &str| options.get(name).map(str::to_owned);
        if fill.is_none() {
            let words = [database.as_deref(), options.get("authSource"), options.get("replicaSet")];
            words.into_iter().flatten().for_each(|word| fill.note_as(Form::Word, word));
        }
        let balanced = options.bool("loadBalanced")?;
        let seeds = seeds(&raw, srv, &options, fill)?;
        let several = matches!(&seeds, Seeds::Listed(servers) if servers.len() > 1);
        let direct = options.bool("directConnection")? == Some(true);
        if direct && (several || srv) {
            bail!("directConnection=true needs one host, and found several or SRV records ({FORM})");
        }
        if balanced == Some(true) && (several || direct || options.get("replicaSet").is_some()) {
            bail!("loadBalanced=true excludes several hosts, directConnection=true and replicaSet= ({FORM})");
        }
        let (tls, verified, files) = tls(&options, srv, parts)?;
        let hidden = |raw: &str, value: &Option<String>| match value {
            None => String::new(),
            Some(_) if fill.is_none() => HIDDEN.to_owned(),
            Some(_) if env::refers(raw) => raw.to_owned(),
            Some(value) => value.clone(),
        };
        let shown = {
            let servers = match &seeds {
                Seeds::Listed(servers) => servers.iter().map(ToString::to_string).collect::<Vec<_>>().join(","),
                Seeds::Srv { name, .. } => name.clone(),
            };
            let user = user.as_ref().map(|_| hidden(raw.user, &user) + "@").unwrap_or_default();
            let database = database.as_ref().map(|_| format!("/{}", hidden(raw.database, &database)));
            let slashes = if parts.address.starts_with("//") { "//" } else { "" };
            format!("{kind}:{slashes}{user}{servers}{}", database.unwrap_or_default())
        };
        let unverified = (tls && verified == Verified::Nothing && !files.is_insecure())
            .then(|| "the URL says so: the server's certificate is not verified".to_owned());
        Ok(Self {
            seeds,
            user,
            password: password.map(Secret::new),
            database,
            source: text("authSource"),
            mechanism: options.mechanism()?,
            set: text("replicaSet"),
            balanced,
            tls,
            verified,
            options: files,
            connect_timeout: options.connect_timeout()?,
            warnings: options.warning().into_iter().chain(unverified).collect(),
            shown,
        })
    }
}

impl<'a> Raw<'a> {
    fn split(address: &'a str, srv: bool) -> Result<Self> {
        let url = address.strip_prefix("//");
        address::refuse_service_link(url.unwrap_or(address)).in_form(FORM)?;
        let Some(url) = url else {
            if srv || address.contains(['@', '/', '?', ',', '=']) {
                bail!("more than a host and a port needs the form with // ({FORM})");
            }
            return Ok(Self { hosts: address, ..Self::default() });
        };
        let (authority, tail) = url.split_at(url.find(['/', '?']).unwrap_or(url.len()));
        let (path, query) = tail.split_once('?').unwrap_or((tail, ""));
        let (userinfo, hosts) = address::userinfo(authority).in_form(FORM)?;
        let database = path.strip_prefix('/').unwrap_or(path);
        // A raw '/' ends the hosts. An '@' after it shows that the '/' belongs to a password.
        if path.contains('@') {
            bail!("found '@' after a '/': in a password '/' is written %2F ({FORM})");
        }
        if database.contains('/') {
            bail!(
                "found a second '/': in a user and a password, and in the path of a socket, '/' is written %2F ({FORM})"
            );
        }
        let userinfo = userinfo.unwrap_or_default();
        let (user, password) = userinfo.split_once(':').unwrap_or((userinfo, ""));
        // The specification forbids it, and a driver refuses the whole string.
        if password.contains(':') {
            bail!("found a second ':' before the '@': in a user and a password ':' is written %3A ({FORM})");
        }
        Ok(Self { user, password, hosts, database, query })
    }
}

/// Decodes one part of the URL, and replaces each `$(NAME)` in it. A message calls the part `what`.
fn part(raw: &str, what: &str, fill: Fill<'_>) -> Result<Option<String>> {
    let value = fill.decoded(raw).with_context(|| what.to_owned()).in_form(FORM)?;
    if value.contains('\0') {
        bail!("{what} cannot hold a NUL (%00) ({FORM})");
    }
    Ok(Some(value).filter(|value| !value.is_empty()))
}

fn seeds(raw: &Raw<'_>, srv: bool, options: &Options, fill: Fill<'_>) -> Result<Seeds> {
    let service = options.get("srvServiceName");
    if !srv {
        if service.is_some() {
            bail!("srvServiceName= needs SRV records: write mongodb+srv:// ({FORM})");
        }
        return raw.hosts.split(',').map(|one| server(one, fill)).collect::<Result<_>>().map(Seeds::Listed);
    }
    if raw.hosts.contains(',') {
        bail!("mongodb+srv: takes one name: its SRV records list the hosts ({FORM})");
    }
    let (name, port) = address::split(raw.hosts);
    if port.is_some() {
        bail!("mongodb+srv: takes no port: the SRV records have it ({FORM})");
    }
    let service = service.unwrap_or(SERVICE);
    // RFC 6335 section 5.1.
    if service.len() > 62 || !service.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-') {
        bail!("srvServiceName= has letters, digits and '-' ({FORM})");
    }
    match address::host(name, fill).in_form(FORM)? {
        Host::Name(name) => Ok(Seeds::Srv { name, service: service.to_owned() }),
        Host::Ip(_) => bail!("mongodb+srv: takes a name: an address has no SRV records ({FORM})"),
    }
}

fn server(raw: &str, fill: Fill<'_>) -> Result<Server> {
    let (host, port) = address::split(raw);
    if host.is_empty() {
        bail!("the host is missing ({FORM})");
    }
    let text = fill.decoded(host).context("the host").in_form(FORM)?;
    if text.starts_with('/') {
        takes_a_path(&text).context("the path of the unix socket").in_form(FORM)?;
        if text.len() > SOCKET_PATH_MAX || text.contains('\0') {
            bail!("the path of a unix socket has at most {SOCKET_PATH_MAX} bytes, and no NUL ({FORM})");
        }
        let shown = match () {
            () if fill.is_none() => HIDDEN.to_owned(),
            () if env::refers(host) => host.to_owned(),
            // Encoded as in a URL, so that a person can paste it into one.
            () => text.replace('/', "%2F"),
        };
        return Ok(Server::Socket { path: text, shown });
    }
    if text.is_empty() && env::refers(host) {
        bail!("{host} is empty: set it to a value ({FORM})");
    }
    let host = Host::parse(&text).in_form(FORM)?;
    let port = port.map(|port| address::port_in(port, fill).in_form(FORM)).transpose()?;
    Ok(Server::Tcp { host, port: port.unwrap_or(DEFAULT_PORT) })
}

/// Whether to use TLS, what to verify, and the files.
fn tls(options: &Options, srv: bool, parts: &Parts<'_>) -> Result<(bool, Verified, TlsOptions)> {
    let it = &parts.expectations;
    let mut files = TlsOptions::parse(it)?;
    let ca = options.file("tlsCAFile")?;
    let identity = options.file("tlsCertificateKeyFile")?;
    let insecure = options.bool("tlsInsecure")?;
    let certificates = options.bool("tlsAllowInvalidCertificates")?;
    let names = options.bool("tlsAllowInvalidHostnames")?;
    if insecure.is_some() && (certificates.is_some() || names.is_some()) {
        bail!("tlsInsecure= excludes tlsAllowInvalidCertificates= and tlsAllowInvalidHostnames= ({FORM})");
    }
    TlsOptions::not_both(
        it,
        &[
            (ca.is_some(), "tlsCAFile=", tls_options::CA.name),
            (ca.is_some(), "tlsCAFile=", tls_options::INSECURE.name),
            (identity.is_some(), "tlsCertificateKeyFile=", tls_options::CERT.name),
        ],
    )?;
    // As for the drivers: an option of TLS asks for TLS.
    let asked = [ca.is_some(), identity.is_some(), insecure.is_some(), certificates.is_some(), names.is_some()];
    let given = TlsOptions::given(it);
    let asked = asked.contains(&true) || given.is_some();
    let tls = match options.bool("tls")? {
        Some(false) if given.is_some() => {
            bail!("#{}: the URL turns TLS off with tls=false: leave one of them out", given.unwrap_or_default())
        }
        Some(false) if asked => bail!("tls=false: the URL has other options of TLS: leave one of them out ({FORM})"),
        Some(tls) => tls,
        None => asked || srv,
    };
    if tls && cfg!(not(feature = "tls")) {
        bail!("this build has no TLS: a cargo feature left it out ({FORM})");
    }
    files.or_files(ca, identity.map(|file| (file.clone(), file)));
    let verified = match (insecure.or(certificates), names) {
        _ if files.is_insecure() => Verified::Nothing,
        (Some(true), _) => Verified::Nothing,
        (_, Some(true)) => Verified::Chain,
        _ => Verified::Full,
    };
    Ok((tls, verified, files))
}
