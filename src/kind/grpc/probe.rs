//! One attempt: connect, call, and judge.

use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use http_types::header::{CONTENT_TYPE, HOST, HeaderMap, HeaderName, HeaderValue, TE, USER_AGENT};
use http_types::uri::{Authority, PathAndQuery, Scheme, Uri};
use http_types::{Method, Request, Version};
use tokio::time::Instant;

use super::wire::Wire;
use super::{Grpc, call, judge, message};
use crate::attempt::Attempt;
use crate::kind::Ready;
use crate::kind::servers::{self, Place, Probing};
#[cfg(feature = "tls")]
use crate::kind::tls;
use crate::net::Net;
use crate::net::sniff::{self, Protocol};
#[cfg(feature = "tls")]
use crate::net::stream::Peer;
use crate::net::stream::Stream;
use crate::reason::{Code, Cost, Reason, Stage};

/// The method that every server with a health service has.
const PATH: &str = "/grpc.health.v1.Health/Check";

/// How much sooner than the attempt the server's own deadline ends, so that its answer can still come.
const MARGIN: Duration = Duration::from_millis(100);

/// What one attempt works with.
struct Call<'a> {
    target: &'a Grpc,
    net: &'a Net,
    attempt: &'a Attempt,
    authority: Authority,
    metadata: HeaderMap,
}

impl Grpc {
    /// Asks the first address that accepts, and after a reason the next one.
    pub(super) async fn ask(&self, net: &Net, attempt: &Attempt) -> Result<Ready, Reason> {
        let (authority, metadata) = self.metadata(attempt)?;
        let call = Call { target: self, net, attempt, authority, metadata };
        let place = Place { at: &self.host, port: self.port, host: &self.host };
        // The servers of one name have the same tokens.
        let is_final = |reason: &Reason| reason.cost() == Cost::Credentials;
        let probe = |address, stream, _| -> Probing<'_> { Box::pin(call.on(address, stream)) };
        servers::each_address(net, place, attempt.until(), attempt, &is_final, &probe).await
    }

    /// The `:authority` and the metadata of this attempt, with the files as they are now.
    pub(super) fn metadata(&self, attempt: &Attempt) -> Result<(Authority, HeaderMap), Reason> {
        let mut metadata = HeaderMap::new();
        for header in &self.headers {
            metadata.append(&header.name, header.read(attempt)?);
        }
        let host = metadata.remove(HOST);
        let authority = match &host {
            Some(host) => Authority::try_from(host.as_bytes()),
            None => Authority::try_from(self.authority()),
        };
        let authority = authority.map_err(|_| {
            let what = if host.is_some() { "the Host in #header=".to_owned() } else { self.host.to_string() };
            Reason::new(Code::LocalFile, format!("{what} cannot be the name of a server")).with_key("authority")
        })?;
        if metadata.values().any(|value| value.to_str().is_err()) {
            let text = "a file of #header= holds text that is not ASCII, and gRPC takes no other";
            return Err(Reason::new(Code::LocalFile, text).with_key("ascii"));
        }
        let own = |name: HeaderName, value: &'static str| (name, HeaderValue::from_static(value));
        metadata.extend([own(TE, "trailers"), own(CONTENT_TYPE, "application/grpc")]);
        let agent = HeaderValue::from_static(concat!("waitgate/", env!("CARGO_PKG_VERSION")));
        metadata.entry(USER_AGENT).or_insert(agent);
        Ok((authority, metadata))
    }

    /// As clients of gRPC have it: the name that the certificate must have, or else the target's host and port.
    fn authority(&self) -> String {
        #[cfg(feature = "tls")]
        if let Some(name) = self.options.name() {
            return name.to_owned();
        }
        format!("{}:{}", self.host, self.port)
    }
}

impl Call<'_> {
    /// One call over one connection.
    async fn on(&self, address: SocketAddr, stream: Stream) -> Result<Ready, Reason> {
        #[cfg(feature = "tls")]
        let stream = if self.target.tls { self.handshake(address, stream).await? } else { stream };
        let peer = stream.peer().clone();
        self.attempt.enter(Stage::Protocol, format_args!("{peer} accepted the connection and the call"));
        let mut wire = Wire::new(stream.limited(call::SESSION_MAX));
        let request = request(self.target, self.authority.clone(), self.metadata.clone(), self.attempt);
        let asked = Bytes::from(message::request(&self.target.service));
        let error = match call::call(&mut wire, request, asked).await {
            Ok(answer) => return judge::judge(self.target, &answer, &peer, self.attempt),
            Err(error) => error,
        };
        let reason = judge::no_answer(self.target, &error, &wire, &peer);
        let silent = wire.stream.first().is_empty() && reason.code() == Code::ProtocolClosed;
        drop(wire);
        if silent && !self.target.tls {
            // OpenSSL closes without a word on plain text, and so do servers of other protocols.
            match sniff::look(address, self.attempt).await? {
                Some(Protocol::Tls) => return Err(judge::wants_tls(&peer)),
                Some(Protocol::Http2) | None => {}
                other => return Err(judge::other(&peer, other)),
            }
        }
        Err(reason)
    }

    #[cfg(feature = "tls")]
    async fn handshake(&self, address: SocketAddr, stream: Stream) -> Result<Stream, Reason> {
        let Self { target, net, attempt, .. } = self;
        let peer = Peer::Tcp(address);
        let stream = match target.options.handshake_alpn(net, &target.host, b"h2", stream, attempt).await {
            Ok(stream) => stream,
            Err(reason) if reason.key() == "NoApplicationProtocol" => return Err(judge::no_http2(&peer)),
            Err(reason) => return Err(tls::explained(reason, address, attempt).await),
        };
        let chosen = stream.session().and_then(|session| session.alpn_protocol());
        if chosen == Some(b"h2") { Ok(stream) } else { Err(judge::no_http2(&peer)) }
    }
}

/// The head of the call.
pub(super) fn request(target: &Grpc, authority: Authority, metadata: HeaderMap, attempt: &Attempt) -> Request<()> {
    let mut request = Request::new(());
    let mut uri = Uri::default().into_parts();
    uri.scheme = Some(if target.tls { Scheme::HTTPS } else { Scheme::HTTP });
    uri.authority = Some(authority);
    uri.path_and_query = Some(PathAndQuery::from_static(PATH));
    *request.uri_mut() = Uri::from_parts(uri).unwrap_or_default();
    *request.method_mut() = Method::POST;
    *request.version_mut() = Version::HTTP_2;
    *request.headers_mut() = metadata;
    let left = attempt.until().saturating_duration_since(Instant::now());
    // In milliseconds, of at most 8 digits (PROTOCOL-HTTP2.md, Timeout): 24 hours have 8.
    let timeout = left.saturating_sub(MARGIN.min(left / 2)).as_millis().clamp(1, 99_999_999);
    if let Ok(timeout) = HeaderValue::try_from(format!("{timeout}m")) {
        request.headers_mut().insert("grpc-timeout", timeout);
    }
    request
}
