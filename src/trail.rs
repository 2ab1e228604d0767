//! What an attempt has done so far, kept by the gate: an attempt that is dropped still has its reason.

use std::cell::{Cell, RefCell};
use std::fmt::Display;
use std::time::Duration;

use tokio::time::Instant;

use crate::reason::{Code, Hint, Reason, Stage};

/// The bounds of one attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// On the whole attempt, resolving and connecting included.
    pub attempt: Duration,
    /// On each DNS question, and on connecting to one address.
    pub connect: Duration,
}

/// The footprints of one attempt: its stage, what it waits for, and when each stage began.
///
/// An attempt only writes here; the gate reads, whether the attempt ended by itself or was cut off.
pub struct Trail {
    bounds: Bounds,
    started: Instant,
    fresh: bool,
    stage: Cell<Stage>,
    accepted: Cell<bool>,
    awaited: RefCell<String>,
    silent: Cell<Option<Hint>>,
    entered: RefCell<Vec<(Stage, Instant)>>,
}

impl Trail {
    /// The trail of an attempt that begins now. `fresh` forbids answers from a cache.
    #[must_use]
    pub fn new(bounds: Bounds, fresh: bool) -> Self {
        Self {
            bounds,
            started: Instant::now(),
            fresh,
            stage: Cell::new(Stage::Local),
            accepted: Cell::new(false),
            awaited: RefCell::default(),
            silent: Cell::new(None),
            entered: RefCell::default(),
        }
    }

    /// The attempt enters `stage`, or waits for something else within it.
    ///
    /// `awaited` completes the sentence of a cut-off attempt and names the address:
    /// - resolve: "no answer from …" (`nameserver 10.96.0.10, asked for db.ns.svc.cluster.local`)
    /// - connect: "no answer to the connection attempt from …" (`10.1.2.3:5432`)
    /// - tls: "… accepted the connection and did not finish the TLS handshake" (`10.1.2.3:443`)
    /// - protocol: "… and no complete answer came" (`10.1.2.3:80 accepted the connection and the request`)
    /// - expect: "… did not come to its end" (`the body of 200 from 10.1.2.3:80`)
    pub fn enter(&self, stage: Stage, awaited: impl Display) {
        if self.stage.replace(stage) != stage || self.entered.borrow().is_empty() {
            self.entered.borrow_mut().push((stage, Instant::now()));
        }
        *self.awaited.borrow_mut() = awaited.to_string();
    }

    /// What it means where the addresses that were found stay silent to the end.
    pub fn if_silent(&self, hint: Option<Hint>) {
        self.silent.set(hint);
    }

    /// A server accepted the connection: from here on the attempt costs it something.
    pub fn accept(&self) {
        self.accepted.set(true);
    }

    /// Whether a server accepted a connection.
    #[must_use]
    pub fn accepted(&self) -> bool {
        self.accepted.get()
    }

    /// Where the attempt stands.
    #[must_use]
    pub fn stage(&self) -> Stage {
        self.stage.get()
    }

    /// When it began.
    #[must_use]
    pub fn started(&self) -> Instant {
        self.started
    }

    /// The instant by which the whole attempt must end.
    #[must_use]
    pub fn until(&self) -> Instant {
        self.started + self.bounds.attempt
    }

    /// The bound on each DNS question, and on connecting to one address.
    #[must_use]
    pub fn connect_timeout(&self) -> Duration {
        self.bounds.connect
    }

    /// Whether answers from a cache are forbidden.
    #[must_use]
    pub fn fresh(&self) -> bool {
        self.fresh
    }

    /// How long each stage took, in the order in which they were entered; the last one until now.
    #[must_use]
    pub fn timings(&self) -> Vec<(Stage, Duration)> {
        let entered = self.entered.borrow();
        let ends = entered.iter().skip(1).map(|(_, at)| *at).chain([Instant::now()]);
        entered.iter().zip(ends).map(|((stage, at), end)| (*stage, end - *at)).collect()
    }

    /// For how long it has been in its stage.
    fn in_stage(&self) -> Duration {
        self.entered.borrow().last().map(|(_, at)| at.elapsed()).unwrap_or_default()
    }

    /// The reason of an attempt that was cut off where it now stands. What its silence means is said only after some.
    #[must_use]
    pub fn cut_off(&self) -> Reason {
        let awaited = self.awaited.borrow();
        // Timers are late by a little; what was waited for is the bound.
        let after = short(self.started.elapsed().min(self.bounds.attempt));
        match self.stage.get() {
            Stage::Local => {
                Reason::new(Code::LocalSocket, format!("the attempt had not reached the network after {after}"))
            }
            Stage::Resolve => Reason::new(Code::ResolveTimeout, format!("no answer from {awaited} within {after}")),
            Stage::Connect => Reason::new(
                Code::ConnectTimeout,
                format!("no answer to the connection attempt from {awaited} within {after}"),
            )
            .hint(self.silent.get().filter(|_| self.in_stage() >= self.bounds.connect.min(self.bounds.attempt) / 2)),
            Stage::Tls => Reason::new(
                Code::TlsTimeout,
                format!("{awaited} accepted the connection and did not finish the TLS handshake within {after}"),
            ),
            Stage::Protocol => {
                Reason::new(Code::ProtocolTimeout, format!("{awaited}, and no complete answer came within {after}"))
            }
            Stage::Expect => {
                Reason::new(Code::ExpectTimeout, format!("{awaited} did not come to its end within {after}"))
            }
        }
    }
}

/// A duration as a person reads it: `850ms`, `12.3s`, `2m 5s`.
#[must_use]
pub fn short(duration: Duration) -> String {
    match duration.as_millis() {
        0 => "0s".into(),
        millis @ 1..1000 => format!("{millis}ms"),
        millis @ 1000..60_000 if millis % 1000 < 100 => format!("{}s", millis / 1000),
        millis @ 1000..60_000 => format!("{}.{}s", millis / 1000, millis % 1000 / 100),
        _ => humantime::format_duration(Duration::from_secs(duration.as_secs())).to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOUNDS: Bounds = Bounds { attempt: Duration::from_secs(3), connect: Duration::from_secs(1) };

    #[tokio::test(start_paused = true)]
    async fn a_cut_off_attempt_says_where_it_hung() {
        let trail = Trail::new(BOUNDS, false);
        assert_eq!(trail.cut_off().code(), Code::LocalSocket);
        trail.enter(Stage::Resolve, "nameserver 10.96.0.10, asked for db.");
        tokio::time::advance(Duration::from_millis(1240)).await;
        assert_eq!(trail.cut_off().text(), "no answer from nameserver 10.96.0.10, asked for db. within 1.2s");
        trail.enter(Stage::Connect, "10.0.0.1:5432");
        assert!(!trail.accepted());
        trail.accept();
        trail.enter(Stage::Tls, "10.0.0.1:5432");
        assert_eq!(trail.cut_off().code(), Code::TlsTimeout);
        assert!(trail.accepted());
        let stages: Vec<_> = trail.timings().into_iter().map(|(stage, _)| stage).collect();
        assert_eq!(stages, [Stage::Resolve, Stage::Connect, Stage::Tls]);
        assert_eq!(trail.timings()[0].1, Duration::from_millis(1240));
    }

    #[test]
    fn durations_read_well() {
        for (millis, text) in [
            (0, "0s"),
            (850, "850ms"),
            (3000, "3s"),
            (3049, "3s"),
            (12_345, "12.3s"),
            (125_900, "2m 5s"),
            (900_000, "15m"),
        ] {
            assert_eq!(short(Duration::from_millis(millis)), text);
        }
    }
}
