//! What a person reads on stderr, and that no run waits for it to be read.

use std::{
    io::{BufRead, BufReader, Read, Write},
    time::Duration,
};

use rustix::{
    fs::{OFlags, fcntl_getfl, fcntl_setfl},
    process::Signal,
};

use crate::support::{Fake, Run, fake::linger, free_port};

/// More than a run of a second takes that nothing holds up, on a busy machine too.
const UNHINDERED: Duration = Duration::from_secs(4);

fn secs(seconds: f64) -> Duration {
    Duration::from_secs_f64(seconds)
}

#[test]
fn one_line_when_a_reason_changes() {
    let addr = free_port();
    let running = Run::new(["-t", "20s", &format!("tcp:{addr}")]).start();
    running.line("refused");
    std::thread::sleep(secs(1.0)); // a handful of attempts that say nothing new
    let closing = Fake::on(addr, drop);
    running.line("closed");
    drop(closing);
    let _open = reopen(addr);
    let ended = running.end();
    ended.success();
    let lines: Vec<_> = ended.stderr.lines().collect();
    ended.expect("few lines", lines.len() <= 7);
    assert!(ended.last_line().contains("ready"), "{ended}");
}

/// The port of a server that just went away, with connections that are still on their way out.
fn reopen(addr: std::net::SocketAddr) -> Fake {
    let limit = std::time::Instant::now() + crate::support::PATIENCE;
    loop {
        match std::net::TcpListener::bind(addr) {
            Ok(listener) => return Fake::of(listener, linger),
            Err(error) => assert!(std::time::Instant::now() < limit, "{error}"),
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn same_reason_is_said_once() {
    let addr = free_port();
    let ended = Run::new(["-t", "1s", &format!("tcp:{addr}")]).end();
    ended.failure();
    // Once when it was new, and once more in the verdict.
    assert!(ended.lines_with("refused") <= 2, "{ended}");
    assert!(ended.last_line().contains(&addr.to_string()), "{ended}");
}

#[test]
fn quiet_leaves_a_failed_runs_verdict() {
    let addr = free_port();
    let ended = Run::new(["-q", "-t", "500ms", &format!("tcp:{addr}")]).end();
    ended.failure().stderr_has(&addr.to_string()).stderr_has("refused");
    assert_eq!(ended.stderr.lines().count(), 1, "{ended}");
    let fake = Fake::silent();
    let ended = Run::new(["-q", &format!("tcp:{}", fake.addr)]).end();
    ended.success().expect("nothing at all", ended.stderr.is_empty());
    let twin = Run::new([format!("tcp:{}", fake.addr)]).env("WAITGATE_QUIET", "true").end();
    twin.success().expect("nothing at all", twin.stderr.is_empty());
}

#[test]
fn verbose_has_a_line_for_each_attempt() {
    let fake = Fake::closing();
    let target = format!("tcp:{}", fake.addr);
    let ended = Run::new(["-v", "-t", "2s", &target]).end();
    ended.failure();
    let hits = fake.hits();
    assert!(hits > 3, "{ended}");
    // The last attempt may have been cut off by the deadline; the verdict is a line too.
    let lines = ended.lines_with(&fake.addr.to_string());
    assert!(lines >= hits, "{lines} lines for {hits} attempts: {ended}");
}

#[test]
fn stdout_stays_empty() {
    let fake = Fake::silent();
    Run::new(["-v", &format!("tcp:{}", fake.addr)]).end().success().silent_stdout();
    Run::new(["-v", "--once", &format!("tcp:{}", free_port())]).end().failure().silent_stdout();
}

#[test]
fn closed_stderr_changes_nothing() {
    let fake = Fake::silent();
    let ready = format!("tcp:{}", fake.addr);
    for close in [r#"exec "$@" 2>&-"#, r#"exec "$@" 1>&- 2>&-"#, r#"exec "$@" 0<&- 1>&- 2>&-"#] {
        Run::new(["-v", &ready]).shell(close).end().success();
        Run::new(["-v", "-t", "300ms", &format!("tcp:{}", free_port())])
            .shell(close)
            .end()
            .failure()
            .took(secs(0.3)..UNHINDERED);
        Run::new(["tcp:h"]).shell(close).end().failure();
    }
    // Descriptor 2 must not have become a socket of ours, into which the command then writes.
    let target = format!("{ready}#hold=0");
    let ended = Run::new(["-v", &target, "--", "/bin/sh", "-c", "readlink /proc/self/fd/2 || echo none"])
        .shell(r#"exec "$@" 2>&-"#)
        .env("PATH", "/usr/bin:/bin")
        .end();
    ended.success().expect("nothing behind descriptor 2", ["/dev/null", "none"].contains(&ended.stdout.trim()));
}

/// `waitgate … 2>&1 | head -1`
#[test]
fn stderr_that_breaks_changes_nothing() {
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let ended = Run::new(["-v", "-t", "300ms", &format!("tcp:{}", free_port())]).stderr_to(writer).end();
    ended.failure().took(secs(0.3)..UNHINDERED);
    let fake = Fake::silent();
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    Run::new(["-v", &format!("tcp:{}", fake.addr)]).stderr_to(writer).end().success();
}

/// A pipe without room, which is not read.
fn full_pipe() -> (std::io::PipeReader, std::io::PipeWriter) {
    let (reader, mut writer) = std::io::pipe().unwrap();
    let flags = fcntl_getfl(&writer).unwrap();
    fcntl_setfl(&writer, flags | OFlags::NONBLOCK).unwrap();
    while writer.write(&[b'x'; 4096]).is_ok() {}
    while writer.write(b"x").is_ok() {}
    fcntl_setfl(&writer, flags).unwrap();
    (reader, writer)
}

#[test]
fn full_pipe_holds_nothing_up() {
    let (_reader, writer) = full_pipe();
    let ended = Run::new(["-v", "-t", "500ms", &format!("tcp:{}", free_port())]).stderr_to(writer).end();
    ended.failure().took(secs(0.5)..UNHINDERED);
    let fake = Fake::silent();
    let (_reader, writer) = full_pipe();
    Run::new(["-v", &format!("tcp:{}", fake.addr)]).stderr_to(writer).end().success();
    let (_reader, writer) = full_pipe();
    Run::new(["tcp:h"]).stderr_to(writer).end().failure().took(secs(0.0)..UNHINDERED);
    let (_reader, writer) = full_pipe();
    let running = Run::new(["-v", &format!("tcp:{}", free_port())]).stderr_to(writer).start();
    std::thread::sleep(secs(0.5));
    running.signal(Signal::TERM);
    running.end().failure().took(secs(0.5)..UNHINDERED);
}

/// The last line waits a moment for a reader that is slow, and not for one that never reads.
#[test]
fn the_last_line_waits_for_a_slow_reader() {
    for _ in 0..5 {
        let (mut reader, writer) = full_pipe();
        let slow = std::thread::spawn(move || {
            let (mut piece, mut last) = ([0; 4096], Vec::new());
            loop {
                std::thread::sleep(Duration::from_millis(8));
                match reader.read(&mut piece) {
                    Ok(0) | Err(_) => return last,
                    Ok(read) => last = piece[..read].to_vec(),
                }
            }
        });
        Run::new(["tcp:h"]).stderr_to(writer).end().failure().took(secs(0.0)..UNHINDERED);
        let last = String::from_utf8(slow.join().unwrap()).unwrap();
        assert!(last.ends_with("(expected tcp:HOST:PORT)\n"), "{last}");
    }
}

/// What was lost is said before the next line that can be written, and in lines of its own.
#[test]
fn lines_that_were_lost_are_counted() {
    for format in ["text", "json"] {
        let (reader, writer) = full_pipe();
        let target = format!("tcp:{}", free_port());
        let args = ["-v", "--max-pause=20ms", "--log-format", format, &target];
        let running = Run::new(args).stderr_to(writer).start();
        std::thread::sleep(secs(0.5));
        let mut lines = BufReader::new(reader).lines().map(|line| line.unwrap());
        // All that made it full is one line with what comes first.
        let first = lines.next().unwrap().trim_start_matches('x').to_owned();
        let second = lines.next().unwrap();
        running.signal(Signal::TERM);
        running.end().failure();
        let all: Vec<String> = [first, second].into_iter().chain(lines).collect();
        assert!(all[0].contains(" lines were lost while stderr was full"), "{all:?}");
        if format == "json" {
            let objects: Vec<serde_json::Value> =
                all.iter().map(|line| serde_json::from_str(line).unwrap_or_else(|_| panic!("{line}"))).collect();
            assert_eq!((&objects[0]["event"], &objects[1]["event"]), (&"warning".into(), &"attempt".into()));
            assert_eq!(objects.last().unwrap()["event"], "verdict");
        } else {
            assert!(all[0].starts_with("warning: ") && all[1].contains(&target), "{all:?}");
            assert!(all.last().unwrap().starts_with("waitgate: interrupted by SIGTERM"), "{all:?}");
        }
    }
}

/// The command inherits the file, and must find it as it was.
#[test]
fn stderr_is_never_made_nonblocking() {
    let (mut reader, writer) = std::io::pipe().unwrap();
    let watched = writer.try_clone().unwrap();
    let fake = Fake::silent();
    let target = format!("tcp:{}", fake.addr);
    Run::new(["-v", &target, "--", "/bin/sh", "-c", "echo from the command >&2"]).stderr_to(writer).end().success();
    assert!(!fcntl_getfl(&watched).unwrap().contains(OFlags::NONBLOCK));
    drop(watched);
    let mut text = String::new();
    reader.read_to_string(&mut text).unwrap();
    assert!(text.ends_with("from the command\n"), "{text}");
}

#[test]
fn an_initial_delay_is_announced() {
    let fake = Fake::silent();
    let ended = Run::new(["--initial-delay=200ms", &format!("tcp:{}", fake.addr)]).end();
    ended.success().stderr_says("waiting for 1 target, for up to 15m, the first attempt after 200ms");
}

/// More is missing than a line can name. Of a log the kubelet shows the last 2048 bytes, where there is no termination
/// message: what begins the last line must be among them.
#[test]
fn the_last_line_fits_into_what_the_kubelet_keeps_of_a_log() {
    let targets = (0..400).map(|n| format!("tcp:127.0.0.1:{}", n + 1));
    let options = ["-q", "--initial-delay=1h", "-t", "0"].map(str::to_owned);
    let running = Run::new(options.into_iter().chain(targets)).start();
    std::thread::sleep(secs(0.5));
    running.signal(Signal::TERM);
    let ended = running.end();
    let line = ended.failure().stderr.trim_end();
    ended.expect("one line of at most 2048 bytes, the rest counted", line.ends_with(" more") && line.len() < 2048);
    assert!(line.starts_with("waitgate: interrupted by SIGTERM after ") && line.len() > 2000, "{ended}");
}

/// A target that is given twice is two.
#[test]
fn each_target_has_its_own_line() {
    let target = format!("tcp:{}", free_port());
    let ended = Run::new(["--parallel", "-t", "300ms", &target, &target]).end();
    ended.failure();
    let changes = ended.stderr.lines().filter(|line| line.contains(&format!("  {target}  refused"))).count();
    ended.expect("a line for each", changes == 2);
}

/// A process may have very few file descriptors. waitgate says so, and is never at fault.
#[test]
fn few_file_descriptors_are_an_error_or_a_reason() {
    let closed = format!("tcp:{}", free_port());
    for few in 4..=12 {
        let script = format!(r#"ulimit -n {few}; exec "$@""#);
        let ended = Run::new(["--once", "--parallel", &closed, &closed]).shell(&script).end();
        ended.failure().nowhere("internal error");
        let said = ["too many open files", "no file descriptor left", "refused"];
        ended.expect("a reason", said.iter().any(|words| ended.last_line().contains(words)));
    }
}
