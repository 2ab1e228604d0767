//! `redis:` and `rediss:`

use crate::matrix::row::Row;
use crate::matrix::world::World;
use crate::support::fault::{Script, Step, hear, say};

fn pong(mut before: Vec<Step>) -> Script {
    before.push(hear());
    script(before, "+PONG\r\n")
}

/// Each reply has the same wrong ones: a simple string without an end, RESP3's map, and 16 MB.
fn script(before: Vec<Step>, answer: &str) -> Script {
    Script::new(before, answer)
        .endless("+")
        .version("%1\r\n+a\r\n+b\r\n")
        .oversized(["$16777216\r\n".as_bytes(), &vec![b'a'; 1 << 17]].concat())
}

pub(super) fn rows() -> Vec<Row> {
    let role = "*3\r\n$6\r\nmaster\r\n:0\r\n*0\r\n";
    vec![
        Row::resolve("redis", "redis:ADDR:7002"),
        Row::connect("redis", "redis:ADDR"),
        Row::protocol("redis", "ping", "redis:ADDR", pong(Vec::new())),
        Row::protocol(
            "redis",
            "login",
            "redis://app:hunter2@ADDR",
            script(vec![hear()], "+OK\r\n").then([hear(), say("+PONG\r\n")]),
        ),
        Row::socket("redis", "socket", "redis+unix://PATH"),
        Row::protocol(
            "redis",
            "login, socket",
            "redis+unix://app:hunter2@PATH",
            script(vec![hear()], "+OK\r\n").then([hear(), say("+PONG\r\n")]),
        )
        .over_unix(),
        Row::read(
            "redis",
            "password file",
            "redis://app@ADDR#password=@PATH",
            b"hunter2\n",
            script(vec![hear()], "+OK\r\n").then([hear(), say("+PONG\r\n")]),
        ),
        Row::expectation(
            "redis",
            "role",
            "redis:ADDR#role=primary",
            script(vec![hear(), say("+PONG\r\n"), hear()], role),
        ),
    ]
}

pub(super) fn rows_of_rediss(world: &World) -> Vec<Row> {
    let rows = [
        Row::resolve("rediss", "rediss://ADDR:7002"),
        Row::connect("rediss", "rediss://ADDR"),
        Row::tls("rediss", "rediss://ADDR", Script::handshake(Vec::new(), &world.server)),
        Row::protocol("rediss", "ping", "rediss://ADDR", pong(vec![Step::Tls(world.server.clone())])),
    ];
    rows.into_iter().map(|row| row.trusting(world)).collect()
}
