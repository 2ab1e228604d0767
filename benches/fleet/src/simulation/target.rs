//! What the fleet waits for.

use std::rc::Rc;
use std::time::Duration;

use waitgate::door::Failure;

/// The DNS queries that an attempt without a cache costs.
#[derive(Clone, Copy)]
pub(crate) enum Queries {
    /// The name exists.
    Found(u32),
    /// The name does not exist.
    Missing(u32),
}

/// `db` in a Pod (three search domains, ndots:5): A and AAAA of the first name that is tried.
const NAME: Queries = Queries::Found(2);

/// The same if there is no such name: A and AAAA of four names.
const NO_NAME: Queries = Queries::Missing(8);

/// What one attempt gets.
pub(crate) enum Answer {
    Ready,
    NotReady { failure: Rc<Failure>, took: Duration, accepted: bool, queries: Queries },
}

pub(crate) trait Target {
    /// One attempt. `took` is how long it takes at an idle target.
    fn attempt(&mut self, now: Duration, took: Duration) -> Answer;

    /// When the target became ready.
    fn ready(&self) -> Option<Duration>;
}

fn failure(code: &str) -> Rc<Failure> {
    Rc::new(Failure::named(code).expect("a code of waitgate"))
}

/// A target that fails in one way, and is ready from a given time on.
pub(crate) struct Until {
    at: Duration,
    failure: Rc<Failure>,
    accepted: bool,
    queries: Queries,
}

impl Until {
    /// A port that refuses connections.
    pub(crate) fn refused(at: Duration) -> Self {
        Self { at, failure: failure("connect.refused"), accepted: false, queries: NAME }
    }

    /// A server that says that it is not ready yet.
    pub(crate) fn starting(at: Duration) -> Self {
        Self { at, failure: failure("protocol.not-accepting"), accepted: true, queries: NAME }
    }

    /// A name that does not exist.
    pub(crate) fn no_name(at: Duration) -> Self {
        Self { at, failure: failure("resolve.no-such-name"), accepted: false, queries: NO_NAME }
    }
}

impl Target for Until {
    fn attempt(&mut self, now: Duration, took: Duration) -> Answer {
        if now >= self.at {
            return Answer::Ready;
        }
        Answer::NotReady { failure: self.failure.clone(), took, accepted: self.accepted, queries: self.queries }
    }

    fn ready(&self) -> Option<Duration> {
        Some(self.at)
    }
}

/// A target that goes back and forth every second: it refuses, then it starts.
pub(crate) struct Flapping(pub(crate) Duration);

impl Target for Flapping {
    fn attempt(&mut self, now: Duration, took: Duration) -> Answer {
        let it = if now.as_secs().is_multiple_of(2) { Until::refused(self.0) } else { Until::starting(self.0) };
        { it }.attempt(now, took)
    }

    fn ready(&self) -> Option<Duration> {
        Some(self.0)
    }
}

/// A server that recovers, and is slower the more it is asked.
///
/// The recovery is one process. Each attempt makes a process too, which needs `cost` of a processor before it can say "not
/// yet". All of them share the processors fairly, as the scheduler of Linux has it. The server accepts one connection after the
/// other, so the others wait in its queue.
pub(crate) struct Recovering {
    cores: f64,
    cost: f64,
    /// Seconds of a processor that the recovery and the attempts still need.
    recovery: f64,
    backlog: f64,
    /// Up to when this is known.
    now: Duration,
    ready: Option<Duration>,
    failure: Rc<Failure>,
}

impl Recovering {
    /// The longest step of the clock, in seconds.
    const STEP: f64 = 0.001;

    /// How many processes of attempts run at once at most. With 500 gates, `benches/fleet/real` found that the recovery of
    /// PostgreSQL gets a sixth of its core.
    const PROCESSES: f64 = 5.0;

    pub(crate) fn new(alone: Duration, cores: u32, cost: Duration) -> Self {
        Self {
            cores: f64::from(cores),
            cost: cost.as_secs_f64(),
            recovery: alone.as_secs_f64(),
            backlog: 0.0,
            now: Duration::ZERO,
            ready: None,
            failure: failure("protocol.not-accepting"),
        }
    }

    /// Processes of attempts that run.
    fn processes(&self) -> f64 {
        (self.backlog / self.cost).ceil().min(Self::PROCESSES)
    }

    /// What one process gets of a processor.
    fn share(&self, processes: f64) -> f64 {
        (self.cores / processes).min(1.0)
    }

    fn advance(&mut self, to: Duration) {
        while self.now < to && self.ready.is_none() {
            let left = to.saturating_sub(self.now).as_secs_f64();
            let processes = self.processes();
            let share = self.share(processes + 1.0);
            let step = if processes == 0.0 { left } else { left.min(Self::STEP) }.min(self.recovery / share);
            self.recovery -= step * share;
            self.backlog = (self.backlog - step * share * processes).max(0.0);
            // A nanosecond at least, so that rounding does not stop the clock.
            self.now = (self.now + Duration::from_secs_f64(step).max(Duration::from_nanos(1))).min(to);
            if self.recovery < 1e-9 {
                self.ready = Some(self.now);
            }
        }
    }
}

impl Target for Recovering {
    fn attempt(&mut self, now: Duration, took: Duration) -> Answer {
        self.advance(now);
        if self.ready.is_some() {
            return Answer::Ready;
        }
        self.backlog += self.cost;
        let processes = self.processes();
        let took = took + Duration::from_secs_f64(self.backlog / (processes * self.share(processes + 1.0)));
        Answer::NotReady { failure: self.failure.clone(), took, accepted: true, queries: NAME }
    }

    fn ready(&self) -> Option<Duration> {
        self.ready
    }
}

/// A server that is down, and refuses connections. Then it starts and recovers.
pub(crate) struct Restarting {
    down: Duration,
    then: Recovering,
}

impl Restarting {
    pub(crate) fn new(down: Duration, then: Recovering) -> Self {
        Self { down, then }
    }
}

impl Target for Restarting {
    fn attempt(&mut self, now: Duration, took: Duration) -> Answer {
        match now.checked_sub(self.down) {
            None => Until::refused(self.down).attempt(now, took),
            Some(since) => self.then.attempt(since, took),
        }
    }

    fn ready(&self) -> Option<Duration> {
        self.then.ready().map(|ready| self.down + ready)
    }
}
