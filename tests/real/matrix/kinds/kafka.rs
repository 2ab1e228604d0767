//! `kafka:` and `kafkas:`

use crate::matrix::row::Row;
use crate::matrix::world::World;
use crate::support::fault::{Script, Step, hear, say};
use crate::support::kafka::{TODAY, authenticated, frame, metadata, offer, versions};

fn today() -> Vec<u8> {
    frame(1, &versions(0, TODAY))
}

fn asked(mut before: Vec<Step>) -> Script {
    before.push(hear());
    script(before, 1, &versions(0, TODAY)).then([hear(), say(frame(2, &metadata(&[("127.0.0.1", 1)], &[])))])
}

/// Each answer has the same wrong ones: an answer that is all heads, a version that is not known, and 16 MiB.
fn script(before: Vec<Step>, number: i32, body: &[u8]) -> Script {
    let head = [&0x000f_ffff_u32.to_be_bytes()[..], &number.to_be_bytes(), &[1; 32]].concat();
    Script::new(before, frame(number, body))
        .endless(head)
        .version(frame(number, &versions(35, &[])))
        .oversized([&0x0100_0000_u32.to_be_bytes()[..], &number.to_be_bytes(), &vec![1; 1 << 17]].concat())
}

pub(super) fn rows() -> Vec<Row> {
    let (one, orders) = (metadata(&[("127.0.0.1", 1)], &[]), &[(0, "orders", &[(0, 1)][..])]);
    let topic = metadata(&[("127.0.0.1", 1)], orders);
    let before = vec![hear(), say(today()), hear()];
    let plain = [&before[..], &[say(frame(2, &offer(0, &["PLAIN"]))), hear()]].concat();
    vec![
        Row::resolve("kafka", "kafka:ADDR:7002"),
        Row::connect("kafka", "kafka:ADDR"),
        Row::protocol("kafka", "versions", "kafka:ADDR#min=1", asked(Vec::new())),
        Row::protocol("kafka", "metadata", "kafka:ADDR#min=1", script(before.clone(), 2, &one)),
        Row::protocol(
            "kafka",
            "login",
            "kafka://app:hunter2@ADDR#mechanism=PLAIN",
            script(plain.clone(), 3, &authenticated(0, "", "")).then([hear(), say(frame(4, &one))]),
        ),
        Row::read(
            "kafka",
            "password file",
            "kafka:ADDR#user=app#password=@PATH#mechanism=PLAIN",
            b"hunter2\n",
            script(plain, 3, &authenticated(0, "", "")).then([hear(), say(frame(4, &one))]),
        ),
        Row::expectation("kafka", "topic", "kafka:ADDR#topic=orders", script(before, 2, &topic)),
    ]
}

pub(super) fn rows_of_kafkas(world: &World) -> Vec<Row> {
    let rows = [
        Row::resolve("kafkas", "kafkas:ADDR:7002"),
        Row::connect("kafkas", "kafkas:ADDR"),
        Row::tls("kafkas", "kafkas:ADDR", Script::handshake(Vec::new(), &world.server)),
        Row::protocol("kafkas", "versions", "kafkas:ADDR#min=1", asked(vec![Step::Tls(world.server.clone())])),
    ];
    rows.into_iter().map(|row| row.trusting(world)).collect()
}
