//! Values that must never be printed: the type that holds one, and the mask that hides them in what a server says.
//!
//! A server may repeat what it got: in an error, in a banner, in the host of a redirect. There is one mechanism for every
//! kind:
//!
//! 1. While a target is parsed, its secrets are noted, by way of `Fill` ([`Notes`]). The plan makes a [`Mask`] of them.
//! 2. A secret that only an attempt knows, such as a password in a file, is added by `Attempt::hide`.
//! 3. A kind takes every word of a server through `Attempt::quote`. It hides all secrets first and shortens afterwards: a
//!    secret that is cut in half would not be found.
//! 4. At the end, `Attempt` screens each reason and note as a whole ([`Mask::screen`]). This net also sees waitgate's own
//!    words, so it leaves a secret that could be one of them, such as the password "postgres".

use std::cell::RefCell;
use std::fmt::{self, Write as _};
use std::rc::Rc;

use crate::text::printable;

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

/// A shorter secret, in bytes, is hidden only where it is a whole word. Elsewhere it would hide parts of other words and
/// numbers, and a part of it tells little.
const PART_MIN: usize = 4;

/// So many lines and words of one secret are looked for beside the whole. No credential has more, and a search takes its
/// time for each.
const PIECES_MAX: usize = 256;

/// A word of a [`Form::Text`] that is shorter than this, in bytes, is hidden only where it is a whole word.
const TOKEN_MIN: usize = 8;

/// A secret of letters or digits alone that is shorter than this, in bytes, could be a word or a number of waitgate's own.
const WORD_MAX: usize = 16;

/// How a secret is looked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    /// Anywhere, also inside a word: a password, a token.
    Value,
    /// Only as a whole word: a user, which may be a part of ordinary words.
    Word,
    /// The whole anywhere, and each of its words: a header's value or a form, which may hold a secret beside other things.
    Text,
}

/// The secrets of one target, collected while it is parsed.
#[derive(Default)]
pub(crate) struct Notes(RefCell<Vec<(Secret, Form)>>);

impl Notes {
    /// No output may show `value`.
    pub(crate) fn note(&self, value: &str, form: Form) {
        self.0.borrow_mut().push((Secret::new(value), form));
    }

    /// The mask for a target that the log shows as `shown`.
    pub(crate) fn mask(self, shown: &str) -> Mask {
        let mut mask = Mask { hidden: Rc::default(), shown: values_in(shown).into() };
        for (secret, form) in self.0.into_inner() {
            mask.add(&secret, form);
        }
        mask
    }
}

/// Hides the secrets of one target. A clone shares them until one is added.
#[derive(Clone, Debug, Default)]
pub(crate) struct Mask {
    hidden: Rc<Vec<Hidden>>,
    /// What the log shows of the target, in lower case. A whole word of it is no secret: a host from `$(NAME)` stays
    /// readable.
    shown: Rc<str>,
}

/// One spelling of one secret.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Hidden {
    text: Secret,
    whole_word: bool,
}

impl Mask {
    /// Hides `secret` too.
    pub(crate) fn add(&mut self, secret: &Secret, form: Form) {
        let value = secret.expose().trim();
        self.add_piece(value, form == Form::Word || value.len() < PART_MIN);
        if form == Form::Word {
            return;
        }
        // A server may repeat one line of a key, or one field of a form.
        let lines = value.lines().map(str::trim).filter(|line| *line != value && line.len() >= PART_MIN);
        lines.take(PIECES_MAX).for_each(|line| self.add_piece(line, false));
        if form == Form::Text {
            let ends = |c: char| c.is_whitespace() || "\"'&=;,:{}[]()".contains(c);
            let words = value.split(ends).filter(|word| word.len() >= PART_MIN);
            words.take(PIECES_MAX).for_each(|word| self.add_piece(word, word.len() < TOKEN_MIN));
        }
    }

    fn add_piece(&mut self, piece: &str, whole_word: bool) {
        if piece.is_empty() || has_word(&self.shown, &piece.to_ascii_lowercase()) {
            return;
        }
        let hidden = Rc::make_mut(&mut self.hidden);
        for text in spellings(piece) {
            let spelled = Hidden { text: Secret::new(text), whole_word };
            if !hidden.contains(&spelled) {
                hidden.push(spelled);
            }
        }
    }

    /// A server's `words` with `***` for each secret, and afterwards shortened to at most `max` characters.
    ///
    /// If the words end with the beginning of a secret, that is hidden too: the server, or a bound on what is read, may
    /// have cut it.
    pub(crate) fn quote(&self, words: &str, max: usize) -> String {
        self.replace(words, max, |hidden, at| hidden.end_at(words, at).or_else(|| hidden.cut_at(words, at)))
    }

    /// A whole text of waitgate with `***` for each secret that cannot be one of waitgate's own words.
    pub(crate) fn screen(&self, text: &str) -> String {
        self.replace(text, usize::MAX, |hidden, at| hidden.end_at(text, at).filter(|_| hidden.is_telling()))
    }

    /// Replaces what `found` finds at a place of `text`: it returns where the secret ends.
    fn replace(&self, text: &str, max: usize, found: impl Fn(&Hidden, usize) -> Option<usize>) -> String {
        let mut out = String::with_capacity(text.len().min(1024));
        let mut left = max;
        // Two secrets may overlap, so the search goes on inside of one.
        let mut hidden_to = None;
        for (at, c) in text.char_indices() {
            let end = self.hidden.iter().filter_map(|hidden| found(hidden, at)).max();
            let covered = hidden_to.is_some_and(|to| at < to);
            let mut character = [0; 4];
            let piece = match end {
                Some(_) if hidden_to.is_none_or(|to| at > to) => HIDDEN,
                None if !covered => c.encode_utf8(&mut character),
                _ => "",
            };
            hidden_to = hidden_to.max(end);
            let Some(rest) = left.checked_sub(piece.chars().count()) else {
                out.push('…');
                break;
            };
            left = rest;
            out.push_str(piece);
        }
        out
    }
}

impl Hidden {
    /// Where the secret ends, if it is at `at`.
    fn end_at(&self, text: &str, at: usize) -> Option<usize> {
        let end = at + self.text.expose().len();
        (text[at..].starts_with(self.text.expose()) && (!self.whole_word || is_word(text, at, end))).then_some(end)
    }

    /// The end of `text`, if the secret begins at `at` and goes on after that end.
    fn cut_at(&self, text: &str, at: usize) -> Option<usize> {
        let rest = &text[at..];
        let cut = !self.whole_word && rest.len() >= PART_MIN && self.text.expose().starts_with(rest);
        cut.then_some(text.len())
    }

    /// Whether it cannot be a word or a number of waitgate's own.
    fn is_telling(&self) -> bool {
        let text = self.text.expose();
        let word = text.bytes().all(|byte| byte.is_ascii_alphabetic() || byte == b'-');
        let number = text.bytes().all(|byte| byte.is_ascii_digit());
        !self.whole_word && (text.len() >= WORD_MAX || !(word || number))
    }
}

/// What a shown target says beyond the grammar: the address without its kind, and the values of its expectations.
fn values_in(shown: &str) -> String {
    let mut pieces = shown.split('#');
    let address = pieces.next().and_then(|address| address.split_once(':')).map_or("", |(_, rest)| rest);
    let values = pieces.filter_map(|piece| Some(piece.split_once('=')?.1));
    values.fold(address.to_owned(), |all, value| all + "#" + value).to_ascii_lowercase()
}

/// The value, and how a server or an output may spell it: escaped, as in a URL or a form, or in lower case as a host's name.
fn spellings(value: &str) -> Vec<String> {
    let encoded = percent_encoded(value);
    let mut spellings = vec![
        value.to_owned(),
        value.to_ascii_lowercase(),
        printable(value),
        value.escape_debug().to_string(),
        encoded.replace("%20", "+"),
        // In a path, waitgate leaves the slash of a value as it is.
        encoded.replace("%2F", "/"),
        percent_encoded_lower(&encoded),
        encoded,
    ];
    spellings.sort_unstable();
    spellings.dedup();
    spellings
}

/// Whether `word` is in `text` as a whole word.
fn has_word(text: &str, word: &str) -> bool {
    text.match_indices(word).any(|(at, _)| is_word(text, at, at + word.len()))
}

/// Whether no letter or digit is next to what is from `at` to `end`.
fn is_word(text: &str, at: usize, end: usize) -> bool {
    let around = [text[..at].chars().next_back(), text[end..].chars().next()];
    around.iter().flatten().all(|c| !c.is_alphanumeric())
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

/// The same with the hex digits in lower case.
fn percent_encoded_lower(encoded: &str) -> String {
    let mut pieces = encoded.split('%');
    let first = pieces.next().unwrap_or_default().to_owned();
    pieces.fold(first, |out, piece| {
        let (digits, rest) = piece.split_at(2.min(piece.len()));
        out + "%" + &digits.to_ascii_lowercase() + rest
    })
}

/// What Basic authentication sends for a login (RFC 7617 section 2, RFC 4648 section 4).
pub(crate) fn base64(text: &str) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = String::new();
    for group in text.as_bytes().chunks(3) {
        let bits = (0..3).fold(0, |bits, at| bits << 8 | usize::from(group.get(at).copied().unwrap_or_default()));
        for at in 0..4 {
            out.push(if at <= group.len() { char::from(DIGITS[bits >> (18 - 6 * at) & 63]) } else { '=' });
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mask(secrets: &[(&str, Form)], shown: &str) -> Mask {
        let notes = Notes::default();
        for (value, form) in secrets {
            notes.note(value, *form);
        }
        notes.mask(shown)
    }

    fn quoted(secrets: &[(&str, Form)], shown: &str, words: &str) -> String {
        mask(secrets, shown).quote(words, 1000)
    }

    #[test]
    fn a_secret_is_hidden_in_each_spelling() {
        let secrets = ["hunter2", "hunter2-long", "a\"b c/d", "tab\there", "Host2Host", "-----BEGIN X-----\nMIIB\n}\n"];
        let secrets = secrets.map(|secret| (secret, Form::Value));
        for (words, hidden) in [
            ("invalid input: \"hunter2\"", "invalid input: \"***\""),
            ("xhunter2-longx", "x***x"),
            ("hunter2hunter2 hunter2", "*** ***"),
            ("found \"a\\\"b c/d\" and a%22b%20c%2Fd, a%22b%20c%2fd, a%22b+c%2Fd", "found \"***\" and ***, ***, ***"),
            // A server that repeats the path of `http://h/$(NAME)`.
            ("a%22b%20c/d", "***"),
            ("tab\there tab\\there tab%09here", "*** *** ***"),
            ("at host2host.example", "at ***.example"),
            ("line 2 is MIIB }", "line 2 is *** }"),
            ("no file -----BEGIN X-----\\nMIIB", "no file ***"),
        ] {
            assert_eq!(quoted(&secrets, "tcp:db:1", words), hidden);
        }
        assert!(!format!("{:?}", mask(&secrets, "")).contains("hunter2"));
    }

    #[test]
    fn a_short_secret_and_a_user_are_hidden_as_whole_words() {
        let secrets = [("abc", Form::Value), ("data", Form::Word), ("", Form::Value), (" \n", Form::Value)];
        let words = "abc abcd o'abc' database data, 1data";
        assert_eq!(quoted(&secrets, "", words), "*** abcd o'***' database ***, 1data");
    }

    #[test]
    fn each_word_of_a_text_is_hidden() {
        let data = [("{\"user\": \"me\", \"pw\": \"hunter2\"}", Form::Text), ("a=1&token=s3cr3t", Form::Text)];
        assert_eq!(quoted(&data, "", "me: hunter2, s3cr3t, a=1&token=s3cr3t"), "me: ***, ***, ***");
    }

    #[test]
    fn what_the_target_shows_is_no_secret() {
        let secrets = ["db.Example", "5432", "shop", "postgres", "query"].map(|secret| (secret, Form::Value));
        let shown = "postgres://db.example:5432/shop#query=SELECT 1";
        let words = "db.example:5432 has shop, postgres, query";
        assert_eq!(quoted(&secrets, shown, words), "db.example:5432 has shop, ***, ***");
    }

    #[test]
    fn words_are_shortened_after_the_secrets_are_hidden() {
        let mask = mask(&[("hunter2hunter2", Form::Value), ("secret-end", Form::Value)], "");
        for max in 0..30 {
            let words = mask.quote("it was hunter2hunter2, no", max);
            assert!(!words.contains("hu") && words.chars().count() <= max + 1, "{words}");
        }
        assert_eq!(mask.quote("it was hunter2hunter2, no", 12), "it was ***, …");
        assert_eq!(mask.quote("it was hunter2hunter2", 10), "it was ***");
        assert_eq!(mask.quote("it was hunter2hunt", 100), "it was ***", "something cut it earlier");
        assert_eq!(mask.quote("hunter2huntersecret-end", 100), "hunter2hunter***");
        assert_eq!(mask.quote("ääää", 2), "ää…");
    }

    #[test]
    fn overlapping_secrets_are_hidden_whole() {
        assert_eq!(quoted(&[("abcdef", Form::Value), ("defghi", Form::Value)], "", "-abcdefghi-"), "-***-");
    }

    #[test]
    fn the_net_leaves_waitgates_own_words() {
        let secrets = ["connection", "verify-full", "1234", "correcthorsebatterystaple", "hunter2", "the"]
            .map(|secret| (secret, Form::Value));
        let text = "10.0.0.1:12345 closed the connection (verify-full): hunter2 correcthorsebatterystaple";
        let screened = mask(&secrets, "").screen(text);
        assert_eq!(screened, "10.0.0.1:12345 closed the connection (verify-full): *** ***");
        assert_eq!(mask(&secrets, "").screen("ends with hunt"), "ends with hunt");
    }

    #[test]
    fn a_secret_can_be_added_later() {
        let first = mask(&[("hunter2", Form::Value)], "tcp:db:1");
        let mut second = first.clone();
        second.add(&Secret::new("s3cr3t\n"), Form::Value);
        assert_eq!((first.quote("s3cr3t", 9), second.quote("s3cr3t hunter2", 9)), ("s3cr3t".into(), "*** ***".into()));
    }

    #[test]
    fn a_login_is_known_in_base64() {
        // RFC 4648 section 10 and RFC 7617 section 2.
        for (text, encoded) in [("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foobar", "Zm9vYmFy")] {
            assert_eq!(base64(text), encoded);
        }
        assert_eq!(base64("Aladdin:open sesame"), "QWxhZGRpbjpvcGVuIHNlc2FtZQ==");
    }

    #[test]
    fn debug_and_display_hide_the_secret() {
        let secret = Secret::new("hunter2");
        assert_eq!(format!("{secret} {secret:?} {secret:#?}"), "*** *** ***");
        assert_eq!(secret.expose(), "hunter2");
    }
}
