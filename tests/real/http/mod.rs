//! `http:` and `https:` against real servers, and by the names of a Pod.

/// Authorities, certificates and the names in them.
#[cfg(all(feature = "http", feature = "tls"))]
mod https;
/// What the reasons say of OpenSSL's server.
#[cfg(all(feature = "http", feature = "tls"))]
mod openssl;
/// nginx, haproxy, docker-proxy, Redis.
mod servers;
