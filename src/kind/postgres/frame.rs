//! Finds where each message ends, so that a reader gets no byte of the next message.

/// The length of a header in bytes: the type byte and the length field.
const HEADER_LEN: usize = 5;

/// The position in a stream of messages that a reader gets in pieces.
#[derive(Default)]
pub(super) struct Frame {
    header: Vec<u8>,
    /// How many bytes of the body the reader still has to get.
    left: usize,
    /// The first four bytes of the body. In an authentication request they are its code.
    code: Vec<u8>,
}

/// A message that the reader got to its end.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Passed {
    /// An authentication request, with its code.
    Authentication(u32),
    /// Any other message.
    Other,
}

impl Frame {
    /// How many bytes the reader may get now without a byte of the next message; at least one.
    pub(super) fn wanted(&self) -> usize {
        if self.left > 0 { self.left } else { HEADER_LEN - self.header.len() }
    }

    /// Counts `bytes`, which the reader got: at most as many as `wanted` said.
    ///
    /// It is an error if the length field is invalid or if the body is longer than `body_max`.
    pub(super) fn took(&mut self, bytes: &[u8], body_max: usize) -> Result<Option<Passed>, ()> {
        if self.left > 0 {
            self.left -= bytes.len().min(self.left);
            let room = 4_usize.saturating_sub(self.code.len());
            self.code.extend(&bytes[..bytes.len().min(room)]);
        } else {
            self.header.extend(bytes);
            let &[_, a, b, c, d] = self.header.as_slice() else { return Ok(None) };
            let length = usize::try_from(u32::from_be_bytes([a, b, c, d])).unwrap_or(usize::MAX);
            self.left = length.checked_sub(4).filter(|left| *left <= body_max).ok_or(())?;
        }
        if self.left > 0 {
            return Ok(None);
        }
        let passed = match (self.header.first(), self.code.as_slice()) {
            (Some(b'R'), &[a, b, c, d]) => Passed::Authentication(u32::from_be_bytes([a, b, c, d])),
            _ => Passed::Other,
        };
        self.header.clear();
        self.code.clear();
        Ok(Some(passed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reader_gets_no_byte_of_the_next_message() {
        let bytes = b"R\0\0\0\x08\0\0\0\0S\0\0\0\x07a\0bZ\0\0\0\x05Inext";
        for step in [1, 2, 3, 64] {
            let mut frame = Frame::default();
            let mut at = 0;
            let mut passed = Vec::new();
            while passed.len() < 3 {
                let n = frame.wanted().min(step);
                if let Some(message) = frame.took(&bytes[at..at + n], 100).unwrap() {
                    passed.push(message);
                }
                at += n;
            }
            assert_eq!(passed, [Passed::Authentication(0), Passed::Other, Passed::Other]);
            assert_eq!(&bytes[at..], b"next");
        }
    }

    #[test]
    fn an_invalid_length_is_an_error() {
        for bad in [b"R\0\0\0\0", b"R\0\0\0\x03", b"S\x7f\xff\xff\xff", b"S\xff\xff\xff\xff", b"S\0\0\0\x69"] {
            assert!(Frame::default().took(bad, 100).is_err(), "{bad:?}");
        }
        assert!(Frame::default().took(b"n\0\0\0\x04", 100).unwrap().is_some());
    }
}
