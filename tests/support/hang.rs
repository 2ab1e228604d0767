//! A target that hangs, and what a run makes of it.

use std::time::Duration;

use super::{
    Pod, Run,
    run::{Ended, Running},
};

/// The deadline of each run.
pub(crate) const DEADLINE: Duration = Duration::from_secs(2);

/// A run that its deadline did not cut would take 20 s; a busy machine makes one late by less than this.
pub(crate) const LATE: Duration = Duration::from_secs(3);

/// The bound of one attempt is off in half of the runs, so that the deadline itself has to cut one.
const BOUNDS: [&[&str]; 2] = [&["--timeout=2s"], &["--timeout=2s", "--attempt-timeout=20s", "--connect-timeout=20s"]];

/// Runs against a target that hangs, and checks the time; `says` is in the verdict both times.
#[track_caller]
pub(crate) fn hangs(target: &str, pod: Option<&Pod>, says: &[&str]) -> [Ended; 2] {
    let running = BOUNDS.map(|bounds| {
        let run = Run::new(bounds).arg(target);
        pod.map_or_else(|| Run::new(bounds).arg(target), |pod| run.inside(pod)).start()
    });
    let ended = running.map(Running::end);
    for run in &ended {
        run.failure().took(DEADLINE..LATE);
        let verdict = run.last_line().to_lowercase();
        for text in says {
            run.expect(&format!("{text:?} in the last line"), verdict.contains(&text.to_lowercase()));
        }
    }
    ended
}
