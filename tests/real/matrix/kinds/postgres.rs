//! `postgres:`

use crate::matrix::row::Row;
use crate::matrix::world::World;
use crate::support::fault::{Script, Step, hear, say};

fn message(tag: u8, body: &[u8]) -> Vec<u8> {
    let length = u32::try_from(body.len() + 4).unwrap().to_be_bytes();
    [&[tag][..], &length, body].concat()
}

fn ready(status: u8) -> Vec<u8> {
    message(b'Z', &[status])
}

/// The answer to a login: AuthenticationOk, a parameter, the key, ReadyForQuery.
fn welcome() -> Vec<u8> {
    let parameter = message(b'S', b"server_version\x0018.1\0");
    [message(b'R', &[0; 4]), parameter, message(b'K', &[0; 8]), ready(b'I')].concat()
}

/// Each part of the conversation has the same wrong answers.
fn script(before: Vec<Step>, answer: Vec<u8>) -> Script {
    let notice = message(b'N', &[b"SNOTICE\0M".as_slice(), &[b'a'; 4000], b"\0\0"].concat());
    // What a server before 7.4 said, and a length of two gigabytes.
    let large = [&[b'S'][..], &0x7fff_ffff_u32.to_be_bytes(), &vec![b'a'; 1 << 16]].concat();
    Script::new(before, answer).endless(notice).version("EFATAL:  unsupported frontend protocol\n\0").oversized(large)
}

pub(super) fn rows(world: &World) -> Vec<Row> {
    let hello = || vec![hear(), say("N"), hear()];
    let login = || vec![hear(), say(message(b'R', &[0, 0, 0, 5, 1, 2, 3, 4])), hear()];
    let after = || vec![hear(), say(ready(b'I'))];
    let mut query = login();
    query.extend([say(welcome()), hear()]);
    query.extend([say([message(b'C', b"BEGIN\0"), message(b'C', b"SET\0"), ready(b'T')].concat()), hear()]);
    let column =
        [&b"\0\x01?column?\0"[..], &[0; 6], &23_u32.to_be_bytes(), &[0, 4, 0xff, 0xff, 0xff, 0xff, 0, 0]].concat();
    let row = [message(b'1', b""), message(b'2', b""), message(b'T', &column), message(b'D', b"\0\x01\0\0\0\x011")];
    let row = [row.concat(), message(b'C', b"SELECT 1\0"), ready(b'T')].concat();
    let ca = std::fs::read(world.authority.file()).unwrap();
    let tls = vec![hear(), say("S"), Step::Tls(world.server.clone()), hear()];
    let encrypted = script(tls, message(b'R', &[0, 0, 0, 3]));
    vec![
        Row::resolve("postgres", "postgres:ADDR:7002"),
        Row::connect("postgres", "postgres:ADDR"),
        Row::tls(
            "postgres",
            "postgres://app:hunter2@ADDR/shop?sslmode=verify-full",
            Script::handshake(vec![hear(), say("S")], &world.server),
        )
        .trusting(world),
        Row::protocol(
            "postgres",
            "ping",
            "postgres://ADDR/shop?sslmode=prefer",
            script(hello(), message(b'R', &[0, 0, 0, 3])),
        ),
        Row::protocol(
            "postgres",
            "login",
            "postgres://app:hunter2@ADDR/shop?sslmode=disable",
            script(login(), welcome()).then(after()),
        ),
        Row::socket("postgres", "socket", "postgres:///shop?host=FOLDER"),
        Row::protocol(
            "postgres",
            "login, socket",
            "postgres://app:hunter2@/shop?host=FOLDER",
            script(login(), welcome()).then(after()),
        )
        .over_unix(),
        Row::read(
            "postgres",
            "password file",
            "postgres://app@ADDR/shop?sslmode=disable#password=@PATH",
            b"hunter2\n",
            script(login(), welcome()).then(after()),
        ),
        Row::read(
            "postgres",
            "passfile",
            "postgres://app@ADDR/shop?sslmode=disable&passfile=PATH",
            b"*:*:*:*:hunter2\n",
            script(login(), welcome()).then(after()),
        ),
        Row::read(
            "postgres",
            "sslrootcert",
            "postgres://ADDR/shop?sslmode=verify-full&sslrootcert=PATH",
            &ca,
            encrypted,
        ),
        Row::expectation(
            "postgres",
            "query",
            "postgres://app:hunter2@ADDR/shop?sslmode=disable#query=SELECT 1",
            script(query, row).then([hear(), say([message(b'C', b"ROLLBACK\0"), ready(b'I')].concat())]),
        ),
    ]
}
