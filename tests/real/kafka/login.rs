//! SASL, beside librdkafka and kafka-python: where they get in, waitgate does, and where they are refused, it is.

#[cfg(feature = "tls")]
use super::brokers::with_tls;
use super::brokers::{clients, with_logins};
#[cfg(feature = "tls")]
use crate::support::web::Authority;
use crate::support::{Run, free_port, run::Ended};

const ALL: [&str; 3] = ["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"];

fn once(target: &str) -> Ended {
    let ended = Run::new(["--once", target]).end();
    ended.nowhere("hunter2").nowhere("wrong-one");
    ended
}

#[test]
fn each_mechanism() {
    let addr = free_port();
    let _broker = with_logins(addr, &ALL);
    for mechanism in ALL {
        let both = clients(addr, &["SASL_PLAINTEXT", mechanism, "hunter2"]);
        assert_eq!(both, "librdkafka orders\nkafka-python orders\n", "{mechanism}");
        let target = |password: &str| format!("kafka://app:{password}@{addr}#topic=orders#mechanism={mechanism}");
        once(&target("hunter2")).success().stderr_has(&format!("logged in by {mechanism}, 1 broker at"));
        once(&target("wrong-one")).failure().stderr_has(&format!("refuses the login by {mechanism}"));
    }
    once(&format!("kafka://app:hunter2@{addr}")).success().stderr_has("logged in by SCRAM-SHA-512");
    once(&format!("kafka:{addr}")).success().stderr_has("asks for a login (PLAIN, SCRAM-SHA-256, SCRAM-SHA-512)");
    once(&format!("kafka:{addr}#topic=orders")).failure().stderr_has("and none is given");
    let both = clients(addr, &["SASL_PLAINTEXT", "SCRAM-SHA-256", "wrong-one"]);
    assert_eq!(both, "librdkafka refused\nkafka-python refused\n");
}

/// The first question is a guess, and the broker's list decides.
#[test]
fn what_the_broker_offers() {
    let addr = free_port();
    let _broker = with_logins(addr, &ALL[..2]);
    once(&format!("kafka://app:hunter2@{addr}")).success().stderr_has("logged in by SCRAM-SHA-256");
    let addr = free_port();
    let _broker = with_logins(addr, &ALL[..1]);
    once(&format!("kafka://app:hunter2@{addr}")).failure().stderr_has("offers PLAIN alone");
    once(&format!("kafka://app:hunter2@{addr}#mechanism=PLAIN")).success().stderr_has("logged in by PLAIN");
}

/// A listener without SASL refuses a login: an application's own would fail there too.
#[test]
fn a_listener_without_logins() {
    let addr = free_port();
    let _broker = with_logins(addr, &[]);
    assert_eq!(clients(addr, &["PLAINTEXT", "-", "-"]), "librdkafka orders\nkafka-python orders\n");
    once(&format!("kafka:{addr}#topic=orders")).success();
    once(&format!("kafka://app:hunter2@{addr}")).failure().stderr_has("this listener takes no login");
}

/// Inside TLS with a verified certificate, PLAIN needs no word of the user's. Most hosted brokers offer nothing else.
#[cfg(feature = "tls")]
#[test]
fn plain_inside_tls() {
    let (authority, addr) = (Authority::new(), free_port());
    let _broker = with_tls(addr, &ALL[..1], authority.sign(&[&addr.ip().to_string()]));
    let ca = authority.file();
    let ca = ca.to_str().unwrap();
    let both = clients(addr, &["SASL_SSL", "PLAIN", "hunter2", ca]);
    assert_eq!(both, "librdkafka orders\nkafka-python orders\n");
    let target = format!("kafkas://app:hunter2@{addr}#topic=orders");
    once(&format!("{target}#ca={ca}")).success().stderr_has("logged in by PLAIN");
    once(&target).failure().stderr_has("an issuer that is not trusted");
    for unverified in [format!("{target}#insecure"), target.clone()] {
        let ended = Run::new(["--once", "--insecure", &unverified]).end();
        ended.failure().stderr_has("offers PLAIN alone").nowhere("hunter2");
    }
    once(&format!("{target}#insecure#mechanism=PLAIN")).success().stderr_has("anyone on the way");
}
