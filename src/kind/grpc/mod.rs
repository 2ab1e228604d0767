//! `grpc:` and `grpcs:`: the server's health service answers SERVING (grpc: doc/health-checking.md).

mod call;
pub(crate) mod fuzzed;
mod judge;
mod message;
mod probe;
mod status;
#[cfg(test)]
mod tests;
mod wire;

use std::fmt;

use anyhow::{Result, bail};
use http_types::header::{
    CONNECTION, CONTENT_LENGTH, CONTENT_TYPE, HOST, HeaderName, TE, TRAILER, TRANSFER_ENCODING, UPGRADE,
};
use http_types::uri::Authority;

use super::expect::{Expectations, Spec};
use super::header::{HEADER, Header};
use super::tls_options::{self, TlsOptions};
use super::{Kind, Parts, Ready, endpoint, gone};
use crate::attempt::Attempt;
use crate::net::Net;
use crate::net::address::Host;
use crate::net::sniff::Protocol;
use crate::reason::Reason;

/// The longest name of a service, in bytes. Longer ones would not be names.
const SERVICE_MAX: usize = 1024;

/// The health of one server, or of one of its services.
#[derive(Clone, Debug)]
pub(crate) struct Grpc {
    host: Host,
    port: u16,
    tls: bool,
    options: TlsOptions,
    /// The service whose health counts. Empty: the whole server.
    service: String,
    /// The same as the target writes it.
    service_written: String,
    headers: Vec<Header>,
    gone: bool,
    /// The expectations as the log shows them.
    shown: String,
}

impl Kind for Grpc {
    const NAMES: &'static [&'static str] = &["grpc", "grpcs"];
    /// Of Arrow Flight.
    const ALSO: &'static [&'static str] = &["grpc+tcp", "grpc+tls"];
    const FORM: &'static str = "grpc:HOST:PORT";
    const HELP: &'static [(&'static str, &'static str)] =
        &[("grpc:HOST:PORT", "the health service answers SERVING (grpcs: for TLS)")];
    const EXPECTATIONS: &'static [Spec] = &[
        Spec::value("service", "NAME").says("the health of this service [default: of the whole server]"),
        HEADER,
        tls_options::CA,
        tls_options::CERT,
        tls_options::KEY,
        tls_options::SERVERNAME,
        tls_options::INSECURE,
        gone::GONE,
    ];
    const SPEAKS: &'static [(Protocol, &'static str)] = &[(Protocol::Http2, "grpc")];

    fn parse(parts: &Parts<'_>) -> Result<Self> {
        let tls = matches!(parts.kind, "grpcs" | "grpc+tls");
        if tls && cfg!(not(feature = "tls")) {
            bail!("this build has no TLS: a cargo feature left it out (expected grpc:HOST:PORT)");
        }
        refuse_resolver(parts.address)?;
        let form = if tls { "grpcs:HOST:PORT" } else { Self::FORM };
        let (host, port) = endpoint::parse(parts, form)?;
        let it = &parts.expectations;
        if let Some(given) = TlsOptions::given(it).filter(|_| !tls) {
            bail!("#{given}: grpc: does not speak TLS (expected grpcs:HOST:PORT)");
        }
        let gone = gone::is_given(it, Self::EXPECTATIONS)?;
        let options = TlsOptions::parse(it)?;
        let (service, service_written) = service(it)?;
        let headers = Header::all(it, parts.fill, &refused)?;
        for header in &headers {
            let Some(value) = header.given() else { continue };
            if header.name == HOST && Authority::try_from(value.as_bytes()).is_err() {
                bail!("#header: Host is not a host, with a port or without (expected Host:NAME or Host:NAME:PORT)");
            }
            if value.to_str().is_err() {
                bail!(
                    "#header: the value of {} is not ASCII, and gRPC takes no other text (expected NAME:VALUE in ASCII)",
                    header.name
                );
            }
        }
        Ok(Self { host, port, tls, options, service, service_written, headers, gone, shown: it.shown() })
    }

    fn warnings(&self) -> Vec<String> {
        if self.options.is_insecure() { vec![tls_options::INSECURE_WARNING.to_owned()] } else { Vec::new() }
    }

    fn ready_when(&self) -> String {
        format!("the health service answers SERVING{}", self.about())
    }

    fn uses_tls(&self) -> bool {
        self.tls && !self.gone
    }

    async fn probe(&self, net: &Net, attempt: &Attempt) -> Result<Ready, Reason> {
        if self.gone {
            return gone::probe(net, &self.host, self.port, attempt).await;
        }
        self.ask(net, attempt).await
    }
}

impl Grpc {
    /// ` for the service "NAME"`, or nothing.
    fn about(&self) -> String {
        if self.service.is_empty() { String::new() } else { format!(" for the service \"{}\"", self.service_written) }
    }

    /// The target that asks for no health.
    fn plainly(&self) -> String {
        format!("{}:{}:{}", if self.tls { "tls" } else { "tcp" }, self.host, self.port)
    }
}

impl fmt::Display for Grpc {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}{}", if self.tls { "grpcs" } else { "grpc" }, self.host, self.port, self.shown)
    }
}

/// An error for the names of gRPC's own syntax (grpc: doc/naming.md), such as dns:///HOST:PORT.
fn refuse_resolver(address: &str) -> Result<()> {
    let address = address.strip_prefix("//").unwrap_or(address);
    let scheme = address.split_once(':').map(|(scheme, _)| scheme.to_ascii_lowercase()).unwrap_or_default();
    let rest = &address[scheme.len()..];
    if scheme == "unix" || scheme == "unix-abstract" {
        bail!(
            "a call over a unix socket is not possible: unix:/PATH waits until the socket accepts (expected grpc:HOST:PORT)"
        );
    }
    // Without slashes, "dns" may be the name of a host.
    if ["dns", "ipv4", "ipv6", "xds", "passthrough"].contains(&scheme.as_str())
        && (rest.starts_with(":/") || rest.matches(':').count() > 1)
    {
        bail!(
            "found {scheme}: in the address, which is gRPC's syntax for names: leave it out (expected grpc:HOST:PORT)"
        );
    }
    Ok(())
}

/// The name of the service, and how it is written.
fn service(it: &Expectations) -> Result<(String, String)> {
    let Some((name, written)) = it.written("service").next() else { return Ok(Default::default()) };
    if name.is_empty() {
        bail!("#service: found nothing (expected the name of a service; for the whole server leave #service out)");
    }
    if name.len() > SERVICE_MAX {
        bail!("#service: the name is too long (expected a name of at most {SERVICE_MAX} bytes, such as shop.v1.Cart)");
    }
    Ok((name.to_owned(), written.to_owned()))
}

/// Why a target may not give a header of this name. HTTP/2 has no headers of one connection (RFC 9113 section 8.2.2).
fn refused(name: &HeaderName) -> Option<String> {
    let own = [CONNECTION, CONTENT_LENGTH, CONTENT_TYPE, TE, TRAILER, TRANSFER_ENCODING, UPGRADE];
    let text = name.as_str();
    if own.contains(name) || ["keep-alive", "proxy-connection"].contains(&text) || text.starts_with("grpc-") {
        return Some(format!("waitgate sets {name} itself, or HTTP/2 does not have it"));
    }
    text.ends_with("-bin")
        .then(|| format!("{name} ends in -bin, so its value would be binary: waitgate sends text only"))
}
