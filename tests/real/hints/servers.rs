//! What is there says something else than what is waited for.

use std::{io::Write as _, os::unix::net::UnixListener, sync::Arc, thread};

use super::*;
use crate::support::mysql;

pub(crate) fn gateway(it: &Witness) {
    let answers = |reply: Reply| {
        let web = Web::new(move |_, _| reply.clone());
        let run = run(&web.url("/"));
        (web, run)
    };
    let given = |reply| {
        let (_web, run) = answers(reply);
        it.given(run);
    };
    let not_given = |reply| {
        let (_web, run) = answers(reply);
        it.instead(None, run);
    };
    given(Reply::status(502));
    given(Reply::status(504));
    given(Reply::status(503).with("server", "envoy"));
    given(Reply::status(503).with("server", "istio-envoy"));
    not_given(Reply::status(503));
    not_given(Reply::status(503).with("server", "nginx"));
    // Envoy names itself on what it passes on, too, and then says how long that took.
    not_given(Reply::status(503).with("server", "envoy").with("x-envoy-upstream-service-time", "3"));
    not_given(Reply::status(500).with("server", "envoy"));
}

pub(crate) fn use_tcp(it: &Witness) {
    let (smtp, bad) = (Fake::greeting("220 mail.example ESMTP\r\n"), Web::always(400));
    it.given(run(&format!("http://{}/", smtp.addr)));
    it.instead(None, run(&bad.url("/")));
}

pub(crate) fn use_redis(it: &Witness) {
    let (redis, smtp) = (Fake::greeting("-ERR unknown command\r\n"), Fake::greeting("220 mail.example ESMTP\r\n"));
    it.given(run(&format!("http://{}/", redis.addr)));
    it.instead("UseTcp", run(&format!("http://{}/", smtp.addr)));
}

pub(crate) fn use_amqp(it: &Witness) {
    let amqp = Fake::answering("AMQP\0\0\x09\x01");
    it.given(run(&format!("http://{}/", amqp.addr)));
    it.given(run(&format!("amqps://{}/", amqp.addr)));
    let web = Fake::answering("HTTP/1.1 400 Bad Request\r\n\r\n");
    it.instead("UseHttp", run(&format!("amqp:{}", web.addr)));
}

pub(crate) fn use_grpc(it: &Witness) {
    // SETTINGS, with which each server of HTTP/2 begins (RFC 9113 section 3.4).
    let grpc = Fake::answering([0, 0, 0, 4, 0, 0, 0, 0, 0]);
    it.given(run(&format!("http://{}/", grpc.addr)));
    let web = Fake::answering("HTTP/1.1 400 Bad Request\r\n\r\n");
    it.instead("UseHttp", run(&format!("grpc:{}", web.addr)));
}

pub(crate) fn use_mongodb(it: &Witness) {
    let said = "It looks like you are trying to access MongoDB over HTTP on the native driver port.\r\n";
    let answer = |body: &'static str| Reply::body(200, body).with("content-type", "text/plain");
    let (mongodb, other) = (
        Web::new(move |_, _| answer(said)),
        Web::new(move |_, _| answer("a text that is as long as the one that MongoDB has for browsers")),
    );
    it.given(run(&mongodb.url("/")));
    it.instead(None, run(&other.url("/#status=201")));
}

pub(crate) fn use_https(it: &Witness) {
    let config = Authority::new().server(&["localhost"]);
    let secure = Web::on(([127, 0, 0, 1], 0).into(), Some(config), |_, _| Reply::status(200));
    it.given(run(&secure.url("/")));
    it.instead("CaFile", run(&secure.https("/")));
}

pub(crate) fn use_http(it: &Witness) {
    let (plain, silent) = (Web::always(200), Fake::silent());
    it.given(run(&plain.https("/")));
    it.given(run(&format!("postgres://{}/?sslmode=disable", plain.fake.addr)));
    it.instead(None, run(&format!("https://{}/", silent.addr)));
}

pub(crate) fn use_http_unix(it: &Witness) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("s");
    let listener = UnixListener::bind(&path).unwrap();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let _ = stream.unwrap().write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n");
        }
    });
    it.given(run(&format!("unix:{}#send=x#banner=y", path.display())));
    let web = Fake::greeting("HTTP/1.1 400 Bad Request\r\n\r\n");
    it.instead("UseHttp", run(&format!("tcp:{}#banner=y", web.addr)));
}

pub(crate) fn use_tls(it: &Witness) {
    let alert = Fake::answering(b"\x15\x03\x01\0\x02\x02\x46");
    it.given(run(&format!("tcp:{}#send=x#banner=y", alert.addr)));
    it.instead("UseHttps", run(&format!("http://{}/", alert.addr)));
}

pub(crate) fn tls_proxy_closed(it: &Witness) {
    let authority = Authority::new();
    let config = Arc::new(authority.server(&["proxy.test"]));
    let proxy = Fake::new(move |stream| {
        let mut session = rustls::StreamOwned::new(rustls::ServerConnection::new(Arc::clone(&config)).unwrap(), stream);
        // A part of the handshake is left to do when the client has sent nothing yet.
        let _ = session.conn.complete_io(&mut session.sock);
    });
    let ca = authority.file().display().to_string();
    it.given(run(&format!("tls:{}#servername=proxy.test#ca={ca}", proxy.addr)));
    let closing = Fake::closing();
    it.instead("ProxyClosed", run(&format!("tcp:{}", closing.addr)));
    it.instead("CaFile", run(&format!("tls:{}#servername=proxy.test", proxy.addr)));
}

pub(crate) fn use_postgres(it: &Witness) {
    // As PostgreSQL answers what is not its protocol (src/backend/tcop/backend_startup.c).
    let message = "unsupported frontend protocol 18501.21536: server supports 3.0 to 3.0";
    let server = Fake::postgres_error("0A000", message);
    it.given(run(&format!("http://{}/", server.addr)));
    let other = Fake::greeting("SSH-2.0-x\r\n");
    it.instead("UseTcp", run(&format!("http://{}/", other.addr)));
}

pub(crate) fn use_mysql(it: &Witness) {
    let server = Fake::greeting(mysql::packet(0, &mysql::greeting("caching_sha2_password")));
    it.given(run(&format!("http://{}/", server.addr)));
    let other = Fake::greeting("SSH-2.0-x\r\n");
    it.instead("UseTcp", run(&format!("http://{}/", other.addr)));
}

pub(crate) fn credentials(it: &Witness) {
    it.given(run(&Web::always(401).url("/")));
    it.given(run(&login(&Fake::postgres_error("28P01", "no"))));
    let refused = mysql::saying(vec![mysql::packet(2, &mysql::err(1045, "no"))]);
    it.given(run(&format!("mysql://app:secret@{}", refused.addr)));
    it.instead(None, run(&Web::always(404).url("/")));
    it.instead("Forbidden", run(&Web::always(403).url("/")));
    it.instead(None, run(&login(&Fake::postgres_error("57P03", "no"))));
    it.instead("AccessRules", run(&login(&Fake::postgres_error("28000", "no pg_hba.conf entry"))));
}

pub(crate) fn forbidden(it: &Witness) {
    it.given(run(&Web::always(403).url("/")));
    it.instead("Credentials", run(&Web::always(401).url("/")));
}

pub(crate) fn access_rules(it: &Witness) {
    it.given(run(&login(&Fake::postgres_error("28000", "no pg_hba.conf entry"))));
    it.instead("Credentials", run(&login(&Fake::postgres_error("28P01", "no"))));
}

pub(crate) fn database(it: &Witness) {
    it.given(run(&login(&Fake::postgres_error("3D000", "no"))));
    it.instead("Credentials", run(&login(&Fake::postgres_error("28P01", "no"))));
}

pub(crate) fn ca_file(it: &Witness) {
    let authority = Authority::new();
    let config = authority.server(&["other.test"]);
    let secure = Web::on(([127, 0, 0, 1], 0).into(), Some(config), |_, _| Reply::status(200));
    it.given(run(&secure.https("/")));
    // With its CA it is the name that is wrong.
    it.instead(None, run(&secure.https(&format!("/#ca={}", authority.file().display()))));
}
