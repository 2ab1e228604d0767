//! When one object is ready, and why it is not: one rule for each built-in resource. Pure.

use super::containers;
use super::objects::Node;
use super::resource::Rule;
use super::why::{Why, said};

/// Ready, with what the object has, or not.
pub(super) type Judged = Result<String, Why>;

/// Whether the object is being deleted. A Pod that terminates may be Ready until its containers stop.
pub(super) fn is_leaving(object: &Node) -> bool {
    !object.at(&["metadata", "deletionTimestamp"]).is_null()
}

/// Whether the object is a Pod that has ended: it never becomes Ready, and an evicted one stays there for long.
pub(super) fn has_ended(rule: Rule, object: &Node) -> bool {
    rule == Rule::Pod && matches!(object.at(&["status", "phase"]).text(), "Succeeded" | "Failed")
}

/// Judges an object by the rule of its resource.
pub(super) fn judge(rule: Rule, object: &Node) -> Judged {
    if is_leaving(object) {
        return Err(Why::new("leaving", "is being deleted"));
    }
    match rule {
        Rule::Job => job(object),
        Rule::Pod => pod(object),
        Rule::Deployment => deployment(object),
        Rule::StatefulSet => stateful_set(object),
        Rule::DaemonSet => daemon_set(object),
        Rule::ReplicaSet => replica_set(object),
        Rule::Phase(wanted) => match object.at(&["status", "phase"]).text() {
            phase if phase == wanted => Ok(format!("is {wanted}")),
            "" => Err(Why::new("phase", format!("is not {wanted} yet"))),
            phase => Err(Why::new(phase, format!("is {phase}, not {wanted}"))),
        },
        Rule::Condition(kind) => condition(object, kind, "True"),
        Rule::Exists | Rule::Service => Ok("is there".into()),
    }
}

/// The condition of this type; upper and lower case do not matter, as for kubectl wait.
fn find<'a>(object: &'a Node, kind: &str) -> Option<&'a Node> {
    let conditions = object.at(&["status", "conditions"]).items();
    conditions.iter().find(|condition| condition.get("type").text().eq_ignore_ascii_case(kind))
}

fn is_true(object: &Node, kind: &str) -> bool {
    find(object, kind).is_some_and(|condition| condition.get("status").text() == "True")
}

/// `condition=TYPE=STATUS`.
///
/// A condition about an older generation does not count (kubectl: pkg/cmd/wait/condition.go, checkCondition).
pub(super) fn condition(object: &Node, kind: &str, status: &str) -> Judged {
    let Some(found) = find(object, kind) else {
        let there: Vec<&str> =
            object.at(&["status", "conditions"]).items().iter().map(|it| it.get("type").text()).collect();
        return Err(if there.is_empty() {
            Why::new(
                "none",
                format!(
                    "has no conditions (yet), so no {kind}: if such objects never have any, look at a value with #json="
                ),
            )
        } else {
            Why::new("type", format!("has no condition {kind} (yet), but {}", there.join(", ")))
        });
    };
    let generation = object.at(&["metadata", "generation"]).count();
    let observed = [found.get("observedGeneration"), object.at(&["status", "observedGeneration"])];
    if observed.iter().find_map(|node| node.number()).is_some_and(|observed| observed < generation) {
        return Err(Why::new("generation", format!("has the condition {kind} of an older generation")));
    }
    let has = found.get("status").text();
    if has.eq_ignore_ascii_case(status) {
        return Ok(format!("has {kind}={has}"));
    }
    Err(Why::new(found.get("reason").text(), format!("has {kind}={has}{}", said(found))))
}

/// kubernetes: pkg/apis/batch/types.go, JobComplete and JobFailed. Both are final.
fn job(object: &Node) -> Judged {
    if is_true(object, "Complete") {
        return Ok("is Complete".into());
    }
    for (kind, words) in [("Failed", "has failed"), ("FailureTarget", "is failing")] {
        if let Some(failed) = find(object, kind).filter(|_| is_true(object, kind)) {
            let text = format!(
                "{words}{}: waiting does not cure this; it needs a new Job, or this one deleted and made again",
                said(failed)
            );
            return Err(Why::new("Failed", text));
        }
    }
    if is_true(object, "Suspended") {
        return Err(Why::new(
            "Suspended",
            format!("is suspended{}", find(object, "Suspended").map(said).unwrap_or_default()),
        ));
    }
    let status = object.get("status");
    let count = |name: &str| status.get(name).count();
    let failed = match count("failed") {
        0 => String::new(),
        pods => format!(", {pods} failed so far"),
    };
    Err(if count("active") == 0 && count("failed") == 0 {
        Why::new("waiting", "is not Complete yet: it has no active Pod")
    } else {
        let key = if count("failed") == 0 { "running" } else { "retrying" };
        Why::new(key, format!("is not Complete yet: {} active, {} ready{failed}", count("active"), count("ready")))
    })
}

fn pod(object: &Node) -> Judged {
    match object.at(&["status", "phase"]).text() {
        "Succeeded" => return Err(Why::new("Succeeded", "has completed, so it does not become Ready")),
        "Failed" => {
            return Err(Why::new("Failed", format!("has failed{}", said(object.get("status")))));
        }
        _ => {}
    }
    if is_true(object, "Ready") {
        return Ok("is Ready".into());
    }
    if let Some(scheduled) = find(object, "PodScheduled").filter(|_| !is_true(object, "PodScheduled")) {
        return Err(Why::new("Unschedulable", format!("is not scheduled{}", said(scheduled))));
    }
    if let Some(why) = containers::trouble(object.get("status")) {
        return Err(why);
    }
    Err(match find(object, "Ready") {
        Some(ready) => Why::new(ready.get("reason").text(), format!("is not Ready{}", said(ready))),
        None => Why::new("pending", "is not Ready yet"),
    })
}

/// Whether the controller has seen the newest generation: until then, its numbers are of an older one.
fn observed(object: &Node) -> Result<(), Why> {
    let generation = object.at(&["metadata", "generation"]).count();
    if object.at(&["status", "observedGeneration"]).count() < generation {
        return Err(Why::new("generation", "has a change that its controller has not seen yet"));
    }
    Ok(())
}

/// As `kubectl rollout status` (kubectl: pkg/polymorphichelpers/rollout_status.go).
fn deployment(object: &Node) -> Judged {
    observed(object)?;
    let status = |name: &str| object.at(&["status", name]).count();
    let wanted = object.at(&["spec", "replicas"]).number().unwrap_or(1);
    let (updated, all, available) = (status("updatedReplicas"), status("replicas"), status("availableReplicas"));
    let why = if updated < wanted {
        ("updated", format!("{updated} of {wanted} replicas are updated"))
    } else if all > updated {
        ("old", format!("{} old replicas have not ended yet", all - updated))
    } else if available < updated {
        ("available", format!("{available} of {updated} replicas are available"))
    } else {
        return Ok(format!("is rolled out, {}", replicas(available)));
    };
    let failure = find(object, "ReplicaFailure").filter(|_| is_true(object, "ReplicaFailure"));
    let stuck = find(object, "Progressing").filter(|_| !is_true(object, "Progressing"));
    Err(match failure.or(stuck) {
        Some(condition) => {
            Why::new(condition.get("reason").text(), format!("is not rolled out: {}{}", why.1, said(condition)))
        }
        None => Why::new(why.0, format!("is not rolled out yet: {}", why.1)),
    })
}

fn replicas(count: i64) -> String {
    if count == 1 { "1 replica".into() } else { format!("{count} replicas") }
}

/// Whether the controller itself replaces old Pods. With OnDelete it does not, so old ones do not count as a delay.
fn is_rolling(object: &Node) -> bool {
    object.at(&["spec", "updateStrategy", "type"]).text() != "OnDelete"
}

/// As `kubectl rollout status`. With OnDelete, which kubectl refuses, the replicas must be ready.
fn stateful_set(object: &Node) -> Judged {
    observed(object)?;
    let status = |name: &str| object.at(&["status", name]);
    let wanted = object.at(&["spec", "replicas"]).number().unwrap_or(1);
    let (ready, updated) = (status("readyReplicas").count(), status("updatedReplicas").count());
    let not_yet = |key: &str, text: String| Err(Why::new(key, format!("is not rolled out yet: {text}")));
    if ready < wanted {
        return not_yet("ready", format!("{ready} of {wanted} replicas are ready"));
    }
    if is_rolling(object) {
        let partition = object.at(&["spec", "updateStrategy", "rollingUpdate", "partition"]).count();
        if partition > 0 {
            let to_update = (wanted - partition).max(0);
            if updated < to_update {
                return not_yet(
                    "updated",
                    format!("{updated} of {to_update} replicas are updated (partition {partition})"),
                );
            }
        } else if status("updateRevision") != status("currentRevision") {
            return not_yet("updated", format!("{updated} of {wanted} replicas are updated"));
        }
    }
    Ok(format!("is rolled out, {}", replicas(ready)))
}

/// As `kubectl rollout status`.
fn daemon_set(object: &Node) -> Judged {
    observed(object)?;
    let status = |name: &str| object.at(&["status", name]).count();
    let (wanted, updated, available) =
        (status("desiredNumberScheduled"), status("updatedNumberScheduled"), status("numberAvailable"));
    if is_rolling(object) && updated < wanted {
        return Err(Why::new("updated", format!("is not rolled out yet: {updated} of {wanted} Pods are updated")));
    }
    if available < wanted {
        return Err(Why::new(
            "available",
            format!("is not rolled out yet: {available} of {wanted} Pods are available"),
        ));
    }
    Ok(format!("is rolled out on {}", if wanted == 1 { "1 node".to_owned() } else { format!("{wanted} nodes") }))
}

fn replica_set(object: &Node) -> Judged {
    observed(object)?;
    let wanted = object.at(&["spec", "replicas"]).number().unwrap_or(1);
    let available = object.at(&["status", "availableReplicas"]).count();
    if available < wanted {
        return Err(Why::new("available", format!("has {available} of {wanted} replicas available")));
    }
    Ok(format!("has {}", replicas(available)))
}

#[cfg(test)]
mod tests;
