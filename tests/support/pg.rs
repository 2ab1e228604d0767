//! A real `PostgreSQL` cluster in a temporary folder, on a loopback address of its own.

use std::{
    fs,
    io::Write,
    net::{Ipv4Addr, SocketAddr},
    os::unix::fs::{MetadataExt, PermissionsExt, chown},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use super::{PATIENCE, Pod, free_port, template};

/// `PostgreSQL` refuses to run as root; this is Debian's `nobody`, who has a passwd entry, as initdb wants.
const NOBODY: u32 = 65534;

/// A file system in memory, where files cost little.
const MEMORY: &str = "/dev/shm";

pub(crate) struct Pg {
    pub(crate) addr: SocketAddr,
    folder: TempDir,
    binaries: PathBuf,
    /// The words that put a program into a Pod's network, if it is not the host's.
    network: Vec<String>,
    server: Option<Child>,
}

/// How a cluster is told to stop.
#[derive(Clone, Copy)]
pub(crate) enum Stop {
    /// Waits for every session, and refuses new ones meanwhile.
    Smart,
    Fast,
}

impl Pg {
    /// A cluster that is not running yet. Its superuser is `postgres` with the password `secret`,
    /// which TCP asks for.
    #[track_caller]
    pub(crate) fn new() -> Self {
        Self::of(binaries())
    }

    /// The same with the programs of another major version.
    #[track_caller]
    pub(crate) fn of(binaries: PathBuf) -> Self {
        Self::make(free_port(), binaries, Vec::new())
    }

    /// The same at an address in a Pod.
    #[track_caller]
    pub(crate) fn inside(pod: &Pod, addr: SocketAddr) -> Self {
        Self::make(addr, binaries(), pod.enter_network())
    }

    #[track_caller]
    fn make(addr: SocketAddr, binaries: PathBuf, network: Vec<String>) -> Self {
        // A cluster has a thousand files.
        let place = if has_room(MEMORY) { MEMORY.into() } else { std::env::temp_dir() };
        let folder = tempfile::Builder::new()
            .permissions(fs::Permissions::from_mode(0o755))
            .tempdir_in(place)
            .expect("must be able to make a temporary folder");
        let pg = Self { addr, folder, binaries, network, server: None };
        if rustix::process::geteuid().is_root() {
            chown(pg.folder.path(), Some(NOBODY), Some(NOBODY)).expect("root may chown");
        }
        template::copied(&pg.template(), &pg.path("data"), || pg.make_data());
        // The default hba is for 127.0.0.1 alone, and clients of 127.x.y.z come from there.
        pg.conf(&format!(
            "listen_addresses = '{}'\nport = {}\nunix_socket_directories = '{}'\nfsync = off\n\
             shared_buffers = 2MB\n",
            addr.ip(),
            addr.port(),
            pg.folder.path().display(),
        ));
        pg
    }

    #[track_caller]
    fn make_data(&self) {
        let (password, data) = (self.path("password"), self.path("data"));
        fs::write(&password, "secret").expect("the folder is ours");
        fs::create_dir(&data).expect("the folder is ours");
        if rustix::process::geteuid().is_root() {
            chown(&data, Some(NOBODY), Some(NOBODY)).expect("root may chown");
        }
        let made = self
            .program("initdb")
            .args(["--no-sync", "--username=postgres", "--auth-local=trust", "--auth-host=scram-sha-256"])
            // A small log is copied sooner.
            .args(["--encoding=UTF8", "--locale=C", "--wal-segsize=1"])
            .arg("--pwfile")
            .arg(&password)
            .arg("--pgdata")
            .arg(&data)
            .output()
            .expect("must be able to start initdb");
        assert!(made.status.success(), "initdb: {}", String::from_utf8_lossy(&made.stderr));
    }

    /// The name of what this very initdb made for this user.
    fn template(&self) -> String {
        let made = fs::metadata(self.binaries.join("initdb")).map(|initdb| (initdb.mtime(), initdb.size()));
        let (time, size) = made.unwrap_or_default();
        let folder = self.binaries.to_string_lossy().replace(['/', '.'], "-");
        format!("postgres{folder}-{time}-{size}-{}", rustix::process::geteuid().as_raw())
    }

    /// A cluster that accepts connections.
    #[track_caller]
    pub(crate) fn started() -> Self {
        let mut pg = Self::new();
        pg.start();
        pg.accepting();
        pg
    }

    /// Appends to postgresql.conf; the last word about a setting counts.
    pub(crate) fn conf(&self, text: &str) {
        let mut file =
            fs::OpenOptions::new().append(true).open(self.path("data/postgresql.conf")).expect("initdb made this file");
        file.write_all(text.as_bytes()).expect("the folder is ours");
    }

    /// Replaces `pg_hba.conf`.
    pub(crate) fn hba(&self, text: &str) {
        fs::write(self.path("data/pg_hba.conf"), text).expect("the folder is ours");
    }

    /// Writes a file into the data folder that only the server may read.
    pub(crate) fn file(&self, name: &str, text: &str) {
        let path = self.path("data").join(name);
        fs::write(&path, text).expect("the folder is ours");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).expect("the file is ours");
        if rustix::process::geteuid().is_root() {
            chown(&path, Some(NOBODY), Some(NOBODY)).expect("root may chown");
        }
    }

    /// Makes the next start hang in recovery until [`Pg::recovered`] is called.
    pub(crate) fn stay_in_recovery(&self) {
        let gate = self.path("recovered");
        self.file("recovery.signal", "");
        self.conf(&format!(
            "restore_command = 'until test -e {}; do sleep 0.1; done; false'\nrecovery_target_action = promote\n",
            gate.display()
        ));
    }

    pub(crate) fn recovered(&self) {
        fs::write(self.path("recovered"), "").expect("the folder is ours");
    }

    /// Starts the server and does not wait for it.
    #[track_caller]
    pub(crate) fn start(&mut self) {
        assert!(self.server.is_none(), "already started");
        let log = fs::File::create(self.path("log")).expect("the folder is ours");
        let server = self
            .program("postgres")
            .arg("-D")
            .arg(self.path("data"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .expect("must be able to start postgres");
        self.server = Some(server);
    }

    /// Waits until psql can log in over the socket.
    #[track_caller]
    pub(crate) fn accepting(&self) {
        let can_log_in = || self.psql("SELECT 1").output().is_ok_and(|out| out.status.success());
        self.until("to accept connections", || self.is_open() && can_log_in());
    }

    /// Whether the server has written that it takes sessions (pidfile.h: the status is in line 8). psql costs more.
    fn is_open(&self) -> bool {
        let pid = fs::read_to_string(self.path("data/postmaster.pid")).unwrap_or_default();
        pid.lines().nth(7).is_some_and(|status| matches!(status.trim_end(), "ready" | "standby"))
    }

    /// Waits until the server's log has `text`.
    #[track_caller]
    pub(crate) fn logged(&self, text: &str) {
        self.until(text, || self.log().contains(text));
    }

    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.path("log")).unwrap_or_default()
    }

    #[track_caller]
    pub(crate) fn until(&self, what: &str, holds: impl Fn() -> bool) {
        let limit = Instant::now() + PATIENCE;
        while !holds() {
            assert!(Instant::now() < limit, "PostgreSQL was expected {what:?}; its log:\n{}", self.log());
            thread::sleep(Duration::from_millis(20));
        }
    }

    /// Runs SQL as the superuser over the socket, and returns what psql printed.
    #[track_caller]
    pub(crate) fn sql(&self, sql: &str) -> String {
        let out = self.psql(sql).output().expect("must be able to start psql");
        assert!(out.status.success(), "psql: {}", String::from_utf8_lossy(&out.stderr));
        String::from_utf8_lossy(&out.stdout).trim_end().to_owned()
    }

    /// psql over the socket, to be started; a session that lasts for a smart shutdown to wait for.
    pub(crate) fn psql(&self, sql: &str) -> Command {
        let mut psql = self.program("psql");
        psql.args(["--no-psqlrc", "--no-align", "--tuples-only", "--set=ON_ERROR_STOP=1"])
            .args(["--username=postgres", "--dbname=postgres", "--command", sql])
            .args(["--host", &self.folder.path().to_string_lossy(), "--port", &self.addr.port().to_string()])
            .stdin(Stdio::null());
        psql
    }

    /// Asks the server to stop, and does not wait for it.
    #[track_caller]
    pub(crate) fn ask_to_stop(&self, how: Stop) {
        self.signal(match how {
            Stop::Smart => Signal::TERM,
            Stop::Fast => Signal::INT,
        });
    }

    /// Stops the server and waits for its end.
    #[track_caller]
    pub(crate) fn stop(&mut self) {
        self.ask_to_stop(Stop::Fast);
        let status = self.server.take().expect("it was running").wait();
        assert!(status.is_ok_and(|status| status.success()), "PostgreSQL: {}", self.log());
    }

    /// Stops the server at once, as a crash does, and leaves the recovery to the next start.
    #[track_caller]
    pub(crate) fn crash(&mut self) {
        self.signal(Signal::QUIT);
        self.server.take().expect("it was running").wait().expect("the server is our child");
    }

    /// The postmaster.
    pub(crate) fn pid(&self) -> u32 {
        self.server.as_ref().expect("the server was started").id()
    }

    /// Signals the postmaster.
    #[track_caller]
    pub(crate) fn signal(&self, signal: Signal) {
        let server = self.server.as_ref().expect("the server was started");
        kill_process(Pid::from_child(server), signal).expect("the server is our child");
    }

    /// `postgres://<login>@ADDRESS/<database>`; an empty login leaves the `@` out.
    pub(crate) fn url(&self, login: &str, database: &str) -> String {
        let at = if login.is_empty() { "" } else { "@" };
        format!("postgres://{login}{at}{}/{database}", self.addr)
    }

    pub(crate) fn ip(&self) -> Ipv4Addr {
        match self.addr {
            SocketAddr::V4(addr) => *addr.ip(),
            SocketAddr::V6(_) => unreachable!("the cluster listens on IPv4"),
        }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// A program of the newest `PostgreSQL` installed, as an unprivileged user.
    #[track_caller]
    fn program(&self, name: &str) -> Command {
        let mut words = self.network.clone();
        if rustix::process::geteuid().is_root() {
            let (uid, gid) = (format!("--reuid={NOBODY}"), format!("--regid={NOBODY}"));
            // The last one ends the server when a test was killed and could not.
            words.extend(["setpriv".to_owned(), uid, gid, "--clear-groups".to_owned(), "--pdeathsig=KILL".to_owned()]);
        }
        let own = self.binaries.join(name);
        // Not every package of a server brings its clients.
        let path = if own.is_file() { own } else { binaries().join(name) };
        words.push(path.to_string_lossy().into_owned());
        let mut command = Command::new(&words[0]);
        command.args(&words[1..]);
        command.env_clear().env("LC_ALL", "C").env("PATH", "/usr/bin:/bin").current_dir(self.folder.path());
        command
    }
}

impl Drop for Pg {
    fn drop(&mut self) {
        if let Some(mut server) = self.server.take() {
            // A stopped postmaster acts on no signal but these two.
            let _ = kill_process(Pid::from_child(&server), Signal::CONT);
            let _ = kill_process(Pid::from_child(&server), Signal::QUIT);
            let limit = Instant::now() + Duration::from_secs(5);
            while matches!(server.try_wait(), Ok(None)) && Instant::now() < limit {
                thread::sleep(Duration::from_millis(5));
            }
            let _ = server.kill();
            let _ = server.wait();
        }
    }
}

/// Whether a dozen clusters have room in this folder. A container's /dev/shm may be small.
fn has_room(folder: &str) -> bool {
    rustix::fs::statvfs(folder).is_ok_and(|it| it.f_bavail * it.f_frsize > 1 << 30)
}

/// Debian keeps them out of PATH, one folder for each major version.
#[track_caller]
pub(crate) fn binaries() -> PathBuf {
    let versions = fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let newest = versions
        .filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok())
        .filter(|version| Path::new(&format!("/usr/lib/postgresql/{version}/bin/initdb")).is_file())
        .max();
    let newest = newest.expect("this test needs a PostgreSQL server: apt-get install postgresql (tests/run does it)");
    PathBuf::from(format!("/usr/lib/postgresql/{newest}/bin"))
}
