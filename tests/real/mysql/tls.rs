//! `mysql:` over TLS against a real server: the modes, certificates that are wrong in one way each, and client certificates.

use std::fs;

use rcgen::CertificateParams;

use crate::support::{mariadb::MariaDb, web::Authority};

fn served(authority: &Authority, names: &[&str], odd: impl FnOnce(&mut CertificateParams)) -> MariaDb {
    let mut db = MariaDb::new();
    let names: Vec<_> = names.iter().map(|name| (*name).to_owned()).collect();
    let (certificate, key) = authority.sign_with(&[], |params| {
        params.subject_alt_names = CertificateParams::new(names).unwrap().subject_alt_names;
        odd(params);
    });
    let (certificate, key) = (db.file("cert", &certificate), db.file("key", &key));
    let ca = db.file("ca", &fs::read_to_string(authority.file()).unwrap());
    db.option(format!("--ssl-cert={}", certificate.display()));
    db.option(format!("--ssl-key={}", key.display()));
    db.option(format!("--ssl-ca={}", ca.display()));
    db.start();
    db.accepting();
    db.sql(
        "CREATE DATABASE shop; CREATE USER app@'%' IDENTIFIED BY 'hunter2'; CREATE USER tls@'%' IDENTIFIED BY 'hunter2' REQUIRE SSL;\
         CREATE USER cert@'%' IDENTIFIED BY '' REQUIRE X509",
    );
    db
}

#[test]
fn modes() {
    let authority = Authority::new();
    let db = served(&authority, &["10.77.0.1"], |_| ());
    let ca = authority.file();
    let ca = ca.display();
    db.sql("GRANT ALL ON shop.* TO tls@'%'");
    for good in [
        "mysql://tls:hunter2@ADDR".to_owned(),
        "mysql://tls:hunter2@ADDR/shop".to_owned(),
        "mysql://tls:hunter2@ADDR?ssl-mode=REQUIRED".to_owned(),
        "mysql://tls:hunter2@ADDR?tls=skip-verify".to_owned(),
        format!("mysql://tls:hunter2@ADDR?ssl-mode=VERIFY_IDENTITY&ssl-ca={ca}"),
        format!("mysql://tls:hunter2@ADDR?ssl_ca={ca}"),
        format!("mysql://tls:hunter2@ADDR#ca={ca}"),
        format!("mysql://tls:hunter2@ADDR?tls-version=TLSv1.3#ca={ca}"),
        format!("mysql:ADDR#ca={ca}"),
        format!("jdbc:mariadb://ADDR/?user=tls&password=hunter2&sslMode=verify-full&serverSslCert={ca}"),
        "mysql://app:hunter2@ADDR?ssl-mode=DISABLED".to_owned(),
    ] {
        db.once(&good).end().success().nowhere("hunter2");
    }
    let run = db.once("mysql://tls:hunter2@ADDR").arg("--ca-file").arg(authority.file());
    run.end().success();
    db.once("mysql://tls:hunter2@ADDR").arg("--ca-file").arg(Authority::new().file()).end().failure();
    for (bad, says) in [
        ("mysql://tls:hunter2@ADDR?ssl-mode=DISABLED".to_owned(), "may need TLS"),
        ("mysql://tls:hunter2@ADDR?ssl-mode=VERIFY_IDENTITY".to_owned(), "tls.unknown-issuer"),
        ("mysql://ADDR?ssl-mode=VERIFY_CA".to_owned(), "tls.unknown-issuer"),
        ("mysql://tls:hunter2@ADDR#ca=/nowhere/ca.pem".to_owned(), "local.file"),
    ] {
        db.once(&bad).end().failure().stderr_has(says).nowhere("hunter2");
    }
    db.sql("SET GLOBAL require_secure_transport = ON");
    let ended = db.once("mysql://app:hunter2@ADDR?ssl-mode=DISABLED").end();
    ended.failure().stderr_says("ssl-mode");
    db.once("mysql://app:hunter2@ADDR").end().success();
    let log = db.log();
    assert!(!log.contains("Aborted connection"), "{log}");
}

#[test]
fn certificates_that_are_wrong() {
    let authority = Authority::new();
    let ca = authority.file();
    let wrong = served(&authority, &["other.test"], |_| ());
    let target = format!("mysql://tls:hunter2@ADDR#ca={}", ca.display());
    // The server would block the host after five handshakes that are cut off.
    for _ in 0..7 {
        wrong.once(&target).end().failure().stderr_has("tls.wrong-name").stderr_says("it has other.test");
        let with_database = target.replace("ADDR", "ADDR/shop");
        wrong.once(&with_database).end().failure().stderr_has("tls.wrong-name");
    }
    wrong.once(&format!("{target}#servername=other.test")).end().success();
    wrong.once("mysql://tls:hunter2@ADDR#insecure").end().success();
    let verify_ca = format!("mysql://tls:hunter2@ADDR?ssl-mode=VERIFY_CA#ca={}", ca.display());
    wrong.once(&verify_ca).end().success();
    let expired = served(&authority, &["10.77.0.1"], |params| params.not_after = rcgen::date_time_ymd(2020, 1, 1));
    expired.once(&target).end().failure().stderr_has("tls.expired");
    expired.once("mysql://tls:hunter2@ADDR?ssl-mode=REQUIRED").end().success();
    expired.once(&target).arg("--insecure").end().success();
}

#[test]
fn a_client_certificate() {
    let authority = Authority::new();
    let db = served(&authority, &["10.77.0.1"], |_| ());
    let (certificate, key) = authority.sign(&["client.test"]);
    let (certificate, key) = (db.file("own.pem", &certificate), db.file("own.key", &key));
    let files = format!("#cert={}#key={}", certificate.display(), key.display());
    db.once(&format!("mysql://cert@ADDR{files}")).end().success().stderr_says("logged in");
    let in_url = format!("mysql://cert@ADDR?ssl_cert={}&ssl_key={}", certificate.display(), key.display());
    db.once(&in_url).end().success().stderr_says("logged in");
    db.once("mysql://cert@ADDR#login").end().failure().stderr_has("protocol.password");
    let missing = format!("mysql://cert@ADDR#cert={}#key=/nowhere/key.pem", certificate.display());
    db.once(&missing).end().failure().stderr_has("local.file");
}

/// The greeting says whether there is TLS. No second connection asks again.
#[test]
fn a_server_without_tls() {
    let mut db = MariaDb::new();
    db.option("--skip-ssl");
    db.start();
    db.accepting();
    db.sql("CREATE USER app@'%' IDENTIFIED BY 'hunter2'");
    db.once("mysql://app:hunter2@ADDR").end().success();
    for _ in 0..7 {
        let ended = db.once("mysql://app:hunter2@ADDR?ssl-mode=REQUIRED").end();
        ended.failure().stderr_has("tls.unsupported").stderr_says("does not offer TLS");
    }
    db.once("mysql://app:hunter2@ADDR?ssl-mode=PREFERRED").end().success();
    assert!(!db.log().contains("Aborted connection"), "{}", db.log());
}
