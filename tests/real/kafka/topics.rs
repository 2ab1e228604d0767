//! librdkafka's mock cluster creates a topic for whoever asks for one and lets it. waitgate does not let it.

use super::brokers::Mock;
use crate::support::{Run, run::Ended};

fn once(target: &str) -> Ended {
    Run::new(["--once", target]).end()
}

#[test]
fn asking_creates_no_topic() {
    let mut cluster = Mock::start(3);
    let servers = cluster.servers.clone();
    once(&format!("kafka:{servers}#min=3")).success().stderr_has("3 brokers at");
    once(&format!("kafka:{servers}#min=4")).failure().stderr_has("knows 3 brokers of 4");
    for _ in 0..3 {
        once(&format!("kafka:{servers}#topic=orders#topic=more")).failure().stderr_has("there is no topic orders");
    }
    assert_eq!(cluster.says("topics"), "", "waitgate's question has created it");
    // The control: the cluster does create it for a producer.
    assert_eq!(cluster.says("ask orders"), "orders");
    once(&format!("kafka:{servers}#topic=orders")).success().stderr_has("a leader for every partition of orders");
    once(&format!("kafka:{servers}#topic=orders#topic=more")).failure().stderr_has("there is no topic more");
}
