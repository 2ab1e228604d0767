//! `kafka:` against real brokers.
