//! `mongodb+srv:`: the hosts are in SRV records, and some options in a TXT record (the drivers' specification,
//! source/initial-dns-seedlist-discovery/initial-dns-seedlist-discovery.md).

use hickory_resolver::proto::rr::{Name, RData, RecordType};

use super::uri::Server;
use crate::attempt::Attempt;
use crate::env::percent_decode;
use crate::net::Net;
use crate::net::address::Host;
use crate::reason::{Code, Reason};

/// More hosts than this are not tried.
const HOSTS_MAX: usize = 50;

/// What the TXT record says where the target says nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Text {
    pub(super) source: Option<String>,
    pub(super) set: Option<String>,
    pub(super) balanced: Option<bool>,
}

/// The hosts of `name`. Search lists do not count, as for the drivers: the records are of exactly this name. With `gone` there
/// are none if the name certainly has no such records.
pub(super) async fn hosts(
    net: &Net,
    name: &str,
    service: &str,
    gone: bool,
    attempt: &Attempt,
) -> Result<Vec<Server>, Reason> {
    let full = name.trim_end_matches('.');
    let found = match net.records(&format!("_{service}._tcp.{full}."), RecordType::SRV, attempt).await {
        Ok(found) => found,
        Err(error) if gone => return error.certainly_absent().map(|_| Vec::new()),
        Err(error) => return Err(error.into()),
    };
    let wrong = |what: &str, key: &str| {
        let text = format!("the SRV records of _{service}._tcp.{full} {what}");
        Err(Reason::new(Code::ResolveTrouble, text).with_key(key))
    };
    let mut hosts = Vec::new();
    for record in &found.records {
        let RData::SRV(srv) = record else { continue };
        let target = text_of(&srv.target);
        if !belongs(&target, full) {
            let target = attempt.quote(&target, 80);
            return wrong(&format!("name a host outside its domain, which drivers refuse: {target}"), "domain");
        }
        let Ok(host) = Host::parse(&target) else { return wrong("name a host that is not one", "host") };
        hosts.push(Server::Tcp { host, port: srv.port });
    }
    hosts.truncate(HOSTS_MAX);
    if hosts.is_empty() { wrong("name no host", "none") } else { Ok(hosts) }
}

/// The options in the TXT record of `name`, if it has one.
pub(super) async fn options(net: &Net, name: &str, attempt: &Attempt) -> Result<Text, Reason> {
    let full = name.trim_end_matches('.');
    let found = match net.records(&format!("{full}."), RecordType::TXT, attempt).await {
        Ok(found) => found,
        Err(error) => return error.certainly_absent().map(|_| Text::default()),
    };
    let wrong = |what: &str| Reason::new(Code::ResolveTrouble, format!("{full} has {what}")).with_key("txt");
    let mut records = found.records.iter().filter_map(|record| match record {
        RData::TXT(txt) => Some(txt.txt_data.concat()),
        _ => None,
    });
    let (Some(text), None) = (records.next(), records.next()) else {
        return Err(wrong("several TXT records, and drivers refuse that"));
    };
    parse(&text).ok_or_else(|| {
        wrong("a TXT record with other options than authSource, replicaSet and loadBalanced, which drivers refuse")
    })
}

fn parse(text: &[u8]) -> Option<Text> {
    let mut options = Text::default();
    for pair in std::str::from_utf8(text).ok()?.split('&') {
        let (name, value) = pair.split_once('=')?;
        let value = percent_decode(value).ok().filter(|value| !value.is_empty() && !value.contains('\0'))?;
        match name.to_ascii_lowercase().as_str() {
            "authsource" => options.source = Some(value),
            "replicaset" => options.set = Some(value),
            "loadbalanced" => options.balanced = Some(value.parse().ok()?),
            _ => return None,
        }
    }
    Some(options)
}

/// A name of a record without its final dot.
fn text_of(name: &Name) -> String {
    name.to_ascii().trim_end_matches('.').to_ascii_lowercase()
}

/// Whether `host` is in the domain of `name`: a stranger who can answer for one SRV record must not choose where a password
/// goes. The domain of a name of three and more labels is the name without its first label. A shorter name is itself the
/// domain, and a host has more labels.
fn belongs(host: &str, name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    let domain = match name.split_once('.') {
        Some((_, domain)) if domain.contains('.') => domain,
        _ => &name,
    };
    host.strip_suffix(domain).is_some_and(|rest| rest.len() > 1 && rest.ends_with('.'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_is_in_the_domain_of_the_name() {
        for (host, name, expected) in [
            ("mongo-0.mongo.shop.svc.cluster.local", "mongo.shop.svc.cluster.local", true),
            ("shard-0.abc.mongodb.net", "Cluster.ABC.mongodb.net", true),
            ("abc.mongodb.net", "cluster.abc.mongodb.net", false),
            ("evilabc.mongodb.net", "cluster.abc.mongodb.net", false),
            ("shard-0.abc.mongodb.net.evil.test", "cluster.abc.mongodb.net", false),
            (".abc.mongodb.net", "cluster.abc.mongodb.net", false),
            ("a.mongo.local", "mongo.local", true),
            ("mongo.local", "mongo.local", false),
            ("b.local", "mongo.local", false),
            ("a.localhost", "localhost", true),
        ] {
            assert_eq!(belongs(host, name), expected, "{host} of {name}");
        }
    }

    #[test]
    fn a_txt_record_has_three_options_and_no_other() {
        let text = parse(b"authSource=admin&replicaSet=rs%2d0&loadBalanced=false").unwrap();
        let expected = Text { source: Some("admin".into()), set: Some("rs-0".into()), balanced: Some(false) };
        assert_eq!(text, expected);
        for bad in
            [&b"tls=false"[..], b"authSource", b"", b"authSource=", b"loadBalanced=1", b"authSource=%", b"\xff=x"]
        {
            assert_eq!(parse(bad), None, "{bad:?}");
        }
    }
}
