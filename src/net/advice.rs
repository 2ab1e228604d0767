//! What a failure to find or to reach something means here, judged by what is known of this Pod: pure.
//!
//! A hint sends a person somewhere, so each is given only where its evidence is at hand.

use std::net::IpAddr;

use super::conf::ResolvConf;
use super::hosts::Own;
use super::search::Step;
use super::walk::Source;
use crate::reason::{Code, Hint};

/// What is known of the place that this process runs in.
pub struct Here<'a> {
    /// Whether the environment says that this is a Pod.
    pub kubernetes: bool,
    /// resolv.conf.
    pub conf: &'a ResolvConf,
    /// What the hosts file says about the Pod itself.
    pub own: &'a Own,
}

impl Here<'_> {
    /// Whether `full` is the name of the headless Service that this Pod belongs to, or of a Pod behind it.
    #[must_use]
    pub fn is_own_service(&self, full: &str) -> bool {
        let Some(service) = self.own.service.as_deref() else { return false };
        let full = full.strip_suffix('.').unwrap_or(full).to_ascii_lowercase();
        let below = full.strip_suffix(service).is_some_and(|head| head.is_empty() || head.ends_with('.'));
        // Another machine's hosts file may hold its full name, too.
        below && self.conf.in_cluster_zones(&Source::Dns(full)) == Some(true)
    }

    /// What is worth looking at where the names in `asked` gave no address for `name`.
    #[must_use]
    pub fn unfound(&self, code: Code, name: &str, asked: &[Step]) -> Option<Hint> {
        let in_cluster = self.conf.in_cluster();
        match code {
            Code::ResolveNoSuchName | Code::ResolveNoAddresses
                if asked.iter().any(|step| self.is_own_service(&step.name)) =>
            {
                Some(Hint::OwnService)
            }
            Code::ResolveNoSuchName if self.kubernetes && !in_cluster => Some(Hint::NodeDns),
            Code::ResolveNoSuchName if in_cluster && !name.contains('.') => Some(Hint::OtherNamespace),
            Code::ResolveUnreachable if in_cluster => Some(Hint::NoDns),
            Code::ResolveTimeout if in_cluster => Some(Hint::DnsDropped),
            _ => None,
        }
    }

    /// What is worth looking at where nobody at `addresses` accepted. `within`: whether the DNS gave them out of the
    /// cluster's zones; `short`: the name has no dot.
    #[must_use]
    pub fn unreached(&self, code: Code, addresses: &[IpAddr], within: Option<bool>, short: bool) -> Option<Hint> {
        let here = |ip: &IpAddr| ip.is_loopback() || self.own.addresses.contains(ip);
        let v6 = addresses.iter().filter(|ip| ip.is_ipv6()).count();
        let several = v6.max(addresses.len() - v6) > 1;
        match code {
            Code::ConnectRefused if !addresses.is_empty() && addresses.iter().all(here) => {
                Some(if self.kubernetes { Hint::InThisPod } else { Hint::NothingListens })
            }
            // Names with a dot are meant to lie outside more often than not.
            Code::ConnectRefused | Code::ConnectTimeout | Code::ConnectUnreachable
                if within == Some(false) && short =>
            {
                Some(Hint::OutsideCluster)
            }
            // A Service with an address of its own has one a family; a headless one lists its Pods.
            Code::ConnectRefused if within == Some(true) => {
                Some(if several { Hint::PodsRefuse } else { Hint::NoReadyPod })
            }
            Code::ConnectTimeout => Some(Hint::Dropped),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const POD: &str = "search shop.svc.cluster.local svc.cluster.local cluster.local\nnameserver 10.96.0.10\n";
    const NODE: &str = "search corp.test\nnameserver 192.0.2.53\n";

    fn own() -> Own {
        Own { addresses: vec![ip("10.244.0.7")], service: Some("db.shop.svc.cluster.local".into()) }
    }

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    fn here<T>(conf: &str, kubernetes: bool, judge: impl FnOnce(&Here<'_>) -> T) -> T {
        let conf = ResolvConf::parse(Some(conf.as_bytes()), |_| None);
        judge(&Here { kubernetes, conf: &conf, own: &own() })
    }

    #[test]
    fn names_that_are_not_found() {
        let absent = Code::ResolveNoSuchName;
        for (conf, kubernetes, code, name, asked, hint) in [
            (POD, true, absent, "db", "db.shop.svc.cluster.local", Some(Hint::OwnService)),
            (POD, true, absent, "db-1.DB", "db-1.DB.shop.svc.cluster.local", Some(Hint::OwnService)),
            (POD, true, Code::ResolveNoAddresses, "db", "db.shop.svc.cluster.local", Some(Hint::OwnService)),
            (POD, true, Code::ResolveTrouble, "db", "db.shop.svc.cluster.local", None),
            (POD, true, absent, "mydb", "mydb.shop.svc.cluster.local", Some(Hint::OtherNamespace)),
            (POD, false, absent, "web", "web.shop.svc.cluster.local", Some(Hint::OtherNamespace)),
            (POD, true, absent, "web.other", "web.other.svc.cluster.local", None),
            (NODE, true, absent, "web", "web.corp.test", Some(Hint::NodeDns)),
            (NODE, true, absent, "db", "db.shop.svc.cluster.local", Some(Hint::NodeDns)),
            (NODE, false, absent, "web", "web.corp.test", None),
            (POD, true, Code::ResolveUnreachable, "web", "web", Some(Hint::NoDns)),
            (NODE, true, Code::ResolveUnreachable, "web", "web", None),
            (POD, true, Code::ResolveTimeout, "web", "web", Some(Hint::DnsDropped)),
            (NODE, true, Code::ResolveTimeout, "web", "web", None),
        ] {
            let steps = [Step { name: asked.to_owned(), searched: true }];
            assert_eq!(here(conf, kubernetes, |here| here.unfound(code, name, &steps)), hint, "{name} {code} {conf}");
        }
    }

    #[test]
    fn addresses_that_do_not_accept() {
        let (refused, silent) = (Code::ConnectRefused, Code::ConnectTimeout);
        for (kubernetes, code, addresses, within, short, hint) in [
            (true, refused, "127.0.0.1", None, true, Some(Hint::InThisPod)),
            (true, refused, "10.244.0.7", Some(true), true, Some(Hint::InThisPod)),
            (false, refused, "127.0.0.1 ::1", None, true, Some(Hint::NothingListens)),
            (true, refused, "10.96.0.9", Some(true), true, Some(Hint::NoReadyPod)),
            (true, refused, "10.96.0.9 fd00::9", Some(true), true, Some(Hint::NoReadyPod)),
            (true, refused, "10.244.0.8 10.244.0.9", Some(true), true, Some(Hint::PodsRefuse)),
            (true, refused, "10.244.0.7 10.244.0.9", Some(true), true, Some(Hint::PodsRefuse)),
            (true, refused, "192.0.2.1", Some(false), true, Some(Hint::OutsideCluster)),
            (true, refused, "192.0.2.1", Some(false), false, None),
            (true, refused, "192.0.2.1", None, false, None),
            (true, silent, "192.0.2.1", None, false, Some(Hint::Dropped)),
            (true, silent, "127.0.0.1", None, false, Some(Hint::Dropped)),
            (true, Code::ConnectUnreachable, "10.96.0.9", Some(true), true, None),
            (true, Code::ConnectDenied, "127.0.0.1", None, true, None),
        ] {
            let addresses: Vec<IpAddr> = addresses.split(' ').map(ip).collect();
            let it = here(POD, kubernetes, |here| here.unreached(code, &addresses, within, short));
            assert_eq!(it, hint, "{addresses:?} {code}");
        }
    }
}
