//! Events as JSON lines for machines: one object on each line.
//!
//! The structs are the schema: the fields come in this order, and examples/json-schema.json describes them.

mod targets;

use std::time::{Duration, SystemTime};

use serde::{Serialize, Serializer};
use tokio::time::Instant;
use tracing::Level;

use super::text::{HEARTBEATS, Text};
use super::verdict_text::{LAST_LINE_MAX, TARGET_MAX};
use crate::event::{Event, Standing};
use crate::reason::{Reason, Stage};
use crate::text::cut;
use crate::verdict::Verdict;
use targets::{TargetState, targets};

/// The version of the schema. It becomes 2 if a name is removed or changes its meaning.
const SCHEMA: u32 = 1;

/// The longest text in a line, in bytes. With this bound, a line has at most 4096 bytes, which is one write.
const TEXT_MAX: usize = 600;

/// The longest `message` of a verdict, in bytes. It is short because the targets follow.
const HEADLINE_MAX: usize = 160;

/// The fields of every line, and then the fields of its event.
#[derive(Serialize)]
struct Line<T> {
    /// RFC 3339, UTC.
    time: String,
    level: &'static str,
    event: &'static str,
    /// The line of the text log.
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

/// An attempt that has ended. With `--once` it has no `stages` and no `pause`. If it goes on, it has no `pause`.
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
    /// It makes `message`.
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
            // A machine needs no live view.
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
                    pause: pause.map(Seconds),
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

    /// A heartbeat for each of the first targets that are not ready, and one that counts the others.
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

fn clipped(text: &str) -> String {
    cut(text.to_owned(), TEXT_MAX)
}

/// Text, numbers and lists always have a form in JSON.
fn json(value: &impl Serialize) -> String {
    serde_json::to_string(value).unwrap_or_default()
}

#[cfg(test)]
mod tests;
