//! `password=@FILE`: a kind that logs in reads the password from a mounted file.

use anyhow::{Context as _, Result, bail};

use super::expect::{Expectations, Spec};
use super::path::takes_a_path;
use crate::env;
use crate::file::{SECRET_MAX, read_for};
use crate::reason::{Code, Reason};
use crate::secret::Secret;

/// Its value is a path. A password in its place is invalid.
pub(super) const PASSWORD: Spec = Spec::value("password", "@FILE").says("the password is in FILE");

/// The file that holds the password.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct PasswordFile {
    pub(super) path: String,
    /// The expectation as the target writes it. What came out of a variable may be the password itself.
    pub(super) shown: String,
}

/// The file that holds the password.
///
/// The target itself must have the `@`. A variable's value that begins with `@` may be a password, so it is invalid. `in_url`:
/// the URL has a password too.
pub(super) fn password_file(it: &Expectations, in_url: bool) -> Result<Option<PasswordFile>> {
    let Some((value, written)) = it.written(PASSWORD.name).next() else { return Ok(None) };
    if in_url {
        bail!("#password: the URL has a password too: leave one of them out");
    }
    match value.strip_prefix('@').filter(|_| written.starts_with('@')) {
        Some(path) if !path.is_empty() => {
            takes_a_path(path).context("#password")?;
            let shown = if env::refers(written) { written } else { value };
            Ok(Some(PasswordFile { path: path.to_owned(), shown: format!("#password={shown}") }))
        }
        _ => bail!(
            "#password: expected @FILE, the file that holds the password: write the password itself into the URL or a variable"
        ),
    }
}

/// The password that the file holds now. A line break at its end is not part of the password.
pub(super) fn read_password(file: &PasswordFile) -> Result<Secret, Reason> {
    let what = &file.shown;
    match read_text(&file.path, what)?.trim_end_matches(['\r', '\n']) {
        "" => Err(Reason::new(Code::LocalFile, format!("{what} is empty")).with_key("empty")),
        password => Ok(Secret::new(password)),
    }
}

/// The text of a file that holds secrets. The reason calls the file `what`.
pub(super) fn read_text(path: &str, what: &str) -> Result<String, Reason> {
    let text = String::from_utf8(read_for(path, SECRET_MAX, what)?);
    text.map_err(|_| Reason::new(Code::LocalFile, format!("{what} is not UTF-8 text")).with_key("utf-8"))
}
