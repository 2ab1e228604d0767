//! What a failure to find or to reach something means here, judged by what is known of this Pod: pure.
//!
//! A hint sends a person somewhere, so each is given only where its evidence is at hand.

use std::net::IpAddr;

use super::conf::{Place, ResolvConf};
use super::hosts::Own;
use super::search::Step;
use super::walk::{Throughout, Via};
use crate::reason::{Code, Hint};

/// What is known of the place that this process runs in.
pub struct Here<'a> {
    /// Whether the environment says that this is a Pod. A container in a container may have its resolv.conf all the same.
    pub kubernetes: bool,
    /// resolv.conf.
    pub conf: &'a ResolvConf,
    /// What the hosts file says about the Pod itself.
    pub own: &'a Own,
}

/// A name that was found.
pub struct Known<'a> {
    /// As it was given.
    pub name: &'a str,
    /// The full name that was found.
    pub full: &'a str,
    /// How.
    pub via: &'a Via,
}

impl Here<'_> {
    /// Whether this is a Pod, with the cluster's nameservers.
    fn in_cluster(&self) -> bool {
        self.kubernetes && self.conf.in_cluster()
    }

    /// The hint for a full name that is this Pod's own, or its headless Service's, or that of another Pod behind that.
    #[must_use]
    pub fn own_service(&self, full: &str) -> Option<Hint> {
        let own = self.own.name.as_deref()?;
        let (_, service) = own.split_once('.')?;
        // Another machine's hosts file may hold its full name, too.
        if !self.in_cluster() || self.conf.place(service) != Some(Place::Service) {
            return None;
        }
        let full = full.strip_suffix('.').unwrap_or(full).to_ascii_lowercase();
        if full == service || full == own {
            return Some(Hint::OwnService);
        }
        let below = full.strip_suffix(service)?.strip_suffix('.')?;
        // `_port._tcp` is asked of the Service; else the label in front of it is a Pod's.
        if below.starts_with('_') {
            return Some(Hint::OwnService);
        }
        (!below.contains('.')).then_some(Hint::OwnPeer)
    }

    /// What is worth looking at where the names in `asked` gave no address for `name`, and each nameserver did the same
    /// `throughout`.
    #[must_use]
    pub fn unfound(&self, code: Code, name: &str, asked: &[Step], throughout: Option<Throughout>) -> Option<Hint> {
        let short = !name.contains('.');
        match code {
            Code::ResolveNoSuchName if let Some(own) = asked.iter().find_map(|step| self.own_service(&step.name)) => {
                Some(own)
            }
            // Names of the outside are found, or not, without a search list.
            Code::ResolveNoSuchName if self.kubernetes && !self.conf.in_cluster() => {
                let of_a_service = name.split('.').any(|label| label.eq_ignore_ascii_case("svc"));
                (short || of_a_service).then_some(Hint::NodeDns)
            }
            Code::ResolveNoSuchName if self.in_cluster() && short => Some(Hint::OtherNamespace),
            Code::ResolveUnreachable | Code::ResolveTimeout if self.in_cluster() => throughout.map(|what| match what {
                Throughout::Refused => Hint::NoDns,
                Throughout::Silent => Hint::DnsDropped,
            }),
            _ => None,
        }
    }

    /// What is worth looking at where nobody at `addresses`, found as `known` says, accepted, and all failed so.
    #[must_use]
    pub fn unreached(&self, code: Code, addresses: &[IpAddr], known: Option<&Known<'_>>) -> Option<Hint> {
        let here = |ip: &IpAddr| ip.is_loopback() || self.own.addresses.contains(ip);
        if !addresses.is_empty() && addresses.iter().all(here) {
            return match code {
                // On the node anything may come to listen.
                Code::ConnectRefused if self.kubernetes && !self.own.host_network => Some(Hint::InThisPod),
                Code::ConnectRefused => Some(Hint::NothingListens),
                Code::ConnectTimeout => Some(Hint::Overloaded),
                _ => None,
            };
        }
        let place = |name| if self.in_cluster() { self.conf.place(name) } else { None };
        if let Some(Known { name, full, via }) = known {
            match (code, place(full), place(&via.owner)) {
                // Names with a dot are meant to lie outside more often than not; after trouble it may not have to.
                (Code::ConnectRefused | Code::ConnectTimeout | Code::ConnectUnreachable, Some(Place::Outside), _)
                    if !name.contains('.') && !via.doubt =>
                {
                    return Some(Hint::OutsideCluster);
                }
                // A Service with an address of its own has one a family; a headless one lists its Pods.
                (Code::ConnectRefused, Some(Place::Service), Some(Place::Service)) => {
                    return Some(if several(addresses) { Hint::PodsRefuse } else { Hint::NoReadyPod });
                }
                (Code::ConnectRefused, _, Some(Place::Pod)) => return Some(Hint::PodsRefuse),
                _ => {}
            }
        }
        (code == Code::ConnectTimeout).then_some(Hint::Dropped)
    }
}

/// Whether one of the families has more than one address.
fn several(addresses: &[IpAddr]) -> bool {
    let v6 = addresses.iter().filter(|ip| ip.is_ipv6()).count();
    v6.max(addresses.len() - v6) > 1
}

#[cfg(test)]
mod tests {
    use super::*;

    const POD: &str =
        "search shop.svc.cluster.local svc.cluster.local cluster.local corp.test\nnameserver 10.96.0.10\n";
    const NODE: &str = "search corp.test\nnameserver 192.0.2.53\n";

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    fn here<T>(conf: &str, kubernetes: bool, judge: impl FnOnce(&Here<'_>) -> T) -> T {
        let conf = ResolvConf::parse(Some(conf.as_bytes()), |_| None);
        let own = Own {
            addresses: vec![ip("10.244.0.7")],
            name: Some("db-1.db.shop.svc.cluster.local".into()),
            host_network: false,
        };
        judge(&Here { kubernetes, conf: &conf, own: &own })
    }

    #[test]
    fn names_that_are_not_found() {
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
            (POD, true, absent, "web.other", "web.other.svc.cluster.local", None),
            (NODE, true, absent, "web", "web.corp.test", Some(Hint::NodeDns)),
            (NODE, true, absent, "db.shop.svc", "db.shop.svc", Some(Hint::NodeDns)),
            (NODE, true, absent, "api.example", "api.example", None),
            (NODE, false, absent, "web", "web.corp.test", None),
            (POD, true, Code::ResolveUnreachable, "web", "web", Some(Hint::NoDns)),
            (NODE, true, Code::ResolveUnreachable, "web", "web", None),
            (POD, true, Code::ResolveTimeout, "web", "web", Some(Hint::DnsDropped)),
            (NODE, true, Code::ResolveTimeout, "web", "web", None),
        ] {
            let steps = [Step { name: asked.to_owned(), searched: true }];
            let throughout = if code == Code::ResolveTimeout { Throughout::Silent } else { Throughout::Refused };
            let it = here(conf, kubernetes, |here| here.unfound(code, name, &steps, Some(throughout)));
            assert_eq!(it, hint, "{name} {code} {conf}");
        }
        for code in [Code::ResolveUnreachable, Code::ResolveTimeout] {
            let partly = here(POD, true, |here| here.unfound(code, "web", &[], None));
            assert_eq!(partly, None, "no route, or silence behind a denial");
        }
    }

    #[test]
    fn addresses_that_need_no_name() {
        let (refused, silent) = (Code::ConnectRefused, Code::ConnectTimeout);
        for (kubernetes, code, addresses, hint) in [
            (true, refused, "127.0.0.1", Some(Hint::InThisPod)),
            (true, refused, "10.244.0.7", Some(Hint::InThisPod)),
            (false, refused, "127.0.0.1 ::1", Some(Hint::NothingListens)),
            (true, silent, "127.0.0.1", Some(Hint::Overloaded)),
            (true, refused, "192.0.2.1", None),
            (true, silent, "192.0.2.1", Some(Hint::Dropped)),
            (false, silent, "192.0.2.1", Some(Hint::Dropped)),
            (true, Code::ConnectDenied, "127.0.0.1", None),
        ] {
            let addresses: Vec<IpAddr> = addresses.split(' ').map(ip).collect();
            let it = here(POD, kubernetes, |here| here.unreached(code, &addresses, None));
            assert_eq!(it, hint, "{addresses:?} {code}");
        }
    }

    #[test]
    fn names_whose_addresses_do_not_accept() {
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
            // An ExternalName, and one to another Service.
            (refused, "192.0.2.1", "db", service, "db.example", None),
            (refused, "10.96.0.9", "alias", "alias.shop.svc.cluster.local", service, Some(Hint::NoReadyPod)),
            (refused, "192.0.2.1", "db", other, other, Some(Hint::OutsideCluster)),
            (Code::ConnectTimeout, "192.0.2.1", "db", other, other, Some(Hint::OutsideCluster)),
            (refused, "192.0.2.1", "db.corp.test", other, other, None),
            (Code::ConnectTimeout, "10.96.0.9", "db", service, service, Some(Hint::Dropped)),
            (Code::ConnectUnreachable, "10.96.0.9", "db", service, service, None),
        ] {
            let addresses: Vec<IpAddr> = addresses.split(' ').map(ip).collect();
            let judge = |kubernetes, doubt| {
                let via = Via { owner: owner.to_owned(), server: "10.96.0.10:53".parse().unwrap(), doubt };
                here(POD, kubernetes, |here| here.unreached(code, &addresses, Some(&Known { name, full, via: &via })))
            };
            assert_eq!(judge(true, false), hint, "{name} {full} {code}");
            let plain = (code == Code::ConnectTimeout).then_some(Hint::Dropped);
            assert_eq!(judge(false, false), plain, "in a container of a Pod's container: {name} {full} {code}");
            if hint == Some(Hint::OutsideCluster) {
                assert_eq!(judge(true, true), plain, "a name of the cluster may be there: {full}");
            }
        }
    }
}
