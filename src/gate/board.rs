//! The board: where each target is. It outlives the attempts that write on it.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use tokio::time::Instant;

use crate::attempt::Attempt;
use crate::event::Standing;
use crate::kind::Ready;
use crate::plan::{Plan, Planned};
use crate::reason::Reason;

/// If the running attempt has already taken this much longer than the last one, it is reported instead of the last
/// reason.
const OVERDUE: Duration = Duration::from_millis(500);

/// Where each target is, in the order of the plan.
#[derive(Default)]
pub(crate) struct Board(RefCell<Vec<Row>>);

#[derive(Default)]
struct Row {
    attempts: u32,
    last: Option<Reason>,
    /// How long the last attempt took.
    took: Duration,
    running: Option<Rc<Attempt>>,
    ready: bool,
    /// Ready answers in a row.
    streak: u32,
    begun: Option<Instant>,
}

impl Row {
    /// Why the target is not ready now.
    ///
    /// This is the reason of the last attempt that has ended. If the running attempt has come further, or has already
    /// taken much longer than the last one, its reason is returned instead.
    fn reason(&self) -> Option<Reason> {
        let tells = |attempt: &&Rc<Attempt>| {
            let took = attempt.started().elapsed();
            match &self.last {
                None => self.streak == 0 || took >= OVERDUE + self.took,
                Some(last) => took >= OVERDUE && (attempt.stage() > last.stage() || took >= OVERDUE + self.took),
            }
        };
        match self.running.as_ref().filter(tells) {
            Some(attempt) => Some(attempt.cut_off()),
            None => self.last.clone(),
        }
    }
}

impl Board {
    pub(crate) fn new(plan: &Plan) -> Self {
        Self(RefCell::new(plan.targets.iter().map(|_| Row::default()).collect()))
    }

    /// Where every target is now, in declared order.
    pub(crate) fn standings(&self, plan: &Plan) -> Vec<Standing> {
        let standing = |(planned, row): (&Planned, &Row)| Standing {
            target: planned.shown.clone(),
            attempts: row.attempts,
            waited: row.begun.map(|begun| begun.elapsed()),
            ready: row.ready,
            in_a_row: row.streak,
            successes: planned.successes,
            reason: if row.ready { None } else { row.reason() },
        };
        plan.targets.iter().zip(self.0.borrow().iter()).map(standing).collect()
    }

    /// The target's next attempt begins. Returns its number, from 1.
    pub(super) fn begin(&self, at: usize, attempt: &Rc<Attempt>) -> u32 {
        let row = &mut self.0.borrow_mut()[at];
        row.attempts += 1;
        row.begun.get_or_insert(attempt.started());
        row.running = Some(Rc::clone(attempt));
        row.attempts
    }

    /// The running attempt has said why the target is not ready, and goes on.
    pub(super) fn told(&self, at: usize, attempt: &Attempt, reason: &Reason) {
        let row = &mut self.0.borrow_mut()[at];
        row.took = attempt.started().elapsed();
        row.last = Some(reason.clone());
        row.streak = 0;
    }

    /// The running attempt has ended. Returns the number of ready answers in a row.
    pub(super) fn end(&self, at: usize, attempt: &Attempt, outcome: &Result<Ready, Reason>) -> u32 {
        let row = &mut self.0.borrow_mut()[at];
        row.running = None;
        row.took = attempt.started().elapsed();
        row.last = outcome.as_ref().err().cloned();
        row.streak = match outcome {
            Ok(_) => row.streak + 1,
            Err(reason) if reason.is_undecided() => row.streak,
            Err(_) => 0,
        };
        row.streak
    }

    /// The running attempt is dropped, and counts for nothing.
    pub(super) fn forget(&self, at: usize) {
        self.0.borrow_mut()[at] = Row::default();
    }

    /// The target is ready. Returns how many attempts it took, and the time since the first began.
    pub(super) fn ready(&self, at: usize) -> (u32, Duration) {
        let row = &mut self.0.borrow_mut()[at];
        row.ready = true;
        (row.attempts, row.begun.map(|begun| begun.elapsed()).unwrap_or_default())
    }
}
