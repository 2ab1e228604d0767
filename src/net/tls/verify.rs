//! The verifier of a server's certificate, for a reviewer.
//!
//! waitgate has its own `ServerCertVerifier`, because rustls' own knows one mode and libpq's users ask for four. It makes
//! no cryptography and walks no chain itself: rustls and webpki do, by the same functions as rustls' own verifier
//! (rustls: `WebPkiServerVerifier::verify_server_cert`). `Verify` says what each mode proves, and who asks for it.
//!
//! In every mode: TLS 1.2 and 1.3 alone, with ring's suites; no renegotiation and no resumed session, so that each attempt
//! verifies anew; RSA keys from 2048 bits. In no mode is revocation looked at (no CRL, no OCSP): a gate that waits for its
//! own dependencies must not depend on a CA's servers.
//!
//! What differs from rustls, on purpose: a certificate that is itself in the given file is trusted, as OpenSSL has it
//! (`Verifier::chain`); and one that the user gave is not, once it has expired or if it is no CA (anchors.rs).

use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{verify_server_cert_signed_by_trust_anchor, verify_server_name};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{CertificateError, DigitallySignedStruct, Error, OtherError, RootCertStore, SignatureScheme};

use super::anchors::Anchors;
use super::der::Facts;
use super::fault::Fault;
use crate::reason::Code;

/// How much of a server's certificate is verified.
///
/// --insecure and `#insecure` make `Nothing` of each mode except `Key`, and the log warns. A TLS session that is not
/// verified protects from those who only listen, not from one who is in the way of the connection.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Verify {
    /// Nothing: any certificate is accepted, and the server need not hold its key. This is libpq's `prefer` and `require`
    /// without a CA (<https://www.postgresql.org/docs/current/libpq-ssl.html>), `none` of Redis clients, and --insecure.
    Nothing,
    /// Only that the server holds the certificate's key: the signature of the handshake. A SCRAM login with channel binding
    /// needs this; it proves afterwards, by the password, that nothing is in the way (RFC 5929, `tls-server-end-point`).
    Key,
    /// The signature of the handshake, and that the certificate comes from a trusted root, is valid now and is for servers.
    /// The name is not looked at. This is libpq's `verify-ca`; it fits a private CA that signs for one's own hosts only.
    Chain,
    /// The same, and that the certificate is for the host's name or address (subjectAltName, RFC 9525). `https:`, `tls:`,
    /// `rediss:` and libpq's `verify-full` have this; there is no fallback to less, and a failure is not ready.
    #[default]
    Full,
}

#[derive(Debug)]
pub(super) struct Verifier {
    verify: Verify,
    anchors: Arc<Anchors>,
    provider: Arc<CryptoProvider>,
}

impl Verifier {
    pub(super) fn new(verify: Verify, anchors: Arc<Anchors>, provider: Arc<CryptoProvider>) -> Self {
        Self { verify, anchors, provider }
    }

    /// Verifies the dates, the uses and the signatures from the server's certificate up to a trusted root.
    fn chain(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<(), Error> {
        let cert = ParsedCertificate::try_from(end_entity)?;
        let algorithms = self.provider.signature_verification_algorithms.all;
        let verified = |roots: &RootCertStore, between: &[CertificateDer<'_>]| {
            verify_server_cert_signed_by_trust_anchor(&cert, roots, between, now, algorithms)
        };
        let Err(error) = self.anchors.with(now.as_secs(), |roots| verified(roots, intermediates)) else {
            return Ok(());
        };
        // The server's certificate is itself trusted, as `openssl req -x509` makes one. Then there is no chain, and
        // webpki says so after it has verified everything else (rustls-webpki: `check_issuer_independent_properties`).
        if self.anchors.has(end_entity)
            && verified(&RootCertStore::empty(), &[]).is_err_and(|error| is_only_chain(&error))
        {
            return Ok(());
        }
        let fault = self.anchors.fault(now.as_secs(), |roots| verified(roots, intermediates).is_ok());
        let fault = fault.or_else(|| self.weak_issuer(&error, end_entity, intermediates));
        Err(fault.map_or(error, |fault| CertificateError::Other(OtherError(Arc::new(fault))).into()))
    }

    /// A CA's key that is too short for ring is not a signature of another CA.
    fn weak_issuer(
        &self,
        error: &Error,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
    ) -> Option<Fault> {
        if !matches!(error, Error::InvalidCertificate(CertificateError::BadSignature)) {
            return None;
        }
        let chain = intermediates.iter().take(CHAIN_MAX).chain([end_entity]);
        let issuers: Vec<&[u8]> = chain.filter_map(|cert| Some(Facts::of(cert)?.issuer)).collect();
        let above =
            self.anchors.given().map(AsRef::as_ref).chain(intermediates.iter().take(CHAIN_MAX).map(AsRef::as_ref));
        let bits = above
            .filter_map(Facts::of)
            .filter(|facts| issuers.contains(&facts.subject))
            .find_map(|facts| weak(&facts))?;
        Some(Fault {
            code: Code::TlsFailed,
            text: format!(
                "has a certificate whose CA has an RSA key of {bits} bits, which is too short: waitgate accepts 2048 bits or more"
            ),
            key: "weak-ca",
        })
    }
}

/// At most this many of the server's certificates are looked at for a better reason.
const CHAIN_MAX: usize = 8;

/// The bits of the RSA key, if they are too few for ring.
fn weak(facts: &Facts<'_>) -> Option<usize> {
    facts.rsa_bits.filter(|bits| *bits < 2048)
}

/// Whether nothing but the chain is wrong.
fn is_only_chain(error: &Error) -> bool {
    match error {
        Error::InvalidCertificate(CertificateError::UnknownIssuer) => true,
        Error::InvalidCertificate(CertificateError::Other(other)) => other.to_string() == "CaUsedAsEndEntity",
        _ => false,
    }
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        if matches!(self.verify, Verify::Nothing | Verify::Key) {
            return Ok(ServerCertVerified::assertion());
        }
        self.chain(end_entity, intermediates, now)?;
        if self.verify == Verify::Full {
            verify_server_name(&ParsedCertificate::try_from(end_entity)?, server_name)?;
        }
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        // If any certificate is accepted, its signature proves nothing. And webpki cannot read the key of an X.509 v1
        // certificate, which PostgreSQL's own manual tells people to make.
        if self.verify == Verify::Nothing {
            return Ok(HandshakeSignatureValid::assertion());
        }
        let algorithms = &self.provider.signature_verification_algorithms;
        rustls::crypto::verify_tls12_signature(message, cert, dss, algorithms).map_err(|error| unproven(error, cert))
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        if self.verify == Verify::Nothing {
            return Ok(HandshakeSignatureValid::assertion());
        }
        let algorithms = &self.provider.signature_verification_algorithms;
        rustls::crypto::verify_tls13_signature(message, cert, dss, algorithms).map_err(|error| unproven(error, cert))
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

/// rustls has one error for two bad signatures: of the handshake, and of the certificate. This marks the handshake's.
///
/// ring refuses a short RSA key in the same way. That is no proof that the server does not hold it.
fn unproven(error: Error, cert: &CertificateDer<'_>) -> Error {
    if !matches!(error, Error::InvalidCertificate(CertificateError::BadSignature)) {
        return error;
    }
    let fault = match Facts::of(cert).and_then(|facts| weak(&facts)) {
        Some(bits) => Fault {
            code: Code::TlsFailed,
            text: format!(
                "has a certificate with an RSA key of {bits} bits, which is too short: waitgate accepts 2048 bits or more"
            ),
            key: "weak-key",
        },
        None => Fault {
            code: Code::TlsFailed,
            text: "showed a certificate whose key it does not hold".to_owned(),
            key: "proof",
        },
    };
    CertificateError::Other(OtherError(Arc::new(fault))).into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::tls::reasons::reason;
    use rustls::pki_types::pem::PemObject as _;

    /// ring makes no short keys, so a scripted server cannot show this one. openssl made it.
    #[test]
    fn a_short_rsa_key_is_named_as_that() {
        let cert = CertificateDer::from_pem_slice(WEAK.as_bytes()).unwrap();
        let facts = Facts::of(&cert).unwrap();
        assert_eq!((facts.rsa_bits, facts.signs), (Some(1024), true));
        let text = |cert: &[u8]| {
            let error = unproven(CertificateError::BadSignature.into(), &CertificateDer::from(cert));
            reason(&error, "weak", "1.2.3.4:1").text().to_owned()
        };
        let says = "1.2.3.4:1 has a certificate with an RSA key of 1024 bits, which is too short: waitgate accepts 2048 bits or more";
        assert_eq!(text(&cert), says);
        assert_eq!(text(b"0"), "1.2.3.4:1 showed a certificate whose key it does not hold");
        let given = vec![super::super::anchors::Given { der: cert.clone(), from: "#ca=x".into() }];
        let anchors = Arc::new(Anchors::new(false, given, 0));
        let verifier = Verifier::new(Verify::Full, anchors, Arc::new(rustls::crypto::ring::default_provider()));
        let bad = CertificateError::BadSignature.into();
        let fault = verifier.weak_issuer(&bad, &cert, &[]).unwrap();
        assert!(fault.text.contains("whose CA has an RSA key of 1024 bits"));
        assert!(verifier.weak_issuer(&CertificateError::UnknownIssuer.into(), &cert, &[]).is_none());
    }

    const WEAK: &str = "\
    -----BEGIN CERTIFICATE-----\n\
    MIICDTCCAXagAwIBAgIUU0BvVFxZ77n19FqkdIQwyuxFVcgwDQYJKoZIhvcNAQEL\n\
    BQAwDzENMAsGA1UEAwwEd2VhazAgFw0yNjExMjYyMzE1MDhaGA8yMTI2MTEwMjIz\n\
    MTUwOFowDzENMAsGA1UEAwwEd2VhazCBnzANBgkqhkiG9w0BAQEFAAOBjQAwgYkC\n\
    gYEAyY6bQy8dGRsQNK3lzb0d9FaeZBtfCzcKndton7l7e7lWehXvcjC7Oxo1tMUk\n\
    vEawh23kZKWr5U2BBe3TIOk9n/9eRCTLaf1eIkCVOPzCpqtCXcRed826izW/dSwU\n\
    nEu751LwhpVEugBhY7voKck/uVyOgMEaMlakevDqL3ZOll0CAwEAAaNkMGIwHQYD\n\
    VR0OBBYEFH2HIoS9BsUchsIkNLFeMFbbDBjDMB8GA1UdIwQYMBaAFH2HIoS9BsUc\n\
    hsIkNLFeMFbbDBjDMA8GA1UdEwEB/wQFMAMBAf8wDwYDVR0RBAgwBoIEd2VhazAN\n\
    BgkqhkiG9w0BAQsFAAOBgQAG4nyrtr6tJEa3Ft7ShvYZyThI9yR4HXjMRo5Vlgf9\n\
    RymQ9Bl2GKx+O74lgyyIFDAtjHlSdyHCnOjhs6RvttwRh09/Kt+AHjRYHTCY2Ji2\n\
    RuZrX0TRw9lUgAcIyKo3uCp3SeIFfeEOZEbBcDDl014MD3VxLBS3uRstt2gW37/M\n\
    HQ==\n\
    -----END CERTIFICATE-----\n";
}
