//! Passwords in every spelling, and that no output has them: text, JSON, -v, the plan, the termination message, errors.

use std::fs;

use crate::support::{
    Run, free_port,
    kafka::{TODAY, authenticated, broker, offer, session, versions},
    spellings::{Spelling, never_shown, tried},
};

/// The target and its environment; `ADDR` is a closed port.
const SPELLINGS: &[Spelling] = &[
    ("kafka://app:hunter2@ADDR", &[]),
    ("kafkas://app:hunter2@ADDR", &[]),
    ("KAFKA://app:hunter2@ADDR,ADDR", &[]),
    ("SASL_SSL://app:hunter2@ADDR", &[]),
    ("SASL_PLAINTEXT://app:hunter2@ADDR,SASL_PLAINTEXT://ADDR", &[]),
    ("kafka+ssl://app:hunter2@ADDR", &[]),
    ("kafka://app:hunter2%40correct-horse@ADDR", &[]),
    ("kafka://app:%68unter2-zw0lf@ADDR", &[]),
    ("kafka://app:hunter2:zw0lf@ADDR", &[]),
    ("kafka://app:hunter2,zw0lf@ADDR", &[]),
    ("kafka://app:hunter2@correct-horse@ADDR", &[]),
    ("kafka://app:hunter2/correct-horse@ADDR", &[]),
    ("kafka://app:hunter2?correct-horse@ADDR", &[]),
    ("kafka://app:hunter2#correct-horse@ADDR", &[]),
    ("kafka://app:hunter2#correct-horse=zw0lf@ADDR", &[]),
    ("kafka://app:hunter2%zw0lf@ADDR", &[]),
    ("kafka://app:hunter2 zw0lf@ADDR", &[]),
    ("kafka://hunter2@ADDR", &[]),
    ("kafka:app:hunter2@ADDR", &[]),
    ("kafka:ADDR#user=app#password=hunter2", &[]),
    ("kafka://ADDR,app:hunter2@ADDR", &[]),
    ("kafka://app:$(PW)@ADDR", &[("PW", "hunter2 @:/?#%,zw0lf")]),
    ("env:URL", &[("URL", "kafka://app:hunter2@ADDR,ADDR")]),
    ("kafka:$(LIST)", &[("LIST", "kafka://app:hunter2@ADDR")]),
];

#[test]
fn no_output_has_the_password() {
    never_shown(SPELLINGS);
}

/// The table is worth nothing if its right spellings do not even get as far as the network.
#[cfg(feature = "tls")]
#[test]
fn the_right_ones_are_tried() {
    assert_eq!(tried(SPELLINGS), 14);
}

/// A broker may repeat what it got: the password, the whole message of PLAIN, or a part of it.
#[test]
fn a_brokers_words_do_not_give_a_secret_back() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("password");
    fs::write(&file, "hunter2\n").unwrap();
    let today = || versions(0, TODAY);
    for bodies in [
        vec![today(), offer(0, &[]), authenticated(58, "no: hunter2", "")],
        vec![today(), offer(0, &[]), authenticated(58, "no: \0app\0hunter2", "")],
        vec![today(), offer(0, &[]), authenticated(-1, "aHVudGVyMg== is hunter2", "")],
        vec![today(), offer(33, &["hunter2", "x-hunter2"])],
    ] {
        let fake = broker(vec![session(&bodies)]);
        for target in ["kafka://app:hunter2@ADDR", "kafka://app:$(PW)@ADDR", "kafka:ADDR#user=app#password=@FILE"] {
            let target = target.replace("ADDR", &fake.addr.to_string()).replace("FILE", &file.to_string_lossy());
            for mechanism in ["SCRAM-SHA-256", "PLAIN"] {
                for output in ["--log-format=text", "--log-format=json"] {
                    let target = format!("{target}#mechanism={mechanism}");
                    let ended = Run::new(["--once", "-v", output, &target]).env("PW", "hunter2").end();
                    ended.failure().nowhere("hunter2");
                    ended.expect("stars", ended.stderr.contains("***"));
                }
            }
        }
    }
}

/// A variable where a file's name or a host is meant is a likely slip: its value is shown nowhere.
#[test]
fn what_is_in_a_variable_is_not_shown() {
    let closed = free_port();
    for target in [
        format!("kafka:{closed}#user=app#password=@$(X)"),
        format!("kafka://$(X):pw@{closed}"),
        format!("kafkas:{closed}#ca=$(X)"),
        format!("kafka:{closed}#topic=$(X)"),
        format!("kafka:{closed}#user=$(X)#password=@/nowhere"),
    ] {
        for value in ["hunter2", "-----BEGIN PRIVATE KEY-----\nhunter2\n-----END PRIVATE KEY-----\n"] {
            for output in ["--once", "--dry-run"] {
                Run::new([output, "-v", &target]).env("X", value).end().nowhere("hunter2");
            }
        }
    }
}
