//! One attempt: it tries each server, each address, and with and without TLS, until one is ready.

use std::fmt::Display;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use tokio::time::{self, Instant};

use super::context::Context;
use super::negotiate::{self, Encryption, OpenFailed};
use super::server::{HostOrFolder, Server};
use super::sslmode::SslMode;
use super::{errors, login, ping};
use crate::kind::Ready;
use crate::kind::gone::{self, At};
use crate::kind::servers::{self, Place, Probing};
use crate::net::address::Host;
use crate::net::connect;
use crate::net::stream::Stream;
use crate::reason::{Code, Reason};
use crate::text::printable;

/// The second way (without TLS, or with it) ends this long before the attempt, so that the first way's reason is kept.
const CUT_OFF_MARGIN: Duration = Duration::from_millis(50);

impl Context<'_> {
    /// Tries the servers in order.
    pub(super) async fn run(&self) -> Result<Ready, Reason> {
        let info = &self.target.info;
        let names: Vec<&dyn Display> = info.servers.iter().map(|server| server as &dyn Display).collect();
        let probe = |at: usize, until| -> Probing<'_> { Box::pin(self.probe_server(&info.servers[at], until)) };
        servers::in_turn(&names, info.connect_timeout, self.attempt, &ends_the_list, &probe).await
    }

    /// Tries each address of one server until one is ready.
    async fn probe_server(&self, server: &Server, until: Instant) -> Result<Ready, Reason> {
        let host = match &server.host {
            HostOrFolder::Host(host) => host,
            HostOrFolder::Folder(folder) => return self.probe_socket(server, folder).await,
        };
        let hostaddr = server.hostaddr.map(Host::Ip);
        let place = Place { at: hostaddr.as_ref().unwrap_or(host), port: server.port, host };
        // The addresses of a name have the same users. Each wrong password is a line in a log and may help to lock the
        // user out: do not try it at the next address. libpq does not try it either (manual: Specifying Multiple Hosts).
        // pg_hba.conf may differ between addresses: after 28000, go on.
        let wrong_password =
            |reason: &Reason| reason.code() == Code::ProtocolPassword && self.password(server).is_some();
        let probe =
            |address, stream, until| -> Probing<'_> { Box::pin(self.probe_address(server, address, stream, until)) };
        servers::each_address(self.net, place, until, self.attempt, &wrong_password, &probe).await
    }

    /// Contexts a unix socket. libpq never uses TLS on one, whatever the sslmode.
    async fn probe_socket(&self, server: &Server, folder: &str) -> Result<Ready, Reason> {
        let stream = self.connect_socket(folder, server.port).await?;
        self.probe_stream(Encryption::None, server, stream, false).await.map_err(|failed| failed.reason)
    }

    async fn connect_socket(&self, folder: &str, port: u16) -> Result<Stream, Reason> {
        let path = Server::socket_path(folder, port);
        connect::to_socket(Path::new(&path), &printable(&path), self.attempt).await
    }

    /// Ready when none of the servers is there any more.
    pub(super) async fn gone(&self) -> Result<Ready, Reason> {
        let ips: Vec<_> = self.target.info.servers.iter().map(|server| server.hostaddr.map(Host::Ip)).collect();
        let servers = self.target.info.servers.iter().zip(&ips).map(|(server, ip)| match (&server.host, ip) {
            (_, Some(ip)) => At::Tcp(ip, server.port),
            (HostOrFolder::Host(host), None) => At::Tcp(host, server.port),
            (HostOrFolder::Folder(folder), None) => {
                let path = Server::socket_path(folder, server.port);
                let name = printable(&path);
                At::Socket(path, name)
            }
        });
        gone::probe_all(self.net, servers.collect(), self.attempt).await
    }

    /// Tries one address. If sslmode allows both TLS and plain text, a failure of the first may lead to the second.
    async fn probe_address(
        &self,
        server: &Server,
        address: SocketAddr,
        stream: Stream,
        until: Instant,
    ) -> Result<Ready, Reason> {
        let (encryption, other) = negotiate::encryptions(self.target.info.ssl_mode);
        let failed = match self.probe_stream(encryption, server, stream, false).await {
            Ok(ready) => return Ok(ready),
            Err(failed) => failed,
        };
        let first = failed.reason;
        let handshake_failed = failed.then == Then::PlainText;
        let Some(other) = other.filter(|_| failed.then != Then::Stop) else { return Err(first) };
        let again = async {
            let stream = connect::to(self.net, address, self.attempt).await?;
            self.probe_stream(other, server, stream, handshake_failed).await.map_err(|failed| failed.reason)
        };
        // A little earlier than the bound of the attempt, which would leave nothing of the first reason.
        let left = until.saturating_duration_since(Instant::now());
        let second = time::timeout(left.saturating_sub(CUT_OFF_MARGIN.min(left / 8)), again).await;
        let second = match second.unwrap_or_else(|_| Err(self.attempt.cut_off())) {
            Ok(ready) => return Ok(ready),
            Err(second) => second,
        };
        // What TLS met comes first: psql has this order too. The reason is that of the attempt which got further.
        let (tls, plain) = if encryption == Encryption::None { (&second, &first) } else { (&first, &second) };
        let text = format!("{}; without TLS: {}", tls.text(), plain.text());
        let main = if plain.stage() > tls.stage() { plain } else { tls };
        Err(main.with_text(text))
    }

    /// Tries one connection. `handshake_failed` says that it is in plain text because the TLS handshake failed.
    async fn probe_stream(
        &self,
        encryption: Encryption,
        server: &Server,
        stream: Stream,
        handshake_failed: bool,
    ) -> Result<Ready, StreamFailed> {
        let peer = stream.peer().clone();
        let stop = |reason| StreamFailed { reason, then: Then::Stop };
        let session = match negotiate::open(self, encryption, server, stream).await {
            Ok(session) => session,
            Err(OpenFailed::Handshake(reason)) => return Err(StreamFailed { reason, then: Then::PlainText }),
            Err(OpenFailed::Other(reason)) => return Err(stop(reason)),
            Err(OpenFailed::ServerError(error)) => return Err(stop(errors::reason(&peer, &error))),
        };
        let encrypted = session.encrypted;
        let outcome = if self.target.login {
            let password = self.password(server);
            let outcome = login::login(self, session.stream, password.as_ref(), self.rules(handshake_failed)).await;
            let no_line_fits = password.is_none() && self.has_passfile();
            outcome.map_err(|mut failed| {
                if no_line_fits && failed.reason.code() == Code::ProtocolPassword {
                    let text = format!("{}: no line of the password file fits", failed.reason.text());
                    failed.reason = failed.reason.with_text(text);
                }
                failed
            })
        } else {
            ping::ping(self, session.stream).await
        };
        outcome.map_err(|failed| {
            // pg_hba.conf may allow a login only with TLS or only without (hostssl, hostnossl).
            let other = failed.by_access_rules && encrypted == (encryption == Encryption::IfOffered);
            let then = if other { Then::OtherEncryption } else { Then::Stop };
            // The server mentions encryption only in this case ("SSL off" before PostgreSQL 14).
            let unencrypted = ["no encryption", "SSL off"].iter().any(|words| failed.reason.text().contains(words));
            if failed.by_access_rules && unencrypted && self.target.info.ssl_mode == SslMode::Disable {
                let said = failed.reason.text();
                let text = format!("{said}; it may take TLS only, which sslmode=disable forbids");
                return StreamFailed { reason: failed.reason.with_text(text), then };
            }
            StreamFailed { reason: failed.reason, then }
        })
    }
}

/// Why one connection failed, and what may help.
struct StreamFailed {
    reason: Reason,
    then: Then,
}

/// What may help after a failure, if the sslmode allows it.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Then {
    /// Nothing.
    Stop,
    /// The other encryption.
    OtherEncryption,
    /// Plain text, because the TLS handshake failed.
    PlainText,
}

/// Whether libpq would not try the next server of the list: this one has answered with an error that is not "not now"
/// (manual: Specifying Multiple Hosts; fe-connect.c: PQconnectPoll, ERRCODE_CANNOT_CONNECT_NOW). An application with this
/// list would not connect either.
fn ends_the_list(reason: &Reason) -> bool {
    matches!(
        reason.code(),
        Code::ProtocolPassword
            | Code::ProtocolNotAuthorized
            | Code::ProtocolNoDatabase
            | Code::ProtocolTooManyClients
            | Code::ProtocolPooler
            | Code::ProtocolError
    )
}
