//! Asks whether the server accepts connections: the rule of libpq's PQping, without its traps.

use std::time::Duration;

use bytes::BytesMut;
use postgres_protocol::message::frontend;
use tokio::io::AsyncWriteExt;
use tokio::time;

use super::alive::{self, NoSync};
use super::context::{Context, Failed};
use super::errors;
use super::messages::{self, Messages, ServerError};
use super::negotiate;
use crate::kind::Ready;
use crate::kind::no_answer::NoAnswer;
use crate::net::stream::Stream;
use crate::reason::{Code, Reason, Stage};

/// How long the farewell may take. It only keeps the server's log quiet.
const FAREWELL: Duration = Duration::from_millis(200);

/// Sends the startup packet and reads the answer.
pub(super) async fn ping(context: &Context<'_>, mut stream: Stream) -> Result<Ready, Failed> {
    let peer = stream.peer().clone();
    let Context { target, attempt, .. } = context;
    let info = &target.info;
    attempt.enter(Stage::Protocol, format_args!("{peer} accepted the connection and the startup packet"));
    let mut packet = BytesMut::new();
    let mut parameters = vec![("user", info.user.as_str())];
    parameters.extend(info.database.as_deref().map(|name| ("database", name)));
    parameters.extend(info.options.as_deref().map(|options| ("options", options)));
    parameters.push(("application_name", info.application_name.as_deref().unwrap_or(super::APPLICATION_NAME)));
    if frontend::startup_message(parameters, &mut packet).is_err() {
        return Err(Reason::new(Code::LocalSocket, "the startup packet cannot be made").into());
    }
    const AFTER: &str = "when it was sent the startup packet";
    if let Err(error) = stream.write_all(&packet).await {
        return Err(messages::reason(&error.into(), &stream, AFTER).into());
    }
    match answer(context, &mut stream).await {
        Ok(accepts) => {
            farewell(stream, accepts == Accepts::LoggedIn).await;
            Ok(Ready::noted(format!("accepting connections at {peer}")))
        }
        Err(NotReady::ServerError(error)) => match errors::of_ping(&peer, &error, info.database.is_some()) {
            None => Ok(Ready::noted(format!("accepting connections at {peer}"))),
            Some(reason) => Err(Failed { reason, by_access_rules: error.by_access_rules() }),
        },
        Err(NotReady::NoAnswer(why, unread)) => {
            let reason = negotiate::fork_failure(&stream, &unread, context.attempt);
            Err(reason.unwrap_or_else(|| messages::reason(&why, &stream, AFTER)).into())
        }
    }
}

/// How the server showed that it accepts connections.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Accepts {
    /// It asks for credentials.
    AsksForCredentials,
    /// It accepted the login without credentials.
    LoggedIn,
}

/// Why the server did not show that it accepts connections.
enum NotReady {
    /// It sent an error. Some errors still show that it accepts connections.
    ServerError(ServerError),
    /// No complete message came. The bytes are the part that did come.
    NoAnswer(NoAnswer, Vec<u8>),
}

impl From<NoSync> for NotReady {
    fn from(why: NoSync) -> Self {
        match why {
            NoSync::ServerError(error) => Self::ServerError(error),
            NoSync::NoAnswer(why) => Self::NoAnswer(why, Vec::new()),
        }
    }
}

async fn answer(context: &Context<'_>, stream: &mut Stream) -> Result<Accepts, NotReady> {
    let Context { target, attempt, .. } = context;
    let peer = stream.peer().clone();
    let mut messages = Messages::new(stream, &[]);
    let mut logged_in = false;
    loop {
        let message = match messages.next().await {
            Ok(message) => message,
            Err(why) => return Err(NotReady::NoAnswer(why, messages.unread().to_vec())),
        };
        match (message.tag, message.body.as_slice()) {
            // AuthenticationOk. Read on, because the session can still fail: a full server checks only now whether the
            // last connections are reserved, and a pooler accepts the login before its server does.
            (b'R', [0, 0, 0, 0]) if !logged_in => {
                logged_in = true;
                attempt.enter(
                    Stage::Protocol,
                    format_args!("{peer} let {} in without a password", crate::text::printable(&target.info.user)),
                );
            }
            // Any other authentication request, known or unknown: the server accepts connections.
            (b'R', [_, _, _, _, ..]) => return Ok(Accepts::AsksForCredentials),
            (b'Z', _) if logged_in => {
                let head = messages.unread().to_vec();
                alive::sync(context, stream, &head).await?;
                return Ok(Accepts::LoggedIn);
            }
            (b'E', body) => {
                return Err(match ServerError::parse(body, context.attempt) {
                    Some(error) => NotReady::ServerError(error),
                    None => NotReady::NoAnswer(NoAnswer::Malformed, Vec::new()),
                });
            }
            // NoticeResponse and NegotiateProtocolVersion may come at any time, ParameterStatus and BackendKeyData only
            // after the login.
            (b'N' | b'v', _) => {}
            (b'S' | b'K', _) if logged_in => {}
            _ => return Err(NotReady::NoAnswer(NoAnswer::Malformed, Vec::new())),
        }
    }
}

/// Ends the session as libpq does, so that the server logs no more than for pg_isready: after a login with Terminate,
/// otherwise with the end of the stream only (fe-connect.c: sendTerminateConn).
pub(super) async fn farewell(mut stream: Stream, logged_in: bool) {
    let leaving = async {
        if logged_in {
            let mut packet = BytesMut::new();
            frontend::terminate(&mut packet);
            stream.write_all(&packet).await?;
        }
        stream.shutdown().await
    };
    let _ = time::timeout(FAREWELL, leaving).await;
}
