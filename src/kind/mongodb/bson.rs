//! BSON (bsonspec.org, version 1.1), as much of it as a handshake and a login need. Pure.
//!
//! A reader over bytes: nothing is copied, and a document in a document is skipped by its length, so no depth costs anything.

/// The types that are read or written by name.
mod kind {
    pub(super) const DOUBLE: u8 = 0x01;
    pub(super) const STRING: u8 = 0x02;
    pub(super) const DOCUMENT: u8 = 0x03;
    pub(super) const ARRAY: u8 = 0x04;
    pub(super) const BINARY: u8 = 0x05;
    pub(super) const BOOL: u8 = 0x08;
    pub(super) const INT32: u8 = 0x10;
    pub(super) const INT64: u8 = 0x12;
}

/// The elements of a document whose form is right: each has its name and a value within the document.
#[derive(Clone, Copy, Debug)]
pub(super) struct Document<'a>(&'a [u8]);

/// One element of a document.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Element<'a> {
    kind: u8,
    name: &'a [u8],
    /// With the length, where the type has one.
    value: &'a [u8],
}

impl<'a> Document<'a> {
    /// A document without elements.
    pub(super) const EMPTY: Self = Self(&[]);

    /// The document that `bytes` begins with, and what follows it. `None` if there is none.
    pub(super) fn parse(bytes: &'a [u8]) -> Option<(Self, &'a [u8])> {
        let (document, rest) = bytes.split_at_checked(length(bytes)?)?;
        let (0, elements) = document.get(4..)?.split_last()? else { return None };
        let mut left = elements;
        while !left.is_empty() {
            Element::parse(&mut left)?;
        }
        Some((Self(elements), rest))
    }

    /// The elements in their order.
    pub(super) fn elements(self) -> impl Iterator<Item = Element<'a>> {
        let mut left = self.0;
        std::iter::from_fn(move || Element::parse(&mut left))
    }

    /// The first element of this name.
    pub(super) fn get(self, name: &str) -> Option<Element<'a>> {
        self.elements().find(|element| element.name == name.as_bytes())
    }

    /// Whether the element is there and true, as MongoDB's own `trueValue`: `true`, or a number that is not zero.
    pub(super) fn is_true(self, name: &str) -> bool {
        self.get(name)
            .is_some_and(|element| element.value == [1] || element.number().is_some_and(|number| number != 0.0))
    }

    /// The text of the element, if it has one that is not empty.
    pub(super) fn text(self, name: &str) -> Option<&'a [u8]> {
        self.get(name)?.text().filter(|text| !text.is_empty())
    }
}

impl<'a> Element<'a> {
    /// Takes one element from `left`. What is nested in it is looked at only when it is asked for.
    fn parse(left: &mut &'a [u8]) -> Option<Self> {
        let (kind, rest) = left.split_first()?;
        let (name, rest) = cstring(rest)?;
        let (value, rest) = rest.split_at_checked(size(*kind, rest)?)?;
        *left = rest;
        Some(Self { kind: *kind, name, value })
    }

    /// The bytes of a string without its NUL. They should be UTF-8.
    pub(super) fn text(self) -> Option<&'a [u8]> {
        let text = self.value.get(4..).filter(|_| self.kind == kind::STRING)?;
        text.split_last().map(|(_, text)| text)
    }

    /// The bytes of a binary value.
    pub(super) fn bytes(self) -> Option<&'a [u8]> {
        self.value.get(5..).filter(|_| self.kind == kind::BINARY)
    }

    /// A number of the three types that drivers and servers use for one.
    pub(super) fn number(self) -> Option<f64> {
        let [a, b, c, d, ..] = *self.value else { return None };
        #[expect(clippy::cast_precision_loss, reason = "a code or a version is small")]
        match self.kind {
            kind::INT32 => Some(i32::from_le_bytes([a, b, c, d]).into()),
            kind::INT64 => Some(i64::from_le_bytes(self.value.try_into().ok()?) as f64),
            kind::DOUBLE => Some(f64::from_le_bytes(self.value.try_into().ok()?)),
            _ => None,
        }
    }

    /// The texts of an array.
    pub(super) fn texts(self) -> impl Iterator<Item = &'a [u8]> {
        let array = if self.kind == kind::ARRAY { Document::parse(self.value) } else { None };
        array.into_iter().flat_map(|(array, _)| array.elements()).filter_map(Element::text)
    }
}

/// The length that the first four bytes are.
fn length(bytes: &[u8]) -> Option<usize> {
    usize::try_from(i32::from_le_bytes(*bytes.first_chunk()?)).ok()
}

/// The text before the first NUL, and what follows the NUL.
fn cstring(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let end = bytes.iter().position(|byte| *byte == 0)?;
    Some((&bytes[..end], &bytes[end + 1..]))
}

/// How many of `bytes` are the value of a type.
fn size(kind: u8, bytes: &[u8]) -> Option<usize> {
    Some(match kind {
        // Undefined, null, and the two ends of all keys.
        0x06 | 0x0a | 0x7f | 0xff => 0,
        0x08 => 1,
        0x10 => 4,
        // A double, a date, a timestamp and an int64.
        0x01 | 0x09 | 0x11 | 0x12 => 8,
        // An ObjectId.
        0x07 => 12,
        // A decimal128.
        0x13 => 16,
        // Strings, code and symbols have at least their NUL; a pointer to a document has an ObjectId after it.
        0x02 | 0x0c | 0x0d | 0x0e => {
            let text = 4 + length(bytes).filter(|length| *length > 0)?;
            (*bytes.get(text - 1)? == 0).then_some(())?;
            text + if kind == 0x0c { 12 } else { 0 }
        }
        // Documents, arrays and code with a scope have their own length in the length.
        0x03 | 0x04 | 0x0f => length(bytes).filter(|length| *length >= 5)?,
        0x05 => 5 + length(bytes)?,
        // A regular expression: two C strings.
        0x0b => {
            let (_, options) = cstring(bytes)?;
            let (_, rest) = cstring(options)?;
            bytes.len() - rest.len()
        }
        _ => return None,
    })
}

/// Writes one document, element by element. A name or a text must have no NUL where BSON has none: names are waitgate's own.
#[derive(Default)]
pub(super) struct Writer(Vec<u8>);

impl Writer {
    fn element(mut self, kind: u8, name: &str, value: &[&[u8]]) -> Self {
        self.0.push(kind);
        self.0.extend_from_slice(name.as_bytes());
        self.0.push(0);
        for part in value {
            self.0.extend_from_slice(part);
        }
        self
    }

    pub(super) fn int(self, name: &str, value: i32) -> Self {
        self.element(kind::INT32, name, &[&value.to_le_bytes()])
    }

    pub(super) fn yes(self, name: &str) -> Self {
        self.element(kind::BOOL, name, &[&[1]])
    }

    pub(super) fn text(self, name: &str, text: &str) -> Self {
        self.element(kind::STRING, name, &[&len(text.len() + 1), text.as_bytes(), &[0]])
    }

    #[cfg(test)]
    pub(super) fn no(self, name: &str) -> Self {
        self.element(kind::BOOL, name, &[&[0]])
    }

    #[cfg(test)]
    pub(super) fn array(self, name: &str, array: Self) -> Self {
        self.element(kind::ARRAY, name, &[&array.finish()])
    }

    /// A binary value of the generic subtype.
    pub(super) fn bytes(self, name: &str, bytes: &[u8]) -> Self {
        self.element(kind::BINARY, name, &[&len(bytes.len()), &[0], bytes])
    }

    pub(super) fn document(self, name: &str, document: Self) -> Self {
        self.element(kind::DOCUMENT, name, &[&document.finish()])
    }

    /// An element of another document, with its type.
    pub(super) fn copy(self, element: Element<'_>) -> Self {
        let name = String::from_utf8_lossy(element.name);
        self.element(element.kind, &name, &[element.value])
    }

    /// The document with its length.
    pub(super) fn finish(self) -> Vec<u8> {
        [&len(self.0.len() + 5)[..], &self.0, &[0]].concat()
    }
}

/// A length as BSON has it. What waitgate writes is far from the end of the type.
pub(super) fn len(length: usize) -> [u8; 4] {
    i32::try_from(length).unwrap_or(i32::MAX).to_le_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_again() {
        let inner = Writer::default().yes("b");
        let document = Writer::default().int("i", -7).text("t", "ä").bytes("p", b"\0x").document("d", inner).yes("y");
        let bytes = document.finish();
        let (document, rest) = Document::parse(&bytes).unwrap();
        assert!(rest.is_empty());
        assert_eq!(document.get("i").unwrap().number(), Some(-7.0));
        assert_eq!(document.text("t"), Some("ä".as_bytes()));
        assert_eq!(document.get("p").unwrap().bytes(), Some(&b"\0x"[..]));
        assert!(document.is_true("y") && document.is_true("i") && !document.is_true("t") && !document.is_true("no"));
        assert_eq!(document.elements().count(), 5);
        let copied = Writer::default().copy(document.get("i").unwrap()).finish();
        assert_eq!(copied, Writer::default().int("i", -7).finish());
        // A value of another type is none.
        assert_eq!((document.get("t").unwrap().number(), document.get("i").unwrap().text()), (None, None));
        assert_eq!((document.get("t").unwrap().bytes(), document.get("t").unwrap().texts().count()), (None, 0));
    }

    #[test]
    fn every_type_is_skipped_by_its_size() {
        let values: &[(u8, &[u8])] = &[
            (0x01, &1.5_f64.to_le_bytes()),
            (0x03, b"\x05\0\0\0\0"),
            (0x04, b"\x0b\0\0\0\x0a0\0\x0a1\0\0"),
            (0x05, b"\x02\0\0\0\x80ab"),
            (0x06, b""),
            (0x07, b"123456789012"),
            (0x09, b"12345678"),
            (0x0a, b""),
            (0x0b, b"a+\0i\0"),
            (0x0c, b"\x02\0\0\0a\0abcdefghijkl"),
            (0x0d, b"\x02\0\0\0a\0"),
            (0x0e, b"\x02\0\0\0a\0"),
            (0x0f, b"\x0e\0\0\0\x01\0\0\0\0\x05\0\0\0\0"),
            (0x11, b"12345678"),
            (0x12, b"\x09\0\0\0\0\0\0\0"),
            (0x13, b"1234567890123456"),
            (0x7f, b""),
            (0xff, b""),
        ];
        for (kind, value) in values {
            let bytes = Writer::default().element(*kind, "x", &[value]).int("last", 3).finish();
            let (document, _) = Document::parse(&bytes).unwrap_or_else(|| panic!("{kind:#x}"));
            assert_eq!(document.get("last").and_then(Element::number), Some(3.0), "{kind:#x}");
            // One byte fewer, with all lengths but the value's own set right again, is never read past its end.
            for cut in 0..value.len() {
                let _ = Document::parse(&Writer::default().element(*kind, "x", &[&value[..cut]]).finish());
            }
        }
        let double = Writer::default().element(0x01, "ok", &[&1.0_f64.to_le_bytes()]).finish();
        assert!(Document::parse(&double).unwrap().0.is_true("ok"));
        let long = Writer::default().element(0x12, "n", &[&9_i64.to_le_bytes()]).finish();
        assert_eq!(Document::parse(&long).unwrap().0.get("n").unwrap().number(), Some(9.0));
    }

    #[test]
    fn a_document_with_a_wrong_length_is_none() {
        for bad in [
            &b""[..],
            b"\x05\0\0",
            b"\x04\0\0\0",
            b"\x00\0\0\0\0",
            b"\xff\xff\xff\xff\0",
            b"\xff\xff\xff\x7f\0",
            b"\x05\0\0\0\x01",
            b"\x06\0\0\0\x10\0",
            b"\x08\0\0\0\x10i\0\0",
            b"\x08\0\0\0\x99i\0\0",
            // Strings without a byte, without a NUL, and longer than the document.
            b"\x0c\0\0\0\x02t\0\0\0\0\0\0",
            b"\x0d\0\0\0\x02t\0\x01\0\0\0a\0",
            b"\x0d\0\0\0\x02t\0\xff\xff\xff\x7fa\0",
            b"\x0d\0\0\0\x05t\0\xff\xff\xff\x7fa\0",
            b"\x0c\0\0\0\x03t\0\x04\0\0\0\0",
        ] {
            assert!(Document::parse(bad).is_none(), "{bad:?}");
        }
        let (empty, rest) = Document::parse(b"\x05\0\0\0\0rest").unwrap();
        assert_eq!((empty.elements().count(), rest), (0, &b"rest"[..]));
    }
}
