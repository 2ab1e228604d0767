//! The library behind its door: everything that the tests use of it without the binary.
//!
//! Whatever is in here can be had from `waitgate::door` once the library has one; nothing else in the tests
//! names a module of the library.

use clap::CommandFactory as _;
use hickory_resolver::proto::rr::{Name, RecordType};
use waitgate::{
    cli::Cli,
    net::{
        conf::ResolvConf,
        hosts,
        message::{self, Packet, Question},
        search,
    },
    reason::Hint,
    report::words,
    target::{Given, Target, address::Host},
    vars::Env,
};

/// Each hint's name and its words.
pub(crate) fn hints() -> Vec<(&'static str, String)> {
    let name = |hint: &Hint| &*format!("{hint:?}").leak();
    Hint::ALL.iter().map(|hint| (name(hint), words::hint(*hint).to_owned())).collect()
}

/// The command line's own description.
pub(crate) fn command() -> clap::Command {
    Cli::command()
}

/// Parses what a resolver reads, and asserts what holds of it. The first byte says what the rest is: a name and a
/// file, a target, or a packet.
pub(crate) fn names(data: &[u8]) {
    let Some((which, data)) = data.split_first() else { return };
    match which % 3 {
        0 => files(data),
        1 => target(&String::from_utf8_lossy(data)),
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

/// Parses a target. What is shown of it can be given again, and then means the same.
pub(crate) fn target(text: &str) {
    let env: Env = [("HOST", "db")].into_iter().collect();
    let given = Given { env: &env, ca_file: false };
    let Ok((target, _)) = Target::parse(text, given) else { return };
    let shown = target.to_string();
    let again = Target::parse(&shown, given).map(|(target, _)| target.to_string());
    assert_eq!(again.ok(), Some(shown), "{text:?}");
}

/// The packet begins with its id.
fn packet(data: &[u8]) {
    let question = Question { name: Name::from_ascii("db.ns.").expect("a plain name"), rtype: RecordType::A };
    let id = data.first_chunk().map_or(0, |bytes| u16::from_be_bytes(*bytes));
    if let Packet::Answer(answer) = message::read(data, &question, id) {
        let _ = answer.content(&question, &mut Vec::new());
    }
}
