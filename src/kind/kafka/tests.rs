//! The answer to Metadata in each version: whole, in pieces and cut short. What targets mean, and what is wrong with them.

use super::metadata::{ADVERTISED_MAX, Advertised, Metadata, Topic};
use super::wire::Unread;
use super::{Kafka, judge};
use crate::env::Env;
use crate::kind::{Given, Target};
use crate::net::stream::Peer;
use crate::numbers::Numbers;
use crate::reason::{Code, Cost};

/// Writes an answer in a version, as Kafka's MetadataResponse.json has it.
struct Writer {
    version: i16,
    out: Vec<u8>,
}

impl Writer {
    fn flexible(&self) -> bool {
        self.version >= 9
    }

    fn put(&mut self, bytes: &[u8]) {
        self.out.extend_from_slice(bytes);
    }

    fn int(&mut self, number: i32) {
        self.put(&number.to_be_bytes());
    }

    fn array(&mut self, length: usize) {
        if self.flexible() {
            self.put(&[u8::try_from(length + 1).unwrap()]);
        } else {
            self.int(i32::try_from(length).unwrap());
        }
    }

    fn string(&mut self, text: &str) {
        if self.flexible() {
            self.put(&[u8::try_from(text.len() + 1).unwrap()]);
        } else {
            self.put(&i16::try_from(text.len()).unwrap().to_be_bytes());
        }
        self.put(text.as_bytes());
    }

    fn null(&mut self) {
        if self.flexible() { self.put(&[0]) } else { self.put(&[0xff, 0xff]) }
    }

    fn tags(&mut self) {
        if self.flexible() {
            // One field that no client knows.
            self.put(&[1, 9, 2, b'a', b'b']);
        }
    }
}

/// An error, and its partitions: each an error and a leader.
type Said<'a> = (&'a str, i16, &'a [(i16, i32)]);

fn answer(version: i16, brokers: &[(&str, i32)], topics: &[Said<'_>]) -> Vec<u8> {
    let mut w = Writer { version, out: Vec::new() };
    w.tags();
    if version >= 3 {
        w.int(0);
    }
    w.array(brokers.len());
    for (id, (host, port)) in (1..).zip(brokers) {
        w.int(id);
        w.string(host);
        w.int(*port);
        w.null();
        w.tags();
    }
    if version >= 2 {
        w.string("cluster");
    }
    w.int(1);
    w.array(topics.len());
    for (name, error, partitions) in topics {
        w.put(&error.to_be_bytes());
        w.string(name);
        if version >= 10 {
            w.put(&[7; 16]);
        }
        w.put(&[0]);
        w.array(partitions.len());
        for (index, (error, leader)) in (0..).zip(*partitions) {
            w.put(&error.to_be_bytes());
            w.int(index);
            w.int(*leader);
            if version >= 7 {
                w.int(3);
            }
            for _ in 0..if version >= 5 { 3 } else { 2 } {
                w.array(2);
                w.int(1);
                w.int(2);
            }
            w.tags();
        }
        if version >= 8 {
            w.int(0);
        }
        w.tags();
    }
    if (8..=10).contains(&version) {
        w.int(0);
    }
    w.tags();
    w.out
}

const VERSIONS: [i16; 11] = [1, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13];

fn wanted() -> Vec<String> {
    vec!["orders".to_owned(), "missing".to_owned(), "new".to_owned()]
}

fn example(version: i16) -> Vec<u8> {
    answer(
        version,
        &[("a", 9092), ("b", 9093), ("b", 9093)],
        &[("other", 0, &[(5, -1)]), ("orders", 0, &[(0, 1), (5, -1), (9, 2), (72, -1)]), ("new", 3, &[])],
    )
}

fn is_as_expected(metadata: &Metadata<'_>) {
    assert!(metadata.is_done());
    assert_eq!(metadata.brokers, 3);
    let at = |host: &str, port| Advertised { host: host.to_owned(), port };
    assert_eq!(metadata.advertised, [at("a", 9092), at("b", 9093)]);
    let orders = Topic { error: 0, partitions: 4, leaderless: 2, named: vec![1, 3], partition_error: 5 };
    let new = Topic { error: 3, ..Topic::default() };
    assert_eq!(metadata.topics, [Some(orders), None, Some(new)]);
}

#[test]
fn every_version_is_read_whole_and_in_pieces() {
    let wanted = wanted();
    for version in VERSIONS {
        let bytes = example(version);
        let mut whole = Metadata::new(version, &wanted);
        whole.take(&bytes).unwrap();
        is_as_expected(&whole);
        for piece in [1, 3, 7] {
            let mut metadata = Metadata::new(version, &wanted);
            let mut buffer = Vec::new();
            for more in bytes.chunks(piece) {
                buffer.extend_from_slice(more);
                let used = metadata.take(&buffer).unwrap();
                buffer.drain(..used);
            }
            is_as_expected(&metadata);
        }
    }
}

#[test]
fn an_answer_that_is_cut_short_is_not_done() {
    let wanted = wanted();
    for version in VERSIONS {
        let bytes = example(version);
        // What follows the last topic does not matter.
        let end = bytes.len() - if version >= 9 { 9 } else { 4 };
        for cut in 0..end.min(bytes.len() - 9) {
            let mut metadata = Metadata::new(version, &wanted);
            metadata.take(&bytes[..cut]).unwrap();
            assert!(!metadata.is_done(), "{version}: {cut}");
        }
    }
}

/// Tansu lists all topics where none is asked for, and a broker may know a hundred thousand partitions.
#[test]
fn without_a_topic_the_brokers_are_enough() {
    let bytes = example(4);
    let mut metadata = Metadata::new(4, &[]);
    metadata.take(&bytes[..60]).unwrap();
    assert!(metadata.is_done() && !metadata.needs_the_end());
    assert_eq!(metadata.take(&bytes[60..]), Ok(bytes.len() - 60), "the rest is read and dropped");
    assert_eq!(metadata.brokers, 3);
}

#[test]
fn numbers_that_lie() {
    let wanted = wanted();
    let take = |version, bytes: &[u8]| {
        let mut metadata = Metadata::new(version, &wanted);
        metadata.take(bytes).map(|used| (used, metadata.is_done()))
    };
    // Two billion brokers, and no more; a negative number of them; a string that is longer than the answer.
    assert_eq!(take(4, b"\0\0\0\0\x7f\xff\xff\xff"), Ok((8, false)));
    assert_eq!(take(4, b"\0\0\0\0\x80\0\0\0"), Err(Unread::Malformed));
    assert_eq!(take(4, b"\0\0\0\0\0\0\0\x01\0\0\0\x01\x7f\xffa"), Ok((8, false)));
    assert_eq!(take(9, b"\0\0\0\0\0\xff\xff\xff\xff\xff"), Err(Unread::Malformed));
    assert_eq!(take(9, b"\xff"), Ok((0, false)));
    assert_eq!(take(9, b"\x20"), Err(Unread::Malformed), "no struct has 32 tagged fields");
    // No broker, no topic.
    assert_eq!(take(1, b"\0\0\0\0\0\0\0\x01\0\0\0\0"), Ok((12, true)));
}

#[test]
fn what_is_kept_is_bounded() {
    let hosts: Vec<String> = (0..100).map(|n| format!("{n}{}", "h".repeat(100))).collect();
    let brokers: Vec<(&str, i32)> = hosts.iter().map(|host| (host.as_str(), 9092)).collect();
    let many: Vec<(i16, i32)> = (0..120).map(|_| (5, -1)).collect();
    let wanted = wanted();
    let mut metadata = Metadata::new(4, &wanted);
    metadata.take(&answer(4, &brokers, &[("orders", 0, &many)])).unwrap();
    assert_eq!((metadata.brokers, metadata.advertised.len()), (100, ADVERTISED_MAX));
    let orders = metadata.topics[0].clone().unwrap();
    assert_eq!((orders.leaderless, orders.named), (120, vec![0, 1, 2, 3]));
}

fn target(text: &str) -> Kafka {
    let env: Env = [("LIST", "a:1, SASL_PLAINTEXT://b:2"), ("TOPIC", "t0pic")].into_iter().collect();
    match Target::parse(text, Given { env: &env, ca_file: false }).unwrap().0 {
        Target::Kafka(kafka) => *kafka,
        other => panic!("{other}"),
    }
}

fn judged(text: &str, bytes: &[u8]) -> Result<String, (Code, Cost, String)> {
    let target = target(text);
    let mut metadata = Metadata::new(4, &target.wanted.topics);
    metadata.take(bytes).unwrap();
    let peer = Peer::Tcp(([10, 0, 0, 1], 9092).into());
    judge::judge(&peer, &target.wanted, &metadata)
        .map_err(|reason| (reason.code(), reason.cost(), reason.text().to_owned()))
}

#[test]
fn what_the_metadata_means() {
    let three = [("a", 1), ("b", 1), ("c", 1)];
    let led: Said<'_> = ("orders", 0, &[(0, 1), (0, 2)]);
    let fine = answer(4, &three, &[led]);
    assert_eq!(judged("kafka:h:1", &fine).unwrap(), "3 brokers at 10.0.0.1:9092");
    assert_eq!(judged("kafka:h:1#min=3", &fine).unwrap(), "3 brokers at 10.0.0.1:9092");
    let note = judged("kafka:h:1#topic=orders", &fine).unwrap();
    assert_eq!(note, "3 brokers at 10.0.0.1:9092, with a leader for every partition of orders");
    let rows: [(&str, &[Said<'_>], Code, &str); 11] = [
        ("kafka:h:1#min=4", &[][..], Code::ExpectState, "10.0.0.1:9092 knows 3 brokers of 4"),
        ("kafka:h:1#topic=orders", &[], Code::ExpectMissing, "is not in the list of all topics"),
        ("kafka:h:1#topic=orders", &[("orders", 3, &[])], Code::ExpectMissing, "UNKNOWN_TOPIC_OR_PARTITION (3)"),
        ("kafka:h:1#topic=orders", &[("orders", 5, &[])], Code::ExpectState, "LEADER_NOT_AVAILABLE (5)"),
        ("kafka:h:1#topic=orders", &[("orders", 17, &[])], Code::ExpectMissing, "INVALID_TOPIC_EXCEPTION (17)"),
        (
            "kafka:h:1#topic=orders",
            &[("orders", 29, &[])],
            Code::ProtocolForbidden,
            "may not describe the topic orders",
        ),
        ("kafka:h:1#topic=orders", &[("orders", 99, &[])], Code::ProtocolError, "error 99"),
        ("kafka:h:1#topic=orders", &[("orders", 0, &[])], Code::ExpectState, "has no partition yet"),
        (
            "kafka:h:1#topic=orders",
            &[("orders", 0, &[(0, 1), (5, -1)])],
            Code::ExpectState,
            "1 of 2 partitions of the topic orders have no leader (1): LEADER_NOT_AVAILABLE (5)",
        ),
        (
            "kafka:h:1#topic=orders#topic=a",
            &[("orders", 3, &[]), ("a", 3, &[])],
            Code::ExpectMissing,
            "there is no topic orders (waitgate's question creates none): UNKNOWN_TOPIC_OR_PARTITION (3); there is no topic a",
        ),
        // What came out of a variable is shown by its name.
        ("kafka:h:1#topic=$(TOPIC)", &[("t0pic", 3, &[])], Code::ExpectMissing, "there is no topic $(TOPIC) "),
    ];
    for (text, topics, code, says) in rows {
        let (found, _, said) = judged(text, &answer(4, &three, topics)).unwrap_err();
        assert_eq!(found, code, "{text} {said}");
        assert!(said.contains(says), "{said}");
    }
    let (code, ..) = judged("kafka:h:1", &answer(4, &[], &[])).unwrap_err();
    assert_eq!(code, Code::ProtocolNotAccepting);
}

#[cfg(feature = "tls")]
#[test]
fn lists_of_servers() {
    for (text, shown) in [
        ("kafka:a:1", "kafka:a:1"),
        ("kafka:a:1,b:2", "kafka:a:1,b:2"),
        ("kafka://a", "kafka:a:9092"),
        ("kafka://a,b:2/", "kafka:a:9092,b:2"),
        ("kafkas://a", "kafkas:a:9092"),
        ("kafka:[::1]:9092", "kafka:[::1]:9092"),
        ("PLAINTEXT://a:1,PLAINTEXT://b:2", "kafka:a:1,b:2"),
        ("SASL_SSL://a:1,SASL_SSL://b:2", "kafkas:a:1,b:2"),
        ("kafka+ssl://a:1,kafka+ssl://b:2", "kafkas:a:1,b:2"),
        ("kafkas:SSL://a:1", "kafkas:a:1"),
        ("kafka:PLAINTEXT://a:1,b:2", "kafka:a:1,b:2"),
        ("kafka:$(LIST)", "kafka:a:1,b:2"),
        ("kafka://$(LIST)", "kafka:a:1,b:2"),
        ("kafka://app:pw@a:1,b:2", "kafka://app@a:1,b:2"),
        ("kafka://app:p%2Cw%2F@a", "kafka://app@a:9092"),
        ("kafka:a:1#user=app#password=@/f#topic=x#topic=y", "kafka:a:1#user=app#password=@/f#topic=x#topic=y"),
    ] {
        assert_eq!(target(text).to_string(), shown, "{text}");
    }
    let login = target("kafka://a%40b:p%2Cw%2F@a");
    assert_eq!(login.user.as_deref(), Some("a@b"));
    assert_eq!(login.location.password.unwrap().expose(), "p,w/");
}

#[test]
fn what_is_wrong_in_a_target() {
    let env: Env = [("LIST", "a:1 b:2"), ("QUOTED", "\"a:1\""), ("EMPTY", "")].into_iter().collect();
    for (text, says) in [
        ("kafka:a", "the port is missing"),
        ("kafka:a:1,b", "the port is missing"),
        ("kafka:", "a server is missing"),
        ("kafka://", "a server is missing"),
        ("kafka:a:1,,b:2", "a server is missing"),
        ("kafka:a:1,", "a server is missing"),
        ("kafka:a:0", "the port is not within"),
        ("kafka:app:pw@a:1", "needs the form with //"),
        ("kafka://app:pw@a:1,app:pw@b:2", "more than one '@'"),
        ("kafka://a:1,kafka://app:pw@b:2", "the login comes once"),
        ("kafka://app:p/w@a:1", "%2F"),
        ("kafka://a:1/orders", "#topic=NAME"),
        ("kafka://a:1?x=y", "#topic=NAME"),
        ("kafka:SSL://a:1", "write kafkas:"),
        ("kafkas:PLAINTEXT://a:1", "write kafka:"),
        ("PLAINTEXT://a:1,SSL://b:2", "write kafkas:"),
        ("kafka:tcp://a:1", "a URL after the kind"),
        ("kafka:a:tcp://10.0.0.1:9092", "NAME_SERVICE_PORT"),
        ("kafka:$(LIST)", "found a blank"),
        ("kafka:$(QUOTED)", "a quotation mark"),
        ("kafka:$(EMPTY)", "is empty"),
        ("kafka:a:1#ca=/f", "expected kafkas:"),
        ("kafka:a:1#min=0", "#min"),
        ("kafka:a:1#topic=", "no name of a topic"),
        ("kafka:a:1#topic=a b", "no name of a topic"),
        ("kafka:a:1#topic=..", "no name of a topic"),
        ("kafka:a:1#user=app", "the user has no password"),
        ("kafka://app@a:1", "the user has no password"),
        ("kafka:a:1#password=@/f", "the password has no user"),
        ("kafka:a:1#password=pw", "expected @FILE"),
        ("kafka://:pw@a:1", "the password has no user"),
        ("kafka://app:pw@a:1#user=b", "leave one of them out"),
        ("kafka://app:pw@a:1#password=@/f", "leave one of them out"),
        ("kafka:a:1#mechanism=PLAIN", "no user to log in"),
        ("kafka://app:pw@a:1#mechanism=GSSAPI", "SCRAM and PLAIN only"),
        ("kafka:a:1#gone#topic=x", "#gone excludes"),
    ] {
        let error = Target::parse(text, Given { env: &env, ca_file: false }).unwrap_err();
        let error = format!("{error:#}");
        assert!(error.contains(says), "{text}: {error}");
        assert!(error.contains("expected") || error.contains("leave"), "{text}: {error}");
    }
}

/// Answers with some bytes changed: whole and in pieces they mean the same, and nothing panics.
#[test]
fn answers_with_wrong_bytes() {
    let mut numbers = Numbers::seeded();
    for _ in 0..3000 {
        let version = VERSIONS[numbers.below(VERSIONS.len())];
        let mut bytes = example(version);
        for _ in 0..=numbers.below(3) {
            let at = numbers.below(bytes.len());
            bytes[at] = [0, 1, 0x7f, 0x80, 0xff][numbers.below(5)];
        }
        let head = [u8::try_from(version).unwrap(), u8::try_from(1 + numbers.below(40)).unwrap()];
        super::answers(&[&head[..], &bytes].concat());
    }
}
