//! `mysql:` against fakes, which no one has to install.

/// Packets, and a server that says them in their order.
mod fake;
/// Hostile servers.
mod hostile;
/// Passwords, and every place where they must not appear.
mod secrets;
