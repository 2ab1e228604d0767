//! `postgres:` over TLS against a real server: the modes of `sslmode`, certificates that are wrong in one way each,
//! and client certificates.

use std::{fs, path::PathBuf};

use rcgen::{CertificateParams, DnType};
use tempfile::TempDir;

use crate::support::{Run, pg::Pg, run::Ended, tool, web::Authority};

const HBA: &str = "local all all trust\nhostssl all cert 127.0.0.0/8 cert\nhostssl all strict 127.0.0.0/8 \
                   scram-sha-256 clientcert=verify-ca\nhost all all 127.0.0.0/8 scram-sha-256\n";

/// A server with this certificate; its clients' certificates are to be of `clients`.
fn served(certificate: &str, key: &str, clients: &Authority) -> Pg {
    let mut pg = Pg::new();
    pg.file("server.crt", certificate);
    pg.file("server.key", key);
    pg.file("clients.crt", &fs::read_to_string(clients.file()).unwrap());
    pg.conf("ssl = on\nssl_ca_file = 'clients.crt'\n");
    pg.hba(HBA);
    pg.start();
    pg.accepting();
    pg.sql("CREATE ROLE cert LOGIN; CREATE ROLE strict LOGIN PASSWORD 'secret'");
    pg
}

fn served_with(authority: &Authority, odd: impl FnOnce(&mut CertificateParams, &Pg)) -> Pg {
    // The address is only known once there is a cluster, and the certificate has to be there before it starts.
    let mut pg = Pg::new();
    let (certificate, key) = authority.sign_with(&[], |params| odd(params, &pg));
    pg.file("server.crt", &certificate);
    pg.file("server.key", &key);
    pg.conf("ssl = on\n");
    pg.start();
    pg.accepting();
    pg
}

fn names(params: &mut CertificateParams, names: &[&str]) {
    let names: Vec<_> = names.iter().map(|name| (*name).to_owned()).collect();
    params.subject_alt_names = CertificateParams::new(names).unwrap().subject_alt_names;
}

fn once(url: &str, ca: &Authority) -> Ended {
    Run::new(["--once", url]).arg("--ca-file").arg(ca.file()).end()
}

#[test]
fn right_wrong_expired_and_not_yet_valid() {
    let authority = Authority::new();
    let right = served_with(&authority, |params, pg| names(params, &[&pg.ip().to_string()]));
    once(&right.url("postgres:secret", "postgres"), &authority).success();
    once(&right.url("postgres:secret", "postgres?channel_binding=require"), &authority).success();
    once(&right.url("postgres:secret", "postgres"), &Authority::new()).failure().stderr_says("issuer");

    let wrong = served_with(&authority, |params, _| names(params, &["other.test"]));
    let ended = once(&wrong.url("postgres:secret", "postgres"), &authority);
    ended.failure().stderr_has("it has other.test").nowhere("secret");

    let nameless = served_with(&authority, |params, pg| {
        params.distinguished_name.push(DnType::CommonName, pg.ip().to_string());
    });
    let url = nameless.url("postgres:secret", "postgres");
    once(&url, &authority).failure().stderr_has("subjectAltName");
    once(&format!("{url}?sslmode=verify-ca"), &authority).success();

    let expired = served_with(&authority, |params, pg| {
        names(params, &[&pg.ip().to_string()]);
        params.not_after = rcgen::date_time_ymd(2020, 1, 1);
    });
    let url = expired.url("postgres:secret", "postgres");
    once(&url, &authority).failure().stderr_says("expired");
    Run::new(["--once", &format!("{url}?sslmode=require")]).end().success();
    Run::new(["--once", "--insecure", &format!("{url}?sslmode=verify-full")]).end().success();

    let early = served_with(&authority, |params, pg| {
        names(params, &[&pg.ip().to_string()]);
        params.not_before = rcgen::date_time_ymd(2090, 1, 1);
        params.not_after = rcgen::date_time_ymd(2091, 1, 1);
    });
    once(&early.url("postgres:secret", "postgres"), &authority).failure().stderr_says("is not valid before");
}

/// `sslrootcert=` trusts what is in it and nothing else, and a certificate that is in it itself is trusted:
/// `openssl req -x509` makes one that is a CA, which webpki alone would refuse.
#[test]
fn a_server_that_is_its_own_root() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let mut pg = Pg::new();
    let made = std::process::Command::new(tool("openssl"))
        .args(["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=own"])
        .args(["-addext", &format!("subjectAltName=IP:{}", pg.ip())])
        .arg("-keyout")
        .arg(path("key"))
        .arg("-out")
        .arg(path("crt"))
        .output();
    assert!(made.unwrap().status.success());
    pg.file("server.crt", &fs::read_to_string(path("crt")).unwrap());
    pg.file("server.key", &fs::read_to_string(path("key")).unwrap());
    pg.conf("ssl = on\n");
    pg.start();
    pg.accepting();
    let url = format!("{}?sslrootcert={}", pg.url("postgres:secret", "postgres"), path("crt").display());
    Run::new(["--once", &url]).end().success();
    Run::new(["--once", &pg.url("postgres:secret", "postgres")]).env("PGSSLROOTCERT", path("crt")).end().success();
    let other = format!("{}?sslrootcert={}", pg.url("postgres:secret", "postgres"), Authority::new().file().display());
    Run::new(["--once", &other]).end().failure();
    let system = pg.url("postgres:secret", "postgres?sslrootcert=system");
    Run::new(["--once", &system]).end().failure().stderr_says("trusted");
    let missing = pg.url("postgres:secret", "postgres?sslrootcert=/nowhere");
    Run::new(["--once", &missing]).end().failure().stderr_has("/nowhere");
}

/// A client's certificate and key, as files.
struct Client {
    folder: TempDir,
}

impl Client {
    fn new(authority: &Authority, name: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let named = |params: &mut CertificateParams| params.distinguished_name.push(DnType::CommonName, name);
        let (certificate, key) = authority.sign_with(&[], named);
        fs::write(folder.path().join("crt"), certificate).unwrap();
        fs::write(folder.path().join("key"), key).unwrap();
        Self { folder }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn query(&self) -> String {
        format!("?sslmode=require&sslcert={}&sslkey={}", self.path("crt").display(), self.path("key").display())
    }
}

#[test]
fn client_certificates() {
    let authority = Authority::new();
    let (certificate, key) = authority.sign(&["other.test"]);
    let pg = served(&certificate, &key, &authority);
    let client = Client::new(&authority, "cert");
    let run = |url: &str| Run::new(["--once", url]).end();

    // A client certificate asks for a login, and no password is needed for it.
    run(&pg.url("cert", &format!("postgres{}", client.query()))).success();
    let by_env = Run::new(["--once", &pg.url("cert", "postgres")]).env("PGSSLCERT", client.path("crt"));
    by_env.env("PGSSLKEY", client.path("key")).end().success();
    run(&pg.url("strict:secret", &format!("postgres{}", client.query()))).success();

    // Without one the server says so; with that of another user too.
    run(&format!("{}#login", pg.url("cert", "postgres?sslmode=require"))).failure().stderr_says("certificate");
    let other = Client::new(&authority, "other");
    run(&pg.url("cert", &format!("postgres{}", other.query()))).failure().stderr_has("28000");

    // One of an authority that the server does not know ends TLS itself: with TLS 1.3 at the first read.
    let stranger = Client::new(&Authority::new(), "cert");
    let ended = run(&pg.url("cert", &format!("postgres{}", stranger.query())));
    ended.failure().stderr_has("TLS handshake");
    let json = Run::new(["--once", "--log-format=json", &pg.url("cert", &format!("postgres{}", stranger.query()))]);
    json.end().failure().stderr_has("\"tls\"");

    // A key that belongs to another certificate, and files that are none.
    fs::copy(stranger.path("key"), other.path("key")).unwrap();
    run(&pg.url("cert", &format!("postgres{}", other.query()))).failure().stderr_says("cannot be used");
    fs::write(other.path("crt"), "hunter2").unwrap();
    let ended = run(&pg.url("cert", &format!("postgres{}", other.query())));
    ended.failure().stderr_says("BEGIN CERTIFICATE").nowhere("hunter2");
    run(&pg.url("cert", "postgres?sslcert=/x")).failure().stderr_has("sslkey=");
}

/// `allow` and `prefer` go the other way where `pg_hba.conf` has room for one way only.
#[test]
fn the_other_way() {
    let authority = Authority::new();
    let mut pg = Pg::new();
    let (certificate, key) = authority.sign(&["other.test"]);
    pg.file("server.crt", &certificate);
    pg.file("server.key", &key);
    pg.conf("ssl = on\n");
    pg.hba(
        "local all all trust\nhostssl all tls 127.0.0.0/8 scram-sha-256\nhostnossl all plain 127.0.0.0/8 scram-sha-256\n",
    );
    pg.start();
    pg.accepting();
    pg.sql("CREATE ROLE tls LOGIN PASSWORD 'secret'; CREATE ROLE plain LOGIN PASSWORD 'secret'");
    let run = |user: &str, mode: &str| {
        let url = pg.url(&format!("{user}:secret"), &format!("postgres?sslmode={mode}"));
        Run::new(["--once", &url]).end()
    };
    for mode in ["allow", "prefer"] {
        run("tls", mode).success();
        run("plain", mode).success();
        run("nobody", mode).failure().stderr_has("28000").nowhere("secret");
    }
    run("tls", "disable").failure().stderr_has("28000").stderr_has("which sslmode=disable forbids");
    run("plain", "require").failure().stderr_has("28000");
}

/// One attempt at a target, which is to fail.
#[track_caller]
fn unready(target: &str) -> crate::support::run::Ended {
    let ended = Run::new(["--once", target]).end();
    ended.failure();
    ended
}

/// A server that speaks TLS with a certificate for these names.
fn served_for(authority: &Authority, names: &[&str], hba: &str) -> Pg {
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
    let pg = served_for(&Authority::new(), &["other.test"], only);
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
    let pg = served_for(&authority, &["IP"], "");
    let url = pg.url("postgres:secret", "postgres");
    Run::new(["--once", &url]).arg("--ca-file").arg(authority.file()).end().success();
    let ended = Run::new(["--once", &url]).arg("--ca-file").arg(other.file()).end();
    ended.failure().stderr_says("certificate").nowhere("secret");
    let pg = served_for(&authority, &["other.test"], "");
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
    let pg = served_for(&Authority::new(), &["other.test"], hba);
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
