//! Why an object is not ready.

use super::objects::Node;

/// Why an object is not ready.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Why {
    /// What tells two causes apart for the log. It has no counts and no times.
    pub(super) key: String,
    /// It follows the object's name: "is not Complete yet".
    pub(super) text: String,
}

impl Why {
    pub(super) fn new(key: impl Into<String>, text: impl Into<String>) -> Self {
        Self { key: key.into(), text: text.into() }
    }
}

/// The reason and the message of a condition or a container, for a sentence: " (Pending: …)".
pub(super) fn said(of: &Node) -> String {
    match (of.get("reason").text(), of.get("message").text().trim()) {
        ("", "") => String::new(),
        (reason, "") => format!(" ({reason})"),
        ("", message) => format!(" ({message})"),
        (reason, message) => format!(" ({reason}: {message})"),
    }
}
