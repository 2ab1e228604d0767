//! `k8s:`

use crate::matrix::row::Row;
use crate::matrix::world::World;
use crate::support::fault::{Script, Step, hear, say};

const LIST: &str = r#"{"kind":"JobList","metadata":{"resourceVersion":"7"},"items":[{"metadata":{"name":"migrate"},"status":{"conditions":[{"type":"Complete","status":"True"}]}}]}"#;

const TARGET: &str = "k8s:job/migrate";

pub(super) fn rows(world: &World) -> Vec<Row> {
    let tls = || Step::Tls(world.server.clone());
    let head = format!("HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n", LIST.len());
    let answer = Script::new(vec![tls(), hear()], format!("{head}{LIST}"))
        .endless("x: y\r\n")
        .version(format!("HTTP/9.9 200 OK\r\ncontent-length: {}\r\n\r\n{LIST}", LIST.len()))
        .oversized(format!("HTTP/1.1 200 OK\r\n{}\r\n", format!("x: {}\r\n", "y".repeat(60_000)).repeat(16)));
    // One object that never ends.
    let chunk = format!("400\r\n{}\r\n", "[[1,".repeat(256));
    let items = Script::new(vec![tls(), hear(), say(head)], LIST)
        .endless(r#"{"items":[{"a":"#)
        .version("kind: JobList\nitems: []\n")
        .oversized(vec![b'['; 1 << 17]);
    let chunks = Script::new(
        vec![tls(), hear(), say("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n")],
        format!("{:x}\r\n{LIST}\r\n0\r\n\r\n", LIST.len()),
    )
    .endless(chunk)
    .version("12;x=y\r\nstate: ready, yes!\r\n0\r\n\r\n")
    .oversized(["ffffffffffffffff\r\n".as_bytes(), &vec![b'['; 1 << 17]].concat());
    let rows = [
        Row::resolve("k8s", TARGET).of_api("https://ADDR:7002"),
        Row::connect("k8s", TARGET),
        Row::tls("k8s", TARGET, Script::handshake(Vec::new(), &world.server)),
        Row::protocol("k8s", "list", TARGET, answer),
        Row::expectation("k8s", "items", TARGET, items),
        Row::expectation("k8s", "chunks", TARGET, chunks),
    ];
    rows.into_iter().map(|row| if row.api.is_some() { row } else { row.of_api("https://ADDR") }).collect()
}
