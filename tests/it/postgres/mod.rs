//! `postgres:` against servers that are none, or that no test has to install.

/// What is said of a port that speaks something else, or nothing.
mod answers;
/// Servers that mean no good.
mod hostile;
/// Passwords, and every place where they must not appear.
mod secrets;
