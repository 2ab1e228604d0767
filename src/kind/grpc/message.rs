//! The two messages of a health check in Protocol Buffers, and the frame around a message of gRPC. Pure.
//!
//! They are `HealthCheckRequest` and `HealthCheckResponse` (grpc-proto: grpc/health/v1/health.proto), each with one field.

/// The most bytes of an answer. A `HealthCheckResponse` has two.
pub(super) const ANSWER_MAX: usize = 4096;

/// The head of a frame: whether the message is compressed, and its length (grpc: doc/PROTOCOL-HTTP2.md,
/// Length-Prefixed-Message).
const HEAD: usize = 5;

/// The framed request for the health of `service`. An empty name means the whole server.
pub(super) fn request(service: &str) -> Vec<u8> {
    let mut message = Vec::new();
    // Proto3 leaves out what has its default value.
    if !service.is_empty() {
        // Field 1, wire type 2 (LEN).
        message.push(1 << 3 | 2);
        push_varint(&mut message, service.len());
        message.extend(service.as_bytes());
    }
    let length = u32::try_from(message.len()).unwrap_or(u32::MAX).to_be_bytes();
    [&[0][..], &length, &message].concat()
}

fn push_varint(out: &mut Vec<u8>, mut number: usize) {
    while number >= 0x80 {
        out.push(u8::try_from(number & 0x7f).unwrap_or_default() | 0x80);
        number >>= 7;
    }
    out.push(u8::try_from(number).unwrap_or_default());
}

/// What a `HealthCheckResponse` says (`ServingStatus`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Health {
    Unknown,
    Serving,
    NotServing,
    ServiceUnknown,
    /// A number that health.proto does not have.
    Other(u64),
}

/// Why an answer is not a `HealthCheckResponse`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mistake {
    /// There is no message.
    Missing,
    /// The message is compressed, and waitgate offers no compression.
    Compressed,
    /// It ends too early, has something after its end, or is not in the encoding of Protocol Buffers.
    Broken,
}

impl Health {
    /// Reads one framed message.
    pub(super) fn of(framed: &[u8]) -> Result<Self, Mistake> {
        let Some((head, message)) = framed.split_first_chunk::<HEAD>() else {
            return Err(if framed.is_empty() { Mistake::Missing } else { Mistake::Broken });
        };
        let [compressed, length @ ..] = *head;
        match compressed {
            0 => {}
            1 => return Err(Mistake::Compressed),
            _ => return Err(Mistake::Broken),
        }
        if u32::from_be_bytes(length) as usize != message.len() {
            return Err(Mistake::Broken);
        }
        let number = status(message).ok_or(Mistake::Broken)?;
        Ok(match number {
            0 => Self::Unknown,
            1 => Self::Serving,
            2 => Self::NotServing,
            3 => Self::ServiceUnknown,
            other => Self::Other(other),
        })
    }
}

/// The field `status`, with the number 1, of a message. A field that is missing has the value 0, and of several the last
/// one counts. Unknown fields are skipped (protobuf.dev: Encoding).
fn status(mut rest: &[u8]) -> Option<u64> {
    let mut status = 0;
    while !rest.is_empty() {
        let key = varint(&mut rest)?;
        match (key >> 3, key & 7) {
            (0, _) => return None,
            (1, 0) => status = varint(&mut rest)?,
            (_, 0) => drop(varint(&mut rest)?),
            (_, 1) => drop(rest.split_off(..8)?),
            (_, 2) => {
                let length = usize::try_from(varint(&mut rest)?).ok()?;
                rest.split_off(..length)?;
            }
            (_, 5) => drop(rest.split_off(..4)?),
            // Groups are not in proto3, and the other types do not exist.
            _ => return None,
        }
    }
    Some(status)
}

/// A number of at most 64 bits, 7 of them in each byte.
fn varint(rest: &mut &[u8]) -> Option<u64> {
    let mut number = 0;
    for at in 0..10 {
        let byte = *rest.split_off_first()?;
        number |= u64::from(byte & 0x7f).checked_shl(7 * at)?;
        if byte < 0x80 {
            return Some(number);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The bytes are those of grpcio-health-checking.
    #[test]
    fn requests_are_those_of_other_clients() {
        assert_eq!(request(""), b"\0\0\0\0\0");
        assert_eq!(request("shop.Cart"), b"\0\0\0\0\x0b\x0a\x09shop.Cart");
        let long = request(&"x".repeat(300));
        assert_eq!(long[..8], *b"\0\0\0\x01\x2f\x0a\xac\x02");
        assert_eq!(long.len(), 5 + 303);
    }

    #[test]
    fn an_answer_has_one_status() {
        for (framed, health) in [
            (&b"\0\0\0\0\x02\x08\x01"[..], Ok(Health::Serving)),
            (b"\0\0\0\0\x02\x08\x02", Ok(Health::NotServing)),
            (b"\0\0\0\0\x02\x08\x03", Ok(Health::ServiceUnknown)),
            (b"\0\0\0\0\0", Ok(Health::Unknown)),
            (b"\0\0\0\0\x03\x08\xac\x02", Ok(Health::Other(300))),
            // A later field counts, and unknown ones do not.
            (b"\0\0\0\0\x04\x08\x01\x08\x02", Ok(Health::NotServing)),
            (b"\0\0\0\0\x08\x12\x01x\x08\x01\x15abcd"[..12].as_ref(), Err(Mistake::Broken)),
            (b"\0\0\0\0\x0a\x12\x01x\x08\x01\x15abcd", Ok(Health::Serving)),
            (b"", Err(Mistake::Missing)),
            (b"\0\0\0", Err(Mistake::Broken)),
            (b"\x01\0\0\0\x02\x08\x01", Err(Mistake::Compressed)),
            (b"\x02\0\0\0\x02\x08\x01", Err(Mistake::Broken)),
            (b"\0\0\0\0\x03\x08\x01", Err(Mistake::Broken)),
            (b"\0\0\0\0\x02\x08\x01\0\0\0\0\x02\x08\x01", Err(Mistake::Broken)),
            (b"\0\0\0\0\x02\x08\x81", Err(Mistake::Broken)),
            (b"\0\0\0\0\x02\x0b\x01", Err(Mistake::Broken)),
            (b"\0\0\0\0\x0c\x08\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x01", Err(Mistake::Broken)),
            (b"\0\xff\xff\xff\xff\x08\x01", Err(Mistake::Broken)),
        ] {
            assert_eq!(Health::of(framed), health, "{framed:?}");
        }
    }
}
