//! The complaint in the body of an answer: nginx, Go and Apache report a fault of the TLS session in HTTP (400), and MongoDB
//! reports HTTP on its port in HTTP (200).

use std::time::Duration;

use reqwest::Response;
use reqwest::header::{CONTENT_LENGTH, CONTENT_TYPE};
use tokio::time::{self, Instant};

use crate::attempt::Attempt;
use crate::net::sniff::MONGODB;

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
pub(super) async fn complaint(response: Response, attempt: &Attempt) -> Option<Complaint> {
    const KNOWN: [(&str, Complaint); 5] = [
        ("plain HTTP request was sent to HTTPS port", Complaint::Tls),
        ("HTTP request to an HTTPS server", Complaint::Tls),
        ("plain HTTP to an SSL-enabled", Complaint::Tls),
        ("No required SSL certificate was sent", Complaint::Certificate),
        ("The SSL certificate error", Complaint::Certificate),
    ];
    let body = body(response, attempt).await;
    let body = String::from_utf8_lossy(&body);
    KNOWN.into_iter().find(|(words, _)| body.contains(words)).map(|(_, complaint)| complaint)
}

/// Whether the answer has the form of MongoDB's, give or take some words: only then is its body worth reading.
pub(super) fn may_be_mongodb(response: &Response) -> bool {
    let header = |name| response.headers().get(name).and_then(|value| value.to_str().ok());
    let length = header(CONTENT_LENGTH).and_then(|length| length.parse().ok());
    matches!(length, Some(60_u32..=200)) && header(CONTENT_TYPE).is_some_and(|kind| kind.starts_with("text/plain"))
}

/// Whether the body is MongoDB's, which answers each HTTP request with a 200 and says there that it is none.
pub(super) async fn is_mongodb(response: Response, attempt: &Attempt) -> bool {
    body(response, attempt).await.windows(MONGODB.len()).any(|words| words == MONGODB)
}

/// The beginning of the body.
async fn body(mut response: Response, attempt: &Attempt) -> Vec<u8> {
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
    time::timeout_at(until, reading).await.unwrap_or_default()
}
