//! Names to addresses and records, for every kind: literals, the hosts file, then the DNS.

use std::cell::{Cell, OnceCell, RefCell};
use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use hickory_resolver::proto::rr::RecordType;
use tokio::time::Instant;

use super::answer::{Found, Need, Records, Source, Unfound, Via};
use super::ask::Walk;
use super::hosts::{self, Own};
use super::resolv_conf::{Origin, ResolvConf, SystemFiles};
use super::search::{self, Step};
use crate::attempt::Attempt;
use crate::reason::Stage;

/// How long addresses are kept at most, whatever their TTL: a Service made anew is seen soon.
const KEPT: Duration = Duration::from_secs(5);

/// The one resolver of a run. Between attempts it keeps addresses for at most 5 s, and whose turn it
/// is under `options rotate`; the system's files are read anew for each walk, as glibc does.
pub(crate) struct Resolver {
    files: SystemFiles,
    kept: RefCell<HashMap<String, Kept>>,
    turn: Cell<usize>,
    odd: RefCell<Odd>,
    /// Who gave the last answer over UDP.
    answered: Cell<Option<SocketAddr>>,
    /// What the hosts file says about this Pod; the kubelet writes that once.
    own: OnceCell<Own>,
}

struct Kept {
    until: Instant,
    addresses: Vec<IpAddr>,
    /// Whether both families have answered.
    complete: bool,
    /// Where they come from.
    source: Source,
    via: Option<Via>,
}

/// What was skipped in resolv.conf, for one warning.
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
            kept: RefCell::default(),
            turn: Cell::new(0),
            odd: RefCell::default(),
            answered: Cell::new(None),
            own: OnceCell::new(),
        }
    }

    /// The addresses of `name` that are kept, if they are young enough and answer what is needed.
    pub(crate) fn kept(&self, name: &str, need: Need, attempt: &Attempt) -> Option<Vec<IpAddr>> {
        let kept = self.kept.borrow();
        let kept = kept.get(name).filter(|kept| !attempt.fresh() && kept.until > Instant::now())?;
        (kept.complete || need == Need::First).then(|| kept.addresses.clone())
    }

    /// The addresses, never from the cache, and with where they come from.
    pub(crate) async fn find(&self, name: &str, need: Need, attempt: &Attempt) -> Result<Found, Unfound> {
        attempt.enter(Stage::Resolve, name);
        let literal = |addresses| Ok(Found { addresses, source: Source::Literal, missing: None, via: None });
        if let Ok(ip) = name.parse() {
            return literal(vec![ip]);
        }
        let listed = self.files.open_hosts().map(|text| hosts::addresses(text, name)).unwrap_or_default();
        if !listed.is_empty() {
            self.kept.borrow_mut().remove(name);
            return Ok(Found { addresses: listed, source: Source::Hosts, missing: None, via: None });
        }
        if is_localhost(name) {
            return literal(vec![Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()]);
        }
        let walk = Walk::new(self.conf(), self.turn(), attempt);
        let steps = search::steps(name, &walk.conf);
        let found = walk.addresses(&steps, need).await;
        let (found, ttl) = found.map_err(|unfound| with_steps(unfound, &steps))?;
        let kept = Kept {
            until: Instant::now() + KEPT.min(Duration::from_secs(ttl.into())),
            addresses: found.addresses.clone(),
            complete: found.missing.is_none() && need == Need::Both,
            source: found.source.clone(),
            via: found.via.clone(),
        };
        if let Some(via) = found.via.as_ref().filter(|_| !walk.conf.use_vc) {
            self.answered.set(Some(via.server));
        }
        self.kept.borrow_mut().insert(name.to_owned(), kept);
        Ok(found)
    }

    /// The records of `rtype` that `name` has, under the search list, without the hosts file.
    pub(crate) async fn records(&self, name: &str, rtype: RecordType, attempt: &Attempt) -> Result<Records, Unfound> {
        let walk = Walk::new(self.conf(), self.turn(), attempt);
        let steps = search::steps(name, &walk.conf);
        walk.records(&steps, rtype).await.map_err(|unfound| with_steps(unfound, &steps))
    }

    /// The addresses that `server` gives for exactly `name`.
    pub(crate) async fn addresses_at(
        &self,
        servers: &[SocketAddr],
        name: &str,
        need: Need,
        attempt: &Attempt,
    ) -> Result<Found, Unfound> {
        let walk = Walk::new(at(servers), 0, attempt);
        let (found, _) = walk.addresses(&exactly(name), need).await?;
        Ok(found)
    }

    /// The records that `server` gives for exactly `name`.
    pub(crate) async fn records_at(
        &self,
        servers: &[SocketAddr],
        name: &str,
        rtype: RecordType,
        attempt: &Attempt,
    ) -> Result<Records, Unfound> {
        Walk::new(at(servers), 0, attempt).records(&exactly(name), rtype).await
    }

    /// How the addresses of `name` that are kept were found, for hints.
    pub(crate) fn found_by(&self, name: &str) -> Option<(String, Option<Via>)> {
        match self.kept.borrow().get(name)? {
            Kept { source: Source::Dns(full), via, .. } => Some((full.clone(), via.clone())),
            _ => None,
        }
    }

    /// The nameserver that gave the last answer over UDP.
    pub(crate) fn answered(&self) -> Option<SocketAddr> {
        self.answered.get()
    }

    /// What the hosts file says about this Pod.
    pub(crate) fn own(&self) -> &Own {
        self.own.get_or_init(|| {
            let hostname = rustix::system::uname();
            let hosts = self.files.open_hosts();
            hosts.map(|text| hosts::own(text, &hostname.nodename().to_string_lossy())).unwrap_or_default()
        })
    }

    /// resolv.conf as it is now.
    pub(crate) fn conf(&self) -> ResolvConf {
        let conf = ResolvConf::parse(self.files.read_resolv_conf().as_deref(), interface_index);
        let mut odd = self.odd.borrow_mut();
        if *odd == Odd::Nothing && !conf.oddities.is_empty() {
            let skipped = crate::text::printable(&conf.oddities.join(", "));
            *odd = Odd::Unsaid(format!("/etc/resolv.conf: skipped {skipped}"));
        }
        conf
    }

    /// What was skipped in resolv.conf, the first time that this is asked after it was seen.
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

fn with_steps(mut unfound: Unfound, steps: &[Step]) -> Unfound {
    unfound.steps = steps.iter().map(|step| step.name.clone()).collect();
    unfound
}

/// The name is its own search list.
fn exactly(name: &str) -> Vec<Step> {
    vec![Step { name: name.strip_suffix('.').unwrap_or(name).to_owned(), searched: false }]
}

/// The configuration that asks `servers` and nothing else.
fn at(servers: &[SocketAddr]) -> ResolvConf {
    let mut conf = ResolvConf::parse(Some(b""), |_| None);
    conf.nameservers = servers.to_vec();
    conf.origin = Origin::Stated;
    conf
}

/// RFC 6761 section 6.3: these are the loopback's, and no question for a nameserver.
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
        // A port that nothing listens on: a name that is asked for shows itself.
        fs::write(&files.resolv_conf, "nameserver 127.255.255.254\nsearch ns.svc.x\n").unwrap();
        Resolver::new(files)
    }

    fn attempt() -> Attempt {
        Attempt::new(Bounds { attempt: BOUND, connect: Duration::from_millis(50) }, false)
    }

    #[tokio::test]
    async fn what_needs_no_question() {
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
    async fn the_hosts_file_is_read_anew_and_wins_over_localhost() {
        let folder = tempfile::tempdir().unwrap();
        let resolver = resolver(folder.path(), "");
        assert!(resolver.find("db", Need::First, &attempt()).await.is_err());
        fs::write(folder.path().join("hosts"), "10.0.0.1 db\n10.0.0.2 localhost").unwrap();
        assert_eq!(resolver.find("db", Need::First, &attempt()).await.unwrap().addresses.len(), 1);
        assert_eq!(resolver.find("localhost", Need::First, &attempt()).await.unwrap().source, Source::Hosts);
        // No nameserver to say so: that a name is gone is then not known.
        assert!(resolver.find("web", Need::Both, &attempt()).await.unwrap_err().absent().is_err());
    }
}
