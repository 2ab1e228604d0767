//! A second look at a TLS server that did not answer in HTTP/1.1: does it speak HTTP/2?

use std::net::SocketAddr;
use std::sync::Arc;

use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio_rustls::TlsConnector;

use super::{Tls, Verify, Wants};
use crate::attempt::Attempt;
use crate::net::connect;
use crate::net::sniff::{self, Protocol};

/// Whether the server at `address` agrees on HTTP/2 and not on HTTP/1.1, or speaks HTTP/2 without agreeing on anything. Its
/// certificate is not verified: waitgate tells it nothing.
pub(crate) async fn only_http2(address: SocketAddr, name: &str, attempt: &Attempt) -> bool {
    let wants = Wants { verify: Verify::Nothing, ..Wants::default() };
    let (Ok(config), Ok(name)) = (Tls::default().config_for(wants), ServerName::try_from(name.to_owned())) else {
        return false;
    };
    let looking = async {
        for protocol in [&b"http/1.1"[..], b"h2"] {
            let mut config = ClientConfig::clone(&config);
            config.alpn_protocols = vec![protocol.to_vec()];
            let stream = connect::one(address, attempt).await.ok()?;
            // A server may refuse the handshake without HTTP/2.
            let Ok(mut session) = TlsConnector::from(Arc::new(config)).connect(name.clone(), stream).await else {
                continue;
            };
            match session.get_ref().1.alpn_protocol() {
                Some(b"h2") => return Some(Protocol::Http2),
                Some(_) => return None,
                None => {}
            }
            let mut first = [0; 16];
            session.write_all(sniff::HTTP).await.ok()?;
            let read = session.read(&mut first).await.unwrap_or_default();
            if read > 0 {
                return Protocol::of(&first[..read]);
            }
        }
        None
    };
    // A session is large, and every attempt of https: would have room for it.
    sniff::in_time(Box::pin(looking), attempt).await.flatten() == Some(Protocol::Http2)
}
