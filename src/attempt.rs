//! One attempt: its bounds, its stage and what it waits for.
//!
//! The gate keeps it while the attempt runs. So an attempt that is dropped still has a reason.

use std::cell::{Cell, RefCell};
use std::fmt::Display;
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;

use crate::reason::{Code, Hint, Reason, Stage};
use crate::secret::{Form, Mask, Secret};
use crate::text;

/// How many round trips the first answer of a server may need: those of PostgreSQL with TLS 1.2.
const ROUND_TRIPS: u32 = 4;

/// The bounds of one attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Bounds {
    /// The bound on the whole attempt, including DNS and connecting.
    pub(crate) attempt: Duration,
    /// The bound on each DNS question, and on connecting to one address.
    pub(crate) connect: Duration,
}

/// One attempt: its bounds, its stage, what it waits for, and when each stage began.
///
/// The probe writes here. The gate reads it after the probe has ended, or has been cut off.
pub(crate) struct Attempt {
    bounds: Bounds,
    started: Instant,
    fresh: bool,
    stage: Cell<Stage>,
    /// When a server accepted a connection.
    accepted: Cell<Option<Instant>>,
    awaited: RefCell<String>,
    silent: Cell<Option<Hint>>,
    /// What a cut-off in this stage means, if that is known better than "no answer".
    cut: RefCell<Option<(Stage, Reason)>>,
    /// The full name of a host outside the cluster, if the name was meant for the cluster.
    astray: RefCell<Option<String>>,
    /// Why the attempt is at another place than the target's address: "after a redirect to HOST:PORT".
    after: RefCell<Option<String>>,
    entered: RefCell<Vec<(Stage, Instant)>>,
    /// Hides the target's secrets, and those that the attempt has read from files.
    mask: RefCell<Mask>,
    led_by_server: Cell<bool>,
    lingers: bool,
    /// Why the target is not ready while the attempt goes on, until the gate takes it.
    told: RefCell<Option<Reason>>,
    news: Notify,
    held: Notify,
}

impl Attempt {
    /// An attempt that begins now. `fresh` forbids answers from a cache.
    pub(crate) fn new(bounds: Bounds, fresh: bool) -> Self {
        Self {
            bounds,
            started: Instant::now(),
            fresh,
            stage: Cell::new(Stage::Local),
            accepted: Cell::new(None),
            awaited: RefCell::default(),
            silent: Cell::new(None),
            cut: RefCell::default(),
            astray: RefCell::default(),
            after: RefCell::default(),
            entered: RefCell::default(),
            mask: RefCell::default(),
            led_by_server: Cell::new(false),
            lingers: false,
            told: RefCell::default(),
            news: Notify::new(),
            held: Notify::new(),
        }
    }

    /// The same for a target with these secrets.
    pub(crate) fn hiding(self, mask: &Mask) -> Self {
        *self.mask.borrow_mut() = mask.clone();
        self
    }

    /// The same, and whether it may go on after a first answer, to see the next one at once.
    pub(crate) fn lingering(mut self, lingers: bool) -> Self {
        self.lingers = lingers;
        self
    }

    /// Whether the attempt may go on after a first answer. An attempt of --once may not, and neither may one whose place
    /// other targets wait for.
    pub(crate) fn lingers(&self) -> bool {
        self.lingers
    }

    /// Why the target is not ready now. The attempt goes on, and if it is cut off, this is its reason.
    pub(crate) fn tell(&self, reason: Reason) {
        self.enter(reason.stage(), "the watch");
        let now = Some((reason.stage(), reason.clone()));
        if self.cut.replace(now.clone()) != now {
            *self.told.borrow_mut() = Some(reason);
            self.news.notify_one();
        }
    }

    /// The next reason that the attempt tells while it goes on.
    pub(crate) async fn told(&self) -> Reason {
        loop {
            if let Some(reason) = self.told.take() {
                return reason.with_text(self.screen(reason.text()));
            }
            self.news.notified().await;
        }
    }

    /// A connection is accepted, and from now on it has to stay open.
    pub(crate) fn hold(&self) {
        self.held.notify_one();
    }

    /// Waits until a connection has to stay open.
    pub(crate) async fn held(&self) {
        self.held.notified().await;
    }

    /// A secret that only this attempt knows, such as a password in a file. From now on it is hidden like those in the
    /// target.
    pub(crate) fn hide(&self, secret: &Secret) {
        self.hide_as(Form::Value, secret);
    }

    /// The same with another form: [`Form::Text`] for the data of a request.
    pub(crate) fn hide_as(&self, form: Form, secret: &Secret) {
        self.mask.borrow_mut().add(secret, form);
    }

    /// What a server said, for a reason or a note: with `***` for each secret, and at most `max` characters. Every word
    /// of a server takes this way.
    pub(crate) fn quote(&self, said: impl AsRef<[u8]>, max: usize) -> String {
        self.mask.borrow().quote(&String::from_utf8_lossy(said.as_ref()), max)
    }

    /// A server has chosen the next host. From now on every layer may name it, so waitgate's own words are no longer apart
    /// from a server's.
    pub(crate) fn led_by_server(&self) {
        self.led_by_server.set(true);
    }

    /// The net under [`Attempt::quote`]: a whole text with `***` for each secret, except for plain words.
    pub(crate) fn screen(&self, text: &str) -> String {
        let mask = self.mask.borrow();
        if self.led_by_server.get() { mask.quote(text, usize::MAX) } else { mask.screen(text) }
    }

    /// The attempt enters `stage`, or waits for something else within it.
    ///
    /// `awaited` completes the sentence of a cut-off attempt and names the address:
    /// - resolve: "no answer from …" (`nameserver 10.96.0.10, asked for db.ns.svc.cluster.local`)
    /// - connect: "no answer to the connection attempt from …" (`10.1.2.3:5432`)
    /// - tls: "… accepted the connection and did not finish the TLS handshake" (`10.1.2.3:443`)
    /// - protocol: "… and no complete answer came" (`10.1.2.3:80 accepted the connection and the request`)
    /// - expect: "… did not end" (`the body of 200 from 10.1.2.3:80`)
    pub(crate) fn enter(&self, stage: Stage, awaited: impl Display) {
        if self.stage.replace(stage) != stage || self.entered.borrow().is_empty() {
            self.entered.borrow_mut().push((stage, Instant::now()));
        }
        *self.awaited.borrow_mut() = awaited.to_string();
    }

    /// Sets the hint for the case that all addresses stay silent until the attempt ends.
    pub(crate) fn if_silent(&self, hint: Option<Hint>) {
        self.silent.set(hint);
    }

    /// Sets the reason for the case that the attempt is cut off in `stage`: a node limits its refusals, so the silence
    /// of an address that refused earlier is a refusal.
    pub(crate) fn if_cut_off(&self, stage: Stage, reason: Option<Reason>) {
        *self.cut.borrow_mut() = reason.map(|reason| (stage, reason));
    }

    /// A name that was meant for the cluster was found outside it, as `full`.
    pub(crate) fn found_as(&self, full: &str) {
        *self.astray.borrow_mut() = Some(full.to_owned());
    }

    /// From now on the attempt is at another place than the target's address. `after` says why, as in "after a redirect
    /// to HOST:PORT".
    pub(crate) fn moved(&self, after: &str) {
        *self.after.borrow_mut() = Some(after.to_owned());
    }

    /// `text`, with the full name that was used if it is outside the cluster.
    pub(crate) fn with_full_name(&self, text: &str) -> String {
        match &*self.astray.borrow() {
            Some(full) if !text.contains(full.as_str()) => format!("{text} (found as {full})"),
            _ => text.to_owned(),
        }
    }

    /// A server accepted the connection. From now on the attempt costs it work.
    pub(crate) fn accept(&self) {
        self.accepted.set(Some(Instant::now()));
    }

    /// Whether a server accepted a connection.
    pub(crate) fn accepted(&self) -> bool {
        self.accepted.get().is_some()
    }

    /// How long the server has needed for its answer, if it has just come: the time since it accepted the connection, without
    /// the packets' way. What connecting took is one round trip, or more.
    pub(crate) fn answered(&self) -> Duration {
        let Some(accepted) = self.accepted.get() else { return Duration::ZERO };
        let connecting = self.entered.borrow().iter().find(|(stage, _)| *stage == Stage::Connect).map(|(_, at)| *at);
        let round_trip = connecting.map(|at| accepted.saturating_duration_since(at)).unwrap_or_default();
        accepted.elapsed().saturating_sub(ROUND_TRIPS * round_trip)
    }

    /// The stage that the attempt has reached.
    pub(crate) fn stage(&self) -> Stage {
        self.stage.get()
    }

    pub(crate) fn started(&self) -> Instant {
        self.started
    }

    /// The instant by which the whole attempt must end.
    pub(crate) fn until(&self) -> Instant {
        self.started + self.bounds.attempt
    }

    /// The bound on each DNS question, and on connecting to one address.
    pub(crate) fn connect_timeout(&self) -> Duration {
        self.bounds.connect
    }

    /// Whether answers from a cache are forbidden.
    pub(crate) fn fresh(&self) -> bool {
        self.fresh
    }

    /// How long each stage took, in the order in which the attempt first entered them. The last one counts until now.
    ///
    /// A stage that the attempt entered again (after a redirect) is listed once, with the sum.
    pub(crate) fn timings(&self) -> Vec<(Stage, Duration)> {
        let entered = self.entered.borrow();
        let ends = entered.iter().skip(1).map(|(_, at)| *at).chain([Instant::now()]);
        let mut timings: Vec<(Stage, Duration)> = Vec::new();
        for ((stage, began), end) in entered.iter().zip(ends) {
            let took = end - *began;
            match timings.iter_mut().find(|(known, _)| known == stage) {
                Some((_, sum)) => *sum += took,
                None => timings.push((*stage, took)),
            }
        }
        timings
    }

    /// How long the attempt has been in its stage.
    fn in_stage(&self) -> Duration {
        self.entered.borrow().last().map(|(_, at)| at.elapsed()).unwrap_or_default()
    }

    /// The reason of an attempt that is cut off now.
    ///
    /// The hint for silence is added only after half of the connect timeout.
    pub(crate) fn cut_off(&self) -> Reason {
        let reason = self.cut_off_here();
        let text = self.with_full_name(reason.text());
        let text = match &*self.after.borrow() {
            Some(after) => format!("{after}: {text}"),
            None => text,
        };
        reason.with_text(self.screen(&text))
    }

    fn cut_off_here(&self) -> Reason {
        let awaited = self.awaited.borrow();
        match &*self.cut.borrow() {
            Some((stage, reason)) if *stage == self.stage.get() => return reason.clone(),
            _ => {}
        }
        // Timers fire a little late. The text gives at most the bound.
        let after = text::duration(self.started.elapsed().min(self.bounds.attempt));
        match self.stage.get() {
            Stage::Local => {
                Reason::new(Code::LocalSocket, format!("the attempt had not reached the network after {after}"))
            }
            Stage::Resolve => Reason::new(Code::ResolveTimeout, format!("no answer from {awaited} within {after}")),
            Stage::Connect => Reason::new(
                Code::ConnectTimeout,
                format!("no answer to the connection attempt from {awaited} within {after}"),
            )
            .with_hint(
                self.silent.get().filter(|_| self.in_stage() >= self.bounds.connect.min(self.bounds.attempt) / 2),
            ),
            Stage::Tls => Reason::new(
                Code::TlsTimeout,
                format!("{awaited} accepted the connection and did not finish the TLS handshake within {after}"),
            ),
            Stage::Protocol => {
                Reason::new(Code::ProtocolTimeout, format!("{awaited}, and no complete answer came within {after}"))
            }
            Stage::Expect => Reason::new(Code::ExpectTimeout, format!("{awaited} did not end within {after}")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOUNDS: Bounds = Bounds { attempt: Duration::from_secs(3), connect: Duration::from_secs(1) };

    #[tokio::test(start_paused = true)]
    async fn a_cut_off_attempt_names_its_stage() {
        let attempt = Attempt::new(BOUNDS, false);
        assert_eq!(attempt.cut_off().code(), Code::LocalSocket);
        attempt.enter(Stage::Resolve, "nameserver 10.96.0.10, asked for db.");
        tokio::time::advance(Duration::from_millis(1240)).await;
        assert_eq!(attempt.cut_off().text(), "no answer from nameserver 10.96.0.10, asked for db. within 1.2s");
        attempt.enter(Stage::Connect, "10.0.0.1:5432");
        assert!(!attempt.accepted());
        attempt.accept();
        attempt.enter(Stage::Tls, "10.0.0.1:5432");
        assert_eq!(attempt.cut_off().code(), Code::TlsTimeout);
        assert!(attempt.accepted());
        let stages: Vec<_> = attempt.timings().into_iter().map(|(stage, _)| stage).collect();
        assert_eq!(stages, [Stage::Resolve, Stage::Connect, Stage::Tls]);
        assert_eq!(attempt.timings()[0].1, Duration::from_millis(1240));
        attempt.moved("after a redirect to b:80");
        assert!(attempt.cut_off().text().starts_with("after a redirect to b:80: 10.0.0.1:5432 accepted"));
        attempt.enter(Stage::Resolve, "again");
        tokio::time::advance(Duration::from_millis(60)).await;
        assert_eq!(attempt.timings()[0], (Stage::Resolve, Duration::from_millis(1300)), "a repeated stage is summed");
    }

    #[tokio::test(start_paused = true)]
    async fn the_packets_way_is_no_work_of_the_server() {
        let attempt = Attempt::new(BOUNDS, false);
        attempt.enter(Stage::Connect, "10.0.0.1:5432");
        tokio::time::advance(Duration::from_millis(30)).await;
        assert_eq!(attempt.answered(), Duration::ZERO);
        attempt.accept();
        tokio::time::advance(Duration::from_millis(115)).await;
        assert_eq!(attempt.answered(), Duration::ZERO);
        tokio::time::advance(Duration::from_millis(400)).await;
        assert_eq!(attempt.answered(), Duration::from_millis(395));
    }

    #[tokio::test(start_paused = true)]
    async fn a_cut_off_attempt_knows_what_silence_means_and_which_name_was_used() {
        let attempt = Attempt::new(BOUNDS, false);
        let refused = Reason::new(Code::ConnectRefused, "refused by 10.96.0.9:80").with_hint(Hint::NoReadyPod);
        attempt.if_cut_off(Stage::Connect, Some(refused));
        attempt.enter(Stage::Resolve, "nameserver 10.96.0.10, asked for db");
        assert_eq!(attempt.cut_off().code(), Code::ResolveTimeout);
        attempt.enter(Stage::Connect, "10.96.0.9:80");
        attempt.found_as("db.corp.test");
        let reason = attempt.cut_off();
        assert_eq!((reason.code(), reason.hint()), (Code::ConnectRefused, Some(Hint::NoReadyPod)));
        assert_eq!(reason.text(), "refused by 10.96.0.9:80 (found as db.corp.test)");
        attempt.if_cut_off(Stage::Connect, None);
        assert_eq!(attempt.cut_off().code(), Code::ConnectTimeout);
    }
}
