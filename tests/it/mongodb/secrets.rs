//! Passwords in every spelling, and that no output has them: text, JSON, -v, the plan, the termination message, errors.

use std::fs;

use crate::support::mongodb::{Doc, Mongod, state};
use crate::support::spellings::{Spelling, never_shown, tried};
use crate::support::{Run, free_port};

/// The target and its environment; `ADDR` is a closed port.
const SPELLINGS: &[Spelling] = &[
    ("mongodb://app:hunter2@ADDR/shop", &[]),
    ("MONGODB://app:hunter2@ADDR", &[]),
    ("mongodb+srv://app:hunter2@nowhere.invalid/shop", &[]),
    ("mongodb+srv://app:hunter2@ADDR/shop", &[]),
    ("mongodb+srv://app:hunter2@127.0.0.1/shop", &[]),
    ("mongodb://app:hunter2@ADDR/?tls=true", &[]),
    ("mongodb://:hunter2@ADDR", &[]),
    ("mongodb://app:hunter2%40correct-horse@ADDR", &[]),
    ("mongodb://app:%68unter2-zw0lf@ADDR", &[]),
    ("mongodb://app:hunter2:zw0lf@ADDR", &[]),
    ("mongodb://app:hunter2@correct-horse@ADDR", &[]),
    ("mongodb://app:hunter2/correct-horse@ADDR", &[]),
    ("mongodb://app:zw0lf/hunter2/correct-horse@ADDR", &[]),
    ("mongodb://app:hunter2?correct-horse@ADDR", &[]),
    ("mongodb://app:a?hunter2=correct-horse@ADDR", &[]),
    ("mongodb://app:hunter2#correct-horse@ADDR", &[]),
    ("mongodb://app:hunter2#correct-horse=zw0lf@ADDR", &[]),
    ("mongodb://app:hunter2%zw0lf@ADDR", &[]),
    ("mongodb://app:hunter2%00@ADDR", &[]),
    ("mongodb://app:hunter2 zw0lf@ADDR", &[]),
    ("mongodb://app:hunter2@ADDRhunter2", &[]),
    ("mongodb://app:hunter2@ADDR,ADDR/", &[]),
    ("mongodb://app:hunter2@ADDR,hunter2:zw0lf/", &[]),
    ("mongodb://app:hunter2@ADDR/a/zw0lf", &[]),
    ("mongodb://app:hunter2@ADDR/?zw0lf=correct-horse", &[]),
    ("mongodb://app:hunter2@ADDR/?zw0lf", &[]),
    ("mongodb://app:hunter2@ADDR/?tls=zw0lf", &[]),
    ("mongodb://app:hunter2@ADDR/?tlszw0lf=1", &[]),
    ("mongodb://app:hunter2@ADDR/?authMechanism=zw0lf", &[]),
    ("mongodb://app:hunter2@ADDR/?authMechanism=PLAIN", &[]),
    ("mongodb://app:hunter2@ADDR/?connectTimeoutMS=zw0lf", &[]),
    ("mongodb://app:hunter2@ADDR/?srvServiceName=zw0lf", &[]),
    ("mongodb://app:hunter2@ADDR#role=zw0lf", &[]),
    ("mongodb://app:hunter2@ADDR#login#attempt-timeout=hunter2", &[]),
    ("mongodb:hunter2@ADDR", &[]),
    ("mongodb:ADDR#password=hunter2", &[]),
    ("mongodb://app:$(PW)@ADDR", &[("PW", "hunter2 @:/?#%zw0lf")]),
    ("mongodb://$(PW)@ADDR", &[("PW", "app:hunter2")]),
    ("env:URL", &[("URL", "mongodb://app:hunter2@ADDR/zw0lf?authSource=correct-horse&x=1")]),
    ("env:URL", &[("URL", "mongodb://zw0lf:hunter2@ADDR/?replicaSet=correct-horse")]),
    ("env:URL", &[("URL", "mongodb://hunter2@ADDR")]),
    ("env:URL", &[("URL", "mongodb://:hunter2@ADDR/?tlsCAFile=/zw0lf")]),
];

#[test]
fn no_output_has_the_password() {
    never_shown(SPELLINGS);
}

/// The table is worth nothing if its right spellings do not even get as far as the network.
#[cfg(feature = "tls")]
#[test]
fn the_right_ones_are_tried() {
    assert_eq!(tried(SPELLINGS), 12);
}

/// A variable where a file's name or a socket is meant is a likely slip: its value is shown nowhere.
#[test]
fn a_path_out_of_a_variable_is_not_shown() {
    let closed = free_port();
    for target in [
        format!("mongodb://app@{closed}#password=@$(X)"),
        format!("mongodb://{closed}#ca=$(X)"),
        format!("mongodb://{closed}/?tlsCAFile=$(X)"),
        format!("mongodb://{closed}/?tlsCertificateKeyFile=$(X)"),
        format!("mongodb://{closed}#set=$(X)"),
        format!("mongodb://{closed}/$(X)"),
        format!("mongodb://$(X)@{closed}"),
        "mongodb://$(X)".to_owned(),
    ] {
        for value in ["/hunter2", "-----BEGIN PRIVATE KEY-----\nhunter2\n-----END PRIVATE KEY-----\n"] {
            for output in ["--once", "--dry-run"] {
                Run::new([output, "-v", &target]).env("X", value).end().nowhere("hunter2");
            }
        }
    }
}

/// What a server says may hold what it was told, in an error and in each name that waitgate shows.
#[test]
fn a_servers_words_do_not_give_a_secret_back() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("password");
    fs::write(&file, "hunter2-zw0lf\n").unwrap();
    let set = |name: &str| state("secondary", "a:1").text("primary", name);
    for (says, more) in [
        (Doc::error(18, "AuthenticationFailed", "no user app with hunter2-zw0lf"), ""),
        (Doc::error(1, "hunter2-zw0lf", &format!("{} hunter2-zw0lf", "x".repeat(290))), ""),
        (Doc::error(91, "ShutdownInProgress", "hunter2-z"), ""),
        (
            Doc::default()
                .text("primary", "hunter2-zw0lf:1")
                .text("setName", "hunter2-zw0lf")
                .bool("secondary", true)
                .number("ok", 1.0),
            "#role=primary",
        ),
        (Doc::default().text("setName", "rs-hunter2-zw0lf").bool("secondary", true).number("ok", 1.0), "#set=rs1"),
        (set("x"), "#role=primary#set=rs1"),
    ] {
        let stars = !says.finish().windows(7).all(|window| window != b"hunter2");
        let server = Mongod::new(says, &[]);
        let targets =
            ["mongodb://app:hunter2-zw0lf@ADDR/shop", "mongodb://app:$(PW)@ADDR", "mongodb://app@ADDR/#password=@FILE"];
        for target in targets {
            let target = format!("{}{more}", server.at(target)).replace("FILE", &file.to_string_lossy());
            for output in ["--log-format=text", "--log-format=json"] {
                let ended = Run::new(["--once", "-v", output, &target]).env("PW", "hunter2-zw0lf").end();
                ended.failure().nowhere("hunter2").nowhere("zw0lf");
                ended.expect("stars", !stars || ended.stderr.contains("***"));
            }
        }
    }
}
