//! How long to pause before the next attempt. Pure: the caller passes the random number for the jitter.

use std::time::Duration;

use crate::reason::{Cost, Reason, Stage};

/// The first pause.
const START: Duration = Duration::from_millis(50);

/// The first pause after progress if every attempt costs a server work.
const RESTART_WORK: Duration = Duration::from_millis(250);

/// The first pause after a failed login. A directory may lock an account after a few of them.
const START_CREDENTIALS: Duration = Duration::from_secs(4);

/// The longest pause that any cost asks for.
const MAX: Duration = Duration::from_secs(10);

/// The longest pause after a reason of this cost.
pub(crate) fn cap(cost: Cost) -> Duration {
    match cost {
        Cost::Cheap => Duration::from_millis(250),
        Cost::Work => Duration::from_secs(1),
        Cost::Credentials => MAX,
    }
}

/// The growing pause of one target.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Backoff {
    next: Duration,
    /// --max-pause: the cap for every reason.
    max_pause: Option<Duration>,
    /// The latest stage that an attempt has reached in this run.
    furthest: Option<Stage>,
}

impl Backoff {
    pub(crate) fn new(max_pause: Option<Duration>) -> Self {
        Self { next: START, max_pause, furthest: None }
    }

    /// The pause after an attempt that ended with `reason`, before jitter.
    ///
    /// It grows by half each time. When an attempt reaches a later stage than any attempt before it, the target has
    /// made progress, and the pause starts again from its first value. A step back does not start it again, so a target
    /// that goes back and forth does not either.
    pub(crate) fn base(&mut self, reason: &Reason) -> Duration {
        let progress = self.furthest.is_some_and(|furthest| reason.stage() > furthest);
        self.furthest = self.furthest.max(Some(reason.stage()));
        if progress {
            self.next = if reason.cost() == Cost::Cheap { START } else { RESTART_WORK };
        }
        if reason.cost() == Cost::Credentials {
            self.next = self.next.max(START_CREDENTIALS);
        }
        let base = self.next.min(self.cap(reason.cost()));
        self.next = (self.next * 3 / 2).min(self.max_pause.unwrap_or(MAX));
        base
    }

    /// The time between two ready answers that count towards `successes`.
    pub(crate) fn between_successes(&self) -> Duration {
        self.cap(Cost::Work)
    }

    fn cap(&self, cost: Cost) -> Duration {
        self.max_pause.unwrap_or(cap(cost))
    }
}

/// From the start of an attempt, which took `took`, until the next one may start.
///
/// The pause counts from the attempt's start, so a slow attempt does not add to it. If a server accepted a connection,
/// at least half of the pause comes after the attempt's end: the server may still work on an attempt that waitgate gave
/// up, and such work must not pile up.
pub(crate) fn to_next_start(took: Duration, accepted: bool, pause: Duration) -> Duration {
    if accepted { pause.max(took + pause / 2) } else { pause }
}

/// Equal jitter: uniform between half of `base` and all of it, from 64 random bits.
pub(crate) fn jitter(base: Duration, random: u64) -> Duration {
    let half = base / 2;
    let span = u64::try_from(base.saturating_sub(half).as_nanos()).unwrap_or(u64::MAX);
    // The upper bits of the product are uniform in 0..span (Lemire's method; the error is far below a nanosecond).
    let part = (u128::from(random) * u128::from(span)) >> 64;
    half + Duration::from_nanos(u64::try_from(part).unwrap_or(span))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reason::Code;

    fn bases(backoff: &mut Backoff, code: Code, n: usize) -> Vec<u128> {
        let reason = Reason::new(code, "");
        (0..n).map(|_| backoff.base(&reason).as_millis()).collect()
    }

    #[test]
    fn it_grows_by_half_up_to_the_cap_of_the_cost() {
        assert_eq!(bases(&mut Backoff::new(None), Code::ConnectRefused, 7), [50, 75, 112, 168, 250, 250, 250]);
        assert_eq!(bases(&mut Backoff::new(None), Code::ConnectTimeout, 10)[7..], [854, 1000, 1000]);
        assert_eq!(bases(&mut Backoff::new(None), Code::ProtocolPassword, 5), [4000, 6000, 9000, 10_000, 10_000]);
    }

    #[test]
    fn max_pause_is_the_cap_for_every_reason() {
        let five = Some(Duration::from_secs(5));
        assert_eq!(bases(&mut Backoff::new(five), Code::ConnectRefused, 14)[12..], [5000, 5000]);
        assert_eq!(bases(&mut Backoff::new(five), Code::ProtocolPassword, 14)[12..], [5000, 5000]);
        let small = Some(Duration::from_millis(60));
        assert_eq!(bases(&mut Backoff::new(small), Code::ResolveNoSuchName, 3), [50, 60, 60]);
        assert_eq!(bases(&mut Backoff::new(small), Code::ProtocolPassword, 3), [60, 60, 60]);
    }

    #[test]
    fn progress_starts_it_again_and_flapping_does_not() {
        let mut backoff = Backoff::new(None);
        assert_eq!(*bases(&mut backoff, Code::ResolveNoSuchName, 9).last().unwrap(), 1000);
        assert_eq!(bases(&mut backoff, Code::ConnectRefused, 6), [50, 75, 112, 168, 250, 250]);
        assert_eq!(bases(&mut backoff, Code::ProtocolNotAccepting, 3), [250, 375, 562]);
        // The target goes back to refused, and then forward to a stage that it has reached before.
        assert_eq!(bases(&mut backoff, Code::ConnectRefused, 1), [250]);
        assert_eq!(bases(&mut backoff, Code::ProtocolNotAccepting, 1), [1000]);
    }

    #[test]
    fn jitter_stays_between_half_and_all() {
        let base = Duration::from_millis(250);
        assert_eq!(jitter(base, 0), base / 2);
        assert!(jitter(base, u64::MAX) <= base && jitter(base, u64::MAX) > base * 99 / 100);
        assert_eq!(jitter(base, u64::MAX / 2).as_millis(), 187);
        assert_eq!(jitter(Duration::ZERO, u64::MAX), Duration::ZERO);
    }
}
