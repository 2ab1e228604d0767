//! `mysql:` against fakes, which no one has to install.

/// Hostile servers.
mod hostile;
/// Passwords, and every place where they must not appear.
mod secrets;
