//! The answer to ApiVersions: which requests a broker knows, and in which versions. Pure.
//!
//! waitgate asks in version 0. Every broker since Kafka 0.10 knows it, those of Kafka 4 too (KIP-896), and every one of them
//! answers another version that it does not know in the form of version 0 (KIP-511).

use super::wire::{Fields, METADATA, Request, SASL_AUTHENTICATE, SASL_HANDSHAKE, Unread};

/// The first version of Metadata that can forbid the broker to create a topic (KIP-4).
const METADATA_WITHOUT_CREATION: i16 = 4;

/// The version of Metadata for older brokers. In version 0 no topic could be asked for alone, and none at all neither.
const METADATA_OLD: i16 = 1;

/// The last version of Metadata whose answer waitgate can read.
const METADATA_MAX: i16 = 13;

/// The least and the greatest version of a request.
type Range = (i16, i16);

/// What a broker says of itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Versions {
    pub(super) error: i16,
    pub(super) metadata: Option<Range>,
    sasl_handshake: Option<Range>,
    sasl_authenticate: Option<Range>,
}

impl Versions {
    pub(super) fn parse(body: &[u8]) -> Result<Self, Unread> {
        let mut fields = Fields::plain(body);
        let mut versions = Self { error: fields.short()?, ..Self::default() };
        for _ in 0..fields.array()? {
            let (key, range) = (fields.short()?, (fields.short()?, fields.short()?));
            match key {
                METADATA => versions.metadata = Some(range),
                SASL_HANDSHAKE => versions.sasl_handshake = Some(range),
                SASL_AUTHENTICATE => versions.sasl_authenticate = Some(range),
                _ => {}
            }
        }
        Ok(versions)
    }

    /// The version of Metadata to ask in: the oldest that does what waitgate needs. `None`: the broker knows none of them.
    pub(super) fn of_metadata(&self) -> Option<i16> {
        let (least, greatest) = self.metadata?;
        let chosen =
            if greatest < METADATA_WITHOUT_CREATION { METADATA_OLD } else { least.max(METADATA_WITHOUT_CREATION) };
        (least <= chosen && chosen <= greatest.min(METADATA_MAX)).then_some(chosen)
    }

    /// Whether the login of KIP-152 is known: SaslHandshake 1 and SaslAuthenticate 0, since Kafka 1.0.
    pub(super) fn can_log_in(&self) -> bool {
        let has = |range: Option<Range>, version| {
            range.is_some_and(|(least, greatest)| (least..=greatest).contains(&version))
        };
        has(self.sasl_handshake, 1) && has(self.sasl_authenticate, 0)
    }
}

/// Asks for the brokers and for `topics`. No version of it makes a broker create a topic.
pub(super) fn metadata(version: i16, topics: &[String]) -> Request {
    let request = Request::new(METADATA, version);
    if version < METADATA_WITHOUT_CREATION {
        // Only the null array, for all topics, creates none.
        return request.array((topics.is_empty()).then_some(0));
    }
    let request = request.array(Some(topics.len()));
    let with_id = |request: Request| if version >= 10 { request.bytes(&[0; 16]) } else { request };
    let request = topics.iter().fold(request, |request, topic| with_id(request).string(topic).no_tags());
    // allow_auto_topic_creation, and the operations that the client may do.
    let flags: &[u8] = match version {
        ..8 => &[0],
        8..=10 => &[0, 0, 0],
        11.. => &[0, 0],
    };
    request.bytes(flags).no_tags()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of_metadata(least: i16, greatest: i16) -> Option<i16> {
        Versions { metadata: Some((least, greatest)), ..Versions::default() }.of_metadata()
    }

    #[test]
    fn the_oldest_version_that_creates_no_topic() {
        // Kafka 0.10.0, 0.11, 2.4, 4.0; brokers that have dropped old versions; one that is too new, and one that is too old.
        for (least, greatest, chosen) in [
            (0, 1, Some(1)),
            (0, 4, Some(4)),
            (0, 9, Some(4)),
            (0, 13, Some(4)),
            (5, 12, Some(5)),
            (9, 20, Some(9)),
            (13, 20, Some(13)),
            (14, 20, None),
            (0, 0, None),
            (2, 3, None),
            (6, 5, None),
            (-1, -1, None),
        ] {
            assert_eq!(of_metadata(least, greatest), chosen, "{least} to {greatest}");
        }
        assert_eq!(Versions::default().of_metadata(), None);
    }

    #[test]
    fn the_answer_lists_keys_and_ranges() {
        let body = b"\0\0\0\0\0\x03\0\x03\0\0\0\x09\0\x11\0\0\0\x01\0\x24\0\0\0\x02";
        let versions = Versions::parse(body).unwrap();
        assert_eq!((versions.error, versions.metadata), (0, Some((0, 9))));
        assert!(versions.can_log_in());
        for cut in 0..body.len() {
            assert_eq!(Versions::parse(&body[..cut]), Err(Unread::Short), "{cut}");
        }
        // Kafka 0.10: the handshake, and then the tokens alone.
        let old = Versions::parse(b"\0\0\0\0\0\x01\0\x11\0\0\0\0").unwrap();
        assert!(!old.can_log_in());
        // KIP-511: a version that is not known.
        assert_eq!(Versions::parse(b"\0\x23\0\0\0\0").unwrap().error, 35);
        assert_eq!(Versions::parse(b"\0\0\xff\xff\xff\xfe"), Err(Unread::Malformed));
    }

    #[test]
    fn no_version_lets_a_broker_create_a_topic() {
        let topics = ["a".to_owned()];
        let asked = |version, topics: &[String]| metadata(version, topics).body;
        assert_eq!(asked(1, &topics), b"\xff\xff\xff\xff", "all of them");
        assert_eq!(asked(1, &[]), b"\0\0\0\0", "none of them");
        assert_eq!(asked(4, &topics), b"\0\0\0\x01\0\x01a\0");
        assert_eq!(asked(8, &topics), b"\0\0\0\x01\0\x01a\0\0\0");
        assert_eq!(asked(9, &topics), b"\x02\x02a\0\0\0\0\0");
        assert_eq!(asked(10, &topics), [b"\x02", &[0; 16][..], b"\x02a\0\0\0\0\0"].concat());
        assert_eq!(asked(12, &topics), [b"\x02", &[0; 16][..], b"\x02a\0\0\0\0"].concat());
        assert_eq!(asked(12, &[]), b"\x01\0\0\0");
    }
}
