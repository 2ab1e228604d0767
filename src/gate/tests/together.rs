//! Holds that are spent together.

use super::*;

/// A target whose connection stays open for its hold.
async fn held(attempt: &Attempt) -> Result<Ready, Reason> {
    attempt.hold();
    time::sleep(Duration::from_millis(50)).await;
    Ok(Ready::default())
}

fn begun(log: &[(String, u128)]) -> Vec<(&str, u128)> {
    log.iter().map(|(target, at)| (target.as_str(), *at)).collect()
}

#[tokio::test(start_paused = true)]
async fn the_holds_of_targets_in_order_are_spent_together() {
    for line in ["tcp:a:1 unix:/b tcp:c:1", "--once tcp:a:1 unix:/b tcp:c:1"] {
        let (verdict, took, log) = run(line, async |_, attempt| held(attempt).await).await;
        assert_eq!((verdict, took.as_millis()), (Verdict::Ready, 50));
        assert_eq!(begun(&log), [("tcp:a:1", 0), ("unix:/b", 0), ("tcp:c:1", 0)]);
    }
}

#[tokio::test(start_paused = true)]
async fn only_those_that_send_nothing_and_need_one_answer() {
    let line = "tcp:a:1 file:/b tcp:c:1 tcp:d:1#send=x tcp:e:1 tcp:f:1#successes=2 tcp:g:1#min=2";
    let (_, _, log) = run(line, async |_, attempt| held(attempt).await).await;
    let at: Vec<_> = log.iter().map(|(_, at)| *at).collect();
    // f is asked twice, a pause apart.
    assert_eq!(at, [0, 50, 100, 150, 200, 250, 1250, 1300]);
}

#[tokio::test(start_paused = true)]
async fn if_one_closes_the_next_ones_have_not_been_tried() {
    let plan = plan("tcp:a:1 tcp:b:1 tcp:c:1");
    let board = Board::new(&plan);
    let (lines, closes) = (RefCell::new(Vec::new()), Cell::new(true));
    let report = |event: Event<'_>| match event {
        Event::Attempt { target, number, .. } => {
            assert_eq!(board.standings(&plan)[1].attempts, 0);
            lines.borrow_mut().push(format!("{target} failed {number}"));
        }
        Event::Ready { target, attempts, .. } => lines.borrow_mut().push(format!("{target} ready {attempts}")),
        _ => {}
    };
    let probe = async |planned: &Planned, attempt: &Attempt| {
        if planned.shown == "tcp:a:1" && closes.replace(false) {
            attempt.hold();
            time::sleep(Duration::from_millis(30)).await;
            return Err(refused());
        }
        held(attempt).await
    };
    assert_eq!(Gate::new(&plan, &board, &report, 256, probe).run().await, Verdict::Ready);
    assert_eq!(*lines.borrow(), ["tcp:a:1 failed 1", "tcp:a:1 ready 2", "tcp:b:1 ready 1", "tcp:c:1 ready 1"]);
}

#[tokio::test(start_paused = true)]
async fn one_that_fails_goes_on_from_its_first_attempt() {
    let plan = plan("tcp:a:1 tcp:b:1 tcp:c:1");
    let board = Board::new(&plan);
    let (lines, fails) = (RefCell::new(Vec::new()), Cell::new(true));
    let begun = Instant::now();
    let report = |event: Event<'_>| match event {
        Event::Attempt { target, number, .. } => lines.borrow_mut().push(format!("{target} failed {number}")),
        Event::Ready { target, attempts, .. } => lines.borrow_mut().push(format!("{target} ready {attempts}")),
        _ => {}
    };
    let probe = async |planned: &Planned, attempt: &Attempt| {
        if planned.shown == "tcp:b:1" && fails.replace(false) { Err(refused()) } else { held(attempt).await }
    };
    assert_eq!(Gate::new(&plan, &board, &report, 256, probe).run().await, Verdict::Ready);
    assert_eq!(*lines.borrow(), ["tcp:a:1 ready 1", "tcp:b:1 failed 1", "tcp:b:1 ready 2", "tcp:c:1 ready 1"]);
    // The pause of b counts from its first attempt, and is over when a is ready.
    assert_eq!(begun.elapsed().as_millis(), 150);
}
