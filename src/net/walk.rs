//! One walk through the search list: its questions, the nameservers' turns, both families, aliases.

use std::cell::{Cell, RefCell};
use std::future::Future;
use std::net::{IpAddr, SocketAddr};
use std::pin::pin;
use std::time::Duration;

use hickory_resolver::proto::rr::{Name, RData, RecordType};
use tokio::time::{self, Instant};

use super::conf::ResolvConf;
use super::dns::{self, Trouble};
use super::message::{Answer, Content, Question};
use super::search::{self, Step, Then};
use super::stagger::staggered;
use super::unfound::{self, Miss};
use crate::reason::{Reason, Stage};
use crate::trail::Trail;

/// How long a nameserver may stay silent before the next one is asked, too.
const JOIN: Duration = Duration::from_millis(300);

/// How long the second family is waited for when the first has addresses (RFC 8305 section 3).
const GRACE: Duration = Duration::from_millis(50);

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

/// Why a name was not found.
#[derive(Debug)]
pub struct Unfound {
    /// In words.
    pub reason: Reason,
    /// Where not every name asked was denied by a usable answer in every family: why.
    pub doubt: Option<Reason>,
}

impl Unfound {
    /// What was denied, where that is beyond doubt.
    pub fn absent(self) -> Result<String, Reason> {
        match self.doubt {
            None => Ok(self.reason.text().to_owned()),
            Some(doubt) => Err(doubt),
        }
    }
}

impl From<Unfound> for Reason {
    fn from(unfound: Unfound) -> Self {
        unfound.reason
    }
}

/// The name as a question has it; `None` where it is too long.
fn full(name: &str) -> Option<Name> {
    Name::from_labels(name.split('.').filter(|label| !label.is_empty()).map(str::as_bytes)).ok()
}

/// One walk: its nameservers, and which of them answered last.
pub struct Walk<'a> {
    /// What resolv.conf says.
    pub conf: ResolvConf,
    trail: &'a Trail,
    /// The nameserver that a question begins with.
    first: Cell<usize>,
}

impl<'a> Walk<'a> {
    /// A walk that begins with the nameserver whose turn it is under `options rotate`, or the first.
    #[must_use]
    pub fn new(conf: ResolvConf, turn: usize, trail: &'a Trail) -> Self {
        let first = if conf.rotate { turn % conf.nameservers.len().max(1) } else { 0 };
        Self { conf, trail, first: Cell::new(first) }
    }

    fn unfound(&self, got: &[(String, Miss)], what: &str) -> Unfound {
        let (origin, bound) = (self.conf.origin, self.trail.connect_timeout());
        Unfound { reason: unfound::reason(got, what, origin, bound), doubt: unfound::doubt(got, what, origin, bound) }
    }

    /// The addresses of the first step that has some, and the seconds for which they hold.
    pub async fn addresses(&self, steps: &[Step], need: Need) -> Result<(Found, u32), Unfound> {
        let found = search::walk(steps, async |name| self.both_families(name, need).await).await;
        let (_, found) = found.map_err(|got| self.unfound(&got, "address"))?;
        Ok(found)
    }

    /// The records of the first step that has some.
    pub async fn records(&self, steps: &[Step], rtype: RecordType) -> Result<Records, Unfound> {
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
                Content::NoName(end) => {
                    return Err(Miss::NoName { ttl: denial, alias: alias(&end), doubt: Vec::new() });
                }
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::scripted::{BOUND, Server};
    use crate::reason::Code;
    use crate::trail::Bounds;
    use hickory_resolver::proto::op::ResponseCode;

    const POD: &str = "search ns.svc svc\noptions ndots:5\n";

    struct Case {
        conf: ResolvConf,
        trail: Trail,
    }

    fn case(conf: &str, servers: &[&Server]) -> Case {
        let mut conf = ResolvConf::parse(Some(conf.as_bytes()), |_| None);
        conf.nameservers = servers.iter().map(|server| server.address).collect();
        conf.origin = crate::net::conf::Origin::Stated;
        let bounds = Bounds { attempt: BOUND, connect: BOUND };
        Case { conf, trail: Trail::new(bounds, false) }
    }

    impl Case {
        fn bounded(mut self, millis: u64) -> Self {
            let bounds = Bounds { attempt: BOUND, connect: Duration::from_millis(millis) };
            self.trail = Trail::new(bounds, false);
            self
        }

        async fn find(&self, name: &str) -> Result<String, Unfound> {
            let walk = Walk::new(self.conf.clone(), 0, &self.trail);
            let (found, _) = walk.addresses(&search::steps(name, &self.conf), Need::Both).await?;
            let mut ips: Vec<String> = found.addresses.iter().map(ToString::to_string).collect();
            ips.sort();
            ips.extend(found.missing);
            Ok(ips.join(" "))
        }

        async fn reason(&self, name: &str) -> Reason {
            self.find(name).await.unwrap_err().reason
        }
    }

    #[tokio::test]
    async fn a_short_name_costs_one_question_a_family() {
        let server = Server::zone("db.ns.svc A 10.0.0.1\ndb.ns.svc AAAA fd00::1");
        assert_eq!(case(POD, &[&server]).find("db").await.unwrap(), "10.0.0.1 fd00::1");
        let mut asked = server.asked();
        asked.sort();
        assert_eq!(asked, ["db.ns.svc A", "db.ns.svc AAAA"]);
    }

    #[tokio::test]
    async fn a_missing_name_says_what_was_asked() {
        let server = Server::zone("");
        let unfound = case(POD, &[&server]).find("db").await.unwrap_err();
        assert!(unfound.doubt.is_none());
        assert_eq!(
            unfound.reason.text(),
            "no such name: db.ns.svc, db.svc and db do not exist (NXDOMAIN); a denial may be cached for up to 30s"
        );
        assert_eq!(server.asked().len(), 6);
    }

    #[tokio::test]
    async fn a_failure_is_followed_by_the_next_nameserver() {
        for code in [ResponseCode::ServFail, ResponseCode::Refused, ResponseCode::NotImp] {
            let bad = Server::new(move |asked| vec![asked.code(code)]);
            let good = Server::zone("db.ns.svc A 10.0.0.1");
            assert_eq!(case(POD, &[&bad, &good]).find("db").await.unwrap(), "10.0.0.1");
        }
    }

    #[tokio::test]
    async fn the_walk_stays_with_the_one_that_answers() {
        let (silent, good) = (Server::silent(), Server::zone("db A 10.0.0.1"));
        let started = Instant::now();
        assert_eq!(case(POD, &[&silent, &good]).find("db").await.unwrap(), "10.0.0.1");
        assert!(started.elapsed() < Duration::from_millis(400), "{:?}", started.elapsed());
        assert_eq!((silent.asked().len(), good.asked().len()), (2, 6));
    }

    #[tokio::test]
    async fn a_servfail_is_remembered_and_the_walk_goes_on() {
        let server = Server::new(|asked| {
            vec![match asked.name.as_str() {
                "db.ns.svc" => asked.code(ResponseCode::ServFail),
                "web.svc" if asked.rtype == RecordType::A => asked.answer("web.svc A 10.0.0.1"),
                _ => asked.denial(ResponseCode::NXDomain, 0),
            }]
        });
        let case = case(POD, &[&server]);
        assert_eq!(case.find("web").await.unwrap(), "10.0.0.1");
        let unfound = case.find("db").await.unwrap_err();
        assert!(unfound.doubt.is_some());
        let port = server.address;
        assert_eq!(
            unfound.reason.text(),
            format!("nameserver {port} answered SERVFAIL for db.ns.svc; db.svc and db do not exist (NXDOMAIN)")
        );
    }

    #[tokio::test]
    async fn silence_ends_the_search_list_and_the_name_is_still_asked_as_it_stands() {
        let server = Server::new(|asked| match (asked.name.as_str(), asked.rtype) {
            ("db.ns.svc", _) => vec![],
            ("db", RecordType::A) => vec![asked.answer("db A 10.0.0.1")],
            _ => vec![asked.denial(ResponseCode::NoError, 0)],
        });
        let case = case(POD, &[&server]).bounded(150);
        assert_eq!(case.find("db").await.unwrap(), "10.0.0.1");
        assert!(!server.asked().iter().any(|asked| asked.starts_with("db.svc ")));
        let silent = Server::silent();
        let case = self::case(POD, &[&silent]).bounded(150);
        let reason = case.reason("db").await;
        assert_eq!(reason.code(), Code::ResolveTimeout);
        assert_eq!(
            case.trail.cut_off().text().split(" within").next(),
            Some(&*format!("no answer from nameserver {}, asked for db", silent.address))
        );
    }

    #[tokio::test]
    async fn nobody_to_ask_ends_the_walk() {
        let gone = Server::zone("");
        let closed = std::net::UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let mut case = case(POD, &[&gone]);
        case.conf.nameservers = vec![closed];
        let reason = case.reason("db").await;
        assert_eq!(reason.code(), Code::ResolveUnreachable);
        assert!(reason.text().starts_with("refused by nameserver"), "{}", reason.text());
    }

    #[tokio::test]
    async fn one_family_in_trouble_does_not_hide_the_other() {
        let server = Server::new(|asked| match asked.rtype {
            RecordType::A => vec![asked.answer("db A 10.0.0.1")],
            _ => vec![asked.code(ResponseCode::ServFail)],
        });
        let found = case("", &[&server]).find("db").await.unwrap();
        assert!(found.starts_with("10.0.0.1 nameserver") && found.ends_with("SERVFAIL for the IPv6 addresses of db"));
    }

    #[tokio::test]
    async fn aliases_are_followed_across_answers() {
        let zone =
            "db CNAME a.x.\na.x CNAME b.y.\nb.y A 10.0.0.1\nb.y AAAA fd00::1\ncircle CNAME circle.\nnone CNAME b.z.";
        let server = Server::zone(zone);
        let case = case("", &[&server]);
        assert_eq!(case.find("db").await.unwrap(), "10.0.0.1 fd00::1");
        let circle = case.reason("circle").await;
        assert_eq!(circle.code(), Code::ResolveTrouble);
        assert!(circle.text().ends_with("circle → circle"), "{}", circle.text());
        let none = case.reason("none").await;
        assert!(
            none.text().starts_with("no such name: none is an alias of b.z, which does not exist"),
            "{}",
            none.text()
        );
    }

    #[tokio::test]
    async fn records_of_a_type() {
        let server =
            Server::zone("_http._tcp.web.ns.svc SRV 0 5 80 web-0.web.\nweb.ns.svc A 10.0.0.1\nm CNAME n.\nn MX 5 x.");
        let case = case(POD, &[&server]);
        let walk = Walk::new(case.conf.clone(), 0, &case.trail);
        let steps = |name| search::steps(name, &case.conf);
        let srv = walk.records(&steps("_http._tcp.web"), RecordType::SRV).await.unwrap();
        assert_eq!((srv.name.as_str(), srv.records.len()), ("_http._tcp.web.ns.svc", 1));
        assert_eq!(walk.records(&steps("m"), RecordType::MX).await.unwrap().records.len(), 1);
        assert_eq!(walk.records(&steps("m"), RecordType::CNAME).await.unwrap().records.len(), 1);
        let none = walk.records(&steps("web"), RecordType::TXT).await.unwrap_err().reason;
        assert!(none.text().starts_with("web.ns.svc exists and has no TXT record (NODATA); "), "{}", none.text());
    }

    #[tokio::test]
    async fn options_are_honoured() {
        let server = Server::zone("db A 10.0.0.1");
        assert_eq!(case("options use-vc no-aaaa\n", &[&server]).find("db").await.unwrap(), "10.0.0.1");
        let log = server.log();
        assert!(log.len() == 1 && log[0].tcp && log[0].rtype == RecordType::A);
        let (one, two) = (Server::zone("db A 10.0.0.1"), Server::zone("db A 10.0.0.1"));
        let case = case("options rotate no-aaaa\n", &[&one, &two]);
        for turn in 0..2 {
            let walk = Walk::new(case.conf.clone(), turn, &case.trail);
            walk.addresses(&search::steps("db", &case.conf), Need::Both).await.unwrap();
        }
        assert_eq!((one.asked().len(), two.asked().len()), (1, 1));
    }

    async fn after(millis: u64, outcome: Result<u64, u64>) -> Result<u64, u64> {
        time::sleep(Duration::from_millis(millis)).await;
        outcome
    }

    #[tokio::test(start_paused = true)]
    async fn the_second_family_has_50_ms_once_the_first_is_there() {
        for (v4, v6, need, took, both) in [
            ((10, Ok(1)), (900, Ok(2)), Need::First, 60, false),
            ((900, Ok(1)), (10, Ok(2)), Need::First, 60, false),
            ((10, Ok(1)), (40, Ok(2)), Need::First, 40, true),
            ((10, Ok(1)), (900, Ok(2)), Need::Both, 900, true),
            // A denial is nothing to be content with.
            ((10, Err(1)), (900, Ok(2)), Need::First, 900, true),
            ((900, Err(1)), (10, Err(2)), Need::First, 900, true),
        ] {
            let started = Instant::now();
            let (one, other) = families(after(v4.0, v4.1), after(v6.0, v6.1), need).await;
            assert_eq!(started.elapsed().as_millis(), took);
            assert_eq!(one.is_some() && other.is_some(), both);
        }
    }
}
