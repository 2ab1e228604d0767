//! `http:` and `https:` against real servers, and by the names of a Pod.

/// Authorities, certificates and the names in them.
#[cfg(all(feature = "http", feature = "tls"))]
mod https;
/// nginx, haproxy, docker-proxy, Redis.
mod servers;
