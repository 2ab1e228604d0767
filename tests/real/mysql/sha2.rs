//! The logins of MySQL 8, which Debian does not have: against sha2.py, which a real client accepts in the same test.

use std::{
    fs,
    net::{SocketAddr, TcpStream},
    path::PathBuf,
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use tempfile::TempDir;

use crate::support::{PATIENCE, Run, free_port, run::Ended, tool, web::Authority};

struct Sha2 {
    addr: SocketAddr,
    folder: TempDir,
    authority: Authority,
    server: Child,
}

impl Sha2 {
    fn start() -> Self {
        let (addr, folder, authority) = (free_port(), tempfile::tempdir().unwrap(), Authority::new());
        let path = |name: &str| folder.path().join(name);
        let (certificate, key) = authority.sign(&["db.test"]);
        fs::write(path("cert"), certificate).unwrap();
        fs::write(path("key"), key).unwrap();
        let server = Command::new(tool("python3"))
            .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/real/mysql/sha2.py"))
            .args([addr.ip().to_string(), addr.port().to_string()])
            .args([path("cert"), path("key"), path("log")])
            .stdin(Stdio::null())
            .spawn()
            .unwrap();
        let it = Self { addr, folder, authority, server };
        let limit = Instant::now() + PATIENCE;
        while TcpStream::connect(addr).is_err() {
            assert!(Instant::now() < limit, "python3 must be able to serve");
            thread::sleep(Duration::from_millis(20));
        }
        // That was a connection that ended early.
        it.log("aborted");
        fs::write(it.path("log"), "").unwrap();
        it
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Waits for a line of the log, and returns all of it.
    #[track_caller]
    fn log(&self, line: &str) -> String {
        let limit = Instant::now() + PATIENCE;
        loop {
            let log = fs::read_to_string(self.path("log")).unwrap_or_default();
            if log.lines().any(|found| found == line) {
                return log;
            }
            assert!(Instant::now() < limit, "no line {line:?} in:\n{log}");
            thread::sleep(Duration::from_millis(20));
        }
    }

    #[track_caller]
    fn once(&self, user: &str, more: &str) -> Ended {
        fs::write(self.path("log"), "").unwrap();
        let more = more.replace("CA", &self.authority.file().to_string_lossy());
        Run::new(["--once", "--log-format=json", "--attempt-timeout=2s", &format!("mysql://{user}{}{more}", self.addr)])
            .end()
    }

    /// Debian's own client logs in and pings.
    fn client(&self, user: &str, tls: &str) -> bool {
        let mut client = Command::new(tool("mariadb-admin"));
        client.args(["--no-defaults", "--protocol=tcp", "--password=hunter2", tls, "ping", "--user", user]);
        client.args(["--host".to_owned(), self.addr.ip().to_string(), format!("--port={}", self.addr.port())]);
        let out = client.output().unwrap();
        String::from_utf8_lossy(&out.stdout).contains("is alive")
    }
}

impl Drop for Sha2 {
    fn drop(&mut self) {
        let _ = self.server.kill();
        let _ = self.server.wait();
    }
}

/// The fake is one that a real client takes for a server, in each of these ways.
#[test]
fn a_real_client_accepts_the_fake() {
    let it = Sha2::start();
    for (user, tls) in
        [("fast", "--skip-ssl"), ("fast", "--ssl"), ("full", "--ssl"), ("native", "--skip-ssl"), ("clear", "--ssl")]
    {
        assert!(it.client(user, tls), "{user} {tls}");
    }
}

#[cfg(feature = "tls")]
#[test]
fn logins_of_mysql_8() {
    let it = Sha2::start();
    // The default is TLS, as the server offers it.
    for user in ["fast", "full", "sha256", "native"] {
        it.once(&format!("{user}:hunter2@"), "").success().stderr_says("logged in").nowhere("hunter2");
        it.log(&format!("quit {user}"));
        it.once(&format!("{user}:wrong@"), "").failure().stderr_has("protocol.password");
        it.log(&format!("refused {user}"));
    }
    for user in ["fast", "native"] {
        it.once(&format!("{user}:hunter2@"), "?ssl-mode=DISABLED").success();
        assert!(!it.log(&format!("quit {user}")).contains("readable"));
    }
}

/// The password itself goes out only where it cannot be read, and the handshake is led to its end all the same.
#[cfg(feature = "tls")]
#[test]
fn no_password_goes_out_in_clear() {
    let it = Sha2::start();
    for (user, more, says) in [
        ("full", "?ssl-mode=DISABLED", "over TLS only"),
        ("sha256", "?ssl-mode=DISABLED", "over TLS only"),
        ("clear", "?ssl-mode=DISABLED", "certificate is verified"),
        ("clear", "", "certificate is verified"),
        ("clear", "?ssl-mode=REQUIRED", "certificate is verified"),
    ] {
        let ended = it.once(&format!("{user}:hunter2@"), more);
        ended.failure().stderr_has("protocol.auth-method").stderr_says(says).nowhere("hunter2");
        let log = it.log(&format!("refused {user}"));
        assert!(!log.contains("readable") && !log.contains("aborted"), "{user}{more}: {log}");
    }
    it.once("clear:hunter2@", "#ca=CA#servername=db.test").success();
    // A ping sends no password, whatever it is asked for.
    for user in ["fast", "full", "sha256", "clear", "native"] {
        it.once(&format!("{user}@"), "?ssl-mode=REQUIRED").success();
        it.log("refused waitgate");
    }
    // Whoever is in the server's place gets nothing.
    let ended = it.once("full:hunter2@", "/shop#ca=CA");
    ended.failure().stderr_has("tls.wrong-name").nowhere("hunter2");
    let log = it.log("refused waitgate");
    assert!(!log.contains("refused full") && !log.contains("aborted"), "{log}");
}
