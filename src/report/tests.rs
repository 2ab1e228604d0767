mod soak;

use std::cell::Cell;
use std::ffi::OsString;

use super::*;
use crate::attempt::Attempt;
use crate::cli::Cli;
use crate::env::Env;
use crate::gate::{Board, Gate};
use crate::plan::{Plan, Planned};
use crate::reason::{Code, Reason};

/// Counts the lines that are printed at the default level.
#[derive(Clone, Default)]
struct Counting(std::sync::Arc<std::sync::atomic::AtomicUsize>);

impl tracing::Subscriber for Counting {
    fn enabled(&self, metadata: &tracing::Metadata<'_>) -> bool {
        metadata.target() == log::TARGET && *metadata.level() <= tracing::Level::INFO
    }

    fn event(&self, _: &tracing::Event<'_>) {
        self.0.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
    }

    fn new_span(&self, _: &tracing::span::Attributes<'_>) -> tracing::span::Id {
        tracing::span::Id::from_u64(1)
    }

    fn record(&self, _: &tracing::span::Id, _: &tracing::span::Record<'_>) {}
    fn record_follows_from(&self, _: &tracing::span::Id, _: &tracing::span::Id) {}
    fn enter(&self, _: &tracing::span::Id) {}
    fn exit(&self, _: &tracing::span::Id) {}
}

#[tokio::test(start_paused = true)]
async fn fifteen_minutes_write_few_lines_even_if_the_reason_flaps() {
    // With one reason, with two in turn, and with all: each is news now and then, and the heartbeats go on.
    for codes in [&[Code::ConnectRefused][..], &[Code::ConnectRefused, Code::ProtocolClosed], Code::ALL] {
        let counting = Counting::default();
        let lines = std::sync::Arc::clone(&counting.0);
        let _guard = tracing::subscriber::set_default(counting);
        let report = Report::new(Format::Text, Verbosity::Normal, false, Instant::now());
        let cli = Cli::from_args(["waitgate", "tcp:a:1#timeout=15m"].map(OsString::from)).unwrap();
        let plan = Plan::new(&cli, &Env::default()).unwrap();
        let board = Board::new(&plan);
        let n = Cell::new(0);
        let probe = async |_: &Planned, _: &Attempt| {
            n.set(n.get() + 1);
            Err(Reason::new(codes[n.get() % codes.len()], "x"))
        };
        let tell = |event: Event<'_>| report.tell(&event);
        // The application writes the first and the last line, and up to two warnings.
        Gate::new(&plan, &board, &tell, 1, probe).run().await;
        let lines = lines.load(std::sync::atomic::Ordering::Relaxed);
        assert!(n.get() > 300 && lines > 30 && lines <= 40 - 2 - 2, "{} attempts, {lines} lines", n.get());
    }
}
