//! SIGTERM, SIGINT and SIGQUIT end waitgate with status 1 within 50 ms, whatever it is doing, with a last line and a termination
//! message that say what was still missing.

use std::{fs, os::unix::process::ExitStatusExt as _, time::Duration};

use rustix::process::Signal;
use tempfile::NamedTempFile;

use crate::support::{
    Fake, Run, free_port,
    signals::{handles_signals, interrupted, wait_for},
};

fn log() -> NamedTempFile {
    NamedTempFile::new().expect("must be able to make a temporary file")
}

#[test]
fn while_waiting() {
    for (signal, name) in [(Signal::TERM, "SIGTERM"), (Signal::INT, "SIGINT"), (Signal::QUIT, "SIGQUIT")] {
        let (addr, log) = (free_port(), log());
        let running = Run::new([format!("tcp:{addr}")]).arg("--termination-log").arg(log.path()).start();
        running.line("refused");
        let pid = running.pid();
        let (ended, _) = interrupted(running, pid, signal);
        let last = ended.last_line();
        assert!(last.contains(name) && last.contains(&addr.to_string()), "{ended}");
        let message = fs::read_to_string(log.path()).unwrap();
        assert!(message.contains(&addr.to_string()) && message.contains("refused"), "{message}");
    }
}

/// The promise itself, 50 ms, for the quickest of five.
#[test]
fn promptly() {
    let quickest = (0..5).map(|_| {
        let running = Run::new([format!("tcp:{}", free_port())]).start();
        running.line("refused");
        let pid = running.pid();
        interrupted(running, pid, Signal::TERM).1
    });
    let quickest = quickest.min().unwrap();
    assert!(quickest < Duration::from_millis(50), "{quickest:?}");
}

#[test]
fn in_the_middle_of_an_attempt() {
    let fake = Fake::silent();
    let target = format!("tcp:{}#hold=20s", fake.addr);
    let running = Run::new(["--attempt-timeout=30s", &target]).start();
    wait_for(|| fake.hits() > 0);
    let pid = running.pid();
    let (ended, _) = interrupted(running, pid, Signal::TERM);
    assert!(ended.last_line().contains(&fake.addr.to_string()), "{ended}");
}

/// A server that is silent in whatever is said to it holds up each kind in its own stage.
#[cfg(all(feature = "dns", feature = "http", feature = "postgres", feature = "tls"))]
#[test]
fn in_the_middle_of_every_stage() {
    let fake = Fake::silent();
    let addr = fake.addr;
    for target in [
        format!("http://{addr}/"),
        format!("https://{addr}/"),
        format!("postgres:{addr}"),
        format!("postgres://app:secret@{addr}/app?sslmode=require"),
    ] {
        let before = fake.hits();
        let running = Run::new(["--attempt-timeout=30s", "--connect-timeout=30s", &target]).start();
        wait_for(|| fake.hits() > before);
        let pid = running.pid();
        let (ended, _) = interrupted(running, pid, Signal::TERM);
        assert!(ended.last_line().contains(&addr.to_string()), "{ended}");
        ended.nowhere("secret");
    }
}

#[test]
fn in_the_initial_delay() {
    let (addr, log) = (free_port(), log());
    let running =
        Run::new(["--initial-delay=20s", &format!("tcp:{addr}")]).arg("--termination-log").arg(log.path()).start();
    handles_signals(running.pid());
    let pid = running.pid();
    let (ended, _) = interrupted(running, pid, Signal::TERM);
    assert!(ended.last_line().contains(&addr.to_string()), "{ended}");
    assert!(fs::read_to_string(log.path()).unwrap().contains(&addr.to_string()));
}

/// All is ready by then, but the application has not started: that is no success.
#[test]
fn while_it_settles() {
    let fake = Fake::silent();
    for _ in 0..3 {
        // A random part of 24 hours: less than this test needs once in 17,000 tries.
        let running = Run::new(["--settle=24h", &format!("tcp:{}", fake.addr), "--", "/bin/echo", "ran"]).start();
        running.line("ready");
        let pid = running.pid();
        let (ended, _) = interrupted(running, pid, Signal::INT);
        ended.silent_stdout();
        assert!(ended.last_line().contains("SIGINT"), "{ended}");
    }
}

/// A signal between the last ready answer and the start of the command ends waitgate or the command. It is never
/// swallowed: then the command would run to its end.
#[test]
fn just_before_the_command_starts() {
    let fake = Fake::silent();
    let target = format!("tcp:{}#hold=0", fake.addr);
    for run in 0..250_u64 {
        let running = Run::new([&target, "--", "/bin/sleep", "0.3"]).start();
        running.line("ready");
        // From the line of the target to the first moments of the command.
        std::thread::sleep(Duration::from_micros(run * 4));
        running.signal(Signal::TERM);
        let ended = running.end();
        // The command died of it, or waitgate ended.
        if ended.status.signal() != Some(15) {
            ended.code(1);
        }
    }
}

/// A parent may have blocked the signals. They end waitgate all the same.
#[test]
fn blocked_by_the_parent() {
    for (name, signal) in [("TERM", Signal::TERM), ("INT", Signal::INT), ("QUIT", Signal::QUIT)] {
        let addr = free_port();
        let block = format!("--block-signal={name}");
        let running = Run::new([format!("tcp:{addr}")]).through(["env", &block]).start();
        running.line("refused");
        let pid = running.pid();
        let (ended, _) = interrupted(running, pid, signal);
        assert!(ended.last_line().contains(&format!("interrupted by SIG{name}")), "{ended}");
    }
}

/// The application is on its own: waitgate is gone.
#[test]
fn after_exec_the_command_has_them() {
    let fake = Fake::silent();
    let script = "trap 'echo got it; exit 9' TERM; echo started >&2; while :; do sleep 0.01; done";
    let running = Run::new([&format!("tcp:{}", fake.addr), "--", "/bin/sh", "-c", script]).start();
    running.line("started");
    running.signal(Signal::TERM);
    running.end().code(9).stdout_has("got it");
}

/// What never was asked is missing too.
#[test]
fn names_all_that_is_missing() {
    let (first, second, log) = (free_port(), Fake::silent(), log());
    let running = Run::new([format!("tcp:{first}"), format!("tcp:{}", second.addr)])
        .arg("--termination-log")
        .arg(log.path())
        .start();
    running.line("refused");
    let pid = running.pid();
    interrupted(running, pid, Signal::TERM);
    let message = fs::read_to_string(log.path()).unwrap();
    let at = |addr: &str| message.find(addr).unwrap_or_else(|| panic!("no {addr} in {message}"));
    assert!(at(&first.to_string()) < at(&second.addr.to_string()), "{message}");
}
