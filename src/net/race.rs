//! One answer from several peers: when a peer fails or stays silent, the next one is tried too.

use std::cell::RefCell;
use std::net::SocketAddr;
use std::time::Duration;

use futures_util::stream::{FuturesUnordered, StreamExt};
use tokio::time;

use crate::attempt::Attempt;
use crate::reason::{Reason, Stage};

/// How long an address may stay silent before the next one is tried at the same time (RFC 8305 section 5).
const STAGGER: Duration = Duration::from_millis(250);

/// Runs `attempt` for every item. The next one starts after `apart`, or at once when one fails. The first success wins,
/// and the others are dropped. If all fail, the error has each failure, in the order of `items`.
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

/// Runs `try_one` for every address. The next one starts after 250 ms, or at once when one fails. The first success
/// wins, and the others are dropped. If all fail, the error has each reason, in the order of `addresses`.
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
        // A cut-off attempt names the address that came furthest. If none has connected, it names all that are silent.
        let first = pending.borrow().is_empty();
        pending.borrow_mut().push(address);
        if first || attempt.stage() <= Stage::Connect {
            wait_for();
        }
        let outcome = try_one(address).await;
        if let Err(reason) = &outcome {
            // One address has failed, so a hint about silence is not true for all of them.
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
    async fn the_next_address_starts_after_250_ms_of_silence() {
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
    async fn the_next_address_starts_at_once_after_a_refusal_and_the_reasons_keep_the_order() {
        let attempt = Attempt::new(BOUNDS, false);
        let try_one = async |address: SocketAddr| -> Result<(), _> {
            Err(Reason::new(Code::ConnectRefused, format!("refused by {address}")))
        };
        let failed = race(&addresses(3), &attempt, try_one).await.unwrap_err();
        assert_eq!(attempt.started().elapsed(), Duration::ZERO);
        assert_eq!(failed.iter().map(|(address, _)| *address).collect::<Vec<_>>(), addresses(3));
    }

    #[tokio::test(start_paused = true)]
    async fn a_cut_off_attempt_names_the_addresses_that_are_still_silent() {
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
    async fn the_next_item_starts_after_silence_or_at_once_after_a_failure() {
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
    async fn the_first_item_still_wins_if_it_answers_before_the_second() {
        let attempt = async |item: u64| {
            time::sleep(Duration::from_millis(item)).await;
            Ok::<_, ()>(item)
        };
        assert_eq!(staggered(&[500, 400], APART, attempt).await, Ok((500, 500)));
    }

    #[tokio::test(start_paused = true)]
    async fn the_failures_are_in_the_order_of_the_items() {
        let attempt = async |item: u8| -> Result<(), u8> {
            time::sleep(Duration::from_millis(u64::from(10 - item) * 100)).await;
            Err(item)
        };
        assert_eq!(staggered(&[1, 2, 3], APART, attempt).await, Err(vec![(1, 1), (2, 2), (3, 3)]));
        assert_eq!(staggered(&[0u8; 0], APART, async |_| Err::<(), _>(())).await, Err(vec![]));
    }
}
