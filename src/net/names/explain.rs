//! Why a name was not found, in words: which names were asked, and what the nameservers answered.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::time::Duration;

use hickory_resolver::proto::op::ResponseCode;
use rustix::io::Errno;

use super::answer::{NoAnswer, NotFound};
use super::resolv_conf::{DNS_PORT, Origin};
use super::search;
use crate::reason::{Code, Hint, Reason};
use crate::text;

/// The longest time for which a cache should keep a denial, even if the zone gives a longer one (RFC 2308 section 5).
const DENIAL_TTL_MAX: Duration = Duration::from_hours(3);

/// A nameserver, without the port if it is 53.
pub(crate) fn server(address: SocketAddr) -> String {
    match address {
        SocketAddr::V4(v4) if v4.port() == DNS_PORT => v4.ip().to_string(),
        SocketAddr::V6(v6) if v6.port() == DNS_PORT && v6.scope_id() == 0 => v6.ip().to_string(),
        other => other.to_string(),
    }
}

fn refused_by(address: SocketAddr) -> String {
    match server(address) {
        // The port is in it already.
        at if address.to_string() == at => format!("refused by nameserver {at}"),
        at => format!("refused by nameserver {at} on port {}", address.port()),
    }
}

/// The reason when nameservers that refused earlier in this run are silent: a node limits its refusals.
pub(crate) fn still_refused(nameservers: &[SocketAddr]) -> Reason {
    let each: Vec<String> = nameservers.iter().map(|server| refused_by(*server)).collect();
    Reason::new(Code::ResolveUnreachable, each.join("; "))
}

/// "a, b and c". The ninth name and those after it are only counted.
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

/// The code's name in the DNS standards.
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

/// What the nameserver `address` did when it was asked for `names`. `bound` is how long a question waits.
fn clause(address: SocketAddr, no_answer: &NoAnswer, names: &str, bound: Duration) -> String {
    let at = server(address);
    match no_answer {
        NoAnswer::Silent => {
            format!("no answer from nameserver {at} for {names} within {}", text::duration(bound))
        }
        NoAnswer::Garbled => format!("nameserver {at} sent nothing that answers {names}"),
        NoAnswer::Refused => refused_by(address),
        NoAnswer::Denied => {
            format!(
                "a rule on this machine forbids asking nameserver {at}: look for a NetworkPolicy or a firewall (port 53, UDP and TCP)"
            )
        }
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

/// What the words of a reason depend on, beside the outcomes.
pub(crate) struct Told<'a> {
    /// "address" or, for example, "SRV record".
    pub(crate) what: &'a str,
    /// Where the nameservers come from.
    pub(crate) origin: Origin,
    /// How long a question waits.
    pub(crate) bound: Duration,
    /// The cluster's domain, if resolv.conf is that of a Pod.
    pub(crate) cluster: Option<&'a str>,
}

/// The reason for a walk that found nothing.
///
/// A failed query counts more than a denial: the name may exist, and the server could not say so.
pub(crate) fn reason(got: &[(String, NotFound)], told: &Told<'_>) -> Reason {
    let Told { what, origin, bound, cluster } = *told;
    let no_answers: Vec<&(SocketAddr, NoAnswer)> = got
        .iter()
        .flat_map(|(_, not_found)| if let NotFound::Failed(each) = not_found { each.as_slice() } else { &[] })
        .collect();
    let missing = missing(got, what);
    if no_answers.is_empty() {
        // A new Service appears in the cluster's zones, so their denials count. The root's denial of the name as given
        // may be kept for a day.
        let in_cluster = |name: &str| cluster.is_some_and(|domain| search::ends_in(name, domain));
        let any_in_cluster = got.iter().any(|(name, _)| in_cluster(name));
        let counted = got.iter().filter(|(name, _)| !any_in_cluster || in_cluster(name));
        let ttl = counted.filter_map(|(_, not_found)| match not_found {
            NotFound::NoName { ttl, .. } | NotFound::NoData { ttl, .. } => *ttl,
            NotFound::Failed(_) => None,
        });
        let ttl = ttl.max().filter(|ttl| *ttl > 0);
        let exists = got.iter().any(|(_, not_found)| matches!(not_found, NotFound::NoData { .. }));
        let (code, mut text) = if exists {
            (Code::ResolveNoAddresses, missing)
        } else {
            (Code::ResolveNoSuchName, format!("no such name: {missing}"))
        };
        if let Some(ttl) = ttl {
            let ttl = Duration::from_secs(ttl.into());
            let most = if ttl > DENIAL_TTL_MAX {
                format!("more than {}", text::duration(DENIAL_TTL_MAX))
            } else {
                format!("up to {}", text::duration(ttl))
            };
            let _ = write!(text, " (caches may go on denying it for {most})");
        }
        return Reason::new(code, text);
    }
    if let Some(errno) = no_answers
        .iter()
        .find_map(|(_, no_answer)| if let NoAnswer::Local(errno) = no_answer { Some(*errno) } else { None })
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
        Origin::Unreadable => " (/etc/resolv.conf cannot be read or is not a regular file, so 127.0.0.1 is asked)",
    });
    let all = |test: fn(&NoAnswer) -> bool| no_answers.iter().all(|(_, no_answer)| test(no_answer));
    if all(|no_answer| *no_answer == NoAnswer::Silent) {
        Reason::new(Code::ResolveTimeout, text)
    } else if all(NoAnswer::is_unreachable) {
        Reason::new(Code::ResolveUnreachable, text)
    } else {
        Reason::new(Code::ResolveTrouble, text).with_key(keys(&no_answers))
    }
}

/// The reason why the name may still exist, if there is one. Here a failure of one family counts too.
pub(crate) fn uncertain(got: &[(String, NotFound)], told: &Told<'_>) -> Option<Reason> {
    let strict = |(name, not_found): &(String, NotFound)| match not_found {
        NotFound::NoName { failures, .. } if !failures.is_empty() => (name.clone(), NotFound::Failed(failures.clone())),
        other => (name.clone(), other.clone()),
    };
    let got: Vec<(String, NotFound)> = got.iter().map(strict).collect();
    let sure = !got.iter().any(|(_, not_found)| matches!(not_found, NotFound::Failed(_)));
    if sure { None } else { Some(reason(&got, told)) }
}

/// The reason when this machine could not make a socket.
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

/// Each failure once, with all names that it happened to.
fn clauses(got: &[(String, NotFound)], bound: Duration) -> String {
    let mut grouped: Vec<(&(SocketAddr, NoAnswer), Vec<&str>)> = Vec::new();
    for (name, not_found) in got {
        let NotFound::Failed(each) = not_found else { continue };
        for no_answer in each {
            match grouped.iter_mut().find(|(known, _)| *known == no_answer) {
                Some((_, names)) => names.push(name),
                None => grouped.push((no_answer, vec![name])),
            }
        }
    }
    let clauses = grouped.iter().map(|((at, no_answer), names)| clause(*at, no_answer, &listed(names), bound));
    clauses.collect::<Vec<_>>().join("; ")
}

/// The names that do not exist, and those that exist without `what`.
fn missing(got: &[(String, NotFound)], what: &str) -> String {
    let mut parts = Vec::new();
    let mut empty = Vec::new();
    let mut absent = Vec::new();
    for (name, not_found) in got {
        match not_found {
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

/// The reason's key: the kinds of failure, without names and addresses.
fn keys(no_answers: &[&(SocketAddr, NoAnswer)]) -> String {
    let mut keys: Vec<String> = no_answers
        .iter()
        .map(|(_, no_answer)| match no_answer {
            NoAnswer::Silent => "silent".into(),
            NoAnswer::Garbled => "garbled".into(),
            NoAnswer::Refused | NoAnswer::Denied | NoAnswer::Unreachable(_) => "unreachable".into(),
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

/// Why one family of a name failed while the other was found, in words.
pub(crate) fn other_family(each: &[(SocketAddr, NoAnswer)], name: &str, family: &str, bound: Duration) -> String {
    let names = format!("{family} of {name}");
    each.iter().map(|(at, no_answer)| clause(*at, no_answer, &names, bound)).collect::<Vec<_>>().join("; ")
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOUND: Duration = Duration::from_secs(1);
    const GONE: NotFound = NotFound::NoName { ttl: Some(30), alias: None, failures: Vec::new() };
    const EMPTY: NotFound = NotFound::NoData { ttl: None, alias: None };

    fn failed_with(no_answer: NoAnswer) -> NotFound {
        NotFound::Failed(vec![("10.96.0.10:53".parse().unwrap(), no_answer)])
    }

    fn explain(got: &[(&str, NotFound)]) -> Reason {
        let got: Vec<_> = got.iter().map(|(name, not_found)| ((*name).to_owned(), not_found.clone())).collect();
        reason(&got, &told(Origin::Stated))
    }

    fn told(origin: Origin) -> Told<'static> {
        Told { what: "address", origin, bound: BOUND, cluster: Some("cluster.local") }
    }

    #[test]
    fn no_such_name() {
        let it = explain(&[("db.a", GONE), ("db.b", GONE), ("db", GONE)]);
        assert_eq!(
            it.text(),
            "no such name: db.a, db.b and db do not exist (NXDOMAIN) (caches may go on denying it for up to 30s)"
        );
        assert_eq!(it.code(), Code::ResolveNoSuchName);
        let long = explain(&[("db", NotFound::NoName { ttl: Some(u32::MAX), alias: None, failures: vec![] })]);
        assert!(long.text().ends_with(" (caches may go on denying it for more than 3h)"), "{}", long.text());
        let uncached = explain(&[("db", NotFound::NoName { ttl: None, alias: None, failures: vec![] })]);
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
    fn a_failed_query_counts_more_than_a_denial() {
        let it = explain(&[("db.a", failed_with(NoAnswer::Code(ResponseCode::ServFail))), ("db", GONE)]);
        assert_eq!(it.text(), "nameserver 10.96.0.10 answered SERVFAIL for db.a; db does not exist (NXDOMAIN)");
        assert_eq!(it.code(), Code::ResolveTrouble);
        let refused = explain(&[("db", failed_with(NoAnswer::Code(ResponseCode::Refused)))]);
        assert!(!it.is_like(&refused));
        let silent = explain(&[("db.a", failed_with(NoAnswer::Silent)), ("db", failed_with(NoAnswer::Silent))]);
        assert_eq!(silent.text(), "no answer from nameserver 10.96.0.10 for db.a and db within 1s");
        assert_eq!(silent.code(), Code::ResolveTimeout);
        assert_eq!(explain(&[("db", failed_with(NoAnswer::Refused))]).code(), Code::ResolveUnreachable);
        assert_eq!(explain(&[("db", failed_with(NoAnswer::Local(Errno::MFILE)))]).code(), Code::LocalDescriptors);
    }

    #[test]
    fn the_reason_says_why_127_0_0_1_was_asked() {
        let got = [("db".to_owned(), failed_with(NoAnswer::Refused))];
        for (origin, says) in [
            (Origin::NoFile, "no /etc/resolv.conf"),
            (Origin::NoNameserver, "has no nameserver"),
            (Origin::Unreadable, "cannot be read"),
        ] {
            assert!(reason(&got, &told(origin)).text().contains(says), "{origin:?}");
        }
    }

    #[test]
    fn the_denials_of_the_clusters_zones_say_how_long_caches_deny() {
        let denied = |ttl| NotFound::NoName { ttl: Some(ttl), alias: None, failures: Vec::new() };
        let pod =
            explain(&[("db.ns.svc.cluster.local", denied(30)), ("db.corp.test", denied(600)), ("db", denied(86_400))]);
        assert!(pod.text().ends_with("for up to 30s)"), "{}", pod.text());
        let elsewhere = explain(&[("db.corp.test", denied(600)), ("db", denied(60))]);
        assert!(elsewhere.text().ends_with("for up to 10m)"), "{}", elsewhere.text());
    }

    #[test]
    fn the_port_of_a_nameserver_is_said_once() {
        let refused = |server: &str| {
            explain(&[("db", NotFound::Failed(vec![(server.parse().unwrap(), NoAnswer::Refused)]))]).text().to_owned()
        };
        assert_eq!(refused("10.96.0.10:53"), "refused by nameserver 10.96.0.10 on port 53");
        assert_eq!(refused("10.96.0.10:5353"), "refused by nameserver 10.96.0.10:5353");
        assert_eq!(refused("[fd00::10]:53"), "refused by nameserver fd00::10 on port 53");
        let denied = explain(&[("db", failed_with(NoAnswer::Denied))]);
        assert!(denied.text().contains("NetworkPolicy"), "{}", denied.text());
        assert_eq!(denied.code(), Code::ResolveUnreachable);
    }

    #[test]
    fn the_ninth_name_and_later_ones_are_counted() {
        let names: Vec<String> = (0..12).map(|n| n.to_string()).collect();
        assert_eq!(listed(&names), "0, 1, 2, 3, 4, 5, 6, 7 and 4 more");
        assert_eq!(listed(&names[..1]), "0");
    }
}
