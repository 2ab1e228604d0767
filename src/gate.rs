//! The loop: targets in order or in parallel, attempts and pauses.
//!
//! It knows no deadline of the run and no signal: the application drops it where it stands, and what every
//! target was waiting for is still on the [`Board`].

use std::cell::{Ref, RefCell};
use std::rc::Rc;
use std::time::Duration;

use futures_util::stream::{FuturesUnordered, StreamExt};
use tokio::sync::{AcquireError, Semaphore, SemaphorePermit};
use tokio::time::{self, Instant};

use crate::backoff::{Backoff, jitter};
use crate::plan::{Plan, Planned};
use crate::reason::Reason;
use crate::report::Event;
use crate::target::Ready;
use crate::trail::Trail;
use crate::verdict::{Standing, Verdict};

/// An attempt that hangs for this long beyond the one before it says more about now than that one.
const TELLING: Duration = Duration::from_millis(500);

/// After how long the first heartbeat comes, and how far apart the next ones are.
const FIRST_BEAT: Duration = Duration::from_secs(10);
const BEAT: Duration = Duration::from_secs(30);

/// How often a live view is drawn anew.
const TICK: Duration = Duration::from_millis(200);

/// Where each target stands; outlives the attempts that write on it.
#[derive(Default)]
pub struct Board(RefCell<Vec<Row>>);

#[derive(Default)]
struct Row {
    attempts: u32,
    last: Option<Reason>,
    /// How long the last attempt took.
    took: Duration,
    running: Option<Rc<Trail>>,
    ready: bool,
    /// Ready answers in a row.
    streak: u32,
    begun: Option<Instant>,
}

impl Row {
    /// Why it is not ready, seen from now: the last attempt that ended, unless the one under way has come further or
    /// hung for longer than that, and so is the better witness. One that is slow each time is not.
    fn reason(&self) -> Option<Reason> {
        let tells = |trail: &&Rc<Trail>| {
            let hung = trail.started().elapsed();
            match &self.last {
                None => self.streak == 0 || hung >= TELLING + self.took,
                Some(last) => hung >= TELLING && (trail.stage() > last.stage() || hung >= TELLING + self.took),
            }
        };
        match self.running.as_ref().filter(tells) {
            Some(trail) => Some(trail.cut_off()),
            None => self.last.clone(),
        }
    }
}

impl Board {
    /// A board for the targets of `plan`.
    #[must_use]
    pub fn new(plan: &Plan) -> Self {
        Self(RefCell::new(plan.targets.iter().map(|_| Row::default()).collect()))
    }

    /// Where every target stands now, in declared order.
    #[must_use]
    pub fn standings(&self, plan: &Plan) -> Vec<Standing> {
        let standing = |(planned, row): (&Planned, &Row)| Standing {
            target: planned.shown.clone(),
            attempts: row.attempts,
            waited: row.begun.map(|begun| begun.elapsed()),
            ready: row.ready,
            in_a_row: row.streak,
            successes: planned.successes,
            reason: if row.ready { None } else { row.reason() },
        };
        plan.targets.iter().zip(self.0.borrow().iter()).map(standing).collect()
    }

    fn row(&self, at: usize) -> Ref<'_, Row> {
        Ref::map(self.0.borrow(), |rows| &rows[at])
    }

    fn update<T>(&self, at: usize, change: impl FnOnce(&mut Row) -> T) -> T {
        change(&mut self.0.borrow_mut()[at])
    }
}

/// One run over a plan; `probe` tries a target once.
pub struct Gate<'a, P> {
    plan: &'a Plan,
    board: &'a Board,
    report: &'a dyn Fn(Event<'_>),
    probe: P,
    in_flight: Semaphore,
    live: bool,
}

/// A target that did not get ready: how that ends the run.
type Ended = Verdict;

/// Leave for one attempt. The semaphore is fair: the longest-waiting target is the next to be probed.
type Permit<'a> = Result<SemaphorePermit<'a>, AcquireError>;

impl<'a, P: AsyncFn(&Planned, &Trail) -> Result<Ready, Reason>> Gate<'a, P> {
    /// A gate that has at most `in_flight` attempts under way at once.
    pub fn new(plan: &'a Plan, board: &'a Board, report: &'a dyn Fn(Event<'_>), in_flight: usize, probe: P) -> Self {
        Self { plan, board, report, probe, in_flight: Semaphore::new(in_flight.max(1)), live: false }
    }

    /// The same with a live view in place of heartbeats.
    #[must_use]
    pub fn live(mut self, live: bool) -> Self {
        self.live = live;
        self
    }

    /// Sleeps the initial delay, then waits until every target is ready or the run has to end without.
    pub async fn run(&self) -> Verdict {
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
            outcome = wait => outcome.err().unwrap_or(Verdict::Ready),
            () = self.heartbeat() => Verdict::Ready,
        }
    }

    async fn in_order(&self) -> Result<(), Ended> {
        for at in 0..self.plan.targets.len() {
            self.until_ready(at).await?;
        }
        Ok(())
    }

    async fn all_at_once(&self) -> Result<(), Ended> {
        let mut waits: FuturesUnordered<_> = (0..self.plan.targets.len()).map(|at| self.until_ready(at)).collect();
        while let Some(outcome) = waits.next().await {
            outcome?;
        }
        Ok(())
    }

    async fn once_in_order(&self) -> Result<(), Ended> {
        for at in 0..self.plan.targets.len() {
            self.once(at).await?;
        }
        Ok(())
    }

    async fn once_all(&self) -> Result<(), Ended> {
        let attempts: FuturesUnordered<_> = (0..self.plan.targets.len()).map(|at| self.once(at)).collect();
        let outcomes: Vec<_> = attempts.collect().await;
        outcomes.into_iter().collect()
    }

    /// One attempt. A target's own timeout bounds it too.
    async fn once(&self, at: usize) -> Result<(), Ended> {
        let planned = &self.plan.targets[at];
        let permit = self.in_flight.acquire().await;
        let outcome = self.bounded(at, async {
            let (ended, _) = self.attempt(at, false, permit).await;
            ended
        });
        match outcome.await? {
            Ok(ready) => {
                self.ready(at, &ready);
                Ok(())
            }
            Err(reason) => {
                let row = self.board.row(at);
                (self.report)(Event::NotReady { target: &planned.shown, attempt: row.attempts, reason: &reason });
                Err(Verdict::NotReady)
            }
        }
    }

    /// Attempts and pauses, until the target has been ready often enough.
    async fn until_ready(&self, at: usize) -> Result<(), Ended> {
        let permit = self.in_flight.acquire().await;
        self.bounded(at, self.attempts(at, permit)).await
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

    async fn attempts(&self, at: usize, permit: Permit<'_>) {
        let planned = &self.plan.targets[at];
        let mut backoff = Backoff::new(planned.max_pause);
        let mut permit = permit;
        loop {
            let (outcome, trail) = self.attempt(at, planned.successes > 1, permit).await;
            let in_a_row = self.board.row(at).streak;
            let pause = match &outcome {
                Ok(ready) => {
                    if in_a_row >= planned.successes {
                        self.ready(at, ready);
                        return;
                    }
                    backoff.between_successes()
                }
                Err(reason) => {
                    // Without randomness (no getrandom, which no Linux since 3.17 lacks) the pause is the longest.
                    jitter(backoff.base(reason), getrandom::u64().unwrap_or(u64::MAX))
                }
            };
            (self.report)(Event::Attempt {
                at,
                target: &planned.shown,
                attempt: self.board.row(at).attempts,
                outcome: outcome.as_ref(),
                in_a_row,
                trail: &trail,
                pause,
            });
            time::sleep_until(next_start(&trail, pause)).await;
            permit = self.in_flight.acquire().await;
        }
    }

    /// One attempt within its bound. Its trail stands on the board while it runs.
    async fn attempt(&self, at: usize, fresh: bool, _permit: Permit<'_>) -> (Result<Ready, Reason>, Rc<Trail>) {
        let planned = &self.plan.targets[at];
        let trail = Rc::new(Trail::new(planned.bounds, fresh));
        self.board.update(at, |row| {
            row.attempts += 1;
            row.begun.get_or_insert(trail.started());
            row.running = Some(Rc::clone(&trail));
        });
        let outcome = match time::timeout_at(trail.until(), (self.probe)(planned, &trail)).await {
            Ok(outcome) => outcome,
            Err(_) => Err(trail.cut_off()),
        };
        self.board.update(at, |row| {
            row.running = None;
            row.took = trail.started().elapsed();
            row.last = outcome.as_ref().err().cloned();
            row.streak = if outcome.is_ok() { row.streak + 1 } else { 0 };
        });
        (outcome, trail)
    }

    fn ready(&self, at: usize, ready: &Ready) {
        let (attempts, begun) = self.board.update(at, |row| {
            row.ready = true;
            (row.attempts, row.begun)
        });
        let after = begun.map(|begun| begun.elapsed()).unwrap_or_default();
        (self.report)(Event::Ready { target: &self.plan.targets[at].shown, attempts, after, ready });
    }

    /// Says, every now and then, what is still waited for.
    async fn heartbeat(&self) {
        if self.live {
            loop {
                // Not at once: what refuses has done so by then.
                time::sleep(TICK).await;
                (self.report)(Event::Live(&self.board.standings(self.plan)));
            }
        }
        time::sleep(FIRST_BEAT).await;
        loop {
            (self.report)(Event::Heartbeat(&self.board.standings(self.plan)));
            time::sleep(BEAT).await;
        }
    }
}

/// The pause counts from the attempt's start, so that a slow attempt does not add to it. Where a server had
/// accepted a connection, at least half of it follows the attempt's end: work that we gave up on may still
/// go on there, and must not pile up.
fn next_start(trail: &Trail, pause: Duration) -> Instant {
    let counted = trail.started() + pause;
    if trail.accepted() { counted.max(Instant::now() + pause / 2) } else { counted }
}

#[cfg(test)]
mod tests;
