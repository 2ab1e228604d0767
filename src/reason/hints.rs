//! The hints: one row for each, with the evidence that it needs and its words.
//!
//! A hint says what a reason means here and what to look at. It is given only where its evidence is there, and its words
//! name a likelihood where the evidence allows more than one cause. docs/reasons.md prints the rows.

use std::borrow::Cow;

macro_rules! hints {
    ($($name:ident, $evidence:literal, $words:literal;)*) => {
        /// What a reason means here, and what to look at.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub(crate) enum Hint {
            $(#[doc = $evidence] $name,)*
            /// The server speaks a protocol that this kind waits for.
            UseKind(&'static str),
        }

        impl Hint {
            /// Every hint.
            pub(crate) const ALL: &[Self] = &[$(Self::$name,)* Self::UseKind("KIND")];

            /// What has to be known before it is given, in a sentence.
            #[cfg(test)]
            pub(crate) fn evidence(self) -> &'static str {
                match self {
                    $(Self::$name => $evidence,)*
                    Self::UseKind(_) => "The server's first bytes are those of another protocol.",
                }
            }

            /// What it says, to follow the reason and a colon.
            pub(crate) fn words(self) -> Cow<'static, str> {
                match self {
                    $(Self::$name => $words.into(),)*
                    Self::UseKind(kind) => format!("use {kind}: for this port, or give the port that is meant").into(),
                }
            }
        }
    };
}

hints! {
    NoReadyPod,
        "Refused by the one address of its family that a Service's name has, in a Pod with the cluster's search domains.",
        "the Service exists and has no ready Pod yet, or its Pods do not listen on that port";
    PodsRefuse,
        "Refused by all of several addresses of a Service's name (a headless one lists its Pods), or by a Pod's own name.",
        "the DNS lists the Pods, and they do not listen on that port (yet)";
    NothingListens,
        "Refused by loopback, or by this machine's own address.",
        "nothing listens on that port here yet";
    InThisPod,
        "Refused by loopback, or by this Pod's own address, in a Pod without hostNetwork.",
        "nothing listens on that port in this Pod yet (while init containers run, only a sidecar that is listed before this one can listen: restartPolicy Always)";
    Mesh,
        "Refused by a Service, while the nameserver, which has just answered over UDP, refuses a connection.",
        "the nameserver refuses TCP too: probably a service mesh redirects this Pod and its sidecar has not started (a native sidecar would have), or a NetworkPolicy rejects the connections";
    Dropped,
        "Nothing came back to the connection attempts.",
        "packets seem to be dropped: look for a NetworkPolicy or a firewall, or the host is gone";
    Overloaded,
        "Nothing came back from loopback, or from this Pod's own address.",
        "the server's queue of connections seems to be full: the server is stopped or overloaded";
    ProxyClosed,
        "Accepted, and closed before the server said anything.",
        "a proxy (docker-proxy, a sidecar) without a ready backend, or a server that rejects this client";
    Gateway,
        "502 or 504, or a 503 that Envoy did not get from its backend.",
        "probably a proxy's own answer: its backend is not there yet, or does not answer the proxy";
    NoDns,
        "Refused by all the nameservers, in a Pod with the cluster's search domains.",
        "probably no DNS Pod is ready, or a NetworkPolicy rejects this, or a service mesh redirects DNS and its sidecar has not started";
    DnsDropped,
        "Nothing came back from the nameservers, in a Pod with the cluster's search domains.",
        "look for a NetworkPolicy that keeps this Pod from port 53 (UDP and TCP), and at the DNS Pods";
    NodeDns,
        "No such name, where a name without a dot, or a Service's, was looked for in a Pod without the cluster's search domains.",
        "a cluster's names need its search domains and nameserver: this Pod has dnsPolicy Default or None, or hostNetwork without ClusterFirstWithHostNet";
    OtherNamespace,
        "No such name, where a name without a dot was looked for in a Pod with the cluster's search domains.",
        "no such Service in this namespace yet, or a headless one without a ready Pod (in another namespace it is NAME.NAMESPACE)";
    OutsideCluster,
        "Refused or silent, where a name without a dot was found outside the cluster's zones, and denied within.",
        "this address is outside the cluster: no Service of that name was found in this namespace (a headless Service has no address before a Pod is ready)";
    OwnService,
        "Not found, or too few, under the name of this Pod or of its Service, as the hosts file gives them.",
        "this Pod waits for itself: its headless Service lists only ready Pods. Set publishNotReadyAddresses: true, or remove this target";
    OwnPeer,
        "Not found under the name of another Pod of this Pod's Service, as the hosts file gives it.",
        "this is another Pod of this Pod's own Service, which lists it once it is ready; a StatefulSet with OrderedReady makes the next Pod only after this one is ready";
    Credentials,
        "The server is there and refuses the credentials, or wants some (401, 407, 28P01).",
        "check the user name and the password; if the user is made later, waitgate keeps trying";
    Forbidden,
        "403.",
        "the server, or a policy of a proxy, forbids this request";
    AccessRules,
        "The server is there and its access rules do not allow this login (28000).",
        "check pg_hba.conf for this user, database and address, and whether TLS is required";
    Database,
        "The server is there and does not have the database.",
        "check the database's name; if it is made later, waitgate keeps trying";
    CaFile,
        "The certificate's issuer is not one of the roots.",
        "give its CA (--ca-file, or the target's own #ca= or sslrootcert=)";
    Limits,
        "The system has no descriptor, port or thread left.",
        "raise the limit, or wait for fewer targets at once";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_hint_follows_a_colon() {
        for hint in Hint::ALL {
            assert!(!hint.words().ends_with('.') && hint.evidence().ends_with('.'), "{hint:?}");
        }
    }
}
