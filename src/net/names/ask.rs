//! One walk through the search list: it asks the nameservers in turn for both families, and follows aliases.

use std::cell::{Cell, RefCell};
use std::future::Future;
use std::net::SocketAddr;
use std::pin::pin;
use std::time::Duration;

use hickory_resolver::proto::rr::{Name, RData, RecordType};
use tokio::time::{self, Instant};

use super::answer::{AllServers, Found, LookupError, Need, NoAnswer, NotFound, Records, Source, Then, Via};
use super::explain;
use super::message::{Answer, Content, Question};
use super::query;
use super::resolv_conf::ResolvConf;
use super::search::{self, Step};
use crate::attempt::Attempt;
use crate::net::race::staggered;
use crate::net::refusals::Refusals;
use crate::reason::Stage;

/// How long a nameserver may stay silent before the next one is asked too.
const NEXT_SERVER_AFTER: Duration = Duration::from_millis(300);

/// How long the walk waits for the second family when the first has addresses (RFC 8305 section 3).
const SECOND_FAMILY_MAX: Duration = Duration::from_millis(50);

/// The records of one type that one name has.
struct RrSet {
    records: Vec<RData>,
    /// For how many seconds they may be cached.
    ttl: u32,
    owner: Name,
    server: SocketAddr,
}

/// The name in the form of a question; `None` if it is too long.
fn full(name: &str) -> Option<Name> {
    Name::from_labels(name.split('.').filter(|label| !label.is_empty()).map(str::as_bytes)).ok()
}

/// One walk: its nameservers, and the one that the next question begins with.
pub(crate) struct Walk<'a> {
    pub(crate) conf: ResolvConf,
    attempt: &'a Attempt,
    /// The nameserver that a question begins with.
    first: Cell<usize>,
    /// Which nameservers have refused in this run.
    refusals: Option<&'a Refusals>,
}

impl<'a> Walk<'a> {
    /// A walk that begins with the first nameserver, or under `options rotate` with the one whose turn it is.
    pub(crate) fn new(conf: ResolvConf, turn: usize, attempt: &'a Attempt) -> Self {
        let first = if conf.rotate { turn % conf.nameservers.len().max(1) } else { 0 };
        Self { conf, attempt, first: Cell::new(first), refusals: None }
    }

    /// The same, where the silence of a nameserver that refused earlier is still a refusal: a node limits these.
    pub(crate) fn heeding(mut self, refusals: &'a Refusals) -> Self {
        self.refusals = Some(refusals);
        self
    }

    fn unfound(&self, got: &[(String, NotFound)], what: &str) -> LookupError {
        let told = explain::Told {
            what,
            origin: self.conf.origin,
            bound: self.attempt.connect_timeout(),
            cluster: self.conf.cluster_domain(),
        };
        let all = |what: &NoAnswer| {
            got.iter().all(|(_, not_found)| match not_found {
                NotFound::Failed(each) => each.iter().all(|(_, no_answer)| no_answer == what),
                _ => false,
            })
        };
        let all_servers = match (all(&NoAnswer::Refused), all(&NoAnswer::Silent)) {
            (true, false) => Some(AllServers::Refused),
            (false, true) => Some(AllServers::Silent),
            _ => None,
        };
        LookupError {
            reason: explain::reason(got, &told),
            uncertain: explain::uncertain(got, &told).map(Box::new),
            all_servers,
            aliased: got.iter().any(|(_, not_found)| not_found.alias().is_some()),
            steps: Vec::new(),
        }
    }

    /// The addresses of the first step that has some, and the seconds for which they may be cached.
    pub(crate) async fn addresses(&self, steps: &[Step], need: Need) -> Result<(Found, u32), LookupError> {
        let uncertain = Cell::new(false);
        let ask = async |name: &str| {
            let outcome = self.both_families(name, need).await;
            if let Err((NotFound::Failed(_), _)) = &outcome {
                uncertain.set(true);
            }
            outcome
        };
        let found = search::walk(steps, ask).await;
        let (_, (mut found, ttl)) = found.map_err(|got| self.unfound(&got, "address"))?;
        if let Some(via) = &mut found.via {
            via.uncertain = uncertain.get();
        }
        Ok((found, ttl))
    }

    /// The records of the first step that has some.
    pub(crate) async fn records(&self, steps: &[Step], rtype: RecordType) -> Result<Records, LookupError> {
        let ask = async |name: &str| {
            self.one_type(name, rtype).await.map_err(|not_found| {
                let then = not_found.then();
                (not_found, then)
            })
        };
        match search::walk(steps, ask).await {
            Ok((name, set)) => Ok(Records { name, records: set.records }),
            Err(got) => Err(self.unfound(&got, &format!("{rtype} record"))),
        }
    }

    async fn both_families(&self, name: &str, need: Need) -> Result<(Found, u32), (NotFound, Then)> {
        let v4 = self.one_type(name, RecordType::A);
        let v6 = async {
            // With `options no-aaaa` the resolver itself answers that there is no data (resolv/res_send.c).
            if self.conf.no_aaaa {
                return Err(NotFound::NoData { ttl: None, alias: None });
            }
            self.one_type(name, RecordType::AAAA).await
        };
        let (v4, v6) = families(v4, v6, need).await;
        let (v4, v6) = match (v4, v6) {
            (Some(Err(v4)), Some(Err(v6))) => return Err(NotFound::of_both(v4, v6)),
            either => either,
        };
        let bound = self.attempt.connect_timeout();
        let (mut addresses, mut ttl, mut missing, mut via) = (Vec::new(), u32::MAX, None, None);
        for (family, outcome) in [("the IPv4 addresses", v4), ("the IPv6 addresses", v6)] {
            match outcome {
                Some(Ok(set)) => {
                    ttl = ttl.min(set.ttl);
                    addresses.extend(set.records.iter().filter_map(RData::ip_addr));
                    via = Some(Via { owner: shown(&set.owner), server: set.server, uncertain: false });
                }
                Some(Err(NotFound::Failed(each))) => missing = Some(explain::other_family(&each, name, family, bound)),
                Some(Err(_)) | None => {}
            }
        }
        Ok((Found { addresses, source: Source::Dns(name.to_owned()), missing, via }, ttl))
    }

    /// The records of one type of exactly `name`. Aliases are followed.
    async fn one_type(&self, name: &str, rtype: RecordType) -> Result<RrSet, NotFound> {
        let unaskable = || NotFound::Failed(vec![(self.conf.nameservers[0], NoAnswer::Unaskable)]);
        let mut question = Question { name: full(name).ok_or_else(unaskable)?, rtype };
        let original = question.name.clone();
        let alias = |end: &Name| (*end != original).then(|| self.attempt.quote(shown(end), usize::MAX));
        let mut seen = Vec::new();
        let mut ttl = u32::MAX;
        loop {
            let (server, answer) = self.ask(&question, name).await.map_err(NotFound::Failed)?;
            let denial = answer.denial_ttl();
            match answer.content(&question, &mut seen) {
                Content::Records(records, its_ttl, owner) => {
                    return Ok(RrSet { records, ttl: ttl.min(its_ttl), owner, server });
                }
                Content::NoName(end) => {
                    return Err(NotFound::NoName { ttl: denial, alias: alias(&end), failures: Vec::new() });
                }
                Content::NoData(end) => return Err(NotFound::NoData { ttl: denial, alias: alias(&end) }),
                Content::Alias(target) => {
                    question.name = target;
                    ttl = 0;
                }
                Content::Loop => {
                    let chain = seen.iter().map(|name| self.attempt.quote(shown(name), usize::MAX)).collect();
                    return Err(NotFound::Failed(vec![(server, NoAnswer::Loop(chain))]));
                }
            }
        }
    }

    /// Asks the nameservers one question, in order, within the connect timeout.
    async fn ask(&self, question: &Question, name: &str) -> Result<(SocketAddr, Answer), Vec<(SocketAddr, NoAnswer)>> {
        let count = self.conf.nameservers.len();
        let bound = self.attempt.connect_timeout();
        let until = Instant::now() + bound;
        // With a short bound, the wait is shorter, so that every nameserver is asked.
        let apart = NEXT_SERVER_AFTER.min(bound / u32::try_from(count).unwrap_or(1).max(1));
        let order: Vec<usize> = (0..count).map(|at| (self.first.get() + at) % count).collect();
        let pending = RefCell::new(Vec::new());
        let attempt = async |at: usize| {
            let server = self.conf.nameservers[at];
            pending.borrow_mut().push(server);
            self.wait_for(&pending.borrow(), name);
            let answer = query::ask(server, question, self.conf.use_vc, until).await;
            let answer = self.heed(server, answer);
            pending.borrow_mut().retain(|other| *other != server);
            answer
        };
        match staggered(&order, apart, attempt).await {
            Ok((at, answer)) => {
                // The rest of this walk begins with the server that answered. The next attempt begins with the first
                // server again: a later one may not know every name.
                self.first.set(at);
                Ok((self.conf.nameservers[at], answer))
            }
            Err(failed) => {
                Err(failed.into_iter().map(|(at, no_answer)| (self.conf.nameservers[at], no_answer)).collect())
            }
        }
    }

    /// Remembers whether `server` refused, and takes its silence for a refusal if it refused earlier.
    fn heed<T>(&self, server: SocketAddr, answer: Result<T, NoAnswer>) -> Result<T, NoAnswer> {
        let Some(refusals) = self.refusals else { return answer };
        match &answer {
            Err(NoAnswer::Refused) => refusals.add(server),
            Err(NoAnswer::Silent) if refusals.explain(server) => return Err(NoAnswer::Refused),
            Err(_) => {}
            Ok(_) => refusals.forget(server),
        }
        answer
    }

    fn wait_for(&self, servers: &[SocketAddr], name: &str) {
        let names: Vec<String> = servers.iter().map(|server| explain::server(*server)).collect();
        let word = if names.len() == 1 { "nameserver" } else { "nameservers" };
        self.attempt.enter(Stage::Resolve, format_args!("{word} {}, asked for {name}", names.join(" and ")));
    }
}

/// A name from an answer, without the trailing dot.
fn shown(name: &Name) -> String {
    let text = name.to_ascii();
    match text.strip_suffix('.') {
        Some(bare) if !bare.is_empty() => bare.to_owned(),
        _ => text,
    }
}

/// Waits for both families. With [`Need::First`], it waits at most 50 ms for the second once the first has addresses.
async fn families<T, E>(
    v4: impl Future<Output = Result<T, E>>,
    v6: impl Future<Output = Result<T, E>>,
    need: Need,
) -> (Option<Result<T, E>>, Option<Result<T, E>>) {
    let (mut v4, mut v6) = (pin!(v4), pin!(v6));
    let enough = |first: &Result<T, E>| need == Need::First && first.is_ok();
    tokio::select! {
        biased;
        first = &mut v4 => {
            let second = if enough(&first) { time::timeout(SECOND_FAMILY_MAX, v6).await.ok() } else { Some(v6.await) };
            (Some(first), second)
        }
        first = &mut v6 => {
            let second = if enough(&first) { time::timeout(SECOND_FAMILY_MAX, v4).await.ok() } else { Some(v4.await) };
            (second, Some(first))
        }
    }
}

#[cfg(test)]
mod tests;
