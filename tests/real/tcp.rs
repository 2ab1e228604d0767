//! `tcp:` in a Pod: several addresses of a name, packets that vanish, no route, and a port that answers itself.

use std::{
    io::{Read as _, Write as _},
    net::{TcpListener, TcpStream},
    thread,
    time::{Duration, Instant},
};

use crate::support::{Fake, Pod, Run, fake::linger};

fn secs(seconds: f64) -> Duration {
    Duration::from_secs_f64(seconds)
}

#[test]
fn v6() {
    let pod = Pod::new();
    let fake = pod.within(|| Fake::on("[::1]:0".parse().unwrap(), linger));
    Run::new(["--once", &format!("tcp:[::1]:{}", fake.port())]).inside(&pod).end().success();
    assert_eq!(fake.hits(), 1);
    let ended = Run::new(["--once", "tcp:[::1]:9"]).inside(&pod).end();
    ended.failure().stderr_has("[::1]:9");
}

/// The hosts file lists three, one of them accepts. That has to do, in whatever order they come.
#[test]
fn any_address_of_a_name_will_do() {
    let pod = Pod::new();
    pod.etc("hosts", "127.0.1.1 db\n127.0.1.2 db\n127.0.1.3 db\n::1 db\n");
    let _fake = pod.within(|| Fake::on(([127, 0, 1, 3], 7000).into(), linger));
    for _ in 0..5 {
        Run::new(["--once", "tcp:db:7000"]).inside(&pod).end().success();
    }
}

#[test]
fn refusals_of_every_address_are_named() {
    let pod = Pod::new();
    pod.etc("hosts", "127.0.1.1 db\n127.0.1.2 db\n");
    let ended = Run::new(["--once", "tcp:db:7000"]).inside(&pod).end();
    ended.failure().stderr_has("tcp:db:7000").stderr_has("127.0.1.1").stderr_has("127.0.1.2");
}

/// One address drops SYNs, the other accepts: 250 ms later the other is tried beside it.
#[test]
fn a_silent_address_does_not_hold_up_the_next() {
    let pod = Pod::new();
    pod.etc("hosts", "127.0.1.1 db\n127.0.1.2 db\n");
    drop_syns(&pod, "ip daddr 127.0.1.1");
    let _fake = pod.within(|| Fake::on(([127, 0, 1, 2], 7000).into(), linger));
    for _ in 0..4 {
        Run::new(["--once", "--connect-timeout=3s", "tcp:db:7000"])
            .inside(&pod)
            .end()
            .success()
            .took(secs(0.0)..secs(2.5));
    }
}

fn drop_syns(pod: &Pod, matching: &str) {
    pod.sh(&format!(
        "nft add table inet t\nnft add chain inet t in '{{ type filter hook input priority 0; }}'\n\
         nft add rule inet t in {matching} tcp flags syn drop"
    ));
}

/// What a `NetworkPolicy` does.
#[test]
fn dropped_syns_end_each_attempt_at_the_connect_timeout() {
    let pod = Pod::new();
    drop_syns(&pod, "tcp dport 7000");
    let ended = Run::new(["--once", "--connect-timeout=300ms", "tcp:127.0.0.1:7000"]).inside(&pod).end();
    ended.failure().took(secs(0.3)..secs(2.0)).stderr_has("127.0.0.1:7000").stderr_says("no answer");
}

/// And when the policy goes, the next attempt gets through.
#[test]
fn dropped_syns_then_accepted() {
    let pod = Pod::new();
    drop_syns(&pod, "tcp dport 7000");
    let _fake = pod.within(|| Fake::on(([127, 0, 0, 1], 7000).into(), linger));
    let running = Run::new(["--connect-timeout=300ms", "tcp:127.0.0.1:7000"]).inside(&pod).start();
    running.line("127.0.0.1:7000");
    pod.sh("nft flush ruleset");
    running.end().success();
}

#[test]
fn no_route_is_said() {
    let pod = Pod::new();
    let ended = Run::new(["--once", "tcp:10.9.9.9:80"]).inside(&pod).end();
    ended.failure().stderr_has("10.9.9.9").stderr_says("no route");
    pod.sh("ip route add blackhole 10.9.9.9");
    let ended = Run::new(["--once", "tcp:10.9.9.9:80"]).inside(&pod).end();
    ended.failure().stderr_has("a blackhole route").nowhere("local.socket");
}

/// Linux connects a socket to itself when the port that it picks for it is the one it connects to.
/// That needs a port of the ephemeral range and some hundred attempts; a range of eight ports makes
/// it happen at once.
const FEW_PORTS: &str = "echo 40000 40007 > /proc/sys/net/ipv4/ip_local_port_range";

#[test]
fn the_trap_of_the_next_two_tests_is_real() {
    let pod = Pod::new();
    pod.sh(FEW_PORTS);
    let connected = pod.within(|| (0..1000).find_map(|_| TcpStream::connect("127.0.0.1:40000").ok()));
    let stream = connected.expect("a thousand connects to one of eight ports must have met themselves");
    assert_eq!(stream.local_addr().unwrap(), stream.peer_addr().unwrap());
}

#[test]
fn a_connection_to_itself_is_not_ready() {
    let pod = Pod::new();
    pod.sh(FEW_PORTS);
    let targets = [
        "tcp:127.0.0.1:40000#hold=0",
        "tcp:127.0.0.1:40000",
        #[cfg(feature = "http")]
        "http://127.0.0.1:40000/",
        #[cfg(all(feature = "http", feature = "tls"))]
        "https://127.0.0.1:40000/",
    ];
    for target in targets {
        let ended = Run::new(["-v", "-t", "2s", "--max-pause=5ms", target]).inside(&pod).end();
        ended.failure().took(secs(2.0)..secs(3.5)).stderr_has("127.0.0.1:40000");
        let attempts = ended.lines_with("; pause: ");
        ended.expect(
            "every attempt is refused",
            attempts > 50 && ended.lines_with("[connect.refused]  [attempt ") == attempts,
        );
    }
}

/// The server that we wait for must be able to take its port while we poll it.
#[test]
fn a_connection_to_itself_leaves_the_port_free() {
    leaves_the_port_free("tcp:127.0.0.1:40000#hold=10ms");
    #[cfg(feature = "http")]
    leaves_the_port_free("http://127.0.0.1:40000/#status=100-599");
}

/// The kernel says EADDRNOTAVAIL, as it does where it has run out of ports.
#[test]
fn a_machine_without_ipv6() {
    let pod = Pod::new();
    pod.sh("echo 1 >/proc/sys/net/ipv6/conf/all/disable_ipv6");
    let once = |target: &str| Run::new(["--once", target]).inside(&pod).end();
    once("tcp:[::1]:9").failure().stderr_has("no IPv6 address here to reach [::1]:9 from").nowhere("limit");
    let both = once("tcp:localhost:9");
    both.failure().stderr_has("refused by 127.0.0.1:9; no IPv6 address here").stderr_has("nothing listens");
}

#[track_caller]
fn leaves_the_port_free(target: &str) {
    let pod = Pod::new();
    pod.sh(FEW_PORTS);
    let running = Run::new(["--max-pause=5ms", target]).inside(&pod).start();
    running.line("127.0.0.1:40000");
    thread::sleep(secs(0.5)); // some hundred attempts, whose sockets must all be gone again
    // Nor may one be left in TIME_WAIT (06): a server without SO_REUSEADDR could not bind for a minute.
    let sockets = pod.within(|| std::fs::read_to_string("/proc/thread-self/net/tcp").unwrap());
    let own = format!("{0}:{1:04X} {0}:{1:04X} 06", "0100007F", 40000);
    assert!(!sockets.contains(&own), "{sockets}");
    let limit = Instant::now() + secs(1.0);
    let listener = loop {
        match pod.within(|| TcpListener::bind("127.0.0.1:40000")) {
            Ok(listener) => break listener,
            // One attempt may have it at this very moment.
            Err(error) => assert!(Instant::now() < limit, "{error}: {running}"),
        }
        thread::sleep(Duration::from_millis(1));
    };
    let _fake = Fake::of(listener, |mut stream| {
        let _ = stream.read(&mut [0; 512]);
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n");
        linger(stream);
    });
    running.end().success();
}

/// Three members, two of them there: a quorum of two, but not all.
#[test]
fn quorum() {
    let pod = Pod::new();
    pod.etc("hosts", "127.0.1.1 etcd\n127.0.1.2 etcd\n127.0.1.3 etcd\n");
    let [one, two] = [1, 2].map(|last| pod.within(|| Fake::on(([127, 0, 1, last], 2379).into(), linger)));
    let at = |expected: &str| Run::new(["--once", &format!("tcp:etcd:2379#{expected}")]).inside(&pod).end();
    at("min=2").success();
    at("min=3").failure().stderr_has("127.0.1.3");
    at("all").failure().stderr_has("127.0.1.3");
    let _three = pod.within(|| Fake::on(([127, 0, 1, 3], 2379).into(), linger));
    at("min=3").success();
    at("all").success();
    drop((one, two));
}
