//! Shares the one thread among the attempts: their work does not keep the deadline and the signals waiting.
//!
//! An attempt may compute for milliseconds without a pause: it searches a long hosts file, or reads certificates. If
//! sixty attempts do so one after the other, the deadline would be seen after all of them.

use std::cell::Cell;
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::task::Poll;
use std::time::{Duration, Instant};

/// How long the attempts work before the deadline and the signals are looked at again.
const TURN: Duration = Duration::from_millis(5);

/// When the attempts began to work.
pub(super) struct Turn(Cell<Instant>);

impl Turn {
    pub(super) fn new() -> Self {
        Self(Cell::new(Instant::now()))
    }

    /// All attempts together. A turn begins each time that they are polled.
    pub(super) async fn of<T>(&self, attempts: impl Future<Output = T>) -> T {
        let mut attempts = pin!(attempts);
        poll_fn(|cx| {
            self.0.set(Instant::now());
            attempts.as_mut().poll(cx)
        })
        .await
    }

    /// One attempt. It goes on in the next turn if this one has lasted long enough.
    pub(super) async fn part<T>(&self, attempt: impl Future<Output = T>) -> T {
        let mut attempt = pin!(attempt);
        poll_fn(|cx| {
            if self.0.get().elapsed() > TURN {
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            attempt.as_mut().poll(cx)
        })
        .await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::stream::{FuturesUnordered, StreamExt};

    #[tokio::test]
    async fn the_deadline_is_looked_at_between_busy_attempts() {
        let turn = Turn::new();
        let looked = Cell::new(0);
        let busy = async || std::thread::sleep(4 * TURN);
        let attempts: FuturesUnordered<_> = (0..10).map(|_| turn.part(busy())).collect();
        let deadline = poll_fn(|_| {
            looked.set(looked.get() + 1);
            Poll::<()>::Pending
        });
        tokio::select! {
            biased;
            () = deadline => {}
            done = turn.of(attempts.collect::<Vec<()>>()) => assert_eq!(done.len(), 10),
        }
        assert!(looked.get() >= 10, "{}", looked.get());
    }
}
