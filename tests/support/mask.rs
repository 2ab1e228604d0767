//! What differs from run to run, taken out of a text that is compared.

use regex_lite::{Captures, Regex};

/// Each duration becomes `TIME` and each number of attempts `N`, if they are not in `kept`.
pub(crate) fn mask(text: &str, kept: &[&str]) -> String {
    let mut text = text.to_owned();
    for (pattern, mask) in [
        (r"\b[0-9]+(\.[0-9]+)?(ms|s|m|h)\b", "TIME"),
        (r"\b[0-9]+ attempts?\b", "N attempts"),
        (r"\battempt [0-9]+\b", "attempt N"),
    ] {
        let pattern = Regex::new(pattern).expect("a pattern");
        let masked =
            |found: &Captures<'_>| if kept.contains(&&found[0]) { found[0].to_owned() } else { mask.to_owned() };
        text = pattern.replace_all(&text, masked).into_owned();
    }
    text
}
