//! Tansu: a start that is watched, topics, what is advertised, a broker that asks for a login, and TLS.

#[cfg(feature = "tls")]
use super::brokers::with_tls;
use super::brokers::{create_topic, tansu};
#[cfg(feature = "tls")]
use crate::support::web::Authority;
use crate::support::{Run, free_port, run::Ended};

fn once(target: &str) -> Ended {
    Run::new(["--once", target]).end()
}

#[test]
fn a_start_is_watched() {
    let addr = free_port();
    let running = Run::new(["-v", "--max-pause=100ms", &format!("kafka:{addr}#topic=orders")]).start();
    running.line("refused by");
    let broker = tansu(addr, &addr.to_string(), &[]);
    running.line("there is no topic orders");
    once(&format!("kafka:{addr}")).success().stderr_has("1 broker at");
    create_topic(addr, "orders");
    running.end().success().stderr_has("with a leader for every partition of orders");
    once(&format!("kafka:{addr}#min=2")).failure().stderr_has("knows 1 broker of 2");
    once(&format!("kafka://app:hunter2@{addr}")).failure().stderr_has("does not log in by").nowhere("hunter2");
    drop(broker);
    Run::new(["--max-pause=50ms", &format!("kafka:{addr}#gone")]).end().success();
}

/// A name that only the broker's own network knows: ready, with a warning.
#[test]
fn a_name_that_is_not_found_here() {
    let addr = free_port();
    let _broker = tansu(addr, "kafka-0.nowhere.invalid:9092", &[]);
    let ended = once(&format!("kafka:{addr}"));
    ended.success().stderr_has("1 broker at");
    // Where there is no nameserver, nothing is known of the name, and nothing is said.
    ended.expect("no other warning", ended.lines_with("warning:") <= 1);
}

#[test]
fn a_broker_that_asks_for_a_login() {
    let addr = free_port();
    let _broker = tansu(addr, &addr.to_string(), &["--authentication"]);
    once(&format!("kafka:{addr}")).success().stderr_has("asks for a login (SCRAM-SHA-512)");
    once(&format!("kafka:{addr}#min=1")).failure().stderr_has("asks for a login");
    let refused = once(&format!("kafka://app:hunter2@{addr}"));
    refused.failure().stderr_has("refuses the login by SCRAM-SHA-512").nowhere("hunter2");
}

#[cfg(feature = "tls")]
#[test]
fn certificates_are_verified() {
    let authority = Authority::new();
    let addr = free_port();
    let _broker = with_tls(addr, &[], authority.sign(&["kafka.test"]));
    let ca = authority.file();
    let ca = ca.display();
    once(&format!("kafkas:{addr}#ca={ca}#servername=kafka.test")).success().stderr_has("1 broker at");
    once(&format!("kafkas:{addr}#insecure")).success().stderr_has("not verified");
    once(&format!("kafkas:{addr}")).failure().stderr_has("an issuer that is not trusted");
    once(&format!("kafkas:{addr}#ca={ca}")).failure().stderr_has("not for");
    once(&format!("kafka:{addr}")).failure().stderr_has("wants TLS on this port").stderr_has("use kafkas:");
    let (plain, _broker) = {
        let addr = free_port();
        (addr, tansu(addr, &addr.to_string(), &[]))
    };
    once(&format!("kafkas:{plain}")).failure().stderr_has("not in TLS").stderr_has("use kafka:");
}
