//! docs/cookbook.md: each line in it is one that waitgate understands.

use std::{fs, path::Path};

use crate::support::Run;

/// The command lines of the page: code in backquotes, or a line of a code block, that begins with the program's name.
fn lines(page: &str) -> Vec<&str> {
    let spans = page.split('`').skip(1).step_by(2).chain(page.lines().map(|line| line.trim_start_matches("$ ")));
    spans.filter(|line| line.starts_with("waitgate ") && !line.starts_with("waitgate --dry-run ")).collect()
}

/// A shell splits the line, so it must be quoted as a shell wants it.
#[test]
fn each_line_is_a_plan() {
    let page = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/cookbook.md")).unwrap();
    let lines = lines(&page);
    assert!(lines.len() > 30, "{lines:?}");
    for line in lines {
        let arguments = line.strip_prefix("waitgate ").unwrap();
        let script = format!("set -- \"$1\" --dry-run {arguments}\nexec \"$@\"");
        let run = Run::new([""; 0]).shell(&script).env("ADDR", "db:5432").env("DB_PASSWORD", "hunter2-zw0lf");
        let run = run.env("DATABASE_URL", "postgres://app:hunter2-zw0lf@db/shop");
        let run = run
            .env("REDIS_URL", "redis://:hunter2-zw0lf@redis/0")
            .env("REDIS_PASSWORD", "hunter2-zw0lf")
            .env("MONGODB_PASSWORD", "hunter2-zw0lf")
            .env("MONGODB_URI", "mongodb+srv://app:hunter2-zw0lf@mongo.example.net/shop");
        let run = run.env("AMQP_URL", "amqp://app:hunter2-zw0lf@mq/shop").env("AMQP_PASSWORD", "hunter2-zw0lf");
        let run = run.env("AIRFLOW__DATABASE__SQL_ALCHEMY_CONN", "postgresql+psycopg2://app:hunter2-zw0lf@db/air");
        let run =
            run.env("KAFKA_BOOTSTRAP_SERVERS", "kafka-0:9092,kafka-1:9092").env("KAFKA_PASSWORD", "hunter2-zw0lf");
        let ended = run.env("MYSQL_URL", "mysql://app:hunter2-zw0lf@mysql/shop").end();
        ended.success().nowhere("hunter2").nowhere("warning");
        let shown = ended.stdout.lines().filter(|line| !line.trim().is_empty()).count();
        ended.expect(&format!("a plan for {line}"), shown > 0);
    }
}

/// A target that a table of Markdown cuts in two is not what the page shows.
#[test]
fn no_line_has_a_bar() {
    let page = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/cookbook.md")).unwrap();
    for row in page.lines().filter(|line| line.starts_with("| `")) {
        assert_eq!(row.matches('|').count(), 4, "{row}");
    }
}
