//! `body=`, `match=` and `json=`: what an answer's body or a file must hold. It is read once for all of them, up to a bound.

pub(super) mod json;

use std::fmt::Display;

use anyhow::{Result, bail};

use super::expect::{Expectations, Spec};
use super::regex::Pattern;
use crate::attempt::Attempt;
use crate::net::Net;
use crate::reason::{Code, Reason, Stage};
use json::Value;

/// The text that the content must hold.
pub(super) const BODY: Spec = Spec::value("body", "TEXT").says("the content has TEXT in it");
/// The pattern that must match in it.
pub(super) const MATCH: Spec = Spec::value("match", "REGEX").says("the content matches REGEX");
/// The value that it must have, as a JSON document.
pub(super) const JSON: Spec = Spec::value("json", "/POINTER=VALUE")
    .says("a value of the JSON; also != > >= < <=, several as a,b, or the pointer alone")
    .repeatable();

/// `body=` searches at most this much of the content, in bytes.
const SEARCHED_MAX: usize = 1024 * 1024;

/// `match=` and `json=` need the content in one piece: at most this much of it is kept, in bytes.
const KEPT_MAX: usize = 64 * 1024;

/// The expectations of a content.
#[derive(Clone, Debug, Default)]
pub(super) struct Content {
    text: Option<Needle>,
    pattern: Option<Pattern>,
    values: Vec<Value>,
}

impl Content {
    pub(super) fn parse(expectations: &Expectations) -> Result<Self> {
        let named = |name: &'static str| move |error: anyhow::Error| error.context(name);
        let text = match expectations.get(BODY.name) {
            Some("") => bail!("#body: found nothing (expected a text that the body holds)"),
            text => text.map(|text| Needle::new(text.as_bytes())),
        };
        let pattern = expectations.get(MATCH.name).map(Pattern::parse).transpose().map_err(named("#match"))?;
        let values = expectations.written(JSON.name).map(|(text, written)| Value::parse(text, written));
        let values = values.collect::<Result<_>>().map_err(named("#json"))?;
        Ok(Self { text, pattern, values })
    }

    /// Whether the target expects nothing of the content. Then waitgate does not read it.
    pub(super) fn is_empty(&self) -> bool {
        self.text.is_none() && self.pattern.is_none() && self.values.is_empty()
    }

    /// Begins to read a content.
    pub(super) fn reading(&self) -> Reading<'_> {
        Reading {
            content: self,
            search: self.text.as_ref().map(Needle::search),
            kept: Vec::new(),
            read: 0,
            ended: false,
        }
    }
}

/// A content that is being read.
pub(super) struct Reading<'a> {
    content: &'a Content,
    search: Option<Search<'a>>,
    kept: Vec<u8>,
    read: usize,
    ended: bool,
}

impl Reading<'_> {
    /// Whether more of the content is needed. Reading ends when everything is found: the whole megabyte is seldom read.
    pub(super) fn needs_more(&self) -> bool {
        let searching = self.search.as_ref().is_some_and(|search| !search.found());
        !self.ended && self.read < SEARCHED_MAX && (searching || (self.keeps() && self.kept.len() <= KEPT_MAX))
    }

    fn keeps(&self) -> bool {
        self.content.pattern.is_some() || !self.content.values.is_empty()
    }

    /// Takes the next piece.
    pub(super) fn feed(&mut self, piece: &[u8]) {
        let piece = &piece[..piece.len().min(SEARCHED_MAX - self.read)];
        self.read += piece.len();
        if let Some(search) = &mut self.search {
            search.feed(piece);
        }
        if self.keeps() {
            // One byte more than the bound shows that the content is longer.
            self.kept.extend_from_slice(&piece[..piece.len().min(KEPT_MAX + 1 - self.kept.len().min(KEPT_MAX + 1))]);
        }
    }

    /// There is no more.
    pub(super) fn end(&mut self) {
        self.ended = true;
    }

    /// Checks what was read. `what` names the content: "the body of 200 OK from 10.0.0.1:80".
    pub(super) async fn check(mut self, net: &Net, what: &str, attempt: &Attempt) -> Result<(), Reason> {
        let unexpected = |has: &dyn Display| Reason::new(Code::ExpectBody, format!("{what} {has}"));
        let long = self.kept.len() > KEPT_MAX;
        self.kept.truncate(KEPT_MAX);
        self.check_values(long, what, attempt)?;
        if let Some(pattern) = &self.content.pattern {
            attempt.enter(Stage::Expect, format_args!("the search for #match in {what}"));
            if !pattern.matches(&net.threads, self.kept, "#match").await? {
                let within = if long { " in its first 64 KiB" } else { "" };
                return Err(unexpected(&format_args!("has nothing that #match matches{within}")).with_key("match"));
            }
        }
        Ok(())
    }

    /// Everything but the pattern, which needs a thread. `long`: not all of the content was kept.
    fn check_values(&self, long: bool, what: &str, attempt: &Attempt) -> Result<(), Reason> {
        let unexpected = |has: &dyn Display| Reason::new(Code::ExpectBody, format!("{what} {has}"));
        if self.search.as_ref().is_some_and(|search| !search.found()) {
            let within = if self.ended { "" } else { " in its first 1 MiB" };
            return Err(unexpected(&format_args!("does not hold the text of #body{within}")).with_key("body"));
        }
        if !self.content.values.is_empty() && long {
            let text = format!("{what} has more than the 64 KiB that #json reads");
            return Err(Reason::new(Code::ProtocolTooLarge, text));
        }
        for value in &self.content.values {
            value.check(&self.kept, attempt).map_err(|has| unexpected(&has).with_key("json"))?;
        }
        Ok(())
    }
}

/// Checks `document` for these expectations, for the fuzzer.
///
/// # Panics
/// If the outcome depends on the pieces in which the document is read.
pub(crate) fn checks(expectations: &str, document: &[u8]) {
    use crate::attempt::Bounds;
    use crate::env::Fill;
    use std::time::Duration;

    const OWN: &[Spec] = &[BODY, JSON];
    let Ok(parsed) = Expectations::parse(expectations.split('#'), "file", OWN, Fill::none()) else { return };
    let Ok(content) = Content::parse(&parsed) else { return };
    let second = Duration::from_secs(1);
    let attempt = Attempt::new(Bounds { attempt: second, connect: second }, false);
    let outcome = |size: usize| {
        let mut reading = content.reading();
        for piece in document.chunks(size) {
            if reading.needs_more() {
                reading.feed(piece);
            }
        }
        reading.end();
        reading.check_values(false, "it", &attempt).map_err(|reason| reason.text().to_owned())
    };
    let whole = outcome(document.len().max(1));
    assert!([1, 7].into_iter().all(|size| outcome(size) == whole), "{expectations:?}");
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
