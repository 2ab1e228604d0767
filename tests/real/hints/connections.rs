//! No server accepts, or it accepts and closes.

use super::*;

pub(crate) fn no_ready_pod(it: &Witness) {
    let pod = pod(POD);
    let _server = zone::serve(&pod, "127.0.0.1", ZONE);
    it.given_in(&pod, "tcp:db:9");
    it.given_in(&pod, "http://web:9/");
    it.given_in(&pod, "postgres:db.ns:9");
    it.instead_in(&pod, "PodsRefuse", "tcp:pods:9");
    it.instead_in(&pod, "OutsideCluster", "tcp:api:9");
    it.instead_in(&pod, None, "tcp:api.corp.test:9");
    it.instead_in(&pod, None, "tcp:10.0.0.1:9");
    // A Service of type ExternalName, which has no Pods.
    it.instead_in(&pod, None, "tcp:external:9");
    it.given(in_kubernetes("tcp:10.0.0.1:9", &pod).env("DB_SERVICE_HOST", "10.0.0.1"));
    it.instead(None, run("tcp:db:9").inside(&pod));
    pod.etc("hosts", "10.0.0.1 db\n");
    it.instead_in(&pod, None, "tcp:db:9");
}

pub(crate) fn pods_refuse(it: &Witness) {
    let pod = pod(POD);
    let _server = zone::serve(&pod, "127.0.0.1", ZONE);
    it.given_in(&pod, "tcp:pods:9");
    it.given_in(&pod, "tcp:one.pods:9");
    it.given_in(&pod, "tcp:10-0-0-1.ns.pod.c.test:9");
    // One address a family is what a Service of both families has.
    it.instead_in(&pod, "NoReadyPod", "tcp:web:9");
    // One of them refuses, and there is no way to the other.
    pod.sh("ip route add unreachable 10.0.0.3");
    it.instead_in(&pod, None, "tcp:gone:9");
    it.given_in(&pod, "tcp:pods:9");
    // One of them refuses, of the other nothing is known.
    pod.sh("nft add table inet t\nnft 'add chain inet t in { type filter hook input priority 0; }'\n\
            nft add rule inet t in ip daddr 10.0.0.2 tcp dport 9 drop");
    it.instead_in(&pod, None, "tcp:pods:9");
}

pub(crate) fn nothing_listens(it: &Witness) {
    let pod = pod(NODE);
    it.given(run("tcp:127.0.0.1:9").inside(&pod));
    it.given(run("http://localhost:9/").inside(&pod));
    it.instead_in(&pod, None, "tcp:10.0.0.1:9");
    it.instead_in(&pod, "InThisPod", "tcp:127.0.0.1:9");
    pod.etc("hosts", "# Kubernetes-managed hosts file (host network).\n127.0.0.1 localhost\n");
    it.given_in(&pod, "tcp:127.0.0.1:9");
}

pub(crate) fn in_this_pod(it: &Witness) {
    let pod = pod(POD);
    let _server = zone::serve(&pod, "127.0.0.1", ZONE);
    pod.hostname("web-0");
    pod.etc("hosts", "# Kubernetes-managed hosts file.\n127.0.0.1 localhost\n10.0.0.7\tweb-0\n");
    for target in ["tcp:127.0.0.1:9", "http://localhost:9/", "tcp:10.0.0.7:9", "tcp:web-0:9"] {
        it.given_in(&pod, target);
    }
    it.instead_in(&pod, "NoReadyPod", "tcp:db:9");
    it.instead_in(&pod, None, "tcp:10.0.0.1:9");
    it.instead("NothingListens", run("tcp:10.0.0.7:9").inside(&pod));
    pod.etc("hosts", "# Kubernetes-managed hosts file (host network).\n127.0.0.1 localhost\n10.0.0.7\tweb-0\n");
    it.instead_in(&pod, "NothingListens", "tcp:10.0.0.7:9");
}

pub(crate) fn mesh(it: &Witness) {
    let pod = pod(POD);
    let server = zone::serve(&pod, "127.0.0.1", ZONE);
    it.instead_in(&pod, "NoReadyPod", "tcp:db:9");
    let redirect = "nft add table ip mesh\nnft 'add chain ip mesh out { type nat hook output priority -100; }'\n\
                    nft add rule ip mesh out meta l4proto tcp redirect to :15001";
    pod.sh(redirect);
    it.given_in(&pod, "tcp:db:9");
    it.given_in(&pod, "http://db:9/");
    // An address does not tell whether there is a DNS at all.
    it.instead_in(&pod, None, "tcp:10.0.0.1:9");
    // The sidecar has come.
    let sidecar = pod.within(|| Fake::on(([127, 0, 0, 1], 15001).into(), drop));
    it.instead_in(&pod, "ProxyClosed", "tcp:db:9");
    drop((sidecar, server));
    // The nameserver that answers takes connections; the one before it is not there at all.
    pod.sh("nft delete table ip mesh");
    pod.etc("resolv.conf", &POD.replace("nameserver 127.0.0.1", "nameserver 127.0.0.8\nnameserver 127.0.0.9"));
    let _server = zone::serve(&pod, "127.0.0.9", ZONE);
    it.instead_in(&pod, "NoReadyPod", "tcp:db:9");
}

pub(crate) fn dropped(it: &Witness) {
    let pod = pod(POD);
    let _server = zone::serve(&pod, "127.0.0.1", ZONE);
    it.instead_in(&pod, "NoReadyPod", "tcp:db:9");
    pod.sh("nft add table inet t\nnft 'add chain inet t in { type filter hook input priority 0; }'\n\
            nft add rule inet t in tcp dport 9 drop");
    it.given_in(&pod, "tcp:pods:9#min=2");
    it.given_in(&pod, "http://10.0.0.1:9/");
    it.instead_in(&pod, "ServiceSilent", "tcp:db:9");
    it.given(run("tcp:10.0.0.1:9").arg("--connect-timeout=5s").arg("--attempt-timeout=300ms").inside(&pod));
    it.instead_in(&pod, "OutsideCluster", "tcp:api:9");
    it.instead_in(&pod, "Overloaded", "tcp:127.0.0.1:9");
    let _silent = pod.within(|| Fake::on(([10, 0, 0, 1], 80).into(), linger));
    it.instead_in(&pod, None, "http://10.0.0.1/");
}

pub(crate) fn service_silent(it: &Witness) {
    let pod = pod(POD);
    let _server = zone::serve(&pod, "127.0.0.1", ZONE);
    pod.sh("nft add table inet t\nnft 'add chain inet t in { type filter hook input priority 0; }'\n\
            nft add rule inet t in tcp dport 9 drop");
    it.given_in(&pod, "tcp:db:9");
    it.given_in(&pod, "postgres:db.ns:9");
    it.given(in_kubernetes("tcp:10.0.0.1:9", &pod).env("DB_SERVICE_HOST", "10.0.0.1"));
    it.instead_in(&pod, "Dropped", "tcp:10.0.0.1:9");
    it.instead("Dropped", run("tcp:db:9").inside(&pod));
}

pub(crate) fn rejected(it: &Witness) {
    let pod = pod(POD);
    it.instead_in(&pod, None, "tcp:10.0.0.1:9");
    for with in ["host-prohibited", "admin-prohibited", "host-unreachable", "prot-unreachable"] {
        pod.sh(&format!(
            "nft add table inet t\nnft flush table inet t\n\
             nft 'add chain inet t in {{ type filter hook input priority 0; }}'\n\
             nft add rule inet t in meta nfproto ipv4 tcp dport 9 reject with icmp type {with}"
        ));
        it.given_in(&pod, "tcp:10.0.0.1:9");
        it.given_in(&pod, "http://10.0.0.1:9/");
    }
}

pub(crate) fn overloaded(it: &Witness) {
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
    it.instead_in(&pod, "InThisPod", "tcp:127.0.0.1:7001");
    drop(stopped);
}

pub(crate) fn proxy_closed(it: &Witness) {
    let (proxy, server) = (Fake::closing(), Fake::greeting("500 not now\r\n"));
    it.given(run(&format!("tcp:{}", proxy.addr)));
    // waitgate says nothing to a tcp: target, so the server does not close because of another protocol.
    it.instead("ClosedUnanswered", run(&format!("http://{}/", proxy.addr)));
    it.instead(None, run(&format!("tcp:{}#banner=220", server.addr)));
}

pub(crate) fn closed_unanswered(it: &Witness) {
    let proxy = Fake::closing();
    it.given(run(&format!("http://{}/", proxy.addr)));
    it.given(run(&format!("postgres:{}", proxy.addr)));
    it.given(run(&login(&proxy)));
    it.instead("ProxyClosed", run(&format!("tcp:{}", proxy.addr)));
}

pub(crate) fn limits(it: &Witness) {
    let port = crate::support::free_port();
    let target = format!("tcp:{port}");
    let few = |most: u32| run(&target).through(["prlimit".to_owned(), format!("--nofile={most}"), "--".to_owned()]);
    // What the runtime itself takes: standard streams, epoll, its waker, the signals' pipe.
    let all = (6..24).map(few).map(Run::end).find(|ended| ended.stderr.contains("local.descriptors"));
    let ended = all.expect("with one descriptor less than needed it is the socket that has none");
    ended.failure().stderr_has(&it.words());
    it.instead("NothingListens", few(64));
}
