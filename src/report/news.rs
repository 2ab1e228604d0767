//! What is news: which attempts are worth a line by default.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use tokio::time::Instant;

use crate::event::Event;
use crate::reason::{Code, Hint, Reason};

/// A reason, or a first ready answer, that comes back is not news before this has passed. The heartbeats say what holds
/// now, and a target that flaps must not fill the log.
const STALE: Duration = Duration::from_mins(5);

/// This many changes of one target are printed within [`WINDOW`]; the heartbeats say what changes after that.
///
/// A quarter of an hour of waiting for one target is so at most 40 lines: 30 heartbeats (after 10 s, then every 30 s),
/// these changes, the first line and the last, the warnings of the plan in one, and two that attempts may find
/// (resolv.conf, a password file).
const CHANGES: usize = 5;
const WINDOW: Duration = Duration::from_mins(15);

/// What the lines have said so far, by the target's place in the plan.
#[derive(Default)]
pub(super) struct News(HashMap<usize, Told>);

/// What the lines of one target have said so far.
#[derive(Default)]
struct Told {
    last: Option<Identity>,
    times: HashMap<Identity, Instant>,
    /// When the last changes were printed.
    changes: VecDeque<Instant>,
}

/// What makes a reason another one; `None`: the first of several ready answers.
type Identity = Option<(Code, String, Option<Hint>)>;

impl News {
    /// Whether `event` is worth a line by default. A heartbeat says what holds now, so that it is no news after it.
    pub(super) fn is_new(&mut self, event: &Event<'_>) -> bool {
        match event {
            Event::Attempt { at, outcome: Err(reason), .. } => self.changes(*at, Some(reason)),
            Event::Attempt { at, outcome: Ok(_), in_a_row, .. } => *in_a_row == 1 && self.changes(*at, None),
            Event::Heartbeat(standings) => {
                for (at, standing) in standings.iter().enumerate().filter(|(_, standing)| standing.is_waited_for()) {
                    if let Some(reason) = &standing.reason {
                        self.0.entry(at).or_default().say(identity(Some(reason)));
                    }
                }
                true
            }
            // An exec probe runs every few seconds, and the kubelet shows what it printed: the verdict says it all.
            Event::Start(plan) => !plan.once,
            Event::NotReady { .. } => false,
            _ => true,
        }
    }

    /// Whether `reason` (`None`: a ready answer) is another than the one printed last, and was not printed a moment ago
    /// either.
    fn changes(&mut self, at: usize, reason: Option<&Reason>) -> bool {
        let told = self.0.entry(at).or_default();
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
    use std::cell::RefCell;

    #[tokio::test(start_paused = true)]
    async fn a_change_is_news_and_flapping_is_not() {
        let all = RefCell::new(News::default());
        let news = |code| all.borrow_mut().changes(0, Some(&Reason::new(code, "")));
        assert!(news(Code::ResolveNoSuchName));
        assert!(!news(Code::ResolveNoSuchName));
        assert!(news(Code::ConnectRefused));
        assert!(!news(Code::ResolveNoSuchName), "told a moment ago");
        let other = Reason::new(Code::ConnectRefused, "");
        assert!(all.borrow_mut().changes(1, Some(&other)), "each target has its own");
        assert!(all.borrow_mut().changes(0, None));
        assert!(!news(Code::ConnectRefused) && !all.borrow_mut().changes(0, None), "a streak that breaks flaps too");
        tokio::time::advance(STALE).await;
        assert!(news(Code::ResolveNoSuchName));
        assert!(!news(Code::ResolveNoSuchName));
    }

    #[tokio::test(start_paused = true)]
    async fn many_changes_are_left_to_the_heartbeats() {
        let all = RefCell::new(News::default());
        let told =
            || Code::ALL.iter().filter(|code| all.borrow_mut().changes(0, Some(&Reason::new(**code, "")))).count();
        assert_eq!(told(), CHANGES);
        tokio::time::advance(WINDOW).await;
        assert_eq!(told(), CHANGES);
    }
}
