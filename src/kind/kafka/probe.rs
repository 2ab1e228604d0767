//! One attempt: each server and each of its addresses, until one is ready.

use std::fmt::Display;
use std::net::SocketAddr;
use std::pin::Pin;

use tokio::time::Instant;

use super::advertised;
use super::errors::{self, ILLEGAL_SASL_STATE, KAFKA, UNSUPPORTED_MECHANISM};
use super::judge::judge;
use super::metadata::{Advertised, Metadata};
use super::sasl::{self, Login, Mechanism};
use super::session::{Answer, Session};
use super::versions::{self, Versions};
use super::wire::{API_VERSIONS, Request};
use super::{Kafka, address::Server};
use crate::attempt::Attempt;
use crate::kind::Ready;
use crate::kind::credentials::read_password;
use crate::kind::gone::{self, At};
use crate::kind::no_answer::NoAnswer;
use crate::kind::servers::{self, Place, Probing};
use crate::net::Net;
use crate::net::connect;
use crate::net::stream::{Peer, Stream};
use crate::reason::{Code, Cost, Hint, Reason};
use crate::secret::Secret;

/// What a reason calls the first two requests.
const VERSIONS: &str = "an ApiVersions request";
const METADATA: &str = "a Metadata request";

/// What one attempt works with.
pub(super) struct Context<'a> {
    target: &'a Kafka,
    net: &'a Net,
    attempt: &'a Attempt,
    password: Option<Secret>,
}

/// What a session showed.
struct Found {
    note: String,
    advertised: Vec<Advertised>,
}

/// Why a session is not ready.
enum Failed {
    /// This is all that can be known.
    Known(Reason),
    /// The server closed the connection without a byte.
    Silent(Reason),
    /// A broker answered ApiVersions and closed at Metadata, and the target has no login.
    AtMetadata(Reason),
    /// The broker offers this mechanism in place of the one that was asked for.
    Other(Mechanism),
}

impl From<Reason> for Failed {
    fn from(reason: Reason) -> Self {
        Self::Known(reason)
    }
}

/// A session, boxed: it is in the binary once.
type Conversing<'a> = Pin<Box<dyn Future<Output = Result<Found, Failed>> + 'a>>;

impl<'a> Context<'a> {
    /// Reads the file of the password. If it cannot, no server is asked.
    pub(super) fn new(target: &'a Kafka, net: &'a Net, attempt: &'a Attempt) -> Result<Self, Reason> {
        let password = match &target.password_file {
            Some(file) if !target.gone => Some(read_password(file)?),
            _ => target.location.password.clone(),
        };
        if let Some(password) = &password {
            attempt.hide(password);
        }
        Ok(Self { target, net, attempt, password })
    }

    /// Tries the servers in order.
    pub(super) async fn run(&self) -> Result<Ready, Reason> {
        // All servers of the list are one cluster: a login that one refuses is not tried at the next one.
        let is_final = |reason: &Reason| matches!(reason.code(), Code::ProtocolPassword | Code::ProtocolAuthMethod);
        let servers = &self.target.location.servers;
        let names: Vec<&dyn Display> = servers.iter().map(|server| server as &dyn Display).collect();
        let probe = |at: usize, until| -> Probing<'_> { Box::pin(self.server(&servers[at], until, &is_final)) };
        servers::in_turn(&names, None, self.attempt, &is_final, &probe).await
    }

    async fn server(
        &self,
        server: &Server,
        until: Instant,
        is_final: &dyn Fn(&Reason) -> bool,
    ) -> Result<Ready, Reason> {
        let place = Place { at: &server.host, port: server.port, host: &server.host };
        let probe = |address, stream, until| -> Probing<'_> { Box::pin(self.address(server, address, stream, until)) };
        servers::each_address(self.net, place, until, self.attempt, is_final, &probe).await
    }

    /// Ready when none of the servers is there any more.
    pub(super) async fn gone(&self) -> Result<Ready, Reason> {
        let servers = self.target.location.servers.iter().map(|server| At::Tcp(&server.host, server.port));
        gone::probe_all(self.net, servers.collect(), self.attempt).await
    }

    fn login(&self) -> Option<Login<'_>> {
        let user = self.target.user.as_deref()?;
        Some(Login { user, password: self.password.as_ref()? })
    }

    async fn address(
        &self,
        server: &Server,
        address: SocketAddr,
        stream: Stream,
        until: Instant,
    ) -> Result<Ready, Reason> {
        let [strongest, ..] = Mechanism::ALL;
        let mut mechanism = self.target.mechanism.unwrap_or(strongest);
        let (mut first, mut at_metadata) = (Some(stream), None);
        loop {
            let stream = match first.take() {
                Some(stream) => stream,
                None => connect::to(self.net, address, self.attempt).await?,
            };
            let stream = self.secured(server, address, stream, until).await?;
            if let Some(closed) = at_metadata {
                return self.asks_for_login(stream, closed).await;
            }
            match self.session(stream, mechanism).await {
                Ok(found) => {
                    advertised::look(self.net, self.attempt, &Peer::Tcp(address), &found.advertised).await;
                    return Ok(Ready::noted(found.note));
                }
                Err(Failed::Known(reason)) => return Err(reason),
                Err(Failed::Silent(reason)) if self.target.location.tls => return Err(reason),
                Err(Failed::Silent(reason)) => return Err(KAFKA.silent(address, reason, self.attempt).await),
                Err(Failed::AtMetadata(reason)) => at_metadata = Some(reason),
                // A session asks for another mechanism only if the target and the first answer leave the choice.
                Err(Failed::Other(other)) => mechanism = other,
            }
        }
    }

    /// One session, from its first request to its end.
    fn session(&self, stream: Stream, mechanism: Mechanism) -> Conversing<'_> {
        Box::pin(async move {
            let mut session = Session::new(stream, self.attempt);
            let outcome = self.converse(&mut session, mechanism).await;
            session.end().await;
            outcome
        })
    }

    async fn converse(&self, session: &mut Session<'_>, mechanism: Mechanism) -> Result<Found, Failed> {
        let versions = ask_versions(session).await?;
        let Some(version) = versions.of_metadata() else {
            return Err(no_metadata(session.peer(), &versions).into());
        };
        let mut by = String::new();
        let login = self.login();
        if let Some(login) = &login {
            if !versions.can_log_in() {
                let text = format!(
                    "the broker is there ({}), but it is older than Kafka 1.0: waitgate cannot log in there",
                    session.peer()
                );
                return Err(Reason::new(Code::ProtocolAuthMethod, text).with_key("old").into());
            }
            self.log_in(session, mechanism, login).await?;
            by = format!("logged in by {}, ", mechanism.name());
        }
        let wanted = &self.target.wanted;
        let mut answer = Answer::Metadata(Metadata::new(version, &wanted.topics));
        let asked = session.exchange(versions::metadata(version, &wanted.topics), &mut answer, METADATA).await;
        if let Err(why) = asked {
            let reason = session.no_answer(&why, true, METADATA);
            let closed = matches!(why, NoAnswer::Closed) && login.is_none();
            return Err(if closed { Failed::AtMetadata(reason) } else { reason.into() });
        }
        let Answer::Metadata(metadata) = answer else {
            return Err(session.no_answer(&NoAnswer::Malformed, true, METADATA).into());
        };
        let note = by + &judge(session.peer(), wanted, &metadata)?;
        Ok(Found { note, advertised: metadata.advertised })
    }

    async fn log_in(&self, session: &mut Session<'_>, mechanism: Mechanism, login: &Login<'_>) -> Result<(), Failed> {
        let offer = sasl::handshake(session, mechanism, true).await?;
        // Only the first question is a guess.
        let guessed = self.target.mechanism.is_none() && mechanism == Mechanism::ALL[0];
        let free = guessed && offer.error == UNSUPPORTED_MECHANISM;
        match offer.strongest().filter(|other| free && *other != mechanism) {
            Some(Mechanism::Plain) if !self.is_private() => {
                let text = format!(
                    "the broker is there ({}), but it offers {} alone, by which anyone on the way can read the password: use kafkas: with a verified certificate, or allow it by #mechanism=PLAIN",
                    session.peer(),
                    Mechanism::Plain.name()
                );
                return Err(Reason::new(Code::ProtocolAuthMethod, text).with_key("plain").into());
            }
            Some(other) => return Err(Failed::Other(other)),
            None if offer.error != 0 => return Err(sasl::no_handshake(session, mechanism, &offer).into()),
            None => {}
        }
        Ok(sasl::authenticate(session, mechanism, login).await?)
    }

    /// Whether only the broker can read what waitgate sends.
    fn is_private(&self) -> bool {
        #[cfg(feature = "tls")]
        let verified = self.target.tls.verifies(self.net);
        #[cfg(not(feature = "tls"))]
        let verified = false;
        self.target.location.tls && verified
    }

    /// Finds out whether a broker that closed at Metadata wants a login: its listener answers a SaslHandshake then, and a
    /// listener without SASL answers with another error. Either way the broker is there, as a Redis that answers NOAUTH is.
    async fn asks_for_login(&self, stream: Stream, closed: Reason) -> Result<Ready, Reason> {
        let [strongest, ..] = Mechanism::ALL;
        let mut session = Session::new(stream, self.attempt);
        let offer = sasl::handshake(&mut session, strongest, false).await;
        let (peer, wanted) = (session.peer(), &self.target.wanted);
        let outcome = match offer {
            Ok(offer) if matches!(offer.error, 0 | UNSUPPORTED_MECHANISM) => {
                let offers = offer.shown(&session);
                if wanted.topics.is_empty() && wanted.brokers.is_none() {
                    Ok(Ready::noted(format!("asks for a login ({offers}) at {peer}")))
                } else {
                    let text =
                        format!("the broker is there ({peer}), but it asks for a login ({offers}), and none is given");
                    // Nothing was refused: there is no reason to be as slow as after a wrong password.
                    Err(Reason::new(Code::ProtocolPassword, text).with_cost(Cost::Work).with_hint(Hint::Credentials))
                }
            }
            Ok(offer) if offer.error != ILLEGAL_SASL_STATE => Err(sasl::no_handshake(&session, strongest, &offer)),
            _ => Err(closed),
        };
        session.end().await;
        outcome
    }

    #[cfg(not(feature = "tls"))]
    #[expect(clippy::unused_async, reason = "a build with TLS does the handshake here")]
    async fn secured(&self, _: &Server, _: SocketAddr, stream: Stream, _: Instant) -> Result<Stream, Reason> {
        // Such a build refuses kafkas:.
        Ok(stream)
    }

    /// Makes `stream` a TLS stream, if the target wants it. If that fails, a plain request shows whether the port is a broker's
    /// without TLS: it reads the ClientHello as a request of 369 MB, and closes or waits.
    #[cfg(feature = "tls")]
    async fn secured(
        &self,
        server: &Server,
        address: SocketAddr,
        stream: Stream,
        until: Instant,
    ) -> Result<Stream, Reason> {
        use crate::kind::tls_options::LOOK;
        use crate::net::tls::Verify;
        use tokio::time;
        if !self.target.location.tls {
            return Ok(stream);
        }
        let (until, tls) = (until.min(self.attempt.until()), &self.target.tls);
        let shaken = tls.handshake_before(until, self.net, &server.host, Verify::Full, stream, self.attempt).await;
        let failed = match shaken {
            Ok(stream) => return Ok(stream),
            Err((failed, false)) => return Err(failed),
            Err((failed, true)) => failed,
        };
        let plainly = async {
            let mut session = Session::new(connect::one(address, self.attempt).await.ok()?, self.attempt);
            let answered = ask_versions(&mut session).await.is_ok();
            session.end().await;
            answered.then_some(())
        };
        match time::timeout(LOOK.mul_f32(0.9), plainly).await {
            Ok(Some(())) => {
                let text = format!("{address} answered in Kafka's protocol, not in TLS");
                Err(Reason::new(Code::TlsNotTls, text).with_hint(Hint::UseKind("kafka")))
            }
            _ => Err(failed),
        }
    }
}

/// Asks for the versions. With this a server shows that it is a broker.
async fn ask_versions(session: &mut Session<'_>) -> Result<Versions, Failed> {
    let asked = session.ask(Request::new(API_VERSIONS, 0), VERSIONS).await;
    match asked.and_then(|body| Versions::parse(&body).map_err(NoAnswer::from)) {
        Ok(versions) if versions.error == 0 => Ok(versions),
        Ok(versions) => {
            let error = errors::named(versions.error);
            let text = format!("{} answered {VERSIONS} with an error: {error}", session.peer());
            Err(Reason::new(Code::ProtocolError, text).with_key(versions.error).into())
        }
        Err(why) => {
            let reason = session.no_answer(&why, false, VERSIONS);
            let silent = session.is_silent() && reason.code() == Code::ProtocolClosed;
            Err(if silent { Failed::Silent(reason) } else { reason.into() })
        }
    }
}

/// The reason when a broker has no version of Metadata that waitgate has.
fn no_metadata(peer: &Peer, versions: &Versions) -> Reason {
    match versions.metadata {
        // The listener of a KRaft controller.
        None => Reason::new(
            Code::ProtocolOther,
            format!(
                "{peer} speaks Kafka's protocol and knows no Metadata: a controller does not (expected a broker's port)"
            ),
        )
        .with_key("controller"),
        Some((least, greatest)) => Reason::new(
            Code::ProtocolError,
            format!("{peer} knows Metadata in the versions {least} to {greatest}, and waitgate in 1 and 4 to 13"),
        )
        .with_key("versions"),
    }
}
