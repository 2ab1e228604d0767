//! What a failed handshake means.

use std::fmt::{self, Write as _};
use std::io;
use std::net::IpAddr;

use rustls::{AlertDescription, CertificateError, Error, InvalidMessage, PeerIncompatible};

use super::asked::Request;
use super::fault::{Fault, day};
use crate::attempt::Attempt;
use crate::reason::{Code, Hint, Reason};
use crate::secret::HIDDEN;
use crate::text;

/// The rustls error in `error`, if rustls ended the read, the write or the handshake.
///
/// With TLS 1.3, a client finishes its handshake before the server has seen the client's certificate. If the server
/// does not accept it, the first read gives the error (RFC 8446 section 4.4.2.4 and figure 1).
pub(crate) fn cause(error: &io::Error) -> Option<&Error> {
    error.get_ref().and_then(|inner| inner.downcast_ref::<Error>())
}

/// The reason for a failed handshake with `peer`. The certificate had to be for `name`; `request` says whether the server
/// asked for a client certificate.
pub(crate) fn failure(
    error: &io::Error,
    name: &str,
    peer: impl fmt::Display,
    request: Request,
    attempt: &Attempt,
) -> Reason {
    match cause(error) {
        Some(error) => reason_after(error, name, peer, request, &|said| attempt.quote(said, usize::MAX)),
        None if request == Request::Unanswered => wants_certificate(format_args!("{peer} closed the connection")),
        None => Reason::new(
            Code::TlsClosed,
            format!("{peer} accepted the connection and closed it during the TLS handshake"),
        ),
    }
}

/// The reason for a certificate that is verified after the handshake.
#[cfg(feature = "mysql")]
pub(crate) fn of_certificate(error: &Error, name: &str, peer: impl fmt::Display, attempt: &Attempt) -> Reason {
    reason_after(error, name, peer, Request::None, &|said| attempt.quote(said, usize::MAX))
}

/// The reason for a rustls error after the handshake: then no names of a certificate are compared any more.
pub(crate) fn reason(error: &Error, name: &str, peer: impl fmt::Display) -> Reason {
    reason_after(error, name, peer, Request::None, &|_| HIDDEN.to_owned())
}

/// How a reason shows a word of the server.
type Quote<'a> = &'a dyn Fn(&str) -> String;

fn reason_after(error: &Error, name: &str, peer: impl fmt::Display, request: Request, quote: Quote<'_>) -> Reason {
    match error {
        Error::InvalidCertificate(certificate) => certificate_reason(certificate, name, peer, quote),
        Error::InvalidMessage(
            InvalidMessage::HandshakePayloadTooLarge | InvalidMessage::CertificatePayloadTooLarge,
        ) => Reason::new(
            Code::TlsFailed,
            format!("{peer} sent more in its TLS handshake than waitgate reads, such as very many certificates"),
        )
        .with_key("large"),
        Error::InvalidMessage(_) => {
            Reason::new(Code::TlsNotTls, format!("{peer} answered, but not in TLS")).with_hint(Hint::UseKind("http"))
        }
        Error::AlertReceived(alert) => alert_reason(*alert, name, peer, request),
        Error::PeerIncompatible(PeerIncompatible::ServerDoesNotSupportTls12Or13) => old_version(peer),
        _ => Reason::new(Code::TlsFailed, format!("{peer} could not agree on TLS with waitgate")),
    }
}

fn certificate_reason(error: &CertificateError, name: &str, peer: impl fmt::Display, quote: Quote<'_>) -> Reason {
    let reason = |code: Code, said: &str| Reason::new(code, format!("{peer} has a certificate {said}"));
    let failed = |said: &str, key: &str| reason(Code::TlsFailed, said).with_key(key);
    match error {
        CertificateError::Expired => reason(Code::TlsExpired, "that has expired"),
        // The date shows whether the certificate or this node's clock is wrong.
        CertificateError::ExpiredContext { not_after, .. } => {
            reason(Code::TlsExpired, &format!("that expired on {}", day(not_after.as_secs())))
        }
        CertificateError::NotValidYet => reason(Code::TlsNotYetValid, "that is not valid yet"),
        CertificateError::NotValidYetContext { not_before, .. } => {
            reason(Code::TlsNotYetValid, &format!("that is not valid before {}", day(not_before.as_secs())))
        }
        CertificateError::NotValidForName => reason(Code::TlsWrongName, &format!("that is not for {name}")),
        CertificateError::NotValidForNameContext { presented, .. } => {
            reason(Code::TlsWrongName, &wrong_name(name, presented, quote))
        }
        CertificateError::BadSignature => reason(
            Code::TlsUnknownIssuer,
            "that its issuer did not sign: waitgate trusts a CA of that name, but another CA signed this certificate",
        )
        .with_hint(Hint::CaFile)
        .with_key("signature"),
        CertificateError::UnknownIssuer => {
            reason(Code::TlsUnknownIssuer, "of an issuer that is not trusted").with_hint(Hint::CaFile)
        }
        CertificateError::UnsupportedSignatureAlgorithmContext { signature_algorithm_id: id, .. } => failed(
            &format!("or a CA with a signature that waitgate does not accept{}", algorithm(id)),
            "signature-algorithm",
        ),
        CertificateError::UnsupportedSignatureAlgorithmForPublicKeyContext { .. } => failed(
            "whose CA has a key of a kind that waitgate does not support (it supports RSA, ECDSA with P-256 and P-384, and Ed25519)",
            "key-kind",
        ),
        CertificateError::InvalidPurpose | CertificateError::InvalidPurposeContext { .. } => {
            failed("that is not meant for servers: its extendedKeyUsage does not list serverAuth", "purpose")
        }
        CertificateError::UnhandledCriticalExtension => failed(CRITICAL, "extension"),
        CertificateError::BadEncoding => failed("that cannot be read: its encoding is broken", "encoding"),
        CertificateError::Other(other) => match other.0.downcast_ref::<Fault>() {
            Some(fault) => Reason::new(fault.code, format!("{peer} {}", fault.text)).with_key(fault.key),
            // The names are those of webpki's errors.
            None => match other.to_string().as_str() {
                "UnsupportedCertVersion" => failed(
                    "of X.509 version 1, which cannot be verified: it needs version 3, with a subjectAltName",
                    "certificate-version",
                ),
                "CaUsedAsEndEntity" => Reason::new(
                    Code::TlsUnknownIssuer,
                    format!("{peer} has a CA's own certificate, and that certificate is not one of the trusted ones"),
                )
                .with_hint(Hint::CaFile),
                "UnsupportedCriticalExtension" => failed(CRITICAL, "extension"),
                "NameConstraintViolation" => {
                    failed("with a name that its CA may not certify (the CA's nameConstraints)", "name-constraints")
                }
                "PathLenConstraintViolated" => {
                    failed("with more CAs above it than they allow (their pathLenConstraint)", "path-length")
                }
                "EndEntityUsedAsCa" => failed("that was signed by a certificate that is not a CA's", "no-ca"),
                _ => failed("that cannot be accepted", "certificate"),
            },
        },
        _ => failed("that cannot be accepted", "certificate"),
    }
}

const CRITICAL: &str = "with a critical extension that waitgate does not know";

fn alert_reason(alert: AlertDescription, name: &str, peer: impl fmt::Display, request: Request) -> Reason {
    use AlertDescription as Alert;
    let ours =
        |why: &str| Reason::new(Code::TlsClientCertificate, format!("{peer} {why}")).with_key(format!("{alert:?}"));
    let is_address = name.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>().is_ok();
    match alert {
        Alert::CertificateRequired | Alert::BadCertificate | Alert::UnknownCA | Alert::CertificateUnknown => {
            Reason::new(
                Code::TlsClientCertificate,
                format!("{peer} refused our side of the TLS handshake: it wants a client certificate that it trusts"),
            )
        }
        // A server sends these alerts about the certificate that it got.
        Alert::CertificateExpired => ours("says that our client certificate has expired"),
        Alert::CertificateRevoked => ours("says that our client certificate was revoked"),
        Alert::UnsupportedCertificate => {
            ours("does not accept the kind of our client certificate (such as its extendedKeyUsage, which must list clientAuth)")
        }
        Alert::HandshakeFailure if request != Request::None => {
            wants_certificate(format_args!("{peer} ended the TLS handshake"))
        }
        Alert::ProtocolVersion => old_version(peer),
        Alert::UnrecognisedName if is_address => Reason::new(
            Code::TlsWrongName,
            format!("{peer} answers only to names that it knows, and an address sends no name: give #servername=, or a name instead of the address"),
        )
        .with_key("no-name"),
        Alert::UnrecognisedName => Reason::new(Code::TlsWrongName, format!("{peer} does not know the name {name}")),
        // Caddy, and others, when no name was sent.
        Alert::InternalError if is_address => Reason::new(
            Code::TlsFailed,
            format!("{peer} ended the TLS handshake with the alert InternalError; an address sends no name: if the server needs one, give #servername="),
        )
        .with_key("InternalError"),
        other => Reason::new(Code::TlsFailed, format!("{peer} ended the TLS handshake with the alert {other:?}"))
            .with_key(format!("{other:?}")),
    }
}

/// The reason of a server that asked for a client certificate, got none, and `ended` the connection.
pub(crate) fn wants_certificate(ended: fmt::Arguments<'_>) -> Reason {
    let text = format!("{ended} after it had asked for a client certificate: it wants one that it trusts");
    Reason::new(Code::TlsClientCertificate, text)
}

fn old_version(peer: impl fmt::Display) -> Reason {
    let text = format!("{peer} speaks only versions of TLS that waitgate does not: waitgate speaks 1.2 and 1.3");
    Reason::new(Code::TlsFailed, text).with_key("version")
}

/// Which names the certificate has instead, the nearest ones first.
fn wrong_name(name: &str, presented: &[String], quote: Quote<'_>) -> String {
    /// A certificate may have thousands of names.
    const LOOKED_AT: usize = 256;
    if presented.is_empty() {
        return format!(
            "that names no host in its subjectAltName, so it is not for {name} (a common name does not count)"
        );
    }
    if let Ok(address) = name.parse::<IpAddr>()
        && presented.iter().any(|has| has.starts_with("DnsName") && bare(has).parse() == Ok(address))
    {
        return format!(
            "that is not for the address {name} (it has {name} as a DNS name, and an address needs an IP entry)"
        );
    }
    let mut names: Vec<&str> = presented.iter().take(LOOKED_AT).map(|has| bare(has)).collect();
    // This sort keeps the order of names that are equally near.
    names.sort_by_key(|has| text::distance(name, has));
    let mut has = names.iter().take(4).map(|has| quote(has)).collect::<Vec<_>>().join(", ");
    if let Some(more @ 1..) = presented.len().checked_sub(4) {
        let _ = write!(has, " and {more} more");
    }
    format!("that is not for {name} (it has {has})")
}

/// The well-known algorithms among those that ring does not have, by the object identifier in DER.
fn algorithm(id: &[u8]) -> &'static str {
    const KNOWN: [(&[u8], &str); 6] = [
        (&[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x04], " (MD5 with RSA)"),
        (&[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x05], " (SHA-1 with RSA)"),
        (&[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x01], " (SHA-1 with ECDSA)"),
        (&[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x04], " (SHA-512 with ECDSA)"),
        (&[0x2b, 0x65, 0x71], " (Ed448)"),
        (&[0x2a, 0x86, 0x48, 0xce, 0x38, 0x04, 0x03], " (SHA-1 with DSA)"),
    ];
    let has = |oid: &[u8]| id.windows(oid.len()).any(|window| window == oid);
    KNOWN.into_iter().find(|(oid, _)| has(oid)).map_or("", |(_, name)| name)
}

/// The name alone: webpki gives it in Rust's debug format, `DnsName("db.example")`.
fn bare(name: &str) -> &str {
    let inner = name.split_once('(').and_then(|(_, rest)| rest.strip_suffix(')')).unwrap_or(name);
    inner.trim_matches('"')
}
