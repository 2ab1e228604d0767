//! Which CA is trusted, what a failed handshake is said to mean, and where the client certificate goes.

use super::https::{Ca, Clients, OK, probe_by, rcgen_pem, serve, serve_with};
use super::redirects::{GIVEN, assert_bare};
use super::*;
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, GeneralSubtree, IsCa, KeyPair,
    KeyUsagePurpose, NameConstraints, SanType, date_time_ymd,
};
use rustls::version::{TLS12, TLS13};

/// A folder of files for targets.
struct Files(tempfile::TempDir);

impl Files {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    /// Writes a file, and returns its path.
    fn put(&self, name: &str, content: &str) -> String {
        let path = self.0.path().join(name);
        std::fs::write(&path, content).unwrap();
        path.display().to_string()
    }
}

#[tokio::test]
async fn a_ca_that_cannot_be_one_is_not_trusted() {
    let files = Files::new();
    let expired = Ca::of(|params| params.not_after = date_time_ymd(2020, 1, 31));
    let future = Ca::of(|params| params.not_before = date_time_ymd(2095, 1, 1));
    let no_ca = Ca::of(|params| params.is_ca = IsCa::ExplicitNoCa);
    let no_signer = Ca::of(|params| params.key_usages = vec![KeyUsagePurpose::DigitalSignature]);
    let good = Ca::of(|params| params.key_usages = vec![KeyUsagePurpose::KeyCertSign]);
    for (ca, code, says) in [
        (&expired, Code::TlsExpired, "expired on 2020-01-31"),
        (&future, Code::TlsNotYetValid, "is not valid before 2095-01-01"),
        (&no_ca, Code::TlsUnknownIssuer, "is not a CA's certificate"),
        (&no_signer, Code::TlsUnknownIssuer, "is not a CA's certificate"),
    ] {
        let address = ca.server("127.0.0.1", false, &[], OK);
        let file = files.put("ca", &(Ca::new().0.pem() + &ca.0.pem()));
        let reason = probe(&format!("https://{address}/#ca={file}")).await.unwrap_err();
        assert_eq!(
            (reason.code(), reason.text().contains(&format!("CA, in #ca={file}, {says}"))),
            (code, true),
            "{}",
            reason.text()
        );
        let reason = probe_by(&ca.net(), &format!("https://{address}/")).await.unwrap_err();
        assert!(reason.code() == code && reason.text().contains("in --ca-file"), "{}", reason.text());
    }
    let address = good.server("127.0.0.1", false, &[], OK);
    let file = files.put("good", &(expired.0.pem() + &good.0.pem()));
    probe(&format!("https://{address}/#ca={file}")).await.unwrap();
    // The leaf's own fault comes first.
    let late = expired.issue_as(|params| params.not_after = date_time_ymd(2021, 2, 1));
    let address = serve(expired.config(late, Clients::Unasked, &[&TLS13]), OK);
    let reason = probe_by(&expired.net(), &format!("https://{address}/")).await.unwrap_err();
    assert!(reason.text().ends_with("has a certificate that expired on 2021-02-01"), "{}", reason.text());
}

#[tokio::test]
async fn a_servers_own_certificate_may_be_the_trusted_one() {
    let (files, ca) = (Files::new(), Ca::new());
    let own = |change: &dyn Fn(&mut CertificateParams)| {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap();
        change(&mut params);
        let cert = params.self_signed(&key).unwrap();
        (cert.pem(), (vec![cert.der().clone()], key.serialize_der().try_into().unwrap()))
    };
    for (pem, issued) in [
        own(&|_| {}),
        own(&|params| params.is_ca = IsCa::ExplicitNoCa),
        own(&|params| params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained)),
    ] {
        let address = serve(ca.config(issued, Clients::Unasked, &[&TLS13]), OK);
        let file = files.put("own", &pem);
        probe(&format!("https://{address}/#ca={file}")).await.unwrap();
        let named = format!("https://{address}/#ca={file}#servername=other.example");
        assert_eq!(probe(&named).await.unwrap_err().code(), Code::TlsWrongName);
    }
    let (pem, issued) = own(&|params| params.not_after = date_time_ymd(2020, 1, 31));
    let address = serve(ca.config(issued, Clients::Unasked, &[&TLS13]), OK);
    let reason = probe(&format!("https://{address}/#ca={}", files.put("old", &pem))).await.unwrap_err();
    assert_eq!(reason.code(), Code::TlsExpired, "{}", reason.text());
    // The same for a certificate that a CA has signed.
    let issued = ca.issue_as(|_| {});
    let file = files.put("leaf", &rcgen_pem("CERTIFICATE", &issued.0[0]));
    let address = serve(ca.config(issued, Clients::Unasked, &[&TLS13]), OK);
    probe(&format!("https://{address}/#ca={file}")).await.unwrap();
    // It is no CA for others.
    let stranger = ca.server("127.0.0.1", false, &[], OK);
    let reason = probe(&format!("https://{stranger}/#ca={file}")).await.unwrap_err();
    assert_eq!(reason.code(), Code::TlsUnknownIssuer, "{}", reason.text());
}

#[tokio::test]
async fn a_certificate_that_cannot_be_accepted_is_so_for_a_reason() {
    let plain = Ca::new();
    let limited = Ca::of(|params| {
        let permitted_subtrees = vec![GeneralSubtree::DnsName("example.org".to_owned())];
        params.name_constraints = Some(NameConstraints { permitted_subtrees, excluded_subtrees: vec![] });
    });
    let names = |names: &[&str]| names.iter().map(|name| SanType::DnsName((*name).try_into().unwrap())).collect();
    let many = names(&["a.test", "b.test", "c.test", "d.test", "api2.example", "api1.example", "e.test"]);
    let client_only = plain.issue_as(|params| params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth]);
    let critical = plain.issue_as(|params| {
        let mut extension = rcgen::CustomExtension::from_oid_content(&[1, 3, 6, 1, 4, 1, 99_999, 1], vec![5, 0]);
        extension.set_criticality(true);
        params.custom_extensions.push(extension);
    });
    let ip_as_name = plain.issue_as(|params| params.subject_alt_names = names(&["127.0.0.1"]));
    let seven = plain.issue_as(|params| params.subject_alt_names = many);
    let outside = limited.issue_as(|params| params.subject_alt_names = names(&["api.example"]));
    for (ca, issued, code, says) in [
        (&plain, client_only, Code::TlsFailed, "not meant for servers: its extendedKeyUsage does not list serverAuth"),
        (&plain, critical, Code::TlsFailed, "a critical extension that waitgate does not know"),
        (&limited, outside, Code::TlsFailed, "a name that its CA may not certify"),
        (&plain, ip_as_name, Code::TlsWrongName, "it has 127.0.0.1 as a DNS name, and an address needs an IP entry"),
    ] {
        let address = serve(ca.config(issued, Clients::Unasked, &[&TLS13]), OK);
        let reason = probe_by(&ca.net(), &format!("https://{address}/")).await.unwrap_err();
        assert!(reason.code() == code && reason.text().contains(says), "{}", reason.text());
    }
    let (chain, key) = plain.issue_as(|_| {});
    let long = (vec![chain[0].clone(); 400], key);
    let address = serve(plain.config(long, Clients::Unasked, &[&TLS13]), OK);
    let reason = probe_by(&plain.net(), &format!("https://{address}/")).await.unwrap_err();
    assert!(reason.text().ends_with("than waitgate reads, such as very many certificates"), "{}", reason.text());
    let address = serve(plain.config(seven, Clients::Unasked, &[&TLS13]), OK);
    let reason = probe_by(&plain.net(), &format!("https://{address}/#servername=api.example")).await.unwrap_err();
    let says = "is not for api.example (it has api2.example, api1.example, ";
    assert!(reason.text().contains(says) && reason.text().ends_with(" and 3 more)"), "{}", reason.text());
}

#[tokio::test]
async fn a_client_certificate_that_is_missing_or_refused_is_named_in_both_versions() {
    let (files, ca) = (Files::new(), Ca::new());
    let identity = |name: &str, change: &dyn Fn(&mut CertificateParams)| {
        let (chain, key) = ca.issue_as(|params| {
            params.distinguished_name.push(DnType::CommonName, "client");
            change(params);
        });
        let pem = rcgen_pem("CERTIFICATE", &chain[0]) + &rcgen_pem("PRIVATE KEY", key.secret_der());
        format!("#cert={0}#key={0}", files.put(name, &pem))
    };
    let good = identity("good", &|_| {});
    let old = identity("old", &|params| params.not_after = date_time_ymd(2020, 1, 31));
    for version in [&TLS12, &TLS13] {
        let config = ca.config(ca.issue_as(|_| {}), Clients::Required, &[version]);
        let url = format!("https://{}/", serve(config, OK));
        probe_by(&ca.net(), &format!("{url}{good}")).await.unwrap();
        for (identity, says) in [("", "client certificate"), (old.as_str(), "our client certificate has expired")] {
            let reason = probe_by(&ca.net(), &format!("{url}{identity}")).await.unwrap_err();
            assert_eq!((reason.code(), reason.cost()), (Code::TlsClientCertificate, Cost::Credentials), "{identity}");
            assert!(reason.text().contains(says), "{}", reason.text());
        }
    }
    // OpenSSL sends this alert if it gets no certificate in TLS 1.2.
    let failure = rustls::Error::AlertReceived(rustls::AlertDescription::HandshakeFailure);
    let error = std::io::Error::new(std::io::ErrorKind::InvalidData, failure);
    for (request, code) in [
        (crate::net::tls::asked::Request::None, Code::TlsFailed),
        (crate::net::tls::asked::Request::Unanswered, Code::TlsClientCertificate),
    ] {
        assert_eq!(crate::net::tls::failure(&error, "h", "1.2.3.4:1", request, &attempt()).code(), code);
    }
}

/// A server that ends each handshake with this alert (RFC 8446 section 6).
fn alerts(number: u8) -> SocketAddr {
    raw(move |mut connection| {
        let _ = connection.read(&mut [0; 4096]);
        let _ = connection.write_all(&[0x15, 3, 3, 0, 2, 2, number]);
        // An early close would reset the connection before the alert is read.
        let _ = connection.read(&mut [0; 4096]);
    })
}

#[tokio::test]
async fn alerts_are_named_by_what_they_mean() {
    for (number, code, says) in [
        (43, Code::TlsClientCertificate, "does not accept the kind of our client certificate"),
        (44, Code::TlsClientCertificate, "says that our client certificate was revoked"),
        (45, Code::TlsClientCertificate, "says that our client certificate has expired"),
        (46, Code::TlsClientCertificate, "wants a client certificate that it trusts"),
        (48, Code::TlsClientCertificate, "wants a client certificate that it trusts"),
        (40, Code::TlsFailed, "ended the TLS handshake with the alert HandshakeFailure"),
        (70, Code::TlsFailed, "speaks only versions of TLS that waitgate does not"),
        // By an address, no name is sent.
        (112, Code::TlsWrongName, "an address sends no name: give #servername=, or a name instead of the address"),
        (80, Code::TlsFailed, "an address sends no name: if the server needs one, give #servername="),
    ] {
        let server = alerts(number);
        let reason = probe(&format!("https://{server}/")).await.unwrap_err();
        assert!(reason.code() == code && reason.text().contains(says), "{number}: {}", reason.text());
    }
    for (number, says) in [(112, "does not know the name api.example"), (80, "with the alert InternalError")] {
        let server = alerts(number);
        let reason = probe(&format!("https://{server}/#servername=api.example")).await.unwrap_err();
        assert!(reason.text().ends_with(says), "{number}: {}", reason.text());
    }
}

/// nginx with `ssl_reject_handshake` and haproxy with `strict-sni` know the right certificate only by the name.
#[tokio::test]
async fn a_server_that_needs_a_name_gets_one_by_servername() {
    let ca = Ca::new();
    let mut config = ca.config(ca.issue_as(|_| {}), Clients::Unasked, &[&TLS12, &TLS13]);
    let (chain, key) = ca.issue_as(|params| {
        *params = CertificateParams::new(vec!["api.example".to_owned()]).unwrap();
    });
    let key = rustls::crypto::ring::sign::any_supported_type(&key).unwrap();
    let mut by_name = rustls::server::ResolvesServerCertUsingSni::new();
    by_name.add("api.example", rustls::sign::CertifiedKey::new(chain, key)).unwrap();
    config.cert_resolver = Arc::new(by_name);
    let address = serve(config, OK);
    let reason = probe_by(&ca.net(), &format!("https://{address}/")).await.unwrap_err();
    assert_eq!(reason.stage(), Stage::Tls, "{}", reason.text());
    probe_by(&ca.net(), &format!("https://{address}/#servername=api.example")).await.unwrap();
}

#[tokio::test]
async fn files_that_do_not_belong_together_say_how() {
    let (files, ca) = (Files::new(), Ca::new());
    let (chain, key) = ca.issue_as(|_| {});
    let leaf = rcgen_pem("CERTIFICATE", &chain[0]);
    let key = files.put("key", &rcgen_pem("PRIVATE KEY", key.secret_der()));
    let reversed = files.put("reversed", &(ca.0.pem() + &leaf));
    let reason = probe(&format!("https://127.0.0.1:1/#cert={reversed}#key={key}")).await.unwrap_err();
    assert!(reason.text().contains("the client's own certificate first"), "{}", reason.text());
    // The same curve's key in SEC1, with a number that is none.
    let odd = files.put("odd", &rcgen_pem("PRIVATE KEY", b"0\x03\x02\x01\x00"));
    let leaf = files.put("leaf", &leaf);
    let reason = probe(&format!("https://127.0.0.1:1/#cert={leaf}#key={odd}")).await.unwrap_err();
    assert!(reason.text().contains("a key of this kind is not supported"), "{}", reason.text());
}

#[tokio::test]
async fn another_origin_sees_no_client_certificate_and_no_server_name() {
    let (files, ca) = (Files::new(), Ca::new());
    let (chain, key) = ca.issue_as(|_| {});
    let pem = rcgen_pem("CERTIFICATE", &chain[0]) + &rcgen_pem("PRIVATE KEY", key.secret_der());
    let given = format!("#cert={0}#key={0}#servername=localhost#header=X-A:hunter2", files.put("client", &pem));
    let names = |params: &mut CertificateParams| {
        *params = CertificateParams::new(vec!["127.0.0.1".to_owned(), "localhost".to_owned()]).unwrap();
    };
    let seen = Arc::new(Mutex::new(Vec::new()));
    let start = |answer: &'static str| {
        let seen = Arc::clone(&seen);
        let config = ca.config(ca.issue_as(names), Clients::Asked, &[&TLS13]);
        serve_with(config, answer, move |session| {
            let certificates = session.peer_certificates().map_or(0, <[_]>::len);
            seen.lock().unwrap().push((certificates, session.server_name().map(str::to_owned)));
        })
    };
    let other = start(OK);
    let to_other = format!("HTTP/1.1 302 x\r\nLocation: https://{other}/\r\nContent-Length: 0\r\n\r\n");
    let first = start(to_other.leak());
    probe_by(&ca.net(), &format!("https://{first}/{given}")).await.unwrap();
    let first_seen = (1, Some("localhost".to_owned()));
    assert_eq!(*seen.lock().unwrap(), [first_seen, (0, None)]);
}

/// What the target gives is not sent to another origin: here from http: to https:, on the wire.
#[tokio::test]
async fn https_after_http_gets_nothing_of_the_target() {
    let ca = Ca::new();
    let config = Arc::new(ca.config(ca.issue_as(|_| {}), Clients::Unasked, &[&TLS13]));
    let (tell, told) = std::sync::mpsc::channel();
    let secure = raw(move |connection| {
        let session = rustls::ServerConnection::new(Arc::clone(&config)).unwrap();
        let mut stream = rustls::StreamOwned::new(session, connection);
        let (mut said, mut piece) = (Vec::new(), [0; 1024]);
        while !said.ends_with(b"\r\n\r\n") {
            let read = stream.read(&mut piece).unwrap();
            said.extend_from_slice(&piece[..read]);
        }
        let _ = stream.write_all(OK.as_bytes());
        stream.conn.send_close_notify();
        let _ = stream.flush();
        // Whatever comes after the head is data.
        let rest =
            std::iter::repeat_with(|| stream.read(&mut piece)).map_while(|read| read.ok().filter(|read| *read > 0));
        let body = "x".repeat(rest.sum());
        tell.send(Seen { head: String::from_utf8(said).unwrap().trim_end().to_owned() + "\r\n", body }).unwrap();
    });
    for status in ["301", "302", "303", "307", "308"] {
        let plain = Server::always(&format!("HTTP/1.1 {status} x\r\nLocation: https://{secure}/x\r\n\r\n"));
        let url = plain.url(&format!("/{GIVEN}")).replace("http://", "http://hunter2:hunter2@");
        probe_by(&ca.net(), &url).await.unwrap();
        assert_eq!(plain.seen()[0].header("cookie"), ["hunter2"]);
        assert_bare(&told.recv_timeout(Duration::from_secs(10)).unwrap());
        let outcome = probe_by(&ca.net(), &format!("{url}#data=hunter2")).await;
        assert_eq!(plain.seen()[1].body, "hunter2");
        if status < "304" {
            outcome.unwrap();
            assert_bare(&told.recv_timeout(Duration::from_secs(10)).unwrap());
        } else {
            assert_eq!(outcome.unwrap_err().code(), Code::ExpectRedirect);
        }
    }
}

#[tokio::test]
async fn a_reason_after_a_redirect_to_tls_gives_advice_that_the_target_can_use() {
    let ca = Ca::new();
    let secure = ca.server("127.0.0.1", false, &[], OK);
    let plain = Server::always(&format!("HTTP/1.1 301 x\r\nLocation: https://{secure}/\r\n\r\n"));
    let reason = probe(&plain.url("/")).await.unwrap_err();
    assert_eq!((reason.code(), reason.hint()), (Code::TlsUnknownIssuer, None));
    let begins = format!("after a redirect to {secure}: {secure} has a certificate");
    assert!(
        reason.text().starts_with(&begins) && reason.text().ends_with("give its CA with --ca-file"),
        "{}",
        reason.text()
    );
}

#[tokio::test]
async fn attempts_at_the_same_time_share_a_bundle() {
    let (files, ca) = (Files::new(), Ca::new());
    let file = files.put("ca", &ca.0.pem());
    let hangs = raw(|_connection| thread::sleep(Duration::from_secs(30)));
    let (net, text) = (net(), format!("https://{hangs}/#ca={file}"));
    let (one, two) = (parse(&text), parse(&text));
    let (first, second) = (attempt(), attempt());
    let both = futures_util::future::join(one.probe(&net, &first), two.probe(&net, &second));
    let _ = tokio::time::timeout(Duration::from_millis(200), both).await.unwrap_err();
    // The thread that reads answers drops what it holds a moment later.
    let begun = std::time::Instant::now();
    while net.tls.shared() != (1, 0) && begun.elapsed() < Duration::from_secs(5) {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert_eq!(net.tls.shared(), (1, 0), "one bundle was read, and no attempt holds it any more");
}
