//! Why the containers of a Pod do not run: ImagePullBackOff, CrashLoopBackOff and what the last run said. Pure.

use super::objects::Node;
use super::why::{Why, said};

/// The first container that has a trouble, init containers first.
pub(super) fn trouble(status: &Node) -> Option<Why> {
    let of = |name: &str| status.get(name).items().iter();
    of("initContainerStatuses").chain(of("containerStatuses")).find_map(one)
}

fn one(container: &Node) -> Option<Why> {
    let name = container.get("name").text();
    let last = container.at(&["lastState", "terminated"]);
    let ended = container.at(&["state", "terminated"]);
    let waiting = container.at(&["state", "waiting"]);
    match waiting.get("reason").text() {
        // These two are the way of every container.
        "" | "ContainerCreating" | "PodInitializing" => {}
        reason => {
            let exit = if last.is_null() { String::new() } else { format!("; its last run {}", exit(last)) };
            return Some(Why::new(reason, format!("is not Ready: container {name} waits{}{exit}", said(waiting))));
        }
    }
    if !ended.is_null() && ended.get("exitCode").count() != 0 {
        return Some(Why::new("exit", format!("is not Ready: container {name} {}", exit(ended))));
    }
    None
}

/// How a container ended: "ended with exit code 1 (Error: …)".
fn exit(terminated: &Node) -> String {
    format!("ended with exit code {}{}", terminated.get("exitCode").count(), said(terminated))
}
