//! A real Redis server in a temporary folder, on a loopback address of its own.

use std::{
    fs,
    net::SocketAddr,
    path::PathBuf,
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use super::{PATIENCE, Pod, free_port, tool};

pub(crate) struct Redis {
    pub(crate) addr: SocketAddr,
    folder: TempDir,
    /// The words that put a program into a Pod's network, if it is not the host's.
    network: Vec<String>,
    tls: bool,
    server: Option<Child>,
}

impl Redis {
    /// A server with these settings (`--name value`) that answers.
    #[track_caller]
    pub(crate) fn started(settings: &[&str]) -> Self {
        let mut redis = Self::new();
        redis.start(settings);
        redis.logged_after(0, "Ready to accept connections");
        redis
    }

    /// A server that is not running yet.
    #[track_caller]
    pub(crate) fn new() -> Self {
        Self::at(free_port(), Vec::new())
    }

    /// The same at an address in a Pod.
    #[track_caller]
    pub(crate) fn inside(pod: &Pod, addr: SocketAddr) -> Self {
        Self::at(addr, pod.enter_network())
    }

    fn at(addr: SocketAddr, network: Vec<String>) -> Self {
        let folder = tempfile::tempdir().expect("must be able to make a temporary folder");
        Self { addr, folder, network, tls: false, server: None }
    }

    /// The next start is with TLS alone, with this certificate and key.
    pub(crate) fn with_tls(&mut self, certificate: &str, key: &str) {
        fs::write(self.path("server.crt"), certificate).expect("the folder is ours");
        fs::write(self.path("server.key"), key).expect("the folder is ours");
        self.tls = true;
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Starts the server and waits until its log says that it listens. A later setting wins.
    #[track_caller]
    pub(crate) fn start(&mut self, settings: &[&str]) {
        self.stop();
        let before = self.log().len();
        let (port, zero) = (self.addr.port().to_string(), "0".to_owned());
        let (plain, tls) = if self.tls { (&zero, &port) } else { (&port, &zero) };
        let mut server = self.command("redis-server");
        server.args(["--bind", &self.addr.ip().to_string(), "--port", plain, "--tls-port", tls]);
        server.args(["--protected-mode", "no", "--save", "", "--enable-debug-command", "yes"]);
        server.arg("--dir").arg(self.folder.path()).arg("--logfile").arg(self.path("log"));
        server.arg("--unixsocket").arg(self.path("socket"));
        if self.tls {
            for (name, file) in [
                ("--tls-cert-file", "server.crt"),
                ("--tls-key-file", "server.key"),
                ("--tls-ca-cert-file", "server.crt"),
            ] {
                server.arg(name).arg(self.path(file));
            }
            server.args(["--tls-auth-clients", "no"]);
        }
        server.args(settings).stdout(Stdio::null()).stderr(Stdio::null());
        self.server = Some(server.spawn().expect("must be able to start redis-server"));
        // It accepts connections before it loads, and says this in any case.
        self.logged_after(before, "Server initialized");
    }

    #[track_caller]
    pub(crate) fn logged_after(&self, before: usize, words: &str) {
        let limit = Instant::now() + PATIENCE;
        while !self.log()[before..].contains(words) {
            assert!(Instant::now() < limit, "the log has no {words:?}: {}", self.log());
            thread::sleep(Duration::from_millis(20));
        }
    }

    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.path("log")).unwrap_or_default()
    }

    pub(crate) fn signal(&self, signal: Signal) {
        let server = self.server.as_ref().expect("the server runs");
        kill_process(Pid::from_child(server), signal).expect("it is ours");
    }

    pub(crate) fn stop(&mut self) {
        if let Some(mut server) = self.server.take() {
            let _ = server.kill();
            let _ = server.wait();
        }
    }

    fn command(&self, program: &str) -> Command {
        let program = tool(program);
        match self.network.split_first() {
            None => Command::new(program),
            Some((first, rest)) => {
                let mut command = Command::new(first);
                command.args(rest).arg(program);
                command
            }
        }
    }

    /// `redis-cli` for this server, without a timeout.
    pub(crate) fn cli(&self) -> Command {
        let mut cli = self.command("redis-cli");
        cli.args(["-h", &self.addr.ip().to_string(), "-p", &self.addr.port().to_string(), "--no-auth-warning"]);
        if self.tls {
            cli.args(["--tls", "--insecure"]);
        }
        cli
    }

    /// What redis-cli prints.
    #[track_caller]
    pub(crate) fn ask(&self, words: &[&str]) -> String {
        let out = self.cli().args(words).output().expect("must be able to start redis-cli");
        String::from_utf8_lossy(&out.stdout).trim().to_owned()
    }

    /// Waits until redis-cli prints `wanted` for `words`.
    #[track_caller]
    pub(crate) fn says(&self, words: &[&str], wanted: &str) {
        let limit = Instant::now() + PATIENCE;
        loop {
            let said = self.ask(words);
            if said.contains(wanted) {
                return;
            }
            assert!(Instant::now() < limit, "{words:?}: {said}");
            thread::sleep(Duration::from_millis(20));
        }
    }

    /// Starts over a dataset so large that it loads for seconds.
    #[track_caller]
    pub(crate) fn start_loading(&mut self, settings: &[&str]) {
        // Where no client sees it.
        self.start(&["--port", "0"]);
        for words in [&["debug", "populate", "2000", "key", "1000"][..], &["save"]] {
            let mut cli = Command::new(tool("redis-cli"));
            let done =
                cli.arg("-s").arg(self.path("socket")).args(words).output().expect("must be able to start redis-cli");
            assert!(String::from_utf8_lossy(&done.stdout).starts_with("OK"), "{words:?}: {done:?}");
        }
        let slow = ["--key-load-delay", "20000", "--loading-process-events-interval-bytes", "1024"];
        let before = self.log().len();
        self.start(&[&slow[..], settings].concat());
        // The last line before the keys (rdb.c): a test that counts lines must not begin before it.
        self.logged_after(before, "RDB memory usage when created");
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        self.stop();
    }
}
