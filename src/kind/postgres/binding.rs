//! `tls-server-end-point` (RFC 5929 section 4): binds a SCRAM login to the server's certificate.

use ring::digest::{self, Algorithm, SHA256, SHA384, SHA512};

/// The hash of the server's certificate.
///
/// The hash function is that of the certificate's signature algorithm, or SHA-256 in place of MD5 and SHA-1. `None` if
/// the algorithm has no hash function (Ed25519) or one that waitgate does not have.
pub(super) fn server_end_point(certificate: &[u8]) -> Option<Vec<u8>> {
    let algorithm = signature_hash(certificate)?;
    Some(digest::digest(algorithm, certificate).as_ref().to_vec())
}

// Object identifiers, encoded in DER.
const RSA_PKCS1: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01];
const ECDSA: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04];
const NIST_HASH: &[u8] = &[0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02];

const SEQUENCE: u8 = 0x30;
const OID: u8 = 0x06;
const CONTEXT_0: u8 = 0xa0;

/// RFC 5280 section 4.1: `Certificate ::= SEQUENCE { tbsCertificate, signatureAlgorithm, signatureValue }`.
fn signature_hash(certificate: &[u8]) -> Option<&'static Algorithm> {
    let (_, certificate, _) = element(certificate, SEQUENCE)?;
    let (_, _, rest) = element(certificate, SEQUENCE)?;
    let (_, algorithm, _) = element(rest, SEQUENCE)?;
    let (_, oid, parameters) = element(algorithm, OID)?;
    if let Some(last) = oid.strip_prefix(RSA_PKCS1) {
        return match last {
            // md5, sha1, sha256, sha384, sha512 (RFC 8017 appendix A.2.4).
            [4 | 5 | 11] => Some(&SHA256),
            [12] => Some(&SHA384),
            [13] => Some(&SHA512),
            // RSASSA-PSS names its hash in its parameters; the default is SHA-1 (RFC 4055 section 3.1).
            [10] => pss_hash(parameters),
            _ => None,
        };
    }
    match oid.strip_prefix(ECDSA)? {
        // ecdsa-with-SHA1 (RFC 3279), ecdsa-with-SHA256, 384 and 512 (RFC 5758 section 3.2).
        [1] | [3, 2] => Some(&SHA256),
        [3, 3] => Some(&SHA384),
        [3, 4] => Some(&SHA512),
        _ => None,
    }
}

fn pss_hash(parameters: &[u8]) -> Option<&'static Algorithm> {
    let (_, parameters, _) = element(parameters, SEQUENCE)?;
    let Some((_, hash, _)) = element(parameters, CONTEXT_0) else { return Some(&SHA256) };
    let (_, hash, _) = element(hash, SEQUENCE)?;
    let (_, oid, _) = element(hash, OID)?;
    match oid.strip_prefix(NIST_HASH)? {
        [1] => Some(&SHA256),
        [2] => Some(&SHA384),
        [3] => Some(&SHA512),
        _ => None,
    }
}

/// The DER element at the start of `input`: its tag (which must be `tag`), its content, and the bytes after it.
fn element(input: &[u8], tag: u8) -> Option<(u8, &[u8], &[u8])> {
    let (&found, rest) = input.split_first()?;
    let (&first, rest) = rest.split_first()?;
    let (length, rest) = match first {
        0..=0x7f => (usize::from(first), rest),
        0x81..=0x84 => {
            let (bytes, rest) = rest.split_at_checked(usize::from(first & 0x7f))?;
            (bytes.iter().fold(0, |length, byte| length << 8 | usize::from(*byte)), rest)
        }
        _ => return None,
    };
    let (content, rest) = rest.split_at_checked(length)?;
    (found == tag).then_some((found, content, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A certificate's outline with the given signature algorithm.
    fn certificate(algorithm: &[u8]) -> Vec<u8> {
        let tbs = [&[0x30, 0x81, 0x80][..], &[0; 0x80]].concat();
        let mut body = tbs;
        body.extend([0x30, u8::try_from(algorithm.len()).unwrap()]);
        body.extend(algorithm);
        body.extend([0x03, 0x01, 0x00]);
        let length = u16::try_from(body.len()).unwrap().to_be_bytes();
        [&[0x30, 0x82, length[0], length[1]][..], &body].concat()
    }

    fn with_oid(prefix: &[u8], last: &[u8]) -> Vec<u8> {
        let oid = [prefix, last].concat();
        [&[0x06, u8::try_from(oid.len()).unwrap()][..], &oid].concat()
    }

    #[test]
    fn the_signature_algorithm_chooses_the_hash() {
        let length = |algorithm: &[u8]| server_end_point(&certificate(algorithm)).map(|hash| hash.len());
        assert_eq!(length(&with_oid(RSA_PKCS1, &[5])), Some(32), "sha1WithRSA is hashed by SHA-256");
        assert_eq!(length(&with_oid(RSA_PKCS1, &[4])), Some(32), "md5WithRSA is hashed by SHA-256");
        assert_eq!(length(&with_oid(RSA_PKCS1, &[11])), Some(32));
        assert_eq!(length(&with_oid(RSA_PKCS1, &[12])), Some(48));
        assert_eq!(length(&with_oid(RSA_PKCS1, &[13])), Some(64));
        assert_eq!(length(&with_oid(ECDSA, &[3, 2])), Some(32));
        assert_eq!(length(&with_oid(ECDSA, &[3, 3])), Some(48));
        assert_eq!(length(&[0x06, 0x03, 0x2b, 0x65, 0x70]), None, "Ed25519 names no hash");

        let sha384 = with_oid(NIST_HASH, &[2]);
        let hash = [&[0x30, u8::try_from(sha384.len()).unwrap()][..], &sha384].concat();
        let explicit = [&[0xa0, u8::try_from(hash.len()).unwrap()][..], &hash].concat();
        let parameters = [&[0x30, u8::try_from(explicit.len()).unwrap()][..], &explicit].concat();
        assert_eq!(length(&[with_oid(RSA_PKCS1, &[10]), parameters].concat()), Some(48));
        assert_eq!(length(&[with_oid(RSA_PKCS1, &[10]), vec![0x30, 0]].concat()), Some(32));
    }

    #[test]
    fn an_invalid_certificate_has_no_hash() {
        let good = certificate(&with_oid(RSA_PKCS1, &[11]));
        for cut in 0..good.len() {
            assert_eq!(server_end_point(&good[..cut]), None, "cut at {cut}");
        }
        assert_eq!(server_end_point(&[0x30, 0x84, 0xff, 0xff, 0xff, 0xff]), None);
        assert_eq!(server_end_point(&[0x30, 0x80]), None);
    }
}
