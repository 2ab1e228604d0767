//! Passwords in every spelling, and that no output has them: text, JSON, -v, the plan, the termination message, errors.

use crate::support::{
    Fake, Run, free_port,
    spellings::{Spelling, never_shown, tried},
};

/// The target and its environment; `ADDR` is a closed port.
const SPELLINGS: &[Spelling] = &[
    ("postgres://app:hunter2@ADDR/shop", &[]),
    ("postgresql://app:hunter2@ADDR/shop", &[]),
    ("postgresql+psycopg2://app:hunter2@ADDR/shop", &[]),
    ("POSTGRES://app:hunter2@ADDR/shop", &[]),
    ("postgres://:hunter2@ADDR", &[]),
    ("postgres://app:hunter2%40correct-horse@ADDR/shop", &[]),
    ("postgres://app:%68unter2-zw0lf@ADDR/shop", &[]),
    ("postgres://app:hunter2:zw0lf@ADDR/shop", &[]),
    ("postgres://app:hunter2@correct-horse@ADDR/shop", &[]),
    ("postgres://app@zw0lf:hunter2@ADDR/shop", &[]),
    ("postgres://app:hunter2/correct-horse@ADDR/shop", &[]),
    ("postgres://app:hunter2?correct-horse@ADDR/shop", &[]),
    ("postgres://app:a@hunter2?correct-horse=x@ADDR/shop", &[]),
    ("postgres://app:hunter2#correct-horse@ADDR/shop", &[]),
    ("postgres://app:hunter2#correct-horse=zw0lf@ADDR/shop", &[]),
    ("postgres://app:hunter2%zw0lf@ADDR/shop", &[]),
    ("postgres://app:hunter2%@ADDR/shop", &[]),
    ("postgres://app:hunter2%00@ADDR/shop", &[]),
    ("postgres://app:hunter2 zw0lf@ADDR/shop", &[]),
    ("postgres://app:hunter2@ADDRhunter2/shop", &[]),
    ("postgres://app:hunter2@ADDR9/shop", &[]),
    ("postgres://app:hunter2@ADDR/shop?sslmode=zw0lf", &[]),
    ("postgres://ADDR/shop?user=app&password=hunter2", &[]),
    ("postgres://ADDR/shop?password=hunter2&zw0lf=correct-horse", &[]),
    ("postgres://ADDR/shop?user=app&password=hunter2%26zw0lf", &[]),
    ("postgres://app:zw0lf@ADDR/shop?password=hunter2#attempt-timeout=hunter2", &[]),
    ("postgres:host=db user=app password=hunter2", &[]),
    ("host=db user=app password='hunter2 zw0lf'", &[]),
    ("jdbc:postgresql://ADDR/shop?user=app&password=hunter2", &[]),
    ("app:hunter2@ADDR", &[]),
    ("hunter2://ADDR", &[]),
    ("postgres://app:$(PW)@ADDR/shop", &[("PW", "hunter2 @:/?#%zw0lf")]),
    ("postgres://app@ADDR/shop", &[("PGPASSWORD", "hunter2")]),
    ("env:URL", &[("URL", "postgres://app:hunter2@ADDR/shop?zw0lf=1")]),
    ("env:URL", &[("URL", "postgres://app:hunter2@zw0lf@ADDR/shop")]),
    ("env:URL", &[("URL", "host=db password=hunter2")]),
];

#[test]
fn no_output_has_the_password() {
    never_shown(SPELLINGS);
}

/// The table is worth nothing if its right spellings do not even get as far as the network.
#[test]
fn the_right_ones_are_tried() {
    assert_eq!(tried(SPELLINGS), 15);
}

/// A server repeats in its error what a client sent, or what a query holds.
#[test]
fn a_servers_words_do_not_give_a_secret_back() {
    for (code, words) in
        [("28P01", "no: hunter2"), ("42703", "column \"zw0lf\" does not exist"), ("XX000", "hunter2 zw0lf")]
    {
        let fields = format!("SFATAL\0VFATAL\0C{code}\0M{words}\0\0");
        let length = u32::try_from(fields.len() + 4).unwrap().to_be_bytes();
        let fake = Fake::answering([&b"E"[..], &length, fields.as_bytes()].concat());
        for target in ["postgres://app:$(PW)@ADDR/shop", "postgres://app:hunter2@ADDR/shop#query=SELECT $(TOK)"] {
            let target = target.replace("ADDR", &fake.addr.to_string()).replacen("/shop", "/shop?sslmode=disable", 1);
            for output in ["--log-format=text", "--log-format=json"] {
                let run = Run::new(["--once", "-v", output, &format!("{target}#login")]);
                let ended = run.env("PW", "hunter2").env("TOK", "zw0lf").end();
                ended.failure().nowhere("hunter2");
                let asked = target.contains("$(TOK)");
                ended.expect("a token that the target holds is hidden", !asked || !ended.stderr.contains("zw0lf"));
                ended.expect("stars", ended.stderr.contains("***") || (!asked && code == "42703"));
            }
        }
    }
}

/// A variable where a file's name is meant is a likely slip: its value is shown nowhere.
#[cfg(feature = "tls")]
#[test]
fn a_path_out_of_a_variable_is_not_shown() {
    let closed = free_port();
    for more in ["#password=@$(X)", "?passfile=$(X)", "?sslmode=require&sslcert=$(X)&sslkey=$(X)", "?sslrootcert=$(X)"]
    {
        for value in ["hunter2", "-----BEGIN PRIVATE KEY-----\nhunter2\n-----END PRIVATE KEY-----\n"] {
            let target = format!("postgres://app@{closed}/shop{more}");
            for output in ["--once", "--dry-run"] {
                Run::new([output, "-v", &target]).env("X", value).end().nowhere("hunter2");
            }
        }
        let reason = Run::new(["--once", &format!("postgres://app@{closed}/shop{more}")]).env("X", "hunter2").end();
        reason.failure().stderr_has("$(X)");
    }
    for variable in ["PGPASSFILE", "PGSSLROOTCERT"] {
        let run = Run::new(["--once", &format!("postgres://app@{closed}/shop")]).env(variable, "hunter2");
        run.end().failure().stderr_has(variable).nowhere("hunter2");
    }
    let url = format!("postgres://app@{closed}/shop?passfile=hunter2");
    Run::new(["--once", "env:URL"]).env("URL", &url).end().failure().nowhere("hunter2");
}
