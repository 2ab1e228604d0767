//! The network as every kind sees it: names, connections, TLS.

pub mod conf;
pub mod connect;
pub mod dns;
pub mod hosts;
pub mod lookup;
pub mod message;
#[cfg(feature = "tls")]
pub mod roots;
#[cfg(test)]
mod scripted;
pub mod search;
pub mod stagger;
pub mod stream;
#[cfg(feature = "tls")]
pub mod tls;
pub mod unfound;
pub mod walk;

use std::cell::OnceCell;

use conf::SystemFiles;
use lookup::Resolver;

/// Everything that attempts share. Nothing in it is a socket: those end with their attempt.
pub struct Net {
    files: SystemFiles,
    kubernetes: bool,
    resolver: OnceCell<Resolver>,
    /// TLS as the command line has it.
    #[cfg(feature = "tls")]
    pub tls: tls::Tls,
}

impl Net {
    /// A network that reads resolv.conf and the hosts file when the first name needs them.
    #[must_use]
    pub fn new(files: SystemFiles, #[cfg(feature = "tls")] tls: tls::Tls) -> Self {
        Self {
            files,
            kubernetes: false,
            resolver: OnceCell::new(),
            #[cfg(feature = "tls")]
            tls,
        }
    }

    /// The same in a Pod, as its environment says: a resolv.conf without the cluster's search list is then worth a word.
    #[must_use]
    pub fn kubernetes(mut self, yes: bool) -> Self {
        self.kubernetes = yes;
        self
    }

    /// What was odd in resolv.conf, once, when an attempt has needed it.
    #[must_use]
    pub fn warning(&self) -> Option<String> {
        self.resolver.get().and_then(Resolver::warning)
    }

    /// The one resolver.
    #[must_use]
    pub fn resolver(&self) -> &Resolver {
        self.resolver.get_or_init(|| Resolver::new(self.files.clone(), self.kubernetes))
    }
}
