//! `unix:`

use crate::matrix::row::Row;

pub(super) fn rows() -> Vec<Row> {
    vec![
        Row::socket("unix", "connect", "unix:PATH"),
        Row::expectation("unix", "banner", "unix:PATH#banner=ready", super::tcp::banner()).over_unix(),
    ]
}
