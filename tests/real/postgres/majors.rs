//! `postgres:` against the major versions that Debian does not have. tests/pg-majors fetches them and runs this.

use std::path::Path;

#[cfg(feature = "tls")]
use crate::support::web::Authority;
use crate::support::{Run, pg::Pg};

/// One major through its life: refused, starting up, accepting, logged in, asked, standby.
fn life(binaries: &Path) {
    let mut pg = Pg::of(binaries.to_owned());
    let ping = format!("postgres:{}", pg.addr);
    let login = pg.url("postgres:secret", "postgres");
    let once = |target: &str| Run::new(["--once", "--attempt-timeout=2s", target]).end();
    once(&ping).failure().stderr_has("refused");

    #[cfg(feature = "tls")]
    let authority = Authority::new();
    #[cfg(feature = "tls")]
    {
        let (certificate, key) = authority.sign(&[&pg.ip().to_string()]);
        pg.file("server.crt", &certificate);
        pg.file("server.key", &key);
        pg.conf("ssl = on\n");
    }
    pg.stay_in_recovery();
    pg.start();
    pg.logged("starting");
    once(&ping).failure().stderr_has("starting up");
    once(&login).failure().stderr_has("starting up");
    pg.recovered();
    pg.accepting();

    once(&ping).success();
    once(&login).success();
    once(&pg.url("postgres:hunter2", "postgres")).failure().stderr_has("28P01");
    once(&pg.url("postgres:secret", "nowhere")).failure().stderr_has("3D000");
    pg.sql("SET password_encryption = md5; CREATE ROLE md5 LOGIN PASSWORD 'secret'");
    pg.hba("local all all trust\nhost all md5 127.0.0.0/8 md5\nhost all all 127.0.0.0/8 scram-sha-256\n");
    pg.sql("SELECT pg_reload_conf()");
    pg.until("to take up the new file", || once(&pg.url("md5:secret", "postgres")).status.success());
    once(&format!("{login}#role=primary#query=SELECT count(*) > 0 FROM pg_class")).success();
    once(&format!("{login}#role=standby")).failure().stderr_has("is a primary");
    once(&format!("{login}?target_session_attrs=read-write")).success();
    once(&format!("{login}#query=CREATE TABLE t (n int)")).failure().stderr_has("25006");
    #[cfg(feature = "tls")]
    for mode in ["verify-full", "verify-ca", "require&channel_binding=require"] {
        let target = format!("{login}?sslmode={mode}&sslrootcert={}", authority.file().display());
        once(&target).success();
    }

    pg.stop();
    pg.file("standby.signal", "");
    pg.start();
    pg.accepting();
    once(&format!("{login}#role=standby")).success();
    once(&format!("{login}#role=primary")).failure().stderr_has("is a standby");
    once(&format!("{login}?target_session_attrs=read-write")).failure().stderr_has("takes no writes");
    for noise in ["unexpected EOF", "could not receive", "incomplete startup", "reset by peer"] {
        assert!(!pg.log().contains(noise), "{}", pg.log());
    }
}

macro_rules! majors {
    ($($name:ident = $major:literal;)+) => {$(
        #[test]
        #[ignore = "tests/pg-majors fetches the servers and runs this"]
        fn $name() {
            life(&Path::new(env!("CARGO_MANIFEST_DIR")).join("target/pg-majors").join($major).join("native/bin"));
        }
    )+};
}

majors! {
    postgresql_12 = "12";
    postgresql_13 = "13";
    postgresql_14 = "14";
    postgresql_16 = "16";
    postgresql_17 = "17";
    postgresql_18 = "18";
}
