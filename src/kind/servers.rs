//! Targets with several servers: one ready server is enough. They are tried in order, and of each server every address.

use std::fmt::Display;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::time::{self, Instant};

pub(super) use super::Probing;
use super::Ready;
use crate::attempt::Attempt;
use crate::net::Net;
use crate::net::address::Host;
use crate::net::connect;
use crate::net::race::race;
use crate::net::stream::Stream;
use crate::reason::{Code, Reason};

/// Tries the servers in order, until one is ready. A silent server must not use up the time of the next ones. `bound` is
/// what the target itself gives each of them. After a reason for which `is_final` is true, no other server is tried.
///
/// `probe` gets the server's place in the list, and the instant by which it must end.
pub(super) async fn in_turn<'a>(
    servers: &[&dyn Display],
    bound: Option<Duration>,
    attempt: &Attempt,
    is_final: &dyn Fn(&Reason) -> bool,
    probe: &dyn Fn(usize, Instant) -> Probing<'a>,
) -> Result<Ready, Reason> {
    let mut failed = Vec::new();
    for (at, server) in servers.iter().enumerate() {
        let until = share(attempt.until(), servers.len() - at);
        let until = bound.map_or(until, |bound| until.min(Instant::now() + bound));
        // The last server has all the time that is left. Then the gate cuts the attempt off.
        let outcome = if at + 1 == servers.len() && bound.is_none() {
            probe(at, until).await
        } else {
            let bounded = time::timeout_at(until, probe(at, until)).await;
            bounded.unwrap_or_else(|_| Err(attempt.cut_off()))
        };
        match outcome {
            Ok(ready) => return Ok(ready),
            Err(reason) => {
                let last = is_final(&reason);
                failed.push((*server, reason));
                if last {
                    break;
                }
            }
        }
    }
    Err(furthest(failed))
}

/// Where one server is.
pub(super) struct Place<'a> {
    /// What is looked up.
    pub(super) at: &'a Host,
    pub(super) port: u16,
    /// What the target calls it.
    pub(super) host: &'a Host,
}

/// Tries each address of one server, until one is ready. After a reason for which `is_final` is true, no other address is
/// tried.
pub(super) async fn each_address<'a>(
    net: &Net,
    place: Place<'_>,
    until: Instant,
    attempt: &Attempt,
    is_final: &dyn Fn(&Reason) -> bool,
    probe: &dyn Fn(SocketAddr, Stream, Instant) -> Probing<'a>,
) -> Result<Ready, Reason> {
    let mut addresses = connect::resolve(net, place.at, place.port, attempt).await?;
    let mut failed: Vec<(SocketAddr, Reason)> = Vec::new();
    while !addresses.is_empty() {
        let first = race(&addresses, attempt, async |address| {
            connect::to(net, address, attempt).await.map(|stream| (address, stream))
        });
        let (address, stream) = match first.await {
            Ok(first) => first,
            Err(mut each) => {
                failed.append(&mut each);
                break;
            }
        };
        let outcome = if addresses.len() == 1 {
            probe(address, stream, until).await
        } else {
            let until = share(until, addresses.len());
            let bounded = time::timeout_at(until, probe(address, stream, until)).await;
            bounded.unwrap_or_else(|_| Err(attempt.cut_off()))
        };
        match outcome {
            Ok(ready) => return Ok(ready),
            Err(reason) => {
                let last = is_final(&reason);
                failed.push((address, reason));
                if last {
                    break;
                }
            }
        }
        addresses.retain(|other| *other != address);
    }
    Err(connect::explain(net, place.host, &failed))
}

/// Divides the time until `end` into `left` equal shares. Returns when the first share ends.
fn share(end: Instant, left: usize) -> Instant {
    let now = Instant::now();
    let left = u32::try_from(left).unwrap_or(u32::MAX).max(1);
    now + end.saturating_duration_since(now) / left
}

/// One reason for several servers: the reason of the server that got furthest, with the texts of all.
fn furthest(failed: Vec<(&dyn Display, Reason)>) -> Reason {
    let several = failed.len() > 1;
    let text: Vec<String> = failed.iter().map(|(server, reason)| format!("{server}: {}", reason.text())).collect();
    let main = failed.into_iter().map(|(_, reason)| reason).max_by_key(Reason::stage);
    match main {
        Some(main) if several => main.with_text(text.join("; ")),
        Some(main) => main,
        None => Reason::new(Code::ResolveNoAddresses, "no host to connect to"),
    }
}
