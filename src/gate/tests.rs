use super::*;
use crate::cli::Cli;
use crate::reason::{Code, Stage};
use std::cell::{Cell, RefCell};
use std::ffi::OsString;

fn plan(line: &str) -> Plan {
    let args = std::iter::once("waitgate").chain(line.split_whitespace()).map(OsString::from);
    Plan::new(&Cli::from_args(args).unwrap(), &crate::env::Env::default()).unwrap()
}

/// Runs a gate over `line` on a paused clock and gives the verdict, the time it took and the targets of
/// every attempt with the milliseconds at which it began.
async fn run(
    line: &str,
    probe: impl AsyncFn(&Planned, &Attempt) -> Result<Ready, Reason>,
) -> (Verdict, Duration, Vec<(String, u128)>) {
    let plan = plan(line);
    let board = Board::new(&plan);
    let begun = Instant::now();
    let log = RefCell::new(Vec::new());
    let probe = async |planned: &Planned, attempt: &Attempt| {
        log.borrow_mut().push((planned.shown.clone(), begun.elapsed().as_millis()));
        probe(planned, attempt).await
    };
    let verdict = Gate::new(&plan, &board, &|_| {}, 256, probe).run().await;
    (verdict, begun.elapsed(), log.into_inner())
}

fn refused() -> Reason {
    Reason::new(Code::ConnectRefused, "refused")
}

#[tokio::test(start_paused = true)]
async fn a_target_is_left_alone_until_the_one_before_it_is_ready() {
    let left = Cell::new(3);
    let (verdict, _, log) = run("tcp:a:1 tcp:b:1", async |planned, _| {
        if planned.shown == "tcp:a:1" && left.replace(left.get() - 1) > 0 {
            Err(refused())
        } else {
            Ok(Ready::default())
        }
    })
    .await;
    assert_eq!(verdict, Verdict::Ready);
    let targets: Vec<_> = log.iter().map(|(target, _)| target.as_str()).collect();
    assert_eq!(targets, ["tcp:a:1", "tcp:a:1", "tcp:a:1", "tcp:a:1", "tcp:b:1"]);
    assert_eq!(log[0].1, 0, "the first attempt is at once");
}

#[tokio::test(start_paused = true)]
async fn in_parallel_nobody_waits_for_anybody() {
    let (verdict, took, log) = run("--parallel tcp:a:1#timeout=2s tcp:b:1", async |planned, _| {
        if planned.shown.contains(":a:") { Err(refused()) } else { Ok(Ready::default()) }
    })
    .await;
    assert_eq!(verdict, Verdict::TimedOut(Duration::from_secs(2), Some("tcp:a:1#timeout=2s".into())));
    assert_eq!(took.as_millis(), 2000);
    assert!(log.iter().any(|(target, at)| target == "tcp:b:1" && *at == 0));
}

#[tokio::test(start_paused = true)]
async fn an_attempt_ends_at_its_bound_with_the_stage_it_hung_in() {
    let plan = plan("tcp:a:1#attempt-timeout=700ms#timeout=1s");
    let board = Board::new(&plan);
    let probe = async |_: &Planned, attempt: &Attempt| {
        attempt.enter(Stage::Protocol, "10.0.0.1:1 accepted the connection");
        attempt.accept();
        std::future::pending().await
    };
    let verdict = Gate::new(&plan, &board, &|_| {}, 1, probe).run().await;
    assert!(matches!(verdict, Verdict::TimedOut(..)));
    let standing = &board.standings(&plan)[0];
    assert_eq!(standing.attempts, 2, "the second began within the second");
    assert_eq!(
        standing.reason.as_ref().unwrap().text(),
        "10.0.0.1:1 accepted the connection, and no complete answer came within 700ms"
    );
}

#[tokio::test(start_paused = true)]
async fn successes_are_in_a_row_and_a_full_cap_apart() {
    let n = Cell::new(0);
    let (verdict, _, log) = run("tcp:a:1#successes=3", async |_, attempt| {
        assert!(attempt.fresh());
        n.set(n.get() + 1);
        if n.get() == 3 { Err(refused()) } else { Ok(Ready::default()) }
    })
    .await;
    assert_eq!(verdict, Verdict::Ready);
    assert_eq!(log.len(), 6, "two ready, one not, three ready");
    assert_eq!(log[1].1 - log[0].1, 1000);
    assert!(log[3].1 - log[2].1 <= 50);
    assert_eq!(log[5].1 - log[3].1, 2000);
}

#[tokio::test(start_paused = true)]
async fn a_slow_attempt_does_not_add_to_the_pause() {
    let (_, _, log) = run("tcp:a:1#max-pause=100ms#timeout=4500ms", async |_, _| {
        time::sleep(Duration::from_secs(1)).await;
        Err(refused())
    })
    .await;
    assert_eq!(log.iter().map(|(_, at)| *at).collect::<Vec<_>>(), [0, 1000, 2000, 3000, 4000]);
}

#[tokio::test(start_paused = true)]
async fn half_the_pause_follows_where_a_server_was_at_work() {
    let (_, _, log) = run("tcp:a:1#timeout=20s", async |_, attempt| {
        attempt.accept();
        time::sleep(Duration::from_secs(2)).await;
        Err(Reason::new(Code::ExpectStatus, "503"))
    })
    .await;
    let gaps: Vec<_> = log.windows(2).map(|pair| pair[1].1 - pair[0].1).collect();
    assert!(gaps.iter().all(|gap| *gap > 2000 && *gap <= 2500), "{gaps:?}");
}

#[tokio::test(start_paused = true)]
async fn once_is_one_attempt_up_to_the_first_that_is_not_ready() {
    let fail = async |planned: &Planned, _: &Attempt| {
        if planned.shown == "tcp:b:1" { Err(refused()) } else { Ok(Ready::default()) }
    };
    let (verdict, _, log) = run("--once tcp:a:1 tcp:b:1 tcp:c:1", fail).await;
    assert_eq!((verdict, log.len()), (Verdict::NotReady, 2));
    let (verdict, _, log) = run("--once --parallel tcp:a:1 tcp:b:1 tcp:c:1", fail).await;
    assert_eq!((verdict, log.len()), (Verdict::NotReady, 3));
}

#[tokio::test(start_paused = true)]
async fn no_more_attempts_are_under_way_than_allowed_and_the_longest_waiting_is_next() {
    let plan = plan("--parallel tcp:a:1 tcp:b:1 tcp:c:1 tcp:d:1 tcp:e:1#timeout=60s");
    let board = Board::new(&plan);
    let (now, most) = (Cell::new(0), Cell::new(0));
    let order = RefCell::new(String::new());
    let probe = async |planned: &Planned, _: &Attempt| {
        order.borrow_mut().push_str(&planned.shown[4..5]);
        now.set(now.get() + 1);
        most.set(most.get().max(now.get()));
        time::sleep(Duration::from_secs(1)).await;
        now.set(now.get() - 1);
        if order.borrow().len() > 20 { Ok(Ready::default()) } else { Err(refused()) }
    };
    assert_eq!(Gate::new(&plan, &board, &|_| {}, 2, probe).run().await, Verdict::Ready);
    assert_eq!(most.get(), 2);
    assert!(order.borrow().starts_with("abcdeabcdeabcde"), "{}", order.borrow());
}

#[tokio::test(start_paused = true)]
async fn a_targets_own_timeout_starts_with_its_first_attempt() {
    for once in ["", "--once "] {
        let plan = plan(&format!("{once}--parallel tcp:a:1 tcp:b:1#timeout=1s"));
        let board = Board::new(&plan);
        let probe = async |planned: &Planned, _: &Attempt| {
            if planned.shown == "tcp:a:1" {
                time::sleep(Duration::from_secs(2)).await;
            }
            Ok(Ready::default())
        };
        // Only one attempt at a time: the second target's turn comes after two seconds.
        assert_eq!(Gate::new(&plan, &board, &|_| {}, 1, probe).run().await, Verdict::Ready);
    }
}

/// A server that takes its time over each answer is not one that is silent.
#[tokio::test(start_paused = true)]
async fn the_better_witness_is_believed() {
    for (first, second, code) in [
        // The first attempt, and how it ends; how the one under way hangs when the run ends.
        ((1500, Stage::Expect, Code::ExpectStatus), Stage::Protocol, Code::ExpectStatus),
        ((1, Stage::Connect, Code::ConnectRefused), Stage::Connect, Code::ConnectTimeout),
        ((1500, Stage::Connect, Code::ConnectUnreachable), Stage::Protocol, Code::ProtocolTimeout),
        ((2000, Stage::Resolve, Code::ResolveTimeout), Stage::Resolve, Code::ResolveTimeout),
    ] {
        let (took, stage, ended) = first;
        let hangs = 1200;
        let plan = plan(&format!("tcp:a:1#timeout={}ms#max-pause=10ms", took + 10 + hangs));
        let board = Board::new(&plan);
        let n = Cell::new(0);
        let probe = async |_: &Planned, attempt: &Attempt| {
            if n.replace(n.get() + 1) > 0 {
                attempt.enter(second, "x");
                return std::future::pending().await;
            }
            attempt.enter(stage, "x");
            time::sleep(Duration::from_millis(took)).await;
            Err(Reason::new(ended, "in its own words"))
        };
        Gate::new(&plan, &board, &|_| {}, 1, probe).run().await;
        let reason = board.standings(&plan)[0].reason.clone().unwrap();
        assert_eq!(reason.code(), code, "{first:?}: {}", reason.text());
        assert_eq!(reason.text() == "in its own words", ended == code, "{first:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn the_initial_delay_comes_first() {
    let (_, _, log) = run("--initial-delay=60s tcp:a:1", async |_, _| Ok(Ready::default())).await;
    assert_eq!(log, [("tcp:a:1".to_owned(), 60_000)]);
}

#[tokio::test(start_paused = true)]
async fn heartbeats_come_after_10_s_and_then_every_30_s() {
    let plan = plan("tcp:a:1#timeout=100s tcp:b:1");
    let board = Board::new(&plan);
    let begun = Instant::now();
    let beats = RefCell::new(Vec::new());
    let report = |event: Event<'_>| {
        if let Event::Heartbeat(standings) = event {
            assert!(standings[0].reason.is_some() && standings[1].attempts == 0);
            beats.borrow_mut().push(begun.elapsed().as_secs());
        }
    };
    Gate::new(&plan, &board, &report, 1, async |_: &Planned, _: &Attempt| Err(refused())).run().await;
    assert_eq!(*beats.borrow(), [10, 40, 70]);
}
