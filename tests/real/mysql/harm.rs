//! What a thousand probes leave behind: nothing that blocks the host, locks an account or holds a session.

use std::net::TcpStream;

use crate::support::{
    Run,
    mariadb::{ADDRESS, MariaDb},
};

/// The server blocks a host after five connections that end early. That is what a bare `tcp:` or `nc -z` does, and it is the
/// proof that this test can fail.
#[test]
fn a_thousand_probes_do_not_block_the_host() {
    let mut db = MariaDb::new();
    db.option("--plugin-load-add=auth_ed25519");
    db.start();
    db.accepting();
    db.sql(
        "CREATE USER app@'%' IDENTIFIED BY 'hunter2';\
         CREATE USER ed1@'%' IDENTIFIED VIA ed25519 USING PASSWORD('x');\
         CREATE USER ed2@'%' IDENTIFIED VIA ed25519 USING PASSWORD('x');\
         CREATE USER ed3@'%' IDENTIFIED VIA ed25519 USING PASSWORD('x')",
    );
    let target = format!("mysql:{ADDRESS}#successes=1000#max-pause=1ms");
    Run::new(["--timeout=2m", &target]).inside(db.pod()).end().success();
    db.once("mysql://app:hunter2@ADDR").end().success();
    db.no_session_left();
    assert_eq!(db.sql("SHOW GLOBAL STATUS LIKE 'Aborted_connects_preauth'").split('\t').nth(1), Some("0"));
    // The same by hand, without the end of the handshake.
    for _ in 0..7 {
        db.pod().within(|| drop(TcpStream::connect(ADDRESS).unwrap()));
    }
    db.once("mysql:ADDR").end().failure().stderr_has("protocol.blocked").stderr_says("1129");
    db.once("mysql://app:hunter2@ADDR").end().failure().stderr_has("protocol.blocked").stderr_says("flush-hosts");
    db.sql("FLUSH HOSTS");
    db.once("mysql:ADDR").end().success();
}

/// Refused logins, missing databases and what a query got wrong do not block the host either.
#[test]
fn attempts_that_fail_do_not_block_the_host() {
    let db = MariaDb::started();
    for target in [
        "mysql://app:wrong@ADDR",
        "mysql://nobody:wrong@ADDR",
        "mysql://app:hunter2@ADDR/nowhere",
        "mysql://app:hunter2@ADDR#role=replica",
        "mysql://app:hunter2@ADDR#query=SELECT 0",
        "mysql://app:hunter2@ADDR#query=SELEC",
        "mysql://app:hunter2@ADDR?ssl-mode=REQUIRED",
    ] {
        for _ in 0..7 {
            db.once(target).end().failure();
        }
        db.once("mysql://app:hunter2@ADDR").end().success();
    }
    db.no_session_left();
}

/// A ping is never the application's user: a password that is missing counts towards a lock of its account.
#[test]
fn a_ping_locks_no_account() {
    let mut db = MariaDb::new();
    db.option("--max-password-errors=3");
    db.start();
    db.accepting();
    db.sql("CREATE USER app@'%' IDENTIFIED BY 'hunter2'");
    for _ in 0..7 {
        db.once("mysql://app@ADDR/shop").end().success();
    }
    db.once("mysql://app:hunter2@ADDR").end().success();
    for _ in 0..4 {
        db.once("mysql://app:wrong@ADDR").end().failure();
    }
    db.once("mysql://app:hunter2@ADDR").end().failure().stderr_has("protocol.blocked");
}
