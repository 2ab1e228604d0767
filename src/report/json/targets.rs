//! The targets of a verdict, in a bounded number of bytes.

use serde::Serialize;

use super::{Seconds, TEXT_MAX, json};
use crate::event::Standing;
use crate::reason::Reason;
use crate::report::verdict_text::{TARGET_MAX, ranked};
use crate::text::cut;
use crate::verdict::Verdict;

/// The longest reason of a target with [`Detail::Brief`], in bytes.
const BRIEF_MAX: usize = 80;

/// One target of a verdict.
#[derive(Serialize)]
pub(super) struct TargetState {
    target: String,
    state: &'static str,
    attempt: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    waited: Option<Seconds>,
    #[serde(skip_serializing_if = "Option::is_none")]
    in_a_row: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    stage: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    code: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    hint: Option<String>,
}

/// How much the verdict says about a target.
#[derive(Clone, Copy, PartialEq, PartialOrd)]
enum Detail {
    /// The code, so that a program can count the targets with each code.
    Bare,
    /// The same, and the beginning of the reason.
    Brief,
    /// Everything except the hint.
    Unhinted,
    Whole,
}

/// The shorter forms, from the longest to the shortest.
const SHORTER: [Detail; 3] = [Detail::Unhinted, Detail::Brief, Detail::Bare];

/// The targets, the most important ones first, in at most `room` bytes with their commas.
///
/// If there is too little room, targets that are ready are left out. Then hints and reasons are shortened, the last
/// ones first. Then the last targets are left out. The first target may have ended the run, so it is always listed, and
/// is shortened last.
pub(super) fn targets(verdict: &Verdict, standings: &[Standing], room: usize) -> Vec<TargetState> {
    let mut list = List::new(ranked(verdict, standings), room);
    while !list.fits() && list.standings.last().is_some_and(|last| last.ready) {
        list.pop();
    }
    for detail in SHORTER {
        for at in (1..list.standings.len()).rev() {
            list.shorten(at, detail);
        }
    }
    while !list.fits() && list.standings.len() > 1 {
        list.pop();
    }
    for detail in SHORTER {
        list.shorten(0, detail);
    }
    list.items
}

/// The targets so far, and how many bytes they take.
struct List<'a> {
    standings: Vec<&'a Standing>,
    items: Vec<TargetState>,
    taken: usize,
    room: usize,
}

impl<'a> List<'a> {
    fn new(standings: Vec<&'a Standing>, room: usize) -> Self {
        let items: Vec<TargetState> = standings.iter().map(|one| state(one, Detail::Whole)).collect();
        let taken = items.iter().map(length).sum();
        Self { standings, items, taken, room }
    }

    fn fits(&self) -> bool {
        self.taken <= self.room
    }

    fn pop(&mut self) {
        self.standings.pop();
        self.taken -= self.items.pop().as_ref().map_or(0, length);
    }

    /// Shortens a target if the list does not fit.
    fn shorten(&mut self, at: usize, detail: Detail) {
        if self.fits() || at >= self.items.len() {
            return;
        }
        self.taken -= length(&self.items[at]);
        self.items[at] = state(self.standings[at], detail);
        self.taken += length(&self.items[at]);
    }
}

/// How many bytes a target takes, with the comma after it.
fn length(target: &TargetState) -> usize {
    json(target).len() + ",".len()
}

fn state(standing: &Standing, detail: Detail) -> TargetState {
    let reason = standing.reason.as_ref();
    let told = reason.filter(|_| detail > Detail::Bare);
    let max = if detail == Detail::Brief { BRIEF_MAX } else { TEXT_MAX };
    TargetState {
        target: cut(standing.target.clone(), TARGET_MAX),
        state: match (standing.ready, standing.attempts) {
            (true, _) => "ready",
            (false, 0) => "not-tried",
            (false, _) => "not-ready",
        },
        attempt: standing.attempts,
        waited: standing.waited.filter(|_| detail > Detail::Bare).map(Seconds),
        in_a_row: (!standing.ready && standing.in_a_row > 0).then_some(standing.in_a_row),
        stage: told.map(|reason| reason.stage().as_str()),
        code: reason.map(|reason| reason.code().as_str()),
        reason: told.map(|reason| cut(reason.text().to_owned(), max)),
        hint: told.filter(|_| detail == Detail::Whole).and_then(Reason::hint).map(|hint| hint.words().into_owned()),
    }
}
