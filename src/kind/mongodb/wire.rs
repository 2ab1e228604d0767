//! One session: commands and their answers over a stream.

use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::time;

use super::bson::Writer;
use super::errors::MONGODB;
use super::message::{self, Answer, HEADER, OP_MSG, OP_REPLY, Way};
use crate::attempt::Attempt;
use crate::kind::no_answer::NoAnswer;
use crate::net::sniff::Protocol;
use crate::net::stream::{Peer, Stream};
use crate::reason::{Reason, Stage};

/// The longest answer that is read, in bytes. A hello that lists the 50 members of a replica set has some 10 KB.
pub(super) const MESSAGE_MAX: usize = 256 * 1024;

/// One session reads at most this much, TLS not counted.
const SESSION_MAX: u64 = 2 * MESSAGE_MAX as u64;

/// How much of a message is read at once. Memory grows with what has come, not with what a length says.
const CHUNK: usize = 8 * 1024;

/// How long the farewell may take. A TLS session that is cut off may leave a line in the server's log.
const FAREWELL: Duration = Duration::from_millis(200);

/// No message has a length whose highest byte is more than this (48,000,000 bytes: mongo: src/mongo/rpc/message.h,
/// MaxMessageSizeBytes).
const LENGTH_HIGH: u8 = 2;

/// One session: commands and their answers, one at a time.
pub(super) struct Session<'a> {
    stream: Stream,
    pub(super) attempt: &'a Attempt,
    pub(super) way: Way,
    /// The number of the last command.
    number: u32,
}

impl<'a> Session<'a> {
    pub(super) fn new(stream: Stream, attempt: &'a Attempt, way: Way) -> Self {
        Self { stream: stream.limited(SESSION_MAX), attempt, way, number: 0 }
    }

    pub(super) fn peer(&self) -> &Peer {
        self.stream.peer()
    }

    /// The first bytes that the server sent.
    pub(super) fn first(&self) -> &[u8] {
        self.stream.first()
    }

    /// Sends one command to the database `db`, and returns the message that answers it. A reason calls the command `did`: "a
    /// hello".
    pub(super) async fn ask(&mut self, db: &str, command: Writer, did: &str) -> Result<Answer, Reason> {
        self.attempt.enter(Stage::Protocol, format_args!("{} accepted the connection and {did}", self.stream.peer()));
        self.number += 1;
        let message = message::command(self.way, self.number, db, command);
        match self.exchange(&message).await {
            Ok(answer) => Ok(answer),
            Err(why) => {
                if matches!(why, NoAnswer::Malformed | NoAnswer::TooLarge) {
                    self.look_further().await;
                }
                Err(MONGODB.no_answer(&why, &self.stream, false, did))
            }
        }
    }

    async fn exchange(&mut self, message: &[u8]) -> Result<Answer, NoAnswer> {
        let sent = match self.stream.write_all(message).await {
            Ok(()) => self.stream.flush().await,
            error => error,
        };
        // What a server says before it closes is worth more than the failure to write to it.
        let answer = self.read().await;
        if answer.is_ok() || !matches!(answer, Err(NoAnswer::Closed)) {
            return answer;
        }
        sent?;
        answer
    }

    async fn read(&mut self) -> Result<Answer, NoAnswer> {
        let mut header = [0; HEADER];
        let mut have = 0;
        while have < HEADER {
            match self.stream.read(&mut header[have..]).await? {
                0 => return Err(NoAnswer::Closed),
                more => have += more,
            }
            // Fewer bytes than a header may be all that another protocol says: an alert of TLS has 7. A length of an answer
            // here has its high bytes zero.
            if header[2..4] != [0, 0] && (header[3] > LENGTH_HIGH || Protocol::of(self.stream.first()).is_some()) {
                return Err(NoAnswer::Malformed);
            }
        }
        let field = |at: usize| {
            let bytes = [header[at], header[at + 1], header[at + 2], header[at + 3]];
            u32::from_le_bytes(bytes)
        };
        let code = field(12);
        if field(8) != self.number || !matches!(code, OP_REPLY | OP_MSG) {
            return Err(NoAnswer::Malformed);
        }
        let length = usize::try_from(field(0)).unwrap_or(usize::MAX);
        if length > MESSAGE_MAX {
            return Err(NoAnswer::TooLarge);
        }
        let length = length.checked_sub(HEADER).ok_or(NoAnswer::Malformed)?;
        let mut body = Vec::new();
        while body.len() < length {
            let from = body.len();
            body.resize(from + (length - from).min(CHUNK), 0);
            self.stream.read_exact(&mut body[from..]).await?;
        }
        Answer::parse(code, body).ok_or(NoAnswer::Malformed)
    }

    /// Reads a little of what is not an answer, so that its protocol can be recognised by the first bytes.
    async fn look_further(&mut self) {
        const LOOK: Duration = Duration::from_millis(100);
        let _ = time::timeout(LOOK, self.stream.read(&mut [0; 64])).await;
    }

    /// Ends the session as the drivers do, with the end of the stream.
    pub(super) async fn end(mut self) {
        self.stream.end(FAREWELL).await;
    }
}
