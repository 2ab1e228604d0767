//! `--explain CODE`: what a code means, and what to look at. docs/reasons.md has the same for all codes.

use crate::gate::backoff::{Caps, caps};
use crate::reason::Code;
#[cfg(test)]
use crate::reason::Hint;
use crate::text::{duration, nearest};

/// How wide an explanation is that goes to no terminal, in columns.
pub(crate) const COLUMNS: usize = 80;

/// How wide an explanation on this terminal is, in columns. A narrower one would have a word or two on each line, and in a
/// wider one the eye gets lost.
pub(crate) fn columns(terminal: u16) -> usize {
    if terminal == 0 { COLUMNS } else { usize::from(terminal).clamp(40, 120) }
}

/// The explanation of `code`, as --explain prints it, in lines of at most `columns`.
pub(crate) fn explain(code: Code, columns: usize) -> String {
    let pause = pause(code);
    let paragraphs = [code.summary(), code.advice(), &pause];
    paragraphs.iter().fold(format!("{code}\n"), |out, paragraph| out + &wrapped(paragraph, columns))
}

/// How long the pauses become after this reason.
fn pause(code: Code) -> String {
    let Caps { early, late, busy, .. } = caps(code.cost(), code.stage());
    let later = if late > early { format!(", and in a long wait up to {}", duration(late)) } else { String::new() };
    let busiest = if busy > late {
        format!(", or up to {} if the server needs long for this answer", duration(busy))
    } else {
        String::new()
    };
    format!("The pause between attempts grows up to {}{later}{busiest}.", duration(early))
}

/// A paragraph with an indent, in lines of at most `columns`.
fn wrapped(paragraph: &str, columns: usize) -> String {
    let mut out = String::new();
    let mut column = columns;
    for word in paragraph.split(' ') {
        let wide = word.chars().count();
        let space = if column + 1 + wide > columns {
            column = 2;
            if out.is_empty() { "  " } else { "\n  " }
        } else {
            column += 1;
            " "
        };
        out.push_str(space);
        out.push_str(word);
        column += wide;
    }
    out + "\n"
}

/// The code with this name, with or without the brackets of the log, or the only code that has this part in its name. The error is a sentence about an unknown name.
pub(crate) fn named(name: &str) -> Result<Code, String> {
    let name = name.trim_matches(['[', ']']);
    if let Some(code) = Code::ALL.iter().find(|code| code.as_str() == name) {
        return Ok(*code);
    }
    let parts: Vec<&Code> = Code::ALL.iter().filter(|code| !name.is_empty() && code.as_str().contains(name)).collect();
    match parts.as_slice() {
        [] => {}
        [code] => return Ok(**code),
        several => {
            let several: Vec<&str> = several.iter().map(|code| code.as_str()).collect();
            return Err(format!("--explain: several codes have this part: {}", several.join(", ")));
        }
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
    use std::fmt::Write as _;
    let mut out = String::from(
        "# Reasons\n\nWhy an attempt was not ready: each code, with what it says and what to look at. `waitgate --explain CODE` prints the same.\n\
         In the log, the code is in brackets at the end of a reason; the JSON log has it in `code`.\n",
    );
    let mut stage = None;
    for code in Code::ALL {
        if stage.replace(code.stage()) != Some(code.stage()) {
            let _ = writeln!(out, "\n## Stage {}", code.stage().as_str());
        }
        let _ = write!(out, "\n### {code}\n\n{}\n\n{}", code.summary(), code.advice());
        let _ = writeln!(out, " {}", pause(*code));
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
        assert_eq!(named("pooler"), Ok(Code::ProtocolPooler));
        assert_eq!(named("[connect.refused]"), Ok(Code::ConnectRefused), "as the log has it");
        assert!(named("connect.").unwrap_err().contains("several codes have this part: connect."));
        assert!(named("").is_err());
        assert!(named("conect.refused").unwrap_err().contains("did you mean connect.refused?"));
    }

    #[test]
    fn an_explanation_is_as_wide_as_the_terminal() {
        assert_eq!([0, 1, 72, 300].map(columns), [80, 40, 72, 120]);
        for code in Code::ALL {
            for columns in [40, 80, 120] {
                let text = explain(*code, columns);
                let fits = |line: &str| line.chars().count() <= columns || !line.trim().contains(' ');
                assert!(text.lines().all(fits), "{text}");
                let words = |text: &str| text.split_whitespace().map(str::to_owned).collect::<Vec<_>>().join(" ");
                assert!(words(&text).contains(&words(code.advice())), "{text}");
            }
        }
    }

    #[test]
    fn reasons_md_has_the_codes_and_the_hints() {
        expect_test::expect_file!["../../docs/reasons.md"].assert_eq(&reasons_md());
    }
}
