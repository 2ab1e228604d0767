//! Why a name was not found, in words: which names were asked, and what each got.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::time::Duration;

use hickory_resolver::proto::op::ResponseCode;
use rustix::io::Errno;

use super::answer::{NoAnswer, NotFound};
use super::resolv_conf::{DNS_PORT, Origin};
use crate::reason::{Code, Hint, Reason};
use crate::text;

/// As long as a cache should keep a denial at most, whatever the zone says (RFC 2308 section 5).
const DENIED: Duration = Duration::from_hours(3);

/// A nameserver as a person writes it: without the port that all have.
pub(crate) fn server(address: SocketAddr) -> String {
    match address {
        SocketAddr::V4(v4) if v4.port() == DNS_PORT => v4.ip().to_string(),
        SocketAddr::V6(v6) if v6.port() == DNS_PORT && v6.scope_id() == 0 => v6.ip().to_string(),
        other => other.to_string(),
    }
}

/// Names in a row: "a, b and c", the ninth and those after it counted.
fn listed<T: AsRef<str>>(names: &[T]) -> String {
    const SHOWN: usize = 8;
    let mut shown: Vec<String> = names.iter().take(SHOWN).map(|name| name.as_ref().to_owned()).collect();
    if names.len() > SHOWN {
        shown.push(format!("{} more", names.len() - SHOWN));
    }
    match shown.split_last() {
        Some((last, head)) if !head.is_empty() => format!("{} and {last}", head.join(", ")),
        Some((last, _)) => last.clone(),
        None => String::new(),
    }
}

/// The name a code has in the DNS's own documents.
fn code_name(code: ResponseCode) -> String {
    match code {
        ResponseCode::ServFail => "SERVFAIL".into(),
        ResponseCode::Refused => "REFUSED".into(),
        ResponseCode::FormErr => "FORMERR".into(),
        ResponseCode::NotImp => "NOTIMP".into(),
        ResponseCode::NotAuth => "NOTAUTH".into(),
        other => format!("code {}", u16::from(other)),
    }
}

/// What `address` did, asked for `names`; `bound` is how long a question waits.
fn clause(address: SocketAddr, trouble: &NoAnswer, names: &str, bound: Duration) -> String {
    let at = server(address);
    match trouble {
        NoAnswer::Silent => {
            format!("no answer from nameserver {at} for {names} within {}", humantime::format_duration(bound))
        }
        NoAnswer::Garbled => format!("nameserver {at} sent nothing that answers {names}"),
        NoAnswer::Refused => format!("refused by nameserver {at} on port {}", address.port()),
        NoAnswer::Unreachable(words) => format!("nameserver {at} cannot be reached: {words}"),
        NoAnswer::Code(code) => format!("nameserver {at} answered {} for {names}", code_name(*code)),
        NoAnswer::Lame => format!("nameserver {at} has no answer for {names}: it only points to other servers"),
        NoAnswer::Truncated => {
            format!("the answer of nameserver {at} for {names} did not fit into a packet, and did not come over TCP")
        }
        NoAnswer::Loop(chain) => {
            format!("nameserver {at} answered with aliases that lead nowhere: {}", chain.join(" → "))
        }
        NoAnswer::Local(errno) => format!("cannot ask nameserver {at}: {}", text::os_error(&(*errno).into())),
        NoAnswer::Unaskable => format!("{names} is too long for a question"),
    }
}

/// The reason for a walk that found nothing; `what` was looked for: "address", "SRV record".
///
/// NoAnswer on the way outweighs a denial: the name may well exist behind it.
pub(crate) fn reason(got: &[(String, NotFound)], what: &str, origin: Origin, bound: Duration) -> Reason {
    let troubles: Vec<&(SocketAddr, NoAnswer)> = got
        .iter()
        .flat_map(|(_, miss)| if let NotFound::Failed(each) = miss { each.as_slice() } else { &[] })
        .collect();
    let missing = missing(got, what);
    if troubles.is_empty() {
        let ttl = got.iter().filter_map(|(_, miss)| match miss {
            NotFound::NoName { ttl, .. } | NotFound::NoData { ttl, .. } => *ttl,
            NotFound::Failed(_) => None,
        });
        let ttl = ttl.max().filter(|ttl| *ttl > 0);
        let exists = got.iter().any(|(_, miss)| matches!(miss, NotFound::NoData { .. }));
        let (code, mut text) = if exists {
            (Code::ResolveNoAddresses, missing)
        } else {
            (Code::ResolveNoSuchName, format!("no such name: {missing}"))
        };
        if let Some(ttl) = ttl {
            let ttl = Duration::from_secs(ttl.into());
            let most = if ttl > DENIED {
                format!("more than {}", text::duration(DENIED))
            } else {
                format!("up to {}", text::duration(ttl))
            };
            let _ = write!(text, " (caches may go on denying it for {most})");
        }
        return Reason::new(code, text);
    }
    if let Some(errno) =
        troubles.iter().find_map(|(_, trouble)| if let NoAnswer::Local(errno) = trouble { Some(*errno) } else { None })
    {
        return local(errno);
    }
    let mut text = clauses(got, bound);
    if !missing.is_empty() {
        text.push_str("; ");
        text.push_str(&missing);
    }
    text.push_str(match origin {
        Origin::Stated => "",
        Origin::NoNameserver => " (/etc/resolv.conf has no nameserver that can be used, so 127.0.0.1 is asked)",
        Origin::NoFile => " (there is no /etc/resolv.conf, so 127.0.0.1 is asked)",
    });
    let all = |test: fn(&NoAnswer) -> bool| troubles.iter().all(|(_, trouble)| test(trouble));
    if all(|trouble| *trouble == NoAnswer::Silent) {
        Reason::new(Code::ResolveTimeout, text)
    } else if all(|trouble| matches!(trouble, NoAnswer::Refused | NoAnswer::Unreachable(_))) {
        Reason::new(Code::ResolveUnreachable, text)
    } else {
        Reason::new(Code::ResolveTrouble, text).with_key(keys(&troubles))
    }
}

/// The same for one who has to be sure that nothing is there: trouble with one family counts, too.
pub(crate) fn doubt(got: &[(String, NotFound)], what: &str, origin: Origin, bound: Duration) -> Option<Reason> {
    let strict = |(name, miss): &(String, NotFound)| match miss {
        NotFound::NoName { doubt, .. } if !doubt.is_empty() => (name.clone(), NotFound::Failed(doubt.clone())),
        other => (name.clone(), other.clone()),
    };
    let got: Vec<(String, NotFound)> = got.iter().map(strict).collect();
    let sure = !got.iter().any(|(_, miss)| matches!(miss, NotFound::Failed(_)));
    if sure { None } else { Some(reason(&got, what, origin, bound)) }
}

/// The reason for a socket that this machine did not give.
fn local(errno: Errno) -> Reason {
    match errno {
        Errno::MFILE | Errno::NFILE => {
            Reason::new(Code::LocalDescriptors, "no file descriptor left for a DNS question").with_hint(Hint::Limits)
        }
        errno => {
            let words = text::os_error(&errno.into());
            Reason::new(Code::LocalSocket, format!("no socket for a DNS question: {words}")).with_hint(Hint::Limits)
        }
    }
}

/// Each trouble once, with the names it befell.
fn clauses(got: &[(String, NotFound)], bound: Duration) -> String {
    let mut grouped: Vec<(&(SocketAddr, NoAnswer), Vec<&str>)> = Vec::new();
    for (name, miss) in got {
        let NotFound::Failed(each) = miss else { continue };
        for trouble in each {
            match grouped.iter_mut().find(|(known, _)| *known == trouble) {
                Some((_, names)) => names.push(name),
                None => grouped.push((trouble, vec![name])),
            }
        }
    }
    let clauses = grouped.iter().map(|((at, trouble), names)| clause(*at, trouble, &listed(names), bound));
    clauses.collect::<Vec<_>>().join("; ")
}

/// The names that do not exist, and those that have nothing of `what`.
fn missing(got: &[(String, NotFound)], what: &str) -> String {
    let mut parts = Vec::new();
    let mut empty = Vec::new();
    let mut absent = Vec::new();
    for (name, miss) in got {
        match miss {
            NotFound::NoData { alias: Some(alias), .. } => {
                parts.push(format!("{name} is an alias of {alias}, which has no {what} (NODATA)"));
            }
            NotFound::NoData { alias: None, .. } => empty.push(name),
            NotFound::NoName { alias: Some(alias), .. } => {
                parts.push(format!("{name} is an alias of {alias}, which does not exist (NXDOMAIN)"));
            }
            NotFound::NoName { alias: None, .. } => absent.push(name),
            NotFound::Failed(_) => {}
        }
    }
    if !empty.is_empty() {
        let verb = if empty.len() == 1 { "exists and has" } else { "exist and have" };
        parts.push(format!("{} {verb} no {what} (NODATA)", listed(&empty)));
    }
    if !absent.is_empty() {
        let verb = if absent.len() == 1 { "does" } else { "do" };
        parts.push(format!("{} {verb} not exist (NXDOMAIN)", listed(&absent)));
    }
    parts.join("; ")
}

/// What tells one kind of trouble from another in the log: never a name or an address.
fn keys(troubles: &[&(SocketAddr, NoAnswer)]) -> String {
    let mut keys: Vec<String> = troubles
        .iter()
        .map(|(_, trouble)| match trouble {
            NoAnswer::Silent => "silent".into(),
            NoAnswer::Garbled => "garbled".into(),
            NoAnswer::Refused | NoAnswer::Unreachable(_) => "unreachable".into(),
            NoAnswer::Code(code) => code_name(*code),
            NoAnswer::Lame => "lame".into(),
            NoAnswer::Truncated => "truncated".into(),
            NoAnswer::Loop(_) => "loop".into(),
            NoAnswer::Local(_) => "local".into(),
            NoAnswer::Unaskable => "unaskable".into(),
        })
        .collect();
    keys.sort();
    keys.dedup();
    keys.join(" ")
}

/// NoAnswer with one family of a name whose other family was found, in words.
pub(crate) fn beside(each: &[(SocketAddr, NoAnswer)], name: &str, family: &str, bound: Duration) -> String {
    let names = format!("{family} of {name}");
    each.iter().map(|(at, trouble)| clause(*at, trouble, &names, bound)).collect::<Vec<_>>().join("; ")
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOUND: Duration = Duration::from_secs(1);
    const GONE: NotFound = NotFound::NoName { ttl: Some(30), alias: None, doubt: Vec::new() };
    const EMPTY: NotFound = NotFound::NoData { ttl: None, alias: None };

    fn trouble(trouble: NoAnswer) -> NotFound {
        NotFound::Failed(vec![("10.96.0.10:53".parse().unwrap(), trouble)])
    }

    fn explain(got: &[(&str, NotFound)]) -> Reason {
        let got: Vec<_> = got.iter().map(|(name, miss)| ((*name).to_owned(), miss.clone())).collect();
        reason(&got, "address", Origin::Stated, BOUND)
    }

    #[test]
    fn no_such_name() {
        let it = explain(&[("db.a", GONE), ("db.b", GONE), ("db", GONE)]);
        assert_eq!(
            it.text(),
            "no such name: db.a, db.b and db do not exist (NXDOMAIN) (caches may go on denying it for up to 30s)"
        );
        assert_eq!(it.code(), Code::ResolveNoSuchName);
        let long = explain(&[("db", NotFound::NoName { ttl: Some(u32::MAX), alias: None, doubt: vec![] })]);
        assert!(long.text().ends_with(" (caches may go on denying it for more than 3h)"), "{}", long.text());
        let uncached = explain(&[("db", NotFound::NoName { ttl: None, alias: None, doubt: vec![] })]);
        assert_eq!(uncached.text(), "no such name: db does not exist (NXDOMAIN)");
    }

    #[test]
    fn a_name_without_an_address() {
        let it = explain(&[("db.a", EMPTY), ("db", GONE)]);
        assert_eq!(it.code(), Code::ResolveNoAddresses);
        assert!(
            it.text().starts_with("db.a exists and has no address (NODATA); db does not exist (NXDOMAIN)"),
            "{}",
            it.text()
        );
        let alias = explain(&[("db", NotFound::NoData { ttl: None, alias: Some("x.example".into()) })]);
        assert_eq!(alias.text(), "db is an alias of x.example, which has no address (NODATA)");
    }

    #[test]
    fn trouble_outweighs_a_denial_and_is_told_by_its_kind() {
        let it = explain(&[("db.a", trouble(NoAnswer::Code(ResponseCode::ServFail))), ("db", GONE)]);
        assert_eq!(it.text(), "nameserver 10.96.0.10 answered SERVFAIL for db.a; db does not exist (NXDOMAIN)");
        assert_eq!(it.code(), Code::ResolveTrouble);
        let refused = explain(&[("db", trouble(NoAnswer::Code(ResponseCode::Refused)))]);
        assert!(!it.is_like(&refused));
        let silent = explain(&[("db.a", trouble(NoAnswer::Silent)), ("db", trouble(NoAnswer::Silent))]);
        assert_eq!(silent.text(), "no answer from nameserver 10.96.0.10 for db.a and db within 1s");
        assert_eq!(silent.code(), Code::ResolveTimeout);
        assert_eq!(explain(&[("db", trouble(NoAnswer::Refused))]).code(), Code::ResolveUnreachable);
        assert_eq!(explain(&[("db", trouble(NoAnswer::Local(Errno::MFILE)))]).code(), Code::LocalDescriptors);
    }

    #[test]
    fn where_127_0_0_1_comes_from_is_said() {
        let got = [("db".to_owned(), trouble(NoAnswer::Refused))];
        assert!(reason(&got, "address", Origin::NoFile, BOUND).text().contains("no /etc/resolv.conf"));
        assert!(reason(&got, "address", Origin::NoNameserver, BOUND).text().contains("has no nameserver"));
    }

    #[test]
    fn long_lists_are_counted() {
        let names: Vec<String> = (0..12).map(|n| n.to_string()).collect();
        assert_eq!(listed(&names), "0, 1, 2, 3, 4, 5, 6, 7 and 4 more");
        assert_eq!(listed(&names[..1]), "0");
    }
}
