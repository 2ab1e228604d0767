//! The network for every kind: names, connections, TLS, and what this Pod knows about its cluster.

pub(crate) mod address;
mod cluster;
pub(crate) mod connect;
pub(crate) mod hints;
mod limit;
mod mesh;
pub(crate) mod names;
pub(crate) mod race;
pub(crate) mod refusals;
pub(crate) mod sniff;
pub(crate) mod stream;
pub(crate) mod threads;
#[cfg(feature = "tls")]
pub(crate) mod tls;

use std::cell::{OnceCell, RefCell};
use std::net::IpAddr;

use hickory_resolver::proto::rr::RecordType;

use crate::attempt::Attempt;
use crate::reason::{Code, Hint, Reason, Stage};
use cluster::Cluster;
use hints::Known;
use mesh::Mesh;
use names::answer::{AllServers, Found, LookupError, Need, Records};
use names::resolv_conf::{ResolvConf, SystemFiles};
use names::resolver::Resolver;
use refusals::Refusals;
use threads::Threads;

/// Everything that attempts share. It holds no socket: each attempt owns its sockets and closes them.
pub(crate) struct Net {
    files: SystemFiles,
    kubernetes: bool,
    /// The addresses of Services that the environment names.
    services: Vec<IpAddr>,
    resolver: OnceCell<Resolver>,
    mesh: Mesh,
    /// Which addresses have refused in this run.
    pub(crate) refusals: Refusals,
    pub(crate) threads: Threads,
    /// Each notice, and whether the log has printed it.
    notices: RefCell<Vec<(String, bool)>>,
    /// TLS with the command line's options.
    #[cfg(feature = "tls")]
    pub(crate) tls: tls::Tls,
}

impl Net {
    /// A network that reads resolv.conf and the hosts file when the first name needs them. `kubernetes` says that
    /// waitgate runs in a Pod.
    pub(crate) fn new(files: SystemFiles, kubernetes: bool, #[cfg(feature = "tls")] tls: tls::Tls) -> Self {
        Self {
            files,
            kubernetes,
            services: Vec::new(),
            notices: RefCell::default(),
            resolver: OnceCell::new(),
            mesh: Mesh::default(),
            refusals: Refusals::default(),
            threads: Threads::default(),
            #[cfg(feature = "tls")]
            tls,
        }
    }

    /// The same with the addresses of Services that the environment names (`REDIS_SERVICE_HOST`).
    pub(crate) fn with_services(mut self, services: Vec<IpAddr>) -> Self {
        self.services = services;
        self
    }

    /// A network outside Kubernetes, without options.
    #[cfg(test)]
    pub(crate) fn plain(files: SystemFiles) -> Self {
        Self::new(
            files,
            false,
            #[cfg(feature = "tls")]
            tls::Tls::default(),
        )
    }

    /// Adds a notice about something odd that is not an error. The log prints it once in a run.
    pub(crate) fn notice(&self, text: &str) {
        let mut notices = self.notices.borrow_mut();
        if !notices.iter().any(|(noted, _)| noted == text) {
            notices.push((text.to_owned(), false));
        }
    }

    /// A notice that the log has not printed yet: one from a kind, or one about resolv.conf.
    pub(crate) fn warning(&self) -> Option<String> {
        let mut notices = self.notices.borrow_mut();
        if let Some((text, said)) = notices.iter_mut().find(|(_, said)| !said) {
            *said = true;
            return Some(text.clone());
        }
        self.resolver.get().and_then(Resolver::warning)
    }

    /// Re-checks a refusal: a service mesh may have refused it instead of the Service.
    pub(crate) async fn recheck(&self, reason: Reason, attempt: &Attempt) -> Reason {
        self.mesh.recheck(reason, self.resolver(), attempt).await
    }

    /// The same for the reason of an attempt that may be cut off: what an earlier check has shown.
    pub(crate) fn as_checked(&self, reason: Reason) -> Reason {
        self.mesh.as_checked(reason)
    }

    /// The one resolver. Its failures have no hints: [`Net::find`] and [`Net::records`] add them.
    pub(crate) fn resolver(&self) -> &Resolver {
        self.resolver.get_or_init(|| Resolver::new(self.files.clone()))
    }

    /// The addresses of `name`, as the application would find them. They may come from the cache and be up to 5 s old,
    /// unless the attempt asks for a fresh answer.
    pub(crate) async fn addresses(&self, name: &str, need: Need, attempt: &Attempt) -> Result<Vec<IpAddr>, Reason> {
        if let Some(cached) = self.resolver().cached(name, need, attempt) {
            self.note_astray(name, attempt);
            return Ok(cached);
        }
        self.find(name, need, attempt).await.map(|found| found.addresses).map_err(Reason::from)
    }

    /// Every address of `name`. This fails if the query for one family fails: the name may have more addresses.
    pub(crate) async fn every_address(&self, name: &str, attempt: &Attempt) -> Result<Vec<IpAddr>, Reason> {
        if let Some(cached) = self.resolver().cached(name, Need::Both, attempt) {
            self.note_astray(name, attempt);
            return Ok(cached);
        }
        match self.find(name, Need::Both, attempt).await? {
            Found { missing: Some(missing), .. } => Err(Reason::new(Code::ResolveTrouble, missing)),
            found => Ok(found.addresses),
        }
    }

    /// The addresses of `name` and where they come from. They never come from the cache.
    pub(crate) async fn find(&self, name: &str, need: Need, attempt: &Attempt) -> Result<Found, LookupError> {
        self.expect_silence(attempt);
        // In a box: an attempt at an address, or at a name in the cache, does without the memory of the questions.
        let found = Box::pin(self.resolver().find(name, need, attempt)).await;
        let found = found.map_err(|error| self.with_hint(name, error))?;
        self.note_astray(name, attempt);
        Ok(found)
    }

    /// Tells the attempt and the log if `name`, which was meant for the cluster, was found outside it.
    fn note_astray(&self, name: &str, attempt: &Attempt) {
        if !self.kubernetes {
            return;
        }
        if let Some((full, _)) = self.resolver().found_by(name) {
            self.note_full(name, &full, attempt);
        }
    }

    fn note_full(&self, name: &str, full: &str, attempt: &Attempt) {
        let conf = self.resolver().conf();
        if self.cluster(&conf).is_astray(name, full) {
            attempt.found_as(full);
            self.notice(&format!(
                "{name} was not found in the cluster, and {full} was: a search domain outside the cluster has it, maybe by a wildcard. A dot at the end of a full name keeps search domains out"
            ));
        }
    }

    /// Tells the attempt its reason for the case that it is cut off while nameservers that all refused earlier are
    /// silent.
    fn expect_silence(&self, attempt: &Attempt) {
        let resolver = self.resolver();
        if !resolver.any_refused() {
            return;
        }
        let conf = resolver.conf();
        let reason = resolver.refusing(&conf).map(|reason| {
            let (code, all) = (reason.code(), Some(AllServers::Refused));
            reason.with_hint(hints::not_found(&self.cluster(&conf), code, "", &[], all, false))
        });
        attempt.if_cut_off(Stage::Resolve, reason);
    }

    /// The records of type `rtype` of `name`. This uses the search list and not the hosts file.
    pub(crate) async fn records(
        &self,
        name: &str,
        rtype: RecordType,
        attempt: &Attempt,
    ) -> Result<Records, LookupError> {
        self.expect_silence(attempt);
        let found = self.resolver().records(name, rtype, attempt).await;
        let found = found.map_err(|error| self.with_hint(name, error))?;
        if self.kubernetes {
            self.note_full(name, &found.name, attempt);
        }
        Ok(found)
    }

    fn with_hint(&self, name: &str, mut error: LookupError) -> LookupError {
        let (code, all_servers, aliased) = (error.reason.code(), error.all_servers, error.aliased);
        let conf = self.resolver().conf();
        if let Some(hint) = hints::not_found(&self.cluster(&conf), code, name, &error.steps, all_servers, aliased) {
            error.reason = error.reason.with_hint(hint);
        }
        error
    }

    /// The hint when every address of `name` failed with `code`.
    pub(crate) fn unreached(&self, code: Code, name: Option<&str>, addresses: &[IpAddr]) -> Option<Hint> {
        let found = name.and_then(|name| Some((name, self.resolver().found_by(name)?)));
        let known = match &found {
            Some((name, (full, Some(via)))) => Some(Known { name, full, via }),
            _ => None,
        };
        // For an address, resolv.conf says nothing, so it is not read.
        let conf = if known.is_some() { self.resolver().conf() } else { ResolvConf::parse(None, |_| None) };
        hints::unreached(&self.cluster(&conf), code, addresses, known.as_ref())
    }

    /// The hint when `name` was found with `addresses`, and the target expects more of them.
    ///
    /// If the Service already lists this Pod, which is not ready yet, the Pod does not wait for itself: no hint.
    pub(crate) fn too_few(&self, name: &str, addresses: &[IpAddr]) -> Option<Hint> {
        let (full, _) = self.resolver().found_by(name)?;
        let conf = self.resolver().conf();
        let cluster = self.cluster(&conf);
        let listed = addresses.iter().any(|ip| cluster.own.addresses.contains(ip));
        hints::own_service(&cluster, &full).filter(|_| !listed)
    }

    fn cluster<'a>(&'a self, conf: &'a ResolvConf) -> Cluster<'a> {
        Cluster { kubernetes: self.kubernetes, conf, own: self.resolver().own(), services: &self.services }
    }
}
