//! What a failure means here and what to look at: each hint where its evidence is, and not where a similar failure
//! has another cause.

use std::fmt::Debug;

use crate::support::{
    Fake, Pod, Run,
    dns::{Answer, NXDOMAIN, Names},
    door,
    fake::linger,
    web::{Authority, Reply, Web},
    zone,
};

mod connections;
mod kubernetes;
mod names;
mod servers;

/// Each hint's test.
mod evidence {
    pub(super) use super::{connections::*, kubernetes::*, names::*, servers::*};
}

/// What the kubelet writes for a Pod of the namespace `ns`, and for one with hostNetwork.
const POD: &str = "search ns.svc.c.test svc.c.test c.test corp.test\nnameserver 127.0.0.1\noptions ndots:5\n";
const NODE: &str = "search corp.test\nnameserver 127.0.0.1\n";

/// Names inside and outside of the cluster. A refusal by loopback has a hint of its own, so the addresses are others
/// of the machine.
const ZONE: &str = "db.ns.svc.c.test A 10.0.0.1\nweb.ns.svc.c.test A 10.0.0.1\nweb.ns.svc.c.test AAAA fd00::1\n\
    pods.ns.svc.c.test A 10.0.0.1\npods.ns.svc.c.test A 10.0.0.2\napi.corp.test A 10.0.0.1\n\
    own.ns.svc.c.test A 10.0.0.2\nown.ns.svc.c.test A 10.0.0.1\nself.ns.svc.c.test A 10.0.0.7\n\
    one.pods.ns.svc.c.test A 10.0.0.1\ngone.ns.svc.c.test A 10.0.0.1\ngone.ns.svc.c.test A 10.0.0.3\n10-0-0-1.ns.pod.c.test A 10.0.0.1\n\
    external.ns.svc.c.test CNAME api.corp.test\nsad.ns.svc.c.test SERVFAIL\nsad.corp.test A 10.0.0.1\n\
    api.ns.corp.test A 10.0.0.1\napi.ns.svc.c.test.corp.test A 10.0.0.1\nbad.ns.svc.c.test CNAME nothing.example\n\
    sink.ns.svc.c.test A 0.0.0.0\nlocal.ns.svc.c.test AAAA fe80::1";

macro_rules! hints {
    ($($hint:ident $test:ident)*) => {
        $(#[test] fn $test() { evidence::$test(&Witness { hint: stringify!($hint) }); })*

        /// The names of the hints that have a test.
        const TESTED: &[&str] = &[$(stringify!($hint)),*];
    };
}

hints! {
    NoReadyPod no_ready_pod
    PodsRefuse pods_refuse
    NothingListens nothing_listens
    InThisPod in_this_pod
    Mesh mesh
    Dropped dropped
    ServiceSilent service_silent
    Rejected rejected
    Overloaded overloaded
    ProxyClosed proxy_closed
    ClosedUnanswered closed_unanswered
    TlsProxyClosed tls_proxy_closed
    Gateway gateway
    NoDns no_dns
    DnsDropped dns_dropped
    NodeDns node_dns
    OtherNamespace other_namespace
    NoService no_service
    OutsideCluster outside_cluster
    OwnService own_service
    OwnPeer own_peer
    UseTcp use_tcp
    UseHttps use_https
    UseHttp use_http
    UseRedis use_redis
    UseMongodb use_mongodb
    UseHttpUnix use_http_unix
    UseTls use_tls
    UsePostgres use_postgres
    UseMysql use_mysql
    UseAmqp use_amqp
    UseGrpc use_grpc
    Credentials credentials
    Forbidden forbidden
    AccessRules access_rules
    Database database
    CaFile ca_file
    ApiServer api_server
    ApiCa api_ca
    ApiToken api_token
    Limits limits
}

#[test]
fn each_hint_has_a_test() {
    let mut hints: Vec<&str> = door::hints().into_iter().map(|(name, _)| name).collect();
    let mut tested = TESTED.to_vec();
    hints.sort_unstable();
    tested.sort_unstable();
    assert_eq!(tested, hints);
}

/// Looks for the hint of this name.
struct Witness {
    hint: &'static str,
}

impl Witness {
    fn words(&self) -> String {
        let mut hints = door::hints().into_iter();
        hints.find(|(name, _)| *name == self.hint).expect("a hint of that name").1
    }

    #[track_caller]
    fn given(&self, run: Run) {
        assert_eq!(given(run), Some(self.hint));
    }

    #[track_caller]
    fn given_in(&self, pod: &Pod, target: &str) {
        self.given(in_kubernetes(target, pod));
    }

    /// Not given; the hint in its place is `other`.
    #[track_caller]
    fn instead(&self, other: impl Into<Option<&'static str>> + Debug, run: Run) {
        let other = other.into();
        assert_ne!(other, Some(self.hint), "a test that cannot fail");
        assert_eq!(given(run), other);
    }

    #[track_caller]
    fn instead_in(&self, pod: &Pod, other: impl Into<Option<&'static str>> + Debug, target: &str) {
        self.instead(other, in_kubernetes(target, pod));
    }
}

fn run(target: &str) -> Run {
    Run::new(["--once", "--log-format=json", "--attempt-timeout=2s", "--connect-timeout=300ms", target])
}

/// The name of the hint with which the run ends.
#[track_caller]
fn given(run: Run) -> Option<&'static str> {
    let ended = run.end();
    ended.failure();
    let verdict: serde_json::Value = serde_json::from_str(ended.last_line()).expect("an object a line");
    let target = &verdict["targets"][0];
    assert!(target["code"].is_string(), "not ready, and why: {verdict}");
    let given = target["hint"].as_str()?;
    let hint = door::hints().into_iter().find(|(_, words)| words == given);
    Some(hint.unwrap_or_else(|| panic!("unknown: {given}")).0)
}

fn pod(resolv_conf: &str) -> Pod {
    let pod = Pod::new();
    pod.etc("resolv.conf", resolv_conf);
    pod.sh("ip address add 10.0.0.1/32 dev lo; ip address add 10.0.0.2/32 dev lo; ip address add 10.0.0.7/32 dev lo");
    pod.sh("ip -6 address add fd00::1/128 dev lo nodad");
    pod
}

/// As in a container of a Pod; without the variable, as in a container that one of them runs.
fn in_kubernetes(target: &str, pod: &Pod) -> Run {
    run(target).env("KUBERNETES_SERVICE_HOST", "10.96.0.1").inside(pod)
}

/// Makes it the Pod `web-1` of a StatefulSet with this Service.
fn belongs_to(pod: &Pod, service: &str) {
    pod.hostname("web-1");
    pod.etc("hosts", &format!("127.0.0.1 localhost\n10.0.0.7\tweb-1.{service}\tweb-1\n"));
}

fn login(server: &Fake) -> String {
    format!("postgres://app:secret@{}/shop?sslmode=disable", server.addr)
}
