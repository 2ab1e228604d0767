//! A stopped PostgreSQL, silent nameservers and packets that vanish: each run ends with status 1
//! soon after its `--timeout`, and names the stage that it hung in.

use std::time::Duration;

use rustix::process::Signal;

use crate::support::{
    Pod, Run,
    dns::{Answer, Names},
    hang::{hangs, hangs_in},
    pg::Pg,
};

#[cfg(feature = "postgres")]
#[test]
fn stopped_postgres() {
    let pg = Pg::started();
    pg.signal(Signal::STOP);
    hangs(&format!("postgres:{}", pg.addr), &[&pg.addr.to_string(), "no complete answer came"]);
    hangs(&pg.url("postgres:secret", "postgres"), &[&pg.addr.to_string(), "no complete answer came"]);
}

/// Each attempt searches a hosts file of a megabyte. A hundred of them do not delay the end.
#[test]
fn a_long_hosts_file_and_many_targets() {
    let pod = Pod::new();
    pod.etc("hosts", &"10.1.2.3 a-long-name-of-a-host another-alias.example.test\n".repeat(18_000));
    let targets = (0..100).map(|at| format!("tcp:name{at}:7000"));
    let args = ["-t", "700ms", "--parallel"].map(str::to_owned).into_iter().chain(targets);
    let ended = Run::new(args).inside(&pod).end();
    ended.failure().took(Duration::from_millis(700)..Duration::from_millis(1500));
}

#[test]
fn dropped_syn() {
    let pod = Pod::new();
    pod.sh("nft add table inet t\nnft add chain inet t in '{ type filter hook input priority 0; }'\n\
         nft add rule inet t in tcp dport 7000 drop");
    hangs_in(&pod, "tcp:127.0.0.1:7000", &["127.0.0.1:7000", "connect"]);
}

#[test]
fn silent_nameserver() {
    let pod = Pod::new();
    let _names = Names::start(&pod, |_| Answer::Silence);
    hangs_in(&pod, "tcp:db:7000", &["db", "127.0.0.1", "nameserver"]);
}

#[cfg(feature = "dns")]
#[test]
fn silent_nameserver_behind_a_search_list() {
    let pod = Pod::new();
    pod.etc(
        "resolv.conf",
        "nameserver 127.0.0.1\nnameserver 127.0.0.2\nsearch a.test b.test c.test\noptions ndots:5\n",
    );
    let _names = Names::start(&pod, |_| Answer::Silence);
    let _second = Names::start_at(&pod, ([127, 0, 0, 2], 53).into(), |_| Answer::Silence);
    hangs_in(&pod, "dns:db", &["db", "127.0.0.1", "nameserver"]);
}

/// The nameserver's packets vanish, rather than its answers.
#[test]
fn unreachable_nameserver() {
    let pod = Pod::new();
    pod.sh("nft add table inet t\nnft add chain inet t in '{ type filter hook input priority 0; }'\n\
         nft add rule inet t in udp dport 53 drop\nnft add rule inet t in tcp dport 53 drop");
    hangs_in(&pod, "tcp:db:7000", &["db", "127.0.0.1", "nameserver"]);
}
