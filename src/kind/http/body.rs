//! The expectations of a body. waitgate reads the body once for all of them, up to a bound.

use std::fmt::Display;

use anyhow::{Result, bail};
use reqwest::header::CONTENT_ENCODING;

use super::errors;
use super::exchange::Answer;
use super::json::Value;
use crate::attempt::Attempt;
use crate::kind::expect::Expectations;
use crate::kind::regex::Pattern;
use crate::reason::{Code, Reason, Stage};

/// `body=` searches at most this much of a body, in bytes.
const SEARCHED_MAX: usize = 1024 * 1024;

/// `match=` and `json=` need the body in one piece: at most this much of it is kept, in bytes.
const KEPT_MAX: usize = 64 * 1024;

/// The expectations of a body.
#[derive(Clone, Debug, Default)]
pub(super) struct Body {
    text: Option<Needle>,
    pattern: Option<Pattern>,
    values: Vec<Value>,
}

impl Body {
    pub(super) fn parse(expectations: &Expectations) -> Result<Self> {
        let named = |name: &'static str| move |error: anyhow::Error| error.context(name);
        let text = match expectations.get("body") {
            Some("") => bail!("#body: found nothing (expected a text that the body holds)"),
            text => text.map(|text| Needle::new(text.as_bytes())),
        };
        let pattern = expectations.get("match").map(Pattern::parse).transpose().map_err(named("#match"))?;
        let values = expectations.all("json").map(Value::parse).collect::<Result<_>>().map_err(named("#json"))?;
        Ok(Self { text, pattern, values })
    }

    /// Whether the target expects nothing of the body. Then waitgate does not read it.
    pub(super) fn is_empty(&self) -> bool {
        self.text.is_none() && self.pattern.is_none() && self.values.is_empty()
    }

    /// Reads and checks the body of an answer; `said` names the answer ("200 OK from 10.0.0.1:80").
    pub(super) async fn check(&self, answer: Answer, said: &str, attempt: &Attempt) -> Result<(), Reason> {
        let mut response = answer.response;
        let unexpected = |what: &dyn Display| Reason::new(Code::ExpectBody, format!("the body of {said} {what}"));
        attempt.enter(Stage::Expect, format_args!("the body of {said}"));
        if response.headers().get(CONTENT_ENCODING).is_some_and(|encoding| encoding != "identity") {
            return Err(unexpected(&"is compressed, although waitgate did not ask for that").with_key("compressed"));
        }
        let mut search = self.text.as_ref().map(Needle::search);
        let keeps = self.pattern.is_some() || !self.values.is_empty();
        let mut kept = Vec::new();
        let mut read = 0_usize;
        let mut ended = false;
        // Reading ends when everything is found: waitgate seldom needs the whole megabyte.
        while read < SEARCHED_MAX {
            let searching = search.as_ref().is_some_and(|search| !search.found());
            if !searching && (!keeps || kept.len() > KEPT_MAX) {
                break;
            }
            let chunk = match response.chunk().await {
                Ok(chunk) => chunk,
                Err(error) if errors::is_garbled(&error) => {
                    return Err(unexpected(&"is not in the chunks of HTTP/1.1").with_key("garbled"));
                }
                Err(_) => return Err(unexpected(&"was cut short").with_key("short")),
            };
            let Some(chunk) = chunk else {
                ended = true;
                break;
            };
            let chunk = &chunk[..chunk.len().min(SEARCHED_MAX - read)];
            read += chunk.len();
            if let Some(search) = &mut search {
                search.feed(chunk);
            }
            if keeps {
                // One byte more than the bound shows that the body is longer.
                kept.extend_from_slice(&chunk[..chunk.len().min(KEPT_MAX + 1 - kept.len().min(KEPT_MAX + 1))]);
            }
        }
        drop(response);

        if search.is_some_and(|search| !search.found()) {
            let within = if ended { "" } else { " in its first 1 MiB" };
            return Err(unexpected(&format_args!("does not hold the text of #body{within}")).with_key("body"));
        }
        let long = kept.len() > KEPT_MAX;
        kept.truncate(KEPT_MAX);
        if !self.values.is_empty() && long {
            let text = format!("the body of {said} has more than the 64 KiB that #json reads");
            return Err(Reason::new(Code::ProtocolTooLarge, text));
        }
        for value in &self.values {
            value.check(&kept).map_err(|has| unexpected(&has).with_key("json"))?;
        }
        if let Some(pattern) = &self.pattern {
            attempt.enter(Stage::Expect, format_args!("the search for #match in the body of {said}"));
            if !pattern.matches(kept, "#match").await? {
                let within = if long { " in its first 64 KiB" } else { "" };
                return Err(unexpected(&format_args!("has nothing that #match matches{within}")).with_key("match"));
            }
        }
        Ok(())
    }
}

/// The text to find in bytes that come piece by piece (Knuth, Morris, Pratt).
///
/// Whatever the server sends, the time grows only with the number of bytes.
#[derive(Clone, Debug)]
struct Needle {
    text: Vec<u8>,
    /// For each matched length: the longest shorter match to go on with if the next byte does not match.
    fallback: Vec<usize>,
}

impl Needle {
    fn new(text: &[u8]) -> Self {
        let mut fallback = vec![0; text.len()];
        let mut matched = 0;
        for at in 1..text.len() {
            while matched > 0 && text[at] != text[matched] {
                matched = fallback[matched - 1];
            }
            if text[at] == text[matched] {
                matched += 1;
            }
            fallback[at] = matched;
        }
        Self { text: text.to_vec(), fallback }
    }

    fn search(&self) -> Search<'_> {
        Search { needle: self, matched: 0 }
    }
}

/// A search and how much of the text has matched so far.
struct Search<'a> {
    needle: &'a Needle,
    matched: usize,
}

impl Search<'_> {
    fn found(&self) -> bool {
        self.matched == self.needle.text.len()
    }

    fn feed(&mut self, bytes: &[u8]) {
        let Needle { text, fallback } = self.needle;
        for byte in bytes {
            if self.found() {
                return;
            }
            while self.matched > 0 && *byte != text[self.matched] {
                self.matched = fallback[self.matched - 1];
            }
            if *byte == text[self.matched] {
                self.matched += 1;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_found_across_chunks() {
        for (text, body) in [("ready", "not ready"), ("aab", "aaab"), ("abcabd", "abcabcabd"), ("a", "a"), ("ab", "ab")]
        {
            for size in 1..=body.len() {
                let needle = Needle::new(text.as_bytes());
                let mut search = needle.search();
                body.as_bytes().chunks(size).for_each(|piece| search.feed(piece));
                assert!(search.found(), "{text} in {body} by {size}");
            }
        }
        let needle = Needle::new(b"aab");
        let mut search = needle.search();
        search.feed(b"aaaaaaaaaacab");
        assert!(!search.found());
    }
}
