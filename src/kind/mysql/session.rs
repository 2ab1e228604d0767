//! One session on a connection: the greeting, TLS if it is wanted, and the farewell.

use std::time::Duration;

use tokio::time::{self, Instant};

use super::auth::Channel;
use super::context::Context;
use super::errors::{self, ServerError};
use super::greeting::{self, Greeting, capability};
use super::handshake::{self, End, Who};
use super::mode::Mode;
use super::packet::{ERR, Wire};
use super::uri::Server;
use crate::attempt::Attempt;
use crate::kind;
use crate::kind::no_answer::{self, NoAnswer};
use crate::net::sniff::Protocol;
use crate::net::stream::Stream;
use crate::reason::{Code, Reason, Stage};

/// How long the farewell may take. It only keeps the server's log quiet.
const FAREWELL: Duration = Duration::from_millis(200);

/// How long the end of a handshake that waitgate gives up may take.
const ENDING: Duration = Duration::from_secs(1);

const QUIT: u8 = 1;

/// A session whose handshake is not finished.
pub(super) struct Session {
    pub(super) wire: Wire,
    pub(super) greeting: Greeting,
    channel: Channel,
    /// The capabilities in the request for TLS.
    declared: Option<u32>,
}

/// Reads the greeting, and starts TLS if the target wants it.
pub(super) async fn open(context: &Context<'_>, server: &Server, stream: Stream) -> Result<Session, Reason> {
    const AFTER: &str = "before it sent a greeting";
    let mut wire = Wire::new(stream);
    let peer = wire.peer();
    context
        .attempt
        .enter(Stage::Protocol, format_args!("{peer} accepted the connection, on which a MySQL server speaks first"));
    let body = match wire.read().await {
        Ok(body) => body,
        Err(why) => {
            if matches!(why, NoAnswer::Malformed | NoAnswer::TooLarge) {
                wire.look_further().await;
            }
            return Err(no_packet(&why, &wire, AFTER));
        }
    };
    if body.first() == Some(&ERR) {
        let error = ServerError::parse(&body).ok_or_else(|| no_packet(&NoAnswer::Malformed, &wire, AFTER))?;
        return Err(errors::reason(&peer, &error, context.attempt));
    }
    if greeting::is_x_protocol(&body) {
        let text = format!("{peer} answered in MySQL's X Protocol: give the port of the classic one (3306)");
        return Err(Reason::new(Code::ProtocolOther, text).with_key("x"));
    }
    let greeting = Greeting::parse(&body).ok_or_else(|| no_packet(&NoAnswer::Malformed, &wire, AFTER))?;
    wire.greeted = true;
    let channel = if matches!(server, Server::Socket(_)) { Channel::Local } else { Channel::Plain };
    let session = Session { wire, greeting, channel, declared: None };
    let mode = context.target.info.mode;
    // Without a login TLS proves nothing, and a handshake that fails counts as an error at the server.
    let wanted = mode >= Mode::Required || mode == Mode::Preferred && context.target.login;
    match (wanted && channel == Channel::Plain, session.greeting.has(capability::SSL)) {
        (true, true) => encrypt(context, server, session).await,
        (true, false) if mode >= Mode::Required => {
            session.give_up(context.attempt).await;
            let text = format!("{peer} does not offer TLS, and ssl-mode={mode} asks for it");
            Err(Reason::new(Code::TlsUnsupported, text))
        }
        _ => Ok(session),
    }
}

#[cfg(not(feature = "tls"))]
#[expect(clippy::unused_async, reason = "a build with TLS does the handshake here")]
async fn encrypt(_: &Context<'_>, _: &Server, session: Session) -> Result<Session, Reason> {
    // Such a build refuses a mode that demands TLS.
    Ok(session)
}

#[cfg(feature = "tls")]
async fn encrypt(context: &Context<'_>, server: &Server, session: Session) -> Result<Session, Reason> {
    let Session { mut wire, greeting, .. } = session;
    let (Some(late), Server::Tcp { host, .. }) = (&context.late, server) else {
        return Ok(Session { wire, greeting, channel: Channel::Plain, declared: None });
    };
    let name = match context.target.info.tls.server_name(host) {
        Ok(name) => Ok(name),
        Err(reason) if late.verifies() => Err(reason),
        // Without verification the name does not matter. rustls sends no address to the server (RFC 6066 section 3).
        Err(_) => Ok(rustls::pki_types::ServerName::IpAddress(std::net::Ipv4Addr::LOCALHOST.into())),
    };
    let name = match name {
        Ok(name) => name,
        Err(reason) => {
            Session { wire, greeting, channel: Channel::Plain, declared: None }.give_up(context.attempt).await;
            return Err(reason);
        }
    };
    let who = context.who();
    let declared = match handshake::ask_for_tls(&mut wire, &greeting, who).await {
        Ok(capabilities) => Some(capabilities),
        Err(why) => return Err(no_packet(&why, &wire, "when it was asked for TLS")),
    };
    let sequence = wire.sequence();
    // The server counts a TLS handshake that fails as an error of this host. Few of them must follow each other.
    let costly = |reason: Reason| {
        let hint = reason.hint().filter(|_| reason.code() != Code::TlsNotTls);
        reason.with_cost(crate::reason::Cost::Credentials).with_hint(hint)
    };
    let (stream, verified) = late.handshake(name, wire.into_stream(), context.attempt).await.map_err(costly)?;
    let peer = stream.peer().clone();
    let version = stream.session().and_then(|session| session.protocol_version());
    let channel = if late.verifies() && verified.is_ok() { Channel::Verified } else { Channel::Encrypted };
    let session = Session { wire: Wire::over_tls(stream, sequence), greeting, channel, declared };
    let old = context.target.info.tls13_only && version != Some(rustls::ProtocolVersion::TLSv1_3);
    let verified = verified.and_then(|()| {
        let text = format!("{peer} agreed only to TLS 1.2, and the URL allows only TLS 1.3");
        if old { Err(Reason::new(Code::TlsFailed, text).with_key("version")) } else { Ok(()) }
    });
    match verified {
        Ok(()) => Ok(session),
        Err(reason) => {
            session.give_up(context.attempt).await;
            Err(reason)
        }
    }
}

impl Session {
    /// Answers the greeting, up to the server's last word.
    pub(super) async fn finish(&mut self, who: Who<'_>) -> Result<End, NoAnswer> {
        handshake::finish(&mut self.wire, &self.greeting, who, self.channel, self.declared).await
    }

    /// Whether the server has TLS and the session is without it.
    pub(super) fn is_plain_by_choice(&self) -> bool {
        self.channel == Channel::Plain && self.greeting.has(capability::SSL)
    }

    /// Ends a handshake that waitgate does not want any more, without a password: one that is cut off would count as an
    /// error of this host.
    async fn give_up(mut self, attempt: &Attempt) {
        // The reason is known. It would be lost if the attempt were cut off here.
        let until = (Instant::now() + ENDING).min(attempt.until() - FAREWELL);
        let ended = time::timeout_at(until, self.finish(Who::NoOne)).await;
        farewell(self.wire, matches!(ended, Ok(Ok(End { last: Ok(()), .. })))).await;
    }
}

/// Ends the session as the protocol wants it: after a login with a command, otherwise with the end of the stream only.
pub(super) async fn farewell(mut wire: Wire, logged_in: bool) {
    let leaving = async {
        if logged_in {
            let _ = wire.command(QUIT, &[]).await;
        }
        wire.shutdown().await;
    };
    let _ = time::timeout(FAREWELL, leaving).await;
}

/// The reason when no packet came. `after` says what happened before.
pub(super) fn no_packet(why: &NoAnswer, wire: &Wire, after: &str) -> Reason {
    let peer = &wire.peer();
    let first = wire.stream().first();
    let other = Protocol::of(first).filter(|protocol| !wire.greeted && *protocol != Protocol::MySql);
    match why {
        // Even a part of a greeting may show another protocol.
        _ if other.is_some() => kind::other_protocol(peer, "MySQL's protocol", other),
        _ if wire.stream().over_limit() => too_large(peer),
        NoAnswer::TooLarge if wire.greeted => too_large(peer),
        NoAnswer::Malformed | NoAnswer::TooLarge if !wire.greeted => {
            kind::other_protocol(peer, "MySQL's protocol", None)
        }
        NoAnswer::Malformed | NoAnswer::TooLarge => Reason::new(
            Code::ProtocolError,
            format!("{peer} sent a packet that MySQL's protocol does not have {after}"),
        )
        .with_key("malformed"),
        NoAnswer::Closed => {
            Reason::new(Code::ProtocolClosed, format!("{peer} accepted the connection and closed it {after}"))
        }
        NoAnswer::Failed(error) => no_answer::failed(peer, error),
    }
}

fn too_large(peer: &crate::net::stream::Peer) -> Reason {
    Reason::new(Code::ProtocolTooLarge, format!("{peer} sent more than 1 MiB without finishing"))
}
