//! Whether a server answers after the login. A pooler accepts a login without its server: PgBouncer answers from what it
//! remembers of earlier sessions. So waitgate sends one Sync, which only the server itself answers. A Sync leaves no
//! line in the server's log.

use bytes::BytesMut;
use postgres_protocol::message::frontend;
use tokio::io::AsyncWriteExt as _;

use super::context::Context;
use super::messages::{Messages, ServerError};
use crate::kind::no_answer::NoAnswer;
use crate::net::stream::Stream;
use crate::reason::Stage;

/// What waitgate sent last, for a reason.
pub(super) const AFTER: &str = "after it accepted the login";

/// Why the server did not answer the Sync.
pub(super) enum NoSync {
    ServerError(ServerError),
    NoAnswer(NoAnswer),
}

/// Sends Sync and reads up to ReadyForQuery. `head` has the bytes that are already read.
pub(super) async fn sync(context: &Context<'_>, stream: &mut Stream, head: &[u8]) -> Result<(), NoSync> {
    let peer = stream.peer().clone();
    let awaited = format_args!("{peer} accepted the login and a Sync, as a pooler does while it has no server");
    context.attempt.enter(Stage::Protocol, awaited);
    let mut packet = BytesMut::new();
    frontend::sync(&mut packet);
    stream.write_all(&packet).await.map_err(|error| NoSync::NoAnswer(error.into()))?;
    let mut messages = Messages::new(stream, head);
    let mut last_words = None;
    loop {
        let message = match messages.next().await {
            Ok(message) => message,
            Err(why) => return Err(last_words.map_or(NoSync::NoAnswer(why), NoSync::ServerError)),
        };
        match message.tag {
            b'Z' => return Ok(()),
            // No statement is running, so an error concerns the session, and often no ReadyForQuery follows.
            b'E' => {
                let error = ServerError::parse(&message.body, context.attempt);
                return Err(error.map_or(NoSync::NoAnswer(NoAnswer::Malformed), NoSync::ServerError));
            }
            // NoticeResponse, ParameterStatus and NotificationResponse come at any time.
            b'N' => last_words = last_words.or(ServerError::last_words(&message.body, context.attempt)),
            b'S' | b'A' => {}
            _ => return Err(NoSync::NoAnswer(NoAnswer::Malformed)),
        }
    }
}
