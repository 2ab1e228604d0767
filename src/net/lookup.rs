//! Names to addresses and records: hosts file, search list, nameservers, both families.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::future::Future;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::pin::pin;
use std::time::Duration;

use hickory_resolver::proto::rr::{Name, RData, RecordType};
use tokio::time::{self, Instant};

use super::conf::{Origin, ResolvConf, SystemFiles};
use super::dns::{self, Trouble};
use super::message::{Answer, Content, Question};
use super::search::{self, Then};
use super::stagger::staggered;
use super::unfound::{self, Miss};
use super::{hosts, search::Step};
use crate::reason::{Reason, Stage};
use crate::trail::Trail;

/// How long a nameserver may stay silent before the next one is asked, too.
const JOIN: Duration = Duration::from_millis(300);

/// How long the second family is waited for when the first has addresses (RFC 8305 section 3).
const GRACE: Duration = Duration::from_millis(50);

/// How long addresses are kept at most, whatever their TTL: a Service made anew is seen soon.
const KEPT: Duration = Duration::from_secs(5);

/// How much of an answer is needed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Need {
    /// The addresses of the first family that has some, and of the other if it is quick.
    First,
    /// What both families have.
    Both,
}

/// Addresses, and how they were found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// The addresses, each once; never empty.
    pub addresses: Vec<IpAddr>,
    /// Where they come from.
    pub source: Source,
    /// What went wrong with the other family, in words: there may be more addresses.
    pub missing: Option<String>,
}

/// Where addresses come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// The name is an address, or localhost: no query.
    Literal,
    /// The hosts file.
    Hosts,
    /// The DNS, under this full name.
    Dns(String),
}

/// Records of one type, and the full name that has them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Records {
    /// The full name.
    pub name: String,
    /// The records; never empty.
    pub records: Vec<RData>,
}

/// The one resolver of a run. Between attempts it keeps addresses for at most 5 s, and whose turn it
/// is under `options rotate`; the system's files are read anew for each walk, as glibc does.
pub struct Resolver {
    files: SystemFiles,
    kept: RefCell<HashMap<String, Kept>>,
    turn: Cell<usize>,
    warned: Cell<bool>,
}

struct Kept {
    until: Instant,
    addresses: Vec<IpAddr>,
    /// Whether both families have answered.
    complete: bool,
}

impl Resolver {
    /// A resolver over the system's files.
    #[must_use]
    pub fn new(files: SystemFiles) -> Self {
        Self { files, kept: RefCell::default(), turn: Cell::new(0), warned: Cell::new(false) }
    }

    /// Whether resolv.conf looks like a Pod's.
    #[must_use]
    pub fn in_cluster(&self) -> bool {
        self.conf().in_cluster()
    }

    /// The addresses of `name`, as the application would find them. They may be up to 5 s old, unless
    /// the trail asks for a fresh answer.
    pub async fn addresses(&self, name: &str, need: Need, trail: &Trail) -> Result<Vec<IpAddr>, Reason> {
        if !trail.fresh()
            && let Some(kept) = self.kept.borrow().get(name)
            && kept.until > Instant::now()
            && (kept.complete || need == Need::First)
        {
            return Ok(kept.addresses.clone());
        }
        self.find(name, need, trail).await.map(|found| found.addresses)
    }

    /// The same, never from the cache, and with where they come from.
    pub async fn find(&self, name: &str, need: Need, trail: &Trail) -> Result<Found, Reason> {
        self.look_up(name, need, trail).await.map_err(|unfound| unfound.reason)
    }

    /// That `name` has no address any more: no hosts entry, and NXDOMAIN or NODATA in both families for
    /// every full name asked. `Ok(Err(found))` is a name that is still there.
    pub async fn absent(&self, name: &str, trail: &Trail) -> Result<Result<String, Found>, Reason> {
        match self.look_up(name, Need::Both, trail).await {
            Ok(found) => Ok(Err(found)),
            Err(unfound) if unfound.certain => Ok(Ok(unfound.reason.text().to_owned())),
            Err(unfound) => Err(unfound.reason),
        }
    }

    /// The records of `rtype` that `name` has, under the search list, without the hosts file.
    pub async fn records(&self, name: &str, rtype: RecordType, trail: &Trail) -> Result<Records, Unfound> {
        let walk = Walk::new(self.conf(), self.turn(), trail);
        let steps = search::steps(name, &walk.conf);
        walk.records(&steps, rtype).await
    }

    /// The addresses that `server` gives for exactly `name`.
    pub async fn addresses_at(&self, servers: &[SocketAddr], name: &str, trail: &Trail) -> Result<Found, Unfound> {
        let walk = Walk::new(at(servers), 0, trail);
        let (found, _) = walk.addresses(&exactly(name), Need::Both).await?;
        Ok(found)
    }

    /// The records that `server` gives for exactly `name`.
    pub async fn records_at(
        &self,
        servers: &[SocketAddr],
        name: &str,
        rtype: RecordType,
        trail: &Trail,
    ) -> Result<Records, Unfound> {
        Walk::new(at(servers), 0, trail).records(&exactly(name), rtype).await
    }

    async fn look_up(&self, name: &str, need: Need, trail: &Trail) -> Result<Found, Unfound> {
        trail.enter(Stage::Resolve, name);
        let literal = |addresses| Ok(Found { addresses, source: Source::Literal, missing: None });
        if let Ok(ip) = name.parse() {
            return literal(vec![ip]);
        }
        let listed = self.files.read_hosts().map(|text| hosts::addresses(&text, name)).unwrap_or_default();
        if !listed.is_empty() {
            return Ok(Found { addresses: listed, source: Source::Hosts, missing: None });
        }
        if is_localhost(name) {
            return literal(vec![Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()]);
        }
        let walk = Walk::new(self.conf(), self.turn(), trail);
        let steps = search::steps(name, &walk.conf);
        let (found, ttl) = walk.addresses(&steps, need).await?;
        let complete = found.missing.is_none() && need == Need::Both;
        let kept = Kept {
            until: Instant::now() + KEPT.min(Duration::from_secs(ttl.into())),
            addresses: found.addresses.clone(),
            complete,
        };
        self.kept.borrow_mut().insert(name.to_owned(), kept);
        Ok(found)
    }

    fn conf(&self) -> ResolvConf {
        let conf = ResolvConf::parse(self.files.read_resolv_conf().as_deref(), interface_index);
        if !conf.oddities.is_empty() && !self.warned.replace(true) {
            let skipped = crate::reason::printable(&conf.oddities.join(", "));
            tracing::warn!("resolv.conf: skipped {skipped}");
        }
        conf
    }

    fn turn(&self) -> usize {
        self.turn.replace(self.turn.get().wrapping_add(1))
    }
}

/// Why a name was not found.
#[derive(Debug)]
pub struct Unfound {
    /// In words.
    pub reason: Reason,
    /// Every name asked was denied by a usable answer, in every family.
    pub certain: bool,
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

/// The name as a question has it; `None` where it is too long.
fn full(name: &str) -> Option<Name> {
    Name::from_labels(name.split('.').filter(|label| !label.is_empty()).map(str::as_bytes)).ok()
}

/// One walk: its nameservers, and which of them answered last.
struct Walk<'a> {
    conf: ResolvConf,
    trail: &'a Trail,
    /// The nameserver that a question begins with.
    first: Cell<usize>,
}

impl<'a> Walk<'a> {
    fn new(conf: ResolvConf, turn: usize, trail: &'a Trail) -> Self {
        let first = if conf.rotate { turn % conf.nameservers.len().max(1) } else { 0 };
        Self { conf, trail, first: Cell::new(first) }
    }

    fn unfound(&self, got: &[(String, Miss)], what: &str) -> Unfound {
        let reason = unfound::reason(got, what, self.conf.origin, self.trail.connect_timeout());
        let certain =
            got.iter().all(|(_, miss)| matches!(miss, Miss::NoName { doubt: false, .. } | Miss::NoData { .. }));
        Unfound { reason, certain }
    }

    /// The addresses of the first step that has some, and the seconds for which they hold.
    async fn addresses(&self, steps: &[Step], need: Need) -> Result<(Found, u32), Unfound> {
        let found = search::walk(steps, async |name| self.both_families(name, need).await).await;
        let (_, found) = found.map_err(|got| self.unfound(&got, "address"))?;
        Ok(found)
    }

    /// The records of the first step that has some.
    async fn records(&self, steps: &[Step], rtype: RecordType) -> Result<Records, Unfound> {
        let ask = async |name: &str| {
            self.one_type(name, rtype).await.map_err(|miss| {
                let then = miss.then();
                (miss, then)
            })
        };
        match search::walk(steps, ask).await {
            Ok((name, (records, _))) => Ok(Records { name, records }),
            Err(got) => Err(self.unfound(&got, &format!("{rtype} record"))),
        }
    }

    async fn both_families(&self, name: &str, need: Need) -> Result<(Found, u32), (Miss, Then)> {
        let v4 = self.one_type(name, RecordType::A);
        let v6 = async {
            // `options no-aaaa` answers for the nameserver (resolv/res_send.c).
            if self.conf.no_aaaa {
                return Err(Miss::NoData { ttl: None, alias: None });
            }
            self.one_type(name, RecordType::AAAA).await
        };
        let (v4, v6) = families(v4, v6, need).await;
        let (v4, v6) = match (v4, v6) {
            (Some(Err(v4)), Some(Err(v6))) => return Err(Miss::of_both(v4, v6)),
            either => either,
        };
        let bound = self.trail.connect_timeout();
        let (mut addresses, mut ttl, mut missing) = (Vec::new(), u32::MAX, None);
        for (family, outcome) in [("the IPv4 addresses", v4), ("the IPv6 addresses", v6)] {
            match outcome {
                Some(Ok((records, its_ttl))) => {
                    ttl = ttl.min(its_ttl);
                    addresses.extend(records.iter().filter_map(RData::ip_addr));
                }
                Some(Err(Miss::Trouble(each))) => missing = Some(unfound::beside(&each, name, family, bound)),
                Some(Err(_)) | None => {}
            }
        }
        Ok((Found { addresses, source: Source::Dns(name.to_owned()), missing }, ttl))
    }

    /// The records of one type that exactly `name` has, aliases followed, and for how many seconds they hold.
    async fn one_type(&self, name: &str, rtype: RecordType) -> Result<(Vec<RData>, u32), Miss> {
        let unaskable = || Miss::Trouble(vec![(self.conf.nameservers[0], Trouble::Unaskable)]);
        let mut question = Question { name: full(name).ok_or_else(unaskable)?, rtype };
        let original = question.name.clone();
        let alias = |end: &Name| (*end != original).then(|| shown(end));
        let mut seen = Vec::new();
        let mut ttl = u32::MAX;
        loop {
            let (server, answer) = self.ask(&question, name).await.map_err(Miss::Trouble)?;
            let denial = answer.denial_ttl();
            match answer.content(&question, &mut seen) {
                Content::Records(records, its_ttl) => return Ok((records, ttl.min(its_ttl))),
                Content::NoName(end) => return Err(Miss::NoName { ttl: denial, alias: alias(&end), doubt: false }),
                Content::NoData(end) => return Err(Miss::NoData { ttl: denial, alias: alias(&end) }),
                Content::Alias(target) => {
                    question.name = target;
                    ttl = 0;
                }
                Content::Loop => {
                    let chain = seen.iter().map(shown).collect();
                    return Err(Miss::Trouble(vec![(server, Trouble::Loop(chain))]));
                }
            }
        }
    }

    /// Puts one question to the nameservers, in order, within the bound on a question.
    async fn ask(&self, question: &Question, name: &str) -> Result<(SocketAddr, Answer), Vec<(SocketAddr, Trouble)>> {
        let count = self.conf.nameservers.len();
        let bound = self.trail.connect_timeout();
        let until = Instant::now() + bound;
        // However short the bound, every nameserver gets its share of it.
        let apart = JOIN.min(bound / u32::try_from(count).unwrap_or(1).max(1));
        let order: Vec<usize> = (0..count).map(|at| (self.first.get() + at) % count).collect();
        let pending = RefCell::new(Vec::new());
        let attempt = async |at: usize| {
            let server = self.conf.nameservers[at];
            pending.borrow_mut().push(server);
            self.wait_for(&pending.borrow(), name);
            let answer = dns::ask(server, question, self.conf.use_vc, until).await;
            pending.borrow_mut().retain(|other| *other != server);
            answer
        };
        match staggered(&order, apart, attempt).await {
            Ok((at, answer)) => {
                // The rest of the walk begins with one that answers; the next attempt tries them in order again,
                // for a later nameserver need not know every name.
                self.first.set(at);
                Ok((self.conf.nameservers[at], answer))
            }
            Err(failed) => Err(failed.into_iter().map(|(at, trouble)| (self.conf.nameservers[at], trouble)).collect()),
        }
    }

    fn wait_for(&self, servers: &[SocketAddr], name: &str) {
        let names: Vec<String> = servers.iter().map(|server| unfound::server(*server)).collect();
        let word = if names.len() == 1 { "nameserver" } else { "nameservers" };
        self.trail.enter(Stage::Resolve, format_args!("{word} {}, asked for {name}", names.join(" and ")));
    }
}

/// A name out of an answer, as a person writes it.
fn shown(name: &Name) -> String {
    let text = name.to_ascii();
    match text.strip_suffix('.') {
        Some(bare) if !bare.is_empty() => bare.to_owned(),
        _ => text,
    }
}

/// Waits for both families, or with [`Need::First`] no more than 50 ms for the second once the first is there.
async fn families<T, E>(
    v4: impl Future<Output = Result<T, E>>,
    v6: impl Future<Output = Result<T, E>>,
    need: Need,
) -> (Option<Result<T, E>>, Option<Result<T, E>>) {
    let (mut v4, mut v6) = (pin!(v4), pin!(v6));
    // Never more than the grace once one is there and enough; for ever else.
    let enough = |first: &Result<T, E>| need == Need::First && first.is_ok();
    tokio::select! {
        biased;
        first = &mut v4 => {
            let second = if enough(&first) { time::timeout(GRACE, v6).await.ok() } else { Some(v6.await) };
            (Some(first), second)
        }
        first = &mut v6 => {
            let second = if enough(&first) { time::timeout(GRACE, v4).await.ok() } else { Some(v4.await) };
            (second, Some(first))
        }
    }
}
