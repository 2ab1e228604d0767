//! The servers and the Pod that other tests trust, each held against a program of its own: curl, dig, psql.

use std::process::Command;

use crate::support::{
    Pod,
    dns::{Answer, Knot, NXDOMAIN, Names, SERVFAIL},
    pg::Pg,
    tool,
    web::{Authority, Reply, Web},
};

#[test]
fn web_speaks_tls_that_curl_verifies() {
    let authority = Authority::new();
    let config = authority.server(&["name.test"]);
    let web = Web::on(([127, 0, 0, 1], 0).into(), Some(config), |_, _| Reply::status(200));
    let curl = |extra: &[&str]| {
        let port = web.fake.port();
        let mut curl = Command::new(tool("curl"));
        curl.args(["--silent", "--noproxy", "*", "--resolve", &format!("name.test:{port}:127.0.0.1")]);
        curl.args(extra).arg(format!("https://name.test:{port}/")).status().unwrap().code()
    };
    assert_eq!(curl(&["--cacert", authority.file().to_str().unwrap()]), Some(0));
    assert_eq!(curl(&[]), Some(60), "curl must not trust it without our authority");
}

/// `dig` in the Pod: the status, then the answers.
fn dig(pod: &Pod, server: &str, name: &str) -> String {
    let out = pod.server("dig").args([server, name, "A", "+tries=1", "+time=2"]).output().unwrap();
    String::from_utf8_lossy(&out.stdout).into_owned()
}

#[test]
fn knot_serves_and_reloads() {
    let pod = Pod::new();
    let mut knot = Knot::start(&pod, "db A 10.0.0.1\ntext TXT hello");
    assert!(dig(&pod, "@127.0.0.1", "db.cluster.test").contains("10.0.0.1"));
    assert!(dig(&pod, "@127.0.0.1", "late.cluster.test").contains("NXDOMAIN"));
    assert!(dig(&pod, "@127.0.0.1", "text.cluster.test").contains("NOERROR"));
    assert!(dig(&pod, "@127.0.0.1", "x.broken.test").contains("SERVFAIL"));
    knot.serve("late A 10.0.0.2");
    assert!(dig(&pod, "@127.0.0.1", "late.cluster.test").contains("10.0.0.2"));
}

#[test]
fn names_answers_as_told() {
    let pod = Pod::new();
    let names = Names::start(&pod, |asked| match asked.name.as_str() {
        "a.test" => Answer::Addresses(vec![[10, 0, 0, 9].into()]),
        "none.test" => Answer::NoData,
        "trouble.test" => Answer::Code(SERVFAIL),
        _ => Answer::Code(NXDOMAIN),
    });
    assert!(dig(&pod, "@127.0.0.1", "A.test").contains("10.0.0.9"));
    assert!(dig(&pod, "@127.0.0.1", "none.test").contains("NOERROR"));
    assert!(dig(&pod, "@127.0.0.1", "trouble.test").contains("SERVFAIL"));
    assert!(dig(&pod, "@127.0.0.1", "other.test").contains("NXDOMAIN"));
    assert_eq!(names.names()[..2], ["a.test", "none.test"]);
}

#[test]
fn postgres_starts_in_recovery_and_accepts_when_told() {
    let mut pg = Pg::new();
    pg.stay_in_recovery();
    pg.start();
    pg.logged("database system was shut down");
    let refused = pg.psql("SELECT 1").output().unwrap();
    assert!(String::from_utf8_lossy(&refused.stderr).contains("the database system is starting up"));
    pg.recovered();
    pg.accepting();
    assert_eq!(pg.sql("SELECT 1 + 1"), "2");
    pg.stop();
}
