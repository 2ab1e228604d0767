//! The messages of MongoDB's wire protocol: one for each command, one for each answer, both with a document in it. Pure.
//!
//! MongoDB's manual (Wire Protocol) and the specifications of the drivers (source/message/OP_MSG.md,
//! source/mongodb-handshake/handshake.md) have their form.

use super::bson::{Document, Writer, len};

/// The header of every message: its length, its number, the number that it answers, and what it is.
pub(super) const HEADER: usize = 16;

pub(super) const OP_REPLY: u32 = 1;
const OP_QUERY: u32 = 2004;
pub(super) const OP_MSG: u32 = 2013;

/// A query on a server that is not a primary is answered too (OP_QUERY, flag `SecondaryOk`).
const SECONDARY_OK: u32 = 4;

/// OP_MSG, flag `checksumPresent`: four bytes follow the sections.
const CHECKSUM: u32 = 1;

/// How a command is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    /// OP_QUERY, the only way before MongoDB 3.6. Every server takes it for the first hello.
    Query,
    /// OP_MSG.
    Message,
}

/// The message with one command for the database `db`.
pub(super) fn command(way: Way, number: u32, db: &str, command: Writer) -> Vec<u8> {
    let (code, body) = match way {
        Way::Query => {
            // A full name of a collection, how many documents to skip, and how many to return: one, without a cursor.
            let head = [&SECONDARY_OK.to_le_bytes()[..], db.as_bytes(), b".$cmd\0", &len(0), &(-1_i32).to_le_bytes()];
            (OP_QUERY, [head.concat(), command.finish()].concat())
        }
        // No flag, and one section of kind 0.
        Way::Message => (OP_MSG, [&[0; 5][..], &command.text("$db", db).finish()].concat()),
    };
    let header = [len(HEADER + body.len()), number.to_le_bytes(), len(0), code.to_le_bytes()];
    [header.concat(), body].concat()
}

/// A message of a server, with a document of the right form in it.
pub(super) struct Answer {
    body: Vec<u8>,
    /// Where the document begins.
    at: usize,
}

impl Answer {
    /// Finds the document in the body of a message.
    pub(super) fn parse(code: u32, body: Vec<u8>) -> Option<Self> {
        let flags = u32::from_le_bytes(*body.first_chunk()?);
        let (at, after) = match code {
            // Flags, a cursor, a position, and how many documents follow: one.
            OP_REPLY => (20, 0),
            // A flag below the 16th must be understood. An answer in several messages was not asked for.
            _ if flags & 0xffff & !CHECKSUM != 0 || *body.get(4)? != 0 => return None,
            _ => (5, if flags & CHECKSUM == 0 { 0 } else { 4 }),
        };
        let (_, rest) = Document::parse(body.get(at..)?)?;
        (rest.len() == after).then_some(Self { body, at })
    }

    pub(super) fn document(&self) -> Document<'_> {
        // It was parsed before.
        Document::parse(&self.body[self.at..]).map_or_else(|| Document::EMPTY, |(document, _)| document)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_has_the_lengths_that_it_says() {
        for way in [Way::Query, Way::Message] {
            let message = command(way, 7, "shop", Writer::default().int("ping", 1));
            assert_eq!(message[..4], len(message.len()), "{way:?}");
            assert_eq!(message[4..12], [7, 0, 0, 0, 0, 0, 0, 0], "{way:?}");
        }
        let query = command(Way::Query, 1, "shop", Writer::default());
        assert_eq!(query[12..], *b"\xd4\x07\0\0\x04\0\0\0shop.$cmd\0\0\0\0\0\xff\xff\xff\xff\x05\0\0\0\0");
        let message = command(Way::Message, 1, "shop", Writer::default());
        assert_eq!(message[12..], *b"\xdd\x07\0\0\0\0\0\0\0\x13\0\0\0\x02$db\0\x05\0\0\0shop\0\0");
    }

    #[test]
    fn an_answer_is_one_document() {
        let good = |code: u32, body: &[u8]| Answer::parse(code, body.to_vec()).is_some();
        let (reply, document) = ([0; 20], b"\x05\0\0\0\0");
        assert!(good(OP_REPLY, &[&reply[..], document].concat()));
        assert!(!good(OP_REPLY, &[&reply[..], document, document].concat()));
        assert!(good(OP_MSG, &[&[0; 5][..], document].concat()));
        assert!(good(OP_MSG, &[&[1, 0, 0, 0, 0][..], document, b"sum!"].concat()), "a checksum");
        assert!(!good(OP_MSG, &[&[0; 5][..], document, b"sum!"].concat()));
        assert!(good(OP_MSG, &[&[0, 0, 1, 0, 0][..], document].concat()), "a flag that may be ignored");
        assert!(!good(OP_MSG, &[&[2, 0, 0, 0, 0][..], document].concat()), "more to come");
        assert!(!good(OP_MSG, &[&[0, 0, 0, 0, 1][..], document].concat()), "a sequence of documents");
        for short in [&b""[..], &[0; 4], &[0; 5], &[0; 20], &[0; 24]] {
            assert!(!good(OP_REPLY, short) && !good(OP_MSG, short), "{short:?}");
        }
    }
}
