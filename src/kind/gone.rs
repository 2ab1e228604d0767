//! `gone`: nobody is there any more. Only a refusal and a name without addresses say so; silence does not.

use std::net::SocketAddr;

use anyhow::{Result, bail};
use futures_util::stream::{self, StreamExt as _};

use super::Ready;
use super::expect::{Expectations, Spec};
use crate::attempt::Attempt;
use crate::net::Net;
use crate::net::address::Host;
use crate::net::connect;
use crate::net::names::answer::{Found, Need};
use crate::reason::{Code, Reason, Stage};
use crate::text;

/// The expectation, for the kinds that take it.
pub(super) const GONE: Spec = Spec::flag("gone");

/// As many addresses are tried at once; more would be a burst of their own.
pub(super) const AT_ONCE: usize = 64;

/// How many times in a row a target must be gone, unless `successes=` says otherwise. One such answer proves little: a
/// server restarts, a name is made again.
const SUCCESSES: u32 = 3;

/// The default of `successes=`, if `gone` is given.
pub(super) fn successes(it: &Expectations) -> Option<u32> {
    it.has(GONE.name).then_some(SUCCESSES)
}

/// Whether `gone` is given; together with any of the kind's `others` it is refused.
pub(super) fn is_given(it: &Expectations, others: &[Spec]) -> Result<bool> {
    if !it.has(GONE.name) {
        return Ok(false);
    }
    match others.iter().find(|spec| spec.name != GONE.name && it.has(spec.name)) {
        Some(other) => bail!("#gone stands alone: what is gone has no #{}", other.name),
        None => Ok(true),
    }
}

/// Ready when every address behind `host` refuses, or there is none.
pub(super) async fn probe(net: &Net, host: &Host, port: u16, attempt: &Attempt) -> Result<Ready, Reason> {
    let addresses = match host {
        Host::Ip(ip) => vec![SocketAddr::new(*ip, port)],
        Host::Name(name) => match net.find(name, Need::Both, attempt).await {
            // Whoever may be at the addresses that did not come is not known to be gone.
            Ok(Found { missing: Some(missing), .. }) => return Err(Reason::new(Code::ResolveTrouble, missing)),
            Ok(found) => found.addresses.into_iter().map(|ip| SocketAddr::new(ip, port)).collect(),
            Err(unfound) => return unfound.absent().map(Ready::noted),
        },
    };
    attempt.enter(Stage::Connect, text::list(&addresses));
    let attempts = addresses.iter().map(async |address| (*address, connect::one(*address, attempt).await));
    let mut attempts = stream::iter(attempts).buffer_unordered(AT_ONCE);
    let mut refused = Vec::new();
    while let Some((address, outcome)) = attempts.next().await {
        match outcome {
            Ok(_) => return Err(still_there(&address)),
            Err(reason) if reason.code() == Code::ConnectRefused => refused.push(address),
            Err(reason) => return Err(reason),
        }
    }
    refused.sort();
    Ok(Ready::noted(format!("refused by {}", text::list(&refused))))
}

/// `who` accepts.
pub(super) fn still_there(who: &impl std::fmt::Display) -> Reason {
    Reason::new(Code::ExpectGone, format!("still there: {who} accepts"))
}
