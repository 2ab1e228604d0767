//! `unix:`

use crate::matrix::row::Row;
use crate::support::fault::Fault;

pub(super) fn rows() -> Vec<Row> {
    let paths = [Fault::Missing, Fault::Folder, Fault::Loop, Fault::Plain, Fault::Stale, Fault::Descriptors];
    vec![
        Row::path("unix", "connect", "unix:PATH", &paths),
        Row::expectation("unix", "banner", "unix:PATH#banner=ready", super::tcp::banner()).over_unix(),
    ]
}
