//! The status of a call: its number, its name, and the words beside it. Pure.

use http_types::header::{HeaderMap, HeaderValue};

use crate::reason::Code;

/// One status of gRPC (grpc: doc/statuscodes.md), and what it means for a health check.
pub(super) struct Status {
    pub(super) number: u16,
    pub(super) name: &'static str,
    pub(super) code: Code,
}

const fn status(number: u16, name: &'static str, code: Code) -> Status {
    Status { number, name, code }
}

pub(super) const OK: u16 = 0;
pub(super) const DEADLINE_EXCEEDED: u16 = 4;
pub(super) const NOT_FOUND: u16 = 5;
pub(super) const PERMISSION_DENIED: u16 = 7;
pub(super) const UNIMPLEMENTED: u16 = 12;
pub(super) const UNAVAILABLE: u16 = 14;
pub(super) const UNAUTHENTICATED: u16 = 16;

/// Every status but OK.
const ALL: &[Status] = &[
    status(1, "CANCELLED", Code::ProtocolError),
    status(2, "UNKNOWN", Code::ProtocolError),
    status(3, "INVALID_ARGUMENT", Code::ProtocolError),
    status(DEADLINE_EXCEEDED, "DEADLINE_EXCEEDED", Code::ProtocolTimeout),
    status(NOT_FOUND, "NOT_FOUND", Code::ExpectMissing),
    status(6, "ALREADY_EXISTS", Code::ProtocolError),
    status(PERMISSION_DENIED, "PERMISSION_DENIED", Code::ProtocolForbidden),
    status(8, "RESOURCE_EXHAUSTED", Code::ProtocolError),
    status(9, "FAILED_PRECONDITION", Code::ProtocolError),
    status(10, "ABORTED", Code::ProtocolError),
    status(11, "OUT_OF_RANGE", Code::ProtocolError),
    status(UNIMPLEMENTED, "UNIMPLEMENTED", Code::ProtocolError),
    status(13, "INTERNAL", Code::ProtocolError),
    status(UNAVAILABLE, "UNAVAILABLE", Code::ProtocolNotAccepting),
    status(15, "DATA_LOSS", Code::ProtocolError),
    status(UNAUTHENTICATED, "UNAUTHENTICATED", Code::ProtocolPassword),
];

impl Status {
    /// The status with this number. Others do not exist.
    pub(super) fn of(number: u16) -> Option<&'static Self> {
        ALL.iter().find(|status| status.number == number)
    }
}

/// The number in `grpc-status`: `None` without the header, and an error for what is no number.
pub(super) fn number(headers: &HeaderMap) -> Option<Result<u16, &HeaderValue>> {
    let value = headers.get("grpc-status")?;
    Some(value.to_str().ok().and_then(|text| text.parse().ok()).ok_or(value))
}

/// The words in `grpc-message`, without their percent-encoding.
pub(super) fn words(headers: &HeaderMap) -> Vec<u8> {
    headers.get("grpc-message").map(|value| decoded(value.as_bytes())).unwrap_or_default()
}

/// What is percent-encoded, decoded. What is not valid stays as it is (PROTOCOL-HTTP2.md, Status-Message: the words of an
/// error are never dropped).
fn decoded(mut encoded: &[u8]) -> Vec<u8> {
    let digit = |byte: u8| char::from(byte).to_digit(16);
    let mut out = Vec::with_capacity(encoded.len());
    while let Some((first, rest)) = encoded.split_first() {
        let byte = match rest {
            [high, low, ..] if *first == b'%' => digit(*high).zip(digit(*low)),
            _ => None,
        };
        let byte = byte.and_then(|(high, low)| u8::try_from(high << 4 | low).ok());
        out.push(byte.unwrap_or(*first));
        encoded = if byte.is_some() { &rest[2..] } else { rest };
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_decoded_and_never_dropped() {
        for (encoded, words) in [
            ("no such service", &b"no such service"[..]),
            ("caf%C3%A9 100%25 %0a", b"caf\xc3\xa9 100% \n"),
            ("%", b"%"),
            ("%4", b"%4"),
            ("%zz%41", b"%zzA"),
            ("%+1", b"%+1"),
            ("", b""),
        ] {
            assert_eq!(decoded(encoded.as_bytes()), words, "{encoded}");
        }
    }

    #[test]
    fn each_status_has_its_place() {
        for number in 1..=16 {
            assert_eq!(Status::of(number).unwrap().number, number);
        }
        assert!(Status::of(OK).is_none() && Status::of(17).is_none());
        let of = |value: &'static str| {
            let headers = HeaderMap::from_iter([("grpc-status".parse().unwrap(), HeaderValue::from_static(value))]);
            number(&headers).unwrap().ok()
        };
        assert_eq!(
            (of("0"), of("16"), of("99"), of("-1"), of(""), of("x")),
            (Some(0), Some(16), Some(99), None, None, None)
        );
        assert!(number(&HeaderMap::new()).is_none());
    }
}
