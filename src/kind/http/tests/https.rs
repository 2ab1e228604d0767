//! Probes over TLS, with a certificate authority of the test's own.

use super::*;
use crate::net::tls::Tls;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{RootCertStore, ServerConfig, ServerConnection, StreamOwned};

pub(super) struct Ca(pub(super) CertifiedIssuer<'static, KeyPair>);

impl Ca {
    pub(super) fn new() -> Self {
        Self::of(|_| {})
    }

    pub(super) fn of(change: impl FnOnce(&mut CertificateParams)) -> Self {
        let mut params = CertificateParams::new(vec![]).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(rcgen::DnType::CommonName, format!("CA {}", getrandom::u64().unwrap()));
        change(&mut params);
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    pub(super) fn net(&self) -> Net {
        Net::new(
            SystemFiles::default(),
            false,
            Tls::new(Some(("--ca-file x", self.0.pem().as_bytes())), false).unwrap(),
        )
    }

    fn issue(&self, name: &str) -> Issued {
        self.issue_as(|params| *params = CertificateParams::new(vec![name.to_owned()]).unwrap())
    }

    /// A certificate that `change` describes.
    pub(super) fn issue_as(&self, change: impl FnOnce(&mut CertificateParams)) -> Issued {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap();
        change(&mut params);
        let cert = params.signed_by(&key, &self.0).unwrap();
        (vec![cert.der().clone()], PrivateKeyDer::try_from(key.serialize_der()).unwrap())
    }

    pub(super) fn server(&self, name: &str, clients: bool, alpn: &[&str], answer: &'static str) -> SocketAddr {
        let clients = if clients { Clients::Required } else { Clients::Unasked };
        let mut config = self.config(self.issue(name), clients, rustls::DEFAULT_VERSIONS);
        config.alpn_protocols = alpn.iter().map(|name| name.as_bytes().to_vec()).collect();
        serve(config, answer)
    }

    pub(super) fn config(
        &self,
        (chain, key): Issued,
        clients: Clients,
        versions: &[&'static rustls::SupportedProtocolVersion],
    ) -> ServerConfig {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder =
            ServerConfig::builder_with_provider(Arc::clone(&provider)).with_protocol_versions(versions).unwrap();
        let mut roots = RootCertStore::empty();
        roots.add(self.0.der().clone()).unwrap();
        let verifier = rustls::server::WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
        let builder = match clients {
            Clients::Unasked => builder.with_no_client_auth(),
            Clients::Asked => builder.with_client_cert_verifier(verifier.allow_unauthenticated().build().unwrap()),
            Clients::Required => builder.with_client_cert_verifier(verifier.build().unwrap()),
        };
        // rustls would refuse some of the certificates that a test needs.
        let key = rustls::crypto::ring::sign::any_supported_type(&key).unwrap();
        let shown = rustls::sign::CertifiedKey::new(chain, key);
        builder.with_cert_resolver(Arc::new(rustls::sign::SingleCertAndKey::from(shown)))
    }
}

/// A chain and its key.
pub(super) type Issued = (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>);

/// What a server wants of its clients' certificates.
#[derive(Clone, Copy)]
pub(super) enum Clients {
    Unasked,
    Asked,
    Required,
}

/// A server that gives the same answer to each request.
pub(super) fn serve(config: ServerConfig, answer: &'static str) -> SocketAddr {
    serve_with(config, answer, |_| {})
}

/// The same; `look` sees each session after the request.
pub(super) fn serve_with(
    config: ServerConfig,
    answer: &'static str,
    look: impl Fn(&ServerConnection) + Send + Sync + 'static,
) -> SocketAddr {
    let config = Arc::new(config);
    raw(move |connection| {
        let session = ServerConnection::new(Arc::clone(&config)).unwrap();
        let mut stream = StreamOwned::new(session, connection);
        if stream.read(&mut [0; 1024]).is_ok() {
            look(&stream.conn);
            let _ = stream.write_all(answer.as_bytes());
            stream.conn.send_close_notify();
            let _ = stream.flush();
        }
    })
}

pub(super) async fn probe_by(net: &Net, text: &str) -> Result<Ready, Reason> {
    let attempt = attempt();
    parse(text).probe(net, &attempt).await
}

pub(super) const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";

#[tokio::test]
async fn certificates_are_verified() {
    let ca = Ca::new();
    let address = ca.server("127.0.0.1", false, &["h2", "http/1.1"], OK);
    let url = format!("https://{address}/");
    assert!(parse(&url).uses_tls());
    let attempt = attempt();
    let ready = parse(&url).probe(&ca.net(), &attempt).await.unwrap();
    assert_eq!(ready.note.unwrap(), format!("200 OK from {address}"));
    assert!(attempt.timings().iter().any(|(stage, _)| *stage == Stage::Tls));
    assert_eq!(probe_by(&Ca::new().net(), &url).await.unwrap_err().code(), Code::TlsUnknownIssuer);
    assert_eq!(probe_by(&net(), &url).await.unwrap_err().code(), Code::TlsUnknownIssuer);
    let insecure = Net::new(SystemFiles::default(), false, Tls::new(None, true).unwrap());
    assert!(probe_by(&insecure, &url).await.is_ok());
    let other = ca.server("other.example.org", false, &[], OK);
    let reason = probe_by(&ca.net(), &format!("https://{other}/")).await.unwrap_err();
    assert_eq!(reason.code(), Code::TlsWrongName);
    assert!(reason.text().contains("other.example.org"), "{}", reason.text());
}

#[tokio::test]
async fn a_target_can_set_ca_certificate_and_name() {
    let ca = Ca::new();
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name).display().to_string();
    let url = |address, rest: &str| format!("https://{address}/#ca={}{rest}", path("ca"));

    let plain = ca.server("127.0.0.1", false, &[], OK);
    assert_eq!(probe(&url(plain, "")).await.unwrap_err().code(), Code::LocalFile);
    std::fs::write(path("ca"), "nonsense").unwrap();
    assert_eq!(probe(&url(plain, "")).await.unwrap_err().code(), Code::LocalFile);
    std::fs::write(path("ca"), ca.0.pem()).unwrap();
    probe(&url(plain, "")).await.unwrap();
    let insecure = format!("https://{plain}/#insecure");
    probe(&insecure).await.unwrap();
    assert_eq!(parse(&insecure).warnings().len(), 1);

    let named = ca.server("api.example.org", false, &[], OK);
    let reason = probe(&url(named, "")).await.unwrap_err();
    assert_eq!(reason.code(), Code::TlsWrongName);
    probe(&url(named, "#servername=api.example.org")).await.unwrap();
    let reason = probe(&url(named, "#servername=other.example.org")).await.unwrap_err();
    assert!(reason.text().contains("not for other.example.org"), "{}", reason.text());

    let mutual = ca.server("127.0.0.1", true, &[], OK);
    let (chain, key) = ca.issue("client");
    let pem = |kind: &str, der: &[u8]| rcgen_pem(kind, der);
    std::fs::write(path("both"), pem("CERTIFICATE", &chain[0]) + &pem("PRIVATE KEY", key.secret_der())).unwrap();
    let both = format!("#cert={0}#key={0}", path("both"));
    probe(&url(mutual, &both)).await.unwrap();
    std::fs::write(path("stranger"), rcgen_pem("PRIVATE KEY", Ca::new().issue("x").1.secret_der())).unwrap();
    let wrong = format!("#cert={}#key={}", path("both"), path("stranger"));
    assert_eq!(probe(&url(mutual, &wrong)).await.unwrap_err().code(), Code::LocalFile);
}

/// PEM (RFC 7468), without its line length.
pub(super) fn rcgen_pem(kind: &str, der: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for piece in der.chunks(3) {
        let word = piece.iter().fold(0_u32, |word, byte| word << 8 | u32::from(*byte)) << (8 * (3 - piece.len()));
        for at in 0..4 {
            let index = (word >> (18 - 6 * at)) as usize & 63;
            text.push(if at > piece.len() { '=' } else { char::from(ALPHABET[index]) });
        }
    }
    format!("-----BEGIN {kind}-----\n{text}\n-----END {kind}-----\n")
}

#[tokio::test]
async fn https_goes_through_a_tunnel_of_the_proxy() {
    let ca = Ca::new();
    let address = ca.server("api.example.org", false, &[], OK);
    let proxy = raw(move |mut client| {
        let mut head = [0; 1024];
        let read = client.read(&mut head).unwrap();
        assert!(head[..read].starts_with(b"CONNECT api.example.org:443 HTTP/1.1\r\n"));
        client.write_all(b"HTTP/1.1 200 Connection established\r\n\r\n").unwrap();
        let mut server = TcpStream::connect(address).unwrap();
        let (mut from, mut to) = (client.try_clone().unwrap(), server.try_clone().unwrap());
        thread::spawn(move || std::io::copy(&mut from, &mut to));
        let _ = std::io::copy(&mut server, &mut client);
    });
    let env: Env = [("HTTPS_PROXY", format!("http://{proxy}"))].into_iter().collect();
    let http = parse_with("https://api.example.org/#proxy", &env).unwrap();
    let ready = http.probe(&ca.net(), &attempt()).await.unwrap();
    assert_eq!(ready.note.unwrap(), format!("200 OK from {proxy} (a proxy)"));
    let reason = http.probe(&net(), &attempt()).await.unwrap_err();
    assert_eq!(reason.code(), Code::TlsUnknownIssuer);
}

#[tokio::test]
async fn the_host_header_keeps_the_urls_host() {
    let ca = Ca::new();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let (chain, key) = ca.issue("api.example.org");
    let config = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let config = Arc::new(config.with_no_client_auth().with_single_cert(chain, key).unwrap());
    let (tell, told) = std::sync::mpsc::channel();
    let address = raw(move |connection| {
        let mut stream = StreamOwned::new(ServerConnection::new(Arc::clone(&config)).unwrap(), connection);
        let mut head = [0; 1024];
        let read = stream.read(&mut head).unwrap();
        tell.send((stream.conn.server_name().map(str::to_owned), String::from_utf8_lossy(&head[..read]).into_owned()))
            .unwrap();
        let _ = stream.write_all(OK.as_bytes());
    });
    probe_by(&ca.net(), &format!("https://{address}/#servername=api.example.org")).await.unwrap();
    let (name, head) = told.recv().unwrap();
    assert_eq!(name.as_deref(), Some("api.example.org"));
    assert!(head.contains(&format!("host: {address}\r\n")), "{head}");
}

#[tokio::test]
async fn a_missing_client_certificate_is_reported() {
    let ca = Ca::new();
    let address = ca.server("127.0.0.1", true, &[], OK);
    let reason = probe_by(&ca.net(), &format!("https://{address}/")).await.unwrap_err();
    assert_eq!((reason.code(), reason.cost()), (Code::TlsClientCertificate, Cost::Credentials));
}

#[tokio::test]
async fn a_server_that_speaks_only_http2_is_reported() {
    let ca = Ca::new();
    // The first one refuses the handshake. The second one agrees on nothing, and says SETTINGS.
    for (agrees, says) in [(&["h2"][..], OK), (&[], "\0\0\0\x04\0\0\0\0\0")] {
        let address = ca.server("127.0.0.1", false, agrees, says);
        let reason = probe_by(&ca.net(), &format!("https://{address}/")).await.unwrap_err();
        let hint = Hint::UseKind(if cfg!(feature = "grpc") { "grpcs" } else { "tcp" });
        assert_eq!((reason.code(), reason.hint()), (Code::ProtocolOther, Some(hint)), "{}", reason.text());
    }
}

#[tokio::test]
async fn tls_to_a_plain_port_and_plain_http_to_a_tls_port_are_reported() {
    let ca = Ca::new();
    let plain = raw(|mut connection| {
        let _ = connection.read(&mut [0; 1024]);
        let _ = connection.write_all(ok("400 Bad Request").as_bytes());
    });
    let reason = probe_by(&ca.net(), &format!("https://{plain}/")).await.unwrap_err();
    assert_eq!((reason.code(), reason.hint()), (Code::TlsNotTls, Some(Hint::UseKind("http"))), "{}", reason.text());
    let ssh = raw(|mut connection| {
        let _ = connection.write_all(b"SSH-2.0-OpenSSH_9.2\r\n");
        let _ = connection.read(&mut [0; 512]);
    });
    let reason = probe_by(&ca.net(), &format!("https://{ssh}/")).await.unwrap_err();
    assert_eq!((reason.code(), reason.hint()), (Code::TlsNotTls, Some(Hint::UseKind("tcp"))), "{}", reason.text());
    assert!(reason.text().contains("answered in SSH, not in TLS"));
    let address = ca.server("127.0.0.1", false, &[], OK);
    let reason = probe(&format!("http://{address}/")).await.unwrap_err();
    assert_eq!((reason.code(), reason.hint()), (Code::ProtocolTlsWanted, Some(Hint::UseKind("https"))));
}

#[tokio::test]
async fn a_mistake_in_a_header_is_named_over_tls_too() {
    let ca = Ca::new();
    let address = ca.server("127.0.0.1", false, &[], "HTTP/1.1 200 OK\r\nX-A : 1\r\n\r\n");
    let reason = probe_by(&ca.net(), &format!("https://{address}/")).await.unwrap_err();
    assert!(reason.text().contains("an HTTP answer that is not valid: one of its headers"), "{}", reason.text());
    let other = ca.server("127.0.0.1", false, &[], "220 mail.example ESMTP\r\n");
    let reason = probe_by(&ca.net(), &format!("https://{other}/")).await.unwrap_err();
    assert!(reason.text().contains("answered, but not in HTTP"), "{}", reason.text());
}

#[tokio::test]
async fn an_echo_is_not_tls() {
    let echo = raw(|mut connection| {
        let mut buffer = [0; 2048];
        while let Ok(read @ 1..) = connection.read(&mut buffer) {
            let _ = connection.write_all(&buffer[..read]);
        }
    });
    let reason = probe_by(&net(), &format!("https://{echo}/")).await.unwrap_err();
    assert_eq!(reason.stage(), Stage::Tls, "{}", reason.text());
}

#[tokio::test]
async fn a_hanging_handshake_is_cut_off_in_the_tls_stage() {
    let hangs = raw(|_connection| thread::sleep(Duration::from_secs(30)));
    // The connect timeout does not bound the handshake.
    let bounds = Bounds { attempt: Duration::from_millis(300), connect: Duration::from_millis(50) };
    let attempt = Attempt::new(bounds, false);
    let (http, net) = (parse(&format!("https://{hangs}/")), net());
    assert!(tokio::time::timeout(bounds.attempt, http.probe(&net, &attempt)).await.is_err());
    assert!(attempt.accepted());
    let reason = attempt.cut_off();
    assert_eq!(reason.code(), Code::TlsTimeout);
    assert!(reason.text().starts_with(&hangs.to_string()), "{}", reason.text());
}

#[tokio::test]
async fn a_server_that_closes_in_the_handshake_is_reported() {
    let closes = raw(|mut connection| drop(connection.read(&mut [0; 64])));
    let reason = probe_by(&net(), &format!("https://{closes}/")).await.unwrap_err();
    assert_eq!(reason.code(), Code::TlsClosed, "{}", reason.text());
}

#[tokio::test]
async fn a_redirect_from_https_to_http_is_not_followed() {
    let ca = Ca::new();
    let back = "HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1/\r\nContent-Length: 0\r\n\r\n";
    let address = ca.server("127.0.0.1", false, &[], back);
    let reason = probe_by(&ca.net(), &format!("https://{address}/")).await.unwrap_err();
    assert_eq!(reason.code(), Code::ExpectRedirect);
    let forth = ca.server("127.0.0.1", false, &[], OK);
    let plain = Server::always(&format!("HTTP/1.1 301 x\r\nLocation: https://{forth}/\r\n\r\n"));
    assert!(probe_by(&ca.net(), &plain.url("/")).await.is_ok());
}
