//! `amqp:` and `amqps:`

use crate::matrix::row::Row;
use crate::matrix::world::World;
use crate::support::amqp::{channel_ok, close_ok, declared, frame, greeting, logged_in, open_ok, tune};
use crate::support::fault::{Script, Step, hear, say};

/// Each answer has the same wrong ones: heartbeats without an end, the header of AMQP 1.0, and a frame of 16 MiB.
fn script(before: Vec<Step>, answer: Vec<u8>) -> Script {
    Script::new(before, answer)
        .endless(frame(8, 0, b"").repeat(64))
        .version("AMQP\x03\x01\0\0")
        .oversized([&b"\x01\0\0\x01\0\0\0"[..], &vec![b'a'; 1 << 17]].concat())
}

/// What a server says to these answers, one after each thing that the client says.
fn answers(answers: Vec<Vec<u8>>) -> Vec<Step> {
    answers.into_iter().flat_map(|answer| [hear(), say(answer)]).chain([hear()]).collect()
}

pub(super) fn rows() -> Vec<Row> {
    let login = "amqp://app:hunter2@ADDR/shop";
    let before_the_queue = [logged_in(), vec![channel_ok()]].concat();
    vec![
        Row::resolve("amqp", "amqp:ADDR:7002"),
        Row::connect("amqp", "amqp:ADDR"),
        Row::protocol("amqp", "greeting", "amqp:ADDR", script(vec![hear()], greeting())),
        Row::protocol(
            "amqp",
            "login",
            login,
            script(answers(vec![greeting()]), tune()).then([hear(), say(open_ok()), hear(), say(close_ok())]),
        ),
        Row::protocol(
            "amqp",
            "vhost",
            login,
            script(answers(vec![greeting(), tune()]), open_ok()).then([hear(), say(close_ok())]),
        ),
        Row::read(
            "amqp",
            "password file",
            "amqp://app@ADDR/shop#password=@PATH",
            b"hunter2\n",
            script(answers(vec![greeting(), tune()]), open_ok()).then([hear(), say(close_ok())]),
        ),
        Row::expectation(
            "amqp",
            "queue",
            "amqp://app:hunter2@ADDR/shop#queue=jobs",
            script(answers(before_the_queue), declared("jobs")).then([hear(), say(close_ok())]),
        ),
    ]
}

pub(super) fn rows_of_amqps(world: &World) -> Vec<Row> {
    let rows = [
        Row::resolve("amqps", "amqps://ADDR:7002"),
        Row::connect("amqps", "amqps://ADDR"),
        Row::tls("amqps", "amqps://ADDR", Script::handshake(Vec::new(), &world.server)),
        Row::protocol(
            "amqps",
            "greeting",
            "amqps://ADDR",
            script(vec![Step::Tls(world.server.clone()), hear()], greeting()),
        ),
    ];
    rows.into_iter().map(|row| row.trusting(world)).collect()
}
