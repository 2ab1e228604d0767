//! DNS messages: one question is written and one answer is read. The answer may be hostile. Pure.

use std::collections::HashSet;

use hickory_resolver::proto::op::{Edns, Header, Message, MessageType, OpCode, Query, ResponseCode};
use hickory_resolver::proto::rr::{DNSClass, Name, RData, Record, RecordType};
use hickory_resolver::proto::serialize::binary::{BinDecodable as _, BinDecoder};

/// The largest UDP payload that a question allows: it passes any link without fragments (RFC 9715 section 3.1).
const PAYLOAD_MAX: u16 = 1232;

/// How many aliases in a row are followed.
const ALIASES_MAX: usize = 8;

/// One question.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Question {
    pub(crate) name: Name,
    pub(crate) rtype: RecordType,
}

impl Question {
    /// The question's bytes; `None` if the name cannot be asked.
    pub(crate) fn encode(&self, id: u16, edns: bool) -> Option<Vec<u8>> {
        let mut message = Message::query();
        message.metadata.id = id;
        message.metadata.recursion_desired = true;
        message.add_query(Query::query(self.name.clone(), self.rtype));
        if edns {
            let mut edns = Edns::new();
            edns.set_max_payload(PAYLOAD_MAX);
            message.set_edns(edns);
        }
        message.to_vec().ok()
    }
}

/// A packet that came after a question.
#[derive(Debug)]
pub(crate) enum Packet {
    /// It does not belong to the question: another id, another question, or not a DNS message.
    Foreign,
    /// An answer that cannot be read.
    Garbled,
    /// An answer that did not fit into the packet.
    Truncated,
    Answer(Answer),
}

/// An answer to one question from one nameserver.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) code: ResponseCode,
    /// Set if the server only points to other servers, because it does not recurse.
    pub(crate) lame: bool,
    records: Vec<Record>,
    soa: Option<(Name, u32)>,
}

/// What an answer says about a name.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Content {
    /// Records of the type asked for, for how many seconds they may be cached, and the name that has them.
    Records(Vec<RData>, u32, Name),
    /// The name, or what it is an alias of, does not exist.
    NoName(Name),
    /// The name, or what it is an alias of, has no record of the type.
    NoData(Name),
    /// The name is an alias of this name, and the answer says nothing about this name.
    Alias(Name),
    /// The aliases form a loop, or there are too many.
    Loop,
}

/// Reads `packet` as an answer to `question`, which was sent with this `id`.
///
/// The additional section is not read: waitgate needs nothing from it, and an error there must not lose the answer.
pub(crate) fn read(packet: &[u8], question: &Question, id: u16) -> Packet {
    let mut decoder = BinDecoder::new(packet);
    let Ok(Header { metadata, counts }) = Header::read(&mut decoder) else { return Packet::Foreign };
    let answers = metadata.message_type == MessageType::Response && metadata.op_code == OpCode::Query;
    if metadata.id != id || !answers {
        return Packet::Foreign;
    }
    let code = metadata.response_code;
    let Ok(queries) = Message::read_queries(&mut decoder, usize::from(counts.queries)) else { return Packet::Foreign };
    match queries.as_slice() {
        [query]
            if query.name() == &question.name
                && query.query_type() == question.rtype
                && query.query_class() == DNSClass::IN => {}
        // A server that could not read the question, or will not answer it, may leave it out.
        [] if !matches!(code, ResponseCode::NoError | ResponseCode::NXDomain) => {}
        _ => return Packet::Foreign,
    }
    if metadata.truncation {
        return Packet::Truncated;
    }
    let mut section =
        |count: u16| Message::read_records(&mut decoder, usize::from(count), false, metadata.op_code).map(|it| it.0);
    let Ok(records) = section(counts.answers) else { return Packet::Garbled };
    let Ok(authorities) = section(counts.authorities) else { return Packet::Garbled };
    // How long caches may keep a denial: the smaller of the SOA's own TTL and its minimum (RFC 2308 section 5).
    let soa = authorities.into_iter().find_map(|record| match record.data {
        RData::SOA(soa) => Some((record.name, record.ttl.min(soa.minimum))),
        _ => None,
    });
    let lame = code == ResponseCode::NoError
        && records.is_empty()
        && soa.is_none()
        && !metadata.authoritative
        && !metadata.recursion_available;
    Packet::Answer(Answer { code, lame, records, soa })
}

impl Answer {
    /// For how many seconds caches may keep a denial in this answer, if it says so.
    pub(crate) fn denial_ttl(&self) -> Option<u32> {
        self.soa.as_ref().map(|(_, ttl)| *ttl)
    }

    /// What the answer says about the question's name. Aliases in the answer are followed. `seen` has the names that
    /// led to this question; the aliases that are followed here are added.
    pub(crate) fn content(&self, question: &Question, seen: &mut Vec<Name>) -> Content {
        let mut owner = question.name.clone();
        let mut ttl = u32::MAX;
        let mut passed = false;
        loop {
            let mut found = Vec::new();
            // An answer can hold thousands of long names. To compare each with all others would take seconds.
            let mut known = HashSet::new();
            let mut alias = None;
            for record in &self.records {
                if record.dns_class != DNSClass::IN || record.name != owner {
                    continue;
                }
                if record.data.record_type() == question.rtype {
                    ttl = ttl.min(record.ttl);
                    if known.insert(&record.data) {
                        found.push(record.data.clone());
                    }
                } else if let RData::CNAME(target) = &record.data {
                    alias = Some((target.0.clone(), record.ttl));
                }
            }
            if !found.is_empty() {
                return Content::Records(found, ttl, owner);
            }
            let Some((target, its_ttl)) = alias else { break };
            ttl = ttl.min(its_ttl);
            seen.push(owner);
            if seen.contains(&target) || seen.len() > ALIASES_MAX {
                seen.push(target);
                return Content::Loop;
            }
            owner = target;
            passed = true;
        }
        if self.code == ResponseCode::NXDomain {
            Content::NoName(owner)
        } else if passed && self.soa.as_ref().is_none_or(|(zone, _)| !zone.zone_of(&owner)) {
            // The answer ends at the alias: the server does not recurse, and this name is in a zone that it does not
            // serve.
            Content::Alias(owner)
        } else {
            Content::NoData(owner)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use hickory_resolver::proto::op::OpCode;
    use hickory_resolver::proto::rr::rdata::{A, CNAME, SOA};

    fn name(text: &str) -> Name {
        Name::from_ascii(text).unwrap()
    }

    fn question(text: &str) -> Question {
        Question { name: name(text), rtype: RecordType::A }
    }

    /// An answer to `A db.` with id 7, changed by `change`.
    fn packet(change: impl FnOnce(&mut Message)) -> Vec<u8> {
        let mut message = Message::new(7, MessageType::Response, OpCode::Query);
        message.add_query(Query::query(name("db."), RecordType::A));
        message.metadata.recursion_available = true;
        change(&mut message);
        message.to_vec().unwrap()
    }

    fn alias(from: &str, to: &str) -> Record {
        Record::from_rdata(name(from), 9, RData::CNAME(CNAME(name(to))))
    }

    fn address(owner: &str) -> Record {
        Record::from_rdata(name(owner), 30, RData::A(A::new(10, 0, 0, 1)))
    }

    fn content(change: impl FnOnce(&mut Message)) -> Content {
        match read(&packet(change), &question("db."), 7) {
            Packet::Answer(answer) => answer.content(&question("db."), &mut Vec::new()),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn only_an_answer_to_the_question_counts() {
        let is = |packet: &[u8]| read(packet, &question("db."), 7);
        assert!(matches!(is(&packet(|_| {})), Packet::Answer(_)));
        assert!(matches!(
            is(&packet(|it| it.queries = vec![Query::query(name("DB."), RecordType::A)])),
            Packet::Answer(_)
        ));
        assert!(matches!(is(&packet(|it| it.metadata.id = 8)), Packet::Foreign));
        assert!(matches!(is(&packet(|it| it.metadata.message_type = MessageType::Query)), Packet::Foreign));
        assert!(matches!(is(&packet(|it| it.metadata.op_code = OpCode::Status)), Packet::Foreign));
        assert!(matches!(
            is(&packet(|it| it.queries = vec![Query::query(name("x."), RecordType::A)])),
            Packet::Foreign
        ));
        assert!(matches!(
            is(&packet(|it| it.queries = vec![Query::query(name("db."), RecordType::AAAA)])),
            Packet::Foreign
        ));
        assert!(matches!(is(&packet(|it| it.queries.clear())), Packet::Foreign));
        let refusal = packet(|it| {
            it.queries.clear();
            it.metadata.response_code = ResponseCode::FormErr;
        });
        assert!(matches!(is(&refusal), Packet::Answer(_)));
        assert!(matches!(is(&packet(|it| it.metadata.truncation = true)), Packet::Truncated));
        let whole = packet(|it| it.insert_answers(vec![address("db.")]));
        assert!(matches!(is(&whole[..whole.len() - 1]), Packet::Garbled));
        for bytes in [&b""[..], b"\0\x07", &[0xff; 64]] {
            assert!(matches!(is(bytes), Packet::Foreign));
        }
    }

    #[test]
    fn records_of_the_name_and_of_its_aliases_count() {
        let chain = vec![alias("db.", "a."), alias("A.", "b."), address("b."), address("other.")];
        assert!(
            matches!(content(|it| it.insert_answers(chain)), Content::Records(records, 9, _) if records.len() == 1)
        );
        assert_eq!(content(|it| it.insert_answers(vec![address("other.")])), Content::NoData(name("db.")));
        let twice = vec![address("db."), address("db.")];
        assert!(
            matches!(content(|it| it.insert_answers(twice)), Content::Records(records, 30, _) if records.len() == 1)
        );
    }

    #[test]
    fn alias_loops_and_long_alias_chains_are_found() {
        let circle = vec![alias("db.", "a."), alias("a.", "db.")];
        assert_eq!(content(|it| it.insert_answers(circle)), Content::Loop);
        assert_eq!(content(|it| it.insert_answers(vec![alias("db.", "db.")])), Content::Loop);
        let chain = |n: usize| {
            let mut records: Vec<Record> = (1..n).map(|i| alias(&format!("n{i}."), &format!("n{}.", i + 1))).collect();
            records.push(alias("db.", "n1."));
            records.push(address(&format!("n{n}.")));
            content(|it| it.insert_answers(records))
        };
        assert!(matches!(chain(ALIASES_MAX), Content::Records(..)));
        assert_eq!(chain(ALIASES_MAX + 1), Content::Loop);
        assert_eq!(content(|it| it.insert_answers(vec![alias("db.", "x.")])), Content::Alias(name("x.")));
    }

    #[test]
    fn a_denial_says_how_long_it_may_be_cached() {
        let soa = |ttl, minimum| {
            Record::from_rdata(name("."), ttl, RData::SOA(SOA::new(name("."), name("."), 1, 1, 1, 1, minimum)))
        };
        let denied = packet(|it| {
            it.metadata.response_code = ResponseCode::NXDomain;
            it.add_authority(soa(30, 5));
        });
        let Packet::Answer(answer) = read(&denied, &question("db."), 7) else { panic!() };
        assert_eq!(answer.denial_ttl(), Some(5));
        assert_eq!(answer.content(&question("db."), &mut Vec::new()), Content::NoName(name("db.")));
        // The alias points into the zone of the SOA and has no data there. No other server has to be asked.
        let ends = content(|it| {
            it.insert_answers(vec![alias("db.", "x.")]);
            it.add_authority(soa(30, 5));
        });
        assert_eq!(ends, Content::NoData(name("x.")));
    }

    #[test]
    fn hostile_bytes_neither_panic_nor_hang() {
        // A name that points at itself, one that points forward, and lengths beyond the packet.
        let header = [0, 7, 0x80, 0, 0, 1, 0, 1, 0, 0, 0, 0];
        for tail in [&[0xc0, 12, 0, 1, 0, 1][..], &[0xc0, 14, 0xc0, 12], &[0x3f, 1, 2], &[0xff; 500], &[0x40, 0]] {
            let bytes = [&header[..], tail].concat();
            assert!(matches!(read(&bytes, &question("db."), 7), Packet::Foreign | Packet::Garbled));
        }
        let mut many = packet(|it| it.insert_answers(vec![address("db.")]));
        many[6] = 0xff;
        assert!(matches!(read(&many, &question("db."), 7), Packet::Garbled));
        // Each byte of a good packet is changed, one at a time. Nothing may panic.
        let good = packet(|it| it.insert_answers(vec![alias("db.", "a."), address("a.")]));
        for at in 0..good.len() {
            for value in [0, 1, 0x3f, 0x40, 0x80, 0xc0, 0xff] {
                let mut bytes = good.clone();
                bytes[at] = value;
                if let Packet::Answer(answer) = read(&bytes, &question("db."), 7) {
                    answer.content(&question("db."), &mut Vec::new());
                }
            }
        }
    }
}
