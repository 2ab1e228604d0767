//! `postgres:` through PgBouncer: a pooler that answers is not a server that does.

use std::{
    fs,
    net::SocketAddr,
    os::unix::fs::PermissionsExt as _,
    process::Stdio,
    thread,
    time::{Duration, Instant},
};

use tempfile::TempDir;

use crate::support::{
    PATIENCE, Run, free_port,
    pg::Pg,
    pgtools::{Ends, isready, unprivileged},
    tool,
};

struct Bouncer {
    addr: SocketAddr,
    _server: Ends,
    folder: TempDir,
}

impl Bouncer {
    /// A pooler with one database, `shop`, at `server`.
    fn before(server: SocketAddr, auth: &str, more: &str) -> Self {
        let mode = if more.contains("pool_mode") { "" } else { "pool_mode = transaction\n" };
        let folder = tempfile::tempdir().unwrap();
        // For its log; the umask would take it away from a folder that is made so.
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o777)).unwrap();
        let addr = free_port();
        let path = |name: &str| folder.path().join(name).display().to_string();
        fs::write(
            path("ini"),
            format!(
                "[databases]\nshop = host={} port={} dbname=postgres\n[pgbouncer]\nlisten_addr = {}\nlisten_port = {}\n\
                 auth_type = {auth}\nauth_file = {}\nunix_socket_dir =\nlogfile = {}\n\
                 server_login_retry = 1\n{mode}{more}\n",
                server.ip(),
                server.port(),
                addr.ip(),
                addr.port(),
                path("users"),
                path("log"),
            ),
        )
        .unwrap();
        fs::write(path("users"), "\"postgres\" \"secret\"\n").unwrap();
        let mut command = unprivileged(&tool("pgbouncer"));
        let server = command.arg(path("ini")).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
        let bouncer = Self { addr, _server: Ends(server.expect("must be able to start pgbouncer")), folder };
        let limit = Instant::now() + PATIENCE;
        while std::net::TcpStream::connect(addr).is_err() {
            assert!(Instant::now() < limit, "pgbouncer does not listen");
            thread::sleep(Duration::from_millis(20));
        }
        bouncer
    }

    fn url(&self, login: &str, more: &str) -> String {
        format!("postgres://{login}@{}/{more}", self.addr)
    }
}

fn once(target: &str) -> crate::support::run::Ended {
    Run::new(["--once", "--attempt-timeout=2s", target]).end()
}

#[test]
fn with_its_server() {
    let pg = Pg::started();
    let bouncer = Bouncer::before(pg.addr, "scram-sha-256", "");
    assert_eq!(isready(bouncer.addr, &["--dbname=shop"]), 0);
    once(&bouncer.url("postgres", "shop")).success();
    once(&bouncer.url("postgres:secret", "shop")).success();
    // In a transaction of its own, and the session goes back clean.
    for _ in 0..3 {
        once(&format!("{}#query=SELECT 1#role=primary", bouncer.url("postgres:secret", "shop"))).success();
    }
    // Nor is it thrown away where the query fails: a gate that waits for a table costs no new session each time.
    let late = format!("{}#query=SELECT 1 FROM late", bouncer.url("postgres:secret", "shop"));
    once(&late).failure().stderr_has("42P01");
    let log = fs::read_to_string(bouncer.folder.path().join("log")).unwrap();
    assert!(log.contains("client close request") && !log.contains("server was not ready"), "{log}");
    once(&bouncer.url("postgres:hunter2", "shop")).failure().stderr_says("refuses the").nowhere("hunter2");
    once(&bouncer.url("postgres:secret", "nowhere")).failure().stderr_has("no such database");
    once(&bouncer.url("nobody:secret", "shop")).failure().stderr_says("refuses the");
    assert_eq!(pg.sql("SELECT count(*) FROM pg_stat_activity WHERE state LIKE 'idle in%'"), "0");
}

/// The pooler answers, and its server does not: a login is not ready, and says whose fault it is.
#[test]
fn without_its_server() {
    let bouncer = Bouncer::before(free_port(), "scram-sha-256", "");
    let login = bouncer.url("postgres:secret", "shop");
    once(&login).failure().stderr_has("as a pooler does");
    // Where its own patience is shorter than the attempt's it says so itself.
    let short = Bouncer::before(free_port(), "scram-sha-256", "query_wait_timeout = 1");
    once(&short.url("postgres:secret", "shop")).failure().stderr_has("08P01").stderr_has("no server behind it");
    // A ping ends at the question for the password, as pg_isready does: it proves nothing of the server.
    assert_eq!(isready(bouncer.addr, &["--dbname=shop"]), 0);
    once(&bouncer.url("postgres", "shop")).success();
}

/// One that trusts has no question to ask: it says nothing before its server does.
#[test]
fn trusting_without_its_server() {
    let bouncer = Bouncer::before(free_port(), "trust", "");
    assert_eq!(isready(bouncer.addr, &["--dbname=shop"]), 2);
    once(&bouncer.url("postgres", "shop")).failure();
    // The target does not name this database: an answer that it is missing says that a server is there.
    assert_eq!(isready(bouncer.addr, &["--dbname=postgres"]), 0);
    once(&format!("postgres:{}", bouncer.addr)).success();
    once(&bouncer.url("postgres", "postgres")).failure().stderr_has("no such database");
}

/// A pooler that had a session once accepts logins out of what it remembers, also when its server is gone.
#[test]
fn warm_before_a_stopped_server() {
    let mut pg = Pg::started();
    let poolers: Vec<Bouncer> = ["session", "transaction", "statement"]
        .iter()
        .flat_map(|mode| ["scram-sha-256", "trust"].map(|auth| (auth, format!("pool_mode = {mode}"))))
        .map(|(auth, mode)| Bouncer::before(pg.addr, auth, &mode))
        .collect();
    let logins: Vec<String> = poolers.iter().map(|pooler| pooler.url("postgres:secret", "shop")).collect();
    // The poolers at even places ask for a password, so only the others answer a ping with a session.
    let pings: Vec<String> = poolers.iter().skip(1).step_by(2).map(|pooler| pooler.url("postgres", "shop")).collect();
    let targets: Vec<&String> = logins.iter().chain(&pings).collect();
    for target in &targets {
        once(target).success();
    }
    pg.stop();
    // The poolers at odd places let a client in, and are silent after that.
    for trusting in poolers.iter().skip(1).step_by(2) {
        assert_eq!(isready(trusting.addr, &["--dbname=shop"]), 0);
    }
    for _ in 0..2 {
        for target in &targets {
            let ended = Run::new(["--once", "--attempt-timeout=700ms", target]).end();
            ended.failure().expect("a pooler's reason", ended.stderr.contains("pooler")).nowhere("secret");
        }
    }
    pg.start();
    pg.accepting();
    for target in &targets {
        Run::new(["--timeout=30s", target]).end().success();
    }
}

/// What PgBouncer says with the one SQLSTATE that it has.
#[test]
fn its_many_errors() {
    let pg = Pg::started();
    let bouncer = Bouncer::before(pg.addr, "scram-sha-256", "pool_mode = statement");
    let login = bouncer.url("postgres:secret", "shop");
    once(&format!("{login}#query=SELECT 1")).failure().stderr_has("#query= needs a transaction");
    once(&format!("{login}?options=-cgeqo%3Doff")).failure().stderr_has("rejects this client").stderr_has("options");
    let full = Bouncer::before(pg.addr, "scram-sha-256", "max_client_conn = 0");
    once(&full.url("postgres:secret", "shop")).failure().stderr_has("has no connection left for us");
}

/// The server comes back under a waiting gate.
#[test]
fn its_server_comes_late() {
    let mut pg = Pg::new();
    let bouncer = Bouncer::before(pg.addr, "scram-sha-256", "");
    let running = Run::new(["--max-pause=500ms", &bouncer.url("postgres:secret", "shop")]).start();
    running.line("pooler");
    pg.start();
    running.end().success();
}
