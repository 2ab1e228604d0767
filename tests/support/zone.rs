//! A zone in lines, served with a misbehaviour for each name that asks for one.

use std::sync::Arc;

use hickory_resolver::proto::op::ResponseCode;
use hickory_resolver::proto::rr::RecordType;

use super::scripted::{Asked, Server};
use crate::support::Pod;

/// Serves `lines` at `address` of the Pod, port 53. Each line is `NAME TYPE VALUE` or `NAME BEHAVIOUR`:
///
/// - `SILENT`, `SILENT-A`, `SILENT-AAAA`: no answer, to everything or to one type
/// - `SERVFAIL`, `SERVFAIL-A`, `SERVFAIL-AAAA`, `REFUSED`: an answer that is none
/// - `EMPTY`: the name exists, and has nothing
/// - `TRUNCATED`: its records come over TCP only
/// - `PARTIAL`: a CNAME without what it leads to, as from a server that does not recurse
///
/// A name that no line begins with does not exist, unless `*` has a line.
#[track_caller]
pub(crate) fn serve(pod: &Pod, address: &str, lines: &'static str) -> Server {
    let address = format!("{address}:53").parse().unwrap();
    pod.within(|| Server::at(address, Arc::new(move |asked: &Asked| answer(asked, lines))))
        .expect("the Pod's ports are free")
}

fn answer(asked: &Asked, lines: &'static str) -> Vec<Vec<u8>> {
    let of = |name: &str| -> Vec<Vec<&'static str>> {
        let words = lines.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
        words.filter(|words| words.first().is_some_and(|it| it.eq_ignore_ascii_case(name))).collect()
    };
    let mut known = of(&asked.name);
    if known.is_empty() {
        known = of("*");
    }
    if known.is_empty() {
        return vec![asked.denial(ResponseCode::NXDomain, 30)];
    }
    let behaves = |how: &str| {
        let typed = format!("{how}-{}", asked.rtype);
        known.iter().any(|words| words[1] == how || words[1] == typed)
    };
    if behaves("SILENT") {
        return vec![];
    }
    if behaves("SERVFAIL") {
        return vec![asked.code(ResponseCode::ServFail)];
    }
    if behaves("REFUSED") {
        return vec![asked.code(ResponseCode::Refused)];
    }
    if behaves("TRUNCATED") && !asked.tcp {
        let mut message = asked.message(ResponseCode::NoError, "");
        message.metadata.truncation = true;
        return vec![message.to_vec().unwrap()];
    }
    let mut found: Vec<String> = Vec::new();
    let mut owner = asked.name.clone();
    let mut code = ResponseCode::NoError;
    for _ in 0..12 {
        let rtype = asked.rtype.to_string();
        let here = of(&owner);
        let records = here.iter().filter(|words| words[1] == rtype);
        found.extend(records.map(|words| format!("{owner} {}", words[1..].join(" "))));
        let alias = here.iter().find(|words| words[1] == "CNAME" && asked.rtype != RecordType::CNAME);
        match alias {
            Some(words) => {
                found.push(format!("{owner} CNAME {}", words[2]));
                owner = words[2].trim_end_matches('.').to_owned();
                if of(&owner).is_empty() {
                    code = ResponseCode::NXDomain;
                }
            }
            None => break,
        }
        if behaves("PARTIAL") {
            code = ResponseCode::NoError;
            break;
        }
    }
    if found.is_empty() {
        return vec![asked.denial(ResponseCode::NoError, 5)];
    }
    vec![asked.message(code, &found.join("\n")).to_vec().unwrap()]
}
