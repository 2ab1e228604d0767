//! What happens in a run. The gate and the application send events, and the report makes lines of them.

use std::time::Duration;

use crate::attempt::Attempt;
use crate::kind::Ready;
use crate::plan::Plan;
use crate::reason::Reason;
use crate::verdict::Verdict;

/// One thing that happened.
pub(crate) enum Event<'a> {
    /// The run begins.
    Start(&'a Plan),
    /// Something is odd but not an error.
    Warning(&'a str),
    /// An attempt has ended, and the target will be probed again. Or it goes on, and says why the target is not ready.
    Attempt {
        /// The target's place in the plan, from 0. A target that is given twice has two places.
        at: usize,
        /// The target as shown.
        target: &'a str,
        /// Its number, from 1.
        number: u32,
        /// How it ended.
        outcome: Result<&'a Ready, &'a Reason>,
        /// Ready answers in a row so far.
        in_a_row: u32,
        /// It has the time that each stage took.
        attempt: &'a Attempt,
        /// The pause before the next attempt, including jitter. `None`: the attempt goes on.
        pause: Option<Duration>,
    },
    /// The one attempt of --once was not ready.
    NotReady {
        /// The target as shown.
        target: &'a str,
        /// Its number, from 1.
        number: u32,
        /// Why.
        reason: &'a Reason,
    },
    /// waitgate still waits. The state of every target.
    Heartbeat(&'a [Standing]),
    /// A target is ready.
    Ready {
        /// The target as shown.
        target: &'a str,
        attempts: u32,
        /// The time since its first attempt began.
        after: Duration,
        /// It may have a note for the log.
        ready: &'a Ready,
    },
    /// The state of every target, several times a second, for the live view of a terminal.
    Live(&'a [Standing]),
    /// Every target is ready. waitgate now sleeps this random part of --settle.
    Settle(Duration),
    /// The run has ended.
    Verdict {
        verdict: &'a Verdict,
        /// The state of every target at the end; empty if there was no plan.
        standings: &'a [Standing],
    },
}

/// The state of one target: not tried yet, not ready, or ready.
#[derive(Clone, Debug)]
pub(crate) struct Standing {
    /// The target as the log shows it.
    pub(crate) target: String,
    /// How many attempts have begun.
    pub(crate) attempts: u32,
    /// The time since its first attempt began.
    pub(crate) waited: Option<Duration>,
    pub(crate) ready: bool,
    /// Ready answers in a row so far.
    pub(crate) in_a_row: u32,
    /// How many ready answers in a row it needs.
    pub(crate) successes: u32,
    /// Why it is not ready, if it was tried.
    pub(crate) reason: Option<Reason>,
}

impl Standing {
    /// Whether it was tried and is not ready.
    pub(crate) fn is_waited_for(&self) -> bool {
        !self.ready && self.attempts > 0
    }

    /// Why a target that was tried is not ready.
    pub(crate) fn why(&self) -> String {
        match &self.reason {
            Some(reason) => reason.sentence(),
            None if self.in_a_row > 0 => format!("ready {} of {} times in a row", self.in_a_row, self.successes),
            None => "no attempt has ended".into(),
        }
    }
}
