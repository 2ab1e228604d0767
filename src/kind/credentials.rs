//! `password=@FILE`: the password out of a mounted file, for every kind that logs in.

use anyhow::{Result, bail};

use super::expect::{Expectations, Spec};
use crate::file::{SECRET_MAX, read_for};
use crate::reason::{Code, Reason};
use crate::secret::Secret;

/// The expectation. Its value is a path; a password itself is refused.
pub(super) const PASSWORD: Spec = Spec::value("password", "@FILE");

/// The path of the file that holds the password.
///
/// The `@` has to be written in the target. A password that comes out of a variable may begin with `@`, and is refused
/// here.
pub(super) fn password_file(it: &Expectations) -> Result<Option<String>> {
    let Some((value, written)) = it.written(PASSWORD.name).next() else { return Ok(None) };
    match value.strip_prefix('@').filter(|_| written.starts_with('@')) {
        Some(path) if !path.is_empty() => Ok(Some(path.to_owned())),
        _ => bail!(
            "#password: expected @FILE, the file that holds the password: the password itself belongs into the URL or a variable"
        ),
    }
}

/// The password in the file, as it is now. An editor's last newline is not part of it.
pub(super) fn read_password(path: &str) -> Result<Secret, Reason> {
    let what = format!("#password=@{path}");
    match read_text(path, &what)?.trim_end_matches(['\r', '\n']) {
        "" => Err(Reason::new(Code::LocalFile, format!("{what} is empty")).with_key("empty")),
        password => Ok(Secret::new(password)),
    }
}

/// The text of a file with secrets; `what` names it in the reason.
pub(super) fn read_text(path: &str, what: &str) -> Result<String, Reason> {
    let text = String::from_utf8(read_for(path, SECRET_MAX, what)?);
    text.map_err(|_| Reason::new(Code::LocalFile, format!("{what} is not UTF-8 text")).with_key("utf-8"))
}
