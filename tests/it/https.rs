//! `https:` by address: an authority of our own, and a port that speaks the other of the two.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::{fs, thread, time::Duration};

use rcgen::{CertificateParams, IsCa, KeyPair, date_time_ymd};
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use tempfile::NamedTempFile;

use crate::support::{
    Fake, Run, free_port, loopback,
    signals::wait_for,
    web::{Authority, Reply, Web},
};

const OK: u16 = 200;

#[test]
fn address_in_the_certificate() {
    let authority = Authority::new();
    let addr = free_port();
    let config = authority.server(&[&addr.ip().to_string()]);
    let web = Web::on(addr, Some(config), |_, _| Reply::status(OK));
    Run::new(["--once", &web.https("/")]).arg("--ca-file").arg(authority.file()).end().success();
}

#[test]
fn a_server_without_tls_is_named_as_such() {
    let web = Web::always(OK);
    let ended = Run::new(["--once", &web.https("/")]).end();
    ended.failure().stderr_has("http:").stderr_says("TLS");
}

#[test]
fn a_server_with_tls_is_named_as_such() {
    let authority = Authority::new();
    let config = authority.server(&["127.0.0.1"]);
    let web = Web::on(free_port(), Some(config), |_, _| Reply::status(OK));
    let ended = Run::new(["-t", "300ms", &web.url("/")]).end();
    ended.failure().stderr_has("https:");
}

/// A PostgreSQL server that takes the request for TLS (SSLRequest) and makes the handshake.
fn postgres(config: ServerConfig) -> Fake {
    let config = Arc::new(config);
    Fake::on((loopback(), 0).into(), move |mut stream: TcpStream| {
        if stream.read_exact(&mut [0; 8]).is_ok() && stream.write_all(b"S").is_ok() {
            let session = ServerConnection::new(Arc::clone(&config)).unwrap();
            let _ = StreamOwned::new(session, stream).read(&mut [0; 512]);
        }
    })
}

/// A CA that has expired or is none is not trusted, whichever way it was given, and the reason says which file it is in.
#[test]
fn an_unfit_ca_is_named_with_its_file() {
    let expired = Authority::with(|params| params.not_after = date_time_ymd(2020, 1, 31));
    let none = Authority::with(|params| params.is_ca = IsCa::ExplicitNoCa);
    for (authority, code, says) in
        [(&expired, "tls.expired", "expired on 2020-01-31"), (&none, "tls.unknown-issuer", "is not a CA's certificate")]
    {
        let at = |addr: SocketAddr| authority.server(&[&addr.ip().to_string()]);
        let addr = free_port();
        let web = Web::on(addr, Some(at(addr)), |_, _| Reply::status(OK));
        let server = postgres(at((loopback(), 0).into()));
        let file = authority.file().display().to_string();
        let folder = authority.file().parent().unwrap().display().to_string();
        let login = format!("postgres://app@{}/d", server.addr);
        let with_root = format!("{login}?sslmode=verify-ca&sslrootcert={file}");
        let run = |target: &str| Run::new(["--once", "-v", "--log-format=json", target]);
        let (https, with_ca) = (web.https("/"), web.https(&format!("/#ca={file}")));
        for (run, named) in [
            (run(&https).arg(format!("--ca-file={file}")), format!("--ca-file {file}")),
            // What came out of a variable is not shown.
            (run(&https).arg("--ca-file=$(X)").env("X", &file), "--ca-file $(X)".to_owned()),
            (run(&https).env("WAITGATE_CA_FILE", "$(X)").env("X", &file), "WAITGATE_CA_FILE $(X)".to_owned()),
            (run(&https).env("SSL_CERT_FILE", &file), format!("{file} (SSL_CERT_FILE)")),
            (run(&https).env("SSL_CERT_DIR", &folder), format!("{file} (SSL_CERT_DIR)")),
            (run(&with_ca), format!("#ca={file}")),
            (run(&login).arg(format!("--ca-file={file}")), format!("--ca-file {file}")),
            (run(&with_root), format!("sslrootcert={file}")),
        ] {
            let ended = run.end();
            ended.failure().stderr_has(&format!("has a certificate whose CA, in {named}, {says}")).stderr_has(code);
            if named.contains("$(X)") {
                ended.nowhere(&file);
            }
        }
    }
}

/// The same for a file that cannot be read or used, and for the termination message.
#[test]
fn a_path_from_a_variable_is_shown_by_its_name() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).display().to_string();
    fs::write(path("hunter2.pem"), "no PEM").unwrap();
    for file in ["hunter2.pem", "hunter2-missing"] {
        let value = path(file);
        for run in [
            Run::new(["--ca-file=$(X)", "tcp:127.0.0.1:1"]),
            Run::new(["tcp:127.0.0.1:1"]).env("WAITGATE_CA_FILE", "$(X)"),
        ] {
            run.arg("--once").env("X", &value).end().failure().stderr_has("$(X)").nowhere("hunter2");
        }
    }
    for run in [
        Run::new(["--termination-log=$(X)", "tcp:127.0.0.1:1"]),
        Run::new(["tcp:127.0.0.1:1"]).env("WAITGATE_TERMINATION_LOG", "$(X)"),
    ] {
        let ended = run.arg("-v").arg("--timeout=200ms").env("X", path("hunter2.pem")).end();
        ended.failure().nowhere("hunter2");
        let message = fs::read_to_string(path("hunter2.pem")).unwrap();
        assert!(message.starts_with("waitgate: timed out") && !message.contains("hunter2"), "{message}");
        fs::write(path("hunter2.pem"), "").unwrap();
    }
    Run::new(["--termination-log=$(X)", "tcp:127.0.0.1:1"]).end().failure().stderr_has("$(X) is not set");
}

/// The bundle of public CAs has 0.2 MB. Attempts at the same time share it, and it is read once for all of them.
#[test]
fn many_targets_with_a_bundle_of_cas() {
    let one = CertificateParams::new(vec!["x".repeat(600)]).unwrap();
    let pems = (0..150).map(|_| one.clone().self_signed(&KeyPair::generate().unwrap()).unwrap().pem());
    let bundle = NamedTempFile::new().unwrap();
    fs::write(bundle.path(), pems.collect::<String>()).unwrap();
    assert!(bundle.path().metadata().unwrap().len() > 150_000);
    let fake = Fake::silent();
    let target = format!("https://{}/#ca={}", fake.addr, bundle.path().display());
    let targets = vec![target; 120];
    let running = Run::new(["--timeout=2s", "--parallel"].map(str::to_owned).into_iter().chain(targets)).start();
    wait_for(|| fake.hits() >= 60);
    thread::sleep(Duration::from_millis(500));
    let status = fs::read_to_string(format!("/proc/{}/status", running.pid().as_raw_nonzero())).unwrap();
    let anonymous = status.lines().find_map(|line| line.strip_prefix("RssAnon:")).unwrap();
    let anonymous: u32 = anonymous.split_whitespace().next().unwrap().parse().unwrap();
    assert!(anonymous < 12 * 1024, "{anonymous} kB");
    running.end().failure();
}
