//! `grpc:` and `grpcs:`

use std::sync::Arc;

use crate::matrix::row::Row;
use crate::matrix::world::World;
use crate::support::fault::{Script, Step, hear};
use crate::support::h2::{DATA, HEAD, PING, SETTINGS, frame, headers, health};

/// SETTINGS, and the answer to a call.
fn serving(mut before: Vec<Step>) -> Script {
    before.push(hear());
    let settings = frame(SETTINGS, 0, 0, &[]);
    let long = [settings.clone(), headers(0, HEAD), frame(DATA, 0, 1, &[0; 8192]).repeat(16)].concat();
    Script::new(before, [settings, health(1)].concat())
        .endless(frame(PING, 0, 0, &[0; 8]))
        .version("HTTP/1.1 505 HTTP Version Not Supported\r\ncontent-length: 0\r\n\r\n")
        .oversized(long)
}

pub(super) fn rows() -> Vec<Row> {
    vec![
        Row::resolve("grpc", "grpc:ADDR:7002"),
        Row::connect("grpc", "grpc:ADDR"),
        Row::protocol("grpc", "call", "grpc:ADDR#header=authorization:Bearer hunter2", serving(Vec::new())),
        Row::read("grpc", "header", "grpc:ADDR#header=x-key:@PATH", b"hunter2\n", serving(Vec::new())),
    ]
}

pub(super) fn rows_of_grpcs(world: &World) -> Vec<Row> {
    let mut config = rustls::ServerConfig::clone(&world.server);
    config.alpn_protocols = vec![b"h2".to_vec()];
    let config = Arc::new(config);
    let rows = [
        Row::resolve("grpcs", "grpcs:ADDR:7002"),
        Row::connect("grpcs", "grpcs:ADDR"),
        Row::tls("grpcs", "grpcs:ADDR", Script::handshake(Vec::new(), &config)),
        Row::protocol("grpcs", "call", "grpcs:ADDR#service=a.B", serving(vec![Step::Tls(config)])),
    ];
    rows.into_iter().map(|row| row.trusting(world)).collect()
}
