//! A signal to a run, and how soon the run ends.

use std::{
    fs,
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process};

use super::{
    PATIENCE,
    run::{Ended, Running},
};

/// Signals `pid` and waits for the end. A machine that is busy with other things may be late once,
/// so what is asserted is generous; the best of a few is asserted further down.
#[track_caller]
pub(crate) fn interrupted(running: Running, pid: Pid, signal: Signal) -> (Ended, Duration) {
    let sent = Instant::now();
    kill_process(pid, signal).unwrap();
    let ended = running.end();
    let took = sent.elapsed();
    ended.failure();
    assert!(took < Duration::from_millis(500), "{took:?} after the signal: {ended}");
    (ended, took)
}

/// Waits until the process has its handlers.
#[track_caller]
pub(crate) fn handles_signals(pid: Pid) {
    let caught = || {
        let status = fs::read_to_string(format!("/proc/{}/status", pid.as_raw_nonzero())).unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix("SigCgt:")).unwrap_or_default().trim().to_owned();
        u64::from_str_radix(&line, 16).unwrap_or_default()
    };
    // SIGINT is 2, SIGTERM is 15.
    wait_for(|| caught() & (1 << 1 | 1 << 14) == (1 << 1 | 1 << 14));
}

#[track_caller]
pub(crate) fn wait_for(holds: impl Fn() -> bool) {
    let limit = Instant::now() + PATIENCE;
    while !holds() {
        assert!(Instant::now() < limit, "this should have happened by now");
        std::thread::sleep(Duration::from_millis(2));
    }
}
