//! Several peers, one answer: the next peer is tried when one fails, or beside those that stay silent.

use std::cell::RefCell;
use std::net::SocketAddr;
use std::time::Duration;

use futures_util::stream::{FuturesUnordered, StreamExt};
use tokio::time;

use crate::attempt::Attempt;
use crate::reason::{Reason, Stage};

/// How long an address may stay silent before the next one is tried beside it (RFC 8305 section 5).
const STAGGER: Duration = Duration::from_millis(250);

/// Runs `attempt` for every item, `apart` from each other or at once after a failure. The first
/// success wins and the others are dropped; else each failure, in the order of `items`.
pub(crate) async fn staggered<I: Copy, T, E>(
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

/// Runs `attempt` for every address, 250 ms apart or at once after a failure; the first that is ready wins
/// and the others are dropped. Else the reason of each address, in the order of `addresses`.
pub(crate) async fn race<T>(
    addresses: &[SocketAddr],
    attempt: &Attempt,
    try_one: impl AsyncFn(SocketAddr) -> Result<T, Reason>,
) -> Result<T, Vec<(SocketAddr, Reason)>> {
    let pending = RefCell::new(Vec::new());
    let wait_for = || {
        let names: Vec<String> = pending.borrow().iter().map(SocketAddr::to_string).collect();
        attempt.enter(Stage::Connect, names.join(" and "));
    };
    let try_one = async |address: SocketAddr| {
        // The one that came furthest is the one to name; after it, those that are still waited for.
        let first = pending.borrow().is_empty();
        pending.borrow_mut().push(address);
        if first || attempt.stage() <= Stage::Connect {
            wait_for();
        }
        let outcome = try_one(address).await;
        if let Err(reason) = &outcome {
            // Where one has failed already, no one thing is to be said about the silence of the others.
            attempt.if_silent(None);
            pending.borrow_mut().retain(|other| *other != address);
            let named = attempt.stage() <= Stage::Connect || reason.stage() > Stage::Connect;
            if named && !pending.borrow().is_empty() {
                wait_for();
            }
        }
        outcome
    };
    staggered(addresses, STAGGER, try_one).await.map(|(_, ready)| ready)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::attempt::Bounds;
    use crate::reason::Code;
    use tokio::time::Instant;

    const APART: Duration = Duration::from_millis(300);
    const BOUNDS: Bounds = Bounds { attempt: Duration::from_secs(3), connect: Duration::from_secs(1) };

    fn addresses(n: u8) -> Vec<SocketAddr> {
        (1..=n).map(|last| SocketAddr::from(([10, 0, 0, last], 80))).collect()
    }

    #[tokio::test(start_paused = true)]
    async fn silent_addresses_are_joined_by_the_next_every_250_ms() {
        let attempt = Attempt::new(BOUNDS, false);
        let begun = RefCell::new(Vec::new());
        let try_one = async |address: SocketAddr| {
            begun.borrow_mut().push((address, attempt.started().elapsed().as_millis()));
            if address.to_string() == "10.0.0.3:80" { Ok(address) } else { std::future::pending().await }
        };
        let won = race(&addresses(4), &attempt, try_one).await;
        assert_eq!(won.unwrap().to_string(), "10.0.0.3:80");
        let times: Vec<_> = begun.borrow().iter().map(|(_, at)| *at).collect();
        assert_eq!(times, [0, 250, 500]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_refusal_is_followed_by_the_next_at_once_and_all_are_kept_in_order() {
        let attempt = Attempt::new(BOUNDS, false);
        let try_one = async |address: SocketAddr| -> Result<(), _> {
            Err(Reason::new(Code::ConnectRefused, format!("refused by {address}")))
        };
        let failed = race(&addresses(3), &attempt, try_one).await.unwrap_err();
        assert_eq!(attempt.started().elapsed(), Duration::ZERO);
        assert_eq!(failed.iter().map(|(address, _)| *address).collect::<Vec<_>>(), addresses(3));
    }

    #[tokio::test(start_paused = true)]
    async fn the_trail_names_those_that_are_still_waited_for() {
        for (refuses, accepts, text) in [
            (&[1][..], 0, "no answer to the connection attempt from 10.0.0.2:80 and 10.0.0.3:80 within 900ms"),
            (&[1, 3], 0, "no answer to the connection attempt from 10.0.0.2:80 within 900ms"),
            (&[], 1, "10.0.0.1:80 accepted, and no complete answer came within 900ms"),
            (&[], 2, "10.0.0.2:80 accepted, and no complete answer came within 900ms"),
        ] {
            let attempt = Attempt::new(BOUNDS, false);
            let try_one = async |address: SocketAddr| -> Result<(), Reason> {
                let SocketAddr::V4(v4) = address else { return Ok(()) };
                let last = v4.ip().octets()[3];
                if refuses.contains(&last) {
                    return Err(Reason::new(Code::ConnectRefused, "refused"));
                }
                if accepts == last {
                    attempt.enter(Stage::Protocol, format_args!("{address} accepted"));
                }
                std::future::pending().await
            };
            let cut = time::timeout(Duration::from_millis(900), race(&addresses(3), &attempt, try_one)).await;
            assert!(cut.is_err());
            assert_eq!(attempt.cut_off().text(), text, "{refuses:?} {accepts}");
        }
    }

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
