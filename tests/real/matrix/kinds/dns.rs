//! `dns:`

use crate::matrix::row::Row;

pub(super) fn rows() -> Vec<Row> {
    vec![Row::resolve("dns", "dns:ADDR"), Row::record("dns", "dns:ADDR?type=SRV"), Row::gone("dns", "dns:ADDR#gone")]
}
