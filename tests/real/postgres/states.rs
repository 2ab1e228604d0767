//! `postgres:` against a real server in each of its states.

use std::process::Child;

use rustix::process::Signal;

use crate::support::{
    Run,
    pg::{Pg, Stop},
};

/// One attempt at a target, which is to fail.
#[track_caller]
fn unready(target: &str) -> crate::support::run::Ended {
    let ended = Run::new(["--once", target]).end();
    ended.failure();
    ended
}

/// The three loops' own case: no server yet, then one that recovers, then one that accepts.
#[test]
fn refused_then_starting_up_then_ready() {
    let mut pg = Pg::new();
    pg.stay_in_recovery();
    let running = Run::new([format!("postgres:{}", pg.addr)]).start();
    let line = running.line("refused");
    assert!(line.contains(&pg.addr.to_string()), "{line}");
    pg.start();
    running.line("starting up");
    pg.recovered();
    let ended = running.end();
    ended.success();
    assert_eq!(ended.lines_with("starting up"), 1, "one line for each change: {ended}");
}

#[test]
fn accepting_is_ready_without_a_password() {
    let pg = Pg::started();
    for target in [format!("postgres:{}", pg.addr), pg.url("", ""), pg.url("app", "app"), pg.url("", "nowhere")] {
        Run::new(["--once", &target]).end().success();
    }
    for url in [pg.url("", ""), pg.url("", "").replace("postgres:", "postgresql+psycopg2:")] {
        Run::new(["--once", &url.replace("postgres:", "postgresql:")]).end().success();
    }
}

/// `pg_isready`'s rule needs no log in; a server that counts failed logins must not see any.
#[test]
fn a_ping_is_no_failed_login() {
    let pg = Pg::started();
    Run::new(["--once", &format!("postgres:{}", pg.addr)]).end().success();
    assert!(!pg.log().contains("password authentication failed"), "{}", pg.log());
}

#[test]
fn right_password_is_ready() {
    let pg = Pg::started();
    Run::new(["--once", &pg.url("postgres:secret", "postgres")]).end().success();
    Run::new(["--once", &pg.url("", "postgres")]).env("PGUSER", "postgres").env("PGPASSWORD", "secret").end().success();
}

/// As a Secret has them: the address in the manifest, the rest in three keys.
#[test]
fn user_password_and_database_from_the_environment() {
    let pg = Pg::started();
    pg.sql("CREATE ROLE app LOGIN PASSWORD 'app-secret'");
    pg.sql("CREATE DATABASE shop OWNER app");
    let run = |database: &str| {
        Run::new(["--once", &format!("postgres:{}", pg.addr)])
            .env("PGUSER", "app")
            .env("PGPASSWORD", "app-secret")
            .env("PGDATABASE", database)
            .end()
    };
    run("shop").success();
    run("nowhere").failure().stderr_has("nowhere").nowhere("app-secret");
}

/// The URL wins over the environment.
#[test]
fn the_url_wins_over_the_environment() {
    let pg = Pg::started();
    Run::new(["--once", &pg.url("postgres:secret", "postgres")])
        .env("PGUSER", "nobody")
        .env("PGPASSWORD", "wrong")
        .env("PGDATABASE", "nowhere")
        .end()
        .success();
}

/// A role or its password may come later, by a migration: waiting goes on, and says so.
#[test]
fn wrong_password_keeps_waiting_and_says_so() {
    let pg = Pg::started();
    pg.sql("CREATE ROLE app LOGIN PASSWORD 'old-secret'");
    let running = Run::new(["--max-pause=300ms", &pg.url("app:new-secret", "postgres")]).start();
    running.line("28P01");
    pg.sql("ALTER ROLE app PASSWORD 'new-secret'");
    let ended = running.end();
    ended.success().stderr_says("password").nowhere("new-secret").nowhere("old-secret");
}

#[test]
fn database_missing_then_created() {
    let pg = Pg::started();
    let running = Run::new([pg.url("postgres:secret", "shop")]).start();
    let line = running.line("3D000");
    assert!(line.contains("shop"), "{line}");
    pg.sql("CREATE DATABASE shop");
    running.end().success();
}

#[test]
fn no_entry_in_pg_hba() {
    let mut pg = Pg::new();
    pg.hba("local all all trust\n");
    pg.start();
    pg.accepting();
    unready(&pg.url("postgres:secret", "postgres")).stderr_has("28000").stderr_has("pg_hba.conf").nowhere("secret");
    // pg_isready calls this ready, and so it is: the server accepts connections.
    Run::new(["--once", &format!("postgres:{}", pg.addr)]).end().success();
}

/// A session keeps a smart shutdown from ending; dropping it ends the session.
struct Session(Child);

impl Session {
    fn open(pg: &Pg) -> Self {
        pg.conf("log_statement = all\n");
        pg.signal(Signal::HUP);
        pg.logged("parameter \"log_statement\" changed");
        let session = Self(pg.psql("SELECT pg_sleep(60)").spawn().expect("must be able to start psql"));
        pg.logged("SELECT pg_sleep(60)");
        session
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn shutting_down_is_not_ready() {
    let pg = Pg::started();
    let session = Session::open(&pg);
    pg.ask_to_stop(Stop::Smart);
    pg.logged("received smart shutdown request");
    unready(&format!("postgres:{}", pg.addr)).stderr_has("shutting down");
    unready(&pg.url("postgres:secret", "postgres")).stderr_has("shutting down");
    drop(session);
}

/// The server's last words are a warning there, not an error.
#[test]
fn an_immediate_shutdown_within_a_query_is_named() {
    let mut pg = Pg::started();
    let target = format!("{}#query=SELECT pg_sleep(8)", pg.url("postgres:secret", "postgres"));
    let running = Run::new(["--once", "--attempt-timeout=9s", &target]).start();
    pg.until("to run the query", || {
        pg.sql("SELECT count(*) FROM pg_stat_activity WHERE query = 'SELECT pg_sleep(8)' AND state = 'active'") == "1"
    });
    pg.crash();
    running.end().failure().stderr_has("ended the session").stderr_has("immediate shutdown");
}

#[test]
fn no_free_connection_is_not_ready() {
    let mut pg = Pg::new();
    pg.conf("max_connections = 4\nsuperuser_reserved_connections = 3\nmax_wal_senders = 0\n");
    pg.hba("local all all trust\nhost all all 127.0.0.0/8 trust\n");
    pg.start();
    pg.accepting();
    pg.sql("CREATE ROLE app LOGIN");
    let session = Session::open(&pg);
    unready(&pg.url("app", "postgres")).stderr_has("53300");
    drop(session);
}

/// The kernel accepts in place of a postmaster that cannot.
#[test]
fn stopped_postmaster_then_continued() {
    let pg = Pg::started();
    pg.signal(Signal::STOP);
    let running = Run::new(["--attempt-timeout=500ms", &format!("postgres:{}", pg.addr)]).start();
    running.line("no complete answer came");
    pg.signal(Signal::CONT);
    running.end().success();
}

/// Every character that a password generator may come up with, each way that a password can come.
#[test]
fn odd_passwords() {
    let pg = Pg::started();
    let odd = r#"a#b@c:d/e?f&g=h%41 i$(j)${k}'l"m\n;ü"#;
    pg.sql(&format!("CREATE ROLE app LOGIN PASSWORD $pw${odd}$pw$"));
    let encoded = odd.bytes().fold(String::new(), |text, byte| format!("{text}%{byte:02X}"));

    let filled = Run::new(["-v", "--once", &pg.url("app:$(DB_PASSWORD)", "postgres")]).env("DB_PASSWORD", odd).end();
    filled.success().nowhere(odd).nowhere("c:d/e");
    let given = Run::new(["-v", "--once", &pg.url("app", "postgres")]).env("PGPASSWORD", odd).end();
    given.success().nowhere(odd).nowhere("c:d/e");
    let url = pg.url(&format!("app:{encoded}"), "postgres");
    let whole = Run::new(["-v", "--once", "env:DATABASE_URL"]).env("DATABASE_URL", &url).end();
    whole.success().nowhere(&encoded).nowhere("c:d/e");
    Run::new(["-v", "--once", &url]).end().success().nowhere(&encoded).nowhere("c:d/e");

    // And that it is the password that counts: all four fail with another one.
    pg.sql("ALTER ROLE app PASSWORD 'other'");
    for run in [
        Run::new(["-v", "--once", &pg.url("app:$(DB_PASSWORD)", "postgres")]).env("DB_PASSWORD", odd),
        Run::new(["-v", "--once", &pg.url("app", "postgres")]).env("PGPASSWORD", odd),
        Run::new(["-v", "--once", "env:DATABASE_URL"]).env("DATABASE_URL", &url),
        Run::new(["-v", "--once", &url]),
    ] {
        run.end().failure().stderr_has("28P01").nowhere(odd).nowhere(&encoded).nowhere("c:d/e");
    }
}

/// A user and a database may be odd too: they are taken as they are, and printed so that nothing runs.
#[test]
fn odd_users_and_databases() {
    let pg = Pg::started();
    pg.sql(r#"CREATE ROLE "o@d/d" LOGIN PASSWORD 'secret'"#);
    pg.sql(r#"CREATE DATABASE "s#h?p""#);
    Run::new(["--once", &pg.url("$(DB_USER):secret", "$(DB_NAME)")])
        .env("DB_USER", "o@d/d")
        .env("DB_NAME", "s#h?p")
        .end()
        .success();
}

/// A session that was let in is told goodbye: the server's log stays clean over hours of waiting.
#[test]
fn leaves_no_noise_in_the_servers_log() {
    let pg = Pg::started();
    Run::new(["--once", &pg.url("postgres:secret", "postgres")]).end().success();
    Run::new(["--once", &format!("postgres:{}", pg.addr)]).end().success();
    for noise in ["unexpected EOF", "could not receive", "incomplete startup", "reset by peer"] {
        assert!(!pg.log().contains(noise), "{}", pg.log());
    }
}

/// The Sync after a login is no statement: a server that logs every statement has no line for it.
#[test]
fn a_login_leaves_no_statement_in_the_log() {
    let mut pg = Pg::new();
    pg.hba("local all all trust\nhost all trusted 127.0.0.0/8 trust\nhost all all 127.0.0.0/8 scram-sha-256\n");
    pg.conf("log_statement = all\nlog_duration = on\nlog_min_duration_statement = 0\n");
    pg.start();
    pg.accepting();
    pg.sql("CREATE ROLE trusted LOGIN");
    let before = pg.log();
    Run::new(["--once", &pg.url("postgres:secret", "postgres")]).end().success();
    Run::new(["--once", &pg.url("trusted", "postgres")]).end().success();
    assert_eq!(pg.log(), before);
}
