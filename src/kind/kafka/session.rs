//! One session: requests and their answers, one at a time.

use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::errors::KAFKA;
use super::metadata::Metadata;
use super::wire::Request;
use crate::attempt::Attempt;
use crate::kind::no_answer::NoAnswer;
use crate::net::stream::{Peer, Stream};
use crate::reason::{Reason, Stage};

/// The longest answer that is read to its end. The topics of a target with a thousand partitions have 50 KiB.
const ANSWER_MAX: u32 = 1024 * 1024;

/// The bound on all that a broker sends in one session.
const SESSION_MAX: u64 = ANSWER_MAX as u64 + 256 * 1024;

/// The longest answer to any other request than Metadata. ApiVersions has half a KiB.
const WHOLE_MAX: u32 = 64 * 1024;

/// The longest part of a Metadata answer that is read at once: a broker, a topic's head, a partition with its replicas.
const PART_MAX: usize = 64 * 1024;

/// How much is read at once.
const PIECE: usize = 4096;

/// How long the farewell may take. A TLS session that is cut off may leave a line in the broker's log.
const FAREWELL: Duration = Duration::from_millis(200);

/// Where an answer goes.
pub(super) enum Answer<'a> {
    /// Kept as it is.
    Whole(Vec<u8>),
    /// Read part by part.
    Metadata(Metadata<'a>),
}

/// One session with a broker.
pub(super) struct Session<'a> {
    stream: Stream,
    pub(super) attempt: &'a Attempt,
    buffer: Vec<u8>,
    correlation: i32,
}

impl<'a> Session<'a> {
    pub(super) fn new(stream: Stream, attempt: &'a Attempt) -> Self {
        Self { stream: stream.limited(SESSION_MAX), attempt, buffer: Vec::new(), correlation: 0 }
    }

    pub(super) fn peer(&self) -> &Peer {
        self.stream.peer()
    }

    /// Whether the peer has sent nothing at all.
    pub(super) fn is_silent(&self) -> bool {
        self.stream.first().is_empty()
    }

    /// Sends a request and reads the body of its answer. A reason calls the request `did`.
    pub(super) async fn ask(&mut self, request: Request, did: &str) -> Result<Vec<u8>, NoAnswer> {
        let mut answer = Answer::Whole(Vec::new());
        self.exchange(request, &mut answer, did).await?;
        match answer {
            Answer::Whole(body) => Ok(body),
            Answer::Metadata(_) => Err(NoAnswer::Malformed),
        }
    }

    /// Sends a request and reads its answer into `answer`.
    pub(super) async fn exchange(
        &mut self,
        request: Request,
        answer: &mut Answer<'_>,
        did: &str,
    ) -> Result<(), NoAnswer> {
        self.attempt.enter(Stage::Protocol, format_args!("{} accepted the connection and {did}", self.stream.peer()));
        self.correlation += 1;
        let sent = self.stream.write_all(&request.framed(self.correlation)).await;
        // What the peer said before it closed is still there to be read.
        let sent = if sent.is_ok() { self.stream.flush().await } else { sent };
        match self.read(answer).await {
            Err(NoAnswer::Closed) => Err(sent.err().map_or(NoAnswer::Closed, NoAnswer::from)),
            outcome => outcome,
        }
    }

    async fn read(&mut self, answer: &mut Answer<'_>) -> Result<(), NoAnswer> {
        let length = u32::from_be_bytes(self.head().await?);
        match answer {
            Answer::Whole(_) if length > WHOLE_MAX => return Err(NoAnswer::Malformed),
            Answer::Metadata(metadata) if length > ANSWER_MAX && metadata.needs_the_end() => {
                return Err(NoAnswer::TooLarge);
            }
            _ => {}
        }
        // The number of the request comes first.
        let Some(mut left) = length.checked_sub(4).map(|left| left as usize) else { return Err(NoAnswer::Malformed) };
        if i32::from_be_bytes(self.head().await?) != self.correlation {
            return Err(NoAnswer::Malformed);
        }
        loop {
            let here = self.buffer.len().min(left);
            let used = match answer {
                Answer::Whole(body) => {
                    body.extend_from_slice(&self.buffer[..here]);
                    here
                }
                Answer::Metadata(metadata) => metadata.take(&self.buffer[..here])?,
            };
            self.buffer.drain(..used);
            left -= used;
            match answer {
                Answer::Whole(_) if left == 0 => return Ok(()),
                // Of an answer that is too long, the brokers alone are read.
                Answer::Metadata(metadata) if metadata.is_done() && (left == 0 || length > ANSWER_MAX) => return Ok(()),
                // All of it is here, and it is not complete.
                _ if here - used == left => return Err(NoAnswer::Malformed),
                _ if self.buffer.len() > PART_MAX => return Err(NoAnswer::Malformed),
                _ => self.more().await?,
            }
        }
    }

    /// The next four bytes.
    async fn head(&mut self) -> Result<[u8; 4], NoAnswer> {
        loop {
            if let Some(head) = self.buffer.first_chunk() {
                let head = *head;
                self.buffer.drain(..4);
                return Ok(head);
            }
            self.more().await?;
        }
    }

    async fn more(&mut self) -> Result<(), NoAnswer> {
        let before = self.buffer.len();
        self.buffer.resize(before + PIECE, 0);
        let read = self.stream.read(&mut self.buffer[before..]).await;
        self.buffer.truncate(before + read.as_ref().map_or(0, |read| *read));
        match read? {
            0 => Err(NoAnswer::Closed),
            _ => Ok(()),
        }
    }

    /// The reason when no answer came to `did`. `answered`: the peer has answered before.
    pub(super) fn no_answer(&self, why: &NoAnswer, answered: bool, did: &str) -> Reason {
        KAFKA.no_answer(why, &self.stream, answered, did)
    }

    /// Ends the session with the end of the stream: Kafka's protocol has no farewell.
    pub(super) async fn end(mut self) {
        self.stream.end(FAREWELL).await;
    }
}
