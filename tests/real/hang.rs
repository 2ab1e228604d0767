//! A stopped PostgreSQL, silent nameservers and packets that vanish: each run ends with status 1
//! soon after its `--timeout`, and names the stage that it hung in.

use rustix::process::Signal;

use crate::support::{
    Pod,
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
