//! `--log-format json` for machines, `--explain` for the codes in it, and colour for people.

use serde_json::Value;

use crate::support::{Fake, Run, free_port, run::Ended};

/// Every line of stderr as an object, with what every line has.
#[track_caller]
fn objects(ended: &Ended) -> Vec<Value> {
    let lines: Vec<Value> = ended
        .stderr
        .lines()
        .map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error} in {line}: {ended}")))
        .collect();
    for line in &lines {
        assert_eq!(line["schema"], 1, "{line}");
        assert!(line["elapsed"].is_number() && line["time"].is_string() && line["event"].is_string(), "{line}");
    }
    lines
}

#[test]
fn a_failed_run() {
    let addr = free_port();
    let ended = Run::new(["--log-format=json", "-t", "400ms", &format!("tcp:{addr}")]).end();
    let lines = objects(ended.failure());
    let change = lines.iter().find(|line| line["event"] == "change").unwrap_or_else(|| panic!("{ended}"));
    assert_eq!((&change["stage"], &change["code"]), (&"connect".into(), &"connect.refused".into()), "{change}");
    assert_eq!((&change["attempt"], &change["target"]), (&1.into(), &format!("tcp:{addr}").into()), "{change}");
    assert!(change["reason"].as_str().unwrap().contains(&addr.to_string()), "{change}");
    let verdict = lines.last().unwrap();
    assert_eq!((&verdict["event"], &verdict["status"]), (&"verdict".into(), &1.into()), "{verdict}");
    assert_eq!(verdict["targets"][0]["code"], "connect.refused", "{verdict}");
}

#[test]
fn a_ready_run() {
    let fake = Fake::silent();
    let ended = Run::new(["-v", &format!("tcp:{}", fake.addr)]).env("WAITGATE_LOG_FORMAT", "json").end();
    let lines = objects(ended.success());
    let ready = lines.iter().find(|line| line["event"] == "ready").unwrap_or_else(|| panic!("{ended}"));
    assert_eq!(ready["target"], format!("tcp:{}", fake.addr), "{ready}");
    let verdict = lines.last().unwrap();
    assert_eq!((&verdict["event"], &verdict["status"]), (&"verdict".into(), &0.into()), "{verdict}");
}

/// Wrong input is a line like any other: whoever collects them must see it.
#[test]
fn a_refused_run() {
    let ended = Run::new(["--log-format=json", "tcp:h"]).end();
    let lines = objects(ended.failure());
    assert_eq!(lines.len(), 1, "{ended}");
    assert!(lines[0]["message"].as_str().unwrap().contains("tcp:HOST:PORT"), "{ended}");
}

/// Where and how it is said is known even where another option is not.
#[test]
fn a_mistake_among_the_options() {
    for mistake in ["--log-fromat=text", "--once=yes", "--successes"] {
        let log = tempfile::NamedTempFile::new().unwrap();
        let ended = Run::new(["--log-format=json", "--termination-log"]).arg(log.path()).arg(mistake).end();
        let lines = objects(ended.failure());
        let message = lines[0]["message"].as_str().unwrap();
        assert_eq!((lines.len(), &lines[0]["event"]), (1, &"verdict".into()), "{ended}");
        assert_eq!(std::fs::read_to_string(log.path()).unwrap(), format!("waitgate: {message}"), "{ended}");
        let ended = Run::new([mistake, "--log-format", "json", "tcp:h:1"]).end();
        if mistake != "--successes" {
            objects(ended.failure());
        }
    }
}

/// A hundred targets do not fit into one line; a cut object would be none.
#[test]
fn a_long_verdict_is_still_an_object() {
    let ip = crate::support::loopback();
    let targets = (1..=100).map(|port| format!("tcp:{ip}:{port}"));
    let args = ["--log-format=json", "-t", "500ms", "--parallel"].map(str::to_owned).into_iter().chain(targets);
    let ended = Run::new(args).end();
    let lines = objects(ended.failure());
    let verdict = lines.last().unwrap();
    assert_eq!(verdict["total"], 100, "{ended}");
    let targets = verdict["targets"].as_array().unwrap();
    ended.expect("as many targets as fit", targets.len() > 12);
    assert!(targets.iter().all(|target| target["code"] == "connect.refused"), "{ended}");
    assert!(targets[0]["reason"].as_str().unwrap().contains(&format!("{ip}:1")), "{ended}");
    ended.expect("what the kubelet keeps of a log", ended.last_line().len() < 2048);
    ended.expect("lines of one write", ended.stderr.lines().all(|line| line.len() < 4096));
}

#[cfg(all(feature = "http", feature = "postgres"))]
#[test]
fn no_secrets_and_no_control_characters() {
    let fake = Fake::greeting("\x1b[31m\u{0}\u{7f}\"\\ \u{fffd}\r\n");
    let addr = fake.addr;
    for target in [
        format!("http://u:hunter2@{addr}/?token=hunter2#header=X-A:hunter2"),
        format!("postgres://app:hunter2@{addr}/app"),
    ] {
        let ended = Run::new(["--log-format=json", "-v", "-t", "300ms", &target]).end();
        objects(ended.failure().nowhere("hunter2").nowhere("\x1b"));
    }
}

#[test]
fn every_code_is_explained() {
    let ended = Run::new(["--explain", "connect.refused"]).end();
    ended.success().stdout_has("connect.refused");
    ended.expect("nothing on stderr", ended.stderr.is_empty());
    for copied in ["[connect.refused]", "connect.refused]", "[connect.refused"] {
        Run::new(["--explain", copied]).end().success().stdout_has("connect.refused");
    }
    let unknown = Run::new(["--explain=hunter2"]).end();
    unknown.failure().silent_stdout().nowhere("hunter2");
    // The list in that message is the list of codes: each of them has something to say.
    let codes: Vec<&str> = unknown
        .stderr
        .split([' ', ',', '(', ')'])
        .map(str::trim)
        .filter(|word| word.contains('.') && !word.ends_with('.'))
        .collect();
    assert!(codes.len() > 20, "{unknown}");
    for code in codes {
        Run::new(["--explain", code]).end().success().stdout_has(code);
    }
}

#[test]
fn colour_is_for_terminals() {
    let target = format!("tcp:{}", free_port());
    let run = |args: &[&str]| Run::new(args).arg("-t").arg("100ms").arg(&target);
    run(&[]).end().failure().nowhere("\x1b");
    run(&["--color=auto"]).end().failure().nowhere("\x1b");
    run(&["--color=always"]).end().failure().stderr_has("\x1b[");
    run(&[]).env("WAITGATE_COLOR", "always").end().failure().stderr_has("\x1b[");
    run(&["--color=always", "--color=never"]).end().failure().nowhere("\x1b");
    // JSON and the termination message have none in any case.
    Run::new(["--color=always", "tcp:x"]).end().failure().stderr_has("\x1b[31m");
    run(&["--color=always", "--log-format=json"]).end().failure().nowhere("\x1b");
    let log = tempfile::NamedTempFile::new().unwrap();
    run(&["--color=always"]).arg("--termination-log").arg(log.path()).end().failure();
    let message = std::fs::read_to_string(log.path()).unwrap();
    assert!(message.contains("refused") && !message.contains('\x1b'), "{message}");
}
