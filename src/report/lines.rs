//! The one way to stderr: a subscriber that prints our events and nobody else's, a line in one write, and only
//! when that write will not block. A pipe that nobody reads must not keep a Pod from starting or from ending.

use std::fmt::{self, Write as _};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::stdio::stderr;
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Level, Metadata, Subscriber};

use crate::plan::Verbosity;

/// The tracing target of our lines. Other crates' events (reqwest's, rustls's) are never printed.
pub const OURS: &str = "waitgate";

/// The tracing target of a live view: rows that the next one, or the next line, takes the place of.
pub const LIVE: &str = "waitgate::live";

/// A pipe takes up to this many bytes in one piece once poll says that it is writable (pipe(7): PIPE_BUF).
const LONGEST: usize = 4096;

/// Prints to stderr what its level lets through.
pub struct Lines {
    level: Level,
    /// Lines that could not be written; said with the next one that can.
    lost: AtomicU64,
    /// The live view as it stands on the screen.
    view: Mutex<View>,
}

#[derive(Default)]
struct View {
    /// Its rows, not cut to any width.
    rows: String,
    /// How wide the rows were drawn.
    drawn: Vec<usize>,
}

impl Lines {
    /// Lines up to what `verbosity` asks for.
    #[must_use]
    pub fn new(verbosity: Verbosity) -> Self {
        let level = match verbosity {
            Verbosity::Quiet => Level::ERROR,
            Verbosity::Normal => Level::INFO,
            Verbosity::Verbose => Level::DEBUG,
        };
        Self { level, lost: AtomicU64::new(0), view: Mutex::default() }
    }

    /// Writes `text` as one line, if stderr takes it now; else it is counted and not awaited.
    pub fn print(&self, text: &str) {
        let lost = self.lost.load(Ordering::Relaxed);
        let Ok(mut view) = self.view.lock() else { return };
        let mut line = view.erase();
        if lost > 0 {
            let _ = write!(line, "(lines lost while stderr was full: {lost})  ");
        }
        line.push_str(text);
        if line.len() >= LONGEST {
            line.truncate(line.floor_char_boundary(LONGEST - 1 - '…'.len_utf8()));
            line.push('…');
        }
        line.push('\n');
        // The view goes below the line again, if there is room in this write.
        let rows = view.draw(LONGEST.saturating_sub(line.len()));
        line.push_str(&rows);
        let lost = if write_now(line.as_bytes()) { 0 } else { lost + 1 };
        self.lost.store(lost, Ordering::Relaxed);
    }

    /// Puts `rows` in the place of the live view; no rows take it away.
    fn show(&self, rows: String) {
        let Ok(mut view) = self.view.lock() else { return };
        let mut text = view.erase();
        view.rows = rows;
        let rows = view.draw(LONGEST.saturating_sub(text.len()));
        text.push_str(&rows);
        if !text.is_empty() {
            write_now(text.as_bytes());
        }
    }
}

impl View {
    /// What takes the drawn rows off the screen. A terminal that became narrower has wrapped them.
    fn erase(&mut self) -> String {
        let (width, _) = size();
        let lines: usize = self.drawn.drain(..).map(|row| row.div_ceil(width).max(1)).sum();
        if lines == 0 { String::new() } else { format!("\r\x1b[{lines}A\x1b[J") }
    }

    /// The rows, each cut to the terminal's width, or nothing where they do not fit into `room` bytes.
    fn draw(&mut self, room: usize) -> String {
        let (width, height) = size();
        let mut text = String::new();
        // What scrolls off the screen cannot be taken off it again. A row stays free above the view too: tmux keeps
        // what is erased from the first row on in its history.
        for row in self.rows.lines().take(height.saturating_sub(2)) {
            let cut: String = row.chars().take(width.saturating_sub(1)).collect();
            if text.len() + cut.len() + 1 > room {
                break;
            }
            self.drawn.push(cut.chars().count());
            text.push_str(&cut);
            text.push('\n');
        }
        text
    }
}

/// The terminal's columns and rows.
fn size() -> (usize, usize) {
    let (columns, rows) = rustix::termios::tcgetwinsize(stderr()).map_or((0, 0), |size| (size.ws_col, size.ws_row));
    (if columns == 0 { 80 } else { columns.into() }, if rows == 0 { 24 } else { rows.into() })
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

/// Never O_NONBLOCK: the file description is shared with whoever gave it to us, and with the command.
fn write_now(bytes: &[u8]) -> bool {
    let stderr = stderr();
    let mut fds = [PollFd::new(&stderr, PollFlags::OUT)];
    let now = Timespec { tv_sec: 0, tv_nsec: 0 };
    let writable = poll(&mut fds, Some(&now)).is_ok_and(|ready| ready > 0) && fds[0].revents().contains(PollFlags::OUT);
    writable && rustix::io::write(stderr, bytes).is_ok()
}
