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
    it.instead_in(&pod, "NoService", "dns:cache.other");
    // A Service of type ExternalName is there.
    it.instead_in(&pod, None, "dns:bad");
    it.instead(None, run("dns:cache").inside(&pod));
    pod.etc("resolv.conf", NODE);
    it.instead_in(&pod, "NodeDns", "dns:cache");
}

pub(crate) fn no_service(it: &Witness) {
    let pod = pod(POD);
    let _server = zone::serve(&pod, "127.0.0.1", ZONE);
    for target in ["dns:cache.other", "tcp:cache.other:9", "dns:db-7.db.ns.svc.c.test", "dns:cache.ns.svc.c.test."] {
        it.given_in(&pod, target);
    }
    it.instead_in(&pod, "OtherNamespace", "dns:cache");
    it.instead_in(&pod, None, "dns:www.example.org");
    it.instead_in(&pod, None, "dns:bad.ns");
    it.instead(None, run("dns:cache.other").inside(&pod));
    pod.etc("resolv.conf", NODE);
    it.instead_in(&pod, "NodeDns", "dns:cache.other");
}

/// Every kind says which full name it used, if that is outside the cluster.
#[test]
fn a_name_that_a_strangers_domain_has_is_named() {
    let pod = pod(POD);
    let _server = zone::serve(&pod, "127.0.0.1", ZONE);
    let _web = pod.within(|| Web::on("10.0.0.1:80".parse().unwrap(), None, |_, _| Reply::status(200)));
    let run = |target: &str| Run::new(["-t", "4s", target]).env("KUBERNETES_SERVICE_HOST", "10.96.0.1").inside(&pod);
    for (target, full) in [
        ("tcp:api:80", "api.corp.test"),
        ("http://api.ns/", "api.ns.corp.test"),
        ("tcp:api.ns.svc.c.test:80", "api.ns.svc.c.test.corp.test"),
        ("dns:api", "api.corp.test"),
        ("dns:api?type=A", "api.corp.test"),
    ] {
        let ended = run(target).end();
        ended.success().stderr_has(&format!("and {full} was: a search domain outside the cluster has it"));
        let ready = ended.stderr.lines().find(|line| line.contains("  ready after")).unwrap_or_default();
        assert!(ready.contains(full), "{ended}");
        assert_eq!(ended.lines_with("was not found in the cluster"), 1, "{ended}");
    }
    run("http://api/#status=204").end().failure().stderr_has("(found as api.corp.test)");
    run("tcp:api:9").end().failure().stderr_has("(found as api.corp.test)");
    // These are what was meant.
    run("tcp:db:80").end().success().nowhere("found as").nowhere("outside the cluster");
    run("tcp:api.corp.test:80").end().success().nowhere("found as").nowhere("outside the cluster");
    Run::new(["-t", "4s", "tcp:api:80"])
        .inside(&pod)
        .end()
        .success()
        .nowhere("found as")
        .nowhere("outside the cluster");
}

#[test]
fn addresses_that_no_server_has() {
    let pod = pod(POD);
    let _server = zone::serve(&pod, "127.0.0.1", ZONE);
    let _here = pod.within(|| Fake::on(([0, 0, 0, 0], 80).into(), linger));
    for target in ["dns:sink", "tcp:sink:80", "dns:sink#gone"] {
        Run::new(["--once", target]).inside(&pod).end().failure().stderr_has("a sinkhole");
    }
    Run::new(["--once", "tcp:local:80"]).inside(&pod).end().failure().stderr_has("needs a zone");
}

#[test]
fn a_rule_that_forbids_to_ask() {
    let pod = pod(POD);
    pod.sh("nft add table inet t\nnft 'add chain inet t out { type filter hook output priority 0; }'\n\
            nft add rule inet t out udp dport 53 drop");
    let ended = Run::new(["--once", "dns:db"]).inside(&pod).end();
    ended.failure().stderr_has("a rule on this machine forbids asking nameserver 127.0.0.1: look for a NetworkPolicy");
}

#[test]
fn a_resolv_conf_that_cannot_be_read() {
    let pod = pod(POD);
    pod.remove_etc("resolv.conf");
    Run::new(["--once", "dns:db"]).inside(&pod).end().failure().stderr_has("there is no /etc/resolv.conf");
    pod.sh("true");
    let mkdir = pod.enter_all();
    let made = std::process::Command::new(&mkdir[0]).args(&mkdir[1..]).args(["mkdir", "/etc/resolv.conf"]).status();
    assert!(made.is_ok_and(|status| status.success()));
    let ended = Run::new(["--once", "dns:db"]).inside(&pod).end();
    ended.failure().stderr_has("cannot be read or is not a regular file").nowhere("there is no /etc");
}

pub(crate) fn outside_cluster(it: &Witness) {
    let pod = pod(POD);
    let _server = zone::serve(&pod, "127.0.0.1", ZONE);
    it.given_in(&pod, "tcp:api:9");
    it.given_in(&pod, "tcp:api.ns:9");
    it.given_in(&pod, "tcp:api.ns.svc.c.test:9");
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
    it.instead_in(&pod, "NoService", "dns:web-0.other");
}
