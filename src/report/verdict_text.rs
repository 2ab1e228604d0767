//! The verdict in words: how the run ended, which targets are not ready, and why, in a bounded number of bytes.

use std::collections::HashSet;

use crate::event::Standing;
use crate::reason::Reason;
use crate::text::{self, count, cut};
use crate::verdict::Verdict;

/// The max last line, in bytes, without its line break.
///
/// If there is no termination message, the kubelet shows the last 2048 bytes of the log of a container that failed
/// (terminationMessagePolicy FallbackToLogsOnError; kubernetes: pkg/kubelet/container/runtime.go,
/// MaxContainerTerminationMessageLogLength). The whole last line must fit, because the most important words come first.
pub(super) const LAST_LINE_MAX: usize = 2048 - 1;

/// The max target that is shown, in bytes. A longer query or URL would leave no room for the reason.
pub(super) const TARGET_MAX: usize = 200;

/// How many bytes of its reason each explained target has at least, if not everything fits.
const SHARE_MIN: usize = 40;

/// The length of what is between two targets: "; " or ", ".
const GAP: usize = 2;

const ALSO: &str = "also missing: ";
const UNTRIED: &str = "not tried: ";

/// How a run that is not ready ended.
pub(super) fn headline(verdict: &Verdict, at: &str) -> String {
    match verdict {
        Verdict::Ready => "ready".into(),
        Verdict::NotReady => "not ready".into(),
        Verdict::TimedOut(timeout, None) => format!("timed out after {}", text::duration(*timeout)),
        // The line names the target next: it is the first one in the list.
        Verdict::TimedOut(timeout, Some(_)) => {
            format!("timed out after {}, the target's own timeout", text::duration(*timeout))
        }
        Verdict::Interrupted(signal) => format!("interrupted by {signal} after {at}"),
        Verdict::Invalid(_) => "error".into(),
    }
}

/// The targets, the most important ones first: the target whose own timeout ended the run, the others that were tried
/// and are not ready, those that were not tried, those that are ready. Each group is in declared order.
pub(super) fn ranked<'a>(verdict: &Verdict, standings: &'a [Standing]) -> Vec<&'a Standing> {
    let own = match verdict {
        Verdict::TimedOut(_, own) => own.as_deref(),
        _ => None,
    };
    let mut ranked: Vec<&Standing> = standings.iter().collect();
    ranked.sort_by_key(|standing| (standing.ready, standing.attempts == 0, own != Some(standing.target.as_str())));
    ranked
}

/// Which targets are not ready and why, in at most `max` bytes. `max` is at least 600.
///
/// If there is too little room, each hint and each code is given only once. Then reasons are cut, the last ones first. Then the last
/// targets have only their names. If there is no room for a name, the target is only counted.
pub(super) fn missing(verdict: &Verdict, standings: &[Standing], max: usize) -> String {
    let ready = standings.iter().filter(|standing| standing.ready).count();
    if ready == standings.len() {
        return "every target is ready; the signal came before the end".into();
    }
    let missing = ranked(verdict, standings).into_iter().filter(|standing| !standing.ready);
    let (tried, untried): (Vec<_>, Vec<_>) = missing.partition(|standing| standing.attempts > 0);
    let untried: Vec<String> = untried.into_iter().map(shown).collect();
    let mut parts = Vec::new();
    if standings.len() > 1 {
        parts.push(format!("{ready} of {} targets ready", standings.len()));
    }
    // Each part counts with the gap after it. The last part has no gap.
    let room = |parts: &[String]| (max + GAP).saturating_sub(parts.iter().map(|part| part.len() + GAP).sum());
    let for_tried = room(&parts).saturating_sub(length(UNTRIED, &untried));
    let mut all = explained(&tried, true);
    if all.iter().map(|part| part.length(usize::MAX)).sum::<usize>() > for_tried {
        all = explained(&tried, false);
    }
    let code = all.first().map_or(0, |first| first.code.len());
    let shares = shares(&all, for_tried, max / 2 - code);
    for (part, share) in all.iter().zip(&shares) {
        parts.push(format!("{}{}{}{}", part.target, part.attempts, cut(part.why.clone(), *share), part.code));
    }
    let also: Vec<String> = all.into_iter().skip(shares.len()).map(|part| part.target).collect();
    let counted = list(UNTRIED, &untried, 0).map_or(0, |list| list.len() + GAP);
    parts.extend(list(ALSO, &also, room(&parts).saturating_sub(counted)));
    parts.extend(list(UNTRIED, &untried, room(&parts)));
    parts.join("; ")
}

/// A target that was tried.
struct Explained {
    target: String,
    attempts: String,
    why: String,
    /// The code of the reason in brackets. It is never cut.
    code: String,
}

impl Explained {
    /// How many bytes it takes with at most `share` bytes of its reason.
    fn length(&self, share: usize) -> usize {
        self.target.len() + self.attempts.len() + self.why.len().min(share) + self.code.len() + GAP
    }
}

/// The code of a reason, as it ends the text of the reason: what `--explain` takes.
pub(super) fn bracketed(reason: &Reason) -> String {
    format!(" [{}]", reason.code())
}

/// The words for each target. If hints and codes may not be `repeated`, one that an earlier target has is left out.
fn explained(tried: &[&Standing], repeated: bool) -> Vec<Explained> {
    let (mut given, mut codes) = (HashSet::new(), HashSet::new());
    let mut part = |standing: &&Standing| {
        let known = |reason: &&Reason| reason.hint().is_some_and(|hint| !given.insert(hint)) && !repeated;
        let why = match standing.reason.as_ref().filter(known) {
            Some(reason) => reason.text().to_owned(),
            None => standing.why(),
        };
        let attempts = format!(" ({}) ", count(standing.attempts as usize, "attempt"));
        let new = |reason: &&Reason| codes.insert(reason.code()) || repeated;
        let code = standing.reason.as_ref().filter(new).map(bracketed).unwrap_or_default();
        Explained { target: shown(standing), attempts, why, code }
    };
    tried.iter().map(&mut part).collect()
}

/// How many bytes of its reason each explained target has. In `room` bytes, as many targets as possible are explained,
/// and the others are only named. The first target has up to `first` bytes, the others [`SHARE_MIN`]. Bytes that are
/// left go to the first targets.
fn shares(all: &[Explained], room: usize, first: usize) -> Vec<usize> {
    let least = |(at, part): (usize, &Explained)| part.why.len().min(if at == 0 { first } else { SHARE_MIN });
    let mut shares: Vec<usize> = all.iter().enumerate().map(least).collect();
    let mut taken: usize = all.iter().zip(&shares).map(|(part, share)| part.length(*share)).sum();
    for (at, part) in all.iter().enumerate().skip(1).rev() {
        if taken <= room {
            break;
        }
        let label = if at + 1 == all.len() { ALSO.len() } else { 0 };
        taken = taken - part.length(shares[at]) + part.target.len() + GAP + label;
        shares.truncate(at);
    }
    let mut spare = room.saturating_sub(taken);
    for (part, share) in all.iter().zip(&mut shares) {
        let more = spare.min(part.why.len() - *share);
        *share += more;
        spare -= more;
    }
    shares
}

/// How many bytes the whole of [`list`] takes.
fn length(label: &str, names: &[String]) -> usize {
    if names.is_empty() { 0 } else { label.len() + names.iter().map(|name| name.len() + GAP).sum::<usize>() }
}

/// As many names as fit into `room`, which includes the gap after them. The others are counted.
fn list(label: &str, names: &[String], room: usize) -> Option<String> {
    if names.is_empty() {
        return None;
    }
    if length(label, names) <= room {
        return Some(format!("{label}{}", names.join(", ")));
    }
    let mut taken = label.len();
    let fits = |name: &&String| {
        taken += name.len() + GAP;
        taken + " and 10000 more".len() <= room
    };
    let fitting = names.iter().take_while(fits).count();
    Some(match names.len() - fitting {
        all if all == names.len() => format!("{label}{}", count(all, "target")),
        more => format!("{label}{} and {more} more", names[..fitting].join(", ")),
    })
}

/// The target, cut if it is long.
fn shown(standing: &Standing) -> String {
    cut(standing.target.clone(), TARGET_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reason::{Code, Hint, Reason};
    use crate::signal::Signal;
    use std::time::Duration;

    const INTERRUPTED: Verdict = Verdict::Interrupted(Signal::Terminate);

    fn standing(target: impl Into<String>, attempts: u32, reason: Option<Reason>) -> Standing {
        let ready = attempts > 0 && reason.is_none();
        Standing { target: target.into(), attempts, waited: None, ready, in_a_row: 0, successes: 1, reason }
    }

    fn refused(text: &str) -> Reason {
        Reason::new(Code::ConnectRefused, text)
    }

    /// Ten names that do not exist, each with its hint.
    fn unknown(count: u32) -> Vec<Standing> {
        let search = |n| format!("db{n}.shop.svc.cluster.test, db{n}.svc.cluster.test, db{n}.cluster.test and db{n}");
        let text = |n| format!("no such name: {} do not exist (NXDOMAIN)", search(n));
        let reason = |n| Reason::new(Code::ResolveNoSuchName, text(n)).with_hint(Hint::OtherNamespace);
        (0..count).map(|n| standing(format!("tcp:db{n}:5432"), 123, Some(reason(n)))).collect()
    }

    #[test]
    fn the_target_that_ended_the_run_comes_first() {
        let standings: Vec<Standing> =
            (0..12).map(|n| standing(format!("tcp:h{n}:1"), 2, Some(refused("refused")))).collect();
        let own = Verdict::TimedOut(Duration::from_secs(1), Some("tcp:h10:1".into()));
        let text = missing(&own, &standings, 2000);
        assert!(
            text.starts_with("0 of 12 targets ready; tcp:h10:1 (2 attempts) refused [connect.refused]; tcp:h0:1 "),
            "{text}"
        );
        assert!(text.ends_with("; tcp:h11:1 (2 attempts) refused [connect.refused]"), "{text}");
    }

    #[test]
    fn every_target_is_named_if_there_is_room_for_the_names() {
        let standings = unknown(10);
        for (max, whole) in [(2000, 10..=10), (1400, 3..=9), (940, 1..=3)] {
            let text = missing(&INTERRUPTED, &standings, max);
            assert!(text.len() <= max, "{} of {max}: {text}", text.len());
            assert!(whole.contains(&text.matches("do not exist (NXDOMAIN)").count()), "{whole:?}: {text}");
            assert!(standings.iter().all(|standing| text.contains(&format!("{} (123", standing.target))), "{text}");
            assert_eq!(text.matches("NAME.NAMESPACE").count(), 1, "{text}");
            assert!(text.contains("db0 do not exist (NXDOMAIN): no such Service in this namespace"), "{text}");
        }
    }

    #[test]
    fn targets_without_room_for_a_reason_are_named_or_counted() {
        let text = missing(&INTERRUPTED, &unknown(30), 940);
        assert!(text.ends_with("tcp:db28:5432, tcp:db29:5432") && text.contains("; also missing: tcp:db"), "{text}");
        let text = missing(&INTERRUPTED, &unknown(100), 940);
        assert!(text.contains("db0 do not exist (NXDOMAIN): no such Service in this namespace"), "{text}");
        assert!(text.contains("; also missing: tcp:db1:5432, ") && text.ends_with(" more"), "{text}");
        assert!(text.len() > 900, "{text}");
    }

    #[test]
    fn targets_that_were_not_tried_are_named_last() {
        let mut standings = unknown(100);
        standings.extend((0..100).map(|n| standing(format!("tcp:c{n}:1"), 0, None)));
        let text = missing(&INTERRUPTED, &standings, 940);
        assert!(text.contains(" more; not tried: ") && text.ends_with(" targets"), "{text}");
        let text = missing(&INTERRUPTED, &standings[99..], 940);
        assert!(text.contains("NAME.NAMESPACE) [resolve.no-such-name]; not tried: tcp:c0:1, tcp:c1:1, "), "{text}");
        assert!(text.ends_with(" more") && text.len() > 900, "{text}");
    }

    #[test]
    fn a_long_target_leaves_room_for_its_reason() {
        let target = format!("http://api/{}", "ü".repeat(2000));
        let text = missing(&INTERRUPTED, &[standing(target, 1, Some(refused("refused by 10.0.0.1:80")))], 940);
        assert!(
            text.starts_with("http://api/üü")
                && text.ends_with("ü… (1 attempt) refused by 10.0.0.1:80 [connect.refused]"),
            "{text}"
        );
        assert!(text.len() <= TARGET_MAX + 60, "{text}");
    }

    /// With any number of targets and any lengths, the text keeps its bound and has the first target.
    #[test]
    fn the_text_never_exceeds_its_bound() {
        for max in [600, 601, 602, 940, 2000] {
            for (tried, untried) in [(1, 0), (2, 0), (3, 1), (7, 0), (7, 7), (40, 300), (300, 0), (300, 40), (0, 300)] {
                for (name, reason) in [(1, 1), (9, 30), (9, 70), (60, 100), (110, 300), (500, 700)] {
                    let name = |n| format!("tcp:{}{n}:1", "ü".repeat(name));
                    let mut standings: Vec<Standing> =
                        (0..tried).map(|n| standing(name(n), 12, Some(refused(&"€".repeat(reason))))).collect();
                    standings.extend((0..untried).map(|n| standing(name(n), 0, None)));
                    let text = missing(&INTERRUPTED, &standings, max);
                    assert!(text.len() <= max, "{} of {max}: {text}", text.len());
                    let first = format!("{}{}€", shown(&standings[0]), " (12 attempts) ");
                    assert!(tried == 0 || text.contains(&first) || text.contains("attempts) …"), "{text}");
                }
            }
        }
    }
}
