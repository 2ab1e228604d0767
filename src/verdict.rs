//! How the run ended. Only this file knows the exit statuses.

use std::process::ExitCode;
use std::time::Duration;

use crate::signal::Signal;

/// How the run ended, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Every target is ready, or there was no target to wait for (--help, --dry-run).
    Ready,
    /// --once: an attempt was not ready.
    NotReady,
    /// The run's timeout is over, or the own timeout of this target.
    TimedOut(Duration, Option<String>),
    /// A signal ended the run.
    Interrupted(Signal),
    /// The input was wrong, so waitgate probed nothing. Or the command could not be run.
    Invalid(String),
}

impl Verdict {
    /// The exit status: 0 for ready, and 1 for everything else.
    ///
    /// initContainers, compose and CI only tell 0 from other statuses. A status 2 for a usage error would look like
    /// another kind of "not ready".
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
