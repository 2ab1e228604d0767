//! The answers of a server, of another server, and of a server that says nothing.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;

use serde_json::Value;

use crate::support::{Fake, Run, fake::linger, run::Ended};

/// A server that answers each command with the next reply, and then keeps the connection open.
fn replying(replies: &'static [&'static str]) -> Fake {
    Fake::new(move |mut stream: TcpStream| {
        for reply in replies {
            if stream.read(&mut [0; 1024]).is_err() || stream.write_all(reply.as_bytes()).is_err() {
                return;
            }
        }
        linger(stream);
    })
}

fn once(target: &str, fake: &Fake) -> Ended {
    Run::new(["--once", "--attempt-timeout=1s", &target.replace("ADDR", &fake.addr.to_string())]).end()
}

const PING: &str = "redis:ADDR";
const LOGIN: &str = "redis://app:hunter2@ADDR";

#[test]
fn ready_answers() {
    for (target, replies, says) in [
        (PING, &["+PONG\r\n"][..], "PONG from"),
        (PING, &["-NOAUTH Authentication required.\r\n"], "asks for a password"),
        (LOGIN, &["+OK\r\n", "+PONG\r\n"], "logged in at"),
        (LOGIN, &["+OK\r\n", "-NOPERM no permissions to run the 'ping' command\r\n"], "may not PING"),
        (LOGIN, &["-ERR AUTH called without any password configured\r\n", "+PONG\r\n"], "has no password"),
        // Redis 5: it knows no users.
        (
            LOGIN,
            &["-ERR wrong number of arguments for 'auth' command\r\n", "+OK\r\n", "+PONG\r\n"],
            "took the password alone",
        ),
        ("redis://ADDR/2", &["+PONG\r\n", "+OK\r\n"], "PONG from"),
        (
            "redis:ADDR#role=primary",
            &["+PONG\r\n", "*3\r\n$6\r\nmaster\r\n:9\r\n*1\r\n*3\r\n$8\r\n10.0.0.2\r\n$4\r\n6379\r\n$1\r\n9\r\n"],
            "a primary",
        ),
        (
            "redis:ADDR#role=replica",
            &["+PONG\r\n", "-ERR unknown command 'ROLE'\r\n", "$35\r\nrole:slave\r\nmaster_link_status:up\r\n\r\n"],
            "a replica",
        ),
        ("redis:ADDR#cluster", &["+PONG\r\n", "$18\r\ncluster_state:ok\r\n\r\n"], "cluster_state:ok"),
    ] {
        once(target, &replying(replies)).success().stderr_has(says).nowhere("hunter2");
    }
}

#[test]
fn not_ready_answers() {
    for (target, replies, says, code) in [
        (PING, &["-LOADING Redis is loading\r\n", "-NOPERM no\r\n"][..], "loads its dataset: LOADING", "not-accepting"),
        (
            PING,
            &["-LOADING Redis is loading\r\n", "$49\r\nloading_loaded_perc:41.5\r\nloading_eta_seconds:9\r\n\r\n"],
            "loads its dataset (42%, about 9s left)",
            "not-accepting",
        ),
        (PING, &["-BUSY Redis is busy\r\n"], "runs a script", "not-accepting"),
        (PING, &["-MASTERDOWN Link with MASTER is down\r\n"], "without its primary", "not-accepting"),
        (PING, &["-ERR max number of clients reached\r\n"], "no connection left", "too-many-clients"),
        (PING, &["-DENIED protected\r\n"], "protected mode", "not-authorized"),
        (PING, &["-MISCONF Redis is configured\r\n"], "answered a PING with an error: MISCONF", "protocol.error"),
        (PING, &["-ERR unknown command 'PING'\r\n"], "unknown command", "protocol.error"),
        (PING, &["+OK POP3\r\n"], "answered in POP3", "protocol.other"),
        (PING, &["+pong\r\n"], "not in Redis' protocol", "protocol.other"),
        (PING, &["*1\r\n$4\r\nPONG\r\n"], "not in Redis' protocol", "protocol.other"),
        ("redis:ADDR#login", &["-NOAUTH Authentication required.\r\n"], "none is given", "protocol.password"),
        (LOGIN, &["-WRONGPASS invalid username-password pair\r\n"], "refuses the password", "protocol.password"),
        (
            "redis://app:hunter2@ADDR#login",
            &["-ERR AUTH called without any password configured\r\n"],
            "it has no password",
            "protocol.password",
        ),
        (LOGIN, &["+OK\r\n", "-NOAUTH Authentication required.\r\n"], "NOAUTH", "protocol.password"),
        (LOGIN, &["+OK\r\n", "-LOADING x\r\n", "-NOPERM x\r\n"], "loads its dataset", "not-accepting"),
        ("redis://ADDR/9", &["+PONG\r\n", "-ERR DB index is out of range\r\n"], "fewer databases", "no-database"),
        ("redis:ADDR#role=primary", &["+PONG\r\n", "*1\r\n$8\r\nsentinel\r\n"], "a Sentinel", "expect.role"),
        ("redis:ADDR#role=primary", &["+PONG\r\n", "*0\r\n"], "something else than a role", "protocol.error"),
        (
            "redis:ADDR#cluster",
            &["+PONG\r\n", "$20\r\ncluster_state:fail\r\n\r\n"],
            "does not serve: cluster_state:fail",
            "expect.state",
        ),
        ("redis:ADDR#cluster", &["+PONG\r\n", "$-1\r\n"], "without a cluster_state", "protocol.error"),
    ] {
        let ended = once(target, &replying(replies));
        ended.failure().stderr_has(says).nowhere("hunter2");
        let fake = replying(replies);
        let target = target.replace("ADDR", &fake.addr.to_string());
        let json = Run::new(["--once", "--log-format=json", &target]).end();
        json.stderr_has(code);
    }
}

/// LOADING costs Redis next to nothing. So waitgate asks as often as a port that refuses, and less often after BUSY.
#[test]
fn a_server_that_loads_is_asked_often() {
    let longest_pause = |replies: &'static [&'static str]| {
        let fake = replying(replies);
        let target = PING.replace("ADDR", &fake.addr.to_string());
        let ended = Run::new(["-v", "--log-format=json", "-t", "3s", &target]).end();
        let lines = ended.failure().stderr.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
        lines.filter_map(|line| line["pause"].as_f64()).reduce(f64::max).expect("a pause")
    };
    let loading = longest_pause(&["-LOADING Redis is loading\r\n", "-NOPERM no\r\n"]);
    assert!(loading <= 0.25, "{loading}");
    let busy = longest_pause(&["-BUSY Redis is busy\r\n"]);
    assert!(busy > 0.25, "{busy}");
}

/// The server says that it is full before it reads, and resets what comes after.
#[test]
fn a_refusal_before_the_first_command() {
    let fake = Fake::new(|mut stream: TcpStream| {
        let _ = stream.write_all(b"-ERR max number of clients reached\r\n");
    });
    for target in [PING, LOGIN] {
        once(target, &fake).failure().stderr_has("no connection left").nowhere("hunter2");
    }
}

#[test]
fn another_protocol_is_named() {
    for (first, says) in [
        ("HTTP/1.1 400 Bad Request\r\n\r\n", "answered in HTTP, not in Redis' protocol"),
        ("ERROR\r\n", "answered in memcached"),
        ("\x4a\0\0\0\x0a8.0.36\0", "answered in MySQL"),
        ("\x15\x03\x01\0\x02\x02\x46", "wants TLS on this port"),
        ("220 mail.example ESMTP\r\n", "answered in SMTP"),
        ("\0\0\0", "answered, but not in Redis' protocol"),
    ] {
        once(PING, &Fake::answering(first)).failure().stderr_has(says);
        once(LOGIN, &Fake::answering(first)).failure().stderr_has(says).nowhere("hunter2");
    }
}

#[test]
fn silence_and_an_end() {
    once(PING, &Fake::silent()).failure().stderr_says("no complete answer");
    once(PING, &Fake::closing()).failure().stderr_has("closed it without an answer").stderr_has("a proxy");
    once(LOGIN, &replying(&["+OK\r\n"])).failure().stderr_says("a PING, and no complete answer");
}

#[cfg(feature = "tls")]
#[test]
fn what_is_wrong_in_a_target_is_an_error_at_once() {
    for (target, says) in [
        ("redis:db", "the port is missing"),
        ("redis://", "the host is missing"),
        ("redis://db/cache", "not a number"),
        ("redis://db/-1", "not a number"),
        ("redis://db?db=x", "not a number"),
        ("redis://db:6379,other:6379/0", "one host and one port"),
        ("redis://a@b@db", "%40"),
        ("redis://:a/b@db", "%2F"),
        ("redis://db:0", "the port"),
        ("redis://db:tcp://10.0.0.1:6379", "NAME_SERVICE_PORT"),
        ("redis://db?sslmode", "has no '='"),
        ("redis://db?ssl_cert_reqs=none", "needs TLS"),
        ("redis://db?ssl=true", "needs TLS"),
        ("rediss://db?ssl_cert_reqs=maybe", "expected none, optional or required"),
        ("rediss://db?ssl_min_version=2", "waitgate speaks TLS 1.2 and 1.3"),
        ("rediss://db?ssl_validate_ocsp=true", "OCSP"),
        ("rediss://db?ssl_keyfile=/k", "ssl_certfile"),
        ("rediss://db?ssl_ca_certs=/a#ca=/b", "leave one of them out"),
        ("redis://db?sentinelMasterId=mymaster", "no Sentinel"),
        ("redis:db:6379#ca=/a", "expected rediss:"),
        ("redis:db:6379#role=master", "#role=primary"),
        ("redis:db:6379#gone#login", "#gone excludes"),
        ("redis://:x@db#password=@/f", "leave one of them out"),
        ("redis-sentinel://db:26379/mymaster", "no Sentinel"),
        ("redis+sentinel://db:26379/mymaster", "no Sentinel"),
        ("redis+unix://db/run/s", "not absolute"),
        ("redis+unix:///run/s?ssl=true", "needs TLS"),
    ] {
        Run::new(["--dry-run", target]).end().failure().stderr_has(says);
    }
}

#[cfg(feature = "tls")]
#[test]
fn what_applications_write_is_taken() {
    for target in [
        "redis://db",
        "redis://db/",
        "redis://db:6379/0",
        "redis://db/1?protocol=3&socket_timeout=5&retry_on_timeout=true",
        "redis://:hunter2@[::1]:6379/1",
        "redis://app:hunter2@db?db=2&timeout=5s&clientName=web",
        "rediss://:hunter2@db:6380?ssl_cert_reqs=CERT_REQUIRED&ssl_check_hostname=true",
        "rediss://db?ssl_validate_ocsp=false",
        "redis://db?family=6",
        "valkey://db",
        "valkeys://db",
        "redis+ssl://db",
        "redis+tls://db",
        "redis-socket:///run/redis.sock?database=1",
        "REDIS:db:6379",
    ] {
        let ended = Run::new(["--dry-run", target]).end();
        ended.success().nowhere("hunter2");
        assert!(!ended.stderr.contains("does not know"), "{ended}");
    }
    let unknown = Run::new(["--dry-run", "redis://db?zw0lf=hunter2"]).end();
    unknown.success().stderr_has("does not know 1 parameter").stderr_has("ssl_ca_certs").nowhere("hunter2");
}
