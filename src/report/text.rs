//! Events → lines for a person.

use std::borrow::Cow;
use std::fmt::Write as _;
use std::time::Duration;

use tokio::time::Instant;

use super::missing::{TARGET, missing};
use super::words::sentence;
use super::{Event, LAST, live};
use crate::plan::count;
use crate::trail::short;
use crate::verdict::{Standing, Verdict};

/// How many targets a heartbeat gives a line each.
pub const BEATS: usize = 20;

/// Makes lines; times count from the process's start.
#[derive(Clone, Copy)]
pub struct Text {
    start: Instant,
    color: bool,
}

impl Text {
    /// Lines with times since `start`, coloured or not.
    #[must_use]
    pub fn new(start: Instant, color: bool) -> Self {
        Self { start, color }
    }

    /// `event` as one line, without its end.
    #[must_use]
    pub fn line(&self, event: &Event<'_>) -> String {
        let at = short(self.start.elapsed());
        // A long one would leave no room for the rest of the line, nor for the end of its colour.
        let shown = |target: &str| cut(target.to_owned(), TARGET);
        match event {
            Event::Start(plan) => {
                let order = if plan.parallel { "all at once" } else { "in order" };
                let until =
                    plan.timeout.map_or("for ever".to_owned(), |timeout| format!("for up to {}", short(timeout)));
                let targets = count(plan.targets.len(), "target");
                let how = if plan.targets.len() == 1 { String::new() } else { format!(" {order},") };
                let verb = if plan.once { "one attempt at" } else { "waiting for" };
                let delay = match plan.initial_delay {
                    Duration::ZERO => String::new(),
                    delay => format!(", the first attempt after {}", short(delay)),
                };
                format!("waitgate {}: {verb} {targets},{how} {until}{delay}", env!("CARGO_PKG_VERSION"))
            }
            Event::Warning(text) => format!("{}: {text}", self.paint(YELLOW, "warning")),
            Event::Attempt { target, attempt, outcome, in_a_row, trail, pause, .. } => {
                let mut line = match outcome {
                    Err(reason) => format!("{at}  {}  {}", shown(target), self.paint(YELLOW, &sentence(reason))),
                    Ok(_) => format!(
                        "{at}  {}  ready {}, waiting for more in a row",
                        shown(target),
                        count(*in_a_row as usize, "time")
                    ),
                };
                if tracing::enabled!(target: super::lines::OURS, tracing::Level::DEBUG) {
                    let stages: Vec<String> = trail
                        .timings()
                        .iter()
                        .map(|(stage, took)| format!("{} {}", stage.as_str(), short(*took)))
                        .collect();
                    let took = short(trail.started().elapsed());
                    let code = outcome.err().map(|reason| format!("{}; ", reason.code())).unwrap_or_default();
                    let _ = write!(
                        line,
                        "  [attempt {attempt}, {took}: {}; {code}pause {}]",
                        stages.join(", "),
                        short(*pause)
                    );
                }
                line
            }
            Event::NotReady { target, reason, .. } => {
                format!("{at}  {}  {}", shown(target), self.paint(YELLOW, &sentence(reason)))
            }
            Event::Heartbeat(standings) => self.heartbeat(&standings.iter().collect::<Vec<_>>()).join("\n"),
            Event::Ready { target, attempts, after, ready } => {
                let note = ready.note.as_ref().map(|note| format!(": {note}")).unwrap_or_default();
                let what = self.paint(GREEN, "ready");
                format!(
                    "{at}  {}  {what} after {}, {}{note}",
                    shown(target),
                    short(*after),
                    count(*attempts as usize, "attempt")
                )
            }
            Event::Live(standings) => live::rows(standings, self.color, live::size()),
            Event::Settle(pause) => format!("{at}  all is ready; settling for {}", short(*pause)),
            Event::Verdict { verdict, standings } => self.verdict(verdict, standings, &at),
        }
    }

    /// A line for each of the first targets that are waited for, and one for the others.
    #[must_use]
    pub fn heartbeat(&self, waiting: &[&Standing]) -> Vec<String> {
        let at = short(self.start.elapsed());
        let line = |standing: &&Standing| {
            let why = self.paint(YELLOW, &why(standing)).into_owned();
            let waited = short(standing.waited.unwrap_or_default());
            let target = cut(standing.target.clone(), TARGET);
            format!("{at}  {target}  still waiting after {waited}, attempt {}: {why}", standing.attempts)
        };
        let (told, rest) = waiting.split_at(waiting.len().min(BEATS));
        let mut lines: Vec<String> = told.iter().map(line).collect();
        if !rest.is_empty() {
            let names: Vec<&str> = rest.iter().map(|standing| standing.target.as_str()).collect();
            lines.push(format!("{at}  still waiting for {} more: {}", rest.len(), names.join(", ")));
        }
        lines
    }

    fn verdict(&self, verdict: &Verdict, standings: &[Standing], at: &str) -> String {
        match verdict {
            Verdict::Ready => {
                format!("waitgate: {} after {at}: {}", self.paint(GREEN, "ready"), count(standings.len(), "target"))
            }
            Verdict::Refused(why) => cut(format!("waitgate: {}: {why}", self.paint(RED, "error")), LAST),
            _ => {
                let line = format!("waitgate: {}: ", self.paint(RED, &headline(verdict, at)));
                let missing = missing(verdict, standings, LAST - line.len());
                line + &missing
            }
        }
    }

    fn paint<'a>(&self, color: &str, text: &'a str) -> Cow<'a, str> {
        if self.color { format!("\x1b[{color}m{text}\x1b[0m").into() } else { text.into() }
    }
}

const RED: &str = "31";
const GREEN: &str = "32";
const YELLOW: &str = "33";

/// `text`, its end marked where it had to be cut to `longest` bytes.
#[must_use]
pub fn cut(mut text: String, longest: usize) -> String {
    if text.len() > longest {
        text.truncate(text.floor_char_boundary(longest - '…'.len_utf8()));
        text.push('…');
    }
    text
}

/// How a run that is not ready ended.
#[must_use]
pub fn headline(verdict: &Verdict, at: &str) -> String {
    match verdict {
        Verdict::Ready => "ready".into(),
        Verdict::NotReady => "not ready".into(),
        Verdict::TimedOut(timeout, None) => format!("timed out after {}", short(*timeout)),
        // Which one is said next: it comes first of what is missing.
        Verdict::TimedOut(timeout, Some(_)) => format!("timed out after {}, the target's own timeout", short(*timeout)),
        Verdict::Interrupted(signal) => format!("interrupted by {signal} after {at}"),
        Verdict::Refused(_) => "error".into(),
    }
}

/// Why a target that was tried is not ready.
pub(super) fn why(standing: &Standing) -> Cow<'static, str> {
    match &standing.reason {
        Some(reason) => sentence(reason).into(),
        None if standing.in_a_row > 0 => {
            format!("ready {} of {} times in a row", standing.in_a_row, standing.successes).into()
        }
        None => "no attempt has ended".into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reason::{Code, Hint, Reason};
    use crate::signal::Signal;

    fn standing(target: &str, attempts: u32, reason: Option<Reason>) -> Standing {
        let ready = attempts > 0 && reason.is_none();
        Standing { target: target.into(), attempts, waited: None, ready, in_a_row: 0, successes: 1, reason }
    }

    #[tokio::test(start_paused = true)]
    async fn the_last_line_names_what_is_missing_and_what_was_not_tried() {
        let text = Text::new(Instant::now(), false);
        let reason = Reason::new(Code::ConnectRefused, "refused by 10.96.14.7:6379").hint(Hint::NoReadyPod);
        let standings =
            [standing("dns:a", 1, None), standing("tcp:redis:6379", 123, Some(reason)), standing("tcp:c:1", 0, None)];
        let line = |verdict| text.line(&Event::Verdict { verdict: &verdict, standings: &standings });
        assert_eq!(
            line(Verdict::TimedOut(Duration::from_secs(900), None)),
            "waitgate: timed out after 15m: 1 of 3 targets ready; tcp:redis:6379 (123 attempts) refused by 10.96.14.7:6379: \
             the Service exists: no ready Pod is behind it yet, or its Pods do not listen on that port; not tried: tcp:c:1"
        );
        tokio::time::advance(Duration::from_millis(1500)).await;
        assert!(
            line(Verdict::Interrupted(Signal::Terminate))
                .starts_with("waitgate: interrupted by SIGTERM after 1.5s: 1 of 3")
        );
    }

    #[test]
    fn a_run_that_is_interrupted_once_all_is_ready_says_so() {
        let text = missing(&Verdict::Interrupted(Signal::Terminate), &[standing("tcp:a:1", 1, None)], LAST);
        assert_eq!(text, "every target is ready; the signal came before the end");
    }

    #[tokio::test(start_paused = true)]
    async fn colour_only_where_it_is_wanted() {
        let ready = crate::target::Ready::noted("accepted by 10.0.0.1:1");
        let event = Event::Ready { target: "tcp:a:1", attempts: 1, after: Duration::from_millis(2), ready: &ready };
        let line = |color| Text::new(Instant::now(), color).line(&event);
        assert_eq!(line(false), "0s  tcp:a:1  ready after 2ms, 1 attempt: accepted by 10.0.0.1:1");
        assert!(line(true).contains("\x1b[32mready\x1b[0m"));
    }
}
