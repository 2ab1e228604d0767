//! A value that must never be printed, and the mask that hides it in what a server says.

use std::cell::RefCell;
use std::fmt::{self, Write as _};

/// What is shown instead of a secret.
pub(crate) const HIDDEN: &str = "***";

/// A password, a token, a header value, or any other secret of a target.
///
/// `Debug` and `Display` hide it, so no derive and no format string can leak it. Only [`Secret::expose`] returns it,
/// and only the code that sends it calls that.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Secret(String);

impl Secret {
    pub(crate) fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text itself. It may be sent and must never be printed.
    pub(crate) fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(HIDDEN)
    }
}

impl fmt::Display for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(HIDDEN)
    }
}

/// The shortest value that is looked for in a text, in bytes. A shorter one would hide parts of other words and numbers,
/// and tells little.
const MASKED_MIN: usize = 4;

/// The secrets of one target, collected while it is parsed: each value that came from `$(NAME)`, each value of a secret
/// expectation, and the password in its address.
#[derive(Default)]
pub(crate) struct Notes(RefCell<Vec<String>>);

impl Notes {
    /// `value` must not be printed.
    pub(crate) fn note(&self, value: &str) {
        // A server may repeat one line of a key, or a token without the line break at its end.
        let parts = value.lines().map(str::trim).chain([value.trim()]);
        self.0.borrow_mut().extend(parts.filter(|part| part.len() >= MASKED_MIN).map(str::to_owned));
    }

    /// The mask for a target that the log shows as `shown`. A value that is shown there as a whole word is no secret: a
    /// host from `$(NAME)` stays readable.
    pub(crate) fn mask(self, shown: &str) -> Mask {
        let mut values: Vec<String> = self.0.into_inner();
        values.retain(|value| !has_word(shown, value));
        let spelled = |value: &String| [value.clone(), value.escape_debug().to_string(), percent_encoded(value)];
        let mut values: Vec<String> = values.iter().flat_map(spelled).collect();
        // The longest first: a value may be a part of another.
        values.sort_by(|a, b| b.len().cmp(&a.len()).then_with(|| a.cmp(b)));
        values.dedup();
        Mask(values.into_iter().map(Secret::new).collect())
    }
}

/// Hides the secrets of one target in a text for the log.
#[derive(Clone, Debug, Default)]
pub(crate) struct Mask(Box<[Secret]>);

impl Mask {
    /// `text` with `***` for each secret.
    pub(crate) fn hide(&self, text: &str) -> String {
        self.0.iter().fold(text.to_owned(), |text, secret| {
            if text.contains(secret.expose()) { text.replace(secret.expose(), HIDDEN) } else { text }
        })
    }
}

/// Whether `word` is in `text` and no letter or digit is next to it.
fn has_word(text: &str, word: &str) -> bool {
    text.match_indices(word).any(|(at, _)| {
        let around = [text[..at].chars().next_back(), text[at + word.len()..].chars().next()];
        around.iter().flatten().all(|c| !c.is_alphanumeric())
    })
}

/// As a URL has it.
fn percent_encoded(value: &str) -> String {
    let mut out = String::with_capacity(value.len());
    for byte in value.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => out.push(char::from(byte)),
            _ => {
                let _ = write!(out, "%{byte:02X}");
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mask_hides_what_was_noted_in_each_spelling() {
        let notes = Notes::default();
        for value in ["hunter2", "hunter2-long", "a\"b c", "abc", "db.example", "-----BEGIN X-----\nMIIB\n"] {
            notes.note(value);
        }
        let mask = notes.mask("tcp:db.example:5432");
        for (text, hidden) in [
            ("invalid input: \"hunter2\"", "invalid input: \"***\""),
            ("xhunter2-longx", "x***x"),
            ("found \"a\\\"b c\" and a%22b%20c", "found \"***\" and ***"),
            ("abc is short; db.example is shown", "abc is short; db.example is shown"),
            ("line 2 is MIIB", "line 2 is ***"),
            ("no file -----BEGIN X-----\\nMIIB", "no file ***"),
        ] {
            assert_eq!(mask.hide(text), hidden);
        }
        assert!(!format!("{mask:?}").contains("hunter2"));
    }

    #[test]
    fn debug_and_display_hide_the_secret() {
        let secret = Secret::new("hunter2");
        assert_eq!(format!("{secret} {secret:?} {secret:#?}"), "*** *** ***");
        assert_eq!(secret.expose(), "hunter2");
    }
}
