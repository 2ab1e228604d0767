//! Addresses → Stream, staggered: every address is tried, and what each of them did is kept.

use std::cell::RefCell;
use std::fmt::Write as _;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use tokio::net::TcpSocket;
use tokio::time;

use super::Net;
use super::lookup::Need;
use super::stagger::staggered;
use super::stream::Stream;
use crate::reason::{Code, Hint, Reason, Stage};
use crate::target::address::Host;
use crate::trail::{Trail, short};

/// How long an address may stay silent before the next one is tried beside it (RFC 8305 section 5).
const STAGGER: Duration = Duration::from_millis(250);

/// The socket addresses behind `host`, in a new order for each attempt.
pub async fn resolve(net: &Net, host: &Host, port: u16, trail: &Trail) -> Result<Vec<SocketAddr>, Reason> {
    resolve_all(net, host, port, Need::First, trail).await
}

/// The same, of both families where that is needed.
pub async fn resolve_all(
    net: &Net,
    host: &Host,
    port: u16,
    need: Need,
    trail: &Trail,
) -> Result<Vec<SocketAddr>, Reason> {
    let (name, ips) = match host {
        Host::Ip(ip) => (None, vec![*ip]),
        Host::Name(name) => (Some(name.as_str()), in_new_order(net.resolver().addresses(name, need, trail).await?)),
    };
    trail.if_silent(net.resolver().unreached(Code::ConnectTimeout, name, &ips));
    Ok(ips.into_iter().map(|ip| SocketAddr::new(ip, port)).collect())
}

/// Connects to any address behind `host`.
pub async fn connect(net: &Net, host: &Host, port: u16, trail: &Trail) -> Result<Stream, Reason> {
    let addresses = resolve(net, host, port, trail).await?;
    race(&addresses, trail, |address| one(address, trail)).await.map_err(|failed| explain(net, host, &failed))
}

/// Runs `attempt` for every address, 250 ms apart or at once after a failure; the first that is ready wins
/// and the others are dropped. Else the reason of each address, in the order of `addresses`.
pub async fn race<T>(
    addresses: &[SocketAddr],
    trail: &Trail,
    attempt: impl AsyncFn(SocketAddr) -> Result<T, Reason>,
) -> Result<T, Vec<(SocketAddr, Reason)>> {
    let pending = RefCell::new(Vec::new());
    let wait_for = || {
        let names: Vec<String> = pending.borrow().iter().map(SocketAddr::to_string).collect();
        trail.enter(Stage::Connect, names.join(" and "));
    };
    let attempt = async |address: SocketAddr| {
        // The one that came furthest is the one to name; after it, those that are still waited for.
        let first = pending.borrow().is_empty();
        pending.borrow_mut().push(address);
        if first || trail.stage() <= Stage::Connect {
            wait_for();
        }
        let outcome = attempt(address).await;
        if let Err(reason) = &outcome {
            // Where one has failed already, no one thing is to be said about the silence of the others.
            trail.if_silent(None);
            pending.borrow_mut().retain(|other| *other != address);
            let named = trail.stage() <= Stage::Connect || reason.stage() > Stage::Connect;
            if named && !pending.borrow().is_empty() {
                wait_for();
            }
        }
        outcome
    };
    staggered(addresses, STAGGER, attempt).await.map(|(_, ready)| ready)
}

/// Connects to one address, on a fresh socket, within the connect timeout.
pub async fn one(address: SocketAddr, trail: &Trail) -> Result<Stream, Reason> {
    let bound = trail.connect_timeout();
    let connecting = async {
        let socket = match address {
            SocketAddr::V4(_) => TcpSocket::new_v4(),
            SocketAddr::V6(_) => TcpSocket::new_v6(),
        }?;
        socket.connect(address).await
    };
    match time::timeout(bound, connecting).await {
        Err(_) => Err(timed_out(address, bound)),
        Ok(Err(error)) => Err(failure(address, &error)),
        Ok(Ok(socket)) => {
            // Polling a closed port of the ephemeral range on loopback ends, by simultaneous open, in a
            // socket that is connected to itself (RFC 793 section 3.4). Reset it: left to close by itself it
            // would keep the server from binding its port for a minute (TIME_WAIT).
            if socket.local_addr().is_ok_and(|local| local == address) {
                let _ = socket.set_zero_linger();
                drop(socket);
                return Err(Reason::new(Code::ConnectRefused, format!("refused by {address}")));
            }
            // Small questions and answers: waiting to fill a segment would only add delay.
            let _ = socket.set_nodelay(true);
            trail.accept();
            Ok(Stream::tcp(socket, address))
        }
    }
}

/// Nothing came back to a connection attempt within `bound`.
#[must_use]
pub fn timed_out(address: SocketAddr, bound: Duration) -> Reason {
    let after = short(bound);
    Reason::new(Code::ConnectTimeout, format!("no answer to the connection attempt from {address} within {after}"))
}

/// What an error of `socket` or `connect` means.
#[must_use]
pub fn failure(address: SocketAddr, error: &io::Error) -> Reason {
    use rustix::io::Errno;
    let errno = error.raw_os_error().map(Errno::from_raw_os_error);
    match errno {
        Some(Errno::CONNREFUSED) => Reason::new(Code::ConnectRefused, format!("refused by {address}")),
        // In answer to a SYN a reset is ECONNREFUSED (linux: net/ipv4/tcp_input.c, tcp_reset): this one came later.
        Some(Errno::CONNRESET) => {
            Reason::new(Code::ProtocolClosed, format!("{address} accepted the connection and reset it at once"))
                .hint(Hint::FrontClosed)
        }
        Some(Errno::NETUNREACH | Errno::AFNOSUPPORT) => {
            Reason::new(Code::ConnectUnreachable, format!("no route to {address}"))
        }
        Some(Errno::HOSTUNREACH | Errno::HOSTDOWN | Errno::TIMEDOUT) => {
            Reason::new(Code::ConnectUnreachable, format!("host of {address} is unreachable"))
        }
        Some(Errno::PERM | Errno::ACCESS) => {
            Reason::new(Code::ConnectDenied, format!("a rule on this machine forbids connecting to {address}"))
        }
        Some(Errno::MFILE | Errno::NFILE) => {
            Reason::new(Code::LocalDescriptors, "no file descriptor left for a socket").hint(Hint::Limits)
        }
        // With IPv6 turned off no address of this machine can be the near end.
        Some(Errno::ADDRNOTAVAIL) if address.is_ipv6() => {
            Reason::new(Code::ConnectUnreachable, format!("no IPv6 address here to reach {address} from"))
        }
        Some(Errno::ADDRNOTAVAIL) => {
            Reason::new(Code::LocalSocket, format!("no local address or port left for a connection to {address}"))
                .hint(Hint::Limits)
        }
        Some(errno) => Reason::new(Code::LocalSocket, format!("cannot connect to {address}: {}", describe(errno)))
            .key(errno.raw_os_error()),
        None => Reason::new(Code::LocalSocket, format!("cannot connect to {address}")),
    }
}

/// What an error of `connect` to the unix socket `name` means (unix(7), connect(2)).
#[must_use]
pub fn unix_failure(name: &str, error: &io::Error) -> Reason {
    use rustix::io::Errno;
    match error.raw_os_error().map(Errno::from_raw_os_error) {
        Some(Errno::NOENT | Errno::NOTDIR) => Reason::new(Code::ConnectMissing, format!("there is no {name}")),
        Some(Errno::CONNREFUSED) => Reason::new(Code::ConnectRefused, format!("refused by {name}")),
        Some(Errno::ACCESS | Errno::PERM) => {
            Reason::new(Code::ConnectDenied, format!("this user may not connect to {name}"))
        }
        Some(Errno::AGAIN) => Reason::new(Code::ConnectTimeout, format!("{name} accepts nobody: its queue is full")),
        Some(Errno::PROTOTYPE) => Reason::new(Code::LocalSocket, format!("{name} is not a stream socket")).key("type"),
        Some(Errno::MFILE | Errno::NFILE) => {
            Reason::new(Code::LocalDescriptors, "no file descriptor left for a socket").hint(Hint::Limits)
        }
        Some(errno) => Reason::new(Code::LocalSocket, format!("cannot connect to {name}: {}", describe(errno)))
            .key(errno.raw_os_error()),
        None => Reason::new(Code::LocalSocket, format!("cannot connect to {name}")),
    }
}

/// The operating system's words for an error, without the number that std appends.
#[must_use]
pub fn describe(errno: rustix::io::Errno) -> String {
    let text = io::Error::from(errno).to_string();
    match text.split_once(" (os error") {
        Some((words, _)) => words.to_lowercase(),
        None => text,
    }
}

/// One reason out of each address's own: the one that got furthest, and who said what.
pub fn explain(net: &Net, host: &Host, failed: &[(SocketAddr, Reason)]) -> Reason {
    // Of several, the most telling: the furthest stage first, then what says most about the other side.
    let weight = |reason: &Reason| {
        let telling = match reason.code() {
            Code::ConnectRefused => 3,
            Code::ConnectTimeout => 2,
            Code::ConnectUnreachable => 1,
            _ => 0,
        };
        (reason.stage(), telling)
    };
    let Some((_, main)) = failed.iter().max_by_key(|(_, reason)| weight(reason)) else {
        return Reason::new(Code::ResolveNoAddresses, format!("{host} has no addresses"));
    };
    let name = if let Host::Name(name) = host { Some(name.as_str()) } else { None };
    let addresses: Vec<IpAddr> = failed.iter().map(|(address, _)| address.ip()).collect();
    // Where one refuses and another is silent, no one thing is to be said about all of them.
    let refused_beside = |other: &SocketAddr| {
        let same = |address: &SocketAddr| address.is_ipv6() == other.is_ipv6();
        failed.iter().any(|(address, reason)| same(address) && reason.code() == Code::ConnectRefused)
    };
    let mixed = main.code() == Code::ConnectRefused
        && failed.iter().any(|(address, reason)| match reason.code() {
            Code::ConnectRefused => false,
            // Or there is no way to the other family here.
            Code::ConnectUnreachable => refused_beside(address),
            _ => true,
        });
    let judged = || if mixed { None } else { net.resolver().unreached(main.code(), name, &addresses) };
    let hint = main.hinted().or_else(judged);
    if failed.len() == 1 {
        return main.clone().hint(hint);
    }
    const LISTED: usize = 4;
    let mut text = if failed.iter().all(|(_, reason)| reason.is_like(main)) && main.code() == Code::ConnectRefused {
        let peers: Vec<String> = failed.iter().take(LISTED).map(|(address, _)| address.to_string()).collect();
        format!("refused by {}", peers.join(", "))
    } else {
        // What was told of the whole comes first.
        let mut each: Vec<&Reason> = failed.iter().map(|(_, reason)| reason).collect();
        each.sort_by_key(|reason| std::cmp::Reverse(weight(reason)));
        each.into_iter().take(LISTED).map(Reason::text).collect::<Vec<_>>().join("; ")
    };
    if failed.len() > LISTED {
        let _ = write!(text, " and {} more", failed.len() - LISTED);
    }
    main.with_text(text).hint(hint)
}

/// The addresses shuffled, then the families taken in turn (RFC 8305 section 4), so that neither a
/// dead family nor a dead address is always the first.
fn in_new_order(mut ips: Vec<IpAddr>) -> Vec<IpAddr> {
    for i in (1..ips.len()).rev() {
        let Ok(random) = getrandom::u32() else { break };
        ips.swap(i, random as usize % (i + 1));
    }
    let (v6, v4): (Vec<IpAddr>, Vec<IpAddr>) = ips.into_iter().partition(IpAddr::is_ipv6);
    let (mut v6, mut v4) = (v6.into_iter(), v4.into_iter());
    let mut ordered = Vec::with_capacity(v6.len() + v4.len());
    loop {
        let pair = [v6.next(), v4.next()];
        if pair == [None, None] {
            return ordered;
        }
        ordered.extend(pair.into_iter().flatten());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trail::Bounds;

    const BOUNDS: Bounds = Bounds { attempt: Duration::from_secs(3), connect: Duration::from_secs(1) };

    fn addresses(n: u8) -> Vec<SocketAddr> {
        (1..=n).map(|last| SocketAddr::from(([10, 0, 0, last], 80))).collect()
    }

    #[tokio::test(start_paused = true)]
    async fn silent_addresses_are_joined_by_the_next_every_250_ms() {
        let trail = Trail::new(BOUNDS, false);
        let begun = RefCell::new(Vec::new());
        let attempt = async |address: SocketAddr| {
            begun.borrow_mut().push((address, trail.started().elapsed().as_millis()));
            if address.to_string() == "10.0.0.3:80" { Ok(address) } else { std::future::pending().await }
        };
        let won = race(&addresses(4), &trail, attempt).await;
        assert_eq!(won.unwrap().to_string(), "10.0.0.3:80");
        let times: Vec<_> = begun.borrow().iter().map(|(_, at)| *at).collect();
        assert_eq!(times, [0, 250, 500]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_refusal_is_followed_by_the_next_at_once_and_all_are_kept_in_order() {
        let trail = Trail::new(BOUNDS, false);
        let attempt = async |address: SocketAddr| -> Result<(), _> {
            Err(Reason::new(Code::ConnectRefused, format!("refused by {address}")))
        };
        let failed = race(&addresses(3), &trail, attempt).await.unwrap_err();
        assert_eq!(trail.started().elapsed(), Duration::ZERO);
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
            let trail = Trail::new(BOUNDS, false);
            let attempt = async |address: SocketAddr| -> Result<(), Reason> {
                let SocketAddr::V4(v4) = address else { return Ok(()) };
                let last = v4.ip().octets()[3];
                if refuses.contains(&last) {
                    return Err(Reason::new(Code::ConnectRefused, "refused"));
                }
                if accepts == last {
                    trail.enter(Stage::Protocol, format_args!("{address} accepted"));
                }
                std::future::pending().await
            };
            let cut = time::timeout(Duration::from_millis(900), race(&addresses(3), &trail, attempt)).await;
            assert!(cut.is_err());
            assert_eq!(trail.cut_off().text(), text, "{refuses:?} {accepts}");
        }
    }

    #[test]
    fn families_take_turns() {
        let ips: Vec<IpAddr> =
            ["10.0.0.1", "10.0.0.2", "::1", "10.0.0.3"].iter().map(|ip| ip.parse().unwrap()).collect();
        let ordered = in_new_order(ips.clone());
        assert!(ordered[0].is_ipv6() && ordered[1..].iter().all(IpAddr::is_ipv4));
        assert_eq!(ordered.len(), ips.len());
        assert!(ips.iter().all(|ip| ordered.contains(ip)));
    }
}
