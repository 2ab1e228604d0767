//! `sslmode`, `sslrootcert`, `sslcert` and `sslkey`: whether to use TLS, and what to verify. Pure.

use std::fmt;

use anyhow::{Result, bail};

use super::FORM;
use super::params::Params;

/// libpq's `sslmode`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum SslMode {
    /// No TLS.
    Disable,
    /// TLS only if the server refuses a login without it.
    Allow,
    /// TLS if the server offers it.
    Prefer,
    /// TLS, with any certificate.
    Require,
    /// TLS, with a certificate of a trusted CA.
    VerifyCa,
    /// TLS, with a certificate of a trusted CA for this host.
    VerifyFull,
}

/// libpq's `sslrootcert`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum RootCert {
    /// Not given: the Mozilla roots and --ca-file.
    Unset,
    /// `system`: the Mozilla roots, because a static binary has no system roots.
    System,
    /// Only the certificates in this file. waitgate reads it again for each attempt.
    File(String),
}

impl fmt::Display for SslMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Disable => "disable",
            Self::Allow => "allow",
            Self::Prefer => "prefer",
            Self::Require => "require",
            Self::VerifyCa => "verify-ca",
            Self::VerifyFull => "verify-full",
        })
    }
}

/// `sslcert` and `sslkey`: a target gives both or neither.
///
/// libpq looks for the missing one in the user's home folder, which a container does not have.
pub(super) fn identity(params: &Params<'_>) -> Result<Option<(String, String)>> {
    match (params.get("sslcert")?, params.get("sslkey")?) {
        (Some(_), _) if cfg!(not(feature = "tls")) => {
            bail!("this build has no TLS, so it cannot use sslcert= ({FORM})")
        }
        (Some(cert), Some(key)) => Ok(Some((cert, key))),
        (None, None) => Ok(None),
        (Some(_), None) => bail!("sslcert= needs sslkey=, the file with its private key ({FORM})"),
        (None, Some(_)) => bail!("sslkey= needs sslcert=, the file with its certificate ({FORM})"),
    }
}

/// `sslmode` and `sslrootcert`. Each depends on the other; the default also depends on --ca-file.
pub(super) fn choose(params: &Params<'_>, ca_file: bool) -> Result<(SslMode, RootCert)> {
    let root_cert = match params.get("sslrootcert")? {
        None => RootCert::Unset,
        Some(text) if text == "system" => RootCert::System,
        Some(path) => RootCert::File(path),
    };
    let given = params.choice(
        "sslmode",
        &[
            ("disable", Some(SslMode::Disable)),
            ("allow", Some(SslMode::Allow)),
            ("prefer", Some(SslMode::Prefer)),
            ("require", Some(SslMode::Require)),
            ("verify-ca", Some(SslMode::VerifyCa)),
            ("verify-full", Some(SslMode::VerifyFull)),
        ],
        None,
    )?;
    // `ssl=true` is JDBC's form. libpq accepts it in URIs too (fe-connect.c: conninfo_uri_parse_params).
    let given = match params.in_url("ssl").as_deref() {
        Some("true") if given.is_none() => Some(SslMode::Require),
        _ => given,
    };
    let ca = ca_file || root_cert != RootCert::Unset;
    let mode = match given {
        None if ca => SslMode::VerifyFull,
        None => SslMode::Prefer,
        Some(SslMode::Require) if ca && root_cert != RootCert::System => SslMode::VerifyCa,
        Some(mode) => mode,
    };
    // This is invalid in libpq too (fe-connect.c: "weak sslmode may not be used with sslrootcert=system"). Anyone can
    // get a certificate of a public CA: unless the name is verified too, it proves nothing.
    if root_cert == RootCert::System && mode != SslMode::VerifyFull {
        bail!("sslrootcert=system works with sslmode=verify-full only ({FORM})");
    }
    if cfg!(not(feature = "tls")) {
        return match mode {
            SslMode::Disable | SslMode::Allow | SslMode::Prefer => Ok((SslMode::Disable, RootCert::Unset)),
            _ => bail!("this build has no TLS, so sslmode can only be disable, allow or prefer ({FORM})"),
        };
    }
    Ok((mode, root_cert))
}
