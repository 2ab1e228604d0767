//! docs/faults.md: for each kind, the reason that each fault gives in each stage.

use std::fmt::Write as _;

use super::Outcomes;
use super::bound::Bound;
use super::row::Row;
use crate::support::fault::Fault;

const HEAD: &str = "\
# Faults

What a peer does wrong, in which stage of an attempt, and the reason that waitgate gives for it. The test
`tests/real/matrix` makes each fault in this page three times: the attempt's timeout ends the first run, the deadline the
second, SIGTERM the third. Each run must end in time with status 1, in 16 MiB of memory (`endless, 8 MiB`: in half of it),
without a secret in its output, and with no socket and no process left. If the three runs give different reasons, the
cell has all of them in this order. Most servers send what the row says in place of one answer and then keep the
connection open. A column that is named after a file (such as `header`, `password file` or `ca`) has its faults in that file,
which each attempt reads: the server would be ready, and the reason names the file.

This page is generated from the test. [CONTRIBUTING.md](../CONTRIBUTING.md#run-the-tests) says how to write it again, and
[reasons.md](reasons.md) what each reason means.
";

/// The rows of one kind are one table.
pub(super) fn of(rows: &[Row], outcomes: &Outcomes) -> String {
    let mut page = HEAD.to_owned();
    for rows in rows.chunk_by(|one, next| one.kind == next.kind) {
        let columns: Vec<&str> = rows.iter().map(|row| row.column).collect();
        let targets: Vec<String> = rows.iter().map(|row| format!("`{}`", row.target)).collect();
        let _ = write!(page, "\n## {}\n\nThe targets: {}.\n", rows[0].kind, targets.join(", "));
        let _ = write!(page, "\n| fault | {} |\n|{}\n", columns.join(" | "), "---|".repeat(columns.len() + 1));
        let mut faults: Vec<Fault> = rows.iter().flat_map(|row| row.faults.iter().copied()).collect();
        faults.sort_unstable();
        faults.dedup();
        for fault in faults.into_iter().filter(|fault| *fault != Fault::None) {
            let cells: Vec<String> = rows.iter().map(|row| cell(row, fault, outcomes)).collect();
            let _ = writeln!(page, "| {} | {} |", fault.words(), cells.join(" | "));
        }
    }
    page
}

fn cell(row: &Row, fault: Fault, outcomes: &Outcomes) -> String {
    let mut codes: Vec<&str> = Bound::ALL
        .iter()
        .filter_map(|bound| outcomes.get(&(row.number, fault, *bound)))
        .map(|outcome| outcome.code.as_str())
        .collect();
    if codes.windows(2).all(|pair| pair[0] == pair[1]) {
        codes.truncate(1);
    }
    if codes.is_empty() { "–".to_owned() } else { codes.join(", ") }
}
