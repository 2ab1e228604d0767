//! The address of a target: an AMQP URI (<https://www.rabbitmq.com/docs/uri-spec>) or HOST:PORT. Pure.
//!
//! waitgate splits the text first and replaces each `$(NAME)` afterwards, so a value may hold any character. No message
//! repeats any part of the text: a misplaced part may be the end of a password.

use std::fmt;

use anyhow::{Context as _, Result, bail};

use super::params::Params;
use crate::env::{self, Fill};
use crate::kind::Parts;
use crate::net::address::{self, Host};
use crate::secret::{HIDDEN, Secret};
use crate::text::InForm as _;

/// The ports of AMQP, without and with TLS (IANA's registry of service names).
const PORT: u16 = 5672;
const TLS_PORT: u16 = 5671;

/// The most bytes of a short string: a vhost or a queue.
pub(super) const TEXT_MAX: usize = 255;

/// What a target's address says.
#[derive(Clone, Debug)]
pub(super) struct Location {
    pub(super) host: Host,
    pub(super) port: u16,
    pub(super) tls: bool,
    pub(super) user: Option<String>,
    pub(super) password: Option<Secret>,
    pub(super) vhost: String,
    /// The path is `/` alone: the empty vhost, which many clients take for the vhost `/`.
    pub(super) empty_vhost: bool,
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
        let fill = parts.fill;
        let tls = matches!(parts.kind, "amqps" | "rabbitmqs" | "amqp+ssl" | "amqp+tls");
        let kind = if tls { "amqps" } else { "amqp" };
        let form = &format!("expected {kind}://[USER:PASSWORD@]HOST[:PORT][/VHOST] or {kind}:HOST:PORT");
        let Some(url) = parts.address.strip_prefix("//") else {
            if parts.address.contains(['@', '/', '?']) {
                bail!("more than a host and a port needs the form with // ({form})");
            }
            let (host, port) = address::host_port(parts.address, &format!("{kind}:HOST:PORT"), fill)?;
            let shown = format!("{kind}:{host}:{port}");
            let (vhost, params) = ("/".to_owned(), Params::default());
            let (user, password, empty_vhost) = (None, None, false);
            return Ok(Self { host, port, tls, user, password, vhost, empty_vhost, params, shown });
        };
        address::refuse_service_link(url).in_form(form)?;
        let (authority, tail) = url.split_at(url.find(['/', '?']).unwrap_or(url.len()));
        let (path, query) = tail.split_once('?').unwrap_or((tail, ""));
        let (login, server) = address::userinfo(authority).in_form(form)?;
        // A raw '/' or '?' ends the host. An '@' after it shows that it belongs to a password.
        if path.contains('@') {
            bail!("found '@' after a '/': in a password '/' is written %2F, in a vhost '@' is written %40 ({form})");
        }
        if login.is_none() && query.split('&').any(|pair| pair.contains('@') && !pair.contains('=')) {
            bail!("found '@' after a '?': in a password '?' is written %3F ({form})");
        }
        if server.contains([',', ';']) {
            bail!("found several hosts: a target has one host and one port; give each its own target ({form})");
        }
        let (host, port) = address::split(server);
        if host.is_empty() {
            bail!("the host is missing ({form})");
        }
        let host = address::host(host, fill).in_form(form)?;
        let port = match port {
            None => [PORT, TLS_PORT][usize::from(tls)],
            Some(port) => address::port_in(port, fill).in_form(form)?,
        };
        let params = Params::parse(query, form, fill)?;
        if let Some(known) = params.of_tls.filter(|_| !tls) {
            bail!("{known}= needs TLS: write amqps:// in place of amqp:// ({form})");
        }
        let vhost = vhost(path, form, fill)?;
        let (raw_user, raw_password) =
            login.unwrap_or_default().split_once(':').unwrap_or((login.unwrap_or_default(), ""));
        let part = |raw: &str, what: &'static str| {
            let value = fill.decoded(raw).context(what).in_form(form)?;
            if value.contains('\0') {
                bail!("{what} cannot hold a NUL (%00) ({form})");
            }
            Ok(Some(value).filter(|value| !value.is_empty()))
        };
        let user = part(raw_user, "the user")?;
        let password = part(raw_password, "the password")?;
        if let Some(password) = &password {
            fill.note(password);
        }
        let shown = {
            let whole = fill.is_none();
            let user = match &user {
                Some(_) if whole => format!("{HIDDEN}@"),
                Some(_) => format!("{raw_user}@"),
                None => String::new(),
            };
            let path = if whole && path.len() > 1 { format!("/{HIDDEN}") } else { path.to_owned() };
            format!("{kind}://{user}{host}:{port}{path}")
        };
        let (password, empty_vhost) = (password.map(Secret::new), path == "/");
        Ok(Self { host, port, tls, user, password, vhost, empty_vhost, params, shown })
    }
}

/// The vhost in a path: all of it after its first '/'. Without a path it is `/`, RabbitMQ's first one.
fn vhost(path: &str, form: &str, fill: Fill<'_>) -> Result<String> {
    let raw = match path.strip_prefix('/') {
        None => return Ok("/".to_owned()),
        // kombu's form of the vhost `/`, which Celery's pages have.
        Some("/") => "/",
        Some(raw) => raw,
    };
    if raw.len() > 1 && raw.contains('/') {
        bail!("found a second '/' in the path: in a vhost '/' is written %2F, and nothing follows the vhost ({form})");
    }
    let vhost = fill.decoded(raw).context("the vhost").in_form(form)?;
    if vhost.is_empty() && env::refers(raw) {
        bail!("{raw} is empty: set it to a vhost ({form})");
    }
    if vhost.len() > TEXT_MAX {
        bail!("the vhost is too long: it has at most {TEXT_MAX} bytes ({form})");
    }
    if fill.is_none() {
        fill.note(&vhost);
    }
    Ok(vhost)
}
