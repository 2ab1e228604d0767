//! What happens in a run: the gate and the application tell it, and the report makes lines of it.

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
    /// Something is odd and not wrong.
    Warning(&'a str),
    /// An attempt of a target that goes on being probed has ended.
    Attempt {
        /// Which target of the plan, from 0: one that is given twice is two.
        at: usize,
        /// The target as shown.
        target: &'a str,
        /// Its number, from 1.
        number: u32,
        /// How it ended.
        outcome: Result<&'a Ready, &'a Reason>,
        /// Ready answers in a row so far.
        in_a_row: u32,
        /// What it did, and how long each stage took.
        attempt: &'a Attempt,
        /// What will be slept before the next one, jitter included.
        pause: Duration,
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
    /// It still waits: where the targets stand.
    Heartbeat(&'a [Standing]),
    /// A target is ready.
    Ready {
        /// The target as shown.
        target: &'a str,
        /// Attempts made.
        attempts: u32,
        /// Since its first attempt.
        after: Duration,
        /// What is worth saying about it.
        ready: &'a Ready,
    },
    /// Where the targets stand, several times a second: for a terminal.
    Live(&'a [Standing]),
    /// All is ready; a random part of --settle is slept.
    Settle(Duration),
    /// The run has ended.
    Verdict {
        /// How.
        verdict: &'a Verdict,
        /// Where each target stood; empty where nothing was planned.
        standings: &'a [Standing],
    },
}

/// Where one target is: not tried yet, waited for, or ready.
#[derive(Clone, Debug)]
pub(crate) struct Standing {
    /// The target as the log shows it.
    pub(crate) target: String,
    /// Attempts begun.
    pub(crate) attempts: u32,
    /// Since its first attempt.
    pub(crate) waited: Option<Duration>,
    /// Whether it is ready.
    pub(crate) ready: bool,
    /// Ready answers in a row so far, where it takes more than that.
    pub(crate) in_a_row: u32,
    /// How many it takes.
    pub(crate) successes: u32,
    /// Why it is not, if it was tried and is not.
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
