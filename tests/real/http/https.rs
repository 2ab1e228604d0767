//! `https:` by a name of the Pod: authorities, certificates and the names in them.

use std::fs;

use crate::support::{
    Pod, Run,
    web::{Authority, Reply, Web},
};

const OK: u16 = 200;

/// A server at `api:8443` in a Pod, whose certificate is for `names`.
fn served(authority: &Authority, names: &[&str]) -> (Pod, Web) {
    let pod = Pod::new();
    pod.etc("hosts", "127.0.0.1 api localhost\n");
    let config = authority.server(names);
    let addr = ([127, 0, 0, 1], 8443).into();
    let web = pod.within(|| Web::on(addr, Some(config), |_, _| Reply::status(OK)));
    (pod, web)
}

#[test]
fn own_authority_by_ca_file() {
    let authority = Authority::new();
    let (pod, web) = served(&authority, &["api"]);
    let run = Run::new(["--once", "https://api:8443/x"]).arg("--ca-file").arg(authority.file());
    run.inside(&pod).end().success();
    assert_eq!(web.seen()[0].path, "/x");
    let run = Run::new(["--once", "https://api:8443/"]).env("WAITGATE_CA_FILE", authority.file());
    run.inside(&pod).end().success();
}

#[test]
fn unknown_authority_is_refused_with_the_reason() {
    let authority = Authority::new();
    let (pod, web) = served(&authority, &["api"]);
    let ended = Run::new(["-t", "1s", "https://api:8443/"]).inside(&pod).end();
    ended.failure().stderr_says("certificate").stderr_has("--ca-file");
    let other = Authority::new();
    let ended = Run::new(["--once", "https://api:8443/"]).arg("--ca-file").arg(other.file()).inside(&pod).end();
    ended.failure().stderr_says("certificate");
    assert!(web.seen().is_empty(), "no request goes to a server that was not verified");
}

#[test]
fn certificate_for_another_name() {
    let authority = Authority::new();
    let (pod, _web) = served(&authority, &["other.test"]);
    let run = Run::new(["--once", "https://api:8443/"]).arg("--ca-file").arg(authority.file());
    run.inside(&pod).end().failure().stderr_says("certificate").stderr_has("other.test");
}

/// Each is named for what it is, and none is taken for an issuer that is not trusted.
#[test]
fn certificate_out_of_its_time() {
    let authority = Authority::new();
    let pod = Pod::new();
    pod.etc("hosts", "127.0.0.1 api\n");
    for (port, from, until, says) in
        [(8443, 2019, 2020, "that expired on 2020-01-01"), (8444, 2090, 2091, "is not valid before 2090-01-01")]
    {
        let config = authority.server_with(&["api"], |params| {
            params.not_before = rcgen::date_time_ymd(from, 1, 1);
            params.not_after = rcgen::date_time_ymd(until, 1, 1);
        });
        let web = pod.within(|| Web::on(([127, 0, 0, 1], port).into(), Some(config), |_, _| Reply::status(OK)));
        let at = |rest: &str| {
            let target = format!("https://api:{port}/{rest}");
            Run::new(["--once", &target]).arg("--ca-file").arg(authority.file()).inside(&pod).end()
        };
        at("").failure().stderr_has(says).nowhere("issuer");
        assert!(web.seen().is_empty(), "no request goes to a server that was not verified");
        at("#insecure").success();
    }
}

#[test]
fn insecure_connects_and_says_so() {
    let authority = Authority::new();
    let (pod, web) = served(&authority, &["other.test"]);
    let ended = Run::new(["--insecure", "https://api:8443/"]).inside(&pod).end();
    ended.success().stderr_says("certificate");
    assert_eq!(web.seen().len(), 1);
}

/// The file is the whole world to a scratch image: several certificates in it, any of them.
#[test]
fn several_authorities_in_one_file() {
    let (one, two) = (Authority::new(), Authority::new());
    let (pod, _web) = served(&two, &["api"]);
    let both = tempfile::NamedTempFile::new().unwrap();
    let read = |authority: &Authority| fs::read_to_string(authority.file()).unwrap();
    fs::write(both.path(), format!("# two\n{}\n{}", read(&one), read(&two))).unwrap();
    let run = Run::new(["--once", "https://api:8443/"]).arg("--ca-file").arg(both.path());
    run.inside(&pod).end().success();
}

#[test]
fn redirects_never_go_from_https_to_http() {
    let authority = Authority::new();
    let pod = Pod::new();
    pod.etc("hosts", "127.0.0.1 api\n");
    let web = pod.within(|| Web::on(([127, 0, 0, 1], 8080).into(), None, |_, _| Reply::status(OK)));
    let config = authority.server(&["api"]);
    let tls =
        pod.within(|| Web::on(([127, 0, 0, 1], 8443).into(), Some(config), |_, _| Reply::to(302, "http://api:8080/")));
    Run::new(["--once", "https://api:8443/"]).arg("--ca-file").arg(authority.file()).inside(&pod).end();
    assert_eq!((tls.seen().len(), web.seen().len()), (1, 0));
}

/// cert-manager writes the file when it gets to it, and again when it rotates.
#[test]
fn a_targets_own_authority_may_come_late() {
    let authority = Authority::new();
    let (pod, _web) = served(&authority, &["api"]);
    let folder = tempfile::tempdir().unwrap();
    let ca = folder.path().join("ca.crt");
    let running = Run::new([format!("https://api:8443/#ca={}", ca.display())]).inside(&pod).start();
    running.line(ca.to_str().unwrap());
    fs::copy(Authority::new().file(), &ca).unwrap();
    running.line("certificate");
    fs::copy(authority.file(), &ca).unwrap();
    running.end().success();
}

#[test]
fn a_targets_own_server_name() {
    let authority = Authority::new();
    let (pod, _web) = served(&authority, &["public.example.test"]);
    let ca = authority.file().display().to_string();
    let at = |rest: &str| Run::new(["--once", &format!("https://api:8443/#ca={ca}{rest}")]).inside(&pod).end();
    at("").failure().stderr_has("public.example.test");
    at("#servername=public.example.test").success();
}

/// One target is not verified; the one beside it still is.
#[test]
fn insecure_for_one_target_alone() {
    let authority = Authority::new();
    let (pod, _web) = served(&authority, &["api"]);
    let args = ["--once", "https://api:8443/one#insecure", "https://api:8443/two"];
    let ended = Run::new(args).inside(&pod).end();
    ended.failure();
    assert!(ended.last_line().contains("/two") && ended.last_line().contains("1 of 2"), "{ended}");
}

#[test]
fn client_certificate() {
    let authority = Authority::new();
    let pod = Pod::new();
    pod.etc("hosts", "127.0.0.1 api\n");
    let config = authority.server_for_members(&["api"]);
    let _web = pod.within(|| Web::on(([127, 0, 0, 1], 8443).into(), Some(config), |_, _| Reply::status(OK)));
    let folder = tempfile::tempdir().unwrap();
    let [cert, key] = ["tls.crt", "tls.key"].map(|name| folder.path().join(name));
    let member = |authority: &Authority| {
        let (certificate, private) = authority.sign(&["member"]);
        fs::write(&cert, certificate).unwrap();
        fs::write(&key, private).unwrap();
    };
    let ca = authority.file().display().to_string();
    let at = |rest: &str| Run::new(["--once", &format!("https://api:8443/#ca={ca}{rest}")]).inside(&pod).end();
    at("").failure().stderr_says("client certificate");
    let both = format!("#cert={}#key={}", cert.display(), key.display());
    member(&authority);
    at(&both).success();
    member(&Authority::new());
    at(&both).failure().stderr_says("certificate").nowhere("PRIVATE");
}
