//! Events → one JSON object a line, for machines. The schema is `examples/json-schema.json`.

use std::time::{Duration, SystemTime};

use serde_json::{Map, Value, json};
use tokio::time::Instant;

use super::{Event, words};
use crate::reason::Reason;
use crate::verdict::{Standing, Verdict};

/// The version of the schema: a name that is taken away or changes its meaning makes it 2.
const SCHEMA: u32 = 1;

/// The longest text in a line. With it, a line stays below the 4096 bytes that one write takes.
const LONGEST: usize = 600;

/// How many targets the verdict lists; of more, the ready ones are left out first.
const LISTED: usize = 40;

/// The longest line: one write.
const LINE: usize = 4095;

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
                return fitted(object);
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

    /// The heartbeat of one target.
    #[must_use]
    pub fn heartbeat(&self, standing: &Standing) -> String {
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
                set("target", clipped(target));
            }
        }
        Verdict::Interrupted(signal) => set("signal", json!(signal.to_string())),
        Verdict::Refused(why) => set("message", clipped(why)),
        Verdict::Ready | Verdict::NotReady => {}
    }
    set("ready", json!(standings.iter().filter(|standing| standing.ready).count()));
    set("total", json!(standings.len()));
    // What is missing comes first, so that it is what stays where not all fits.
    let missing = standings.iter().filter(|standing| !standing.ready);
    let listed = missing.chain(standings.iter().filter(|standing| standing.ready)).take(LISTED);
    set("targets", Value::Array(listed.map(standing).collect()));
}

fn standing(standing: &Standing) -> Value {
    let mut object = Map::new();
    let mut set = |name: &str, value: Value| {
        object.insert(name.to_owned(), value);
    };
    set("target", clipped(&standing.target));
    let state = match (standing.ready, standing.attempts) {
        (true, _) => "ready",
        (false, 0) => "not-tried",
        (false, _) => "not-ready",
    };
    set("state", json!(state));
    set("attempt", json!(standing.attempts));
    if let Some(waited) = standing.waited {
        set("waited", seconds(waited));
    }
    if !standing.ready && standing.in_a_row > 0 {
        set("in_a_row", json!(standing.in_a_row));
    }
    if let Some(reason) = &standing.reason {
        explain(reason, &mut set);
    }
    Value::Object(object)
}

/// Takes targets from the end of the list until the line fits into one write.
fn fitted(mut object: Map<String, Value>) -> String {
    loop {
        let line = Value::Object(object.clone()).to_string();
        let targets = object.get_mut("targets").and_then(Value::as_array_mut);
        match targets {
            Some(targets) if line.len() > LINE && !targets.is_empty() => {
                targets.pop();
            }
            _ => return line,
        }
    }
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
    let cut = text.floor_char_boundary(LONGEST);
    if cut == text.len() { json!(text) } else { json!(format!("{}…", &text[..cut])) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reason::{Code, Hint};

    #[tokio::test(start_paused = true)]
    async fn a_verdict_fits_into_one_write_and_keeps_what_is_missing() {
        let standings: Vec<Standing> = (0..100)
            .map(|n| Standing {
                target: format!("tcp:host{n}:80"),
                attempts: 7,
                waited: None,
                in_a_row: 0,
                ready: n < 90,
                reason: (n >= 90).then(|| {
                    Reason::new(Code::ConnectRefused, "refused by 10.0.0.1:80".repeat(9)).hint(Hint::NoReadyPod)
                }),
            })
            .collect();
        let verdict = Verdict::TimedOut(Duration::from_millis(1500), None);
        let line = Json::new(Instant::now()).line(&Event::Verdict { verdict: &verdict, standings: &standings }, true);
        assert!(line.len() <= LINE && line.len() > LINE / 2, "{}", line.len());
        let object: Value = serde_json::from_str(&line).unwrap();
        assert_eq!(object["timeout"], json!(1.5));
        assert_eq!(object["ready"], json!(90));
        assert_eq!(object["targets"][0]["target"], json!("tcp:host90:80"));
        assert_eq!(object["targets"][0]["code"], json!("connect.refused"));
    }

    #[test]
    fn a_long_text_is_cut_between_characters() {
        let text = "ä".repeat(LONGEST);
        let cut = clipped(&text);
        assert!(cut.as_str().unwrap().len() <= LONGEST + '…'.len_utf8());
    }
}
