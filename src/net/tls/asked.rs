//! Whether a server has asked for a client certificate.
//!
//! In TLS 1.2 a server that wants one and gets none ends the handshake with a general alert. That it had asked is the
//! evidence.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use rustls::client::ResolvesClientCert;
use rustls::sign::CertifiedKey;
use rustls::{ClientConfig, SignatureScheme};

/// What happened to the client certificate in a handshake.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Request {
    /// The server did not ask, or nothing is known of it.
    #[default]
    None,
    /// The server asked, and the target gives no certificate.
    Unanswered,
    /// The server asked and got the target's certificate.
    Answered,
}

/// Notes whether the server asks. It answers with the certificate of the target, if there is one.
#[derive(Clone, Default)]
pub(crate) struct Asked {
    own: Option<Arc<dyn ResolvesClientCert>>,
    asked: Arc<AtomicBool>,
}

impl Asked {
    pub(crate) fn request(&self) -> Request {
        match (self.asked.load(Ordering::Relaxed), &self.own) {
            (false, _) => Request::None,
            (true, None) => Request::Unanswered,
            (true, Some(_)) => Request::Answered,
        }
    }
}

/// The same configuration for one handshake, and what will be known after it.
pub(crate) fn watched(mut config: ClientConfig) -> (ClientConfig, Asked) {
    let own = Arc::clone(&config.client_auth_cert_resolver);
    let asked = Asked { own: own.has_certs().then_some(own), asked: Arc::default() };
    config.client_auth_cert_resolver = Arc::new(asked.clone());
    (config, asked)
}

impl ResolvesClientCert for Asked {
    fn resolve(&self, issuers: &[&[u8]], schemes: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        self.asked.store(true, Ordering::Relaxed);
        self.own.as_ref()?.resolve(issuers, schemes)
    }

    fn has_certs(&self) -> bool {
        self.own.is_some()
    }
}

/// Without the key.
impl fmt::Debug for Asked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Asked").field("request", &self.request()).finish_non_exhaustive()
    }
}
