//! TLS: the roots and the configuration, built when the first handshake needs them, and what its failures mean.

use std::cell::OnceCell;
use std::io;
use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use anyhow::{Context as _, Result, bail};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{verify_server_cert_signed_by_trust_anchor, verify_server_name};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
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

/// How much of a server's certificate is verified.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Verify {
    /// Nothing: any certificate will do, as libpq's `prefer` and `require` have it.
    Nothing,
    /// That the server holds its key, whosever it is: what a login that is bound to the certificate stands on.
    Key,
    /// That it is valid now and comes from a trusted root: libpq's `verify-ca`.
    Chain,
    /// That, and that it is for the name that was asked for.
    #[default]
    Full,
}

/// Which roots are trusted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Roots {
    /// Mozilla's and those of --ca-file.
    #[default]
    Run,
    /// Mozilla's alone.
    Mozilla,
    /// These and no others.
    Only(Vec<CertificateDer<'static>>),
}

/// What a client shows of itself: its certificate with the chain behind it, and the key.
#[derive(Debug)]
pub struct Identity {
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
}

impl Identity {
    /// Reads a certificate (with its chain) and its key, both in PEM; an encrypted key is refused.
    pub fn from_pem(cert: &[u8], key: &[u8]) -> Result<Self> {
        let chain = certificates(cert)?;
        match PrivateKeyDer::from_pem_slice(key) {
            Ok(key) => Ok(Self { chain, key }),
            Err(_) => bail!("expected a private key in PEM without a passphrase (PKCS#8, PKCS#1 or SEC1), found none"),
        }
    }
}

/// What one target wants of its sessions, where that differs from the command line's.
#[derive(Debug, Default)]
pub struct Wants {
    /// How much of the server's certificate is verified; --insecure turns it off.
    pub verify: Verify,
    /// What it is verified against.
    pub roots: Roots,
    /// What the client shows of itself.
    pub identity: Option<Identity>,
}

impl Tls {
    /// `ca_file` is the content of --ca-file: certificates in PEM, trusted besides the Mozilla roots.
    pub fn new(ca_file: Option<&[u8]>, insecure: bool) -> Result<Self> {
        let more_roots = ca_file.map(certificates).transpose()?.unwrap_or_default();
        Ok(Self { insecure, more_roots, config: OnceCell::new() })
    }

    /// Trusts these too.
    #[must_use]
    pub fn and_roots(mut self, more: Vec<CertificateDer<'static>>) -> Self {
        self.more_roots.extend(more);
        self
    }

    /// The configuration of every client that wants nothing of its own, made by the first that asks.
    #[must_use]
    pub fn config(&self) -> Arc<ClientConfig> {
        Arc::clone(self.config.get_or_init(|| self.plain()))
    }

    fn plain(&self) -> Arc<ClientConfig> {
        let plain = self.config_for(Wants::default());
        plain.expect("a configuration without a client certificate must be one that ring supports")
    }

    /// The configuration of a client with wants of its own. Only a client certificate that does not
    /// go with its key is an error.
    pub fn config_for(&self, wants: Wants) -> Result<Arc<ClientConfig>> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .context("TLS 1.2 and 1.3 must be supported")?;
        let verify = if self.insecure && wants.verify != Verify::Key { Verify::Nothing } else { wants.verify };
        let verifier = Verifier::new(verify, wants.roots, &self.more_roots, provider);
        let builder = builder.dangerous().with_custom_certificate_verifier(Arc::new(verifier));
        let mut config = match wants.identity {
            None => builder.with_no_client_auth(),
            Some(Identity { chain, key }) => match builder.with_client_auth_cert(chain, key) {
                Ok(config) => config,
                Err(_) => bail!("expected a certificate and the private key that belongs to it"),
            },
        };
        // Every attempt stands for itself: a resumed session would not look at the certificate.
        config.resumption = rustls::client::Resumption::disabled();
        Ok(Arc::new(config))
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
    trail.enter(Stage::Tls, &peer);
    let session = TlsConnector::from(config).connect(name.clone(), stream).await;
    session.map(Stream::tls).map_err(|error| failure(&error, &name.to_str(), peer))
}

/// rustls's own error, where that is what ended a read, a write or a handshake.
///
/// With TLS 1.3 a client ends its handshake before the server has seen the client's certificate, so
/// that what the server says of it comes with the first read (RFC 8446 section 4.4.2.4 and figure 1).
#[must_use]
pub fn cause(error: &io::Error) -> Option<&Error> {
    error.get_ref().and_then(|inner| inner.downcast_ref::<Error>())
}

/// What a failed handshake with `peer` means; `name` is what the certificate had to be for.
#[must_use]
pub fn failure(error: &io::Error, name: &str, peer: impl std::fmt::Display) -> Reason {
    match cause(error) {
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
            CertificateError::Expired => Reason::new(Code::TlsExpired, text("has a certificate that has expired")),
            // Whether it is the certificate or this node's clock that is wrong shows in the dates.
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
                text("has a certificate that its issuer did not sign: a CA of the same name is trusted, and another one signed it"),
            )
            .hint(Hint::CaFile)
            .key("signature"),
            // What `unproven` makes of it.
            CertificateError::ApplicationVerificationFailure => {
                Reason::new(Code::TlsFailed, text("showed a certificate whose key it does not hold")).key("proof")
            }
            CertificateError::UnknownIssuer => {
                Reason::new(Code::TlsUnknownIssuer, text("has a certificate of an issuer that is not trusted"))
                    .hint(Hint::CaFile)
            }
            CertificateError::Other(other) if other.to_string() == "UnsupportedCertVersion" => Reason::new(
                Code::TlsFailed,
                text("has a certificate of X.509 version 1, which cannot be verified: it needs version 3, with a subjectAltName"),
            )
            .key("certificate-version"),
            CertificateError::Other(other) if other.to_string() == "CaUsedAsEndEntity" => Reason::new(
                Code::TlsUnknownIssuer,
                text("has a certificate that is a CA's own and is not itself among those that are trusted"),
            )
            .hint(Hint::CaFile),
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

/// webpki shows a name as Rust has it, `DnsName("db.example")`; a person wants what is in it.
fn bare(name: &str) -> &str {
    let inner = name.split_once('(').and_then(|(_, rest)| rest.strip_suffix(')')).unwrap_or(name);
    inner.trim_matches('"')
}

/// The handshake's own signature, which rustls does not tell from the certificate's.
fn unproven(error: Error) -> Error {
    match error {
        Error::InvalidCertificate(CertificateError::BadSignature) => {
            CertificateError::ApplicationVerificationFailure.into()
        }
        other => other,
    }
}

/// Decides about the server's certificate.
#[derive(Debug)]
struct Verifier {
    verify: Verify,
    roots: RootCertStore,
    /// The certificates that were named one by one, for a server that is its own root.
    named: Vec<CertificateDer<'static>>,
    provider: Arc<CryptoProvider>,
}

impl Verifier {
    fn new(
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

    /// Whether `error` only says that the certificate could also sign others (`openssl req -x509` makes
    /// such ones), and it is itself among those to be trusted, so that there is no chain to look at.
    /// webpki looks at the dates before it says so (rustls-webpki: `check_issuer_independent_properties`).
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
        // Where any certificate will do, any key does: a signature by it proves nothing, and webpki
        // cannot read it out of the X.509 v1 certificates that PostgreSQL's own manual makes.
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
/// The day in UTC, `2020-01-31`; a year beyond 9999 is none that anybody meant.
fn day(time: UnixTime) -> String {
    const LAST: u64 = 253_402_300_799;
    let time = UNIX_EPOCH + Duration::from_secs(time.as_secs().min(LAST));
    humantime::format_rfc3339_seconds(time).to_string().chars().take(10).collect()
}
