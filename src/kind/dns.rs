//! `dns:NAME`: the name has an address (found as an application finds it), or a record of the given type.

use std::fmt;
use std::net::{IpAddr, SocketAddr};

use anyhow::{Result, bail};
use hickory_resolver::proto::rr::{Name, RData, RecordType};

use super::expect::Spec;
use super::gone::GONE;
use super::{Kind, Parts, Ready};
use crate::attempt::Attempt;
use crate::net::Net;
use crate::net::address::{self, Host};
use crate::net::names::answer::{Found, Need, Records, Source};
use crate::net::names::resolv_conf::DNS_PORT;
use crate::reason::{Code, Reason};
use crate::text;
use crate::text::InForm as _;

/// The expected form, which ends every message.
const FORM: &str = "expected dns:NAME, dns:NAME?type=SRV or dns://SERVER[:PORT]/NAME?type=A";

/// The record types that a target can name, spelled as in RFC 4501.
const TYPES: [(&str, RecordType); 10] = [
    ("A", RecordType::A),
    ("AAAA", RecordType::AAAA),
    ("CNAME", RecordType::CNAME),
    ("SRV", RecordType::SRV),
    ("MX", RecordType::MX),
    ("NS", RecordType::NS),
    ("TXT", RecordType::TXT),
    ("PTR", RecordType::PTR),
    ("CAA", RecordType::CAA),
    ("SOA", RecordType::SOA),
];

/// A name, and the records that waitgate waits for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Dns {
    server: Option<(Host, u16)>,
    name: Host,
    rtype: Option<RecordType>,
    min: Option<usize>,
    has: Option<String>,
    gone: bool,
    /// The expectations as the log shows them.
    shown: String,
}

impl Kind for Dns {
    const NAMES: &'static [&'static str] = &["dns"];
    const FORM: &'static str = "dns:NAME";
    const HELP: &'static [(&'static str, &'static str)] = &[("dns:NAME", "the name has an address")];
    const EXPECTATIONS: &'static [Spec] = &[
        Spec::value("min", "N").says("at least N addresses of one family, or N records of the type"),
        Spec::value("has", "VALUE").says("one of the addresses or records is VALUE"),
        GONE,
    ];

    /// Parses `dns:NAME`, `dns:NAME?type=T` or `dns://SERVER[:PORT]/NAME?type=T` (RFC 4501).
    fn parse(parts: &Parts<'_>) -> Result<Self> {
        let (path, query) = match parts.address.split_once('?') {
            Some((path, query)) => (path, Some(query)),
            None => (parts.address, None),
        };
        let fill = |raw| parts.fill.plain(raw).in_form(FORM);
        let (server, name) = match path.strip_prefix("//") {
            None => (None, path),
            Some(rest) => match rest.split_once('/') {
                None => bail!("/NAME is missing after //SERVER; to ask the usual nameservers write dns:NAME ({FORM})"),
                // RFC 4501: without a server, the resolver asks its own.
                Some(("", name)) => (None, name),
                Some((server, name)) => (Some(server), name),
            },
        };
        let server = match server {
            None => None,
            Some(raw) => {
                let (host, port) = address::split(raw);
                let host = address::host(host, parts.fill).in_form(FORM)?;
                let port = port.map(|raw| address::port(&fill(raw)?).in_form(FORM)).transpose()?;
                Some((host, port.unwrap_or(DNS_PORT)))
            }
        };
        let rtype = query.map(|raw| record_type(&fill(raw)?)).transpose()?.flatten();
        let name = parse_name(&fill(name)?)?;
        let name = match (name, rtype) {
            (Host::Ip(ip), Some(RecordType::PTR)) => Host::Name(shown_name(&Name::from(ip))),
            (Host::Ip(_), Some(_)) => bail!("an address has no records of that type: give a name ({FORM})"),
            (Host::Ip(_), None) if server.is_some() => {
                bail!("an address needs no nameserver: give a name ({FORM})")
            }
            (name, _) => name,
        };
        let min = parts.expectations.count("min")?.map(|min| min as usize);
        let has = parts.expectations.get("has").map(str::to_owned);
        if let (Some(value), None | Some(RecordType::A | RecordType::AAAA)) = (&has, rtype)
            && value.parse::<IpAddr>().is_err()
        {
            bail!("#has: the value is not an IP address (expected an IP address, unless ?type= names another type)");
        }
        if let (Host::Ip(ip), None) = (&name, rtype)
            && (min.is_some_and(|min| min > 1) || has.as_ref().is_some_and(|value| value.parse() != Ok(*ip)))
        {
            bail!("#min and #has: an address is one, and it never changes (expected a name)");
        }
        if has.as_deref() == Some("") {
            bail!("#has: found nothing (expected a value)");
        }
        let gone = parts.expectations.has("gone");
        if gone && (has.is_some() || min.is_some()) {
            bail!("#gone excludes #min= and #has=: a name that is gone has no records to count or to compare");
        }
        if gone && matches!(name, Host::Ip(_)) {
            bail!("#gone: the target is an address, and an address is never gone from the DNS (expected a name)");
        }
        Ok(Self { server, name, rtype, min, has, gone, shown: parts.expectations.shown() })
    }

    fn ready_when(&self) -> String {
        match self.rtype {
            Some(rtype) => format!("the name has a record of type {rtype}"),
            None => "the name has an address".to_owned(),
        }
    }

    async fn probe(&self, net: &Net, attempt: &Attempt) -> Result<Ready, Reason> {
        let name = match &self.name {
            Host::Ip(ip) => return self.judge(&[RData::from(*ip)], "no query needed", None, attempt),
            Host::Name(name) => name,
        };
        let servers = self.servers(net, attempt).await?;
        let resolver = net.resolver();
        let found = match (self.rtype, servers) {
            (None, None) => net.find(name, self.need(), attempt).await.map(|found| Answer::of(&found)),
            (None, Some(servers)) => {
                resolver.addresses_at(&servers, name, self.need(), attempt).await.map(|found| Answer::of(&found))
            }
            (Some(rtype), None) => net.records(name, rtype, attempt).await.map(Answer::from),
            (Some(rtype), Some(servers)) => resolver.records_at(&servers, name, rtype, attempt).await.map(Answer::from),
        };
        match found {
            Ok(it) if self.gone => Err(Reason::new(
                Code::ExpectGone,
                format!("still there: {} ({})", listed(&it.records, attempt), attempt.quote(&it.at, usize::MAX)),
            )),
            Ok(it) => {
                self.judge(&it.records, &it.at, it.missing.as_deref(), attempt).map_err(|reason| match reason.code() {
                    Code::ExpectRecords if self.rtype.is_none() && self.server.is_none() => {
                        let listed: Vec<IpAddr> = it.records.iter().filter_map(RData::ip_addr).collect();
                        reason.with_hint(net.too_few(name, &listed))
                    }
                    _ => reason,
                })
            }
            Err(error) if self.gone => error.certainly_absent().map(Ready::noted),
            Err(error) => Err(error.into()),
        }
    }
}

impl Dns {
    /// If any address is enough, the answer of one family is enough.
    fn need(&self) -> Need {
        if self.min.is_some() || self.has.is_some() || self.gone { Need::Both } else { Need::First }
    }

    /// The addresses of the nameserver, if the target names one; at most three.
    async fn servers(&self, net: &Net, attempt: &Attempt) -> Result<Option<Vec<SocketAddr>>, Reason> {
        let Some((host, port)) = &self.server else { return Ok(None) };
        let ips = match host {
            Host::Ip(ip) => vec![*ip],
            Host::Name(name) => net.addresses(name, Need::First, attempt).await?,
        };
        Ok(Some(ips.into_iter().take(3).map(|ip| (ip, *port).into()).collect()))
    }

    /// Compares `records`, which were found at `at`, with the expectations.
    ///
    /// `missing` is set if there may be more records: it says which question got no answer.
    fn judge(&self, records: &[RData], at: &str, missing: Option<&str>, attempt: &Attempt) -> Result<Ready, Reason> {
        let list = listed(records, attempt);
        let at = attempt.quote(at, usize::MAX);
        let (what, count) = if let Some(rtype) = self.rtype {
            (format!("{rtype} record"), records.len())
        } else {
            // If a name has addresses of both families, each server has two of them: count each family alone.
            let v6 = records.iter().filter(|record| matches!(record, RData::AAAA(_))).count();
            ("address".to_owned(), v6.max(records.len() - v6))
        };
        let more = missing.map(|words| format!("; {words}")).unwrap_or_default();
        let min = self.min.unwrap_or(1);
        if count < min {
            let plural = if count == 1 {
                ""
            } else if what.ends_with('s') {
                "es"
            } else {
                "s"
            };
            let family = if self.rtype.is_none() { " of one family" } else { "" };
            let text = format!("{count} {what}{plural}, and {min}{family} are expected: {list} ({at}){more}");
            return Err(Reason::new(Code::ExpectRecords, text).with_key(count));
        }
        if let Some(value) = &self.has
            && !records.iter().any(|record| has_value(record, value))
        {
            let text = format!("the {what} that #has= names is not there, but {list} ({at}){more}");
            return Err(Reason::new(Code::ExpectValue, text));
        }
        Ok(Ready::noted(format!("{list} ({at})")))
    }
}

/// The records that were found: addresses, or records of another type.
struct Answer {
    records: Vec<RData>,
    /// Where they were found: the full name, or the hosts file.
    at: String,
    /// Which question got no answer, if any.
    missing: Option<String>,
}

impl Answer {
    fn of(found: &Found) -> Self {
        let records = found.addresses.iter().map(|ip| RData::from(*ip)).collect();
        let at = match &found.source {
            Source::Literal => "no query needed".to_owned(),
            Source::Hosts => "hosts file".to_owned(),
            Source::Dns(full) => full.clone(),
        };
        Self { records, at, missing: found.missing.clone() }
    }
}

impl From<Records> for Answer {
    fn from(found: Records) -> Self {
        Self { records: found.records, at: found.name, missing: None }
    }
}

/// The type in `type=T`, `class=IN;type=T` or nothing (RFC 4501 section 3).
fn record_type(query: &str) -> Result<Option<RecordType>> {
    let mut rtype = None;
    for part in query.split(';') {
        match part.split_once('=') {
            Some((name, _)) if name.eq_ignore_ascii_case("type") && rtype.is_some() => {
                bail!("found two types: one target waits for one type ({FORM})")
            }
            Some((name, value)) if name.eq_ignore_ascii_case("type") => {
                let known = TYPES.iter().find(|(known, _)| known.eq_ignore_ascii_case(value));
                let Some((_, known)) = known else {
                    let list: Vec<&str> = TYPES.iter().map(|(known, _)| *known).collect();
                    bail!("the record type is unknown: waitgate knows {} ({FORM})", list.join(", "));
                };
                rtype = Some(*known);
            }
            Some((name, value)) if name.eq_ignore_ascii_case("class") && value.eq_ignore_ascii_case("in") => {}
            _ => bail!("only type=TYPE may follow the '?'; expectations such as min= follow a '#' ({FORM})"),
        }
    }
    Ok(rtype)
}

/// The name. A port or a path after it is invalid.
fn parse_name(text: &str) -> Result<Host> {
    if text.contains("://") {
        bail!("dns: takes a name, not a URL ({FORM})");
    }
    if let Some((before, after)) = text.rsplit_once(':')
        && !before.contains(':')
        && after.bytes().all(|byte| byte.is_ascii_digit())
    {
        bail!("dns: takes no port; to wait for a port write tcp:HOST:PORT ({FORM})");
    }
    if text.contains('/') {
        bail!("dns: takes a name, without a path ({FORM})");
    }
    Host::parse(text).in_form(FORM)
}

/// A name in a record, as people write it: without the trailing dot.
fn shown_name(name: &Name) -> String {
    let text = name.to_ascii();
    match text.strip_suffix('.') {
        Some("") | None => text,
        Some(name) => name.to_owned(),
    }
}

/// A record as people read it. `quote` takes what the zone's owner chose: names and texts.
fn shown(record: &RData, quote: impl Fn(String) -> String) -> String {
    match record {
        RData::CNAME(name) => quote(shown_name(name)),
        RData::NS(name) => quote(shown_name(name)),
        RData::PTR(name) => quote(shown_name(name)),
        RData::MX(mx) => format!("{} {}", mx.preference, quote(shown_name(&mx.exchange))),
        RData::SRV(srv) => format!("{}:{}", quote(shown_name(&srv.target)), srv.port),
        RData::TXT(_) => format!("{:?}", quote(text(record))),
        RData::CAA(caa) => {
            format!("{} {:?}", quote(caa.tag.clone()), quote(String::from_utf8_lossy(&caa.value).into_owned()))
        }
        RData::SOA(soa) => format!("{} serial {}", quote(shown_name(&soa.mname)), soa.serial),
        other => other.to_string(),
    }
}

/// The strings of a TXT record, joined as its readers do (RFC 7208 section 3.3).
fn text(record: &RData) -> String {
    let RData::TXT(txt) = record else { return String::new() };
    String::from_utf8_lossy(&txt.txt_data.concat()).into_owned()
}

/// Whether `record` has this value: an address, a target or a text.
fn has_value(record: &RData, value: &str) -> bool {
    let same = |name: &Name| shown_name(name).eq_ignore_ascii_case(value.strip_suffix('.').unwrap_or(value));
    let written = || shown(record, |text| text).eq_ignore_ascii_case(value);
    match record {
        RData::A(_) | RData::AAAA(_) => value.parse::<IpAddr>().is_ok_and(|ip| record.ip_addr() == Some(ip)),
        RData::CNAME(name) => same(name),
        RData::NS(name) => same(name),
        RData::PTR(name) => same(name),
        RData::MX(mx) => same(&mx.exchange) || written(),
        RData::SRV(srv) => same(&srv.target) || written(),
        RData::TXT(_) => text(record) == value,
        RData::CAA(caa) => caa.value == value.as_bytes() || written(),
        RData::SOA(soa) => same(&soa.mname) || value.parse() == Ok(soa.serial),
        other => other.to_string() == value,
    }
}

/// The first four records. They are sorted, because servers rotate their order.
fn listed(records: &[RData], attempt: &Attempt) -> String {
    let quote = |text: String| attempt.quote(text, usize::MAX);
    // Write each record once: an answer may have thousands, with long names.
    let mut sorted: Vec<(Option<IpAddr>, String)> =
        records.iter().map(|record| (record.ip_addr(), shown(record, quote))).collect();
    sorted.sort();
    text::list(&sorted.into_iter().map(|(_, shown)| shown).collect::<Vec<_>>())
}

impl fmt::Display for Dns {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("dns:")?;
        match &self.server {
            Some((host, DNS_PORT)) => write!(f, "//{host}/")?,
            Some((host, port)) => write!(f, "//{host}:{port}/")?,
            None => {}
        }
        write!(f, "{}", self.name)?;
        if let Some(rtype) = self.rtype {
            write!(f, "?type={rtype}")?;
        }
        f.write_str(&self.shown)
    }
}

#[cfg(test)]
mod tests;
