//! One attempt: it tries each address, until one is ready.

use std::net::SocketAddr;

use super::Amqp;
use super::errors::AMQP;
use super::mechanism::Login;
use super::session::{self, Wish};
use crate::attempt::Attempt;
use crate::kind::Ready;
use crate::kind::credentials::read_password;
use crate::kind::servers::{self, Place, Probing};
use crate::kind::unanswered::Failed;
use crate::net::Net;
use crate::net::stream::Stream;
use crate::reason::{Code, Reason};
use crate::secret::Secret;

/// What one attempt works with.
pub(super) struct Context<'a> {
    target: &'a Amqp,
    net: &'a Net,
    attempt: &'a Attempt,
    password: Secret,
}

impl<'a> Context<'a> {
    /// Reads the password. If it cannot, it fails before it connects to a server.
    pub(super) fn new(target: &'a Amqp, net: &'a Net, attempt: &'a Attempt) -> Result<Self, Reason> {
        let password = match &target.password_file {
            Some(file) => {
                let password = read_password(file)?;
                attempt.hide(&password);
                password
            }
            None => target.own_password(),
        };
        Ok(Self { target, net, attempt, password })
    }

    pub(super) async fn run(&self) -> Result<Ready, Reason> {
        let location = &self.target.location;
        let place = Place { at: &location.host, port: location.port, host: &location.host };
        // The addresses of a name are of one cluster, which has the same users at each. A wrong password is a line in a log:
        // do not try it at the next address.
        let is_final = |reason: &Reason| {
            matches!(reason.code(), Code::ProtocolPassword | Code::ProtocolAuthMethod | Code::ProtocolNotAuthorized)
        };
        let probe = |address, stream, _| -> Probing<'_> { Box::pin(self.address(address, stream)) };
        servers::each_address(self.net, place, self.attempt.until(), self.attempt, &is_final, &probe).await
    }

    async fn address(&self, address: SocketAddr, stream: Stream) -> Result<Ready, Reason> {
        #[cfg(feature = "tls")]
        let stream = if self.target.location.tls { self.handshake(stream).await? } else { stream };
        match self.on(stream).await {
            Ok(ready) => Ok(ready),
            Err(Failed { reason, silent: true }) if !self.target.location.tls => {
                Err(AMQP.silent(address, reason, self.attempt).await)
            }
            Err(failed) => Err(failed.reason),
        }
    }

    #[cfg(feature = "tls")]
    async fn handshake(&self, stream: Stream) -> Result<Stream, Reason> {
        use crate::net::tls::Verify;
        let location = &self.target.location;
        let verify = if location.params.unverified { Verify::Nothing } else { Verify::Full };
        self.target.tls.handshake(self.net, &location.host, verify, stream, self.attempt).await
    }

    /// Tries one connection.
    pub(super) async fn on(&self, stream: Stream) -> Result<Ready, Failed> {
        let target = self.target;
        let login = target.user.as_deref().map(|user| Login {
            user,
            password: &self.password,
            allowed: &target.mechanisms,
            publishes: target.publish,
        });
        let queue = target.queue.as_deref();
        let wish = Wish { login, vhost: &target.location.vhost, queue, publish: target.publish };
        session::run(stream, &wish, self.attempt).await
    }
}
