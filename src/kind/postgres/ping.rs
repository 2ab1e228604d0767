//! Whether the server accepts connections: libpq's PQping rule, without its traps.

use std::time::Duration;

use bytes::BytesMut;
use postgres_protocol::message::frontend;
use tokio::io::AsyncWriteExt;
use tokio::time;

use super::Postgres;
use super::errors;
use super::messages::{self, Broken, Messages, ServerError};
use super::negotiate;
use super::probe::{Failed, Probe};
use crate::attempt::Attempt;
use crate::kind::Ready;
use crate::net::stream::Stream;
use crate::reason::{Code, Reason, Stage};

/// How long the farewell may take: it is worth a server's quiet log, and no more.
const FAREWELL: Duration = Duration::from_millis(200);

/// Sends the startup packet and reads what comes.
pub(super) async fn ping(probe: &Probe<'_>, mut stream: Stream) -> Result<Ready, Failed> {
    let peer = stream.peer();
    let Probe { target, attempt, .. } = probe;
    let info = &target.info;
    attempt.enter(Stage::Protocol, format_args!("{peer} accepted the connection and the startup packet"));
    let mut packet = BytesMut::new();
    let mut parameters = vec![("user", info.user.as_str())];
    parameters.extend(info.database.as_deref().map(|name| ("database", name)));
    parameters.extend(info.options.as_deref().map(|options| ("options", options)));
    parameters.push(("application_name", info.application_name.as_deref().unwrap_or(super::APPLICATION)));
    if frontend::startup_message(parameters, &mut packet).is_err() {
        return Err(Failed::here(Reason::new(Code::LocalSocket, "the startup packet cannot be made")));
    }
    const AFTER: &str = "when it was sent the startup packet";
    if let Err(error) = stream.write_all(&packet).await {
        let broken = if messages::hung_up(&error) { Broken::Closed } else { Broken::Failed(error) };
        return Err(Failed::here(messages::broken(&broken, &stream, AFTER)));
    }
    let outcome = answer(target, &mut stream, attempt).await;
    match outcome {
        Ok(how) => {
            farewell(stream, how == How::LoggedIn).await;
            Ok(Ready::noted(format!("accepting connections at {peer}")))
        }
        Err(Unready::Said(error)) => match errors::while_pinging(&peer, &error, info.database.is_some()) {
            None => Ok(Ready::noted(format!("accepting connections at {peer}"))),
            Some(reason) => Err(Failed { reason, code: error.code }),
        },
        Err(Unready::Broken(broken, unread)) => {
            let reason = negotiate::postmaster(&stream, &unread);
            Err(Failed::here(reason.unwrap_or_else(|| messages::broken(&broken, &stream, AFTER))))
        }
    }
}

/// How the server showed that it accepts connections.
#[derive(Clone, Copy, PartialEq, Eq)]
enum How {
    /// It asks who is there.
    AsksForCredentials,
    /// It let us in without.
    LoggedIn,
}

enum Unready {
    Said(ServerError),
    Broken(Broken, Vec<u8>),
}

async fn answer(target: &Postgres, stream: &mut Stream, attempt: &Attempt) -> Result<How, Unready> {
    let peer = stream.peer();
    let mut messages = Messages::new(stream, &[]);
    let mut let_in = false;
    loop {
        let message = match messages.next().await {
            Ok(message) => message,
            Err(broken) => return Err(Unready::Broken(broken, messages.unread().to_vec())),
        };
        match (message.tag, message.body.as_slice()) {
            // AuthenticationOk. What still can fail is worth reading: a full server reserves its last
            // connections after it has let one in, and a pooler lets one in before its server does.
            (b'R', [0, 0, 0, 0]) if !let_in => {
                let_in = true;
                attempt.enter(
                    Stage::Protocol,
                    format_args!("{peer} let {} in without a password", crate::text::printable(&target.info.user)),
                );
            }
            // Any other request, known or not: it accepts connections.
            (b'R', [_, _, _, _, ..]) => return Ok(How::AsksForCredentials),
            (b'Z', _) if let_in => return Ok(How::LoggedIn),
            (b'E', body) => {
                return Err(match ServerError::parse(body) {
                    Some(error) => Unready::Said(error),
                    None => Unready::Broken(Broken::Foreign, Vec::new()),
                });
            }
            // NoticeResponse and NegotiateProtocolVersion at any time, ParameterStatus and
            // BackendKeyData once in.
            (b'N' | b'v', _) => {}
            (b'S' | b'K', _) if let_in => {}
            _ => return Err(Unready::Broken(Broken::Foreign, Vec::new())),
        }
    }
}

/// Leaves as libpq does, so that the server logs no more than for pg_isready: Terminate after a login,
/// and else nothing but the end of the stream (fe-connect.c: sendTerminateConn).
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
