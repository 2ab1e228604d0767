//! `http:` and `https:`

use crate::matrix::row::Row;
use crate::matrix::world::World;
use crate::support::fault::{Script, Step, hear, say};

/// The answer to a request.
fn answer(mut before: Vec<Step>) -> Script {
    before.push(hear());
    Script::new(before, "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")
        .endless("x: y\r\n")
        .version("HTTP/9.9 200 OK\r\ncontent-length: 0\r\n\r\n")
        .oversized(format!("HTTP/1.1 200 OK\r\n{}\r\n", format!("x: {}\r\n", "y".repeat(60_000)).repeat(16)))
}

/// The body of an answer whose head is in order.
fn body(mut before: Vec<Step>) -> Script {
    before.extend([hear(), say("HTTP/1.1 200 OK\r\ncontent-length: 18\r\n\r\n")]);
    Script::new(before, r#"{"state": "ready"}"#)
        .endless("[[1], ")
        .version("state: ready, yes!")
        .oversized(vec![b'['; 1 << 17])
}

/// The same in chunks.
fn chunks(mut before: Vec<Step>) -> Script {
    before.extend([hear(), say("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n")]);
    Script::new(before, "12\r\n{\"state\": \"ready\"}\r\n0\r\n\r\n")
        .endless(format!("400\r\n{}\r\n", "[[1,".repeat(256)))
        .version("12;x=y\r\nstate: ready, yes!\r\n0\r\n\r\n")
        .oversized(["ffffffffffffffff\r\n".as_bytes(), &vec![b'['; 1 << 17]].concat())
}

pub(super) fn rows() -> Vec<Row> {
    vec![
        Row::resolve("http", "http://ADDR:7002/"),
        Row::connect("http", "http://ADDR/"),
        Row::protocol("http", "answer", "http://app:hunter2@ADDR/", answer(Vec::new())),
        Row::expectation("http", "body", "http://ADDR/#json=/state=ready", body(Vec::new())),
        Row::expectation("http", "chunks", "http://ADDR/#json=/state=ready#match=ready", chunks(Vec::new())),
        Row::read("http", "header", "http://ADDR/#header=x-key:Bearer @PATH", b"hunter2\n", answer(Vec::new())),
        Row::read("http", "data", "http://ADDR/#data=@PATH", b"hunter2", answer(Vec::new())),
    ]
}

pub(super) fn rows_of_http_unix() -> Vec<Row> {
    let rows = [
        Row::protocol(
            "http+unix",
            "answer",
            "http+unix:PATH:/#header=authorization:Bearer hunter2",
            answer(Vec::new()),
        ),
        Row::expectation("http+unix", "body", "http+unix:PATH:/a?b#json=/state=ready", body(Vec::new())),
        Row::expectation("http+unix", "chunks", "http+unix:PATH:/#json=/state=ready#match=ready", chunks(Vec::new())),
    ];
    let connect = Row::socket("http+unix", "connect", "http+unix:PATH:/");
    [connect].into_iter().chain(rows.map(Row::over_unix)).collect()
}

pub(super) fn rows_of_https(world: &World) -> Vec<Row> {
    let tls = || vec![Step::Tls(world.server.clone())];
    let ca = std::fs::read(world.authority.file()).unwrap();
    let identity: [String; 2] = world.authority.sign(&["app"]).into();
    let rows = [
        Row::resolve("https", "https://ADDR:7002/"),
        Row::connect("https", "https://ADDR/"),
        Row::tls("https", "https://ADDR/", Script::handshake(Vec::new(), &world.server)),
        Row::protocol("https", "answer", "https://app:hunter2@ADDR/", answer(tls())),
        Row::expectation("https", "body", "https://ADDR/#json=/state=ready", body(tls())),
        Row::read("https", "cert", "https://ADDR/#cert=PATH#key=PATH", identity.concat().as_bytes(), answer(tls())),
    ];
    let of_ca = Row::read("https", "ca", "https://ADDR/#ca=PATH", &ca, answer(tls()));
    rows.into_iter().map(|row| row.trusting(world)).chain([of_ca]).collect()
}
