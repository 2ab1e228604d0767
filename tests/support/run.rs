//! One run of the binary. When an expectation about it fails, the test prints the command, the
//! status, the time it took, stdout and stderr.

use std::{
    ffi::{OsStr, OsString},
    fmt::Write as _,
    ops::Range,
    os::{fd::OwnedFd, unix::process::CommandExt},
    process::{Child, Command, ExitStatus, Stdio},
    sync::mpsc::{self, Receiver},
    thread,
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process, kill_process_group, waitid};

use super::{PATIENCE, Pod, stream::Stream, tool};

/// A run that has not been started yet. Its environment is empty but for what [`Run::env`] adds.
pub(crate) struct Run {
    binary: OsString,
    before: Vec<OsString>,
    args: Vec<OsString>,
    env: Vec<(OsString, OsString)>,
    stderr: Option<OwnedFd>,
}

impl Run {
    pub(crate) fn new<I>(args: I) -> Self
    where
        I: IntoIterator<Item: AsRef<OsStr>>,
    {
        Self::program(env!("CARGO_BIN_EXE_waitgate"), args)
    }

    /// A copy of the binary, at a place that others may read.
    pub(crate) fn program<I>(binary: impl AsRef<OsStr>, args: I) -> Self
    where
        I: IntoIterator<Item: AsRef<OsStr>>,
    {
        Self {
            binary: binary.as_ref().to_owned(),
            before: Vec::new(),
            args: args.into_iter().map(|arg| arg.as_ref().to_owned()).collect(),
            env: Vec::new(),
            stderr: None,
        }
    }

    pub(crate) fn arg(mut self, arg: impl AsRef<OsStr>) -> Self {
        self.args.push(arg.as_ref().to_owned());
        self
    }

    pub(crate) fn env(mut self, name: impl AsRef<OsStr>, value: impl AsRef<OsStr>) -> Self {
        self.env.push((name.as_ref().to_owned(), value.as_ref().to_owned()));
        self
    }

    /// Puts a command that ends in `exec "$@"`, or that runs its arguments, before the binary. The
    /// first one given is the outermost.
    pub(crate) fn through<I>(mut self, words: I) -> Self
    where
        I: IntoIterator<Item: AsRef<OsStr>>,
    {
        let mut words = words.into_iter();
        let program = words.next().expect("a command to run through");
        let program = program.as_ref().to_str().expect("a plain program name");
        self.before.push(tool(program).into_os_string());
        self.before.extend(words.map(|word| word.as_ref().to_owned()));
        self
    }

    /// Runs inside the network and the `/etc` of a [`Pod`].
    pub(crate) fn inside(self, pod: &Pod) -> Self {
        self.through(pod.enter_all())
    }

    /// Runs under `sh -c '<script> exec "$@"'`: redirections and traps that only a shell can set up.
    pub(crate) fn shell(self, script: &str) -> Self {
        self.through(["sh", "-c", script, "sh"])
    }

    /// Sends stderr into a file or a pipe of the test's own instead of reading it.
    pub(crate) fn stderr_to(mut self, fd: impl Into<OwnedFd>) -> Self {
        self.stderr = Some(fd.into());
        self
    }

    #[track_caller]
    pub(crate) fn start(self) -> Running {
        let mut words = self.before;
        words.push(self.binary);
        words.extend(self.args);

        let mut shown = String::new();
        for (name, value) in &self.env {
            let _ = write!(shown, "{}={:?} ", name.display(), value.to_string_lossy());
        }
        for word in &words {
            let _ = write!(shown, "{:?} ", word.to_string_lossy());
        }

        let started = Instant::now();
        let mut child = Command::new(&words[0])
            .args(&words[1..])
            .env_clear()
            .envs(self.env)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(self.stderr.map_or_else(Stdio::piped, Stdio::from))
            // A group of its own, so that a wrapper such as strace does not leave the binary behind.
            .process_group(0)
            .spawn()
            .unwrap_or_else(|error| panic!("cannot start {shown}: {error}"));
        Running {
            exit: watch(Pid::from_child(&child)),
            stdout: child.stdout.take().map(Stream::read).unwrap_or_default(),
            stderr: child.stderr.take().map(Stream::read).unwrap_or_default(),
            child,
            shown,
            started,
        }
    }

    /// Starts it and waits for its end.
    #[track_caller]
    pub(crate) fn end(self) -> Ended {
        self.start().end()
    }
}

/// A run that has been started. Dropping it kills it.
pub(crate) struct Running {
    child: Child,
    exit: Receiver<Instant>,
    shown: String,
    started: Instant,
    stdout: Stream,
    stderr: Stream,
}

impl Running {
    pub(crate) fn pid(&self) -> Pid {
        Pid::from_child(&self.child)
    }

    /// The only child of the process that was started: the binary, when it runs through a wrapper
    /// that forks.
    #[track_caller]
    pub(crate) fn child_pid(&self) -> Pid {
        let pid = self.pid().as_raw_nonzero();
        let children = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
        let child = children.split_whitespace().next().and_then(|raw| raw.parse().ok());
        child.and_then(Pid::from_raw).unwrap_or_else(|| panic!("no child yet: {self}"))
    }

    /// Waits until a whole line with `text` in it is on stderr, and returns the line.
    #[track_caller]
    pub(crate) fn line(&self, text: &str) -> String {
        self.stderr
            .line(text, PATIENCE)
            .unwrap_or_else(|| panic!("no line with {text:?} on stderr within {PATIENCE:?}: {self}"))
    }

    /// The whole lines on stderr so far.
    pub(crate) fn lines(&self) -> Vec<String> {
        let text = self.stderr.text();
        let whole = text.rfind('\n').map_or("", |end| &text[..end]);
        whole.lines().map(str::to_owned).collect()
    }

    /// Whether it has ended by now.
    pub(crate) fn has_ended(&self) -> bool {
        let options = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT | WaitIdOptions::NOHANG;
        matches!(waitid(WaitId::Pid(self.pid()), options), Ok(Some(_)))
    }

    #[track_caller]
    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(self.pid(), signal).unwrap_or_else(|error| panic!("cannot signal: {error}: {self}"));
    }

    /// Waits for its end.
    #[track_caller]
    pub(crate) fn end(mut self) -> Ended {
        let Ok(exit) = self.exit.recv_timeout(PATIENCE) else {
            panic!("still running after {PATIENCE:?}: {self}");
        };
        let status = self.child.wait().expect("must be able to wait for our own child");
        self.stdout.settle();
        self.stderr.settle();
        Ended {
            shown: self.shown.clone(),
            status,
            started: self.started,
            elapsed: exit - self.started,
            stdout: self.stdout.text(),
            stderr: self.stderr.text(),
        }
    }
}

/// Tells when the process ended, and leaves it to be waited for: until then no other process gets its pid.
fn watch(pid: Pid) -> Receiver<Instant> {
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || {
        let _ = waitid(WaitId::Pid(pid), WaitIdOptions::EXITED | WaitIdOptions::NOWAIT);
        let _ = sender.send(Instant::now());
    });
    receiver
}

impl std::fmt::Display for Running {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { shown, stdout, stderr, started, .. } = self;
        report(f, shown, "running", started.elapsed(), &stdout.text(), &stderr.text())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if matches!(self.child.try_wait(), Ok(None)) {
            let _ = kill_process_group(self.pid(), Signal::KILL);
            let _ = self.child.wait();
        }
    }
}

/// A run that is over, and what can be expected of it.
pub(crate) struct Ended {
    pub(crate) stdout: String,
    pub(crate) stderr: String,
    pub(crate) elapsed: Duration,
    pub(crate) started: Instant,
    pub(crate) status: ExitStatus,
    shown: String,
}

impl Ended {
    #[track_caller]
    pub(crate) fn expect(&self, what: &str, holds: bool) -> &Self {
        assert!(holds, "expected {what}: {self}");
        self
    }

    #[track_caller]
    pub(crate) fn success(&self) -> &Self {
        self.code(0)
    }

    #[track_caller]
    pub(crate) fn failure(&self) -> &Self {
        self.code(1)
    }

    #[track_caller]
    pub(crate) fn code(&self, code: i32) -> &Self {
        self.expect(&format!("exit status {code}"), self.status.code() == Some(code))
    }

    #[track_caller]
    pub(crate) fn stderr_has(&self, text: &str) -> &Self {
        self.expect(&format!("{text:?} on stderr"), self.stderr.contains(text))
    }

    /// For words that may be at the start of a sentence.
    #[track_caller]
    pub(crate) fn stderr_says(&self, text: &str) -> &Self {
        let holds = self.stderr.to_lowercase().contains(&text.to_lowercase());
        self.expect(&format!("{text:?} on stderr, in any case"), holds)
    }

    #[track_caller]
    pub(crate) fn stdout_has(&self, text: &str) -> &Self {
        self.expect(&format!("{text:?} on stdout"), self.stdout.contains(text))
    }

    /// Nothing anywhere: neither on stdout nor on stderr.
    #[track_caller]
    pub(crate) fn nowhere(&self, text: &str) -> &Self {
        let absent = !self.stdout.contains(text) && !self.stderr.contains(text);
        self.expect(&format!("no {text:?} in any output"), absent)
    }

    #[track_caller]
    pub(crate) fn silent_stdout(&self) -> &Self {
        self.expect("nothing on stdout", self.stdout.is_empty())
    }

    #[track_caller]
    pub(crate) fn took(&self, range: Range<Duration>) -> &Self {
        self.expect(&format!("an end within {range:?}"), range.contains(&self.elapsed))
    }

    /// The verdict: the last line of stderr.
    #[track_caller]
    pub(crate) fn last_line(&self) -> &str {
        self.stderr.lines().last().unwrap_or_else(|| panic!("expected a last line: {self}"))
    }

    /// How many lines of stderr hold `text`.
    pub(crate) fn lines_with(&self, text: &str) -> usize {
        self.stderr.lines().filter(|line| line.contains(text)).count()
    }
}

impl std::fmt::Display for Ended {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        report(f, &self.shown, &self.status.to_string(), self.elapsed, &self.stdout, &self.stderr)
    }
}

fn report(
    f: &mut std::fmt::Formatter<'_>,
    shown: &str,
    status: &str,
    elapsed: Duration,
    stdout: &str,
    stderr: &str,
) -> std::fmt::Result {
    write!(f, "\n\n{shown}\n--- {status} after {elapsed:?}\n--- stdout\n{stdout}\n--- stderr\n{stderr}\n---")
}
