//! Passwords in every spelling, and that no output has them: text, JSON, -v, the plan, the termination message, errors.

use std::fs;

use crate::support::{
    Run,
    amqp::{channel_close, channel_ok, close, greeting, logged_in, saying, start, tune},
    spellings::{Spelling, never_shown, tried},
};

/// The target and its environment; `ADDR` is a closed port.
const SPELLINGS: &[Spelling] = &[
    ("amqp://app:hunter2@ADDR/shop", &[]),
    ("amqps://app:hunter2@ADDR/shop", &[]),
    ("pyamqp://app:hunter2@ADDR//", &[]),
    ("AMQP://app:hunter2@ADDR", &[]),
    ("amqp+ssl://app:hunter2@ADDR", &[]),
    ("rabbitmq://app:hunter2@ADDR/v", &[]),
    ("amqp://:hunter2@ADDR", &[]),
    ("amqp://app:hunter2%40correct-horse@ADDR/shop", &[]),
    ("amqp://app:%68unter2-zw0lf@ADDR/shop", &[]),
    ("amqp://app:hunter2:zw0lf@ADDR/shop", &[]),
    ("amqp://app:hunter2@correct-horse@ADDR/shop", &[]),
    ("amqp://app:hunter2/correct-horse@ADDR/shop", &[]),
    ("amqp://app:hunter2?correct-horse@ADDR/shop", &[]),
    ("amqp://:a?hunter2=correct-horse@ADDR/shop", &[]),
    ("amqp://app:hunter2#correct-horse@ADDR/shop", &[]),
    ("amqp://app:hunter2#correct-horse=zw0lf@ADDR/shop", &[]),
    ("amqp://app:hunter2%zw0lf@ADDR/shop", &[]),
    ("amqp://app:hunter2%00@ADDR/shop", &[]),
    ("amqp://app:hunter2 zw0lf@ADDR/shop", &[]),
    ("amqp://app:hunter2@ADDRhunter2/shop", &[]),
    ("amqp://app:hunter2@ADDR/v/zw0lf", &[]),
    ("amqp://app:x@ADDR?hunter2=zw0lf", &[]),
    ("amqps://app:x@ADDR?password=hunter2", &[]),
    ("amqps://app:x@ADDR?verify=zw0lf", &[]),
    ("amqp://app:zw0lf@ADDR#attempt-timeout=hunter2", &[]),
    ("amqp:hunter2@ADDR", &[]),
    ("amqp:ADDR#password=hunter2", &[]),
    ("amqp://app:$(PW)@ADDR/shop", &[("PW", "hunter2 @:/?#%zw0lf")]),
    ("env:URL", &[("URL", "amqp://app:hunter2@ADDR/zw0lf?correct-horse=1")]),
    ("env:URL", &[("URL", "amqps://app:hunter2@ADDR?cacertfile=/zw0lf")]),
];

#[test]
fn no_output_has_the_password() {
    never_shown(SPELLINGS);
}

/// The table is worth nothing if its right spellings do not even get as far as the network.
#[cfg(feature = "tls")]
#[test]
fn the_right_ones_are_tried() {
    assert_eq!(tried(SPELLINGS), 13);
}

/// A server that repeats the login, in each place that waitgate quotes.
#[test]
fn a_servers_words_do_not_give_a_secret_back() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("password");
    fs::write(&file, "hunter2\n").unwrap();
    let said = "no: hunter2";
    for answers in [
        vec![close(320, said)],
        vec![start(said, true)],
        vec![greeting(), close(403, said)],
        vec![greeting(), tune(), close(530, said)],
        [logged_in(), vec![channel_ok(), channel_close(404, said)]].concat(),
        [logged_in(), vec![channel_ok(), channel_close(200, "hunter2")]].concat(),
    ] {
        for target in [
            "amqp://app:hunter2@ADDR#queue=q",
            "amqp://app:$(PW)@ADDR#queue=q",
            "amqp://app@ADDR#password=@FILE#queue=q",
        ] {
            for output in ["--log-format=text", "--log-format=json"] {
                let fake = saying(answers.clone());
                let target = target.replace("ADDR", &fake.addr.to_string()).replace("FILE", &file.to_string_lossy());
                let ended = Run::new(["--once", "-v", output, &target]).env("PW", "hunter2").end();
                ended.failure().nowhere("hunter2");
                ended.expect("stars", ended.stderr.contains("***"));
            }
        }
    }
    let blocked = crate::support::amqp::blocked("low: hunter2");
    let fake = saying(vec![greeting(), tune(), [blocked, crate::support::amqp::open_ok()].concat()]);
    let ended = Run::new(["--once", "-v", &format!("amqp://app:hunter2@{}", fake.addr)]).end();
    ended.success().stderr_has("low: ***").nowhere("hunter2");
}
