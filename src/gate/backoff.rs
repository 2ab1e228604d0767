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

/// The same if the server says that it takes no session yet.
const SESSION: Duration = Duration::from_millis(500);

/// The longest pause once the wait is long, if a server accepts the connections. docs/fleet.md has the figures.
const LATER: Duration = Duration::from_secs(5);

/// After two answers in a row that a server has ready, the pause is at least this many times as long as the server needed
/// for each of them.
///
/// A PostgreSQL that recovers needs 1 to 7 ms if few ask, which changes no pause. If hundreds of gates ask at once, each of
/// them waits for the others too. That tells it what the next attempt would cost.
const BUSY: u32 = 50;

/// The longest pauses after a reason.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Caps {
    /// When the wait begins.
    pub(crate) early: Duration,
    /// When it has become long.
    pub(crate) late: Duration,
    /// Between the two, the longest pause is this part of the wait: 3 is a third.
    part: u32,
    /// If the server is busy.
    pub(crate) busy: Duration,
}

/// The longest pauses after a reason of this cost and stage.
pub(crate) fn caps(cost: Cost, stage: Stage) -> Caps {
    let always = |cap| Caps { early: cap, late: cap, part: 1, busy: cap };
    match cost {
        Cost::Cheap => always(CHEAP),
        Cost::Work if stage > Stage::Connect => Caps { early: WORK, late: LATER, part: 4, busy: LATER },
        Cost::Work => always(WORK),
        Cost::Session => Caps { early: SESSION, late: LATER, part: 3, busy: MAX },
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
    /// The time that the server needed for the last answer that it has ready.
    answered: Duration,
    /// The longest time that it needed for two of them in a row, since the last progress.
    slowest: Duration,
}

impl Backoff {
    pub(crate) fn new(max_pause: Option<Duration>) -> Self {
        Self {
            next: START,
            max_pause,
            furthest: None,
            waited: Duration::ZERO,
            answered: Duration::ZERO,
            slowest: Duration::ZERO,
        }
    }

    /// The pause after an attempt that ended with `reason`, before jitter. `answered` is how long the server needed for its
    /// answer.
    ///
    /// It grows by half each time. When an attempt reaches a later stage than any attempt before it, the target has
    /// made progress, and the pause starts again from its first value. A step back does not start it again, so a target
    /// that goes back and forth does not either.
    pub(crate) fn base(&mut self, reason: &Reason, answered: Duration) -> Duration {
        let progress = self.furthest.is_some_and(|furthest| reason.stage() > furthest);
        self.furthest = self.furthest.max(Some(reason.stage()));
        if progress {
            self.next = START;
            self.waited = Duration::ZERO;
            self.answered = Duration::ZERO;
            self.slowest = Duration::ZERO;
        }
        if reason.cost() == Cost::Session {
            // One slow answer alone tells nothing: the server may listen for a while before it accepts.
            self.slowest = self.slowest.max(answered.min(self.answered));
            self.answered = answered;
        }
        self.next = self.next.max(match reason.cost() {
            Cost::Cheap => START,
            Cost::Work | Cost::Session => START_WORK,
            Cost::Credentials => START_CREDENTIALS,
        });
        let (least, most) = self.bounds(reason);
        let base = self.next.max(least).min(self.max_pause.unwrap_or(most));
        self.next = (self.next * 3 / 2).min(self.max_pause.unwrap_or(MAX));
        self.waited = self.waited.saturating_add(base * 3 / 4);
        base
    }

    /// The time between two ready answers that count towards `successes`.
    pub(crate) fn between_successes(&self) -> Duration {
        self.max_pause.unwrap_or(WORK)
    }

    /// The shortest and the longest pause after this reason, now.
    ///
    /// A server that accepts connections pays for each of them, and many Pods may wait while it recovers. The longer that
    /// has taken, the less does it matter if a gate sees the end a little later. And the busier the server is, the less may a
    /// gate add to that.
    fn bounds(&self, reason: &Reason) -> (Duration, Duration) {
        let Caps { early, late, part, busy } = caps(reason.cost(), reason.stage());
        let least =
            if reason.cost() == Cost::Session { self.slowest.saturating_mul(BUSY).min(busy) } else { Duration::ZERO };
        (least, (self.waited / part).clamp(early, late).max(least))
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
        (0..n).map(|_| backoff.base(&reason, Duration::ZERO).as_millis()).collect()
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
        let longest = |code: Code, until: u64, backoff: &mut Backoff| {
            let mut longest = Duration::ZERO;
            while backoff.waited < Duration::from_secs(until) {
                longest = backoff.base(&Reason::new(code, ""), Duration::ZERO);
            }
            longest.as_millis()
        };
        let mut backoff = Backoff::new(None);
        assert_eq!(longest(Code::ProtocolNotAccepting, 1, &mut backoff), 500);
        assert!((3000..=3333).contains(&longest(Code::ProtocolNotAccepting, 10, &mut backoff)));
        assert_eq!(longest(Code::ProtocolNotAccepting, 60, &mut backoff), 5000);
        let mut backoff = Backoff::new(None);
        assert_eq!(longest(Code::ProtocolClosed, 4, &mut backoff), 1000);
        assert!((2000..=2500).contains(&longest(Code::ProtocolClosed, 10, &mut backoff)));
        assert_eq!(longest(Code::ProtocolClosed, 60, &mut backoff), 5000);
        // What costs no server anything is asked as often as before.
        assert_eq!(*bases(&mut backoff, Code::ConnectRefused, 2).last().unwrap(), 250);
        assert_eq!(*bases(&mut backoff, Code::ConnectTimeout, 2).last().unwrap(), 1000);
        // Progress begins a new wait.
        assert_eq!(bases(&mut backoff, Code::ExpectStatus, 5), [250, 375, 562, 843, 1000]);
    }

    /// A busy server is asked less often, from its second slow answer in a row on, until the target makes progress.
    #[test]
    fn the_pause_follows_two_slow_answers() {
        let mut backoff = Backoff::new(None);
        let mut base =
            |code, answered| backoff.base(&Reason::new(code, ""), Duration::from_millis(answered)).as_millis();
        assert_eq!(base(Code::ProtocolNotAccepting, 900), 250);
        assert_eq!(base(Code::ProtocolNotAccepting, 5), 375);
        assert_eq!(base(Code::ProtocolNotAccepting, 40), 500);
        assert_eq!(base(Code::ProtocolNotAccepting, 50), 2000);
        assert_eq!(base(Code::ProtocolNotAccepting, 3), 2000);
        assert_eq!(base(Code::ProtocolTooManyClients, 900), 2000);
        assert_eq!(base(Code::ProtocolTooManyClients, 800), 10_000);
        // Only an answer that the server has ready tells how busy it is.
        assert!(base(Code::ProtocolClosed, 3000) <= 5000);
        assert_eq!(base(Code::ExpectStatus, 3000), 250);
        assert_eq!(base(Code::ExpectStatus, 3000), 375);

        let two = Some(Duration::from_secs(2));
        let mut backoff = Backoff::new(two);
        let reason = Reason::new(Code::ProtocolNotAccepting, "");
        let bases = [(); 2].map(|()| backoff.base(&reason, Duration::from_secs(1)));
        assert_eq!(Some(bases[1]), two);
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
        assert_eq!(bases(&mut backoff, Code::ProtocolNotAccepting, 3), [250, 375, 500]);
        // The target goes back to refused, and then forward to a stage that it has reached before.
        assert_eq!(bases(&mut backoff, Code::ConnectRefused, 1), [250]);
        assert_eq!(bases(&mut backoff, Code::ProtocolNotAccepting, 1), [500]);
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
