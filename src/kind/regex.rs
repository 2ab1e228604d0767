//! Regular expressions over what a server sent. A slow one never delays the deadline.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::{Result, bail};
use regex_lite::{Regex, RegexBuilder};

use crate::net::threads::Threads;
use crate::reason::{Code, Hint, Reason};

/// The most memory that a compiled pattern may take, in bytes.
const PATTERN_MAX: usize = 256 * 1024;

/// A regular expression.
#[derive(Clone, Debug)]
pub(super) struct Pattern {
    /// Only the text is kept, because a compiled pattern may take a quarter of a megabyte.
    text: String,
    /// Set while an attempt waits for a thread, and while a thread matches.
    busy: Arc<AtomicBool>,
}

impl Pattern {
    pub(super) fn parse(text: &str) -> Result<Self> {
        if text.is_empty() {
            bail!("found nothing (expected a regular expression)");
        }
        match compile(text) {
            Ok(_) => Ok(Self { text: text.to_owned(), busy: Arc::default() }),
            Err(error) if error.to_string().contains("size limit") => bail!(
                "the pattern is too large when its counted repetitions are written out (expected a regular expression with smaller counts than {{0,30}} inside {{0,30}})"
            ),
            Err(error) => bail!("{error} (expected a regular expression)"),
        }
    }

    /// Whether the pattern matches anywhere in `text`. Bytes that are not UTF-8 match only `.` and the like. `$` matches
    /// at the end and before a line break there, as in grep.
    ///
    /// Matching takes time in proportion to the size of the text times that of the pattern: `(a?){50}b` takes 0.2
    /// seconds over 64 KiB, and nothing can interrupt it. So it runs in a thread, at most one for each pattern. The
    /// attempt that waits for the thread can be dropped, and the thread ends with the process: the deadline holds.
    /// The reason calls the pattern `what`.
    pub(super) async fn matches(&self, threads: &Threads, text: Vec<u8>, what: &str) -> Result<bool, Reason> {
        let Some(busy) = Busy::new(&self.busy) else {
            let text =
                format!("{what} takes longer than an attempt: give a simpler pattern, or a longer #attempt-timeout");
            return Err(Reason::new(Code::ExpectTimeout, text).with_key("pattern"));
        };
        let pattern = self.text.clone();
        let work = move || {
            // `parse` has compiled the same text.
            let found = compile(&pattern).is_ok_and(|regex| is_match(&regex, &pattern, &text));
            drop(busy);
            found
        };
        threads.compute(work).await.map_err(|_| {
            Reason::new(Code::LocalSocket, format!("the system allows no thread for {what}")).with_hint(Hint::Limits)
        })
    }
}

fn compile(text: &str) -> Result<Regex, regex_lite::Error> {
    RegexBuilder::new(text).size_limit(PATTERN_MAX).build()
}

fn is_match(regex: &Regex, pattern: &str, text: &[u8]) -> bool {
    let text = String::from_utf8_lossy(text);
    if regex.is_match(&text) {
        return true;
    }
    // The engine's `$` matches only at the very end. Most bodies and files of one line end with a line break.
    let line = text.strip_suffix('\n').map(|line| line.strip_suffix('\r').unwrap_or(line));
    pattern.contains('$') && line.is_some_and(|line| regex.is_match(line))
}

/// The mark that a pattern is in use. Dropping it ends that.
struct Busy(Arc<AtomicBool>);

impl Busy {
    /// `None` if the pattern is in use already.
    fn new(mark: &Arc<AtomicBool>) -> Option<Self> {
        (!mark.swap(true, Ordering::AcqRel)).then(|| Self(Arc::clone(mark)))
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.store(false, Ordering::Release);
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
        assert!(pattern.matches(&Threads::default(), b"{\"state\": \"up\"}".to_vec(), "match=").await.unwrap());
        assert!(!pattern.matches(&Threads::default(), b"{\"state\": \"down\"}".to_vec(), "match=").await.unwrap());
        assert!(
            Pattern::parse("^.ok$").unwrap().matches(&Threads::default(), b"\xffok".to_vec(), "match=").await.unwrap()
        );
    }

    #[tokio::test]
    async fn a_dollar_matches_before_a_line_break_at_the_end() {
        for (pattern, text, matches) in [
            ("^(yellow|green)$", "yellow\n", true),
            ("^1$", "1\r\n", true),
            ("^1$", "1", true),
            ("^1\\n$", "1\n", true),
            ("^1$", "1\n\n", false),
            ("^1$", "1\n2\n", false),
            ("(?m)^1$", "1\n2\n", true),
            ("^$", "\n", true),
        ] {
            let found =
                Pattern::parse(pattern).unwrap().matches(&Threads::default(), text.into(), "match=").await.unwrap();
            assert_eq!(found, matches, "{pattern} in {text:?}");
        }
    }

    #[tokio::test]
    async fn a_slow_pattern_does_not_delay_the_deadline() {
        let pattern = Pattern::parse("((a?){40}){20}b").unwrap();
        let body = vec![b'a'; 64 * 1024];
        let start = Instant::now();
        let threads = Threads::default();
        let attempt =
            tokio::time::timeout(Duration::from_millis(20), pattern.matches(&threads, body.clone(), "match="));
        assert!(attempt.await.is_err());
        assert!(start.elapsed() < Duration::from_millis(70), "{:?}", start.elapsed());
        let reason = pattern.matches(&threads, body, "match=").await.unwrap_err();
        assert_eq!(reason.code(), Code::ExpectTimeout);
    }
}
