//! The environment, and `$(NAME)` filled in from it.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};

use anyhow::{Result, anyhow, bail};

use crate::secret::{Form, Notes, base64};

/// The process's environment. The application reads it once and passes it on.
#[derive(Clone, Default)]
pub(crate) struct Env(BTreeMap<String, OsString>);

impl Env {
    /// The value of `name`. An empty value counts.
    pub(crate) fn get(&self, name: &str) -> Option<&OsStr> {
        self.0.get(name).map(OsString::as_os_str)
    }

    /// The value of `name` as text. An empty value counts as unset, as in libpq and most tools.
    pub(crate) fn text(&self, name: &str) -> Result<Option<&str>> {
        match self.get(name) {
            None => Ok(None),
            Some(value) => match value.to_str() {
                Some("") => Ok(None),
                Some(text) => Ok(Some(text)),
                None => bail!("the environment variable {name} is not valid UTF-8: set it to UTF-8 text"),
            },
        }
    }

    /// Every name, in order.
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }
}

impl<N: Into<OsString>, V: Into<OsString>> FromIterator<(N, V)> for Env {
    fn from_iter<I: IntoIterator<Item = (N, V)>>(vars: I) -> Self {
        // A name that is not UTF-8 cannot be written in a target, so it cannot be asked for.
        let named = |(name, value): (N, V)| Some((name.into().into_string().ok()?, value.into()));
        Self(vars.into_iter().filter_map(named).collect())
    }
}

/// Fills in `$(NAME)` in a part of a target, after the target was split into parts. So a value may hold any character
/// and does not change where a part ends.
///
/// The kubelet fills in `$(NAME)` itself if it knows the name. It leaves `$(NAME)` if it does not know the name, or if
/// the manifest says `$$(NAME)` (kubernetes: third_party/forked/golang/expansion/expand.go).
#[derive(Clone, Copy)]
pub(crate) struct Fill<'a> {
    env: Option<&'a Env>,
    notes: Option<&'a Notes>,
}

impl<'a> Fill<'a> {
    pub(crate) fn from_env(env: &'a Env) -> Self {
        Self { env: Some(env), notes: None }
    }

    /// Leaves `$(NAME)` unchanged: for text that itself came from the environment.
    pub(crate) fn none() -> Self {
        Self { env: None, notes: None }
    }

    /// The same, and every value that is filled in is noted as a secret.
    pub(crate) fn noting(self, notes: &'a Notes) -> Self {
        Self { notes: Some(notes), ..self }
    }

    /// The same, and every secret is noted where `other` notes them.
    pub(crate) fn sharing(self, other: Self) -> Self {
        Self { notes: other.notes, ..self }
    }

    /// The same for a value that is no secret.
    pub(crate) fn unnoted(self) -> Self {
        Self { notes: None, ..self }
    }

    /// Notes another secret of the target: a password from libpq's variables, a token in a query.
    pub(crate) fn note(self, value: &str) {
        self.note_as(Form::Value, value);
    }

    /// The same with another form: [`Form::Word`] for a user, [`Form::Text`] for a header's value or a form.
    pub(crate) fn note_as(self, form: Form, value: &str) {
        if let Some(notes) = self.notes {
            notes.note(value, form);
        }
    }

    /// Notes the password of a login, and what Basic authentication makes of the login. The user is a secret too if the
    /// whole address came out of a variable.
    pub(crate) fn note_login(self, user: &str, password: &str) {
        self.note(password);
        self.note(&base64(&format!("{user}:{password}")));
        if self.is_none() {
            self.note_as(Form::Word, user);
        }
    }

    /// Whether the text itself came from the environment.
    pub(crate) fn is_none(self) -> bool {
        self.env.is_none()
    }

    /// Fills in `$(NAME)` in `raw` and leaves the rest unchanged.
    pub(crate) fn plain(self, raw: &str) -> Result<String> {
        self.with(raw, |literal| Ok(literal.to_owned()), str::to_owned)
    }

    /// Fills in `$(NAME)` in `raw` and percent-decodes the text around it, but not the values.
    pub(crate) fn decoded(self, raw: &str) -> Result<String> {
        self.with(raw, percent_decode, str::to_owned)
    }

    /// The general form: `literal` converts the text between references, and `value` converts the values.
    pub(crate) fn with(
        self,
        raw: &str,
        literal: impl Fn(&str) -> Result<String>,
        value: impl Fn(&str) -> String,
    ) -> Result<String> {
        let Some(env) = self.env else { return literal(raw) };
        if raw.contains("$$(") {
            bail!(
                "found $$(NAME): only Kubernetes turns $$( into $(, here it would be a '$' and the value (expected $(NAME) outside a manifest, in single quotes in a shell; a literal '$' before it is %24)"
            );
        }
        let mut filled = String::with_capacity(raw.len());
        let mut rest = raw;
        while let Some(at) = rest.find("$(") {
            filled.push_str(&literal(&rest[..at])?);
            let after = &rest[at + 2..];
            let name = after.split(')').next().unwrap_or_default();
            if name.len() == after.len() {
                bail!(
                    "expected $(NAME), found $( without a closing parenthesis: close it, or write %24( for a literal $("
                );
            }
            if !is_name(name) {
                bail!(
                    "expected $(NAME) with letters, digits, '_', '-' and '.': no shell runs here, so it cannot hold a command"
                );
            }
            let text = match env.get(name) {
                Some(text) => {
                    text.to_str().ok_or_else(|| anyhow!("$({name}) is not valid UTF-8: set it to UTF-8 text"))?
                }
                None => bail!(
                    "$({name}) is not set in the environment: set {name} for this container (before the list that uses it), or write %24( for a literal $("
                ),
            };
            self.note(text);
            filled.push_str(&value(text));
            rest = &after[name.len() + 1..];
        }
        filled.push_str(&literal(rest)?);
        Ok(filled)
    }
}

/// Whether `raw` holds a `$(`. Then its value may be a secret.
pub(crate) fn refers(raw: &str) -> bool {
    raw.contains("$(")
}

/// A name as Kubernetes allows it in `env` (apimachinery: validation.IsEnvVarName).
pub(crate) fn is_name(name: &str) -> bool {
    !name.is_empty()
        && !name.starts_with(|c: char| c.is_ascii_digit())
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.'))
}

/// Percent-decodes `text`. A `%` without two hex digits is an error.
pub(crate) fn percent_decode(text: &str) -> Result<String> {
    if !text.contains('%') {
        return Ok(text.to_owned());
    }
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let mut digit = || rest.next().and_then(|digit| char::from(digit).to_digit(16));
        let (Some(high), Some(low)) = (digit(), digit()) else {
            bail!("expected two hex digits after '%': write %25 for a literal '%'");
        };
        bytes.extend(u8::try_from(high * 16 + low));
    }
    String::from_utf8(bytes).map_err(|_| anyhow!("percent-encoded bytes are not valid UTF-8: encode UTF-8 text"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn env() -> Env {
        [("HOST", "db"), ("PASS", "a#b%41$(HOST)@"), ("EMPTY", "")].into_iter().collect()
    }

    #[test]
    fn values_are_neither_filled_nor_decoded() {
        let env = env();
        let fill = Fill::from_env(&env);
        assert_eq!(fill.plain("x-$(HOST)-$(EMPTY)-").unwrap(), "x-db--");
        assert_eq!(fill.decoded("%23$(PASS)%23").unwrap(), "#a#b%41$(HOST)@#");
        assert_eq!(fill.decoded("%24(HOST)").unwrap(), "$(HOST)");
        assert_eq!(fill.plain("cost: 5$ (each)").unwrap(), "cost: 5$ (each)");
        assert_eq!(Fill::none().plain("$(HOST)").unwrap(), "$(HOST)");
    }

    #[test]
    fn a_reference_that_cannot_be_filled_is_an_error() {
        let env = env();
        let fill = Fill::from_env(&env);
        let error = |raw| fill.plain(raw).unwrap_err().to_string();
        assert!(error("$(NOPE)").starts_with("$(NOPE) is not set"));
        assert!(error("$(HOST").contains("closing parenthesis"));
        assert!(error("$(cat /x)").contains("no shell runs here"));
        assert!(error("$()").contains("expected $(NAME)"));
        assert!(error("a$$(HOST)").contains("only Kubernetes"));
    }

    #[test]
    fn a_percent_sign_without_two_digits_is_an_error() {
        for bad in ["%", "%4", "%zz", "a%2", "%ff"] {
            assert!(percent_decode(bad).is_err(), "{bad}");
        }
        assert_eq!(percent_decode("%41%c3%a9").unwrap(), "Aé");
    }

    #[test]
    fn an_empty_variable_counts_as_unset_as_text() {
        assert_eq!(env().text("EMPTY").unwrap(), None);
        assert_eq!(env().text("HOST").unwrap(), Some("db"));
    }
}
