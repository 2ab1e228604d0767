//! `http:` and `https:`: a request is answered as expected.

use std::fmt;

use anyhow::{Result, bail};

use super::expect::Spec;
use super::{Parts, Ready};
use crate::net::Net;
use crate::reason::Reason;
use crate::trail::Trail;

/// What `http:` and `https:` expect beyond the common ones.
pub const EXPECTATIONS: &[Spec] = &[];

/// A URL.
#[derive(Clone, Debug)]
pub struct Http {}

impl Http {
    /// Parses the URL.
    pub fn parse(_parts: &Parts<'_>) -> Result<Self> {
        bail!("not built yet")
    }

    /// Sends the request once.
    #[expect(clippy::unused_async, reason = "a stand-in")]
    pub async fn probe(&self, _net: &Net, _trail: &Trail) -> Result<Ready, Reason> {
        Ok(Ready::default())
    }

    /// Whether TLS may be spoken.
    #[must_use]
    pub fn uses_tls(&self) -> bool {
        false
    }
}

impl fmt::Display for Http {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "http:")
    }
}
