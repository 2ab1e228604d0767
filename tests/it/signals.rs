//! SIGTERM and SIGINT end it with status 1 within 50 ms, as PID 1 too, whatever it is doing, with a
//! last line and a termination message that say what was still missing.

use std::{
    fs,
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process};
use tempfile::NamedTempFile;

use crate::support::{
    Fake, Pod, Run,
    dns::{Answer, Names},
    free_port,
    run::{Ended, Running},
};

/// Signals `pid` and waits for the end. A machine that is busy with other things may be late once,
/// so what is asserted is generous; the best of a few is asserted further down.
#[track_caller]
fn interrupted(running: Running, pid: Pid, signal: Signal) -> (Ended, Duration) {
    let sent = Instant::now();
    kill_process(pid, signal).unwrap();
    let ended = running.end();
    let took = sent.elapsed();
    ended.failure();
    assert!(took < Duration::from_millis(500), "{took:?} after the signal: {ended}");
    (ended, took)
}

fn log() -> NamedTempFile {
    NamedTempFile::new().expect("must be able to make a temporary file")
}

#[test]
fn while_waiting() {
    for (signal, name) in [(Signal::TERM, "SIGTERM"), (Signal::INT, "SIGINT")] {
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

/// Before anything is probed: while the files are read that the options name.
#[cfg(feature = "tls")]
#[test]
fn before_the_start() {
    let authority = crate::support::web::Authority::new();
    let path = authority.file().to_string_lossy().into_owned();
    // The kernel takes three seconds to open that file.
    let slowly = ["-e", "trace=openat", "-e", "inject=openat:delay_enter=3000000", "-P", &path];
    let strace = ["strace", "-f", "-qq", "-o", "/dev/null"].into_iter().chain(slowly);
    let running = Run::new(["--ca-file", &path, &format!("tcp:{}", free_port())]).through(strace).start();
    let binary = || fs::read_to_string(format!("/proc/{0}/task/{0}/children", running.pid().as_raw_nonzero()));
    let catches_sigterm = || {
        let status = fs::read_to_string(format!("/proc/{}/status", binary().unwrap_or_default().trim()));
        let status = status.unwrap_or_default();
        let caught = status.lines().find_map(|line| line.strip_prefix("SigCgt:")).unwrap_or("0");
        u64::from_str_radix(caught.trim(), 16).is_ok_and(|caught| caught >> (15 - 1) & 1 == 1)
    };
    wait_for(catches_sigterm);
    kill_process(running.child_pid(), Signal::TERM).unwrap();
    let ended = running.end();
    ended.failure().took(Duration::from_secs(2)..crate::support::PATIENCE);
    assert!(ended.last_line().contains("interrupted by SIGTERM"), "{ended}");
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
    let pod = Pod::new();
    let names = Names::start(&pod, |_| Answer::Silence);
    let bounds = ["--attempt-timeout=30s", "--connect-timeout=30s", "dns:db"];
    let running = Run::new(bounds).inside(&pod).start();
    wait_for(|| !names.asked().is_empty());
    let pid = running.pid();
    let (ended, _) = interrupted(running, pid, Signal::TERM);
    assert!(ended.last_line().contains("dns:db"), "{ended}");
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

/// A process that is PID 1 ignores every signal that it has no handler for.
#[test]
fn as_pid_1() {
    for signal in [Signal::TERM, Signal::INT] {
        let addr = free_port();
        let running = Run::new([format!("tcp:{addr}")])
            .through(["unshare", "--pid", "--fork", "--kill-child", "--mount-proc"])
            .start();
        running.line("refused");
        let pid = running.child_pid();
        let status = fs::read_to_string(format!("/proc/{}/status", pid.as_raw_nonzero())).unwrap();
        let inside = status.lines().find(|line| line.starts_with("NSpid:")).unwrap();
        assert!(inside.ends_with("\t1"), "{inside}");
        let (ended, _) = interrupted(running, pid, signal);
        assert!(ended.last_line().contains(&addr.to_string()), "{ended}");
    }
}

/// From the first instruction on: the kubelet may take a Pod back at any time.
#[test]
fn as_pid_1_in_the_initial_delay() {
    let running = Run::new(["--initial-delay=20s", &format!("tcp:{}", free_port())])
        .through(["unshare", "--pid", "--fork", "--kill-child", "--mount-proc"])
        .start();
    let child = || fs::read_to_string(format!("/proc/{0}/task/{0}/children", running.pid().as_raw_nonzero()));
    wait_for(|| child().is_ok_and(|children| !children.trim().is_empty()));
    let pid = running.child_pid();
    handles_signals(pid);
    interrupted(running, pid, Signal::TERM);
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

/// Waits until the process has its handlers.
#[track_caller]
fn handles_signals(pid: Pid) {
    let caught = || {
        let status = fs::read_to_string(format!("/proc/{}/status", pid.as_raw_nonzero())).unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix("SigCgt:")).unwrap_or_default().trim().to_owned();
        u64::from_str_radix(&line, 16).unwrap_or_default()
    };
    // SIGINT is 2, SIGTERM is 15.
    wait_for(|| caught() & (1 << 1 | 1 << 14) == (1 << 1 | 1 << 14));
}

#[track_caller]
fn wait_for(holds: impl Fn() -> bool) {
    let limit = Instant::now() + crate::support::PATIENCE;
    while !holds() {
        assert!(Instant::now() < limit, "this should have happened by now");
        std::thread::sleep(Duration::from_millis(2));
    }
}
