//! Regular expressions over what a server sent. A slow one never delays the deadline.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use anyhow::{Result, bail};
use regex_lite::{Regex, RegexBuilder};
use tokio::sync::oneshot;

use crate::reason::{Code, Hint, Reason};

/// The most memory that a compiled pattern may take, in bytes.
const PATTERN_MAX: usize = 256 * 1024;

/// The stack of the thread that matches, in bytes. It is small: the engine does not recurse.
const STACK_SIZE: usize = 128 * 1024;

/// A regular expression.
#[derive(Clone, Debug)]
pub(super) struct Pattern {
    regex: Arc<Regex>,
    /// Set while a thread matches.
    busy: Arc<AtomicBool>,
}

impl Pattern {
    pub(super) fn parse(text: &str) -> Result<Self> {
        if text.is_empty() {
            bail!("found nothing (expected a regular expression)");
        }
        match RegexBuilder::new(text).size_limit(PATTERN_MAX).build() {
            Ok(regex) => Ok(Self { regex: Arc::new(regex), busy: Arc::default() }),
            Err(error) => bail!("{error} (expected a regular expression)"),
        }
    }

    /// Whether the pattern matches anywhere in `text`. Bytes that are not UTF-8 match only `.` and the like.
    ///
    /// Matching takes time in proportion to the size of the text times that of the pattern: `(a?){50}b` takes 0.2
    /// seconds over 64 KiB, and nothing can interrupt it. So it runs in a thread, at most one for each pattern. The
    /// attempt that waits for the thread can be dropped, and the thread ends with the process: the deadline holds.
    /// The reason calls the pattern `what`.
    pub(super) async fn matches(&self, text: Vec<u8>, what: &str) -> Result<bool, Reason> {
        if self.busy.swap(true, Ordering::AcqRel) {
            let text =
                format!("{what} takes longer than an attempt: give a simpler pattern, or a longer #attempt-timeout");
            return Err(Reason::new(Code::ExpectTimeout, text).with_key("pattern"));
        }
        let (tell, told) = oneshot::channel();
        let Self { regex, busy } = self.clone();
        let work = move || {
            let found = regex.is_match(&String::from_utf8_lossy(&text));
            drop(text);
            busy.store(false, Ordering::Release);
            let _ = tell.send(found);
        };
        if thread::Builder::new().stack_size(STACK_SIZE).spawn(work).is_err() {
            self.busy.store(false, Ordering::Release);
            return Err(Reason::new(Code::LocalSocket, format!("the system allows no thread for {what}"))
                .with_hint(Hint::Limits));
        }
        Ok(told.await.unwrap_or(false))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::{Duration, Instant};

    #[test]
    fn invalid_patterns() {
        for bad in ["", "(", "a{2", "[z-a]", "(?P<n", "\\", "((a?){500}){500}"] {
            assert!(Pattern::parse(bad).is_err(), "{bad}");
        }
    }

    #[tokio::test]
    async fn a_pattern_matches_anywhere_in_the_text() {
        let pattern = Pattern::parse("\"state\":\\s*\"(up|OK)\"").unwrap();
        assert!(pattern.matches(b"{\"state\": \"up\"}".to_vec(), "match=").await.unwrap());
        assert!(!pattern.matches(b"{\"state\": \"down\"}".to_vec(), "match=").await.unwrap());
        assert!(Pattern::parse("^.ok$").unwrap().matches(b"\xffok".to_vec(), "match=").await.unwrap());
    }

    #[tokio::test]
    async fn a_slow_pattern_does_not_delay_the_deadline() {
        let pattern = Pattern::parse("((a?){40}){20}b").unwrap();
        let body = vec![b'a'; 64 * 1024];
        let start = Instant::now();
        let attempt = tokio::time::timeout(Duration::from_millis(20), pattern.matches(body.clone(), "match="));
        assert!(attempt.await.is_err());
        assert!(start.elapsed() < Duration::from_millis(70), "{:?}", start.elapsed());
        let reason = pattern.matches(body, "match=").await.unwrap_err();
        assert_eq!(reason.code(), Code::ExpectTimeout);
    }
}
