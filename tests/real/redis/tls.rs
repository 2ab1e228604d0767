//! `rediss:` against a real server.

use std::fs;

use crate::support::{Run, redis::Redis, run::Ended, web::Authority};

fn once(target: &str) -> Ended {
    Run::new(["--once", target]).end()
}

#[test]
fn certificates_are_verified_as_the_url_says() {
    let authority = Authority::new();
    let mut redis = Redis::new();
    let (certificate, key) = authority.sign(&["redis.test"]);
    redis.with_tls(&certificate, &key);
    redis.start(&["--requirepass", "s3cret"]);
    redis.says(&["ping"], "NOAUTH");
    let lines = redis.log().lines().count();
    let (addr, ca) = (redis.addr, authority.file());
    let ca = ca.display();
    let url = format!("rediss://:s3cret@{addr}");
    once(&format!("{url}#ca={ca}#servername=redis.test")).success().stderr_has("logged in").nowhere("s3cret");
    once(&format!("{url}?ssl_ca_certs={ca}#servername=redis.test")).success();
    once(&format!("{url}?ssl_ca_certs={ca}&ssl_check_hostname=false")).success();
    once(&format!("{url}#insecure")).success().stderr_has("not verified");
    for unverified in ["ssl_cert_reqs=none", "ssl_cert_reqs=CERT_NONE", "verifyPeer=NONE", "skip_verify=true"] {
        once(&format!("{url}?{unverified}")).success().stderr_has("not verified");
    }
    assert_eq!(redis.log().lines().count(), lines, "a TLS session ends in order: {}", redis.log());
    once(&url).failure().stderr_has("an issuer that is not trusted");
    once(&format!("{url}?ssl_cert_reqs=CERT_REQUIRED")).failure().stderr_has("an issuer that is not trusted");
    once(&format!("{url}#ca={ca}")).failure().stderr_has("not for");
    once(&format!("{url}?ssl_ca_certs=/nowhere")).failure().stderr_has("ssl_ca_certs=/nowhere cannot be read");
}

#[test]
fn a_client_certificate() {
    let authority = Authority::new();
    let mut redis = Redis::new();
    let (certificate, key) = authority.sign(&["redis.test"]);
    redis.with_tls(&certificate, &key);
    let ca = authority.file();
    let ca = ca.to_str().unwrap();
    redis.start(&["--tls-auth-clients", "yes", "--tls-ca-cert-file", ca]);
    let (cert, key) = (redis.path("client.crt"), redis.path("client.key"));
    let (certificate, private) = authority.sign(&["app.test"]);
    fs::write(&cert, certificate).unwrap();
    fs::write(&key, private).unwrap();
    let (cert, key) = (cert.display(), key.display());
    let url = format!("rediss://{}", redis.addr);
    once(&format!("{url}#insecure")).failure().stderr_has("certificate");
    once(&format!("{url}#insecure#cert={cert}#key={key}")).success();
    once(&format!("{url}?ssl_cert_reqs=none&ssl_certfile={cert}&ssl_keyfile={key}")).success();
}

/// The wrong form of the kind: the hint names the other one.
#[test]
fn tls_and_plain_are_told_apart() {
    let plain = Redis::started(&[]);
    plain.says(&["ping"], "PONG");
    once(&format!("rediss:{}", plain.addr))
        .failure()
        .stderr_has("answered in Redis, not in TLS")
        .stderr_has("use redis:");
    let (certificate, key) = Authority::new().sign(&["redis.test"]);
    let mut tls = Redis::new();
    tls.with_tls(&certificate, &key);
    tls.start(&[]);
    tls.says(&["ping"], "PONG");
    once(&format!("redis:{}", tls.addr)).failure().stderr_has("wants TLS").stderr_has("use rediss:");
}
