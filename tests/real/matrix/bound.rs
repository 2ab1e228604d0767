//! What ends a run.

use std::time::Duration;

/// How late a run may end. A machine that is busy with other things is late by less than this.
pub(super) const MARGIN: Duration = Duration::from_millis(300);

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Bound {
    AttemptTimeout,
    Deadline,
    Terminate,
}

impl Bound {
    pub(super) const ALL: [Self; 3] = [Self::AttemptTimeout, Self::Deadline, Self::Terminate];

    /// Only one bound is short, so that it has to end the run.
    pub(super) fn options(self) -> &'static [&'static str] {
        match self {
            Self::AttemptTimeout => &["--once", "--attempt-timeout=500ms"],
            Self::Deadline => &["--timeout=700ms", "--attempt-timeout=20s", "--connect-timeout=20s"],
            Self::Terminate => &["--timeout=25s", "--attempt-timeout=20s", "--connect-timeout=20s"],
        }
    }

    /// When a run begins, and when SIGTERM has come, it has so much time.
    pub(super) fn latest(self) -> Duration {
        MARGIN
            + match self {
                Self::AttemptTimeout => Duration::from_millis(500),
                Self::Deadline => Duration::from_millis(700),
                Self::Terminate => Duration::ZERO,
            }
    }

    /// The word for it in the last line.
    pub(super) fn verdict(self) -> &'static str {
        match self {
            Self::AttemptTimeout => "not-ready",
            Self::Deadline => "timed-out",
            Self::Terminate => "interrupted",
        }
    }
}
