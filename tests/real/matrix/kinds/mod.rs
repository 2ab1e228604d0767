//! The rows of each kind.

mod amqp;
mod dns;
mod file;
mod grpc;
mod http;
mod k8s;
mod kafka;
mod mongodb;
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
        http::rows_of_http_unix(),
        k8s::rows(world),
        postgres::rows(world),
        mysql::rows(),
        redis::rows(),
        redis::rows_of_rediss(world),
        amqp::rows(),
        amqp::rows_of_amqps(world),
        grpc::rows(),
        grpc::rows_of_grpcs(world),
        mongodb::rows(world),
        kafka::rows(),
        kafka::rows_of_kafkas(world),
    ];
    let mut rows: Vec<Row> = kinds.into_iter().flatten().collect();
    for (number, row) in rows.iter_mut().enumerate() {
        row.number = number;
    }
    rows
}
