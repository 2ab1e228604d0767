//! Events → one JSON object a line, for machines. The schema is `examples/json-schema.json`.

use std::time::{Duration, SystemTime};

use serde_json::{Map, Value, json};
use tokio::time::Instant;

use super::missing::{TARGET, ranked};
use super::text::{BEATS, cut};
use super::{Event, LAST, words};
use crate::reason::Reason;
use crate::verdict::{Standing, Verdict};

/// The version of the schema: a name that is taken away or changes its meaning makes it 2.
const SCHEMA: u32 = 1;

/// The longest text in a line. With it, a line stays below the 4096 bytes that one write takes.
const LONGEST: usize = 600;

/// The longest reason of a target in the verdict that is shortened.
const BRIEF: usize = 80;

/// Makes lines; `elapsed` counts from the process's start.
#[derive(Clone, Copy)]
pub struct Json {
    start: Instant,
}

impl Json {
    /// Lines with times since `start`.
    #[must_use]
    pub fn new(start: Instant) -> Self {
        Self { start }
    }

    /// `event` as one line, without its end. An attempt whose outcome is `news` is a `change`.
    #[must_use]
    pub fn line(&self, event: &Event<'_>, news: bool) -> String {
        let mut object = self.stamped();
        let mut set = |name: &str, value: Value| {
            object.insert(name.to_owned(), value);
        };
        match event {
            Event::Start(plan) => {
                set("event", json!("start"));
                set("version", json!(env!("CARGO_PKG_VERSION")));
                set("timeout", plan.timeout.map_or(Value::Null, seconds));
                set("order", json!(if plan.parallel { "parallel" } else { "declared" }));
                set("total", json!(plan.targets.len()));
            }
            Event::Warning(text) => {
                set("event", json!("warning"));
                set("message", clipped(text));
            }
            Event::Attempt { target, attempt, outcome, in_a_row, trail, pause, .. } => {
                set("event", json!(if news { "change" } else { "attempt" }));
                set("target", clipped(target));
                set("attempt", json!(attempt));
                match outcome {
                    Ok(_) => set("in_a_row", json!(in_a_row)),
                    Err(reason) => explain(reason, &mut set),
                }
                let stages =
                    trail.timings().into_iter().map(|(stage, took)| (stage.as_str().to_owned(), seconds(took)));
                set("stages", Value::Object(stages.collect()));
                set("pause", seconds(*pause));
            }
            Event::NotReady { target, attempt, reason } => {
                set("event", json!("attempt"));
                set("target", clipped(target));
                set("attempt", json!(attempt));
                explain(reason, &mut set);
            }
            Event::Ready { target, attempts, after, ready } => {
                set("event", json!("ready"));
                set("target", clipped(target));
                set("attempt", json!(attempts));
                set("waited", seconds(*after));
                if let Some(note) = &ready.note {
                    set("note", clipped(note));
                }
            }
            // A machine has no screen, and a line for each target that is waited for.
            Event::Live(_) | Event::Heartbeat(_) => {}
            Event::Settle(pause) => {
                set("event", json!("settle"));
                set("pause", seconds(*pause));
            }
            Event::Verdict { verdict, standings } => {
                set("event", json!("verdict"));
                verdict_of(verdict, standings, &mut set);
                set("targets", json!([]));
                // As if the object had a comma behind it, in place of the one that the last target has not.
                let room = (LAST + 2).saturating_sub(length(&Value::Object(object.clone())));
                object.insert("targets".to_owned(), targets(verdict, standings, room));
            }
        }
        Value::Object(object).to_string()
    }

    /// What every line has.
    fn stamped(&self) -> Map<String, Value> {
        let mut object = Map::new();
        object.insert("schema".to_owned(), json!(SCHEMA));
        let now = humantime::format_rfc3339_millis(SystemTime::now()).to_string();
        object.insert("time".to_owned(), json!(now));
        object.insert("elapsed".to_owned(), seconds(self.start.elapsed()));
        object
    }

    /// A heartbeat for each of the first targets that are waited for, and one that counts the others.
    #[must_use]
    pub fn heartbeats(&self, waiting: &[&Standing]) -> Vec<String> {
        let (told, rest) = waiting.split_at(waiting.len().min(BEATS));
        let mut lines: Vec<String> = told.iter().map(|standing| self.heartbeat(standing)).collect();
        if !rest.is_empty() {
            let mut object = self.stamped();
            object.insert("event".to_owned(), json!("heartbeat"));
            object.insert("more".to_owned(), json!(rest.len()));
            lines.push(Value::Object(object).to_string());
        }
        lines
    }

    fn heartbeat(&self, standing: &Standing) -> String {
        let mut object = self.stamped();
        let mut set = |name: &str, value: Value| {
            object.insert(name.to_owned(), value);
        };
        set("event", json!("heartbeat"));
        set("target", clipped(&standing.target));
        set("attempt", json!(standing.attempts));
        set("waited", seconds(standing.waited.unwrap_or_default()));
        if standing.in_a_row > 0 {
            set("in_a_row", json!(standing.in_a_row));
        }
        if let Some(reason) = &standing.reason {
            explain(reason, &mut set);
        }
        Value::Object(object).to_string()
    }
}

fn verdict_of(verdict: &Verdict, standings: &[Standing], set: &mut impl FnMut(&str, Value)) {
    let (word, status) = match verdict {
        Verdict::Ready => ("ready", 0),
        Verdict::NotReady => ("not-ready", 1),
        Verdict::TimedOut(..) => ("timed-out", 1),
        Verdict::Interrupted(_) => ("interrupted", 1),
        Verdict::Refused(_) => ("refused", 1),
    };
    set("verdict", json!(word));
    set("status", json!(status));
    match verdict {
        Verdict::TimedOut(timeout, own) => {
            set("timeout", seconds(*timeout));
            if let Some(target) = own {
                set("target", json!(cut(target.clone(), TARGET)));
            }
        }
        Verdict::Interrupted(signal) => set("signal", json!(signal.to_string())),
        Verdict::Refused(why) => set("message", clipped(why)),
        Verdict::Ready | Verdict::NotReady => {}
    }
    set("ready", json!(standings.iter().filter(|standing| standing.ready).count()));
    set("total", json!(standings.len()));
}

/// How much a verdict says of a target.
#[derive(Clone, Copy, PartialEq, PartialOrd)]
enum Detail {
    /// Its code, so that it can be counted among its like.
    Bare,
    /// The beginning of its reason, too.
    Brief,
    /// All but the hint.
    Unhinted,
    Whole,
}

/// From most to least.
const SHORTER: [Detail; 3] = [Detail::Unhinted, Detail::Brief, Detail::Bare];

/// Where the targets stood, the most important ones first, in `room` bytes with their commas. Where that is too little,
/// those that are ready go; then hints and reasons, the last ones first; then the last targets themselves. The first
/// one, which may be what ended the run, stays and is shortened last.
fn targets(verdict: &Verdict, standings: &[Standing], room: usize) -> Value {
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
    Value::Array(list.items)
}

/// The verdict's targets, as long as they are.
struct List<'a> {
    standings: Vec<&'a Standing>,
    items: Vec<Value>,
    taken: usize,
    room: usize,
}

impl<'a> List<'a> {
    fn new(standings: Vec<&'a Standing>, room: usize) -> Self {
        let items: Vec<Value> = standings.iter().map(|one| standing(one, Detail::Whole)).collect();
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

    /// Says less of a target, if it has to be.
    fn shorten(&mut self, at: usize, detail: Detail) {
        if self.fits() || at >= self.items.len() {
            return;
        }
        self.taken -= length(&self.items[at]);
        self.items[at] = standing(self.standings[at], detail);
        self.taken += length(&self.items[at]);
    }
}

/// How many bytes `value` takes, with the comma behind it.
fn length(value: &Value) -> usize {
    value.to_string().len() + ",".len()
}

fn standing(standing: &Standing, detail: Detail) -> Value {
    let mut object = Map::new();
    let mut set = |name: &str, value: Value| {
        object.insert(name.to_owned(), value);
    };
    set("target", json!(cut(standing.target.clone(), TARGET)));
    let state = match (standing.ready, standing.attempts) {
        (true, _) => "ready",
        (false, 0) => "not-tried",
        (false, _) => "not-ready",
    };
    set("state", json!(state));
    set("attempt", json!(standing.attempts));
    if let Some(waited) = standing.waited.filter(|_| detail > Detail::Bare) {
        set("waited", seconds(waited));
    }
    if !standing.ready && standing.in_a_row > 0 {
        set("in_a_row", json!(standing.in_a_row));
    }
    if let Some(reason) = &standing.reason {
        set("code", json!(reason.code().as_str()));
        if detail > Detail::Bare {
            explain(reason, &mut set);
        }
        if detail == Detail::Brief {
            set("reason", json!(cut(reason.text().to_owned(), BRIEF)));
        }
    }
    if detail < Detail::Whole {
        object.remove("hint");
    }
    Value::Object(object)
}

fn explain(reason: &Reason, set: &mut impl FnMut(&str, Value)) {
    set("stage", json!(reason.stage().as_str()));
    set("code", json!(reason.code().as_str()));
    set("reason", clipped(reason.text()));
    if let Some(hint) = reason.hinted() {
        set("hint", json!(words::hint(hint)));
    }
}

/// Seconds with a fraction, to the millisecond.
fn seconds(duration: Duration) -> Value {
    json!((duration.as_secs_f64() * 1000.0).round() / 1000.0)
}

fn clipped(text: &str) -> Value {
    json!(cut(text.to_owned(), LONGEST))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reason::{Code, Hint};

    fn standing(target: String, ready: bool, text: &str) -> Standing {
        let reason = (!ready).then(|| Reason::new(Code::ConnectRefused, text).hint(Hint::NoReadyPod));
        Standing { target, attempts: 7, waited: Some(Duration::from_secs(9)), in_a_row: 0, successes: 1, ready, reason }
    }

    /// The line of a run that timed out, and the object that it is.
    fn verdict(own: Option<String>, standings: &[Standing]) -> Value {
        let verdict = Verdict::TimedOut(Duration::from_millis(1500), own);
        let line = Json::new(Instant::now()).line(&Event::Verdict { verdict: &verdict, standings }, true);
        assert!(line.len() <= LAST, "{} bytes: {line}", line.len());
        let object: Value = serde_json::from_str(&line).unwrap();
        assert_eq!(object["total"], json!(standings.len()));
        assert_eq!(object["ready"], json!(standings.iter().filter(|standing| standing.ready).count()));
        object
    }

    fn listed(object: &Value, name: &str) -> usize {
        object["targets"].as_array().unwrap().iter().filter(|target| !target[name].is_null()).count()
    }

    #[tokio::test(start_paused = true)]
    async fn a_long_verdict_keeps_what_is_missing() {
        let mut standings: Vec<_> = (0..100).map(|n| standing(format!("tcp:host{n}:80"), n < 90, "refused")).collect();
        let object = verdict(None, &standings);
        assert_eq!(object["timeout"], json!(1.5));
        assert_eq!(object["targets"][0]["target"], json!("tcp:host90:80"));
        assert_eq!((listed(&object, "code"), listed(&object, "reason")), (10, 10), "{object}");
        assert!((1..10).contains(&listed(&object, "hint")), "{object}");
        assert_eq!(object["targets"][0]["hint"], json!(words::hint(Hint::NoReadyPod)));
        let long = "refused by 10.0.0.1:80".repeat(9);
        standings.splice(85..90, (85..90).map(|n| standing(format!("tcp:host{n}:80"), false, &long)));
        let object = verdict(None, &standings);
        assert_eq!(listed(&object, "code"), 15, "{object}");
        assert!((1..15).contains(&listed(&object, "reason")), "{object}");
    }

    #[tokio::test(start_paused = true)]
    async fn the_target_that_ended_the_run_is_never_left_out() {
        let own = format!("http://api/?q={}#timeout=1s", "\"".repeat(4000));
        let mut standings: Vec<_> = (0..99).map(|n| standing(format!("tcp:host{n}:80"), false, "refused")).collect();
        standings.push(standing(own.clone(), false, &"\"".repeat(4000)));
        let object = verdict(Some(own), &standings);
        assert_eq!(object["targets"][0]["target"], object["target"]);
        assert_eq!(object["targets"][0]["code"], json!("connect.refused"));
    }

    #[test]
    fn a_long_text_is_cut_between_characters() {
        let text = "ä".repeat(LONGEST);
        let cut = clipped(&text);
        assert!(cut.as_str().unwrap().len() <= LONGEST);
    }
}
