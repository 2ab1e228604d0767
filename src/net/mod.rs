//! The network as every kind sees it: names, connections, TLS.

pub mod advice;
pub mod conf;
pub mod connect;
pub mod dns;
pub mod hosts;
pub mod lookup;
pub mod mesh;
pub mod message;
pub mod miss;
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

use std::cell::{OnceCell, RefCell};

use conf::SystemFiles;
use lookup::Resolver;
use mesh::Mesh;

use crate::reason::Reason;
use crate::trail::Trail;

/// Everything that attempts share. Nothing in it is a socket: those end with their attempt.
pub struct Net {
    files: SystemFiles,
    kubernetes: bool,
    resolver: OnceCell<Resolver>,
    mesh: Mesh,
    /// What is odd, and whether it has been said.
    notices: RefCell<Vec<(String, bool)>>,
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
            notices: RefCell::default(),
            resolver: OnceCell::new(),
            mesh: Mesh::default(),
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

    /// Notes what is odd and not wrong, to be said once in a run.
    pub fn notice(&self, text: &str) {
        let mut notices = self.notices.borrow_mut();
        if !notices.iter().any(|(noted, _)| noted == text) {
            notices.push((text.to_owned(), false));
        }
    }

    /// Something that an attempt has found to be odd and that has not been said yet: in resolv.conf, or noted by a kind.
    #[must_use]
    pub fn warning(&self) -> Option<String> {
        let mut notices = self.notices.borrow_mut();
        if let Some((text, said)) = notices.iter_mut().find(|(_, said)| !said) {
            *said = true;
            return Some(text.clone());
        }
        self.resolver.get().and_then(Resolver::warning)
    }

    /// The reason of an attempt, seen again where somebody else may have refused in the name of who was asked.
    pub async fn second_look(&self, reason: Reason, trail: &Trail) -> Reason {
        self.mesh.second_look(reason, self.resolver(), trail).await
    }

    /// The one resolver.
    #[must_use]
    pub fn resolver(&self) -> &Resolver {
        self.resolver.get_or_init(|| Resolver::new(self.files.clone(), self.kubernetes))
    }
}
