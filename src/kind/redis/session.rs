//! One session: commands and their replies, one at a time.

use std::time::Duration;

use tokio::io::AsyncWriteExt as _;

use super::errors::{self, Meaning, REDIS};
use super::resp::{Reader, Reply, command};
use crate::attempt::Attempt;
use crate::kind::no_answer::NoAnswer;
use crate::net::stream::{Peer, Stream};
use crate::reason::{Reason, Stage};

/// The bound on all that a server sends in one session.
const SESSION_MAX: u64 = 64 * 1024;

/// How long the farewell may take. A TLS session that is cut off may leave a line in the server's log.
const FAREWELL: Duration = Duration::from_millis(200);

/// What an error says, and what that means.
pub(super) struct Said {
    pub(super) meaning: Meaning,
    /// The server's words, fit for a log.
    pub(super) words: String,
}

/// A reply, or the error that came in its place.
pub(super) type Answer = Result<Reply, Said>;

/// One session with a server.
pub(super) struct Session<'a> {
    stream: Stream,
    reader: Reader,
    attempt: &'a Attempt,
}

impl<'a> Session<'a> {
    pub(super) fn new(stream: Stream, attempt: &'a Attempt) -> Self {
        Self { stream: stream.limited(SESSION_MAX), reader: Reader::default(), attempt }
    }

    pub(super) fn peer(&self) -> Peer {
        self.stream.peer().clone()
    }

    /// The first bytes that the server sent.
    pub(super) fn first(&self) -> &[u8] {
        self.stream.first()
    }

    /// Sends one command and reads the reply. A reason calls the command `did`: "a PING".
    pub(super) async fn ask(&mut self, words: &[&str], did: &str) -> Result<Answer, Reason> {
        self.attempt.enter(Stage::Protocol, format_args!("{} accepted the connection and {did}", self.stream.peer()));
        // A server that has no room for this client says so and closes, before it reads. Then the write may fail, and the
        // words are still there to be read.
        let sent = self.stream.write_all(&command(words)).await;
        let sent = if sent.is_ok() { self.stream.flush().await } else { sent };
        let reply = self.reader.next(&mut self.stream).await;
        match (reply, sent) {
            (Ok(Reply::Error(said)), _) => {
                Ok(Err(Said { meaning: Meaning::of(&said), words: self.attempt.quote(&said, errors::WORDS_MAX) }))
            }
            (Ok(reply), Ok(())) => Ok(Ok(reply)),
            (Ok(_), Err(error)) => Err(self.no_reply(&error.into(), did)),
            (Err(why), _) => Err(self.no_reply(&why, did)),
        }
    }

    fn no_reply(&self, why: &NoAnswer, did: &str) -> Reason {
        REDIS.no_answer(why, &self.stream, false, did)
    }

    /// The reason for a reply that no Redis sends here.
    pub(super) fn other_protocol(&self) -> Reason {
        self.no_reply(&NoAnswer::Malformed, "a command")
    }

    /// Ends the session as Redis' clients do, with the end of the stream. Neither that nor QUIT leaves a line in the log
    /// (at its default level), and QUIT is deprecated (Redis 7.2).
    pub(super) async fn end(mut self) {
        self.stream.end(FAREWELL).await;
    }
}
