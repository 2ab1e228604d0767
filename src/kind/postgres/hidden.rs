//! The secrets of a target that a server may repeat in its words. Pure.

use crate::env::{Env, is_name};
use crate::secret::{HIDDEN, Secret};

/// A text this short is hidden only where it is a whole word. Otherwise it would hide parts of other words.
const SHORT: usize = 4;

/// The texts that no reason may show.
#[derive(Clone, Debug, Default)]
pub(super) struct Hidden {
    /// Hidden also within a word.
    parts: Vec<Secret>,
    /// Hidden as whole words.
    words: Vec<Secret>,
}

impl Hidden {
    /// Hides `text` wherever it is.
    pub(super) fn add(&mut self, text: &str) {
        if text.chars().count() >= SHORT { add(&mut self.parts, text) } else { self.add_word(text) }
    }

    /// Hides `text` where it is a whole word: a user's name may be a part of other words.
    pub(super) fn add_word(&mut self, text: &str) {
        add(&mut self.words, text);
    }

    /// Adds the value of each `$(NAME)` in `raw`.
    pub(super) fn add_references(&mut self, raw: &str, env: &Env) {
        for after in raw.split("$(").skip(1) {
            let name = after.split(')').next().unwrap_or_default();
            if let Some(value) = env.get(name).filter(|_| is_name(name)).and_then(|value| value.to_str()) {
                self.add(value);
            }
        }
    }

    /// `text` with `***` in place of each secret.
    pub(super) fn mask(&self, text: &str) -> String {
        let text = self.parts.iter().fold(text.to_owned(), |text, secret| text.replace(secret.expose(), HIDDEN));
        self.words.iter().fold(text, |text, secret| whole_words(&text, secret.expose()))
    }
}

fn add(list: &mut Vec<Secret>, text: &str) {
    if !text.trim().is_empty() {
        list.push(Secret::new(text));
        // A longer one may contain a shorter one.
        list.sort_by_key(|secret| std::cmp::Reverse(secret.expose().len()));
    }
}

/// Replaces `secret` where no letter or digit is beside it.
fn whole_words(text: &str, secret: &str) -> String {
    let mut masked = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find(secret) {
        let (before, after) = (&rest[..at], &rest[at + secret.len()..]);
        let beside = before.chars().next_back().or_else(|| masked.chars().next_back());
        let word = beside.is_some_and(char::is_alphanumeric) || after.starts_with(char::is_alphanumeric);
        masked.push_str(before);
        masked.push_str(if word { secret } else { HIDDEN });
        rest = after;
    }
    masked + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_hidden_wherever_they_appear() {
        let env: Env = [("USER", "app"), ("CREDS", "app:hunter2"), ("EMPTY", "")].into_iter().collect();
        let mut hidden = Hidden::default();
        hidden.add("hunter2");
        hidden.add("");
        hidden.add_references("$(USER)x$(CREDS)$(EMPTY)$(UNSET)$(", &env);
        assert_eq!(hidden.mask("role \"app:hunter2\" does not exist"), "role \"***\" does not exist");
        assert_eq!(hidden.mask("near \"o'hunter2x\""), "near \"o'***x\"");
        assert_eq!(hidden.mask("user \"app\", application app"), "user \"***\", application ***");
        assert!(!format!("{hidden:?}").contains("hunter2"));
        hidden.add_word("data");
        assert_eq!(hidden.mask("database \"data\""), "database \"***\"");
    }
}
