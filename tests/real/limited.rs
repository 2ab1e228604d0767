//! A node that limits its refusals, as kube-proxy's are limited: the kernel sends one ICMP message a second.

use std::{
    thread,
    time::{Duration, Instant},
};

use crate::support::{Fake, Pod, Run, fake::linger};

/// A Pod, and the node that routes for it. The node refuses what goes to 10.96.0.0/16 and fd96::/64 by ICMP.
pub(crate) struct Node {
    pub(crate) pod: Pod,
    node: Pod,
}

const PORT: u16 = 6379;

impl Node {
    pub(crate) fn new() -> Self {
        let (pod, node) = (Pod::new(), Pod::new());
        let pid = &pod.enter_network()[2];
        node.sh(&format!(
            "ip link add vr type veth peer name vc netns {pid}
             ip addr add 10.9.0.1/24 dev vr; ip -6 addr add fd09::1/64 dev vr nodad; ip link set vr up
             echo 1 >/proc/sys/net/ipv4/ip_forward; echo 1 >/proc/sys/net/ipv6/conf/all/forwarding
             echo 0 >/proc/sys/net/ipv4/conf/all/send_redirects; echo 0 >/proc/sys/net/ipv4/conf/vr/send_redirects
             echo 1 >/proc/sys/net/ipv4/ip_nonlocal_bind; echo 1 >/proc/sys/net/ipv6/ip_nonlocal_bind"
        ));
        pod.sh("ip addr add 10.9.0.2/24 dev vc; ip -6 addr add fd09::2/64 dev vc nodad; ip link set vc up
             ip route add default via 10.9.0.1; ip -6 route add default via fd09::1");
        node.sh("ip route add 10.96.0.0/16 via 10.9.0.2 dev vr; ip -6 route add fd96::/64 via fd09::2 dev vr
             nft add table inet t; nft add chain inet t f '{ type filter hook forward priority 0; }'
             nft add rule inet t f ip daddr 10.96.0.0/16 reject with icmp type port-unreachable
             nft add rule inet t f ip6 daddr fd96::/64 reject with icmpv6 type port-unreachable");
        Self { pod, node }
    }

    /// A run as in a container of a Pod whose environment names the Service.
    fn run(&self, args: &[&str]) -> Run {
        let run = Run::new(args).env("KUBERNETES_SERVICE_HOST", "10.96.0.1").env("REDIS_SERVICE_HOST", "10.96.0.9");
        run.inside(&self.pod)
    }

    /// The Service gets its first endpoint. Returns when it has come.
    fn first_endpoint(&self, ip: &str) -> (Fake, Instant) {
        // It listens before the node has the address, which the kernel of the node would refuse otherwise.
        let at = std::net::SocketAddr::new(ip.parse().unwrap(), PORT);
        let fake = self.node.within(|| Fake::on(at, linger));
        self.node.sh(&format!("ip addr add {ip} dev lo"));
        (fake, Instant::now())
    }
}

#[test]
fn silence_after_a_refusal_is_a_refusal() {
    let node = Node::new();
    let ended = node.run(&["-v", "-t", "8s", "tcp:10.96.0.9:6379"]).end();
    ended.failure().nowhere("connect.timeout").stderr_has("the Service exists and has no ready Pod yet");
    let refused = ended.lines_with("connect.refused");
    ended.expect("some attempts are refused, each within the connect timeout", refused >= 7);
    // The trap is there: without a refusal before it, silence is a timeout.
    let drained: Vec<_> =
        (0..12).map(|_| node.run(&["--once", "-v", "--connect-timeout=300ms", "tcp:10.96.0.9:6379"]).end()).collect();
    assert!(drained.iter().any(|ended| ended.stderr.contains("no answer")), "the refusals are not limited");
}

#[test]
fn every_kind_and_every_target_of_a_run() {
    let node = Node::new();
    let targets = [
        "tcp:10.96.0.9:6379",
        "tcp:10.96.0.10:6379#min=1",
        #[cfg(feature = "http")]
        "http://10.96.0.11/",
        #[cfg(feature = "postgres")]
        "postgres:10.96.0.12:5432",
    ];
    let mut args = vec!["--parallel", "-v", "-t", "8s"];
    args.extend(targets);
    let ended = node.run(&args).end();
    ended
        .failure()
        .nowhere("connect.timeout")
        .nowhere("packets seem to be dropped")
        .stderr_has("a node limits its refusals");
}

#[test]
fn the_first_endpoint_is_seen_soon() {
    for ip in ["10.96.0.9", "fd96::9"] {
        let node = Node::new();
        let target = if ip.contains(':') { format!("tcp:[{ip}]:{PORT}") } else { format!("tcp:{ip}:{PORT}") };
        let running = node.run(&["-t", "30s", &target]).start();
        running.line("refused by");
        thread::sleep(Duration::from_millis(3300));
        let (_fake, come) = node.first_endpoint(ip);
        running.end().success();
        let took = come.elapsed();
        assert!(took < Duration::from_millis(900), "{ip}: {took:?}");
    }
}

#[test]
fn a_refusal_over_ipv6_is_one() {
    let node = Node::new();
    let ended = node.run(&["-v", "-t", "6s", "tcp:[fd96::9]:6379"]).end();
    ended.failure().nowhere("connect.timeout");
    ended.expect("refused", ended.lines_with("connect.refused") >= 4);
}

#[test]
fn silence_neither_counts_as_gone_nor_starts_the_count_again() {
    let node = Node::new();
    // The burst of refusals is used up.
    node.run(&["-t", "2s", "tcp:10.96.0.8:6379"]).end().failure();
    let ended = node.run(&["-v", "-t", "30s", "tcp:10.96.0.9:6379#gone"]).end();
    ended.success().took(Duration::from_secs(2)..Duration::from_secs(12));
}

/// Thirty refusals would take 24 s: six at once, then one a second. Each address refuses once, and then the silence of
/// one counts while others take the refusals.
#[test]
fn ten_targets_that_are_gone() {
    let node = Node::new();
    let targets: Vec<String> = (1..=10).map(|last| format!("tcp:10.96.1.{last}:6379#gone")).collect();
    let mut args = vec!["-v", "--parallel", "-t", "60s"];
    args.extend(targets.iter().map(String::as_str));
    let ended = node.run(&args).end();
    ended.success().took(Duration::from_secs(3)..Duration::from_secs(10));
}

#[test]
fn ten_addresses_of_a_name_that_are_gone() {
    let node = Node::new();
    let hosts: Vec<String> = (1..=10).map(|last| format!("10.96.1.{last} db")).collect();
    node.pod.etc("hosts", &(hosts.join("\n") + "\n"));
    let ended = node.run(&["-v", "-t", "60s", "tcp:db:6379#gone"]).end();
    ended.success().took(Duration::from_secs(3)..Duration::from_secs(10));
}

/// A server that refused while it restarted and whose packets are then dropped is not gone.
#[test]
fn silence_alone_is_not_gone() {
    let node = Node::new();
    let running = node.run(&["-v", "-t", "6s", "tcp:10.96.0.9:6379#gone"]).start();
    running.line("ready 1 time");
    node.node.sh("nft insert rule inet t f ip daddr 10.96.0.0/16 drop");
    running.end().failure().stderr_has("refused before");
}

#[cfg(feature = "dns")]
#[test]
fn a_nameserver_that_refuses_at_times() {
    let node = Node::new();
    node.pod.etc("resolv.conf", "search ns.svc.c.test svc.c.test c.test\nnameserver 10.96.0.10\noptions ndots:5\n");
    let ended = node.run(&["-v", "-t", "9s", "dns:db"]).end();
    ended.failure().nowhere("resolve.timeout").nowhere("resolve.trouble").stderr_has("probably no DNS Pod is ready");
    ended.expect("refused", ended.lines_with("resolve.unreachable") >= 5);
    assert!(ended.last_line().contains("refused by nameserver 10.96.0.10 on port 53"), "{ended}");
}
