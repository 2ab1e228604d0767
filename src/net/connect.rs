//! From a host to a connection: waitgate tries every address, and makes one reason out of the reasons of all of them.

use std::fmt::{Display, Write as _};
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::time::Duration;

use tokio::net::{TcpStream, UnixStream};
use tokio::time;

use super::Net;
use super::address::Host;
use super::names::answer::Need;
use super::refusals::{HOST, still_refused};
use super::stream::Stream;
use crate::attempt::Attempt;
use crate::reason::{Code, Hint, Reason, Stage};
use crate::text;

/// The socket addresses of `host`, in a new random order for each attempt.
pub(crate) async fn resolve(net: &Net, host: &Host, port: u16, attempt: &Attempt) -> Result<Vec<SocketAddr>, Reason> {
    resolve_all(net, host, port, Need::First, attempt).await
}

/// The same, with both families if `need` asks for them.
pub(crate) async fn resolve_all(
    net: &Net,
    host: &Host,
    port: u16,
    need: Need,
    attempt: &Attempt,
) -> Result<Vec<SocketAddr>, Reason> {
    let (name, ips) = match host {
        Host::Ip(ip) => (None, vec![*ip]),
        Host::Name(name) => (Some(name.as_str()), shuffled(net.addresses(name, need, attempt).await?)),
    };
    attempt.if_silent(net.unreached(Code::ConnectTimeout, name, &ips));
    let addresses: Vec<SocketAddr> = ips.iter().map(|ip| SocketAddr::new(*ip, port)).collect();
    expect_silence(net, name, &addresses, attempt);
    Ok(addresses)
}

/// Tells the attempt its reason for the case that it is cut off while it connects: addresses that have all refused
/// earlier still refuse.
pub(crate) fn expect_silence(net: &Net, name: Option<&str>, addresses: &[SocketAddr], attempt: &Attempt) {
    if net.refusals.explain_all(addresses) {
        let ips: Vec<IpAddr> = addresses.iter().map(SocketAddr::ip).collect();
        let hint = net.unreached(Code::ConnectRefused, name, &ips);
        let reason = net.as_checked(still_refused(addresses).with_hint(hint));
        attempt.if_cut_off(Stage::Connect, Some(reason));
    } else {
        attempt.if_cut_off(Stage::Connect, None);
    }
}

/// Connects to one address, within the connect timeout. If the address refused earlier in this run, it takes several
/// sockets: see [`super::refusals`].
pub(crate) async fn to(net: &Net, address: SocketAddr, attempt: &Attempt) -> Result<Stream, Reason> {
    net.refusals.heed(address, attempt, async || one(address, attempt).await).await
}

/// Connects to one address, on one fresh socket, within the connect timeout.
pub(crate) async fn one(address: SocketAddr, attempt: &Attempt) -> Result<Stream, Reason> {
    let bound = attempt.connect_timeout();
    match time::timeout(bound, connected(address)).await {
        Err(_) => Err(timed_out(address, bound)),
        Ok(Err(error)) => Err(failure(address, &error)),
        Ok(Ok(socket)) => {
            // On loopback, the kernel may choose the target's own port as our local port. The socket is then connected
            // to itself (simultaneous open, RFC 793 section 3.4), and nothing listens there. Reset it: a normal close
            // would leave TIME_WAIT, and the server could not bind its port for a minute.
            if socket.local_addr().is_ok_and(|local| local == address) {
                let _ = socket.set_zero_linger();
                drop(socket);
                return Err(Reason::new(Code::ConnectRefused, format!("refused by {address}")));
            }
            // Requests are small. To wait for a full segment would only add delay.
            let _ = socket.set_nodelay(true);
            attempt.accept();
            Ok(Stream::tcp(socket, address))
        }
    }
}

/// A socket that is connected to `address`.
///
/// A refusal from this machine, or from its node, is mostly there before `connect` returns. waitgate looks at once, and
/// so a refused attempt costs three system calls fewer than one that asks epoll.
async fn connected(address: SocketAddr) -> io::Result<TcpStream> {
    use rustix::io::Errno;
    use rustix::net::{AddressFamily, SocketFlags, SocketType, connect, socket_with, sockopt::socket_error};
    let family = if address.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
    let socket = socket_with(family, SocketType::STREAM, SocketFlags::CLOEXEC | SocketFlags::NONBLOCK, None)?;
    match connect(&socket, &address) {
        Ok(()) | Err(Errno::INPROGRESS) => {}
        Err(errno) => return Err(errno.into()),
    }
    socket_error(&socket)??;
    let socket = TcpStream::from_std(socket.into())?;
    socket.writable().await?;
    socket.take_error()?.map_or(Ok(socket), Err)
}

/// Nothing came back to a connection attempt within `bound`.
pub(crate) fn timed_out(address: impl Display, bound: Duration) -> Reason {
    let after = text::duration(bound);
    Reason::new(Code::ConnectTimeout, format!("no answer to the connection attempt from {address} within {after}"))
}

/// What an error of `socket` or `connect` means.
pub(crate) fn failure(address: SocketAddr, error: &io::Error) -> Reason {
    use rustix::io::Errno;
    let errno = error.raw_os_error().map(Errno::from_raw_os_error);
    match errno {
        Some(Errno::CONNREFUSED) => Reason::new(Code::ConnectRefused, format!("refused by {address}")),
        // A reset that answers a SYN gives ECONNREFUSED (linux: net/ipv4/tcp_input.c, tcp_reset). This reset came
        // later.
        Some(Errno::CONNRESET) => {
            Reason::new(Code::ProtocolClosed, format!("{address} accepted the connection and reset it at once"))
                .with_hint(Hint::ProxyClosed)
        }
        Some(Errno::NETUNREACH | Errno::AFNOSUPPORT) => {
            Reason::new(Code::ConnectUnreachable, format!("no route to {address}"))
        }
        // A rule that rejects with "protocol unreachable" (netfilter: icmp-proto-unreachable).
        Some(Errno::NOPROTOOPT) => {
            Reason::new(Code::ConnectUnreachable, format!("the connection to {address} is rejected on the way"))
                .with_hint(Hint::Rejected)
        }
        // Only its own link can tell which host a link-local address means (RFC 4007 section 6).
        Some(Errno::INVAL) if is_link_local(address) => Reason::new(
            Code::ConnectUnreachable,
            format!(
                "{address} is a link-local address, which needs a zone: it must be an address that is valid on every link"
            ),
        ),
        // A route of the type blackhole (linux: net/ipv4/fib_semantics.c, fib_props).
        Some(Errno::INVAL) => Reason::new(
            Code::ConnectUnreachable,
            format!("this machine discards what is sent to {address} (a blackhole route)"),
        ),
        Some(Errno::HOSTUNREACH | Errno::HOSTDOWN | Errno::TIMEDOUT) => {
            Reason::new(Code::ConnectUnreachable, format!("host of {address} is unreachable")).with_key(HOST)
        }
        Some(Errno::PERM | Errno::ACCESS) => {
            Reason::new(Code::ConnectDenied, format!("a rule on this machine forbids connecting to {address}"))
        }
        Some(Errno::MFILE | Errno::NFILE) => {
            Reason::new(Code::LocalDescriptors, "no file descriptor left for a socket").with_hint(Hint::Limits)
        }
        // With IPv6 turned off, this machine has no local address for the connection.
        Some(Errno::ADDRNOTAVAIL) if address.is_ipv6() => {
            Reason::new(Code::ConnectUnreachable, format!("no IPv6 address here to reach {address} from"))
        }
        Some(Errno::ADDRNOTAVAIL) => {
            Reason::new(Code::LocalSocket, format!("no local address or port left for a connection to {address}"))
                .with_hint(Hint::Limits)
        }
        Some(errno) => {
            Reason::new(Code::LocalSocket, format!("cannot connect to {address}: {}", text::os_error(error)))
                .with_key(errno.raw_os_error())
        }
        None => Reason::new(Code::LocalSocket, format!("cannot connect to {address}")),
    }
}

fn is_link_local(address: SocketAddr) -> bool {
    matches!(address, SocketAddr::V6(v6) if v6.ip().is_unicast_link_local() && v6.scope_id() == 0)
}

/// Connects to the unix socket at `path`, which a reason calls `name`: printable, and hidden if it may be a secret.
pub(crate) async fn to_socket(path: &Path, name: &str, attempt: &Attempt) -> Result<Stream, Reason> {
    attempt.enter(Stage::Connect, name);
    let socket = UnixStream::connect(path).await.map_err(|error| unix_failure(name, &error))?;
    attempt.accept();
    // The stream's path is for its name only.
    Ok(Stream::unix(socket, Path::new(name)))
}

/// What an error of `connect` to the unix socket `name` means (unix(7), connect(2)).
pub(crate) fn unix_failure(name: &str, error: &io::Error) -> Reason {
    use rustix::io::Errno;
    match error.raw_os_error().map(Errno::from_raw_os_error) {
        Some(Errno::NOENT | Errno::NOTDIR) => Reason::new(Code::LocalMissing, format!("there is no {name}")),
        Some(Errno::CONNREFUSED) => Reason::new(Code::ConnectRefused, format!("refused by {name}")),
        Some(Errno::ACCESS | Errno::PERM) => {
            Reason::new(Code::ConnectDenied, format!("this user may not connect to {name}"))
        }
        Some(Errno::AGAIN) => {
            Reason::new(Code::ConnectTimeout, format!("{name} accepts no connection: its queue is full"))
        }
        Some(Errno::PROTOTYPE) => {
            Reason::new(Code::LocalSocket, format!("{name} is not a stream socket")).with_key("type")
        }
        Some(Errno::MFILE | Errno::NFILE) => {
            Reason::new(Code::LocalDescriptors, "no file descriptor left for a socket").with_hint(Hint::Limits)
        }
        Some(errno) => Reason::new(Code::LocalSocket, format!("cannot connect to {name}: {}", text::os_error(error)))
            .with_key(errno.raw_os_error()),
        None => Reason::new(Code::LocalSocket, format!("cannot connect to {name}")),
    }
}

/// One reason for all addresses: the code of the address that got furthest, and the text of each.
pub(crate) fn explain(net: &Net, host: &Host, failed: &[(SocketAddr, Reason)]) -> Reason {
    // The main reason has the furthest stage. In one stage, it is the one that says most about the server.
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
    // If some addresses refuse and others are silent, no hint is true for all of them.
    let refused_beside = |other: &SocketAddr| {
        let same = |address: &SocketAddr| address.is_ipv6() == other.is_ipv6();
        failed.iter().any(|(address, reason)| same(address) && reason.code() == Code::ConnectRefused)
    };
    let mixed = main.code() == Code::ConnectRefused
        && failed.iter().any(|(address, reason)| match reason.code() {
            Code::ConnectRefused => false,
            // If no address of its family refused, this machine has no route to that family, and the hint is still
            // true.
            Code::ConnectUnreachable => refused_beside(address),
            _ => true,
        });
    let judged = || if mixed { None } else { net.unreached(main.code(), name, &addresses) };
    let hint = main.hint().or_else(judged);
    if failed.len() == 1 {
        return main.clone().with_hint(hint);
    }
    const LISTED: usize = 4;
    let mut text = if failed.iter().all(|(_, reason)| reason.is_like(main)) && main.code() == Code::ConnectRefused {
        let peers: Vec<String> = failed.iter().take(LISTED).map(|(address, _)| address.to_string()).collect();
        format!("refused by {}", peers.join(", "))
    } else {
        // The main reason comes first.
        let mut each: Vec<&Reason> = failed.iter().map(|(_, reason)| reason).collect();
        each.sort_by_key(|reason| std::cmp::Reverse(weight(reason)));
        each.into_iter().take(LISTED).map(Reason::text).collect::<Vec<_>>().join("; ")
    };
    if failed.len() > LISTED {
        let _ = write!(text, " and {} more", failed.len() - LISTED);
    }
    main.with_text(text).with_hint(hint)
}

/// The addresses in random order, IPv6 and IPv4 in turn (RFC 8305 section 4). So neither a dead family nor a dead
/// address is always the first.
fn shuffled(mut ips: Vec<IpAddr>) -> Vec<IpAddr> {
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
    #[test]
    fn the_order_alternates_between_the_families() {
        let ips: Vec<IpAddr> =
            ["10.0.0.1", "10.0.0.2", "::1", "10.0.0.3"].iter().map(|ip| ip.parse().unwrap()).collect();
        let ordered = shuffled(ips.clone());
        assert!(ordered[0].is_ipv6() && ordered[1..].iter().all(IpAddr::is_ipv4));
        assert_eq!(ordered.len(), ips.len());
        assert!(ips.iter().all(|ip| ordered.contains(ip)));
    }
}
