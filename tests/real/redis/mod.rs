//! `redis:` against real servers.

/// Beside `redis-cli ping`, in every state.
mod parity;
/// Logins, databases, roles, clusters, sockets.
mod states;
/// `rediss:`.
#[cfg(feature = "tls")]
mod tls;
