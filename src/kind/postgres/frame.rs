//! Where one message ends and the next begins, so that a reader is given no byte of the next.

/// The type byte and the length.
const HEADER: usize = 5;

/// Follows the messages in a run of bytes that is handed over in pieces.
#[derive(Default)]
pub(super) struct Frame {
    header: Vec<u8>,
    /// How much of the body is still to come.
    left: usize,
    /// The first bytes of the body: the code of an authentication request.
    code: Vec<u8>,
}

/// A message that has been handed over to its end.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Passed {
    /// AuthenticationOk: we are in.
    LetIn,
    /// AuthenticationSASLFinal: the password is right.
    PasswordTaken,
    /// Any other.
    Other,
}

impl Frame {
    /// How many bytes may be handed over next without touching the next message; at least one.
    pub(super) fn wanted(&self) -> usize {
        if self.left > 0 { self.left } else { HEADER - self.header.len() }
    }

    /// `bytes` have been handed over, at most as many as were wanted. An error is a length that is none, or is
    /// longer than `longest`.
    pub(super) fn took(&mut self, bytes: &[u8], longest: usize) -> Result<Option<Passed>, ()> {
        if self.left > 0 {
            self.left -= bytes.len().min(self.left);
            let room = 4_usize.saturating_sub(self.code.len());
            self.code.extend(&bytes[..bytes.len().min(room)]);
        } else {
            self.header.extend(bytes);
            let &[_, a, b, c, d] = self.header.as_slice() else { return Ok(None) };
            let length = usize::try_from(u32::from_be_bytes([a, b, c, d])).unwrap_or(usize::MAX);
            self.left = length.checked_sub(4).filter(|left| *left <= longest).ok_or(())?;
        }
        if self.left > 0 {
            return Ok(None);
        }
        let passed = match (self.header.first(), self.code.as_slice()) {
            (Some(b'R'), [0, 0, 0, 0]) => Passed::LetIn,
            (Some(b'R'), [0, 0, 0, 12]) => Passed::PasswordTaken,
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
    fn no_byte_of_the_next_message_is_handed_over() {
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
            assert_eq!(passed, [Passed::LetIn, Passed::Other, Passed::Other]);
            assert_eq!(&bytes[at..], b"next");
        }
    }

    #[test]
    fn a_length_that_is_none_ends_it() {
        for bad in [b"R\0\0\0\0", b"R\0\0\0\x03", b"S\x7f\xff\xff\xff", b"S\xff\xff\xff\xff", b"S\0\0\0\x69"] {
            assert!(Frame::default().took(bad, 100).is_err(), "{bad:?}");
        }
        assert!(Frame::default().took(b"n\0\0\0\x04", 100).unwrap().is_some());
    }
}
