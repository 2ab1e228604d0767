//! `sslmode`, `sslrootcert`, `sslcert` and `sslkey`: whether to use TLS, and what to verify. Pure.

use std::fmt;

use anyhow::{Result, bail};

use super::FORM;
use super::jdbc::{self, Ssl};
use super::params::{Params, Path};

/// libpq's `sslmode`.
/// Each mode demands more than the one before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
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
    File(Path),
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
pub(super) fn identity(params: &Params<'_>) -> Result<Option<(Path, Path)>> {
    if params.in_url("sslidentity").is_some() {
        bail!("sslidentity= names a PKCS#12 file: write sslcert= and sslkey=, which name PEM files ({FORM})");
    }
    match (params.path("sslcert")?, params.path("sslkey")?) {
        (Some(_), _) if cfg!(not(feature = "tls")) => {
            bail!("this build has no TLS, so it cannot use sslcert= ({FORM})")
        }
        (Some(cert), Some(key)) => Ok(Some((cert, key))),
        (None, None) => Ok(None),
        // In Prisma's URLs sslcert= is the CA of the server.
        (Some(_), None) if prisma(params)?.is_some() => Ok(None),
        (Some(_), None) => bail!("sslcert= needs sslkey=, the file with its private key ({FORM})"),
        (None, Some(_)) => bail!("sslkey= needs sslcert=, the file with its certificate ({FORM})"),
    }
}

/// Prisma's `sslaccept`: whether the server's certificate is verified.
fn prisma(params: &Params<'_>) -> Result<Option<bool>> {
    params.choice("sslaccept", &[("strict", Some(true)), ("accept_invalid_certs", Some(false))], None)
}

/// The words for a mode. `no-verify` is node-postgres's word for libpq's `require`.
const MODES: [(&str, Option<SslMode>); 7] = [
    ("disable", Some(SslMode::Disable)),
    ("allow", Some(SslMode::Allow)),
    ("prefer", Some(SslMode::Prefer)),
    ("require", Some(SslMode::Require)),
    ("verify-ca", Some(SslMode::VerifyCa)),
    ("verify-full", Some(SslMode::VerifyFull)),
    ("no-verify", Some(SslMode::Require)),
];

/// The words of `ssl=`: those of JDBC, node-postgres and Ecto, and a mode as asyncpg has it.
const SSL: [(&str, Option<SslMode>); 11] = [
    ("true", Some(SslMode::Require)),
    ("1", Some(SslMode::Require)),
    ("false", Some(SslMode::Disable)),
    ("0", Some(SslMode::Disable)),
    MODES[0],
    MODES[1],
    MODES[2],
    MODES[3],
    MODES[4],
    MODES[5],
    MODES[6],
];

/// `ssl=` as the JDBC driver has it.
fn ssl_of_jdbc(params: &Params<'_>) -> Result<Option<SslMode>> {
    Ok(jdbc::ssl(params)?.map(|ssl| match ssl {
        Ssl::Verified => SslMode::VerifyFull,
        Ssl::Unverified => SslMode::Require,
    }))
}

/// `sslmode`, `ssl` and `sslrootcert`. Each depends on the others; the default also depends on --ca-file.
pub(super) fn choose(params: &Params<'_>, ca_file: bool, jdbc: bool) -> Result<(SslMode, RootCert)> {
    let prisma = prisma(params)?;
    let root_cert = match params.path("sslrootcert")? {
        Some(file) if file.path == "system" => RootCert::System,
        Some(file) => RootCert::File(file),
        // Where Prisma accepts any certificate, the CA is of no use.
        None => match (prisma, params.in_url("sslkey")) {
            (Some(true), None) => params.path("sslcert")?.map_or(RootCert::Unset, RootCert::File),
            _ => RootCert::Unset,
        },
    };
    let mut given = params.choice("sslmode", &MODES, None)?;
    // libpq reads `ssl=true` too (fe-connect.c: conninfo_uri_parse_params). What demands more wins.
    given = given.max(if jdbc { ssl_of_jdbc(params)? } else { params.choice("ssl", &SSL, None)? });
    // The form before libpq had `sslmode`.
    given = given.max(params.choice("requiressl", &[("0", None), ("1", Some(SslMode::Require))], None)?);
    let require_ssl = [("false", None), ("0", None), ("true", Some(SslMode::Require)), ("1", Some(SslMode::Require))];
    given = given.max(params.choice("require_ssl", &require_ssl, None)?);
    if prisma == Some(true) && given != Some(SslMode::Disable) {
        given = Some(SslMode::VerifyFull);
    }
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
