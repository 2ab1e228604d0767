//! Targets in declared order whose holds are spent together.
//!
//! `hold` watches an accepted connection, by default for 50 ms. In order, ten targets that accept at once would take half a
//! second. So the next target is tried while the one before it is known to accept and is only watched. If that one then
//! closes, what the next ones have shown is dropped: they have not been tried.

use std::future::pending;
use std::rc::Rc;

use futures_util::stream::{FuturesOrdered, StreamExt};

use super::{Done, Gate};
use crate::attempt::Attempt;
use crate::kind::Ready;
use crate::plan::Planned;
use crate::reason::Reason;

impl<P: AsyncFn(&Planned, &Attempt) -> Result<Ready, Reason>> Gate<'_, P> {
    /// Tries targets from `at` on once, for as long as they are ready and have holds to spend. Returns the target that comes
    /// next, and its first attempt if that has failed.
    pub(super) async fn together(&self, mut at: usize) -> (usize, Option<Done>) {
        let mut running = FuturesOrdered::new();
        // The first target that has not been tried, and the attempt of the one before it, until that is held.
        let (mut next, mut last) = (at, None::<Rc<Attempt>>);
        loop {
            let none_runs = running.is_empty();
            let held = async {
                match &last {
                    _ if none_runs => {}
                    Some(attempt) => attempt.held().await,
                    None => pending().await,
                }
            };
            let done = tokio::select! {
                biased;
                Some(done) = running.next(), if !none_runs => done,
                () = held => {
                    last = None;
                    if self.spends(next) && let Ok(permit) = self.in_flight.try_acquire() {
                        let begun = self.begin(next, false);
                        last = Some(Rc::clone(&begun.attempt));
                        running.push_back(self.attempt(next, begun, Ok(permit)));
                        next += 1;
                    } else if none_runs {
                        return (at, None);
                    }
                    continue;
                }
            };
            let Ok(ready) = &done.outcome else {
                drop(running);
                (at + 1..next).for_each(|other| self.board.forget(other));
                return (at, Some(done));
            };
            self.ready(at, ready);
            at += 1;
        }
    }

    /// Whether the target's hold may be spent together with others.
    fn spends(&self, at: usize) -> bool {
        let spends = |it: &Planned| it.target.holds() && it.timeout.is_none() && it.successes == 1;
        self.plan.targets.get(at).is_some_and(spends)
    }
}
