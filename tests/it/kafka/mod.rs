//! `kafka:` against fakes, which no one has to install.

/// What a broker says, and what a port that speaks something else says.
mod answers;
/// Hostile servers.
mod hostile;
/// Logins.
mod login;
/// Passwords, and every place where they must not appear.
mod secrets;
