//! How long to pause before the next attempt. Pure: the caller passes the random number for the jitter.

use std::time::Duration;

use crate::reason::{Cost, Reason, Stage};

/// The first pause.
const START: Duration = Duration::from_millis(50);

/// The first pause, at the start and after progress, if every attempt costs a server work.
const START_WORK: Duration = Duration::from_millis(250);

/// The first pause after a failed login. A directory may lock an account after a few of them.
const START_CREDENTIALS: Duration = Duration::from_secs(4);

/// The longest pause that any cost asks for.
const MAX: Duration = Duration::from_secs(10);

/// The longest pause after a refused connection, or while a file is not there.
const CHEAP: Duration = Duration::from_millis(250);

/// The longest pause if every attempt costs a server work, while the wait is short.
const WORK: Duration = Duration::from_secs(1);

/// The same once the wait is long, if a server accepts the connections. docs/fleet.md has the figures.
const WORK_LATER: Duration = Duration::from_secs(5);

/// Between the two, the longest pause is this part of the wait: a quarter.
const WORK_PART: u32 = 4;

/// The longest pause after a reason, when the wait begins and when it has become long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Caps {
    pub(crate) early: Duration,
    pub(crate) late: Duration,
}

/// The longest pauses after a reason of this cost and stage.
pub(crate) fn caps(cost: Cost, stage: Stage) -> Caps {
    let always = |cap| Caps { early: cap, late: cap };
    match cost {
        Cost::Cheap => always(CHEAP),
        Cost::Work if stage > Stage::Connect => Caps { early: WORK, late: WORK_LATER },
        Cost::Work => always(WORK),
        Cost::Credentials => always(MAX),
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
    /// The pauses since the last progress, as long as the jitter makes them on average.
    waited: Duration,
}

impl Backoff {
    pub(crate) fn new(max_pause: Option<Duration>) -> Self {
        Self { next: START, max_pause, furthest: None, waited: Duration::ZERO }
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
            self.next = START;
            self.waited = Duration::ZERO;
        }
        self.next = self.next.max(match reason.cost() {
            Cost::Cheap => START,
            Cost::Work => START_WORK,
            Cost::Credentials => START_CREDENTIALS,
        });
        let base = self.next.min(self.max_pause.unwrap_or_else(|| self.cap(reason)));
        self.next = (self.next * 3 / 2).min(self.max_pause.unwrap_or(MAX));
        self.waited = self.waited.saturating_add(base * 3 / 4);
        base
    }

    /// The time between two ready answers that count towards `successes`.
    pub(crate) fn between_successes(&self) -> Duration {
        self.max_pause.unwrap_or(WORK)
    }

    /// The longest pause after this reason, now.
    ///
    /// A server that accepts connections pays for each of them, and many Pods may wait while it recovers. The longer that
    /// has taken, the less does it matter if a gate sees the end a little later.
    fn cap(&self, reason: &Reason) -> Duration {
        let Caps { early, late } = caps(reason.cost(), reason.stage());
        (self.waited / WORK_PART).clamp(early, late)
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
        assert_eq!(bases(&mut Backoff::new(None), Code::ConnectTimeout, 6), [250, 375, 562, 843, 1000, 1000]);
        assert_eq!(bases(&mut Backoff::new(None), Code::ProtocolPassword, 5), [4000, 6000, 9000, 10_000, 10_000]);
    }

    /// The longer a server that accepts connections is not ready, the less often it is asked.
    #[test]
    fn the_cap_of_a_servers_work_follows_the_wait() {
        let reason = Reason::new(Code::ProtocolNotAccepting, "");
        let mut backoff = Backoff::new(None);
        let mut waited = Duration::ZERO;
        let longest = |until: u64, backoff: &mut Backoff, waited: &mut Duration| {
            let mut longest = Duration::ZERO;
            while *waited < Duration::from_secs(until) {
                longest = backoff.base(&reason);
                *waited += longest * 3 / 4;
            }
            longest.as_millis()
        };
        assert_eq!(longest(4, &mut backoff, &mut waited), 1000);
        assert!((2000..=2500).contains(&longest(10, &mut backoff, &mut waited)));
        assert_eq!(longest(60, &mut backoff, &mut waited), 5000);
        // What costs no server anything is asked as often as before.
        assert_eq!(*bases(&mut backoff, Code::ConnectRefused, 2).last().unwrap(), 250);
        assert_eq!(*bases(&mut backoff, Code::ConnectTimeout, 2).last().unwrap(), 1000);
        // Progress begins a new wait.
        assert_eq!(bases(&mut backoff, Code::ExpectStatus, 5), [250, 375, 562, 843, 1000]);
    }

    #[test]
    fn max_pause_is_the_cap_for_every_reason() {
        let five = Some(Duration::from_secs(5));
        assert_eq!(bases(&mut Backoff::new(five), Code::ConnectRefused, 14)[12..], [5000, 5000]);
        assert_eq!(bases(&mut Backoff::new(five), Code::ProtocolPassword, 14)[12..], [5000, 5000]);
        let small = Some(Duration::from_millis(60));
        assert_eq!(bases(&mut Backoff::new(small), Code::ConnectRefused, 3), [50, 60, 60]);
        assert_eq!(bases(&mut Backoff::new(small), Code::ResolveNoSuchName, 3), [60, 60, 60]);
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
