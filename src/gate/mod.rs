//! The loop: targets in order or in parallel, attempts and pauses.
//!
//! It does not know the run's deadline or the signals. The application may drop it at any moment, and the [`Board`]
//! still has the state of every target.

pub(crate) mod backoff;
mod board;
#[cfg(test)]
mod tests;
mod together;
mod turn;

use std::rc::Rc;
use std::time::Duration;

use futures_util::stream::{FuturesUnordered, StreamExt};
use tokio::sync::{AcquireError, Semaphore, SemaphorePermit};
use tokio::time::{self, Instant};

use crate::attempt::Attempt;
use crate::event::Event;
use crate::kind::Ready;
use crate::plan::{Plan, Planned};
use crate::reason::Reason;
use crate::verdict::Verdict;
use backoff::{Backoff, jitter, to_next_start};
pub(crate) use board::Board;
use turn::Turn;

/// When the first heartbeat comes, and the time between the next ones.
const FIRST_HEARTBEAT: Duration = Duration::from_secs(10);
const HEARTBEAT: Duration = Duration::from_secs(30);

/// How often the live view is drawn.
const REDRAW: Duration = Duration::from_millis(200);

/// One run over a plan. `probe` tries a target once.
pub(crate) struct Gate<'a, P> {
    plan: &'a Plan,
    board: &'a Board,
    tell: &'a dyn Fn(Event<'_>),
    probe: P,
    in_flight: Semaphore,
    turn: Turn,
    /// Whether attempts may go on after a first answer: there is a place for every target at once.
    lingers: bool,
    live: bool,
}

/// A target that did not become ready: how that ends the run.
type Ended = Verdict;

/// Permission for one attempt. The semaphore is fair: the target that has waited longest is probed next.
type Permit<'a> = Result<SemaphorePermit<'a>, AcquireError>;

/// One attempt that has begun.
struct Begun {
    number: u32,
    attempt: Rc<Attempt>,
}

/// The next attempt at a target.
enum Next<'a> {
    /// It may begin.
    Try(Permit<'a>),
    /// It has ended already.
    Tried(Done),
}

/// One attempt that has ended.
struct Done {
    number: u32,
    attempt: Rc<Attempt>,
    outcome: Result<Ready, Reason>,
    /// How long the server needed for its answer.
    answered: Duration,
    in_a_row: u32,
}

impl<'a, P: AsyncFn(&Planned, &Attempt) -> Result<Ready, Reason>> Gate<'a, P> {
    /// A gate that runs at most `in_flight` attempts at once.
    pub(crate) fn new(
        plan: &'a Plan,
        board: &'a Board,
        tell: &'a dyn Fn(Event<'_>),
        in_flight: usize,
        probe: P,
    ) -> Self {
        let in_flight = in_flight.max(1);
        let lingers = !plan.once && (!plan.parallel || plan.targets.len() <= in_flight);
        Self { plan, board, tell, probe, in_flight: Semaphore::new(in_flight), lingers, turn: Turn::new(), live: false }
    }

    /// The same with a live view instead of heartbeats.
    pub(crate) fn live(mut self, live: bool) -> Self {
        self.live = live;
        self
    }

    /// Sleeps the initial delay, then waits until every target is ready or the run has to end.
    pub(crate) async fn run(&self) -> Verdict {
        if !self.plan.initial_delay.is_zero() {
            time::sleep(self.plan.initial_delay).await;
        }
        let wait = async {
            match (self.plan.parallel, self.plan.once) {
                (false, false) => self.in_order().await,
                (true, false) => self.all_at_once().await,
                (false, true) => self.once_in_order().await,
                (true, true) => self.once_all().await,
            }
        };
        tokio::select! {
            biased;
            outcome = self.turn.of(wait) => outcome.err().unwrap_or(Verdict::Ready),
            () = self.heartbeat() => Verdict::Ready,
        }
    }

    async fn in_order(&self) -> Result<(), Ended> {
        let mut next = 0;
        loop {
            let (at, tried) = self.together(next).await;
            if at == self.plan.targets.len() {
                return Ok(());
            }
            self.until_ready(at, tried).await?;
            next = at + 1;
        }
    }

    async fn all_at_once(&self) -> Result<(), Ended> {
        let mut waits: FuturesUnordered<_> =
            (0..self.plan.targets.len()).map(|at| self.until_ready(at, None)).collect();
        while let Some(outcome) = waits.next().await {
            outcome?;
        }
        Ok(())
    }

    async fn once_in_order(&self) -> Result<(), Ended> {
        let mut next = 0;
        loop {
            let (at, tried) = self.together(next).await;
            match tried {
                _ if at == self.plan.targets.len() => return Ok(()),
                Some(done) => self.judged(at, done)?,
                None => self.once(at).await?,
            }
            next = at + 1;
        }
    }

    async fn once_all(&self) -> Result<(), Ended> {
        let attempts: FuturesUnordered<_> = (0..self.plan.targets.len()).map(|at| self.once(at)).collect();
        let outcomes: Vec<_> = attempts.collect().await;
        outcomes.into_iter().collect()
    }

    /// One attempt. A target's own timeout bounds it too.
    async fn once(&self, at: usize) -> Result<(), Ended> {
        let permit = self.in_flight.acquire().await;
        let done = self.bounded(at, self.attempt(at, self.begin(at, false), permit)).await?;
        self.judged(at, done)
    }

    /// The only attempt at a target has ended.
    fn judged(&self, at: usize, Done { number, outcome, .. }: Done) -> Result<(), Ended> {
        match outcome {
            Ok(ready) => {
                self.ready(at, &ready);
                Ok(())
            }
            Err(reason) => {
                let target = &self.plan.targets[at].shown;
                (self.tell)(Event::NotReady { target, number, reason: &reason });
                Err(Verdict::NotReady)
            }
        }
    }

    /// Attempts and pauses, until the target has been ready often enough. `tried` is the first attempt, if it has ended.
    async fn until_ready(&self, at: usize, tried: Option<Done>) -> Result<(), Ended> {
        let next = match tried {
            Some(done) => Next::Tried(done),
            None => Next::Try(self.in_flight.acquire().await),
        };
        self.bounded(at, self.attempts(at, next)).await
    }

    /// Runs `work`, which begins with the target's first attempt, within the target's own timeout.
    async fn bounded<T>(&self, at: usize, work: impl Future<Output = T>) -> Result<T, Ended> {
        let planned = &self.plan.targets[at];
        match planned.timeout {
            None => Ok(work.await),
            Some(timeout) => {
                let ended = |_| Verdict::TimedOut(timeout, Some(planned.shown.clone()));
                time::timeout(timeout, work).await.map_err(ended)
            }
        }
    }

    async fn attempts(&self, at: usize, mut next: Next<'_>) {
        let planned = &self.plan.targets[at];
        let mut backoff = Backoff::new(planned.max_pause);
        loop {
            let Done { number, attempt, outcome, answered, in_a_row } = match next {
                Next::Try(permit) => self.attempt(at, self.begin(at, planned.successes > 1), permit).await,
                Next::Tried(done) => done,
            };
            let pause = match &outcome {
                Ok(ready) => {
                    if in_a_row >= planned.successes {
                        self.ready(at, ready);
                        return;
                    }
                    backoff.between_successes()
                }
                Err(reason) => {
                    // Linux has getrandom since 3.17. Without it, the pause has its full length.
                    jitter(backoff.base(reason, answered), getrandom::u64().unwrap_or(u64::MAX))
                }
            };
            let asked = outcome.as_ref().err().map(Reason::pause).unwrap_or_default();
            let (target, outcome) = (&planned.shown, outcome.as_ref());
            let pause = pause.max(asked);
            (self.tell)(Event::Attempt {
                at,
                target,
                number,
                outcome,
                in_a_row,
                attempt: &attempt,
                pause: Some(pause),
            });
            time::sleep_until(next_start(&attempt, pause).max(Instant::now() + asked)).await;
            next = Next::Try(self.in_flight.acquire().await);
        }
    }

    /// An attempt begins. It is on the board while it runs.
    fn begin(&self, at: usize, fresh: bool) -> Begun {
        let planned = &self.plan.targets[at];
        let attempt = Rc::new(Attempt::new(planned.bounds, fresh).hiding(&planned.mask).lingering(self.lingers));
        let number = self.board.begin(at, &attempt);
        Begun { number, attempt }
    }

    /// One attempt within its bound.
    async fn attempt(&self, at: usize, Begun { number, attempt }: Begun, _permit: Permit<'_>) -> Done {
        let planned = &self.plan.targets[at];
        // Only while it runs: a thousand targets may pause, or wait for their permit.
        let mut probe = Box::pin(time::timeout_at(attempt.until(), self.turn.part((self.probe)(planned, &attempt))));
        let outcome = loop {
            tokio::select! {
                biased;
                outcome = &mut probe => break outcome.unwrap_or_else(|_| Err(attempt.cut_off())),
                reason = attempt.told() => {
                    self.board.told(at, &attempt, &reason);
                    let (target, outcome) = (&planned.shown, Err(&reason));
                    (self.tell)(Event::Attempt { at, target, number, outcome, in_a_row: 0, attempt: &attempt, pause: None });
                }
            }
        };
        let answered = attempt.answered();
        drop(probe);
        // The last net: what a server says may hold what waitgate has sent.
        let outcome = match outcome {
            Ok(Ready { note }) => Ok(Ready { note: note.map(|note| attempt.screen(&note)) }),
            Err(reason) => Err(reason.with_text(attempt.screen(reason.text()))),
        };
        let in_a_row = self.board.end(at, &attempt, &outcome);
        Done { number, attempt, outcome, answered, in_a_row }
    }

    fn ready(&self, at: usize, ready: &Ready) {
        let (attempts, after) = self.board.ready(at);
        (self.tell)(Event::Ready { target: &self.plan.targets[at].shown, attempts, after, ready });
    }

    /// Reports from time to time which targets are not ready yet.
    async fn heartbeat(&self) {
        if self.live {
            loop {
                // The first drawing waits too. Attempts that are refused at once have ended by then.
                time::sleep(REDRAW).await;
                (self.tell)(Event::Live(&self.board.standings(self.plan)));
            }
        }
        time::sleep(FIRST_HEARTBEAT).await;
        loop {
            (self.tell)(Event::Heartbeat(&self.board.standings(self.plan)));
            time::sleep(HEARTBEAT).await;
        }
    }
}

/// When the next attempt may start.
fn next_start(attempt: &Attempt, pause: Duration) -> Instant {
    attempt.started() + to_next_start(attempt.started().elapsed(), attempt.accepted(), pause)
}
