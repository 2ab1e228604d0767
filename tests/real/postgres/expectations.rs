//! What is expected of a PostgreSQL server beyond a login: a query, a role, a password out of a file.

use crate::support::{Run, pg::Pg};

#[test]
fn query() {
    let pg = Pg::started();
    let at = |query: &str| Run::new(["--once", &pg.url("postgres:secret", &format!("postgres#query={query}"))]).end();
    for query in ["SELECT 1", "SELECT true", "SELECT 'f'", "SELECT now()", "SELECT 0.5"] {
        at(query).success();
    }
    for query in ["SELECT NULL", "SELECT false", "SELECT 0", "SELECT 0.0", "SELECT ''", "SELECT 1 WHERE false"] {
        let ended = at(query);
        ended.expect(&format!("not ready after {query}"), ended.status.code() == Some(1));
    }
    at("SELECT nonsense").failure().stderr_has("nonsense");
    // It reads, and it is one statement.
    at("CREATE TABLE t ()").failure();
    at("SELECT 1; SELECT 1").failure();
    at("SELECT 1;COMMIT;CREATE TABLE t ()").failure();
    assert_eq!(pg.sql("SELECT to_regclass('t') IS NULL"), "t");
}

/// The application of a Prisma, pgx or JDBC URL looks for its tables there.
#[test]
fn the_schema_of_the_url_is_the_querys() {
    let pg = Pg::started();
    pg.sql("CREATE SCHEMA app");
    pg.sql("CREATE TABLE app.migrations AS SELECT 1 AS done");
    for (parameter, found) in
        [("?schema=app", true), ("?search_path=other,app", true), ("?currentSchema=app", true), ("", false)]
    {
        let target = pg.url("postgres:secret", &format!("postgres{parameter}#query=SELECT done FROM migrations"));
        let ended = Run::new(["--once", &target]).end();
        if found {
            ended.success()
        } else {
            ended.failure().stderr_has("42P01")
        };
    }
}

#[test]
fn migrations_are_waited_for() {
    let pg = Pg::started();
    let target = pg.url("postgres:secret", "postgres#query=SELECT 1 FROM migrations WHERE version >= 7");
    let running = Run::new(["--max-pause=200ms", &target]).start();
    running.line("42P01");
    pg.sql("CREATE TABLE migrations (version int)");
    pg.sql("INSERT INTO migrations VALUES (7)");
    running.end().success();
}

#[test]
fn role() {
    let pg = Pg::started();
    Run::new(["--once", &pg.url("postgres:secret", "postgres#role=primary")]).end().success();
    let standby = Run::new(["--once", &pg.url("postgres:secret", "postgres#role=standby")]).end();
    standby.failure().stderr_says("primary");
}

#[test]
fn password_from_a_file() {
    let pg = Pg::started();
    let file = tempfile::NamedTempFile::new().unwrap();
    let target = pg.url("postgres", &format!("postgres#password=@{}", file.path().display()));
    std::fs::write(file.path(), "wrong\n").unwrap();
    let running = Run::new(["--max-pause=200ms", &target]).start();
    running.line("28P01");
    std::fs::write(file.path(), "secret\n").unwrap();
    running.end().success().nowhere("wrong");
}

/// `login` asks for a login even where no password is needed.
#[test]
fn login_without_a_password() {
    let mut pg = Pg::new();
    pg.hba("local all all trust\nhost postgres postgres 127.0.0.0/8 trust\n");
    pg.start();
    pg.accepting();
    Run::new(["--once", &pg.url("postgres", "postgres#login")]).end().success();
    Run::new(["--once", &pg.url("postgres", "other#login")]).end().failure().stderr_has("28000");
}
