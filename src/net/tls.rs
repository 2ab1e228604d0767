//! TLS: the roots and the configuration, built when the first handshake needs them, and what its failures mean.

use std::cell::OnceCell;
use std::io;
use std::sync::Arc;

use anyhow::{Result, bail};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{CertificateError, ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme};
use tokio_rustls::TlsConnector;

use super::stream::Stream;
use crate::reason::{Code, Hint, Reason, Stage};
use crate::trail::Trail;

/// TLS as the command line has it.
#[derive(Default)]
pub struct Tls {
    insecure: bool,
    more_roots: Vec<CertificateDer<'static>>,
    config: OnceCell<Arc<ClientConfig>>,
}

impl Tls {
    /// `ca_file` is the content of --ca-file: certificates in PEM, trusted besides the Mozilla roots.
    pub fn new(ca_file: Option<&[u8]>, insecure: bool) -> Result<Self> {
        let more_roots = ca_file.map(certificates).transpose()?.unwrap_or_default();
        Ok(Self { insecure, more_roots, config: OnceCell::new() })
    }

    /// The configuration of every client, made by the first that asks.
    #[must_use]
    pub fn config(&self) -> Arc<ClientConfig> {
        Arc::clone(self.config.get_or_init(|| Arc::new(self.build())))
    }

    fn build(&self) -> ClientConfig {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .expect("ring must support the default TLS versions");
        let mut config = if self.insecure {
            let verifier = Arc::new(Unverified(provider));
            builder.dangerous().with_custom_certificate_verifier(verifier).with_no_client_auth()
        } else {
            let mut roots = RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
            roots.add_parsable_certificates(self.more_roots.iter().cloned());
            builder.with_root_certificates(roots).with_no_client_auth()
        };
        // Every attempt stands for itself: a resumed session would not look at the certificate.
        config.resumption = rustls::client::Resumption::disabled();
        config
    }
}

/// The certificates of a PEM file; none is an error.
pub fn certificates(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>> {
    let parsed: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    match parsed {
        Ok(found) if found.is_empty() => bail!("expected certificates in PEM, found no -----BEGIN CERTIFICATE-----"),
        Ok(found) => {
            let mut store = RootCertStore::empty();
            let (good, _) = store.add_parsable_certificates(found.iter().cloned());
            if good == 0 {
                bail!("expected certificates in PEM, found none that is an X.509 certificate");
            }
            Ok(found)
        }
        Err(_) => bail!("expected certificates in PEM, found something that is not PEM"),
    }
}

/// Makes `stream` a TLS stream; `name` is what the certificate must be for.
pub async fn handshake(
    config: Arc<ClientConfig>,
    name: ServerName<'static>,
    stream: Stream,
    trail: &Trail,
) -> Result<Stream, Reason> {
    let peer = stream.peer();
    trail.enter(Stage::Tls, peer);
    let session = TlsConnector::from(config).connect(name.clone(), stream).await;
    session.map(Stream::tls).map_err(|error| failure(&error, &name.to_str(), peer))
}

/// What a failed handshake with `peer` means; `name` is what the certificate had to be for.
#[must_use]
pub fn failure(error: &io::Error, name: &str, peer: impl std::fmt::Display) -> Reason {
    match error.get_ref().and_then(|inner| inner.downcast_ref::<Error>()) {
        Some(error) => reason(error, name, peer),
        None => Reason::new(
            Code::TlsClosed,
            format!("{peer} accepted the connection and closed it during the TLS handshake"),
        ),
    }
}

/// What rustls's error means.
#[must_use]
pub fn reason(error: &Error, name: &str, peer: impl std::fmt::Display) -> Reason {
    let text = |what: &str| format!("{peer} {what}");
    match error {
        Error::InvalidCertificate(certificate) => match certificate {
            CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
                Reason::new(Code::TlsExpired, text("has a certificate that has expired"))
            }
            CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
                Reason::new(Code::TlsNotYetValid, text("has a certificate that is not valid yet"))
            }
            CertificateError::NotValidForName => {
                Reason::new(Code::TlsWrongName, text(&format!("has a certificate that is not for {name}")))
            }
            CertificateError::NotValidForNameContext { presented, .. } => {
                let names: Vec<&str> = presented.iter().take(4).map(String::as_str).collect();
                let has = if names.is_empty() { "no name".to_owned() } else { names.join(", ") };
                Reason::new(
                    Code::TlsWrongName,
                    text(&format!("has a certificate that is not for {name} (it has {has})")),
                )
            }
            CertificateError::UnknownIssuer => {
                Reason::new(Code::TlsUnknownIssuer, text("has a certificate of an issuer that is not trusted"))
                    .hint(Hint::CaFile)
            }
            _ => Reason::new(Code::TlsFailed, text("has a certificate that cannot be accepted")).key("certificate"),
        },
        Error::InvalidMessage(_) => Reason::new(Code::TlsNotTls, text("answered, but not in TLS")).hint(Hint::UseHttp),
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
                        .key(format!("{other:?}"))
                }
            }
        }
        _ => Reason::new(Code::TlsFailed, text("could not agree on TLS with us")),
    }
}

/// --insecure: any certificate will do. The signature of the handshake is still checked.
#[derive(Debug)]
struct Unverified(Arc<CryptoProvider>);

impl ServerCertVerifier for Unverified {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        rustls::crypto::verify_tls12_signature(message, cert, dss, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        rustls::crypto::verify_tls13_signature(message, cert, dss, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
