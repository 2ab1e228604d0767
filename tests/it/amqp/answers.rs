//! The answers of a server, of another server, and of a server that says nothing.

use crate::support::{
    Fake, Run,
    amqp::{
        blocked, channel_close, channel_close_ok, channel_ok, close, declared, frame, greeting, logged_in, method,
        open_ok, saying, start, tune,
    },
    run::Ended,
};

fn once(target: &str, fake: &Fake) -> Ended {
    Run::new(["--once", "--attempt-timeout=1s", &target.replace("ADDR", &fake.addr.to_string())]).end()
}

const PLAIN: &str = "amqp:ADDR";
const LOGIN: &str = "amqp://app:hunter2@ADDR/shop";
const QUEUE: &str = "amqp://app:hunter2@ADDR/shop#queue=jobs";
const PUBLISH: &str = "amqp://app:hunter2@ADDR/shop#publish";

/// A login, and then these answers.
fn then(more: &[Vec<u8>]) -> Vec<Vec<u8>> {
    [logged_in(), more.to_vec()].concat()
}

#[test]
fn ready_answers() {
    let heartbeat = frame(8, 0, b"");
    for (target, answers, says) in [
        (PLAIN, vec![greeting()], "FakeMQ 1.2 at"),
        (PLAIN, vec![start("", false)], "FakeMQ 1.2 at"),
        (LOGIN, logged_in(), "logged in at"),
        ("amqp://ADDR#login", logged_in(), "logged in at"),
        (LOGIN, vec![start("AMQPLAIN", true), tune(), open_ok()], "logged in at"),
        // A tune without limits, and heartbeats between the methods.
        (
            LOGIN,
            vec![greeting(), method(0, 10, 30, &[0; 8]), [&heartbeat[..], &heartbeat, &open_ok()].concat()],
            "logged in at",
        ),
        // Other words of the server's before its answer.
        (
            LOGIN,
            vec![greeting(), tune(), [blocked("low on memory"), open_ok()].concat()],
            "blocks publishers: low on memory",
        ),
        (LOGIN, vec![greeting(), tune(), [blocked("low"), method(0, 10, 61, b""), open_ok()].concat()], "logged in at"),
        (QUEUE, then(&[channel_ok(), declared("jobs")]), "the queue has 3 messages and 1 consumer"),
        (PUBLISH, then(&[channel_ok(), channel_close_ok()]), "which takes messages"),
        (
            &format!("{QUEUE}#publish"),
            then(&[channel_ok(), declared("jobs"), channel_close_ok()]),
            "which takes messages",
        ),
    ] {
        once(target, &saying(answers)).success().stderr_has(says).nowhere("hunter2");
    }
}

#[test]
fn not_ready_answers() {
    let refused = "ACCESS_REFUSED - Login was refused using authentication mechanism PLAIN.";
    let open = |said: Vec<u8>| vec![greeting(), tune(), said];
    for (target, answers, says, code) in [
        (LOGIN, vec![greeting(), close(403, refused)], "it refuses the login: ACCESS_REFUSED", "protocol.password"),
        (LOGIN, vec![start("EXTERNAL", true)], "it offers EXTERNAL", "protocol.auth-method"),
        (LOGIN, vec![greeting(), method(0, 10, 20, b"\0\0\0\x01?")], "asks a question", "protocol.auth-method"),
        (LOGIN, open(close(530, "NOT_ALLOWED - vhost shop not found")), "the vhost is not:", "protocol.no-database"),
        (LOGIN, open(close(402, "INVALID_PATH - shop")), "the vhost is not:", "protocol.no-database"),
        (
            LOGIN,
            open(close(530, "NOT_ALLOWED - access to vhost 'shop' refused for user 'app'")),
            "may not use the vhost",
            "protocol.not-authorized",
        ),
        (
            LOGIN,
            open(close(530, "NOT_ALLOWED - access refused: connection limit (1) is reached")),
            "no connection left",
            "protocol.too-many-clients",
        ),
        (
            LOGIN,
            open(close(541, "INTERNAL_ERROR - vhost 'shop' is down")),
            "the vhost is down",
            "protocol.not-accepting",
        ),
        (LOGIN, open(close(541, "INTERNAL_ERROR")), "with an error: INTERNAL_ERROR", "protocol.error"),
        (LOGIN, open(close(501, "FRAME_ERROR - x")), "with an error: FRAME_ERROR", "protocol.error"),
        (LOGIN, open(close(320, "CONNECTION_FORCED - shutdown")), "ends all connections", "protocol.not-accepting"),
        (PLAIN, vec![close(320, "CONNECTION_FORCED - shutdown")], "ends all connections", "protocol.not-accepting"),
        (
            QUEUE,
            then(&[channel_ok(), channel_close(404, "NOT_FOUND - no queue 'jobs' in vhost 'shop'")]),
            "it does not have the queue: NOT_FOUND",
            "expect.missing",
        ),
        (
            QUEUE,
            then(&[channel_ok(), channel_close(405, "RESOURCE_LOCKED - cannot obtain exclusive access")]),
            "belongs to another connection alone",
            "expect.state",
        ),
        (
            QUEUE,
            then(&[channel_ok(), channel_close(403, "ACCESS_REFUSED - read access")]),
            "may not ask for the queue",
            "protocol.forbidden",
        ),
        (
            PUBLISH,
            then(&[channel_ok(), blocked("low on memory")]),
            "an alarm blocks publishers: low on memory",
            "expect.state",
        ),
        (
            PUBLISH,
            then(&[channel_ok(), channel_close(403, "ACCESS_REFUSED - write access")]),
            "may not publish",
            "protocol.forbidden",
        ),
        (LOGIN, open(method(0, 10, 30, b"")), "does not have there", "protocol.error"),
        (LOGIN, vec![greeting(), method(0, 10, 30, b"\0")], "does not have there", "protocol.error"),
        (PLAIN, vec![open_ok()], "does not have there", "protocol.error"),
        (PLAIN, vec![method(0, 10, 10, b"\0\x09\0")], "does not have there", "protocol.error"),
    ] {
        let fake = saying(answers);
        let target = target.replace("ADDR", &fake.addr.to_string());
        let ended = Run::new(["--once", "--attempt-timeout=1s", "--log-format=json", &target]).end();
        ended.failure().stderr_has(says).stderr_has(code).nowhere("hunter2");
    }
}

/// The specification has no words for a refused login: such a server hangs up.
#[test]
fn a_server_that_hangs_up_after_the_login() {
    let hanging_up = |greeting: Vec<u8>| {
        Fake::new(move |mut stream| {
            use std::io::{Read as _, Write as _};
            let _ = stream.read(&mut [0; 4096]);
            let _ = stream.write_all(&greeting);
            let _ = stream.read(&mut [0; 4096]);
        })
    };
    let old = once(LOGIN, &hanging_up(start("PLAIN", false)));
    old.failure().stderr_has("it refuses the login").stderr_has("protocol.password").nowhere("hunter2");
    let new = once(LOGIN, &hanging_up(greeting()));
    new.failure().stderr_has("closed the connection after the login").stderr_has("protocol.closed");
}

#[test]
fn another_version_is_named() {
    for (header, says) in [
        (&b"AMQP\x03\x01\0\0"[..], "offers AMQP 1.0 with SASL, and not AMQP 0-9-1"),
        (b"AMQP\0\x01\0\0", "offers AMQP 1.0, and"),
        (b"AMQP\x01\x01\x08\0", "offers AMQP 0-8"),
        (b"AMQP\x01\x01\0\x0a", "offers AMQP 0-10"),
        (b"AMQP\x09\x09\x09\x09", "another version of AMQP (9.9.9.9)"),
        (b"AMQP\0\0\x09\x01", "ended the session at once"),
    ] {
        for target in [PLAIN, LOGIN] {
            once(target, &Fake::answering(header)).failure().stderr_has(says).nowhere("hunter2");
        }
    }
}

#[test]
fn another_protocol_is_named() {
    for (first, says) in [
        ("HTTP/1.1 400 Bad Request\r\n\r\n", "answered in HTTP, not in AMQP"),
        ("-ERR unknown command\r\n", "answered in Redis"),
        ("\x4a\0\0\0\x0a8.0.36\0", "answered in MySQL"),
        ("\x15\x03\x01\0\x02\x02\x46", "wants TLS on this port"),
        ("220 mail.example ESMTP\r\n", "answered in SMTP"),
        ("\0\0\0", "answered, but not in AMQP"),
        ("\x01\0\0\x7f\x7f\x7f\x7f", "answered, but not in AMQP"),
        ("A", "closed the connection after the protocol header"),
    ] {
        once(PLAIN, &Fake::answering(first)).failure().stderr_has(says);
        once(LOGIN, &Fake::answering(first)).failure().stderr_has(says).nowhere("hunter2");
    }
    once(PLAIN, &Fake::answering("\x15\x03\x01\0\x02\x02\x46")).failure().stderr_has("use amqps:");
}

/// Other kinds on its port: the hint names this one.
#[cfg(all(feature = "http", feature = "redis"))]
#[test]
fn other_kinds_name_it() {
    for target in ["http://ADDR/", "redis:ADDR", "tls:ADDR", "amqps://ADDR"] {
        once(target, &Fake::answering("AMQP\0\0\x09\x01"))
            .failure()
            .stderr_has("answered in AMQP")
            .stderr_has("use amqp:");
    }
}

#[test]
fn silence_and_an_end() {
    once(PLAIN, &Fake::silent()).failure().stderr_says("the protocol header, and no complete answer");
    once(PLAIN, &Fake::closing()).failure().stderr_has("closed it without an answer").stderr_has("a proxy");
    let silent_later = Fake::answering(greeting());
    once(LOGIN, &silent_later).failure().stderr_says("the login, and no complete answer").nowhere("hunter2");
    once("amqp://ADDR#gone", &Fake::silent()).failure().stderr_has("still there");
}
