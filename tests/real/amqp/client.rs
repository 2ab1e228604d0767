//! The fake that tests/it has is a server for pika, a real client.

use std::process::Command;

use crate::support::{
    Run,
    amqp::{broker, greeting, saying, tune},
    tool,
};

/// What pika comes to: what it says last.
pub(super) fn pika(script: &str, url: &str) -> String {
    let head = "import pika, sys\n\
        def connect(url): return pika.BlockingConnection(pika.URLParameters(url))\n";
    let out = Command::new(tool("python3")).args(["-c", &format!("{head}{script}"), url]).output().unwrap();
    let said = [out.stdout, out.stderr].concat();
    String::from_utf8_lossy(&said).trim().lines().last().unwrap_or_default().to_owned()
}

const QUEUE: &str = "connection = connect(sys.argv[1])\n\
    channel = connection.channel()\n\
    print('messages', channel.queue_declare('jobs', passive=True).method.message_count)\n\
    channel.basic_publish('', 'nowhere', b'')\n\
    connection.close()\n";

/// Each answer of the fake means the same to both.
#[test]
fn a_real_client_accepts_the_fake() {
    let fake = broker();
    let at = |login: &str, vhost: &str| format!("amqp://{login}@{}/{vhost}", fake.addr);
    let once = |target: &str| Run::new(["--once", "--attempt-timeout=2s", target]).end();

    let good = at("app:hunter2", "shop");
    assert_eq!(pika(QUEUE, &good), "messages 3");
    once(&format!("{good}#queue=jobs#publish")).success().stderr_has("3 messages");

    let missing = QUEUE.replace("'jobs'", "'other'");
    assert!(pika(&missing, &good).contains("(404, "), "{}", pika(&missing, &good));
    once(&format!("{good}#queue=other")).failure().stderr_has("expect.missing");

    let wrong = at("app:wrong", "shop");
    assert!(pika(QUEUE, &wrong).contains("(403)"), "{}", pika(QUEUE, &wrong));
    once(&wrong).failure().stderr_has("protocol.password").nowhere("hunter2");

    let other = at("app:hunter2", "other");
    assert!(pika(QUEUE, &other).contains("530"), "{}", pika(QUEUE, &other));
    once(&other).failure().stderr_has("protocol.no-database");
}

/// A server that says nothing more after Tune is no server for pika either.
#[test]
fn a_login_that_ends_early_is_none() {
    let fake = saying(vec![greeting(), tune()]);
    let url = format!("amqp://app:hunter2@{}/shop", fake.addr);
    assert!(
        pika(QUEUE, &format!("{url}?socket_timeout=1&stack_timeout=2&blocked_connection_timeout=1")) != "messages 3"
    );
    Run::new(["--once", "--attempt-timeout=1s", &url]).end().failure().nowhere("hunter2");
}
