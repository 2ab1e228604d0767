//! The hints: one row for each, with the evidence that it needs and its words.
//!
//! A hint says what a reason means here and what to look at. waitgate gives a hint only if it has the evidence. If the
//! evidence allows more than one cause, the words say "probably" or "seems". docs/reasons.md prints the rows.

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

            /// What waitgate must know before it gives the hint, in a sentence.
            #[cfg(test)]
            pub(crate) fn evidence(self) -> &'static str {
                match self {
                    $(Self::$name => $evidence,)*
                    Self::UseKind(_) => "The server's first bytes are those of another protocol.",
                }
            }

            /// The words, which follow the reason and a colon.
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
        "A Service's name has one address in each family, or the environment names the address as that of a Service (NAME_SERVICE_HOST), and every address refuses, in a Pod.",
        "the Service exists and has no ready Pod yet, or its Pods do not listen on that port, or the Service has no such port";
    PodsRefuse,
        "A Service's name has several addresses (a headless Service lists its Pods), or the name is that of a Pod, and every address refuses.",
        "the DNS lists the Pods, and they do not listen on that port (yet)";
    NothingListens,
        "The loopback address, or this machine's own address, refuses.",
        "nothing listens on that port here yet";
    InThisPod,
        "The loopback address, or this Pod's own address, refuses, in a Pod without hostNetwork.",
        "nothing listens on that port in this Pod yet (while init containers run, only a sidecar that is listed before this one can listen: restartPolicy Always)";
    Mesh,
        "A Service refuses, and the nameserver, which has just answered over UDP, refuses a TCP connection too.",
        "the nameserver refuses TCP too: probably a service mesh redirects this Pod and its sidecar has not started (a native sidecar would have), or a NetworkPolicy rejects the connections";
    Dropped,
        "Nothing came back to the connection attempts.",
        "packets seem to be dropped: look for a NetworkPolicy or a firewall, or the host is gone, or the server's queue of connections is full";
    ServiceSilent,
        "Nothing came back from the address of a Service, in a Pod.",
        "packets seem to be dropped: probably the Service has no such port, or look for a NetworkPolicy or a firewall";
    Rejected,
        "A packet that came back within 100 ms says that the host cannot be reached.",
        "that came at once: probably a firewall or a NetworkPolicy rejects the connection";
    Overloaded,
        "Nothing came back from loopback, or from this Pod's own address.",
        "the server's queue of connections seems to be full: the server is stopped or overloaded";
    ProxyClosed,
        "The server accepted the connection and closed it before it sent anything.",
        "a proxy (docker-proxy, a sidecar) without a ready backend, or a server that rejects this client";
    ClosedUnanswered,
        "The server accepted the connection, got a request, and closed it without an answer.",
        "a proxy (docker-proxy, a sidecar) without a ready backend, or a server that rejects this client, or another protocol is spoken on this port";
    TlsProxyClosed,
        "The server finished the TLS handshake and closed the connection before it sent anything.",
        "a proxy that ends TLS and has no ready backend, or a server that rejects this client";
    Gateway,
        "The status is 502 or 504, or a 503 that Envoy made itself. A call of gRPC is answered with one of these, or Envoy says UNAVAILABLE.",
        "probably a proxy's own answer: its backend is not there yet, or does not answer the proxy";
    NoDns,
        "All nameservers refuse, in a Pod with the cluster's search domains.",
        "probably no DNS Pod is ready, or a NetworkPolicy rejects this, or a service mesh redirects DNS and its sidecar has not started";
    DnsDropped,
        "Nothing came back from the nameservers, in a Pod with the cluster's search domains.",
        "look for a NetworkPolicy that keeps this Pod from port 53 (UDP and TCP), and at the DNS Pods";
    NodeDns,
        "The name does not exist. It has no dot, or one of its labels is svc, and the Pod does not have the cluster's search domains.",
        "a cluster's names need its search domains and nameserver: this Pod has dnsPolicy Default or None, or hostNetwork without ClusterFirstWithHostNet";
    OtherNamespace,
        "The name does not exist. It has no dot, and the Pod has the cluster's search domains.",
        "no such Service in this namespace yet, or a headless one without a ready Pod (in another namespace it is NAME.NAMESPACE)";
    NoService,
        "The name does not exist. It has the form NAME.NAMESPACE or ends in one of the cluster's search domains, which the Pod has.",
        "the cluster has no such Service yet (NAME.NAMESPACE), or a headless one without a ready Pod, or no such Pod (POD.SERVICE)";
    OutsideCluster,
        "A name that is meant for the cluster does not exist in the cluster's zones and was found outside them, and its addresses refuse, are silent or have no route.",
        "this address is outside the cluster: no Service of that name was found (a headless Service has no address before a Pod is ready)";
    OwnService,
        "The name is that of this Pod or of its headless Service (the hosts file says so). It does not exist, or it has too few addresses.",
        "this Pod waits for itself: its headless Service lists only ready Pods. Set publishNotReadyAddresses: true, or remove this target";
    OwnPeer,
        "The name is that of another Pod of this Pod's headless Service (the hosts file says so), and it does not exist, or it has too few addresses.",
        "this is another Pod of this Pod's own Service, which lists it once it is ready; a StatefulSet with OrderedReady makes the next Pod only after this one is ready";
    Credentials,
        "The server answered and does not accept the credentials, or asks for some (401, 407, 28P01, 1045).",
        "check the user name and the password; if the user is made later, waitgate keeps trying";
    Forbidden,
        "The status is 403.",
        "the server, or a policy of a proxy, forbids this request";
    AccessRules,
        "The server answered, and its access rules do not allow this login (28000).",
        "check pg_hba.conf for this user, database and address, and whether TLS is required";
    Database,
        "The server answered, and it does not have the database.",
        "check the database's name; if it is made later, waitgate keeps trying";
    CaFile,
        "The certificate's issuer is not one of the trusted roots.",
        "give its CA (--ca-file, or the target's own #ca= or sslrootcert=)";
    ApiServer,
        "Nothing came back from the Kubernetes API server, or there is no route to it.",
        "look for a NetworkPolicy that keeps this Pod from the API server: egress to its Service, and to the address and port of the servers themselves (mostly 6443)";
    ApiCa,
        "The certificate of the Kubernetes API server is not of the CA that the ServiceAccount or the kubeconfig gives.",
        "only the CA of the ServiceAccount (or of the kubeconfig) is trusted here: something else may answer at this address, or the CA has changed";
    ApiToken,
        "The Kubernetes API server answers 401.",
        "the token has expired, is of another cluster, or its ServiceAccount is gone; the kubelet renews a mounted token, and waitgate reads it anew for each attempt";
    Limits,
        "The system has no descriptor, port or thread left.",
        "raise the limit, or wait for fewer targets at once";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_have_no_full_stop_and_evidence_has_one() {
        for hint in Hint::ALL {
            assert!(!hint.words().ends_with('.') && hint.evidence().ends_with('.'), "{hint:?}");
        }
    }
}
