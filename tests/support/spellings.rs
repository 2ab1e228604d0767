//! Spellings of a target with a password, and the outputs that must not have it.

use std::fs;

use super::{Run, free_port};

/// A target and its environment; `ADDR` is a closed port.
pub(crate) type Spelling = (&'static str, &'static [(&'static str, &'static str)]);

/// What is looked for: any of these pieces. Each spelling has at least one of them in its secret.
const PIECES: [&str; 3] = ["hunter2", "correct-horse", "zw0lf"];

fn run(options: &[&str], (target, env): &Spelling, closed: &str) -> Run {
    let run = Run::new(options).arg(target.replace("ADDR", closed));
    env.iter().fold(run, |run, (name, value)| run.env(name, value.replace("ADDR", closed)))
}

/// No output has a piece: text, JSON, -v, the plan, the termination message, errors.
#[track_caller]
pub(crate) fn never_shown(spellings: &[Spelling]) {
    let closed = free_port().to_string();
    let folder = tempfile::tempdir().unwrap();
    let message = folder.path().join("termination");
    let note = message.to_string_lossy().into_owned();
    let outputs: [&[&str]; 5] = [
        &["--once"],
        &["--once", "--log-format=json"],
        &["--once", "-v"],
        &["--dry-run"],
        &["--timeout=100ms", "-v", "--termination-log", &note],
    ];
    for spelling in spellings {
        for output in outputs {
            fs::write(&message, "").unwrap();
            let ended = run(output, spelling, &closed).end();
            let left = fs::read_to_string(&message).unwrap();
            for piece in PIECES {
                ended.nowhere(piece);
                assert!(!left.contains(piece), "{}: {left}{ended}", spelling.0);
            }
        }
    }
}

/// How many of them are right, so that they get as far as the network. A table of wrong ones would be worth nothing.
pub(crate) fn tried(spellings: &[Spelling]) -> usize {
    let closed = free_port().to_string();
    let refused = |spelling: &&Spelling| run(&["--once"], spelling, &closed).end().stderr.contains("refused by");
    spellings.iter().filter(refused).count()
}
