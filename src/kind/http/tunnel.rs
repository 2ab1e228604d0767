//! Asks a proxy once more for a tunnel that it did not open, to learn its status. reqwest does not tell.

use std::net::SocketAddr;
use std::time::Duration;

use reqwest::Url;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::time::{self, Instant};

use crate::attempt::Attempt;
use crate::net::connect;

/// How long waitgate waits for the status. A better reason is not worth more time.
const LOOK_MAX: Duration = Duration::from_millis(300);

/// The look ends this long before the attempt does, so that the attempt can still report its reason.
const MARGIN: Duration = Duration::from_millis(20);

/// The status of the proxy's answer. It goes without the login: a second failure could lock an account.
pub(super) async fn status(proxy: SocketAddr, url: &Url, attempt: &Attempt) -> Option<u16> {
    let asking = async {
        let mut stream = connect::one(proxy, attempt).await.ok()?;
        let to = format!("{}:{}", url.host_str()?, url.port_or_known_default()?);
        let request = format!("CONNECT {to} HTTP/1.1\r\nHost: {to}\r\n\r\n");
        stream.write_all(request.as_bytes()).await.ok()?;
        let mut first = [0; 12];
        stream.read_exact(&mut first).await.ok()?;
        let status = first.strip_prefix(b"HTTP/1.").and_then(|rest| rest.get(2..5))?;
        // A login was accepted before, or none was needed.
        std::str::from_utf8(status).ok()?.parse().ok().filter(|status| (300..=599).contains(status) && *status != 407)
    };
    let until = (Instant::now() + LOOK_MAX).min(attempt.until() - MARGIN);
    time::timeout_at(until, asking).await.ok().flatten()
}
