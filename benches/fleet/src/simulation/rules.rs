//! By which rule a Pod waits: when the next attempt comes, and what it asks the DNS.

use std::time::Duration;

use waitgate::door::{Failure, Pauses};

use super::Random;
use super::target::Queries;

const SECOND: Duration = Duration::from_secs(1);

/// A rule for the pauses between attempts.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Rule {
    /// waitgate's own code, with --max-pause if it is given.
    Waitgate(Option<Duration>),
    /// A loop of a shell: `sleep` after each attempt.
    Loop(Duration),
    /// Many waiters: a fixed interval from start to start.
    Fixed(Duration),
    /// holdon 0.4.0 (src/runner.rs): uniform between nothing and an interval, which doubles from 100 ms to 2 s.
    Holdon,
    /// gRPC's connection backoff (doc/connection-backoff.md): 1 s, then 1.6 times as long each time up to 120 s, give or
    /// take a fifth, from start to start.
    Grpc,
}

impl Rule {
    pub(crate) fn name(self) -> String {
        match self {
            Self::Waitgate(None) => "waitgate".to_owned(),
            Self::Waitgate(Some(pause)) => format!("waitgate, `--max-pause={}`", text(pause)),
            Self::Loop(pause) => format!("a loop with `sleep {}`", pause.as_secs()),
            Self::Fixed(pause) => format!("every {}", text(pause)),
            Self::Holdon => "holdon's rule".to_owned(),
            Self::Grpc => "gRPC's rule".to_owned(),
        }
    }
}

/// A short duration, in the form that options take.
pub(crate) fn text(duration: Duration) -> String {
    match duration.as_millis() {
        millis if millis.is_multiple_of(1000) => format!("{}s", millis / 1000),
        millis => format!("{millis}ms"),
    }
}

/// One Pod that waits.
pub(crate) struct Waiter {
    rule: Rule,
    pauses: Pauses,
    /// The next pause of a rule that is not waitgate's.
    next: Duration,
    /// When it asked the DNS for a name that exists.
    asked: Option<Duration>,
}

impl Waiter {
    pub(crate) fn new(rule: Rule) -> Self {
        let (max_pause, next) = match rule {
            Rule::Waitgate(max_pause) => (max_pause, Duration::ZERO),
            Rule::Loop(pause) | Rule::Fixed(pause) => (None, pause),
            Rule::Holdon => (None, Duration::from_millis(100)),
            Rule::Grpc => (None, SECOND),
        };
        Self { rule, pauses: Pauses::new(max_pause), next, asked: None }
    }

    /// From the start of an attempt until the start of the next one.
    pub(crate) fn after(&mut self, failure: &Failure, took: Duration, accepted: bool, random: &mut Random) -> Duration {
        let pause = self.next;
        match self.rule {
            Rule::Waitgate(_) => self.pauses.after(failure, took, accepted, random.bits()).max(took),
            Rule::Loop(_) => took + pause,
            Rule::Fixed(_) => pause.max(took),
            Rule::Holdon => {
                self.next = (pause * 2).min(2 * SECOND);
                took + random.part(pause)
            }
            Rule::Grpc => {
                self.next = (pause * 8 / 5).min(120 * SECOND);
                // The first pause has no jitter.
                let jittered = if pause == SECOND { pause } else { pause * 4 / 5 + random.part(pause * 2 / 5) };
                jittered.max(took)
            }
        }
    }

    /// The DNS queries of an attempt.
    ///
    /// waitgate keeps the addresses of a name for at most 5 s (the TTL of CoreDNS's plugin `kubernetes`), and gRPC looks a
    /// name up every 30 s at most (min_time_between_resolutions). A process that a loop starts knows nothing.
    pub(crate) fn queries(&mut self, now: Duration, queries: Queries) -> u32 {
        let kept = match self.rule {
            Rule::Waitgate(_) => 5 * SECOND,
            Rule::Grpc => 30 * SECOND,
            _ => Duration::ZERO,
        };
        match queries {
            Queries::Missing(count) => count,
            Queries::Found(count) if self.asked.is_none_or(|asked| now >= asked + kept) => {
                self.asked = Some(now);
                count
            }
            Queries::Found(_) => 0,
        }
    }
}
