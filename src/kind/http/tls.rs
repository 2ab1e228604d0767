//! The TLS options of a target: `ca=`, `cert=`, `key=`, `servername=`, `insecure`.

use anyhow::{Result, bail};

use super::files::NamedFile;
use crate::kind::expect::Expectations;
use crate::net::address::Host;

#[cfg(feature = "tls")]
pub(super) use with_tls::Config;

/// waitgate reads the files again for each attempt: a certificate may be mounted or renewed while it waits.
#[derive(Clone, Debug, Default)]
#[cfg_attr(not(feature = "tls"), expect(dead_code, reason = "without TLS they are only checked"))]
pub(super) struct TlsOptions {
    ca: Option<NamedFile>,
    /// The files of the certificate and of its key.
    identity: Option<(NamedFile, NamedFile)>,
    /// `servername=`, without a final dot.
    name: Option<String>,
    insecure: bool,
}

impl TlsOptions {
    pub(super) fn parse(kind: &str, expectations: &Expectations) -> Result<Self> {
        const NAMES: [&str; 5] = ["ca", "cert", "key", "servername", "insecure"];
        if kind != "https"
            && let Some(given) = NAMES.into_iter().find(|name| expectations.has(name))
        {
            bail!("#{given}: http: does not speak TLS (expected https://HOST[:PORT]/PATH)");
        }
        let path = |name: &str| {
            let file = expectations.written(name).next().map(|(path, written)| NamedFile::new(path, written));
            file.transpose().map_err(|error| error.context(format!("#{name}")))
        };
        let ca = path("ca")?;
        let identity = match (path("cert")?, path("key")?) {
            (Some(cert), Some(key)) => Some((cert, key)),
            (None, None) => None,
            (Some(_), None) => bail!("#cert: its key is missing: give #key=FILE too (it may be the same file)"),
            (None, Some(_)) => bail!("#key: its certificate is missing: give #cert=FILE too"),
        };
        let name = match expectations.get("servername") {
            None => None,
            Some(text) => match Host::parse(text).map_err(|error| error.context("#servername"))? {
                Host::Name(name) => Some(name.trim_end_matches('.').to_owned()),
                Host::Ip(_) => bail!("#servername: found an address, but TLS sends names only (expected a name)"),
            },
        };
        let insecure = expectations.has("insecure");
        if insecure && ca.is_some() {
            bail!("#insecure: #ca is given too: one verifies the certificate, the other does not: give one of them");
        }
        Ok(Self { ca, identity, name, insecure })
    }

    pub(super) fn is_insecure(&self) -> bool {
        self.insecure
    }
}

#[cfg(feature = "tls")]
mod with_tls {
    use std::sync::Arc;
    use std::sync::atomic::Ordering;

    use reqwest::Url;
    use rustls::client::{ClientSessionStore, Resumption, Tls12ClientSessionValue, Tls13ClientSessionValue};
    use rustls::pki_types::ServerName;
    use rustls::{ClientConfig, NamedGroup, RootCertStore};

    use super::super::connector::Progress;
    use super::super::files::NamedFile;
    use super::TlsOptions;
    use crate::net::Net;
    use crate::net::tls::Verify;
    use crate::net::tls::asked::{self, Asked};
    use crate::net::tls::files::{self, Pem};
    use crate::net::tls::roots::Roots;
    use crate::reason::Reason;

    impl TlsOptions {
        /// Reads the files.
        pub(crate) fn read(&self, net: &Net) -> Result<Config, Reason> {
            let mut own = None;
            if self.ca.is_some() || self.identity.is_some() || self.insecure {
                let verify = if self.insecure { Verify::Nothing } else { Verify::Full };
                let pem = |name: &str, file: &NamedFile| Pem::written(name, &file.path, &file.written);
                let ca = self.ca.as_ref().map(|file| pem("#ca", file));
                let identity = self.identity.as_ref().map(|(cert, key)| (pem("#cert", cert), pem("#key", key)));
                own = Some(files::config(&net.tls, verify, Roots::Run, ca.as_ref(), identity.as_ref())?);
            }
            Ok(Config { own, name: self.name.clone() })
        }
    }

    /// The TLS configuration of one attempt.
    pub(crate) struct Config {
        /// `None`: the configuration of the whole run.
        own: Option<Arc<ClientConfig>>,
        name: Option<String>,
    }

    impl Config {
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
impl TlsOptions {
    #[expect(clippy::unused_self, clippy::unnecessary_wraps, reason = "as with TLS")]
    pub(super) fn read(&self, _: &crate::net::Net) -> Result<Config, crate::reason::Reason> {
        Ok(Config)
    }
}

#[cfg(not(feature = "tls"))]
impl Config {
    #[expect(clippy::unused_self, reason = "as with TLS")]
    pub(super) fn name(&self) -> Option<&str> {
        None
    }

    #[expect(clippy::unused_self, reason = "as with TLS")]
    pub(super) fn leave_origin(&mut self) {}
}
