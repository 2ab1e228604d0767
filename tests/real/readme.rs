//! What the README shows of the log is what the program prints, run as the README has it.

use std::fs;
use std::time::Duration;

use rustix::process::Signal;

use crate::support::{Pod, Run, mask, zone};

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

#[test]
fn the_log_is_as_shown() {
    let readme = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/README.md")).expect("it is there");
    let pod = Pod::new();
    pod.etc(
        "resolv.conf",
        "search shop.svc.cluster.local svc.cluster.local cluster.local\nnameserver 127.0.0.1\noptions ndots:5\n",
    );
    pod.sh("ip address add 10.96.14.7/32 dev lo");
    let _server = zone::serve(
        &pod,
        "127.0.0.1",
        "testservice.shop.svc.cluster.local A 10.96.33.4\nredis.shop.svc.cluster.local A 10.96.14.7",
    );
    fs::write(pod.termination_log(), "").expect("the folder is ours");
    let manifest = block(&readme, "# run the tests\n```");
    let targets = manifest.iter().skip_while(|line| line.trim() != "args:").skip(1).map_while(|line| {
        // The kubelet makes $( of $$(.
        line.trim().strip_prefix("- ").map(|target| target.trim_matches('"').replace("$$(", "$("))
    });
    let running = Run::new(targets)
        .env("DB_PASSWORD", "hunter2")
        .env("KUBERNETES_SERVICE_HOST", "10.96.0.1")
        .inside(&pod)
        .start();
    running.line("still waiting");
    running.signal(Signal::TERM);
    let ended = running.end();
    ended.failure().nowhere("hunter2").took(Duration::from_secs(10)..Duration::from_secs(40));
    let lines: Vec<String> = ended.stderr.lines().map(|line| mask(line, &[])).collect();
    let log = block(&readme, "is missing and why:");
    assert!(log.len() >= 4 && log.len() == lines.len() - 1, "every line but the last is shown: {ended}");
    for line in log {
        shows(&lines, line);
    }
    let message = fs::read_to_string(pod.termination_log()).expect("it is there");
    let shown = block(&readme, "as the termination message:")[0];
    // It timed out there, and was interrupted here.
    let of_targets =
        |text: &str| text.split_once(": ").and_then(|(_, rest)| rest.split_once(": ")).expect("both").1.to_owned();
    shows(&[mask(&of_targets(&message), &[])], &of_targets(shown));
}
