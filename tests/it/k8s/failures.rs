//! What a person does wrong, and what the API server refuses.

use std::fs;
use std::time::Duration;

use serde_json::json;

use crate::support::{
    Fake, Run,
    kube::{Answer, Kube, TOKEN, list, list_of},
    web::Authority,
};

#[test]
fn a_missing_right_is_given_as_the_rule_of_a_role() {
    for (target, answer, rule) in [
        (
            "k8s:job/broken",
            "job-list-403",
            "a Role in the namespace demo needs the rule {apiGroups: [batch], resources: [jobs], resourceNames: [broken], verbs: [get, list, watch]}",
        ),
        ("k8s:pod#selector=app=web", "pod-list-403", "{apiGroups: [\"\"], resources: [pods], verbs: [list, watch]}"),
        (
            "k8s:svc/db",
            "endpointslices-list-403",
            "{apiGroups: [discovery.k8s.io], resources: [endpointslices], verbs: [list, watch]}",
        ),
        ("k8s:crd/x.y", "crd-get-403", "a ClusterRole needs the rule {apiGroups: [apiextensions.k8s.io]"),
    ] {
        let kube = Kube::new(move |_, _| Answer::Recorded(answer));
        let ended = kube.run(&["--once", target]).end();
        ended
            .failure()
            .stderr_has("[protocol.forbidden]")
            .stderr_has("system:serviceaccount:demo:waiter")
            .stderr_has(rule);
    }
}

#[test]
fn a_refused_token_is_not_sent_often() {
    let kube = Kube::new(|_, _| Answer::Recorded("unauthorized-401"));
    let ended = kube.run(&["-t", "3s", "k8s:job/broken"]).end();
    ended.failure().stderr_has("does not accept the token (401 Unauthorized)").stderr_has("[protocol.not-authorized]");
    ended.nowhere("s3cr3t");
    assert!(kube.requests().len() <= 2, "{:?}", kube.requests());
}

/// The kubelet renews a mounted token.
#[test]
fn the_token_is_read_anew() {
    let kube = Kube::new(|_, number| match number {
        1 => Answer::Recorded("unauthorized-401"),
        _ => list_of(&["job-complete"]),
    });
    let (config, token) = (kube.folder().join("config"), kube.folder().join("token"));
    let yaml = fs::read_to_string(&config).unwrap().replace(&format!("token: {TOKEN}"), "tokenFile: token");
    fs::write(&config, yaml).unwrap();
    fs::write(&token, "first-s3cr3t\n").unwrap();
    let running = kube.run(&["-t", "25s", "k8s:job/broken"]).start();
    running.line("401 Unauthorized");
    fs::write(&token, "second-s3cr3t\n").unwrap();
    running.end().success().nowhere("s3cr3t");
    assert_eq!(kube.tokens(), ["first-s3cr3t", "second-s3cr3t"]);
}

/// A server may repeat what it got.
#[test]
fn a_token_that_the_server_repeats_is_hidden() {
    let kube = Kube::new(|_, _| {
        let status = json!({"kind": "Status", "message": format!("bad token {TOKEN}"), "code": 500});
        Answer::Body(500, Vec::new(), status.to_string())
    });
    kube.run(&["--once", "-v", "k8s:job/x"]).end().failure().nowhere("s3cr3t").stderr_has("bad token ***");
    let kube = Kube::new(|_, _| {
        let condition = json!({"type": "Failed", "status": "True", "message": TOKEN});
        list(&[json!({"metadata": {"name": "x"}, "status": {"conditions": [condition]}})])
    });
    kube.run(&["--once", "-v", "k8s:job/x"]).end().failure().nowhere("s3cr3t").stderr_has("has failed (***)");
}

#[test]
fn retry_after_is_kept() {
    let kube = Kube::new(|_, number| match number {
        1 => Answer::Body(429, vec![("Retry-After", "2")], "Too many requests, please try again later.\n".into()),
        _ => list_of(&["job-complete"]),
    });
    let ended = kube.run(&["-t", "20s", "k8s:job/migrate"]).end();
    ended.success().stderr_has("too many requests (429): Too many requests");
    let arrivals = kube.arrivals();
    assert!(arrivals[1].1 - arrivals[0].1 >= Duration::from_secs(2), "{arrivals:?}");
}

#[test]
fn a_certificate_of_another_ca_is_refused() {
    let (own, other) = (Authority::new(), Authority::new());
    let kube = Kube::with(&own, Some(&other), |_, _| list_of(&["job-complete"]));
    let ended = kube.run(&["--once", "k8s:job/migrate"]).end();
    ended.failure().stderr_has("[tls.unknown-issuer]").stderr_has("only the CA of the ServiceAccount");
    // Not even the run's own roots count, and the token has not been sent.
    kube.run(&["--once", "--ca-file"]).arg(own.file()).arg("k8s:job/migrate").end().failure();
    assert!(kube.requests().is_empty());
}

#[test]
fn no_token_ends_the_run_at_once() {
    let run = Run::new(["k8s:job/migrate"]).env("KUBERNETES_SERVICE_HOST", "127.0.0.1");
    let ended = run.env("KUBERNETES_SERVICE_PORT", "443").end();
    ended.failure().stderr_has("automountServiceAccountToken: true").took(Duration::ZERO..Duration::from_secs(10));
    let ended = Run::new(["k8s:job/migrate"]).end();
    ended.failure().stderr_has("neither KUBECONFIG nor KUBERNETES_SERVICE_HOST");
    Run::new(["--dry-run", "k8s:job/migrate"]).end().success().stdout_has("ready when the Job is Complete");
}

#[test]
fn kubeconfigs() {
    let kube = Kube::new(|_, _| list_of(&["job-complete"]));
    let path = kube.folder().join("other");
    let yaml = fs::read_to_string(kube.folder().join("config")).unwrap();
    let with = |from: &str, to: &str| {
        fs::write(&path, yaml.replace(from, to)).unwrap();
        Run::new(["--once", "k8s:job/migrate"]).env("KUBECONFIG", &path).end()
    };
    with("", "").success();
    let token = format!("token: {TOKEN}");
    with(&token, "exec:\n      command: aws").failure().stderr_has("runs a program to get its credentials (exec)");
    with("current-context: test", "current-context: prod").failure().stderr_has("no entry \"prod\" in its contexts");
    with("https://", "http://").failure().stderr_has("sends no token in plain text");
    with("ca.pem", "missing.pem").failure().stderr_has("missing.pem as its certificate-authority");
    with("certificate-authority: ca.pem", "insecure-skip-tls-verify: true")
        .success()
        .stderr_has("the API server's certificate is not verified");
    fs::write(kube.folder().join("t"), TOKEN).unwrap();
    with(&token, "tokenFile: t").success();
    let ended = Run::new(["--once", "k8s:job/migrate"]).env("KUBECONFIG", "/missing").end();
    ended.failure().stderr_has("KUBECONFIG /missing: cannot be read");
    // JSON, as kubectl config view --raw -o json prints it, with a mark of its encoding as Windows writes it.
    let server = kube.fake.addr;
    let json = json!({"kind": "Config", "apiVersion": "v1", "preferences": {}, "current-context": "test",
        "contexts": [{"name": "test", "context": {"cluster": "c", "user": "u", "namespace": "demo"}}],
        "clusters": [{"name": "c", "cluster": {"server": format!("https://{server}"), "certificate-authority": "ca.pem"}}],
        "users": [{"name": "u", "user": {"token": TOKEN}}]});
    let of = |content: String| {
        fs::write(&path, content).unwrap();
        Run::new(["--once", "k8s:job/migrate"]).env("KUBECONFIG", &path).end()
    };
    of(json.to_string()).success();
    of(format!("\u{feff}\n{json:#}")).success();
    of("{users: [{token: hunter2}]}".into())
        .failure()
        .nowhere("hunter2")
        .stderr_has("other: begins with '{' and is not valid JSON (expected JSON, or YAML in blocks)");
    with("users:", "users: &a")
        .failure()
        .stderr_has("without {}, [], anchors, aliases and tags (expected what kubectl");
}

/// As kubectl reads them: the first file with a value or an entry wins, and files that are not there do not matter.
#[test]
fn several_kubeconfigs() {
    let kube = Kube::new(|_, _| list_of(&["job-complete"]));
    let (folder, other) = (kube.folder(), tempfile::tempdir().unwrap());
    let write = |name: &str, content: &str| {
        let path = other.path().join(name);
        fs::write(&path, content).unwrap();
        path.display().to_string()
    };
    let user = write("user", "users:\n- name: u\n  user:\n    tokenFile: token\n");
    write("token", "of-the-first-file");
    let broken = write("broken", "a: *b");
    let main = folder.join("config").display().to_string();
    let run = |list: &[&str]| Run::new(["--once", "k8s:job/migrate"]).env("KUBECONFIG", list.join(":")).end();
    run(&["/missing", &user, "", &main]).success();
    run(&[&main, &user]).success();
    assert_eq!(kube.tokens(), ["of-the-first-file", TOKEN]);
    run(&[&main, &broken])
        .failure()
        .stderr_has(&format!("KUBECONFIG {broken}: line 1: waitgate reads only plain YAML"));
    run(&[&user, "/missing"]).failure().stderr_has(&format!("KUBECONFIG {user}: has no current-context"));
    run(&["/missing", "/neither"]).failure().stderr_has("KUBECONFIG /missing:/neither: cannot be read");
    let pod = write("ca.pem", "no certificate");
    let cluster = write(
        "cluster",
        "clusters:\n- name: c\n  cluster:\n    server: https://127.0.0.1:1\n    certificate-authority: ca.pem\n",
    );
    run(&[&cluster, &main]).failure().stderr_has(&format!("the CA of KUBECONFIG {cluster} cannot be used"));
    fs::remove_file(pod).unwrap();
    run(&[&cluster, &main]).failure().stderr_has(&format!("KUBECONFIG {cluster}: names "));
}

#[test]
fn wrong_targets_are_refused() {
    for (target, words) in [
        ("k8s:job", "the name is missing"),
        ("k8s:", "the resource is not one"),
        ("k8s:job/a/b", "the name is not one of an object"),
        ("k8s:job/x#selector=a=b", "#selector: a name is given too"),
        ("k8s:job/x#gone#condition=Complete", "#gone excludes #condition"),
        ("k8s:job/x#min=2", "#min: one object is named"),
        ("k8s:svc#selector=a=b", "the name of the Service is missing"),
        ("k8s:node/n#namespace=x", "a node is in no namespace"),
        ("k8s:job/x#condition==", "#condition: the type or the status is missing"),
        ("k8s:job/x#json=status", "a JSON pointer begins with '/'"),
        ("k8s:job/x#namespace=a/b", "#namespace"),
    ] {
        Run::new([target]).end().failure().stderr_has(words).stderr_has("waitgate: error");
    }
}

#[test]
fn other_servers() {
    let silent = Fake::silent();
    let kube = Kube::new(|_, _| Answer::Nothing);
    kube.run(&["--once", "k8s:job/x"])
        .end()
        .failure()
        .stderr_has("closed the connection before its answer was complete");
    let yaml = fs::read_to_string(kube.folder().join("config")).unwrap();
    let path = kube.folder().join("silent");
    fs::write(&path, yaml.replace(&kube.fake.addr.to_string(), &silent.addr.to_string())).unwrap();
    let run = Run::new(["--once", "--attempt-timeout=1s", "k8s:job/x"]).env("KUBECONFIG", &path);
    run.end().failure().stderr_has("[tls.timeout]");
    for (body, words) in [("<html>", "is not the JSON of the API"), ("{\"items\":[{]}", "is not the JSON")] {
        let kube = Kube::new(move |_, _| Answer::Body(200, Vec::new(), body.into()));
        kube.run(&["--once", "k8s:job/x"]).end().failure().stderr_has(words);
    }
}
