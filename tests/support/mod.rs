//! The harness of both houses of tests, tests/it and tests/real: the binary as a user runs it, and the servers
//! that it waits for. Each house uses a part of it.
//!
//! Every wait in here is bounded, nothing uses a fixed port of the host, and what a test starts is
//! gone when the test is.

pub(crate) mod amqp;
pub(crate) mod dns;
pub(crate) mod fake;
#[cfg(feature = "tls")]
pub(crate) mod fault;
pub(crate) mod grpc;
pub(crate) mod h2;
pub(crate) mod hang;
pub(crate) mod kafka;
pub(crate) mod kube;
pub(crate) mod mariadb;
mod mask;
#[cfg(feature = "mongodb")]
pub(crate) mod mongodb;
pub(crate) mod mysql;
pub(crate) mod pg;
pub(crate) mod pgtools;
pub(crate) mod pod;
pub(crate) mod rabbitmq;
pub(crate) mod redis;
pub(crate) mod run;
#[path = "../../src/net/names/scripted_server.rs"]
pub(crate) mod scripted;
pub(crate) mod server;
pub(crate) mod signals;
pub(crate) mod spellings;
mod stream;
mod template;
pub(crate) mod tty;
pub(crate) mod web;
pub(crate) mod wrong;
pub(crate) mod zone;

use std::path::PathBuf;

pub(crate) use waitgate::door;

pub(crate) use fake::{Fake, free_port, loopback};
pub(crate) use mask::mask;
pub(crate) use pod::Pod;
pub(crate) use run::Run;

/// Longest wait for anything that is meant to happen. A test that gets here has failed; on a busy
/// machine it must not fail before.
pub(crate) const PATIENCE: std::time::Duration = std::time::Duration::from_secs(30);

/// The full path of a program that a test needs. A missing one is a failed test, never a skipped one.
#[track_caller]
pub(crate) fn tool(name: &str) -> PathBuf {
    let folders = ["/usr/bin", "/bin", "/usr/sbin", "/sbin", "/usr/local/bin"];
    folders
        .iter()
        .map(|folder| PathBuf::from(folder).join(name))
        .find(|path| path.is_file())
        .unwrap_or_else(|| panic!("this test needs `{name}`: {} (tests/run does it)", install(name)))
}

fn install(name: &str) -> String {
    let package = match name {
        "nft" => "nftables",
        "ip" => "iproute2",
        "java" => "default-jre-headless",
        "knotd" => "knot",
        "epmd" | "erl_call" => "erlang-base",
        "mariadbd" | "mariadb-install-db" => "mariadb-server",
        "mariadb" | "mariadb-admin" => "mariadb-client",
        "unshare" | "nsenter" | "setpriv" | "setsid" | "prlimit" => "util-linux",
        other => other,
    };
    format!("apt-get install {package}")
}
