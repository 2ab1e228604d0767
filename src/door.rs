//! The one hidden door: what fuzzers drive, and what tests and packagers make files from.
//!
//! Nothing here is a public API. The fuzzers' functions panic where a promise is broken.

mod peer;

use clap::builder::PossibleValuesParser;
use hickory_resolver::proto::rr::{Name, RecordType};

use crate::cli::Cli;
use crate::env::{Env, Fill, percent_decode};
use crate::kind::expect::{Zero, count, duration};
use crate::kind::{self, Given, Target};
use crate::net::address::{Host, host_port, port, split};
use crate::net::names::message::{self, Packet, Question};
use crate::net::names::{hosts, resolv_conf::ResolvConf, search};
use crate::reason::Hint;

/// Every hint: its name and its words. The hint to use another kind is one for each kind that it can name.
#[must_use]
pub fn hints() -> Vec<(&'static str, String)> {
    let kinds = ["tcp"].into_iter().chain(kind::spoken());
    let hints = Hint::ALL.iter().copied().filter(|hint| !matches!(hint, Hint::UseKind(_)));
    let named = |hint: Hint| {
        let name = match hint {
            Hint::UseKind(kind) => format!("Use{}{}", kind[..1].to_ascii_uppercase(), &kind[1..]),
            other => format!("{other:?}"),
        };
        (&*name.leak(), hint.words().into_owned())
    };
    hints.chain(kinds.map(Hint::UseKind)).map(named).collect()
}

/// The command line's description, for completions and the man page. Targets complete to the words before the colon.
#[must_use]
pub fn command() -> clap::Command {
    let kinds = PossibleValuesParser::new(kind::names().map(|name| &*format!("{name}:").leak()));
    let command = Cli::described();
    let command = command.mut_arg("command", |command| command.index(2));
    command.mut_arg("targets", |targets| targets.index(1).hide(false).hide_possible_values(true).value_parser(kinds))
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
                if shown.starts_with("http") || shown.starts_with("tcp") {
                    assert!(!shown.contains(TELLING), "{shown}");
                    assert!(!format!("{target:?}").contains(TELLING));
                }
                if shown.starts_with("redis") || shown.starts_with("valkey") {
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
    const ADDRESSES: [&str; 8] =
        ["http://h/", "https://h/", "tcp:h:1", "unix:/s", "dns:h", "postgres://h/d", "file:/f", "rediss://h"];
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
