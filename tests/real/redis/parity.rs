//! `redis:` beside `redis-cli ping` in the same state of the same server: what each calls alive, and what each leaves in the
//! server's log. Where the two differ it is on purpose, and docs/redis.md says so.

use std::net::TcpStream;
use std::process::Command;

use rustix::process::Signal;

use crate::support::{Pod, Run, free_port, redis::Redis, run::Ended, tool};

/// How redis-cli ends and what it prints.
#[track_caller]
fn cli(redis: &Redis, code: i32, prints: &str) {
    let out = redis.cli().arg("ping").output().unwrap();
    let said = format!("{}{}", String::from_utf8_lossy(&out.stdout), String::from_utf8_lossy(&out.stderr));
    assert_eq!(out.status.code(), Some(code), "redis-cli ping: {said}");
    assert!(said.contains(prints), "redis-cli ping: {said}");
}

/// Asks both. Neither may leave a line in the log.
#[track_caller]
fn both(redis: &Redis, code: i32, prints: &str) -> Ended {
    let lines = redis.log().lines().count();
    cli(redis, code, prints);
    let ended = Run::new(["--once", "--attempt-timeout=2s", &format!("redis:{}", redis.addr)]).end();
    assert_eq!(redis.log().lines().count(), lines, "{}", redis.log());
    ended
}

#[test]
fn refused() {
    let addr = free_port();
    let ping = Command::new(tool("redis-cli"))
        .args(["-h", &addr.ip().to_string(), "-p", &addr.port().to_string(), "ping"])
        .output()
        .unwrap();
    assert_eq!(ping.status.code(), Some(1));
    Run::new(["--once", &format!("redis:{addr}")]).end().failure().stderr_says("refused");
}

#[test]
fn ready() {
    both(&Redis::started(&[]), 0, "PONG").success().stderr_has("PONG from");
}

/// The same: the server is up and asks for a password.
#[test]
fn asks_for_a_password() {
    both(&Redis::started(&["--requirepass", "s3cret"]), 0, "NOAUTH").success().stderr_has("asks for a password");
}

/// Differs on purpose: the exit status of redis-cli is 0.
#[test]
fn loading() {
    let mut redis = Redis::new();
    redis.start_loading(&[]);
    let ended = both(&redis, 0, "LOADING");
    ended.failure().stderr_has("loads its dataset (").stderr_has("left").stderr_has("LOADING");
    ended.stderr_has("%");
}

/// Differs on purpose.
#[test]
fn busy_with_a_script() {
    let redis = Redis::started(&["--busy-reply-threshold", "100"]);
    let mut script =
        redis.cli().args(["eval", "while true do end", "0"]).stdout(std::process::Stdio::null()).spawn().unwrap();
    redis.says(&["ping"], "BUSY");
    both(&redis, 0, "BUSY").failure().stderr_has("runs a script").stderr_has("BUSY");
    redis.ask(&["script", "kill"]);
    let _ = script.wait();
    both(&redis, 0, "PONG").success();
}

/// Differs on purpose.
#[test]
fn a_replica_without_its_primary() {
    let nowhere = free_port();
    let (host, port) = (nowhere.ip().to_string(), nowhere.port().to_string());
    let redis = Redis::started(&["--replicaof", &format!("{host} {port}"), "--replica-serve-stale-data", "no"]);
    redis.says(&["ping"], "MASTERDOWN");
    both(&redis, 0, "MASTERDOWN").failure().stderr_has("without its primary");
}

/// Differs on purpose. redis-cli has no reply to show, as the connection is closed.
#[test]
fn full() {
    let redis = Redis::started(&["--maxclients", "1"]);
    redis.says(&["ping"], "PONG");
    let _taken = TcpStream::connect(redis.addr).unwrap();
    redis.says(&["ping"], "max number of clients");
    both(&redis, 0, "max number of clients").failure().stderr_has("no connection left");
}

/// Differs on purpose.
#[test]
fn protected_mode() {
    let pod = Pod::new();
    pod.sh("ip address add 10.9.9.9/32 dev lo");
    let mut redis = Redis::inside(&pod, ([10, 9, 9, 9], 6379).into());
    redis.start(&["--protected-mode", "yes"]);
    redis.says(&["ping"], "DENIED");
    let lines = redis.log().lines().count();
    cli(&redis, 0, "DENIED");
    let ended = Run::new(["--once", "redis:10.9.9.9:6379"]).inside(&pod).end();
    ended.failure().stderr_has("protected mode").stderr_has("DENIED");
    assert_eq!(redis.log().lines().count(), lines, "{}", redis.log());
}

/// Differs on purpose: a server that cannot save answers PING with an error, and so it will answer each write.
#[test]
fn cannot_save() {
    let redis = Redis::started(&["--save", "3600 1"]);
    redis.says(&["ping"], "PONG");
    // A folder in the place of the file.
    std::fs::create_dir(redis.path("dump.rdb")).unwrap();
    redis.ask(&["set", "a", "1"]);
    redis.ask(&["bgsave"]);
    redis.says(&["ping"], "MISCONF");
    both(&redis, 0, "MISCONF").failure().stderr_has("MISCONF");
}

/// Differs on purpose: the login works, and redis-cli prints an error.
#[test]
fn a_user_who_may_not_ping() {
    let redis = Redis::started(&[]);
    redis.says(&["acl", "setuser", "app", "on", ">pw", "~*", "+get"], "OK");
    let out = redis.cli().args(["--user", "app", "--pass", "pw", "ping"]).output().unwrap();
    assert!(out.status.success() && String::from_utf8_lossy(&out.stdout).contains("NOPERM"));
    let target = format!("redis://app:pw@{}", redis.addr);
    Run::new(["--once", &target]).end().success().stderr_has("may not PING").nowhere("pw@");
}

/// A stopped process: redis-cli waits without an end.
#[test]
fn stopped() {
    let redis = Redis::started(&[]);
    redis.says(&["ping"], "PONG");
    redis.signal(Signal::STOP);
    let ended = Run::new(["--once", "--attempt-timeout=1s", &format!("redis:{}", redis.addr)]).end();
    ended.failure().stderr_says("no complete answer");
}
