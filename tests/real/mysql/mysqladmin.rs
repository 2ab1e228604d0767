//! `mysql:` beside the real `mysqladmin ping` in the same state of the same server. Where the two differ it is on purpose,
//! and docs/mysql.md says so.

use std::{
    io::Read as _,
    net::TcpStream,
    process::{Child, Command, Stdio},
};

use rustix::process::Signal;

use crate::support::{Fake, Run, fake::linger, mariadb::MariaDb, run::Ended, tool};

/// Whether `mysqladmin ping` ends with 0.
fn alive(db: &MariaDb, args: &[&str]) -> bool {
    let mut admin = db.tool("mariadb-admin", args);
    admin.arg("ping").stdout(Stdio::null()).stderr(Stdio::null());
    admin.status().unwrap().success()
}

/// Asks both; mysqladmin has to say `theirs`. It calls every error that comes from a server a sign of life, unless its
/// newest versions do not get that far: they want the error over TLS.
#[track_caller]
fn both(db: &MariaDb, theirs: bool) -> Ended {
    assert_eq!(alive(db, &["--user=app", "--skip-ssl"]), theirs, "mysqladmin");
    db.once("mysql:ADDR").end()
}

#[test]
fn starting_running_and_stopping() {
    let mut db = MariaDb::new();
    db.with_user();
    both(&db, false).failure().stderr_has("connect.refused");
    db.start();
    db.accepting();
    both(&db, true).success();
    assert!(alive(&db, &["--user=root", &format!("--socket={}", db.path("sock").display()), "--protocol=socket"]));
    db.stop();
    both(&db, false).failure().stderr_has("connect.refused");
}

/// A server that starts while waitgate waits.
#[test]
fn a_server_that_comes_late() {
    let mut db = MariaDb::new();
    db.with_user();
    let running = Run::new(["--max-pause=100ms", "mysql:10.77.0.1:3306"]).inside(db.pod()).start();
    running.line("refused");
    db.start();
    running.end().success();
}

#[test]
fn a_server_that_hangs() {
    let db = MariaDb::started();
    db.signal(Signal::STOP);
    both(&db, false).failure().stderr_has("protocol.timeout").stderr_says("speaks first");
    db.signal(Signal::CONT);
    both(&db, true).success();
}

/// Differs on purpose: mysqladmin says yes of a server that has no connection left.
#[test]
fn full() {
    let mut db = MariaDb::new();
    // The smallest number that the server takes.
    db.option("--max-connections=10");
    db.start();
    db.accepting();
    db.sql("CREATE USER app@'%' IDENTIFIED BY 'hunter2'");
    let sleeping = "SELECT count(*) FROM information_schema.processlist WHERE user = 'app' AND info LIKE 'DO SLEEP%'";
    let mut sessions: Vec<Child> = Vec::new();
    // A session that counts may take the place of one that sleeps.
    while db.sql(sleeping) != "10" {
        let mut client = db.tool("mariadb", &["--user=app", "--password=hunter2", "--execute=DO SLEEP(60)"]);
        sessions.push(client.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap());
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
    // One connection more is left for an administrator, so a user without that right is refused after the handshake.
    both(&db, true).success();
    db.once("mysql://app:hunter2@ADDR").end().failure().stderr_has("protocol.too-many-clients").stderr_says("1040");
    let full = || !db.once("mysql:ADDR").end().status.success();
    // A probe that is on its way out may have the last place for a moment.
    while !(full() && full() && full()) {
        sessions.push(db.client("DO SLEEP(60)").stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap());
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
    both(&db, true).failure().stderr_has("protocol.too-many-clients").stderr_says("Too many connections (1040)");
    for mut session in sessions {
        let _ = session.kill();
        let _ = session.wait();
    }
}

/// Differs on purpose: no user may come from here, and mysqladmin says yes.
#[test]
fn a_host_that_is_not_allowed() {
    let mut db = MariaDb::new();
    db.start();
    db.accepting();
    db.sql("DELETE FROM mysql.global_priv WHERE Host NOT IN ('localhost', 'never.test'); FLUSH PRIVILEGES");
    both(&db, true).failure().stderr_has("protocol.not-authorized").stderr_says("1130");
}

/// A word about a user, whatever it is, comes from a server that accepts sessions.
#[test]
fn what_is_said_of_a_user_is_a_yes() {
    let db = MariaDb::started();
    db.sql("SET GLOBAL require_secure_transport = ON");
    both(&db, true).success();
    db.sql("SET GLOBAL require_secure_transport = OFF; SET GLOBAL read_only = ON");
    both(&db, true).success();
    db.sql("CREATE USER ''@'%'");
    both(&db, true).success().stderr_says("accepting connections");
    db.no_session_left();
}

/// Differs on purpose: mysqladmin takes any error after the connection for a sign of life.
#[test]
fn an_error_that_is_not_about_a_user() {
    for (number, says) in [
        (1053_u16, "protocol.not-accepting"),
        (1129, "protocol.blocked"),
        (1135, "protocol.error"),
        (1041, "protocol.error"),
    ] {
        let packet = [&[0xff][..], &number.to_le_bytes(), b"#HY000words"].concat();
        let length = u8::try_from(packet.len()).unwrap();
        let fake = Fake::greeting([&[length, 0, 0, 0][..], &packet].concat());
        assert!(alive_at(&fake), "{number}");
        let ended = Run::new(["--once", "--log-format=json", &format!("mysql:{}", fake.addr)]).end();
        ended.failure().stderr_has(says).stderr_says(&number.to_string());
    }
}

/// `mysqladmin ping` at a fake.
fn alive_at(fake: &Fake) -> bool {
    let mut admin = Command::new(tool("mariadb-admin"));
    admin.args(["--no-defaults", "--protocol=tcp", "--connect-timeout=1", "--skip-ssl", "ping", "--host"]);
    admin.args([fake.ip().to_string(), format!("--port={}", fake.port())]).stdout(Stdio::null()).stderr(Stdio::null());
    admin.status().unwrap().success()
}

#[test]
fn other_servers_on_the_port() {
    for (bytes, says) in [
        ("HTTP/1.1 400 Bad Request\r\n\r\n", "answered in HTTP"),
        ("SSH-2.0-OpenSSH_9.2\r\n", "answered in SSH"),
        ("220 mail ESMTP\r\n", "answered in SMTP"),
        ("\u{5}\0\0\0\u{b}\u{8}\u{5}\u{1a}\0", "X Protocol"),
    ] {
        let fake = Fake::greeting(bytes);
        assert!(!alive_at(&fake), "{says}");
        let ended = Run::new(["--once", "--log-format=json", &format!("mysql:{}", fake.addr)]).end();
        ended.failure().stderr_has("protocol.other").stderr_says(says);
    }
    let silent = Fake::new(linger);
    assert!(!alive_at(&silent));
    let target = format!("mysql:{}", silent.addr);
    Run::new(["--once", "--log-format=json", "--attempt-timeout=500ms", &target])
        .end()
        .failure()
        .stderr_has("protocol.timeout");
    let closing = Fake::closing();
    Run::new(["--once", "--log-format=json", &format!("mysql:{}", closing.addr)])
        .end()
        .failure()
        .stderr_has("protocol.closed");
    let cut = Fake::new(|mut stream: TcpStream| {
        let _ = std::io::Write::write_all(&mut stream, b"\x4a\0\0\0\x0a8.0");
        let _ = stream.shutdown(std::net::Shutdown::Write);
        let _ = stream.read(&mut [0; 16]);
    });
    Run::new(["--once", "--log-format=json", &format!("mysql:{}", cut.addr)])
        .end()
        .failure()
        .stderr_has("protocol.closed");
}

/// The server's log gets no more lines of a ping than of mysqladmin's, and the same ones.
#[test]
fn no_more_lines_in_the_servers_log() {
    let mut db = MariaDb::new();
    db.option("--log-warnings=9");
    db.start();
    db.accepting();
    db.sql("CREATE USER open@'%'");
    let before = db.log().len();
    db.tool("mariadb-admin", &["--user=waitgate", "ping"]).output().unwrap();
    let theirs = db.lines_since(before);
    let before = db.log().len();
    db.once("mysql:ADDR").end().success();
    let ours = db.lines_since(before);
    let words = |lines: &[String]| -> Vec<String> {
        // Without the time and the number of the connection.
        lines.iter().map(|line| line.split_once('[').map_or("", |(_, words)| words).to_owned()).collect()
    };
    assert_eq!(words(&ours), words(&theirs));
    assert!(ours.len() == 1 && ours[0].contains("Access denied for user 'waitgate'@'client.test'"), "{ours:?}");
    let before = db.log().len();
    db.once("mysql://open@ADDR#login").end().success();
    assert_eq!(db.lines_since(before), [""; 0]);
}
