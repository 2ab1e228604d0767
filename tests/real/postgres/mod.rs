//! `postgres:` against real clusters.

/// PgBouncer before a cluster.
mod bouncer;
/// A query, a role, a password out of a file.
mod expectations;
/// Logins: each method, files, roles, queries.
mod login;
/// The major versions that Debian does not have.
mod majors;
/// Beside the real `pg_isready`.
mod pg_isready;
/// A server in each of its states.
mod states;
/// `sslmode`, certificates of the server and of the client.
#[cfg(feature = "tls")]
mod tls;
