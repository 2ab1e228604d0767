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
use super::{Ready, spoken_by};
use crate::attempt::Attempt;
use crate::env::Fill;
use crate::net::Net;
use crate::net::sniff::Protocol;
use crate::reason::{Code, Hint, Reason, Stage};
use crate::secret::{Form, Secret};
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

/// The same for the answer to `send=`: a server that greets first may need longer for its answer to the text.
const QUIET_AFTER_SEND: Duration = Duration::from_secs(1);

/// A connection that is closed within this time was closed "at once".
const AT_ONCE: Duration = Duration::from_millis(200);

/// What is left of an attempt for the rest of its work.
const ATTEMPT_END: Duration = Duration::from_millis(100);

const TLS: &str = "tls";
const HTTP_UNIX: &str = "http+unix";

/// The kinds that a hint here names, and no kind elsewhere: they speak no protocol of their own.
pub(super) const KINDS: [&str; 2] = [TLS, HTTP_UNIX];

/// What a connection runs over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Over {
    /// TCP alone.
    Tcp,
    /// A unix socket.
    Unix,
    /// TLS, whose handshake took this long.
    #[cfg(feature = "tls")]
    Tls(Duration),
}

impl Over {
    fn is_plain(self) -> bool {
        matches!(self, Self::Tcp | Self::Unix)
    }

    /// The kind that asks a server of `protocol` for more. Inside TLS it would be another one than for the bare protocol.
    fn kind_for(self, protocol: Protocol) -> Option<&'static str> {
        match (spoken_by(protocol)?, protocol) {
            _ if !self.is_plain() => None,
            ("http", Protocol::Http) if self == Self::Unix => Some(HTTP_UNIX),
            // What is inside TLS on this port is not known.
            (_, Protocol::Tls) => (self == Self::Tcp && cfg!(feature = "tls")).then_some(TLS),
            (kind, _) => Some(kind),
        }
    }

    /// What the server has done so far.
    fn done(self) -> &'static str {
        if self.is_plain() { "accepted the connection" } else { "finished the TLS handshake" }
    }

    /// What the server has closed.
    fn closed(self) -> &'static str {
        if self.is_plain() { "closed it" } else { "closed the connection" }
    }
}

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
    pub(super) fn parse(it: &Expectations, fill: Fill<'_>) -> Result<Self> {
        let send = match it.get("send") {
            Some("") => bail!("#send: found nothing (expected a text for the server, in which %0D%0A ends a line)"),
            Some(text) if text.len() > BANNER_MAX => {
                bail!("#send: the text is too long (expected at most {BANNER_MAX} bytes)")
            }
            text => text.map(|text| {
                // A server may repeat the password alone: one word of the text.
                fill.note_as(Form::Text, text);
                Secret::new(text)
            }),
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
        if self.send.is_some() && self.has_banner() { Duration::ZERO } else { self.hold }
    }

    /// Whether nothing but `hold` is left once a connection is accepted.
    pub(super) fn holds(&self) -> bool {
        self.send.is_none() && !self.has_banner() && !self.hold.is_zero()
    }

    fn has_banner(&self) -> bool {
        self.text.is_some() || self.pattern.is_some()
    }

    /// Checks a connection that `peer` has accepted.
    pub(super) async fn check(
        &self,
        net: &Net,
        mut stream: impl AsyncRead + AsyncWrite + Unpin,
        over: Over,
        peer: &impl Display,
        attempt: &Attempt,
    ) -> Result<Accepted, Reason> {
        let done = over.done();
        attempt.enter(Stage::Protocol, format_args!("{peer} {done}"));
        let mut said = Vec::new();
        if let Some(text) = &self.send {
            attempt.enter(Stage::Protocol, format_args!("{peer} {done} and got the text of #send"));
            // If the server has closed the connection, it may have said why.
            let _ = stream.write_all(text.expose().as_bytes()).await;
            let _ = stream.flush().await;
        }
        if self.has_banner() {
            self.banner(net, &mut stream, over, peer, &mut said, attempt).await?;
            // ZooKeeper closes after the answer to a four-letter word.
            if self.send.is_some() {
                return Ok(Accepted::after(&said, over));
            }
        }
        if self.hold.is_zero() {
            return Ok(Accepted::after(&said, over));
        }
        let hold = self.hold(over, attempt);
        let began = Instant::now();
        attempt.hold();
        match time::timeout(hold, until_closed(stream, &mut said)).await {
            Ok(Ended::Closed(why)) => {
                self.has_closed.set(true);
                Err(refusal(over, peer, &said, why.as_ref(), began.elapsed(), attempt))
            }
            // The connection is still open, or the server has sent more than a refusal: a server is there.
            Ok(Ended::Talks) | Err(_) => Ok(Accepted::after(&said, over)),
        }
    }

    /// How long the connection must stay open from now on. The attempt's bound is not exceeded.
    ///
    /// After a server has closed one in this run, four times as long: on a busy machine a proxy may get no processor time
    /// for 50 ms. In TLS 1.3, a server refuses a client certificate one round trip after the handshake (RFC 8446 figure 1),
    /// and the handshake took at least one.
    fn hold(&self, over: Over, attempt: &Attempt) -> Duration {
        let watched = if self.has_closed.get() { self.hold * 4 } else { self.hold };
        let watched = match over {
            Over::Tcp | Over::Unix => watched,
            #[cfg(feature = "tls")]
            Over::Tls(handshake) => watched.max(handshake * 2),
        };
        watched.min(left(attempt)).max(self.hold)
    }

    /// Reads into `said` until it is the expected banner.
    async fn banner(
        &self,
        net: &Net,
        mut stream: impl AsyncRead + Unpin,
        over: Over,
        peer: &impl Display,
        said: &mut Vec<u8>,
        attempt: &Attempt,
    ) -> Result<(), Reason> {
        let began = Instant::now();
        let quiet = if self.send.is_some() { QUIET_AFTER_SEND } else { QUIET };
        let mut piece = [0; 512];
        loop {
            let reading = stream.read(&mut piece);
            // A silent server has the whole attempt. A server that has sent something has a moment to go on.
            let read = if said.is_empty() {
                reading.await
            } else {
                match time::timeout(quiet.min(left(attempt)), reading).await {
                    Ok(read) => read,
                    Err(_) => return Err(self.other(said, over, peer, attempt)),
                }
            };
            match read {
                Ok(0) | Err(_) if said.is_empty() => {
                    self.has_closed.set(true);
                    return Err(refusal(over, peer, said, read.err().as_ref(), began.elapsed(), attempt));
                }
                Ok(0) | Err(_) => return Err(self.other(said, over, peer, attempt)),
                Ok(read) => said.extend_from_slice(&piece[..read]),
            }
            said.truncate(BANNER_MAX);
            if self.is_expected(net, said).await? {
                return Ok(());
            }
            if said.len() == BANNER_MAX {
                return Err(self.other(said, over, peer, attempt));
            }
        }
    }

    /// The reason for another text than the expected one; it shows how that text begins.
    fn other(&self, said: &[u8], over: Over, peer: &impl Display, attempt: &Attempt) -> Reason {
        const SHOWN: usize = 60;
        let hint = other_kind(said, over);
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
    /// What the server spoke, and the kind of target that asks for more in that protocol.
    speaks: Option<(Protocol, &'static str)>,
}

impl Accepted {
    fn after(said: &[u8], over: Over) -> Self {
        Self { speaks: Protocol::of(said).and_then(|protocol| Some((protocol, over.kind_for(protocol)?))) }
    }

    /// Ready, with a note that names `by`, and the kind that would prove more.
    pub(super) fn ready(&self, by: impl Display) -> Ready {
        match self.speaks {
            Some((protocol, kind)) => {
                Ready::noted(format!("accepted by {by}, which speaks {protocol}: {kind}: would prove that it serves"))
            }
            None => Ready::noted(format!("accepted by {by}")),
        }
    }
}

/// What is left of the attempt for waiting.
fn left(attempt: &Attempt) -> Duration {
    attempt.until().saturating_duration_since(Instant::now()).saturating_sub(ATTEMPT_END)
}

/// The hint that names the kind for a server's first bytes.
fn other_kind(said: &[u8], over: Over) -> Option<Hint> {
    Protocol::of(said).and_then(|protocol| over.kind_for(protocol)).map(Hint::UseKind)
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
fn refusal(
    over: Over,
    peer: &impl Display,
    said: &[u8],
    error: Option<&io::Error>,
    after: Duration,
    attempt: &Attempt,
) -> Reason {
    #[cfg(feature = "tls")]
    if let Some(error) = error.and_then(crate::net::tls::cause) {
        return crate::net::tls::reason(error, "this host", peer);
    }
    let _ = error;
    closed(over, peer, said, after, attempt)
}

/// The reason for a connection that the server closed after it had accepted it.
fn closed(over: Over, peer: &impl Display, said: &[u8], after: Duration, attempt: &Attempt) -> Reason {
    let (done, closed) = (over.done(), over.closed());
    let when = if after < AT_ONCE { "at once".to_owned() } else { format!("after {}", text::duration(after)) };
    if said.is_empty() {
        let text = format!("{peer} {done} and {closed} {when}");
        let hint = if over.is_plain() { Hint::ProxyClosed } else { Hint::TlsProxyClosed };
        return Reason::new(Code::ProtocolClosed, text).with_hint(hint);
    }
    let text = match words(said, attempt) {
        Some(words) => format!("{peer} {done}, said \"{words}\" and {closed} {when}"),
        None => format!("{peer} {done}, sent {} and {closed} {when}", text::count(said.len(), "byte")),
    };
    Reason::new(Code::ProtocolClosed, text).with_key("said").with_hint(other_kind(said, over))
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
