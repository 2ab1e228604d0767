//! From an answer, or from what came in its place, to Ready or a reason. Pure.

use http_types::StatusCode;
use http_types::header::{CONTENT_TYPE, HeaderMap, SERVER};

use super::Grpc;
use super::call::{Answer, HEADERS_MAX};
use super::message::{Health, Mistake};
use super::status::{self, Status};
use super::wire::Wire;
use crate::attempt::Attempt;
use crate::kind::{self, Ready};
use crate::net::sniff::Protocol;
use crate::net::stream::Peer;
use crate::reason::{Code, Cost, Hint, Reason};
use crate::text::os_error;

/// The most characters of a server's words in a reason.
const WORDS_MAX: usize = 200;

/// The length of a frame's head (RFC 9113 section 4.1).
const FRAME_HEAD: usize = 9;

/// What kind of answer waitgate asks for, in reasons.
const WANTED: &str = "gRPC";

/// Judges an answer.
pub(super) fn judge(target: &Grpc, answer: &Answer, peer: &Peer, attempt: &Attempt) -> Result<Ready, Reason> {
    // Without a message and trailers, the headers are the trailers.
    let end = answer.trailers.as_ref().unwrap_or(&answer.headers);
    let number = match status::number(end).or_else(|| status::number(&answer.headers)) {
        None => return Err(not_grpc(answer, peer, attempt)),
        Some(Err(value)) => {
            let said = attempt.quote(value.as_bytes(), 40);
            let text = format!("{peer} ended its answer with a grpc-status that is not a number: \"{said}\"");
            return Err(Reason::new(Code::ProtocolError, text).with_key("status"));
        }
        Some(Ok(number)) => number,
    };
    if number == status::OK {
        return health(target, answer, peer);
    }
    Err(refused(target, number, answer, end, peer, attempt))
}

fn health(target: &Grpc, answer: &Answer, peer: &Peer) -> Result<Ready, Reason> {
    if answer.cut {
        return Err(too_large(peer));
    }
    let about = target.about();
    let state = |name: &str, means: &str| {
        Err(Reason::new(Code::ExpectState, format!("{peer} says {name}{about}{means}")).with_key(name))
    };
    let mistake = |what: &str, key: &str| Err(Reason::new(Code::ProtocolError, format!("{peer} {what}")).with_key(key));
    match Health::of(&answer.body) {
        Ok(Health::Serving) => Ok(Ready::noted(format!("SERVING from {peer}"))),
        Ok(Health::NotServing) => state("NOT_SERVING", ""),
        Ok(Health::Unknown) => state("UNKNOWN", ": its health is not set yet"),
        Ok(Health::ServiceUnknown) => state("SERVICE_UNKNOWN", ""),
        Ok(Health::Other(number)) => state(&format!("the unknown status {number}"), ""),
        Err(Mistake::Missing) => mistake("ended its answer with OK and without a health", "missing"),
        Err(Mistake::Compressed) => mistake("compressed its answer, and waitgate offers no compression", "compressed"),
        Err(Mistake::Broken) => mistake("answered with a message that is not a HealthCheckResponse", "message"),
    }
}

/// The reason for a status other than OK.
fn refused(target: &Grpc, number: u16, answer: &Answer, end: &HeaderMap, peer: &Peer, attempt: &Attempt) -> Reason {
    let words = status::words(if end.contains_key("grpc-status") { end } else { &answer.headers });
    let words = attempt.quote(words, WORDS_MAX);
    let (name, code) = match Status::of(number) {
        Some(status) => (status.name.to_owned(), status.code),
        None => (format!("the unknown grpc-status {number}"), Code::ProtocolError),
    };
    let about = target.about();
    let what = match number {
        status::UNIMPLEMENTED => format!(
            "{peer} speaks gRPC and has no health service: {} would prove that it {}",
            target.plainly(),
            if target.tls { "ends the TLS handshake" } else { "accepts connections" }
        ),
        status::NOT_FOUND if target.service.is_empty() => format!(
            "{peer} has a health service that knows no health of the whole server (give the name of a service with #service=)"
        ),
        status::NOT_FOUND => format!("{peer} does not know the service \"{}\"", target.service_written),
        status::UNAUTHENTICATED if target.headers.is_empty() => {
            format!("{peer} asks for credentials, and none are given")
        }
        status::UNAUTHENTICATED => format!("{peer} refuses the credentials"),
        status::PERMISSION_DENIED => format!("{peer} does not permit the health check"),
        status::UNAVAILABLE => format!("{peer} cannot serve now"),
        status::DEADLINE_EXCEEDED => format!("{peer} did not find the health{about} in time"),
        _ => format!("{peer} answered the health check with an error"),
    };
    let said = if words.is_empty() { String::new() } else { format!(": {words}") };
    let reason = Reason::new(code, format!("{what}: {name}{said}")).with_key(&name);
    match number {
        // Nothing was refused: there is no reason to be as slow as after a wrong token.
        status::UNAUTHENTICATED if target.headers.is_empty() => {
            reason.with_cost(Cost::Work).with_hint(Hint::Credentials)
        }
        status::UNAUTHENTICATED => reason.with_hint(Hint::Credentials),
        // A proxy says so too, and how long it tried its server tells nothing about how busy that is. (A server of gRPC
        // does not name itself like a proxy.)
        status::UNAVAILABLE => {
            reason.with_cost(Cost::Work).with_hint(is_proxy(&answer.headers).then_some(Hint::Gateway))
        }
        _ => reason,
    }
}

/// Whether Envoy answers. An answer that it passes on has its name too, but a server that says UNAVAILABLE is rare.
fn is_proxy(headers: &HeaderMap) -> bool {
    headers.get(SERVER).is_some_and(|server| matches!(server.as_bytes(), b"envoy" | b"istio-envoy"))
}

/// The reason for an answer without a `grpc-status`. (grpc: doc/http-grpc-status-mapping.md makes a status of HTTP's.)
fn not_grpc(answer: &Answer, peer: &Peer, attempt: &Attempt) -> Reason {
    let status = answer.status;
    if status != StatusCode::OK {
        let words = status.canonical_reason().map(|words| format!(" {words}")).unwrap_or_default();
        let text = format!("{peer} answered with the HTTP status {}{words}, and not in {WANTED}", status.as_u16());
        let reason = Reason::new(Code::ExpectStatus, text).with_key(status.as_u16());
        return match status {
            StatusCode::UNAUTHORIZED => reason.with_cost(Cost::Credentials).with_hint(Hint::Credentials),
            StatusCode::FORBIDDEN => reason.with_cost(Cost::Credentials).with_hint(Hint::Forbidden),
            // A server of gRPC says this with a grpc-status.
            StatusCode::BAD_GATEWAY | StatusCode::SERVICE_UNAVAILABLE | StatusCode::GATEWAY_TIMEOUT => {
                reason.with_hint(Hint::Gateway)
            }
            _ => reason,
        };
    }
    let content_type = answer.headers.get(CONTENT_TYPE);
    if !content_type.is_some_and(|kind| kind.as_bytes().starts_with(b"application/grpc")) {
        let kind = content_type.map(|kind| attempt.quote(kind.as_bytes(), 60));
        let kind =
            kind.map_or_else(|| "without a content-type".to_owned(), |kind| format!("with content of the type {kind}"));
        let text = format!("{peer} answered in HTTP/2 and not in {WANTED}: {kind}");
        return Reason::new(Code::ProtocolOther, text).with_key("content-type");
    }
    if answer.cut {
        return too_large(peer);
    }
    Reason::new(Code::ProtocolError, format!("{peer} ended its answer without a grpc-status")).with_key("no-status")
}

fn too_large(peer: &Peer) -> Reason {
    Reason::new(Code::ProtocolTooLarge, format!("{peer} sent a longer answer than a health check has"))
}

/// The reason when no answer came.
pub(super) fn no_answer(target: &Grpc, error: &h2::Error, wire: &Wire, peer: &Peer) -> Reason {
    let first = wire.stream.first();
    if wire.stream.over_limit() {
        return too_large(peer);
    }
    match Protocol::of(first) {
        Some(Protocol::Http2) => {}
        Some(Protocol::Tls) if !target.tls => return wants_tls(peer),
        Some(spoken) => return other(peer, Some(spoken)),
        None if first.is_empty() => {}
        // HTTP/2 begins with SETTINGS, so these bytes are of something else. A few of them tell nothing.
        None if first.len() >= FRAME_HEAD => return other(peer, None),
        None => {}
    }
    if let Some(failed) = &wire.failed {
        #[cfg(feature = "tls")]
        if let Some(error) = crate::net::tls::cause(failed) {
            return crate::net::tls::reason(error, "this host", peer);
        }
        if !first.is_empty() {
            let words = if failed.raw_os_error().is_some() { format!(": {}", os_error(failed)) } else { String::new() };
            let text = format!("the connection to {peer} failed{words}");
            return Reason::new(Code::ProtocolClosed, text).with_key("failed");
        }
    }
    #[cfg(feature = "tls")]
    if first.is_empty() && wire.stream.asked_in_vain() {
        return crate::net::tls::wants_certificate(format_args!("{peer} closed the connection"));
    }
    if first.is_empty() {
        let hint = if target.tls { Hint::TlsProxyClosed } else { Hint::ClosedUnanswered };
        let text = format!("{peer} accepted the connection and closed it without an answer");
        return Reason::new(Code::ProtocolClosed, text).with_hint(hint);
    }
    let reason = error.reason();
    // The name of an error code of HTTP/2 (RFC 9113 section 7).
    let name = reason.map(|reason| format!("{reason:?}")).unwrap_or_default();
    let (code, what) = match reason {
        // The bounds of h2 on the headers, their frames, and frames without content.
        Some(h2::Reason::REFUSED_STREAM | h2::Reason::ENHANCE_YOUR_CALM) if error.is_library() => {
            return too_large(peer);
        }
        // For headers beyond its bound, h2 has no code of their own.
        Some(h2::Reason::PROTOCOL_ERROR)
            if error.is_library() && error.is_reset() && wire.read > HEADERS_MAX.into() =>
        {
            return too_large(peer);
        }
        Some(_) if error.is_library() => {
            (Code::ProtocolOther, format!("answered in HTTP/2 and broke its rules: {name}"))
        }
        Some(h2::Reason::NO_ERROR) if error.is_go_away() => {
            (Code::ProtocolNotAccepting, "takes no calls: it ended the connection with a GOAWAY".to_owned())
        }
        Some(_) if error.is_go_away() => (Code::ProtocolError, format!("ended the connection with a GOAWAY: {name}")),
        Some(h2::Reason::REFUSED_STREAM) => (Code::ProtocolNotAccepting, format!("did not take the call: {name}")),
        Some(_) if error.is_reset() => (Code::ProtocolError, format!("broke the call off: {name}")),
        _ => (Code::ProtocolClosed, "closed the connection before its answer was complete".to_owned()),
    };
    Reason::new(code, format!("{peer} {what}")).with_key(name)
}

/// The reason for a server of another protocol.
pub(super) fn other(peer: &Peer, spoken: Option<Protocol>) -> Reason {
    kind::other_protocol(peer, WANTED, spoken)
}

/// The reason when a port speaks TLS, and the target does not.
pub(super) fn wants_tls(peer: &Peer) -> Reason {
    Reason::new(Code::ProtocolTlsWanted, format!("{peer} wants TLS on this port")).with_hint(Hint::UseKind("grpcs"))
}

/// The reason when a TLS server does not agree on HTTP/2. Clients of gRPC hang up then (grpc-go since 1.67, C core).
#[cfg(feature = "tls")]
pub(super) fn no_http2(peer: &Peer) -> Reason {
    let text =
        format!("{peer} speaks TLS and does not choose HTTP/2 in the handshake (ALPN), as a server of gRPC does");
    Reason::new(Code::ProtocolOther, text).with_key("ALPN").with_hint(kind::instead(Some(Protocol::Tls)))
}
