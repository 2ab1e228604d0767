//! Whether to use TLS, and what to verify: `ssl-mode`, and the words that drivers have in its place. Pure.

use std::fmt;

use anyhow::{Result, bail};

use super::FORM;
use super::params::Params;

/// MySQL's `--ssl-mode` (manual: Command Options for Encrypted Connections). Each mode demands more than the one before.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Mode {
    /// No TLS.
    Disabled,
    /// TLS if the server offers it.
    Preferred,
    /// TLS, with any certificate.
    Required,
    /// TLS, with a certificate of a trusted CA.
    VerifyCa,
    /// TLS, with a certificate of a trusted CA for this host.
    VerifyIdentity,
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Disabled => "DISABLED",
            Self::Preferred => "PREFERRED",
            Self::Required => "REQUIRED",
            Self::VerifyCa => "VERIFY_CA",
            Self::VerifyIdentity => "VERIFY_IDENTITY",
        })
    }
}

use Mode::{Disabled, Preferred, Required, VerifyCa, VerifyIdentity};

/// The words of a mode: MySQL's, libpq's for drivers that share them, and MariaDB Connector/J's `trust`.
const MODES: &[(&str, Mode)] = &[
    ("disabled", Disabled),
    ("disable", Disabled),
    ("preferred", Preferred),
    ("prefer", Preferred),
    ("required", Required),
    ("require", Required),
    ("trust", Required),
    ("verifyca", VerifyCa),
    ("verifyidentity", VerifyIdentity),
    ("verifyfull", VerifyIdentity),
];

/// The words of `tls=` (github.com/go-sql-driver/mysql, README).
const GO: &[(&str, Mode)] =
    &[("true", VerifyIdentity), ("false", Disabled), ("skipverify", Required), ("preferred", Preferred)];

const YES: &[(&str, bool)] = &[
    ("true", true),
    ("1", true),
    ("yes", true),
    ("on", true),
    ("false", false),
    ("0", false),
    ("no", false),
    ("off", false),
];

/// Chooses the mode. What demands more wins. `ca` says that there is a CA or a name to verify, `mariadb` that the URL is one
/// of MariaDB Connector/J.
pub(super) fn choose(params: &Params, ca: bool, mariadb: bool) -> Result<Mode> {
    let is = |name| params.word(name, YES);
    let mut given = params.word("sslmode", MODES)?;
    let mut add = |mode: Option<Mode>| given = given.max(mode);
    add(params.word("tls", GO)?);
    add(ssl(params)?);
    let use_ssl = is("usessl")?;
    // The table of MySQL Connector/J (manual: Connection Properties, Security). MariaDB's has only the first word, which
    // demands everything.
    let legacy = match (is("trustservercertificate")?, is("disablesslhostnameverification")?) {
        (Some(true), _) => Required,
        (_, Some(true)) => VerifyCa,
        _ => VerifyIdentity,
    };
    add(use_ssl.map(|yes| match yes {
        true if mariadb => legacy,
        true => Preferred,
        false => Disabled,
    }));
    let demands = |yes: Option<bool>, mode: Mode| yes.filter(|yes| *yes).map(|_| mode);
    if use_ssl != Some(false) {
        add(demands(is("requiressl")?, Required));
        add(demands(is("verifyservercertificate")?, VerifyCa));
    }
    // SQLAlchemy's, MySQL Connector/Python's and PyMySQL's.
    add(demands(is("ssldisabled")?, Disabled));
    add(demands(is("sslverifycert")?, VerifyCa));
    add(demands(is("sslverifyservercert")?, VerifyIdentity));
    add(demands(is("sslverifyidentity")?, VerifyIdentity));
    add(demands(is("sslcheckhostname")?, VerifyIdentity));
    // Prisma's.
    add(params.word("sslaccept", &[("strict", VerifyIdentity), ("acceptinvalidcerts", Preferred)])?);
    let mode = match given {
        None if ca => VerifyIdentity,
        None => Preferred,
        Some(Required) if ca => VerifyCa,
        Some(mode) => mode,
    };
    if cfg!(not(feature = "tls")) {
        return match mode {
            Disabled | Preferred => Ok(Disabled),
            _ => bail!("this build has no TLS, so ssl-mode can only be DISABLED or PREFERRED ({FORM})"),
        };
    }
    Ok(mode)
}

/// `ssl=`: a yes or no, a mode, or the JSON of mysql2 for Node.js.
fn ssl(params: &Params) -> Result<Option<Mode>> {
    let Some(text) = params.get("ssl") else { return Ok(None) };
    if !text.starts_with('{') {
        if let Ok(Some(yes)) = params.word("ssl", YES) {
            return Ok(Some(if yes { Required } else { Disabled }));
        }
        return params.word("ssl", MODES);
    }
    let text: String = text.chars().filter(|c| !c.is_whitespace()).collect();
    if ["\"ca\":", "\"cert\":", "\"key\":", "\"pfx\":"].iter().any(|name| text.contains(name)) {
        bail!("ssl= holds certificates: write #ca=FILE, #cert=FILE and #key=FILE, which name PEM files ({FORM})");
    }
    // Without `verifyIdentity`, mysql2 does not compare the name.
    Ok(Some(match () {
        () if text.contains("\"rejectUnauthorized\":false") => Required,
        () if text.contains("\"verifyIdentity\":true") => VerifyIdentity,
        () => VerifyCa,
    }))
}
