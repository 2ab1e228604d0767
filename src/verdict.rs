//! How the run ended; the only file that knows an exit status.

use std::process::ExitCode;
use std::time::Duration;

use crate::reason::Reason;
use crate::signal::Signal;

/// How the run ended, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Every target is ready, or there was nothing to wait for (--help, --dry-run).
    Ready,
    /// --once: an attempt was not ready.
    NotReady,
    /// The deadline passed; or the own timeout of this target did.
    TimedOut(Duration, Option<String>),
    /// A signal came first.
    Interrupted(Signal),
    /// The input was wrong, and nothing was probed; or the command could not be run.
    Refused(String),
}

impl From<&Verdict> for ExitCode {
    /// 0 is ready, 1 is everything else: initContainers, compose and CI know no finer grain,
    /// and a usage error that exits 2 would read as another kind of "not ready".
    fn from(verdict: &Verdict) -> Self {
        match verdict {
            Verdict::Ready => Self::SUCCESS,
            _ => Self::FAILURE,
        }
    }
}

/// Where one target stood when the run ended.
#[derive(Clone, Debug)]
pub struct Standing {
    /// The target as the log shows it.
    pub target: String,
    /// Attempts begun.
    pub attempts: u32,
    /// Since its first attempt.
    pub waited: Option<Duration>,
    /// Whether it is ready.
    pub ready: bool,
    /// Ready answers in a row so far, where it takes more than that.
    pub in_a_row: u32,
    /// How many it takes.
    pub successes: u32,
    /// Why it is not, if it was tried and is not.
    pub reason: Option<Reason>,
}
