//! `mysql:`

use crate::matrix::row::Row;
use crate::support::fault::{Script, Step, hear, say};
use crate::support::mysql::{OK, err, greeting, packet, result, up_to_the_query};

/// Each packet has the same wrong ones: a longer and longer packet, protocol 9, and one of 16 MiB.
fn script(before: Vec<Step>, answer: Vec<u8>) -> Script {
    Script::new(before, answer)
        .endless(packet(0, &[b'a'; 200]))
        .version(packet(0, b"\x093.20.1\0"))
        .oversized([&b"\xff\xff\xff\0"[..], &vec![b'a'; 1 << 17]].concat())
}

const PING: &str = "mysql://ADDR?ssl-mode=DISABLED";

fn greeted() -> Step {
    say(packet(0, &greeting("mysql_native_password")))
}

pub(super) fn rows() -> Vec<Row> {
    let refused = packet(2, &err(1045, "Access denied"));
    let query = "mysql://app:hunter2@ADDR/shop?ssl-mode=DISABLED#query=SELECT 1";
    let before_the_answer: Vec<Step> = [greeted()]
        .into_iter()
        .chain(up_to_the_query().into_iter().flat_map(|answer| [hear(), say(answer)]))
        .chain([hear()])
        .collect();
    vec![
        Row::resolve("mysql", "mysql:ADDR:7002"),
        Row::connect("mysql", "mysql:ADDR"),
        Row::protocol(
            "mysql",
            "greeting",
            PING,
            script(Vec::new(), packet(0, &greeting("mysql_native_password"))).then([hear(), say(refused.clone())]),
        ),
        Row::protocol("mysql", "ping", PING, script(vec![greeted(), hear()], refused)),
        Row::protocol(
            "mysql",
            "login",
            "mysql://app:hunter2@ADDR?ssl-mode=DISABLED",
            script(vec![greeted(), hear()], packet(2, OK)),
        ),
        Row::socket("mysql", "socket", "mysql://localhost/?socket=PATH"),
        Row::protocol(
            "mysql",
            "login, socket",
            "mysql://app:hunter2@localhost/?socket=PATH",
            script(vec![greeted(), hear()], packet(2, OK)),
        )
        .over_unix(),
        Row::read(
            "mysql",
            "password file",
            "mysql://app@ADDR?ssl-mode=DISABLED#password=@PATH",
            b"hunter2\n",
            script(vec![greeted(), hear()], packet(2, OK)),
        ),
        Row::expectation("mysql", "query", query, script(before_the_answer, result(8, &[b"\x011"]))),
    ]
}
