//! What the README shows of the log is what the program prints, run as the README has it.

use std::fs;
use std::time::Duration;

use rustix::process::Signal;

use crate::limited::Node;
use crate::support::{Run, mask, zone};

/// The lines between the fence behind `before` and the next one.
fn block<'a>(readme: &'a str, before: &str) -> Vec<&'a str> {
    let (_, rest) = readme.split_once(before).unwrap_or_else(|| panic!("the README has no {before:?}"));
    let (_, rest) = rest.split_once("```").expect("a block");
    let (block, _) = rest.split_once("```").expect("its end");
    block.lines().skip(1).collect()
}

/// Whether the line is the pattern, which has an ellipsis for each part that the README leaves out.
fn fits(line: &str, pattern: &str) -> bool {
    let mut pieces = pattern.split('…');
    let Some(mut rest) = line.strip_prefix(pieces.next().unwrap_or_default()) else { return false };
    for piece in pieces {
        let Some((_, after)) = rest.split_once(piece) else { return false };
        rest = if piece.is_empty() { "" } else { after };
    }
    rest.is_empty()
}

#[track_caller]
fn shows(lines: &[String], shown: &str) {
    let pattern = mask(shown, &[]);
    let found = lines.iter().any(|line| fits(line, &pattern));
    assert!(found, "the README shows\n  {pattern}\nand the program prints\n  {}", lines.join("\n  "));
}

/// The number before or after these words.
#[track_caller]
fn number(text: &str, pattern: &str) -> u32 {
    let found = regex_lite::Regex::new(pattern).expect("a pattern").captures(text).map(|found| found[1].to_owned());
    found.and_then(|number| number.parse().ok()).unwrap_or_else(|| panic!("no {pattern} in {text}"))
}

/// Whether one number is at most twice the other.
fn alike(one: u32, other: u32) -> bool {
    one <= 2 * other && other <= 2 * one
}

/// The node refuses for a Service without ready Pods, and limits its refusals, as a Kubernetes node does.
#[test]
fn the_log_is_as_shown() {
    let readme = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/README.md")).expect("it is there");
    let node = Node::new();
    let pod = &node.pod;
    pod.etc(
        "resolv.conf",
        "search shop.svc.cluster.local svc.cluster.local cluster.local\nnameserver 127.0.0.1\noptions ndots:5\n",
    );
    let _server = zone::serve(
        pod,
        "127.0.0.1",
        "testservice.shop.svc.cluster.local A 10.96.33.4\nredis.shop.svc.cluster.local A 10.96.14.7",
    );
    fs::write(pod.termination_log(), "").expect("the folder is ours");
    let manifest = block(&readme, "# run the tests\n```");
    let targets = manifest.iter().skip_while(|line| line.trim() != "args:").skip(1).map_while(|line| {
        // The kubelet makes $( of $$(.
        line.trim().strip_prefix("- ").map(|target| target.trim_matches('"').replace("$$(", "$("))
    });
    let running =
        Run::new(targets).env("DB_PASSWORD", "hunter2").env("KUBERNETES_SERVICE_HOST", "10.96.0.1").inside(pod).start();
    running.line("still waiting");
    running.signal(Signal::TERM);
    let ended = running.end();
    ended.failure().nowhere("hunter2").took(Duration::from_secs(10)..Duration::from_secs(40));
    let lines: Vec<String> = ended.stderr.lines().map(|line| mask(line, &[])).collect();
    let log = block(&readme, "is missing and why:");
    assert!(log.len() >= 4 && log.len() == lines.len() - 1, "every line but the last is shown: {ended}");
    for line in &log {
        shows(&lines, line);
    }
    // Figures differ from run to run, but not by much: they depend on the node's limit.
    let attempts = |text: &str| number(text, "attempt ([0-9]+):");
    let (shown_after_10s, after_10s) = (attempts(log[3]), attempts(&ended.stderr));
    assert!(alike(shown_after_10s, after_10s), "the README shows attempt {shown_after_10s}, and it was {after_10s}");
    let message = fs::read_to_string(pod.termination_log()).expect("it is there");
    let shown = block(&readme, "as the termination message:")[0];
    let in_15m = number(shown, r"\(([0-9]+) attempts\)");
    assert!(alike(in_15m, after_10s * 90), "the README shows {in_15m} attempts in 15m, and {after_10s} were in 10s");
    // It timed out there, and was interrupted here.
    let of_targets =
        |text: &str| text.split_once(": ").and_then(|(_, rest)| rest.split_once(": ")).expect("both").1.to_owned();
    shows(&[mask(&of_targets(&message), &[])], &of_targets(shown));
}
