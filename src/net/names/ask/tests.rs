use super::*;
use crate::attempt::Bounds;
use crate::net::names::scripted_server::{BOUND, Server};
use crate::reason::Code;
use crate::reason::Reason;
use hickory_resolver::proto::op::ResponseCode;

const POD: &str = "search ns.svc svc\noptions ndots:5\n";

struct Case {
    conf: ResolvConf,
    attempt: Attempt,
}

fn case(conf: &str, servers: &[&Server]) -> Case {
    let mut conf = ResolvConf::parse(Some(conf.as_bytes()), |_| None);
    conf.nameservers = servers.iter().map(|server| server.address).collect();
    conf.origin = crate::net::names::resolv_conf::Origin::Stated;
    let bounds = Bounds { attempt: BOUND, connect: BOUND };
    Case { conf, attempt: Attempt::new(bounds, false) }
}

impl Case {
    fn bounded(mut self, millis: u64) -> Self {
        let bounds = Bounds { attempt: BOUND, connect: Duration::from_millis(millis) };
        self.attempt = Attempt::new(bounds, false);
        self
    }

    async fn find(&self, name: &str) -> Result<String, LookupError> {
        let walk = Walk::new(self.conf.clone(), 0, &self.attempt);
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
async fn a_short_name_costs_one_question_for_each_family() {
    let server = Server::zone("db.ns.svc A 10.0.0.1\ndb.ns.svc AAAA fd00::1");
    assert_eq!(case(POD, &[&server]).find("db").await.unwrap(), "10.0.0.1 fd00::1");
    let mut asked = server.asked();
    asked.sort();
    assert_eq!(asked, ["db.ns.svc A", "db.ns.svc AAAA"]);
}

#[tokio::test]
async fn the_reason_lists_the_names_that_were_asked() {
    let server = Server::zone("");
    let unfound = case(POD, &[&server]).find("db").await.unwrap_err();
    assert!(unfound.uncertain.is_none());
    assert_eq!(
        unfound.reason.text(),
        "no such name: db.ns.svc, db.svc and db do not exist (NXDOMAIN) (caches may go on denying it for up to 30s)"
    );
    assert_eq!(server.asked().len(), 6);
}

#[tokio::test]
async fn after_a_failure_the_next_nameserver_is_asked() {
    for code in [ResponseCode::ServFail, ResponseCode::Refused, ResponseCode::NotImp] {
        let bad = Server::new(move |asked| vec![asked.code(code)]);
        let good = Server::zone("db.ns.svc A 10.0.0.1");
        assert_eq!(case(POD, &[&bad, &good]).find("db").await.unwrap(), "10.0.0.1");
    }
}

#[tokio::test]
async fn the_walk_goes_on_with_the_nameserver_that_answered() {
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
    assert!(unfound.uncertain.is_some());
    let port = server.address;
    assert_eq!(
        unfound.reason.text(),
        format!("nameserver {port} answered SERVFAIL for db.ns.svc; db.svc and db do not exist (NXDOMAIN)")
    );
}

#[tokio::test]
async fn silence_ends_the_search_list_and_the_name_as_given_is_still_asked() {
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
        case.attempt.cut_off().text().split(" within").next(),
        Some(&*format!("no answer from nameserver {}, asked for db", silent.address))
    );
}

#[tokio::test]
async fn the_walk_ends_if_every_nameserver_refuses() {
    let gone = Server::zone("");
    let closed = std::net::UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let mut case = case(POD, &[&gone]);
    case.conf.nameservers = vec![closed];
    let reason = case.reason("db").await;
    assert_eq!(reason.code(), Code::ResolveUnreachable);
    assert!(reason.text().starts_with("refused by nameserver"), "{}", reason.text());
}

#[tokio::test]
async fn a_failed_family_does_not_hide_the_other() {
    let server = Server::new(|asked| match asked.rtype {
        RecordType::A => vec![asked.answer("db A 10.0.0.1")],
        _ => vec![asked.code(ResponseCode::ServFail)],
    });
    let found = case("", &[&server]).find("db").await.unwrap();
    assert!(found.starts_with("10.0.0.1 nameserver") && found.ends_with("SERVFAIL for the IPv6 addresses of db"));
}

#[tokio::test]
async fn aliases_are_followed_across_answers() {
    let zone = "db CNAME a.x.\na.x CNAME b.y.\nb.y A 10.0.0.1\nb.y AAAA fd00::1\ncircle CNAME circle.\nnone CNAME b.z.";
    let server = Server::zone(zone);
    let case = case("", &[&server]);
    assert_eq!(case.find("db").await.unwrap(), "10.0.0.1 fd00::1");
    let circle = case.reason("circle").await;
    assert_eq!(circle.code(), Code::ResolveTrouble);
    assert!(circle.text().ends_with("circle → circle"), "{}", circle.text());
    let none = case.reason("none").await;
    assert!(none.text().starts_with("no such name: none is an alias of b.z, which does not exist"), "{}", none.text());
}

#[tokio::test]
async fn records_of_a_type() {
    let server =
        Server::zone("_http._tcp.web.ns.svc SRV 0 5 80 web-0.web.\nweb.ns.svc A 10.0.0.1\nm CNAME n.\nn MX 5 x.");
    let case = case(POD, &[&server]);
    let walk = Walk::new(case.conf.clone(), 0, &case.attempt);
    let steps = |name| search::steps(name, &case.conf);
    let srv = walk.records(&steps("_http._tcp.web"), RecordType::SRV).await.unwrap();
    assert_eq!((srv.name.as_str(), srv.records.len()), ("_http._tcp.web.ns.svc", 1));
    assert_eq!(walk.records(&steps("m"), RecordType::MX).await.unwrap().records.len(), 1);
    assert_eq!(walk.records(&steps("m"), RecordType::CNAME).await.unwrap().records.len(), 1);
    let none = walk.records(&steps("web"), RecordType::TXT).await.unwrap_err().reason;
    assert!(none.text().starts_with("web.ns.svc exists and has no TXT record (NODATA); "), "{}", none.text());
}

#[tokio::test]
async fn use_vc_no_aaaa_and_rotate_are_followed() {
    let server = Server::zone("db A 10.0.0.1");
    assert_eq!(case("options use-vc no-aaaa\n", &[&server]).find("db").await.unwrap(), "10.0.0.1");
    let log = server.log();
    assert!(log.len() == 1 && log[0].tcp && log[0].rtype == RecordType::A);
    let (one, two) = (Server::zone("db A 10.0.0.1"), Server::zone("db A 10.0.0.1"));
    let case = case("options rotate no-aaaa\n", &[&one, &two]);
    for turn in 0..2 {
        let walk = Walk::new(case.conf.clone(), turn, &case.attempt);
        walk.addresses(&search::steps("db", &case.conf), Need::Both).await.unwrap();
    }
    assert_eq!((one.asked().len(), two.asked().len()), (1, 1));
}

async fn after(millis: u64, outcome: Result<u64, u64>) -> Result<u64, u64> {
    time::sleep(Duration::from_millis(millis)).await;
    outcome
}

#[tokio::test(start_paused = true)]
async fn the_walk_waits_50_ms_for_the_second_family() {
    for (v4, v6, need, took, both) in [
        ((10, Ok(1)), (900, Ok(2)), Need::First, 60, false),
        ((900, Ok(1)), (10, Ok(2)), Need::First, 60, false),
        ((10, Ok(1)), (40, Ok(2)), Need::First, 40, true),
        ((10, Ok(1)), (900, Ok(2)), Need::Both, 900, true),
        // After a denial the walk waits for the other family.
        ((10, Err(1)), (900, Ok(2)), Need::First, 900, true),
        ((900, Err(1)), (10, Err(2)), Need::First, 900, true),
    ] {
        let started = Instant::now();
        let (one, other) = families(after(v4.0, v4.1), after(v6.0, v6.1), need).await;
        assert_eq!(started.elapsed().as_millis(), took);
        assert_eq!(one.is_some() && other.is_some(), both);
    }
}
