//! SCRAM (RFC 5802) over SHA-1, SHA-256 (RFC 7677) and SHA-512: a login in which the password is never sent, and in which
//! the server proves that it knows the password too. Without channel binding.

use std::num::NonZeroU32;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ring::{digest, hmac, pbkdf2};

use crate::net::stream::Peer;
use crate::reason::{Code, Cost, Reason};

/// How often a server may ask to hash. Its work is the client's work: a number without a bound would be a long wait.
const ITERATIONS_MAX: u32 = 100_000;

/// The bytes of a client's nonce, before they become text.
const NONCE_LEN: usize = 18;

/// The header of a client without channel binding, and its form in the last message ("biws" in the RFC).
const HEADER: &str = "n,,";

/// The hash of a login.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Hash {
    /// SCRAM-SHA-1.
    #[cfg_attr(not(feature = "mongodb"), allow(dead_code, reason = "Kafka knows no SCRAM-SHA-1"))]
    Sha1,
    /// SCRAM-SHA-256.
    Sha256,
    /// SCRAM-SHA-512.
    #[cfg_attr(not(feature = "kafka"), allow(dead_code, reason = "MongoDB does not have it"))]
    Sha512,
}

impl Hash {
    /// The name of the mechanism in SASL.
    pub(super) fn mechanism(self) -> &'static str {
        match self {
            Self::Sha1 => "SCRAM-SHA-1",
            Self::Sha256 => "SCRAM-SHA-256",
            Self::Sha512 => "SCRAM-SHA-512",
        }
    }

    fn hmac(self) -> hmac::Algorithm {
        match self {
            Self::Sha1 => hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY,
            Self::Sha256 => hmac::HMAC_SHA256,
            Self::Sha512 => hmac::HMAC_SHA512,
        }
    }

    fn pbkdf2(self) -> pbkdf2::Algorithm {
        match self {
            Self::Sha1 => pbkdf2::PBKDF2_HMAC_SHA1,
            Self::Sha256 => pbkdf2::PBKDF2_HMAC_SHA256,
            Self::Sha512 => pbkdf2::PBKDF2_HMAC_SHA512,
        }
    }

    fn digest(self) -> &'static digest::Algorithm {
        self.hmac().digest_algorithm()
    }
}

/// Why a login cannot go on, or was not believed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Failed {
    /// The server's message is not one of SCRAM, or belongs to another login.
    Garbled,
    /// The server asks for more iterations than waitgate does.
    Iterations,
    /// The server does not know the password: its signature is wrong. Whoever answers is not the server.
    Signature,
    /// The server's error in the last message (RFC 5802 section 7: server-error-value), as it sent it.
    Refused(String),
}

impl Failed {
    /// The reason when `peer` does not lead a login by `mechanism` as SCRAM is led; `None` for a refusal, which the kind has
    /// words for. Whoever answers may not be the server, so waitgate does not come back soon.
    pub(super) fn reason(&self, peer: &Peer, mechanism: &str) -> Option<Reason> {
        let (code, key, what) = match self {
            Self::Garbled => (Code::ProtocolError, "scram", "sent a message that SCRAM does not have"),
            Self::Iterations => {
                (Code::ProtocolAuthMethod, "iterations", "asks for more iterations than waitgate does (100000)")
            }
            Self::Signature => (
                Code::ProtocolAuthMethod,
                "signature",
                "lets the user in without a proof that it knows the password (it may be another server)",
            ),
            Self::Refused(_) => return None,
        };
        let text = format!("{peer} {what} in the login by {mechanism}");
        Some(Reason::new(code, text).with_cost(Cost::Credentials).with_key(key))
    }

    /// The server's words in a refusal.
    pub(super) fn said(&self) -> &str {
        match self {
            Self::Refused(said) => said,
            _ => "",
        }
    }
}

/// A login that has begun.
pub(super) struct Scram {
    hash: Hash,
    nonce: String,
    /// The first message without its header.
    first: String,
}

/// A login that waits for the server's signature.
pub(super) struct Proven {
    signature: Vec<u8>,
}

impl Scram {
    /// Begins a login of `user`, with a nonce of its own. It fails if this machine has no random numbers.
    pub(super) fn new(hash: Hash, user: &str) -> Result<Self, Reason> {
        let mut random = [0; NONCE_LEN];
        getrandom::fill(&mut random).map_err(|_| {
            let text = "this machine gives no random numbers for the login";
            Reason::new(Code::LocalSocket, text).with_key("random")
        })?;
        let nonce = STANDARD.encode(random);
        let user = user.replace('=', "=3D").replace(',', "=2C");
        Ok(Self { hash, first: format!("n={user},r={nonce}"), nonce })
    }

    /// The first message.
    pub(super) fn first(&self) -> String {
        format!("{HEADER}{}", self.first)
    }

    /// Answers the server's first message: returns the last message and what the server has to prove.
    pub(super) fn prove(&self, password: &[u8], server_first: &[u8]) -> Result<(String, Proven), Failed> {
        let server_first = std::str::from_utf8(server_first).map_err(|_| Failed::Garbled)?;
        let mut attributes = server_first.split(',');
        let mut next = |name: &str| attributes.next()?.strip_prefix(name)?.strip_prefix('=');
        // Another attribute in front is an extension that a client must understand (RFC 5802 section 5.1: m).
        let (nonce, salt, iterations) = (next("r"), next("s"), next("i"));
        let nonce = nonce.filter(|nonce| nonce.len() > self.nonce.len() && nonce.starts_with(&self.nonce));
        let salt = salt.and_then(|salt| STANDARD.decode(salt).ok());
        let (Some(nonce), Some(salt), Some(iterations)) = (nonce, salt, iterations) else {
            return Err(Failed::Garbled);
        };
        let iterations = match iterations.parse::<u64>() {
            Ok(many) if many > u64::from(ITERATIONS_MAX) => return Err(Failed::Iterations),
            Ok(few) => u32::try_from(few).ok().and_then(NonZeroU32::new).ok_or(Failed::Garbled)?,
            Err(_) => return Err(Failed::Garbled),
        };
        let without_proof = format!("c={},r={nonce}", STANDARD.encode(HEADER));
        let signed = format!("{},{server_first},{without_proof}", self.first);

        let mut salted = vec![0; self.hash.digest().output_len()];
        pbkdf2::derive(self.hash.pbkdf2(), iterations, &salt, password, &mut salted);
        let hmac = |key: &[u8], text: &[u8]| hmac::sign(&hmac::Key::new(self.hash.hmac(), key), text);
        let client_key = hmac(&salted, b"Client Key");
        let stored_key = digest::digest(self.hash.digest(), client_key.as_ref());
        let client_signature = hmac(stored_key.as_ref(), signed.as_bytes());
        let proof: Vec<u8> =
            client_key.as_ref().iter().zip(client_signature.as_ref()).map(|(key, sign)| key ^ sign).collect();
        let server_key = hmac(&salted, b"Server Key");
        let signature = hmac(server_key.as_ref(), signed.as_bytes()).as_ref().to_vec();
        Ok((format!("{without_proof},p={}", STANDARD.encode(proof)), Proven { signature }))
    }
}

impl Proven {
    /// Judges the server's last message. Only after this is the login a login.
    pub(super) fn judge(&self, server_last: &[u8]) -> Result<(), Failed> {
        let server_last = std::str::from_utf8(server_last).map_err(|_| Failed::Garbled)?;
        let attribute = server_last.split(',').next().unwrap_or_default();
        if let Some(error) = attribute.strip_prefix("e=") {
            return Err(Failed::Refused(error.to_owned()));
        }
        let signature = attribute.strip_prefix("v=").ok_or(Failed::Garbled)?;
        let signature = STANDARD.decode(signature).map_err(|_| Failed::Garbled)?;
        // The time of this comparison tells a server nothing: the signature is of this login alone.
        if signature == self.signature { Ok(()) } else { Err(Failed::Signature) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The examples of RFC 5802 section 5 and RFC 7677 section 3. Their nonces are no base64 of 18 bytes.
    fn example(hash: Hash, nonce: &str) -> Scram {
        Scram { hash, first: format!("n=user,r={nonce}"), nonce: nonce.to_owned() }
    }

    const FIRST_1: &[u8] = b"r=fyko+d2lbbFgONRv9qkxdawL3rfcNHYJY1ZVvWVs7j,s=QSXCR+Q6sek8bf92,i=4096";

    #[test]
    fn the_examples_of_the_standards() {
        let login = example(Hash::Sha1, "fyko+d2lbbFgONRv9qkxdawL");
        assert_eq!(login.first(), "n,,n=user,r=fyko+d2lbbFgONRv9qkxdawL");
        let (last, proven) = login.prove(b"pencil", FIRST_1).unwrap();
        assert_eq!(last, "c=biws,r=fyko+d2lbbFgONRv9qkxdawL3rfcNHYJY1ZVvWVs7j,p=v0X8v3Bz2T0CJGbJQyF0X+HI4Ts=");
        assert_eq!(proven.judge(b"v=rmF9pqV8S7suAoZWja4dJRkFsKQ="), Ok(()));

        let login = example(Hash::Sha256, "rOprNGfwEbeRWgbNEkqO");
        let first = b"r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096";
        let (last, proven) = login.prove(b"pencil", first).unwrap();
        assert_eq!(
            last,
            "c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ="
        );
        assert_eq!(proven.judge(b"v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4="), Ok(()));
        assert_eq!(proven.judge(b"v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G5="), Err(Failed::Garbled));
        assert_eq!(proven.judge(b"v=rmF9pqV8S7suAoZWja4dJRkFsKQ="), Err(Failed::Signature));
        assert_eq!(proven.judge(b"e=invalid-proof"), Err(Failed::Refused("invalid-proof".to_owned())));
        assert_eq!(proven.judge(b""), Err(Failed::Garbled));
    }

    #[test]
    fn a_server_that_errs_is_not_believed() {
        let login = example(Hash::Sha1, "fyko+d2lbbFgONRv9qkxdawL");
        let failed = |first: &[u8]| login.prove(b"pencil", first).map(|(last, _)| last).unwrap_err();
        for garbled in [
            &b""[..],
            b"\xff",
            b"r=other,s=QSXCR+Q6sek8bf92,i=4096",
            // The client's nonce alone: the server has added nothing.
            b"r=fyko+d2lbbFgONRv9qkxdawL,s=QSXCR+Q6sek8bf92,i=4096",
            b"r=fyko+d2lbbFgONRv9qkxdawLx,s=?,i=4096",
            b"r=fyko+d2lbbFgONRv9qkxdawLx,s=QSXCR+Q6sek8bf92",
            b"r=fyko+d2lbbFgONRv9qkxdawLx,s=QSXCR+Q6sek8bf92,i=0",
            b"r=fyko+d2lbbFgONRv9qkxdawLx,s=QSXCR+Q6sek8bf92,i=-1",
            b"m=ext,r=fyko+d2lbbFgONRv9qkxdawLx,s=QSXCR+Q6sek8bf92,i=4096",
        ] {
            assert_eq!(failed(garbled), Failed::Garbled, "{}", String::from_utf8_lossy(garbled));
        }
        assert_eq!(failed(b"r=fyko+d2lbbFgONRv9qkxdawLx,s=QSXCR+Q6sek8bf92,i=100001"), Failed::Iterations);
        assert_eq!(failed(b"r=fyko+d2lbbFgONRv9qkxdawLx,s=QSXCR+Q6sek8bf92,i=9999999999"), Failed::Iterations);
    }

    #[test]
    fn a_user_with_a_comma_is_escaped() {
        let first = || Scram::new(Hash::Sha512, "a,b=c").unwrap().first();
        assert!(first().starts_with("n,,n=a=2Cb=3Dc,r="), "{}", first());
        assert_ne!(first(), first());
    }

    #[test]
    fn each_hash_has_its_mechanism_and_length() {
        for (hash, mechanism, length) in
            [(Hash::Sha1, "SCRAM-SHA-1", 20), (Hash::Sha256, "SCRAM-SHA-256", 32), (Hash::Sha512, "SCRAM-SHA-512", 64)]
        {
            let login = Scram { hash, ..example(hash, "fyko+d2lbbFgONRv9qkxdawL") };
            let (last, proven) = login.prove(b"pencil", FIRST_1).unwrap();
            let proof = STANDARD.decode(last.rsplit_once("p=").unwrap().1).unwrap();
            assert_eq!((hash.mechanism(), proof.len(), proven.signature.len()), (mechanism, length, length));
        }
    }
}
