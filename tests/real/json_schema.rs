//! `--log-format=json`: every line is an object that examples/json-schema.json describes.

use std::io::Write as _;
use std::process::{Command, Stdio};

use crate::support::{Fake, Run};

const SCHEMA: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/json-schema.json");

/// Debian's python3-jsonschema; it fails loudly where it is missing.
const VALIDATE: &str = r"
import json, sys
from jsonschema import Draft202012Validator as Validator
schema = json.load(open(sys.argv[1]))
Validator.check_schema(schema)
seen = []
for line in sys.stdin:
    object = json.loads(line)
    faults = list(Validator(schema).iter_errors(object))
    assert not faults, (line, faults)
    seen.append(object.get('verdict') or object['event'])
print(*seen)
";

/// Validates every line of stderr, and gives the events in order (a verdict by its word).
fn events(run: Run) -> String {
    let ended = run.env("WAITGATE_LOG_FORMAT", "json").end();
    let mut python = Command::new("/usr/bin/python3")
        .args(["-c", VALIDATE, SCHEMA])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("python3 runs");
    python.stdin.take().expect("a pipe").write_all(ended.stderr.as_bytes()).expect("python3 reads");
    let output = python.wait_with_output().expect("python3 ends");
    let fault = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{fault}\n(python3-jsonschema is needed)\n{}", ended.stderr);
    String::from_utf8(output.stdout).expect("words").trim().to_owned()
}

#[test]
fn a_run_that_gets_ready() {
    let fake = Fake::silent();
    let target = format!("tcp:{}#successes=3#max-pause=10ms", fake.addr);
    assert_eq!(events(Run::new([&target])), "start change ready ready");
    assert_eq!(events(Run::new(["-v", "--settle=20ms", &target])), "start change attempt ready settle ready");
}

#[test]
fn a_run_that_times_out() {
    let fake = Fake::closing();
    let target = format!("tcp:{}", fake.addr);
    let run = Run::new(["-t", "200ms", &target, "tcp:h:1"]).env("WAITGATE_TIMOUT", "1");
    assert_eq!(events(run), "warning start change timed-out");
    let own = format!("{target}#timeout=100ms");
    assert_eq!(events(Run::new(["-q", &own])), "timed-out");
}

/// More is missing than fits into the last line, which says less of each.
#[test]
fn a_run_with_many_targets() {
    let ip = crate::support::loopback();
    let targets = (1..=100).map(|port| format!("tcp:{ip}:{port}"));
    let run = Run::new(["-q", "-t", "500ms", "--parallel"].map(str::to_owned).into_iter().chain(targets));
    assert_eq!(events(run), "timed-out");
}

#[test]
fn one_attempt() {
    let fake = Fake::closing();
    let target = format!("tcp:{}", fake.addr);
    assert_eq!(events(Run::new(["--once", &target])), "not-ready");
    assert_eq!(events(Run::new(["--once", "-v", "--parallel", &target, &target])), "start attempt attempt not-ready");
}

#[test]
fn wrong_input_is_an_object_too() {
    assert_eq!(events(Run::new(["tcp:h"])), "invalid");
    assert_eq!(events(Run::new(["--no-such-option"])), "invalid");
    assert_eq!(events(Run::new(["--timeout=5", "tcp:h:1"])), "invalid");
}

/// A server's words cannot end a line, steer a terminal or break out of a string.
#[cfg(feature = "http")]
#[test]
fn a_servers_words_are_escaped() {
    let fake = Fake::answering("220 \"}\r\n{\"event\":\"ready\"}\u{1b}[2J\r\n");
    let target = format!("http://{}/", fake.addr);
    assert_eq!(events(Run::new(["--once", &target])), "not-ready");
}
