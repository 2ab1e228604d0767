//! MongoDB's wire protocol: one message for each command, one message for each answer, both with a document in it.
//!
//! MongoDB's manual (Wire Protocol) and the specifications of the drivers (source/message/OP_MSG.md,
//! source/mongodb-handshake/handshake.md) have the form of the messages.

use std::io;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::time;

use super::bson::{Document, Writer, len};
use super::errors;
use crate::attempt::Attempt;
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

/// The header of every message: its length, its number, the number that it answers, and what it is.
const HEADER: usize = 16;

const OP_REPLY: u32 = 1;
const OP_QUERY: u32 = 2004;
const OP_MSG: u32 = 2013;

/// A query on a server that is not a primary is answered too (OP_QUERY, flag `SecondaryOk`).
const SECONDARY_OK: u32 = 4;

/// OP_MSG, flag `checksumPresent`: four bytes follow the sections.
const CHECKSUM: u32 = 1;

/// Why there is no answer.
#[derive(Debug)]
pub(super) enum NoAnswer {
    /// The connection ended, before an answer or within one.
    Closed,
    /// The bytes are not what MongoDB's protocol has in this place.
    Malformed,
    /// The answer is longer than the bound.
    TooLong,
    /// Reading or writing failed.
    Failed(io::Error),
}

impl From<io::Error> for NoAnswer {
    fn from(error: io::Error) -> Self {
        use io::ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionReset, UnexpectedEof};
        match error.kind() {
            BrokenPipe | ConnectionAborted | ConnectionReset | UnexpectedEof => Self::Closed,
            _ => Self::Failed(error),
        }
    }
}

/// How a command is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    /// OP_QUERY, the only way before MongoDB 3.6. Every server takes it for the first hello.
    Query,
    /// OP_MSG.
    Message,
}

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

    pub(super) fn peer(&self) -> Peer {
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
        let message = self.message(db, command);
        match self.exchange(&message).await {
            Ok(answer) => Ok(answer),
            Err(why) => {
                if matches!(why, NoAnswer::Malformed | NoAnswer::TooLong) {
                    self.look_further().await;
                }
                Err(errors::no_answer(&why, &self.stream, did))
            }
        }
    }

    fn message(&self, db: &str, command: Writer) -> Vec<u8> {
        let (code, body) = match self.way {
            Way::Query => {
                // A full name of a collection, how many documents to skip, and how many to return: one, without a cursor.
                let head =
                    [&SECONDARY_OK.to_le_bytes()[..], db.as_bytes(), b".$cmd\0", &len(0), &(-1_i32).to_le_bytes()];
                (OP_QUERY, [head.concat(), command.finish()].concat())
            }
            // No flag, and one section of kind 0.
            Way::Message => (OP_MSG, [&[0; 5][..], &command.text("$db", db).finish()].concat()),
        };
        let header = [len(HEADER + body.len()), self.number.to_le_bytes(), len(0), code.to_le_bytes()];
        [header.concat(), body].concat()
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
            return Err(NoAnswer::TooLong);
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
        let _ = time::timeout(FAREWELL, self.stream.shutdown()).await;
    }
}

/// A message of a server, with a document of the right form in it.
pub(super) struct Answer {
    body: Vec<u8>,
    /// Where the document begins.
    at: usize,
}

impl Answer {
    /// Finds the document in the body of a message.
    pub(super) fn parse(code: u32, body: Vec<u8>) -> Option<Self> {
        let at = if code == OP_REPLY {
            // Flags, a cursor, a position, and how many documents follow.
            20
        } else {
            let flags = u32::from_le_bytes(*body.first_chunk()?);
            // A flag below the 16th must be understood. An answer in several messages was not asked for.
            if flags & 0xffff & !CHECKSUM != 0 || *body.get(4)? != 0 {
                return None;
            }
            5
        };
        Document::parse(body.get(at..)?)?;
        Some(Self { body, at })
    }

    pub(super) fn document(&self) -> Document<'_> {
        // It was parsed before.
        Document::parse(&self.body[self.at..]).map_or_else(|| Document::EMPTY, |(document, _)| document)
    }
}
