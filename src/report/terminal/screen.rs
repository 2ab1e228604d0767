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
    /// The columns of each row that was drawn last, and the terminal's size then.
    last: (Vec<usize>, Size),
    /// A smaller terminal wrapped the rows into more lines than it has, so some are in its history. A terminal that
    /// grows again brings them back above the cursor, where no code can erase them alone.
    torn: bool,
    /// The terminal has grown and may show torn rows: the next drawing clears the whole screen.
    pub(in crate::report) clear: bool,
}

impl View {
    /// The codes that erase the drawn rows: first the first row, then everything from its second column to the end of
    /// the screen. If everything were erased from the screen's first column and row, tmux would keep it in its history.
    pub(in crate::report) fn erase(&self) -> &'static str {
        match (self.drawn, self.clear) {
            (false, _) => "",
            (true, false) => "\r\x1b[K\x1b[C\x1b[J\r",
            // A terminal that wraps lines again keeps in its history what this clears, lines of the log too.
            (true, true) => "\x1b[2J\x1b[H",
        }
    }

    /// Looks at the terminal's size, before the rows are drawn again.
    pub(in crate::report) fn look(&mut self) {
        self.resized(size());
    }

    fn resized(&mut self, now: Size) {
        let (rows, last) = &self.last;
        if !self.drawn || now == *last {
            return;
        }
        let lines: usize = rows.iter().map(|row| row.div_ceil(now.0.max(1)).max(1)).sum();
        self.torn |= lines > room(now.1);
        self.clear |= self.torn && (now.0 > last.0 || now.1 > last.1);
    }

    /// The rows, each cut to the terminal's width: as many as fit on the screen and into `space` bytes.
    pub(in crate::report) fn draw(&mut self, space: usize) -> String {
        // Wrapping is off while the rows are drawn, so a row that is wider than we think still takes one line.
        const WRAP_OFF: &str = "\x1b[?7l";
        const WRAP_ON: &str = "\x1b[?7h";
        // The bytes for these codes and for the way back to the first row.
        const CODES: usize = 32;
        let (width, height) = size();
        let (mut text, mut drawn) = (String::new(), 0);
        self.last = (Vec::new(), (width, height));
        for row in self.rows.lines().take(room(height)) {
            let row = fit(row, width.saturating_sub(1));
            if text.len() + row.len() + CODES > space {
                break;
            }
            text.push_str(if drawn == 0 { WRAP_OFF } else { "\n" });
            text.push_str(&row);
            self.last.0.push(columns(&row));
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
    fn a_view_that_was_torn_is_cleared_when_the_terminal_grows() {
        let view = |sizes: &[Size]| {
            let mut view = View { drawn: true, last: (vec![79; 10], (80, 24)), ..View::default() };
            for size in sizes {
                view.resized(*size);
                view.last.1 = *size;
            }
            view.clear
        };
        assert!(!view(&[(80, 24)]) && !view(&[(120, 50)]) && !view(&[(60, 24), (80, 24)]));
        assert!(!view(&[(20, 24)]), "it is smaller, so nothing comes back");
        assert!(view(&[(20, 24), (80, 24)]) && view(&[(80, 5), (80, 24)]) && view(&[(20, 24), (20, 30)]));
    }

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
