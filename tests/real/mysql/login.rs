//! Logins, roles and queries at a real server.

use std::fs;

use crate::support::{
    Run,
    mariadb::{ADDRESS, MariaDb},
};

#[test]
fn logins_that_work_and_that_do_not() {
    let db = MariaDb::started();
    db.sql("CREATE USER locked@'%' IDENTIFIED BY 'hunter2' ACCOUNT LOCK");
    for good in [
        "mysql://app:hunter2@ADDR/shop",
        "mariadb://app:hunter2@ADDR",
        "jdbc:mysql://ADDR/shop?user=app&password=hunter2&useSSL=false&allowPublicKeyRetrieval=true",
        "jdbc:mariadb://ADDR/shop?user=app&password=hunter2",
        "mysql+pymysql://app:hunter2@ADDR/shop?charset=utf8mb4",
        "mysql://app:hunter2@tcp(ADDR)/shop?parseTime=true",
        "mysql://open@ADDR#login",
    ] {
        db.once(good).end().success().stderr_says("logged in at 10.77.0.1:3306").nowhere("hunter2");
    }
    for (bad, says) in [
        ("mysql://app:wrong@ADDR/shop", "protocol.password"),
        ("mysql://nobody:wrong@ADDR", "protocol.password"),
        ("mysql://app@ADDR#login", "none is given"),
        ("mysql://app:hunter2@ADDR/nowhere", "protocol.no-database"),
        ("mysql://idle:hunter2@ADDR/shop", "protocol.not-authorized"),
        ("mysql://locked:hunter2@ADDR", "protocol.blocked"),
    ] {
        db.once(bad).end().failure().stderr_has(says).nowhere("hunter2").nowhere("wrong");
    }
    let pings = ["mysql:ADDR", "mysql://app@ADDR/nowhere", "mysql://locked@ADDR", "mysql://ADDR?user=nobody"];
    for ping in pings {
        db.once(ping).end().success().stderr_says("accepting connections");
    }
    db.no_session_left();
}

/// The password's file is read again for each attempt, and the client's variables are those of MySQL's own client.
#[test]
fn where_the_password_comes_from() {
    let db = MariaDb::started();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("password");
    let target = format!("mysql://app@{ADDRESS}/shop#password=@{}#max-pause=100ms", file.display());
    let running = Run::new([target]).inside(db.pod()).start();
    running.line("cannot be read");
    fs::write(&file, "hunter2\n").unwrap();
    running.end().success().nowhere("hunter2");
    db.once("mysql://app@ADDR/shop").env("MYSQL_PWD", "hunter2").end().success().stderr_says("logged in");
    db.once("mysql:ADDR").env("MYSQL_PWD", "wrong").end().success().stderr_says("accepting connections");
    db.once("mysql://app:$(PW)@/shop").env("PW", "hunter2").env("MYSQL_HOST", "10.77.0.1").end().success();
    db.once("env:URL").env("URL", format!("mysql://app:hunter2@{ADDRESS}/shop")).end().success().nowhere("hunter2");
    let socket = db.path("sock").to_string_lossy().replace('/', "%2F");
    db.once(&format!("mysql://app:hunter2@{socket}/shop")).end().success();
}

/// A user that is made later: waitgate keeps trying.
#[test]
fn a_user_that_comes_late() {
    let db = MariaDb::started();
    let target = format!("mysql://late:hunter2@{ADDRESS}#max-pause=200ms");
    let running = Run::new([target]).inside(db.pod()).start();
    running.line("refuses the login");
    db.sql("CREATE USER late@'%' IDENTIFIED BY 'hunter2'");
    running.end().success();
}

/// What waitgate does not have is named, and the handshake ends all the same.
#[test]
fn a_way_to_log_in_that_waitgate_does_not_have() {
    let mut db = MariaDb::new();
    db.option("--plugin-load-add=auth_ed25519");
    db.start();
    db.accepting();
    db.sql(
        "CREATE USER ed@'%' IDENTIFIED VIA ed25519 USING PASSWORD('hunter2');\
         CREATE USER app@'%' IDENTIFIED BY 'hunter2'",
    );
    for _ in 0..7 {
        let ended = db.once("mysql://ed:hunter2@ADDR").end();
        ended.failure().stderr_has("protocol.auth-method").stderr_says("client_ed25519").nowhere("hunter2");
    }
    db.once("mysql://app:hunter2@ADDR").end().success();
    let log = db.log();
    assert!(!log.contains("Aborted connection"), "{log}");
}

#[test]
fn roles() {
    let db = MariaDb::started();
    db.once("mysql://idle:hunter2@ADDR#role=primary").end().success();
    let ended = db.once("mysql://app:hunter2@ADDR#role=replica").end();
    ended.failure().stderr_has("expect.role").stderr_says("a replica is expected");
    db.sql("SET GLOBAL read_only = ON");
    db.once("mysql://idle:hunter2@ADDR#role=replica").end().success();
    db.once("mysql://idle:hunter2@ADDR#role=primary").end().failure().stderr_says("takes no writes");
    db.once("mysql:ADDR").end().success();
}

#[test]
fn queries() {
    let db = MariaDb::started();
    db.sql("CREATE TABLE shop.bits (set_bit BIT, unset_bit BIT); INSERT INTO shop.bits VALUES (b'1', b'0')");
    let query = |sql: &str| db.once(&format!("mysql://app:hunter2@ADDR/shop#query={sql}")).end();
    for yes in [
        "SELECT 1",
        "SELECT 'x'",
        "SELECT true",
        "SELECT now()",
        "SELECT count(*) FROM information_schema.columns",
        "SELECT * FROM information_schema.columns",
        "SHOW TABLES LIKE 't'",
        "SELECT set_bit FROM bits",
        "WITH a AS (SELECT 1 AS b) SELECT b FROM a",
        "SELECT 0.1",
    ] {
        query(yes).success();
    }
    for (no, says) in [
        ("SELECT 0", "is zero"),
        ("SELECT false", "is zero"),
        ("SELECT 0.00", "is zero"),
        ("SELECT unset_bit FROM bits", "is zero"),
        ("SELECT NULL", "is NULL"),
        ("SELECT ''", "is empty"),
        ("SELECT count(*) FROM t", "is zero"),
        ("SELECT a FROM t", "has no row"),
        ("SELECT a FROM nowhere", "1146"),
        ("SELEC 1", "1064"),
        ("SELECT sleep(60)", "max_statement_time"),
    ] {
        query(no).failure().stderr_has("expect.query").stderr_says(says);
    }
    query("SELECT repeat('a', 3000000)").failure().stderr_has("protocol.too-large");
    db.once("mysql://idle:hunter2@ADDR#query=SELECT a FROM shop.t").end().failure().stderr_has("1142");
    db.no_session_left();
}

/// The user may do anything, and the query nothing but read.
#[test]
fn a_query_cannot_write() {
    let db = MariaDb::started();
    db.sql(
        "DELIMITER |\nCREATE PROCEDURE shop.p() BEGIN SET SESSION TRANSACTION READ WRITE; INSERT INTO shop.t VALUES (1);\
         SELECT 1; END|\nCREATE FUNCTION shop.f() RETURNS INT BEGIN INSERT INTO shop.t VALUES (1); RETURN 1; END|",
    );
    db.sql("CREATE SEQUENCE shop.s");
    let out = db.path("out");
    for sql in [
        "INSERT INTO t VALUES (1)",
        "INSERT INTO t VALUES (1) RETURNING a",
        "INSERT INTO old VALUES (1)",
        "DELETE FROM t RETURNING a",
        "CREATE TABLE made (a INT)",
        "CREATE TABLE made AS SELECT 1",
        "CREATE OR REPLACE TABLE t (b INT)",
        "DROP TABLE t",
        "TRUNCATE t",
        "ALTER TABLE t ADD made INT",
        "SELECT 1; DROP TABLE t",
        "COMMIT; DROP TABLE t",
        "SET SESSION TRANSACTION READ WRITE",
        "SET GLOBAL max_connections = 20",
        "CALL p()",
        "SELECT f()",
        "SELECT nextval(s)",
        &format!("SELECT 1 INTO OUTFILE '{}'", out.display()),
        "GRANT ALL ON *.* TO idle@'%'",
        "KILL 1",
        "EXECUTE IMMEDIATE 'INSERT INTO shop.t VALUES (1)'",
    ] {
        let sql = sql.replace('%', "%25");
        db.once(&format!("mysql://app:hunter2@ADDR/shop#query={sql}")).end().failure().stderr_has("expect.query");
    }
    assert!(!out.exists());
    assert_eq!(db.sql("SELECT (SELECT count(*) FROM shop.t) + (SELECT count(*) FROM shop.old)"), "0");
    assert_eq!(db.sql("SELECT count(*) FROM information_schema.columns WHERE column_name = 'made'"), "0");
    assert_eq!(db.sql("SELECT count(*) FROM information_schema.tables WHERE table_name = 'made'"), "0");
    assert_eq!(db.sql("SELECT @@global.max_connections"), "151");
    assert_eq!(db.sql("SELECT nextval(shop.s)"), "1");
    assert_eq!(db.sql("SELECT count(*) FROM information_schema.user_privileges WHERE grantee LIKE '%idle%'"), "1");
}
