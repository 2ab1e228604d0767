//! `kafka:` against brokers of others: Tansu, librdkafka's mock cluster, and a broker with logins at which librdkafka and
//! kafka-python log in too. `tests/kafka-tools` installs them.

/// The servers.
mod brokers;
/// SASL.
mod login;
/// A broker that starts, topics, TLS.
mod states;
/// A topic is never created by asking.
mod topics;
