//! `--explain CODE`: what a code means, and what to look at. docs/reasons.md has the same for all codes.

use crate::gate::backoff::cap;
use crate::reason::Code;
#[cfg(test)]
use crate::reason::Hint;
use crate::text::{duration, nearest};

/// The explanation of `code`, as --explain prints it.
pub(crate) fn explain(code: Code) -> String {
    let pause = duration(cap(code.cost()));
    format!("{code}\n  {}\n  {}\n  The pause between attempts grows up to {pause}.\n", code.summary(), code.advice())
}

/// The code with this name. The error is a sentence about an unknown name.
pub(crate) fn named(name: &str) -> Result<Code, String> {
    if let Some(code) = Code::ALL.iter().find(|code| code.as_str() == name) {
        return Ok(*code);
    }
    let all = || Code::ALL.iter().map(|code| code.as_str());
    let meant = match nearest(name, all(), 4) {
        Some(code) => format!(": did you mean {code}?"),
        None => String::new(),
    };
    let all: Vec<&str> = all().collect();
    Err(format!("--explain: there is no such code{meant} (the codes are {})", all.join(", ")))
}

/// docs/reasons.md.
#[cfg(test)]
fn reasons_md() -> String {
    let mut out = String::from(
        "# Reasons\n\nWhy an attempt was not ready. `waitgate --explain CODE` prints the same. The code is in every line of the JSON log.\n\n\
         | code | what it says | what to look at | pause up to |\n|---|---|---|---|\n",
    );
    for code in Code::ALL {
        let row = format!("| `{code}` | {} | {} | {} |\n", code.summary(), code.advice(), duration(cap(code.cost())));
        out.push_str(&row);
    }
    out.push_str(
        "\n## Hints\n\nA hint follows the reason after a colon. It says what the reason means here and what to look at. Each hint is given only\nif there is evidence for it.\n\n\
         | evidence | hint |\n|---|---|\n",
    );
    for hint in Hint::ALL {
        let row = format!("| {} | {} |\n", hint.evidence(), hint.words());
        out.push_str(&row);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_is_found_by_its_name() {
        for code in Code::ALL {
            assert_eq!(named(code.as_str()), Ok(*code));
        }
        assert!(named("conect.refused").unwrap_err().contains("did you mean connect.refused?"));
    }

    #[test]
    fn reasons_md_has_the_codes_and_the_hints() {
        expect_test::expect_file!["../../docs/reasons.md"].assert_eq(&reasons_md());
    }
}
