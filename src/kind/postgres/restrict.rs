//! Parameters of libpq that restrict a connection: waitgate honours them or refuses the target. Pure.
//!
//! To ignore one would open the gate where the application does not connect, or send a password where the target forbids
//! it.

use anyhow::{Result, bail};

use super::FORM;
use super::auth::RequireAuth;
use super::params::Params;

/// What remains of these parameters for an attempt.
pub(super) struct Restrictions {
    pub(super) require_auth: RequireAuth,
    /// `ssl_min_protocol_version=TLSv1.3`. waitgate never speaks less than TLS 1.2.
    pub(super) tls13_only: bool,
    /// `sslcertmode=disable`: the client certificate stays unused.
    pub(super) no_certificate: bool,
}

/// Reads the parameters. `socket` says that one of the servers is a unix socket.
pub(super) fn restrictions(params: &Params<'_>, socket: bool) -> Result<Restrictions> {
    let require_auth = match params.get("require_auth")? {
        Some(list) => RequireAuth::parse(&list, params.source("require_auth"))?,
        None => RequireAuth::Any,
    };
    if params.choice("sslnegotiation", &[("postgres", false), ("direct", true)], false)? {
        let source = params.source("sslnegotiation");
        bail!(
            "{source}=direct is not in waitgate, which asks for TLS in PostgreSQL's own way (expected {source}=postgres)"
        );
    }
    if params.choice("gssencmode", &[("disable", false), ("prefer", false), ("require", true)], false)? {
        let source = params.source("gssencmode");
        bail!("{source}=require is not in waitgate, which has no Kerberos (expected {source}=disable)");
    }
    for name in ["sslcrl", "sslcrldir"] {
        if params.get(name)?.is_some() {
            bail!("{}= is not in waitgate, which reads no revocation lists ({FORM})", params.source(name));
        }
    }
    if params.in_url("service").is_some() {
        bail!("service= is not in waitgate, which reads no service file: write what it holds into the URL ({FORM})");
    }
    let versions = [("TLSv1", 10), ("TLSv1.1", 11), ("TLSv1.2", 12), ("TLSv1.3", 13)];
    let min = params.choice("ssl_min_protocol_version", &versions, 12)?;
    if params.choice("ssl_max_protocol_version", &versions, 13)? < 13 {
        let source = params.source("ssl_max_protocol_version");
        bail!("{source}= below TLSv1.3 is not in waitgate, which uses TLS 1.2 and 1.3 (expected {source}=TLSv1.3)");
    }
    if params.choice("min_protocol_version", &[("3.0", false), ("3.2", true), ("latest", true)], false)? {
        let source = params.source("min_protocol_version");
        bail!("{source}= above 3.0 is not in waitgate, which speaks protocol 3.0 (expected {source}=3.0)");
    }
    // libpq looks at it on a unix socket only.
    if socket && params.get("requirepeer")?.is_some() {
        bail!(
            "{}= is not in waitgate, which does not ask who serves a unix socket ({FORM})",
            params.source("requirepeer")
        );
    }
    // libpq then also demands that the server asks for the certificate, which waitgate cannot see.
    let certificate = [("disable", Some(true)), ("allow", Some(false)), ("require", None)];
    let Some(no_certificate) = params.choice("sslcertmode", &certificate, Some(false))? else {
        let source = params.source("sslcertmode");
        bail!("{source}=require is not in waitgate (expected {source}=allow or {source}=disable)");
    };
    Ok(Restrictions { require_auth, tls13_only: min == 13, no_certificate })
}
