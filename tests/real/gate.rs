//! All of it at once: what a Deployment's init container waits for, each thing late in its own way.

use crate::support::{
    Fake, Pod, Run,
    dns::Knot,
    fake::linger,
    pg::Pg,
    web::{Reply, Web},
};

/// The zone once its Services are made. Each server has an address of its own.
const SERVICES: &str = "shop.default.svc A 127.0.9.1\nredis.default.svc A 127.0.9.2\n\
                        api.default.svc A 127.0.9.3\ndb.default.svc A 127.0.9.4";

#[test]
fn four_kinds_come_up_one_after_the_other() {
    let pod = Pod::new();
    pod.etc(
        "resolv.conf",
        "search default.svc.cluster.test svc.cluster.test cluster.test\nnameserver 127.0.0.1\noptions ndots:5\n",
    );
    let mut knot = Knot::start(&pod, "");
    let mut pg = Pg::inside(&pod, ([127, 0, 9, 4], 5432).into());
    pg.stay_in_recovery();

    let running = Run::new([
        "--timeout=60s",
        "--max-pause=300ms",
        "dns:shop",
        "tcp:redis:6379",
        "http://api:8080/healthz?full=1",
        "postgres://app:$(DB_PASSWORD)@db/shop",
        "--",
        "/bin/echo",
        "the application runs",
    ])
    .env("DB_PASSWORD", "p#w&@:/?")
    .inside(&pod)
    .start();

    running.line("shop.default.svc.cluster.test");
    knot.serve(SERVICES);
    running.line("refused by 127.0.9.2:6379");
    let redis = pod.within(|| Fake::on(([127, 0, 9, 2], 6379).into(), linger));
    running.line("refused by 127.0.9.3:8080");
    let api = pod.within(|| {
        Web::on(([127, 0, 9, 3], 8080).into(), None, |_, before| Reply::status(if before < 2 { 503 } else { 200 }))
    });
    running.line("503");
    running.line("refused by 127.0.9.4:5432");
    pg.start();
    running.line("starting up");
    pg.recovered();
    running.line("28P01");
    pg.sql("CREATE ROLE app LOGIN PASSWORD 'p#w&@:/?'");
    running.line("3D000");
    pg.sql("CREATE DATABASE shop OWNER app");

    let ended = running.end();
    ended.success().nowhere("p#w&@:/?");
    assert_eq!(ended.stdout, "the application runs\n", "{ended}");
    // Each target was left alone as soon as it was ready, and no other was asked before its turn.
    assert_eq!((redis.hits(), api.seen().len()), (1, 3), "{ended}");
    let ready: Vec<usize> = ["dns:shop  ready", "tcp:redis:6379  ready", "http://api:8080/", "postgres://app@db"]
        .iter()
        .map(|target| ended.stderr.find(target).unwrap_or_else(|| panic!("no {target}: {ended}")))
        .collect();
    assert!(ready.is_sorted(), "{ended}");
}
