//! Where the cells run: a Pod with a nameserver, a firewall, an authority and a folder.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
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
    /// Sockets that nothing accepts from.
    listeners: Vec<UnixListener>,
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
        let pod = Pod::new();
        pod.sh(RULES);
        // The control of a row is a name that resolves.
        let nameserver = pod.within(|| Nameserver::on((LOOPBACK, 53).into(), LOOPBACK));
        let authority = Authority::new();
        let server = Arc::new(authority.server(&["127.0.0.1"]));
        let folder = tempfile::tempdir().unwrap();
        let few = |most: u32| {
            let run = Run::new(["--once", "tcp:127.0.0.1:7002"]).inside(&pod);
            let run = run.through(["prlimit".to_owned(), format!("--nofile={most}"), "--".to_owned()]);
            run.end().stderr.contains("local.descriptors")
        };
        let descriptors = (6..24)
            .find(|most| few(*most))
            .expect("with one descriptor less than needed it is the socket that has none");
        let mut world =
            Self { pod, authority, server, folder, descriptors, _nameserver: nameserver, listeners: Vec::new() };
        world.make_paths();
        world
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

    /// The path that has `fault`, below a folder for files and one for sockets.
    pub(super) fn path(&self, kind: &str, fault: Fault) -> PathBuf {
        self.folder.path().join(kind).join(fault.label())
    }

    fn make_paths(&mut self) {
        for kind in ["file", "unix"] {
            fs::create_dir(self.folder.path().join(kind)).unwrap();
        }
        let right = br#"{"state": "ready"}"#;
        let write = |fault: Fault, bytes: &[u8]| fs::write(self.path("file", fault), bytes).unwrap();
        write(Fault::None, right);
        write(Fault::Descriptors, right);
        write(Fault::FirstByte, &right[..1]);
        write(Fault::Half, &right[..9]);
        write(Fault::AllButOne, &right[..right.len() - 1]);
        write(Fault::Garbage, &[0xff; 96]);
        write(Fault::Version, b"state: ready\n");
        write(Fault::Oversized, &b"[1, ".repeat(64 * 1024));
        let fifo = self.path("file", Fault::Fifo);
        rustix::fs::mknodat(rustix::fs::CWD, &fifo, rustix::fs::FileType::Fifo, rustix::fs::Mode::RUSR, 0).unwrap();
        link(Path::new("/dev/urandom"), &self.path("file", Fault::Device));
        fs::File::create(self.path("file", Fault::Sparse)).and_then(|file| file.set_len(1 << 30)).unwrap();
        for kind in ["file", "unix"] {
            fs::create_dir(self.path(kind, Fault::Folder)).unwrap();
            link(&self.path(kind, Fault::Loop), &self.path(kind, Fault::Loop));
        }
        fs::write(self.path("unix", Fault::Plain), "no socket").unwrap();
        drop(UnixListener::bind(self.path("unix", Fault::Stale)).unwrap());
        self.listeners.push(UnixListener::bind(self.path("unix", Fault::Descriptors)).unwrap());
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

fn link(to: &Path, at: &Path) {
    std::os::unix::fs::symlink(to, at).unwrap();
}
