//! The pauses of one gate, for the simulation of a fleet in benches/fleet.

use std::time::Duration;

use crate::gate::backoff::{Backoff, jitter, to_next_start};
use crate::reason::{Code, Reason};

/// How an attempt failed.
#[derive(Clone, Debug)]
pub struct Failure(Reason);

impl Failure {
    /// The failure with this code, such as `connect.refused`.
    #[must_use]
    pub fn named(code: &str) -> Option<Self> {
        let code = Code::ALL.iter().find(|known| known.as_str() == code)?;
        Some(Self(Reason::new(*code, "")))
    }
}

/// The pauses between the attempts at one target, as the gate makes them.
#[derive(Clone, Copy, Debug)]
pub struct Pauses(Backoff);

impl Pauses {
    /// The pauses of a run; `max_pause` is --max-pause.
    #[must_use]
    pub fn new(max_pause: Option<Duration>) -> Self {
        Self(Backoff::new(max_pause))
    }

    /// From the start of an attempt, which took `took`, until the start of the next one. `accepted` is whether a server
    /// accepted a connection, and then it needed all of this time for its answer. `random` has 64 random bits for the jitter.
    pub fn after(&mut self, failure: &Failure, took: Duration, accepted: bool, random: u64) -> Duration {
        let answered = if accepted { took } else { Duration::ZERO };
        to_next_start(took, accepted, jitter(self.0.base(&failure.0, answered), random))
    }
}
