//! `tcp:HOST:PORT`: a connection is accepted, and still open after `hold`.

use std::fmt::{self, Write as _};
use std::net::{IpAddr, SocketAddr};

use anyhow::{Result, bail};
use futures_util::stream::{self, StreamExt as _};

use super::accept::{self, Accept};
use super::address::{self, Host};
use super::expect::Spec;
use super::gone::{self, AT_ONCE, listed};
use super::{Parts, Ready};
use crate::net::Net;
use crate::net::connect::{self, race};
use crate::net::lookup::Need;
use crate::reason::{Class, Code, Reason, Stage};
use crate::trail::Trail;

/// What `tcp:` expects beyond the common ones.
pub const EXPECTATIONS: &[Spec] =
    &[accept::HOLD, accept::BANNER, accept::BANNER_MATCH, Spec::value("min", "N"), Spec::flag("all"), gone::GONE];

/// A TCP port.
#[derive(Clone, Debug)]
pub struct Tcp {
    host: Host,
    port: u16,
    accept: Accept,
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
        let wanted = match (min, it.has("all")) {
            _ if gone::is_given(it, EXPECTATIONS)? => Wanted::Gone,
            (None, false) => Wanted::Any,
            (min, all) => Wanted::Quorum { min: min.unwrap_or(1), all },
        };
        if let (Host::Ip(_), Wanted::Quorum { min: 2.., .. }) = (&host, wanted) {
            bail!("#min: expected a name with that many addresses; an address is one");
        }
        Ok(Self { host, port, accept: Accept::parse(it)?, wanted, shown: it.shown(&[]) })
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
            Wanted::Gone => gone::probe(net, &self.host, self.port, trail).await,
        }
    }

    /// Enough addresses accept.
    async fn quorum(&self, min: usize, all: bool, net: &Net, trail: &Trail) -> Result<Ready, Reason> {
        let addresses: Vec<SocketAddr> = match &self.host {
            // One that did not come is listed, too.
            Host::Name(name) if all => {
                let ips = net.resolver().every_address(name, trail).await?;
                ips.into_iter().map(|ip| SocketAddr::new(ip, self.port)).collect()
            }
            host => connect::resolve_all(net, host, self.port, Need::Both, trail).await?,
        };
        trail.enter(Stage::Connect, listed(&addresses));
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
        let (cost, hint) = if failed.is_empty() {
            text.push_str("; no other is listed");
            // Only the DNS can bring more.
            let listed: Vec<IpAddr> = addresses.iter().map(SocketAddr::ip).collect();
            let hint = if let Host::Name(name) = &self.host { net.resolver().too_few(name, &listed) } else { None };
            (Class::Work, hint)
        } else {
            let main = connect::explain(net, &self.host, &failed);
            let _ = write!(text, "; {}", main.text());
            (main.cost(), None)
        };
        Err(Reason::new(Code::ExpectQuorum, text).class(cost).key(accepted.len()).hint(hint))
    }

    async fn accepts(&self, address: SocketAddr, trail: &Trail) -> Result<SocketAddr, Reason> {
        let stream = connect::one(address, trail).await?;
        self.accept.check(stream, &address, trail).await?;
        Ok(address)
    }
}

/// How many of the addresses are of the family that has more of them.
fn of_one_family(addresses: &[SocketAddr]) -> usize {
    let v6 = addresses.iter().filter(|address| address.is_ipv6()).count();
    v6.max(addresses.len() - v6)
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
        let (target, _) = Target::parse(text, Given { env: &Env::default(), ca_file: false })?;
        let Target::Tcp(tcp) = target else { bail!("{target} is of another kind") };
        Ok(tcp)
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
