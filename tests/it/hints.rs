//! What a failure means here and what to look at: each hint where its evidence is, and not where a similar failure
//! has another cause.

use std::fmt::Debug;

use waitgate::reason::Hint;
use waitgate::report::words;

use crate::names::zone;
use crate::support::{
    Fake, Pod, Run,
    dns::{Answer, NXDOMAIN, Names},
    fake::linger,
    web::{Authority, Reply, Web},
};

/// What the kubelet writes for a Pod of the namespace `ns`, and for one with hostNetwork.
const POD: &str = "search ns.svc.c.test svc.c.test c.test corp.test\nnameserver 127.0.0.1\noptions ndots:5\n";
const NODE: &str = "search corp.test\nnameserver 127.0.0.1\n";

/// Names inside and outside of the cluster. A refusal by loopback has a hint of its own, so the addresses are others
/// of the machine.
const ZONE: &str = "db.ns.svc.c.test A 10.0.0.1\nweb.ns.svc.c.test A 10.0.0.1\nweb.ns.svc.c.test AAAA fd00::1\n\
    pods.ns.svc.c.test A 10.0.0.1\npods.ns.svc.c.test A 10.0.0.2\napi.corp.test A 10.0.0.1\n\
    own.ns.svc.c.test A 10.0.0.7\nown.ns.svc.c.test A 10.0.0.1\n\
    one.pods.ns.svc.c.test A 10.0.0.1\n10-0-0-1.ns.pod.c.test A 10.0.0.1\n\
    external.ns.svc.c.test CNAME api.corp.test\nsad.ns.svc.c.test SERVFAIL\nsad.corp.test A 10.0.0.1";

macro_rules! hints {
    ($($hint:ident $test:ident)*) => {
        $(#[test] fn $test() { evidence::$test(&Witness { hint: Hint::$hint }); })*

        /// A hint without a test does not compile.
        const fn _each_has_a_test(hint: Hint) { match hint { $(Hint::$hint => {})* } }
    };
}

hints! {
    NoReadyPod no_ready_pod
    PodsRefuse pods_refuse
    NothingListens nothing_listens
    InThisPod in_this_pod
    Mesh mesh
    Dropped dropped
    Overloaded overloaded
    FrontClosed front_closed
    Gateway gateway
    NoDns no_dns
    DnsDropped dns_dropped
    NodeDns node_dns
    OtherNamespace other_namespace
    OutsideCluster outside_cluster
    OwnService own_service
    OwnPeer own_peer
    UseTcp use_tcp
    UseHttps use_https
    UseHttp use_http
    UsePostgres use_postgres
    Credentials credentials
    Forbidden forbidden
    PgHba pg_hba
    Database database
    CaFile ca_file
    Limits limits
}

/// Looks for one hint.
struct Witness {
    hint: Hint,
}

impl Witness {
    #[track_caller]
    fn given(&self, run: Run) {
        assert_eq!(given(run), Some(self.hint), "{}", words::hint(self.hint));
    }

    #[track_caller]
    fn given_in(&self, pod: &Pod, target: &str) {
        self.given(in_kubernetes(target, pod));
    }

    /// Not given, but what stands in its place.
    #[track_caller]
    fn instead(&self, other: impl Into<Option<Hint>> + Debug, run: Run) {
        let other = other.into();
        assert_ne!(other, Some(self.hint), "a test that cannot fail");
        assert_eq!(given(run), other);
    }

    #[track_caller]
    fn instead_in(&self, pod: &Pod, other: impl Into<Option<Hint>> + Debug, target: &str) {
        self.instead(other, in_kubernetes(target, pod));
    }
}

fn run(target: &str) -> Run {
    Run::new(["--once", "--log-format=json", "--attempt-timeout=2s", "--connect-timeout=300ms", target])
}

/// The hint with which the run ends.
#[track_caller]
fn given(run: Run) -> Option<Hint> {
    let ended = run.end();
    ended.failure();
    let verdict: serde_json::Value = serde_json::from_str(ended.last_line()).expect("an object a line");
    let target = &verdict["targets"][0];
    assert!(target["code"].is_string(), "not ready, and why: {verdict}");
    let words = target["hint"].as_str()?;
    Some(*Hint::ALL.iter().find(|hint| words::hint(**hint) == words).unwrap_or_else(|| panic!("unknown: {words}")))
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

/// A PostgreSQL server that answers the startup packet with this error.
fn postgres_error(code: &str) -> Fake {
    let fields = format!("SFATAL\0VFATAL\0C{code}\0Mno\0\0");
    let length = u32::try_from(fields.len() + 4).expect("it is short").to_be_bytes();
    Fake::answering([&b"E"[..], &length, fields.as_bytes()].concat())
}

fn login(server: &Fake) -> String {
    format!("postgres://app:secret@{}/shop?sslmode=disable", server.addr)
}

mod evidence {
    use super::*;

    pub(super) fn no_ready_pod(it: &Witness) {
        let pod = pod(POD);
        let _server = zone::serve(&pod, "127.0.0.1", ZONE);
        it.given_in(&pod, "tcp:db:9");
        it.given_in(&pod, "http://web:9/");
        it.given_in(&pod, "postgres:db.ns:9");
        it.instead_in(&pod, Hint::PodsRefuse, "tcp:pods:9");
        it.instead_in(&pod, Hint::OutsideCluster, "tcp:api:9");
        it.instead_in(&pod, None, "tcp:api.corp.test:9");
        it.instead_in(&pod, None, "tcp:10.0.0.1:9");
        // A Service of type ExternalName, which has no Pods.
        it.instead_in(&pod, None, "tcp:external:9");
        it.instead(None, run("tcp:db:9").inside(&pod));
        pod.etc("hosts", "10.0.0.1 db\n");
        it.instead_in(&pod, None, "tcp:db:9");
    }

    pub(super) fn pods_refuse(it: &Witness) {
        let pod = pod(POD);
        let _server = zone::serve(&pod, "127.0.0.1", ZONE);
        it.given_in(&pod, "tcp:pods:9");
        it.given_in(&pod, "tcp:one.pods:9");
        it.given_in(&pod, "tcp:10-0-0-1.ns.pod.c.test:9");
        // One address a family is what a Service of both families has.
        it.instead_in(&pod, Hint::NoReadyPod, "tcp:web:9");
        // One of them refuses, of the other nothing is known.
        pod.sh("nft add table inet t\nnft 'add chain inet t in { type filter hook input priority 0; }'\n\
                nft add rule inet t in ip daddr 10.0.0.2 tcp dport 9 drop");
        it.instead_in(&pod, None, "tcp:pods:9");
    }

    pub(super) fn nothing_listens(it: &Witness) {
        let pod = pod(NODE);
        it.given(run("tcp:127.0.0.1:9").inside(&pod));
        it.given(run("http://localhost:9/").inside(&pod));
        it.instead_in(&pod, None, "tcp:10.0.0.1:9");
        it.instead_in(&pod, Hint::InThisPod, "tcp:127.0.0.1:9");
        pod.etc("hosts", "# Kubernetes-managed hosts file (host network).\n127.0.0.1 localhost\n");
        it.given_in(&pod, "tcp:127.0.0.1:9");
    }

    pub(super) fn in_this_pod(it: &Witness) {
        let pod = pod(POD);
        let _server = zone::serve(&pod, "127.0.0.1", ZONE);
        pod.hostname("web-0");
        pod.etc("hosts", "# Kubernetes-managed hosts file.\n127.0.0.1 localhost\n10.0.0.7\tweb-0\n");
        for target in ["tcp:127.0.0.1:9", "http://localhost:9/", "tcp:10.0.0.7:9", "tcp:web-0:9"] {
            it.given_in(&pod, target);
        }
        it.instead_in(&pod, Hint::NoReadyPod, "tcp:db:9");
        it.instead_in(&pod, None, "tcp:10.0.0.1:9");
        it.instead(Hint::NothingListens, run("tcp:10.0.0.7:9").inside(&pod));
        pod.etc("hosts", "# Kubernetes-managed hosts file (host network).\n127.0.0.1 localhost\n10.0.0.7\tweb-0\n");
        it.instead_in(&pod, Hint::NothingListens, "tcp:10.0.0.7:9");
    }

    /// What Istio's CNI plugin sets up before its sidecar is there: every connection goes to a port that nobody opened.
    pub(super) fn mesh(it: &Witness) {
        let pod = pod(POD);
        let server = zone::serve(&pod, "127.0.0.1", ZONE);
        it.instead_in(&pod, Hint::NoReadyPod, "tcp:db:9");
        let redirect = "nft add table ip mesh\nnft 'add chain ip mesh out { type nat hook output priority -100; }'\n\
                        nft add rule ip mesh out meta l4proto tcp redirect to :15001";
        pod.sh(redirect);
        it.given_in(&pod, "tcp:db:9");
        it.given_in(&pod, "http://db:9/");
        // Of an address nobody knows whether the DNS is there at all.
        it.instead_in(&pod, None, "tcp:10.0.0.1:9");
        // The sidecar has come.
        let sidecar = pod.within(|| Fake::on(([127, 0, 0, 1], 15001).into(), drop));
        it.instead_in(&pod, Hint::FrontClosed, "tcp:db:9");
        drop((sidecar, server));
        // The nameserver that answers takes connections; the one before it is not there at all.
        pod.sh("nft delete table ip mesh");
        pod.etc("resolv.conf", &POD.replace("nameserver 127.0.0.1", "nameserver 127.0.0.8\nnameserver 127.0.0.9"));
        let _server = zone::serve(&pod, "127.0.0.9", ZONE);
        it.instead_in(&pod, Hint::NoReadyPod, "tcp:db:9");
    }

    pub(super) fn dropped(it: &Witness) {
        let pod = pod(POD);
        let _server = zone::serve(&pod, "127.0.0.1", ZONE);
        it.instead_in(&pod, Hint::NoReadyPod, "tcp:db:9");
        pod.sh("nft add table inet t\nnft 'add chain inet t in { type filter hook input priority 0; }'\n\
                nft add rule inet t in tcp dport 9 drop");
        it.given_in(&pod, "tcp:db:9");
        it.given_in(&pod, "http://10.0.0.1:9/");
        it.given(run("tcp:10.0.0.1:9").arg("--connect-timeout=5s").arg("--attempt-timeout=300ms").inside(&pod));
        it.instead_in(&pod, Hint::OutsideCluster, "tcp:api:9");
        it.instead_in(&pod, Hint::Overloaded, "tcp:127.0.0.1:9");
        let _silent = pod.within(|| Fake::on(([10, 0, 0, 1], 80).into(), linger));
        it.instead_in(&pod, None, "http://10.0.0.1/");
    }

    /// A server that accepts nothing any more, and its queue is full.
    pub(super) fn overloaded(it: &Witness) {
        let pod = pod(NODE);
        let stopped = pod.within(|| {
            use rustix::net::{AddressFamily, SocketType, bind, connect, listen, socket, sockopt};
            let stream = || socket(AddressFamily::INET, SocketType::STREAM, None).expect("a socket");
            let address: std::net::SocketAddr = ([127, 0, 0, 1], 7000).into();
            let server = stream();
            bind(&server, &address).expect("the Pod's ports are free");
            listen(&server, 0).expect("it is bound");
            let clients: Vec<_> = (0..4)
                .map(|_| {
                    let client = stream();
                    sockopt::set_socket_timeout(
                        &client,
                        sockopt::Timeout::Send,
                        Some(std::time::Duration::from_millis(100)),
                    )
                    .expect("a socket");
                    let _ = connect(&client, &address);
                    client
                })
                .collect();
            (server, clients)
        });
        it.given_in(&pod, "tcp:127.0.0.1:7000");
        it.given(run("http://127.0.0.1:7000/").inside(&pod));
        it.instead_in(&pod, Hint::InThisPod, "tcp:127.0.0.1:7001");
        drop(stopped);
    }

    pub(super) fn front_closed(it: &Witness) {
        let (front, server) = (Fake::closing(), Fake::greeting("500 not now\r\n"));
        it.given(run(&format!("tcp:{}", front.addr)));
        it.given(run(&format!("http://{}/", front.addr)));
        it.instead(None, run(&format!("tcp:{}#banner=220", server.addr)));
    }

    pub(super) fn gateway(it: &Witness) {
        let answers = |reply: Reply| {
            let web = Web::new(move |_, _| reply.clone());
            let run = run(&web.url("/"));
            (web, run)
        };
        let given = |reply| {
            let (_web, run) = answers(reply);
            it.given(run);
        };
        let not_given = |reply| {
            let (_web, run) = answers(reply);
            it.instead(None, run);
        };
        given(Reply::status(502));
        given(Reply::status(504));
        given(Reply::status(503).with("server", "envoy"));
        given(Reply::status(503).with("server", "istio-envoy"));
        not_given(Reply::status(503));
        not_given(Reply::status(503).with("server", "nginx"));
        // Envoy names itself on what it passes on, too, and then says how long that took.
        not_given(Reply::status(503).with("server", "envoy").with("x-envoy-upstream-service-time", "3"));
        not_given(Reply::status(500).with("server", "envoy"));
    }

    pub(super) fn no_dns(it: &Witness) {
        let pod = pod(POD);
        it.given_in(&pod, "dns:db");
        it.given_in(&pod, "tcp:db:9");
        it.instead(None, run("dns:db").inside(&pod));
        // Nobody refused.
        pod.etc("resolv.conf", &POD.replace("127.0.0.1", "192.0.2.1"));
        it.instead_in(&pod, None, "dns:db");
        pod.etc("resolv.conf", NODE);
        it.instead_in(&pod, None, "dns:db");
    }

    pub(super) fn dns_dropped(it: &Witness) {
        let pod = pod(POD);
        let _silent = Names::start(&pod, |_| Answer::Silence);
        it.given_in(&pod, "dns:db");
        it.instead(None, run("dns:db").inside(&pod));
        pod.etc("resolv.conf", NODE);
        it.instead_in(&pod, None, "dns:db");
    }

    pub(super) fn node_dns(it: &Witness) {
        let node = pod(NODE);
        let _names = Names::start(&node, |_| Answer::Code(NXDOMAIN));
        it.given_in(&node, "dns:db");
        it.given_in(&node, "tcp:db.ns.svc:9");
        it.instead_in(&node, None, "dns:api.example.org");
        it.instead(None, run("dns:db").inside(&node));
        node.etc("resolv.conf", POD);
        it.instead_in(&node, Hint::OtherNamespace, "dns:db");
    }

    pub(super) fn other_namespace(it: &Witness) {
        let pod = pod(POD);
        let _server = zone::serve(&pod, "127.0.0.1", ZONE);
        it.given_in(&pod, "dns:cache");
        it.given_in(&pod, "tcp:cache:9");
        it.instead_in(&pod, None, "dns:cache.other");
        it.instead(None, run("dns:cache").inside(&pod));
        pod.etc("resolv.conf", NODE);
        it.instead_in(&pod, Hint::NodeDns, "dns:cache");
    }

    pub(super) fn outside_cluster(it: &Witness) {
        let pod = pod(POD);
        let _server = zone::serve(&pod, "127.0.0.1", ZONE);
        it.given_in(&pod, "tcp:api:9");
        it.instead_in(&pod, Hint::NoReadyPod, "tcp:db:9");
        it.instead_in(&pod, None, "tcp:api.corp.test:9");
        it.instead(None, run("tcp:api:9").inside(&pod));
        // The cluster's own answer did not come: the Service may be there.
        it.instead_in(&pod, None, "tcp:sad:9");
    }

    /// A Pod of the StatefulSet `web` waits for its own headless Service, which nobody is behind.
    pub(super) fn own_service(it: &Witness) {
        let pod = pod(POD);
        let _server = zone::serve(&pod, "127.0.0.1", ZONE);
        let listen = |ip: &str| pod.within(|| Fake::on(format!("{ip}:80").parse().expect("an address"), linger));
        let _two = ["10.0.0.1", "10.0.0.7"].map(listen);
        belongs_to(&pod, "cache.ns.svc.c.test");
        for target in ["dns:cache", "tcp:cache.ns:9", "dns:web-1.cache", "postgres:cache.ns.svc.c.test:5432"] {
            it.given_in(&pod, target);
        }
        it.instead_in(&pod, Hint::OtherNamespace, "dns:other");
        it.instead_in(&pod, None, "dns:own#min=3");
        it.instead(None, run("dns:cache").inside(&pod));
        belongs_to(&pod, "own.ns.svc.c.test");
        it.given_in(&pod, "dns:own#min=3");
        it.given_in(&pod, "tcp:own:80#min=3");
        it.instead_in(&pod, Hint::OtherNamespace, "dns:cache");
        // A machine whose full name is in its hosts file.
        belongs_to(&pod, "corp.test");
        it.instead_in(&pod, Hint::OtherNamespace, "dns:cache");
        it.instead_in(&pod, None, "dns:nowhere.corp.test");
        belongs_to(&pod, "cache.ns.svc.c.test");
        pod.hostname("db-7");
        it.instead_in(&pod, Hint::OtherNamespace, "dns:cache");
    }

    pub(super) fn own_peer(it: &Witness) {
        let pod = pod(POD);
        let _server = zone::serve(&pod, "127.0.0.1", ZONE);
        belongs_to(&pod, "cache.ns.svc.c.test");
        it.given_in(&pod, "tcp:web-0.cache:5432");
        it.given_in(&pod, "dns:web-2.cache.ns.svc.c.test");
        it.instead_in(&pod, Hint::OwnService, "dns:web-1.cache");
        it.instead_in(&pod, None, "dns:web-0.other");
    }

    pub(super) fn use_tcp(it: &Witness) {
        let (redis, bad) = (Fake::greeting("-ERR unknown command\r\n"), Web::always(400));
        it.given(run(&format!("http://{}/", redis.addr)));
        it.instead(None, run(&bad.url("/")));
    }

    pub(super) fn use_https(it: &Witness) {
        let config = Authority::new().server(&["localhost"]);
        let secure = Web::on(([127, 0, 0, 1], 0).into(), Some(config), |_, _| Reply::status(200));
        it.given(run(&secure.url("/")));
        it.instead(Hint::CaFile, run(&secure.https("/")));
    }

    pub(super) fn use_http(it: &Witness) {
        let (plain, silent) = (Web::always(200), Fake::silent());
        it.given(run(&plain.https("/")));
        it.given(run(&format!("postgres://{}/?sslmode=disable", plain.fake.addr)));
        it.instead(None, run(&format!("https://{}/", silent.addr)));
    }

    pub(super) fn use_postgres(it: &Witness) {
        // As PostgreSQL answers what is not its protocol (src/backend/tcop/backend_startup.c).
        let fields =
            "SFATAL\0VFATAL\0C0A000\0Munsupported frontend protocol 18501.21536: server supports 3.0 to 3.0\0\0";
        let length = u32::try_from(fields.len() + 4).expect("it is short").to_be_bytes();
        let server = Fake::answering([&b"E"[..], &length, fields.as_bytes()].concat());
        it.given(run(&format!("http://{}/", server.addr)));
        let other = Fake::greeting("SSH-2.0-x\r\n");
        it.instead(Hint::UseTcp, run(&format!("http://{}/", other.addr)));
    }

    pub(super) fn credentials(it: &Witness) {
        it.given(run(&Web::always(401).url("/")));
        it.given(run(&login(&postgres_error("28P01"))));
        it.instead(None, run(&Web::always(404).url("/")));
        it.instead(Hint::Forbidden, run(&Web::always(403).url("/")));
        it.instead(None, run(&login(&postgres_error("57P03"))));
        it.instead(Hint::PgHba, run(&login(&postgres_error("28000"))));
    }

    pub(super) fn forbidden(it: &Witness) {
        it.given(run(&Web::always(403).url("/")));
        it.instead(Hint::Credentials, run(&Web::always(401).url("/")));
    }

    pub(super) fn pg_hba(it: &Witness) {
        it.given(run(&login(&postgres_error("28000"))));
        it.instead(Hint::Credentials, run(&login(&postgres_error("28P01"))));
    }

    pub(super) fn database(it: &Witness) {
        it.given(run(&login(&postgres_error("3D000"))));
        it.instead(Hint::Credentials, run(&login(&postgres_error("28P01"))));
    }

    pub(super) fn ca_file(it: &Witness) {
        let authority = Authority::new();
        let config = authority.server(&["other.test"]);
        let secure = Web::on(([127, 0, 0, 1], 0).into(), Some(config), |_, _| Reply::status(200));
        it.given(run(&secure.https("/")));
        // With its CA it is the name that is wrong.
        it.instead(None, run(&secure.https(&format!("/#ca={}", authority.file().display()))));
    }

    pub(super) fn limits(it: &Witness) {
        let port = crate::support::free_port();
        let target = format!("tcp:{port}");
        let few = |most: u32| run(&target).through(["prlimit".to_owned(), format!("--nofile={most}"), "--".to_owned()]);
        // What the runtime itself takes: standard streams, epoll, its waker, the signals' pipe.
        let all = (6..24).map(few).map(Run::end).find(|ended| ended.stderr.contains("local.descriptors"));
        let ended = all.expect("with one descriptor less than needed it is the socket that has none");
        ended.failure().stderr_has(words::hint(it.hint));
        it.instead(Hint::NothingListens, few(64));
    }
}
