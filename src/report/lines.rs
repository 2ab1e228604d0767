//! The one way to stderr: a subscriber that prints our events and nobody else's, a line in one write, and only
//! when that write will not block. A pipe that nobody reads must not keep a Pod from starting or from ending.

use std::fmt::{self, Write as _};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Mutex;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{Mode, OFlags};
use rustix::stdio::stderr;
use rustix::termios::isatty;
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Level, Metadata, Subscriber};

use super::live::View;
use super::text::cut;
use super::{Event as Happening, Form};
use crate::plan::{Verbosity, count};

/// The tracing target of our lines. Other crates' events (reqwest's, rustls's) are never printed.
pub const OURS: &str = "waitgate";

/// The tracing target of a live view: rows that the next one, or the next line, takes the place of.
pub const LIVE: &str = "waitgate::live";

/// A pipe takes up to this many bytes in one piece once poll says that it is writable (pipe(7): PIPE_BUF).
const LONGEST: usize = 4096;

/// Prints to stderr what its level lets through.
pub struct Lines {
    level: Level,
    /// How a line says that others were lost.
    form: Form,
    out: Mutex<Out>,
}

/// stderr, and what is on its way there.
struct Out {
    terminal: Option<OwnedFd>,
    /// What a terminal has not taken yet of a write.
    rest: Vec<u8>,
    /// Lines that could not be written; said before the next one that can.
    lost: usize,
    view: View,
}

impl Lines {
    /// Lines of this form, up to what `verbosity` asks for.
    #[must_use]
    pub fn new(verbosity: Verbosity, form: Form) -> Self {
        let level = match verbosity {
            Verbosity::Quiet => Level::ERROR,
            Verbosity::Normal => Level::INFO,
            Verbosity::Verbose => Level::DEBUG,
        };
        let out = Out { terminal: terminal(), rest: Vec::new(), lost: 0, view: View::default() };
        Self { level, form, out: Mutex::new(out) }
    }

    /// Writes `text` as one line, if stderr takes it now; else it is counted and not awaited.
    pub fn print(&self, text: &str) {
        let Ok(mut out) = self.out.lock() else { return };
        let mut text = cut(text.to_owned(), LONGEST - 1 - out.view.erase().len());
        text.push('\n');
        if out.lost > 0 {
            // A line of its own: what reads the log by the line must be able to, and the next one is not cut for it.
            let were = if out.lost == 1 { "was" } else { "were" };
            let loss = format!("{} {were} lost while stderr was full", count(out.lost, "line"));
            let loss = self.form.line(&Happening::Warning(&loss), true) + "\n";
            if out.view.erase().len() + loss.len() + text.len() <= LONGEST {
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

    /// Puts `rows` in the place of the live view; no rows take it away.
    fn show(&self, rows: String) {
        let Ok(mut out) = self.out.lock() else { return };
        out.view.rows = rows;
        let erase = out.view.erase().to_owned();
        out.put(erase);
    }
}

impl Out {
    /// Writes `text`, which ends its line, in the place of the view.
    fn line(&mut self, text: &str) -> bool {
        let erase = self.view.erase();
        self.put(format!("{erase}{text}"))
    }

    /// Writes `text` and, if there is room in this write, the view below it. Only what was written is on the screen.
    fn put(&mut self, mut text: String) -> bool {
        let rows = self.view.draw(LONGEST.saturating_sub(text.len()));
        text.push_str(&rows);
        let written = text.is_empty() || self.write(text.as_bytes());
        if written {
            self.view.drawn = !rows.is_empty();
        }
        written
    }

    /// Whether stderr took `bytes`, or the beginning of them, now; the rest goes before whatever comes next.
    fn write(&mut self, bytes: &[u8]) -> bool {
        let stderr = stderr();
        let fd = self.terminal.as_ref().map_or(stderr, AsFd::as_fd);
        let taken = write_now(fd, &self.rest);
        self.rest.drain(..taken);
        if !self.rest.is_empty() {
            return false;
        }
        let taken = write_now(fd, bytes);
        if taken > 0 {
            self.rest.extend_from_slice(&bytes[taken..]);
        }
        taken > 0
    }
}

/// stderr opened anew where it is a terminal, for writes that do not block. A terminal that has room for one byte is
/// writable, says poll; a longer write then waits for whoever reads the other end, past any deadline. Never
/// O_NONBLOCK on stderr itself: the file description is shared with whoever gave it to us, and with the command.
/// Where it cannot be opened (no /proc, another user's terminal), stderr has to do.
fn terminal() -> Option<OwnedFd> {
    let flags = OFlags::WRONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    let opened = || rustix::fs::open("/proc/self/fd/2", flags, Mode::empty()).ok();
    isatty(stderr()).then(opened).flatten()
}

/// How many of the bytes `fd` takes now.
fn write_now(fd: BorrowedFd<'_>, bytes: &[u8]) -> usize {
    if bytes.is_empty() {
        return 0;
    }
    let mut fds = [PollFd::new(&fd, PollFlags::OUT)];
    let now = Timespec { tv_sec: 0, tv_nsec: 0 };
    let writable = poll(&mut fds, Some(&now)).is_ok_and(|ready| ready > 0) && fds[0].revents().contains(PollFlags::OUT);
    if writable { rustix::io::write(fd, bytes).unwrap_or_default() } else { 0 }
}

impl Subscriber for Lines {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        [OURS, LIVE].contains(&metadata.target()) && *metadata.level() <= self.level
    }

    fn event(&self, event: &Event<'_>) {
        let mut message = Message(String::new());
        event.record(&mut message);
        if event.metadata().target() == LIVE { self.show(message.0) } else { self.print(&message.0) }
    }

    // Spans are of no use to a program that does one thing.
    fn new_span(&self, _span: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _span: &Id, _values: &Record<'_>) {}

    fn record_follows_from(&self, _span: &Id, _follows: &Id) {}

    fn enter(&self, _span: &Id) {}

    fn exit(&self, _span: &Id) {}
}

struct Message(String);

impl Visit for Message {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        if field.name() == "message" {
            let _ = write!(self.0, "{value:?}");
        }
    }
}
