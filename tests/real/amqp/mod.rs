//! `amqp:` against real servers.

/// The fake of the tests, beside a real client.
mod client;
/// The state of a server: starting, ready, stopped.
mod start;
/// Logins, vhosts, queues, alarms, and what the server's log says of a probe.
mod states;
/// `amqps:`.
#[cfg(feature = "tls")]
mod tls;
