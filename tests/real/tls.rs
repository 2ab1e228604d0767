//! `tls:` against OpenSSL's own server, stunnel and haproxy.

use std::{
    fs,
    net::SocketAddr,
    process::{Command, Stdio},
};

use tempfile::TempDir;

use crate::support::{Fake, Run, free_port, run::Ended, server::Server, tool, web::Authority};

/// A folder with `cert.pem` (the certificate, then its key) for `db.test`, and `ca.pem`.
fn folder(authority: &Authority) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let (cert, key) = authority.sign(&["db.test"]);
    fs::write(folder.path().join("cert.pem"), format!("{cert}{key}")).unwrap();
    fs::copy(authority.file(), folder.path().join("ca.pem")).unwrap();
    folder
}

fn once(authority: &Authority, addr: SocketAddr, more: &str) -> Ended {
    let ca = authority.file().display().to_string();
    Run::new(["--once", &format!("tls:{addr}#servername=db.test#ca={ca}{more}")]).end()
}

fn openssl(authority: &Authority, options: &[&str]) -> (Server, SocketAddr) {
    let (addr, folder) = (free_port(), folder(authority));
    let mut command = Command::new(tool("openssl"));
    command.current_dir(folder.path()).stdin(Stdio::null());
    command.args(["s_server", "-quiet", "-accept", &addr.to_string(), "-cert", "cert.pem"]).args(options);
    (Server::start(command, folder, &[addr]), addr)
}

#[test]
fn openssl_s_server() {
    let authority = Authority::new();
    for version in ["-tls1_2", "-tls1_3"] {
        let (_server, addr) = openssl(&authority, &[version, "-www"]);
        once(&authority, addr, "").success();
        once(&authority, addr, "#valid-for=1h").success().stderr_has("valid until ");
        once(&authority, addr, "#valid-for=3650d").success().stderr_has("valid until 4096-");
        let get = "#send=GET / HTTP/1.0%0D%0A%0D%0A";
        once(&authority, addr, &format!("{get}#banner=200 ok")).success().nowhere("would prove");
        once(&authority, addr, &format!("{get}#banner=404 Not Found"))
            .failure()
            .stderr_has("200 ok\", which is not what is expected");
        let other = Run::new(["--once", &format!("tls:{addr}#servername=db.test")]).end();
        other.failure().stderr_has("[tls.unknown-issuer]");
    }
    let (_server, addr) = openssl(&authority, &["-tls1_1", "-cipher", "ALL:@SECLEVEL=0"]);
    once(&authority, addr, "").failure().stderr_has("speaks only versions of TLS that waitgate does not");
}

/// OpenSSL closes the connection after the handshake (TLS 1.3) or in it (TLS 1.2).
#[test]
fn openssl_wants_a_client_certificate() {
    let authority = Authority::new();
    for version in ["-tls1_2", "-tls1_3"] {
        let (server, addr) =
            openssl(&authority, &[version, "-www", "-Verify", "1", "-verify_return_error", "-CAfile", "ca.pem"]);
        let ended = once(&authority, addr, "");
        ended.failure().stderr_has("client certificate").stderr_has("[tls.client-certificate]");
        let path = server.path().join("client");
        let with = |authority: &Authority| {
            let (cert, key) = authority.sign(&["worker"]);
            fs::write(&path, format!("{cert}{key}")).unwrap();
            format!("#cert={0}#key={0}", path.display())
        };
        once(&authority, addr, &with(&authority)).success();
        let stranger = with(&Authority::new());
        once(&authority, addr, &stranger).failure().stderr_has("[tls.client-certificate]");
    }
}

/// stunnel finishes the handshake, and only then finds out that its backend is not there.
#[test]
fn stunnel_without_a_backend_is_not_ready() {
    let authority = Authority::new();
    let backend = free_port();
    let (_server, addr) = stunnel(&authority, backend);
    let ended = once(&authority, addr, "");
    ended.failure().stderr_has("finished the TLS handshake and closed the connection at once: a proxy that ends TLS");
    let _backend = Fake::on(backend, |mut stream| {
        use std::io::{Read as _, Write as _};
        let _ = stream.write_all(b"220 mail.test ESMTP\r\n");
        let _ = stream.read(&mut [0; 64]);
    });
    once(&authority, addr, "").success();
    once(&authority, addr, "#banner=220 ").success();
}

fn stunnel(authority: &Authority, backend: SocketAddr) -> (Server, SocketAddr) {
    let (addr, folder) = (free_port(), folder(authority));
    let conf = format!("foreground = yes\npid =\n[s]\naccept = {addr}\nconnect = {backend}\ncert = cert.pem\n");
    fs::write(folder.path().join("stunnel.conf"), conf).unwrap();
    let mut command = Command::new(tool("stunnel4"));
    command.current_dir(folder.path()).arg(folder.path().join("stunnel.conf"));
    (Server::start(command, folder, &[addr]), addr)
}

#[test]
fn haproxy_in_tcp_mode() {
    let authority = Authority::new();
    let (addr, plain, folder) = (free_port(), free_port(), folder(&authority));
    let backend = Fake::silent();
    let conf = format!(
        "defaults\n mode tcp\n retries 0\n timeout connect 1s\n timeout client 9s\n timeout server 9s\n\
         frontend s\n bind {addr} ssl crt cert.pem\n default_backend b\n\
         frontend p\n bind {plain}\n default_backend b\n\
         backend b\n server b {}\n",
        backend.addr
    );
    fs::write(folder.path().join("haproxy.cfg"), conf).unwrap();
    let mut command = Command::new(tool("haproxy"));
    command.current_dir(folder.path()).args(["-db", "-f", "haproxy.cfg"]);
    let _server = Server::start(command, folder, &[addr, plain]);
    once(&authority, addr, "").success();
    // The same without TLS: it passes the ClientHello on, and its server says nothing.
    let ended = once(&authority, plain, "#attempt-timeout=1s");
    ended.failure().stderr_has("[tls.timeout]");
    drop(backend);
    once(&authority, addr, "").failure().stderr_has("[protocol.closed]");
}
