//! Why an attempt was not ready: a code, what happened in words, and a hint where there is evidence for one.

mod codes;
mod hints;

use std::fmt;

use crate::text::printable;
pub(crate) use codes::{Code, Cost, Stage};
pub(crate) use hints::Hint;

/// Why an attempt was not ready.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Reason {
    code: Code,
    cost: Cost,
    key: String,
    text: String,
    hint: Option<Hint>,
}

impl Reason {
    /// A reason; `text` says what happened and to which address, in words, without secrets.
    ///
    /// A server may have sent control characters. They are escaped here.
    pub(crate) fn new(code: Code, text: impl AsRef<str>) -> Self {
        Self { code, cost: code.cost(), key: String::new(), text: printable(text.as_ref()), hint: None }
    }

    /// The same with a hint, where there is evidence for one.
    pub(crate) fn with_hint(mut self, hint: impl Into<Option<Hint>>) -> Self {
        self.hint = hint.into();
        self
    }

    /// The same with another cost than the code's own (a 401 is a failed login).
    pub(crate) fn with_cost(mut self, cost: Cost) -> Self {
        self.cost = cost;
        self
    }

    /// What tells this reason from another of the same code: an HTTP status, an SQLSTATE.
    ///
    /// Addresses and times do not belong here. They change with every attempt, and the log has a line for each new
    /// reason, not for each attempt.
    pub(crate) fn with_key(mut self, key: impl fmt::Display) -> Self {
        self.key = key.to_string();
        self
    }

    /// The same in other words, for one reason that speaks for several.
    pub(crate) fn with_text(&self, text: impl AsRef<str>) -> Self {
        Self { text: printable(text.as_ref()), ..self.clone() }
    }

    /// Its stable name.
    pub(crate) fn code(&self) -> Code {
        self.code
    }

    /// The stage that failed.
    pub(crate) fn stage(&self) -> Stage {
        self.code.stage()
    }

    /// What the attempt cost others.
    pub(crate) fn cost(&self) -> Cost {
        self.cost
    }

    /// What happened, in words.
    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    /// What it means here, where there is evidence for it.
    pub(crate) fn hint(&self) -> Option<Hint> {
        self.hint
    }

    /// The reason in one sentence: what happened, and after a colon what it means here.
    pub(crate) fn sentence(&self) -> String {
        match self.hint {
            Some(hint) => format!("{}: {}", self.text, hint.words()),
            None => self.text.clone(),
        }
    }

    /// What a person would call the same reason: its code, its key, and what to look at.
    pub(crate) fn identity(&self) -> (Code, &str, Option<Hint>) {
        (self.code, &self.key, self.hint)
    }

    /// Whether a person would call the two the same.
    pub(crate) fn is_like(&self, other: &Self) -> bool {
        self.identity() == other.identity()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_code_and_key_are_one_reason() {
        let refused = |by: &str| Reason::new(Code::ConnectRefused, format!("refused by {by}"));
        assert!(refused("10.0.0.1:1").is_like(&refused("10.0.0.2:1")));
        let status = |n: u16| Reason::new(Code::ExpectStatus, n.to_string()).with_key(n);
        assert!(!status(500).is_like(&status(503)));
    }
}
