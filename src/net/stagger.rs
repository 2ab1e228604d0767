//! Several to ask, one answer wanted: the next is asked when one fails, or joins when all are silent.

use std::time::Duration;

use futures_util::stream::{FuturesUnordered, StreamExt};
use tokio::time;

/// Runs `attempt` for every item, `apart` from each other or at once after a failure. The first
/// success wins and the others are dropped; else each failure, in the order of `items`.
pub async fn staggered<I: Copy, T, E>(
    items: &[I],
    apart: Duration,
    attempt: impl AsyncFn(I) -> Result<T, E>,
) -> Result<(I, T), Vec<(I, E)>> {
    let mut failed: Vec<(usize, E)> = Vec::new();
    let mut running = FuturesUnordered::new();
    let mut waiting = items.iter().copied().enumerate().peekable();
    loop {
        if let Some((at, item)) = waiting.next() {
            let attempt = &attempt;
            running.push(async move { (at, attempt(item).await) });
        }
        let outcome = if waiting.peek().is_some() {
            match time::timeout(apart, running.next()).await {
                Ok(outcome) => outcome,
                Err(_) => continue,
            }
        } else {
            running.next().await
        };
        match outcome {
            Some((at, Ok(ready))) => return Ok((items[at], ready)),
            Some((at, Err(error))) => failed.push((at, error)),
            None => break,
        }
    }
    failed.sort_by_key(|(at, _)| *at);
    Err(failed.into_iter().map(|(at, error)| (items[at], error)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::RefCell;
    use tokio::time::Instant;

    const APART: Duration = Duration::from_millis(300);

    #[tokio::test(start_paused = true)]
    async fn the_silent_are_joined_and_the_failed_followed_at_once() {
        let start = Instant::now();
        let begun = RefCell::new(Vec::new());
        let attempt = async |item: u8| {
            begun.borrow_mut().push((item, start.elapsed().as_millis()));
            match item {
                2 => Err("refused"),
                4 => Ok("answer"),
                _ => std::future::pending().await,
            }
        };
        assert_eq!(staggered(&[1, 2, 3, 4], APART, attempt).await, Ok((4, "answer")));
        assert_eq!(*begun.borrow(), [(1, 0), (2, 300), (3, 300), (4, 600)]);
    }

    #[tokio::test(start_paused = true)]
    async fn one_that_answers_late_still_wins() {
        let attempt = async |item: u64| {
            time::sleep(Duration::from_millis(item)).await;
            Ok::<_, ()>(item)
        };
        assert_eq!(staggered(&[500, 400], APART, attempt).await, Ok((500, 500)));
    }

    #[tokio::test(start_paused = true)]
    async fn every_failure_is_kept_in_order() {
        let attempt = async |item: u8| -> Result<(), u8> {
            time::sleep(Duration::from_millis(u64::from(10 - item) * 100)).await;
            Err(item)
        };
        assert_eq!(staggered(&[1, 2, 3], APART, attempt).await, Err(vec![(1, 1), (2, 2), (3, 3)]));
        assert_eq!(staggered(&[0u8; 0], APART, async |_| Err::<(), _>(())).await, Err(vec![]));
    }
}
