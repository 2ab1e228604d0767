//! What `gone`, `min=` and `all` mean of a name.

use std::time::Duration;

use crate::support::{Fake, Pod, Run, fake::linger, run::Ended, scripted::Server, zone};

const POD: &str = "search ns.svc.c.test svc.c.test c.test corp.test\nnameserver 127.0.0.1\noptions ndots:5\n";

fn pod(resolv_conf: &str) -> Pod {
    let pod = Pod::new();
    pod.etc("resolv.conf", resolv_conf);
    pod
}

fn once(pod: &Pod, target: &str) -> Ended {
    Run::new(["--once", target]).inside(pod).end()
}

#[test]
fn gone_is_a_denial_by_everybody_three_times() {
    let pod = pod(POD);
    pod.etc("hosts", "10.0.0.9 listed\n");
    let lines =
        "db.c.test A 10.0.0.1\ntext.ns.svc.c.test TXT hello\nsad.svc.c.test SERVFAIL-AAAA\nslow.ns.svc.c.test SILENT-A";
    let server = zone::serve(&pod, "127.0.0.1", lines);
    Run::new(["dns:web#gone", "--max-pause=50ms"]).inside(&pod).end().success().stderr_has("no such name");
    // Eight names for each of the three, and none from a cache.
    assert_eq!(server.asked().len(), 3 * 10, "{:?}", server.asked());
    once(&pod, "dns:text#gone").success();
    once(&pod, "dns:text?type=SRV#gone").success();
    once(&pod, "dns:text?type=TXT#gone").failure().stderr_has("still there: \"hello\"");
    once(&pod, "dns:db#gone").failure().stderr_has("still there: 10.0.0.1 (db.c.test)");
    once(&pod, "dns:listed#gone").failure().stderr_has("still there: 10.0.0.9 (hosts file)");
    once(&pod, "dns:sad#gone").failure().stderr_has("SERVFAIL");
    once(&pod, "dns:slow#gone").failure().stderr_has("no answer");
    once(&pod, "dns://127.0.0.1/db#gone").success();
    drop(server);
    once(&pod, "dns:web#gone").failure().stderr_has("refused by nameserver");
}

/// Four Pods behind a headless name, three of them listening.
fn quorum() -> (Pod, Vec<Fake>, Server) {
    let pod = pod(POD);
    let lines = "db.ns.svc.c.test A 127.0.7.1\ndb.ns.svc.c.test A 127.0.7.2\ndb.ns.svc.c.test A 127.0.7.3\ndb.ns.svc.c.test A 127.0.7.4";
    let server = zone::serve(&pod, "127.0.0.1", lines);
    let fakes = (1..=3).map(|last| pod.within(|| Fake::on(([127, 0, 7, last], 7000).into(), linger))).collect();
    (pod, fakes, server)
}

#[test]
fn min_is_a_number_of_addresses_that_accept() {
    let (pod, mut fakes, _server) = quorum();
    once(&pod, "tcp:db:7000#min=3").success().stderr_has("accepted by 127.0.7.1:7000, 127.0.7.2:7000, 127.0.7.3:7000");
    let four = once(&pod, "tcp:db:7000#min=4");
    four.failure()
        .stderr_has("3 of 4 addresses of one family accept: 127.0.7.1:7000")
        .stderr_has("refused by 127.0.7.4:7000");
    once(&pod, "tcp:db:7000#min=5").failure().stderr_has("3 of 5");
    fakes.clear();
    // No server at all: then it is the connection that fails.
    once(&pod, "tcp:db:7000#min=2").failure().stderr_has("refused by 127.0.7.").nowhere("0 of 2");
}

#[test]
fn all_is_every_address() {
    let (pod, fakes, _server) = quorum();
    once(&pod, "tcp:db:7000#all").failure().stderr_has("3 of 4 addresses accept").stderr_has("127.0.7.4:7000");
    let running = Run::new(["tcp:db:7000#all"]).inside(&pod).start();
    running.line("3 of 4 addresses accept");
    let _fourth = pod.within(|| Fake::on(([127, 0, 7, 4], 7000).into(), linger));
    running.end().success();
    drop(fakes);
}

/// Without its IPv6 addresses, waitgate does not know all of a name.
#[test]
fn all_is_both_families() {
    let pod = pod(POD);
    let _server = zone::serve(&pod, "127.0.0.1", "db.ns.svc.c.test A 127.0.7.1\ndb.ns.svc.c.test SERVFAIL-AAAA");
    let _fake = pod.within(|| Fake::on(([127, 0, 7, 1], 7000).into(), linger));
    once(&pod, "tcp:db:7000#all").failure().stderr_has("SERVFAIL for the IPv6 addresses of db.ns.svc.c.test");
    once(&pod, "tcp:db:7000#min=1").success();
    once(&pod, "tcp:db:7000").success();
}

/// The addresses are tried beside each other: one that is silent does not use up the attempt.
#[test]
fn a_silent_address_does_not_hold_up_a_quorum() {
    let (pod, _fakes, _server) = quorum();
    pod.sh("nft add table inet t; nft 'add chain inet t in { type filter hook input priority 0; }'; nft add rule inet t in ip daddr 127.0.7.4 drop");
    let patient = Run::new(["--once", "--connect-timeout=3s", "tcp:db:7000#min=3"]).inside(&pod).end();
    patient.success().took(Duration::ZERO..Duration::from_millis(2500));
    once(&pod, "tcp:db:7000#all").failure().stderr_has("3 of 4").stderr_has("127.0.7.4:7000 within 1.2s");
}

#[test]
fn a_port_that_is_gone() {
    let (pod, mut fakes, server) = quorum();
    once(&pod, "tcp:db:7000#gone").failure().stderr_has("still there: 127.0.7.");
    let running = Run::new(["tcp:db:7000#gone", "--max-pause=50ms"]).inside(&pod).start();
    running.line("still there");
    fakes.clear();
    running.end().success().stderr_has("refused by 127.0.7.1:7000");
    once(&pod, "tcp:web:7000#gone").success().stderr_has("no such name");
    drop(server);
    once(&pod, "tcp:web:7000#gone").failure();
}

#[test]
fn oddities_in_resolv_conf_are_warned_of_once() {
    let pod = pod("nameserver 127.0.0.1\nsearch bad..label ns.svc.c.test\noptions ndots:5 wibble\n");
    let _server = zone::serve(&pod, "127.0.0.1", "");
    let ended = Run::new(["--timeout=500ms", "dns:db"]).inside(&pod).end();
    ended.failure().expect("one warning", ended.lines_with("bad..label") == 1 && ended.lines_with("wibble") == 1);
    Run::new(["--once", "tcp:127.0.0.1:9"]).inside(&pod).end().nowhere("wibble");
}

#[test]
fn a_nameserver_on_a_link_of_its_own() {
    let pod = pod("nameserver fe80::53%lo\n");
    pod.sh("ip -6 address add fe80::53/64 dev lo nodad");
    let _server = zone::serve(&pod, "[fe80::53%1]", "db A 10.0.0.1");
    once(&pod, "dns:db").success().stderr_has("10.0.0.1");
    pod.etc("resolv.conf", "nameserver fe80::53%1\n");
    once(&pod, "dns:db").success();
}
