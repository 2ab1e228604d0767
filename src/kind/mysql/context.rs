//! What one attempt works with: the target, the password and the TLS configuration, from files read once.

use super::MySql;
use super::handshake::Who;
use crate::attempt::Attempt;
use crate::kind::credentials::read_password;
use crate::net::Net;
use crate::reason::Reason;
use crate::secret::Secret;

/// What one attempt works with. It reads the files of the target once.
pub(super) struct Context<'a> {
    pub(super) target: &'a MySql,
    pub(super) net: &'a Net,
    pub(super) attempt: &'a Attempt,
    password: Option<Secret>,
    /// `None`: the session may not be encrypted.
    #[cfg(feature = "tls")]
    pub(super) late: Option<crate::net::tls::late::Late>,
}

impl<'a> Context<'a> {
    /// Reads the files that the target names. If it cannot read one, it fails before it connects to a server.
    pub(super) fn new(target: &'a MySql, net: &'a Net, attempt: &'a Attempt) -> Result<Self, Reason> {
        // With `gone`, waitgate never logs in.
        let password = match &target.password_file {
            Some(file) if !target.gone => Some(read_password(file)?),
            _ => target.info.password.clone(),
        };
        if let Some(password) = &password {
            attempt.hide(password);
        }
        #[cfg(feature = "tls")]
        let late = {
            use super::mode::Mode;
            use crate::net::tls::Verify;
            let verify = match target.info.mode {
                Mode::VerifyIdentity => Verify::Full,
                Mode::VerifyCa => Verify::Chain,
                Mode::Disabled | Mode::Preferred | Mode::Required => Verify::Nothing,
            };
            let wanted = target.info.mode != Mode::Disabled && !target.gone;
            if wanted { Some(target.info.tls.late(net, verify)?) } else { None }
        };
        Ok(Self {
            target,
            net,
            attempt,
            password,
            #[cfg(feature = "tls")]
            late,
        })
    }

    /// Who logs in.
    pub(super) fn who(&self) -> Who<'_> {
        if !self.target.login {
            return Who::NoOne;
        }
        let info = &self.target.info;
        Who::User {
            user: info.user.as_deref().unwrap_or_default(),
            password: self.password.as_ref(),
            database: info.database.as_deref(),
        }
    }
}
