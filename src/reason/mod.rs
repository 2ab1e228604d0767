//! Why an attempt was not ready: a code, what happened in words, and a hint if there is evidence for one.

mod codes;
mod hints;

use std::fmt;
use std::time::Duration;

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
    undecided: bool,
    /// In milliseconds. (A `Duration` would make every error larger.)
    pause: u32,
}

impl Reason {
    /// A reason. `text` says in words what happened and at which address, without secrets.
    ///
    /// A server may have sent control characters. This escapes them.
    pub(crate) fn new(code: Code, text: impl AsRef<str>) -> Self {
        Self {
            code,
            cost: code.cost(),
            key: String::new(),
            text: printable(text.as_ref()),
            hint: None,
            undecided: false,
            pause: 0,
        }
    }

    pub(crate) fn with_hint(mut self, hint: impl Into<Option<Hint>>) -> Self {
        self.hint = hint.into();
        self
    }

    /// The same with another cost than the code's own (a 401 is a failed login).
    pub(crate) fn with_cost(mut self, cost: Cost) -> Self {
        self.cost = cost;
        self
    }

    /// The same for an attempt that decides nothing: the ready answers before it still count.
    pub(crate) fn undecided(mut self) -> Self {
        self.undecided = true;
        self
    }

    /// Whether the attempt decides nothing.
    pub(crate) fn is_undecided(&self) -> bool {
        self.undecided
    }

    /// The same with the time that the server asks for before the next attempt (Retry-After, RFC 9110 section 10.2.3).
    pub(crate) fn with_pause(mut self, pause: Duration) -> Self {
        self.pause = u32::try_from(pause.as_millis()).unwrap_or(u32::MAX);
        self
    }

    /// The least time before the next attempt.
    pub(crate) fn pause(&self) -> Duration {
        Duration::from_millis(self.pause.into())
    }

    /// Sets the key, which tells two reasons of the same code apart: an HTTP status, an SQLSTATE.
    ///
    /// Addresses and times do not belong here. They change with every attempt, and the log has a line for each new
    /// reason, not for each attempt.
    pub(crate) fn with_key(mut self, key: impl fmt::Display) -> Self {
        self.key = key.to_string();
        self
    }

    /// The same reason with another text, for one reason that is made of several.
    pub(crate) fn with_text(&self, text: impl AsRef<str>) -> Self {
        Self { text: printable(text.as_ref()), ..self.clone() }
    }

    pub(crate) fn code(&self) -> Code {
        self.code
    }

    pub(crate) fn key(&self) -> &str {
        &self.key
    }

    /// The stage that failed.
    pub(crate) fn stage(&self) -> Stage {
        self.code.stage()
    }

    pub(crate) fn cost(&self) -> Cost {
        self.cost
    }

    /// What happened, in words.
    pub(crate) fn text(&self) -> &str {
        &self.text
    }

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

    /// What makes two reasons the same for a person: the code, the key and the hint.
    pub(crate) fn identity(&self) -> (Code, &str, Option<Hint>) {
        (self.code, &self.key, self.hint)
    }

    /// Whether the two are the same for a person.
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
