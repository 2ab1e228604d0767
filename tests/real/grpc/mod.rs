//! `grpc:` and `grpcs:` against grpcio, nginx and Envoy.

/// Proxies before a dead server, and servers of HTTP/2 that know no gRPC.
mod proxies;
/// The states of a health service, and what a server sees of a call.
mod states;
/// Certificates.
#[cfg(feature = "tls")]
mod tls;
