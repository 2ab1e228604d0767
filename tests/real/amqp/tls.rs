//! `amqps:` against a real server.

use std::fs;

use super::states::{lines, mark, once};
use crate::support::{rabbitmq::RabbitMq, web::Authority};

/// A server with a certificate of this authority. It can find a user in a client's certificate.
pub(super) fn started() -> (RabbitMq, Authority) {
    let (mut server, authority) = (RabbitMq::new(), Authority::new());
    let (certificate, key) = authority.sign(&["mq.test"]);
    let mut settings = server.with_tls(&certificate, &key, &authority.file());
    settings.push("ssl_cert_login_from = common_name".to_owned());
    let settings: Vec<&str> = settings.iter().map(String::as_str).collect();
    fs::write(server.path("plugins"), "[rabbitmq_auth_mechanism_ssl].\n").unwrap();
    server.start(&settings);
    server.is_up();
    (server, authority)
}

pub(super) fn as_the_url_says(server: &RabbitMq, authority: &Authority) {
    let ca = authority.file();
    let (addr, ca) = (server.tls, ca.display());
    let url = format!("amqps://guest:guest@{addr}");
    let before = mark(server);
    once(&format!("{url}#ca={ca}#servername=mq.test")).success().stderr_has("logged in");
    once(&format!("{url}?cacertfile={ca}&server_name_indication=mq.test")).success();
    once(&format!("{url}?verify=verify_none")).success().stderr_has("not verified");
    once(&format!("{url}#insecure")).success().stderr_has("not verified");
    assert_eq!(lines(server, before), [""; 0], "a TLS session ends in order");
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

/// The server finds the user in the client's certificate. It has no other way to log in from here on.
pub(super) fn a_client_certificate_is_a_login(server: &RabbitMq, authority: &Authority) {
    let addr = server.listen_for_members();
    let (certificate, private) = authority.sign_with(&["app.test"], |params| {
        params.distinguished_name = rcgen::DistinguishedName::new();
        params.distinguished_name.push(rcgen::DnType::CommonName, "member");
    });
    let write = |name: &str, text: String| {
        fs::write(server.path(name), text).unwrap();
        server.path(name)
    };
    let (cert, key) = (write("client.crt", certificate), write("client.key", private));
    let identity = format!("#insecure#cert={}#key={}", cert.display(), key.display());
    let target = format!("amqps://{addr}?auth_mechanism=external{identity}");
    once(&target).failure().stderr_has("it refuses the login");
    server.add_user("member", "s3cret");
    server.permit("member", "/", ["", "", ""]);
    once(&target).success().stderr_has("logged in");
    once(&format!("amqps://member:s3cret@{addr}{identity}")).failure().stderr_has("it offers EXTERNAL");
    once(&format!("amqps:{addr}#insecure")).failure().stderr_has("tls.client-certificate");
}
