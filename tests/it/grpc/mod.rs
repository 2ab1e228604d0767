//! `grpc:` and `grpcs:`

/// Each answer of a server, and of a proxy.
mod answers;
/// Servers that send too much, too little, or what HTTP/2 forbids.
mod hostile;
/// No output has a token.
mod secrets;
