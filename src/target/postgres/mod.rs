//! `postgres:`: the server accepts connections, or the login succeeds.

use std::fmt;

use anyhow::{Result, bail};

use super::expect::Spec;
use super::{Parts, Ready};
use crate::net::Net;
use crate::reason::Reason;
use crate::trail::Trail;

/// What `postgres:` expects beyond the common ones.
pub const EXPECTATIONS: &[Spec] = &[];

/// A PostgreSQL server.
#[derive(Clone, Debug)]
pub struct Postgres {}

impl Postgres {
    /// Parses the URL.
    pub fn parse(_parts: &Parts<'_>) -> Result<Self> {
        bail!("not built yet")
    }

    /// Probes the server once.
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

impl fmt::Display for Postgres {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "postgres:")
    }
}
