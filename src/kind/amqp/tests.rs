//! Addresses: every spelling of an application's URI, what it means, and what is wrong input.

use super::*;
use crate::env::Env;
use crate::kind::{Given, Target};

fn env() -> Env {
    [("PW", "hunter2 @:/?#%zw0lf"), ("HOST", "mq"), ("EMPTY", ""), ("URL", "amqp://app:hunter2@mq/shop?zw0lf=1")]
        .into_iter()
        .collect()
}

fn parse_in(text: &str, env: &Env) -> Result<Amqp> {
    let (target, _) = Target::parse(text, Given { env, ca_file: false })?;
    let Target::Amqp(amqp) = target else { bail!("{target} is of another kind") };
    Ok(*amqp)
}

fn parse(text: &str) -> Amqp {
    parse_in(text, &env()).unwrap_or_else(|error| panic!("{text}: {error:#}"))
}

fn invalid(text: &str) -> String {
    match parse_in(text, &env()) {
        Ok(target) => panic!("{text} is accepted as {target}"),
        Err(error) => format!("{error:#}"),
    }
}

/// The rows about the vhost are those of RabbitMQ's URI specification, and kombu's `//`.
#[test]
fn spellings_of_an_address() {
    for (text, shown, user, vhost) in [
        ("amqp:mq:5673", "amqp:mq:5673", None, "/"),
        ("amqp:[::1]:5672", "amqp:[::1]:5672", None, "/"),
        ("amqp://mq", "amqp://mq:5672", None, "/"),
        ("amqp://mq:10000", "amqp://mq:10000", None, "/"),
        ("amqp://mq/", "amqp://mq:5672/", None, ""),
        ("amqp://mq/%2f", "amqp://mq:5672/%2f", None, "/"),
        ("amqp://mq/%2F", "amqp://mq:5672/%2F", None, "/"),
        ("amqp://app:hunter2@mq//", "amqp://app@mq:5672//", Some("app"), "/"),
        ("amqp://mq/shop", "amqp://mq:5672/shop", None, "shop"),
        ("amqp://us%65r:hunter2@host:10000/v%2Fhost", "amqp://us%65r@host:10000/v%2Fhost", Some("user"), "v/host"),
        ("amqp://app:$(PW)@$(HOST)/$(HOST)", "amqp://app@mq:5672/$(HOST)", Some("app"), "mq"),
        ("amqp://app@mq", "amqp://app@mq:5672", None, "/"),
        ("amqp://mq#login", "amqp://mq:5672#login", Some("guest"), "/"),
        ("amqp://mq#login#queue=q", "amqp://mq:5672#login#queue=q", Some("guest"), "/"),
        ("amqp://app@mq/v#password=@/f", "amqp://app@mq:5672/v#password=@/f", Some("app"), "v"),
        ("pyamqp://app:hunter2@mq//", "amqp://app@mq:5672//", Some("app"), "/"),
        ("rabbitmq://mq/v", "amqp://mq:5672/v", None, "v"),
        ("AMQP://mq?heartbeat=5&connection_timeout=1000&channel_max=9&frame_max=9", "amqp://mq:5672", None, "/"),
        ("env:URL", "amqp://***@mq:5672/***", Some("app"), "shop"),
    ] {
        let amqp = parse(text);
        assert_eq!(amqp.to_string(), shown, "{text}");
        assert_eq!((amqp.user.as_deref(), amqp.location.vhost.as_str()), (user, vhost), "{text}");
        assert!(!format!("{amqp:?}").contains("hunter2"), "{text}: {amqp:?}");
    }
}

#[cfg(feature = "tls")]
#[test]
fn spellings_with_tls() {
    for (text, shown) in [
        ("amqps:mq:5671", "amqps:mq:5671"),
        ("amqps://mq", "amqps://mq:5671"),
        ("amqp+ssl://mq", "amqps://mq:5671"),
        ("amqps://mq?cacertfile=/ca&verify=verify_peer&server_name_indication=mq.test", "amqps://mq:5671"),
        ("amqps://mq?ssl_ca_certs=/ca&ssl_cert_reqs=CERT_REQUIRED", "amqps://mq:5671"),
        ("amqps://mq?ssl=true", "amqps://mq:5671"),
        ("amqps://mq?auth_mechanism=external&certfile=/c&keyfile=/k", "amqps://mq:5671"),
        ("amqps://mq?auth_mechanism=external#cert=/c#key=/k", "amqps://mq:5671#cert=/c#key=/k"),
    ] {
        let amqp = parse(text);
        assert_eq!(amqp.to_string(), shown, "{text}");
        assert!(amqp.uses_tls() && amqp.warnings().is_empty(), "{text}: {:?}", amqp.warnings());
    }
    for unverified in ["verify=verify_none", "ssl_cert_reqs=none", "ssl_cert_reqs=CERT_NONE", "no_verify_ssl=1"] {
        let warnings = parse(&format!("amqps://mq?{unverified}")).warnings();
        assert_eq!(warnings.len(), 1, "{warnings:?}");
    }
    assert_eq!(parse("amqps://mq?auth_mechanism=external#cert=/c#key=/k").user.as_deref(), Some(""));
}

#[test]
fn warnings_name_what_has_no_effect() {
    for (text, says) in [
        ("amqp://app:pw@mq/", "an empty name"),
        ("amqp://app@mq", "does not log in"),
        ("amqp://mq?zw0lf=1", "does not know 1 parameter"),
    ] {
        let warnings = parse(text).warnings().join("; ");
        assert!(warnings.contains(says) && !warnings.contains("zw0lf"), "{text}: {warnings}");
    }
    for quiet in ["amqp://mq", "amqp://mq/", "amqp://app:pw@mq/v?heartbeat=5", "amqp://app@mq#gone"] {
        assert!(parse(quiet).warnings().is_empty(), "{quiet}");
    }
}

#[test]
fn wrong_input_is_named_and_never_repeated() {
    for (text, says) in [
        ("amqp:", "the port is missing"),
        ("amqp:mq", "the port is missing"),
        ("amqp:mq:x", "the port is not a number"),
        ("amqp:mq:5672/v", "the form with //"),
        ("amqp://", "the host is missing"),
        ("amqp://app:a@hunter2@mq/v", "%40"),
        ("amqp://app:hunter2/b@mq/v", "%2F"),
        ("amqp://app:a?hunter2@mq/v", "%3F"),
        ("amqp://app:%00@mq", "NUL"),
        ("amqp://a,b/v", "several hosts"),
        ("amqp://a;amqp://b", "several hosts"),
        ("amqp://mq/v/hunter2", "%2F"),
        ("amqp://mq/%2f/messages", "a second '/'"),
        ("amqp://mq/$(EMPTY)", "$(EMPTY) is empty"),
        ("amqp://mq:tcp://10.0.0.1:5672", "NAME_SERVICE_PORT"),
        ("amqp://mq?ssl=true", "needs TLS"),
        ("amqp://mq?verify=verify_none", "needs TLS"),
        ("amqp://mq?auth_mechanism=hunter2", "plain, amqplain or external"),
        ("amqp://mq?auth_mechanism=external", "a client certificate"),
        ("amqp://mq?hunter2", "has no '='"),
        ("amqp://mq?depth=1", "leave it out"),
        ("amqp://mq#ca=/f", "expected amqps:"),
        ("amqp://mq#queue=q", "#queue needs a login"),
        ("amqp://mq#publish", "#publish needs a login"),
        ("amqp://app:p@mq#queue=", "#queue: found nothing"),
        ("amqp://app@mq#login", "password is missing"),
        ("amqp://:hunter2@mq", "the user of the login is missing"),
        ("amqp://mq#password=@/f", "the user of the login is missing"),
        ("amqp://app:hunter2@mq#password=@/f", "leave one of them out"),
        ("amqp://app:hunter2@mq#gone#login", "#gone excludes"),
    ] {
        let message = invalid(text);
        assert!(message.contains(says), "{text}: {message}");
        assert!(!message.contains("hunter2"), "{text}: {message}");
    }
    assert!(invalid(&format!("amqp://mq/{}", "v".repeat(256))).contains("at most 255 bytes"));
}

#[cfg(feature = "tls")]
#[test]
fn wrong_input_with_tls() {
    for (text, says) in [
        ("amqps://mq?verify=maybe", "verify_peer or verify_none"),
        ("amqps://mq?keyfile=/k", "certfile"),
        ("amqps://mq?password=hunter2", "passphrase"),
        ("amqps://mq?cacertfile=/a#ca=/b", "leave one of them out"),
        ("amqps://mq?verify=verify_none#ca=/b", "leave one of them out"),
        ("amqps://mq?server_name_indication=disable", "leave it out"),
        ("amqps://mq?server_name_indication=10.0.0.1", "names only"),
        ("amqps://mq?server_name_indication=a#servername=b", "leave one of them out"),
    ] {
        let message = invalid(text);
        assert!(message.contains(says), "{text}: {message}");
        assert!(!message.contains("hunter2"), "{text}: {message}");
    }
}
