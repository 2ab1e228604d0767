//! The data of a request, sent so that an early answer is read.
//!
//! A server may answer before it has read all of the data, and close the connection (RFC 9112 section 9.6). The kernel
//! then resets the connection, and the next write fails. hyper reads between two polls and not between a write and the
//! next one, so with one long piece it could lose an answer that had already arrived.

use std::convert::Infallible;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use hyper::body::{Body, Frame, SizeHint};
use tokio::sync::oneshot;
use tokio::time::{self, Sleep};

/// Data up to this length goes out in one write, with the head. The kernel takes so much at once.
const PIECE: usize = 16 * 1024;

/// The time for an answer before each piece. A server on another machine needs longer, but its network also takes the
/// pieces more slowly, so hyper waits and reads between them.
const PAUSE: Duration = Duration::from_millis(10);

/// The time for the rest of an answer whose head has come. Some servers end their answer only after they have read all of
/// the data, such as an echo, so it is sent all the same.
const PAUSE_IN_ANSWER: Duration = Duration::from_millis(50);

/// What keeps the request of an attempt alive. If it is dropped, the connection is closed.
pub(super) struct Alive {
    answered: Arc<AtomicBool>,
    _ended: oneshot::Sender<Infallible>,
}

impl Alive {
    /// To be set once the head of the answer has come: the rest of the data is sent more slowly.
    pub(super) fn answered(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.answered)
    }
}

/// `data` as the body of a request. Long data needs the second value as long as its answer is read.
pub(super) fn body(data: Bytes) -> (reqwest::Body, Option<Alive>) {
    if data.len() <= PIECE {
        return (data.into(), None);
    }
    let answered = Arc::new(AtomicBool::new(false));
    let (ended, has_ended) = oneshot::channel();
    let pieces =
        Pieces { left: data, pause: None, answered: Arc::clone(&answered), in_answer: false, ended: has_ended };
    (reqwest::Body::wrap(pieces), Some(Alive { answered, _ended: ended }))
}

struct Pieces {
    left: Bytes,
    pause: Option<Pin<Box<Sleep>>>,
    answered: Arc<AtomicBool>,
    /// Whether the pause is one within the answer.
    in_answer: bool,
    ended: oneshot::Receiver<Infallible>,
}

impl Body for Pieces {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        if self.left.is_empty() {
            return Poll::Ready(None);
        }
        if Pin::new(&mut self.ended).poll(cx).is_ready() {
            self.left.clear();
            return Poll::Ready(Some(Err(io::Error::other("the attempt has ended"))));
        }
        let answered = self.answered.load(Ordering::Relaxed);
        if answered != self.in_answer {
            self.in_answer = answered;
            self.pause = None;
        }
        let length = if answered { PAUSE_IN_ANSWER } else { PAUSE };
        let pause = self.pause.get_or_insert_with(|| Box::pin(time::sleep(length)));
        ready!(pause.as_mut().poll(cx));
        self.pause = None;
        let length = self.left.len().min(PIECE);
        Poll::Ready(Some(Ok(Frame::data(self.left.split_to(length)))))
    }

    fn is_end_stream(&self) -> bool {
        self.left.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left.len() as u64)
    }
}
