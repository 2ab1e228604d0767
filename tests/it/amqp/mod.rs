//! `amqp:` against fakes, which no one has to install.

/// What is said of a port that speaks something else, or nothing.
mod answers;
/// Hostile servers.
mod hostile;
/// Passwords, and every place where they must not appear.
mod secrets;
