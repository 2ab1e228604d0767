//! One attempt: it tries each server and each address, until one is ready.

use std::fmt::Display;
use std::path::Path;

use tokio::time::Instant;

use super::context::Context;
use super::errors;
use super::handshake::{self, Who};
use super::query;
use super::session::{self, farewell, no_packet};
use super::uri::Server;
use crate::kind::Ready;
use crate::kind::gone::{self, At};
use crate::kind::servers::{self, Place, Probing};
use crate::net::connect;
use crate::net::stream::Stream;
use crate::reason::{Code, Reason, Stage};
use crate::text::printable;

impl Context<'_> {
    /// Tries the servers in order.
    pub(super) async fn run(&self) -> Result<Ready, Reason> {
        // The addresses of a name have the same users. Each wrong password is a line in a log and may help to lock the
        // user out: do not try it at the next address. For the server, an answer that proves nothing is one too.
        let is_final = |reason: &Reason| matches!(reason.code(), Code::ProtocolPassword | Code::ProtocolAuthMethod);
        // As the drivers, which fail over to the next server if they cannot connect, and not after a refused login.
        let ends_the_list = |reason: &Reason| {
            is_final(reason) || matches!(reason.code(), Code::ProtocolNotAuthorized | Code::ProtocolNoDatabase)
        };
        let servers = &self.target.info.servers;
        let names: Vec<&dyn Display> = servers.iter().map(|server| server as &dyn Display).collect();
        let probe = |at: usize, until| -> Probing<'_> { Box::pin(self.server(&servers[at], until, &is_final)) };
        servers::in_turn(&names, None, self.attempt, &ends_the_list, &probe).await
    }

    async fn server(
        &self,
        server: &Server,
        until: Instant,
        is_final: &dyn Fn(&Reason) -> bool,
    ) -> Result<Ready, Reason> {
        match server {
            Server::Tcp { host, port } => {
                let place = Place { at: host, port: *port, host };
                let probe = |_, stream, _| -> Probing<'_> { Box::pin(self.on(server, stream)) };
                servers::each_address(self.net, place, until, self.attempt, is_final, &probe).await
            }
            Server::Socket(path) => self.on(server, self.socket(path).await?).await,
        }
    }

    async fn socket(&self, path: &str) -> Result<Stream, Reason> {
        connect::to_socket(Path::new(path), &printable(path), self.attempt).await
    }

    /// Ready when none of the servers is there any more.
    pub(super) async fn gone(&self) -> Result<Ready, Reason> {
        let servers = self.target.info.servers.iter().map(|server| match server {
            Server::Tcp { host, port } => At::Tcp(host, *port),
            Server::Socket(path) => At::Socket(path.clone(), printable(path)),
        });
        gone::probe_all(self.net, servers.collect(), self.attempt).await
    }

    /// Tries one connection.
    pub(super) async fn on(&self, server: &Server, stream: Stream) -> Result<Ready, Reason> {
        let mut session = session::open(self, server, stream).await?;
        let peer = session.wire.peer();
        let did = if self.target.login { "the login" } else { "the answer to its greeting" };
        self.attempt.enter(Stage::Protocol, format_args!("{peer} accepted the connection and {did}"));
        let who = self.who();
        let end = match session.finish(who).await {
            Ok(end) => end,
            Err(why) => return Err(no_packet(&why, &session.wire, "during the handshake")),
        };
        let failed = match (&end.refused, &end.last, who) {
            (Some(refused), _, _) => Some(handshake::refusal(&peer, refused, self.attempt)),
            (None, Ok(()), _) => None,
            (None, Err(error), Who::NoOne) => errors::of_ping(&peer, error, self.attempt),
            (None, Err(error), Who::User { password: None, .. }) if error.number == 1045 => {
                Some(handshake::no_password(&peer, error, self.attempt))
            }
            (None, Err(error), Who::User { .. }) => {
                let reason = errors::reason(&peer, error, self.attempt);
                // A server says no more than this to a user that it lets in over TLS only (REQUIRE SSL).
                let forbidden = error.number == 1045 && session.is_plain_by_choice();
                let text = format!("{}; the user may need TLS, which ssl-mode=DISABLED forbids", reason.text());
                Some(if forbidden { reason.with_text(text) } else { reason })
            }
        };
        let outcome = match failed {
            Some(reason) => Err(reason),
            None if self.target.login => {
                query::ask(self, &mut session).await.map(|()| Ready::noted(format!("logged in at {peer}")))
            }
            None => Ok(Ready::noted(format!("accepting connections at {peer}"))),
        };
        // After an error the server has ended the session itself.
        farewell(session.wire, end.last.is_ok()).await;
        outcome
    }
}
