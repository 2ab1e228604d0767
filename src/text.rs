//! Text for a person: printable characters, durations, counts, lists, cut text, and the nearest known name.

use std::fmt::Display;
use std::io;
use std::time::Duration;

use anyhow::{Result, anyhow};

/// `text` with every character escaped that controls, or that cannot be seen.
///
/// So no text from a server can control a terminal, fake a log line, or look like another text. These are the control
/// characters, the line and paragraph separators, the characters that change the direction (Unicode's Bidi_Control), and
/// those without a width that can hide text: zero width ones, the byte order mark, tags.
pub(crate) fn printable(text: &str) -> String {
    let hostile = |c: char| {
        c.is_control()
            || matches!(c,
                '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
                | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
    };
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if hostile(c) { out.extend(c.escape_default()) } else { out.push(c) }
    }
    out
}

/// A duration as a person reads it: `850ms`, `12.3s`, `2m 5s`.
pub(crate) fn duration(duration: Duration) -> String {
    match duration.as_millis() {
        0 if duration.is_zero() => "0s".into(),
        // Not "0s": something happened in this time.
        0 => format!("0.{}ms", duration.as_micros().div_ceil(100).clamp(1, 9)),
        millis @ 1..1000 => format!("{millis}ms"),
        millis @ 1000..60_000 if millis % 1000 < 100 => format!("{}s", millis / 1000),
        millis @ 1000..60_000 => format!("{}.{}s", millis / 1000, millis % 1000 / 100),
        // No days: an option takes at most 24h, and says so.
        _ => {
            let seconds = duration.as_secs();
            let parts = [(seconds / 3600, "h"), (seconds / 60 % 60, "m"), (seconds % 60, "s")];
            let parts = parts.iter().filter(|(number, _)| *number > 0).map(|(number, unit)| format!("{number}{unit}"));
            parts.collect::<Vec<_>>().join(" ")
        }
    }
}

/// `1 target`, `2 targets`.
pub(crate) fn count(n: usize, what: &str) -> String {
    format!("{n} {what}{}", if n == 1 { "" } else { "s" })
}

/// Adds the expected form to an error about wrong input. The cause comes first.
pub(crate) trait InForm<T> {
    /// The error becomes `CAUSE (FORM)`. The form begins with "expected".
    fn in_form(self, form: &str) -> Result<T>;
}

impl<T> InForm<T> for Result<T> {
    fn in_form(self, form: &str) -> Result<T> {
        self.map_err(|error| anyhow!("{error:#} ({form})"))
    }
}

/// The first four items, and how many more there are.
pub(crate) fn list<T: Display>(items: &[T]) -> String {
    const SHOWN: usize = 4;
    let mut list: Vec<String> = items.iter().take(SHOWN).map(ToString::to_string).collect();
    if items.len() > SHOWN {
        list.push(format!("{} more", items.len() - SHOWN));
    }
    list.join(", ")
}

/// `text` in at most `max` bytes. If it is longer, it is cut and ends with an ellipsis.
pub(crate) fn cut(mut text: String, max: usize) -> String {
    if text.len() > max {
        text.truncate(text.floor_char_boundary(max - '…'.len_utf8()));
        text.push('…');
    }
    text
}

/// The operating system's words for an error, without the error number that std adds.
pub(crate) fn os_error(error: &io::Error) -> String {
    let text = error.to_string();
    match text.split_once(" (os error") {
        Some((words, _)) => words.to_lowercase(),
        None => text,
    }
}

/// The candidate that is nearest to `word`, if at most `most` letters differ.
pub(crate) fn nearest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>, most: usize) -> Option<&'a str> {
    let near = candidates.into_iter().map(|known| (distance(word, known), known)).min()?;
    (near.0 <= most && near.0 < near.1.len()).then_some(near.1)
}

/// How many changes turn `a` into `b`. A change replaces, adds or removes a letter, or swaps two neighbours.
pub(crate) fn distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().take(32).collect(), b.chars().take(32).collect());
    let mut rows = vec![vec![0; b.len() + 1]; a.len() + 1];
    for i in 0..=a.len() {
        for j in 0..=b.len() {
            rows[i][j] = if i == 0 || j == 0 {
                i + j
            } else {
                let replaced = rows[i - 1][j - 1] + usize::from(a[i - 1] != b[j - 1]);
                let mut best = replaced.min(rows[i - 1][j] + 1).min(rows[i][j - 1] + 1);
                if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                    best = best.min(rows[i - 2][j - 2] + 1);
                }
                best
            };
        }
    }
    rows[a.len()][b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_characters_are_escaped() {
        assert_eq!(printable("answered \u{1b}[2J\r\nready\u{202e}"), "answered \\u{1b}[2J\\r\\nready\\u{202e}");
        for hidden in ['\u{61c}', '\u{200b}', '\u{200f}', '\u{2066}', '\u{feff}', '\u{e0041}'] {
            assert_eq!(printable(&format!("a{hidden}b")), format!("a\\u{{{:x}}}b", u32::from(hidden)));
        }
        assert_eq!(printable("bücher e\u{301} 数"), "bücher e\u{301} 数");
    }

    #[test]
    fn durations_are_short() {
        for (millis, text) in [
            (0, "0s"),
            (850, "850ms"),
            (3000, "3s"),
            (3049, "3s"),
            (12_345, "12.3s"),
            (125_900, "2m 5s"),
            (900_000, "15m"),
            (3_660_000, "1h 1m"),
            (86_400_000, "24h"),
        ] {
            assert_eq!(duration(Duration::from_millis(millis)), text);
        }
        for (nanos, text) in [(1, "0.1ms"), (400_000, "0.4ms"), (999_999, "0.9ms")] {
            assert_eq!(duration(Duration::from_nanos(nanos)), text);
        }
    }

    #[test]
    fn a_swap_counts_as_one_letter() {
        assert_eq!(distance("sttaus", "status"), 1);
        assert_eq!(distance("", "abc"), 3);
        assert_eq!(nearest("htp", ["dns", "http"], 2), Some("http"));
        assert_eq!(nearest("zzz", ["dns", "http"], 2), None);
        assert_eq!(nearest("", ["a"], 1), None, "an empty word has no nearest name");
    }

    #[test]
    fn a_cut_is_between_characters() {
        assert_eq!(cut("ääää".into(), 7), "ää…");
        assert_eq!(cut("ä".into(), 2), "ä");
        assert_eq!(list(&[1, 2, 3, 4, 5, 6]), "1, 2, 3, 4, 2 more");
        assert_eq!((count(1, "target"), count(0, "target")), ("1 target".into(), "0 targets".into()));
    }
}
