//! Terminals: tmux, which shows what a person would see, and a bare one whose other end is the test's.

use std::{
    ffi::{OsStr, OsString},
    os::fd::OwnedFd,
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    fs::{Mode, OFlags},
    pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt},
    termios::{Winsize, tcsetwinsize},
};
use tempfile::TempDir;

use super::{PATIENCE, tool};

/// A tmux server of this test's own with one window. Dropping it ends the server and what runs in it.
pub(crate) struct Tmux {
    folder: TempDir,
}

impl Tmux {
    /// Runs waitgate in a window of this size. Ctrl-C reaches it alone, and its status is below what it printed.
    #[track_caller]
    pub(crate) fn run<I>(columns: u16, rows: u16, args: I) -> Self
    where
        I: IntoIterator<Item: AsRef<OsStr>>,
    {
        Self::after("", columns, rows, args)
    }

    /// The same once a shell has said `before`.
    #[track_caller]
    pub(crate) fn after<I>(before: &str, columns: u16, rows: u16, args: I) -> Self
    where
        I: IntoIterator<Item: AsRef<OsStr>>,
    {
        let script = format!(r#"{before} trap : INT; "$@"; echo "status $?"; exec sleep 600"#);
        let words = ["sh", "-c", &script, "sh", env!("CARGO_BIN_EXE_waitgate")].map(OsStr::new);
        let args: Vec<_> = args.into_iter().map(|arg| arg.as_ref().to_owned()).collect();
        Self::program(columns, rows, words.into_iter().chain(args.iter().map(OsString::as_os_str)))
    }

    /// Runs any program in a window of this size.
    #[track_caller]
    pub(crate) fn program<I>(columns: u16, rows: u16, words: I) -> Self
    where
        I: IntoIterator<Item: AsRef<OsStr>>,
    {
        let tmux = Self { folder: tempfile::tempdir().expect("must be able to make a temporary folder") };
        let mut new = tmux.command();
        new.args(["new-session", "-d", "-x", &columns.to_string(), "-y", &rows.to_string()]);
        new.args(["env", "-i", "PATH=/usr/bin:/bin", "TERM=screen", "LC_ALL=C.UTF-8"]).args(words);
        let done = new.output().expect("tmux must start");
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
        tmux
    }

    fn command(&self) -> Command {
        let mut command = Command::new(tool("tmux"));
        command.env_clear().env("LC_ALL", "C.UTF-8").env("PATH", "/usr/bin:/bin").stdin(Stdio::null());
        command.arg("-u").arg("-S").arg(self.folder.path().join("tmux")).args(["-f", "/dev/null"]);
        command
    }

    #[track_caller]
    fn ask(&self, words: &[&str]) -> String {
        let done = self.command().args(words).output().expect("tmux must start");
        assert!(done.status.success(), "tmux {words:?}: {}", String::from_utf8_lossy(&done.stderr));
        String::from_utf8(done.stdout).expect("tmux prints UTF-8")
    }

    pub(crate) fn resize(&self, columns: u16, rows: u16) {
        self.ask(&["resize-window", "-x", &columns.to_string(), "-y", &rows.to_string()]);
    }

    pub(crate) fn press(&self, key: &str) {
        self.ask(&["send-keys", key]);
    }

    /// Types the text as it is.
    pub(crate) fn enter(&self, text: &str) {
        self.ask(&["send-keys", "-l", text]);
    }

    /// The screen's rows without what is blank at its end.
    pub(crate) fn screen(&self) -> Vec<String> {
        rows(&self.ask(&["capture-pane", "-p"]))
    }

    /// The same with its colours.
    pub(crate) fn colours(&self) -> String {
        self.ask(&["capture-pane", "-p", "-e"])
    }

    /// All lines since the start, those that scrolled away too, and each in one piece.
    pub(crate) fn history(&self) -> Vec<String> {
        rows(&self.ask(&["capture-pane", "-p", "-J", "-S", "-"]))
    }

    /// Waits until the screen is as wanted.
    #[track_caller]
    pub(crate) fn wait(&self, what: &str, wanted: impl Fn(&[String]) -> bool) -> Vec<String> {
        let limit = Instant::now() + PATIENCE;
        loop {
            let screen = self.screen();
            if wanted(&screen) {
                return screen;
            }
            assert!(Instant::now() < limit, "expected {what}:\n{}", screen.join("\n"));
            thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for Tmux {
    fn drop(&mut self) {
        let _ = self.command().arg("kill-server").output();
    }
}

fn rows(text: &str) -> Vec<String> {
    text.trim_end().lines().map(|row| row.trim_end().to_owned()).collect()
}

/// A terminal of 80 columns and 24 rows. Dropping it is its going away.
pub(crate) struct Tty {
    master: OwnedFd,
}

impl Tty {
    pub(crate) fn new() -> Self {
        let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC).expect("a pseudoterminal");
        grantpt(&master).expect("a pseudoterminal of our own");
        unlockpt(&master).expect("a pseudoterminal of our own");
        tcsetwinsize(&master, Winsize { ws_row: 24, ws_col: 80, ws_xpixel: 0, ws_ypixel: 0 }).expect("a size");
        Self { master }
    }

    pub(crate) fn path(&self) -> String {
        let path = ptsname(&self.master, Vec::new()).expect("a pseudoterminal has a name");
        path.into_string().expect("a path of ASCII")
    }

    /// The end for a program, which does not become its controlling terminal.
    pub(crate) fn open(&self) -> OwnedFd {
        let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC;
        rustix::fs::open(self.path(), flags, Mode::empty()).expect("a pseudoterminal can be opened")
    }

    /// What has been written and not read yet.
    pub(crate) fn read(&self) -> String {
        let mut text = Vec::new();
        let mut chunk = [0; 4096];
        while poll(&mut [PollFd::new(&self.master, PollFlags::IN)], Some(&Timespec::default())) == Ok(1) {
            match rustix::io::read(&self.master, &mut chunk) {
                Ok(count) if count > 0 => text.extend_from_slice(&chunk[..count]),
                // No process has the other end open.
                _ => break,
            }
        }
        String::from_utf8_lossy(&text).into_owned()
    }

    /// Reads until `wanted` was written.
    #[track_caller]
    pub(crate) fn wait(&self, wanted: &str) {
        let limit = Instant::now() + PATIENCE;
        let mut text = String::new();
        while !text.contains(wanted) {
            assert!(Instant::now() < limit, "expected {wanted:?} in {text:?}");
            thread::sleep(Duration::from_millis(10));
            text.push_str(&self.read());
        }
    }
}
