//! What this Pod knows about its cluster: its own names, the cluster's zones, and which zone a full name is in. Pure.

use std::net::IpAddr;

use super::names::hosts::Own;
use super::names::resolv_conf::ResolvConf;
use super::names::search::ends_in;

/// What a full name means in a cluster's DNS (the DNS specification of Kubernetes: dns.md of kubernetes/dns).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// `NAME.NAMESPACE.svc.DOMAIN`.
    Service,
    /// `POD.SERVICE.NAMESPACE.svc.DOMAIN` or `ADDRESS.NAMESPACE.pod.DOMAIN`.
    Pod,
    /// A name outside the cluster's zones.
    Outside,
}

/// What waitgate knows about the Pod that it runs in.
pub(crate) struct Cluster<'a> {
    /// Whether the environment says that this is a Pod. resolv.conf alone does not say it: a container that runs inside
    /// a Pod's container has the Pod's resolv.conf too.
    pub(crate) kubernetes: bool,
    pub(crate) conf: &'a ResolvConf,
    /// What the hosts file says about the Pod itself.
    pub(crate) own: &'a Own,
    /// The addresses of Services that the environment names (`REDIS_SERVICE_HOST`).
    pub(crate) services: &'a [IpAddr],
}

/// How a full name relates to this Pod.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Relation {
    /// It is this Pod's own name, or the name of its headless Service.
    Own,
    /// It is another Pod of that Service.
    Peer,
}

impl Cluster<'_> {
    /// Whether this is a Pod that uses the cluster's nameservers.
    pub(crate) fn uses_cluster_dns(&self) -> bool {
        self.kubernetes && self.conf.cluster_domain().is_some()
    }

    /// Whether this is a Pod that uses other nameservers than the cluster's.
    pub(crate) fn uses_other_dns(&self) -> bool {
        self.kubernetes && self.conf.cluster_domain().is_none()
    }

    /// What `full` means in the cluster's DNS; `None` if waitgate does not run in a cluster.
    pub(crate) fn place(&self, full: &str) -> Option<Place> {
        if self.kubernetes { place(self.conf, full) } else { None }
    }

    /// Whether `name` was meant for the cluster and was found as `full`, by a search domain outside the cluster's zones.
    ///
    /// A name is meant for the cluster if it has no dot, if it has the form NAME.NAMESPACE, or if it ends in one of the
    /// cluster's search domains. A wildcard of the other domain may be a stranger.
    pub(crate) fn is_astray(&self, name: &str, full: &str) -> bool {
        let Some(domain) = self.conf.cluster_domain().filter(|_| self.kubernetes) else { return false };
        let searched = full.len() > name.len() && !name.ends_with('.');
        searched && is_meant(name, domain) && !ends_in(full, domain)
    }

    /// How a full name relates to this Pod.
    pub(crate) fn relation(&self, full: &str) -> Option<Relation> {
        let own = self.own.name.as_deref()?;
        let (_, service) = own.split_once('.')?;
        // A machine outside a cluster may have its full name in the hosts file too.
        if self.place(service) != Some(Place::Service) {
            return None;
        }
        let full = full.strip_suffix('.').unwrap_or(full).to_ascii_lowercase();
        if full == service || full == own {
            return Some(Relation::Own);
        }
        let below = full.strip_suffix(service)?.strip_suffix('.')?;
        // `_port._tcp` belongs to the Service. Any other label before the Service's name is the name of a Pod.
        if below.starts_with('_') {
            return Some(Relation::Own);
        }
        (!below.contains('.')).then_some(Relation::Peer)
    }
}

/// Whether `name` is probably meant for the cluster with this domain.
pub(super) fn is_meant(name: &str, domain: &str) -> bool {
    let dots = name.bytes().filter(|byte| *byte == b'.').count();
    let service =
        |name: &str| name.len() > 4 && name.get(name.len() - 4..).is_some_and(|end| end.eq_ignore_ascii_case(".svc"));
    dots <= 1 || service(name) || ends_in(name, domain)
}

fn place(conf: &ResolvConf, full: &str) -> Option<Place> {
    let domain = conf.cluster_domain()?.to_ascii_lowercase();
    let full = full.strip_suffix('.').unwrap_or(full).to_ascii_lowercase();
    let below = full.strip_suffix(&domain).and_then(|below| below.strip_suffix('.'));
    let labels: Vec<&str> = below.unwrap_or_default().split('.').collect();
    Some(match labels[..] {
        [_, _, "svc"] => Place::Service,
        [_, _, .., "svc"] | [_, .., "pod"] => Place::Pod,
        _ => Place::Outside,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_another_domain_has() {
        let conf = "search ns.svc.cluster.local svc.cluster.local cluster.local corp.test\n";
        let conf = ResolvConf::parse(Some(conf.as_bytes()), |_| None);
        let cluster = Cluster { kubernetes: true, conf: &conf, own: &Own::default(), services: &[] };
        for (name, full, astray) in [
            ("db", "db.corp.test", true),
            ("db.ns", "db.ns.corp.test", true),
            ("db.ns.svc", "db.ns.svc.corp.test", true),
            ("db.ns.svc.cluster.local", "db.ns.svc.cluster.local.corp.test", true),
            ("db", "db.ns.svc.cluster.local", false),
            ("db.ns", "db.ns.svc.cluster.local", false),
            ("db.ns.svc.cluster.local", "db.ns.svc.cluster.local", false),
            ("example.com", "example.com", false),
            ("api.example.com", "api.example.com.corp.test", false),
        ] {
            assert_eq!(cluster.is_astray(name, full), astray, "{name} {full}");
        }
        let elsewhere = Cluster { kubernetes: false, ..cluster };
        assert!(!elsewhere.is_astray("db", "db.corp.test"));
    }

    #[test]
    fn a_full_name_is_a_service_a_pod_or_outside() {
        let parse = |text: &str| ResolvConf::parse(Some(text.as_bytes()), |_| None);
        let conf = parse("search ns.svc.cluster.local svc.cluster.local cluster.local\noptions ndots:5\n");
        for (full, expected) in [
            ("db.other.SVC.cluster.local", Place::Service),
            ("db-0.db.other.svc.cluster.local", Place::Pod),
            ("10-0-0-1.other.pod.cluster.local.", Place::Pod),
            ("db.corp.example", Place::Outside),
            ("svc.cluster.local", Place::Outside),
            ("svc.cluster.local.example", Place::Outside),
            ("dbsvc.cluster.local", Place::Outside),
        ] {
            assert_eq!(place(&conf, full), Some(expected), "{full}");
        }
        assert_eq!(place(&parse("search example"), "a.b.svc.x"), None);
        assert_eq!(conf.cluster_domain(), Some("cluster.local"));
        assert_eq!(parse("search example.com svcs.example").cluster_domain(), None);
    }
}
