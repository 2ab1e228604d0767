//! `gone` in a Pod, where packets vanish, an address stays and names go. A doubt is not an absence.

use crate::support::{Fake, Pod, Run, fake::linger};

/// A `NetworkPolicy` hides a server; it is still there.
#[test]
fn silence_is_not_gone() {
    let pod = Pod::new();
    pod.sh("nft add table inet t\nnft add chain inet t in '{ type filter hook input priority 0; }'\n\
         nft add rule inet t in tcp dport 7000 drop");
    let args = ["-t", "1500ms", "--connect-timeout=100ms", "--max-pause=50ms", "tcp:127.0.0.1:7000#gone"];
    Run::new(args).inside(&pod).end().failure();
    let unreachable = ["-t", "700ms", "--max-pause=50ms", "tcp:10.9.9.9:7000#gone"];
    Run::new(unreachable).inside(&pod).end().failure();
}

/// Two addresses of another machine refuse by RST, which no kernel limits. Then one of them is silent.
fn one_of_two_falls_silent(how: &str) {
    let (pod, machine) = (Pod::new(), Pod::new());
    machine.sh(&format!(
        "ip link add vm type veth peer name vp netns {}
         ip addr add 10.9.0.2/24 dev vm; ip addr add 10.9.0.3/24 dev vm; ip link set vm up",
        pod.enter_network()[2]
    ));
    pod.sh("ip addr add 10.9.0.1/24 dev vp; ip link set vp up");
    pod.etc("hosts", "10.9.0.2 db\n10.9.0.3 db\n");
    let running = Run::new(["-v", "-t", "8s", "tcp:db:7000#gone"]).inside(&pod).start();
    running.line("ready 1 time");
    let mut python = machine.server("python3");
    let mut server = python.args(["-c", how]).spawn().unwrap();
    let ended = running.end();
    let _ = server.kill();
    let _ = server.wait();
    ended.failure().stderr_has("no answer now from 10.9.0.2:7000");
}

/// The closed port of 10.9.0.3 explains no silence of 10.9.0.2.
#[test]
fn silence_beside_a_closed_port_is_not_gone() {
    one_of_two_falls_silent(
        "import os; os.system('nft add table inet t; nft add chain inet t in \"{ type filter hook input priority 0; }\"; \
         nft add rule inet t in ip daddr 10.9.0.2 tcp dport 7000 drop')",
    );
}

/// A server is there again, and its queue is full: the kernel drops the packets.
#[test]
fn a_server_with_a_full_queue_beside_a_closed_port_is_not_gone() {
    one_of_two_falls_silent(
        "import socket, time\ns = socket.socket(); s.bind(('10.9.0.2', 7000)); s.listen(0); kept = []\n\
         for _ in range(4):\n  c = socket.socket(); c.setblocking(False); c.connect_ex(('10.9.0.2', 7000)); kept.append(c)\n\
         time.sleep(60)",
    );
}

/// Every address has to refuse.
#[test]
fn one_address_that_accepts_is_enough_to_stay() {
    let pod = Pod::new();
    pod.etc("hosts", "127.0.1.1 db\n127.0.1.2 db\n127.0.1.3 db\n");
    let fake = pod.within(|| Fake::on(([127, 0, 1, 2], 7000).into(), linger));
    let running = Run::new(["--max-pause=50ms", "tcp:db:7000#gone"]).inside(&pod).start();
    running.line("127.0.1.2");
    drop(fake);
    running.end().success();
}

#[cfg(feature = "dns")]
mod dns {
    use super::*;
    use crate::support::dns::{A, Answer, Knot, Names, REFUSED, SERVFAIL};

    #[test]
    fn a_name_that_goes() {
        let pod = Pod::new();
        pod.etc("resolv.conf", "nameserver 127.0.0.1\nsearch cluster.test\noptions ndots:5\n");
        let mut knot = Knot::start(&pod, "db A 10.0.0.7\nother A 10.0.0.8");
        let running = Run::new(["--max-pause=100ms", "dns:db.cluster.test.#gone"]).inside(&pod).start();
        running.line("10.0.0.7");
        // First the address goes, and the name is still there for something else.
        knot.serve("db TXT hello");
        running.end().success();
        knot.serve("other A 10.0.0.8");
        Run::new(["--max-pause=100ms", "dns:db.cluster.test.#gone"]).inside(&pod).end().success();
    }

    #[test]
    fn trouble_is_not_gone() {
        for answer in [Answer::Code(SERVFAIL), Answer::Code(REFUSED), Answer::Silence] {
            let pod = Pod::new();
            let said = answer.clone();
            let _names = Names::start(&pod, move |_| said.clone());
            let args = ["-t", "1500ms", "--connect-timeout=100ms", "--max-pause=50ms", "dns:db#gone"];
            let ended = Run::new(args).inside(&pod).end();
            ended.expect(&format!("not gone after {answer:?}"), ended.status.code() == Some(1));
        }
    }

    /// One family denied and the other in trouble is a doubt.
    #[test]
    fn half_an_answer_is_not_gone() {
        let pod = Pod::new();
        let _names = Names::start(&pod, |asked| if asked.kind == A { Answer::NoData } else { Answer::Code(SERVFAIL) });
        Run::new(["-t", "1500ms", "--max-pause=50ms", "dns:db#gone"]).inside(&pod).end().failure();
    }

    /// The Service is deleted while we wait for its port to close.
    #[test]
    fn a_name_without_records_is_gone_for_tcp_too() {
        let pod = Pod::new();
        pod.etc("resolv.conf", "nameserver 127.0.0.1\nsearch cluster.test\n");
        let mut knot = Knot::start(&pod, "db A 127.0.5.1");
        let _fake = pod.within(|| Fake::on(([127, 0, 5, 1], 7000).into(), linger));
        let running = Run::new(["--max-pause=100ms", "tcp:db.cluster.test:7000#gone"]).inside(&pod).start();
        running.line("127.0.5.1:7000");
        knot.serve("");
        running.end().success();
    }
}
