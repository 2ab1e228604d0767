//! Names that are not found, or not where they were meant.

use super::*;

pub(crate) fn no_dns(it: &Witness) {
    let pod = pod(POD);
    it.given_in(&pod, "dns:db");
    it.given_in(&pod, "tcp:db:9");
    it.instead(None, run("dns:db").inside(&pod));
    // No nameserver refused.
    pod.etc("resolv.conf", &POD.replace("127.0.0.1", "192.0.2.1"));
    it.instead_in(&pod, None, "dns:db");
    pod.etc("resolv.conf", NODE);
    it.instead_in(&pod, None, "dns:db");
}

pub(crate) fn dns_dropped(it: &Witness) {
    let pod = pod(POD);
    let silent = Names::start(&pod, |_| Answer::Silence);
    it.given_in(&pod, "dns:db");
    it.instead(None, run("dns:db").inside(&pod));
    pod.etc("resolv.conf", NODE);
    it.instead_in(&pod, None, "dns:db");
    drop(silent);
    // It answers for the cluster, and has no nameserver to ask for the rest.
    let pod = self::pod(POD);
    let cluster = |asked: &str| if asked.ends_with(".c.test") { Answer::Code(NXDOMAIN) } else { Answer::Silence };
    let _forwards = Names::start(&pod, move |asked| cluster(&asked.name));
    it.instead_in(&pod, None, "dns:db");
}

pub(crate) fn node_dns(it: &Witness) {
    let node = pod(NODE);
    let _names = Names::start(&node, |_| Answer::Code(NXDOMAIN));
    it.given_in(&node, "dns:db");
    it.given_in(&node, "tcp:db.ns.svc:9");
    it.instead_in(&node, None, "dns:api.example.org");
    it.instead(None, run("dns:db").inside(&node));
    node.etc("resolv.conf", POD);
    it.instead_in(&node, "OtherNamespace", "dns:db");
}

pub(crate) fn other_namespace(it: &Witness) {
    let pod = pod(POD);
    let _server = zone::serve(&pod, "127.0.0.1", ZONE);
    it.given_in(&pod, "dns:cache");
    it.given_in(&pod, "tcp:cache:9");
    it.instead_in(&pod, None, "dns:cache.other");
    it.instead(None, run("dns:cache").inside(&pod));
    pod.etc("resolv.conf", NODE);
    it.instead_in(&pod, "NodeDns", "dns:cache");
}

pub(crate) fn outside_cluster(it: &Witness) {
    let pod = pod(POD);
    let _server = zone::serve(&pod, "127.0.0.1", ZONE);
    it.given_in(&pod, "tcp:api:9");
    it.instead_in(&pod, "NoReadyPod", "tcp:db:9");
    it.instead_in(&pod, None, "tcp:api.corp.test:9");
    it.instead(None, run("tcp:api:9").inside(&pod));
    // The cluster's own answer did not come: the Service may be there.
    it.instead_in(&pod, None, "tcp:sad:9");
}

pub(crate) fn own_service(it: &Witness) {
    let pod = pod(POD);
    let _server = zone::serve(&pod, "127.0.0.1", ZONE);
    let listen = |ip: &str| pod.within(|| Fake::on(format!("{ip}:80").parse().expect("an address"), linger));
    let _two = ["10.0.0.1", "10.0.0.2"].map(listen);
    belongs_to(&pod, "cache.ns.svc.c.test");
    for target in ["dns:cache", "tcp:cache.ns:9", "dns:web-1.cache", "postgres:cache.ns.svc.c.test:5432"] {
        it.given_in(&pod, target);
    }
    it.instead_in(&pod, "OtherNamespace", "dns:other");
    it.instead_in(&pod, None, "dns:own#min=3");
    it.instead(None, run("dns:cache").inside(&pod));
    belongs_to(&pod, "own.ns.svc.c.test");
    it.given_in(&pod, "dns:own#min=3");
    it.given_in(&pod, "tcp:own:80#min=3");
    it.given_in(&pod, "dns:_pg._tcp.own?type=SRV");
    it.instead_in(&pod, None, "dns:own?type=AAAA");
    it.instead_in(&pod, "OtherNamespace", "dns:cache");
    // It lists this Pod, which is not ready: so it does not wait for the readiness of a Pod.
    belongs_to(&pod, "self.ns.svc.c.test");
    it.instead_in(&pod, None, "dns:self#min=3");
    // A machine whose full name is in its hosts file.
    belongs_to(&pod, "corp.test");
    it.instead_in(&pod, "OtherNamespace", "dns:cache");
    it.instead_in(&pod, None, "dns:nowhere.corp.test");
    belongs_to(&pod, "cache.ns.svc.c.test");
    pod.hostname("db-7");
    it.instead_in(&pod, "OtherNamespace", "dns:cache");
}

pub(crate) fn own_peer(it: &Witness) {
    let pod = pod(POD);
    let _server = zone::serve(&pod, "127.0.0.1", ZONE);
    belongs_to(&pod, "cache.ns.svc.c.test");
    it.given_in(&pod, "tcp:web-0.cache:5432");
    it.given_in(&pod, "dns:web-2.cache.ns.svc.c.test");
    it.instead_in(&pod, "OwnService", "dns:web-1.cache");
    it.instead_in(&pod, None, "dns:web-0.other");
}
