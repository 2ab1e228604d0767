//! A real HTTP server, by hyper, with or without TLS, and the certificate authority for it.

use std::{
    convert::Infallible,
    net::{SocketAddr, TcpStream},
    path::PathBuf,
    sync::{Arc, Mutex},
};

use http_body_util::{BodyExt, Full};
use hyper::{Request, Response, body::Bytes, body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use rustls::{ServerConfig, pki_types::PrivateKeyDer, server::WebPkiClientVerifier};
use tempfile::TempDir;
use tokio_rustls::TlsAcceptor;

use super::{Fake, loopback};

/// A request as the server got it.
#[derive(Debug, Clone)]
pub(crate) struct Seen {
    pub(crate) method: String,
    /// Path and query.
    pub(crate) path: String,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: String,
}

impl Seen {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(seen, _)| seen.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.as_str())
    }
}

/// What the server says to it.
#[derive(Debug, Clone)]
pub(crate) struct Reply {
    status: u16,
    headers: Vec<(&'static str, String)>,
    body: String,
}

impl Reply {
    pub(crate) fn status(status: u16) -> Self {
        Self { status, headers: Vec::new(), body: String::new() }
    }

    pub(crate) fn body(status: u16, body: impl Into<String>) -> Self {
        Self { status, headers: Vec::new(), body: body.into() }
    }

    pub(crate) fn with(mut self, name: &'static str, value: &str) -> Self {
        self.headers.push((name, value.to_owned()));
        self
    }

    pub(crate) fn to(status: u16, location: impl Into<String>) -> Self {
        let headers = vec![("location", location.into())];
        Self { status, headers, body: String::new() }
    }
}

/// An HTTP/1.1 server on an address of its own. The answer may depend on the request and on how
/// many came before it.
pub(crate) struct Web {
    pub(crate) fake: Fake,
    seen: Arc<Mutex<Vec<Seen>>>,
}

impl Web {
    pub(crate) fn new(answer: impl Fn(&Seen, usize) -> Reply + Send + Sync + 'static) -> Self {
        Self::on((loopback(), 0).into(), None, answer)
    }

    /// Always the same answer.
    pub(crate) fn always(status: u16) -> Self {
        Self::new(move |_, _| Reply::status(status))
    }

    #[track_caller]
    pub(crate) fn on(
        addr: SocketAddr,
        tls: Option<ServerConfig>,
        answer: impl Fn(&Seen, usize) -> Reply + Send + Sync + 'static,
    ) -> Self {
        let seen = Arc::new(Mutex::new(Vec::new()));
        let log = Arc::clone(&seen);
        let tls = tls.map(|config| TlsAcceptor::from(Arc::new(config)));
        let reply = Arc::new(move |request: Seen| {
            let mut log = log.lock().expect("no thread panics with this lock");
            let reply = answer(&request, log.len());
            log.push(request);
            reply
        });
        Self { fake: Fake::on(addr, move |stream| serve(stream, tls.as_ref(), &reply)), seen }
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.fake.addr)
    }

    pub(crate) fn https(&self, path: &str) -> String {
        format!("https://{}{path}", self.fake.addr)
    }

    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.seen.lock().expect("no thread panics with this lock").clone()
    }
}

/// One connection, on the thread that it came with.
fn serve<F>(stream: TcpStream, tls: Option<&TlsAcceptor>, reply: &Arc<F>)
where
    F: Fn(Seen) -> Reply + Send + Sync + 'static,
{
    let service = service_fn(|request: Request<Incoming>| {
        let reply = Arc::clone(reply);
        async move {
            let (parts, body) = request.into_parts();
            let body = body.collect().await.map(http_body_util::Collected::to_bytes).unwrap_or_default();
            let headers = parts
                .headers
                .iter()
                .map(|(name, value)| (name.to_string(), String::from_utf8_lossy(value.as_bytes()).into_owned()));
            let reply = reply(Seen {
                method: parts.method.to_string(),
                path: parts.uri.to_string(),
                headers: headers.collect(),
                body: String::from_utf8_lossy(&body).into_owned(),
            });
            let mut response = Response::builder().status(reply.status);
            for (name, value) in &reply.headers {
                response = response.header(*name, value);
            }
            let response = response.body(Full::new(Bytes::from(reply.body))).expect("tests send valid headers");
            Ok::<_, Infallible>(response)
        }
    });
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    // A client that hangs up is not this server's trouble: tests look at what the client made of it.
    runtime.block_on(async {
        stream.set_nonblocking(true).expect("a socket can be made nonblocking");
        let stream = tokio::net::TcpStream::from_std(stream).expect("a runtime takes a socket");
        match tls {
            None => drop(http1::Builder::new().serve_connection(TokioIo::new(stream), service).await),
            Some(tls) => {
                if let Ok(stream) = tls.accept(stream).await {
                    drop(http1::Builder::new().serve_connection(TokioIo::new(stream), service).await);
                }
            }
        }
    });
}

/// A certificate authority of the test's own, and a server certificate that it signed.
pub(crate) struct Authority {
    folder: TempDir,
    issuer: CertifiedIssuer<'static, KeyPair>,
}

impl Authority {
    pub(crate) fn new() -> Self {
        Self::with(|_| {})
    }

    /// One whose own certificate is odd in some way.
    pub(crate) fn with(odd: impl FnOnce(&mut CertificateParams)) -> Self {
        let mut params = CertificateParams::new([]).expect("no names is a valid list of names");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        // Clients take a certificate whose issuer has its own name for a self-signed one,
        // and one authority for another of the same name.
        params.distinguished_name.push(DnType::CommonName, format!("authority of {}", loopback()));
        odd(&mut params);
        let key = KeyPair::generate().expect("must be able to make a key");
        let issuer = CertifiedIssuer::self_signed(params, key).expect("must be able to sign");
        let folder = tempfile::tempdir().expect("must be able to make a temporary folder");
        std::fs::write(folder.path().join("ca.pem"), issuer.pem()).expect("the folder is ours");
        Self { folder, issuer }
    }

    /// The file to hand to `--ca-file`.
    pub(crate) fn file(&self) -> PathBuf {
        self.folder.path().join("ca.pem")
    }

    /// Certificate and key in PEM for these names or addresses.
    pub(crate) fn sign(&self, names: &[&str]) -> (String, String) {
        self.sign_with(names, |_| {})
    }

    /// A TLS server's configuration for these names or addresses.
    pub(crate) fn server(&self, names: &[&str]) -> ServerConfig {
        self.server_with(names, |_| {})
    }

    /// The same with a certificate that is odd in some way.
    pub(crate) fn server_with(&self, names: &[&str], odd: impl FnOnce(&mut CertificateParams)) -> ServerConfig {
        let (certificate, key) = self.issue(names, odd);
        let key = PrivateKeyDer::try_from(key.serialize_der()).expect("rcgen writes PKCS #8");
        ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()
            .expect("ring speaks the default versions")
            .with_no_client_auth()
            .with_single_cert(vec![certificate.der().clone()], key)
            .expect("the key belongs to the certificate")
    }

    /// Certificate and key in PEM for a certificate that is odd in some way.
    pub(crate) fn sign_with(&self, names: &[&str], odd: impl FnOnce(&mut CertificateParams)) -> (String, String) {
        let (certificate, key) = self.issue(names, odd);
        (certificate.pem(), key.serialize_pem())
    }

    /// A server that asks clients for a certificate of this authority, too.
    pub(crate) fn server_for_members(&self, names: &[&str]) -> ServerConfig {
        let (certificate, key) = self.issue(names, |_| {});
        let key = PrivateKeyDer::try_from(key.serialize_der()).expect("rcgen writes PKCS #8");
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut roots = rustls::RootCertStore::empty();
        roots.add(self.issuer.der().clone()).expect("our own certificate is one");
        let members = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider))
            .build()
            .expect("there is a root");
        ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("ring speaks the default versions")
            .with_client_cert_verifier(members)
            .with_single_cert(vec![certificate.der().clone()], key)
            .expect("the key belongs to the certificate")
    }

    fn issue(&self, names: &[&str], odd: impl FnOnce(&mut CertificateParams)) -> (rcgen::Certificate, KeyPair) {
        let names: Vec<_> = names.iter().map(|name| (*name).to_owned()).collect();
        let mut params = CertificateParams::new(names).expect("tests use valid names");
        odd(&mut params);
        let key = KeyPair::generate().expect("must be able to make a key");
        let certificate = params.signed_by(&key, &self.issuer).expect("must be able to sign");
        (certificate, key)
    }
}
