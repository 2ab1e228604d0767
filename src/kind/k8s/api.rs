//! Requests to the API server over one connection, and what its refusals mean.

use std::net::SocketAddr;
use std::time::Duration;

use super::access::Session;
use super::objects::Node;
use super::reasons::{self, Refusal};
use super::wire::{Broken, Wire};
use crate::attempt::Attempt;
use crate::net::race::race;
use crate::net::stream::Peer;
use crate::net::{Net, connect, tls};
use crate::reason::{Code, Hint, Reason, Stage};
use crate::text::os_error;

/// What is read of a refusal's body, in bytes.
const STATUS_MAX: usize = 16 * 1024;

/// The longest words of the server in a reason, in characters.
pub(super) const WORDS_MAX: usize = 300;

/// A connection to the API server.
pub(super) struct Api<'a> {
    wire: Wire,
    session: &'a Session,
    attempt: &'a Attempt,
}

impl<'a> Api<'a> {
    /// Connects, and finishes the TLS handshake.
    pub(super) async fn connect(net: &Net, session: &'a Session, attempt: &'a Attempt) -> Result<Self, Reason> {
        let addresses = connect::resolve(net, &session.host, session.port, attempt).await?;
        attempt.if_silent(Some(Hint::ApiServer));
        let connect = async |address: SocketAddr| {
            let stream = connect::to(net, address, attempt).await?;
            let shaken = tls::handshake(session.tls.clone(), session.server_name.clone(), stream, attempt).await;
            shaken.map_err(|failed| match failed.reason.hint() {
                Some(Hint::CaFile) => failed.reason.with_hint(Hint::ApiCa),
                _ => failed.reason,
            })
        };
        match race(&addresses, attempt, connect).await {
            Ok(stream) => Ok(Self { wire: Wire::new(stream), session, attempt }),
            Err(failed) => {
                let reason = connect::explain(net, &session.host, &failed);
                let silent = matches!(reason.code(), Code::ConnectTimeout | Code::ConnectUnreachable);
                Err(if silent { reason.with_hint(Hint::ApiServer) } else { reason })
            }
        }
    }

    /// The path before the API's own paths.
    pub(super) fn prefix(&self) -> &'a str {
        &self.session.prefix
    }

    /// Asks for `path`. After `Ok(Ok(()))` the body comes by [`Api::piece`].
    pub(super) async fn get(&mut self, path: &str, accept: &str) -> Result<Result<(), Refusal>, Reason> {
        let request = self.request(path, accept)?;
        let peer = self.wire.peer();
        self.attempt.enter(Stage::Protocol, format_args!("{peer} accepted the connection and the request"));
        let head = self.wire.ask(request.as_bytes()).await.map_err(|broken| broke(broken, &peer, self.session))?;
        if head.status == 200 {
            return Ok(Ok(()));
        }
        let mut body = Vec::new();
        while let Some(piece) = self.piece().await? {
            body.extend_from_slice(&piece[..piece.len().min(STATUS_MAX - body.len())]);
            if body.len() == STATUS_MAX {
                break;
            }
        }
        let status = Node::of_object(&body).unwrap_or(Node::Null);
        let said = match status.get("message").text() {
            "" => String::from_utf8_lossy(&body).trim().to_owned(),
            message => message.to_owned(),
        };
        Ok(Err(Refusal {
            status: head.status,
            retry_after: head.retry_after,
            said: self.attempt.quote(said, WORDS_MAX),
            names_object: !status.at(&["details", "name"]).text().is_empty(),
        }))
    }

    /// The next piece of the body.
    pub(super) async fn piece(&mut self) -> Result<Option<&[u8]>, Reason> {
        let (peer, session) = (self.wire.peer(), self.session);
        self.wire.piece().await.map_err(|broken| broke(broken, &peer, session))
    }

    /// The whole body, of at most `max` bytes.
    pub(super) async fn body(&mut self, max: usize) -> Result<Vec<u8>, Reason> {
        let mut body = Vec::new();
        while let Some(piece) = self.piece().await? {
            if body.len() + piece.len() > max {
                return Err(self.too_long());
            }
            body.extend_from_slice(piece);
        }
        Ok(body)
    }

    /// The reason for an object that is longer than waitgate reads.
    pub(super) fn too_long(&self) -> Reason {
        broke(Broken::TooLong, &self.wire.peer(), self.session)
    }

    /// What a refusal of `what` means, if it is none that the caller treats in another way.
    pub(super) fn refused(&self, refusal: &Refusal, what: &str) -> Reason {
        let reason = reasons::refused(refusal, what, &self.wire.peer(), self.session.token.is_some());
        match refusal.retry_after {
            Some(seconds) => reason.with_pause(Duration::from_secs(seconds).min(reasons::RETRY_AFTER_MAX)),
            None => reason,
        }
    }

    fn request(&self, path: &str, accept: &str) -> Result<String, Reason> {
        let (host, port) = (&self.session.host, self.session.port);
        let login = match &self.session.token {
            None => String::new(),
            // A line break would end the header (RFC 6750 section 2.1 has none in a token).
            Some(token) if token.expose().bytes().all(|byte| byte.is_ascii_graphic()) && !token.expose().is_empty() => {
                format!("Authorization: Bearer {}\r\n", token.expose())
            }
            Some(_) => {
                let text = "the token for the API is empty, or has a blank or a line break in it";
                return Err(Reason::new(Code::LocalFile, text).with_key("token"));
            }
        };
        let version = env!("CARGO_PKG_VERSION");
        Ok(format!(
            "GET {path} HTTP/1.1\r\nHost: {host}:{port}\r\nUser-Agent: waitgate/{version}\r\nAccept: {accept}\r\n{login}\r\n"
        ))
    }
}

/// The reason for an answer that broke off.
fn broke(broken: Broken, peer: &Peer, session: &Session) -> Reason {
    match broken {
        Broken::Closed => {
            let text = format!("{peer} closed the connection before its answer was complete");
            Reason::new(Code::ProtocolClosed, text).with_key("tls")
        }
        // In TLS 1.3 the server checks the client certificate after the handshake.
        Broken::Failed(error) => {
            if let Some(cause) = tls::cause(&error) {
                return tls::reason(cause, &session.server_name.to_str(), peer);
            }
            let why = os_error(&error);
            Reason::new(Code::ProtocolClosed, format!("the connection to {peer} broke: {why}"))
        }
        Broken::NotHttp => Reason::new(Code::ProtocolOther, format!("{peer} answered, but not in valid HTTP/1.1")),
        Broken::TooLong => Reason::new(Code::ProtocolTooLarge, format!("{peer} sent more at once than waitgate reads")),
    }
}
