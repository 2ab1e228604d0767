//! `file:`

use crate::matrix::row::Row;
use crate::support::fault::Fault;

pub(super) fn rows() -> Vec<Row> {
    let faults = [
        Fault::None,
        Fault::Garbage,
        Fault::FirstByte,
        Fault::Half,
        Fault::AllButOne,
        Fault::Version,
        Fault::Oversized,
        Fault::Descriptors,
        Fault::Forbidden,
        Fault::Missing,
        Fault::Folder,
        Fault::Fifo,
        Fault::Device,
        Fault::Sparse,
        Fault::Loop,
    ];
    vec![Row::file("file", "content", "file:PATH#json=/state=ready", br#"{"state": "ready"}"#, &faults)]
}
