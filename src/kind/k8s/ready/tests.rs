//! The states of each resource, as a real API server of Kubernetes 1.36 answered (tests/kube).

use super::*;
use std::fs;
use std::path::Path;

fn recorded(name: &str) -> Node {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/kube").join(name).with_extension("json");
    let file = Node::of_document(&fs::read(path).unwrap()).unwrap();
    file.get("body").clone()
}

fn judged(rule: Rule, name: &str) -> String {
    match judge(rule, &recorded(name)) {
        Ok(has) => format!("+ {has}"),
        Err(why) => format!("- {} [{}]", why.text, why.key),
    }
}

#[test]
fn each_state_of_each_resource() {
    let established = Rule::Condition("Established");
    let ready = Rule::Condition("Ready");
    for (rule, name, words) in [
        (Rule::Job, "job-complete", "+ is Complete"),
        (
            Rule::Job,
            "job-failed",
            "- has failed (BackoffLimitExceeded: Job has reached the specified backoff limit): waiting does not cure this",
        ),
        (Rule::Job, "job-running", "- is not Complete yet: 1 active"),
        (Rule::Job, "job-suspended", "- is suspended (JobSuspended"),
        (Rule::Pod, "pod-ready", "+ is Ready"),
        (Rule::Pod, "pod-not-ready", "- is not Ready (ContainersNotReady: containers with unready status"),
        (Rule::Pod, "pod-terminating", "- is being deleted [leaving]"),
        (Rule::Pod, "pod-succeeded", "- has completed, so it does not become Ready [Succeeded]"),
        (Rule::Pod, "pod-image-pull", "- is not Ready: container main waits ("),
        (Rule::Pod, "pod-pending-unschedulable", "- is not scheduled (Unschedulable: 0/1 nodes are available"),
        (Rule::Deployment, "deployment-rolled-out", "+ is rolled out, "),
        (Rule::Deployment, "deployment-rolled-out-2", "+ is rolled out, "),
        (Rule::Deployment, "deployment-scaled-to-zero", "+ is rolled out, 0 replicas"),
        (Rule::Deployment, "deployment-progressing", "- is not rolled out yet: "),
        (Rule::Deployment, "deployment-rolling-update", "- is not rolled out yet: "),
        (Rule::StatefulSet, "statefulset-rolled-out", "+ is rolled out, "),
        (Rule::StatefulSet, "statefulset-rolled-out-2", "+ is rolled out, "),
        (Rule::StatefulSet, "statefulset-progressing", "- is not rolled out yet: "),
        (Rule::StatefulSet, "statefulset-rolling-update", "- "),
        (Rule::DaemonSet, "daemonset-rolled-out", "+ is rolled out on 1 node"),
        (Rule::DaemonSet, "daemonset-progressing", "- "),
        (established, "crd-established", "+ has Established=True"),
        (ready, "custom-ready", "+ has Ready=True"),
        (ready, "custom-not-ready", "- has Ready=False ("),
        (ready, "custom-no-status", "- has no conditions (yet), so no Ready"),
        (ready, "node", "+ has Ready=True"),
    ] {
        let is = judged(rule, name);
        assert!(is.starts_with(words), "{name}: {is}");
    }
}

fn object(json: &str) -> Node {
    Node::of_object(json.as_bytes()).unwrap()
}

#[test]
fn a_container_that_crashes_says_how() {
    let pod = object(
        r#"{"status":{"phase":"Running","conditions":[{"type":"Ready","status":"False"}],"containerStatuses":[{"name":"app",
        "state":{"waiting":{"reason":"CrashLoopBackOff","message":"back-off 10s restarting failed container"}},
        "lastState":{"terminated":{"exitCode":1,"reason":"Error","message":"no such table"}}}]}}"#,
    );
    let why = judge(Rule::Pod, &pod).unwrap_err();
    assert_eq!(why.key, "CrashLoopBackOff");
    assert!(why.text.ends_with("; its last run ended with exit code 1 (Error: no such table)"), "{}", why.text);
}

#[test]
fn a_rollout_that_is_stuck_gives_its_condition() {
    let stuck = object(
        r#"{"metadata":{"generation":2},"spec":{"replicas":2},"status":{"observedGeneration":2,"replicas":3,"updatedReplicas":1,
        "availableReplicas":2,"conditions":[{"type":"Progressing","status":"False","reason":"ProgressDeadlineExceeded","message":"it has timed out"}]}}"#,
    );
    let why = judge(Rule::Deployment, &stuck).unwrap_err();
    assert_eq!(why.text, "is not rolled out: 1 of 2 replicas are updated (ProgressDeadlineExceeded: it has timed out)");
    let unseen = object(
        r#"{"metadata":{"generation":2},"spec":{"replicas":1},"status":{"observedGeneration":1,"replicas":1,"updatedReplicas":1,"availableReplicas":1}}"#,
    );
    assert_eq!(judge(Rule::Deployment, &unseen).unwrap_err().key, "generation");
}

#[test]
fn partitions_on_delete_and_phases() {
    let set = |strategy: &str, ready: i64, updated: i64| {
        object(&format!(
            r#"{{"metadata":{{"generation":1}},"spec":{{"replicas":3,"updateStrategy":{strategy}}},"status":{{"observedGeneration":1,
            "readyReplicas":{ready},"updatedReplicas":{updated},"currentRevision":"a","updateRevision":"b"}}}}"#
        ))
    };
    let partition = r#"{"type":"RollingUpdate","rollingUpdate":{"partition":2}}"#;
    assert!(judge(Rule::StatefulSet, &set(partition, 3, 1)).is_ok());
    assert_eq!(judge(Rule::StatefulSet, &set(partition, 3, 0)).unwrap_err().key, "updated");
    assert!(judge(Rule::StatefulSet, &set(r#"{"type":"OnDelete"}"#, 3, 0)).is_ok());
    assert_eq!(judge(Rule::StatefulSet, &set(r#"{"type":"RollingUpdate"}"#, 3, 2)).unwrap_err().key, "updated");
    let bound = |phase: &str| judge(Rule::Phase("Bound"), &object(&format!(r#"{{"status":{{"phase":"{phase}"}}}}"#)));
    assert!(bound("Bound").is_ok());
    assert_eq!(bound("Pending").unwrap_err().text, "is Pending, not Bound");
}

#[test]
fn a_condition_ignores_case_and_older_generations() {
    let it = |observed: i64| {
        object(&format!(
            r#"{{"metadata":{{"generation":2}},"status":{{"conditions":[{{"type":"Available","status":"True","observedGeneration":{observed}}}]}}}}"#
        ))
    };
    assert!(condition(&it(2), "available", "true").is_ok());
    assert_eq!(condition(&it(1), "Available", "True").unwrap_err().key, "generation");
    assert_eq!(condition(&it(2), "Available", "False").unwrap_err().text, "has Available=True");
    assert_eq!(condition(&it(2), "Ready", "True").unwrap_err().text, "has no condition Ready (yet), but Available");
    // Objects of other resources may have anything there.
    for odd in [
        r#"{"status":"x"}"#,
        r#"{"status":{"conditions":{"a":1}}}"#,
        r#"{"status":{"conditions":["x",null,{"type":3}]}}"#,
        "[]",
    ] {
        assert!(condition(&object(odd), "Ready", "True").is_err(), "{odd}");
    }
}
