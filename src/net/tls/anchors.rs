//! The trust anchors that a user gave. One that has expired, or that is no CA, is not trusted, as OpenSSL has it.
//!
//! rustls takes an anchor as it is given (RFC 5280 section 6.1.1 lets it). But an application that uses OpenSSL would
//! then fail after waitgate has said ready.

use std::fmt::Write as _;
use std::sync::Arc;

use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;

use super::der::Facts;
use super::fault::{Fault, day};
use crate::reason::Code;

/// A certificate that the user gave.
#[derive(Clone, Debug)]
pub(crate) struct Given {
    pub(super) der: CertificateDer<'static>,
    /// The option, variable or expectation that gave it, for messages.
    pub(super) from: Arc<str>,
}

/// The certificates that are trusted, besides those of Mozilla or alone.
#[derive(Debug)]
pub(crate) struct Anchors {
    mozilla: bool,
    given: Vec<Given>,
    /// Those that were trusted at `since`, with Mozilla's.
    store: RootCertStore,
    /// From when to when the same certificates are trusted: until then none of them expires or becomes valid.
    same: std::ops::Range<u64>,
}

/// Why a given certificate is not trusted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Unfit {
    Expired(u64),
    NotYetValid(u64),
    NoCa,
}

impl Anchors {
    /// Trusts `given`, and the roots of Mozilla if `mozilla` is set. `now` is in seconds from 1970 on.
    pub(super) fn new(mozilla: bool, given: Vec<Given>, now: u64) -> Self {
        let mut same = 0..u64::MAX;
        for facts in given.iter().filter_map(|given| Facts::of(&given.der)) {
            for change in [*facts.valid.start(), facts.valid.end().saturating_add(1)] {
                if change > now {
                    same.end = same.end.min(change);
                } else {
                    same.start = same.start.max(change);
                }
            }
        }
        let store = trusted(mozilla, &given, now);
        Self { mozilla, given, store, same }
    }

    /// Calls `check` with the roots that are trusted at `now`.
    pub(super) fn with<T>(&self, now: u64, check: impl FnOnce(&RootCertStore) -> T) -> T {
        if self.same.contains(&now) { check(&self.store) } else { check(&trusted(self.mozilla, &self.given, now)) }
    }

    /// Whether the user gave this very certificate.
    pub(super) fn has(&self, certificate: &CertificateDer<'_>) -> bool {
        self.given.iter().any(|given| given.der == *certificate)
    }

    /// Every certificate that the user gave.
    pub(super) fn given(&self) -> impl Iterator<Item = &CertificateDer<'static>> {
        self.given.iter().map(|given| &given.der)
    }

    /// Why the certificate is not trusted with which `check` would succeed, if there is one.
    pub(super) fn fault(&self, now: u64, check: impl Fn(&RootCertStore) -> bool) -> Option<Fault> {
        /// A chain is verified for each of them, so there is a bound.
        const TRIED_MAX: usize = 64;
        let unfit = self.given.iter().filter_map(|given| Some((given, unfit(&given.der, now)?)));
        let (given, unfit) = unfit.take(TRIED_MAX).find(|(given, _)| check(&store(false, [&given.der])))?;
        let mut text = format!("has a certificate whose CA, in {}, ", given.from);
        let (code, key) = match unfit {
            Unfit::Expired(last) => {
                let _ = write!(text, "expired on {}", day(last));
                (Code::TlsExpired, "ca")
            }
            Unfit::NotYetValid(first) => {
                let _ = write!(text, "is not valid before {}", day(first));
                (Code::TlsNotYetValid, "ca")
            }
            Unfit::NoCa => {
                text.push_str("is not a CA's certificate (its basicConstraints or keyUsage do not let it sign others)");
                (Code::TlsUnknownIssuer, "no-ca")
            }
        };
        Some(Fault { code, text, key })
    }
}

fn trusted(mozilla: bool, given: &[Given], now: u64) -> RootCertStore {
    store(mozilla, given.iter().map(|given| &given.der).filter(|der| unfit(der, now).is_none()))
}

fn store<'a>(mozilla: bool, given: impl IntoIterator<Item = &'a CertificateDer<'static>>) -> RootCertStore {
    let mut store = RootCertStore::empty();
    if mozilla {
        store.roots = webpki_roots::TLS_SERVER_ROOTS.to_vec();
    }
    store.add_parsable_certificates(given.into_iter().map(|der| CertificateDer::from(der.as_ref())));
    store
}

fn unfit(der: &CertificateDer<'_>, now: u64) -> Option<Unfit> {
    match Facts::of(der) {
        Some(facts) if now > *facts.valid.end() => Some(Unfit::Expired(*facts.valid.end())),
        Some(facts) if now < *facts.valid.start() => Some(Unfit::NotYetValid(*facts.valid.start())),
        Some(facts) if facts.signs => None,
        _ => Some(Unfit::NoCa),
    }
}
