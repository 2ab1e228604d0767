//! Passwords in every spelling, and that no output has them: text, JSON, -v, the plan, the termination message, errors.

use crate::support::{
    Run, free_port,
    mysql::{err, packet, saying},
    spellings::{Spelling, never_shown, tried},
};

/// The target and its environment; `ADDR` is a closed port.
const SPELLINGS: &[Spelling] = &[
    ("mysql://app:hunter2@ADDR/shop", &[]),
    ("mariadb://app:hunter2@ADDR/shop", &[]),
    ("mysql2://app:hunter2@ADDR/shop", &[]),
    ("mysql+pymysql://app:hunter2@ADDR/shop", &[]),
    ("MYSQL://app:hunter2@ADDR/shop", &[]),
    ("mysql://app:hunter2%40correct-horse@ADDR/shop", &[]),
    ("mysql://app:%68unter2-zw0lf@ADDR/shop", &[]),
    ("mysql://app:hunter2:zw0lf@ADDR/shop", &[]),
    ("mysql://app:hunter2@tcp(ADDR)/shop", &[]),
    ("mysql://:hunter2@ADDR", &[]),
    ("mysql://app:hunter2@correct-horse@ADDR/shop", &[]),
    ("mysql://app@zw0lf:hunter2@ADDR/shop", &[]),
    ("mysql://app:hunter2/correct-horse@ADDR/shop", &[]),
    ("mysql://app:hunter2?correct-horse@ADDR/shop", &[]),
    ("mysql://app:a@hunter2?correct-horse=x@ADDR/shop", &[]),
    ("mysql://app:hunter2#correct-horse@ADDR/shop", &[]),
    ("mysql://app:hunter2#correct-horse=zw0lf@ADDR/shop", &[]),
    ("mysql://app:hunter2%zw0lf@ADDR/shop", &[]),
    ("mysql://app:hunter2%@ADDR/shop", &[]),
    ("mysql://app:hunter2%00@ADDR/shop", &[]),
    ("mysql://app:hunter2 zw0lf@ADDR/shop", &[]),
    ("mysql://app:hunter2@ADDRhunter2/shop", &[]),
    ("mysql://app:hunter2@ADDR9/shop", &[]),
    ("mysql://app:hunter2@ADDR/shop?ssl-mode=zw0lf", &[]),
    ("mysql://ADDR/shop?user=app&password=hunter2", &[]),
    ("mysql://ADDR/shop?user=app&password=hunter2&zw0lf=correct-horse", &[]),
    ("mysql://ADDR/shop?user=app&password=hunter2%26zw0lf", &[]),
    ("mysql://app:zw0lf@ADDR/shop?password=hunter2#attempt-timeout=hunter2", &[]),
    ("jdbc:mysql://ADDR/shop?user=app&password=hunter2", &[]),
    ("jdbc:mariadb://ADDR/shop?user=app&password=hunter2&keyStorePassword=zw0lf", &[]),
    ("jdbc:mysql://app:hunter2@ADDR/shop", &[]),
    ("jdbc:zw0lf://app:hunter2@ADDR/shop", &[]),
    ("mysql://app:$(PW)@ADDR/shop", &[("PW", "hunter2 @:/?#%zw0lf")]),
    ("mysql://$(PW):x@ADDR/$(PW)", &[("PW", "hunter2")]),
    ("mysql://app@ADDR/shop", &[("MYSQL_PWD", "hunter2")]),
    ("env:URL", &[("URL", "mysql://app:hunter2@ADDR/zw0lf?zw0lf=1")]),
    ("env:URL", &[("URL", "mysql://app:hunter2@zw0lf@ADDR/shop")]),
    ("env:URL", &[("URL", "jdbc:mysql://ADDR/zw0lf?user=correct-horse&password=hunter2")]),
];

#[test]
fn no_output_has_the_password() {
    never_shown(SPELLINGS);
}

/// The table is worth nothing if its right spellings do not even get as far as the network.
#[test]
fn the_right_ones_are_tried() {
    assert_eq!(tried(SPELLINGS), 20);
}

/// A server repeats in its error what a client sent, or what a query holds.
#[test]
fn a_servers_words_do_not_give_a_secret_back() {
    for (number, words) in [(1045, "no: hunter2"), (1054, "Unknown column 'zw0lf'"), (1040, "hunter2 zw0lf")] {
        let fake = saying(vec![packet(2, &err(number, words))]);
        for target in ["mysql://app:$(PW)@ADDR/shop", "mysql://app:hunter2@ADDR/shop#query=SELECT $(TOK)"] {
            let target = target.replace("ADDR", &fake.addr.to_string());
            for output in ["--log-format=text", "--log-format=json"] {
                let run = Run::new(["--once", "-v", output, &format!("{target}#login")]);
                let ended = run.env("PW", "hunter2").env("TOK", "zw0lf").end();
                ended.failure().nowhere("hunter2");
                let asked = target.contains("$(TOK)");
                ended.expect("a token that the target holds is hidden", !asked || !ended.stderr.contains("zw0lf"));
            }
        }
    }
}

/// A variable where a file's name is meant is a likely slip: its value is shown nowhere.
#[cfg(feature = "tls")]
#[test]
fn a_path_out_of_a_variable_is_not_shown() {
    let closed = free_port();
    for more in ["#password=@$(X)", "?ssl_ca=$(X)", "?ssl_cert=$(X)&ssl_key=$(X)", "#ca=$(X)", "#cert=$(X)#key=$(X)"] {
        for value in ["hunter2", "-----BEGIN PRIVATE KEY-----\nhunter2\n-----END PRIVATE KEY-----\n"] {
            let target = format!("mysql://app@{closed}/shop{more}");
            for output in ["--once", "--dry-run"] {
                Run::new([output, "-v", &target]).env("X", value).end().nowhere("hunter2");
            }
        }
        let reason = Run::new(["--once", &format!("mysql://app@{closed}/shop{more}")]).env("X", "hunter2").end();
        reason.failure().stderr_has("$(X)");
    }
    let url = format!("mysql://app@{closed}/shop?ssl_ca=hunter2");
    Run::new(["--once", "env:URL"]).env("URL", &url).end().failure().nowhere("hunter2");
}
