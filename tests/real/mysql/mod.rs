//! `mysql:` against a real `MariaDB`.

/// What leaves the server and the application unharmed.
mod harm;
/// Logins, roles and queries.
mod login;
/// Beside `mysqladmin ping` in every state.
mod mysqladmin;
/// `caching_sha2_password`, by a fake that a real client accepts.
mod sha2;
/// TLS.
#[cfg(feature = "tls")]
mod tls;
