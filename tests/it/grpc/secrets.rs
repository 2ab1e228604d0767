//! Tokens in every spelling, and that no output has them: text, JSON, -v, the plan, the termination message, errors.

use std::fs;

use crate::support::h2::{refusal, server};
use crate::support::{Run, free_port};

/// What is looked for. Each spelling below has one of them in its secret.
const PIECES: [&str; 2] = ["hunter2", "zw0lf"];

/// The target and its environment; `ADDR` is a closed port, or a server that refuses and repeats the token.
const SPELLINGS: [(&str, &[(&str, &str)]); 15] = [
    ("grpc:ADDR#header=authorization:Bearer hunter2-zw0lf", &[]),
    ("grpc:ADDR#header=authorization:hunter2-zw0lf", &[]),
    ("grpc:ADDR#header=X-Token: hunter2-zw0lf", &[]),
    ("grpc:ADDR#header=x-token:$(TOK)", &[("TOK", "hunter2-zw0lf")]),
    ("grpc:ADDR#header=x-token:%68unter2-zw0lf", &[]),
    ("grpc:ADDR#header=cookie:a=b; session=hunter2-zw0lf", &[]),
    ("grpc:ADDR#header=x-token:a#hunter2-zw0lf", &[]),
    ("grpc:ADDR#header=grpc-token:hunter2-zw0lf", &[]),
    ("grpc:ADDR#header=token-bin:hunter2-zw0lf", &[]),
    ("grpc:ADDR#header=hunter2-zw0lf", &[]),
    ("grpc:ADDR#header=x y:hunter2-zw0lf", &[]),
    ("grpc:ADDR#header=x:hunter2-zw0lfä", &[]),
    ("grpc:u:hunter2-zw0lf@ADDR", &[]),
    ("grpc://u:hunter2-zw0lf@ADDR", &[]),
    ("grpcs:ADDR#header=authorization:Bearer hunter2-zw0lf#insecure", &[]),
];

#[test]
fn no_output_has_the_token() {
    let closed = free_port();
    let repeating = server(refusal("16", "bad hunter2-zw0lf, %68unter2-zw0lf"));
    let folder = tempfile::tempdir().unwrap();
    let message = folder.path().join("termination");
    let note = message.to_string_lossy().into_owned();
    let outputs: [&[&str]; 5] =
        [&["--once"], &["--once", "--log-format=json"], &["--once", "-v"], &["--dry-run"], &["-t", "200ms"]];
    for (target, variables) in SPELLINGS {
        for addr in [closed, repeating.addr] {
            for arguments in outputs {
                fs::write(&message, "").unwrap();
                let run = Run::new(arguments).arg(target.replace("ADDR", &addr.to_string()));
                let run = variables.iter().fold(run, |run, (name, value)| run.env(name, value));
                let ended = run.arg(format!("--termination-log={note}")).end();
                let left = fs::read_to_string(&message).unwrap();
                for piece in PIECES {
                    ended.nowhere(piece);
                    assert!(!left.contains(piece), "{target}: {left}");
                }
            }
        }
    }
}

/// A token in a file is hidden too, and the file is named.
#[test]
fn a_token_in_a_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("token");
    let fake = server(refusal("16", "bad hunter2-zw0lf"));
    let target = format!("grpc:{}#header=authorization:Bearer @{}", fake.addr, path.display());
    let missing = Run::new(["--once", &target]).end();
    missing.failure().stderr_has(&format!("Bearer @{}", path.display())).stderr_has("[local.file]");
    fs::write(&path, "hunter2-zw0lf\n").unwrap();
    let ended = Run::new(["--once", "-v", &target]).end();
    ended.failure().stderr_has("refuses the credentials: UNAUTHENTICATED: bad ***").nowhere("hunter2");
    fs::write(&path, "h\u{e4}unter2-zw0lf\n").unwrap();
    Run::new(["--once", &target]).end().failure().stderr_has("not ASCII").nowhere("unter2");
}
