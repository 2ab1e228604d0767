//! `dns:` and the one resolver behind every kind, in a Pod with a real DNS server or none.

use std::{net::IpAddr, time::Duration};

use rustix::process::Signal;

use crate::support::{
    Fake, Pod, Run,
    dns::{A, AAAA, Answer, Asked, Knot, NXDOMAIN, Names, REFUSED, SERVFAIL},
    fake::linger,
    web::{Reply, Web},
};

/// What the kubelet writes for a Pod of the namespace `default`.
const CLUSTER: &str = "search default.svc.cluster.test svc.cluster.test cluster.test\n\
                       nameserver 127.0.0.1\noptions ndots:5\n";

/// A Pod with the kubelet's resolv.conf.
fn in_cluster() -> Pod {
    let pod = Pod::new();
    pod.etc("resolv.conf", CLUSTER);
    pod
}

/// One attempt in the Pod.
fn once(pod: &Pod, target: &str) -> crate::support::run::Ended {
    Run::new(["--once", target]).inside(pod).end()
}

fn v4(last: u8) -> Answer {
    Answer::Addresses(vec![IpAddr::from([10, 0, 0, last])])
}

#[test]
fn name_appears_late() {
    let pod = in_cluster();
    let mut knot = Knot::start(&pod, "");
    let running = Run::new(["dns:db"]).inside(&pod).start();
    let line = running.line("not exist");
    assert!(line.contains("db.default.svc.cluster.test"), "{line}");
    knot.serve("db.default.svc A 10.0.0.7");
    running.end().success().stderr_has("10.0.0.7");
}

/// A negative answer is never kept, whatever its SOA allows.
#[test]
fn a_name_that_appears_is_seen_at_once() {
    let pod = in_cluster();
    let mut knot = Knot::start(&pod, "");
    let running = Run::new(["dns:db", "--max-pause=100ms"]).inside(&pod).start();
    running.line("not exist");
    knot.serve("db.default.svc A 10.0.0.7");
    let served = std::time::Instant::now();
    running.end().success();
    assert!(served.elapsed() < Duration::from_secs(2), "{:?}", served.elapsed());
}

/// The SOA says how long others may keep the denial: 5 s is its TTL in the test's zone, 7 s its minimum.
#[test]
fn reason_says_how_long_a_denial_may_be_kept() {
    let pod = in_cluster();
    let _knot = Knot::start(&pod, "");
    once(&pod, "dns:db.cluster.test.").failure().stderr_has("5s");
}

#[test]
fn search_list_in_order() {
    let pod = in_cluster();
    let names = Names::start(&pod, |_| Answer::Code(NXDOMAIN));
    once(&pod, "dns:redis.other").failure();
    let expected = [
        "redis.other.default.svc.cluster.test",
        "redis.other.svc.cluster.test",
        "redis.other.cluster.test",
        "redis.other",
    ];
    assert_eq!(names.names(), expected);
}

#[test]
fn ndots_asks_a_long_name_as_it_stands_first() {
    let pod = Pod::new();
    pod.etc("resolv.conf", "search cluster.test\nnameserver 127.0.0.1\noptions ndots:2\n");
    let names = Names::start(&pod, |_| Answer::Code(NXDOMAIN));
    once(&pod, "dns:a.b.c").failure();
    assert_eq!(names.names(), ["a.b.c", "a.b.c.cluster.test"]);
}

#[test]
fn trailing_dot_asks_once() {
    let pod = in_cluster();
    let names = Names::start(&pod, |_| Answer::Code(NXDOMAIN));
    once(&pod, "dns:redis.other.").failure();
    assert_eq!(names.names(), ["redis.other"]);
}

/// Two questions in place of eight, for the most usual name of all.
#[test]
fn a_name_in_a_search_domain_is_asked_as_it_stands_first() {
    let pod = in_cluster();
    let names = Names::start(&pod, |asked| match asked.kind {
        A if asked.name == "db.default.svc.cluster.test" => v4(7),
        _ => Answer::NoData,
    });
    once(&pod, "dns:db.default.svc.cluster.test").success();
    assert_eq!(names.names(), ["db.default.svc.cluster.test"]);
}

#[test]
fn a_and_aaaa_are_asked_and_either_will_do() {
    for family in [A, AAAA] {
        let pod = in_cluster();
        let names = Names::start(&pod, move |asked| match asked.kind {
            kind if kind != family => Answer::NoData,
            A => v4(7),
            _ => Answer::Addresses(vec!["fd00::7".parse().unwrap()]),
        });
        once(&pod, "dns:db").success();
        let kinds: Vec<u16> = names.asked().iter().map(|asked| asked.kind).collect();
        assert!(kinds.contains(&A) && kinds.contains(&AAAA), "{kinds:?}");
    }
}

/// hostAliases: the name as given, before any question.
#[test]
fn hosts_file_comes_first() {
    let pod = in_cluster();
    pod.etc("hosts", "127.0.0.1 localhost\n10.0.0.9 Legacy-DB db.example.test\n");
    let names = Names::start(&pod, |_| Answer::Code(NXDOMAIN));
    for target in ["dns:legacy-db", "dns:db.example.test"] {
        once(&pod, target).success().stderr_has("10.0.0.9");
    }
    assert_eq!(names.names(), Vec::<String>::new());
}

#[test]
fn literal_needs_no_nameserver() {
    let pod = in_cluster();
    let names = Names::start(&pod, |_| Answer::Silence);
    for target in ["dns:10.0.0.1", "dns:fd00::1"] {
        once(&pod, target).success();
    }
    assert_eq!(names.names(), Vec::<String>::new());
}

/// The four ways not to find a name are four reasons.
#[test]
fn nxdomain_nodata_servfail_and_silence_are_told_apart() {
    let pod = in_cluster();
    let knot = Knot::start(&pod, "text TXT hello");
    let nxdomain = once(&pod, "dns:nowhere.cluster.test.");
    nxdomain.failure().stderr_has("does not exist");
    let nodata = once(&pod, "dns:text.cluster.test.");
    nodata.failure().stderr_says("no address").nowhere("not exist");
    let servfail = once(&pod, "dns:x.broken.test.");
    servfail.failure().stderr_has("SERVFAIL").nowhere("not exist");
    knot.signal(Signal::STOP);
    let silent = once(&pod, "dns:nowhere.cluster.test.");
    silent.failure().stderr_has("127.0.0.1").stderr_says("no answer").nowhere("not exist").nowhere("SERVFAIL");
}

/// No nameserver listens on port 53: a connected UDP socket hears that at once.
#[test]
fn no_nameserver_there_is_a_refusal() {
    let pod = in_cluster();
    let ended = Run::new(["--once", "--connect-timeout=3s", "dns:db"]).inside(&pod).end();
    ended
        .failure()
        .stderr_has("127.0.0.1")
        .stderr_says("refused by nameserver")
        .took(Duration::ZERO..Duration::from_millis(2500));
}

#[test]
fn refused_by_policy_is_named() {
    let pod = in_cluster();
    let _names = Names::start(&pod, |_| Answer::Code(REFUSED));
    once(&pod, "dns:db").failure().stderr_has("REFUSED");
}

/// A SERVFAIL on the way is remembered: nothing found is then trouble, not "no such name".
#[test]
fn servfail_on_the_way_is_trouble() {
    let pod = in_cluster();
    let names =
        Names::start(&pod, |asked| Answer::Code(if asked.name == "db.svc.cluster.test" { SERVFAIL } else { NXDOMAIN }));
    once(&pod, "dns:db").failure().stderr_has("SERVFAIL").stderr_has("db.svc.cluster.test");
    assert_eq!(names.names().len(), 4, "the walk goes on: {:?}", names.names());
}

/// ... and a name further on in the list is found all the same.
#[test]
fn servfail_on_the_way_does_not_hide_a_name() {
    let pod = in_cluster();
    let _names = Names::start(&pod, |asked| match (asked.name.as_str(), asked.kind) {
        ("db.svc.cluster.test", _) => Answer::Code(SERVFAIL),
        ("db.cluster.test", A) => v4(7),
        ("db.cluster.test", _) => Answer::NoData,
        _ => Answer::Code(NXDOMAIN),
    });
    once(&pod, "dns:db").success().stderr_has("10.0.0.7");
}

/// The second nameserver has the name; the first fails, refuses, is silent or is not there.
#[test]
fn the_next_nameserver_is_asked() {
    let answers = |asked: &Asked| {
        if asked.kind == A { v4(7) } else { Answer::NoData }
    };
    let config = CLUSTER.replace("nameserver 127.0.0.1", "nameserver 127.0.0.1\nnameserver 127.0.0.2");
    for first in [Answer::Code(SERVFAIL), Answer::Code(REFUSED), Answer::Silence] {
        let pod = Pod::new();
        pod.etc("resolv.conf", &config);
        let said = first.clone();
        let _first = Names::start(&pod, move |_| said.clone());
        let _second = Names::start_at(&pod, ([127, 0, 0, 2], 53).into(), answers);
        let ended = once(&pod, "dns:db");
        ended.expect(&format!("success after {first:?}"), ended.status.success());
        ended.took(Duration::ZERO..Duration::from_millis(2500));
    }
    let pod = Pod::new();
    pod.etc("resolv.conf", &config);
    let _second = Names::start_at(&pod, ([127, 0, 0, 2], 53).into(), answers);
    once(&pod, "dns:db").success();
}

/// The first family that has addresses does not wait for one that never answers.
#[test]
fn a_silent_aaaa_does_not_hold_up_a() {
    let pod = in_cluster();
    let _names = Names::start(&pod, |asked| if asked.kind == A { v4(7) } else { Answer::Silence });
    for target in ["dns:db", "dns://127.0.0.1/db"] {
        let ended = Run::new(["--once", "--connect-timeout=3s", target]).inside(&pod).end();
        ended.success().took(Duration::ZERO..Duration::from_millis(2500));
    }
}

#[test]
fn other_kinds_use_the_same_resolver() {
    let pod = in_cluster();
    let mut knot = Knot::start(&pod, "");
    let fake = pod.within(|| Fake::on(([127, 0, 5, 1], 7000).into(), linger));
    let running = Run::new(["tcp:db:7000"]).inside(&pod).start();
    running.line("not exist");
    knot.serve("db.default.svc A 127.0.5.1");
    running.end().success();
    assert_eq!(fake.hits(), 1);
}

/// A positive answer may be kept, but never for `dns:` itself.
#[test]
fn dns_asks_anew_for_each_success() {
    let pod = in_cluster();
    let names = Names::start(&pod, |asked| if asked.kind == A { v4(7) } else { Answer::NoData });
    Run::new(["dns:db.default.svc.cluster.test", "--successes=3", "--max-pause=100ms"]).inside(&pod).end().success();
    assert_eq!(names.asked().iter().filter(|asked| asked.kind == A).count(), 3, "{:?}", names.asked());
}

/// The hostname of a node has a domain; the target is not in it.
#[test]
fn the_hosts_own_domain_is_never_searched() {
    let pod = Pod::new();
    let names = Names::start(&pod, |_| Answer::Code(NXDOMAIN));
    Run::new(["--once", "dns:db"])
        .inside(&pod)
        .through([
            "unshare",
            "--uts",
            "sh",
            "-c",
            "echo node.example.test > /proc/sys/kernel/hostname; exec \"$@\"",
            "sh",
        ])
        .end()
        .failure();
    assert_eq!(names.names(), ["db"]);
}

/// Odd resolv.conf files that were seen in the field: what glibc would do, or a clear line.
#[test]
fn odd_resolv_conf() {
    for config in [
        "# a comment\n; another\nsearch default.svc.cluster.test\nnameserver 127.0.0.1\noptions ndots:5 no-such-option timeout:0 rotate\nno-such-directive 1\n",
        "nameserver 127.0.0.1\nsearch bad..label default.svc.cluster.test\noptions ndots:5\n",
        "search default.svc.cluster.test .\nnameserver 127.0.0.1\noptions ndots:5\n",
        "nameserver 127.0.0.1\nnameserver fe80::1%eth0\nsearch default.svc.cluster.test\n",
        // Without a nameserver glibc asks 127.0.0.1.
        "search default.svc.cluster.test\n",
    ] {
        let pod = Pod::new();
        pod.etc("resolv.conf", config);
        let _knot = Knot::start(&pod, "db.default.svc A 10.0.0.7");
        let ended = once(&pod, "dns:db");
        ended.expect(&format!("success with {config:?}"), ended.status.success());
    }
}

#[test]
fn missing_resolv_conf() {
    let pod = Pod::new();
    pod.remove_etc("resolv.conf");
    pod.etc("hosts", "10.0.0.9 db\n");
    once(&pod, "dns:db").success();
    once(&pod, "dns:other").failure().stderr_has("127.0.0.1");
    pod.remove_etc("hosts");
    let _knot = Knot::start(&pod, "db A 10.0.0.7");
    once(&pod, "dns:db.cluster.test").success();
}

/// An answer that does not fit into a datagram comes again over TCP.
#[test]
fn many_addresses_come_over_tcp() {
    let pod = in_cluster();
    let record = |last: u8| format!("db.default.svc A 10.0.1.{last}");
    let records = (1..=200).map(record).collect::<Vec<_>>().join("\n");
    let _knot = Knot::start(&pod, &records);
    once(&pod, "dns:db#has=10.0.1.200").success();
    once(&pod, "dns:db#min=200").success();
    once(&pod, "dns:db#min=201").failure().stderr_has("200").stderr_has("201");
}

#[test]
fn cname_is_followed() {
    let pod = in_cluster();
    let _knot = Knot::start(
        &pod,
        "db.default.svc CNAME real.default.svc\nreal.default.svc A 10.0.0.7\nloop.default.svc CNAME loop.default.svc",
    );
    once(&pod, "dns:db").success().stderr_has("10.0.0.7");
    once(&pod, "dns:loop").failure().took(Duration::ZERO..Duration::from_secs(4));
}

#[test]
fn records_of_a_type() {
    let pod = in_cluster();
    let mut knot = Knot::start(&pod, "_pg._tcp.db.default.svc SRV 0 0 5432 db.default.svc");
    once(&pod, "dns:_pg._tcp.db?type=SRV").success();
    once(&pod, "dns:_pg._tcp.db?type=TXT").failure();
    let running = Run::new(["dns:db?type=TXT"]).inside(&pod).start();
    running.line("db");
    knot.serve("db.default.svc TXT hello");
    running.end().success();
}

/// `dns://SERVER:PORT/NAME` asks that server, with no hosts file and no search list.
#[test]
fn a_server_of_its_own() {
    let pod = in_cluster();
    pod.etc("hosts", "10.0.0.9 db\n");
    let names = Names::start_at(&pod, ([127, 0, 0, 9], 5353).into(), |asked| match (asked.name.as_str(), asked.kind) {
        ("db.example.test", A) => v4(7),
        ("db.example.test", _) => Answer::NoData,
        _ => Answer::Code(NXDOMAIN),
    });
    once(&pod, "dns://127.0.0.9:5353/db").failure().stderr_has("db does not exist");
    once(&pod, "dns://127.0.0.9:5353/db.example.test").success();
    assert_eq!(names.names(), ["db", "db.example.test"]);
}

#[cfg(feature = "http")]
#[test]
fn name_from_the_hosts_file() {
    let pod = Pod::new();
    pod.etc("hosts", "127.0.1.1 api\n127.0.1.2 api\n");
    let web = pod.within(|| Web::on(([127, 0, 1, 2], 8080).into(), None, |_, _| Reply::status(200)));
    Run::new(["--once", "http://api:8080/"]).inside(&pod).end().success();
    assert_eq!(web.seen()[0].header("host"), Some("api:8080"));
}

/// A name that does not exist ends wait-port at once, unless --wait-for-dns is given. In a cluster it is what
/// a Service looks like that is about to be made, so that here it is waited for.
#[test]
fn an_unknown_name_is_waited_for() {
    let pod = Pod::new();
    let _names = Names::start(&pod, |_| Answer::Code(NXDOMAIN));
    let ended = Run::new(["--timeout=1s", "tcp:nowhere.invalid:80"]).inside(&pod).end();
    ended.failure().took(Duration::from_secs(1)..Duration::from_secs(3));
}
