//! A server that starts, is ready, is stopped and goes.

use std::time::Duration;

use rustix::process::Signal;

use crate::support::{Run, rabbitmq::RabbitMq};

/// RabbitMQ opens its port when it is nearly up. From the first moment of the process until then waitgate says why it waits,
/// and the first answer is the right one.
#[test]
fn from_the_start_of_the_process_to_ready() {
    let mut server = RabbitMq::new();
    let plain = format!("amqp:{}", server.addr);
    let login = format!("amqp://guest:guest@{}/%2f", server.addr);
    let start = |target: &str| Run::new(["-t", "2m", "-v", "--max-pause=10ms", target]).start();
    let (plain, login) = (start(&plain), start(&login));
    server.start(&[]);
    server.is_up();
    let (plain, login) = (plain.end(), login.end());
    plain.success().stderr_has("refused by").stderr_has("RabbitMQ 3");
    login.success().stderr_has("refused by").stderr_has("logged in at");
    for ended in [plain, login] {
        // No attempt but the last met a server.
        assert_eq!(ended.lines_with("closed"), 0, "{ended}");
        assert_eq!(ended.lines_with("protocol."), 0, "{ended}");
    }
    let worse = server.worse_than_info(0);
    assert_eq!(worse.iter().filter(|line| line.contains("unexpectedly closed")).count(), 1, "{worse:?}");
    assert!(!server.log().contains("[error]"), "{}", server.log());

    let target = format!("amqp://guest:guest@{}", server.addr);
    server.signal(Signal::STOP);
    for target in [&target, &format!("amqp:{}", server.addr)] {
        let ended = Run::new(["--once", "--attempt-timeout=1s", target]).end();
        ended.failure().took(Duration::ZERO..Duration::from_secs(3)).stderr_says("no complete answer");
    }
    server.signal(Signal::CONT);
    Run::new(["-t", "30s", &target]).end().success();
    server.stop();
    Run::new(["--max-pause=50ms", "-t", "30s", &format!("{target}#gone")]).end().success();
}
