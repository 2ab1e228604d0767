//! resolv.conf and hosts, as text: pure.

use std::path::PathBuf;

/// Where the system's own files are.
#[derive(Clone, Debug)]
pub struct SystemFiles {
    /// `/etc/resolv.conf`.
    pub resolv_conf: PathBuf,
    /// `/etc/hosts`.
    pub hosts: PathBuf,
}

/// What stood in them; `None` where a file could not be read.
#[derive(Clone, Debug, Default)]
pub struct SystemTexts {
    /// resolv.conf.
    pub resolv_conf: Option<Vec<u8>>,
    /// hosts.
    pub hosts: Option<Vec<u8>>,
}

impl Default for SystemFiles {
    fn default() -> Self {
        Self { resolv_conf: "/etc/resolv.conf".into(), hosts: "/etc/hosts".into() }
    }
}

impl SystemFiles {
    /// Reads both; a file that is missing is no error.
    #[must_use]
    pub fn read(&self) -> SystemTexts {
        SystemTexts { resolv_conf: std::fs::read(&self.resolv_conf).ok(), hosts: std::fs::read(&self.hosts).ok() }
    }
}
