//! TLS: the client configuration, made when the first handshake needs it, and the handshake.

mod anchors;
pub(crate) mod asked;
mod der;
mod fault;
pub(crate) mod files;
#[cfg(feature = "http")]
pub(crate) mod http2;
#[cfg(feature = "mysql")]
pub(crate) mod late;
mod not_pem;
mod reasons;
pub(crate) mod roots;
mod verify;

use std::cell::{OnceCell, RefCell};
use std::ops::RangeInclusive;
use std::sync::{Arc, Weak};

use anyhow::{Context as _, Result, bail};
use rustls::ClientConfig;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use tokio_rustls::TlsConnector;

use super::sniff::Protocol;
use super::stream::Stream;
use crate::attempt::Attempt;
use crate::reason::{Reason, Stage};
use anchors::{Anchors, Given};
use asked::Request;
pub(crate) use fault::day;
#[cfg(feature = "grpc")]
pub(crate) use reasons::wants_certificate;
pub(crate) use reasons::{cause, failure, reason};
use roots::{Roots, certificates};
use verify::Verifier;
pub(crate) use verify::Verify;

/// TLS with the command line's options.
#[derive(Default)]
pub(crate) struct Tls {
    insecure: bool,
    more_roots: Vec<Given>,
    /// The anchors of the run, of Mozilla alone, and of the files that attempts have read.
    run: OnceCell<Arc<Anchors>>,
    mozilla: OnceCell<Arc<Anchors>>,
    read: RefCell<Vec<(Digest, Weak<Anchors>)>>,
    config: OnceCell<Arc<ClientConfig>>,
}

/// The content of a file and its name, as one hash.
type Digest = [u8; 32];

/// The client's own certificate, the rest of its chain, and its key.
#[derive(Debug)]
pub(crate) struct Identity {
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
}

impl Identity {
    /// Reads a certificate (with its chain) and its key, both in PEM. An encrypted key is an error.
    pub(crate) fn from_pem(cert: &[u8], key: &[u8]) -> Result<Self> {
        let chain = certificates(cert)?;
        match PrivateKeyDer::from_pem_slice(key) {
            Ok(key) => Ok(Self { chain, key }),
            Err(_) => bail!("found no private key (expected one in PEM without a passphrase: PKCS#8, PKCS#1 or SEC1)"),
        }
    }
}

/// How the sessions of one target differ from the command line's options.
#[derive(Debug, Default)]
pub(crate) struct Wants {
    /// What is verified in the server's certificate. --insecure turns it off.
    pub(crate) verify: Verify,
    /// The trusted roots.
    pub(crate) roots: Roots,
    /// The client certificate.
    pub(crate) identity: Option<Identity>,
}

impl Tls {
    /// `ca_file` is how messages call the file of --ca-file, and its content: certificates in PEM, trusted besides the
    /// Mozilla roots.
    pub(crate) fn new(ca_file: Option<(&str, &[u8])>, insecure: bool) -> Result<Self> {
        let more_roots = ca_file.map(|(from, pem)| roots::given(pem, from)).transpose()?.unwrap_or_default();
        Ok(Self { insecure, more_roots, ..Self::default() })
    }

    pub(crate) fn and_roots(mut self, more: Vec<Given>) -> Self {
        self.more_roots.extend(more);
        self
    }

    /// The anchors in a file with this content. `from` names it in messages.
    ///
    /// Attempts at the same time share them: a bundle of all public CAs takes half a megabyte.
    fn anchors(&self, pem: &[u8], from: &str) -> Result<Arc<Anchors>> {
        let mut hash = ring::digest::Context::new(&ring::digest::SHA256);
        hash.update(from.as_bytes());
        hash.update(&[0]);
        hash.update(pem);
        let digest: Digest = hash.finish().as_ref().try_into().context("SHA-256 has 32 bytes")?;
        let mut read = self.read.borrow_mut();
        read.retain(|(_, anchors)| anchors.strong_count() > 0);
        if let Some(known) = read.iter().find(|(known, _)| *known == digest).and_then(|(_, anchors)| anchors.upgrade())
        {
            return Ok(known);
        }
        let anchors = Arc::new(Anchors::new(false, roots::given(pem, from)?, now()));
        read.push((digest, Arc::downgrade(&anchors)));
        Ok(anchors)
    }

    /// How many files have been read, and by how many attempts they are used.
    #[cfg(test)]
    pub(crate) fn shared(&self) -> (usize, usize) {
        let read = self.read.borrow();
        (read.len(), read.iter().map(|(_, anchors)| anchors.strong_count()).sum())
    }

    fn trusted(&self, verify: Verify, roots: Roots) -> Arc<Anchors> {
        let mozilla = || Arc::new(Anchors::new(true, Vec::new(), now()));
        match (verify, roots) {
            (Verify::Nothing | Verify::Key, _) => Arc::new(Anchors::new(false, Vec::new(), now())),
            (_, Roots::Run) => {
                Arc::clone(self.run.get_or_init(|| Arc::new(Anchors::new(true, self.more_roots.clone(), now()))))
            }
            (_, Roots::Mozilla) => Arc::clone(self.mozilla.get_or_init(mozilla)),
            (_, Roots::Only(anchors)) => anchors,
        }
    }

    /// The configuration for all targets without wishes of their own. The first call makes it.
    pub(crate) fn config(&self) -> Arc<ClientConfig> {
        Arc::clone(self.config.get_or_init(|| self.plain()))
    }

    fn plain(&self) -> Arc<ClientConfig> {
        let plain = self.config_for(Wants::default());
        plain.expect("a configuration without a client certificate must be one that ring supports")
    }

    /// What is verified, with --insecure in mind.
    pub(crate) fn wanted(&self, verify: Verify) -> Verify {
        if self.insecure && verify != Verify::Key { Verify::Nothing } else { verify }
    }

    /// Whether certificates are verified: not with --insecure.
    #[cfg(feature = "kafka")]
    pub(crate) fn verifies(&self) -> bool {
        !self.insecure
    }

    fn verifier(&self, verify: Verify, roots: Roots) -> Verifier {
        Verifier::new(verify, self.trusted(verify, roots), Arc::new(rustls::crypto::ring::default_provider()))
    }

    /// The configuration for a target with wishes of its own. The only error is a client certificate that does not
    /// belong to its key.
    pub(crate) fn config_for(&self, wants: Wants) -> Result<Arc<ClientConfig>> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .context("TLS 1.2 and 1.3 must be supported")?;
        let verifier = self.verifier(self.wanted(wants.verify), wants.roots);
        let builder = builder.dangerous().with_custom_certificate_verifier(Arc::new(verifier));
        let mut config = match wants.identity {
            None => builder.with_no_client_auth(),
            Some(Identity { chain, key }) => match builder.with_client_auth_cert(chain, key) {
                Ok(config) => config,
                Err(rustls::Error::InconsistentKeys(_)) => bail!(
                    "the key does not belong to the first certificate of the file (expected the client's own certificate first, and the CAs after it)"
                ),
                Err(_) => bail!(
                    "a key of this kind is not supported (expected RSA from 2048 bits, ECDSA with P-256 or P-384, or Ed25519)"
                ),
            },
        };
        // A resumed session would not verify the certificate again, and every attempt must.
        config.resumption = rustls::client::Resumption::disabled();
        Ok(Arc::new(config))
    }
}

/// A handshake that failed.
pub(crate) struct HandshakeFailed {
    pub(crate) reason: Reason,
    /// What the server spoke instead of TLS, if its first bytes tell.
    pub(crate) spoke: Option<Protocol>,
}

/// Makes `stream` a TLS stream. The certificate must be for `name`.
pub(crate) async fn handshake(
    config: Arc<ClientConfig>,
    name: ServerName<'static>,
    stream: Stream,
    attempt: &Attempt,
) -> Result<Stream, HandshakeFailed> {
    let peer = stream.peer().clone();
    attempt.enter(Stage::Tls, &peer);
    let (config, asked) = asked::watched(ClientConfig::clone(&config));
    let session = TlsConnector::from(Arc::new(config)).connect(name.clone(), stream).into_fallible().await;
    let tls = |session| Stream::tls(session, asked.request() == Request::Unanswered);
    session.map(tls).map_err(|(error, stream)| HandshakeFailed {
        reason: failure(&error, &name.to_str(), peer, asked.request(), attempt),
        spoke: Protocol::of(stream.first()).filter(|protocol| *protocol != Protocol::Tls),
    })
}

/// The first and the last second, from 1970 on, at which the server's certificate is valid.
pub(crate) fn validity(stream: &Stream) -> Option<RangeInclusive<u64>> {
    let leaf = stream.session()?.peer_certificates()?.first()?;
    der::Facts::of(leaf).map(|facts| facts.valid)
}

/// Seconds since 1970.
pub(crate) fn now() -> u64 {
    UnixTime::now().as_secs()
}

/// Reads a PEM file as roots, for the fuzzer.
pub(crate) fn pem_file(pem: &[u8]) {
    let _ = (Tls::new(Some(("it", pem)), false), Identity::from_pem(pem, pem));
}

/// Reads a certificate in DER, for the fuzzer.
pub(crate) fn certificate(der: &[u8]) {
    let _ = der::Facts::of(der);
}
