//! The log of a run: which events are lines, at which level, and in which format.

pub(crate) mod explain;
mod json;
mod log;
mod news;
mod stderr;
mod terminal;
pub(crate) mod termination;
#[cfg(test)]
mod tests;
mod text;
mod verdict_text;
#[cfg(test)]
mod verdicts;

use std::cell::RefCell;
use std::sync::Arc;

use tokio::time::Instant;
use tracing::Level;

use crate::event::Event;
use crate::plan::{Format, Verbosity};
use crate::verdict::Verdict;
use json::Json;
use news::News;
use stderr::Stderr;
use terminal::{rows, screen};
use text::Text;

/// The log of one run.
pub(crate) struct Report {
    lines: Lines,
    level: Level,
    news: RefCell<News>,
    stderr: Arc<Stderr>,
}

/// How events become lines.
#[derive(Clone, Copy)]
enum Lines {
    /// For a person.
    Text(Text),
    /// For a machine.
    Json(Json),
}

impl Lines {
    fn of(self, event: &Event<'_>, level: Level, news: bool) -> Vec<String> {
        match self {
            Self::Text(text) => text.lines(event),
            Self::Json(json) => json.lines(event, level, news),
        }
    }
}

impl Report {
    /// A report in this format. Times count from `start`.
    pub(crate) fn new(format: Format, verbosity: Verbosity, color: bool, start: Instant) -> Self {
        let level = match verbosity {
            Verbosity::Quiet => Level::ERROR,
            Verbosity::Normal => Level::INFO,
            Verbosity::Verbose => Level::DEBUG,
        };
        let lines = match format {
            Format::Text => Lines::Text(Text::new(start, color, level == Level::DEBUG)),
            Format::Json => Lines::Json(Json::new(start)),
        };
        let loss = move |words: &str| lines.of(&Event::Warning(words), Level::WARN, true).concat();
        Self { lines, level, news: RefCell::default(), stderr: Arc::new(Stderr::new(loss)) }
    }

    /// Runs `work` with this report as its log.
    pub(crate) fn during<T>(&self, work: impl FnOnce() -> T) -> T {
        log::with(self.level, Arc::clone(&self.stderr), work)
    }

    /// Makes lines of `event`. A change is printed by default. An attempt that ended like the one before is printed
    /// only with -v.
    pub(crate) fn tell(&self, event: &Event<'_>) {
        if let Event::Live(standings) = event {
            if let Lines::Text(text) = self.lines {
                self.stderr.show(rows::rows(standings, text.is_colored(), screen::size()));
            }
            return;
        }
        let news = self.news.borrow_mut().is_new(event);
        let level = match event {
            Event::Warning(_) => Level::WARN,
            Event::Verdict { verdict, .. } if **verdict != Verdict::Ready => Level::ERROR,
            _ if news => Level::INFO,
            _ => Level::DEBUG,
        };
        if level > self.level {
            return;
        }
        if matches!(event, Event::Verdict { .. }) {
            self.stderr.at_last();
        }
        for line in self.lines.of(event, level, news) {
            log::send(level, || line);
        }
    }
}
