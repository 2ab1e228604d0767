//! The verifier of a server's certificate.

use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{verify_server_cert_signed_by_trust_anchor, verify_server_name};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{CertificateError, DigitallySignedStruct, Error, RootCertStore, SignatureScheme};

use super::roots::Roots;

/// How much of a server's certificate is verified.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Verify {
    /// Nothing: any certificate is accepted, as with libpq's `prefer` and `require`.
    Nothing,
    /// Only that the server holds the certificate's key. A SCRAM login with channel binding needs this.
    Key,
    /// That the certificate is valid now and comes from a trusted root: libpq's `verify-ca`.
    Chain,
    /// The same, and that the certificate is for the host's name: libpq's `verify-full`.
    #[default]
    Full,
}

#[derive(Debug)]
pub(super) struct Verifier {
    verify: Verify,
    roots: RootCertStore,
    /// The certificates that the user gave. One of them may be the server's own certificate.
    named: Vec<CertificateDer<'static>>,
    provider: Arc<CryptoProvider>,
}

impl Verifier {
    pub(super) fn new(
        verify: Verify,
        roots: Roots,
        more_roots: &[CertificateDer<'static>],
        provider: Arc<CryptoProvider>,
    ) -> Self {
        let mozilla = || RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
        let (mut roots, named) = match (verify, roots) {
            (Verify::Nothing | Verify::Key, _) => (RootCertStore::empty(), Vec::new()),
            (_, Roots::Run) => (mozilla(), more_roots.to_vec()),
            (_, Roots::Mozilla) => (mozilla(), Vec::new()),
            (_, Roots::Only(named)) => (RootCertStore::empty(), named),
        };
        roots.add_parsable_certificates(named.iter().cloned());
        Self { verify, roots, named, provider }
    }

    /// Whether the server's certificate is itself trusted, and `error` only says that it is a CA certificate.
    ///
    /// `openssl req -x509` makes such certificates. There is no chain to verify, and webpki has verified the dates
    /// before it returns this error (rustls-webpki: `check_issuer_independent_properties`).
    fn is_its_own_root(&self, end_entity: &CertificateDer<'_>, error: &Error) -> bool {
        matches!(error, Error::InvalidCertificate(CertificateError::Other(other)) if other.to_string() == "CaUsedAsEndEntity")
            && self.named.contains(end_entity)
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
        let cert = ParsedCertificate::try_from(end_entity)?;
        let algorithms = self.provider.signature_verification_algorithms.all;
        let chain = verify_server_cert_signed_by_trust_anchor(&cert, &self.roots, intermediates, now, algorithms);
        if let Err(error) = chain
            && !self.is_its_own_root(end_entity, &error)
        {
            return Err(error);
        }
        if self.verify == Verify::Full {
            verify_server_name(&cert, server_name)?;
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
        rustls::crypto::verify_tls12_signature(message, cert, dss, algorithms).map_err(unproven)
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
        rustls::crypto::verify_tls13_signature(message, cert, dss, algorithms).map_err(unproven)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

/// rustls has one error for two bad signatures: of the handshake, and of the certificate. This marks the handshake's.
fn unproven(error: Error) -> Error {
    match error {
        Error::InvalidCertificate(CertificateError::BadSignature) => {
            CertificateError::ApplicationVerificationFailure.into()
        }
        other => other,
    }
}
