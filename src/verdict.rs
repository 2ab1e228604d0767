//! How the run ended. No other file knows an exit status.

use std::process::ExitCode;
use std::time::Duration;

use crate::signal::Signal;

/// How the run ended, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Every target is ready, or there was nothing to wait for (--help, --dry-run).
    Ready,
    /// --once: an attempt was not ready.
    NotReady,
    /// The deadline passed, or this target's own timeout did.
    TimedOut(Duration, Option<String>),
    /// A signal came first.
    Interrupted(Signal),
    /// The input was wrong and nothing was probed, or the command could not be run.
    Invalid(String),
}

impl Verdict {
    /// The exit status: 0 is ready, 1 is everything else.
    ///
    /// initContainers, compose and CI know no finer grain. A usage error that exits 2 would read as another kind of
    /// "not ready".
    pub(crate) fn status(&self) -> u8 {
        match self {
            Self::Ready => 0,
            Self::NotReady | Self::TimedOut(..) | Self::Interrupted(_) | Self::Invalid(_) => 1,
        }
    }
}

impl From<&Verdict> for ExitCode {
    fn from(verdict: &Verdict) -> Self {
        Self::from(verdict.status())
    }
}
