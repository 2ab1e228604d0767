//! What reqwest's errors mean. waitgate never shows their words: they hold the URL with its query.

use std::error::Error;
use std::io;

use reqwest::Url;

use super::connector::Progress;
use super::place::Place;
use super::status;
use super::tunnel;
use crate::attempt::Attempt;
use crate::kind;
use crate::net::sniff::{self, Protocol};
#[cfg(feature = "tls")]
use crate::net::tls::{self, asked::Asked};
use crate::reason::{Code, Cost, Hint, Reason};

/// What failed: the request to `url` over a connection to `place`, which is the proxy's if there is one.
pub(super) struct Failed<'a> {
    pub(super) error: &'a reqwest::Error,
    /// The URL, with the name that the certificate must have.
    pub(super) url: &'a Url,
    pub(super) place: Place<'a>,
    /// Whether a proxy was asked to open a tunnel to the URL's server.
    pub(super) tunnel: bool,
    #[cfg_attr(not(feature = "tls"), expect(dead_code, reason = "only TLS has something to say"))]
    pub(super) progress: &'a Progress,
}

impl Failed<'_> {
    /// The server as a person knows it.
    fn peer(&self) -> String {
        if !self.tunnel {
            return self.place.to_string();
        }
        let host = self.url.host_str().unwrap_or_default();
        let port = self.url.port_or_known_default().unwrap_or_default();
        format!("{host}:{port}, through the proxy {},", self.place)
    }

    /// The reason when connecting failed.
    pub(super) async fn connecting(&self, attempt: &Attempt) -> Reason {
        let place = self.place;
        match find_io(self.error) {
            Some(error) => place.failure(error),
            // hyper-util's error type for tunnels is private.
            None if self.tunnel => {
                let wants_login = chain(self.error).any(|error| error.to_string().contains("authorization required"));
                let said = match place.address() {
                    _ if wants_login => Some(407),
                    Some(address) => tunnel::status(address, self.url, attempt).await,
                    None => None,
                };
                let said = said.map(|status| format!(": it answers {}", status::named(status))).unwrap_or_default();
                let reason =
                    Reason::new(Code::ProtocolError, format!("the proxy {place} does not open a tunnel{said}"));
                let cost = if wants_login { Cost::Credentials } else { reason.cost() };
                reason
                    .with_cost(cost)
                    .with_hint(wants_login.then_some(Hint::Credentials))
                    .with_key(format_args!("tunnel{said}"))
            }
            None => Reason::new(Code::LocalSocket, format!("cannot connect to {place}")),
        }
    }

    /// The reason when the server accepted the connection and the TLS handshake failed.
    #[cfg(feature = "tls")]
    pub(super) async fn handshaking(&self, attempt: &Attempt) -> Reason {
        let Some(error) = find_io(self.error) else {
            return Reason::new(Code::TlsFailed, format!("{} could not agree on TLS with waitgate", self.peer()));
        };
        let reason = self.tls_failure(error, attempt);
        // Neither an alert nor a fault of the certificate: the server may not speak TLS, or there is no server and waitgate
        // has connected to itself.
        let unexplained = matches!(reason.code(), Code::TlsNotTls | Code::TlsClosed)
            || (reason.code() == Code::TlsFailed && reason.hint().is_none());
        let told = find_tls(error).is_some_and(|error| {
            matches!(error, rustls::Error::AlertReceived(_) | rustls::Error::InvalidCertificate(_))
        });
        let Some(address) = self.place.address() else { return reason };
        if !unexplained || told || self.tunnel {
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
    pub(super) async fn answering(&self, attempt: &Attempt) -> Reason {
        let error = self.error;
        // In TLS 1.3 the server checks the client certificate after the handshake: its alert is the first thing that comes.
        #[cfg(feature = "tls")]
        if let Some(error) = find_io(error)
            && find_tls(error).is_some()
        {
            return self.tls_failure(error, attempt);
        }
        let (place, peer) = (self.place, self.peer());
        let plain = self.url.scheme() == "http";
        #[cfg(feature = "tls")]
        if let Some(address) = place.address()
            && !plain
            && !self.tunnel
            && !matches!(hyper(error).find_map(Mistake::of), Some(Mistake::Header(_)))
            && tls::http2::only_http2(address, self.url.host_str().unwrap_or_default(), attempt).await
        {
            return http2_only(peer);
        }
        if hyper(error).any(is_too_large) {
            let text = format!("{peer} sent more headers than waitgate reads");
            return Reason::new(Code::ProtocolTooLarge, text);
        }
        if !hyper(error).any(|error| error.is_parse() || is_early(error)) {
            if let Some(address) = place.address()
                && plain
                // Some servers of other protocols close the connection without a word when they read an HTTP request.
                && let Ok(Some(protocol)) = sniff::look(address, attempt).await
                && protocol != Protocol::Http
            {
                return not_http(place, Some(protocol));
            }
            if !plain {
                // The TLS handshake was finished, so this is not a proxy that has no server behind it.
                let text = format!(
                    "{peer} finished the TLS handshake and closed the connection without an answer: another protocol than HTTP may be spoken in TLS on this port"
                );
                return Reason::new(Code::ProtocolClosed, text).with_key("tls");
            }
            let text = format!("{peer} accepted the connection and closed it without an answer");
            return Reason::new(Code::ProtocolClosed, text).with_hint(Hint::ClosedUnanswered);
        }
        let mistake = hyper(error).find_map(Mistake::of);
        let Some(address) = place.address().filter(|_| plain) else {
            return match mistake {
                Some(mistake @ Mistake::Header(_)) => invalid(place, Some(mistake.words())),
                _ => not_http(place, None),
            };
        };
        match sniff::look(address, attempt).await {
            Err(reason) => reason,
            Ok(Some(Protocol::Http)) => invalid(place, mistake.as_ref().map(Mistake::words)),
            Ok(protocol) => not_http(place, protocol),
        }
    }

    #[cfg(feature = "tls")]
    fn tls_failure(&self, error: &io::Error, attempt: &Attempt) -> Reason {
        use rustls::{AlertDescription, Error};
        // waitgate offers only HTTP/1.1.
        if let Some(Error::AlertReceived(AlertDescription::NoApplicationProtocol) | Error::NoApplicationProtocol) =
            find_tls(error)
        {
            return http2_only(self.peer());
        }
        let request = self.progress.asked.get().map(Asked::request).unwrap_or_default();
        tls::failure(error, self.url.host_str().unwrap_or_default(), self.peer(), request, attempt)
    }
}

/// The reason for a server of HTTP/2 in TLS.
#[cfg(feature = "tls")]
fn http2_only(peer: impl std::fmt::Display) -> Reason {
    let text = format!("{peer} speaks HTTP/2 only, as servers of gRPC do, and waitgate asks in HTTP/1.1");
    let hint = kind::spoken_by(Protocol::Http2).map_or("tcp", |_| "grpcs");
    Reason::new(Code::ProtocolOther, text).with_key("HTTP/2").with_hint(Hint::UseKind(hint))
}

fn invalid(place: Place<'_>, why: Option<&str>) -> Reason {
    let why = why.map(|why| format!(": {why}")).unwrap_or_default();
    Reason::new(Code::ProtocolOther, format!("{place} sent an HTTP answer that is not valid{why}")).with_key("HTTP")
}

fn not_http(place: Place<'_>, protocol: Option<Protocol>) -> Reason {
    match protocol {
        Some(Protocol::Tls) => Reason::new(Code::ProtocolTlsWanted, format!("{place} wants TLS on this port"))
            .with_hint(kind::instead(protocol)),
        // Of kinds for other servers, none takes the path of a socket.
        _ if place.address().is_none() => kind::other_protocol(place, "HTTP", None).with_hint(None),
        Some(Protocol::Http2) => {
            let text = format!("{place} speaks HTTP/2 only, as servers of gRPC do, and waitgate asks in HTTP/1.1");
            Reason::new(Code::ProtocolOther, text).with_key("HTTP/2").with_hint(kind::instead(protocol))
        }
        _ => kind::other_protocol(place, "HTTP", protocol),
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

/// What is wrong with an answer. hyper tells most of this only by its words, which hold nothing of the answer.
enum Mistake {
    /// Something before or in the status line: perhaps it is not HTTP.
    First(&'static str),
    /// Something after the status line.
    Header(&'static str),
}

impl Mistake {
    fn of(error: &hyper::Error) -> Option<Self> {
        Some(match error.to_string().as_str() {
            "received unexpected message from connection" => Self::First("it came before the request"),
            "invalid HTTP version parsed" => Self::First("its version is neither HTTP/1.1 nor HTTP/1.0"),
            "invalid HTTP status-code parsed" => Self::First("its status is not a number of three digits"),
            "invalid HTTP header parsed" => Self::Header("one of its headers breaks the rules (RFC 9112 section 5)"),
            "invalid content-length parsed" => Self::Header("its Content-Length is not one number"),
            "invalid transfer-encoding parsed" => Self::Header("it has a Transfer-Encoding other than chunked"),
            "unexpected transfer-encoding parsed" => {
                Self::Header("it has a Transfer-Encoding, which HTTP/1.0 does not have")
            }
            _ => return None,
        })
    }

    fn words(&self) -> &'static str {
        match self {
            Self::First(words) | Self::Header(words) => words,
        }
    }
}

/// Whether the server sent something before it got the request. hyper has no predicate for this.
fn is_early(error: &hyper::Error) -> bool {
    !error.is_canceled() && !error.is_closed() && !error.is_incomplete_message() && find::<io::Error>(error).is_none()
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
