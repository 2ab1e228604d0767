//! Logins against a real server: each method of `pg_hba.conf`, the files, the roles, the queries, and what they
//! cost the server.

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    thread,
    time::{Duration, Instant},
};

use crate::support::{Run, pg::Pg, tool};

/// A server where each method has its user, of the same name and with the password `pw`.
fn methods() -> Pg {
    let mut pg = Pg::new();
    pg.hba(
        "local all all trust\nhost all scram 127.0.0.0/8 scram-sha-256\nhost all md5 127.0.0.0/8 md5\n\
         host all clear 127.0.0.0/8 password\nhost all trusted 127.0.0.0/8 trust\nhost all gss 127.0.0.0/8 gss\n\
         host all postgres 127.0.0.0/8 scram-sha-256\n",
    );
    pg.start();
    pg.accepting();
    pg.sql(
        "CREATE ROLE scram LOGIN PASSWORD 'pw'; CREATE ROLE clear LOGIN PASSWORD 'pw'; CREATE ROLE trusted LOGIN; \
         CREATE ROLE gss LOGIN; SET password_encryption = md5; CREATE ROLE md5 LOGIN PASSWORD 'pw'",
    );
    pg
}

#[test]
fn each_method() {
    let pg = methods();
    for user in ["scram", "md5", "clear"] {
        Run::new(["--once", &pg.url(&format!("{user}:pw"), "postgres")]).end().success();
        let wrong = Run::new(["--once", &pg.url(&format!("{user}:hunter2"), "postgres")]).end();
        wrong.failure().stderr_has("28P01").stderr_has("the server is there").nowhere("hunter2");
        let none = Run::new(["--once", &format!("{}#login", pg.url(user, "postgres"))]).end();
        none.failure().stderr_has("none is given");
        // A user alone asks for no login.
        Run::new(["--once", &pg.url(user, "postgres")]).end().success();
    }
    Run::new(["--once", &format!("{}#login", pg.url("trusted", "postgres"))]).end().success();
    Run::new(["--once", &pg.url("trusted:unused", "postgres")]).end().success();
    Run::new(["--once", &pg.url("gss:pw", "postgres")]).end().failure().stderr_has("GSSAPI");
}

/// `require_auth`, beside psql's libpq if it knows the parameter (16 and later).
#[test]
fn require_auth() {
    let pg = methods();
    let run = |user: &str, list: &str| {
        let url = pg.url(&format!("{user}:pw"), &format!("postgres?require_auth={list}"));
        Run::new(["--once", &url]).end()
    };
    run("scram", "scram-sha-256").success();
    run("md5", "md5,scram-sha-256").success();
    run("trusted", "none").success();
    run("scram", "!password,!md5").success();
    for (user, list) in
        [("clear", "scram-sha-256"), ("md5", "scram-sha-256"), ("trusted", "!none"), ("clear", "!password")]
    {
        run(user, list).failure().stderr_has("require_auth= forbids");
    }
    let by_env = Run::new(["--once", &pg.url("clear:pw", "postgres")]).env("PGREQUIREAUTH", "scram-sha-256");
    by_env.end().failure().stderr_has("require_auth= forbids");
    // Only the login is refused: a ping sends no password.
    Run::new(["--once", &pg.url("clear", "postgres?require_auth=scram-sha-256")]).end().success();
}

/// LDAP, PAM and ident have the SQLSTATE of access rules (28000), and are refused credentials all the same.
#[test]
fn refused_credentials_that_are_no_password() {
    let mut pg = Pg::new();
    pg.hba("local all all trust\nhost all nolog 127.0.0.0/8 trust\nhost all all 127.0.0.0/8 ident\n");
    pg.start();
    pg.accepting();
    pg.sql("CREATE ROLE app LOGIN; CREATE ROLE nolog");
    pg.sql("CREATE DATABASE closed");
    pg.sql("REVOKE CONNECT ON DATABASE closed FROM PUBLIC");
    let ident = Run::new(["--once", &pg.url("app:pw", "postgres")]).end();
    ident.failure().stderr_has("refuses the credentials").stderr_has("check the user name and the password");
    let nolog = Run::new(["--once", &pg.url("nolog:pw", "postgres")]).end();
    nolog.failure().stderr_has("not permitted to log in");
    nolog.expect("no word of pg_hba.conf", !nolog.stderr.contains("pg_hba"));
    assert_eq!(nolog.stderr.matches("not permitted").count(), 1, "{nolog}");
    pg.hba("local all all trust\nhost all all 127.0.0.0/8 trust\n");
    pg.signal(rustix::process::Signal::HUP);
    pg.logged("reloading configuration files");
    let grant = Run::new(["--timeout=3s", &pg.url("app:pw", "closed")]).end();
    grant.failure().stderr_has("42501").stderr_has("GRANT");
}

/// A login that takes six seconds: the URL's own connect_timeout makes room for it, as in the application.
#[test]
fn connect_timeout_lengthens_an_attempt() {
    let mut pg = Pg::new();
    pg.conf("post_auth_delay = 4\n");
    pg.start();
    pg.accepting();
    let url = pg.url("postgres:secret", "postgres");
    Run::new(["--once", &url]).end().failure().stderr_has("--attempt-timeout");
    Run::new(["--once", &format!("{url}?connect_timeout=15")]).end().success();
    let bounded = Run::new(["--once", "--attempt-timeout=1s", &format!("{url}?connect_timeout=15")]).end();
    bounded.failure().took(Duration::from_secs(1)..Duration::from_secs(3));
}

#[test]
fn password_file_of_libpq() {
    let pg = methods();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("pgpass");
    let (ip, port) = (pg.addr.ip(), pg.addr.port());
    fs::write(&path, format!("# ours\n{ip}:{port}:other:scram:no\n{ip}:{port}:postgres:scram:pw\n*:*:*:*:no\n"))
        .unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    let run = |database: &str| Run::new(["--once", &pg.url("scram", database)]).env("PGPASSFILE", &path).end();
    run("postgres").success();
    run("other").failure().stderr_has("28P01");
    // A Secret that is mounted for another user than root is group-readable: libpq would ignore it.
    fs::set_permissions(&path, fs::Permissions::from_mode(0o440)).unwrap();
    let ended = run("postgres");
    ended.success();
    assert_eq!(ended.lines_with("libpq would ignore it"), 1, "{ended}");
    let url = format!("{}?passfile={}", pg.url("scram", "postgres"), path.display());
    Run::new(["--once", &url]).end().success();
    fs::write(&path, "elsewhere:*:*:*:pw\n").unwrap();
    run("postgres").failure().stderr_has("no line of the password file fits");
    Run::new(["--once", &pg.url("scram", "postgres")])
        .env("PGPASSFILE", "/nowhere")
        .end()
        .failure()
        .stderr_has("$(PGPASSFILE)");
}

/// A password that is changed while the gate waits is taken up.
#[test]
fn password_file_of_the_target_is_read_anew() {
    let pg = methods();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("password");
    let target = format!("{}#password=@{}", pg.url("scram", "postgres"), path.display());
    let running = Run::new(["--max-pause=200ms", &target]).start();
    running.line("no such file");
    fs::write(&path, "hunter2\n").unwrap();
    running.line("28P01");
    fs::write(&path, "pw\n").unwrap();
    running.end().success().nowhere("hunter2");
}

#[test]
fn several_hosts_and_the_one_with_the_role() {
    let primary = methods();
    let mut standby = Pg::new();
    standby.hba("local all all trust\nhost all all 127.0.0.0/8 trust\n");
    standby.file("standby.signal", "");
    standby.start();
    standby.accepting();
    let hosts = format!("postgres://postgres:secret@{},{}/postgres", standby.addr, primary.addr);
    let says = |target: &str| Run::new(["--once", target]).end();
    says(&hosts).success().stderr_has(&standby.addr.to_string());
    says(&format!("{hosts}#role=primary")).success().stderr_has(&primary.addr.to_string());
    says(&format!("{hosts}?target_session_attrs=read-write")).success().stderr_has(&primary.addr.to_string());
    // The standby would let it in, and libpq would not ask there.
    let wrong = format!("postgres://postgres:hunter2@{},{}/postgres", primary.addr, standby.addr);
    says(&wrong).failure().stderr_has("28P01").nowhere("hunter2");
    let only = format!("postgres://postgres:secret@{}/postgres#role=standby", primary.addr);
    says(&only).failure().stderr_has("is a primary");
    // Promotion under a waiting gate.
    let running = Run::new([&format!("postgres://postgres@{}/postgres#role=primary", standby.addr)]).start();
    running.line("is a standby");
    standby.sql("SELECT pg_promote()");
    running.end().success();
}

#[test]
fn queries() {
    let pg = methods();
    pg.sql("CREATE TABLE migrations (version int)");
    let target = |sql: &str| format!("{}#query={sql}", pg.url("postgres:secret", "postgres"));
    let once = |sql: &str| Run::new(["--once", "--attempt-timeout=1s", &target(sql)]).end();
    for yes in ["SELECT 1", "SELECT true", "SELECT 'x'", "SELECT now()", "SELECT 0.1", "VALUES (1), (0)", "SELECT 'f'"]
    {
        once(yes).success();
    }
    for (no, says) in [
        ("SELECT NULL", "is NULL"),
        ("SELECT false", "is false"),
        ("SELECT 0.00", "is zero"),
        ("SELECT ''", "is empty"),
        ("SELECT 1 WHERE false", "has no row"),
        ("SELECT * FROM nowhere", "42P01"),
        ("SELEC", "42601"),
        ("SELECT 1; COMMIT; DROP TABLE migrations", "42601"),
        ("DROP TABLE migrations", "25006"),
        ("SELECT pg_sleep(60)", "waits for a lock of another session"),
        ("COPY migrations TO STDOUT", "not a row"),
        ("SELECT FROM pg_catalog.pg_class", "has no column"),
        ("DO $x$ BEGIN END $x$", "never has a row"),
        ("SET x.y = 1", "never has a row"),
        ("-- a comment", "never has a row"),
        ("SELECT repeat('x', 3000000)", "1 MiB"),
    ] {
        once(no).failure().stderr_has(says).took(Duration::ZERO..Duration::from_secs(2));
    }
    let running = Run::new([target("SELECT max(version) >= 42 FROM migrations")]).start();
    running.line("is NULL");
    pg.sql("INSERT INTO migrations VALUES (41)");
    running.line("is false");
    pg.sql("INSERT INTO migrations VALUES (42)");
    running.end().success();
}

/// The server comes back, and the gate is through within a pause of the refused (250 ms) and an attempt.
#[test]
fn a_restart_is_seen_within_a_pause() {
    let mut pg = methods();
    pg.stop();
    let running = Run::new([pg.url("scram:pw", "postgres")]).start();
    running.line("refused");
    thread::sleep(Duration::from_millis(700));
    pg.start();
    pg.accepting();
    let accepting = Instant::now();
    let ended = running.end();
    ended.success();
    let late = (ended.started + ended.elapsed).saturating_duration_since(accepting);
    assert!(late < Duration::from_millis(1500), "{late:?} after psql got in: {ended}");
}

#[test]
fn unix_sockets() {
    let mut pg = methods();
    let folder = pg.path("");
    let folder = folder.to_string_lossy();
    let port = pg.addr.port();
    let url = |login: &str, more: &str| format!("postgres://{login}/postgres?host={folder}&port={port}{more}");
    Run::new(["--once", &url("", "")]).end().success();
    // TLS is not spoken there whatever the mode, as libpq has it.
    Run::new(["--once", &format!("{}#login", url("scram@", "&sslmode=verify-full"))]).end().success();
    let encoded = format!("postgres://postgres@{}:{port}/postgres#role=primary", folder.replace('/', "%2F"));
    Run::new(["--once", &encoded]).end().success();
    Run::new(["--once", "postgres://"]).env("PGHOST", &*folder).env("PGPORT", port.to_string()).end().success();
    Run::new(["--once", &format!("{}#gone", url("", ""))]).end().failure().stderr_says("still there");
    pg.stop();
    Run::new(["--once", &url("", "")]).end().failure().stderr_has(".s.PGSQL.").stderr_says("there is no");
}

/// Ready when no server accepts any more, and only then.
#[test]
fn gone() {
    let mut pg = methods();
    let target = format!("{}#gone#max-pause=100ms", pg.url("scram:hunter2", "postgres"));
    let running = Run::new([&target]).start();
    running.line("still there");
    pg.stop();
    running.end().success().nowhere("hunter2");
    for with in ["login", "role=primary", "query=SELECT 1", "password=@/x"] {
        let refused = Run::new(["--once", &format!("{}#gone#{with}", pg.url("", ""))]).end();
        refused.failure().stderr_has("#gone excludes");
    }
}

/// Attempts hold no connection longer than they last: 20 gates that keep on logging in leave a server with ten
/// connections usable for others.
#[test]
fn twenty_gates_do_not_lock_out_others() {
    let mut pg = Pg::new();
    pg.conf("max_connections = 10\nmax_wal_senders = 0\n");
    pg.start();
    pg.accepting();
    // They wait for a table that is not there yet: each attempt is a whole login.
    let target = format!("{}#query=SELECT 1 FROM late", pg.url("postgres:secret", "postgres"));
    let gates: Vec<_> = (0..20).map(|_| Run::new([&target]).start()).collect();
    let until = Instant::now() + Duration::from_secs(3);
    let (mut tried, mut failed) = (0, 0);
    while Instant::now() < until {
        tried += 1;
        failed += usize::from(!pg.psql("SELECT 1").output().unwrap().status.success());
        thread::sleep(Duration::from_millis(50));
    }
    assert!(failed * 10 <= tried, "{failed} of {tried} logins of others failed");
    pg.sql("CREATE TABLE late AS SELECT 1");
    for gate in gates {
        gate.end().success();
    }
}

/// `pg_isready` ends with 3 there each time, and a static binary that asks getpwuid may crash.
#[test]
fn a_uid_without_a_passwd_entry_is_never_asked_for() {
    let pg = methods();
    let folder = tempfile::Builder::new().permissions(fs::Permissions::from_mode(0o755)).tempdir().unwrap();
    let copy = folder.path().join("waitgate");
    let copied = std::process::Command::new(tool("cp")).arg(env!("CARGO_BIN_EXE_waitgate")).arg(&copy).status();
    assert!(copied.unwrap().success());
    let run = Run::program(&copy, ["--once", &pg.url("", "postgres")]).env("PGPASSWORD", "secret");
    run.through(["setpriv", "--reuid=54321", "--regid=54321", "--clear-groups"]).end().success();
}
