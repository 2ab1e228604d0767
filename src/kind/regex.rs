//! Regular expressions over what a server sent, without letting any of them hold up the deadline.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use anyhow::{Result, bail};
use regex_lite::{Regex, RegexBuilder};
use tokio::sync::oneshot;

use crate::reason::{Code, Hint, Reason};

/// Memory of a compiled pattern, in bytes.
const SIZE: usize = 256 * 1024;

/// The stack of the thread that matches; the engine does not recurse.
const STACK: usize = 128 * 1024;

/// A regular expression.
#[derive(Clone, Debug)]
pub(super) struct Pattern {
    regex: Arc<Regex>,
    busy: Arc<AtomicBool>,
}

impl Pattern {
    pub(super) fn parse(text: &str) -> Result<Self> {
        if text.is_empty() {
            bail!("expected a regular expression, found nothing");
        }
        match RegexBuilder::new(text).size_limit(SIZE).build() {
            Ok(regex) => Ok(Self { regex: Arc::new(regex), busy: Arc::default() }),
            Err(error) => bail!("expected a regular expression: {error}"),
        }
    }

    /// Whether it matches anywhere in `text`, whose bytes that are not UTF-8 match nothing but `.` and the like.
    ///
    /// Time grows with the text times the pattern: `(a?){50}b` takes a fifth of a second over 64 KiB, and
    /// nothing can interrupt it. So it runs in a thread, at most one for each pattern, which dies with the
    /// process; the attempt that waits for it can be dropped, and the deadline holds.
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
        if thread::Builder::new().stack_size(STACK).spawn(work).is_err() {
            self.busy.store(false, Ordering::Release);
            return Err(Reason::new(Code::LocalSocket, format!("no thread left for {what}")).with_hint(Hint::Limits));
        }
        Ok(told.await.unwrap_or(false))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::{Duration, Instant};

    #[test]
    fn what_is_no_pattern_is_refused() {
        for bad in ["", "(", "a{2", "[z-a]", "(?P<n", "\\", "((a?){500}){500}"] {
            assert!(Pattern::parse(bad).is_err(), "{bad}");
        }
    }

    #[tokio::test]
    async fn it_matches_anywhere() {
        let pattern = Pattern::parse("\"state\":\\s*\"(up|OK)\"").unwrap();
        assert!(pattern.matches(b"{\"state\": \"up\"}".to_vec(), "match=").await.unwrap());
        assert!(!pattern.matches(b"{\"state\": \"down\"}".to_vec(), "match=").await.unwrap());
        assert!(Pattern::parse("^.ok$").unwrap().matches(b"\xffok".to_vec(), "match=").await.unwrap());
    }

    #[tokio::test]
    async fn a_hard_one_does_not_hold_up_the_deadline() {
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
