//! A fault of a certificate that rustls has no word for.

use std::fmt;
use std::time::{Duration, UNIX_EPOCH};

use crate::reason::Code;

/// The fault. It goes through rustls as its `OtherError`.
#[derive(Debug)]
pub(super) struct Fault {
    pub(super) code: Code,
    /// What follows the server's address.
    pub(super) text: String,
    pub(super) key: &'static str,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl std::error::Error for Fault {}

/// The day in UTC, `2020-01-31`, and at most the last day of 9999: humantime panics after that.
pub(crate) fn day(seconds: u64) -> String {
    const LAST: u64 = 253_402_300_799;
    let time = UNIX_EPOCH + Duration::from_secs(seconds.min(LAST));
    humantime::format_rfc3339_seconds(time).to_string().chars().take(10).collect()
}
