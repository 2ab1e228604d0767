//! The rows of each kind.

mod dns;
mod file;
mod http;
mod kafka;
mod mysql;
mod postgres;
mod redis;
mod tcp;
mod tls;
mod unix;

use super::row::Row;
use super::world::World;

pub(super) fn rows(world: &World) -> Vec<Row> {
    let kinds = [
        dns::rows(),
        tcp::rows(),
        tls::rows(world),
        unix::rows(),
        file::rows(),
        http::rows(),
        http::rows_of_https(world),
        postgres::rows(world),
        mysql::rows(),
        redis::rows(),
        redis::rows_of_rediss(world),
        kafka::rows(),
        kafka::rows_of_kafkas(world),
    ];
    let mut rows: Vec<Row> = kinds.into_iter().flatten().collect();
    for (number, row) in rows.iter_mut().enumerate() {
        row.number = number;
    }
    rows
}
