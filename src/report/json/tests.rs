use super::*;
use crate::reason::{Code, Hint};
use serde_json::{Value, json};

fn standing(target: String, ready: bool, text: &str) -> Standing {
    let reason = (!ready).then(|| Reason::new(Code::ConnectRefused, text).with_hint(Hint::NoReadyPod));
    Standing { target, attempts: 7, waited: Some(Duration::from_secs(9)), in_a_row: 0, successes: 1, ready, reason }
}

/// The object in the last line of a run that timed out.
fn verdict(own: Option<String>, standings: &[Standing]) -> Value {
    let verdict = Verdict::TimedOut(Duration::from_millis(1500), own);
    let line =
        Json::new(Instant::now()).lines(&Event::Verdict { verdict: &verdict, standings }, Level::ERROR, true).remove(0);
    assert!(line.len() <= LAST_LINE_MAX, "{} bytes: {line}", line.len());
    let object: Value = serde_json::from_str(&line).unwrap();
    assert_eq!(object["total"], json!(standings.len()));
    assert_eq!(object["ready"], json!(standings.iter().filter(|standing| standing.ready).count()));
    object
}

fn listed(object: &Value, name: &str) -> usize {
    object["targets"].as_array().unwrap().iter().filter(|target| !target[name].is_null()).count()
}

#[tokio::test(start_paused = true)]
async fn a_long_verdict_keeps_the_targets_that_are_not_ready() {
    let mut standings: Vec<_> = (0..100).map(|n| standing(format!("tcp:host{n}:80"), n < 90, "refused")).collect();
    let object = verdict(None, &standings);
    assert_eq!(object["timeout"], json!(1.5));
    assert_eq!(object["targets"][0]["target"], json!("tcp:host90:80"));
    assert_eq!((listed(&object, "code"), listed(&object, "reason")), (10, 10), "{object}");
    assert!((1..10).contains(&listed(&object, "hint")), "{object}");
    assert_eq!(object["targets"][0]["hint"], json!(Hint::NoReadyPod.words()));
    let long = "refused by 10.0.0.1:80".repeat(9);
    standings.splice(85..90, (85..90).map(|n| standing(format!("tcp:host{n}:80"), false, &long)));
    let object = verdict(None, &standings);
    assert_eq!(listed(&object, "code"), 15, "{object}");
    assert!((1..15).contains(&listed(&object, "reason")), "{object}");
}

#[tokio::test(start_paused = true)]
async fn the_target_that_ended_the_run_is_always_listed() {
    let own = format!("http://api/?q={}#timeout=1s", "\"".repeat(4000));
    let mut standings: Vec<_> = (0..99).map(|n| standing(format!("tcp:host{n}:80"), false, "refused")).collect();
    standings.push(standing(own.clone(), false, &"\"".repeat(4000)));
    let object = verdict(Some(own), &standings);
    assert_eq!(object["targets"][0]["target"], object["target"]);
    assert_eq!(object["targets"][0]["code"], json!("connect.refused"));
}

#[test]
fn a_long_text_is_cut_between_characters() {
    let text = "ä".repeat(TEXT_MAX);
    let cut = clipped(&text);
    assert!(cut.len() <= TEXT_MAX);
}
