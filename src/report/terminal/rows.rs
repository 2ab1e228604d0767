//! The rows of the live view: one or two for each target that is not ready.

use super::screen::{Size, columns, room};
use crate::event::Standing;
use crate::text::{self, count};

/// How many targets the view shows.
const TARGETS_MAX: usize = 8;

/// Rows for each target that is not ready: its state, the target, its attempts and the reason. If the reason does not
/// fit on the same row, it has a row of its own. Targets without room are counted.
pub(in crate::report) fn rows(standings: &[Standing], color: bool, (width, height): Size) -> String {
    let missing: Vec<&Standing> = standings.iter().filter(|standing| !standing.ready).collect();
    // The columns are aligned, except after a long target: it would leave the others no room for their reasons.
    let tried = missing.iter().take(TARGETS_MAX).filter(|standing| standing.waited.is_some());
    let fitting = tried.map(|standing| columns(&standing.target)).filter(|columns| *columns <= width / 3);
    let wide = fitting.max().unwrap_or_default();
    let mut rows = Vec::new();
    for (at, standing) in missing.iter().enumerate() {
        let own = target(standing, wide, color, width);
        let others = usize::from(at + 1 < missing.len());
        if at == TARGETS_MAX || (at > 0 && rows.len() + own.len() + others > room(height)) {
            rows.push(format!("and {} more", missing.len() - at));
            break;
        }
        rows.extend(own);
    }
    rows.join("\n")
}

/// The one or two rows of a target. The target itself takes at least `wide` columns.
fn target(standing: &Standing, wide: usize, color: bool, width: usize) -> Vec<String> {
    let paint = |code: &str, text: &str| if color { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() };
    let Standing { target, attempts, .. } = standing;
    let Some(waited) = standing.waited else {
        return vec![format!("{}    {target}", paint("2", "not tried yet"))];
    };
    let state = format!("{} {:>7}", paint("33", "waiting"), text::duration(waited));
    let filling = " ".repeat(wide.saturating_sub(columns(target)));
    let attempts = count(*attempts as usize, "attempt");
    let why = standing.why();
    let whole = format!("{state}  {target}{filling}  {attempts:<12}  {why}");
    if columns(&whole) < width {
        return vec![whole];
    }
    vec![format!("{state}  {target}{filling}  {attempts}"), format!("    {why}")]
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
    fn a_reason_is_on_the_same_row_if_it_fits() {
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
    fn targets_without_room_are_counted() {
        let all: Vec<Standing> = (0..20).map(|n| standing(&format!("tcp:h{n}:1"), 3, "refused")).collect();
        let last = |size| rows(&all, false, size).lines().last().map(str::to_owned);
        let count = |size| rows(&all, false, size).lines().count();
        assert_eq!((count((80, 24)), last((80, 24))), (9, Some("and 12 more".into())));
        assert_eq!((count((80, 6)), last((80, 6))), (5, Some("and 16 more".into())));
        assert_eq!((count((40, 6)), last((40, 6))), (5, Some("and 18 more".into())), "two rows each");
    }
}
