//! `postgres:` over TLS: the modes of `sslmode`.

use crate::support::{Run, pg::Pg, web::Authority};

/// One attempt at a target, which is to fail.
#[track_caller]
fn unready(target: &str) -> crate::support::run::Ended {
    let ended = Run::new(["--once", target]).end();
    ended.failure();
    ended
}

/// A server that speaks TLS with a certificate for these names.
fn served(authority: &Authority, names: &[&str], hba: &str) -> Pg {
    let mut pg = Pg::new();
    let ip = pg.ip().to_string();
    let names: Vec<_> = names.iter().map(|name| if *name == "IP" { ip.as_str() } else { name }).collect();
    let (certificate, key) = authority.sign(&names);
    pg.file("server.crt", &certificate);
    pg.file("server.key", &key);
    pg.conf("ssl = on\n");
    if !hba.is_empty() {
        pg.hba(hba);
    }
    pg.start();
    pg.accepting();
    pg
}

/// `prefer` takes TLS when it is there, and the server asks for it.
#[test]
fn tls_is_used_when_the_server_has_it() {
    let only = "local all all trust\nhostssl all all 127.0.0.0/8 scram-sha-256\n";
    let pg = served(&Authority::new(), &["other.test"], only);
    Run::new(["--once", &pg.url("postgres:secret", "postgres")]).end().success();
    let plain = pg.url("postgres:secret", "postgres?sslmode=disable");
    unready(&plain).stderr_has("28000").nowhere("secret");
}

#[test]
fn require_needs_tls() {
    let pg = Pg::started();
    let target = pg.url("postgres:secret", "postgres?sslmode=require");
    unready(&target).stderr_says("TLS").nowhere("secret");
}

/// With a CA given an unset sslmode is verify-full.
#[test]
fn ca_file_verifies() {
    let (authority, other) = (Authority::new(), Authority::new());
    let pg = served(&authority, &["IP"], "");
    let url = pg.url("postgres:secret", "postgres");
    Run::new(["--once", &url]).arg("--ca-file").arg(authority.file()).end().success();
    let ended = Run::new(["--once", &url]).arg("--ca-file").arg(other.file()).end();
    ended.failure().stderr_says("certificate").nowhere("secret");
    let pg = served(&authority, &["other.test"], "");
    let url = pg.url("postgres:secret", "postgres");
    let ended = Run::new(["--once", &url]).arg("--ca-file").arg(authority.file()).end();
    ended.failure().stderr_has("other.test");
    // verify-ca leaves the name out, and so does require with a CA, as libpq has it.
    for mode in ["verify-ca", "require"] {
        let run = Run::new(["--once", &format!("{url}?sslmode={mode}")]);
        run.arg("--ca-file").arg(authority.file()).end().success();
    }
}

/// Where we are the one to leave, the server hears so: a session that is cut off is a line in its log each time.
#[test]
fn a_login_that_we_give_up_leaves_no_noise() {
    let hba = "local all all trust\nhost all clear 127.0.0.0/8 password\nhost all all 127.0.0.0/8 scram-sha-256\n";
    let pg = served(&Authority::new(), &["other.test"], hba);
    pg.sql("CREATE ROLE clear LOGIN PASSWORD 'secret'");
    for _ in 0..3 {
        unready(&pg.url("postgres", "postgres#login")).stderr_has("none is given");
        unready(&pg.url("clear:secret", "postgres?channel_binding=require"))
            .stderr_has("channel binding")
            .nowhere("secret");
    }
    // A backend writes its last words after its client has gone.
    std::thread::sleep(std::time::Duration::from_millis(500));
    for noise in ["could not receive", "unexpected EOF", "reset by peer"] {
        assert!(!pg.log().contains(noise), "{}", pg.log());
    }
}
