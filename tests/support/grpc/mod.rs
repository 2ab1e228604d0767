//! Servers and a client of gRPC, by grpcio in target/grpc-tools (tests/grpc-tools installs it), and Envoy.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

use super::server::Server;
use super::{free_port, web::Authority};

/// A program of target/grpc-tools. A missing one is a failed test, never a skipped one.
#[track_caller]
fn tool(name: &str) -> PathBuf {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/grpc-tools/bin").join(name);
    assert!(path.exists(), "{} is not there: run tests/grpc-tools", path.display());
    path
}

fn script(name: &str) -> Command {
    let mut python = Command::new(tool("python3"));
    python.arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/support/grpc").join(name));
    // What the C core says of its connections: a session that ends badly leaves a line here.
    python.env("GRPC_VERBOSITY", "info");
    python
}

/// A server of grpcio that listens, with the options of server.py.
pub(crate) struct Grpc {
    pub(crate) addr: SocketAddr,
    server: Server,
}

impl Grpc {
    #[track_caller]
    pub(crate) fn started(options: &[&str]) -> Self {
        Self::started_at(free_port(), options)
    }

    /// The same at a given address.
    #[track_caller]
    pub(crate) fn started_at(addr: SocketAddr, options: &[&str]) -> Self {
        Self::at(addr, folder(), options)
    }

    /// The same over TLS, with a certificate for `grpc.test`. With `clients`, it wants one of them.
    #[track_caller]
    pub(crate) fn with_tls(authority: &Authority, clients: bool, options: &[&str]) -> Self {
        let folder = folder();
        let (certificate, key) = authority.sign(&["grpc.test"]);
        let (cert_file, key_file) = (folder.path().join("server.crt"), folder.path().join("server.key"));
        fs::write(&cert_file, certificate).expect("the folder is ours");
        fs::write(&key_file, key).expect("the folder is ours");
        let (cert, key, ca) = (cert_file.to_string_lossy(), key_file.to_string_lossy(), authority.file());
        let mut all = vec!["--tls", &*cert, &*key];
        if clients {
            all.extend(["--client-ca", ca.to_str().expect("its path is text")]);
        }
        Self::at(free_port(), folder, &[&all[..], options].concat())
    }

    #[track_caller]
    fn at(addr: SocketAddr, folder: TempDir, options: &[&str]) -> Self {
        let mut command = script("server.py");
        command.arg(addr.to_string()).args(options);
        Self { addr, server: Server::start(command, folder, &[addr]) }
    }

    /// What the server has said of its connections: nothing, if all of them ended in order.
    pub(crate) fn complaints(&self) -> String {
        let log = self.server.log();
        let own = ["listens", "Log level INFO is not suitable"];
        log.lines().filter(|line| !own.iter().any(|own| line.contains(own))).collect()
    }

    /// What gRPC's own client says of the server at `addr`.
    #[track_caller]
    pub(crate) fn client_says(addr: SocketAddr, service: &[&str]) -> String {
        let out = script("client.py").arg(addr.to_string()).args(service).output().expect("python3 must start");
        String::from_utf8_lossy(&out.stdout).trim().to_owned()
    }
}

/// Envoy at `addr`, before the HTTP/2 server at `upstream`.
#[track_caller]
pub(crate) fn envoy(addr: SocketAddr, upstream: SocketAddr) -> Server {
    let folder = folder();
    let socket =
        |addr: SocketAddr| format!("{{socket_address: {{address: {}, port_value: {}}}}}", addr.ip(), addr.port());
    let conf = format!(
        r#"static_resources:
  listeners:
  - address: {}
    filter_chains:
    - filters:
      - name: envoy.filters.network.http_connection_manager
        typed_config:
          "@type": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
          stat_prefix: in
          route_config:
            virtual_hosts:
            - name: all
              domains: ["*"]
              routes:
              - match: {{prefix: "/"}}
                route: {{cluster: app}}
          http_filters:
          - name: envoy.filters.http.router
            typed_config: {{"@type": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router}}
  clusters:
  - name: app
    connect_timeout: 1s
    type: STATIC
    load_assignment:
      cluster_name: app
      endpoints: [{{lb_endpoints: [{{endpoint: {{address: {}}}}}]}}]
    typed_extension_protocol_options:
      envoy.extensions.upstreams.http.v3.HttpProtocolOptions:
        "@type": type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions
        explicit_http_config: {{http2_protocol_options: {{}}}}
"#,
        socket(addr),
        socket(upstream)
    );
    let file = folder.path().join("envoy.yaml");
    fs::write(&file, conf).expect("the folder is ours");
    let mut command = Command::new(tool("envoy"));
    command.arg("-c").arg(file).args(["--disable-hot-restart", "--concurrency", "1"]);
    Server::start(command, folder, &[addr])
}

fn folder() -> TempDir {
    tempfile::tempdir().expect("must be able to make a temporary folder")
}
