//! One attempt: it tries each server, each address, and with and without TLS, until one is ready.

use std::net::SocketAddr;
use std::path::Path;

use tokio::net::UnixStream;
use tokio::time::{self, Instant};

use super::context::Context;
use super::negotiate::{self, Encryption, OpenFailed};
use super::sslmode::SslMode;
use super::uri::{HostOrFolder, Server};
use super::{errors, login, ping};
use crate::kind::{Ready, gone};
use crate::net::address::Host;
use crate::net::connect;
use crate::net::race::race;
use crate::net::stream::Stream;
use crate::reason::{Code, Reason, Stage};
use crate::text::printable;

impl Context<'_> {
    /// Contexts the servers in order.
    pub(super) async fn run(&self) -> Result<Ready, Reason> {
        let info = &self.target.info;
        let servers = &info.servers;
        let mut failed = Vec::new();
        for (at, server) in servers.iter().enumerate() {
            // A silent server must not use up the time of the next ones.
            let until = share(self.attempt.until(), servers.len() - at);
            let until = info.connect_timeout.map_or(until, |bound| until.min(Instant::now() + bound));
            let outcome = match (at + 1 == servers.len(), info.connect_timeout) {
                // The last server has all the time that is left. Then the gate cuts the attempt off.
                (true, None) => self.probe_server(server, until).await,
                _ => time::timeout_at(until, self.probe_server(server, until))
                    .await
                    .unwrap_or_else(|_| Err(self.attempt.cut_off())),
            };
            match outcome {
                Ok(ready) => return Ok(ready),
                Err(reason) => failed.push((server, reason)),
            }
        }
        Err(furthest(failed))
    }

    /// Contexts each address of one server until one is ready.
    async fn probe_server(&self, server: &Server, until: Instant) -> Result<Ready, Reason> {
        let host = match &server.host {
            HostOrFolder::Host(host) => host,
            HostOrFolder::Folder(folder) => return self.probe_socket(server, folder).await,
        };
        let mut addresses = match server.hostaddr {
            Some(ip) => connect::resolve(self.net, &Host::Ip(ip), server.port, self.attempt).await?,
            None => connect::resolve(self.net, host, server.port, self.attempt).await?,
        };
        let mut failed: Vec<(SocketAddr, Reason)> = Vec::new();
        while !addresses.is_empty() {
            let first = race(&addresses, self.attempt, async |address| {
                connect::to(self.net, address, self.attempt).await.map(|stream| (address, stream))
            });
            let (address, stream) = match first.await {
                Ok(first) => first,
                Err(mut each) => {
                    failed.append(&mut each);
                    break;
                }
            };
            let outcome = if addresses.len() == 1 {
                self.probe_address(server, address, stream).await
            } else {
                let bounded =
                    time::timeout_at(share(until, addresses.len()), self.probe_address(server, address, stream));
                bounded.await.unwrap_or_else(|_| Err(self.attempt.cut_off()))
            };
            match outcome {
                Ok(ready) => return Ok(ready),
                Err(reason) => {
                    // The addresses of a name have the same users. Each wrong password is a line in a log and may help
                    // to lock the user out: do not try it at the next address. libpq does not try it either (manual:
                    // Specifying Multiple Hosts). pg_hba.conf may differ between addresses: after 28000, go on.
                    let wrong_password = reason.code() == Code::ProtocolPassword && self.password(server).is_some();
                    failed.push((address, reason));
                    if wrong_password {
                        break;
                    }
                }
            }
            addresses.retain(|other| *other != address);
        }
        Err(connect::explain(self.net, host, &failed))
    }

    /// Contexts a unix socket. libpq never uses TLS on one, whatever the sslmode.
    async fn probe_socket(&self, server: &Server, folder: &str) -> Result<Ready, Reason> {
        let stream = self.connect_socket(folder, server.port).await?;
        self.probe_stream(Encryption::None, server, stream).await.map_err(|(reason, _)| reason)
    }

    async fn connect_socket(&self, folder: &str, port: u16) -> Result<Stream, Reason> {
        let path = Server::socket_path(folder, port);
        let name = printable(&path);
        self.attempt.enter(Stage::Connect, &name);
        match UnixStream::connect(&path).await {
            Ok(socket) => {
                self.attempt.accept();
                Ok(Stream::unix(socket, Path::new(&path)))
            }
            Err(error) => Err(connect::unix_failure(&name, &error)),
        }
    }

    /// Ready when none of the servers is there any more.
    pub(super) async fn gone(&self) -> Result<Ready, Reason> {
        let mut notes = Vec::new();
        for server in &self.target.info.servers {
            let ready = match (&server.host, server.hostaddr) {
                (_, Some(ip)) => gone::probe(self.net, &Host::Ip(ip), server.port, self.attempt).await?,
                (HostOrFolder::Host(host), None) => gone::probe(self.net, host, server.port, self.attempt).await?,
                (HostOrFolder::Folder(folder), None) => match self.connect_socket(folder, server.port).await {
                    Ok(stream) => return Err(gone::still_there(&stream.peer())),
                    Err(reason) if matches!(reason.code(), Code::ConnectRefused | Code::LocalMissing) => {
                        Ready::noted(reason.text())
                    }
                    Err(reason) => return Err(reason),
                },
            };
            notes.extend(ready.note);
        }
        Ok(Ready::noted(notes.join("; ")))
    }

    /// Contexts one address. If sslmode allows both TLS and plain text, a failure of the first may lead to the second.
    async fn probe_address(&self, server: &Server, address: SocketAddr, stream: Stream) -> Result<Ready, Reason> {
        let (encryption, other) = negotiate::encryptions(self.target.info.ssl_mode);
        let (first, try_other) = match self.probe_stream(encryption, server, stream).await {
            Ok(ready) => return Ok(ready),
            Err(failed) => failed,
        };
        let Some(other) = other.filter(|_| try_other) else { return Err(first) };
        let stream = connect::to(self.net, address, self.attempt).await?;
        match self.probe_stream(other, server, stream).await {
            Ok(ready) => Ok(ready),
            Err((second, _)) => {
                let with = if encryption == Encryption::None { "without TLS" } else { "with TLS" };
                Err(second.with_text(format!("{}; before that, {with}: {}", second.text(), first.text())))
            }
        }
    }

    /// Contexts over one connection. With a failure comes whether the other encryption of the sslmode may succeed.
    async fn probe_stream(
        &self,
        encryption: Encryption,
        server: &Server,
        stream: Stream,
    ) -> Result<Ready, (Reason, bool)> {
        let peer = stream.peer();
        let session = match negotiate::open(self, encryption, server, stream).await {
            Ok(session) => session,
            Err(OpenFailed::Handshake(reason)) => return Err((reason, true)),
            Err(OpenFailed::Other(reason)) => return Err((reason, false)),
            Err(OpenFailed::ServerError(error)) => return Err((errors::reason(&peer, &error), false)),
        };
        let encrypted = session.encrypted;
        let outcome = if self.target.login {
            let password = self.password(server);
            let outcome = login::login(self, session.stream, password.as_ref()).await;
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
            // pg_hba.conf may allow a login only with TLS or only without (hostssl, hostnossl); otherwise it is 28000.
            let not_allowed = failed.code == "28000";
            let try_other = not_allowed && encrypted == (encryption == Encryption::IfOffered);
            // The server mentions encryption only in this case ("SSL off" before PostgreSQL 14).
            let unencrypted = ["no encryption", "SSL off"].iter().any(|words| failed.reason.text().contains(words));
            if not_allowed && unencrypted && self.target.info.ssl_mode == SslMode::Disable {
                let said = failed.reason.text();
                let text = format!("{said}; it may take TLS only, which sslmode=disable forbids");
                return (failed.reason.with_text(text), try_other);
            }
            (failed.reason, try_other)
        })
    }
}

/// Divides the time until `end` into `left` equal shares. Returns when the first share ends.
fn share(end: Instant, left: usize) -> Instant {
    let now = Instant::now();
    let left = u32::try_from(left).unwrap_or(u32::MAX).max(1);
    now + end.saturating_duration_since(now) / left
}

/// One reason for several servers: the reason of the server that got furthest, with the texts of all.
fn furthest(failed: Vec<(&Server, Reason)>) -> Reason {
    let several = failed.len() > 1;
    let text: Vec<String> = failed.iter().map(|(server, reason)| format!("{server}: {}", reason.text())).collect();
    let main = failed.into_iter().map(|(_, reason)| reason).max_by_key(Reason::stage);
    match main {
        Some(main) if several => main.with_text(text.join("; ")),
        Some(main) => main,
        None => Reason::new(Code::ResolveNoAddresses, "no host to connect to"),
    }
}
