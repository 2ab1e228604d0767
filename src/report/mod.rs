//! Events → what a person reads.

pub mod explain;
pub mod json;
pub mod lines;
pub mod live;
pub mod missing;
pub mod termination;
pub mod text;
pub mod words;

#[cfg(test)]
mod verdicts;

use std::cell::RefCell;
use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use tokio::time::Instant;

use crate::plan::Plan;
use crate::reason::{Code, Hint, Reason};
use crate::target::Ready;
use crate::trail::Trail;
use crate::verdict::{Standing, Verdict};

/// What happens in a run, as far as anybody may want to know.
pub enum Event<'a> {
    /// The run begins.
    Start(&'a Plan),
    /// Something is odd and not wrong.
    Warning(&'a str),
    /// An attempt of a target that goes on being probed has ended.
    Attempt {
        /// Which target of the plan, from 0: one that is given twice is two.
        at: usize,
        /// The target as shown.
        target: &'a str,
        /// Its number, from 1.
        attempt: u32,
        /// How it ended.
        outcome: Result<&'a Ready, &'a Reason>,
        /// Ready answers in a row so far.
        in_a_row: u32,
        /// What it did, and how long each stage took.
        trail: &'a Trail,
        /// What will be slept before the next one, jitter included.
        pause: Duration,
    },
    /// The one attempt of --once was not ready.
    NotReady {
        /// The target as shown.
        target: &'a str,
        /// Its number, from 1.
        attempt: u32,
        /// Why.
        reason: &'a Reason,
    },
    /// It still waits: where the targets stand.
    Heartbeat(&'a [Standing]),
    /// A target is ready.
    Ready {
        /// The target as shown.
        target: &'a str,
        /// Attempts made.
        attempts: u32,
        /// Since its first attempt.
        after: Duration,
        /// What is worth saying about it.
        ready: &'a Ready,
    },
    /// Where the targets stand, several times a second: for a terminal.
    Live(&'a [Standing]),
    /// All is ready; a random part of --settle is slept.
    Settle(Duration),
    /// The run has ended.
    Verdict {
        /// How.
        verdict: &'a Verdict,
        /// Where each target stood; empty where nothing was planned.
        standings: &'a [Standing],
    },
}

/// A reason, or a first ready answer, that comes back is not news before this: the heartbeats say what holds now, and
/// a target that flaps must not fill the log.
const STALE: Duration = Duration::from_mins(5);

/// The longest last line, without its end. Where there is no termination message, the kubelet shows the last 2048
/// bytes of the log of a container that failed (terminationMessagePolicy FallbackToLogsOnError; kubernetes:
/// pkg/kubelet/container/runtime.go, MaxContainerTerminationMessageLogLength), and what is missing begins that line.
const LAST: usize = 2048 - 1;

/// The log of one run: which events are lines, and at which level.
pub struct Report {
    form: Form,
    /// By the target's place in the plan.
    told: RefCell<HashMap<usize, Told>>,
}

/// What the lines look like.
#[derive(Clone, Copy)]
pub enum Form {
    /// For a person.
    Text(text::Text),
    /// For a machine.
    Json(json::Json),
}

impl Form {
    /// `event` as one line, without its end; `news`: it says something that the lines before it did not.
    fn line(&self, event: &Event<'_>, news: bool) -> String {
        match self {
            Self::Text(text) => text.line(event),
            Self::Json(json) => json.line(event, news),
        }
    }
}

/// As many changes of one target are told within as long; what changes after that, the heartbeats have. A quarter of an
/// hour of waiting for one target is so at most 40 lines: 30 heartbeats (after 10 s, then every 30 s), these, the first
/// line and the last, the warnings of the plan in one, and two that attempts may find (resolv.conf, a password file).
const CHANGES: usize = 5;
const WINDOW: Duration = Duration::from_mins(15);

/// What a target's lines have said so far.
#[derive(Default)]
struct Told {
    last: Option<Identity>,
    times: HashMap<Identity, Instant>,
    /// When the last changes were told.
    changes: VecDeque<Instant>,
}

/// What makes a reason another one; `None`: the first of several ready answers.
type Identity = Option<(Code, String, Option<Hint>)>;

impl Report {
    /// A report with lines of this form.
    #[must_use]
    pub fn new(form: Form) -> Self {
        Self { form, told: RefCell::default() }
    }

    /// Makes a line of `event`. Its level decides whether it is printed: a change is worth a line by default,
    /// an attempt that ended as the one before only with -v.
    pub fn tell(&self, event: &Event<'_>) {
        let news = match event {
            Event::Attempt { at, outcome: Err(reason), .. } => self.is_news(*at, Some(reason)),
            Event::Attempt { at, outcome: Ok(_), in_a_row, .. } => *in_a_row == 1 && self.is_news(*at, None),
            Event::Heartbeat(standings) => return self.beat(standings),
            // An exec probe runs every few seconds, and the kubelet shows what it printed: the verdict says it all.
            Event::Start(plan) => !plan.once,
            Event::NotReady { .. } => false,
            _ => true,
        };
        let line = || self.form.line(event, news);
        match event {
            Event::Live(_) => tracing::info!(target: lines::LIVE, "{}", line()),
            Event::Warning(_) => tracing::warn!(target: lines::OURS, "{}", line()),
            Event::Verdict { verdict: Verdict::Ready, .. } => tracing::info!(target: lines::OURS, "{}", line()),
            Event::Verdict { .. } => tracing::error!(target: lines::OURS, "{}", line()),
            _ if news => tracing::info!(target: lines::OURS, "{}", line()),
            _ => tracing::debug!(target: lines::OURS, "{}", line()),
        }
    }

    /// Says of each target that is waited for what is missing; what a heartbeat has said is no news any more.
    fn beat(&self, standings: &[Standing]) {
        let waiting = || standings.iter().enumerate().filter(|(_, standing)| !standing.ready && standing.attempts > 0);
        for (at, standing) in waiting() {
            if let Some(reason) = &standing.reason {
                self.told.borrow_mut().entry(at).or_default().say(identity(Some(reason)));
            }
        }
        let waiting: Vec<&Standing> = waiting().map(|(_, standing)| standing).collect();
        let lines = match &self.form {
            Form::Text(text) => text.heartbeat(&waiting),
            Form::Json(json) => json.heartbeats(&waiting),
        };
        for line in lines {
            tracing::info!(target: lines::OURS, "{line}");
        }
    }

    /// Whether `reason` (`None`: a ready answer) is another than the one last told, and was not told a moment ago
    /// either: a target that flaps between two would else fill the log.
    fn is_news(&self, at: usize, reason: Option<&Reason>) -> bool {
        let mut all = self.told.borrow_mut();
        let told = all.entry(at).or_default();
        let identity = identity(reason);
        let now = Instant::now();
        let recent = told.times.get(&identity).is_some_and(|at| now - *at < STALE);
        while told.changes.front().is_some_and(|at| now - *at >= WINDOW) {
            told.changes.pop_front();
        }
        if told.last.as_ref() == Some(&identity) || recent || told.changes.len() >= CHANGES {
            return false;
        }
        told.changes.push_back(now);
        told.say(identity);
        true
    }
}

impl Told {
    /// A line has said this.
    fn say(&mut self, identity: Identity) {
        self.times.insert(identity.clone(), Instant::now());
        self.last = Some(identity);
    }
}

fn identity(reason: Option<&Reason>) -> Identity {
    reason.map(Reason::identity).map(|(code, key, hint)| (code, key.to_owned(), hint))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn standing(target: String, ready: bool, attempts: u32) -> Standing {
        let reason = (!ready && attempts > 0).then(|| Reason::new(Code::ConnectRefused, "refused"));
        Standing { target, attempts, waited: Some(Duration::from_secs(10)), ready, in_a_row: 0, successes: 1, reason }
    }

    #[tokio::test(start_paused = true)]
    async fn a_heartbeat_of_many_targets_is_a_page_and_no_more() {
        let text = text::Text::new(Instant::now(), false);
        let standings: Vec<_> = (0..50).map(|n| standing(format!("tcp:h{n}:1"), false, 7)).collect();
        let lines = text.heartbeat(&standings.iter().collect::<Vec<_>>());
        assert_eq!(lines.len(), 21);
        assert_eq!(lines[0], "0s  tcp:h0:1  still waiting after 10s, attempt 7: refused");
        assert!(lines[20].starts_with("0s  still waiting for 30 more: tcp:h20:1, tcp:h21:1, "), "{}", lines[20]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_change_is_news_and_flapping_is_not() {
        let report = Report::new(Form::Text(text::Text::new(Instant::now(), false)));
        let news = |code| report.is_news(0, Some(&Reason::new(code, "")));
        assert!(news(Code::ResolveNoSuchName));
        assert!(!news(Code::ResolveNoSuchName));
        assert!(news(Code::ConnectRefused));
        assert!(!news(Code::ResolveNoSuchName), "told a moment ago");
        let other = Reason::new(Code::ConnectRefused, "");
        assert!(report.is_news(1, Some(&other)), "each target has its own");
        assert!(report.is_news(0, None));
        assert!(!news(Code::ConnectRefused) && !report.is_news(0, None), "a streak that breaks flaps too");
        tokio::time::advance(STALE).await;
        assert!(news(Code::ResolveNoSuchName));
        assert!(!news(Code::ResolveNoSuchName));
    }

    #[tokio::test(start_paused = true)]
    async fn many_changes_are_left_to_the_heartbeats() {
        let report = Report::new(Form::Text(text::Text::new(Instant::now(), false)));
        let told = || Code::ALL.iter().filter(|code| report.is_news(0, Some(&Reason::new(**code, "")))).count();
        assert_eq!(told(), CHANGES);
        tokio::time::advance(WINDOW).await;
        assert_eq!(told(), CHANGES);
    }
}
