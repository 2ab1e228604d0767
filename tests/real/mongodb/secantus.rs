//! `SecantusDB`: a server of MongoDB's protocol with storage and users of its own, whose login is not the work of waitgate's
//! authors.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

use crate::support::server::Server;
use crate::support::{Run, free_port, run::Ended, web::Authority};

/// Makes users with `PyMongo`: for both hashes, and for one of them.
const USERS: &str = "
import sys, pymongo
client = pymongo.MongoClient(sys.argv[1])
both = ['SCRAM-SHA-256', 'SCRAM-SHA-1']
for name, hashes in (('both', both), ('old', both[1:]), ('new', both[:1])):
    client.admin.command('createUser', name, pwd='p:w/@ \u{e4}-' + name, roles=['root'], mechanisms=hashes)
client.shop.command('createUser', 'app', pwd='hunter2', roles=['readWrite'])
";

fn tool(name: &str) -> PathBuf {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/secantusdb/bin").join(name);
    assert!(path.is_file(), "this test needs {} (tests/run makes it)", path.display());
    path
}

/// Starts the server over the files in `storage`.
fn start(addr: SocketAddr, storage: &TempDir, more: &[&str]) -> Server {
    let mut command = Command::new(tool("secantusd-py"));
    command.args(["--host", &addr.ip().to_string(), "--port", &addr.port().to_string(), "--storage-path"]);
    command.arg(storage.path()).args(more);
    Server::start(command, tempfile::tempdir().unwrap(), &[addr])
}

fn once(target: &str) -> Ended {
    Run::new(["--once", target]).end()
}

#[test]
fn states_and_logins() {
    let storage = tempfile::tempdir().unwrap();
    let addr = free_port();
    let open = start(addr, &storage, &[]);
    once(&format!("mongodb:{addr}")).success().stderr_has("a primary");
    once(&format!("mongodb://{addr}/?replicaSet=secantus#role=primary")).success();
    once(&format!("mongodb:{addr}#set=rs0")).failure().stderr_has("a member of the replica set \"secantus\"");
    once(&format!("mongodb:{addr}#role=secondary")).failure().stderr_has("a primary, not a secondary");
    let made = Command::new(tool("python3")).args(["-c", USERS, &format!("mongodb://{addr}/")]).output().unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    drop(open);

    let server = start(addr, &storage, &["--auth"]);
    // Without a login, hello is answered all the same.
    once(&format!("mongodb:{addr}")).success();
    for user in ["both", "old", "new"] {
        let url = |rest: &str| format!("mongodb://{user}:p%3Aw%2F%40%20%C3%A4-{user}@{addr}/{rest}");
        once(&url("")).success().stderr_has("logged in at");
        for hash in ["SCRAM-SHA-1", "SCRAM-SHA-256"] {
            let ended = once(&url(&format!("?authMechanism={hash}")));
            let has = user == "both" || (user == "old") == (hash == "SCRAM-SHA-1");
            if has {
                ended.success()
            } else {
                ended.failure().stderr_has("[protocol.password]")
            };
        }
    }
    once(&format!("mongodb://app:hunter2@{addr}/shop")).success();
    once(&format!("mongodb://app:hunter2@{addr}/?authSource=shop")).success();
    once(&format!("mongodb://app:hunter2@{addr}/")).failure().stderr_has("it refuses the login");
    once(&format!("mongodb://app:wrong@{addr}/shop")).failure().stderr_has("it refuses the login");
    let log = server.log();
    assert!(!log.contains("Traceback") && !log.contains("ERROR"), "waitgate leaves no error in the log: {log}");
}

#[test]
fn a_server_alone() {
    let storage = tempfile::tempdir().unwrap();
    let addr = free_port();
    let _server = start(addr, &storage, &["--standalone"]);
    let ended = once(&format!("mongodb://{addr}/?directConnection=true#role=primary"));
    ended.success().stderr_has(&format!("hello from {addr}"));
    once(&format!("mongodb:{addr}#set=secantus")).failure().stderr_has("not a member of a replica set");
}

#[cfg(feature = "tls")]
#[test]
fn tls() {
    let (storage, folder) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let addr = free_port();
    let authority = Authority::new();
    let (certificate, key) = authority.sign(&["mongo.test"]);
    let files = [("cert.pem", certificate), ("key.pem", key)].map(|(name, text)| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.display().to_string()
    });
    let _server = start(addr, &storage, &["--tls-cert-file", &files[0], "--tls-key-file", &files[1]]);
    let ca = authority.file().display().to_string();
    once(&format!("mongodb://{addr}/?tlsCAFile={ca}#servername=mongo.test")).success().stderr_has("a primary");
    once(&format!("mongodb://{addr}/?tls=true")).failure().stderr_has("[tls.unknown-issuer]");
    once(&format!("mongodb://{addr}/?tlsCAFile={ca}")).failure().stderr_has("[tls.wrong-name]");
    once(&format!("mongodb://{addr}/")).failure().stderr_has("wants TLS on this port");
}
