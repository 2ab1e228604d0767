//! The network as every kind sees it: names, connections, TLS, and what this Pod knows of its cluster.

pub(crate) mod address;
mod cluster;
pub(crate) mod connect;
pub(crate) mod hints;
mod mesh;
pub(crate) mod names;
pub(crate) mod race;
pub(crate) mod sniff;
pub(crate) mod stream;
#[cfg(feature = "tls")]
pub(crate) mod tls;

use std::cell::{OnceCell, RefCell};
use std::net::IpAddr;

use hickory_resolver::proto::rr::RecordType;

use crate::attempt::Attempt;
use crate::reason::{Code, Hint, Reason};
use cluster::Cluster;
use hints::Known;
use mesh::Mesh;
use names::answer::{Found, Need, Records, Unfound};
use names::resolv_conf::SystemFiles;
use names::resolver::Resolver;

/// Everything that attempts share. Nothing in it is a socket: those end with their attempt.
pub(crate) struct Net {
    files: SystemFiles,
    kubernetes: bool,
    resolver: OnceCell<Resolver>,
    mesh: Mesh,
    /// What is odd, and whether the log has said it.
    notices: RefCell<Vec<(String, bool)>>,
    /// TLS with the command line's options.
    #[cfg(feature = "tls")]
    pub(crate) tls: tls::Tls,
}

impl Net {
    /// A network that reads resolv.conf and the hosts file when the first name needs them. `kubernetes` says that the
    /// environment is a Pod's.
    pub(crate) fn new(files: SystemFiles, kubernetes: bool, #[cfg(feature = "tls")] tls: tls::Tls) -> Self {
        Self {
            files,
            kubernetes,
            notices: RefCell::default(),
            resolver: OnceCell::new(),
            mesh: Mesh::default(),
            #[cfg(feature = "tls")]
            tls,
        }
    }

    /// Notes what is odd and not wrong. The log says it once in a run.
    pub(crate) fn notice(&self, text: &str) {
        let mut notices = self.notices.borrow_mut();
        if !notices.iter().any(|(noted, _)| noted == text) {
            notices.push((text.to_owned(), false));
        }
    }

    /// A notice that has not been said yet: about resolv.conf, or noted by a kind.
    pub(crate) fn warning(&self) -> Option<String> {
        let mut notices = self.notices.borrow_mut();
        if let Some((text, said)) = notices.iter_mut().find(|(_, said)| !said) {
            *said = true;
            return Some(text.clone());
        }
        self.resolver.get().and_then(Resolver::warning)
    }

    /// Re-checks a refusal: a service mesh may have refused it instead of the Service.
    pub(crate) async fn second_look(&self, reason: Reason, attempt: &Attempt) -> Reason {
        self.mesh.second_look(reason, self.resolver(), attempt).await
    }

    /// The one resolver. Its failures have no hints; [`Net::find`] and [`Net::records`] add them.
    pub(crate) fn resolver(&self) -> &Resolver {
        self.resolver.get_or_init(|| Resolver::new(self.files.clone()))
    }

    /// The addresses of `name`, as the application would find them. They may be up to 5 s old, unless the attempt asks
    /// for a fresh answer.
    pub(crate) async fn addresses(&self, name: &str, need: Need, attempt: &Attempt) -> Result<Vec<IpAddr>, Reason> {
        if let Some(kept) = self.resolver().kept(name, need, attempt) {
            return Ok(kept);
        }
        self.find(name, need, attempt).await.map(|found| found.addresses).map_err(Reason::from)
    }

    /// Every address of `name`. If the query for one family fails, this fails: the name may have more addresses.
    pub(crate) async fn every_address(&self, name: &str, attempt: &Attempt) -> Result<Vec<IpAddr>, Reason> {
        if let Some(kept) = self.resolver().kept(name, Need::Both, attempt) {
            return Ok(kept);
        }
        match self.find(name, Need::Both, attempt).await? {
            Found { missing: Some(missing), .. } => Err(Reason::new(Code::ResolveTrouble, missing)),
            found => Ok(found.addresses),
        }
    }

    /// The addresses of `name`, never from the cache, and where they come from.
    pub(crate) async fn find(&self, name: &str, need: Need, attempt: &Attempt) -> Result<Found, Unfound> {
        self.resolver().find(name, need, attempt).await.map_err(|unfound| self.with_hint(name, unfound))
    }

    /// The records of `rtype` that `name` has, under the search list, without the hosts file.
    pub(crate) async fn records(&self, name: &str, rtype: RecordType, attempt: &Attempt) -> Result<Records, Unfound> {
        self.resolver().records(name, rtype, attempt).await.map_err(|unfound| self.with_hint(name, unfound))
    }

    fn with_hint(&self, name: &str, mut unfound: Unfound) -> Unfound {
        let (code, throughout) = (unfound.reason.code(), unfound.throughout);
        if let Some(hint) = self.judge(|cluster| hints::unfound(cluster, code, name, &unfound.steps, throughout)) {
            unfound.reason = unfound.reason.with_hint(hint);
        }
        unfound
    }

    /// The hint when every address of `name` failed with `code`.
    pub(crate) fn unreached(&self, code: Code, name: Option<&str>, addresses: &[IpAddr]) -> Option<Hint> {
        let found = name.and_then(|name| Some((name, self.resolver().found_by(name)?)));
        let known = match &found {
            Some((name, (full, Some(via)))) => Some(Known { name, full, via }),
            _ => None,
        };
        self.judge(|cluster| hints::unreached(cluster, code, addresses, known.as_ref()))
    }

    /// The hint when the DNS lists `addresses` for `name`, which was found a moment ago, and more are expected.
    ///
    /// A Service that lists this Pod before it is ready does not wait for it, so it gets no hint.
    pub(crate) fn too_few(&self, name: &str, addresses: &[IpAddr]) -> Option<Hint> {
        let (full, _) = self.resolver().found_by(name)?;
        self.judge(|cluster| {
            let listed = addresses.iter().any(|ip| cluster.own.addresses.contains(ip));
            hints::own_service(cluster, &full).filter(|_| !listed)
        })
    }

    fn judge<T>(&self, judge: impl FnOnce(&Cluster<'_>) -> T) -> T {
        let resolver = self.resolver();
        judge(&Cluster { kubernetes: self.kubernetes, conf: &resolver.conf(), own: resolver.own() })
    }
}
