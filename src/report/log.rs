//! The one place that uses `tracing`. The report sends each finished line as one event. [`Log`] is the only subscriber
//! and writes the line to stderr.
//!
//! So the level decides whether a line is made, and the events of other crates (reqwest, rustls) are never printed.

use std::fmt::{self, Write as _};
use std::sync::Arc;

use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Level, Metadata, Subscriber};

use super::stderr::Stderr;

/// The tracing target of our lines.
pub(super) const TARGET: &str = "waitgate";

/// Sends one line. `line` is called only if the level is printed.
pub(super) fn send(level: Level, line: impl FnOnce() -> String) {
    match level {
        Level::ERROR => tracing::error!(target: TARGET, "{}", line()),
        Level::WARN => tracing::warn!(target: TARGET, "{}", line()),
        Level::INFO => tracing::info!(target: TARGET, "{}", line()),
        _ => tracing::debug!(target: TARGET, "{}", line()),
    }
}

/// Runs `work` with a log that prints lines up to `level`.
pub(super) fn with<T>(level: Level, stderr: Arc<Stderr>, work: impl FnOnce() -> T) -> T {
    tracing::subscriber::with_default(Log { level, stderr }, work)
}

struct Log {
    level: Level,
    stderr: Arc<Stderr>,
}

impl Subscriber for Log {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target() == TARGET && *metadata.level() <= self.level
    }

    fn event(&self, event: &Event<'_>) {
        let mut line = Line(String::new());
        event.record(&mut line);
        self.stderr.print(&line.0);
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

/// The text of an event.
struct Line(String);

impl Visit for Line {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        if field.name() == "message" {
            let _ = write!(self.0, "{value:?}");
        }
    }
}
