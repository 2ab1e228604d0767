//! A soak: for a simulated hour the target goes through every state, and then it is ready.

use std::cell::RefCell;
use std::time::Duration;

use tokio::time;

use super::*;
use crate::gate::backoff;
use crate::kind::Ready;
use crate::numbers::Numbers;

const HOUR: Duration = Duration::from_hours(1);
const WINDOW: Duration = Duration::from_mins(15);

/// When each line was printed.
#[derive(Clone, Default)]
struct Printed(std::sync::Arc<std::sync::Mutex<Vec<Instant>>>);

impl tracing::Subscriber for Printed {
    fn enabled(&self, metadata: &tracing::Metadata<'_>) -> bool {
        metadata.target() == log::TARGET && *metadata.level() <= tracing::Level::INFO
    }

    fn event(&self, _: &tracing::Event<'_>) {
        self.0.lock().unwrap().push(Instant::now());
    }

    fn new_span(&self, _: &tracing::span::Attributes<'_>) -> tracing::span::Id {
        tracing::span::Id::from_u64(1)
    }

    fn record(&self, _: &tracing::span::Id, _: &tracing::span::Record<'_>) {}
    fn record_follows_from(&self, _: &tracing::span::Id, _: &tracing::span::Id) {}
    fn enter(&self, _: &tracing::span::Id) {}
    fn exit(&self, _: &tracing::span::Id) {}
}

/// A success is seen within the pause that the last reason allows, and any quarter of an hour has at most 40 lines.
#[tokio::test(start_paused = true)]
async fn no_success_is_missed_for_longer_than_a_pause_and_the_log_stays_short() {
    let numbers = RefCell::new(Numbers::seeded());
    for round in 0..8 {
        let printed = Printed::default();
        let _guard = tracing::subscriber::set_default(printed.clone());
        let report = Report::new(Format::Text, Verbosity::Normal, false, Instant::now());
        let cli = Cli::from_args(["waitgate", "tcp:a:1#timeout=24h"].map(OsString::from)).unwrap();
        let plan = Plan::new(&cli, &Env::default()).unwrap();
        let board = Board::new(&plan);
        let opens = Instant::now() + HOUR + Duration::from_millis(numbers.borrow_mut().below(10_000) as u64);
        // A state lasts for one attempt or for a minute; a server's words differ each time.
        let state = RefCell::new((Instant::now(), Reason::new(Code::ConnectRefused, "x")));
        let last = RefCell::new(Duration::ZERO);
        let slowest = Duration::from_millis([1, 50, 3000][round % 3]);
        let attempts = Cell::new(0_u32);
        let probe = async |_: &Planned, attempt: &Attempt| {
            attempts.set(attempts.get() + 1);
            let part = numbers.borrow_mut().below(1001);
            time::sleep(slowest * u32::try_from(part).unwrap() / 1000).await;
            if Instant::now() >= opens {
                return Ok(Ready::default());
            }
            let (mut state, mut numbers) = (state.borrow_mut(), numbers.borrow_mut());
            if Instant::now() >= state.0 {
                let lasts = [0, 1, 200, 5000, 60_000];
                state.0 = Instant::now() + Duration::from_millis(numbers.one_of(&lasts));
                let words = format!("words {}", numbers.bits());
                state.1 = Reason::new(numbers.one_of(Code::ALL), words).with_key(numbers.below(500));
            }
            if numbers.below(2) == 0 {
                attempt.accept();
            }
            *last.borrow_mut() = backoff::caps(state.1.cost(), state.1.stage()).busy;
            Err(state.1.clone())
        };
        let tell = |event: Event<'_>| report.tell(&event);
        Gate::new(&plan, &board, &tell, 1, probe).run().await;
        let missed = Instant::now() - opens;
        let bound = *last.borrow() + slowest + Duration::from_millis(3);
        assert!(missed <= bound, "missed for {missed:?}, at most {bound:?}");
        assert!(attempts.get() > 300, "{} attempts", attempts.get());

        let printed = printed.0.lock().unwrap();
        for (at, first) in printed.iter().enumerate() {
            let within = printed[at..].iter().take_while(|line| **line - *first < WINDOW).count();
            // The application adds the first line, the last one and up to two warnings.
            assert!(within <= 36, "{within} lines in a quarter of an hour");
        }
    }
}
