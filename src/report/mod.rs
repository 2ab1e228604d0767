//! Events → what a person reads.

pub mod lines;
pub mod termination;
pub mod text;
pub mod words;

use std::cell::RefCell;
use std::collections::HashMap;
use std::time::Duration;

use tokio::time::Instant;
use tracing::Level;

use crate::plan::Plan;
use crate::reason::{Code, Reason};
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
    /// It still waits.
    Heartbeat {
        /// The target as shown.
        target: &'a str,
        /// Attempts begun.
        attempt: u32,
        /// Since its first attempt.
        waited: Duration,
        /// Why, as of now.
        reason: Option<&'a Reason>,
    },
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

/// A reason that comes back is not news before this.
const STALE: Duration = Duration::from_secs(30);

/// The log of one run: which events are lines, and at which level.
pub struct Report {
    text: text::Text,
    told: RefCell<HashMap<String, Told>>,
}

/// What a target's lines have said so far.
#[derive(Default)]
struct Told {
    last: Option<Identity>,
    times: HashMap<Identity, Instant>,
}

/// A reason's code and key.
type Identity = (Code, String);

impl Report {
    /// A report that makes its lines by `text`.
    #[must_use]
    pub fn new(text: text::Text) -> Self {
        Self { text, told: RefCell::default() }
    }

    /// Makes a line of `event`. Its level decides whether it is printed: a change is worth a line by default,
    /// an attempt that ended as the one before only with -v.
    pub fn tell(&self, event: &Event<'_>) {
        let level = match event {
            Event::Attempt { target, outcome: Err(reason), .. } if !self.is_news(target, reason) => Level::DEBUG,
            Event::Attempt { outcome: Ok(_), in_a_row: 2.., .. } => Level::DEBUG,
            // An exec probe runs every few seconds, and the kubelet shows what it printed: the verdict says it all.
            Event::Start(plan) if plan.once => Level::DEBUG,
            Event::NotReady { .. } => Level::DEBUG,
            Event::Warning(_) => Level::WARN,
            Event::Verdict { verdict: Verdict::Ready, .. } => Level::INFO,
            Event::Verdict { .. } => Level::ERROR,
            _ => Level::INFO,
        };
        if let Event::Heartbeat { target, reason: Some(reason), .. } = event {
            self.is_news(target, reason);
        }
        match level {
            Level::ERROR => tracing::error!(target: lines::OURS, "{}", self.text.line(event)),
            Level::WARN => tracing::warn!(target: lines::OURS, "{}", self.text.line(event)),
            Level::DEBUG => tracing::debug!(target: lines::OURS, "{}", self.text.line(event)),
            _ => tracing::info!(target: lines::OURS, "{}", self.text.line(event)),
        }
    }

    /// Whether `reason` is another than the one last told, and was not told a moment ago either: a target that
    /// flaps between two reasons would else fill the log.
    fn is_news(&self, target: &str, reason: &Reason) -> bool {
        let mut all = self.told.borrow_mut();
        let told = all.entry(target.to_owned()).or_default();
        let (code, key) = reason.identity();
        let identity = (code, key.to_owned());
        let now = Instant::now();
        let recent = told.times.get(&identity).is_some_and(|at| now - *at < STALE);
        if told.last.as_ref() == Some(&identity) || recent {
            return false;
        }
        told.times.insert(identity.clone(), now);
        told.last = Some(identity);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_change_is_news_and_flapping_is_not() {
        let report = Report::new(text::Text::new(Instant::now(), false));
        let news = |code| report.is_news("tcp:a:1", &Reason::new(code, ""));
        assert!(news(Code::ResolveNoSuchName));
        assert!(!news(Code::ResolveNoSuchName));
        assert!(news(Code::ConnectRefused));
        assert!(!news(Code::ResolveNoSuchName), "told a moment ago");
        assert!(report.is_news("tcp:b:1", &Reason::new(Code::ConnectRefused, "")), "each target has its own");
        tokio::time::advance(STALE).await;
        assert!(news(Code::ResolveNoSuchName));
        assert!(!news(Code::ResolveNoSuchName));
    }
}
