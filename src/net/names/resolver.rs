//! Finds the addresses and records of names for every kind: first IP literals, then the hosts file, then the DNS.

use std::cell::{Cell, OnceCell, RefCell};
use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use hickory_resolver::proto::rr::RecordType;
use tokio::time::Instant;

use super::answer::{Found, LookupError, Need, Records, Source, Via};
use super::ask::Walk;
use super::explain;
use super::hosts::{self, Own};
use super::resolv_conf::{Origin, ResolvConf, SystemFiles};
use super::search::{self, Step};
use crate::attempt::Attempt;
use crate::net::refusals::Refusals;
use crate::reason::{Code, Reason, Stage};

/// The longest time for which addresses are cached, even if their TTL is longer: a Service that is created again has a
/// new address.
const CACHED_MAX: Duration = Duration::from_secs(5);

/// How long addresses are remembered after that, for hints only.
const FORGOTTEN: Duration = Duration::from_mins(1);

/// The one resolver of a run. Between attempts it caches addresses for at most 5 s, and it knows whose turn it is under
/// `options rotate`. Each walk reads the system's files again, as glibc does.
pub(crate) struct Resolver {
    files: SystemFiles,
    cache: RefCell<HashMap<String, Cached>>,
    turn: Cell<usize>,
    odd: RefCell<Odd>,
    /// The nameserver that gave the last answer over UDP.
    answered: Cell<Option<SocketAddr>>,
    /// What the hosts file says about this Pod. The kubelet writes that once, so it is read once.
    own: OnceCell<Own>,
    /// Which nameservers have refused in this run.
    refusals: Refusals,
}

struct Cached {
    until: Instant,
    addresses: Vec<IpAddr>,
    /// Whether both families have answered.
    complete: bool,
    source: Source,
    via: Option<Via>,
}

/// The warning about what was skipped in resolv.conf: there is none, or it must still be printed, or it was printed.
#[derive(Default, PartialEq, Eq)]
enum Odd {
    #[default]
    Nothing,
    Unsaid(String),
    Said,
}

impl Resolver {
    /// A resolver over the system's files.
    pub(crate) fn new(files: SystemFiles) -> Self {
        Self {
            files,
            cache: RefCell::default(),
            turn: Cell::new(0),
            odd: RefCell::default(),
            answered: Cell::new(None),
            own: OnceCell::new(),
            refusals: Refusals::default(),
        }
    }

    /// The cached addresses of `name`, if they are still valid and enough for `need`.
    pub(crate) fn cached(&self, name: &str, need: Need, attempt: &Attempt) -> Option<Vec<IpAddr>> {
        let cache = self.cache.borrow();
        let cached = cache.get(name).filter(|cached| !attempt.fresh() && cached.until > Instant::now())?;
        (cached.complete || need == Need::First).then(|| cached.addresses.clone())
    }

    /// The addresses of `name` and where they come from. They never come from the cache.
    pub(crate) async fn find(&self, name: &str, need: Need, attempt: &Attempt) -> Result<Found, LookupError> {
        attempt.enter(Stage::Resolve, name);
        let literal = |addresses| Ok(Found { addresses, source: Source::Literal, missing: None, via: None });
        if let Ok(ip) = name.parse() {
            return literal(vec![ip]);
        }
        let listed = hosts::addresses(self.files.read_hosts().as_slice(), name);
        if !listed.is_empty() {
            self.cache.borrow_mut().remove(name);
            let found = Found { addresses: listed, source: Source::Hosts, missing: None, via: None };
            return without_sinkhole(found, name);
        }
        if is_localhost(name) {
            return literal(vec![Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()]);
        }
        let walk = Walk::new(self.conf(), self.turn(), attempt).heeding(&self.refusals);
        let steps = search::steps(name, &walk.conf);
        let found = walk.addresses(&steps, need).await;
        let (found, ttl) = found.map_err(|error| with_steps(error, &steps))?;
        let found = without_sinkhole(found, name).map_err(|error| with_steps(error, &steps))?;
        let cached = Cached {
            until: Instant::now() + CACHED_MAX.min(Duration::from_secs(ttl.into())),
            addresses: found.addresses.clone(),
            complete: found.missing.is_none() && need == Need::Both,
            source: found.source.clone(),
            via: found.via.clone(),
        };
        if let Some(via) = found.via.as_ref().filter(|_| !walk.conf.use_vc) {
            self.answered.set(Some(via.server));
        }
        self.remember(name, cached);
        Ok(found)
    }

    fn remember(&self, name: &str, cached: Cached) {
        let mut cache = self.cache.borrow_mut();
        // Servers may redirect to a new name each time. What ended a while ago is of no use for a hint either.
        let now = Instant::now();
        cache.retain(|_, cached| cached.until + FORGOTTEN > now);
        cache.insert(name.to_owned(), cached);
    }

    /// The records of type `rtype` of `name`. This uses the search list and not the hosts file.
    pub(crate) async fn records(
        &self,
        name: &str,
        rtype: RecordType,
        attempt: &Attempt,
    ) -> Result<Records, LookupError> {
        let walk = Walk::new(self.conf(), self.turn(), attempt).heeding(&self.refusals);
        let steps = search::steps(name, &walk.conf);
        walk.records(&steps, rtype).await.map_err(|error| with_steps(error, &steps))
    }

    /// The addresses that `servers` give for exactly `name`.
    pub(crate) async fn addresses_at(
        &self,
        servers: &[SocketAddr],
        name: &str,
        need: Need,
        attempt: &Attempt,
    ) -> Result<Found, LookupError> {
        let walk = Walk::new(at(servers), 0, attempt);
        let (found, _) = walk.addresses(&exactly(name), need).await?;
        without_sinkhole(found, name)
    }

    /// The records that `servers` give for exactly `name`.
    pub(crate) async fn records_at(
        &self,
        servers: &[SocketAddr],
        name: &str,
        rtype: RecordType,
        attempt: &Attempt,
    ) -> Result<Records, LookupError> {
        Walk::new(at(servers), 0, attempt).records(&exactly(name), rtype).await
    }

    /// How the DNS found the cached addresses of `name`, for hints.
    pub(crate) fn found_by(&self, name: &str) -> Option<(String, Option<Via>)> {
        match self.cache.borrow().get(name)? {
            Cached { source: Source::Dns(full), via, .. } => Some((full.clone(), via.clone())),
            _ => None,
        }
    }

    /// The nameserver that gave the last answer over UDP.
    pub(crate) fn answered(&self) -> Option<SocketAddr> {
        self.answered.get()
    }

    /// The nameservers, if all of them refused earlier in this run.
    pub(crate) fn refusing(&self, conf: &ResolvConf) -> Option<Reason> {
        self.refusals.explain_all(&conf.nameservers).then(|| explain::still_refused(&conf.nameservers))
    }

    /// Whether a nameserver refused in this run.
    pub(crate) fn any_refused(&self) -> bool {
        !self.refusals.is_empty()
    }

    /// What the hosts file says about this Pod.
    pub(crate) fn own(&self) -> &Own {
        self.own.get_or_init(|| {
            let hostname = rustix::system::uname();
            hosts::own(self.files.read_hosts().as_slice(), &hostname.nodename().to_string_lossy())
        })
    }

    /// resolv.conf as it is now.
    pub(crate) fn conf(&self) -> ResolvConf {
        let mut conf = ResolvConf::parse(self.files.read_resolv_conf().as_deref(), interface_index);
        if conf.origin == Origin::NoFile && self.files.has_resolv_conf() {
            conf.origin = Origin::Unreadable;
        }
        let mut odd = self.odd.borrow_mut();
        if *odd == Odd::Nothing && !conf.oddities.is_empty() {
            let skipped = crate::text::printable(&conf.oddities.join(", "));
            *odd = Odd::Unsaid(format!("/etc/resolv.conf: skipped {skipped}"));
        }
        conf
    }

    /// The warning about what was skipped in resolv.conf. It is returned once.
    pub(crate) fn warning(&self) -> Option<String> {
        let mut odd = self.odd.borrow_mut();
        match std::mem::take(&mut *odd) {
            Odd::Nothing => None,
            Odd::Unsaid(text) => {
                *odd = Odd::Said;
                Some(text)
            }
            Odd::Said => {
                *odd = Odd::Said;
                None
            }
        }
    }

    fn turn(&self) -> usize {
        self.turn.replace(self.turn.get().wrapping_add(1))
    }
}

/// Drops 0.0.0.0 and ::, which no server has. A connection to them would reach this machine itself (Linux).
fn without_sinkhole(mut found: Found, name: &str) -> Result<Found, LookupError> {
    let unspecified = found.addresses.clone();
    found.addresses.retain(|ip| !ip.is_unspecified());
    if !found.addresses.is_empty() {
        return Ok(found);
    }
    let (who, full) = match &found.source {
        Source::Dns(full) => ("the DNS answers", full.as_str()),
        Source::Hosts | Source::Literal => ("the hosts file has", name),
    };
    let answered = unspecified.first().map(ToString::to_string).unwrap_or_default();
    let reason = Reason::new(
        Code::ResolveNoAddresses,
        format!(
            "{who} {answered} for {full}, which is not the address of a server: a filter blocks the name (a sinkhole)"
        ),
    )
    .with_key("sinkhole");
    Err(LookupError {
        uncertain: Some(Box::new(reason.clone())),
        reason,
        all_servers: None,
        aliased: false,
        steps: Vec::new(),
    })
}

fn with_steps(mut error: LookupError, steps: &[Step]) -> LookupError {
    error.steps = steps.iter().map(|step| step.name.clone()).collect();
    error
}

/// One step: `name` without a search list.
fn exactly(name: &str) -> Vec<Step> {
    vec![Step { name: name.strip_suffix('.').unwrap_or(name).to_owned(), searched: false }]
}

/// A configuration that asks only `servers`.
fn at(servers: &[SocketAddr]) -> ResolvConf {
    let mut conf = ResolvConf::parse(Some(b""), |_| None);
    conf.nameservers = servers.to_vec();
    conf.origin = Origin::Stated;
    conf
}

/// Whether `name` means the loopback addresses. Nameservers are never asked for these names (RFC 6761 section 6.3).
fn is_localhost(name: &str) -> bool {
    let name = name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase();
    name == "localhost" || name.ends_with(".localhost")
}

/// The index of the network interface `name`.
fn interface_index(name: &str) -> Option<u32> {
    use rustix::net::{AddressFamily, SocketType, netdevice, socket};
    let any = socket(AddressFamily::INET6, SocketType::DGRAM, None).ok()?;
    netdevice::name_to_index(&any, name).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::attempt::Bounds;
    use crate::net::names::scripted_server::BOUND;
    use std::fs;

    fn resolver(folder: &std::path::Path, hosts: &str) -> Resolver {
        let files = SystemFiles { resolv_conf: folder.join("resolv.conf"), hosts: folder.join("hosts") };
        fs::write(&files.hosts, hosts).unwrap();
        // Nothing listens on this address, so a name that is asked for gives an error.
        fs::write(&files.resolv_conf, "nameserver 127.255.255.254\nsearch ns.svc.x\n").unwrap();
        Resolver::new(files)
    }

    fn attempt() -> Attempt {
        Attempt::new(Bounds { attempt: BOUND, connect: Duration::from_millis(50) }, false)
    }

    #[tokio::test]
    async fn literals_localhost_and_the_hosts_file_need_no_dns_question() {
        let folder = tempfile::tempdir().unwrap();
        let resolver = resolver(folder.path(), "10.0.0.1 db other\nfd00::1 DB\n10.0.0.2 localhost.x");
        for (name, found, source) in [
            ("db", "10.0.0.1 fd00::1", Source::Hosts),
            ("Other", "10.0.0.1", Source::Hosts),
            ("localhost", "127.0.0.1 ::1", Source::Literal),
            ("db.localhost.", "127.0.0.1 ::1", Source::Literal),
            ("10.0.0.9", "10.0.0.9", Source::Literal),
            ("::1", "::1", Source::Literal),
        ] {
            let it = resolver.find(name, Need::Both, &attempt()).await.unwrap();
            let ips: Vec<String> = it.addresses.iter().map(ToString::to_string).collect();
            assert_eq!((ips.join(" ").as_str(), it.source), (found, source), "{name}");
        }
        assert!(resolver.find("db.", Need::Both, &attempt()).await.is_err());
    }

    #[tokio::test]
    async fn the_first_mebibyte_of_the_hosts_file_is_read() {
        const LIMIT: usize = 1024 * 1024;
        let folder = tempfile::tempdir().unwrap();
        let head = "10.0.0.1 first\n10.0.0.2 second-";
        let filler = format!("#{}\n", "x".repeat(LIMIT - head.len() - 2));
        // The limit cuts the last line after "second-".
        let resolver = resolver(folder.path(), &format!("{filler}{head}name\n10.0.0.3 third\n"));
        assert_eq!(resolver.find("first", Need::First, &attempt()).await.unwrap().source, Source::Hosts);
        for beyond in ["second-", "second-name", "third"] {
            assert!(resolver.find(beyond, Need::First, &attempt()).await.is_err(), "{beyond}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn addresses_of_long_ago_are_forgotten() {
        let folder = tempfile::tempdir().unwrap();
        let resolver = resolver(folder.path(), "");
        for at in 0..1000 {
            let until = Instant::now() + CACHED_MAX;
            let source = Source::Hosts;
            resolver
                .remember(&format!("n{at}"), Cached { until, addresses: vec![], complete: true, source, via: None });
            tokio::time::advance(Duration::from_secs(1)).await;
        }
        assert!(resolver.cache.borrow().len() <= 70, "{}", resolver.cache.borrow().len());
    }

    #[tokio::test]
    async fn an_address_that_no_server_has_is_none() {
        let folder = tempfile::tempdir().unwrap();
        let resolver = resolver(folder.path(), "0.0.0.0 blocked half\n:: blocked\n10.0.0.1 half\n");
        let error = resolver.find("blocked", Need::First, &attempt()).await.unwrap_err();
        assert!(error.reason.text().starts_with("the hosts file has 0.0.0.0 for blocked"), "{}", error.reason.text());
        assert!(error.certainly_absent().is_err(), "gone needs a denial");
        assert_eq!(resolver.find("half", Need::First, &attempt()).await.unwrap().addresses.len(), 1);
    }

    #[test]
    fn a_refusal_of_every_nameserver_explains_silence() {
        let folder = tempfile::tempdir().unwrap();
        let resolver = resolver(folder.path(), "");
        let conf = resolver.conf();
        assert!(resolver.refusing(&conf).is_none() && !resolver.any_refused());
        let conf = ResolvConf::parse(Some(b"nameserver 10.96.0.10"), |_| None);
        resolver.refusals.add(conf.nameservers[0]);
        assert_eq!(resolver.refusing(&conf).unwrap().text(), "refused by nameserver 10.96.0.10 on port 53");
    }

    #[tokio::test]
    async fn the_hosts_file_is_read_again_and_counts_before_localhost() {
        let folder = tempfile::tempdir().unwrap();
        let resolver = resolver(folder.path(), "");
        assert!(resolver.find("db", Need::First, &attempt()).await.is_err());
        fs::write(folder.path().join("hosts"), "10.0.0.1 db\n10.0.0.2 localhost").unwrap();
        assert_eq!(resolver.find("db", Need::First, &attempt()).await.unwrap().addresses.len(), 1);
        assert_eq!(resolver.find("localhost", Need::First, &attempt()).await.unwrap().source, Source::Hosts);
        // No nameserver answers, so it is not certain that the name does not exist.
        assert!(resolver.find("web", Need::Both, &attempt()).await.unwrap_err().certainly_absent().is_err());
    }
}
