//! One attempt: find the servers, and try each of them until one is ready: a hello, what it says, and a login.

use std::fmt::Display;
use std::net::SocketAddr;
use std::path::Path;

use tokio::time::Instant;

use super::auth::{self, Mechanism, Who};
use super::bson::Writer;
use super::errors::{self, MONGODB};
use super::hello::{Hello, State};
use super::message::{Answer, Way};
use super::srv;
use super::uri::{Info, Seeds, Server};
use super::wire::Session;
use super::{MongoDb, Role};
use crate::attempt::Attempt;
use crate::kind::Ready;
use crate::kind::credentials::read_password;
use crate::kind::gone::{self, At};
use crate::kind::servers::{self, Place, Probing};
use crate::kind::unanswered::Failed;
use crate::net::Net;
use crate::net::connect;
use crate::net::stream::{Peer, Stream};
use crate::reason::{Code, Reason};
use crate::secret::Secret;
use crate::text::printable;

const HELLO: &str = "a hello";

/// What one attempt works with. It reads the file with the password once.
pub(super) struct Context<'a> {
    pub(super) target: &'a MongoDb,
    net: &'a Net,
    attempt: &'a Attempt,
    password: Option<Secret>,
    /// What a TXT record adds to the target.
    text: srv::Text,
}

impl<'a> Context<'a> {
    pub(super) fn new(target: &'a MongoDb, net: &'a Net, attempt: &'a Attempt) -> Result<Self, Reason> {
        let password = match &target.password_file {
            Some(file) => Some(read_password(file)?),
            None => target.info.password.clone(),
        };
        if let Some(password) = &password {
            attempt.hide(password);
        }
        Ok(Self { target, net, attempt, password, text: srv::Text::default() })
    }

    fn info(&self) -> &'a Info {
        &self.target.info
    }

    /// Tries the servers in order, or with `gone` asks whether none of them is there any more.
    pub(super) async fn run(&mut self) -> Result<Ready, Reason> {
        let gone = self.target.gone;
        let servers = match &self.info().seeds {
            Seeds::Listed(servers) => servers.clone(),
            Seeds::Srv { name, service } => srv::hosts(self.net, name, service, gone, self.attempt).await?,
        };
        if gone {
            return self.gone(&servers).await;
        }
        if let Seeds::Srv { name, .. } = &self.info().seeds {
            self.text = srv::options(self.net, name, self.attempt).await?;
        }
        let context = &*self;
        // The members of a set have the same users. Each wrong password is a line in a log and may help to lock the user
        // out: do not try it at the next server.
        let is_final = |reason: &Reason| {
            matches!(reason.code(), Code::ProtocolPassword | Code::ProtocolAuthMethod | Code::ProtocolNotAuthorized)
        };
        let names: Vec<&dyn Display> = servers.iter().map(|server| server as &dyn Display).collect();
        let probe = |at: usize, until| -> Probing<'_> { Box::pin(context.server(&servers[at], until, &is_final)) };
        servers::in_turn(&names, self.info().connect_timeout, self.attempt, &is_final, &probe).await
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
                let probe = |address, stream, _| -> Probing<'_> { Box::pin(self.address(server, address, stream)) };
                servers::each_address(self.net, place, until, self.attempt, is_final, &probe).await
            }
            Server::Socket { path, shown } => {
                let stream = connect::to_socket(Path::new(path), &printable(shown), self.attempt).await?;
                self.session(stream).await.map_err(|failed| failed.reason)
            }
        }
    }

    async fn gone(&self, servers: &[Server]) -> Result<Ready, Reason> {
        if servers.is_empty() {
            return Ok(Ready::noted("the name has no SRV records"));
        }
        let servers = servers.iter().map(|server| match server {
            Server::Tcp { host, port } => At::Tcp(host, *port),
            Server::Socket { path, shown } => At::Socket(path.clone(), printable(shown)),
        });
        gone::probe_all(self.net, servers.collect(), self.attempt).await
    }

    /// Tries one connection over TCP.
    async fn address(&self, server: &Server, address: SocketAddr, stream: Stream) -> Result<Ready, Reason> {
        if self.info().tls {
            #[cfg(feature = "tls")]
            {
                let stream = self.handshake(server, address, stream).await?;
                return self.session(stream).await.map_err(|failed| failed.reason);
            }
        }
        let _ = server;
        match self.session(stream).await {
            Ok(ready) => Ok(ready),
            Err(Failed { reason, silent: true }) => Err(MONGODB.silent(address, reason, self.attempt).await),
            Err(failed) => Err(failed.reason),
        }
    }

    /// Makes `stream` a TLS stream. If that fails, it finds out whether the port speaks TLS at all: a MongoDB without TLS
    /// closes without a word.
    #[cfg(feature = "tls")]
    async fn handshake(&self, server: &Server, address: SocketAddr, stream: Stream) -> Result<Stream, Reason> {
        use super::uri::Verified;
        use crate::net::tls::Verify;
        let Server::Tcp { host, .. } = server else { return Ok(stream) };
        let verify = match self.info().verified {
            Verified::Full => Verify::Full,
            Verified::Chain => Verify::Chain,
            Verified::Nothing => Verify::Nothing,
        };
        if self.info().mechanism == Mechanism::Plain && self.net.tls.wanted(verify) != Verify::Full {
            let text = "authMechanism=PLAIN sends the password itself, and --insecure verifies no certificate";
            return Err(Reason::new(Code::ProtocolAuthMethod, text).with_key("plain"));
        }
        let (until, files) = (self.attempt.until(), &self.info().options);
        match files.handshake_before(until, self.net, host, verify, stream, self.attempt).await {
            Ok(stream) => Ok(stream),
            Err(failed) => {
                let plain = Some("is a MongoDB without TLS, and the target asks for TLS");
                Err(MONGODB.not_tls(address, failed, plain, self.attempt).await)
            }
        }
    }

    /// Tries one connection, for the fuzzers.
    pub(super) async fn over(&self, stream: Stream) -> Result<Ready, Reason> {
        self.session(stream).await.map_err(|failed| failed.reason)
    }

    /// One session, from its first command to its end.
    async fn session(&self, stream: Stream) -> Result<Ready, Failed> {
        // Every server takes the first hello in the old way: MongoDB from its first days to its newest, FerretDB, Amazon
        // DocumentDB and Azure Cosmos DB. The drivers begin so too (source/mongodb-handshake/handshake.md). Only a load balancer
        // is told that there is one, which needs the new way.
        let balanced = self.info().balanced.or(self.text.balanced) == Some(true);
        let way = if balanced { Way::Message } else { Way::Query };
        let mut session = Session::new(stream, self.attempt, way);
        let outcome = self.converse(&mut session, balanced).await;
        let outcome = outcome.map_err(|reason| Failed::new(reason, session.first()));
        session.end().await;
        outcome
    }

    async fn converse(&self, session: &mut Session<'_>, balanced: bool) -> Result<Ready, Reason> {
        let who = self.who();
        let answer = self.hello(session, who.as_ref(), balanced).await?;
        let hello = Hello::of(answer.document());
        let peer = session.peer();
        // A server that does not serve, or is not the wanted one, gets no login: it might count a failure.
        let mut failed = errors::not_serving(peer, &hello);
        if let Some(set) = self.info().set.as_deref().or(self.target.set.as_deref()).or(self.text.set.as_deref()) {
            failed = failed.or_else(|| errors::other_set(peer, &hello, set, self.attempt));
        }
        failed = failed.or_else(|| self.other_role(peer, &hello));
        if balanced && !hello.balanced {
            let text = format!("{peer} is not behind a load balancer, and loadBalanced=true says so");
            failed = failed.or_else(|| Some(Reason::new(Code::ExpectState, text).with_key("balanced")));
        }
        if let Some(failed) = failed {
            return Err(failed);
        }
        let mut note = match who {
            None => format!("hello from {peer}"),
            Some(_) => format!("logged in at {peer}"),
        };
        note.push_str(match hello.state {
            State::Primary => ", a primary",
            State::Secondary => ", a secondary",
            State::Hidden => ", a hidden secondary",
            State::Mongos => ", a router",
            State::Standalone | State::Arbiter | State::Uninitiated | State::Recovering => "",
        });
        if hello.takes_messages {
            session.way = Way::Message;
        }
        if let Some(who) = who {
            auth::log_in(session, &who, hello.sha_256).await?;
        }
        Ok(Ready::noted(note))
    }

    async fn hello(&self, session: &mut Session<'_>, who: Option<&Who<'_>>, balanced: bool) -> Result<Answer, Reason> {
        let command = Writer::default();
        let command = if balanced {
            command.int("hello", 1).yes("loadBalanced")
        } else {
            command.int("isMaster", 1).yes("helloOk")
        };
        let command = match who {
            Some(who) => auth::asking(who, command),
            None => command,
        };
        let answer = session.ask("admin", command, HELLO).await?;
        match errors::of(session.peer(), answer.document(), HELLO, self.attempt) {
            Some(reason) => Err(reason),
            None => Ok(answer),
        }
    }

    /// Who logs in, if the target has a login.
    fn who(&self) -> Option<Who<'_>> {
        if !self.target.login {
            return None;
        }
        let info = self.info();
        let source = info.source.as_deref().or(self.text.source.as_deref());
        let source = match info.mechanism {
            Mechanism::X509 => "$external",
            Mechanism::Plain => source.or(info.database.as_deref()).unwrap_or("$external"),
            Mechanism::Any | Mechanism::Scram(_) => source.or(info.database.as_deref()).unwrap_or("admin"),
        };
        let (user, password) = (info.user.as_deref(), self.password.as_ref());
        Some(Who { mechanism: info.mechanism, source, user, password })
    }

    /// The reason of a server with another role than the expected one, if it has.
    fn other_role(&self, peer: &Peer, hello: &Hello<'_>) -> Option<Reason> {
        let (what, key) = match (self.target.role?, hello.state) {
            (Role::Primary, State::Primary | State::Standalone | State::Mongos)
            | (Role::Secondary, State::Secondary) => {
                return None;
            }
            (Role::Primary, _) => {
                let primary = match hello.primary {
                    Some(primary) => format!("the primary is {}", self.attempt.quote(primary, errors::NAME_MAX)),
                    None => "the set has no primary now".to_owned(),
                };
                (format!("a secondary, not a primary ({primary})"), "secondary")
            }
            (Role::Secondary, State::Primary) => ("a primary, not a secondary".to_owned(), "primary"),
            (Role::Secondary, State::Hidden) => {
                ("a hidden secondary, which drivers do not read from".to_owned(), "hidden")
            }
            (Role::Secondary, _) => ("not a member of a replica set".to_owned(), "standalone"),
        };
        Some(Reason::new(Code::ExpectRole, format!("{peer} is {what}")).with_key(key))
    }
}
