//! What a reason means here and what to look at: the hints, in words.

use crate::reason::{Hint, Reason};

/// A reason in one sentence: what happened, to which address, what it means here, what to look at.
#[must_use]
pub fn sentence(reason: &Reason) -> String {
    match reason.hinted().map(hint) {
        Some(hint) => format!("{}: {hint}", reason.text()),
        None => reason.text().to_owned(),
    }
}

/// The words of a hint. Each is given only where its evidence is at hand, and worded as a likelihood where
/// the evidence allows more than one cause.
#[must_use]
pub fn hint(hint: Hint) -> &'static str {
    match hint {
        Hint::NoReadyPod => "the Service exists: no ready Pod is behind it yet, or its Pods do not listen on that port",
        Hint::PodsRefuse => "the DNS lists the Pods, and they do not listen on that port (yet)",
        Hint::NothingListens => "nothing listens on that port here yet",
        Hint::InThisPod => {
            "nothing listens on that port in this Pod yet (while init containers run, only a sidecar listed before this one can: restartPolicy Always)"
        }
        Hint::Mesh => {
            "the nameserver refuses connections too: most likely a service mesh takes over those of this Pod and its sidecar is not up yet (a native sidecar would be), or a NetworkPolicy rejects them"
        }
        Hint::Dropped => "packets seem to be dropped: look for a NetworkPolicy or a firewall, or the host is gone",
        Hint::FrontClosed => {
            "a front such as docker-proxy or a sidecar, with nobody behind it yet; or a server that refuses us"
        }
        Hint::Gateway => {
            "most likely a proxy's own answer, for a server behind it that is not there yet or does not answer it"
        }
        Hint::NoDns => {
            "most likely no DNS Pod is ready behind it; else a NetworkPolicy rejects this, or a service mesh takes DNS over and its sidecar is not up yet"
        }
        Hint::DnsDropped => {
            "look for a NetworkPolicy that keeps this Pod from port 53 (UDP and TCP), and at the DNS Pods"
        }
        Hint::NodeDns => {
            "a cluster's names need its search domains and nameserver: this Pod has dnsPolicy Default or None, or hostNetwork without ClusterFirstWithHostNet"
        }
        Hint::OtherNamespace => {
            "no such Service in this namespace yet, or a headless one without a ready Pod (one of another namespace is NAME.NAMESPACE)"
        }
        Hint::OutsideCluster => {
            "that is outside of the cluster, for no Service of that name has an address in this namespace (a headless one has none before a Pod is ready)"
        }
        Hint::OwnService => {
            "that name is of this Pod's own headless Service, which lists Pods only once they are ready, and this one is not while it waits: set publishNotReadyAddresses, or do not wait for it"
        }
        Hint::Overloaded => "its queue of connections seems to be full: the server is stopped or overloaded",
        Hint::OwnPeer => {
            "that is another Pod of this Pod's own Service, which is listed once it is ready; a StatefulSet with OrderedReady makes the next Pod only once this one is ready"
        }
        Hint::Forbidden => "the server, or a policy in front of it, forbids this request",
        Hint::PgHba => "look at pg_hba.conf for this user, database and address, and at TLS",
        Hint::UseTcp => "use tcp: to wait for a server that does not speak HTTP",
        Hint::UseHttps => "use https: to speak TLS",
        Hint::UseHttp => "use http: for this port, or give the port that is meant",
        Hint::UsePostgres => "use postgres: to wait for PostgreSQL",
        Hint::Credentials => "look at the credentials, if any are given, or wait until they are made",
        Hint::Database => "look at the database's name, or wait until it is made",
        Hint::CaFile => "give its CA (--ca-file, or the target's own #ca= or sslrootcert=)",
        Hint::Limits => "raise the limit, or wait for fewer targets at once",
    }
}
