//! Where the cells run: a Pod with a nameserver, a firewall, an authority and a folder.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use rustls::ServerConfig;
use tempfile::TempDir;

use crate::support::fault::{Fault, Nameserver};
use crate::support::{PATIENCE, Pod, Run, web::Authority};

pub(super) struct World {
    pub(super) pod: Pod,
    pub(super) authority: Authority,
    pub(super) server: Arc<ServerConfig>,
    pub(super) folder: TempDir,
    /// So many descriptors leave none for a socket.
    pub(super) descriptors: u32,
    /// A copy of the binary, in a folder that its owner may read without a capability.
    pub(super) binary: PathBuf,
    _nameserver: Nameserver,
}

const LOOPBACK: Ipv4Addr = Ipv4Addr::LOCALHOST;

/// By port, or by address, what happens to a connection. Nothing listens on any of them.
const RULES: &str = "nft add table inet t
nft add chain inet t in '{ type filter hook input priority 0; }'
nft add rule inet t in tcp dport 7001 drop
nft add rule inet t in tcp dport 7003 reject with icmp type host-unreachable
ip route add prohibit 10.9.1.1";

impl World {
    pub(super) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let binary = folder.path().join("waitgate");
        fs::copy(env!("CARGO_BIN_EXE_waitgate"), &binary).unwrap();
        let pod = Pod::new();
        pod.sh(RULES);
        // The control of a row is a name that resolves.
        let nameserver = pod.within(|| Nameserver::on((LOOPBACK, 53).into(), LOOPBACK));
        let authority = Authority::new();
        let server = Arc::new(authority.server(&["127.0.0.1"]));
        let few = |most: u32| {
            let run = Run::new(["--once", "tcp:127.0.0.1:7002"]).inside(&pod);
            let run = run.through(["prlimit".to_owned(), format!("--nofile={most}"), "--".to_owned()]);
            run.end().stderr.contains("local.descriptors")
        };
        let descriptors = (6..24)
            .find(|most| few(*most))
            .expect("with one descriptor less than needed it is the socket that has none");
        Self { pod, authority, server, folder, descriptors, binary, _nameserver: nameserver }
    }

    /// The address at which a connection meets `fault`.
    pub(super) fn port(fault: Fault) -> SocketAddr {
        let port = match fault {
            Fault::Silence | Fault::Signal => 7001,
            Fault::Unreachable => 7003,
            Fault::Forbidden => return ([10, 9, 1, 1], 7002).into(),
            _ => 7002,
        };
        (LOOPBACK, port).into()
    }

    /// No connection is left that a process has at one of its ends. The servers see their clients' ends within a second.
    #[track_caller]
    pub(super) fn has_no_connection_left(&self) {
        let limit = Instant::now() + PATIENCE;
        loop {
            let read = || fs::read_to_string("/proc/thread-self/net/tcp").unwrap();
            let table = self.pod.within(read);
            // A listening socket has no remote port, and a socket that only the kernel still knows has no inode.
            let fields = table.lines().skip(1).map(|line| line.split_whitespace().collect::<Vec<_>>());
            let left: Vec<_> = fields.filter(|it| it[9] != "0" && !it[2].ends_with(":0000")).collect();
            if left.is_empty() {
                return;
            }
            assert!(Instant::now() < limit, "connections are left: {left:#?}");
            thread::sleep(Duration::from_millis(50));
        }
    }
}
