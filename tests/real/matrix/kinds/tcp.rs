//! `tcp:`

use crate::matrix::row::Row;
use crate::support::fault::Script;

/// A server that speaks first.
pub(super) fn banner() -> Script {
    Script::new([], "220 mail ready").endless("2").version("990 mail\r\n").oversized("2".repeat(1 << 16))
}

pub(super) fn rows() -> Vec<Row> {
    vec![
        Row::resolve("tcp", "tcp:ADDR:7002"),
        Row::connect("tcp", "tcp:ADDR"),
        Row::gone("tcp", "tcp:ADDR:7002#gone"),
        Row::gone_at("tcp", "tcp:ADDR#gone"),
        Row::expectation("tcp", "banner", "tcp:ADDR#banner=ready", banner()),
    ]
}
