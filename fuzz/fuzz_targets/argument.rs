//! One argv item: whatever it holds, it is parsed or refused, and no secret is in what is shown of it.

#![no_main]

use std::sync::OnceLock;

use libfuzzer_sys::fuzz_target;
use waitgate::target::{Given, Target};
use waitgate::vars::Env;

/// What a Secret would hold, with every character that could end a piece of a target.
const SECRET: &str = "s3cr3t#@:/?&=%41$(SECRET)";
/// No part of it that is long enough to be it may be shown.
const TELLING: &str = "s3cr3t";

static ENV: OnceLock<Env> = OnceLock::new();

fuzz_target!(|text: &str| {
    let env = ENV.get_or_init(|| {
        let vars = [("SECRET", SECRET), ("HOST", "db"), ("PORT", "5432"), ("V6", "::1"), ("EMPTY", ""), ("URL", "tcp:db:1")];
        vars.into_iter().collect()
    });
    if text.contains(TELLING) {
        return;
    }
    for ca_file in [false, true] {
        match Target::parse(text, Given { env, ca_file }) {
            Ok((target, _)) => {
                let shown = target.to_string();
                assert!(!shown.contains(char::is_control), "{shown:?}");
                // A database's name, a socket's path and a record are no secrets.
                if matches!(target, Target::Http(_) | Target::Tcp(_)) {
                    assert!(!shown.contains(TELLING), "{shown}");
                    assert!(!format!("{target:?}").contains(TELLING));
                }
                let _ = (target.uses_tls(), target.warnings());
            }
            Err(error) => {
                let message = format!("{error:#}");
                assert!(!message.contains(TELLING), "{message}");
                assert!(!message.is_empty());
            }
        }
    }
});
