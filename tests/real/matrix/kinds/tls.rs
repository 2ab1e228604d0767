//! `tls:`

use crate::matrix::row::Row;
use crate::matrix::world::World;
use crate::support::fault::{Script, Step};

pub(super) fn rows(world: &World) -> Vec<Row> {
    let inside = super::tcp::banner().after(vec![Step::Tls(world.server.clone())]);
    vec![
        Row::resolve("tls", "tls:ADDR:7002"),
        Row::connect("tls", "tls:ADDR"),
        Row::tls("tls", "tls:ADDR", Script::handshake(Vec::new(), &world.server)).trusting(world),
        Row::expectation("tls", "banner", "tls:ADDR#banner=ready", inside).trusting(world),
    ]
}
