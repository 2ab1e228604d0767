use super::*;
use crate::env::Env;
use crate::kind::{Given, Target};

fn parse(text: &str) -> Result<Dns> {
    let env: Env = [("HOST", "db"), ("SERVER", "10.0.0.1"), ("PORT", "tcp://10.0.0.1:53")].into_iter().collect();
    match Target::parse(text, Given { env: &env, ca_file: false })?.0 {
        Target::Dns(dns) => Ok(*dns),
        other => bail!("{other} is of another kind"),
    }
}

fn attempt() -> Attempt {
    let bound = std::time::Duration::from_secs(1);
    Attempt::new(crate::attempt::Bounds { attempt: bound, connect: bound }, false)
}

fn invalid(text: &str) -> String {
    format!("{:#}", parse(text).unwrap_err())
}

#[test]
fn targets_are_parsed_and_shown() {
    for (text, shown) in [
        ("dns:db", "dns:db"),
        ("DNS:db.ns.svc.cluster.local.", "dns:db.ns.svc.cluster.local."),
        ("dns:_http._tcp.web?type=SRV", "dns:_http._tcp.web?type=SRV"),
        ("dns:web?TYPE=srv#min=3", "dns:web?type=SRV#min=3"),
        ("dns:web?class=in;type=aaaa", "dns:web?type=AAAA"),
        ("dns://10.96.0.10/db", "dns://10.96.0.10/db"),
        ("dns://10.96.0.10:5353/db?type=A", "dns://10.96.0.10:5353/db?type=A"),
        ("dns://[::1]:53/db", "dns://[::1]/db"),
        ("dns://ns.example:54/db#has=10.0.0.1", "dns://ns.example:54/db#has=10.0.0.1"),
        ("dns:///db", "dns:db"),
        ("dns:$(HOST).ns", "dns:db.ns"),
        ("dns://$(SERVER)/$(HOST)", "dns://10.0.0.1/db"),
        ("dns:10.0.0.1", "dns:10.0.0.1"),
        ("dns:[::1]", "dns:[::1]"),
        ("dns:::1", "dns:[::1]"),
        ("dns:10.0.0.1?type=PTR", "dns:1.0.0.10.in-addr.arpa?type=PTR"),
    ] {
        assert_eq!(parse(text).unwrap_or_else(|error| panic!("{text}: {error:#}")).to_string(), shown);
    }
}

#[test]
fn an_error_names_the_cause_and_the_form() {
    for (text, word) in [
        ("dns:", "missing"),
        ("dns:db:80", "takes no port"),
        ("dns:http://db/", "not a URL"),
        ("dns:db/x", "without a path"),
        ("dns://10.0.0.1", "/NAME"),
        ("dns:db?type=WKS", "A, AAAA, CNAME, SRV, MX, NS, TXT, PTR, CAA, SOA"),
        ("dns:db?type=", "is unknown"),
        ("dns:db?min=3", "follow a '#'"),
        ("dns:db?class=ch;type=A", "type=TYPE"),
        ("dns://10.0.0.1:0/db", "1 to 65535"),
        ("dns://10.0.0.1:$(PORT)/db", "NAME_SERVICE_PORT"),
        ("dns:10.0.0.1?type=MX", "has no records"),
        ("dns://10.0.0.1/10.0.0.2", "needs no nameserver"),
        ("dns:127.1", "write 127.0.0.1"),
        ("dns:bücher.example", "xn--"),
        ("dns:db?type=A;type=AAAA", "one type"),
        ("dns:${HOST}", "no shell runs here"),
        ("dns:$(NOPE)", "not set"),
    ] {
        let message = invalid(text);
        assert!(message.contains("(expected dns:NAME") && message.contains(word), "{text}: {message}");
    }
    assert!(invalid("dns:db#has=web").contains("IP address"));
    assert!(invalid("dns:db?type=TXT#has=").contains("found nothing"));
    assert!(invalid("dns:db#min=0").contains("at least 1"));
    assert!(invalid("dns:10.0.0.1#min=2").contains("an address is one"));
    assert!(invalid("dns:10.0.0.1#has=10.0.0.2").contains("an address is one"));
    assert!(parse("dns:fd00::1#min=1#has=fd00:0::1").is_ok());
    assert!(invalid("dns:db#status=200").contains("min, has, gone"));
    assert!(invalid("dns:db#gone#min=2").contains("#gone excludes"));
    assert!(invalid("dns:10.0.0.1#gone").contains("expected a name"));
}

fn judge(text: &str, records: &[RData]) -> Result<String, Reason> {
    parse(text).unwrap().judge(records, "db.ns", None, &attempt()).map(|ready| ready.note.unwrap_or_default())
}

fn ips(ips: &[&str]) -> Vec<RData> {
    ips.iter().map(|ip| RData::from(ip.parse::<IpAddr>().unwrap())).collect()
}

#[test]
fn too_few_records_are_counted_and_listed() {
    let two = ips(&["10.0.0.1", "10.0.0.2", "fd00::1"]);
    assert_eq!(judge("dns:db#min=2", &two).unwrap(), "10.0.0.1, 10.0.0.2, fd00::1 (db.ns)");
    let reason = judge("dns:db#min=3", &two).unwrap_err();
    assert_eq!(reason.code(), Code::ExpectRecords);
    assert_eq!(reason.text(), "2 addresses, and 3 of one family are expected: 10.0.0.1, 10.0.0.2, fd00::1 (db.ns)");
    assert!(!reason.is_like(&judge("dns:db#min=3", &two[..1]).unwrap_err()));
    let missing =
        parse("dns:db#min=3").unwrap().judge(&two, "db.ns", Some("no answer for AAAA"), &attempt()).unwrap_err();
    assert!(missing.text().ends_with("; no answer for AAAA"));
}

#[test]
fn listed_records_are_sorted() {
    let found = judge("dns:db", &ips(&["fd00::1", "10.0.0.10", "10.0.0.2"])).unwrap();
    assert_eq!(found, "10.0.0.2, 10.0.0.10, fd00::1 (db.ns)");
}

#[test]
fn has_compares_the_value_of_each_type() {
    use hickory_resolver::proto::rr::rdata::{MX, NS, SRV, TXT};
    let name = |text: &str| Name::from_ascii(text).unwrap();
    assert!(judge("dns:db#has=fd00:0::1", &ips(&["fd00::1"])).is_ok());
    let reason = judge("dns:db#has=10.0.0.9", &ips(&["10.0.0.1"])).unwrap_err();
    assert_eq!(reason.text(), "the address that #has= names is not there, but 10.0.0.1 (db.ns)");
    let srv = [RData::SRV(SRV::new(0, 5, 80, name("Web-0.web.")))];
    let mx = [RData::MX(MX::new(10, name("mail.example.")))];
    let txt = [RData::TXT(TXT::new(vec!["v=1 ".into(), "Two".into()]))];
    for (text, records) in [
        ("dns:db?type=SRV#has=web-0.web", &srv[..]),
        ("dns:db?type=SRV#has=web-0.web.", &srv),
        ("dns:db?type=SRV#has=web-0.web:80", &srv),
        ("dns:db?type=MX#has=mail.example", &mx),
        ("dns:db?type=MX#has=10 mail.example", &mx),
        ("dns:db?type=TXT#has=v=1 Two", &txt),
        ("dns:db?type=NS#has=ns1.example.", &[RData::NS(NS(name("NS1.example.")))]),
    ] {
        assert!(judge(text, records).is_ok(), "{text}");
    }
    assert!(judge("dns:db?type=TXT#has=v=1 two", &txt).is_err());
    assert!(judge("dns:db?type=SRV#has=web-1.web", &srv).is_err());
}
