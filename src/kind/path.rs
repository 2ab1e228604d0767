//! Paths in targets: a target's address (absolute, decoded, and shown as it was written), and the files that expectations name.

use std::path::PathBuf;

use anyhow::{Result, bail};

use super::Parts;
use crate::env::{self, Fill};
use crate::file::{SECRET_MAX, read_for};
use crate::reason::Reason;
use crate::text::{InForm as _, printable};

/// The longest path of a unix socket, in bytes (unix(7): sun_path has 108 bytes, and the last one is a NUL).
pub(super) const SOCKET_PATH_MAX: usize = 107;

/// The path that a target names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct TargetPath {
    pub(super) path: PathBuf,
    /// The path for a person. `$(NAME)` stays as it was written: the value may be a secret.
    pub(super) name: String,
}

impl TargetPath {
    /// Parses `/path` or `///path`; `form` is the expected form of the target.
    pub(super) fn parse(parts: &Parts<'_>, form: &str) -> Result<Self> {
        let raw = parts.address.strip_prefix("//").unwrap_or(parts.address);
        Self::written(raw, parts.fill, form)
    }

    /// The same for the path of a socket, as it is written in a target.
    pub(super) fn socket(raw: &str, fill: Fill<'_>, form: &str) -> Result<Self> {
        let found = Self::written(raw, fill, form)?;
        if found.path.as_os_str().len() > SOCKET_PATH_MAX {
            bail!("the path is too long: the path of a socket has at most {SOCKET_PATH_MAX} bytes ({form})");
        }
        Ok(found)
    }

    fn written(raw: &str, fill: Fill<'_>, form: &str) -> Result<Self> {
        let path = fill.decoded(raw).in_form(form)?;
        if !path.starts_with('/') {
            bail!("the path is not absolute: an init container has its own working directory ({form})");
        }
        if path.contains('\0') {
            bail!("found a NUL (%00) in the path ({form})");
        }
        takes_a_path(&path).in_form(form)?;
        let name = printable(if env::refers(raw) { raw } else { &path });
        Ok(Self { path: path.into(), name })
    }
}

/// An error for the content of a file where its path is meant, such as a key from `$(NAME)`. The error does not repeat it.
pub(crate) fn takes_a_path(value: &str) -> Result<()> {
    if value.contains("-----BEGIN") || value.contains(['\n', '\r']) {
        bail!("found PEM text or a line break: this takes the path of a file, not its content");
    }
    Ok(())
}

/// A file that a target names.
#[derive(Clone, Debug)]
pub(super) struct NamedFile {
    pub(super) path: String,
    /// The path as written in the target, for messages: what is in a `$(NAME)` may be a secret.
    pub(super) written: String,
}

impl NamedFile {
    /// The file at `path`. The error does not say which expectation names it.
    pub(super) fn new(path: &str, written: &str) -> Result<Self> {
        // `$(KEY)` may hold the key itself. It must not reach a log as the name of a file.
        if path.contains(['\r', '\n']) || path.contains("-----BEGIN") {
            bail!("it takes the path of a file, and found a content (expected a path such as /run/secrets/file)");
        }
        if path.is_empty() {
            bail!("found nothing (expected a path such as /run/secrets/file)");
        }
        Ok(Self { path: path.to_owned(), written: written.to_owned() })
    }

    /// The content, of at most 64 KiB. `what` is the expectation with the written path.
    pub(super) fn read(&self, what: &str) -> Result<Vec<u8>, Reason> {
        read_for(&self.path, SECRET_MAX, what)
    }
}

/// The path after an `@`, and how it is written. The target itself must have the `@`: one in a variable's value is part of
/// the value.
pub(super) fn after_at<'a>(text: &'a str, written: &'a str) -> Option<(&'a str, &'a str)> {
    Some((text.strip_prefix('@')?, written.strip_prefix('@')?))
}
