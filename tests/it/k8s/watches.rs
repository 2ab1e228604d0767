//! A list and one watch: what is seen, how soon, and at which cost for the API server.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::support::kube::{Answer, End, Kube, event, list, list_of, recorded};

const fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// A busy machine is slow. Without a watch, the next look would be up to a second later.
const SOON: Duration = Duration::from_millis(400);

/// The objects of a recorded watch.
fn events(name: &str) -> Vec<(Duration, String)> {
    let file = recorded(name);
    let events = file["events"].as_array().unwrap();
    events.iter().map(|it| (ms(100), event(it["type"].as_str().unwrap(), &it["object"]))).collect()
}

fn is_watch(path: &str) -> bool {
    path.contains("watch=1")
}

#[test]
fn each_recorded_watch_ends_ready_with_one_list_and_one_watch() {
    for (target, watch) in [
        ("k8s:job/migrate", "job-watch-complete"),
        ("k8s:pod#selector=app=web", "pod-watch-ready"),
        ("k8s:deploy/api", "deployment-watch-rollout"),
        ("k8s:sts/db", "statefulset-watch-rollout"),
        ("k8s:ds/agent", "daemonset-watch-rollout"),
        ("k8s:svc/cache", "endpointslices-watch"),
        ("k8s:crd/certificates.cert-manager.io", "crd-watch-established"),
    ] {
        let kube =
            Kube::new(move |path, _| if is_watch(path) { Answer::Watch(events(watch), End::Open) } else { list(&[]) });
        let begun = Instant::now();
        let ended = kube.run(&["-t", "25s", target]).end();
        ended.success().stderr_has("[expect.missing]");
        let late = (begun + ended.elapsed).saturating_duration_since(kube.last_sent());
        assert!(late < SOON, "{target}: {late:?} after the event");
        assert_eq!(kube.counts(), (1, 1), "{target}: {:?}", kube.requests());
        let path = &kube.requests()[1];
        for part in ["allowWatchBookmarks=true", "resourceVersion=100", "timeoutSeconds="] {
            assert!(path.contains(part), "{path}");
        }
    }
}

#[test]
fn a_change_of_the_reason_is_in_the_log_while_the_watch_lives() {
    let kube = Kube::new(|path, _| {
        if !is_watch(path) {
            return list_of(&["job-running"]);
        }
        let failed = &recorded("job-failed")["body"];
        Answer::Watch(vec![(ms(300), event("MODIFIED", failed)), (ms(1500), event("DELETED", failed))], End::Open)
    });
    let ended = kube.run(&["-t", "4s", "k8s:job/broken"]).end();
    ended.failure().stderr_has("waiting does not cure this").stderr_has("is not Complete yet: 1 active");
    assert_eq!(kube.counts(), (1, 1), "{:?}", kube.requests());
    ended.expect("each of the two reasons once, and one verdict", ended.lines_with("[expect.state]") >= 2);
}

/// The watch that is closed goes on from the last event: no list, and not at once.
#[test]
fn a_closed_watch_goes_on_where_it_was() {
    let kube = Kube::new(|path, number| match number {
        1 => list_of(&["job-running"]),
        2 => {
            let bookmark = json!({"kind": "Job", "metadata": {"resourceVersion": "177"}});
            Answer::Watch(vec![(ms(10), event("BOOKMARK", &bookmark))], End::Closed)
        }
        3 => Answer::Watch(vec![], End::Closed),
        _ => {
            assert!(path.contains("resourceVersion=177"), "{path}");
            Answer::Watch(vec![(ms(10), event("MODIFIED", &recorded("job-complete")["body"]))], End::Open)
        }
    });
    kube.run(&["-t", "25s", "k8s:job/migrate"]).end().success();
    assert_eq!(kube.counts(), (1, 3), "{:?}", kube.requests());
}

/// 410 in the stream (watch-too-old-410), and as a status: a list comes again, and nothing else.
#[test]
fn an_old_position_needs_a_new_list() {
    for gone in [
        || Answer::Recorded("watch-too-old-410"),
        || Answer::Body(410, vec![], recorded("list-exact-old-410")["body"].to_string()),
        || Answer::Recorded("watch-bad-rv-500"),
    ] {
        let kube = Kube::new(move |path, number| match number {
            1 => list_of(&["job-running"]),
            2 => gone(),
            _ if is_watch(path) => Answer::Watch(vec![], End::Open),
            _ => list_of(&["job-complete"]),
        });
        kube.run(&["-t", "25s", "k8s:job/migrate"]).end().success();
        assert_eq!(kube.counts(), (2, 1), "{:?}", kube.requests());
    }
}

#[test]
fn an_api_server_that_restarts_loses_nothing_and_is_not_hammered() {
    let kube = Kube::new(|path, number| match number {
        1 => list_of(&["job-running"]),
        2 => Answer::Watch(vec![], End::Closed),
        3..=6 => Answer::Nothing,
        _ => {
            assert!(is_watch(path), "{path}");
            Answer::Watch(vec![(ms(10), event("MODIFIED", &recorded("job-complete")["body"]))], End::Open)
        }
    });
    kube.run(&["-t", "25s", "k8s:job/migrate"]).end().success();
    let arrivals = kube.arrivals();
    assert_eq!(kube.counts(), (1, 6), "{arrivals:?}");
}

#[test]
fn without_the_right_to_watch_it_polls_and_says_so_once() {
    let kube = Kube::new(|path, number| match path {
        path if is_watch(path) => Answer::Recorded("job-watch-403"),
        _ if number < 5 => list_of(&["job-running"]),
        _ => list_of(&["job-complete"]),
    });
    let ended = kube.run(&["-t", "25s", "k8s:job/migrate"]).end();
    ended.success();
    ended.expect("one notice", ended.lines_with("no right to watch jobs") == 1);
    assert_eq!(kube.counts().1, 1, "{:?}", kube.requests());
}

#[test]
fn without_the_right_to_list_it_gets_the_one_object() {
    let kube = Kube::new(|path, number| match path {
        path if path.contains('?') => Answer::Recorded("job-list-403"),
        _ if number < 5 => Answer::Recorded("job-running"),
        _ => Answer::Recorded("job-complete"),
    });
    let ended = kube.run(&["-t", "25s", "k8s:job/broken"]).end();
    ended.success();
    ended.expect("one notice", ended.lines_with("no right to list jobs") == 1);
    let lists = kube.requests().iter().filter(|path| path.contains('?')).count();
    assert_eq!(lists, 1, "{:?}", kube.requests());
    let kube =
        Kube::new(|path, _| Answer::Recorded(if path.contains('?') { "job-list-403" } else { "job-missing-404" }));
    kube.run(&["--once", "k8s:job/migrate"]).end().failure().stderr_has("there is no job migrate");
}

/// The default bound of an attempt does not end a watch, and a bound that the user gives loses nothing.
#[test]
fn a_short_attempt_goes_on_without_a_list() {
    let kube = Kube::new(|path, number| match number {
        1 => list_of(&["job-running"]),
        2 | 3 => Answer::Watch(vec![], End::Open),
        _ => {
            assert!(is_watch(path), "{path}");
            Answer::Watch(vec![(ms(10), event("MODIFIED", &recorded("job-complete")["body"]))], End::Open)
        }
    });
    let ended = kube.run(&["-t", "25s", "--attempt-timeout=1s", "k8s:job/migrate"]).end();
    ended.success().nowhere("timeout]");
    assert_eq!(kube.counts(), (1, 3), "{:?}", kube.requests());
}

#[test]
fn gone_is_seen_by_the_watch() {
    let kube = Kube::new(|path, number| match number {
        1 => list_of(&["job-running"]),
        _ if is_watch(path) => {
            Answer::Watch(vec![(ms(200), event("DELETED", &recorded("job-running")["body"]))], End::Open)
        }
        _ => list(&[]),
    });
    kube.run(&["-t", "25s", "k8s:job/migrate#gone"]).end().success();
    assert_eq!(kube.counts(), (3, 1), "three in a row: {:?}", kube.requests());
}

/// 3,000 Pods of a real size, behind a selector.
#[test]
fn three_thousand_pods_in_16_mib() {
    let pod = recorded("pod-ready")["body"].clone();
    let pods: Vec<Value> = (0..3000)
        .map(|at| {
            let mut pod = pod.clone();
            pod["metadata"]["name"] = format!("web-{at}").into();
            pod
        })
        .collect();
    let pages: Vec<String> = pods
        .chunks(500)
        .enumerate()
        .map(|(at, items)| {
            let next = if at == 5 { String::new() } else { (at + 1).to_string() };
            json!({"kind": "PodList", "metadata": {"resourceVersion": "1", "continue": next}, "items": items})
                .to_string()
        })
        .collect();
    let kube = Kube::new(move |path, _| {
        let page = path.split("continue=").nth(1).map_or(0, |page| page.parse().unwrap());
        Answer::Body(200, Vec::new(), pages[page].clone())
    });
    let run = kube.run(&["--once", "k8s:pod#selector=app=web#min=3000"]);
    let ended = run.through(["prlimit", "--data=16777216"]).end();
    ended.success().stderr_has("3000 of 3000 pods with app=web");
    assert_eq!(kube.requests().len(), 6);
}
