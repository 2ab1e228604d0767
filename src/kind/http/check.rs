//! Compares an answer with the expectations.

use std::ops::RangeInclusive;

use anyhow::{Result, bail};
use reqwest::header::{HeaderMap, HeaderName, HeaderValue, LOCATION, SERVER};
use reqwest::{StatusCode, Url};

use super::body;
use super::complaint::{self, Complaint};
use super::exchange::{self, Answer, HOST_MAX, Outgoing};
use super::status;
use crate::attempt::Attempt;
use crate::kind::content::Content;
use crate::kind::expect::Expectations;
use crate::net::Net;
use crate::net::sniff::Protocol;
use crate::reason::{Code, Cost, Hint, Reason};

/// The expectations of an answer.
#[derive(Clone)]
pub(super) struct Check {
    /// `None`: 200 to 399, and waitgate follows redirects on the same host.
    statuses: Option<Statuses>,
    /// Whether waitgate also follows redirects to other hosts.
    follow: bool,
    /// The headers that the answer must have, and a value for some.
    headers: Vec<(HeaderName, Option<String>)>,
    content: Content,
}

/// What waitgate does after an answer that is not a failure.
pub(super) enum Step {
    /// The target is ready; the text says why.
    Ready(String),
    /// waitgate sends the request to this URL next, because of this status.
    Follow(Url, StatusCode),
}

impl Check {
    pub(super) fn parse(expectations: &Expectations) -> Result<Self> {
        let statuses = expectations.get("status").map(Statuses::parse).transpose();
        let statuses = statuses.map_err(|error| error.context("#status"))?;
        let follow = expectations.has("follow");
        if follow && statuses.as_ref().is_some_and(Statuses::list_redirects) {
            bail!("#follow: #status lists redirects, so waitgate would follow none: give one of them");
        }
        let content = Content::parse(expectations)?;
        if !content.is_empty() && expectations.get("method") == Some("HEAD") {
            bail!(
                "#method: the answer to HEAD has no body to look at: leave out either #method=HEAD or #body, #match and #json"
            );
        }
        let headers = expectations.all("answer-header").map(answer_header).collect::<Result<_>>();
        let headers = headers.map_err(|error| error.context("#answer-header"))?;
        Ok(Self { statuses, follow, headers, content })
    }

    pub(super) async fn judge(
        &self,
        net: &Net,
        answer: Answer,
        request: &Outgoing,
        attempt: &Attempt,
    ) -> Result<Step, Reason> {
        let status = answer.response.status();
        // If a proxy does not reach the server, the proxy itself answers. Nothing shows whose answer it is.
        let proxied = if request.is_proxied() { " (a proxy)" } else { "" };
        let said = format!("{} from {}{proxied}", status::named(status.as_u16()), answer.from);
        let follows = self.statuses.as_ref().is_none_or(|expected| !expected.list_redirects());
        if follows && let Some(location) = location(&answer) {
            return self.redirect(location, status, request, &said, attempt);
        }
        let expected = match &self.statuses {
            Some(expected) => expected.contains(status.as_u16()),
            None => (200..=399).contains(&status.as_u16()),
        };
        if !expected {
            let said = if self.statuses.is_some() { format!("{said}, which #status does not list") } else { said };
            return Err(unexpected(answer, said, attempt).await);
        }
        self.check_headers(answer.response.headers(), &said)?;
        if self.content.is_empty() && complaint::may_be_mongodb(&answer.response) {
            let from = answer.from.clone();
            if complaint::is_mongodb(answer.response, attempt).await {
                return Err(crate::kind::other_protocol(from, "HTTP", Some(Protocol::MongoDb)));
            }
            return Ok(Step::Ready(said));
        }
        if !self.content.is_empty() {
            body::check(net, &self.content, answer, &said, attempt).await?;
        }
        Ok(Step::Ready(said))
    }

    fn check_headers(&self, headers: &HeaderMap, said: &str) -> Result<(), Reason> {
        for (name, expected) in &self.headers {
            let mut values = headers.get_all(name).iter().map(|value| value.as_bytes().trim_ascii()).peekable();
            let lacks = if values.peek().is_none() {
                format!("has no header {name}")
            } else if expected.as_ref().is_none_or(|expected| values.any(|value| value == expected.as_bytes())) {
                continue;
            } else {
                // The server's value may be a secret, such as a cookie.
                format!("has another value in its header {name}")
            };
            return Err(Reason::new(Code::ExpectHeader, format!("{said} {lacks}")).with_key(lacks));
        }
        Ok(())
    }

    /// The rule of Kubernetes: follow a redirect to the same host; a redirect to another host is an answer
    /// (pkg/probe/http/http.go, RedirectChecker). It is not an answer if the target expects more than that. Unlike
    /// Kubernetes, waitgate never follows a redirect from `https:` to `http:`.
    fn redirect(
        &self,
        location: &HeaderValue,
        status: StatusCode,
        request: &Outgoing,
        said: &str,
        attempt: &Attempt,
    ) -> Result<Step, Reason> {
        let url = request.url();
        let cannot = |why: &str| Err(Reason::new(Code::ExpectRedirect, format!("{said}, {why}")).with_key(why));
        let next = std::str::from_utf8(location.as_bytes()).ok().and_then(|location| url.join(location).ok());
        let Some(next) = next else {
            return cannot("to something that is not a URL");
        };
        let to_https = match next.scheme() {
            "http" => false,
            "https" => true,
            _ => return cannot("to something that is not http: or https:"),
        };
        // No other origin is behind a unix socket.
        let leaves_socket = request.is_on_socket() && request.leaves_for(&next);
        if leaves_socket || next.host_str() != url.host_str() && !self.follow {
            let host = attempt.quote(next.host_str().unwrap_or_default(), HOST_MAX);
            let said = if leaves_socket {
                let port = exchange::port(&next);
                format!("{said}, which redirects to another origin, {}://{host}:{port}", next.scheme())
            } else {
                format!("{said}, which redirects to another host, {host}")
            };
            let lacks = match (&self.statuses, self.content.is_empty(), self.headers.is_empty()) {
                (None, true, true) => return Ok(Step::Ready(said)),
                (Some(_), _, _) => "#status does not list it",
                (None, false, _) => "there is no body to look at",
                (None, true, false) => "#answer-header is about the last answer",
            };
            let follow = if leaves_socket { "" } else { " (#follow follows to other hosts)" };
            let text = format!("{said}: {lacks}{follow}");
            return Err(Reason::new(Code::ExpectRedirect, text).with_key(lacks));
        }
        if url.scheme() == "https" && !to_https {
            return cannot("from https: to http:");
        }
        if to_https && cfg!(not(feature = "tls")) {
            return cannot("to https:, which this build does not have");
        }
        // 307 and 308 ask for the same request again (RFC 9110 sections 15.4.8 and 15.4.9). What the target sends is
        // meant for its own origin.
        if matches!(status.as_u16(), 307 | 308) && request.acts() && request.leaves_for(&next) {
            let port = exchange::port(&next);
            let to = attempt.quote(next.host_str().unwrap_or_default(), HOST_MAX);
            let why = format!("which asks to repeat the request at {}://{to}:{port}", next.scheme());
            let text = format!("{said}, {why}: waitgate sends no data to another origin");
            return Err(Reason::new(Code::ExpectRedirect, text).with_key(why));
        }
        Ok(Step::Follow(next, status))
    }
}

async fn unexpected(answer: Answer, said: String, attempt: &Attempt) -> Reason {
    let status = answer.response.status();
    let from = answer.from;
    let reason = match status {
        StatusCode::UNAUTHORIZED | StatusCode::PROXY_AUTHENTICATION_REQUIRED => {
            Reason::new(Code::ExpectStatus, said).with_cost(Cost::Credentials).with_hint(Hint::Credentials)
        }
        StatusCode::FORBIDDEN => {
            Reason::new(Code::ExpectStatus, said).with_cost(Cost::Credentials).with_hint(Hint::Forbidden)
        }
        StatusCode::BAD_REQUEST => match complaint::complaint(answer.response, attempt).await {
            None => Reason::new(Code::ExpectStatus, said),
            Some(Complaint::Tls) => {
                let text = format!("{said}: {from} wants TLS on this port");
                return Reason::new(Code::ProtocolTlsWanted, text).with_hint(Hint::UseKind("https"));
            }
            Some(Complaint::Certificate) => {
                let text = format!("{said}: {from} wants a client certificate that it trusts");
                return Reason::new(Code::TlsClientCertificate, text);
            }
        },
        // Only a gateway sends these (RFC 9110 sections 15.6.3 and 15.6.5).
        StatusCode::BAD_GATEWAY | StatusCode::GATEWAY_TIMEOUT => {
            Reason::new(Code::ExpectStatus, said).with_hint(Hint::Gateway)
        }
        // An Envoy sidecar answers this for a Service without ready Pods.
        StatusCode::SERVICE_UNAVAILABLE if is_envoy(answer.response.headers()) => {
            Reason::new(Code::ExpectStatus, said).with_hint(Hint::Gateway)
        }
        _ => Reason::new(Code::ExpectStatus, said),
    };
    reason.with_key(status.as_u16())
}

/// Whether Envoy itself answered, and not the server after it.
///
/// Envoy puts its own name (or Istio's name for it) on every answer. On an answer of the server it also puts the time
/// that the server took (envoy: http_connection_manager `server_name`, router `x-envoy-upstream-service-time`).
fn is_envoy(headers: &HeaderMap) -> bool {
    let named = headers.get(SERVER).is_some_and(|server| matches!(server.as_bytes(), b"envoy" | b"istio-envoy"));
    named && !headers.contains_key("x-envoy-upstream-service-time")
}

/// `NAME` or `NAME:VALUE`.
fn answer_header(text: &str) -> Result<(HeaderName, Option<String>)> {
    const FORM: &str = "expected NAME or NAME:VALUE, such as Server:MinIO";
    let (name, value) = match text.split_once(':') {
        Some((name, value)) => (name, Some(value.trim_ascii().to_owned())),
        None => (text, None),
    };
    let Ok(name) = HeaderName::from_bytes(name.as_bytes()) else {
        bail!("a header's name has letters, digits and '-' ({FORM})");
    };
    Ok((name, value))
}

/// Where a redirect leads. Without a Location it is an answer like any other, as for the kubelet (net/http:
/// `redirectBehavior`).
fn location(answer: &Answer) -> Option<&HeaderValue> {
    let is_redirect = matches!(answer.response.status().as_u16(), 301 | 302 | 303 | 307 | 308);
    answer.response.headers().get(LOCATION).filter(|location| is_redirect && !location.is_empty())
}

/// `200,204,300-399`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Statuses(Vec<RangeInclusive<u16>>);

impl Statuses {
    pub(super) fn parse(text: &str) -> Result<Self> {
        const FORM: &str = "expected statuses such as 200, or 200,204,300-399";
        let code = |text: &str| match text.parse() {
            Ok(code @ 100..=999) if text.len() == 3 => Ok(code),
            _ => bail!("a status has three digits and is from 100 to 999 ({FORM})"),
        };
        let range = |piece: &str| {
            let (low, high) = piece.split_once('-').unwrap_or((piece, piece));
            let range = code(low)?..=code(high)?;
            if range.is_empty() {
                bail!("the first status of a range must be the lower one ({FORM})");
            }
            Ok(range)
        };
        Ok(Self(text.split(',').map(range).collect::<Result<_>>()?))
    }

    pub(super) fn contains(&self, status: u16) -> bool {
        self.0.iter().any(|range| range.contains(&status))
    }

    /// Whether a redirect is itself an expected answer. Then waitgate follows none.
    fn list_redirects(&self) -> bool {
        self.0.iter().any(|range| *range.start() <= 399 && *range.end() >= 300)
    }
}
