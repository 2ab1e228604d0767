//! What brokers advertise: the addresses to which clients connect in the end. A target is ready without them, but an
//! application that gets a name which means nothing here fails a moment later. It is the most common mistake with Kafka
//! (`advertised.listeners`).

use std::net::IpAddr;
use std::time::Duration;

use tokio::time::{self, Instant};

use super::metadata::Advertised;
use crate::attempt::{Attempt, Bounds};
use crate::net::Net;
use crate::net::address::Host;
use crate::net::names::answer::Need;
use crate::net::stream::Peer;
use crate::reason::Code;
use crate::text::printable;

/// How long the look at all of the names may take. It changes nothing, so the target does not wait for a slow nameserver.
const LOOK: Duration = Duration::from_millis(500);

/// The look ends this long before the attempt does.
const MARGIN: Duration = Duration::from_millis(50);

/// The most characters of a host in the log.
const HOST_MAX: usize = 100;

/// Warns of advertised addresses that clients here cannot use.
pub(super) async fn look(net: &Net, attempt: &Attempt, peer: &Peer, brokers: &[Advertised]) {
    let now = Instant::now();
    let bound = LOOK.min((attempt.until() - MARGIN).saturating_duration_since(now));
    // The names have an attempt of their own: the target's own reason and note know nothing of them.
    let own = Attempt::new(Bounds { attempt: bound, connect: attempt.connect_timeout().min(bound) }, false);
    let local = matches!(peer, Peer::Tcp(address) if address.ip().is_loopback());
    for broker in brokers {
        let (host, port) = (printable(&attempt.quote(&broker.host, HOST_MAX)), broker.port);
        let slip = match judge(&broker.host, local) {
            // A name that is not fit for a log is not fit for a question either.
            Judged::Name(name) if name != host => continue,
            Judged::Name(name) => {
                let found = time::timeout_at(own.until(), net.addresses(name, Need::First, &own)).await;
                let missing = |code| matches!(code, Code::ResolveNoSuchName | Code::ResolveNoAddresses);
                if !matches!(found, Ok(Err(reason)) if missing(reason.code())) {
                    continue;
                }
                "a name that is not found from here"
            }
            Judged::Fine => continue,
            Judged::Slip(slip) => slip,
        };
        net.notice(&format!(
            "the broker at {peer} advertises {host}:{port}, {slip}: clients connect to what brokers advertise (advertised.listeners)"
        ));
    }
}

/// What can be said of an advertised host without a question.
#[derive(Debug, PartialEq, Eq)]
enum Judged<'a> {
    /// This name may not exist.
    Name(&'a str),
    Fine,
    /// It cannot work here, for this reason.
    Slip(&'static str),
}

/// `local`: the broker was reached by a loopback address.
fn judge(host: &str, local: bool) -> Judged<'_> {
    const HERE: &str = "which is this Pod or host itself";
    match Host::parse(host) {
        Ok(Host::Ip(ip)) if ip.is_unspecified() => Judged::Slip("to which nothing can connect"),
        Ok(Host::Ip(ip)) if is_loopback(ip) && !local => Judged::Slip(HERE),
        Ok(Host::Ip(_)) => Judged::Fine,
        Ok(Host::Name(name)) if is_localhost(&name) => {
            if local {
                Judged::Fine
            } else {
                Judged::Slip(HERE)
            }
        }
        Ok(Host::Name(_)) => Judged::Name(host),
        Err(_) => Judged::Slip("which is no host"),
    }
}

fn is_loopback(ip: IpAddr) -> bool {
    ip.to_canonical().is_loopback()
}

/// RFC 6761 section 6.3.
fn is_localhost(name: &str) -> bool {
    let name = name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase();
    name == "localhost" || name.ends_with(".localhost")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_an_advertised_host_means_here() {
        for (host, local, slip) in [
            ("localhost", false, true),
            ("LOCALHOST.", false, true),
            ("broker.localhost", false, true),
            ("localhost", true, false),
            ("127.0.0.1", false, true),
            ("127.0.0.1", true, false),
            ("::1", false, true),
            ("::ffff:127.0.0.1", false, true),
            ("0.0.0.0", true, true),
            ("::", false, true),
            ("", true, true),
            ("10.0.0.1", false, false),
            ("a b", false, true),
        ] {
            assert_eq!(matches!(judge(host, local), Judged::Slip(_)), slip, "{host} {local}");
        }
        assert_eq!(judge("kafka-0.kafka", false), Judged::Name("kafka-0.kafka"));
    }
}
