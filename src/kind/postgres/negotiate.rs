//! Opens a session on a connection: SSLRequest, its answer, and the TLS handshake.

use std::time::Duration;

use bytes::BytesMut;
use postgres_protocol::message::frontend;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time;

use super::context::Context;
use super::messages::{self, Messages, ServerError};
use super::server::Server;
use super::sslmode::SslMode;
use crate::attempt::Attempt;
use crate::kind::no_answer::NoAnswer;
use crate::net::stream::Stream;
use crate::reason::{Code, Reason, Stage};

/// Whether a session is encrypted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Encryption {
    /// Plain text.
    None,
    /// TLS if the server offers it, otherwise plain text.
    IfOffered,
    /// TLS, or no session.
    Tls,
}

/// What libpq tries for an sslmode: the first, and after some failures the second on a new connection.
pub(super) fn encryptions(mode: SslMode) -> (Encryption, Option<Encryption>) {
    match mode {
        SslMode::Disable => (Encryption::None, None),
        SslMode::Allow => (Encryption::None, Some(Encryption::Tls)),
        SslMode::Prefer => (Encryption::IfOffered, Some(Encryption::None)),
        SslMode::Require | SslMode::VerifyCa | SslMode::VerifyFull => (Encryption::Tls, None),
    }
}

/// A session that is ready for the startup packet.
pub(super) struct OpenSession {
    pub(super) stream: Stream,
    pub(super) encrypted: bool,
}

/// Why a session could not be opened.
pub(super) enum OpenFailed {
    /// The TLS handshake failed. Plain text may still work, if the sslmode allows it.
    Handshake(Reason),
    /// The server answered the request for TLS with an error.
    ServerError(ServerError),
    /// Any other failure.
    Other(Reason),
}

/// Opens a session on a new connection.
pub(super) async fn open(
    context: &Context<'_>,
    encryption: Encryption,
    server: &Server,
    stream: Stream,
) -> Result<OpenSession, OpenFailed> {
    // More than the session may read, because TLS adds bytes of its own.
    let mut stream = stream.limited(messages::SESSION_MAX + messages::SESSION_MAX / 4);
    if encryption == Encryption::None {
        return Ok(OpenSession { stream: stream.limited(messages::SESSION_MAX), encrypted: false });
    }
    let peer = stream.peer().clone();
    context.attempt.enter(Stage::Protocol, format_args!("{peer} accepted the connection and the request for TLS"));
    let mut request = BytesMut::new();
    frontend::ssl_request(&mut request);
    const AFTER: &str = "when it was asked for TLS";
    if let Err(error) = stream.write_all(&request).await {
        return Err(OpenFailed::Other(messages::reason(&error.into(), &stream, AFTER)));
    }
    // Read one byte and no more: what follows an 'S' belongs to TLS (CVE-2021-23222).
    let mut answer = [0; 1];
    match stream.read(&mut answer).await {
        Ok(0) => return Err(OpenFailed::Other(messages::reason(&NoAnswer::Closed, &stream, AFTER))),
        Ok(_) => {}
        Err(error) => return Err(OpenFailed::Other(messages::reason(&error.into(), &stream, AFTER))),
    }
    match answer[0] {
        b'S' => encrypt(context, server, stream).await,
        b'N' if encryption == Encryption::IfOffered => {
            Ok(OpenSession { stream: stream.limited(messages::SESSION_MAX), encrypted: false })
        }
        b'N' => Err(OpenFailed::Other(Reason::new(
            Code::TlsUnsupported,
            format!("{peer} does not do TLS, and sslmode={} asks for it", context.target.info.ssl_mode),
        ))),
        b'E' => Err(server_error(stream, &answer, context.attempt).await),
        _ => {
            // Read a little more, to recognise the protocol. If nothing more comes, the protocol stays unknown.
            let mut more = [0; 64];
            let _ = time::timeout(Duration::from_millis(100), stream.read(&mut more)).await;
            Err(OpenFailed::Other(messages::not_postgres(&peer, stream.first())))
        }
    }
}

async fn server_error(mut stream: Stream, head: &[u8], attempt: &Attempt) -> OpenFailed {
    let mut messages = Messages::new(&mut stream, head);
    match messages.next().await {
        Ok(message) => match ServerError::parse(&message.body, attempt) {
            Some(error) => OpenFailed::ServerError(error),
            None => OpenFailed::Other(messages::not_postgres(stream.peer(), stream.first())),
        },
        Err(why) => {
            let unread = messages.unread().to_vec();
            OpenFailed::Other(
                fork_failure(&stream, &unread, attempt).unwrap_or_else(|| messages::reason(&why, &stream, "")),
            )
        }
    }
}

/// The reason if the server cannot start a process for the connection.
///
/// It reports that in the old form of the protocol: 'E', then text up to a NUL
/// (postmaster.c: `report_fork_failure_to_client`).
pub(super) fn fork_failure(stream: &Stream, unread: &[u8], attempt: &Attempt) -> Option<Reason> {
    let text = unread.strip_prefix(b"E")?;
    let text = text.split(|byte| *byte == 0).next().unwrap_or_default();
    let said = messages::words(text, attempt);
    let is_text = said.len() > 8 && said.trim_end().chars().all(|c| !c.is_control());
    is_text.then(|| {
        Reason::new(Code::ProtocolError, format!("{} answered with an error: {}", stream.peer(), said.trim_end()))
            .with_key("fork")
    })
}

#[cfg(not(feature = "tls"))]
#[expect(clippy::unused_async, reason = "a build with TLS does the handshake here")]
async fn encrypt(_: &Context<'_>, _: &Server, stream: Stream) -> Result<OpenSession, OpenFailed> {
    let text = format!("{} offers TLS, but this build has no TLS", stream.peer());
    Err(OpenFailed::Handshake(Reason::new(Code::TlsFailed, text)))
}

#[cfg(feature = "tls")]
async fn encrypt(context: &Context<'_>, server: &Server, stream: Stream) -> Result<OpenSession, OpenFailed> {
    use crate::net::tls;
    let verified = matches!(context.target.info.ssl_mode, SslMode::VerifyCa | SslMode::VerifyFull);
    let name = match server_name(server) {
        Some(name) => name,
        // Without verification the name does not matter. rustls sends no address to the server (RFC 6066 section 3).
        None if !verified => rustls::pki_types::ServerName::IpAddress(std::net::Ipv4Addr::LOCALHOST.into()),
        None => {
            return Err(OpenFailed::Other(Reason::new(
                Code::TlsWrongName,
                format!("no certificate can be for {server}: that is not a DNS name"),
            )));
        }
    };
    let config = context.tls().map_err(OpenFailed::Other)?;
    let session = tls::handshake(config, name, stream, context.attempt).await;
    let session = session.map_err(|failed| match failed.reason.code() {
        // It said 'S', as SSH does, and not in HTTP.
        Code::TlsNotTls => OpenFailed::Handshake(failed.reason.with_hint(crate::kind::instead(None))),
        _ => OpenFailed::Handshake(failed.reason),
    })?;
    // TLS 1.2 and 1.3 are what waitgate has. Only the higher of the two can be demanded.
    let version = session.session().and_then(|session| session.protocol_version());
    if context.target.info.tls13_only && version != Some(rustls::ProtocolVersion::TLSv1_3) {
        let text =
            format!("{} agreed only to TLS 1.2, and ssl_min_protocol_version=TLSv1.3 forbids it", session.peer());
        return Err(OpenFailed::Handshake(Reason::new(Code::TlsFailed, text).with_key("version")));
    }
    Ok(OpenSession { stream: session.limited(messages::SESSION_MAX), encrypted: true })
}

#[cfg(feature = "tls")]
fn server_name(server: &Server) -> Option<rustls::pki_types::ServerName<'static>> {
    use super::server::HostOrFolder;
    use crate::net::address::Host;
    match &server.host {
        HostOrFolder::Folder(_) => None,
        HostOrFolder::Host(Host::Ip(ip)) => Some(rustls::pki_types::ServerName::IpAddress((*ip).into())),
        // The name must have no trailing dot (RFC 6066 section 3).
        HostOrFolder::Host(Host::Name(name)) => name.strip_suffix('.').unwrap_or(name).to_owned().try_into().ok(),
    }
}
