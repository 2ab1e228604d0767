//! `gone`: no server is there any more.
//!
//! Only a refused connection or a name without addresses proves that. Silence does not. A node limits its refusals to
//! one a second, so the silence of an address that refused earlier decides nothing: it neither counts nor starts the count
//! again. But where another address has just taken the refusal of this second, and is silent when it is asked once more,
//! the limit is proved, and a server that was there again would have answered: then the address counts as refused.

use std::cell::Cell;
use std::net::SocketAddr;
use std::path::Path;
use std::pin::pin;
use std::time::Duration;

use anyhow::{Result, bail};
use futures_util::stream::{self, StreamExt as _};
use tokio::time;

use super::Ready;
use super::expect::{Expectations, Spec};
use crate::attempt::Attempt;
use crate::net::Net;
use crate::net::address::Host;
use crate::net::connect;
use crate::net::names::answer::{Found, Need};
use crate::net::refusals::still_refused;
use crate::reason::{Code, Cost, Reason, Stage};
use crate::text;

pub(super) const GONE: Spec =
    Spec::flag("gone").says("ready when nothing answers there any more, three times in a row");

/// waitgate connects to at most this many addresses at once. More would be a burst of traffic.
pub(super) const AT_ONCE: usize = 64;

/// How long the proof that a node limits its refusals may go on after the address's own silence.
const PROOF: Duration = Duration::from_millis(600);

/// How many times in a row a target must be gone, unless `successes=` says otherwise. One time proves little: a server
/// may restart, and a name may come back.
const SUCCESSES: u32 = 3;

/// The default of `successes=` with `gone`.
pub(super) fn successes(it: &Expectations) -> Option<u32> {
    it.has(GONE.name).then_some(SUCCESSES)
}

/// Whether `gone` is given. Together with one of the kind's `others` it is invalid.
pub(super) fn is_given(it: &Expectations, others: &[Spec]) -> Result<bool> {
    if !it.has(GONE.name) {
        return Ok(false);
    }
    match others.iter().find(|spec| spec.name != GONE.name && it.has(spec.name)) {
        Some(other) => bail!("#gone excludes #{}: leave one of them out", other.name),
        None => Ok(true),
    }
}

/// Ready when every address of `host` refuses the connection, or `host` has no address.
pub(super) async fn probe(net: &Net, host: &Host, port: u16, attempt: &Attempt) -> Result<Ready, Reason> {
    let addresses = match host {
        Host::Ip(ip) => vec![SocketAddr::new(*ip, port)],
        Host::Name(name) => match net.find(name, Need::Both, attempt).await {
            // An address family is unknown: servers may still be there.
            Ok(Found { missing: Some(missing), .. }) => return Err(Reason::new(Code::ResolveTrouble, missing)),
            Ok(found) => found.addresses.into_iter().map(|ip| SocketAddr::new(ip, port)).collect(),
            Err(error) => return error.certainly_absent().map(Ready::noted),
        },
    };
    attempt.enter(Stage::Connect, text::list(&addresses));
    let known = net.refusals.explain_all(&addresses).then(|| undecided(&addresses));
    attempt.if_cut_off(Stage::Connect, known);
    let mut refused = Vec::new();
    // The addresses that have not refused yet come first: the others would take the refusals away from them.
    let (known, new): (Vec<_>, Vec<_>) = addresses.into_iter().partition(|address| net.refusals.explain(*address));
    let mut limited = false;
    for addresses in [new, known] {
        limited |= all_refuse(net, &addresses, attempt).await?;
        refused.extend(addresses);
    }
    refused.sort();
    Ok(Ready::noted(if limited {
        still_refused(&refused).text().to_owned()
    } else {
        format!("refused by {}", text::list(&refused))
    }))
}

/// Where one of a target's servers would be.
#[cfg(any(feature = "kafka", feature = "mongodb", feature = "mysql", feature = "postgres"))]
pub(super) enum At<'a> {
    Tcp(&'a Host, u16),
    /// The path of a unix socket, and how a reason names it.
    Socket(String, String),
}

/// Ready when none of several servers is there any more.
#[cfg(any(feature = "kafka", feature = "mongodb", feature = "mysql", feature = "postgres"))]
pub(super) async fn probe_all(net: &Net, servers: Vec<At<'_>>, attempt: &Attempt) -> Result<Ready, Reason> {
    let mut notes = Vec::new();
    for server in servers {
        let ready = match server {
            At::Tcp(host, port) => probe(net, host, port, attempt).await?,
            At::Socket(path, name) => probe_socket(Path::new(&path), &name, attempt).await?,
        };
        notes.extend(ready.note);
    }
    Ok(Ready::noted(notes.join("; ")))
}

/// Ready when the unix socket at `path` is not there, or refuses.
pub(super) async fn probe_socket(path: &Path, name: &str, attempt: &Attempt) -> Result<Ready, Reason> {
    match connect::to_socket(path, name, attempt).await {
        Ok(_) => Err(still_there(&name)),
        Err(reason) if matches!(reason.code(), Code::ConnectRefused | Code::LocalMissing) => {
            Ok(Ready::noted(reason.text()))
        }
        Err(reason) => Err(reason),
    }
}

/// Asks the addresses at once, until one of them does not refuse. True: the silence of an address was a limited refusal.
async fn all_refuse(net: &Net, addresses: &[SocketAddr], attempt: &Attempt) -> Result<bool, Reason> {
    let any_limited = Cell::new(false);
    let attempts = addresses.iter().map(async |address| {
        let explained = net.refusals.explain(*address);
        let heard = Cell::new(true);
        let silent = |reason: &Reason| reason.code() == Code::ConnectTimeout;
        let connect = async || {
            let outcome = connect::one(*address, attempt).await;
            heard.set(!outcome.as_ref().is_err_and(silent));
            outcome
        };
        let ask = async |other| !connect::one(other, attempt).await.is_err_and(|reason| silent(&reason));
        if explained {
            net.refusals.let_pass(*address).await;
        }
        let mut used_up = pin!(net.refusals.used_up(*address, ask));
        let limited = || {
            any_limited.set(true);
            (*address, Err(still_refused(&[*address])))
        };
        let outcome = tokio::select! {
            outcome = net.refusals.insist(*address, attempt, connect) => outcome,
            () = &mut used_up, if explained => return limited(),
        };
        match explained && !heard.get() {
            // The connect timeout may be shorter than the proof takes.
            true if time::timeout(PROOF, used_up).await.is_ok() => limited(),
            true => (*address, Err(undecided(&[*address]))),
            false => (*address, outcome),
        }
    });
    let mut attempts = stream::iter(attempts).buffer_unordered(AT_ONCE);
    let mut silent = None;
    while let Some((address, outcome)) = attempts.next().await {
        match outcome {
            Ok(_) => return Err(still_there(&address)),
            Err(reason) if reason.code() == Code::ConnectRefused => {}
            Err(reason) if reason.is_undecided() => silent = Some(reason),
            Err(reason) => return Err(reason),
        }
    }
    silent.map_or(Ok(any_limited.get()), Err)
}

/// The reason when addresses that refused earlier are silent.
fn undecided(addresses: &[SocketAddr]) -> Reason {
    let who = text::list(addresses);
    let text = format!("no answer now from {who}, which refused before: a node limits its refusals to one a second");
    Reason::new(Code::ConnectTimeout, text).with_cost(Cost::Cheap).with_key("limited").undecided()
}

/// The reason when `who` still accepts connections.
pub(super) fn still_there(who: &impl std::fmt::Display) -> Reason {
    Reason::new(Code::ExpectGone, format!("still there: {who} accepts"))
}
