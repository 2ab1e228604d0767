//! The one writer to stderr. Each line is one write, and it is made only if it does not block.
//!
//! A pipe that no process reads must not keep a Pod from starting or ending.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Mutex;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{Mode, OFlags};
use rustix::stdio::stderr;
use rustix::termios::isatty;

use super::terminal::screen::View;
use crate::text::{count, cut};

/// The longest line in bytes, with its line break. If poll says that a pipe is writable, it takes this many bytes in
/// one write (pipe(7): PIPE_BUF).
const LINE_MAX: usize = 4096;

/// How long the last line may wait for a reader that is slow. The run must end within 50 ms of its deadline.
const PATIENCE: Timespec = Timespec { tv_sec: 0, tv_nsec: 15_000_000 };

/// Other lines do not wait.
const NOW: Timespec = Timespec { tv_sec: 0, tv_nsec: 0 };

/// stderr, with the lines of the log and the live view.
pub(super) struct Stderr {
    /// Makes a log line from a sentence about lost lines.
    loss: Box<dyn Fn(&str) -> String + Send + Sync>,
    out: Mutex<Out>,
}

/// stderr, and what is still to be written.
struct Out {
    terminal: Option<OwnedFd>,
    /// The end of a write that the terminal has not taken yet.
    rest: Vec<u8>,
    /// How many lines could not be written. The next line that can be written says so first.
    lost: usize,
    view: View,
    patience: Timespec,
}

impl Stderr {
    /// stderr as it is now. `loss` makes a log line from a sentence about lost lines.
    pub(super) fn new(loss: impl Fn(&str) -> String + Send + Sync + 'static) -> Self {
        let out = Out { terminal: terminal(), rest: Vec::new(), lost: 0, view: View::default(), patience: NOW };
        Self { loss: Box::new(loss), out: Mutex::new(out) }
    }

    /// The next line is the last one. It is worth a short wait.
    pub(super) fn at_last(&self) {
        if let Ok(mut out) = self.out.lock() {
            out.patience = PATIENCE;
        }
    }

    /// Writes `text` as one line if stderr takes it now. If not, the line is lost and counted.
    pub(super) fn print(&self, text: &str) {
        let Ok(mut out) = self.out.lock() else { return };
        out.view.look();
        let mut text = cut(text.to_owned(), LINE_MAX - 1 - out.view.erase().len());
        text.push('\n');
        if out.lost > 0 {
            // The loss has a line of its own. So a program can still read the log line by line, and the next line is
            // not cut.
            let were = if out.lost == 1 { "was" } else { "were" };
            let loss = format!("{} {were} lost while stderr was full", count(out.lost, "line"));
            let loss = (self.loss)(&loss) + "\n";
            if out.view.erase().len() + loss.len() + text.len() <= LINE_MAX {
                text.insert_str(0, &loss);
            } else if out.line(&loss) {
                out.lost = 0;
            } else {
                out.lost += 1;
                return;
            }
        }
        out.lost = if out.line(&text) { 0 } else { out.lost + 1 };
    }

    /// Replaces the rows of the live view. Without rows, the view disappears.
    pub(super) fn show(&self, rows: String) {
        let Ok(mut out) = self.out.lock() else { return };
        out.view.look();
        out.view.rows = rows;
        let erase = out.view.erase().to_owned();
        out.put(erase);
    }
}

impl Out {
    /// Erases the view and writes `text`, which ends with a line break.
    fn line(&mut self, text: &str) -> bool {
        let erase = self.view.erase();
        self.put(format!("{erase}{text}"))
    }

    /// Writes `text` and, if this write has room, the view below it.
    fn put(&mut self, mut text: String) -> bool {
        let rows = self.view.draw(LINE_MAX.saturating_sub(text.len()));
        text.push_str(&rows);
        let written = text.is_empty() || self.write(text.as_bytes());
        if written {
            self.view.drawn = !rows.is_empty();
            self.view.clear = false;
        }
        written
    }

    /// Whether stderr took `bytes` now, or at least their beginning. The rest is kept and written before the next bytes.
    fn write(&mut self, bytes: &[u8]) -> bool {
        let stderr = stderr();
        let fd = self.terminal.as_ref().map_or(stderr, AsFd::as_fd);
        let taken = write_within(fd, &self.rest, &self.patience);
        self.rest.drain(..taken);
        if !self.rest.is_empty() {
            return false;
        }
        let taken = write_within(fd, bytes, &self.patience);
        if taken > 0 {
            self.rest.extend_from_slice(&bytes[taken..]);
        }
        taken > 0
    }
}

/// stderr opened again if it is a terminal, for writes that do not block.
///
/// poll says that a terminal is writable if it has room for one byte. A longer write then waits for the reader at the
/// other end, even after the deadline. O_NONBLOCK is never set on stderr itself: waitgate's parent and the command
/// share the file description. If the terminal cannot be opened (no /proc, another user's terminal), stderr itself is
/// used.
fn terminal() -> Option<OwnedFd> {
    let flags = OFlags::WRONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    let opened = || rustix::fs::open("/proc/self/fd/2", flags, Mode::empty()).ok();
    isatty(stderr()).then(opened).flatten()
}

/// How many of the bytes `fd` takes within `patience`.
fn write_within(fd: BorrowedFd<'_>, bytes: &[u8], patience: &Timespec) -> usize {
    if bytes.is_empty() {
        return 0;
    }
    let mut fds = [PollFd::new(&fd, PollFlags::OUT)];
    let ready = poll(&mut fds, Some(patience)).is_ok_and(|ready| ready > 0);
    let writable = ready && fds[0].revents().contains(PollFlags::OUT);
    if writable { rustix::io::write(fd, bytes).unwrap_or_default() } else { 0 }
}
