//! A real `MariaDB` server in a temporary folder, in a Pod's network at an address that is not loopback.
//!
//! The server counts failed handshakes only of a client whose address has a name, and loopback has none that counts: so the
//! client's own address is in the Pod's hosts file.

use std::{
    fs,
    os::unix::fs::{PermissionsExt as _, chown},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use super::{PATIENCE, Pod, Run, template, tool};

/// Debian's `nobody`. The server refuses to run as root.
const NOBODY: u32 = 65534;

/// Where it listens, and where the client's connections come from.
pub(crate) const ADDRESS: &str = "10.77.0.1:3306";

pub(crate) struct MariaDb {
    /// Its own Pod, if it has one.
    own: Option<Pod>,
    /// The words that put a program into the Pod.
    enter: Vec<String>,
    address: String,
    folder: TempDir,
    options: Vec<String>,
    server: Option<Child>,
}

impl MariaDb {
    /// A server that is not running yet. Its user `root` has no password, and logs in over the unix socket only.
    #[track_caller]
    pub(crate) fn new() -> Self {
        let pod = Pod::new();
        pod.sh("ip address add 10.77.0.1/32 dev lo");
        pod.etc("hosts", "127.0.0.1 localhost\n10.77.0.1 client.test\n");
        pod.etc("passwd", "root:x:0:0::/:/bin/sh\nnobody:x:65534:65534::/:/bin/sh\n");
        let enter = pod.enter_all();
        Self::make(Some(pod), enter, "10.77.0.1")
    }

    /// The same at an address in a Pod that is there already.
    #[track_caller]
    pub(crate) fn inside(pod: &Pod, address: &str) -> Self {
        let mut it = Self::make(None, pod.enter_network(), address);
        // Its nameserver is none of this server's.
        it.option("--skip-name-resolve");
        it
    }

    #[track_caller]
    fn make(own: Option<Pod>, enter: Vec<String>, address: &str) -> Self {
        let folder = tempfile::Builder::new()
            .permissions(fs::Permissions::from_mode(0o755))
            .tempdir()
            .expect("must be able to make a temporary folder");
        chown(folder.path(), Some(NOBODY), Some(NOBODY)).expect("this test needs root");
        let it = Self { own, enter, address: address.to_owned(), folder, options: Vec::new(), server: None };
        template::copied("mariadb", &it.path("data"), || it.make_data());
        it
    }

    /// The Pod that [`MariaDb::new`] made.
    pub(crate) fn pod(&self) -> &Pod {
        self.own.as_ref().expect("it has a Pod of its own")
    }

    #[track_caller]
    fn make_data(&self) {
        let made = self
            .program("mariadb-install-db")
            .args(["--no-defaults", "--auth-root-authentication-method=normal", "--skip-test-db", "--user=nobody"])
            .args(["--innodb-log-file-size=4M", "--skip-name-resolve"])
            .arg(format!("--datadir={}", self.path("data").display()))
            .output()
            .expect("must be able to start mariadb-install-db");
        let said = || String::from_utf8_lossy(&[made.stdout.as_slice(), &made.stderr].concat()).into_owned();
        assert!(made.status.success(), "{}", said());
    }

    /// A server that accepts sessions, with some users.
    #[track_caller]
    pub(crate) fn started() -> Self {
        let mut it = Self::new();
        it.start();
        it.accepting();
        it.sql(
            "CREATE DATABASE shop; CREATE TABLE shop.t (a INT); CREATE TABLE shop.old (a INT) ENGINE = MyISAM;\
             CREATE USER app@'%' IDENTIFIED BY 'hunter2'; GRANT ALL ON *.* TO app@'%';\
             CREATE USER idle@'%' IDENTIFIED BY 'hunter2';\
             CREATE USER open@'%';",
        );
        it
    }

    /// The user `app` is there before the server accepts the first connection.
    pub(crate) fn with_user(&mut self) {
        self.begins_with("CREATE USER IF NOT EXISTS app@'%' IDENTIFIED BY 'hunter2';\nGRANT ALL ON *.* TO app@'%';\n");
    }

    /// What the server runs at its start, one statement on each line.
    pub(crate) fn begins_with(&mut self, sql: &str) {
        let file = self.file("init.sql", sql);
        self.option(format!("--init-file={}", file.display()));
    }

    /// An option for the next start.
    pub(crate) fn option(&mut self, option: impl Into<String>) {
        self.options.push(option.into());
    }

    /// Starts the server and does not wait for it.
    #[track_caller]
    pub(crate) fn start(&mut self) {
        assert!(self.server.is_none(), "already started");
        let log = fs::OpenOptions::new().create(true).append(true).open(self.path("log")).expect("the folder is ours");
        let server = self
            .program("mariadbd")
            .args([
                "--no-defaults",
                "--bind-address=10.77.0.1",
                "--port=3306",
                "--innodb-buffer-pool-size=8M",
                "--innodb-log-file-size=4M",
            ])
            .args(["--max-connect-errors=5", "--skip-log-bin"])
            .arg(format!("--bind-address={}", self.address))
            .arg(format!("--datadir={}", self.path("data").display()))
            // Servers in several Pods share /tmp.
            .arg(format!("--tmpdir={}", self.path("data").display()))
            .arg(format!("--socket={}", self.path("sock").display()))
            .arg(format!("--pid-file={}", self.path("pid").display()))
            .args(&self.options)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .expect("must be able to start mariadbd");
        self.server = Some(server);
    }

    /// Waits until the client can log in over the socket.
    #[track_caller]
    pub(crate) fn accepting(&self) {
        let limit = Instant::now() + PATIENCE;
        while !self.client("SELECT 1").output().is_ok_and(|out| out.status.success()) {
            assert!(Instant::now() < limit, "MariaDB was expected to accept sessions; its log:\n{}", self.log());
            thread::sleep(Duration::from_millis(20));
        }
    }

    /// Runs SQL as root over the socket, and returns what the client printed.
    #[track_caller]
    pub(crate) fn sql(&self, sql: &str) -> String {
        let out = self.client(sql).output().expect("must be able to start mariadb");
        assert!(out.status.success(), "mariadb: {}", String::from_utf8_lossy(&out.stderr));
        String::from_utf8_lossy(&out.stdout).trim_end().to_owned()
    }

    /// The client over the socket, to be started.
    pub(crate) fn client(&self, sql: &str) -> Command {
        let mut client = self.program("mariadb");
        client.args(["--no-defaults", "--user=root", "--skip-column-names", "--batch", "--execute", sql]);
        client.arg(format!("--socket={}", self.path("sock").display())).stdin(Stdio::null());
        client
    }

    /// A client over the network, with these arguments.
    pub(crate) fn tool(&self, name: &str, args: &[&str]) -> Command {
        let mut client = self.program(name);
        client.args(["--no-defaults", "--protocol=tcp", "--host=10.77.0.1", "--connect-timeout=2"]).args(args);
        client.stdin(Stdio::null());
        client
    }

    /// waitgate in the Pod, with one attempt at `target`, in which ADDR is the server.
    #[track_caller]
    pub(crate) fn once(&self, target: &str) -> Run {
        Run::new(["--once", "--log-format=json", "--attempt-timeout=2s", &target.replace("ADDR", ADDRESS)])
            .inside(self.pod())
    }

    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.path("log")).unwrap_or_default()
    }

    /// Waits until nothing of a client is left, and returns the lines that the log has got since `before` bytes.
    #[track_caller]
    pub(crate) fn lines_since(&self, before: usize) -> Vec<String> {
        self.no_session_left();
        self.log()[before..].lines().map(str::to_owned).collect()
    }

    /// Waits until the one session is that which asks.
    #[track_caller]
    pub(crate) fn no_session_left(&self) {
        let limit = Instant::now() + PATIENCE;
        let others = "SELECT count(*) FROM information_schema.processlist \
            WHERE id <> connection_id() AND user NOT IN ('system user', 'event_scheduler')";
        while self.sql(others) != "0" {
            assert!(Instant::now() < limit, "a session is left:\n{}", self.sql("SHOW FULL PROCESSLIST"));
            thread::sleep(Duration::from_millis(20));
        }
    }

    #[track_caller]
    pub(crate) fn signal(&self, signal: Signal) {
        let server = self.server.as_ref().expect("the server was started");
        kill_process(Pid::from_child(server), signal).expect("the server is our child");
    }

    /// Stops the server and waits for its end.
    #[track_caller]
    pub(crate) fn stop(&mut self) {
        self.signal(Signal::TERM);
        self.server.take().expect("it was running").wait().expect("the server is our child");
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Writes a file that the server may read.
    pub(crate) fn file(&self, name: &str, text: &str) -> PathBuf {
        let path = self.path(name);
        fs::write(&path, text).expect("the folder is ours");
        chown(&path, Some(NOBODY), Some(NOBODY)).expect("root may chown");
        path
    }

    /// A program in the Pod, with the Pod's `/etc`, as an unprivileged user.
    #[track_caller]
    fn program(&self, name: &str) -> Command {
        let mut words = self.enter.clone();
        let (uid, gid) = (format!("--reuid={NOBODY}"), format!("--regid={NOBODY}"));
        // The last one ends the server when a test was killed and could not.
        words.extend(["setpriv".to_owned(), uid, gid, "--clear-groups".to_owned(), "--pdeathsig=KILL".to_owned()]);
        words.push(tool(name).to_string_lossy().into_owned());
        let mut command = Command::new(&words[0]);
        command.args(&words[1..]);
        command.env_clear().env("LC_ALL", "C").env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin");
        command.env("HOME", self.folder.path()).current_dir(self.folder.path());
        command
    }
}

impl Drop for MariaDb {
    fn drop(&mut self) {
        if let Some(mut server) = self.server.take() {
            let _ = server.kill();
            let _ = server.wait();
        }
    }
}
