//! Refusals that a node limits.
//!
//! kube-proxy refuses for a Service without endpoints by an ICMP message. A Linux kernel sends a client six of them at
//! once, and then one a second (net.ipv4.icmp_ratelimit, net/ipv4/icmp.c: icmpv4_xrlim_allow). The other connection
//! attempts get no answer, and this looks like dropped packets. A packet that the kernel sends again belongs to the old
//! connection attempt, so the first endpoint of a Service answers only a new one.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::net::SocketAddr;
use std::time::Duration;

use futures_util::stream::{FuturesUnordered, StreamExt};
use tokio::time::{self, Instant};

use super::limit::{Limit, NEXT_REFUSAL, RENEW_AFTER};
use crate::attempt::Attempt;
use crate::reason::{Code, Hint, Reason, Stage};
use crate::text;

/// How long a refusal explains silence. Many targets share one refusal a second. After a longer time, something else
/// keeps the packets back.
const KEPT: Duration = Duration::from_mins(5);

/// An error that comes faster than this is an answer of a rule.
const AT_ONCE: Duration = Duration::from_millis(100);

/// The key of the reason "host is unreachable".
pub(crate) const HOST: &str = "host";

/// After this much silence, an address that has not refused gets another socket. Packets that a rule dropped may flow
/// again, and a packet that the kernel sends again, after a second, belongs to the old connection attempt.
const RENEW_UNHEARD: Duration = Duration::from_millis(400);

/// How many addresses are remembered.
const ADDRESSES_MAX: usize = 4096;

/// How many extra sockets there are at once in a run.
const EXTRA_MAX: usize = 64;

/// Which addresses refused last, in this run.
#[derive(Default)]
pub(crate) struct Refusals {
    at: RefCell<HashMap<SocketAddr, Instant>>,
    /// The limits of IPv4 and of IPv6.
    limits: [Limit; 2],
    /// How many addresses without a refusal are asked insistently now.
    unheard: Cell<usize>,
    extra: Cell<usize>,
}

impl Refusals {
    /// Whether `address` refused, and has not accepted since.
    pub(crate) fn explain(&self, address: SocketAddr) -> bool {
        self.at.borrow().get(&address).is_some_and(|at| at.elapsed() < KEPT)
    }

    /// Whether no address has refused.
    pub(crate) fn is_empty(&self) -> bool {
        self.at.borrow().is_empty()
    }

    /// The same for all of `addresses`.
    pub(crate) fn explain_all(&self, addresses: &[SocketAddr]) -> bool {
        !addresses.is_empty() && addresses.iter().all(|address| self.explain(*address))
    }

    /// `address` has refused now. No refusal is limited on loopback, so silence has another cause there.
    pub(crate) fn add(&self, address: SocketAddr) {
        if address.ip().is_loopback() {
            return;
        }
        let mut at = self.at.borrow_mut();
        self.limit(address).took(address);
        if at.len() < ADDRESSES_MAX || at.contains_key(&address) {
            at.insert(address, Instant::now());
        }
    }

    fn limit(&self, address: SocketAddr) -> &Limit {
        &self.limits[usize::from(address.is_ipv6())]
    }

    /// Ends after a while of silence from `address`, once the limit explains it. `ask` connects to another address that
    /// has refused, and says whether an answer came: silence proves the limit.
    pub(crate) async fn used_up(&self, address: SocketAddr, ask: impl AsyncFn(SocketAddr) -> bool) {
        self.limit(address).used_up(address, ask).await;
    }

    /// Ends once an address that has not refused yet has got the refusal of this second, or after a second: an address
    /// that has refused already must not take it away.
    pub(crate) async fn let_pass(&self, address: SocketAddr) {
        const LOOK: Duration = Duration::from_millis(10);
        let begun = Instant::now();
        let taken = || self.limit(address).took_since(begun);
        while self.unheard.get() > 0 && !taken() && begun.elapsed() < NEXT_REFUSAL {
            time::sleep(LOOK).await;
        }
    }

    /// `address` has answered otherwise.
    pub(crate) fn forget(&self, address: SocketAddr) {
        self.at.borrow_mut().remove(&address);
    }

    /// Connects to `address` by `connect`.
    ///
    /// In silence a new socket joins, every 250 ms if the address refused earlier, or else every 400 ms. After a refusal,
    /// silence is still one.
    pub(crate) async fn heed<T>(
        &self,
        address: SocketAddr,
        attempt: &Attempt,
        connect: impl AsyncFn() -> Result<T, Reason>,
    ) -> Result<T, Reason> {
        self.ask(address, attempt, self.explain(address), connect).await
    }

    /// The same for an address whose first refusal may get lost: a new socket joins every 250 ms in any case.
    pub(crate) async fn insist<T>(
        &self,
        address: SocketAddr,
        attempt: &Attempt,
        connect: impl AsyncFn() -> Result<T, Reason>,
    ) -> Result<T, Reason> {
        let _unheard = Unheard::of(self, address);
        self.ask(address, attempt, true, connect).await
    }

    async fn ask<T>(
        &self,
        address: SocketAddr,
        attempt: &Attempt,
        renews: bool,
        connect: impl AsyncFn() -> Result<T, Reason>,
    ) -> Result<T, Reason> {
        let refused = self.explain(address);
        let began = Instant::now();
        let apart = if renews { RENEW_AFTER } else { RENEW_UNHEARD };
        let outcome = self.renewed(attempt, apart, connect).await;
        match &outcome {
            Err(reason) if reason.code() == Code::ConnectRefused => self.add(address),
            Err(reason) if refused && reason.code() == Code::ConnectTimeout => return Err(still_refused(&[address])),
            Err(reason) if reason.code() == Code::ConnectUnreachable && reason.key() == HOST => {
                // If the host does not answer on its link, that takes seconds. A rule that rejects answers at once.
                let at_once = began.elapsed() < AT_ONCE;
                return outcome.map_err(|reason| if at_once { reason.with_hint(Hint::Rejected) } else { reason });
            }
            Err(reason) if reason.stage() <= Stage::Connect => {}
            // It accepted.
            _ => self.forget(address),
        }
        outcome
    }

    /// The first outcome of `connect`, which starts again after each `apart` without one.
    async fn renewed<T>(
        &self,
        attempt: &Attempt,
        apart: Duration,
        connect: impl AsyncFn() -> Result<T, Reason>,
    ) -> Result<T, Reason> {
        let mut running = FuturesUnordered::new();
        let mut extra = Extra { of: self, count: 0 };
        running.push(connect());
        loop {
            match time::timeout(apart, running.next()).await {
                // This machine has nothing left for another socket. The older ones may still get an answer.
                Ok(Some(Err(reason))) if reason.stage() == Stage::Local && !running.is_empty() => {}
                Ok(Some(outcome)) => return outcome,
                Ok(None) => return connect().await,
                // A server that has accepted gets no second connection.
                Err(_) if attempt.stage() <= Stage::Connect && extra.take() => running.push(connect()),
                Err(_) => {}
            }
        }
    }
}

/// The extra sockets of one connection attempt.
struct Extra<'a> {
    of: &'a Refusals,
    count: usize,
}

impl Extra<'_> {
    fn take(&mut self) -> bool {
        let free = self.of.extra.get() < EXTRA_MAX;
        if free {
            self.count += 1;
            self.of.extra.set(self.of.extra.get() + 1);
        }
        free
    }
}

impl Drop for Extra<'_> {
    fn drop(&mut self) {
        self.of.extra.set(self.of.extra.get().saturating_sub(self.count));
    }
}

/// An address without a refusal, while it is asked.
struct Unheard<'a>(&'a Refusals, usize);

impl<'a> Unheard<'a> {
    fn of(refusals: &'a Refusals, address: SocketAddr) -> Self {
        let count = usize::from(!refusals.explain(address));
        refusals.unheard.set(refusals.unheard.get() + count);
        Self(refusals, count)
    }
}

impl Drop for Unheard<'_> {
    fn drop(&mut self) {
        self.0.unheard.set(self.0.unheard.get().saturating_sub(self.1));
    }
}

/// The reason for addresses that refused earlier and are silent now.
pub(crate) fn still_refused(addresses: &[SocketAddr]) -> Reason {
    let who = text::list(addresses);
    let text = format!("refused by {who} (at times no answer: a node limits its refusals to one a second)");
    Reason::new(Code::ConnectRefused, text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::attempt::Bounds;

    const BOUNDS: Bounds = Bounds { attempt: Duration::from_secs(3), connect: Duration::from_millis(1200) };

    fn address() -> SocketAddr {
        "10.96.0.9:6379".parse().unwrap()
    }

    fn refused() -> Reason {
        Reason::new(Code::ConnectRefused, "refused")
    }

    async fn silence() -> Result<(), Reason> {
        time::sleep(BOUNDS.connect).await;
        Err(Reason::new(Code::ConnectTimeout, "silent"))
    }

    #[tokio::test(start_paused = true)]
    async fn silence_is_a_refusal_only_after_a_refusal() {
        let (refusals, attempt) = (Refusals::default(), Attempt::new(BOUNDS, false));
        let code = async |connect: &dyn Fn() -> Result<(), Reason>| {
            refusals.heed(address(), &attempt, async || connect()).await.map_err(|reason| reason.code())
        };
        let silent = || Err(Reason::new(Code::ConnectTimeout, "silent"));
        assert_eq!(code(&silent).await, Err(Code::ConnectTimeout));
        assert_eq!(code(&|| Err(refused())).await, Err(Code::ConnectRefused));
        assert_eq!(code(&silent).await, Err(Code::ConnectRefused));
        let other = Code::ConnectUnreachable;
        assert_eq!(code(&|| Err(Reason::new(other, "no route"))).await, Err(other));
        assert_eq!(code(&|| Ok(())).await, Ok(()));
        assert_eq!(code(&silent).await, Err(Code::ConnectTimeout), "it has accepted since");
        assert_eq!(code(&|| Err(refused())).await, Err(Code::ConnectRefused));
        time::advance(KEPT).await;
        assert_eq!(code(&silent).await, Err(Code::ConnectTimeout), "too long ago");
    }

    #[tokio::test(start_paused = true)]
    async fn in_silence_a_new_socket_joins_and_the_old_ones_stay() {
        let (refusals, attempt) = (Refusals::default(), Attempt::new(BOUNDS, false));
        let begun = RefCell::new(Vec::new());
        let start = Instant::now();
        let connect = async || {
            begun.borrow_mut().push(start.elapsed().as_millis());
            silence().await
        };
        let _ = refusals.heed(address(), &attempt, connect).await;
        assert_eq!(*begun.borrow(), [0, 400, 800], "it has not refused");
        refusals.add(address());
        begun.borrow_mut().clear();
        let outcome = refusals.heed(address(), &attempt, connect).await;
        assert_eq!(outcome.unwrap_err().code(), Code::ConnectRefused);
        let first = begun.borrow()[0];
        assert_eq!(begun.borrow().iter().map(|at| at - first).collect::<Vec<_>>(), [0, 250, 500, 750, 1000]);
        assert_eq!(start.elapsed().as_millis(), 2400);
        assert_eq!(refusals.extra.get(), 0);
        // The server accepts the third socket.
        let count = Cell::new(0);
        let connect = async || {
            count.set(count.get() + 1);
            if count.get() == 3 { Ok(()) } else { silence().await }
        };
        assert_eq!(refusals.heed(address(), &attempt, connect).await, Ok(()));
        assert!(!refusals.explain(address()));
    }

    #[tokio::test(start_paused = true)]
    async fn a_server_that_has_accepted_gets_no_second_connection() {
        let (refusals, attempt) = (Refusals::default(), Attempt::new(BOUNDS, false));
        refusals.add(address());
        let count = Cell::new(0);
        let connect = async || {
            count.set(count.get() + 1);
            attempt.enter(Stage::Tls, "10.96.0.9:443");
            time::sleep(Duration::from_secs(2)).await;
            Ok::<(), Reason>(())
        };
        assert_eq!(refusals.heed(address(), &attempt, connect).await, Ok(()));
        assert_eq!(count.get(), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn without_descriptors_the_older_sockets_go_on() {
        let (refusals, attempt) = (Refusals::default(), Attempt::new(BOUNDS, false));
        refusals.add(address());
        let count = Cell::new(0);
        let connect = async || {
            count.set(count.get() + 1);
            if count.get() == 1 { silence().await } else { Err(Reason::new(Code::LocalDescriptors, "none")) }
        };
        let outcome = refusals.heed(address(), &attempt, connect).await;
        assert_eq!(outcome.unwrap_err().code(), Code::ConnectRefused);
    }

    #[tokio::test(start_paused = true)]
    async fn an_address_that_refused_lets_the_others_pass() {
        let (refusals, attempt) = (Refusals::default(), Attempt::new(BOUNDS, false));
        let start = Instant::now();
        refusals.let_pass(address()).await;
        assert!(start.elapsed().is_zero(), "no other is asked");
        let _ = tokio::join!(refusals.insist(address(), &attempt, silence), refusals.let_pass(address()));
        assert_eq!(start.elapsed(), BOUNDS.connect);
    }

    #[test]
    fn loopback_limits_no_refusals() {
        let refusals = Refusals::default();
        refusals.add("127.0.0.1:80".parse().unwrap());
        refusals.add("[::1]:80".parse().unwrap());
        assert!(refusals.is_empty());
    }

    #[test]
    fn the_memory_is_bounded() {
        let refusals = Refusals::default();
        (0..5000).for_each(|port| refusals.add(([10, 0, 0, 1], port).into()));
        assert_eq!(refusals.at.borrow().len(), ADDRESSES_MAX);
    }
}
