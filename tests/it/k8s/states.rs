//! Each resource, ready and not ready, as a real server has answered.

use serde_json::{Value, json};

use crate::support::kube::{Answer, Kube, list, list_of, recorded};

/// One answer for every list: `--once` and the target's end.
fn once(target: &str, names: &'static [&'static str]) -> crate::support::run::Ended {
    let kube = Kube::new(move |_, _| list_of(names));
    let ended = kube.run(&["--once", target]).end();
    ended.nowhere("s3cr3t");
    assert_eq!(kube.requests().len(), 1, "{:?}", kube.requests());
    ended
}

#[test]
fn ready() {
    for (target, names) in [
        ("k8s:job/migrate", &["job-complete"] as &[&str]),
        ("k8s:pod/web-0", &["pod-ready"]),
        ("k8s:deploy/api", &["deployment-rolled-out"]),
        ("k8s:deployment/zero", &["deployment-scaled-to-zero"]),
        ("k8s:sts/db", &["statefulset-rolled-out"]),
        ("k8s:ds/agent", &["daemonset-rolled-out"]),
        ("k8s:crd/certificates.cert-manager.io", &["crd-established"]),
        ("k8s:node/node1", &["node"]),
        ("k8s:job/migrate#condition=complete", &["job-complete"]),
        ("k8s:job/broken#condition=Failed=True", &["job-failed"]),
        ("k8s:job/migrate#json=/status/succeeded>=1", &["job-complete"]),
        ("k8s:deploy/api#json=/metadata/name=api#condition=Available", &["deployment-rolled-out"]),
        ("k8s:pod#selector=app=web#min=1", &["pod-ready", "pod-succeeded"]),
        ("k8s:pod#selector=app=web", &["pod-ready", "pod-succeeded"]),
        ("k8s:deploy#selector=app=api", &["deployment-rolled-out"]),
        ("k8s:job/migrate#gone#successes=1", &[]),
    ] {
        let names: &'static [&'static str] = names.to_vec().leak();
        once(target, names).success();
    }
}

#[test]
fn not_ready_says_why() {
    for (target, names, code, words) in [
        ("k8s:job/migrate", &["job-running"] as &[&str], "expect.state", "job migrate is not Complete yet: 1 active"),
        ("k8s:job/broken", &["job-failed"], "expect.state", "has failed (BackoffLimitExceeded"),
        ("k8s:job/held", &["job-suspended"], "expect.state", "job held is suspended"),
        ("k8s:pod/web-0", &["pod-not-ready"], "expect.state", "pod web-0 is not Ready (ContainersNotReady"),
        ("k8s:pod/web-0", &["pod-terminating"], "expect.state", "pod web-0 is being deleted"),
        ("k8s:pod/web-0#condition=Ready", &["pod-terminating"], "expect.state", "is being deleted"),
        ("k8s:pod/noimg", &["pod-image-pull"], "expect.state", "container main waits (ErrImagePull"),
        ("k8s:pod/big", &["pod-pending-unschedulable"], "expect.state", "is not scheduled (Unschedulable"),
        ("k8s:deploy/api", &["deployment-progressing"], "expect.state", "deployment api is not rolled out yet"),
        ("k8s:deploy/api", &["deployment-rolling-update"], "expect.state", "is not rolled out yet"),
        ("k8s:sts/db", &["statefulset-rolling-update"], "expect.state", "statefulset db is not rolled out yet"),
        ("k8s:ds/agent", &["daemonset-progressing"], "expect.state", "daemonset agent is not rolled out yet"),
        ("k8s:job/migrate", &[], "expect.missing", "there is no job migrate in the namespace demo (yet)"),
        ("k8s:job/x#namespace=other", &[], "expect.missing", "in the namespace other"),
        (
            "k8s:pod#selector=app=web",
            &[],
            "expect.missing",
            "there are no pods with app=web in the namespace demo (yet)",
        ),
        (
            "k8s:pod#selector=app=web",
            &["pod-not-ready"],
            "expect.state",
            "0 of 1 pods with app=web are ready; web-0 is not Ready",
        ),
        (
            "k8s:pod#selector=app=web#min=2",
            &["pod-ready"],
            "expect.state",
            "1 of 1 pods with app=web are ready, and at least 2 must be",
        ),
        ("k8s:pod#selector=app=web#min=1", &["pod-terminating"], "expect.missing", "there are no pods with app=web"),
        ("k8s:job/migrate#gone", &["job-running"], "expect.gone", "still there: job migrate"),
        ("k8s:job/migrate#json=/status/succeeded=2", &["job-complete"], "expect.state", "has 1 at /status/succeeded"),
    ] {
        let names: &'static [&'static str] = names.to_vec().leak();
        let ended = once(target, names);
        ended.failure().stderr_has(words).stderr_has(&format!("[{code}]"));
    }
}

#[test]
fn one_list_has_the_name_or_the_selector() {
    for (target, path) in [
        ("k8s:job/migrate", "/apis/batch/v1/namespaces/demo/jobs?limit=500&fieldSelector=metadata.name%3Dmigrate"),
        (
            "k8s:pod#selector=app=web,x%21=y",
            "/api/v1/namespaces/demo/pods?limit=500&labelSelector=app%3Dweb%2Cx%21%3Dy",
        ),
        ("k8s:node/n", "/api/v1/nodes?limit=500&fieldSelector=metadata.name%3Dn"),
        (
            "k8s:svc/db",
            "/apis/discovery.k8s.io/v1/namespaces/demo/endpointslices?limit=500&labelSelector=kubernetes.io%2Fservice-name%3Ddb",
        ),
        ("k8s:svc/db#gone", "/api/v1/namespaces/demo/services?limit=500&fieldSelector=metadata.name%3Ddb"),
    ] {
        let kube = Kube::new(|_, _| list(&[]));
        kube.run(&["--once", target]).end();
        assert_eq!(kube.requests(), [path]);
    }
}

#[test]
fn a_service_is_ready_by_its_endpoint_slices() {
    for (answer, target, words) in [
        ("endpointslices-ready", "k8s:service/db", ""),
        ("endpointslices-ready", "k8s:service/db#min=2", ""),
        ("endpointslices-ready", "k8s:service/db#min=3", "service db has 2 ready endpoints of at least 3"),
        ("endpointslices-not-ready", "k8s:svc/cache", "service cache has no ready endpoint: 1 endpoint is not ready"),
        ("endpointslices-none", "k8s:svc/cache", "service cache has no ready endpoint: no other Pod is behind it"),
    ] {
        let kube = Kube::new(move |_, _| Answer::Recorded(answer));
        let ended = kube.run(&["--once", target]).end();
        if words.is_empty() {
            ended.success()
        } else {
            ended.failure().stderr_has(words)
        };
    }
    let kube = Kube::new(|_, _| list(&[]));
    kube.run(&["--once", "k8s:svc/db"]).end().stderr_has("service db has no EndpointSlice in the namespace demo");
}

/// A Pod with two families is in a slice of each.
#[test]
fn a_dual_stack_pod_counts_once() {
    let slice = |name: &str, address: &str| {
        json!({"metadata": {"name": name}, "endpoints": [{"addresses": [address], "conditions": {"ready": true},
            "targetRef": {"kind": "Pod", "name": "db-0"}}]})
    };
    let both = [slice("a", "10.0.0.1"), slice("b", "fd00::1")];
    let kube = Kube::new(move |_, _| list(&both));
    kube.run(&["--once", "k8s:svc/db#min=2"]).end().failure().stderr_has("has 1 ready endpoint of at least 2");
    kube.run(&["--once", "k8s:svc/db"]).end().success();
}

#[test]
fn other_resources_are_looked_up() {
    let custom = |path: &str, _: usize| match path {
        "/apis/cert-manager.io" => Answer::Recorded("discovery-cert-manager"),
        "/apis/cert-manager.io/v1" => Answer::Recorded("discovery-cert-manager-v1"),
        "/apis" => Answer::Recorded("discovery-aggregated"),
        path if path.starts_with("/apis/cert-manager.io/v1/namespaces/demo/certificates?") => {
            list_of(&["custom-ready"])
        }
        path => panic!("{path}"),
    };
    for (target, requests) in [
        ("k8s:certificates.v1.cert-manager.io/web", 2),
        ("k8s:certificate.cert-manager.io/web", 3),
        ("k8s:cert/web", 2),
        ("k8s:Certificate/web", 2),
    ] {
        let kube = Kube::new(custom);
        kube.run(&["--once", target]).end().success().stderr_has("certificate web has Ready=True");
        assert_eq!(kube.requests().len(), requests, "{target}: {:?}", kube.requests());
    }
    let kube = Kube::new(|_, _| Answer::Recorded("group-missing-404"));
    let ended = kube.run(&["--once", "k8s:certificates.v1.cert-manager.io/web"]).end();
    ended.failure().stderr_has("cert-manager.io/v1 is not served (yet): its CustomResourceDefinition is not there");
    kube.run(&["--once", "k8s:certificates.v1.cert-manager.io/web#gone#successes=1"]).end().success();
}

#[test]
fn objects_without_conditions() {
    for (name, words) in [
        ("custom-no-status", "certificate web has no conditions (yet), so no Ready"),
        ("custom-not-ready", "certificate web has Ready=False"),
    ] {
        let kube = Kube::new(move |path, _| match path {
            "/apis/cert-manager.io/v1" => Answer::Recorded("discovery-cert-manager-v1"),
            _ => list_of(&[name]),
        });
        kube.run(&["--once", "k8s:certificates.v1.cert-manager.io/web"]).end().failure().stderr_has(words);
        kube.run(&["--once", "k8s:certificates.v1.cert-manager.io/web#json=/metadata/name"]).end().success();
    }
    for target in ["k8s:configmap/x", "k8s:secret/x", "k8s:sa/x"] {
        let kube = Kube::new(|_, _| list(&[json!({"metadata": {"name": "x"}, "data": {"a": "b"}})]));
        kube.run(&["--once", target]).end().success();
    }
    for (phase, target, ready) in
        [("Bound", "k8s:pvc/x", true), ("Pending", "k8s:pvc/x", false), ("Active", "k8s:ns/x", true)]
    {
        let kube = Kube::new(move |_, _| list(&[json!({"metadata": {"name": "x"}, "status": {"phase": phase}})]));
        let ended = kube.run(&["--once", target]).end();
        if ready {
            ended.success()
        } else {
            ended.failure().stderr_has("is Pending, not Bound")
        };
    }
}

#[test]
fn a_list_of_several_pages() {
    let mut first: Value = recorded("jobs-list-paged")["body"].clone();
    first["metadata"]["continue"] = "a+b/c=".into();
    let kube = Kube::new(move |path, _| {
        if path.contains("continue=a%2Bb%2Fc%3D") {
            list_of(&["job-complete"])
        } else {
            Answer::Body(200, Vec::new(), first.to_string())
        }
    });
    let ended = kube.run(&["--once", "k8s:job#selector=x#min=5"]).end();
    ended.failure().stderr_has("of 2 jobs with x are ready, and at least 5 must be");
    assert_eq!(kube.requests().len(), 2);
}

#[test]
fn a_name_may_come_from_the_environment() {
    let kube = Kube::new(|_, _| list(&[]));
    let ended = kube.run(&["--once", "k8s:job/$(JOB)#namespace=$(NS)"]).env("JOB", "migrate-7").env("NS", "shop").end();
    ended.failure().stderr_has("k8s:job/migrate-7").stderr_has("there is no job migrate-7");
    assert!(kube.requests()[0].contains("/namespaces/shop/jobs?") && kube.requests()[0].ends_with("%3Dmigrate-7"));
}
