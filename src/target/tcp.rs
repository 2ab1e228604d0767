//! `tcp:HOST:PORT`: a connection is accepted, and still open after `hold`.

use std::fmt::{self, Write as _};
use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Result, bail};
use futures_util::stream::{self, StreamExt as _};
use tokio::io::AsyncReadExt;
use tokio::time;

use super::address::{self, Host};
use super::expect::{Spec, Zero};
use super::{Parts, Ready};
use crate::net::Net;
use crate::net::connect::{self, race};
use crate::net::lookup::{Found, Need};
use crate::reason::{Class, Code, Hint, Reason, Stage};
use crate::trail::Trail;

/// What `tcp:` expects beyond the common ones.
pub const EXPECTATIONS: &[Spec] =
    &[Spec::value("hold", "DURATION"), Spec::value("min", "N"), Spec::flag("all"), Spec::flag("gone")];

/// Long enough for a front on the same machine to notice that it has nobody to talk to
/// (docker-proxy to a refusing backend closes within 12 ms), short enough to cost nothing.
const HOLD: Duration = Duration::from_millis(50);

/// A TCP port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tcp {
    host: Host,
    port: u16,
    hold: Duration,
    wanted: Wanted,
    shown: String,
}

/// Which of the addresses behind the name have to accept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wanted {
    /// Any.
    Any,
    /// This many of one family, and every one that is listed where `all` is set: a name of both families has
    /// each server twice, so the families are counted apart.
    Quorum { min: usize, all: bool },
    /// None: every address refuses, or there is none.
    Gone,
}

/// As many addresses are tried at once; more would be a burst of their own.
const AT_ONCE: usize = 64;

impl Tcp {
    /// Parses `tcp:HOST:PORT` or `tcp://HOST:PORT`.
    pub fn parse(parts: &Parts<'_>) -> Result<Self> {
        const FORM: &str = "tcp:HOST:PORT";
        let raw = parts.address.strip_prefix("//").unwrap_or(parts.address);
        if raw.contains('@') {
            bail!("expected {FORM}, found '@': tcp: takes no user and no password");
        }
        let raw = raw.strip_suffix('/').unwrap_or(raw);
        let (host, port) = address::host_port(raw, FORM, parts.fill)?;
        let it = &parts.expectations;
        let min = it.count("min")?.map(|min| min as usize);
        let wanted = match (min, it.has("all"), it.has("gone")) {
            (None, false, true) if it.has("hold") => bail!("#gone stands alone: what is gone has nothing to hold"),
            (None, false, true) => Wanted::Gone,
            (_, _, true) => bail!("#gone stands alone: it asks every address already"),
            (None, false, false) => Wanted::Any,
            (min, all, false) => Wanted::Quorum { min: min.unwrap_or(1), all },
        };
        if let (Host::Ip(_), Wanted::Quorum { min: 2.., .. }) = (&host, wanted) {
            bail!("#min: expected a name with that many addresses; an address is one");
        }
        let hold = it.duration("hold", Zero::Allowed)?.unwrap_or(HOLD);
        Ok(Self { host, port, hold, wanted, shown: it.shown(&[]) })
    }

    /// Connects, and keeps each connection for `hold`.
    pub async fn probe(&self, net: &Net, trail: &Trail) -> Result<Ready, Reason> {
        match self.wanted {
            Wanted::Any => {
                let addresses = connect::resolve(net, &self.host, self.port, trail).await?;
                let accepted = race(&addresses, trail, async |address| self.accepts(address, trail).await).await;
                let address = accepted.map_err(|failed| connect::explain(net, &self.host, &failed))?;
                Ok(Ready::noted(format!("accepted by {address}")))
            }
            Wanted::Quorum { min, all } => self.quorum(min, all, net, trail).await,
            Wanted::Gone => self.gone(net, trail).await,
        }
    }

    /// Enough addresses accept.
    async fn quorum(&self, min: usize, all: bool, net: &Net, trail: &Trail) -> Result<Ready, Reason> {
        let addresses = connect::resolve_all(net, &self.host, self.port, Need::Both, trail).await?;
        let mut accepted: Vec<SocketAddr> = Vec::new();
        let mut failed = Vec::new();
        let attempts = addresses.iter().map(async |address| (*address, self.accepts(*address, trail).await));
        let mut attempts = stream::iter(attempts).buffer_unordered(AT_ONCE);
        while let Some((address, outcome)) = attempts.next().await {
            match outcome {
                Ok(_) => accepted.push(address),
                Err(reason) => failed.push((address, reason)),
            }
            if !all && of_one_family(&accepted) >= min {
                break;
            }
        }
        accepted.sort();
        failed.sort_by_key(|(address, _)| *address);
        let count = of_one_family(&accepted);
        if count >= min && (!all || failed.is_empty()) {
            return Ok(Ready::noted(format!("accepted by {}", listed(&accepted))));
        }
        // Nobody accepts: then it is the connections that fail, not their number.
        if accepted.is_empty() {
            return Err(connect::explain(net, &self.host, &failed));
        }
        let mut text = if all {
            format!("{} of {} addresses accept", accepted.len(), addresses.len())
        } else {
            format!("{count} of {min} addresses of one family accept")
        };
        let _ = write!(text, ": {}", listed(&accepted));
        let cost = if failed.is_empty() {
            text.push_str("; no other is listed");
            // Only the DNS can bring more.
            Class::Work
        } else {
            let main = connect::explain(net, &self.host, &failed);
            let _ = write!(text, "; {}", main.text());
            main.cost()
        };
        Err(Reason::new(Code::ExpectQuorum, text).class(cost).key(accepted.len()))
    }

    /// Nobody is there any more.
    async fn gone(&self, net: &Net, trail: &Trail) -> Result<Ready, Reason> {
        let addresses = match &self.host {
            Host::Ip(ip) => vec![SocketAddr::new(*ip, self.port)],
            Host::Name(name) => match net.resolver().find(name, Need::Both, trail).await {
                // Whoever may be at the addresses that did not come is not known to be gone.
                Ok(Found { missing: Some(missing), .. }) => return Err(Reason::new(Code::ResolveTrouble, missing)),
                Ok(found) => found.addresses.into_iter().map(|ip| SocketAddr::new(ip, self.port)).collect(),
                Err(unfound) => return unfound.absent().map(Ready::noted),
            },
        };
        let attempts = addresses.iter().map(async |address| (*address, connect::one(*address, trail).await));
        let mut attempts = stream::iter(attempts).buffer_unordered(AT_ONCE);
        let mut refused = Vec::new();
        while let Some((address, outcome)) = attempts.next().await {
            match outcome {
                Ok(_) => return Err(Reason::new(Code::ExpectGone, format!("still there: {address} accepts"))),
                Err(reason) if reason.code() == Code::ConnectRefused => refused.push(address),
                Err(reason) => return Err(reason),
            }
        }
        refused.sort();
        Ok(Ready::noted(format!("refused by {}", listed(&refused))))
    }

    async fn accepts(&self, address: SocketAddr, trail: &Trail) -> Result<SocketAddr, Reason> {
        let mut stream = connect::one(address, trail).await?;
        if self.hold.is_zero() {
            return Ok(address);
        }
        trail.enter(Stage::Protocol, format_args!("{address} accepted the connection"));
        let mut byte = [0; 1];
        match time::timeout(self.hold, stream.read(&mut byte)).await {
            // Still open, or the server spoke first: somebody is there.
            Err(_) | Ok(Ok(1..)) => Ok(address),
            Ok(Ok(0) | Err(_)) => Err(Reason::new(
                Code::ProtocolClosed,
                format!("{address} accepted the connection and closed it at once"),
            )
            .hint(Hint::FrontClosed)),
        }
    }
}

/// How many of the addresses are of the family that has more of them.
fn of_one_family(addresses: &[SocketAddr]) -> usize {
    let v6 = addresses.iter().filter(|address| address.is_ipv6()).count();
    v6.max(addresses.len() - v6)
}

/// Up to four addresses in a row, the rest counted.
fn listed(addresses: &[SocketAddr]) -> String {
    const SHOWN: usize = 4;
    let mut list: Vec<String> = addresses.iter().take(SHOWN).map(ToString::to_string).collect();
    if addresses.len() > SHOWN {
        list.push(format!("{} more", addresses.len() - SHOWN));
    }
    list.join(", ")
}

impl fmt::Display for Tcp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "tcp:{}:{}{}", self.host, self.port, self.shown)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::target::{Given, Target};
    use crate::vars::Env;

    fn parse(text: &str) -> Result<Tcp> {
        match Target::parse(text, Given { env: &Env::default(), ca_file: false })?.0 {
            Target::Tcp(tcp) => Ok(tcp),
            other => bail!("{other} is of another kind"),
        }
    }

    #[test]
    fn which_addresses_have_to_accept() {
        for (text, wanted) in [
            ("tcp:db:1", Wanted::Any),
            ("tcp:db:1#all", Wanted::Quorum { min: 1, all: true }),
            ("tcp:db:1#min=3", Wanted::Quorum { min: 3, all: false }),
            ("tcp:db:1#min=3#all", Wanted::Quorum { min: 3, all: true }),
            ("tcp:db:1#gone", Wanted::Gone),
            ("tcp:10.0.0.1:1#min=1", Wanted::Quorum { min: 1, all: false }),
        ] {
            let tcp = parse(text).unwrap();
            assert_eq!((tcp.wanted, tcp.to_string().as_str()), (wanted, text));
        }
        for (text, word) in [
            ("tcp:db:1#gone#min=2", "stands alone"),
            ("tcp:db:1#gone#all", "stands alone"),
            ("tcp:db:1#gone#hold=1s", "stands alone"),
            ("tcp:10.0.0.1:1#min=2", "expected a name"),
            ("tcp:db:1#min=0", "at least 1"),
        ] {
            let message = format!("{:#}", parse(text).unwrap_err());
            assert!(message.contains(word), "{text}: {message}");
        }
    }

    #[test]
    fn families_are_counted_apart() {
        let addresses = |list: &[&str]| list.iter().map(|text| text.parse().unwrap()).collect::<Vec<SocketAddr>>();
        assert_eq!(of_one_family(&addresses(&["10.0.0.1:1", "10.0.0.2:1", "[fd00::1]:1"])), 2);
        assert_eq!(of_one_family(&[]), 0);
    }
}
