//! What a name costs: questions counted at the nameserver, and time lost to a nameserver that is dead.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use crate::support::{
    Pod, Run,
    scripted::{Asked, Server},
    zone,
};

const POD: &str = "search ns.svc.c.test svc.c.test c.test\nnameserver 127.0.0.1\noptions ndots:5\n";

fn pod() -> Pod {
    let pod = Pod::new();
    pod.etc("resolv.conf", POD);
    pod
}

/// What one attempt costs the nameserver. glibc's `getent ahosts` pays 2, 8, 8, 0 and 0.
#[test]
fn questions_per_attempt() {
    let pod = pod();
    pod.etc("hosts", "10.0.0.9 listed\n");
    let lines = "db.ns.svc.c.test A 10.0.0.1\nweb.other.svc.c.test A 10.0.0.2";
    let server = zone::serve(&pod, "127.0.0.1", lines);
    let mut before = 0;
    for (target, questions) in [
        ("dns:db", 2),
        ("dns:web.other.svc.c.test", 2),
        ("dns:missing", 8),
        ("dns:10.0.0.1", 0),
        ("dns:listed", 0),
        ("dns:localhost", 0),
        ("dns:db.", 2),
        ("dns:db?type=A", 1),
    ] {
        Run::new(["--once", target]).inside(&pod).end();
        let asked = server.asked();
        assert_eq!(asked.len() - before, questions, "{target}: {:?}", &asked[before..]);
        before = asked.len();
    }
}

/// Addresses are kept for up to 5 s, so that many quick attempts cost the DNS two questions; a denial is not.
#[test]
fn attempts_of_other_kinds_share_an_answer() {
    let pod = pod();
    let server = zone::serve(&pod, "127.0.0.1", "db.ns.svc.c.test A 127.0.9.9");
    let ended = Run::new(["--timeout=1500ms", "--max-pause=100ms", "tcp:db:9"]).inside(&pod).end();
    ended.failure();
    assert_eq!(server.asked().len(), 2, "{:?}", server.asked());
}

/// Best of three, since the machine may be busy: how long a run takes in which every attempt is the first.
fn best(pod: &Pod, target: &str) -> Duration {
    let runs = (0..3).map(|_| {
        let ended = Run::new(["--once", target]).inside(pod).end();
        ended.success();
        ended.elapsed
    });
    runs.min().unwrap()
}

#[test]
fn a_dead_first_nameserver_costs_300_ms() {
    let pod = pod();
    pod.etc("resolv.conf", &POD.replace("nameserver 127.0.0.1", "nameserver 127.0.0.1\nnameserver 127.0.0.2"));
    let dead = zone::serve(&pod, "127.0.0.1", "* SILENT");
    let _good = zone::serve(&pod, "127.0.0.2", "db.c.test A 10.0.0.1");
    let took = best(&pod, "dns:db");
    assert!((Duration::from_millis(300)..Duration::from_millis(550)).contains(&took), "{took:?}");
    drop(dead);
    // Nothing is at the address at all: its port is closed, and waitgate sees that at once.
    let took = best(&pod, "dns:db");
    assert!(took < Duration::from_millis(250), "{took:?}");
}

/// Packets that vanish, as behind a NetworkPolicy: neither an answer nor an error.
#[test]
fn a_dead_dns_ends_the_run_on_time() {
    let pod = pod();
    pod.sh("nft add table inet t; nft 'add chain inet t in { type filter hook input priority 0; }'; nft add rule inet t in udp dport 53 drop");
    let ended = Run::new(["--timeout=2s", "dns:db"]).inside(&pod).end();
    ended.failure().took(Duration::from_secs(2)..Duration::from_secs(3));
    ended.stderr_has("nameserver 127.0.0.1").stderr_has("no answer");
}

/// The pause before a name is asked for again is at most 1 s, and nothing remembers the denial.
#[test]
fn a_name_that_appears_is_seen_within_a_pause() {
    let pod = pod();
    let there = Arc::new(AtomicBool::new(false));
    let seen = Arc::clone(&there);
    let script = move |asked: &Asked| {
        if seen.load(Ordering::Relaxed) && asked.name == "db.ns.svc.c.test" {
            return vec![asked.answer("db.ns.svc.c.test A 10.0.0.1")];
        }
        vec![asked.denial(hickory_resolver::proto::op::ResponseCode::NXDomain, 3600)]
    };
    let _server = pod.within(|| Server::at("127.0.0.1:53".parse().unwrap(), Arc::new(script))).unwrap();
    let running = Run::new(["dns:db"]).inside(&pod).start();
    running.line("up to 1h");
    std::thread::sleep(Duration::from_secs(1));
    there.store(true, Ordering::Relaxed);
    let appeared = Instant::now();
    running.end().success();
    assert!(appeared.elapsed() < Duration::from_secs(2), "{:?}", appeared.elapsed());
}

/// A question that is sent again needs another socket. Where there is none left, the ones there are have to do.
#[test]
fn a_shortage_of_descriptors_does_not_make_it_worse() {
    let pod = pod();
    let _silent = zone::serve(&pod, "127.0.0.1", "* SILENT");
    let targets = (0..16).map(|n| format!("dns:n{n}."));
    let options = ["--parallel", "--timeout=2s", "--log-format=json"].map(str::to_owned);
    let run = Run::new(options.into_iter().chain(targets)).through(["prlimit", "--nofile=64:64"]).inside(&pod);
    let ended = run.end();
    ended.failure().took(Duration::from_secs(2)..Duration::from_secs(3));
    ended.stderr_has("resolve.timeout").nowhere("local.descriptors");
}
