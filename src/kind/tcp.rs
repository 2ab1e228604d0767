//! `tcp:HOST:PORT`: the server accepts a connection, and it is still open after `hold`.

use std::fmt::{self, Write as _};
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use anyhow::{Result, bail};
use futures_util::stream::{self, StreamExt as _};

use super::banner::{self, Accept, Accepted, Over};
use super::expect::Spec;
use super::gone::{self, AT_ONCE};
use super::{Kind, Parts, Ready, endpoint};
use crate::attempt::Attempt;
use crate::net::Net;
use crate::net::address::Host;
use crate::net::connect;
use crate::net::hints::of_one_family;
use crate::net::names::answer::Need;
use crate::net::race::race;
use crate::reason::{Code, Cost, Reason, Stage};
use crate::text;

#[derive(Clone, Debug)]
pub(crate) struct Tcp {
    host: Host,
    port: u16,
    accept: Accept,
    quorum: Quorum,
    /// The expectations as the log shows them.
    shown: String,
}

/// How many addresses of the name must accept a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Quorum {
    /// One, of either family.
    Any,
    /// At least `min` of one family; with `all` also every listed address. If a name has addresses of both families,
    /// each server has two of them, so each family is counted alone.
    Min { min: usize, all: bool },
    /// None: every address refuses the connection, or the name has no address.
    Gone,
}

impl Kind for Tcp {
    const NAMES: &'static [&'static str] = &["tcp"];
    const FORM: &'static str = "tcp:HOST:PORT";
    const HELP: &'static [(&'static str, &'static str)] =
        &[("tcp:HOST:PORT", "a connection is accepted and stays open")];
    const EXPECTATIONS: &'static [Spec] = &[
        banner::HOLD,
        banner::SEND,
        banner::BANNER,
        banner::BANNER_MATCH,
        Spec::value("min", "N").says("at least N addresses of one family accept"),
        Spec::flag("all").says("every address of the name accepts"),
        gone::GONE,
    ];

    /// Parses `tcp:HOST:PORT`, `tcp://HOST:PORT`, or a URL after `tcp:`.
    fn parse(parts: &Parts<'_>) -> Result<Self> {
        let (host, port) = endpoint::parse(parts, Self::FORM)?;
        let it = &parts.expectations;
        let min = it.count("min")?.map(|min| min as usize);
        let quorum = match (min, it.has("all")) {
            _ if gone::is_given(it, Self::EXPECTATIONS)? => Quorum::Gone,
            (None, false) => Quorum::Any,
            (min, all) => Quorum::Min { min: min.unwrap_or(1), all },
        };
        if let (Host::Ip(_), Quorum::Min { min: 2.., .. }) = (&host, quorum) {
            bail!("#min: the target is one address (expected a name that has as many addresses)");
        }
        Ok(Self { host, port, accept: Accept::parse(it, parts.fill)?, quorum, shown: it.shown() })
    }

    fn waits(&self) -> Duration {
        if self.quorum == Quorum::Gone { Duration::ZERO } else { self.accept.waits() }
    }

    fn holds(&self) -> bool {
        self.quorum == Quorum::Any && self.accept.holds()
    }

    async fn probe(&self, net: &Net, attempt: &Attempt) -> Result<Ready, Reason> {
        match self.quorum {
            Quorum::Any => {
                let addresses = connect::resolve(net, &self.host, self.port, attempt).await?;
                let accepted =
                    race(&addresses, attempt, async |address| self.accepts(net, address, attempt).await).await;
                let (address, accepted) = accepted.map_err(|failed| connect::explain(net, &self.host, &failed))?;
                Ok(accepted.ready(address))
            }
            Quorum::Min { min, all } => self.probe_all(min, all, net, attempt).await,
            Quorum::Gone => gone::probe(net, &self.host, self.port, attempt).await,
        }
    }
}

impl Tcp {
    /// Connects to every address, until enough of them have accepted.
    async fn probe_all(&self, min: usize, all: bool, net: &Net, attempt: &Attempt) -> Result<Ready, Reason> {
        let addresses: Vec<SocketAddr> = match &self.host {
            // With `all`, both families must have been answered: an address that is missing counts too.
            Host::Name(name) if all => {
                let ips = net.every_address(name, attempt).await?;
                let addresses: Vec<_> = ips.into_iter().map(|ip| SocketAddr::new(ip, self.port)).collect();
                connect::expect_silence(net, Some(name), &addresses, attempt);
                addresses
            }
            host => connect::resolve_all(net, host, self.port, Need::Both, attempt).await?,
        };
        self.has_time_for(if all { addresses.len() } else { addresses.len().min(min) }, attempt)?;
        attempt.enter(Stage::Connect, text::list(&addresses));
        let mut accepted: Vec<SocketAddr> = Vec::new();
        let mut failed = Vec::new();
        let attempts = addresses.iter().map(async |address| (*address, self.accepts(net, *address, attempt).await));
        let mut attempts = stream::iter(attempts).buffer_unordered(AT_ONCE);
        while let Some((address, outcome)) = attempts.next().await {
            match outcome {
                Ok(_) => accepted.push(address),
                Err(reason) => failed.push((address, reason)),
            }
            if !all && of_one_family(accepted.iter().map(SocketAddr::ip)) >= min {
                break;
            }
        }
        accepted.sort();
        failed.sort_by_key(|(address, _)| *address);
        let count = of_one_family(accepted.iter().map(SocketAddr::ip));
        if count >= min && (!all || failed.is_empty()) {
            return Ok(Ready::noted(format!("accepted by {}", text::list(&accepted))));
        }
        // No address accepts: the reason is why the connections fail, not how many.
        if accepted.is_empty() {
            return Err(connect::explain(net, &self.host, &failed));
        }
        let mut text = if all {
            format!("{} of {} addresses accept", accepted.len(), addresses.len())
        } else {
            format!("{count} of {min} addresses of one family accept")
        };
        let _ = write!(text, ": {}", text::list(&accepted));
        let (cost, hint) = if failed.is_empty() {
            text.push_str("; the name has no other address");
            // All listed addresses accept. Only the DNS can add more.
            let listed: Vec<IpAddr> = addresses.iter().map(SocketAddr::ip).collect();
            let hint = if let Host::Name(name) = &self.host { net.too_few(name, &listed) } else { None };
            (Cost::Work, hint)
        } else {
            let failure = connect::explain(net, &self.host, &failed);
            let _ = write!(text, "; {}", failure.text());
            (failure.cost(), None)
        };
        Err(Reason::new(Code::ExpectQuorum, text).with_cost(cost).with_key(accepted.len()).with_hint(hint))
    }

    /// Whether that many addresses can be watched for `hold` within the attempt: a limited number of them at once.
    fn has_time_for(&self, addresses: usize, attempt: &Attempt) -> Result<(), Reason> {
        let rounds = u32::try_from(addresses.div_ceil(AT_ONCE)).unwrap_or(u32::MAX);
        let (takes, has) = (self.accept.waits().saturating_mul(rounds), attempt.until() - attempt.started());
        if takes < has {
            return Ok(());
        }
        let text = format!(
            "{addresses} addresses take {} at least ({AT_ONCE} at once, each for #hold), and an attempt has at most {}: give a longer #attempt-timeout= or a shorter #hold=",
            text::duration(takes),
            text::duration(has)
        );
        Err(Reason::new(Code::ExpectQuorum, text).with_key("time"))
    }

    async fn accepts(
        &self,
        net: &Net,
        address: SocketAddr,
        attempt: &Attempt,
    ) -> Result<(SocketAddr, Accepted), Reason> {
        let stream = connect::to(net, address, attempt).await?;
        let accepted = self.accept.check(net, stream, Over::Tcp, &address, attempt).await?;
        Ok((address, accepted))
    }
}

impl fmt::Display for Tcp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "tcp:{}:{}{}", self.host, self.port, self.shown)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::attempt::Bounds;
    use crate::env::Env;
    use crate::kind::{Given, Target};
    use crate::net::names::resolv_conf::SystemFiles;

    fn parse(text: &str) -> Result<Tcp> {
        let (target, _) = Target::parse(text, Given { env: &Env::default(), ca_file: false })?;
        let Target::Tcp(tcp) = target else { bail!("{target} is of another kind") };
        Ok(*tcp)
    }

    #[test]
    fn how_many_addresses_must_accept() {
        for (text, quorum) in [
            ("tcp:db:1", Quorum::Any),
            ("tcp:db:1#all", Quorum::Min { min: 1, all: true }),
            ("tcp:db:1#min=3", Quorum::Min { min: 3, all: false }),
            ("tcp:db:1#min=3#all", Quorum::Min { min: 3, all: true }),
            ("tcp:db:1#gone", Quorum::Gone),
            ("tcp:10.0.0.1:1#min=1", Quorum::Min { min: 1, all: false }),
        ] {
            let tcp = parse(text).unwrap();
            assert_eq!((tcp.quorum, tcp.to_string().as_str()), (quorum, text));
        }
        for (text, word) in [
            ("tcp:db:1#gone#min=2", "#gone excludes"),
            ("tcp:db:1#gone#all", "#gone excludes"),
            ("tcp:db:1#gone#hold=1s", "#gone excludes"),
            ("tcp:10.0.0.1:1#min=2", "expected a name"),
            ("tcp:db:1#min=0", "at least 1"),
        ] {
            let message = format!("{:#}", parse(text).unwrap_err());
            assert!(message.contains(word), "{text}: {message}");
        }
    }

    #[tokio::test]
    async fn more_addresses_than_an_attempt_has_time_for() {
        let hosts = tempfile::NamedTempFile::new().unwrap();
        let lines: Vec<String> = (1..=200).map(|n| format!("127.0.0.{n} many")).collect();
        std::fs::write(hosts.path(), lines.join("\n")).unwrap();
        let files = SystemFiles { hosts: hosts.path().to_owned(), ..SystemFiles::default() };
        let bounds = Bounds { attempt: Duration::from_secs(3), connect: Duration::from_secs(1) };
        let tcp = parse("tcp:many:1#all#hold=800ms").unwrap();
        let reason = tcp.probe(&Net::plain(files), &Attempt::new(bounds, false)).await.unwrap_err();
        assert_eq!(reason.code(), Code::ExpectQuorum);
        assert_eq!(
            reason.text(),
            "200 addresses take 3.2s at least (64 at once, each for #hold), and an attempt has at most 3s: give a longer #attempt-timeout= or a shorter #hold="
        );
    }

    #[test]
    fn each_family_is_counted_alone() {
        let count = |list: &[&str]| of_one_family(list.iter().map(|text| text.parse().unwrap()));
        assert_eq!(count(&["10.0.0.1", "10.0.0.2", "fd00::1"]), 2);
        assert_eq!(count(&[]), 0);
    }
}
