//! The login: as far as ReadyForQuery, through tokio-postgres over our own stream.

use std::cell::{Cell, RefCell};
use std::error::Error as _;
use std::future::{Ready as Now, ready as now};
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_postgres::config::{ChannelBinding as Bind, SslMode, SslNegotiation};
use tokio_postgres::tls::{ChannelBinding, TlsConnect, TlsStream};
use tokio_postgres::{Config, Error};

use super::Postgres;
use super::frame::{Frame, Passed};
use super::messages::{self, MESSAGE_MAX, ServerError};
use super::ping::farewell;
use super::probe::{Failed, Probe};
use super::uri::Binding;
use super::{errors, query};
use crate::attempt::Attempt;
use crate::kind::Ready;
use crate::net::stream::{Peer, Stream};
use crate::reason::{Code, Hint, Reason, Stage};
use crate::secret::Secret;

/// Logs in, asks what the target asks for, and leaves.
pub(super) async fn login(probe: &Probe<'_>, mut stream: Stream, password: Option<&Secret>) -> Result<Ready, Failed> {
    let Probe { target, attempt, .. } = probe;
    let peer = stream.peer();
    attempt.enter(Stage::Protocol, format_args!("{peer} accepted the connection and the startup packet"));
    let config = config(target, password);
    let seen = Seen::default();
    let session = Session { stream: &mut stream, seen: &seen, frame: Frame::default(), attempt };
    // The client is not needed beyond this point: it would name its statements, which a pooler does not
    // like, and ask for types of its own. The frame has kept what follows ReadyForQuery in the stream.
    if let Err(error) = config.connect_raw(session, Finished).await {
        // Where it was not the server that ended it: a TLS session cut off leaves a line in its log.
        farewell(stream, false).await;
        return Err(explain(&error, &peer, &seen, password.is_some()));
    }
    let asked = async {
        query::role(target.info.session, &mut stream, attempt).await?;
        match &target.query {
            Some(sql) => query::query(sql, &mut stream, attempt).await,
            None => Ok(()),
        }
    };
    let asked = asked.await;
    farewell(stream, true).await;
    asked.map_err(Failed::here)?;
    Ok(Ready::noted(format!("logged in at {peer}")))
}

fn config(target: &Postgres, password: Option<&Secret>) -> Config {
    let info = &target.info;
    let mut config = Config::new();
    // Always a user of our own: without one the crate asks getpwuid, which a static binary must not.
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
    config.application_name(info.application_name.as_deref().unwrap_or(super::APPLICATION));
    config.channel_binding(match info.binding {
        Binding::Disable => Bind::Disable,
        Binding::Prefer => Bind::Prefer,
        Binding::Require => Bind::Require,
    });
    // What it gets is a session already, encrypted or not: nothing is left to negotiate.
    config.ssl_mode(SslMode::Require).ssl_negotiation(SslNegotiation::Direct);
    config
}

/// What is still of interest of a stream that tokio-postgres has dropped.
#[derive(Default)]
struct Seen {
    first: RefCell<Vec<u8>>,
    over: Cell<bool>,
}

/// Our stream as tokio-postgres sees it: one message at a time.
struct Session<'a> {
    stream: &'a mut Stream,
    seen: &'a Seen,
    frame: Frame,
    attempt: &'a Attempt,
}

impl AsyncRead for Session<'_> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        let mut piece = [0; 1024];
        let most = this.frame.wanted().min(piece.len()).min(buf.remaining());
        let mut piece = ReadBuf::new(&mut piece[..most]);
        let outcome = Pin::new(&mut *this.stream).poll_read(cx, &mut piece);
        let mut first = this.seen.first.borrow_mut();
        if first.len() < this.stream.first().len() {
            *first = this.stream.first().to_vec();
        }
        this.seen.over.set(this.stream.over_limit());
        ready!(outcome)?;
        buf.put_slice(piece.filled());
        match this.frame.took(piece.filled(), MESSAGE_MAX) {
            Ok(Some(Passed::LetIn)) => {
                let peer = this.stream.peer();
                this.attempt.enter(Stage::Protocol, format_args!("{peer} accepted the login"));
            }
            // PostgreSQL lets in with the same packet.
            Ok(Some(Passed::PasswordTaken)) => {
                let peer = this.stream.peer();
                let awaited = format_args!("{peer} accepted the password, as a pooler does before it has a server");
                this.attempt.enter(Stage::Protocol, awaited);
            }
            Ok(_) => {}
            Err(()) => return Poll::Ready(Err(io::ErrorKind::InvalidData.into())),
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Session<'_> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut *self.stream).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
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

/// The connector that has nothing left to do.
struct Finished;

impl<'a> TlsConnect<Session<'a>> for Finished {
    type Stream = Session<'a>;
    type Error = io::Error;
    type Future = Now<io::Result<Session<'a>>>;

    fn connect(self, stream: Session<'a>) -> Self::Future {
        now(Ok(stream))
    }
}

/// The reason behind tokio-postgres's error. Its kinds are private, so that all but the server's own
/// errors and the stream's are told by what they say.
fn explain(error: &Error, peer: &Peer, seen: &Seen, password_given: bool) -> Failed {
    if let Some(said) = error.as_db_error() {
        let said = ServerError::new(said.code().code(), said.message(), said.detail());
        return Failed { reason: errors::reason(peer, &said), code: said.code };
    }
    Failed::here(reason(error, peer, seen, password_given))
}

fn reason(error: &Error, peer: &Peer, seen: &Seen, password_given: bool) -> Reason {
    const AFTER: &str = "during the login";
    if seen.over.get() {
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
            _ if messages::hung_up(io) => messages::closed(peer, &first, AFTER),
            // What the codec says of bytes that are no message.
            io::ErrorKind::InvalidData | io::ErrorKind::InvalidInput if !messages::is_tls(io) => {
                messages::not_postgres(peer, &first)
            }
            // tokio-util's word for an end of the stream within a message.
            io::ErrorKind::Other if io.raw_os_error().is_none() && io.to_string() == "bytes remaining on stream" => {
                messages::closed(peer, &first, AFTER)
            }
            _ => messages::failed(peer, io),
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
            let why = source.map(ToString::to_string).unwrap_or_default();
            Reason::new(Code::ProtocolError, format!("the login at {peer} came to nothing: {why}")).with_key(&why)
        }
        _ => messages::not_postgres(peer, &first),
    }
}
