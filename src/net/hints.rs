//! Hints for a name that is not found and for addresses that do not accept. Pure.
//!
//! A hint tells a person where to look, so waitgate gives it only if it has the evidence.

use std::net::IpAddr;

use super::cluster::{Cluster, Place, Relation, is_meant};
use super::names::answer::{AllServers, Via};
use crate::reason::{Code, Hint};

/// A name that was found.
pub(crate) struct Known<'a> {
    /// The name as the target gives it.
    pub(crate) name: &'a str,
    /// The full name that was found.
    pub(crate) full: &'a str,
    /// How the DNS found it.
    pub(crate) via: &'a Via,
}

/// The hint for a full name of this Pod, of its headless Service, or of another Pod of that Service.
pub(crate) fn own_service(cluster: &Cluster<'_>, full: &str) -> Option<Hint> {
    cluster.relation(full).map(|relation| match relation {
        Relation::Own => Hint::OwnService,
        Relation::Peer => Hint::OwnPeer,
    })
}

/// The hint when the names in `asked` gave no address for `name`. `all_servers` is what every nameserver did. A name that
/// is an alias exists, so `aliased` excludes the hints for names that do not.
pub(crate) fn not_found(
    cluster: &Cluster<'_>,
    code: Code,
    name: &str,
    asked: &[String],
    all_servers: Option<AllServers>,
    aliased: bool,
) -> Option<Hint> {
    let short = !name.contains('.');
    match code {
        Code::ResolveNoSuchName if aliased => None,
        Code::ResolveNoSuchName if let Some(own) = asked.iter().find_map(|full| own_service(cluster, full)) => {
            Some(own)
        }
        // A name outside the cluster does not need the cluster's search list, so it gets no hint.
        Code::ResolveNoSuchName if cluster.uses_other_dns() => {
            let of_a_service = name.split('.').any(|label| label.eq_ignore_ascii_case("svc"));
            let dots = name.bytes().filter(|byte| *byte == b'.').count();
            (!name.ends_with('.') && (dots <= 1 || of_a_service)).then_some(Hint::NodeDns)
        }
        Code::ResolveNoSuchName if cluster.uses_cluster_dns() && short => Some(Hint::OtherNamespace),
        Code::ResolveNoSuchName if cluster.uses_cluster_dns() => {
            let domain = cluster.conf.cluster_domain()?;
            is_meant(name.strip_suffix('.').unwrap_or(name), domain).then_some(Hint::NoService)
        }
        Code::ResolveUnreachable | Code::ResolveTimeout if cluster.uses_cluster_dns() => {
            all_servers.map(|all| match all {
                AllServers::Refused => Hint::NoDns,
                AllServers::Silent => Hint::DnsDropped,
            })
        }
        _ => None,
    }
}

/// The hint when every address failed with `code`; `known` tells how the name was resolved.
pub(crate) fn unreached(
    cluster: &Cluster<'_>,
    code: Code,
    addresses: &[IpAddr],
    known: Option<&Known<'_>>,
) -> Option<Hint> {
    let here = |ip: &IpAddr| ip.is_loopback() || cluster.own.addresses.contains(ip);
    if !addresses.is_empty() && addresses.iter().all(here) {
        return match code {
            // With hostNetwork, any process of the node may start to listen there.
            Code::ConnectRefused if cluster.kubernetes && !cluster.own.host_network => Some(Hint::InThisPod),
            Code::ConnectRefused => Some(Hint::NothingListens),
            Code::ConnectTimeout => Some(Hint::Overloaded),
            _ => None,
        };
    }
    if let Some(Known { name, full, via }) = known {
        match (code, cluster.place(full), cluster.place(&via.owner)) {
            // A name with a dot is usually meant to be outside. If a query failed, the Service may exist after all.
            (Code::ConnectRefused | Code::ConnectTimeout | Code::ConnectUnreachable, Some(Place::Outside), _)
                if (!name.contains('.') || cluster.is_astray(name, full)) && !via.uncertain =>
            {
                return Some(Hint::OutsideCluster);
            }
            // A Service with a cluster IP has one address in each family. A headless Service has the addresses of its
            // Pods.
            (Code::ConnectRefused, Some(Place::Service), Some(Place::Service)) => {
                return Some(if several(addresses) { Hint::PodsRefuse } else { Hint::NoReadyPod });
            }
            (Code::ConnectTimeout, Some(Place::Service), Some(Place::Service)) if !several(addresses) => {
                return Some(Hint::ServiceSilent);
            }
            (Code::ConnectRefused, _, Some(Place::Pod)) => return Some(Hint::PodsRefuse),
            _ => {}
        }
    }
    let is_service = |ip: &IpAddr| cluster.kubernetes && cluster.services.contains(ip);
    let service = !addresses.is_empty() && addresses.iter().all(is_service);
    match code {
        Code::ConnectRefused if service => Some(Hint::NoReadyPod),
        Code::ConnectTimeout if service => Some(Hint::ServiceSilent),
        Code::ConnectTimeout => Some(Hint::Dropped),
        _ => None,
    }
}

/// Whether one of the families has more than one address.
fn several(addresses: &[IpAddr]) -> bool {
    of_one_family(addresses.iter().copied()) > 1
}

/// The number of addresses in the larger family. A name with both families lists each server twice.
pub(crate) fn of_one_family(addresses: impl Iterator<Item = IpAddr>) -> usize {
    let (v6, v4): (Vec<_>, Vec<_>) = addresses.partition(IpAddr::is_ipv6);
    v6.len().max(v4.len())
}

#[cfg(test)]
mod tests {
    use super::super::names::hosts::Own;
    use super::super::names::resolv_conf::ResolvConf;
    use super::*;

    const POD: &str =
        "search shop.svc.cluster.local svc.cluster.local cluster.local corp.test\nnameserver 10.96.0.10\n";
    const NODE: &str = "search corp.test\nnameserver 192.0.2.53\n";

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    fn here<T>(conf: &str, kubernetes: bool, judge: impl FnOnce(&Cluster<'_>) -> T) -> T {
        let conf = ResolvConf::parse(Some(conf.as_bytes()), |_| None);
        let own = Own {
            addresses: vec![ip("10.244.0.7")],
            name: Some("db-1.db.shop.svc.cluster.local".into()),
            host_network: false,
        };
        judge(&Cluster { kubernetes, conf: &conf, own: &own, services: &[ip("10.96.0.77")] })
    }

    #[test]
    fn hints_for_names_that_are_not_found() {
        let absent = Code::ResolveNoSuchName;
        for (conf, kubernetes, code, name, asked, hint) in [
            (POD, true, absent, "db", "db.shop.svc.cluster.local", Some(Hint::OwnService)),
            (POD, true, absent, "db-1.db", "db-1.db.shop.svc.cluster.local", Some(Hint::OwnService)),
            (POD, true, absent, "db-0.DB", "db-0.DB.shop.svc.cluster.local", Some(Hint::OwnPeer)),
            (POD, true, absent, "_pg._tcp.db", "_pg._tcp.db.shop.svc.cluster.local", Some(Hint::OwnService)),
            (POD, true, Code::ResolveNoAddresses, "db", "db.shop.svc.cluster.local", None),
            (POD, true, Code::ResolveTrouble, "db", "db.shop.svc.cluster.local", None),
            (POD, false, absent, "db", "db.shop.svc.cluster.local", None),
            (POD, true, absent, "mydb", "mydb.shop.svc.cluster.local", Some(Hint::OtherNamespace)),
            (POD, false, absent, "web", "web.shop.svc.cluster.local", None),
            (POD, true, absent, "web.other", "web.other.svc.cluster.local", Some(Hint::NoService)),
            (
                POD,
                true,
                absent,
                "a.web.other.svc.cluster.local",
                "a.web.other.svc.cluster.local",
                Some(Hint::NoService),
            ),
            (POD, true, absent, "web.other.svc.cluster.local.", "web.other.svc.cluster.local", Some(Hint::NoService)),
            (POD, true, absent, "api.example.com", "api.example.com", None),
            (POD, false, absent, "web.other", "web.other.svc.cluster.local", None),
            (NODE, true, absent, "web", "web.corp.test", Some(Hint::NodeDns)),
            (NODE, true, absent, "db.shop.svc", "db.shop.svc", Some(Hint::NodeDns)),
            (NODE, true, absent, "web.other", "web.other", Some(Hint::NodeDns)),
            (NODE, true, absent, "api.example.com", "api.example.com", None),
            (NODE, false, absent, "web", "web.corp.test", None),
            (POD, true, Code::ResolveUnreachable, "web", "web", Some(Hint::NoDns)),
            (NODE, true, Code::ResolveUnreachable, "web", "web", None),
            (POD, true, Code::ResolveTimeout, "web", "web", Some(Hint::DnsDropped)),
            (NODE, true, Code::ResolveTimeout, "web", "web", None),
        ] {
            let steps = [asked.to_owned()];
            let all_servers = if code == Code::ResolveTimeout { AllServers::Silent } else { AllServers::Refused };
            let judge = |aliased| {
                here(conf, kubernetes, |here| not_found(here, code, name, &steps, Some(all_servers), aliased))
            };
            assert_eq!(judge(false), hint, "{name} {code} {conf}");
            if code == absent {
                assert_eq!(judge(true), None, "an alias exists: {name}");
            }
        }
        for code in [Code::ResolveUnreachable, Code::ResolveTimeout] {
            let partly = here(POD, true, |here| not_found(here, code, "web", &[], None, false));
            assert_eq!(partly, None, "the nameservers did not all do the same");
        }
    }

    #[test]
    fn hints_for_addresses_without_a_name() {
        let (refused, silent) = (Code::ConnectRefused, Code::ConnectTimeout);
        for (kubernetes, code, addresses, hint) in [
            (true, refused, "127.0.0.1", Some(Hint::InThisPod)),
            (true, refused, "10.244.0.7", Some(Hint::InThisPod)),
            (false, refused, "127.0.0.1 ::1", Some(Hint::NothingListens)),
            (true, silent, "127.0.0.1", Some(Hint::Overloaded)),
            (true, refused, "192.0.2.1", None),
            (true, refused, "10.96.0.77", Some(Hint::NoReadyPod)),
            (false, refused, "10.96.0.77", None),
            (true, silent, "10.96.0.77", Some(Hint::ServiceSilent)),
            (true, silent, "192.0.2.1", Some(Hint::Dropped)),
            (false, silent, "192.0.2.1", Some(Hint::Dropped)),
            (true, Code::ConnectDenied, "127.0.0.1", None),
        ] {
            let addresses: Vec<IpAddr> = addresses.split(' ').map(ip).collect();
            let it = here(POD, kubernetes, |here| unreached(here, code, &addresses, None));
            assert_eq!(it, hint, "{addresses:?} {code}");
        }
    }

    #[test]
    fn hints_for_names_whose_addresses_do_not_accept() {
        let (service, pod, other) = ("db.shop.svc.cluster.local", "a.db.shop.svc.cluster.local", "db.corp.test");
        let refused = Code::ConnectRefused;
        for (code, addresses, name, full, owner, hint) in [
            (refused, "10.96.0.9", "db", service, service, Some(Hint::NoReadyPod)),
            (refused, "10.96.0.9", "db.shop", service, service, Some(Hint::NoReadyPod)),
            (refused, "10.96.0.9 fd00::9", "db", service, service, Some(Hint::NoReadyPod)),
            (refused, "10.244.0.8 10.244.0.9", "db", service, service, Some(Hint::PodsRefuse)),
            (refused, "10.244.0.7 10.244.0.9", "db", service, service, Some(Hint::PodsRefuse)),
            (refused, "10.244.0.9", "a.db", pod, pod, Some(Hint::PodsRefuse)),
            (
                refused,
                "10.244.0.9",
                "x",
                "10-244-0-9.shop.pod.cluster.local",
                "10-244-0-9.shop.pod.cluster.local",
                Some(Hint::PodsRefuse),
            ),
            // An ExternalName that points outside, and one that points to another Service.
            (refused, "192.0.2.1", "db", service, "db.example", None),
            (refused, "10.96.0.9", "alias", "alias.shop.svc.cluster.local", service, Some(Hint::NoReadyPod)),
            (refused, "192.0.2.1", "db", other, other, Some(Hint::OutsideCluster)),
            (Code::ConnectTimeout, "192.0.2.1", "db", other, other, Some(Hint::OutsideCluster)),
            (refused, "192.0.2.1", "db.corp.test", other, other, None),
            (Code::ConnectTimeout, "10.96.0.9", "db", service, service, Some(Hint::ServiceSilent)),
            (Code::ConnectTimeout, "10.244.0.8 10.244.0.9", "db", service, service, Some(Hint::Dropped)),
            (refused, "192.0.2.1", "db.shop", "db.shop.corp.test", "db.shop.corp.test", Some(Hint::OutsideCluster)),
            (Code::ConnectUnreachable, "10.96.0.9", "db", service, service, None),
        ] {
            let addresses: Vec<IpAddr> = addresses.split(' ').map(ip).collect();
            let judge = |kubernetes, uncertain| {
                let via = Via { owner: owner.to_owned(), server: "10.96.0.10:53".parse().unwrap(), uncertain };
                here(POD, kubernetes, |here| unreached(here, code, &addresses, Some(&Known { name, full, via: &via })))
            };
            assert_eq!(judge(true, false), hint, "{name} {full} {code}");
            let plain = (code == Code::ConnectTimeout).then_some(Hint::Dropped);
            assert_eq!(judge(false, false), plain, "not in a Pod: {name} {full} {code}");
            if hint == Some(Hint::OutsideCluster) {
                assert_eq!(judge(true, true), plain, "the Service may exist: {full}");
            }
        }
    }
}
