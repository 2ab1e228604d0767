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
        Hint::NoReadyPod => "the Service exists, no ready Pod is behind it yet (or another port is meant)",
        Hint::NothingListens => "nothing listens on that port here yet",
        Hint::Dropped => "packets seem to be dropped: look for a NetworkPolicy or a firewall, or the host is gone",
        Hint::FrontClosed => {
            "a front such as docker-proxy or a sidecar, with nobody behind it yet; or a server that refuses us"
        }
        Hint::NodeDns => {
            "resolv.conf has no cluster search domain: a Pod with hostNetwork needs dnsPolicy ClusterFirstWithHostNet"
        }
        Hint::OtherNamespace => "a Service of another namespace is asked for as NAME.NAMESPACE",
        Hint::OutsideCluster => {
            "the name was found outside of the cluster: no Service of that name exists in this namespace"
        }
        Hint::UseTcp => "use tcp: to wait for a server that does not speak HTTP",
        Hint::UseHttps => "use https: to speak TLS",
        Hint::UseHttp => "use http: for plain HTTP, or the port that speaks TLS",
        Hint::UsePostgres => "use postgres: to wait for PostgreSQL",
        Hint::Credentials => "look at the user and the password, or wait until they are made",
        Hint::Database => "look at the database's name, or wait until it is made",
        Hint::CaFile => "give its CA (--ca-file, or the target's own #ca= or sslrootcert=)",
        Hint::Limits => "raise the limit, or wait for fewer targets at once",
    }
}
