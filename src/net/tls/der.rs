//! Reads from a certificate (RFC 5280) what rustls does not show: the dates, the use of the key, and the size of an RSA
//! key. Whatever the bytes are, it reads each of them at most a few times.

use std::ops::RangeInclusive;

const INTEGER: u8 = 0x02;
const BIT_STRING: u8 = 0x03;
const OCTET_STRING: u8 = 0x04;
const OID: u8 = 0x06;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;
const SEQUENCE: u8 = 0x30;
const VERSION: u8 = 0xa0;
const EXTENSIONS: u8 = 0xa3;
const BOOLEAN: u8 = 0x01;

/// 2.5.29.19 and 2.5.29.15.
const BASIC_CONSTRAINTS: &[u8] = &[0x55, 0x1d, 0x13];
const KEY_USAGE: &[u8] = &[0x55, 0x1d, 0x0f];

/// 1.2.840.113549.1.1.1.
const RSA: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01];

/// What a certificate says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Facts<'a> {
    /// The first and the last second at which it is valid, from 1970 on.
    pub(super) valid: RangeInclusive<u64>,
    pub(super) issuer: &'a [u8],
    pub(super) subject: &'a [u8],
    /// Whether it may sign other certificates.
    pub(super) signs: bool,
    /// The bits of its RSA key, if it has one.
    pub(super) rsa_bits: Option<usize>,
}

impl<'a> Facts<'a> {
    /// Reads a certificate. `None` if its structure is not that of a certificate.
    pub(super) fn of(certificate: &'a [u8]) -> Option<Self> {
        let mut outer = Reader(certificate);
        let mut certificate = Reader(outer.take(SEQUENCE)?);
        let mut body = Reader(certificate.take(SEQUENCE)?);
        let version = body.take_if(VERSION).and_then(|version| Reader(version).take(INTEGER)).unwrap_or(&[0]);
        body.take(INTEGER)?;
        body.take(SEQUENCE)?;
        let issuer = body.take(SEQUENCE)?;
        let mut validity = Reader(body.take(SEQUENCE)?);
        let valid = validity.time()?..=validity.time()?;
        let subject = body.take(SEQUENCE)?;
        let rsa_bits = rsa_bits(body.take(SEQUENCE)?);
        // The two unique identifiers are for no one.
        body.take_if(0x81);
        body.take_if(0x82);
        let (mut ca, mut key_usage) = (None, None);
        if let Some(extensions) = body.take_if(EXTENSIONS) {
            let mut extensions = Reader(Reader(extensions).take(SEQUENCE)?);
            while !extensions.0.is_empty() {
                let mut extension = Reader(extensions.take(SEQUENCE)?);
                let name = extension.take(OID)?;
                extension.take_if(BOOLEAN);
                let value = extension.take(OCTET_STRING)?;
                if name == BASIC_CONSTRAINTS {
                    let mut constraints = Reader(Reader(value).take(SEQUENCE)?);
                    ca = Some(constraints.take_if(BOOLEAN).is_some_and(|flag| flag != [0]));
                } else if name == KEY_USAGE {
                    // The first byte says how many bits of the last one are unused; keyCertSign is bit 5.
                    let bits = Reader(value).take(BIT_STRING)?;
                    key_usage = Some(bits.get(1).is_some_and(|bits| bits & 0x04 != 0));
                }
            }
        }
        // As OpenSSL has it (crypto/x509/v3_purp.c, check_ca): a certificate of version 1 has no extensions and may be a
        // root; a later one says that it is a CA.
        let signs = match (ca, key_usage) {
            (_, Some(false)) | (Some(false), _) => false,
            (Some(true), _) | (None, Some(true)) => true,
            (None, None) => version == [0],
        };
        Some(Self { valid, issuer, subject, signs, rsa_bits })
    }
}

/// The size of the key in a SubjectPublicKeyInfo.
fn rsa_bits(info: &[u8]) -> Option<usize> {
    let mut info = Reader(info);
    if Reader(info.take(SEQUENCE)?).take(OID)? != RSA {
        return None;
    }
    let key = info.take(BIT_STRING)?.strip_prefix(&[0])?;
    let modulus = Reader(Reader(key).take(SEQUENCE)?).take(INTEGER)?;
    let first = modulus.iter().position(|byte| *byte != 0)?;
    Some((modulus.len() - first) * 8 - modulus[first].leading_zeros() as usize)
}

/// Takes one value after another.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    /// The content of the next value, which must have this tag.
    fn take(&mut self, tag: u8) -> Option<&'a [u8]> {
        let (head, rest) = self.0.split_first_chunk::<2>()?;
        if head[0] != tag {
            return None;
        }
        let (length, rest) = match head[1] {
            short @ 0..=0x7f => (usize::from(short), rest),
            long @ 0x81..=0x83 => {
                let (bytes, rest) = rest.split_at_checked(usize::from(long - 0x80))?;
                (bytes.iter().fold(0, |length, byte| length << 8 | usize::from(*byte)), rest)
            }
            _ => return None,
        };
        let (content, rest) = rest.split_at_checked(length)?;
        self.0 = rest;
        Some(content)
    }

    /// The same for a value that may be left out.
    fn take_if(&mut self, tag: u8) -> Option<&'a [u8]> {
        if self.0.first() == Some(&tag) { self.take(tag) } else { None }
    }

    /// A time, in seconds from 1970 on; 0 for an earlier one.
    fn time(&mut self) -> Option<u64> {
        let (digits, century) = if self.0.first() == Some(&UTC_TIME) {
            (self.take(UTC_TIME)?, None)
        } else {
            let (century, rest) = self.take(GENERALIZED_TIME)?.split_at_checked(2)?;
            (rest, Some(number(century)?))
        };
        let digits = digits.strip_suffix(b"Z").filter(|digits| digits.len() == 12)?;
        let mut pairs = digits.chunks(2).map(number);
        let mut next = || pairs.next().flatten();
        let year = next()?;
        // RFC 5280 section 4.1.2.5.1.
        let year = century.unwrap_or(if year < 50 { 20 } else { 19 }) * 100 + year;
        let (month, day) = (next()?, next()?);
        if !(1..=12).contains(&month) || !(1..=31).contains(&day) {
            return None;
        }
        let seconds = next()? * 3600 + next()? * 60 + next()?;
        // Days of the civil calendar, with years that begin in March.
        let (years, months) = if month > 2 { (year, month - 3) } else { (year.checked_sub(1)?, month + 9) };
        let days = years * 365 + years / 4 - years / 100 + years / 400 + (months * 153 + 2) / 5 + day - 1;
        Some(days.saturating_sub(719_468) * 86_400 + seconds)
    }
}

/// Two digits.
fn number(digits: &[u8]) -> Option<u64> {
    digits.iter().try_fold(0, |number, digit| {
        let digit = char::from(*digit).to_digit(10)?;
        Some(number * 10 + u64::from(digit))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use rcgen::{BasicConstraints, CertificateParams, IsCa, KeyPair, KeyUsagePurpose, date_time_ymd};

    fn certificate(change: impl FnOnce(&mut CertificateParams)) -> Vec<u8> {
        let mut params = CertificateParams::new(vec!["a".to_owned()]).unwrap();
        change(&mut params);
        params.self_signed(&KeyPair::generate().unwrap()).unwrap().der().to_vec()
    }

    #[test]
    fn dates_are_read_in_both_forms() {
        let der = certificate(|params| {
            params.not_before = date_time_ymd(2024, 2, 29);
            params.not_after = date_time_ymd(2055, 12, 31);
        });
        let facts = Facts::of(&der).unwrap();
        assert_eq!(facts.valid, 1_709_164_800..=2_713_824_000);
        assert_eq!((facts.issuer, facts.rsa_bits), (facts.subject, None));
    }

    #[test]
    fn only_a_ca_signs() {
        let ca = IsCa::Ca(BasicConstraints::Unconstrained);
        for (is_ca, usages, signs) in [
            (ca, vec![], true),
            (ca, vec![KeyUsagePurpose::KeyCertSign], true),
            (ca, vec![KeyUsagePurpose::DigitalSignature], false),
            (IsCa::NoCa, vec![], false),
            (IsCa::ExplicitNoCa, vec![], false),
            (IsCa::ExplicitNoCa, vec![KeyUsagePurpose::KeyCertSign], false),
        ] {
            let der = certificate(|params| {
                params.is_ca = is_ca;
                params.key_usages = usages.clone();
            });
            assert_eq!(Facts::of(&der).unwrap().signs, signs, "{is_ca:?} {usages:?}");
        }
    }

    #[test]
    fn no_bytes_cause_a_panic() {
        let der = certificate(|_| {});
        for end in 0..der.len() {
            let _ = Facts::of(&der[..end]);
            for byte in [0, 0x7f, 0x80, 0x83, 0xff] {
                let mut changed = der.clone();
                changed[end] = byte;
                let _ = Facts::of(&changed);
            }
        }
    }
}
