//! SIGTERM, SIGINT and SIGQUIT as PID 1, before the start, and while a nameserver is silent.

use std::{fs, time::Duration};

use rustix::process::{Signal, kill_process};

use crate::support::{
    Fake, Pod, Run,
    dns::{Answer, Names},
    free_port,
    signals::{handles_signals, interrupted, wait_for},
};

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

/// A signal that comes while waitgate writes its last line before the command. strace holds that write for 600 ms.
#[test]
fn while_the_last_line_is_written() {
    let fake = Fake::silent();
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("log");
    let file = fs::File::create(&log).unwrap();
    let path = log.to_string_lossy().into_owned();
    let held = ["-e", "trace=write", "-e", "inject=write:delay_exit=600000:when=2", "-P", &path];
    let strace = ["strace", "-f", "-qq", "-o", "/dev/null"].into_iter().chain(held);
    let target = format!("tcp:{}", fake.addr);
    let run = Run::new([&target, "--", "sh", "-c", "sleep .4; echo RAN"]).through(strace).stderr_to(file);
    let running = run.start();
    let lines = || fs::read_to_string(&log).unwrap_or_default().lines().count();
    wait_for(|| lines() >= 2);
    kill_process(running.child_pid(), Signal::TERM).unwrap();
    let ended = running.end();
    ended.failure().silent_stdout();
    let log = fs::read_to_string(&log).unwrap();
    assert!(log.lines().last().unwrap_or_default().contains("interrupted by SIGTERM"), "{log}");
}

/// A process that is PID 1 ignores every signal that it has no handler for.
#[test]
fn as_pid_1() {
    for signal in [Signal::TERM, Signal::INT, Signal::QUIT] {
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

#[test]
fn while_a_nameserver_is_silent() {
    let pod = Pod::new();
    let names = Names::start(&pod, |_| Answer::Silence);
    let bounds = ["--attempt-timeout=30s", "--connect-timeout=30s", "dns:db"];
    let running = Run::new(bounds).inside(&pod).start();
    wait_for(|| !names.asked().is_empty());
    let pid = running.pid();
    let (ended, _) = interrupted(running, pid, Signal::TERM);
    assert!(ended.last_line().contains("dns:db"), "{ended}");
}
