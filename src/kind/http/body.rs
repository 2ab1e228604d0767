//! The body of an answer: read in its chunks, for the expectations of its content.

use reqwest::header::CONTENT_ENCODING;

use super::errors;
use super::exchange::Answer;
use crate::attempt::Attempt;
use crate::kind::content::Content;
use crate::reason::{Code, Reason, Stage};

/// Reads and checks the body of an answer; `said` names the answer ("200 OK from 10.0.0.1:80").
pub(super) async fn check(content: &Content, answer: Answer, said: &str, attempt: &Attempt) -> Result<(), Reason> {
    let mut response = answer.response;
    let what = format!("the body of {said}");
    let unexpected = |has: &str, key: &str| Reason::new(Code::ExpectBody, format!("{what} {has}")).with_key(key);
    attempt.enter(Stage::Expect, &what);
    if response.headers().get(CONTENT_ENCODING).is_some_and(|encoding| encoding != "identity") {
        return Err(unexpected("is compressed, although waitgate did not ask for that", "compressed"));
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
    reading.check(&what, attempt).await
}
