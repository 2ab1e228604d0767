//! What ends a run.

use std::time::Duration;

/// How late a run may end. A machine that is busy with other things is late by less than this.
pub(super) const MARGIN: Duration = Duration::from_millis(300);

/// Bounds that end no run here.
const LONG: [&str; 2] = ["--attempt-timeout=20s", "--connect-timeout=20s"];

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Bound {
    AttemptTimeout,
    Deadline,
    Terminate,
}

impl Bound {
    pub(super) const ALL: [Self; 3] = [Self::AttemptTimeout, Self::Deadline, Self::Terminate];

    /// How long a run has. A large answer has more, so that its size ends the attempt and not a busy machine.
    fn time(self, large: bool) -> Duration {
        let time = match self {
            Self::AttemptTimeout => Duration::from_millis(500),
            Self::Deadline | Self::Terminate => Duration::from_millis(700),
        };
        if large { time * 3 } else { time }
    }

    /// Only one bound is short, so that it has to end the run.
    pub(super) fn options(self, large: bool) -> Vec<String> {
        let time = self.time(large).as_millis();
        match self {
            Self::AttemptTimeout => vec!["--once".to_owned(), format!("--attempt-timeout={time}ms")],
            Self::Deadline => [&[format!("--timeout={time}ms")], &LONG.map(str::to_owned)[..]].concat(),
            Self::Terminate => [&["--timeout=25s".to_owned()], &LONG.map(str::to_owned)[..]].concat(),
        }
    }

    /// How long a run goes on before SIGTERM comes.
    pub(super) fn before_the_signal(self, large: bool) -> Duration {
        self.time(large)
    }

    /// When it has to have ended: after its start, or after SIGTERM.
    pub(super) fn latest(self, large: bool) -> Duration {
        if self == Self::Terminate { MARGIN } else { self.time(large) + MARGIN }
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
