//! The complaint in the body of a 400: nginx, Go and Apache report a fault of the TLS session in HTTP.

use std::time::Duration;

use reqwest::Response;
use tokio::time::{self, Instant};

use crate::attempt::Attempt;

/// How long waitgate waits for the body. A better reason is not worth more time.
const READ_TIMEOUT: Duration = Duration::from_millis(300);

/// waitgate stops reading this long before the attempt ends. Otherwise the attempt would be cut off without its reason.
const MARGIN: Duration = Duration::from_millis(20);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Complaint {
    /// The request came without TLS.
    Tls,
    /// The request came without a client certificate, or with a wrong one.
    Certificate,
}

/// Finds the complaint by the words of nginx, Go and Apache.
pub(super) async fn complaint(mut response: Response, attempt: &Attempt) -> Option<Complaint> {
    const KNOWN: [(&str, Complaint); 5] = [
        ("plain HTTP request was sent to HTTPS port", Complaint::Tls),
        ("HTTP request to an HTTPS server", Complaint::Tls),
        ("plain HTTP to an SSL-enabled", Complaint::Tls),
        ("No required SSL certificate was sent", Complaint::Certificate),
        ("The SSL certificate error", Complaint::Certificate),
    ];
    /// How much of the body is read, in bytes.
    const BODY_MAX: usize = 2048;
    let reading = async {
        let mut body = Vec::new();
        while body.len() < BODY_MAX {
            match response.chunk().await {
                Ok(Some(chunk)) => body.extend_from_slice(&chunk[..chunk.len().min(BODY_MAX)]),
                _ => break,
            }
        }
        body
    };
    let until = (Instant::now() + READ_TIMEOUT).min(attempt.until() - MARGIN);
    let body = time::timeout_at(until, reading).await.unwrap_or_default();
    let body = String::from_utf8_lossy(&body);
    KNOWN.into_iter().find(|(words, _)| body.contains(words)).map(|(_, complaint)| complaint)
}
