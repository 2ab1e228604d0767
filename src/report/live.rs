//! The live view: where the targets stand, in rows at the foot of a terminal, each drawing in the last one's place.

use std::fmt::Write as _;

use rustix::stdio::stderr;
use unicode_width::UnicodeWidthChar as _;

use super::text::why;
use crate::plan::count;
use crate::trail::short;
use crate::verdict::Standing;

/// How many targets it shows.
const TARGETS: usize = 8;

/// A terminal's columns and rows.
pub type Size = (usize, usize);

/// Rows for each target that is not ready: its state, the target, its attempts and, on the same row where it fits
/// whole, else on one of its own, the reason. What has no room is counted.
#[must_use]
pub fn rows(standings: &[Standing], color: bool, (width, height): Size) -> String {
    let missing: Vec<&Standing> = standings.iter().filter(|standing| !standing.ready).collect();
    // One below the other, save for long ones, which would leave the others no room for their reasons.
    let tried = missing.iter().take(TARGETS).filter(|standing| standing.waited.is_some());
    let fitting = tried.map(|standing| columns(&standing.target)).filter(|columns| *columns <= width / 3);
    let wide = fitting.max().unwrap_or_default();
    let mut rows = Vec::new();
    for (at, standing) in missing.iter().enumerate() {
        let own = target(standing, wide, color, width);
        let others = usize::from(at + 1 < missing.len());
        if at == TARGETS || (at > 0 && rows.len() + own.len() + others > room(height)) {
            rows.push(format!("and {} more", missing.len() - at));
            break;
        }
        rows.extend(own);
    }
    rows.join("\n")
}

/// The one or two rows of a target, which itself takes at least `wide` columns.
fn target(standing: &Standing, wide: usize, color: bool, width: usize) -> Vec<String> {
    let paint = |code: &str, text: &str| if color { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() };
    let Standing { target, attempts, .. } = standing;
    let Some(waited) = standing.waited else {
        return vec![format!("{}    {target}", paint("2", "not tried yet"))];
    };
    let state = format!("{} {:>7}", paint("33", "waiting"), short(waited));
    let filling = " ".repeat(wide.saturating_sub(columns(target)));
    let attempts = count(*attempts as usize, "attempt");
    let why = why(standing);
    let whole = format!("{state}  {target}{filling}  {attempts:<12}  {why}");
    if columns(&whole) < width {
        return vec![whole];
    }
    vec![format!("{state}  {target}{filling}  {attempts}"), format!("    {why}")]
}

/// How many rows may be drawn: what scrolls off the screen cannot be taken off it again. The last line stays in sight.
fn room(height: usize) -> usize {
    height.saturating_sub(1)
}

/// The view on the screen. The cursor rests on its first row, and a terminal that is resized keeps it there, whether
/// that wraps the rows below anew or not, and whether we have heard of the new size or not.
#[derive(Default)]
pub(super) struct View {
    /// Its rows, not cut to any width.
    pub(super) rows: String,
    /// Whether there is one on the screen.
    pub(super) drawn: bool,
}

impl View {
    /// What takes the drawn rows off the screen: the first, then from its second column on all below. tmux would keep
    /// what is erased from the screen's first column and row on in its history.
    pub(super) fn erase(&self) -> &'static str {
        if self.drawn { "\r\x1b[K\x1b[C\x1b[J\r" } else { "" }
    }

    /// The rows, each cut to the terminal's width: as many as fit on it, and into `space` bytes.
    pub(super) fn draw(&self, space: usize) -> String {
        // No wrapping meanwhile: a row that is wider than we think still takes one line.
        const WRAP_OFF: &str = "\x1b[?7l";
        const WRAP_ON: &str = "\x1b[?7h";
        // What these and the way back to the first row take.
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

/// `row` in at most `width` columns, a cut marked and its colour ended.
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
fn columns(text: &str) -> usize {
    measured(text).map(|(_, columns)| columns).sum()
}

/// The characters of `text`, each with its columns; the escape sequences of our colours have none.
fn measured(text: &str) -> impl Iterator<Item = (char, usize)> {
    let mut escape = false;
    text.chars().map(move |c| {
        let columns = if escape { 0 } else { c.width().unwrap_or_default() };
        escape = c == '\x1b' || (escape && c != 'm');
        (c, columns)
    })
}

/// The terminal's columns and rows.
#[must_use]
pub fn size() -> Size {
    let (columns, rows) = rustix::termios::tcgetwinsize(stderr()).map_or((0, 0), |size| (size.ws_col, size.ws_row));
    (if columns == 0 { 80 } else { columns.into() }, if rows == 0 { 24 } else { rows.into() })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::reason::{Code, Reason};

    fn standing(target: &str, attempts: u32, reason: &str) -> Standing {
        let waited = (attempts > 0).then(|| Duration::from_millis(12_340));
        let reason = (attempts > 0).then(|| Reason::new(Code::ConnectRefused, reason));
        Standing { target: target.into(), attempts, waited, ready: false, in_a_row: 0, successes: 1, reason }
    }

    #[test]
    fn a_reason_stands_on_the_same_row_where_it_fits() {
        let mut ready = standing("tcp:a:1", 1, "");
        ready.ready = true;
        let all = [ready, standing("tcp:b.example:1", 45, "refused by 10.0.0.1:1"), standing("dns:c", 0, "")];
        assert_eq!(
            rows(&all, false, (80, 24)),
            "waiting   12.3s  tcp:b.example:1  45 attempts   refused by 10.0.0.1:1\nnot tried yet    dns:c"
        );
        assert_eq!(
            rows(&all, false, (60, 24)),
            "waiting   12.3s  tcp:b.example:1  45 attempts\n    refused by 10.0.0.1:1\nnot tried yet    dns:c"
        );
        assert!(rows(&all, true, (80, 24)).starts_with("\x1b[33mwaiting\x1b[0m   12.3s  tcp:b.example:1  45 attempts"));
    }

    #[test]
    fn what_has_no_room_is_counted() {
        let all: Vec<Standing> = (0..20).map(|n| standing(&format!("tcp:h{n}:1"), 3, "refused")).collect();
        let last = |size| rows(&all, false, size).lines().last().map(str::to_owned);
        let count = |size| rows(&all, false, size).lines().count();
        assert_eq!((count((80, 24)), last((80, 24))), (9, Some("and 12 more".into())));
        assert_eq!((count((80, 6)), last((80, 6))), (5, Some("and 16 more".into())));
        assert_eq!((count((40, 6)), last((40, 6))), (5, Some("and 18 more".into())), "two rows each");
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
        assert_eq!(fit("数据库", 4), "数…", "half a character is none");
        assert_eq!(fit("\x1b[33mwaiting\x1b[0m", 5), "\x1b[33mwait…\x1b[0m");
        let accents = format!("{}bcdef", "a\u{301}\u{302}".repeat(2));
        assert_eq!(fit(&accents, 4), "a\u{301}\u{302}a\u{301}\u{302}b…");
    }
}
