//! What is around a cluster: `pg_isready`, sessions, other programs that refuse to run as root.

use std::{
    fs,
    net::SocketAddr,
    path::Path,
    process::{Child, Command},
};

use super::{
    pg::{Pg, binaries},
    tool,
};

/// What `pg_isready` says of whatever is at `addr`: 0 accepting, 1 rejecting, 2 no response, 3 no attempt.
#[track_caller]
pub(crate) fn isready(addr: SocketAddr, more: &[&str]) -> i32 {
    let mut command = unprivileged(&binaries().join("pg_isready"));
    command.args(["--quiet", "--timeout=1", "--username=postgres"]);
    command.args(["--host", &addr.ip().to_string(), "--port", &addr.port().to_string()]).args(more);
    command.status().expect("must be able to start pg_isready").code().expect("pg_isready ends by itself")
}

/// A program as an unprivileged user, where the test itself is not one.
pub(crate) fn unprivileged(path: &Path) -> Command {
    let mut command = if rustix::process::geteuid().is_root() {
        let mut command = Command::new(tool("setpriv"));
        command.args(["--reuid=65534", "--regid=65534", "--clear-groups", "--pdeathsig=KILL"]).arg(path);
        command
    } else {
        Command::new(path)
    };
    command.env_clear().env("LC_ALL", "C").env("PATH", "/usr/bin:/bin");
    command
}

/// A process that ends when this is dropped.
pub(crate) struct Ends(pub(crate) Child);

impl Drop for Ends {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Pg {
    /// A session of the superuser, over the socket, that stays.
    pub(crate) fn session(&self) -> Ends {
        Ends(self.psql("SELECT pg_sleep(60)").spawn().expect("must be able to start psql"))
    }

    /// Waits until `count` sessions sleep and no other is there. It asks /proc, which takes no session.
    #[track_caller]
    pub(crate) fn sleeping(&self, count: usize) {
        let server = self.pid();
        self.until("to have its sessions", || {
            let children = fs::read_to_string(format!("/proc/{server}/task/{server}/children")).unwrap_or_default();
            let titles = children.split_whitespace().map(|child| {
                let title = fs::read(format!("/proc/{child}/cmdline")).unwrap_or_default();
                String::from_utf8_lossy(&title).into_owned()
            });
            let sessions: Vec<_> = titles.filter(|title| title.contains("[local]")).collect();
            sessions.len() == count && sessions.iter().all(|title| title.contains("SELECT"))
        });
    }
}
