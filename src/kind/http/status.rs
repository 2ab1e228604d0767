//! The words for a status.

use reqwest::StatusCode;

/// "503 Service Unavailable": the standard words, never the server's.
pub(super) fn named(status: u16) -> String {
    match StatusCode::from_u16(status).ok().and_then(|status| status.canonical_reason()) {
        Some(words) => format!("{status} {words}"),
        None => status.to_string(),
    }
}
