//! The TLS of a target: its expectations, and what its URL says. Each attempt reads the files again.

use anyhow::Result;

use super::params::{Params, Verified};
use crate::kind::expect::Expectations;
use crate::kind::path::NamedFile;
use crate::kind::tls_options::{self, TlsFile, TlsOptions};

#[derive(Clone, Debug, Default)]
#[cfg_attr(not(feature = "tls"), expect(dead_code, reason = "without TLS they are only checked"))]
pub(super) struct Tls {
    options: TlsOptions,
    verified: Verified,
}

impl Tls {
    /// A file may be given in the URL or in an expectation, and not in both: one of them would be dropped.
    pub(super) fn parse(params: &Params, it: &Expectations) -> Result<Self> {
        let mut options = TlsOptions::parse(it)?;
        let verified = params.verified.unwrap_or_default();
        TlsOptions::not_both(
            it,
            &[
                (params.ca.is_some(), "ssl_ca_certs", tls_options::CA.name),
                (params.ca.is_some(), "ssl_ca_certs", tls_options::INSECURE.name),
                (params.cert.is_some(), "ssl_certfile", tls_options::CERT.name),
                (verified == Verified::Nothing, "a URL without verification", tls_options::CA.name),
            ],
        )?;
        let named = |by: &str, file: &NamedFile| TlsFile { by: by.to_owned(), file: file.clone() };
        // As Python's load_cert_chain: without a key file, the certificate's file has the key too.
        let key = params.key.as_ref().or(params.cert.as_ref());
        let identity = params.cert.as_ref().zip(key);
        let identity = identity.map(|(cert, key)| (named("ssl_certfile", cert), named("ssl_keyfile", key)));
        options.or_files(params.ca.as_ref().map(|file| named("ssl_ca_certs", file)), identity);
        Ok(Self { options, verified })
    }

    /// Whether an expectation turns the verification off.
    pub(super) fn is_insecure(&self) -> bool {
        self.options.is_insecure()
    }
}

#[cfg(feature = "tls")]
mod with_tls {
    use super::{Tls, Verified};
    use crate::attempt::Attempt;
    use crate::net::Net;
    use crate::net::address::Host;
    use crate::net::stream::Stream;
    use crate::net::tls::Verify;
    use crate::reason::Reason;

    impl Tls {
        /// Makes `stream` a TLS stream, or says whether a look at the port may tell more.
        pub(in crate::kind::redis) async fn handshake(
            &self,
            net: &Net,
            host: &Host,
            stream: Stream,
            attempt: &Attempt,
        ) -> Result<Stream, (Reason, bool)> {
            let verify = match self.verified {
                Verified::Full => Verify::Full,
                Verified::Chain => Verify::Chain,
                Verified::Nothing => Verify::Nothing,
            };
            self.options.handshake_before(attempt.until(), net, host, verify, stream, attempt).await
        }
    }
}
