//! `dns:NAME`: the name has an address, as the application would find it.

use std::fmt;

use anyhow::{Result, bail};

use super::expect::Spec;
use super::{Parts, Ready};
use crate::net::Net;
use crate::reason::Reason;
use crate::trail::Trail;

/// What `dns:` expects beyond the common ones.
pub const EXPECTATIONS: &[Spec] = &[];

/// A name.
#[derive(Clone, Debug)]
pub struct Dns {
    name: String,
}

impl Dns {
    /// Parses `dns:NAME`.
    pub fn parse(_parts: &Parts<'_>) -> Result<Self> {
        bail!("not built yet")
    }

    /// Looks the name up.
    pub async fn probe(&self, net: &Net, trail: &Trail) -> Result<Ready, Reason> {
        net.resolver().addresses(&self.name, crate::net::lookup::Need::First, trail).await.map(|_| Ready::default())
    }
}

impl fmt::Display for Dns {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "dns:{}", self.name)
    }
}
