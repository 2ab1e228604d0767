//! `mongodb:` against servers with a storage of their own, beside PyMongo, and with names of a cluster.

/// Beside `PyMongo`, in every state and for every login.
mod parity;
/// A server with storage: `SecantusDB`, over `WiredTiger`.
mod secantus;
/// `mongodb+srv:`.
#[cfg(feature = "tls")]
mod srv;
