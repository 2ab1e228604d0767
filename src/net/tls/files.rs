//! A target's own TLS files: a CA, a client certificate and its key. Each attempt reads them again.

use std::sync::Arc;

use rustls::ClientConfig;

use super::roots::Roots;
use super::{Identity, Tls, Verify, Wants};
use crate::file::{PEM_MAX, read_for};
use crate::reason::{Code, Reason};
use crate::text::printable;

/// A PEM file that a target names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Pem {
    /// The expectation that gives it, with its path: `#ca=/run/ca.pem`.
    pub(crate) what: String,
    pub(crate) path: String,
}

impl Pem {
    /// The file at `path`, which the expectation `name` gives as `written`, perhaps with `$(NAME)`. Messages have only that
    /// text: what is in a variable may be a secret.
    pub(crate) fn written(name: &str, path: &str, written: &str) -> Self {
        Self { what: format!("{name}={}", printable(written)), path: path.to_owned() }
    }

    fn read(&self) -> Result<Vec<u8>, Reason> {
        read_for(&self.path, PEM_MAX, &self.what)
    }
}

/// The TLS configuration of a target with files of its own. It trusts `roots` if there is no `ca`.
pub(crate) fn config(
    tls: &Tls,
    verify: Verify,
    roots: Roots,
    ca: Option<&Pem>,
    identity: Option<&(Pem, Pem)>,
) -> Result<Arc<ClientConfig>, Reason> {
    let roots = match ca {
        None => roots,
        Some(ca) => only(tls, ca)?,
    };
    let mut wants = Wants { verify, roots, identity: None };
    let mut what = String::new();
    if let Some((cert, key)) = identity {
        what = format!("{} with {}", cert.what, key.what);
        let own = Identity::from_pem(&cert.read()?, &key.read()?);
        wants.identity = Some(own.map_err(|error| unusable(&what, &error))?);
    }
    tls.config_for(wants).map_err(|error| unusable(&what, &error))
}

/// The roots in one file.
pub(super) fn only(tls: &Tls, ca: &Pem) -> Result<Roots, Reason> {
    tls.anchors(&ca.read()?, &ca.what).map(Roots::Only).map_err(|error| unusable(&ca.what, &error))
}

/// The TLS configuration that trusts the CA in this PEM alone, or without one the roots of the run. `what` names the CA.
#[cfg(feature = "k8s")]
pub(crate) fn own_ca(
    tls: &Tls,
    ca: Option<&[u8]>,
    what: &str,
    identity: Option<Identity>,
    insecure: bool,
) -> Result<Arc<ClientConfig>, Reason> {
    let roots = match ca {
        None => Roots::Run,
        Some(pem) => Roots::Only(tls.anchors(pem, what).map_err(|error| unusable(what, &error))?),
    };
    let verify = if insecure { Verify::Nothing } else { Verify::Full };
    let wants = Wants { verify, roots, identity };
    tls.config_for(wants).map_err(|error| unusable("the client certificate", &error))
}

fn unusable(what: &str, error: &anyhow::Error) -> Reason {
    Reason::new(Code::LocalFile, format!("{what} cannot be used: {error}")).with_key("pem")
}
