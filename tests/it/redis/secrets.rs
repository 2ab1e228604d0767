//! Passwords in every spelling, and that no output has them: text, JSON, -v, the plan, the termination message, errors.

use std::fs;

use crate::support::{
    Fake, Run, free_port,
    spellings::{Spelling, never_shown, tried},
};

/// The target and its environment; `ADDR` is a closed port.
const SPELLINGS: &[Spelling] = &[
    ("redis://app:hunter2@ADDR/0", &[]),
    ("rediss://app:hunter2@ADDR/0", &[]),
    ("valkey://app:hunter2@ADDR", &[]),
    ("REDIS://app:hunter2@ADDR", &[]),
    ("redis+ssl://app:hunter2@ADDR", &[]),
    ("redis://:hunter2@ADDR", &[]),
    ("redis://hunter2@ADDR", &[]),
    ("redis://hunter2:@ADDR", &[]),
    ("redis://app:hunter2%40correct-horse@ADDR/0", &[]),
    ("redis://app:%68unter2-zw0lf@ADDR/0", &[]),
    ("redis://app:hunter2:zw0lf@ADDR/0", &[]),
    ("redis://app:hunter2@correct-horse@ADDR/0", &[]),
    ("redis://app:hunter2/correct-horse@ADDR/0", &[]),
    ("redis://app:hunter2?correct-horse@ADDR/0", &[]),
    ("redis://:a?hunter2=correct-horse@ADDR/0", &[]),
    ("redis://app:hunter2#correct-horse@ADDR/0", &[]),
    ("redis://app:hunter2#correct-horse=zw0lf@ADDR/0", &[]),
    ("redis://app:hunter2%zw0lf@ADDR/0", &[]),
    ("redis://app:hunter2%00@ADDR/0", &[]),
    ("redis://app:hunter2 zw0lf@ADDR/0", &[]),
    ("redis://app:hunter2@ADDRhunter2/0", &[]),
    ("redis://app:hunter2@ADDR/zw0lf", &[]),
    ("redis://ADDR?username=app&password=hunter2", &[]),
    ("redis://ADDR?password=hunter2&zw0lf=correct-horse", &[]),
    ("redis://ADDR?password=hunter2%26zw0lf", &[]),
    ("redis://ADDR?auth=hunter2", &[]),
    ("rediss://ADDR?password=hunter2&ssl_cert_reqs=zw0lf", &[]),
    ("redis://app:zw0lf@ADDR?password=hunter2#attempt-timeout=hunter2", &[]),
    ("redis-sentinel://:hunter2@ADDR/mymaster", &[]),
    ("redis+unix://:hunter2@/nowhere/zw", &[]),
    ("redis:hunter2@ADDR", &[]),
    ("redis:ADDR#password=hunter2", &[]),
    ("redis://app:$(PW)@ADDR/0", &[("PW", "hunter2 @:/?#%zw0lf")]),
    ("env:URL", &[("URL", "redis://app:hunter2@ADDR/0?zw0lf=1")]),
    ("env:URL", &[("URL", "redis://hunter2@ADDR/0")]),
    ("env:URL", &[("URL", "rediss://:hunter2@ADDR?ssl_ca_certs=/zw0lf")]),
];

#[test]
fn no_output_has_the_password() {
    never_shown(SPELLINGS);
}

/// The table is worth nothing if its right spellings do not even get as far as the network.
#[cfg(feature = "tls")]
#[test]
fn the_right_ones_are_tried() {
    assert_eq!(tried(SPELLINGS), 20);
}

/// A variable where a file's name or a socket is meant is a likely slip: its value is shown nowhere.
#[test]
fn a_path_out_of_a_variable_is_not_shown() {
    let closed = free_port();
    for target in [
        "redis+unix:///run/$(X)".to_owned(),
        format!("redis://{closed}#password=@$(X)"),
        format!("redis://$(X)@{closed}"),
        format!("rediss://{closed}#ca=$(X)"),
        format!("rediss://{closed}?ssl_ca_certs=$(X)"),
        format!("rediss://{closed}?ssl_certfile=$(X)&ssl_keyfile=$(X)"),
    ] {
        for value in ["hunter2", "-----BEGIN PRIVATE KEY-----\nhunter2\n-----END PRIVATE KEY-----\n"] {
            for output in ["--once", "--dry-run"] {
                Run::new([output, "-v", &target]).env("X", value).end().nowhere("hunter2");
            }
        }
    }
    let url = "redis+unix://:zw0lf@/run/hunter2?db=1";
    for output in ["--once", "--dry-run"] {
        Run::new([output, "-v", "env:URL"]).env("URL", url).end().nowhere("hunter2").nowhere("zw0lf");
    }
}

/// A server that does not know AUTH repeats its arguments (redis: src/server.c, "with args beginning with").
#[test]
fn a_servers_words_do_not_give_a_secret_back() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("password");
    fs::write(&file, "hunter2\n").unwrap();
    for said in [
        "-ERR unknown command 'AUTH', with args beginning with: 'app' 'hunter2' \r\n",
        "-hunter2\r\n",
        "-WRONGPASS hunter2\r\n",
        "-LOADING hunter2 is loading\r\n",
    ] {
        let fake = Fake::answering(said);
        for target in ["redis://app:hunter2@ADDR", "redis://app:$(PW)@ADDR", "redis://app@ADDR#password=@FILE"] {
            let target = target.replace("ADDR", &fake.addr.to_string()).replace("FILE", &file.to_string_lossy());
            for output in ["--log-format=text", "--log-format=json"] {
                let ended = Run::new(["--once", "-v", output, &target]).env("PW", "hunter2").end();
                ended.failure().nowhere("hunter2");
                ended.expect("stars", ended.stderr.contains("***"));
            }
        }
    }
}
