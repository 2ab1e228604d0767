//! Logins, databases, roles, clusters and sockets of real servers, and that a probe leaves nothing behind.

use std::fs;

use crate::support::{Run, free_port, redis::Redis, run::Ended};

fn once(target: &str) -> Ended {
    Run::new(["--once", target]).end()
}

#[test]
fn a_password_must_be_accepted() {
    let redis = Redis::started(&["--requirepass", "s3cret"]);
    let addr = redis.addr;
    once(&format!("redis://:s3cret@{addr}")).success().stderr_has("logged in").nowhere("s3cret");
    once(&format!("redis://default:s3cret@{addr}/3")).success().nowhere("s3cret");
    once(&format!("redis://{addr}?password=s3cret&db=3")).success().nowhere("s3cret");
    once(&format!("valkey://:s3cret@{addr}")).success().nowhere("s3cret");
    let wrong = once(&format!("redis://:hunter2@{addr}"));
    wrong.failure().stderr_has("WRONGPASS").nowhere("hunter2");
    once(&format!("redis:{addr}#login")).failure().stderr_says("none is given");
    once(&format!("redis:{addr}#role=primary")).failure().stderr_says("none is given");
    // Drivers differ over the one word: it is hidden, and nothing is tried with it.
    once(&format!("redis://s3cret@{addr}")).success().stderr_has("asks for a password").nowhere("s3cret");
    once(&format!("redis://s3cret@{addr}#login")).failure().nowhere("s3cret");
}

#[test]
fn a_user_of_the_acl() {
    let redis = Redis::started(&[]);
    redis.says(&["acl", "setuser", "app", "on", ">s3cret", "~*", "+@all"], "OK");
    redis.says(&["acl", "setuser", "off", "off", ">s3cret", "~*", "+@all"], "OK");
    redis.says(&["acl", "setuser", "small", "on", ">s3cret", "+ping", "+info"], "OK");
    let addr = redis.addr;
    once(&format!("redis://app:s3cret@{addr}/15#role=primary")).success();
    once(&format!("redis://off:s3cret@{addr}")).failure().stderr_has("WRONGPASS");
    // Without ROLE, INFO tells.
    once(&format!("redis://small:s3cret@{addr}#role=primary")).success().stderr_has("a primary");
    once(&format!("redis://small:s3cret@{addr}#cluster")).failure().stderr_has("NOPERM");
    once(&format!("redis://small:s3cret@{addr}/1")).failure().stderr_has("may not do a SELECT");
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("password");
    let target = format!("redis://app@{addr}#password=@{}", file.display());
    once(&target).failure().stderr_has("cannot be read");
    fs::write(&file, "s3cret\n").unwrap();
    once(&target).success().nowhere("s3cret");
    fs::write(&file, "hunter2\n").unwrap();
    once(&target).failure().stderr_has("WRONGPASS").nowhere("hunter2");
}

#[test]
fn a_password_that_the_server_does_not_have() {
    let redis = Redis::started(&[]);
    let target = format!("redis://:s3cret@{}", redis.addr);
    // redis-py 8, node-redis 6 and ioredis 6 work too.
    once(&target).success().stderr_has("which has no password").nowhere("s3cret");
    once(&format!("{target}#login")).failure().stderr_has("it has no password").nowhere("s3cret");
}

#[test]
fn databases() {
    let redis = Redis::started(&["--databases", "4"]);
    once(&format!("redis://{}/3", redis.addr)).success();
    once(&format!("redis://{}/4", redis.addr)).failure().stderr_has("fewer databases");
    once(&format!("redis://{}/0?db=4", redis.addr)).failure().stderr_has("fewer databases");
}

#[test]
fn roles() {
    let mut primary = Redis::started(&[]);
    let of = format!("{} {}", primary.addr.ip(), primary.addr.port());
    let replica = Redis::started(&["--replicaof", &of, "--repl-diskless-sync-delay", "0"]);
    replica.says(&["role"], "connected");
    let target = |redis: &Redis, role: &str| once(&format!("redis:{}#role={role}", redis.addr));
    target(&primary, "primary").success().stderr_has("a primary");
    target(&primary, "replica").failure().stderr_says("a primary, not a replica");
    target(&replica, "replica").success().stderr_has("a replica");
    target(&replica, "primary").failure().stderr_says("a replica, not a primary");
    primary.stop();
    replica.says(&["info", "replication"], "master_link_status:down");
    target(&replica, "replica").failure().stderr_has("its link to the primary is not up");
    // Nothing was asked about the role, and the server answers.
    once(&format!("redis:{}", replica.addr)).success();
}

#[test]
fn a_cluster() {
    let redis = Redis::started(&["--cluster-enabled", "yes"]);
    redis.says(&["ping"], "PONG");
    let target = format!("redis:{}#cluster", redis.addr);
    once(&target).failure().stderr_has("cluster_state:fail, 0 of 16384 slots");
    once(&format!("redis:{}", redis.addr)).success();
    once(&format!("redis://{}/1", redis.addr)).failure().stderr_has("SELECT is not allowed in cluster mode");
    redis.says(&["cluster", "addslotsrange", "0", "16383"], "OK");
    redis.says(&["cluster", "info"], "cluster_state:ok");
    once(&target).success().stderr_has("cluster_state:ok");
    let alone = Redis::started(&[]);
    alone.says(&["ping"], "PONG");
    once(&format!("redis:{}#cluster", alone.addr)).failure().stderr_says("not part of a cluster");
}

/// The log says how far it is, and the wait ends by itself.
#[test]
fn a_wait_for_the_dataset() {
    let mut redis = Redis::new();
    redis.start_loading(&["--key-load-delay", "1000", "--requirepass", "s3cret"]);
    let ended = Run::new(["-t", "25s", "-v", &format!("redis://:s3cret@{}", redis.addr)]).end();
    ended.success().stderr_has("loads its dataset (").nowhere("s3cret");
}

#[test]
fn a_socket() {
    let redis = Redis::started(&["--requirepass", "s3cret"]);
    redis.says(&["ping"], "NOAUTH");
    let path = redis.path("socket");
    for scheme in ["redis+unix", "redis+socket", "redis-socket"] {
        once(&format!("{scheme}://:s3cret@{}?db=2", path.display()))
            .success()
            .stderr_has("logged in")
            .nowhere("s3cret");
    }
    once(&format!("redis+unix://{}", path.display())).success().stderr_has("asks for a password");
    once(&format!("redis+unix://{}#gone", path.display())).failure().stderr_has("still there");
    once("redis+unix:///nowhere/socket").failure().stderr_has("there is no /nowhere/socket");
}

#[test]
fn gone() {
    let mut redis = Redis::started(&["--requirepass", "s3cret"]);
    let target = format!("redis://:s3cret@{}#gone", redis.addr);
    once(&target).failure().stderr_has("still there");
    redis.stop();
    once(&target).success();
    once(&format!("redis:{}#gone", free_port())).success();
}

/// The application's login works afterwards, no session is left, and the log has no line more.
#[test]
fn a_thousand_probes_leave_nothing() {
    let redis = Redis::started(&["--requirepass", "s3cret"]);
    redis.says(&["ping"], "NOAUTH");
    let lines = redis.log().lines().count();
    let good = format!("redis://:s3cret@{}#role=primary", redis.addr);
    let other = format!("redis:{}", redis.addr);
    for chunk in 0..20 {
        let target = if chunk % 2 == 0 { &good } else { &other };
        // Fifty targets at a time: the same address, asked over and over.
        let args: Vec<&str> =
            ["--once", "--parallel"].into_iter().chain(std::iter::repeat_n(target.as_str(), 50)).collect();
        Run::new(args).end().success();
    }
    assert_eq!(redis.ask(&["-a", "s3cret", "ping"]), "PONG");
    let list = redis.ask(&["-a", "s3cret", "client", "list"]);
    assert_eq!(list.lines().count(), 1, "{list}");
    let stats = redis.ask(&["-a", "s3cret", "info", "stats"]);
    let connections = stats.lines().find_map(|line| line.strip_prefix("total_connections_received:")).unwrap();
    assert!(connections.trim().parse::<u32>().unwrap() >= 1000, "{connections}");
    assert_eq!(redis.log().lines().count(), lines, "{}", redis.log());
}
