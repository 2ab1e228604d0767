//! The schedule, for any reasons in any order and any `--max-pause`.

use super::*;
use crate::numbers::Numbers;
use crate::reason::Cost;
use backoff::{Backoff, caps, jitter};

const DAY: Duration = Duration::from_hours(24);

fn max_pause(numbers: &mut Numbers) -> Option<Duration> {
    let longest = [1, 50, 1000, 10_000, 86_400_000];
    let longest = numbers.one_of(&longest);
    (numbers.below(2) == 0).then(|| Duration::from_millis(1 + numbers.below(longest) as u64))
}

fn reason(numbers: &mut Numbers) -> Reason {
    let reason = Reason::new(numbers.one_of(Code::ALL), "");
    match numbers.below(4) {
        0 => reason.with_cost(numbers.one_of(&[Cost::Cheap, Cost::Work, Cost::Session, Cost::Credentials])),
        _ => reason,
    }
}

#[test]
fn a_pause_is_never_zero_never_above_its_cap_and_starts_again_on_progress() {
    let mut numbers = Numbers::seeded();
    for _ in 0..2000 {
        let max_pause = max_pause(&mut numbers);
        let busy = numbers.below(2) == 0;
        let mut backoff = Backoff::new(max_pause);
        let mut furthest = None;
        let mut last: Option<(Reason, Duration)> = None;
        for _ in 0..numbers.below(60) {
            let repeat = last.clone().filter(|_| numbers.below(2) == 0);
            let reason = repeat.as_ref().map_or_else(|| reason(&mut numbers), |(reason, _)| reason.clone());
            let answered = if busy { Duration::from_millis(numbers.below(1000) as u64) } else { Duration::ZERO };
            let base = backoff.base(&reason, answered);
            let caps = caps(reason.cost(), reason.stage());
            let cap = max_pause.unwrap_or(if busy { caps.busy } else { caps.late });
            assert!(!base.is_zero() && base <= cap, "{base:?} of {cap:?} after {reason:?}");
            if furthest.is_some_and(|furthest| reason.stage() > furthest) {
                let start = match reason.cost() {
                    Cost::Cheap => 50,
                    Cost::Work | Cost::Session => 250,
                    Cost::Credentials => 4000,
                };
                assert_eq!(base, cap.min(Duration::from_millis(start)), "progress: {reason:?}");
            } else if let Some((_, before)) = repeat {
                assert!(base >= before && (busy || base <= before * 3 / 2), "{before:?}, then {base:?}");
            }
            furthest = furthest.max(Some(reason.stage()));
            last = Some((reason, base));
        }
    }
}

#[test]
fn a_day_of_attempts_and_a_pause_of_a_day_do_not_overflow() {
    for code in [Code::ConnectRefused, Code::ExpectStatus, Code::ProtocolPassword] {
        let mut backoff = Backoff::new(Some(DAY));
        let bases: Vec<_> = (0..100_000).map(|_| backoff.base(&Reason::new(code, ""), Duration::ZERO)).collect();
        assert_eq!(bases.last(), Some(&DAY));
        assert!(bases.is_sorted());
    }
    assert_eq!(jitter(DAY, u64::MAX).as_secs(), DAY.as_secs() - 1);
    // Beyond anything that a user can give.
    assert!(jitter(Duration::MAX, u64::MAX) >= Duration::MAX / 2);
}

#[test]
fn the_jitter_is_spread_evenly_over_the_upper_half() {
    let mut numbers = Numbers::seeded();
    for base in [Duration::from_nanos(1), Duration::from_millis(1), Duration::from_millis(250), DAY] {
        let mut shares = [0_u32; 10];
        let half = (base / 2).as_nanos();
        for _ in 0..20_000 {
            let pause = jitter(base, numbers.bits());
            assert!(pause >= base / 2 && pause <= base);
            let share = (pause.as_nanos() - half) * 10 / (base.as_nanos() - half);
            shares[usize::try_from(share.min(9)).unwrap()] += 1;
        }
        // 2,000 each; a tenth of that is more than four standard deviations.
        assert!(
            base.as_nanos() < 10 || shares.iter().all(|count| (1800..2200).contains(count)),
            "{base:?}: {shares:?}"
        );
    }
}

/// A pause that the gate really makes: from the start of an attempt to the start of the next one.
#[tokio::test(start_paused = true)]
async fn the_gate_pauses_within_the_bounds() {
    let mut numbers = Numbers::seeded();
    let reasons: Vec<Reason> = (0..300).map(|_| reason(&mut numbers)).collect();
    let took: Vec<Duration> = (0..300).map(|_| Duration::from_millis(numbers.below(3000) as u64)).collect();
    let n = Cell::new(0_usize);
    let (_, _, log) = run("tcp:a:1#timeout=24h", async |_, attempt| {
        let at = n.replace(n.get() + 1);
        if at.is_multiple_of(3) {
            attempt.accept();
        }
        time::sleep(took[at % 300]).await;
        if at == 299 { Ok(Ready::default()) } else { Err(reasons[at].clone()) }
    })
    .await;
    assert_eq!(log.len(), 300);
    for (at, gap) in gaps(&log).into_iter().enumerate() {
        let cap = caps(reasons[at].cost(), reasons[at].stage()).busy.as_millis();
        let took = took[at].as_millis();
        // A timer of tokio fires up to a millisecond late.
        assert!(gap >= took && gap >= 25 && gap <= took + cap + 2, "{gap} ms after {took} ms: {:?}", reasons[at]);
    }
}
