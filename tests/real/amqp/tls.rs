//! `amqps:` against a real server.

use std::fs;

use crate::support::{Run, rabbitmq::RabbitMq, run::Ended, web::Authority};

fn once(target: &str) -> Ended {
    Run::new(["--once", target]).end()
}

#[test]
fn tls_as_the_url_says() {
    let authority = Authority::new();
    let ca = authority.file();
    let mut server = RabbitMq::new();
    let (certificate, key) = authority.sign(&["mq.test"]);
    let settings = server.with_tls(&certificate, &key, &ca);
    let settings: Vec<&str> = settings.iter().map(String::as_str).collect();
    server.start(&settings);
    server.is_up();
    let (addr, ca) = (server.tls, ca.display());
    let url = format!("amqps://guest:guest@{addr}");
    let before = server.log().len();
    once(&format!("{url}#ca={ca}#servername=mq.test")).success().stderr_has("logged in");
    once(&format!("{url}?cacertfile={ca}&server_name_indication=mq.test")).success();
    once(&format!("{url}?verify=verify_none")).success().stderr_has("not verified");
    once(&format!("{url}#insecure")).success().stderr_has("not verified");
    assert_eq!(server.worse_than_info(before), [""; 0], "a TLS session ends in order");
    once(&url).failure().stderr_has("an issuer that is not trusted");
    once(&format!("{url}?cacertfile={ca}")).failure().stderr_has("not for");
    once(&format!("{url}?cacertfile=/nowhere")).failure().stderr_has("cacertfile=/nowhere cannot be read");
    once(&format!("amqps:{addr}#insecure")).success().stderr_has("RabbitMQ 3");

    // The wrong form of the kind: the hint names the other one.
    once(&format!("amqp:{addr}")).failure().stderr_has("wants TLS").stderr_has("use amqps:");
    once(&format!("amqps:{}", server.addr))
        .failure()
        .stderr_has("answered in AMQP, not in TLS")
        .stderr_has("use amqp:");
    once(&format!("http://{}/", server.addr)).failure().stderr_has("answered in AMQP").stderr_has("use amqp:");
}

/// The server finds the user in the client's certificate.
#[test]
fn a_client_certificate_is_a_login() {
    let authority = Authority::new();
    let ca = authority.file();
    let mut server = RabbitMq::new();
    let (certificate, key) = authority.sign(&["mq.test"]);
    let mut settings = server.with_tls(&certificate, &key, &ca);
    settings.extend(
        [
            "ssl_options.verify = verify_peer",
            "ssl_options.fail_if_no_peer_cert = true",
            "ssl_cert_login_from = common_name",
            "auth_mechanisms.1 = EXTERNAL",
        ]
        .map(str::to_owned),
    );
    let settings: Vec<&str> = settings.iter().map(String::as_str).collect();
    fs::write(server.path("plugins"), "[rabbitmq_auth_mechanism_ssl].\n").unwrap();
    server.start(&settings);
    server.is_up();
    let (certificate, private) = authority.sign_with(&["app.test"], |params| {
        params.distinguished_name = rcgen::DistinguishedName::new();
        params.distinguished_name.push(rcgen::DnType::CommonName, "app");
    });
    fs::write(server.path("client.crt"), certificate).unwrap();
    fs::write(server.path("client.key"), private).unwrap();
    let (cert, key) = (server.path("client.crt"), server.path("client.key"));
    let identity = format!("#insecure#cert={}#key={}", cert.display(), key.display());
    let target = format!("amqps://{}?auth_mechanism=external{identity}", server.tls);
    once(&target).failure().stderr_has("it refuses the login");
    server.ctl(&["add_user", "app", "s3cret"]);
    server.ctl(&["set_permissions", "app", "", "", ""]);
    once(&target).success().stderr_has("logged in");
    once(&format!("amqps://app:s3cret@{}{identity}", server.tls)).failure().stderr_has("it offers EXTERNAL");
    once(&format!("amqps:{}#insecure", server.tls)).failure().stderr_has("tls.client-certificate");
}
