mod schedule;
mod together;

use super::*;
use crate::cli::Cli;
use crate::reason::{Code, Stage};
use std::cell::{Cell, RefCell};
use std::ffi::OsString;

fn plan(line: &str) -> Plan {
    let args = std::iter::once("waitgate").chain(line.split_whitespace()).map(OsString::from);
    Plan::new(&Cli::from_args(args).unwrap(), &crate::env::Env::default()).unwrap()
}

/// Runs a gate for the arguments in `line` on a paused clock. Returns the verdict, the time it took, and for every
/// attempt the target and the milliseconds at which it began.
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

/// The milliseconds from each attempt to the next one.
fn gaps(log: &[(String, u128)]) -> Vec<u128> {
    log.windows(2).map(|pair| pair[1].1 - pair[0].1).collect()
}

fn refused() -> Reason {
    Reason::new(Code::ConnectRefused, "refused")
}

#[tokio::test(start_paused = true)]
async fn in_order_a_target_is_probed_only_after_the_one_before_it_is_ready() {
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
    assert_eq!(log[0].1, 0, "the first attempt starts at once");
}

#[tokio::test(start_paused = true)]
async fn in_parallel_a_target_does_not_wait_for_the_others() {
    let (verdict, took, log) = run("--parallel tcp:a:1#timeout=2s tcp:b:1", async |planned, _| {
        if planned.shown.contains(":a:") { Err(refused()) } else { Ok(Ready::default()) }
    })
    .await;
    assert_eq!(verdict, Verdict::TimedOut(Duration::from_secs(2), Some("tcp:a:1#timeout=2s".into())));
    assert_eq!(took.as_millis(), 2000);
    assert!(log.iter().any(|(target, at)| target == "tcp:b:1" && *at == 0));
}

#[tokio::test(start_paused = true)]
async fn a_cut_off_attempt_gives_the_reason_of_its_stage() {
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
    assert_eq!(standing.attempts, 2, "the second attempt began within one second");
    assert_eq!(
        standing.reason.as_ref().unwrap().text(),
        "10.0.0.1:1 accepted the connection, and no complete answer came within 700ms"
    );
}

#[tokio::test(start_paused = true)]
async fn successes_must_be_in_a_row_with_one_second_between_them() {
    let n = Cell::new(0);
    let (verdict, _, log) = run("tcp:a:1#successes=3", async |_, attempt| {
        assert!(attempt.fresh());
        n.set(n.get() + 1);
        if n.get() == 3 { Err(refused()) } else { Ok(Ready::default()) }
    })
    .await;
    assert_eq!(verdict, Verdict::Ready);
    assert_eq!(log.len(), 6, "two attempts were ready, one was not, then three were");
    assert_eq!(log[1].1 - log[0].1, 1000);
    assert!(log[3].1 - log[2].1 <= 50);
    assert_eq!(log[5].1 - log[3].1, 2000);
}

/// Ready, undecided, ready, undecided, ready: three in a row. With a refusal in place of the second, it is not.
#[tokio::test(start_paused = true)]
async fn an_undecided_attempt_neither_counts_nor_starts_the_count_again() {
    for (third, attempts) in [(refused().undecided(), 5), (refused(), 8)] {
        let count = Cell::new(0);
        let (verdict, _, log) = run("tcp:a:1#successes=3", async |_, _| {
            count.set(count.get() + 1);
            match count.get() {
                2 | 7 => Err(refused().undecided()),
                4 => Err(third.clone()),
                _ => Ok(Ready::default()),
            }
        })
        .await;
        assert_eq!((verdict, log.len()), (Verdict::Ready, attempts));
    }
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
async fn half_the_pause_follows_an_attempt_that_a_server_accepted() {
    let (_, _, log) = run("tcp:a:1#timeout=20s", async |_, attempt| {
        attempt.accept();
        time::sleep(Duration::from_secs(2)).await;
        Err(Reason::new(Code::ExpectStatus, "503"))
    })
    .await;
    let gaps = gaps(&log);
    assert!(gaps.iter().all(|gap| *gap > 2000 && *gap <= 2500), "{gaps:?}");
}

/// A server that needs 100 ms to say "not yet", twice in a row, is asked again after 5 s, less the jitter.
#[tokio::test(start_paused = true)]
async fn the_pause_follows_the_time_that_a_server_needs_to_say_not_yet() {
    let (_, _, log) = run("tcp:a:1#timeout=60s", async |_, attempt| {
        attempt.accept();
        time::sleep(Duration::from_millis(100)).await;
        Err(Reason::new(Code::ProtocolNotAccepting, "it starts"))
    })
    .await;
    let gaps = gaps(&log);
    assert!(gaps[0] <= 250 && gaps.len() > 10, "{gaps:?}");
    assert!(gaps[1..].iter().all(|gap| (2500..=5000).contains(gap)), "{gaps:?}");
}

#[tokio::test(start_paused = true)]
async fn once_stops_at_the_first_target_that_is_not_ready() {
    let fail = async |planned: &Planned, _: &Attempt| {
        if planned.shown == "tcp:b:1" { Err(refused()) } else { Ok(Ready::default()) }
    };
    let (verdict, _, log) = run("--once tcp:a:1 tcp:b:1 tcp:c:1", fail).await;
    assert_eq!((verdict, log.len()), (Verdict::NotReady, 2));
    let (verdict, _, log) = run("--once --parallel tcp:a:1 tcp:b:1 tcp:c:1", fail).await;
    assert_eq!((verdict, log.len()), (Verdict::NotReady, 3));
}

#[tokio::test(start_paused = true)]
async fn attempts_in_flight_are_bounded_and_the_target_that_waited_longest_is_next() {
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
        // Only one attempt runs at a time, so the second target's first attempt starts after two seconds.
        assert_eq!(Gate::new(&plan, &board, &|_| {}, 1, probe).run().await, Verdict::Ready);
    }
}

/// The last reason is reported, except if the running attempt came further or has taken longer than the last one.
#[tokio::test(start_paused = true)]
async fn the_running_attempt_is_reported_if_it_says_more_than_the_last_one() {
    for (first, second, code) in [
        // The first attempt: how long it takes, its stage and its code. Then the stage in which the second one hangs.
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

/// It is one attempt, and its reasons are reported while it goes on.
#[tokio::test(start_paused = true)]
async fn an_attempt_may_go_on_and_tell_why_it_waits() {
    let plan = plan("tcp:a:1#attempt-timeout=60s#timeout=50s");
    let board = Board::new(&plan);
    let told = RefCell::new(Vec::new());
    let report = |event: Event<'_>| {
        if let Event::Attempt { outcome: Err(reason), number, pause, .. } = event {
            let standing = board.standings(&plan)[0].reason.clone().unwrap();
            told.borrow_mut().push((reason.text().to_owned(), number, pause, standing.text().to_owned()));
        }
    };
    let state = |text: &str| Reason::new(Code::ExpectState, text);
    let probe = async |_: &Planned, attempt: &Attempt| {
        assert!(attempt.lingers());
        for text in ["one", "one", "two"] {
            attempt.tell(state(text));
            time::sleep(Duration::from_secs(10)).await;
        }
        std::future::pending().await
    };
    let verdict = Gate::new(&plan, &board, &report, 1, probe).run().await;
    assert!(matches!(verdict, Verdict::TimedOut(..)));
    let expected = |text: &str| (text.to_owned(), 1, None, text.to_owned());
    assert_eq!(*told.borrow(), [expected("one"), expected("two")]);
    let standing = &board.standings(&plan)[0];
    assert_eq!((standing.attempts, standing.reason.as_ref().unwrap().text()), (1, "two"));
}

#[tokio::test(start_paused = true)]
async fn an_attempt_goes_on_only_where_no_other_target_waits_for_its_place() {
    for (line, lingers) in [("tcp:a:1 tcp:b:1", true), ("--once tcp:a:1", false), ("--parallel tcp:a:1 tcp:b:1", false)]
    {
        let plan = plan(line);
        let board = Board::new(&plan);
        let probe = async |_: &Planned, attempt: &Attempt| {
            assert_eq!(attempt.lingers(), lingers, "{line}");
            Ok(Ready::default())
        };
        assert_eq!(Gate::new(&plan, &board, &|_| {}, 1, probe).run().await, Verdict::Ready);
    }
}

/// What the server asks for is kept, however short the pause would be.
#[tokio::test(start_paused = true)]
async fn a_pause_that_the_server_asks_for_is_kept() {
    let (_, _, log) = run("tcp:a:1#timeout=9s#max-pause=10ms", async |_, attempt| {
        attempt.accept();
        time::sleep(Duration::from_secs(1)).await;
        Err(Reason::new(Code::ProtocolNotAccepting, "429").with_pause(Duration::from_secs(3)))
    })
    .await;
    assert_eq!(log.iter().map(|(_, at)| *at).collect::<Vec<_>>(), [0, 4000, 8000]);
}
