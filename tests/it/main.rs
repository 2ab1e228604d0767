//! The binary as a user sees it, one module for each subject.
//!
//! These tests run for anyone by `cargo test`: they need no root, no server and no package, and take seconds. Whatever
//! needs more is in tests/real.

#![expect(clippy::unwrap_used, reason = "a test has no caller to return an error to")]
#![cfg_attr(
    not(all(
        feature = "dns",
        feature = "http",
        feature = "k8s",
        feature = "kafka",
        feature = "mysql",
        feature = "postgres",
        feature = "tls"
    )),
    allow(dead_code, unused_imports, reason = "a build without a kind has no tests for it")
)]

/// The harness: runs of the binary, and fake servers.
#[allow(dead_code, unused_imports, reason = "this house needs a part of it")]
#[path = "../support/mod.rs"]
mod support;

/// The fakes themselves.
mod harness;

/// `amqp:`.
#[cfg(feature = "amqp")]
mod amqp;
/// Help, version, twins, `$(NAME)`, `env:NAME`, `--dry-run`.
mod cli;
/// `-- COMMAND`.
mod command;
/// docs/cookbook.md.
#[cfg(all(
    feature = "dns",
    feature = "grpc",
    feature = "http",
    feature = "k8s",
    feature = "postgres",
    feature = "tls"
))]
mod cookbook;
/// The fuzzers' packed corpus.
#[cfg(all(
    feature = "amqp",
    feature = "dns",
    feature = "grpc",
    feature = "http",
    feature = "k8s",
    feature = "kafka",
    feature = "mongodb",
    feature = "mysql",
    feature = "postgres",
    feature = "redis"
))]
mod corpus;
/// Links, YAML and length of the README and the pages.
mod docs;
/// Banners, bodies, files: expectations beyond the default of each kind.
mod expectations;
/// `file:`.
mod file;
/// docs/fleet.md.
mod fleet;
/// `gone`, for every kind.
mod gone;
/// `grpc:`.
#[cfg(feature = "grpc")]
mod grpc;
/// Servers that hang, in every stage.
mod hang;
/// The source itself: what imports what, and how long a file is.
mod house;
/// `http:`.
#[cfg(feature = "http")]
mod http;
/// `http+unix:`.
#[cfg(feature = "http")]
mod http_unix;
/// `https:`.
#[cfg(all(feature = "http", feature = "tls"))]
mod https;
/// `--log-format json`, `--explain`, `--color`.
mod json;
/// `k8s:`.
#[cfg(feature = "k8s")]
mod k8s;
/// `kafka:`.
#[cfg(feature = "kafka")]
mod kafka;
/// `mongodb:`.
#[cfg(feature = "mongodb")]
mod mongodb;
/// `mysql:`.
#[cfg(feature = "mysql")]
mod mysql;
/// Declared order, `--parallel`, one deadline, `--once`, delays, pauses.
mod order;
/// What other waiters test.
#[cfg(feature = "http")]
mod other_waiters;
/// The parsers, over texts made up at random.
#[cfg(feature = "dns")]
mod parsers;
/// `postgres:`.
#[cfg(feature = "postgres")]
mod postgres;
/// `redis:`.
#[cfg(feature = "redis")]
mod redis;
/// Wrong input.
mod refused;
/// What is printed, and where it is not waited for.
mod report;
/// Servers that repeat a secret, in each place that waitgate quotes.
mod secrets;
/// `send=`.
mod send;
/// Completions and the man page, as they are shipped.
#[cfg(all(
    feature = "amqp",
    feature = "dns",
    feature = "grpc",
    feature = "http",
    feature = "kafka",
    feature = "mysql",
    feature = "postgres",
    feature = "redis",
    feature = "mongodb",
    feature = "tls"
))]
mod shipped;
/// SIGTERM, SIGINT and SIGQUIT.
mod signals;
/// `tcp:`.
mod tcp;
/// A terminal that is not read or goes away, and colour.
mod terminal;
/// The termination message.
mod termination;
/// `tls:`.
#[cfg(feature = "tls")]
mod tls;
/// `unix:`.
mod unix;
