//! `sslmode`, `sslrootcert`, `sslcert` and `sslkey`: how TLS is spoken and what is verified. Pure.

use std::fmt;

use anyhow::{Result, bail};

use super::params::Params;
use super::uri::FORM;

/// libpq's `sslmode`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum SslMode {
    /// No TLS.
    Disable,
    /// TLS where the server refuses to go without.
    Allow,
    /// TLS where the server offers it.
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
    /// `system`: the Mozilla roots, which is what a static binary has of a system.
    System,
    /// A file, read anew each attempt; only what is in it is trusted.
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

/// `sslcert` and `sslkey`: one goes with the other. libpq looks for the one that is missing in the user's
/// home, which a container has not.
pub(super) fn identity(params: &Params<'_>) -> Result<Option<(String, String)>> {
    match (params.get("sslcert")?, params.get("sslkey")?) {
        (Some(_), _) if cfg!(not(feature = "tls")) => bail!("this build has no TLS, so no client certificate ({FORM})"),
        (Some(cert), Some(key)) => Ok(Some((cert, key))),
        (None, None) => Ok(None),
        (Some(_), None) => bail!("sslcert= needs sslkey=, the file with its private key ({FORM})"),
        (None, Some(_)) => bail!("sslkey= needs sslcert=, the file with its certificate ({FORM})"),
    }
}

/// `sslmode` and `sslrootcert`, as the contract ties them to each other and to --ca-file.
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
    // JDBC's spelling, which libpq takes in URIs too (fe-connect.c: conninfo_uri_parse_params).
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
    // libpq refuses this too (fe-connect.c: "weak sslmode may not be used with sslrootcert=system"): anybody
    // can have a certificate of a public CA, so without the name it proves nothing.
    if root_cert == RootCert::System && mode != SslMode::VerifyFull {
        bail!("sslrootcert=system goes with sslmode=verify-full only ({FORM})");
    }
    if cfg!(not(feature = "tls")) {
        return match mode {
            SslMode::Disable | SslMode::Allow | SslMode::Prefer => Ok((SslMode::Disable, RootCert::Unset)),
            _ => bail!("this build has no TLS, so sslmode can be disable, allow or prefer only ({FORM})"),
        };
    }
    Ok((mode, root_cert))
}
