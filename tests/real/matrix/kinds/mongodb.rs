//! `mongodb:`

use crate::matrix::row::Row;
use crate::matrix::world::World;
use crate::support::fault::{Script, Step, hear, say};
use crate::support::mongodb::{Doc, Request, state};

/// The answer to the command of this number, which came as this kind of message.
fn answer(number: u8, code: u32, doc: &Doc) -> Vec<u8> {
    Request::numbered(number, code).answer(doc)
}

/// The first answer, to a hello in the old way.
fn hello() -> Vec<u8> {
    answer(1, 2004, &state("primary", "mongo-0:27017"))
}

/// Each answer has the same wrong ones: one without an end, one in OP_COMPRESSED, and one of 16 MB.
fn script(before: Vec<Step>, right: Vec<u8>) -> Script {
    let (mut version, mut oversized) = (right.clone(), right.clone());
    version[12..16].copy_from_slice(&2012_u32.to_le_bytes());
    oversized[..4].copy_from_slice(&16_777_216_u32.to_le_bytes());
    oversized.extend(vec![b'a'; 1 << 17]);
    let mut endless = right.clone();
    endless[..4].copy_from_slice(&200_000_u32.to_le_bytes());
    Script::new(before, right).endless(endless).version(version).oversized(oversized)
}

pub(super) fn rows(world: &World) -> Vec<Row> {
    let login = answer(2, 2013, &Doc::ok().int("conversationId", 1).bool("done", true).bytes("payload", b""));
    let tls = || Step::Tls(world.server.clone());
    // The password goes as it is, so the right answer is one that a script can have.
    let plain = "mongodb://app:hunter2@ADDR/?tls=true&authMechanism=PLAIN";
    vec![
        Row::resolve("mongodb", "mongodb:ADDR:7002"),
        Row::connect("mongodb", "mongodb:ADDR"),
        Row::protocol("mongodb", "hello", "mongodb:ADDR", script(vec![hear()], hello())),
        Row::tls(
            "mongodb",
            "mongodb://ADDR/?tls=true",
            Script::handshake(vec![], &world.server).then([hear(), say(hello())]),
        )
        .trusting(world),
        Row::protocol("mongodb", "login", plain, script(vec![tls(), hear(), say(hello()), hear()], login.clone()))
            .trusting(world),
        Row::socket("mongodb", "socket", "mongodb://%2FPATH/"),
        Row::protocol("mongodb", "hello, socket", "mongodb://%2FPATH/", script(vec![hear()], hello())).over_unix(),
        Row::read(
            "mongodb",
            "password file",
            "mongodb://app@ADDR/?tls=true&authMechanism=PLAIN#password=@PATH",
            b"hunter2\n",
            script(vec![tls(), hear(), say(hello()), hear()], login),
        )
        .trusting(world),
    ]
}
