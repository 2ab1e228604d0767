//! What one attempt works with: the target, the passwords and the TLS configuration, from files read once.

#[cfg(feature = "tls")]
use std::cell::OnceCell;
use std::os::unix::fs::MetadataExt as _;
#[cfg(feature = "tls")]
use std::sync::Arc;

use super::Postgres;
use super::auth::Rules;
#[cfg(feature = "tls")]
use super::params::Path;
use super::passfile::{self, Login};
use super::server::Server;
#[cfg(feature = "tls")]
use super::sslmode::SslMode;
#[cfg(feature = "tls")]
use super::uri::Binding;
use super::uri::ConnectionInfo;
use crate::attempt::Attempt;
use crate::kind::credentials::{read_password, read_text};
use crate::net::Net;
use crate::reason::Reason;
use crate::secret::Secret;
use crate::text::printable;

/// What one attempt works with. It reads the files of the target once.
pub(super) struct Context<'a> {
    pub(super) target: &'a Postgres,
    pub(super) net: &'a Net,
    pub(super) attempt: &'a Attempt,
    passwords: Passwords,
    #[cfg(feature = "tls")]
    tls: OnceCell<Arc<rustls::ClientConfig>>,
}

/// Where the password comes from.
enum Passwords {
    /// There is none.
    None,
    /// From the target, the environment or the file of `password=@FILE`.
    Given(Secret),
    /// From a password file in libpq's format.
    Passfile {
        lines: Secret,
        /// Whether other users can read the file.
        exposed: bool,
    },
}

/// Why one session failed.
pub(super) struct Failed {
    pub(super) reason: Reason,
    /// Whether the server's access rules are the cause, so that the other encryption may succeed.
    pub(super) by_access_rules: bool,
}

impl From<Reason> for Failed {
    /// A failure that another encryption would not change.
    fn from(reason: Reason) -> Self {
        Self { reason, by_access_rules: false }
    }
}

impl<'a> Context<'a> {
    /// Reads the files that the target names. If it cannot read one, it fails before it connects to a server.
    pub(super) fn new(target: &'a Postgres, net: &'a Net, attempt: &'a Attempt) -> Result<Self, Reason> {
        // With `gone`, waitgate never logs in.
        let passwords = if target.gone { Passwords::None } else { passwords(target)? };
        let context = Self {
            target,
            net,
            attempt,
            passwords,
            #[cfg(feature = "tls")]
            tls: OnceCell::new(),
        };
        for server in &target.info.servers {
            if let Some(password) = context.find_password(server) {
                attempt.hide(&password);
            }
        }
        #[cfg(feature = "tls")]
        if !target.gone && target.info.names_tls_files() {
            context.tls()?;
        }
        Ok(context)
    }

    /// Whether the passwords come from a password file.
    pub(super) fn has_passfile(&self) -> bool {
        matches!(self.passwords, Passwords::Passfile { .. })
    }

    /// The password for one server.
    pub(super) fn password(&self, server: &Server) -> Option<Secret> {
        // libpq ignores a file that other users can read. But a Secret that is mounted for a user other than root is
        // group-readable (fsGroup), so waitgate uses the file and logs a warning.
        if let (Passwords::Passfile { exposed: true, .. }, Some(path)) = (&self.passwords, &self.target.info.passfile) {
            let warning =
                format!("other users can read the password file {path}: waitgate uses it, but libpq would ignore it");
            self.net.notice(&printable(&warning));
        }
        self.find_password(server)
    }

    fn find_password(&self, server: &Server) -> Option<Secret> {
        match &self.passwords {
            Passwords::None => None,
            Passwords::Given(password) => Some(password.clone()),
            Passwords::Passfile { lines, .. } => {
                let ConnectionInfo { user, database, .. } = &self.target.info;
                let host = server.in_passfile();
                let login = Login { host: &host, port: server.port, database: database.as_ref().unwrap_or(user), user };
                passfile::find(lines.expose(), &login)
            }
        }
    }

    /// What limits the authentication requests of one session.
    pub(super) fn rules(&self, handshake_failed: bool) -> Rules<'a> {
        Rules { required: &self.target.info.require_auth, handshake_failed }
    }

    /// The TLS configuration for all servers of the target.
    #[cfg(feature = "tls")]
    pub(super) fn tls(&self) -> Result<Arc<rustls::ClientConfig>, Reason> {
        use super::sslmode::RootCert;
        use crate::net::tls::Verify;
        use crate::net::tls::files::{self, Pem};
        use crate::net::tls::roots::Roots;
        if let Some(config) = self.tls.get() {
            return Ok(Arc::clone(config));
        }
        let info = &self.target.info;
        let verify = match info.ssl_mode {
            SslMode::VerifyFull => Verify::Full,
            SslMode::VerifyCa => Verify::Chain,
            // Binding a login to a certificate proves nothing unless the server also holds the certificate's key.
            _ if info.binding == Binding::Require => Verify::Key,
            _ => Verify::Nothing,
        };
        let pem = |name: &str, file: &Path| Pem { what: format!("{name}={file}"), path: file.path.clone() };
        let verified = !matches!(verify, Verify::Nothing | Verify::Key);
        let (roots, ca) = match &info.root_cert {
            RootCert::Unset if verified => (Roots::Run, None),
            RootCert::File(path) if verified => (Roots::Mozilla, Some(pem("sslrootcert", path))),
            _ => (Roots::Mozilla, None),
        };
        let identity = info.identity.as_ref().map(|(cert, key)| (pem("sslcert", cert), pem("sslkey", key)));
        let config = files::config(&self.net.tls, verify, roots, ca.as_ref(), identity.as_ref())?;
        Ok(Arc::clone(self.tls.get_or_init(|| config)))
    }
}

/// Reads the password or the password file.
fn passwords(target: &Postgres) -> Result<Passwords, Reason> {
    if let Some(file) = &target.password_file {
        return read_password(file).map(Passwords::Given);
    }
    if let Some(password) = &target.info.password {
        return Ok(Passwords::Given(password.clone()));
    }
    let Some(path) = &target.info.passfile else { return Ok(Passwords::None) };
    let what = format!("the password file {path}");
    let lines = read_text(&path.path, &what)?;
    let exposed = std::fs::metadata(&path.path).is_ok_and(|meta| meta.mode() & 0o077 != 0);
    Ok(Passwords::Passfile { lines: Secret::new(lines), exposed })
}
