//! Whether a node limits its refusals now: then the silence of an address that refused earlier has an explanation.

use std::cell::Cell;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::time::{self, Instant};

/// After this much silence, an address that refused earlier gets another socket. The older ones still listen.
pub(super) const RENEW_AFTER: Duration = Duration::from_millis(250);

/// A kernel that limits its refusals sends the next one within this time (one a second, and some time on the way).
pub(super) const NEXT_REFUSAL: Duration = Duration::from_millis(1200);

/// A question whose silence is to prove the limit begins at most so long after a refusal. It ends before the node may send
/// the next one.
const PROOF_WITHIN: Duration = Duration::from_millis(700);

/// The refusals of one address family. A kernel counts those of IPv4 and of IPv6 apart.
#[derive(Default)]
pub(super) struct Limit {
    /// Which address refused last, and when.
    last: Cell<Option<(SocketAddr, Instant)>>,
    /// Which other address refused last, and when.
    other: Cell<Option<(SocketAddr, Instant)>>,
    /// Whether a second question to another address was silent, after the refusal of this time. None while it is asked.
    proof: Cell<Option<(Instant, Option<bool>)>>,
}

impl Limit {
    /// `address` has refused now.
    pub(super) fn took(&self, address: SocketAddr) {
        match self.last.replace(Some((address, Instant::now()))) {
            Some(before) if before.0 != address => self.other.set(Some(before)),
            _ => {}
        }
    }

    /// Whether an address has refused since `begun`.
    pub(super) fn took_since(&self, begun: Instant) -> bool {
        self.last.get().is_some_and(|(_, at)| at >= begun)
    }

    /// Ends after a while of silence from `address`, once the limit explains it: another address took the refusal of this
    /// second, and is silent too when it is asked again. `ask` says whether an answer came.
    ///
    /// Without the second question, any closed port elsewhere would explain the silence of a server whose packets are
    /// dropped, or whose queue is full.
    pub(super) async fn used_up(&self, address: SocketAddr, ask: impl AsyncFn(SocketAddr) -> bool) {
        loop {
            time::sleep(RENEW_AFTER).await;
            let Some((by, at)) = self.last.get() else { continue };
            let beside = self.other.get().filter(|(other, at)| *other != address && at.elapsed() < 2 * NEXT_REFUSAL);
            let witness = if by == address { beside.map(|(other, _)| other) } else { Some(by) };
            if let Some(witness) = witness
                && at.elapsed() < NEXT_REFUSAL
                && self.is_proved(at, witness, &ask).await
            {
                return;
            }
        }
    }

    /// Whether `witness` is silent too, shortly after the refusal of the time `at`. It is asked once for all that wait.
    async fn is_proved(&self, at: Instant, witness: SocketAddr, ask: impl AsyncFn(SocketAddr) -> bool) -> bool {
        if let Some((of, silent)) = self.proof.get()
            && of == at
        {
            return silent == Some(true);
        }
        if at.elapsed() > PROOF_WITHIN {
            return false;
        }
        self.proof.set(Some((at, None)));
        let silent = !time::timeout(RENEW_AFTER, ask(witness)).await.unwrap_or(false);
        self.proof.set(Some((at, Some(silent))));
        silent
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOON: Duration = Duration::from_millis(600);

    fn at(last: u8) -> SocketAddr {
        ([10, 96, 0, last], 6379).into()
    }

    async fn silence(_: SocketAddr) -> bool {
        std::future::pending().await
    }

    #[tokio::test(start_paused = true)]
    async fn the_limit_explains_silence_only_beside_another_refusal() {
        let limit = Limit::default();
        let soon = async || time::timeout(SOON, limit.used_up(at(9), silence)).await.is_ok();
        limit.took(at(9));
        assert!(!soon().await, "its own refusal shows no limit");
        limit.took(at(10));
        assert!(soon().await);
        limit.took(at(9));
        assert!(soon().await, "the other one refused shortly before");
        time::advance(NEXT_REFUSAL).await;
        assert!(!soon().await, "no refusal for a second: something else drops the packets");
    }

    #[tokio::test(start_paused = true)]
    async fn an_address_that_refuses_twice_shows_no_limit() {
        let limit = Limit::default();
        let asked = Cell::new(0);
        let refuses = async |witness: SocketAddr| {
            assert_eq!(witness, at(10));
            asked.set(asked.get() + 1);
            true
        };
        limit.took(at(10));
        let both = async { tokio::join!(limit.used_up(at(8), refuses), limit.used_up(at(9), refuses)) };
        assert!(time::timeout(2 * NEXT_REFUSAL, both).await.is_err());
        assert_eq!(asked.get(), 1, "one question for all that wait");
    }

    #[tokio::test(start_paused = true)]
    async fn late_silence_proves_nothing() {
        // The node may send its next refusal while the witness is asked.
        let limit = Limit::default();
        limit.took(at(10));
        time::advance(PROOF_WITHIN).await;
        assert!(time::timeout(SOON, limit.used_up(at(9), silence)).await.is_err());
    }
}
