//! Real servers that run in the foreground, each in a folder of its own, and end with the test.

use std::{
    fs,
    net::{SocketAddr, TcpStream},
    os::unix::process::CommandExt as _,
    path::Path,
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process_group};
use tempfile::TempDir;

use super::{PATIENCE, tool};

/// Dropping it ends the server and all processes that it has started in its group.
pub(crate) struct Server {
    child: Child,
    folder: TempDir,
}

impl Server {
    /// Starts `command` and waits until it listens on each of `ports`. Its output goes to the file `log` of the folder.
    #[track_caller]
    pub(crate) fn start(mut command: Command, folder: TempDir, ports: &[SocketAddr]) -> Self {
        let log = fs::File::create(folder.path().join("log")).expect("the folder is ours");
        let output = log.try_clone().expect("a file can be cloned");
        let child = command.stdin(Stdio::null()).stdout(output).stderr(log).process_group(0).spawn();
        let server = Self { child: child.expect("must be able to start a server"), folder };
        let begun = Instant::now();
        for port in ports {
            while TcpStream::connect(port).is_err() {
                assert!(begun.elapsed() < PATIENCE, "it does not listen on {port}: {}", server.log());
                thread::sleep(Duration::from_millis(20));
            }
        }
        server
    }

    pub(crate) fn path(&self) -> &Path {
        self.folder.path()
    }

    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.path().join("log")).unwrap_or_default()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = kill_process_group(Pid::from_child(&self.child), Signal::KILL);
        let _ = self.child.wait();
    }
}

/// memcached on this address.
#[track_caller]
pub(crate) fn memcached(addr: SocketAddr) -> Server {
    let mut command = Command::new(tool("memcached"));
    command.args(["-u", "nobody", "-U", "0", "-l", &addr.ip().to_string(), "-p", &addr.port().to_string()]);
    Server::start(command, folder(), &[addr])
}

/// One ZooKeeper server on this address, with the words that it answers by default.
#[track_caller]
pub(crate) fn zookeeper(addr: SocketAddr) -> Server {
    let folder = folder();
    let (dir, ip, port) = (folder.path().display(), addr.ip(), addr.port());
    let conf = format!("dataDir={dir}\nclientPortAddress={ip}\nclientPort={port}\nadmin.enableServer=false\n");
    let file = folder.path().join("zoo.cfg");
    fs::write(&file, conf).expect("the folder is ours");
    // Debian's package libzookeeper-java and what it depends on.
    let jars = fs::read_dir("/usr/share/java").expect("the package libzookeeper-java must be installed");
    let jars = jars.filter_map(|entry| Some(entry.ok()?.path()));
    let jars = jars.filter(|path| path.extension().is_some_and(|extension| extension == "jar"));
    let jars: Vec<String> = jars.map(|path| path.display().to_string()).collect();
    let mut command = Command::new(tool("java"));
    command.args(["-cp", &jars.join(":"), "org.apache.zookeeper.server.quorum.QuorumPeerMain"]).arg(file);
    Server::start(command, folder, &[addr])
}

/// nginx with these `server` blocks; `FOLDER` in them is its own folder. Its log is the file `error.log`.
#[track_caller]
pub(crate) fn nginx(ports: &[SocketAddr], servers: &str, files: &[(&str, String)]) -> Server {
    let folder = folder();
    let dir = folder.path().display();
    for (name, content) in files {
        fs::write(folder.path().join(name), content).expect("the folder is ours");
    }
    let kinds = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"];
    let temporary = kinds.map(|what| format!("{what}_temp_path {dir}/{what};")).join("\n");
    let servers = servers.replace("FOLDER", &dir.to_string());
    let conf = format!(
        "daemon off; master_process off; pid {dir}/pid; error_log {dir}/error.log;\n\
         events {{}}\n\
         http {{ access_log off; {temporary} {servers} }}\n"
    );
    fs::write(folder.path().join("nginx.conf"), conf).expect("the folder is ours");
    let mut command = Command::new(tool("nginx"));
    command.arg("-p").arg(folder.path()).arg("-c").arg(folder.path().join("nginx.conf"));
    command.arg("-e").arg(folder.path().join("error.log"));
    Server::start(command, folder, ports)
}

fn folder() -> TempDir {
    tempfile::tempdir().expect("must be able to make a temporary folder")
}
