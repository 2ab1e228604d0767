//! The table of kinds as text: for `--help`, for `-h`, and for docs/targets.md.

use super::expect::{COMMON, Spec};
use super::{KINDS, Row};

const ENV: (&str, &str) = ("env:NAME", "the address is the value of the environment variable NAME");

/// The forms of targets, and when they are ready, for `--help`.
pub(crate) fn kinds() -> String {
    let forms = KINDS.iter().flat_map(|row| row.help).chain([&ENV]);
    forms.fold(String::new(), |out, (form, ready)| out + &columns(form, ready))
}

/// Every expectation, for `--help`: under the kinds that take it, each once.
pub(crate) fn expectations() -> String {
    let mut out = "Any target:\n".to_owned();
    let add = |out: String, spec: &Spec| out + &columns(&spec.form(), spec.says);
    let (of_all, of_some): (Vec<_>, Vec<_>) = groups().into_iter().partition(|(kinds, _)| kinds.len() == KINDS.len());
    out = COMMON.iter().chain(of_all.iter().flat_map(|(_, specs)| specs)).fold(out, add);
    of_some.iter().fold(out, |out, (kinds, specs)| specs.iter().fold(out + &kinds.join(", ") + ":\n", add))
}

/// The words of the forms, in lines of at most 78 columns, for `-h`.
pub(crate) fn forms() -> String {
    const COLUMNS: usize = 78;
    let forms = KINDS.iter().map(|row| row.form).chain([ENV.0]);
    let mut lines = vec![String::new()];
    for form in forms {
        if lines.last().is_some_and(|line| line.len() + 2 + form.len() > COLUMNS) {
            lines.push(String::new());
        }
        if let Some(line) = lines.last_mut() {
            line.push_str("  ");
            line.push_str(form);
        }
    }
    lines.join("\n") + "\n"
}

/// The words before the colon, each with when such a target is ready, for completions.
pub(crate) fn words() -> impl Iterator<Item = (&'static str, &'static str)> {
    let of_row = |row: &'static Row| {
        row.names.iter().map(|name| {
            let is_its_form = |(form, _): &&(&str, &str)| form.split(':').next() == Some(*name);
            let found = row.help.iter().find(is_its_form).or(row.help.first());
            (*name, found.map(|(_, ready)| *ready).unwrap_or_default())
        })
    };
    KINDS.iter().flat_map(of_row).chain([("env", ENV.1)])
}

/// Two columns; what is too long for the first one has a line of its own.
fn columns(left: &str, right: &str) -> String {
    const COLUMN: usize = 29;
    if left.len() + 1 < COLUMN {
        format!("  {left:COLUMN$}{right}\n")
    } else {
        format!("  {left}\n  {:COLUMN$}{right}\n", "")
    }
}

/// The expectations in groups: all in one group are taken by the same kinds.
fn groups() -> Vec<(Vec<&'static str>, Vec<Spec>)> {
    let mut groups: Vec<(Vec<&str>, Vec<Spec>)> = Vec::new();
    for spec in KINDS.iter().flat_map(|row| row.expectations) {
        let kinds: Vec<&str> =
            KINDS.iter().filter(|row| row.expectations.contains(spec)).map(Row::first_name).collect();
        match groups.iter_mut().find(|(known, _)| *known == kinds) {
            Some((_, specs)) if specs.contains(spec) => {}
            Some((_, specs)) => specs.push(*spec),
            None => groups.push((kinds, vec![*spec])),
        }
    }
    groups
}

impl Row {
    fn first_name(&self) -> &'static str {
        self.names.first().copied().unwrap_or_default()
    }
}

/// docs/targets.md.
#[cfg(test)]
fn page() -> String {
    use std::fmt::Write as _;

    const HEAD: &str = include_str!("targets_head.md");
    let cell = |text: &str| text.replace('|', "\\|");
    let list = |specs: &[Spec]| {
        let row = |spec: &Spec| {
            let often = if spec.repeatable { " (may be given several times)" } else { "" };
            format!("| `{}` | {}{often} |\n", cell(&spec.form()), cell(spec.says))
        };
        specs.iter().map(row).fold("| expectation | it means |\n|---|---|\n".to_owned(), |out, row| out + &row)
    };
    let mut out = format!("{HEAD}\n## Any target\n\n{}", list(COMMON));
    for row in KINDS {
        let names: Vec<String> = row.names.iter().map(|name| format!("`{name}:`")).collect();
        let _ = write!(out, "\n## {}\n\n| target | ready when |\n|---|---|\n", names.join(", "));
        for (form, ready) in row.help {
            let _ = writeln!(out, "| `{}` | {} |", cell(form), cell(ready));
        }
        if !row.also.is_empty() {
            let also: Vec<String> = row.also.iter().map(|name| format!("`{name}:`")).collect();
            let _ = write!(out, "\nURLs of applications with these schemes are taken too: {}.\n", also.join(", "));
        }
        if row.drops_driver {
            let _ = write!(out, "\nA driver after the name is dropped: `{}+DRIVER:`.\n", row.first_name());
        }
        let _ = write!(out, "\n{}", list(row.expectations));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_expectation_is_described_in_one_line() {
        for spec in KINDS.iter().flat_map(|row| row.expectations).chain(COMMON) {
            assert!(!spec.says.is_empty() && spec.says.len() <= 90, "#{}", spec.name);
        }
        for line in expectations().lines() {
            assert!(line.len() <= 120, "{line}");
        }
        assert_eq!(expectations().matches("#hold=").count(), 1);
    }

    #[cfg(all(feature = "dns", feature = "http", feature = "postgres", feature = "tls"))]
    #[test]
    fn targets_md_has_the_table_of_kinds() {
        expect_test::expect_file!["../../docs/targets.md"].assert_eq(&page());
    }
}
