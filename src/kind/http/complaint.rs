//! What the body of a 400 complains about: nginx, Go and Apache answer a fault of the TLS session in HTTP.

use std::time::Duration;

use reqwest::Response;
use tokio::time::{self, Instant};

use crate::attempt::Attempt;

/// How long the body is waited for: a reason is not worth more.
const BOUND: Duration = Duration::from_millis(300);

/// The look ends this long before the attempt does, so that the attempt's own reason is still told.
const MARGIN: Duration = Duration::from_millis(20);

/// What the body of a 400 says that it is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Complaint {
    /// The request was not in TLS.
    Tls,
    /// It came without a client certificate, or with a wrong one.
    Certificate,
}

/// What the body of a 400 complains about, in the words of nginx, Go and Apache.
pub(super) async fn complaint(mut response: Response, attempt: &Attempt) -> Option<Complaint> {
    const SAID: [(&str, Complaint); 5] = [
        ("plain HTTP request was sent to HTTPS port", Complaint::Tls),
        ("HTTP request to an HTTPS server", Complaint::Tls),
        ("plain HTTP to an SSL-enabled", Complaint::Tls),
        ("No required SSL certificate was sent", Complaint::Certificate),
        ("The SSL certificate error", Complaint::Certificate),
    ];
    const BYTES: usize = 2048;
    let reading = async {
        let mut body = Vec::new();
        while body.len() < BYTES {
            match response.chunk().await {
                Ok(Some(chunk)) => body.extend_from_slice(&chunk[..chunk.len().min(BYTES)]),
                _ => break,
            }
        }
        body
    };
    let until = (Instant::now() + BOUND).min(attempt.until() - MARGIN);
    let body = time::timeout_at(until, reading).await.unwrap_or_default();
    let body = String::from_utf8_lossy(&body);
    SAID.into_iter().find(|(said, _)| body.contains(said)).map(|(_, complaint)| complaint)
}
