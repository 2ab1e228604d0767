//! `http:` and `https:` against OpenSSL's own server, with certificates that OpenSSL makes: what the reasons say.

use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use crate::support::{PATIENCE, Run, free_port, tool};

/// A server that ends with the test.
struct Server(Child, SocketAddr);

impl Server {
    /// Shows the certificate `NAME.pem` of the folder.
    fn start(folder: &Path, name: &str, options: &[&str]) -> Self {
        let addr = free_port();
        let mut command = Command::new(tool("openssl"));
        command.current_dir(folder).args(["s_server", "-quiet", "-www", "-accept", &addr.to_string()]);
        command.args(["-cert", &format!("{name}.pem"), "-key", &format!("{name}.key")]).args(options);
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let (server, begun) = (Self(child, addr), Instant::now());
        while TcpStream::connect(addr).is_err() {
            assert!(begun.elapsed() < PATIENCE, "it does not listen on {addr}");
            thread::sleep(Duration::from_millis(20));
        }
        server
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn openssl(folder: &Path, line: &str) {
    let made = Command::new(tool("openssl")).current_dir(folder).args(line.split(' ')).output().unwrap();
    assert!(made.status.success(), "{line}: {}", String::from_utf8_lossy(&made.stderr));
}

/// A CA `NAME.pem`, with a key of this kind.
fn ca(folder: &Path, name: &str, key: &str) {
    openssl(
        folder,
        &format!("req -x509 -newkey {key} -nodes -keyout {name}.key -out {name}.pem -days 30 -subj /CN={name}"),
    );
}

/// A certificate `NAME.pem` for loopback addresses, signed by `ca`.
fn leaf(folder: &Path, name: &str, key: &str, ca: &str, options: &str) {
    openssl(folder, &format!("req -newkey {key} -nodes -keyout {name}.key -out {name}.csr -subj /CN={name}"));
    openssl(
        folder,
        &format!(
            "x509 -req -in {name}.csr -CA {ca}.pem -CAkey {ca}.key -CAcreateserial -out {name}.pem -extfile san {options}"
        ),
    );
}

#[test]
fn reasons_say_what_openssl_has() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path();
    std::fs::write(folder.join("san"), "subjectAltName=DNS:api.test\n").unwrap();
    const P521: &str = "ec -pkeyopt ec_paramgen_curve:secp521r1";
    ca(folder, "ca", "rsa:2048");
    ca(folder, "weak-ca", "rsa:1024");
    ca(folder, "odd-ca", P521);
    leaf(folder, "good", "rsa:2048", "ca", "-days 30");
    leaf(folder, "weak", "rsa:1024", "ca", "-days 30");
    leaf(folder, "under-weak", "rsa:2048", "weak-ca", "-days 30");
    leaf(folder, "under-odd", "rsa:2048", "odd-ca", "-days 30");
    leaf(folder, "sha1", "rsa:2048", "ca", "-days 30 -sha1");
    leaf(folder, "odd", P521, "ca", "-days 30");
    leaf(folder, "pss", "rsa-pss", "ca", "-days 30");
    // Without extensions, OpenSSL 3.0 makes version 1.
    std::fs::copy(folder.join("good.key"), folder.join("version1.key")).unwrap();
    openssl(folder, "x509 -req -in good.csr -CA ca.pem -CAkey ca.key -CAcreateserial -out version1.pem -days 30");
    const OLD: &[&str] = &["-cipher", "ALL:@SECLEVEL=0"];
    let old = |version: &'static str| [OLD, &[version]].concat();
    let asks = |version: &'static str| ["-Verify", "1", "-CAfile", "ca.pem", version];
    for (name, trusted, options, says) in [
        ("weak", "ca", OLD, "an RSA key of 1024 bits, which is too short"),
        ("under-weak", "weak-ca", OLD, "whose CA has an RSA key of 1024 bits, which is too short"),
        ("under-odd", "odd-ca", OLD, "whose CA has a key of a kind that waitgate does not support"),
        ("sha1", "ca", OLD, "(SHA-1 with RSA)"),
        ("version1", "ca", &[], "X.509 version 1"),
        // What docs/http.md and docs/postgres.md list. OpenSSL's client connects to each of them.
        ("odd", "ca", &[], "HandshakeFailure"),
        ("pss", "ca", &[], "HandshakeFailure"),
        ("good", "ca", &["-groups", "P-521"], "HandshakeFailure"),
        ("good", "ca", &["-tls1_2", "-cipher", "AES128-GCM-SHA256"], "HandshakeFailure"),
        ("good", "ca", &["-tls1_2", "-cipher", "DHE-RSA-AES128-GCM-SHA256"], "HandshakeFailure"),
        ("good", "ca", &["-tls1_2", "-cipher", "ECDHE-RSA-AES128-SHA256"], "HandshakeFailure"),
        ("good", "ca", &old("-tls1_1"), "speaks only versions of TLS that waitgate does not"),
        ("good", "ca", &asks("-tls1_2"), "wants one that it trusts"),
        ("good", "ca", &asks("-tls1_3"), "wants a client certificate that it trusts"),
    ] {
        let server = Server::start(folder, name, options);
        let target = |rest: &str| {
            let ca = folder.join(format!("{trusted}.pem"));
            format!("https://{}/#servername=api.test#ca={}{rest}", server.1, ca.display())
        };
        let ended = Run::new(["--once", &target("")]).end();
        ended.failure().stderr_has(says);
        if says.contains("wants") {
            let odd = folder.join("odd.pem").display().to_string();
            let key = odd.replace(".pem", ".key");
            let ended = Run::new(["--once", &target(&format!("#cert={odd}#key={key}"))]).end();
            ended.failure().stderr_has("a key of this kind is not supported");
        }
    }
}

/// OpenSSL closes the connection after a plain request, as a proxy without a backend does.
#[test]
fn a_plain_request_to_openssl_is_told_from_a_proxy() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("san"), "subjectAltName=DNS:api.test\n").unwrap();
    ca(dir.path(), "ca", "rsa:2048");
    leaf(dir.path(), "good", "rsa:2048", "ca", "-days 30");
    let server = Server::start(dir.path(), "good", &[]);
    let ended = Run::new(["--once", &format!("http://{}/", server.1)]).end();
    ended.failure().stderr_has("wants TLS on this port").stderr_has("use https:");
}
