//! `postgres:` beside the real `pg_isready` in the same state of the same server. Where the two differ it is on
//! purpose, and docs/postgres.md says so.

use std::net::SocketAddr;

use rustix::process::Signal;

use crate::support::{
    Fake, Run, free_port,
    pg::{Pg, Stop},
    pgtools::isready,
    run::Ended,
};

/// What `pg_isready` ends with.
const ACCEPTING: i32 = 0;
const REJECTING: i32 = 1;
const NO_RESPONSE: i32 = 2;

/// Asks both; pg_isready has to say `theirs`.
#[track_caller]
fn both(addr: SocketAddr, theirs: i32) -> Ended {
    assert_eq!(isready(addr, &[]), theirs, "pg_isready");
    Run::new(["--once", "--attempt-timeout=1s", &format!("postgres:{addr}")]).end()
}

#[track_caller]
fn ready(addr: SocketAddr, theirs: i32) {
    both(addr, theirs).success();
}

#[track_caller]
fn not_ready(addr: SocketAddr, theirs: i32, says: &str) {
    both(addr, theirs).failure().stderr_says(says);
}

#[test]
fn refused() {
    not_ready(free_port(), NO_RESPONSE, "refused");
}

#[test]
fn starting_up() {
    let mut pg = Pg::new();
    pg.stay_in_recovery();
    pg.start();
    pg.logged("starting");
    not_ready(pg.addr, REJECTING, "starting up");
    pg.recovered();
    pg.accepting();
    ready(pg.addr, ACCEPTING);
}

/// A crash, and the recovery after it, held up for as long as it takes to look.
#[test]
fn recovering_from_a_crash() {
    let mut pg = Pg::started();
    pg.sql("CREATE TABLE t AS SELECT generate_series(1, 100000) AS n");
    pg.crash();
    pg.stay_in_recovery();
    pg.start();
    pg.logged("database system was interrupted");
    not_ready(pg.addr, REJECTING, "starting up");
    pg.recovered();
    pg.accepting();
    ready(pg.addr, ACCEPTING);
}

#[test]
fn accepting_and_a_wrong_user_or_database() {
    let pg = Pg::started();
    ready(pg.addr, ACCEPTING);
    assert_eq!(isready(pg.addr, &["--username=nobody", "--dbname=nowhere"]), ACCEPTING);
    Run::new(["--once", &pg.url("nobody", "nowhere")]).end().success();
}

#[test]
fn no_pg_hba_entry() {
    let mut pg = Pg::new();
    pg.hba("local all all trust\n");
    pg.start();
    pg.accepting();
    ready(pg.addr, ACCEPTING);
}

/// Whoever lets in without a password gets as far as a session, and is told goodbye.
/// One file is away, and no session can start: libpq's rule counts that error as accepting.
#[test]
fn broken_inside() {
    let pg = Pg::started();
    let map = pg.path("data/global/pg_filenode.map");
    std::fs::rename(&map, map.with_extension("away")).unwrap();
    assert_eq!(isready(pg.addr, &[]), ACCEPTING);
    Run::new(["--once", &format!("postgres:{}", pg.addr)]).end().failure().stderr_has("58P01");
    std::fs::rename(map.with_extension("away"), &map).unwrap();
    ready(pg.addr, ACCEPTING);
}

#[test]
fn trusting() {
    let mut pg = Pg::new();
    pg.hba("local all all trust\nhost all all 127.0.0.0/8 trust\n");
    pg.start();
    pg.accepting();
    ready(pg.addr, ACCEPTING);
    // With a database that is not there pg_isready is ready too: it was let in.
    assert_eq!(isready(pg.addr, &["--dbname=nowhere"]), ACCEPTING);
    Run::new(["--once", &pg.url("", "nowhere")]).end().success();
}

#[cfg(feature = "tls")]
#[test]
fn tls_only() {
    let mut pg = Pg::new();
    let (certificate, key) = crate::support::web::Authority::new().sign(&["other.test"]);
    pg.file("server.crt", &certificate);
    pg.file("server.key", &key);
    pg.conf("ssl = on\n");
    pg.hba("local all all trust\nhostssl all all 127.0.0.0/8 scram-sha-256\n");
    pg.start();
    pg.accepting();
    ready(pg.addr, ACCEPTING);
    assert_eq!(isready(pg.addr, &["--dbname=sslmode=disable"]), ACCEPTING);
    Run::new(["--once", &pg.url("", "?sslmode=disable")]).end().success();
}

/// Differs on purpose: pg_isready says 0 of a server that has no connection left.
#[test]
fn too_many_clients() {
    let mut pg = Pg::new();
    pg.conf("max_connections = 4\nsuperuser_reserved_connections = 0\nmax_wal_senders = 0\n");
    pg.start();
    pg.accepting();
    let sessions: Vec<_> = (0..4).map(|_| pg.session()).collect();
    // Another backend may still be on its way out.
    pg.sleeping(4);
    not_ready(pg.addr, ACCEPTING, "53300");
    drop(sessions);
}

#[test]
fn smart_shutdown() {
    let pg = Pg::started();
    let session = pg.session();
    pg.sleeping(1);
    pg.ask_to_stop(Stop::Smart);
    pg.logged("received smart shutdown request");
    not_ready(pg.addr, REJECTING, "shutting down");
    drop(session);
}

#[test]
fn standby_that_takes_no_queries() {
    let mut pg = Pg::new();
    pg.file("standby.signal", "");
    pg.conf("hot_standby = off\n");
    pg.start();
    pg.logged("entering standby mode");
    not_ready(pg.addr, REJECTING, "57P03");
}

/// Differs only where it is asked: pg_isready cannot tell a standby from a primary.
#[test]
fn hot_standby() {
    let mut pg = Pg::new();
    pg.hba("local all all trust\nhost all all 127.0.0.0/8 trust\n");
    pg.file("standby.signal", "");
    pg.start();
    pg.accepting();
    ready(pg.addr, ACCEPTING);
    Run::new(["--once", &format!("{}#role=standby", pg.url("", ""))]).end().success();
    for asks in ["#role=primary", "?target_session_attrs=primary", "?target_session_attrs=read-write"] {
        Run::new(["--once", &format!("{}{asks}", pg.url("", ""))]).end().failure().stderr_says("expected");
    }
}

#[test]
fn stopped_postmaster() {
    let pg = Pg::started();
    pg.signal(Signal::STOP);
    not_ready(pg.addr, NO_RESPONSE, "no complete answer");
}

#[test]
fn a_silent_port() {
    not_ready(Fake::silent().addr, NO_RESPONSE, "no complete answer");
}

#[test]
fn an_http_server() {
    let fake = Fake::answering("HTTP/1.1 400 Bad Request\r\nconnection: close\r\n\r\n");
    not_ready(fake.addr, NO_RESPONSE, "answered in HTTP");
}

#[test]
fn a_mysql_server() {
    let fake = Fake::greeting(b"\x4a\0\0\0\x0a8.0.36\0\x08\0\0\0aaaaaaaa\0".as_slice());
    not_ready(fake.addr, NO_RESPONSE, "MySQL");
}

#[test]
fn a_port_that_closes_at_once() {
    not_ready(Fake::closing().addr, NO_RESPONSE, "closed");
}

/// The server logs no more for a ping than it does for `pg_isready`, in each way that a ping can end.
#[test]
fn no_more_lines_in_the_servers_log() {
    let mut pg = Pg::new();
    pg.conf("log_connections = on\nlog_disconnections = on\nlog_min_messages = info\n");
    pg.hba("local all all trust\nhost all trusted 127.0.0.0/8 trust\nhost all postgres 127.0.0.0/8 scram-sha-256\n");
    pg.start();
    pg.accepting();
    pg.sql("CREATE ROLE trusted LOGIN");
    for user in ["postgres", "trusted", "nobody"] {
        // Each line has the client's port in it or the backend's pid, so what is counted is what came since.
        let lines = || pg.log().lines().count();
        let before = lines();
        assert_eq!(isready(pg.addr, &["--username", user, "--dbname=postgres"]), ACCEPTING);
        // The last thing that a backend logs comes after its client has gone.
        std::thread::sleep(std::time::Duration::from_millis(500));
        let theirs = lines() - before;
        Run::new(["--once", &pg.url(user, "postgres")]).end().success();
        std::thread::sleep(std::time::Duration::from_millis(500));
        let ours = lines() - before - theirs;
        assert!((1..=theirs).contains(&ours), "{user}: {ours} lines against {theirs}:\n{}", pg.log());
    }
}
