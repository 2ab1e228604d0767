//! Logs in, up to ReadyForQuery: tokio-postgres over waitgate's own stream.

use std::cell::{Cell, RefCell};
use std::error::Error as _;
use std::future::{Ready as Now, ready as now};
use std::io;
use std::pin::Pin;
use std::task::{Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_postgres::config::{ChannelBinding as Bind, SslMode, SslNegotiation};
use tokio_postgres::tls::{ChannelBinding, TlsConnect, TlsStream};
use tokio_postgres::{Config, Error};

use super::Postgres;
use super::alive::{self, NoSync};
use super::auth::{self, Rules};
use super::context::{Context, Failed};
use super::frame::{Frame, Passed};
use super::messages::{self, MESSAGE_MAX, ServerError, WORDS_MAX};
use super::ping::farewell;
use super::session::Session as WantedSession;
use super::uri::Binding;
use super::{errors, query};
use crate::attempt::Attempt;
use crate::kind::{Ready, no_answer};
use crate::net::stream::{Peer, Stream};
use crate::reason::{Code, Hint, Reason, Stage};
use crate::secret::Secret;

/// Logs in, checks the role and the query that the target expects, and ends the session.
pub(super) async fn login(
    context: &Context<'_>,
    mut stream: Stream,
    password: Option<&Secret>,
    rules: Rules<'_>,
) -> Result<Ready, Failed> {
    let Context { target, attempt, .. } = context;
    let peer = stream.peer().clone();
    attempt.enter(Stage::Protocol, format_args!("{peer} accepted the connection and the startup packet"));
    let config = config(target, password);
    let seen = Seen::default();
    let session = Session { stream: &mut stream, seen: &seen, frame: Frame::default(), attempt, rules, asked: false };
    // After this, waitgate does not use the client of tokio-postgres: it would name its statements, which a pooler may
    // not support, and it would send queries for types. The frame has left what follows ReadyForQuery in the stream.
    if let Err(error) = config.connect_raw(session, AlreadyConnected).await {
        // The server may not have ended the session. A TLS session that is cut off leaves a line in its log.
        farewell(stream, false).await;
        return Err(explain(&error, &peer, &seen, password.is_some(), context.attempt));
    }
    let asked = async {
        if target.info.session == WantedSession::Any && target.query.is_none() {
            return alive::sync(context, &mut stream, &[]).await.map_err(|why| match why {
                NoSync::ServerError(error) => errors::reason(&peer, &error),
                NoSync::NoAnswer(why) => messages::reason(&why, &stream, alive::AFTER),
            });
        }
        query::role(context, &mut stream).await?;
        match &target.query {
            Some(sql) => query::query(context, sql, &mut stream).await,
            None => Ok(()),
        }
    };
    let asked = asked.await;
    farewell(stream, true).await;
    asked?;
    Ok(Ready::noted(format!("logged in at {peer}")))
}

fn config(target: &Postgres, password: Option<&Secret>) -> Config {
    let info = &target.info;
    let mut config = Config::new();
    // Always set the user. Otherwise the crate calls getpwuid, which a static binary must not do.
    config.user(&info.user);
    if let Some(password) = password {
        config.password(password.expose());
    }
    if let Some(database) = &info.database {
        config.dbname(database);
    }
    if let Some(options) = &info.options {
        config.options(options);
    }
    config.application_name(info.application_name.as_deref().unwrap_or(super::APPLICATION_NAME));
    config.channel_binding(match info.binding {
        Binding::Disable => Bind::Disable,
        Binding::Prefer => Bind::Prefer,
        Binding::Require => Bind::Require,
    });
    // The session exists already, encrypted or not: tokio-postgres must negotiate nothing.
    config.ssl_mode(SslMode::Require).ssl_negotiation(SslNegotiation::Direct);
    config
}

/// What waitgate needs to know about the stream after tokio-postgres has dropped it.
#[derive(Default)]
struct Seen {
    /// The first bytes that the server sent.
    first: RefCell<Vec<u8>>,
    over_limit: Cell<bool>,
    /// Why waitgate does not answer what the server asks for.
    refused: RefCell<Option<Reason>>,
}

/// waitgate's stream for tokio-postgres. It hands over at most one message at a time.
struct Session<'a> {
    stream: &'a mut Stream,
    seen: &'a Seen,
    frame: Frame,
    attempt: &'a Attempt,
    rules: Rules<'a>,
    /// Whether the server has asked for credentials.
    asked: bool,
}

impl AsyncRead for Session<'_> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut std::task::Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        let mut piece = [0; 1024];
        let most = this.frame.wanted().min(piece.len()).min(buf.remaining());
        let mut piece = ReadBuf::new(&mut piece[..most]);
        let outcome = Pin::new(&mut *this.stream).poll_read(cx, &mut piece);
        let mut first = this.seen.first.borrow_mut();
        if first.len() < this.stream.first().len() {
            *first = this.stream.first().to_vec();
        }
        this.seen.over_limit.set(this.stream.over_limit());
        ready!(outcome)?;
        match this.frame.took(piece.filled(), MESSAGE_MAX) {
            Ok(Some(Passed::Authentication(request))) => {
                let peer = this.stream.peer().clone();
                // Before tokio-postgres gets the last byte of the request: otherwise it would answer.
                if let Some(reason) = this.rules.refusal(&peer, request, this.asked) {
                    this.seen.refused.replace(Some(reason));
                    return Poll::Ready(Err(io::ErrorKind::PermissionDenied.into()));
                }
                this.asked = true;
                let did = match request {
                    auth::OK => "accepted the login",
                    // PostgreSQL accepts the login in the same packet; a pooler may not.
                    auth::SASL_FINAL => "accepted the password, as a pooler does before it has a server",
                    _ => "asked for the password (if only the login is slow, give a longer --attempt-timeout)",
                };
                this.attempt.enter(Stage::Protocol, format_args!("{peer} {did}"));
            }
            Ok(_) => {}
            Err(()) => return Poll::Ready(Err(io::ErrorKind::InvalidData.into())),
        }
        buf.put_slice(piece.filled());
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Session<'_> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut std::task::Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut *self.stream).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut std::task::Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut std::task::Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.stream).poll_shutdown(cx)
    }
}

impl TlsStream for Session<'_> {
    fn channel_binding(&self) -> ChannelBinding {
        #[cfg(feature = "tls")]
        if let Some(certificate) =
            self.stream.session().and_then(|session| session.peer_certificates()).and_then(<[_]>::first)
            && let Some(hash) = super::binding::server_end_point(certificate)
        {
            return ChannelBinding::tls_server_end_point(hash);
        }
        ChannelBinding::none()
    }
}

/// A TLS connector that does nothing, because the session exists already.
struct AlreadyConnected;

impl<'a> TlsConnect<Session<'a>> for AlreadyConnected {
    type Stream = Session<'a>;
    type Error = io::Error;
    type Future = Now<io::Result<Session<'a>>>;

    fn connect(self, stream: Session<'a>) -> Self::Future {
        now(Ok(stream))
    }
}

/// The reason for tokio-postgres's error.
///
/// The kinds of its errors are private. Except for the server's errors and the stream's, only their words tell them
/// apart.
fn explain(error: &Error, peer: &Peer, seen: &Seen, password_given: bool, attempt: &Attempt) -> Failed {
    if let Some(error) = error.as_db_error() {
        let error = ServerError::of(error, attempt);
        return Failed { reason: errors::reason(peer, &error), by_access_rules: error.by_access_rules() };
    }
    reason(error, peer, seen, password_given, attempt).into()
}

fn reason(error: &Error, peer: &Peer, seen: &Seen, password_given: bool, attempt: &Attempt) -> Reason {
    const AFTER: &str = "during the login";
    if let Some(reason) = seen.refused.take() {
        return reason;
    }
    if seen.over_limit.get() {
        return messages::too_large(peer);
    }
    let first = seen.first.borrow();
    if error.is_closed() {
        return messages::closed(peer, &first, AFTER);
    }
    let source = error.source();
    if let Some(io) = source.and_then(|source| source.downcast_ref::<io::Error>())
        && error.to_string() == "error communicating with the server"
    {
        return match io.kind() {
            _ if no_answer::hung_up(io) => messages::closed(peer, &first, AFTER),
            // The codec's error for bytes that are not a message.
            io::ErrorKind::InvalidData | io::ErrorKind::InvalidInput if !messages::is_tls(io) => {
                messages::not_postgres(peer, &first)
            }
            // tokio-util's error for a stream that ends within a message.
            io::ErrorKind::Other if io.raw_os_error().is_none() && io.to_string() == "bytes remaining on stream" => {
                messages::closed(peer, &first, AFTER)
            }
            _ => no_answer::failed(peer, io),
        };
    }
    match error.to_string().as_str() {
        "invalid configuration" if !password_given => Reason::new(
            Code::ProtocolPassword,
            format!("the server is there ({peer}), but it asks for a password, and none is given"),
        )
        .with_key("none")
        .with_hint(Hint::Credentials),
        "authentication error" => {
            let why = attempt.quote(source.map(ToString::to_string).unwrap_or_default(), WORDS_MAX);
            // postgres-protocol bounds the work that a server can ask for (MAX_ITERATION_COUNT).
            if why.contains("iteration count") {
                let text = format!(
                    "the server is there ({peer}), but it asks for a SCRAM login with more than 100,000 iterations, which waitgate does not do (scram_iterations)"
                );
                return Reason::new(Code::ProtocolAuthMethod, text).with_key("iterations");
            }
            if why.contains("SASL mechanism") {
                let text = format!(
                    "the server is there ({peer}), but it asks for a SASL login other than SCRAM, such as OAuth"
                );
                return Reason::new(Code::ProtocolAuthMethod, text).with_key("mechanism");
            }
            Reason::new(Code::ProtocolError, format!("the login at {peer} failed: {why}")).with_key(&why)
        }
        _ => messages::not_postgres(peer, &first),
    }
}
