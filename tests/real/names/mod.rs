//! Names, held against glibc's own resolver and against independent DNS servers, counted at the server.

/// The cases of the suite, and what glibc and waitgate each make of them.
mod conform;
/// Questions, counted at the server; time lost to a nameserver that is dead.
mod cost;
/// Where waitgate means to differ from glibc.
mod differences;
/// `dns:`, and the one resolver behind every kind.
mod dns;
/// Bytes from a server that means harm.
mod hostile;
/// `gone`, `min=` and `all`.
mod meaning;
/// Knot and Unbound: every record type, and zones that change while waitgate waits.
mod servers;
