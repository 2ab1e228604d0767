//! What reqwest's errors mean. Their own words are not for people: they hold the URL, with its query.

use std::error::Error;
use std::io;
use std::net::SocketAddr;

use reqwest::Url;

use crate::attempt::Attempt;
use crate::kind;
use crate::net::connect;
use crate::net::sniff::{self, Protocol};
#[cfg(feature = "tls")]
use crate::net::tls;
use crate::reason::{Code, Cost, Hint, Reason};

/// No connection came about; `tunnel` says that one through a proxy was asked for.
pub(super) fn connecting(error: &reqwest::Error, address: SocketAddr, tunnel: bool) -> Reason {
    match find_io(error) {
        Some(error) => connect::failure(address, error),
        // hyper-util's type for it cannot be named.
        None if tunnel => {
            let reason = Reason::new(Code::ProtocolError, format!("the proxy {address} does not open a tunnel"));
            let wants_login = chain(error).any(|error| error.to_string().contains("authorization required"));
            let class = if wants_login { Cost::Credentials } else { reason.cost() };
            reason.with_cost(class).with_hint(wants_login.then_some(Hint::Credentials)).with_key("tunnel")
        }
        None => Reason::new(Code::LocalSocket, format!("cannot connect to {address}")),
    }
}

/// The connection was accepted, the TLS handshake failed.
#[cfg(feature = "tls")]
pub(super) async fn handshaking(error: &reqwest::Error, url: &Url, address: SocketAddr, attempt: &Attempt) -> Reason {
    let name = url.host_str().unwrap_or_default();
    let Some(error) = find_io(error) else {
        return Reason::new(Code::TlsFailed, format!("{address} could not agree on TLS with us"));
    };
    let reason = tls_failure(error, name, address);
    // What is neither an alert nor a certificate: somebody else is there, or nobody (a connection to oneself).
    let odd = matches!(reason.code(), Code::TlsNotTls | Code::TlsClosed)
        || (reason.code() == Code::TlsFailed && reason.hint().is_none());
    if !odd || find_tls(error).is_some_and(|error| matches!(error, rustls::Error::AlertReceived(_))) {
        return reason;
    }
    match sniff::look(address, attempt).await {
        Err(refused) => refused,
        Ok(Some(Protocol::Http)) => {
            Reason::new(Code::TlsNotTls, format!("{address} answered in plain HTTP, not in TLS"))
                .with_hint(kind::instead(Some(Protocol::Http)))
        }
        Ok(Some(Protocol::Tls) | None) => reason.with_hint(None),
        Ok(Some(other)) => {
            Reason::new(Code::TlsNotTls, format!("{address} answered, but not in TLS (it looks like {other})"))
                .with_hint(kind::instead(Some(other)))
        }
    }
}

/// The connection stood, and no answer came out of it.
pub(super) async fn answering(error: &reqwest::Error, url: &Url, address: SocketAddr, attempt: &Attempt) -> Reason {
    // With TLS 1.3 the server looks at our certificate after the handshake: its alert is the first thing it sends.
    #[cfg(feature = "tls")]
    if let Some(error) = find_io(error)
        && find_tls(error).is_some()
    {
        return tls_failure(error, url.host_str().unwrap_or_default(), address);
    }
    let plain = url.scheme() == "http";
    if hyper(error).any(is_too_large) {
        let text = format!("{address} sent more headers than waitgate reads");
        return Reason::new(Code::ProtocolTooLarge, text);
    }
    if !hyper(error).any(|error| error.is_parse() || is_early(error)) {
        // Some close without a word when they read a request: somebody may be there all the same.
        match sniff::look(address, attempt).await {
            Ok(Some(protocol)) if plain && protocol != Protocol::Http => return not_http(address, Some(protocol)),
            _ => {}
        }
        let text = format!("{address} accepted the connection and closed it without an answer");
        return Reason::new(Code::ProtocolClosed, text).with_hint(Hint::ProxyClosed);
    }
    if !plain {
        return not_http(address, None);
    }
    match sniff::look(address, attempt).await {
        Err(refused) => refused,
        Ok(protocol) => not_http(address, protocol),
    }
}

fn not_http(address: SocketAddr, protocol: Option<Protocol>) -> Reason {
    match protocol {
        Some(Protocol::Http) => {
            Reason::new(Code::ProtocolOther, format!("{address} answered in HTTP with a mistake in it"))
                .with_key("HTTP")
        }
        Some(Protocol::Tls) => Reason::new(Code::ProtocolTlsWanted, format!("{address} wants TLS on this port"))
            .with_hint(kind::instead(protocol)),
        _ => kind::other_protocol(address, "HTTP", protocol),
    }
}

/// Every error of hyper's own: one that cancels a request may hold the one that made it do so.
fn hyper<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a hyper::Error> {
    chain(error).filter_map(|error| error.downcast_ref())
}

/// Whether the head passes hyper's bounds. Its predicate for that exists in servers only, its words everywhere.
fn is_too_large(error: &hyper::Error) -> bool {
    error.is_parse() && error.to_string().contains("too large")
}

/// Whether the server spoke before it was asked. hyper has no predicate for it.
fn is_early(error: &hyper::Error) -> bool {
    !error.is_canceled() && !error.is_closed() && !error.is_incomplete_message() && find::<io::Error>(error).is_none()
}

#[cfg(feature = "tls")]
fn tls_failure(error: &io::Error, name: &str, address: SocketAddr) -> Reason {
    use rustls::{AlertDescription, Error};
    match find_tls(error) {
        // We offer HTTP/1.1 and nothing else.
        Some(Error::AlertReceived(AlertDescription::NoApplicationProtocol) | Error::NoApplicationProtocol) => {
            let text = format!("{address} does not offer HTTP/1.1 (it may speak HTTP/2 only, as gRPC does)");
            Reason::new(Code::ProtocolOther, text).with_key("HTTP/2").with_hint(kind::instead(None))
        }
        _ => tls::failure(error, name, address),
    }
}

/// The error of type `T` that is nearest to the surface.
fn find<'a, T: Error + 'static>(error: &'a (dyn Error + 'static)) -> Option<&'a T> {
    chain(error).find_map(|error| error.downcast_ref())
}

/// Whether a body's chunks are none, where a connection that ended would have been another error.
pub(super) fn is_garbled(error: &reqwest::Error) -> bool {
    find_io(error).is_some_and(|error| matches!(error.kind(), io::ErrorKind::InvalidInput | io::ErrorKind::InvalidData))
}

/// The operating system's or TLS's error: hyper-rustls wraps one `io::Error` in another, and the `source` of
/// an `io::Error` passes over the error that it wraps.
fn find_io<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a io::Error> {
    let outer = find::<io::Error>(error)?;
    std::iter::successors(Some(outer), |error| error.get_ref()?.downcast_ref()).last()
}

fn chain<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    std::iter::successors(Some(error), |error| (**error).source())
}

/// rustls's error, where it is one.
#[cfg(feature = "tls")]
fn find_tls(error: &io::Error) -> Option<&rustls::Error> {
    error.get_ref().and_then(|inner| inner.downcast_ref())
}
