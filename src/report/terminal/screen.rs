//! The live view on the screen: rows at the bottom of a terminal. Each drawing replaces the one before.

use std::fmt::Write as _;

use rustix::stdio::stderr;
use unicode_width::UnicodeWidthChar as _;

/// A terminal's columns and rows.
pub(in crate::report) type Size = (usize, usize);

/// How many rows may be drawn. A row that scrolls off the screen cannot be erased. The last line of the log stays
/// visible.
pub(super) fn room(height: usize) -> usize {
    height.saturating_sub(1)
}

/// The view on the screen. The cursor stays on its first row. A terminal that is resized keeps it there, even if it
/// wraps the rows below again, and even if waitgate does not know the new size yet.
#[derive(Default)]
pub(in crate::report) struct View {
    /// The rows, before they are cut to the terminal's width.
    pub(in crate::report) rows: String,
    /// Whether rows are on the screen now.
    pub(in crate::report) drawn: bool,
}

impl View {
    /// The codes that erase the drawn rows: first the first row, then everything from its second column to the end of
    /// the screen. If everything were erased from the screen's first column and row, tmux would keep it in its history.
    pub(in crate::report) fn erase(&self) -> &'static str {
        if self.drawn { "\r\x1b[K\x1b[C\x1b[J\r" } else { "" }
    }

    /// The rows, each cut to the terminal's width: as many as fit on the screen and into `space` bytes.
    pub(in crate::report) fn draw(&self, space: usize) -> String {
        // Wrapping is off while the rows are drawn, so a row that is wider than we think still takes one line.
        const WRAP_OFF: &str = "\x1b[?7l";
        const WRAP_ON: &str = "\x1b[?7h";
        // The bytes for these codes and for the way back to the first row.
        const CODES: usize = 32;
        let (width, height) = size();
        let (mut text, mut drawn) = (String::new(), 0);
        for row in self.rows.lines().take(room(height)) {
            let row = fit(row, width.saturating_sub(1));
            if text.len() + row.len() + CODES > space {
                break;
            }
            text.push_str(if drawn == 0 { WRAP_OFF } else { "\n" });
            text.push_str(&row);
            drawn += 1;
        }
        if drawn > 0 {
            text.push_str(WRAP_ON);
            text.push('\r');
        }
        if drawn > 1 {
            let _ = write!(text, "\x1b[{}A", drawn - 1);
        }
        text
    }
}

/// `row` in at most `width` columns. A cut is marked with an ellipsis, and ends the colour.
fn fit(row: &str, width: usize) -> String {
    if columns(row) <= width {
        return row.to_owned();
    }
    let (mut text, mut taken) = (String::new(), 0);
    for (c, columns) in measured(row) {
        taken += columns;
        if taken >= width {
            break;
        }
        text.push(c);
    }
    text.push('…');
    if text.contains('\x1b') {
        text.push_str("\x1b[0m");
    }
    text
}

/// How many columns `text` takes.
pub(super) fn columns(text: &str) -> usize {
    measured(text).map(|(_, columns)| columns).sum()
}

/// The characters of `text`, each with its columns. The escape sequences of our colours have no columns.
fn measured(text: &str) -> impl Iterator<Item = (char, usize)> {
    let mut escape = false;
    text.chars().map(move |c| {
        let columns = if escape { 0 } else { c.width().unwrap_or_default() };
        escape = c == '\x1b' || (escape && c != 'm');
        (c, columns)
    })
}

/// The terminal's columns and rows.
pub(in crate::report) fn size() -> Size {
    let (columns, rows) = rustix::termios::tcgetwinsize(stderr()).map_or((0, 0), |size| (size.ws_col, size.ws_row));
    (if columns == 0 { 80 } else { columns.into() }, if rows == 0 { 24 } else { rows.into() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_what_a_terminal_shows() {
        assert_eq!(columns("\x1b[33mwaiting\x1b[0m"), 7);
        assert_eq!(columns("e\u{301}té"), 3, "a combining accent has no column of its own");
        assert_eq!(columns("数据库"), 6);
    }

    #[test]
    fn a_cut_is_marked_and_ends_its_colour() {
        assert_eq!(fit("waiting", 7), "waiting");
        assert_eq!(fit("waiting", 6), "waiti…");
        assert_eq!(fit("数据库", 5), "数据…");
        assert_eq!(fit("数据库", 4), "数…", "half a character is not shown");
        assert_eq!(fit("\x1b[33mwaiting\x1b[0m", 5), "\x1b[33mwait…\x1b[0m");
        let accents = format!("{}bcdef", "a\u{301}\u{302}".repeat(2));
        assert_eq!(fit(&accents, 4), "a\u{301}\u{302}a\u{301}\u{302}b…");
    }
}
