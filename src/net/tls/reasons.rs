//! What a failed handshake means.

use std::io;
use std::time::{Duration, UNIX_EPOCH};

use rustls::pki_types::UnixTime;
use rustls::{CertificateError, Error};

use crate::reason::{Code, Hint, Reason};

/// The rustls error in `error`, if rustls ended the read, the write or the handshake.
///
/// With TLS 1.3, a client finishes its handshake before the server has seen the client's certificate. If the server
/// does not accept it, the first read gives the error (RFC 8446 section 4.4.2.4 and figure 1).
pub(crate) fn cause(error: &io::Error) -> Option<&Error> {
    error.get_ref().and_then(|inner| inner.downcast_ref::<Error>())
}

/// The reason for a failed handshake with `peer`. The certificate had to be for `name`.
pub(crate) fn failure(error: &io::Error, name: &str, peer: impl std::fmt::Display) -> Reason {
    match cause(error) {
        Some(error) => reason(error, name, peer),
        None => Reason::new(
            Code::TlsClosed,
            format!("{peer} accepted the connection and closed it during the TLS handshake"),
        ),
    }
}

/// The reason for a rustls error.
pub(crate) fn reason(error: &Error, name: &str, peer: impl std::fmt::Display) -> Reason {
    let text = |what: &str| format!("{peer} {what}");
    match error {
        Error::InvalidCertificate(certificate) => match certificate {
            CertificateError::Expired => Reason::new(Code::TlsExpired, text("has a certificate that has expired")),
            // The date shows whether the certificate or this node's clock is wrong.
            CertificateError::ExpiredContext { not_after, .. } => {
                let said = format!("has a certificate that expired on {}", day(*not_after));
                Reason::new(Code::TlsExpired, text(&said))
            }
            CertificateError::NotValidYet => {
                Reason::new(Code::TlsNotYetValid, text("has a certificate that is not valid yet"))
            }
            CertificateError::NotValidYetContext { not_before, .. } => {
                let said = format!("has a certificate that is not valid before {}", day(*not_before));
                Reason::new(Code::TlsNotYetValid, text(&said))
            }
            CertificateError::NotValidForName => {
                Reason::new(Code::TlsWrongName, text(&format!("has a certificate that is not for {name}")))
            }
            CertificateError::NotValidForNameContext { presented, .. } if presented.is_empty() => Reason::new(
                Code::TlsWrongName,
                text(&format!(
                    "has a certificate that names no host in its subjectAltName, so it is not for {name} (a common name does not count)"
                )),
            ),
            CertificateError::NotValidForNameContext { presented, .. } => {
                let names: Vec<&str> = presented.iter().take(4).map(|name| bare(name)).collect();
                let has = names.join(", ");
                Reason::new(
                    Code::TlsWrongName,
                    text(&format!("has a certificate that is not for {name} (it has {has})")),
                )
            }
            CertificateError::BadSignature => Reason::new(
                Code::TlsUnknownIssuer,
                text("has a certificate that its issuer did not sign: waitgate trusts a CA of that name, but another CA signed this certificate"),
            )
            .with_hint(Hint::CaFile)
            .with_key("signature"),
            // The verifier's `unproven` makes this error.
            CertificateError::ApplicationVerificationFailure => {
                Reason::new(Code::TlsFailed, text("showed a certificate whose key it does not hold")).with_key("proof")
            }
            CertificateError::UnknownIssuer => {
                Reason::new(Code::TlsUnknownIssuer, text("has a certificate of an issuer that is not trusted"))
                    .with_hint(Hint::CaFile)
            }
            CertificateError::Other(other) if other.to_string() == "UnsupportedCertVersion" => Reason::new(
                Code::TlsFailed,
                text("has a certificate of X.509 version 1, which cannot be verified: it needs version 3, with a subjectAltName"),
            )
            .with_key("certificate-version"),
            CertificateError::Other(other) if other.to_string() == "CaUsedAsEndEntity" => Reason::new(
                Code::TlsUnknownIssuer,
                text("has a CA's own certificate, and that certificate is not one of the trusted ones"),
            )
            .with_hint(Hint::CaFile),
            _ => Reason::new(Code::TlsFailed, text("has a certificate that cannot be accepted")).with_key("certificate"),
        },
        Error::InvalidMessage(_) => Reason::new(Code::TlsNotTls, text("answered, but not in TLS")).with_hint(Hint::UseKind("http")),
        Error::AlertReceived(alert) => {
            use rustls::AlertDescription as Alert;
            match alert {
                Alert::CertificateRequired | Alert::BadCertificate | Alert::UnknownCA | Alert::CertificateUnknown => {
                    Reason::new(
                        Code::TlsClientCertificate,
                        text("refused our side of the TLS handshake: it wants a client certificate that it trusts"),
                    )
                }
                Alert::UnrecognisedName => {
                    Reason::new(Code::TlsWrongName, text(&format!("does not know the name {name}")))
                }
                other => {
                    Reason::new(Code::TlsFailed, text(&format!("ended the TLS handshake with the alert {other:?}")))
                        .with_key(format!("{other:?}"))
                }
            }
        }
        _ => Reason::new(Code::TlsFailed, text("could not agree on TLS with waitgate")),
    }
}

/// The name alone: webpki gives it in Rust's debug format, `DnsName("db.example")`.
fn bare(name: &str) -> &str {
    let inner = name.split_once('(').and_then(|(_, rest)| rest.strip_suffix(')')).unwrap_or(name);
    inner.trim_matches('"')
}

/// The day in UTC, `2020-01-31`, and at most the last day of 9999: humantime panics after that.
fn day(time: UnixTime) -> String {
    const LAST: u64 = 253_402_300_799;
    let time = UNIX_EPOCH + Duration::from_secs(time.as_secs().min(LAST));
    humantime::format_rfc3339_seconds(time).to_string().chars().take(10).collect()
}
