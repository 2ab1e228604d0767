//! What is news: which attempts get a line by default.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use tokio::time::Instant;

use crate::event::Event;
use crate::reason::{Code, Hint, Reason};

/// A reason (or a first ready answer) that was printed is news again only after this time. The heartbeats say what is
/// true now, and a target that goes back and forth must not fill the log.
const REPEAT_AFTER: Duration = Duration::from_mins(5);

/// How many changes of one target are printed within [`WINDOW`]. The heartbeats report the later ones.
///
/// So 15 minutes of waiting for one target give at most 40 lines: 30 heartbeats (after 10 s, then every 30 s), these
/// changes, the first line and the last, one line with the warnings of the plan, and two warnings from attempts
/// (resolv.conf, a password file).
const CHANGES_MAX: usize = 5;
const WINDOW: Duration = Duration::from_mins(15);

/// What was printed so far, by the target's place in the plan.
#[derive(Default)]
pub(super) struct News(HashMap<usize, Told>);

/// What was printed so far about one target.
#[derive(Default)]
struct Told {
    last: Option<Identity>,
    times: HashMap<Identity, Instant>,
    /// When the last changes were printed.
    changes: VecDeque<Instant>,
}

/// What makes two reasons different. `None` is the first of several ready answers.
type Identity = Option<(Code, String, Option<Hint>)>;

impl News {
    /// Whether `event` gets a line by default. What a heartbeat has said is not news after it.
    pub(super) fn is_new(&mut self, event: &Event<'_>) -> bool {
        match event {
            Event::Attempt { at, outcome: Err(reason), .. } => self.changes(*at, Some(reason)),
            Event::Attempt { at, outcome: Ok(_), in_a_row, .. } => *in_a_row == 1 && self.changes(*at, None),
            Event::Heartbeat(standings) => {
                for (at, standing) in standings.iter().enumerate().filter(|(_, standing)| standing.is_waited_for()) {
                    if let Some(reason) = &standing.reason {
                        self.0.entry(at).or_default().record(identity(Some(reason)));
                    }
                }
                true
            }
            // An exec probe runs every few seconds, and the kubelet shows its output. The verdict is enough.
            Event::Start(plan) => !plan.once,
            Event::NotReady { .. } => false,
            _ => true,
        }
    }

    /// Whether `reason` (`None`: a ready answer) differs from the last one that was printed, and was not printed within
    /// [`REPEAT_AFTER`].
    fn changes(&mut self, at: usize, reason: Option<&Reason>) -> bool {
        let told = self.0.entry(at).or_default();
        let identity = identity(reason);
        let now = Instant::now();
        let recent = told.times.get(&identity).is_some_and(|at| now - *at < REPEAT_AFTER);
        while told.changes.front().is_some_and(|at| now - *at >= WINDOW) {
            told.changes.pop_front();
        }
        if told.last.as_ref() == Some(&identity) || recent || told.changes.len() >= CHANGES_MAX {
            return false;
        }
        told.changes.push_back(now);
        told.record(identity);
        true
    }
}

impl Told {
    /// Notes that a line has said this.
    fn record(&mut self, identity: Identity) {
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
    use std::cell::RefCell;

    #[tokio::test(start_paused = true)]
    async fn a_change_is_news_and_flapping_is_not() {
        let all = RefCell::new(News::default());
        let news = |code| all.borrow_mut().changes(0, Some(&Reason::new(code, "")));
        assert!(news(Code::ResolveNoSuchName));
        assert!(!news(Code::ResolveNoSuchName));
        assert!(news(Code::ConnectRefused));
        assert!(!news(Code::ResolveNoSuchName), "printed a moment ago");
        let other = Reason::new(Code::ConnectRefused, "");
        assert!(all.borrow_mut().changes(1, Some(&other)), "each target has its own");
        assert!(all.borrow_mut().changes(0, None));
        assert!(
            !news(Code::ConnectRefused) && !all.borrow_mut().changes(0, None),
            "a ready answer that was printed a moment ago"
        );
        tokio::time::advance(REPEAT_AFTER).await;
        assert!(news(Code::ResolveNoSuchName));
        assert!(!news(Code::ResolveNoSuchName));
    }

    #[tokio::test(start_paused = true)]
    async fn many_changes_are_left_to_the_heartbeats() {
        let all = RefCell::new(News::default());
        let told =
            || Code::ALL.iter().filter(|code| all.borrow_mut().changes(0, Some(&Reason::new(**code, "")))).count();
        assert_eq!(told(), CHANGES_MAX);
        tokio::time::advance(WINDOW).await;
        assert_eq!(told(), CHANGES_MAX);
    }
}
