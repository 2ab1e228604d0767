//! TLS whose certificate is verified after the handshake.
//!
//! A client that ends a handshake because of the certificate leaves a failed connection at the server. MySQL and MariaDB
//! count such connections, and block the client's host after some (`max_connect_errors`). With this a kind can first end
//! the session as its protocol wants it, without sending anything secret.

use std::sync::Arc;

use rustls::ClientConfig;
use rustls::client::danger::ServerCertVerifier as _;
use rustls::pki_types::{ServerName, UnixTime};

use super::files::{self, Pem};
use super::reasons::of_certificate;
use super::roots::Roots;
use super::verify::{Verifier, Verify};
use super::{Tls, handshake};
use crate::attempt::Attempt;
use crate::net::stream::Stream;
use crate::reason::{Code, Reason};

/// A configuration that accepts every certificate, and the verifier for afterwards.
pub(crate) struct Late {
    config: Arc<ClientConfig>,
    /// `None`: nothing is verified.
    verifier: Option<Verifier>,
}

impl Late {
    /// Reads the files. `verify` is what [`Late::handshake`] verifies in the end.
    pub(crate) fn new(
        tls: &Tls,
        verify: Verify,
        ca: Option<&Pem>,
        identity: Option<&(Pem, Pem)>,
    ) -> Result<Self, Reason> {
        let verify = tls.wanted(verify);
        let verifies = matches!(verify, Verify::Chain | Verify::Full);
        // The proof that the server holds the key of its certificate is a part of the handshake itself.
        let meanwhile = if verifies { Verify::Key } else { verify };
        let config = files::config(tls, meanwhile, Roots::Run, None, identity)?;
        let verifier = match ca {
            _ if !verifies => None,
            None => Some(tls.verifier(verify, Roots::Run)),
            Some(ca) => Some(tls.verifier(verify, files::only(tls, ca)?)),
        };
        Ok(Self { config, verifier })
    }

    /// Makes `stream` a TLS stream, and says what is wrong with the certificate. Until that is known to be nothing, the
    /// stream must carry no secret.
    pub(crate) async fn handshake(
        &self,
        name: ServerName<'static>,
        stream: Stream,
        attempt: &Attempt,
    ) -> Result<(Stream, Result<(), Reason>), Reason> {
        let peer = stream.peer().clone();
        let stream = handshake(Arc::clone(&self.config), name.clone(), stream, attempt).await;
        let stream = stream.map_err(|failed| failed.reason)?;
        let Some(verifier) = &self.verifier else { return Ok((stream, Ok(()))) };
        let shown = stream.session().and_then(|session| session.peer_certificates()).and_then(<[_]>::split_first);
        let verified = match shown {
            None => Err(Reason::new(Code::TlsFailed, format!("{peer} showed no certificate"))),
            Some((own, more)) => verifier
                .verify_server_cert(own, more, &name, &[], UnixTime::now())
                .map(|_| ())
                .map_err(|error| of_certificate(&error, &name.to_str(), &peer, attempt)),
        };
        Ok((stream, verified))
    }

    /// Whether the certificate is verified.
    pub(crate) fn verifies(&self) -> bool {
        self.verifier.is_some()
    }
}
