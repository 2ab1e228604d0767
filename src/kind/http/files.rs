//! The files that a target names.

use anyhow::{Result, bail};

use crate::file::{SECRET_MAX, read_for};
use crate::reason::Reason;

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
