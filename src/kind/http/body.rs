//! The body of an answer: read in its chunks, for the expectations of its content.

use reqwest::header::{CONTENT_ENCODING, HeaderValue};

use super::errors;
use super::exchange::Answer;
use crate::attempt::Attempt;
use crate::kind::content::Content;
use crate::net::Net;
use crate::reason::{Code, Reason, Stage};

/// Reads and checks the body of an answer; `said` names the answer ("200 OK from 10.0.0.1:80").
pub(super) async fn check(
    net: &Net,
    content: &Content,
    answer: Answer,
    said: &str,
    attempt: &Attempt,
) -> Result<(), Reason> {
    let mut response = answer.response;
    let what = format!("the body of {said}");
    let unexpected = |has: &str, key: &str| Reason::new(Code::ExpectBody, format!("{what} {has}")).with_key(key);
    attempt.enter(Stage::Expect, &what);
    // The names of codings ignore case (RFC 9110 section 8.4.1).
    let is_plain = |coding: &HeaderValue| {
        let coding = coding.as_bytes().trim_ascii();
        coding.is_empty() || coding.eq_ignore_ascii_case(b"identity")
    };
    if !response.headers().get_all(CONTENT_ENCODING).iter().all(is_plain) {
        return Err(unexpected("is compressed (Content-Encoding), and waitgate does not decompress it", "compressed"));
    }
    let mut reading = content.reading();
    while reading.needs_more() {
        match response.chunk().await {
            Ok(Some(chunk)) => reading.feed(&chunk),
            Ok(None) => reading.end(),
            Err(error) if errors::is_garbled(&error) => {
                return Err(unexpected("is not in the chunks of HTTP/1.1", "garbled"));
            }
            Err(_) => return Err(unexpected("was cut short", "short")),
        }
    }
    drop(response);
    reading.check(net, &what, attempt).await
}
