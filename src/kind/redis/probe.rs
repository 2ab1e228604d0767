//! One attempt: connect to each address, log in, PING, and look at what the target expects.

use std::net::SocketAddr;
use std::path::Path;

use super::errors::{self, Meaning, REDIS};
use super::resp::Reply;
use super::role::{self, Role, Wanted};
use super::session::{Answer, Said, Session};
use super::uri::Place;
use super::{Login, Redis};
use crate::attempt::Attempt;
use crate::kind::credentials::read_password;
use crate::kind::unanswered::Failed;
use crate::kind::{Ready, gone};
use crate::net::Net;
use crate::net::connect;
use crate::net::race::race;
use crate::net::stream::{Peer, Stream};
use crate::reason::{Code, Cost, Reason};
use crate::secret::Secret;

/// What one attempt works with.
pub(super) struct Context<'a> {
    pub(super) target: &'a Redis,
    pub(super) net: &'a Net,
    pub(super) attempt: &'a Attempt,
}

/// How a server took a login.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Taken {
    /// As it was given, or there was none.
    Whole,
    /// Without its user.
    PasswordAlone,
    /// It has no password.
    NotNeeded,
}

/// What a PING showed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Alive {
    /// It answered PONG.
    Pong,
    /// It wants a password, and the target has none.
    AsksForPassword,
    /// The user may not ask.
    NotAllowed,
}

impl Context<'_> {
    pub(super) async fn run(&self) -> Result<Ready, Reason> {
        let password = match &self.target.password_file {
            Some(file) => Some(read_password(file)?),
            None => self.target.location.password.clone(),
        };
        let password = password.as_ref();
        if let Some(password) = password {
            self.attempt.hide(password);
        }
        match &self.target.location.place {
            Place::Socket { path, name } => {
                let stream = connect::to_socket(Path::new(path), name, self.attempt).await?;
                self.session(stream, password).await.map_err(|failed| failed.reason)
            }
            Place::Tcp(host, port) => {
                let addresses = connect::resolve(self.net, host, *port, self.attempt).await?;
                // Any address may be the one that is ready: a headless Service lists replicas too.
                let ready = race(&addresses, self.attempt, async |address| self.address(address, password).await).await;
                ready.map_err(|failed| connect::explain(self.net, host, &failed))
            }
        }
    }

    /// Ready when the server is not there any more.
    pub(super) async fn gone(&self) -> Result<Ready, Reason> {
        match &self.target.location.place {
            Place::Tcp(host, port) => gone::probe(self.net, host, *port, self.attempt).await,
            Place::Socket { path, name } => gone::probe_socket(Path::new(path), name, self.attempt).await,
        }
    }

    async fn address(&self, address: SocketAddr, password: Option<&Secret>) -> Result<Ready, Reason> {
        let stream = connect::to(self.net, address, self.attempt).await?;
        let location = &self.target.location;
        if !location.tls {
            return match self.session(stream, password).await {
                Ok(ready) => Ok(ready),
                Err(Failed { reason, silent: true }) => Err(REDIS.silent(address, reason, self.attempt).await),
                Err(failed) => Err(failed.reason),
            };
        }
        #[cfg(feature = "tls")]
        return match self.handshake(address, stream).await {
            Ok(stream) => self.session(stream, password).await.map_err(|failed| failed.reason),
            Err(reason) => Err(reason),
        };
        #[cfg(not(feature = "tls"))]
        Err(Reason::new(Code::TlsFailed, "this build has no TLS"))
    }

    /// Makes `stream` a TLS stream. If that fails, it finds out whether the port speaks TLS at all: a plain Redis waits in
    /// silence for the end of the line that it sees in a ClientHello.
    #[cfg(feature = "tls")]
    async fn handshake(&self, address: SocketAddr, stream: Stream) -> Result<Stream, Reason> {
        let Place::Tcp(host, _) = &self.target.location.place else {
            return Err(Reason::new(Code::TlsFailed, "a unix socket has no TLS"));
        };
        match self.target.tls.handshake(self.net, host, stream, self.attempt).await {
            Ok(stream) => Ok(stream),
            Err(failed) => Err(REDIS.not_tls(address, failed, None, self.attempt).await),
        }
    }

    /// One session, from its first command to its end.
    async fn session(&self, stream: Stream, password: Option<&Secret>) -> Result<Ready, Failed> {
        let mut session = Session::new(stream, self.attempt);
        let outcome = self.converse(&mut session, password).await;
        let outcome = outcome.map_err(|reason| Failed::new(reason, session.first()));
        session.end().await;
        outcome
    }

    async fn converse(&self, session: &mut Session<'_>, password: Option<&Secret>) -> Result<Ready, Reason> {
        let target = self.target;
        let peer = session.peer();
        let taken = match password {
            None => Taken::Whole,
            Some(password) => self.log_in(session, password).await?,
        };
        let alive = self.ping(session, password.is_some()).await?;
        if alive != Alive::AsksForPassword {
            // Databases other than 0 are chosen by SELECT, and drivers send it too.
            let db = target.location.db;
            if db > 0 {
                let did = "a SELECT";
                let answer = session.ask(&["SELECT", &db.to_string()], did).await?;
                expect_ok(&peer, answer, did, session)?;
            }
        }
        let mut note = match (alive, password.is_some()) {
            (Alive::AsksForPassword, _) => format!("asks for a password at {peer}"),
            (_, true) => format!("logged in at {peer}"),
            (_, false) => format!("PONG from {peer}"),
        };
        if alive == Alive::NotAllowed {
            note.push_str(", where this user may not PING");
        }
        match taken {
            Taken::Whole => {}
            Taken::PasswordAlone => note.push_str(", which knows no users and took the password alone"),
            Taken::NotNeeded => note = format!("PONG from {peer}, which has no password and needs none"),
        }
        if let Some(wanted) = target.role {
            note.push_str(match self.role(session, wanted).await? {
                Wanted::Primary => ", a primary",
                Wanted::Replica => ", a replica",
            });
        }
        if target.cluster {
            self.cluster(session).await?;
            note.push_str(", cluster_state:ok");
        }
        Ok(Ready::noted(note))
    }

    /// Sends AUTH.
    async fn log_in(&self, session: &mut Session<'_>, password: &Secret) -> Result<Taken, Reason> {
        const DID: &str = "an AUTH";
        let peer = session.peer();
        let user = self.target.location.user.as_deref();
        let answer = match user {
            Some(user) => session.ask(&["AUTH", user, password.expose()], DID).await?,
            None => session.ask(&["AUTH", password.expose()], DID).await?,
        };
        match answer {
            // Redis 5 and older know no users. redis-py then sends the password alone, and so does waitgate.
            Err(Said { meaning: Meaning::NoUsersThere, .. }) if user.is_some() => {
                let answer = session.ask(&["AUTH", password.expose()], DID).await?;
                expect_ok(&peer, answer, DID, session)?;
                Ok(Taken::PasswordAlone)
            }
            // Drivers of today log in with HELLO and the user `default`, whom such a server lets in with any password.
            Err(Said { meaning: Meaning::NoPasswordThere, .. }) if self.target.login != Login::Given => {
                Ok(Taken::NotNeeded)
            }
            answer => expect_ok(&peer, answer, DID, session).map(|()| Taken::Whole),
        }
    }

    async fn ping(&self, session: &mut Session<'_>, logged_in: bool) -> Result<Alive, Reason> {
        const DID: &str = "a PING";
        let peer = session.peer();
        match session.ask(&["PING"], DID).await? {
            Ok(Reply::Simple(pong)) if pong == "PONG" => Ok(Alive::Pong),
            Ok(_) => Err(session.other_protocol()),
            // Without a password nothing more can be known: the server is up and asks for one.
            Err(Said { meaning: Meaning::NoAuth, .. }) if !logged_in && self.target.login == Login::Optional => {
                Ok(Alive::AsksForPassword)
            }
            // The login is what the application needs. Its user need not have the permission to PING.
            Err(Said { meaning: Meaning::NoPermission, .. }) => Ok(Alive::NotAllowed),
            Err(Said { meaning: Meaning::Loading, words }) => {
                // It answers INFO while it loads, if the user may ask.
                let info = session.ask(&["INFO", "persistence"], "an INFO").await;
                let progress = info.ok().and_then(Result::ok).and_then(|info| role::progress(&info));
                let reason = errors::loading(&peer, &words, progress.as_deref());
                // These two answers cost Redis less than 0.1 ms, a TLS handshake much more (docs/fleet.md).
                Err(if self.target.location.tls { reason } else { reason.with_cost(Cost::Cheap) })
            }
            Err(said) => Err(errors::reason(&peer, said.meaning, &said.words, DID)),
        }
    }

    async fn role(&self, session: &mut Session<'_>, wanted: Wanted) -> Result<Wanted, Reason> {
        let peer = session.peer();
        let unknown = |reply: Option<Role>| {
            reply.ok_or_else(|| {
                Reason::new(Code::ProtocolError, format!("{peer} answered ROLE with something else than a role"))
                    .with_key("role")
            })
        };
        let role = match session.ask(&["ROLE"], "a ROLE").await? {
            Ok(reply) => unknown(Role::of_role(&reply))?,
            // A user may have INFO without ROLE, and a proxy may know only one of them.
            Err(said) if matches!(said.meaning, Meaning::NoPermission | Meaning::Other) => {
                match session.ask(&["INFO", "replication"], "an INFO").await? {
                    Ok(reply) => unknown(Role::of_info(&reply))?,
                    Err(_) => return Err(errors::reason(&peer, said.meaning, &said.words, "a ROLE")),
                }
            }
            Err(said) => return Err(errors::reason(&peer, said.meaning, &said.words, "a ROLE")),
        };
        let not = |what: &str, key: &str| Err(Reason::new(Code::ExpectRole, format!("{peer} is {what}")).with_key(key));
        match (wanted, role) {
            (Wanted::Primary, Role::Primary) | (Wanted::Replica, Role::Replica { down: None }) => Ok(wanted),
            (Wanted::Replica, Role::Replica { down: Some(link) }) => {
                let link: String = link.chars().take(20).collect();
                not(&format!("a replica, and its link to the primary is not up ({link})"), "link")
            }
            (Wanted::Primary, Role::Replica { .. }) => not("a replica, not a primary", "replica"),
            (Wanted::Replica, Role::Primary) => not("a primary, not a replica", "primary"),
            (_, Role::Sentinel) => not("a Sentinel, not a server with data", "sentinel"),
        }
    }

    async fn cluster(&self, session: &mut Session<'_>) -> Result<(), Reason> {
        const DID: &str = "a CLUSTER INFO";
        let peer = session.peer();
        match session.ask(&["CLUSTER", "INFO"], DID).await? {
            Ok(reply) => match role::cluster(&reply) {
                Some(Ok(())) => Ok(()),
                Some(Err(why)) => {
                    Err(Reason::new(Code::ExpectState, format!("the cluster of {peer} does not serve: {why}"))
                        .with_key("cluster"))
                }
                None => Err(Reason::new(
                    Code::ProtocolError,
                    format!("{peer} answered CLUSTER INFO without a cluster_state"),
                )
                .with_key("cluster")),
            },
            Err(said) => Err(errors::reason(&peer, said.meaning, &said.words, DID)),
        }
    }
}

/// An error unless the answer is OK.
fn expect_ok(peer: &Peer, answer: Answer, did: &str, session: &Session<'_>) -> Result<(), Reason> {
    match answer {
        Ok(Reply::Simple(ok)) if ok == "OK" => Ok(()),
        Ok(_) => Err(session.other_protocol()),
        Err(said) => Err(errors::reason(peer, said.meaning, &said.words, did)),
    }
}
