//! From a connection to a session: SSLRequest, its answer, and the TLS handshake.

use std::time::Duration;

use bytes::BytesMut;
use postgres_protocol::message::frontend;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time;

use super::messages::{self, Broken, Messages, ServerError};
use super::probe::Probe;
use super::sslmode::SslMode;
use super::uri::Place;
use crate::net::stream::Stream;
use crate::reason::{Code, Reason, Stage};

/// How a session begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    /// In plain text.
    Plain,
    /// TLS if the server offers it, else in plain text.
    Offered,
    /// TLS or not at all.
    Tls,
}

/// The ways that libpq goes for an sslmode: the second is tried on a new connection where the first
/// failed in a manner that the second may cure.
pub(super) fn ways(mode: SslMode) -> (Way, Option<Way>) {
    match mode {
        SslMode::Disable => (Way::Plain, None),
        SslMode::Allow => (Way::Plain, Some(Way::Tls)),
        SslMode::Prefer => (Way::Offered, Some(Way::Plain)),
        SslMode::Require | SslMode::VerifyCa | SslMode::VerifyFull => (Way::Tls, None),
    }
}

/// A session on which the startup packet can be sent.
pub(super) struct Opened {
    pub(super) stream: Stream,
    pub(super) encrypted: bool,
}

/// Why a session did not begin.
pub(super) enum Unopened {
    /// The handshake failed: plain text may still work, where the mode allows it.
    Handshake(Reason),
    /// The server answered the request for TLS with an error, which says what an error always says.
    Said(ServerError),
    /// Anything else.
    Reason(Reason),
}

/// Makes a session of a fresh connection.
pub(super) async fn open(probe: &Probe<'_>, way: Way, place: &Place, stream: Stream) -> Result<Opened, Unopened> {
    // A little more than what the session may hold, for what TLS wraps around it.
    let mut stream = stream.limited(messages::SESSION_MAX + messages::SESSION_MAX / 4);
    if way == Way::Plain {
        return Ok(Opened { stream: stream.limited(messages::SESSION_MAX), encrypted: false });
    }
    let peer = stream.peer();
    probe.attempt.enter(Stage::Protocol, format_args!("{peer} accepted the connection and the request for TLS"));
    let mut request = BytesMut::new();
    frontend::ssl_request(&mut request);
    const AFTER: &str = "when it was asked for TLS";
    if let Err(error) = stream.write_all(&request).await {
        let broken = if messages::hung_up(&error) { Broken::Closed } else { Broken::Failed(error) };
        return Err(Unopened::Reason(messages::broken(&broken, &stream, AFTER)));
    }
    // One byte and no more: what follows an 'S' belongs to TLS (CVE-2021-23222).
    let mut answer = [0; 1];
    match stream.read(&mut answer).await {
        Ok(0) => return Err(Unopened::Reason(messages::broken(&Broken::Closed, &stream, AFTER))),
        Ok(_) => {}
        Err(error) => {
            let broken = if messages::hung_up(&error) { Broken::Closed } else { Broken::Failed(error) };
            return Err(Unopened::Reason(messages::broken(&broken, &stream, AFTER)));
        }
    }
    match answer[0] {
        b'S' => encrypt(probe, place, stream).await,
        b'N' if way == Way::Offered => Ok(Opened { stream: stream.limited(messages::SESSION_MAX), encrypted: false }),
        b'N' => Err(Unopened::Reason(Reason::new(
            Code::TlsUnsupported,
            format!("{peer} does not do TLS, and sslmode={} asks for it", probe.target.info.ssl_mode),
        ))),
        b'E' => Err(said(stream, &answer).await),
        _ => {
            // A little more tells what it is; what is silent from here on stays unknown.
            let mut more = [0; 64];
            let _ = time::timeout(Duration::from_millis(100), stream.read(&mut more)).await;
            Err(Unopened::Reason(messages::not_postgres(&peer, stream.first())))
        }
    }
}

async fn said(mut stream: Stream, head: &[u8]) -> Unopened {
    let mut messages = Messages::new(&mut stream, head);
    match messages.next().await {
        Ok(message) => match ServerError::parse(&message.body) {
            Some(error) => Unopened::Said(error),
            None => Unopened::Reason(messages::not_postgres(&stream.peer(), stream.first())),
        },
        Err(broken) => {
            let unread = messages.unread().to_vec();
            Unopened::Reason(postmaster(&stream, &unread).unwrap_or_else(|| messages::broken(&broken, &stream, "")))
        }
    }
}

/// A postmaster that cannot even start a process says so in the protocol's old form: 'E', then
/// text up to a NUL (postmaster.c: `report_fork_failure_to_client`).
pub(super) fn postmaster(stream: &Stream, unread: &[u8]) -> Option<Reason> {
    let text = unread.strip_prefix(b"E")?;
    let text = text.split(|byte| *byte == 0).next().unwrap_or_default();
    let said = messages::words(text);
    let prose = said.len() > 8 && said.trim_end().chars().all(|c| !c.is_control());
    prose.then(|| {
        Reason::new(Code::ProtocolError, format!("{} answered with an error: {}", stream.peer(), said.trim_end()))
            .with_key("fork")
    })
}

#[cfg(not(feature = "tls"))]
#[expect(clippy::unused_async, reason = "the other build handshakes here")]
async fn encrypt(_: &Probe<'_>, _: &Place, stream: Stream) -> Result<Opened, Unopened> {
    let text = format!("{} offers TLS, which this build has not", stream.peer());
    Err(Unopened::Handshake(Reason::new(Code::TlsFailed, text)))
}

#[cfg(feature = "tls")]
async fn encrypt(probe: &Probe<'_>, place: &Place, stream: Stream) -> Result<Opened, Unopened> {
    use crate::net::tls;
    let verified = matches!(probe.target.info.ssl_mode, SslMode::VerifyCa | SslMode::VerifyFull);
    let name = match server_name(place) {
        Some(name) => name,
        // Nobody looks at the name then; any address will do, and none is sent (RFC 6066 section 3).
        None if !verified => rustls::pki_types::ServerName::IpAddress(std::net::Ipv4Addr::LOCALHOST.into()),
        None => {
            return Err(Unopened::Reason(Reason::new(
                Code::TlsWrongName,
                format!("no certificate can be for {place}: it is no DNS name"),
            )));
        }
    };
    let config = probe.tls().map_err(Unopened::Reason)?;
    let session = tls::handshake(config, name, stream, probe.attempt).await.map_err(Unopened::Handshake)?;
    Ok(Opened { stream: session.limited(messages::SESSION_MAX), encrypted: true })
}

#[cfg(feature = "tls")]
fn server_name(place: &Place) -> Option<rustls::pki_types::ServerName<'static>> {
    use super::uri::Server;
    use crate::net::address::Host;
    match &place.server {
        Server::Folder(_) => None,
        Server::Host(Host::Ip(ip)) => Some(rustls::pki_types::ServerName::IpAddress((*ip).into())),
        // A certificate's names have no trailing dot (RFC 6066 section 3).
        Server::Host(Host::Name(name)) => name.strip_suffix('.').unwrap_or(name).to_owned().try_into().ok(),
    }
}
