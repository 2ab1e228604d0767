//! When an accepted connection is ready: it stays open, after the server has sent the expected text if there is one.
//!
//! A server that has no room for a client says so and closes the connection (Redis: `-ERR max number of clients
//! reached`; MariaDB: "Too many connections"; FTP: 421). So bytes alone do not make a target ready.
//!
//! With `send=`, waitgate says something first, as HAProxy's tcp-check does.

use std::cell::Cell;
use std::fmt::Display;
use std::io;
use std::time::Duration;

use anyhow::{Result, bail};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::time::{self, Instant};

use super::expect::{Expectations, Spec, Zero};
use super::regex::Pattern;
use super::{Ready, instead, spoken_by};
use crate::attempt::Attempt;
use crate::net::Net;
use crate::net::sniff::Protocol;
use crate::reason::{Code, Hint, Reason, Stage};
use crate::secret::Secret;
use crate::text;

/// How long the connection must stay open.
pub(super) const HOLD: Spec =
    Spec::value("hold", "DURATION").says("how long the connection must stay open; 0: not at all [default: 50ms]");
/// The text that waitgate sends once, when the connection is made. It may hold a password.
pub(super) const SEND: Spec =
    Spec::value("send", "TEXT").says("say TEXT once after connecting; %0D%0A ends a line").secret();
/// The text that the server must send.
pub(super) const BANNER: Spec = Spec::value("banner", "TEXT").says("the server says TEXT, first or after send=");
/// The same, as a regular expression.
pub(super) const BANNER_MATCH: Spec = Spec::value("banner-match", "REGEX").says("what the server says matches REGEX");

/// Long enough that a proxy on the same machine notices that it has no backend, and short enough to cost nothing.
/// docker-proxy closes within 12 ms when its backend refuses the connection.
const DEFAULT_HOLD: Duration = Duration::from_millis(50);

/// waitgate reads at most this much of a banner, in bytes.
const BANNER_MAX: usize = 4096;

/// A banner is complete when the server has sent something and then pauses for this long.
const QUIET: Duration = Duration::from_millis(300);

/// A connection that is closed within this time was closed "at once".
const AT_ONCE: Duration = Duration::from_millis(200);

/// What is left of an attempt for the rest of its work.
const ATTEMPT_END: Duration = Duration::from_millis(100);

/// What is expected of an accepted connection.
#[derive(Clone, Debug)]
pub(super) struct Accept {
    hold: Duration,
    send: Option<Secret>,
    text: Option<String>,
    pattern: Option<Pattern>,
    /// Whether a server has closed a connection while it was held, in this run.
    has_closed: Cell<bool>,
}

impl Accept {
    pub(super) fn parse(it: &Expectations) -> Result<Self> {
        let send = match it.get("send") {
            Some("") => bail!("#send: found nothing (expected a text for the server, in which %0D%0A ends a line)"),
            Some(text) if text.len() > BANNER_MAX => {
                bail!("#send: the text is too long (expected at most {BANNER_MAX} bytes)")
            }
            text => text.map(Secret::new),
        };
        let text = match it.get("banner") {
            Some("") => bail!("#banner: found nothing (expected a text that the server sends first)"),
            Some(text) if text.len() > BANNER_MAX => {
                bail!("#banner: the text is too long (expected at most {BANNER_MAX} bytes)")
            }
            text => text.map(str::to_owned),
        };
        let pattern = it.get("banner-match").map(Pattern::parse).transpose();
        let pattern = pattern.map_err(|error| error.context("#banner-match"))?;
        let hold = it.duration("hold", Zero::Allowed)?.unwrap_or(DEFAULT_HOLD);
        Ok(Self { hold, send, text, pattern, has_closed: Cell::new(false) })
    }

    /// How long the check takes at least, if the server is ready.
    pub(super) fn waits(&self) -> Duration {
        if self.text.is_some() || self.pattern.is_some() { Duration::ZERO } else { self.hold }
    }

    /// Checks a connection that `peer` has accepted.
    pub(super) async fn check(
        &self,
        net: &Net,
        mut stream: impl AsyncRead + AsyncWrite + Unpin,
        peer: &impl Display,
        attempt: &Attempt,
    ) -> Result<Accepted, Reason> {
        attempt.enter(Stage::Protocol, format_args!("{peer} accepted the connection"));
        let mut said = Vec::new();
        if let Some(text) = &self.send {
            attempt.enter(Stage::Protocol, format_args!("{peer} accepted the connection and what #send= says"));
            // If the server has closed the connection, it may have said why.
            let _ = stream.write_all(text.expose().as_bytes()).await;
            let _ = stream.flush().await;
        }
        if self.text.is_some() || self.pattern.is_some() {
            self.banner(net, &mut stream, peer, &mut said, attempt).await?;
            // ZooKeeper closes after the answer to a four-letter word.
            if self.send.is_some() {
                return Ok(Accepted::after(&said));
            }
        }
        if self.hold.is_zero() {
            return Ok(Accepted::after(&said));
        }
        let hold = self.hold(attempt);
        let began = Instant::now();
        match time::timeout(hold, until_closed(stream, &mut said)).await {
            Ok(Ended::Closed(why)) => {
                self.has_closed.set(true);
                Err(refusal(peer, &said, why.as_ref(), began.elapsed(), attempt))
            }
            // The connection is still open, or the server has sent more than a refusal: a server is there.
            Ok(Ended::Talks) | Err(_) => Ok(Accepted::after(&said)),
        }
    }

    /// How long the connection must stay open from now on. After a server has closed one in this run, four times as
    /// long: on a busy machine a proxy may get no processor time for 50 ms. The attempt's bound is not exceeded.
    fn hold(&self, attempt: &Attempt) -> Duration {
        if !self.has_closed.get() {
            return self.hold;
        }
        let left = attempt.until().saturating_duration_since(Instant::now()).saturating_sub(ATTEMPT_END);
        (self.hold * 4).min(left).max(self.hold)
    }

    /// Reads into `said` until it is the expected banner.
    async fn banner(
        &self,
        net: &Net,
        mut stream: impl AsyncRead + Unpin,
        peer: &impl Display,
        said: &mut Vec<u8>,
        attempt: &Attempt,
    ) -> Result<(), Reason> {
        let mut piece = [0; 512];
        loop {
            let reading = stream.read(&mut piece);
            // A silent server has the whole attempt. A server that has sent something has a moment to go on.
            let read = if said.is_empty() {
                reading.await
            } else {
                match time::timeout(QUIET, reading).await {
                    Ok(read) => read,
                    Err(_) => return Err(self.other(said, peer, attempt)),
                }
            };
            match read {
                Ok(0) | Err(_) if said.is_empty() => {
                    self.has_closed.set(true);
                    return Err(refusal(peer, said, read.err().as_ref(), Duration::ZERO, attempt));
                }
                Ok(0) | Err(_) => return Err(self.other(said, peer, attempt)),
                Ok(read) => said.extend_from_slice(&piece[..read]),
            }
            said.truncate(BANNER_MAX);
            if self.is_expected(net, said).await? {
                return Ok(());
            }
            if said.len() == BANNER_MAX {
                return Err(self.other(said, peer, attempt));
            }
        }
    }

    /// The reason for another text than the expected one; it shows how that text begins.
    fn other(&self, said: &[u8], peer: &impl Display, attempt: &Attempt) -> Reason {
        const SHOWN: usize = 60;
        let hint = Protocol::of(said).filter(|protocol| spoken_by(*protocol).is_some()).map(|kind| instead(Some(kind)));
        // A secret may have several lines, so it is hidden before the first line is taken.
        let said = attempt.quote(said, usize::MAX);
        let line = said.split(['\r', '\n']).find(|line| !line.is_empty()).unwrap_or_default();
        let shown = attempt.quote(line, SHOWN);
        let text = match self.send {
            None => format!("{peer} says \"{shown}\" first, which is not what is expected"),
            Some(_) => format!("{peer} answers \"{shown}\", which is not what is expected"),
        };
        Reason::new(Code::ExpectBanner, text).with_hint(hint)
    }

    async fn is_expected(&self, net: &Net, said: &[u8]) -> Result<bool, Reason> {
        let text = self.text.as_ref().is_none_or(|text| said.windows(text.len()).any(|found| found == text.as_bytes()));
        match &self.pattern {
            Some(pattern) if text => pattern.matches(&net.threads, said.to_vec(), "#banner-match").await,
            _ => Ok(text),
        }
    }
}

/// A connection that is as expected.
#[derive(Debug)]
pub(super) struct Accepted {
    /// What the server spoke, if it spoke first and a kind of target asks for more in that protocol.
    speaks: Option<Protocol>,
}

impl Accepted {
    fn after(said: &[u8]) -> Self {
        Self { speaks: Protocol::of(said).filter(|protocol| spoken_by(*protocol).is_some()) }
    }

    /// Ready, with a note that names `by`, and the kind that would prove more.
    pub(super) fn ready(&self, by: impl Display) -> Ready {
        match self.speaks.and_then(|protocol| Some((protocol, spoken_by(protocol)?))) {
            Some((protocol, kind)) => {
                Ready::noted(format!("accepted by {by}, which speaks {protocol}: {kind}: would prove that it serves"))
            }
            None => Ready::noted(format!("accepted by {by}")),
        }
    }
}

/// How a connection went on while it was held.
enum Ended {
    /// The server closed it, or an error did.
    Closed(Option<io::Error>),
    /// The server has sent more than a refusal would be.
    Talks,
}

/// Reads into `said` until the server closes the connection or has sent 4 KiB.
async fn until_closed(mut stream: impl AsyncRead + Unpin, said: &mut Vec<u8>) -> Ended {
    let mut piece = [0; 512];
    // The banner may have been long already.
    let most = said.len() + BANNER_MAX;
    loop {
        match stream.read(&mut piece).await {
            Ok(0) => return Ended::Closed(None),
            Err(error) => return Ended::Closed(Some(error)),
            Ok(read) => said.extend_from_slice(&piece[..read]),
        }
        if said.len() >= most {
            return Ended::Talks;
        }
    }
}

/// The reason for a connection that ended: a TLS alert, or a close.
fn refusal(peer: &impl Display, said: &[u8], error: Option<&io::Error>, after: Duration, attempt: &Attempt) -> Reason {
    #[cfg(feature = "tls")]
    if let Some(error) = error.and_then(crate::net::tls::cause) {
        return crate::net::tls::reason(error, "this host", peer);
    }
    let _ = error;
    closed(peer, said, after, attempt)
}

/// The reason for a connection that the server closed after it had accepted it.
fn closed(peer: &impl Display, said: &[u8], after: Duration, attempt: &Attempt) -> Reason {
    let when = if after < AT_ONCE { "at once".to_owned() } else { format!("after {}", text::duration(after)) };
    if said.is_empty() {
        let text = format!("{peer} accepted the connection and closed it {when}");
        return Reason::new(Code::ProtocolClosed, text).with_hint(Hint::ProxyClosed);
    }
    let text = match words(said, attempt) {
        Some(words) => format!("{peer} accepted the connection, said \"{words}\" and closed it {when}"),
        None => {
            format!("{peer} accepted the connection, sent {} and closed it {when}", text::count(said.len(), "byte"))
        }
    };
    let hint = Protocol::of(said).filter(|protocol| spoken_by(*protocol).is_some()).map(|kind| instead(Some(kind)));
    Reason::new(Code::ProtocolClosed, text).with_key("said").with_hint(hint)
}

/// What a server said, as a person reads it: the first line, or the longest text in a binary message.
fn words(said: &[u8], attempt: &Attempt) -> Option<String> {
    const SHOWN: usize = 100;
    let said = attempt.quote(said, usize::MAX);
    let mut pieces = said.split(|c: char| c.is_control() || c == char::REPLACEMENT_CHARACTER).map(str::trim);
    let is_line = |piece: &str| piece.chars().count() >= 8;
    let line =
        pieces.clone().find(|piece| is_line(piece)).or_else(|| pieces.next().filter(|piece| !piece.is_empty()))?;
    Some(attempt.quote(line, SHOWN))
}

#[cfg(test)]
mod tests;
