//! `grpcs:` against grpcio and nginx.

use std::fs;

use crate::support::grpc::Grpc;
use crate::support::run::Ended;
use crate::support::server::nginx;
use crate::support::{Run, free_port, web::Authority};

fn once(target: &str) -> Ended {
    Run::new(["--once", target]).end()
}

#[test]
fn certificates_are_verified() {
    let authority = Authority::new();
    let server = Grpc::with_tls(&authority, false, &["=SERVING"]);
    let (addr, ca) = (server.addr, authority.file());
    let ca = ca.display();
    once(&format!("grpcs:{addr}#ca={ca}#servername=grpc.test")).success().stderr_has("SERVING from");
    once(&format!("grpcs://{addr}#insecure")).success().stderr_has("not verified");
    once(&format!("grpc+tls://{addr}#insecure")).success();
    once(&format!("grpcs:{addr}")).failure().stderr_has("an issuer that is not trusted");
    once(&format!("grpcs:{addr}#ca={ca}")).failure().stderr_has("not for");
    once(&format!("grpcs:{addr}#ca=/nowhere")).failure().stderr_has("#ca=/nowhere cannot be read");
    let ended = once(&format!("grpc:{addr}"));
    ended.failure().stderr_has("wants TLS on this port: use grpcs:").stderr_has("[protocol.tls-wanted]");
    #[cfg(feature = "http")]
    {
        let ended = once(&format!("https://{addr}/#insecure"));
        ended.failure().stderr_has("HTTP/2 only").stderr_has("use grpcs:");
    }
}

#[test]
fn a_client_certificate() {
    let authority = Authority::new();
    let server = Grpc::with_tls(&authority, true, &["=SERVING"]);
    let folder = tempfile::tempdir().unwrap();
    let (cert, key) = (folder.path().join("client.crt"), folder.path().join("client.key"));
    let (certificate, private) = authority.sign(&["app.test"]);
    fs::write(&cert, certificate).unwrap();
    fs::write(&key, private).unwrap();
    let target = format!("grpcs:{}#ca={}#servername=grpc.test", server.addr, authority.file().display());
    let ended = once(&target);
    ended.failure().stderr_has("certificate").stderr_has("[tls.client-certificate]");
    once(&format!("{target}#cert={}#key={}", cert.display(), key.display())).success().stderr_has("SERVING from");
}

/// The wrong form of the kind: the hint names the other one.
#[test]
fn tls_and_plain_are_told_apart() {
    let plain = Grpc::started(&["=SERVING"]);
    let ended = once(&format!("grpcs:{}", plain.addr));
    ended.failure().stderr_has("answered in HTTP/2").stderr_has("use grpc:").stderr_has("[tls.not-tls]");
    let (certificate, key) = Authority::new().sign(&["web.test"]);
    let (web, http2) = (free_port(), free_port());
    let tls = "ssl_certificate FOLDER/crt; ssl_certificate_key FOLDER/key;";
    let _nginx = nginx(
        &[web, http2],
        &format!(
            "server {{ listen {web} ssl; {tls} return 200; }} server {{ listen {http2} ssl http2; {tls} return 200; }}"
        ),
        &[("crt", certificate), ("key", key)],
    );
    let ended = once(&format!("grpcs:{web}#insecure"));
    ended.failure().stderr_has("does not choose HTTP/2").stderr_has("use https:").stderr_has("[protocol.other]");
    let ended = once(&format!("grpcs:{http2}#insecure"));
    ended.failure().stderr_has("answered in HTTP/2 and not in gRPC").stderr_has("[protocol.other]");
}
