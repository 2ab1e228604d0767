//! The binary as a user sees it: one integration binary, a module for each subject.
//!
//! They need root (for network namespaces), `PostgreSQL`, Knot DNS, strace, nftables, iproute2, tmux
//! and util-linux, and say so when one is missing; `tests/run` installs them.

#![expect(clippy::unwrap_used, reason = "a test's own setup has nobody to return an error to")]
#![cfg_attr(
    not(all(feature = "dns", feature = "http", feature = "postgres", feature = "tls")),
    allow(dead_code, unused_imports, reason = "a build without a kind has no tests for it")
)]

/// The harness: runs of the binary, a Pod's namespaces, servers real and fake.
mod support;

/// The fakes themselves.
mod harness;

/// Help, version, twins, `$(NAME)`, `env:NAME`, `--dry-run`.
mod cli;
/// `-- COMMAND`.
mod command;
/// A whole manifest's worth of targets.
#[cfg(all(feature = "dns", feature = "http", feature = "postgres"))]
mod gate;
/// Servers that hang, in every stage.
mod hang;
/// `--log-format json`, `--explain`, `--color`.
mod json;
/// The JSON log, held against its schema.
mod json_schema;
/// What is never asked of libc.
mod libc;
/// The loops that waitgate replaces, and how they fail.
mod loops;
/// Declared order, `--parallel`, one deadline, `--once`, delays, pauses.
mod order;
/// Wrong input, and that it is refused before anything is touched.
mod refused;
/// What is printed, and where it is not waited for.
mod report;
/// Completions and the man page, as they are shipped.
mod shipped;
/// SIGTERM and SIGINT.
mod signals;
/// What is said in each of some fifty situations.
mod situations;
/// A terminal: the live view, and one that is not read or goes away.
mod terminal;
/// The termination message.
mod termination;

/// `dns:`, and the resolver of every kind.
#[cfg(feature = "dns")]
mod dns;
/// Expectations beyond the default of each kind.
mod finer;
/// `gone`, for every kind.
mod gone;
/// Each hint with its evidence, and without.
#[cfg(all(feature = "dns", feature = "http", feature = "postgres", feature = "tls"))]
mod hints;
/// `http:`.
#[cfg(feature = "http")]
mod http;
/// `https:`.
#[cfg(all(feature = "http", feature = "tls"))]
mod https;
/// Names, against glibc and independent servers.
#[cfg(feature = "dns")]
mod names;
/// What other waiters test.
#[cfg(feature = "http")]
mod peers;
/// `postgres:` through PgBouncer.
#[cfg(feature = "postgres")]
mod pg_bouncer;
/// Servers that mean no good.
#[cfg(feature = "postgres")]
mod pg_hostile;
/// Logins: each method, files, roles, queries.
#[cfg(feature = "postgres")]
mod pg_login;
/// The majors that Debian does not have.
#[cfg(feature = "postgres")]
mod pg_majors;
/// `postgres:` beside the real `pg_isready`.
#[cfg(feature = "postgres")]
mod pg_parity;
/// Passwords, and every place where they must not appear.
#[cfg(feature = "postgres")]
mod pg_secrets;
/// Certificates, the server's and the client's.
#[cfg(all(feature = "postgres", feature = "tls"))]
mod pg_tls;
/// `postgres:`.
#[cfg(feature = "postgres")]
mod postgres;
/// `postgres:` over TLS.
#[cfg(all(feature = "postgres", feature = "tls"))]
mod postgres_tls;
/// What the README shows.
#[cfg(all(feature = "dns", feature = "http", feature = "postgres"))]
mod readme;
/// `tcp:`.
mod tcp;
/// `unix:`.
mod unix;
/// nginx, haproxy, docker-proxy.
mod web_servers;
