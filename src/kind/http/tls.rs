//! The TLS configuration of an HTTP client, and what happens while it connects.

#[cfg(feature = "tls")]
pub(super) use with_tls::Config;

use crate::kind::tls_options::TlsOptions;

#[cfg(feature = "tls")]
mod with_tls {
    use std::sync::Arc;
    use std::sync::atomic::Ordering;

    use reqwest::Url;
    use rustls::client::{ClientSessionStore, Resumption, Tls12ClientSessionValue, Tls13ClientSessionValue};
    use rustls::pki_types::ServerName;
    use rustls::{ClientConfig, NamedGroup, RootCertStore};

    use super::super::connector::Progress;
    use super::TlsOptions;
    use crate::net::Net;
    use crate::net::tls::Verify;
    use crate::net::tls::asked::{self, Asked};
    use crate::reason::Reason;

    /// The TLS configuration of one attempt.
    pub(crate) struct Config {
        /// `None`: the configuration of the whole run.
        own: Option<Arc<ClientConfig>>,
        name: Option<String>,
    }

    impl Config {
        /// Reads the files that `options` name.
        pub(crate) fn read(options: &TlsOptions, net: &Net) -> Result<Self, Reason> {
            let own = if options.are_own() { Some(options.config(net, Verify::Full)?) } else { None };
            Ok(Self { own, name: options.name().map(str::to_owned) })
        }

        /// The name that waitgate asks the server for and that its certificate must have, if it is not the URL's.
        pub(crate) fn name(&self) -> Option<&str> {
            self.name.as_deref()
        }

        /// Drops the name and the client certificate, because the next request goes to another origin.
        pub(crate) fn leave_origin(&mut self) {
            self.name = None;
            if let Some(own) = &mut self.own {
                Arc::make_mut(own).client_auth_cert_resolver = Arc::new(Asked::default());
            }
        }

        /// The configuration of a client for `url`. Plain HTTP gets one without roots, because they take memory.
        pub(crate) fn client(&self, net: &Net, url: &Url, progress: &Arc<Progress>) -> ClientConfig {
            let mut config = match &self.own {
                _ if url.scheme() != "https" => rootless(),
                Some(own) => ClientConfig::clone(own),
                None => ClientConfig::clone(&net.tls.config()),
            };
            config.alpn_protocols = vec![b"http/1.1".to_vec()];
            config.resumption = Resumption::store(Arc::new(HandshakeWatch(Arc::clone(progress))));
            let (config, asked) = asked::watched(config);
            let _ = progress.asked.set(asked);
            config
        }
    }

    /// reqwest needs a configuration even for plain HTTP. This one trusts no certificate.
    fn rootless() -> ClientConfig {
        ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()
            .expect("ring must support the default TLS versions")
            .with_root_certificates(RootCertStore::empty())
            .with_no_client_auth()
    }

    /// Notes when a handshake begins: that is when rustls asks this store for a session to resume.
    ///
    /// The store never has one, because every attempt verifies the certificate again.
    #[derive(Debug)]
    struct HandshakeWatch(Arc<Progress>);

    impl ClientSessionStore for HandshakeWatch {
        fn set_kx_hint(&self, _: ServerName<'static>, _: NamedGroup) {}

        fn kx_hint(&self, _: &ServerName<'_>) -> Option<NamedGroup> {
            None
        }

        fn set_tls12_session(&self, _: ServerName<'static>, _: Tls12ClientSessionValue) {}

        fn tls12_session(&self, _: &ServerName<'_>) -> Option<Tls12ClientSessionValue> {
            None
        }

        fn remove_tls12_session(&self, _: &ServerName<'static>) {}

        fn insert_tls13_ticket(&self, _: ServerName<'static>, _: Tls13ClientSessionValue) {}

        fn take_tls13_ticket(&self, _: &ServerName<'static>) -> Option<Tls13ClientSessionValue> {
            self.0.tls.store(true, Ordering::Relaxed);
            self.0.changed.notify_one();
            None
        }
    }
}

/// A build without TLS has no configuration.
#[cfg(not(feature = "tls"))]
pub(super) struct Config;

#[cfg(not(feature = "tls"))]
impl Config {
    #[expect(clippy::unnecessary_wraps, reason = "as with TLS")]
    pub(super) fn read(_: &TlsOptions, _: &crate::net::Net) -> Result<Self, crate::reason::Reason> {
        Ok(Self)
    }

    #[expect(clippy::unused_self, reason = "as with TLS")]
    pub(super) fn name(&self) -> Option<&str> {
        None
    }

    #[expect(clippy::unused_self, reason = "as with TLS")]
    pub(super) fn leave_origin(&mut self) {}
}
