//! `mongodb:` against fakes, which no one has to install.

/// The states of a server, logins, and what other servers say.
mod answers;
/// Hostile servers.
mod hostile;
/// Passwords, and every place where they must not appear.
mod secrets;
