//! The parsing of names that is ours: resolv.conf, the hosts file, addresses, targets, and what a DNS server sends.
#![no_main]

use hickory_resolver::proto::rr::{Name, RecordType};
use libfuzzer_sys::fuzz_target;
use waitgate::net::message::{self, Packet, Question};
use waitgate::net::{conf::ResolvConf, hosts, search};
use waitgate::target::{Given, Target, address::Host};
use waitgate::vars::Env;

fuzz_target!(|data: &[u8]| {
    let Some((which, data)) = data.split_first() else { return };
    match which % 3 {
        0 => files(data),
        1 => target(data),
        _ => packet(data),
    }
});

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
        assert!(steps.iter().all(|step| step.name.len() <= 253));
    }
}

fn target(data: &[u8]) {
    let env: Env = [("HOST", "db")].into_iter().collect();
    let given = Given { env: &env, ca_file: false };
    let text = String::from_utf8_lossy(data);
    let Ok((target, _)) = Target::parse(&text, given) else { return };
    let shown = target.to_string();
    // Secrets are hidden, %xx and $(NAME) are replaced, and control characters are escaped.
    let plain = |shown: char| matches!(shown, ' '..='~') && !matches!(shown, '%' | '$');
    if shown.contains("***") || !text.chars().all(plain) {
        return;
    }
    let again = Target::parse(&shown, given).map(|(target, _)| target.to_string());
    assert_eq!(again.ok(), Some(shown));
}

/// The packet begins with its id.
fn packet(data: &[u8]) {
    let question = Question { name: Name::from_ascii("db.ns.").expect("a plain name"), rtype: RecordType::A };
    let id = data.first_chunk().map_or(0, |bytes| u16::from_be_bytes(*bytes));
    if let Packet::Answer(answer) = message::read(data, &question, id) {
        let _ = answer.content(&question, &mut Vec::new());
    }
}
