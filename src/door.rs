//! The one hidden door: what fuzzers drive, and what tests and packagers make files from.
//!
//! Nothing here is a public API. The fuzzers' functions panic where a promise is broken.

#[cfg(any(feature = "amqp", feature = "grpc", feature = "mongodb", feature = "mysql"))]
mod conversation;
mod fleet;
mod peer;

pub use fleet::{Failure, Pauses};

use clap::ValueHint;
use clap::builder::{PossibleValue, PossibleValuesParser};
use hickory_resolver::proto::rr::{Name, RecordType};

use crate::cli::Cli;
use crate::env::{Env, Fill, percent_decode};
use crate::kind::expect::{Zero, count, duration};
use crate::kind::{self, Given, Target};
use crate::net::address::{Host, host_port, port, split};
use crate::net::names::message::{self, Packet, Question};
use crate::net::names::{hosts, resolv_conf::ResolvConf, search};
use crate::plan;
use crate::reason::{Code, Hint};

/// Every hint: its name and its words. The hint to use another kind is one for each kind that it can name.
#[must_use]
pub fn hints() -> Vec<(&'static str, String)> {
    let kinds = ["tcp"].into_iter().chain(kind::spoken());
    let hints = Hint::ALL.iter().copied().filter(|hint| !matches!(hint, Hint::UseKind(_)));
    let named = |hint: Hint| {
        let name = match hint {
            Hint::UseKind(kind) => {
                let words = kind.split('+').map(|word| format!("{}{}", word[..1].to_ascii_uppercase(), &word[1..]));
                words.fold("Use".to_owned(), |name, word| name + &word)
            }
            other => format!("{other:?}"),
        };
        (&*name.leak(), hint.words().into_owned())
    };
    hints.chain(kinds.map(Hint::UseKind)).map(named).collect()
}

/// The command line's description, for completions and the man page, with what the values of its options may be. Targets
/// complete to the words before the colon.
#[must_use]
pub fn command() -> clap::Command {
    let values = |list: Vec<PossibleValue>| PossibleValuesParser::new(list);
    let named = |name: &str, says: &'static str| PossibleValue::new(&*name.to_owned().leak()).help(says);
    let codes = || Code::ALL.iter().map(|code| named(code.as_str(), code.summary())).collect();
    let kinds = || kind::help::words().map(|(name, says)| named(&format!("{name}:"), says)).collect();
    let plain = |words: &[&'static str]| words.iter().map(|word| PossibleValue::new(*word)).collect();
    let shown = |arg: clap::Arg| match arg.get_id().as_str() {
        "log_format" => arg.value_parser(values(plain(&["text", "json"]))),
        "color" => arg.value_parser(values(plain(&["auto", "always", "never"]))),
        "explain" => arg.value_parser(values(codes())),
        "ca_file" | "termination_log" => arg.value_hint(ValueHint::FilePath),
        "command" => arg.index(2).value_hint(ValueHint::CommandName),
        "targets" => arg.index(1).hide(false).value_parser(values(kinds())),
        _ => arg,
    };
    let quiet = |arg: clap::Arg| if arg.get_action().takes_values() { arg.hide_possible_values(true) } else { arg };
    Cli::described().mut_args(|arg| quiet(shown(arg)))
}

/// Every expectation with what it means, as `--help` has them.
#[must_use]
pub fn expectation_list() -> String {
    kind::help::expectations()
}

/// The environment variables that take the place of options and targets.
#[must_use]
pub fn twins() -> Vec<&'static str> {
    plan::twins()
}

/// The environment variables that `postgres:` reads.
#[cfg(feature = "postgres")]
#[must_use]
pub fn postgres_variables() -> Vec<&'static str> {
    kind::postgres_variables().collect()
}

/// One argument: whatever it holds, it is parsed or refused, and no secret is in what is shown of it.
///
/// # Panics
/// If a secret is shown, or a control character.
pub fn target(text: &str) {
    /// What a Secret would hold, with every character that could end a piece of a target.
    const SECRET: &str = "s3cr3t#@:/?&=%41$(SECRET)";
    /// No part of it that is long enough to be recognised may be shown.
    const TELLING: &str = "s3cr3t";
    if text.contains(TELLING) {
        return;
    }
    let vars =
        [("SECRET", SECRET), ("HOST", "db"), ("PORT", "5432"), ("V6", "::1"), ("EMPTY", ""), ("URL", "tcp:db:1")];
    let env: Env = vars.into_iter().collect();
    for ca_file in [false, true] {
        match Target::parse(text, Given { env: &env, ca_file }) {
            Ok((target, _)) => {
                let shown = target.to_string();
                assert!(!shown.contains(char::is_control), "{shown:?}");
                // A database's name, a path and a record are no secrets.
                if shown.starts_with("http") || shown.starts_with("tcp") || shown.starts_with("mysql") {
                    assert!(!shown.contains(TELLING), "{shown}");
                    assert!(!format!("{target:?}").contains(TELLING));
                }
                if ["redis", "valkey", "amqp", "mongodb", "kafka"].into_iter().any(|kind| shown.starts_with(kind)) {
                    assert!(!shown.contains(TELLING), "{shown}");
                }
                let _ = (target.uses_tls(), target.warnings());
            }
            Err(error) => {
                let message = format!("{error:#}");
                assert!(!message.contains(TELLING), "{message}");
                assert!(!message.is_empty());
            }
        }
    }
}

/// The `#name=value` grammar, after the address of the kind that the first character picks.
///
/// # Panics
/// If a parsed value is out of its range.
pub fn expectations(text: &str) {
    const ADDRESSES: &[&str] = &[
        "http://h/",
        "https://h/",
        "tcp:h:1",
        "unix:/s",
        "dns:h",
        "postgres://h/d",
        "file:/f",
        "rediss://h",
        "mysql://u@h/d",
        "amqps://u:p@h/v",
        "grpcs:h:1",
        "mongodb://u@h/d",
        "kafkas:h:1",
    ];
    let Some(which) = text.chars().next() else { return };
    let text = &text[which.len_utf8()..];
    let address = ADDRESSES[which as usize % ADDRESSES.len()];
    let env = Env::default();
    if let Ok((target, own)) = Target::parse(&format!("{address}#{text}"), Given { env: &env, ca_file: false }) {
        assert!(own.timeout.is_none_or(|timeout| !timeout.is_zero()));
        assert!(own.successes != Some(0));
        let _ = target.to_string();
    }
    for zero in [Zero::Allowed, Zero::Invalid] {
        if let Ok(parsed) = duration(text, zero) {
            assert!(parsed.as_secs() <= 24 * 60 * 60);
            assert!(zero == Zero::Allowed || !parsed.is_zero());
        }
    }
    assert!(count(text).is_ok_and(|number| number > 0) || count(text).is_err());
    let _ = percent_decode(text);
}

/// Hosts and ports: what is accepted is shown in a form that is accepted again, and means the same.
///
/// # Panics
/// If it is not.
pub fn address(text: &str) {
    if let Ok(host) = Host::parse(text) {
        assert_eq!(Host::parse(&host.to_string()).ok(), Some(host));
    }
    if let Ok(number) = port(text) {
        assert!(number > 0);
    }
    let (host, number) = split(text);
    assert_eq!(host.len() + number.map_or(0, |number| number.len() + 1), text.len());
    let env = Env::default();
    if let Ok((host, number)) = host_port(text, "tcp:HOST:PORT", Fill::from_env(&env)) {
        assert_eq!(host_port(&format!("{host}:{number}"), "", Fill::none()).ok(), Some((host, number)));
    }
}

/// What a Redis server may send: it is read within bounds, or it is an error.
///
/// # Panics
/// If a bound is passed.
#[cfg(feature = "redis")]
pub fn redis(data: &[u8]) {
    kind::redis::replies(data);
}

/// What the Kubernetes API may send, and a kubeconfig: the first byte picks one.
///
/// # Panics
/// If the objects depend on the pieces in which the bytes come, or a message steers a terminal.
#[cfg(feature = "k8s")]
pub fn k8s(data: &[u8]) {
    kind::k8s::heard(data);
}

/// What a MongoDB server says, in the same way.
///
/// # Panics
/// If a reason has a secret, or steers a terminal.
#[cfg(feature = "mongodb")]
pub fn mongodb(data: &[u8]) {
    conversation::MONGODB.run(data);
}

/// What a Kafka broker may answer: it is read within bounds, alike whole and in pieces, or it is an error.
///
/// # Panics
/// If it is not.
#[cfg(feature = "kafka")]
pub fn kafka(data: &[u8]) {
    kind::kafka::answers(data);
}

/// What a server of any kind may say: the first byte picks the target, the rest is said.
///
/// # Panics
/// If the reason or the note has a secret or a control character, or is long.
pub fn peer(data: &[u8]) {
    peer::answers(data);
}

/// `body=` and `json=`: the first line has the expectations, the rest is the document.
///
/// # Panics
/// If the outcome depends on the pieces in which the document is read.
pub fn content(data: &[u8]) {
    let (line, document) = data.split_at(data.iter().position(|byte| *byte == b'\n').unwrap_or(data.len()));
    kind::content::checks(&String::from_utf8_lossy(line), document);
}

/// Files of others: a password file, certificates in PEM and in DER. The first byte picks one.
///
/// # Panics
/// If a line of a password file does not give back the password that was written into it.
#[cfg(feature = "tls")]
pub fn mounted(data: &[u8]) {
    let Some((which, data)) = data.split_first() else { return };
    match which % 3 {
        #[cfg(feature = "postgres")]
        0 => kind::postgres::password_file_text(&String::from_utf8_lossy(data)),
        1 => crate::net::tls::pem_file(data),
        _ => {
            crate::net::tls::certificate(data);
            #[cfg(feature = "postgres")]
            kind::postgres::certificate(data);
        }
    }
}

/// Names: resolv.conf, the hosts file, targets, and what a DNS server sends. The first byte picks one.
///
/// # Panics
/// If a bound is passed, or a target is shown in a form that is not accepted again.
pub fn names(data: &[u8]) {
    let Some((which, data)) = data.split_first() else { return };
    match which % 3 {
        0 => files(data),
        1 => shown_again(&String::from_utf8_lossy(data)),
        _ => packet(data),
    }
}

/// The first line is a name; the rest is resolv.conf and hosts at once.
fn files(data: &[u8]) {
    let (name, text) = data.split_at(data.iter().position(|byte| *byte == b'\n').unwrap_or(data.len()));
    let conf = ResolvConf::parse(Some(text), |_| Some(1));
    assert!((1..=3).contains(&conf.nameservers.len()) && conf.ndots <= 15 && conf.search.len() <= 32);
    assert!(conf.oddities.len() <= 8);
    let name = String::from_utf8_lossy(name);
    let found = hosts::addresses(text, &name);
    assert!(found.len() <= text.split(|byte| *byte == b'\n').count());
    if let Ok(Host::Name(name)) = Host::parse(&name) {
        let steps = search::steps(&name, &conf);
        assert!(!steps.is_empty() || conf.no_tld_query, "{name:?}");
        assert!(steps.iter().all(|step| step.name.len() <= 253), "{name:?}");
    }
}

fn shown_again(text: &str) {
    let env: Env = [("HOST", "db")].into_iter().collect();
    let given = Given { env: &env, ca_file: false };
    let Ok((target, _)) = Target::parse(text, given) else { return };
    let shown = target.to_string();
    // A hidden secret, a value that was decoded or filled, and an escaped character are not shown as they were written.
    let plain = |c: char| matches!(c, ' '..='~') && !matches!(c, '%' | '$');
    if shown.contains("***") || !text.chars().all(plain) {
        return;
    }
    let again = Target::parse(&shown, given).map(|(target, _)| target.to_string());
    assert_eq!(again.ok(), Some(shown));
}

/// The packet begins with its id.
fn packet(data: &[u8]) {
    let Ok(name) = Name::from_ascii("db.ns.") else { return };
    let question = Question { name, rtype: RecordType::A };
    let id = data.first_chunk().map_or(0, |bytes| u16::from_be_bytes(*bytes));
    if let Packet::Answer(answer) = message::read(data, &question, id) {
        let _ = answer.content(&question, &mut Vec::new());
    }
}

/// What a MySQL server says: see `door/conversation.rs`.
///
/// # Panics
/// If a reason has a secret, or steers a terminal.
#[cfg(feature = "mysql")]
pub fn mysql(data: &[u8]) {
    conversation::MYSQL.run(data);
}

/// What an AMQP server says, in the same way.
///
/// # Panics
/// If a reason has a secret, or steers a terminal.
#[cfg(feature = "amqp")]
pub fn amqp(data: &[u8]) {
    conversation::AMQP.run(data);
}

/// What a gRPC server says, in the same way; with 3 as the first byte, an answer as HTTP/2 has taken it apart.
///
/// # Panics
/// If a reason has a secret, or steers a terminal.
#[cfg(feature = "grpc")]
pub fn grpc(data: &[u8]) {
    conversation::GRPC.run(data);
}
