//! Events as lines of text for a person.

use std::borrow::Cow;
use std::fmt::Write as _;
use std::time::Duration;

use tokio::time::Instant;

use super::verdict_text::{LAST_LINE_MAX, TARGET_MAX, bracketed, headline, missing};
use crate::event::{Event, Standing};
use crate::reason::Reason;
use crate::text::{self, count, cut};
use crate::verdict::Verdict;

/// The longest reason in a line, in bytes. The target, the code and what -v adds have room beside it in 4096 bytes.
const REASON_MAX: usize = 3400;

/// How many targets a heartbeat gives a line each.
pub(super) const HEARTBEATS: usize = 20;

/// Makes lines. Times count from the process's start.
#[derive(Clone, Copy)]
pub(crate) struct Text {
    start: Instant,
    color: bool,
    verbose: bool,
}

impl Text {
    /// Lines with times since `start`. `verbose` adds to an attempt what each stage took.
    pub(crate) fn new(start: Instant, color: bool, verbose: bool) -> Self {
        Self { start, color, verbose }
    }

    /// Whether lines are coloured.
    pub(super) fn is_colored(&self) -> bool {
        self.color
    }

    /// `event` as lines, without their line breaks. A heartbeat may have several lines. An event of the live view has
    /// none.
    pub(super) fn lines(&self, event: &Event<'_>) -> Vec<String> {
        let at = text::duration(self.start.elapsed());
        // A longer target would leave no room for the rest of the line, or for the code that ends the colour.
        let shown = |target: &str| cut(target.to_owned(), TARGET_MAX);
        vec![match event {
            Event::Live(_) => return Vec::new(),
            Event::Heartbeat(standings) => return self.heartbeat(standings),
            Event::Start(plan) => {
                let order = if plan.parallel { "all at once" } else { "in order" };
                let within = if plan.once { "within" } else { "for up to" };
                let until = plan
                    .timeout
                    .map_or("without a timeout".to_owned(), |timeout| format!("{within} {}", text::duration(timeout)));
                let targets = count(plan.targets.len(), "target");
                let how = if plan.targets.len() == 1 { String::new() } else { format!(" {order},") };
                let (verb, once) = match (plan.once, plan.targets.len()) {
                    (false, _) => ("waiting for", ""),
                    (true, 1) => ("trying", " once"),
                    (true, _) => ("trying", " once each"),
                };
                let delay = match plan.initial_delay {
                    Duration::ZERO => String::new(),
                    delay => format!(", the first attempt after {}", text::duration(delay)),
                };
                format!("waitgate {}: {verb} {targets}{once},{how} {until}{delay}", env!("CARGO_PKG_VERSION"))
            }
            Event::Warning(text) => format!("{}: {text}", self.paint(YELLOW, "warning")),
            Event::Attempt { target, number, outcome, in_a_row, attempt, pause, .. } => {
                let mut line = match outcome {
                    Err(reason) => self.not_ready(&at, target, reason),
                    Ok(_) => format!(
                        "{at}  {}  ready {}, waiting for more in a row",
                        shown(target),
                        count(*in_a_row as usize, "time")
                    ),
                };
                if self.verbose {
                    let stages = attempt.timings();
                    let stages =
                        stages.iter().map(|(stage, took)| format!("{} {}", stage.as_str(), text::duration(*took)));
                    let stages = stages.collect::<Vec<_>>().join(", ");
                    let took = text::duration(attempt.started().elapsed());
                    let next =
                        pause.map_or("it goes on".to_owned(), |pause| format!("pause: {}", text::duration(pause)));
                    let _ = write!(line, "  [attempt {number}, {took}; stages: {stages}; {next}]");
                }
                line
            }
            Event::NotReady { target, reason, .. } => self.not_ready(&at, target, reason),
            Event::Ready { target, attempts, after, ready } => {
                let note = ready.note.as_ref().map(|note| format!(": {note}")).unwrap_or_default();
                let what = self.paint(GREEN, "ready");
                let (after, attempts) = (text::duration(*after), count(*attempts as usize, "attempt"));
                format!("{at}  {}  {what} after {after}, {attempts}{note}", shown(target))
            }
            Event::Settle(pause) => format!("{at}  every target is ready; settling for {}", text::duration(*pause)),
            Event::Verdict { verdict, standings } => self.verdict(verdict, standings, &at),
        }]
    }

    /// Why an attempt was not ready. The code at the end is for `--explain`, so a long reason is cut before it.
    fn not_ready(&self, at: &str, target: &str, reason: &Reason) -> String {
        let target = cut(target.to_owned(), TARGET_MAX);
        let why = cut(reason.sentence(), REASON_MAX);
        format!("{at}  {target}  {}{}", self.paint(YELLOW, &why), bracketed(reason))
    }

    /// A line for each of the first targets that are not ready, and one for all others.
    fn heartbeat(&self, standings: &[Standing]) -> Vec<String> {
        let waiting: Vec<&Standing> = standings.iter().filter(|standing| standing.is_waited_for()).collect();
        let at = text::duration(self.start.elapsed());
        let line = |standing: &&Standing| {
            let why = standing.why();
            let why = self.paint(YELLOW, &why);
            let waited = text::duration(standing.waited.unwrap_or_default());
            let target = cut(standing.target.clone(), TARGET_MAX);
            format!("{at}  {target}  still waiting after {waited}, attempt {}: {why}", standing.attempts)
        };
        let (told, rest) = waiting.split_at(waiting.len().min(HEARTBEATS));
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
            Verdict::Invalid(why) => cut(format!("waitgate: {}: {why}", self.paint(RED, "error")), LAST_LINE_MAX),
            _ => {
                let line = format!("waitgate: {}: ", self.paint(RED, &headline(verdict, at)));
                let missing = missing(verdict, standings, LAST_LINE_MAX - line.len());
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reason::{Code, Hint};
    use crate::signal::Signal;

    fn standing(target: &str, attempts: u32, reason: Option<Reason>) -> Standing {
        let ready = attempts > 0 && reason.is_none();
        Standing { target: target.into(), attempts, waited: None, ready, in_a_row: 0, successes: 1, reason }
    }

    #[tokio::test(start_paused = true)]
    async fn the_last_line_names_targets_that_are_not_ready_or_not_tried() {
        let text = Text::new(Instant::now(), false, false);
        let reason = Reason::new(Code::ConnectRefused, "refused by 10.96.14.7:6379").with_hint(Hint::NoReadyPod);
        let standings =
            [standing("dns:a", 1, None), standing("tcp:redis:6379", 123, Some(reason)), standing("tcp:c:1", 0, None)];
        let line = |verdict| text.lines(&Event::Verdict { verdict: &verdict, standings: &standings }).remove(0);
        assert_eq!(
            line(Verdict::TimedOut(Duration::from_secs(900), None)),
            "waitgate: timed out after 15m: 1 of 3 targets ready; tcp:redis:6379 (123 attempts) refused by 10.96.14.7:6379: \
             the Service exists and has no ready Pod yet, or its Pods do not listen on that port, or the Service has no \
             such port [connect.refused]; not tried: tcp:c:1"
        );
        tokio::time::advance(Duration::from_millis(1500)).await;
        assert!(
            line(Verdict::Interrupted(Signal::Terminate))
                .starts_with("waitgate: interrupted by SIGTERM after 1.5s: 1 of 3")
        );
    }

    #[test]
    fn an_interruption_after_all_targets_are_ready_says_so() {
        let text = missing(&Verdict::Interrupted(Signal::Terminate), &[standing("tcp:a:1", 1, None)], LAST_LINE_MAX);
        assert_eq!(text, "every target is ready; the signal came before the end");
    }

    #[tokio::test(start_paused = true)]
    async fn colour_is_used_only_if_wanted() {
        let ready = crate::kind::Ready::noted("accepted by 10.0.0.1:1");
        let event = Event::Ready { target: "tcp:a:1", attempts: 1, after: Duration::from_millis(2), ready: &ready };
        let line = |color| Text::new(Instant::now(), color, false).lines(&event).remove(0);
        assert_eq!(line(false), "0s  tcp:a:1  ready after 2ms, 1 attempt: accepted by 10.0.0.1:1");
        assert!(line(true).contains("\x1b[32mready\x1b[0m"));
    }

    fn waiting(target: String, ready: bool, attempts: u32) -> Standing {
        let reason = (!ready && attempts > 0).then(|| Reason::new(Code::ConnectRefused, "refused"));
        Standing { target, attempts, waited: Some(Duration::from_secs(10)), ready, in_a_row: 0, successes: 1, reason }
    }

    #[tokio::test(start_paused = true)]
    async fn a_heartbeat_has_at_most_21_lines() {
        let text = Text::new(Instant::now(), false, false);
        let standings: Vec<_> = (0..50).map(|n| waiting(format!("tcp:h{n}:1"), false, 7)).collect();
        let lines = text.lines(&Event::Heartbeat(&standings));
        assert_eq!(lines.len(), 21);
        assert_eq!(lines[0], "0s  tcp:h0:1  still waiting after 10s, attempt 7: refused");
        assert!(lines[20].starts_with("0s  still waiting for 30 more: tcp:h20:1, tcp:h21:1, "), "{}", lines[20]);
    }
}
