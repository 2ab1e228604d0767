//! TLS: the client configuration, made when the first handshake needs it, and the handshake.

pub(crate) mod files;
mod reasons;
pub(crate) mod roots;
mod verify;

use std::cell::OnceCell;
use std::sync::Arc;

use anyhow::{Context as _, Result, bail};
use rustls::ClientConfig;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tokio_rustls::TlsConnector;

use super::stream::Stream;
use crate::attempt::Attempt;
use crate::reason::{Reason, Stage};
pub(crate) use reasons::{cause, failure, reason};
use roots::{Roots, certificates};
use verify::Verifier;
pub(crate) use verify::Verify;

/// TLS with the command line's options.
#[derive(Default)]
pub(crate) struct Tls {
    insecure: bool,
    more_roots: Vec<CertificateDer<'static>>,
    config: OnceCell<Arc<ClientConfig>>,
}

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
            Err(_) => bail!("expected a private key in PEM without a passphrase (PKCS#8, PKCS#1 or SEC1), found none"),
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
    /// `ca_file` is the content of --ca-file: certificates in PEM, trusted besides the Mozilla roots.
    pub(crate) fn new(ca_file: Option<&[u8]>, insecure: bool) -> Result<Self> {
        let more_roots = ca_file.map(certificates).transpose()?.unwrap_or_default();
        Ok(Self { insecure, more_roots, config: OnceCell::new() })
    }

    pub(crate) fn and_roots(mut self, more: Vec<CertificateDer<'static>>) -> Self {
        self.more_roots.extend(more);
        self
    }

    /// The configuration for all targets without wishes of their own. The first call makes it.
    pub(crate) fn config(&self) -> Arc<ClientConfig> {
        Arc::clone(self.config.get_or_init(|| self.plain()))
    }

    fn plain(&self) -> Arc<ClientConfig> {
        let plain = self.config_for(Wants::default());
        plain.expect("a configuration without a client certificate must be one that ring supports")
    }

    /// The configuration for a target with wishes of its own. The only error is a client certificate that does not
    /// belong to its key.
    pub(crate) fn config_for(&self, wants: Wants) -> Result<Arc<ClientConfig>> {
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
        // A resumed session would not verify the certificate again, and every attempt must.
        config.resumption = rustls::client::Resumption::disabled();
        Ok(Arc::new(config))
    }
}

/// Makes `stream` a TLS stream. The certificate must be for `name`.
pub(crate) async fn handshake(
    config: Arc<ClientConfig>,
    name: ServerName<'static>,
    stream: Stream,
    attempt: &Attempt,
) -> Result<Stream, Reason> {
    let peer = stream.peer();
    attempt.enter(Stage::Tls, &peer);
    let session = TlsConnector::from(config).connect(name.clone(), stream).await;
    session.map(Stream::tls).map_err(|error| failure(&error, &name.to_str(), peer))
}
