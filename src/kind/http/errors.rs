//! What reqwest's errors mean. waitgate never shows their words: they hold the URL with its query.

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

/// The reason when connecting failed; `tunnel` is set if a proxy was asked to open a tunnel.
pub(super) fn connecting(error: &reqwest::Error, address: SocketAddr, tunnel: bool) -> Reason {
    match find_io(error) {
        Some(error) => connect::failure(address, error),
        // hyper-util's error type for tunnels is private.
        None if tunnel => {
            let reason = Reason::new(Code::ProtocolError, format!("the proxy {address} does not open a tunnel"));
            let wants_login = chain(error).any(|error| error.to_string().contains("authorization required"));
            let cost = if wants_login { Cost::Credentials } else { reason.cost() };
            reason.with_cost(cost).with_hint(wants_login.then_some(Hint::Credentials)).with_key("tunnel")
        }
        None => Reason::new(Code::LocalSocket, format!("cannot connect to {address}")),
    }
}

/// The reason when the server accepted the connection and the TLS handshake failed.
#[cfg(feature = "tls")]
pub(super) async fn handshaking(error: &reqwest::Error, url: &Url, address: SocketAddr, attempt: &Attempt) -> Reason {
    let name = url.host_str().unwrap_or_default();
    let Some(error) = find_io(error) else {
        return Reason::new(Code::TlsFailed, format!("{address} could not agree on TLS with us"));
    };
    let reason = tls_failure(error, name, address);
    // Neither an alert nor a fault of the certificate: the server may not speak TLS, or there is no server and waitgate
    // has connected to itself.
    let unexplained = matches!(reason.code(), Code::TlsNotTls | Code::TlsClosed)
        || (reason.code() == Code::TlsFailed && reason.hint().is_none());
    if !unexplained || find_tls(error).is_some_and(|error| matches!(error, rustls::Error::AlertReceived(_))) {
        return reason;
    }
    match sniff::look(address, attempt).await {
        Err(reason) => reason,
        Ok(Some(Protocol::Http)) => {
            Reason::new(Code::TlsNotTls, format!("{address} answered in plain HTTP, not in TLS"))
                .with_hint(kind::instead(Some(Protocol::Http)))
        }
        Ok(Some(Protocol::Tls) | None) => reason.with_hint(None),
        Ok(Some(other)) => Reason::new(Code::TlsNotTls, format!("{address} answered in {other}, not in TLS"))
            .with_hint(kind::instead(Some(other))),
    }
}

/// The reason when the connection was made and no valid answer came.
pub(super) async fn answering(error: &reqwest::Error, url: &Url, address: SocketAddr, attempt: &Attempt) -> Reason {
    // In TLS 1.3 the server checks the client certificate after the handshake: its alert is the first thing that comes.
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
        // Some servers of other protocols close the connection without a word when they read an HTTP request.
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
        Err(reason) => reason,
        Ok(protocol) => not_http(address, protocol),
    }
}

fn not_http(address: SocketAddr, protocol: Option<Protocol>) -> Reason {
    match protocol {
        Some(Protocol::Http) => {
            Reason::new(Code::ProtocolOther, format!("{address} sent an HTTP answer that is not valid"))
                .with_key("HTTP")
        }
        Some(Protocol::Tls) => Reason::new(Code::ProtocolTlsWanted, format!("{address} wants TLS on this port"))
            .with_hint(kind::instead(protocol)),
        _ => kind::other_protocol(address, "HTTP", protocol),
    }
}

/// Every hyper error in the chain: an error that cancels a request may hold the error that is its cause.
fn hyper<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a hyper::Error> {
    chain(error).filter_map(|error| error.downcast_ref())
}

/// Whether the head is longer than hyper's bounds. hyper has a predicate for this only for servers, so look at the words.
fn is_too_large(error: &hyper::Error) -> bool {
    error.is_parse() && error.to_string().contains("too large")
}

/// Whether the server sent something before it got the request. hyper has no predicate for this.
fn is_early(error: &hyper::Error) -> bool {
    !error.is_canceled() && !error.is_closed() && !error.is_incomplete_message() && find::<io::Error>(error).is_none()
}

#[cfg(feature = "tls")]
fn tls_failure(error: &io::Error, name: &str, address: SocketAddr) -> Reason {
    use rustls::{AlertDescription, Error};
    match find_tls(error) {
        // waitgate offers only HTTP/1.1.
        Some(Error::AlertReceived(AlertDescription::NoApplicationProtocol) | Error::NoApplicationProtocol) => {
            let text = format!("{address} does not offer HTTP/1.1 (it may speak HTTP/2 only, as gRPC does)");
            Reason::new(Code::ProtocolOther, text).with_key("HTTP/2").with_hint(kind::instead(None))
        }
        _ => tls::failure(error, name, address),
    }
}

/// The outermost error of type `T`.
fn find<'a, T: Error + 'static>(error: &'a (dyn Error + 'static)) -> Option<&'a T> {
    chain(error).find_map(|error| error.downcast_ref())
}

/// Whether the chunks of a body are invalid. (A connection that ends too early is another error.)
pub(super) fn is_garbled(error: &reqwest::Error) -> bool {
    find_io(error).is_some_and(|error| matches!(error.kind(), io::ErrorKind::InvalidInput | io::ErrorKind::InvalidData))
}

/// The innermost `io::Error`: the operating system's, or the one that holds the TLS error.
///
/// hyper-rustls wraps one `io::Error` in another, and `source` of an `io::Error` skips the error that it wraps.
fn find_io<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a io::Error> {
    let outer = find::<io::Error>(error)?;
    std::iter::successors(Some(outer), |error| error.get_ref()?.downcast_ref()).last()
}

fn chain<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    std::iter::successors(Some(error), |error| (**error).source())
}

/// The rustls error in `error`, if there is one.
#[cfg(feature = "tls")]
fn find_tls(error: &io::Error) -> Option<&rustls::Error> {
    error.get_ref().and_then(|inner| inner.downcast_ref())
}
