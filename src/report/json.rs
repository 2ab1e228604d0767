//! Events as JSON lines: one object for each line, for machines.
//!
//! The structs are the schema: their fields come in this order, and examples/json-schema.json describes them.

use std::time::{Duration, SystemTime};

use serde::{Serialize, Serializer};
use tokio::time::Instant;
use tracing::Level;

use super::text::{HEARTBEATS, Text};
use super::verdict_text::{LAST_LINE_MAX, TARGET_MAX, ranked};
use crate::event::{Event, Standing};
use crate::reason::{Reason, Stage};
use crate::text::cut;
use crate::verdict::Verdict;

/// The version of the schema: a name that is removed or changes its meaning makes it 2.
const SCHEMA: u32 = 1;

/// The longest text in a line, in bytes. With it, a line has at most the 4096 bytes that one write takes.
const TEXT_MAX: usize = 600;

/// The longest `message` of a verdict, in bytes: its targets follow.
const HEADLINE_MAX: usize = 160;

/// The longest shortened reason of a target in the verdict, in bytes.
const BRIEF_MAX: usize = 80;

/// What every line has, and then what its event has.
#[derive(Serialize)]
struct Line<T> {
    /// RFC 3339, UTC.
    time: String,
    level: &'static str,
    event: &'static str,
    /// The line that the text log has.
    message: String,
    schema: u32,
    /// Seconds since the process's start.
    elapsed: Seconds,
    #[serde(flatten)]
    rest: T,
}

#[derive(Serialize)]
struct Start {
    version: &'static str,
    timeout: Option<Seconds>,
    order: &'static str,
    total: usize,
}

/// An attempt that has ended; of `--once`, `stages` and `pause` are left out.
#[derive(Serialize)]
struct Attempted {
    target: String,
    attempt: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    in_a_row: Option<u32>,
    #[serde(flatten)]
    why: Option<Why>,
    #[serde(skip_serializing_if = "Option::is_none")]
    stages: Option<Stages>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pause: Option<Seconds>,
}

#[derive(Serialize)]
struct Heartbeat {
    target: String,
    attempt: u32,
    waited: Seconds,
    #[serde(skip_serializing_if = "Option::is_none")]
    in_a_row: Option<u32>,
    #[serde(flatten)]
    why: Option<Why>,
}

#[derive(Serialize)]
struct More {
    more: usize,
}

#[derive(Serialize)]
struct ReadyNow {
    target: String,
    attempt: u32,
    waited: Seconds,
    #[serde(skip_serializing_if = "Option::is_none")]
    note: Option<String>,
}

#[derive(Serialize)]
struct Settle {
    pause: Seconds,
}

#[derive(Serialize)]
struct Ended {
    verdict: &'static str,
    status: u8,
    #[serde(skip_serializing_if = "Option::is_none")]
    timeout: Option<Seconds>,
    #[serde(skip_serializing_if = "Option::is_none")]
    target: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    signal: Option<String>,
    ready: usize,
    total: usize,
    targets: Vec<TargetState>,
}

/// One target of a verdict.
#[derive(Serialize)]
struct TargetState {
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

/// Why an attempt was not ready.
#[derive(Serialize)]
struct Why {
    stage: &'static str,
    code: &'static str,
    reason: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    hint: Option<String>,
}

impl From<&Reason> for Why {
    fn from(reason: &Reason) -> Self {
        Self {
            stage: reason.stage().as_str(),
            code: reason.code().as_str(),
            reason: clipped(reason.text()),
            hint: reason.hint().map(|hint| hint.words().into_owned()),
        }
    }
}

/// How long each stage took, as an object.
struct Stages(Vec<(Stage, Duration)>);

impl Serialize for Stages {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(stage, took)| (stage.as_str(), Seconds(*took))))
    }
}

/// Seconds with a fraction, to the millisecond.
#[derive(Clone, Copy)]
struct Seconds(Duration);

impl Serialize for Seconds {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_f64((self.0.as_secs_f64() * 1000.0).round() / 1000.0)
    }
}

/// Makes lines. `elapsed` counts from the process's start.
#[derive(Clone, Copy)]
pub(crate) struct Json {
    start: Instant,
    /// For `message`.
    text: Text,
}

impl Json {
    /// Lines with times since `start`.
    pub(crate) fn new(start: Instant) -> Self {
        Self { start, text: Text::new(start, false, false) }
    }

    /// `event` as lines, without their line breaks. An attempt whose outcome is `news` is a `change`.
    pub(super) fn lines(&self, event: &Event<'_>, level: Level, news: bool) -> Vec<String> {
        let messages = self.text.lines(event);
        let message = || messages.first().map(|line| clipped(line)).unwrap_or_default();
        vec![match event {
            // A machine has no screen.
            Event::Live(_) => return Vec::new(),
            Event::Heartbeat(standings) => return self.heartbeats(standings, &messages, level),
            Event::Start(plan) => {
                let rest = Start {
                    version: env!("CARGO_PKG_VERSION"),
                    timeout: plan.timeout.map(Seconds),
                    order: if plan.parallel { "parallel" } else { "declared" },
                    total: plan.targets.len(),
                };
                self.line(level, "start", message(), rest)
            }
            Event::Warning(text) => self.line(level, "warning", clipped(text), ()),
            Event::Attempt { target, number, outcome, in_a_row, attempt, pause, .. } => {
                let rest = Attempted {
                    target: clipped(target),
                    attempt: *number,
                    in_a_row: outcome.is_ok().then_some(*in_a_row),
                    why: outcome.err().map(Why::from),
                    stages: Some(Stages(attempt.timings())),
                    pause: Some(Seconds(*pause)),
                };
                self.line(level, if news { "change" } else { "attempt" }, message(), rest)
            }
            Event::NotReady { target, number, reason } => {
                let (target, why) = (clipped(target), Some(Why::from(*reason)));
                let rest = Attempted { target, attempt: *number, in_a_row: None, why, stages: None, pause: None };
                self.line(level, "attempt", message(), rest)
            }
            Event::Ready { target, attempts, after, ready } => {
                let note = ready.note.as_deref().map(clipped);
                let rest = ReadyNow { target: clipped(target), attempt: *attempts, waited: Seconds(*after), note };
                self.line(level, "ready", message(), rest)
            }
            Event::Settle(pause) => self.line(level, "settle", message(), Settle { pause: Seconds(*pause) }),
            Event::Verdict { verdict, standings } => {
                let message = match verdict {
                    Verdict::Invalid(why) => clipped(why),
                    _ => cut(message(), HEADLINE_MAX),
                };
                let empty = self.line(level, "verdict", message.clone(), ended(verdict, standings, Vec::new()));
                // The last target has no comma after it.
                let room = (LAST_LINE_MAX + 1).saturating_sub(empty.len());
                self.line(level, "verdict", message, ended(verdict, standings, targets(verdict, standings, room)))
            }
        }]
    }

    fn line(&self, level: Level, event: &'static str, message: String, rest: impl Serialize) -> String {
        let level = match level {
            Level::ERROR => "error",
            Level::WARN => "warn",
            Level::INFO => "info",
            _ => "debug",
        };
        let time = humantime::format_rfc3339_millis(SystemTime::now()).to_string();
        let elapsed = Seconds(self.start.elapsed());
        json(&Line { time, level, event, message, schema: SCHEMA, elapsed, rest })
    }

    /// A heartbeat for each of the first targets that are waited for, and one that counts the others.
    fn heartbeats(&self, standings: &[Standing], messages: &[String], level: Level) -> Vec<String> {
        let waiting: Vec<&Standing> = standings.iter().filter(|standing| standing.is_waited_for()).collect();
        let (told, rest) = waiting.split_at(waiting.len().min(HEARTBEATS));
        let mut messages = messages.iter().map(|message| clipped(message));
        let mut line = |standing: &&Standing| {
            let heartbeat = Heartbeat {
                target: clipped(&standing.target),
                attempt: standing.attempts,
                waited: Seconds(standing.waited.unwrap_or_default()),
                in_a_row: (standing.in_a_row > 0).then_some(standing.in_a_row),
                why: standing.reason.as_ref().map(Why::from),
            };
            self.line(level, "heartbeat", messages.next().unwrap_or_default(), heartbeat)
        };
        let mut lines: Vec<String> = told.iter().map(&mut line).collect();
        if !rest.is_empty() {
            lines.push(self.line(level, "heartbeat", messages.next().unwrap_or_default(), More { more: rest.len() }));
        }
        lines
    }
}

fn ended(verdict: &Verdict, standings: &[Standing], targets: Vec<TargetState>) -> Ended {
    let mut ended = Ended {
        verdict: match verdict {
            Verdict::Ready => "ready",
            Verdict::NotReady => "not-ready",
            Verdict::TimedOut(..) => "timed-out",
            Verdict::Interrupted(_) => "interrupted",
            Verdict::Invalid(_) => "invalid",
        },
        status: verdict.status(),
        timeout: None,
        target: None,
        signal: None,
        ready: standings.iter().filter(|standing| standing.ready).count(),
        total: standings.len(),
        targets,
    };
    match verdict {
        Verdict::TimedOut(timeout, own) => {
            ended.timeout = Some(Seconds(*timeout));
            ended.target = own.clone().map(|target| cut(target, TARGET_MAX));
        }
        Verdict::Interrupted(signal) => ended.signal = Some(signal.to_string()),
        Verdict::Ready | Verdict::NotReady | Verdict::Invalid(_) => {}
    }
    ended
}

/// How much a verdict says of a target.
#[derive(Clone, Copy, PartialEq, PartialOrd)]
enum Detail {
    /// Its code, so that it can be counted with others of the same code.
    Bare,
    /// The beginning of its reason, too.
    Brief,
    /// All but the hint.
    Unhinted,
    Whole,
}

/// From most to least.
const SHORTER: [Detail; 3] = [Detail::Unhinted, Detail::Brief, Detail::Bare];

/// The targets, the most important ones first, in `room` bytes with their commas.
///
/// If that is too little, targets that are ready are left out; then hints and reasons, the last ones first; then the
/// last targets themselves. The first target may be what ended the run: it stays, and is shortened last.
fn targets(verdict: &Verdict, standings: &[Standing], room: usize) -> Vec<TargetState> {
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

/// The verdict's targets, and how many bytes they take.
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

    /// Says less of a target, if it has to be.
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
    let longest = if detail == Detail::Brief { BRIEF_MAX } else { TEXT_MAX };
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
        reason: told.map(|reason| cut(reason.text().to_owned(), longest)),
        hint: told.filter(|_| detail == Detail::Whole).and_then(Reason::hint).map(|hint| hint.words().into_owned()),
    }
}

fn clipped(text: &str) -> String {
    cut(text.to_owned(), TEXT_MAX)
}

/// Text, numbers and lists always have a form in JSON.
fn json(value: &impl Serialize) -> String {
    serde_json::to_string(value).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reason::{Code, Hint};
    use serde_json::{Value, json};

    fn standing(target: String, ready: bool, text: &str) -> Standing {
        let reason = (!ready).then(|| Reason::new(Code::ConnectRefused, text).with_hint(Hint::NoReadyPod));
        Standing { target, attempts: 7, waited: Some(Duration::from_secs(9)), in_a_row: 0, successes: 1, ready, reason }
    }

    /// The line of a run that timed out, and the object that it is.
    fn verdict(own: Option<String>, standings: &[Standing]) -> Value {
        let verdict = Verdict::TimedOut(Duration::from_millis(1500), own);
        let line = Json::new(Instant::now())
            .lines(&Event::Verdict { verdict: &verdict, standings }, Level::ERROR, true)
            .remove(0);
        assert!(line.len() <= LAST_LINE_MAX, "{} bytes: {line}", line.len());
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
        assert_eq!(object["targets"][0]["hint"], json!(Hint::NoReadyPod.words()));
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
        let text = "ä".repeat(TEXT_MAX);
        let cut = clipped(&text);
        assert!(cut.len() <= TEXT_MAX);
    }
}
