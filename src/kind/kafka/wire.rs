//! The bytes of Kafka's protocol: requests, and the fields of answers. Pure.
//!
//! Sources: <https://kafka.apache.org/protocol> and the schemas in Kafka's clients/src/main/resources/common/message. Only the
//! versions that waitgate asks for are here.

/// The keys of the requests.
pub(super) const METADATA: i16 = 3;
pub(super) const SASL_HANDSHAKE: i16 = 17;
pub(super) const API_VERSIONS: i16 = 18;
pub(super) const SASL_AUTHENTICATE: i16 = 36;

/// What a broker's log and its metrics call waitgate.
const CLIENT_ID: &str = "waitgate";

/// The first version of Metadata whose fields are "flexible": lengths are varints, and each struct ends with tagged fields
/// (KIP-482). The other requests are asked for in older versions.
pub(super) const METADATA_FLEXIBLE: i16 = 9;

/// No struct of Kafka's has more tagged fields. Each of them is read again when more bytes come, so they need a bound.
const TAGS_MAX: u32 = 16;

/// One request: its key, its version, and its fields.
pub(super) struct Request {
    pub(super) key: i16,
    pub(super) version: i16,
    pub(super) body: Vec<u8>,
}

impl Request {
    pub(super) fn new(key: i16, version: i16) -> Self {
        Self { key, version, body: Vec::new() }
    }

    fn is_flexible(&self) -> bool {
        self.key == METADATA && self.version >= METADATA_FLEXIBLE
    }

    pub(super) fn bytes(mut self, bytes: &[u8]) -> Self {
        self.body.extend_from_slice(bytes);
        self
    }

    /// A string, as the version has it. Nothing that waitgate sends is longer than 32 KiB.
    pub(super) fn string(self, text: &str) -> Self {
        let length = i16::try_from(text.len()).unwrap_or(i16::MAX);
        let text = &text.as_bytes()[..usize::from(length.unsigned_abs())];
        if self.is_flexible() { self.compact(text.len() + 1) } else { self.bytes(&length.to_be_bytes()) }.bytes(text)
    }

    /// The length of an array; `None` is the null array.
    pub(super) fn array(self, length: Option<usize>) -> Self {
        if self.is_flexible() {
            return self.compact(length.map_or(0, |length| length + 1));
        }
        let length = length.map_or(-1, |length| i32::try_from(length).unwrap_or(i32::MAX));
        self.bytes(&length.to_be_bytes())
    }

    /// No tagged fields, in a version that can have some.
    pub(super) fn no_tags(self) -> Self {
        if self.is_flexible() { self.bytes(&[0]) } else { self }
    }

    fn compact(mut self, mut number: usize) -> Self {
        while number > 0x7f {
            self.body.push(0x80 | u8::try_from(number & 0x7f).unwrap_or_default());
            number >>= 7;
        }
        self.bytes(&[u8::try_from(number).unwrap_or_default()])
    }

    /// The whole request, with its length and its header.
    pub(super) fn framed(&self, correlation: i32) -> Vec<u8> {
        let mut header = [self.key.to_be_bytes(), self.version.to_be_bytes()].concat();
        header.extend_from_slice(&correlation.to_be_bytes());
        // The client's id has the old form in every version of the header (KIP-482).
        header.extend_from_slice(&[0, 8]);
        header.extend_from_slice(CLIENT_ID.as_bytes());
        if self.is_flexible() {
            header.push(0);
        }
        let length = u32::try_from(header.len() + self.body.len()).unwrap_or(u32::MAX);
        [&length.to_be_bytes()[..], &header, &self.body].concat()
    }
}

/// Why a field cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unread {
    /// It does not end within the bytes.
    Short,
    /// No answer of Kafka's has this.
    Malformed,
}

/// What is left of the bytes of an answer.
#[derive(Clone)]
pub(super) struct Fields<'a> {
    pub(super) left: &'a [u8],
    /// Whether the version is a flexible one.
    pub(super) flexible: bool,
}

impl<'a> Fields<'a> {
    /// The fields of an answer whose version is not flexible.
    pub(super) fn plain(left: &'a [u8]) -> Self {
        Self { left, flexible: false }
    }

    pub(super) fn skip(&mut self, count: usize) -> Result<&'a [u8], Unread> {
        let (taken, left) = self.left.split_at_checked(count).ok_or(Unread::Short)?;
        self.left = left;
        Ok(taken)
    }

    pub(super) fn short(&mut self) -> Result<i16, Unread> {
        let bytes = self.skip(2)?;
        Ok(i16::from_be_bytes([bytes[0], bytes[1]]))
    }

    pub(super) fn int(&mut self) -> Result<i32, Unread> {
        let bytes = self.skip(4)?;
        Ok(i32::from_be_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]))
    }

    fn varint(&mut self) -> Result<u32, Unread> {
        let mut number = 0;
        for shift in [0, 7, 14, 21, 28] {
            let byte = self.skip(1)?[0];
            number |= u32::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Ok(number);
            }
        }
        Err(Unread::Malformed)
    }

    /// The length of a string, of bytes or of an array; `None` for null.
    fn length(&mut self, plain: impl FnOnce(&mut Self) -> Result<i32, Unread>) -> Result<Option<u32>, Unread> {
        if self.flexible {
            return Ok(self.varint()?.checked_sub(1));
        }
        match plain(self)? {
            -1 => Ok(None),
            length => u32::try_from(length).map(Some).map_err(|_| Unread::Malformed),
        }
    }

    /// A string; null is empty.
    pub(super) fn string(&mut self) -> Result<&'a [u8], Unread> {
        let length = self.length(|fields| fields.short().map(i32::from))?.unwrap_or_default();
        self.skip(length as usize)
    }

    /// Bytes; null is empty.
    pub(super) fn bytes(&mut self) -> Result<&'a [u8], Unread> {
        let length = self.array()?;
        self.skip(length as usize)
    }

    /// The number of elements of an array; null has none.
    pub(super) fn array(&mut self) -> Result<u32, Unread> {
        self.length(Self::int).map(Option::unwrap_or_default)
    }

    /// An array of 32-bit numbers, which nothing here needs.
    pub(super) fn ints(&mut self) -> Result<(), Unread> {
        let count = self.array()? as usize;
        self.skip(count.checked_mul(4).ok_or(Unread::Malformed)?).map(|_| ())
    }

    /// The tagged fields at the end of a struct, which nothing here needs.
    pub(super) fn tags(&mut self) -> Result<(), Unread> {
        if !self.flexible {
            return Ok(());
        }
        let count = self.varint()?;
        if count > TAGS_MAX {
            return Err(Unread::Malformed);
        }
        for _ in 0..count {
            self.varint()?;
            let length = self.varint()?;
            self.skip(length as usize)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_has_its_length_and_its_header() {
        let asked = Request::new(API_VERSIONS, 0).framed(7);
        assert_eq!(asked, b"\0\0\0\x12\0\x12\0\0\0\0\0\x07\0\x08waitgate");
        let handshake = Request::new(SASL_HANDSHAKE, 1).string("PLAIN").framed(1);
        assert_eq!(&handshake[..12], b"\0\0\0\x19\0\x11\0\x01\0\0\0\x01");
        assert!(handshake.ends_with(b"waitgate\0\x05PLAIN"));
    }

    #[test]
    fn a_flexible_request_has_tagged_fields_and_compact_lengths() {
        let asked = Request::new(METADATA, 9).array(Some(1)).string("orders").no_tags().framed(2);
        assert!(asked.ends_with(b"waitgate\0\x02\x07orders\0"), "{asked:?}");
        let long = Request::new(METADATA, 9).string(&"a".repeat(200)).framed(2);
        assert!(long.windows(3).any(|bytes| bytes == b"\xc9\x01a"));
        assert!(Request::new(METADATA, 9).array(None).framed(1).ends_with(b"\0\0"));
        assert!(Request::new(METADATA, 1).array(None).framed(1).ends_with(b"\xff\xff\xff\xff"));
    }

    #[test]
    fn fields_end_where_the_bytes_do() {
        let mut fields = Fields::plain(b"\0\x03abc\xff\xff\0\0\0\x02\0\0\0\x01\0\0\0\x02");
        assert_eq!(fields.string(), Ok(&b"abc"[..]));
        assert_eq!(fields.string(), Ok(&b""[..]));
        assert_eq!(fields.ints(), Ok(()));
        assert_eq!(fields.int(), Err(Unread::Short));
        assert_eq!(Fields::plain(b"\0\x05abc").string(), Err(Unread::Short));
        assert_eq!(Fields::plain(b"\xff\xfe").string(), Err(Unread::Malformed));
        assert_eq!(Fields::plain(b"\x7f\xff\xff\xff").ints(), Err(Unread::Short));
        assert_eq!(Fields::plain(b"\x80\0\0\0").ints(), Err(Unread::Malformed));
    }

    #[test]
    fn flexible_fields_are_read_too() {
        let flexible = |left| Fields { left, flexible: true };
        assert_eq!(flexible(b"\x04abc").string(), Ok(&b"abc"[..]));
        assert_eq!(flexible(b"\0").string(), Ok(&b""[..]));
        assert_eq!(flexible(b"\xc9\x01").array(), Ok(200));
        assert_eq!(flexible(b"\x80\x80\x80\x80\x80\x01").array(), Err(Unread::Malformed));
        assert_eq!(flexible(b"\0").tags(), Ok(()));
        assert_eq!(flexible(b"\x01\x05\x02ab").tags(), Ok(()));
        assert_eq!(flexible(b"\x11").tags(), Err(Unread::Malformed));
        assert_eq!(flexible(b"\x01\x05\x02a").tags(), Err(Unread::Short));
        assert_eq!(Fields::plain(b"").tags(), Ok(()));
    }
}
