//! The TLS options of a target, alike in every kind that speaks TLS: `ca=`, `cert=`, `key=`, `servername=`, `insecure`.

use anyhow::{Result, bail};

use super::expect::{Expectations, Spec};
use super::path::NamedFile;
use crate::net::address::Host;

/// A file of trusted certificates in PEM.
pub(super) const CA: Spec = Spec::value("ca", "FILE").says("trust the certificates in FILE (PEM) only");
/// The client's certificate in PEM.
pub(super) const CERT: Spec = Spec::value("cert", "FILE").says("the client's certificate (PEM)");
/// The key of that certificate in PEM.
pub(super) const KEY: Spec = Spec::value("key", "FILE").says("the key of the client's certificate (PEM)");
/// The name that the server's certificate must have, if it is not the host.
pub(super) const SERVERNAME: Spec =
    Spec::value("servername", "NAME").says("the name that the server's certificate must have");
/// The server's certificate is not verified.
pub(super) const INSECURE: Spec = Spec::flag("insecure").says("do not verify the server's certificate");

/// The warning of a target with [`INSECURE`].
pub(super) const INSECURE_WARNING: &str = "#insecure: the server's certificate is not verified";

/// waitgate reads the files again for each attempt: a certificate may be mounted or renewed while it waits.
#[derive(Clone, Debug, Default)]
#[cfg_attr(not(feature = "tls"), allow(dead_code, reason = "without TLS they are only checked"))]
pub(super) struct TlsOptions {
    ca: Option<TlsFile>,
    /// The files of the certificate and of its key.
    identity: Option<(TlsFile, TlsFile)>,
    /// `servername=`, without a final dot.
    name: Option<String>,
    insecure: bool,
}

/// A file, and what names it: `#ca`, or a parameter of a URL.
#[derive(Clone, Debug)]
#[cfg_attr(not(feature = "tls"), allow(dead_code, reason = "without TLS they are only checked"))]
pub(super) struct TlsFile {
    pub(super) by: String,
    pub(super) file: NamedFile,
}

impl TlsOptions {
    /// The first of the options that a target gives.
    pub(super) fn given(it: &Expectations) -> Option<&'static str> {
        [CA, CERT, KEY, SERVERNAME, INSECURE].into_iter().map(|spec| spec.name).find(|name| it.has(name))
    }

    /// An error if a URL and an expectation give the same, or contradict each other: one of them would be dropped. Each row says
    /// whether the URL has it, what the URL calls it, and which expectation excludes it.
    #[cfg(any(feature = "amqp", feature = "mongodb", feature = "redis"))]
    pub(super) fn not_both(it: &Expectations, rows: &[(bool, &str, &str)]) -> Result<()> {
        match rows.iter().find(|(in_url, _, given)| *in_url && it.has(given)) {
            Some((_, name, given)) => bail!("#{given}: {name} is given too: leave one of them out"),
            None => Ok(()),
        }
    }

    pub(super) fn parse(it: &Expectations) -> Result<Self> {
        let path = |spec: Spec| {
            let file = it.written(spec.name).next().map(|(path, written)| NamedFile::new(path, written));
            let file = file.map(|file| file.map(|file| TlsFile { by: format!("#{}", spec.name), file }));
            file.transpose().map_err(|error| error.context(format!("#{}", spec.name)))
        };
        let ca = path(CA)?;
        let identity = match (path(CERT)?, path(KEY)?) {
            (Some(cert), Some(key)) => Some((cert, key)),
            (None, None) => None,
            (Some(_), None) => bail!("#cert: its key is missing: give #key=FILE too (it may be the same file)"),
            (None, Some(_)) => bail!("#key: its certificate is missing: give #cert=FILE too"),
        };
        let name = match it.get(SERVERNAME.name) {
            None => None,
            Some(text) => match Host::parse(text).map_err(|error| error.context("#servername"))? {
                Host::Name(name) => Some(name.trim_end_matches('.').to_owned()),
                Host::Ip(_) => bail!("#servername: found an address, but TLS sends names only (expected a name)"),
            },
        };
        let insecure = it.has(INSECURE.name);
        if insecure && ca.is_some() {
            bail!("#insecure: #ca is given too: one verifies the certificate, the other does not: give one of them");
        }
        Ok(Self { ca, identity, name, insecure })
    }

    /// Takes the files that a URL names, where `#ca`, `#cert` and `#key` are not given.
    #[cfg(any(feature = "amqp", feature = "mongodb", feature = "mysql", feature = "redis"))]
    pub(super) fn or_files(&mut self, ca: Option<TlsFile>, identity: Option<(TlsFile, TlsFile)>) {
        self.ca = self.ca.take().or(ca);
        self.identity = self.identity.take().or(identity);
    }

    /// Takes the name that a URL gives, where `#servername` is not given.
    #[cfg(feature = "amqp")]
    pub(super) fn or_name(&mut self, name: Option<&str>) {
        self.name = self.name.take().or_else(|| name.map(|name| name.trim_end_matches('.').to_owned()));
    }

    /// Whether there is a CA, or a name: a certificate is expected to be verified.
    #[cfg(feature = "mysql")]
    pub(super) fn names_trust(&self) -> bool {
        self.ca.is_some() || self.name.is_some()
    }

    /// Whether there is a client certificate.
    #[cfg(any(feature = "amqp", feature = "mongodb", feature = "mysql"))]
    pub(super) fn has_identity(&self) -> bool {
        self.identity.is_some()
    }

    /// Whether the server's certificate is not verified.
    pub(super) fn is_insecure(&self) -> bool {
        self.insecure
    }

    /// Whether a session needs another configuration than the run's.
    #[cfg(feature = "tls")]
    pub(super) fn are_own(&self) -> bool {
        self.ca.is_some() || self.identity.is_some() || self.insecure
    }

    /// `servername=`, without a final dot.
    #[cfg(feature = "tls")]
    pub(super) fn name(&self) -> Option<&str> {
        self.name.as_deref()
    }
}

#[cfg(all(feature = "tls", feature = "kafka"))]
pub(super) use with_tls::LOOK;

#[cfg(feature = "tls")]
mod with_tls {
    use std::sync::Arc;
    #[cfg(any(feature = "kafka", feature = "mongodb", feature = "redis"))]
    use std::time::Duration;

    use rustls::ClientConfig;
    use rustls::pki_types::ServerName;
    #[cfg(any(feature = "kafka", feature = "mongodb", feature = "redis"))]
    use tokio::time::{self, Instant};

    use super::{Host, TlsFile, TlsOptions};
    use crate::attempt::Attempt;
    use crate::kind::instead;
    use crate::net::Net;
    use crate::net::stream::Stream;
    use crate::net::tls::files::{self, Pem};
    #[cfg(feature = "mysql")]
    use crate::net::tls::late::Late;
    use crate::net::tls::roots::Roots;
    use crate::net::tls::{self, Verify};
    use crate::reason::{Code, Reason};

    /// How much of an attempt is kept for a look at what the port speaks, if it does not answer in TLS.
    #[cfg(any(feature = "kafka", feature = "mongodb", feature = "redis"))]
    pub(in crate::kind) const LOOK: Duration = Duration::from_millis(400);

    impl TlsOptions {
        /// Reads the files. `verify` is what the target's URL demands; `insecure` turns it off.
        pub(in crate::kind) fn config(&self, net: &Net, verify: Verify) -> Result<Arc<ClientConfig>, Reason> {
            if !self.are_own() && verify == Verify::Full {
                return Ok(net.tls.config());
            }
            let verify = if self.insecure { Verify::Nothing } else { verify };
            let (ca, identity) = self.pems();
            files::config(&net.tls, verify, Roots::Run, ca.as_ref(), identity.as_ref())
        }

        /// The same for a session whose certificate is verified after the handshake.
        #[cfg(feature = "mysql")]
        pub(in crate::kind) fn late(&self, net: &Net, verify: Verify) -> Result<Late, Reason> {
            let verify = if self.insecure { Verify::Nothing } else { verify };
            let (ca, identity) = self.pems();
            Late::new(&net.tls, verify, ca.as_ref(), identity.as_ref())
        }

        /// Whether the server's certificate is verified. --insecure turns that off too.
        #[cfg(feature = "kafka")]
        pub(in crate::kind) fn verifies(&self, net: &Net) -> bool {
            !self.insecure && net.tls.verifies()
        }

        fn pems(&self) -> (Option<Pem>, Option<(Pem, Pem)>) {
            let pem = |named: &TlsFile| Pem::written(&named.by, &named.file.path, &named.file.written);
            (self.ca.as_ref().map(pem), self.identity.as_ref().map(|(cert, key)| (pem(cert), pem(key))))
        }

        /// Makes `stream` a TLS stream. `servername=` or else `host` is the name that waitgate asks for, and that the
        /// certificate must have if `verify` says so.
        pub(in crate::kind) async fn handshake(
            &self,
            net: &Net,
            host: &Host,
            verify: Verify,
            stream: Stream,
            attempt: &Attempt,
        ) -> Result<Stream, Reason> {
            self.shake(self.config(net, verify)?, host, stream, attempt).await
        }

        /// The same, with a part of the time until `until` left: if a server does not answer in TLS, the caller finds out what
        /// the port speaks. The error says whether that is worth a look.
        #[cfg(any(feature = "kafka", feature = "mongodb", feature = "redis"))]
        pub(in crate::kind) async fn handshake_before(
            &self,
            until: Instant,
            net: &Net,
            host: &Host,
            verify: Verify,
            stream: Stream,
            attempt: &Attempt,
        ) -> Result<Stream, (Reason, bool)> {
            let left = until.saturating_duration_since(Instant::now());
            let bound = if left > 2 * LOOK { left.saturating_sub(LOOK) } else { left };
            let shaking = self.handshake(net, host, verify, stream, attempt);
            let reason = match time::timeout(bound, shaking).await {
                Ok(Ok(stream)) => return Ok(stream),
                Ok(Err(reason)) => reason,
                Err(_) => attempt.cut_off(),
            };
            let look = matches!(reason.code(), Code::TlsClosed | Code::TlsFailed | Code::TlsTimeout);
            Err((reason, look))
        }

        /// The same with a protocol to agree on (ALPN, RFC 7301). The caller looks at what the server has chosen.
        #[cfg(feature = "grpc")]
        pub(in crate::kind) async fn handshake_alpn(
            &self,
            net: &Net,
            host: &Host,
            protocol: &[u8],
            stream: Stream,
            attempt: &Attempt,
        ) -> Result<Stream, Reason> {
            let mut config = ClientConfig::clone(&*self.config(net, Verify::Full)?);
            config.alpn_protocols = vec![protocol.to_vec()];
            self.shake(Arc::new(config), host, stream, attempt).await
        }

        async fn shake(
            &self,
            config: Arc<ClientConfig>,
            host: &Host,
            stream: Stream,
            attempt: &Attempt,
        ) -> Result<Stream, Reason> {
            let name = self.server_name(host)?;
            let peer = stream.peer().clone();
            tls::handshake(config, name, stream, attempt).await.map_err(|failed| match failed.spoke {
                Some(protocol) => Reason::new(Code::TlsNotTls, format!("{peer} answered in {protocol}, not in TLS"))
                    .with_key(protocol)
                    .with_hint(instead(Some(protocol))),
                None => failed.reason,
            })
        }

        pub(in crate::kind) fn server_name(&self, host: &Host) -> Result<ServerName<'static>, Reason> {
            let name = match (&self.name, host) {
                (Some(name), _) => name,
                (None, Host::Ip(ip)) => return Ok(ServerName::IpAddress((*ip).into())),
                // The name must have no trailing dot (RFC 6066 section 3).
                (None, Host::Name(name)) => name.strip_suffix('.').unwrap_or(name),
            };
            name.to_owned().try_into().map_err(|_| {
                Reason::new(Code::TlsWrongName, format!("no certificate can be for {name}: that is not a DNS name"))
            })
        }
    }
}
