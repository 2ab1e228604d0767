//! A target that hangs, and what a run makes of it.

use std::{ops::Range, time::Duration};

use super::{
    Pod, Run,
    run::{Ended, Running},
};

/// When a run with this deadline ends. One that its deadline did not cut would take 20 s; a busy machine makes one
/// late by less than this.
pub(crate) fn soon_after(deadline: Duration) -> Range<Duration> {
    deadline..deadline + Duration::from_secs(1)
}

/// Runs against a target that hangs, with a deadline of 1 s.
#[track_caller]
pub(crate) fn hangs(target: &str, says: &[&str]) -> [Ended; 2] {
    both(Duration::from_secs(1), says, |options| Run::new(options).arg(target))
}

/// The same in a Pod, with one of 2 s: a connection attempt alone may take 1 s there.
#[track_caller]
pub(crate) fn hangs_in(pod: &Pod, target: &str, says: &[&str]) -> [Ended; 2] {
    both(Duration::from_secs(2), says, |options| Run::new(options).arg(target).inside(pod))
}

/// Runs twice, and checks the time; `says` is in the verdict both times.
#[track_caller]
fn both(deadline: Duration, says: &[&str], run: impl Fn(&[&str]) -> Run) -> [Ended; 2] {
    let timeout = format!("--timeout={}s", deadline.as_secs());
    // The bounds of one attempt are off in the second run, so that the deadline itself has to cut one.
    let runs = [run(&[&timeout]), run(&[&timeout, "--attempt-timeout=20s", "--connect-timeout=20s"])];
    let ended = runs.map(Run::start).map(Running::end);
    for run in &ended {
        run.failure().took(soon_after(deadline));
        let verdict = run.last_line().to_lowercase();
        for text in says {
            run.expect(&format!("{text:?} in the last line"), verdict.contains(&text.to_lowercase()));
        }
    }
    ended
}
