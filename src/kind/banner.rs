//! When an accepted connection is ready: it stays open, after the server has sent the expected text if there is one.
//!
//! A server that has no room for a client says so and closes the connection (Redis: `-ERR max number of clients
//! reached`; MariaDB: "Too many connections"; FTP: 421). So bytes alone do not make a target ready.

use std::cell::Cell;
use std::fmt::Display;
use std::time::Duration;

use anyhow::{Result, bail};
use tokio::io::{AsyncRead, AsyncReadExt as _};
use tokio::time::{self, Instant};

use super::expect::{Expectations, Spec, Zero};
use super::regex::Pattern;
use crate::attempt::Attempt;
use crate::net::Net;
use crate::reason::{Code, Hint, Reason, Stage};
use crate::text;

/// How long the connection must stay open.
pub(super) const HOLD: Spec = Spec::value("hold", "DURATION");
/// The text that the server must send.
pub(super) const BANNER: Spec = Spec::value("banner", "TEXT");
/// The same, as a regular expression.
pub(super) const BANNER_MATCH: Spec = Spec::value("banner-match", "REGEX");

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
    text: Option<String>,
    pattern: Option<Pattern>,
    /// Whether a server has closed a connection while it was held, in this run.
    has_closed: Cell<bool>,
}

impl Accept {
    pub(super) fn parse(it: &Expectations) -> Result<Self> {
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
        Ok(Self { hold, text, pattern, has_closed: Cell::new(false) })
    }

    /// How long the check takes at least, if the server is ready.
    pub(super) fn waits(&self) -> Duration {
        if self.text.is_some() || self.pattern.is_some() { Duration::ZERO } else { self.hold }
    }

    /// Checks a connection that `peer` has accepted.
    pub(super) async fn check(
        &self,
        net: &Net,
        mut stream: impl AsyncRead + Unpin,
        peer: &impl Display,
        attempt: &Attempt,
    ) -> Result<(), Reason> {
        attempt.enter(Stage::Protocol, format_args!("{peer} accepted the connection"));
        let mut said = Vec::new();
        if self.text.is_some() || self.pattern.is_some() {
            self.banner(net, &mut stream, peer, &mut said, attempt).await?;
        }
        if self.hold.is_zero() {
            return Ok(());
        }
        let hold = self.hold(attempt);
        let began = Instant::now();
        match time::timeout(hold, until_closed(stream, &mut said)).await {
            Ok(Ended::Closed) => {
                self.has_closed.set(true);
                Err(closed(peer, &said, began.elapsed(), attempt))
            }
            // The connection is still open, or the server has sent more than a refusal: a server is there.
            Ok(Ended::Talks) | Err(_) => Ok(()),
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
                    Err(_) => return Err(other(said, peer, attempt)),
                }
            };
            match read {
                Ok(0) | Err(_) if said.is_empty() => {
                    self.has_closed.set(true);
                    return Err(closed(peer, said, Duration::ZERO, attempt));
                }
                Ok(0) | Err(_) => return Err(other(said, peer, attempt)),
                Ok(read) => said.extend_from_slice(&piece[..read]),
            }
            said.truncate(BANNER_MAX);
            if self.is_expected(net, said).await? {
                return Ok(());
            }
            if said.len() == BANNER_MAX {
                return Err(other(said, peer, attempt));
            }
        }
    }

    async fn is_expected(&self, net: &Net, said: &[u8]) -> Result<bool, Reason> {
        let text = self.text.as_ref().is_none_or(|text| said.windows(text.len()).any(|found| found == text.as_bytes()));
        match &self.pattern {
            Some(pattern) if text => pattern.matches(&net.threads, said.to_vec(), "#banner-match").await,
            _ => Ok(text),
        }
    }
}

/// How a connection went on while it was held.
enum Ended {
    /// The server closed or reset it.
    Closed,
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
            Ok(0) | Err(_) => return Ended::Closed,
            Ok(read) => said.extend_from_slice(&piece[..read]),
        }
        if said.len() >= most {
            return Ended::Talks;
        }
    }
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
    Reason::new(Code::ProtocolClosed, text).with_key("said")
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

/// The reason for another banner; it shows how the banner begins.
fn other(said: &[u8], peer: &impl Display, attempt: &Attempt) -> Reason {
    const SHOWN: usize = 60;
    // A secret may have several lines, so it is hidden before the first line is taken.
    let said = attempt.quote(said, usize::MAX);
    let line = said.split(['\r', '\n']).find(|line| !line.is_empty()).unwrap_or_default();
    let shown = attempt.quote(line, SHOWN);
    Reason::new(Code::ExpectBanner, format!("{peer} says \"{shown}\" first, which is not what is expected"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::env::{Env, Fill};
    use crate::net::names::resolv_conf::SystemFiles;
    use tokio::io::AsyncWriteExt as _;

    const SPECS: &[Spec] = &[HOLD, BANNER, BANNER_MATCH];

    fn parse(text: &str) -> Result<Accept> {
        let env = Env::default();
        Accept::parse(&Expectations::parse(text.split('#').skip(1), "tcp", SPECS, Fill::from_env(&env))?)
    }

    fn net() -> Net {
        Net::plain(SystemFiles::default())
    }

    async fn check(text: &str, pieces: &[&[u8]], ends: bool) -> Result<(), Reason> {
        let bounds = crate::attempt::Bounds { attempt: Duration::from_secs(1), connect: Duration::from_secs(1) };
        let attempt = Attempt::new(bounds, false);
        let (mut server, client) = tokio::io::duplex(64 * 1024);
        let speak = async {
            for piece in pieces {
                server.write_all(piece).await.unwrap();
                time::sleep(Duration::from_millis(20)).await;
            }
            if ends {
                drop(server);
            } else {
                std::future::pending::<()>().await;
            }
            std::future::pending::<()>().await;
        };
        let accept = parse(text).unwrap();
        let net = net();
        tokio::select! {
            () = speak => unreachable!(),
            outcome = time::timeout(bounds.attempt, accept.check(&net, client, &"10.0.0.1:22", &attempt)) =>
                outcome.unwrap_or_else(|_| Err(attempt.cut_off())),
        }
    }

    #[test]
    fn invalid_expectations() {
        for (text, says) in [("#banner=", "found nothing"), ("#banner-match=(", "regular expression")] {
            let message = format!("{:#}", parse(text).unwrap_err());
            assert!(message.contains(says), "{text}: {message}");
        }
        assert!(parse(&format!("#banner={}", "x".repeat(4097))).is_err());
    }

    #[tokio::test]
    async fn a_connection_must_stay_open() {
        assert!(check("", &[], false).await.is_ok());
        assert!(check("", &[b"220 mail"], false).await.is_ok());
        assert_eq!(check("", &[], true).await.unwrap_err().code(), Code::ProtocolClosed);
        assert!(check("#hold=0", &[], true).await.is_ok());
        let flood: Vec<&[u8]> = vec![&[b'a'; 4096]];
        assert!(check("", &flood, true).await.is_ok(), "no refusal is that long");
    }

    #[tokio::test]
    async fn words_and_then_the_end_are_a_refusal() {
        for (said, text) in [
            (&b"-ERR max number of clients reached\r\n"[..], "said \"-ERR max number of clients reached\""),
            (b"\x17\0\0\x01\xff\x10\x04Too many connections", "said \"Too many connections\""),
            (b"421 busy\r\nbye\r\n", "said \"421 busy\""),
            (b"no\n", "said \"no\""),
            (b"\0\x01\xff", "sent 3 bytes"),
        ] {
            let reason = check("", &[said], true).await.unwrap_err();
            assert_eq!(reason.text(), format!("10.0.0.1:22 accepted the connection, {text} and closed it at once"));
            assert_eq!((reason.code(), reason.hint()), (Code::ProtocolClosed, None));
        }
        // After the banner too.
        let reason = check("#banner=220", &[b"220 mail\r\n"], true).await.unwrap_err();
        assert_eq!(reason.code(), Code::ProtocolClosed);
        assert!(reason.text().contains("said \"220 mail\""), "{}", reason.text());
        assert!(check("#banner=220#hold=0", &[b"220 mail\r\n"], true).await.is_ok());
        let late = check("#hold=900ms", &[b"421 busy", b"", b"", b"", b"", b"", b"", b"", b"", b"", b"", b""], true);
        let late = late.await.unwrap_err();
        assert!(late.text().contains("and closed it after 2"), "{}", late.text());
    }

    #[tokio::test(start_paused = true)]
    async fn a_server_that_has_closed_is_watched_four_times_as_long() {
        let bounds = crate::attempt::Bounds { attempt: Duration::from_secs(1), connect: Duration::from_secs(1) };
        let held = async |accept: &Accept| {
            let attempt = Attempt::new(bounds, false);
            let (_server, client) = tokio::io::duplex(64);
            accept.check(&net(), client, &"10.0.0.1:22", &attempt).await.unwrap();
            attempt.started().elapsed().as_millis()
        };
        for (text, first, then) in [("", 50, 200), ("#hold=400ms", 400, 900), ("#hold=950ms", 950, 950)] {
            let accept = parse(text).unwrap();
            assert_eq!(held(&accept).await, first, "{text}");
            let attempt = Attempt::new(bounds, false);
            let (server, client) = tokio::io::duplex(64);
            drop(server);
            assert!(accept.check(&net(), client, &"10.0.0.1:22", &attempt).await.is_err());
            assert_eq!(held(&accept).await, then, "{text}");
        }
    }

    #[tokio::test]
    async fn the_banner_must_hold_the_text_and_match_the_pattern() {
        let ssh: &[&[u8]] = &[b"SSH-2.0-", b"OpenSSH_9.2\r\n"];
        assert!(check("#banner=SSH-2.0-OpenSSH", ssh, false).await.is_ok());
        assert!(check("#banner-match=^SSH-2\\.0-\\w+_9", ssh, false).await.is_ok());
        assert!(check("#banner=SSH#banner-match=9\\.2\\r\\n$", ssh, false).await.is_ok());
        let reason = check("#banner=220 ", ssh, false).await.unwrap_err();
        assert_eq!(reason.code(), Code::ExpectBanner);
        assert_eq!(reason.text(), "10.0.0.1:22 says \"SSH-2.0-OpenSSH_9.2\" first, which is not what is expected");
        assert_eq!(check("#banner=220 ", ssh, true).await.unwrap_err().code(), Code::ExpectBanner);
        assert_eq!(check("#banner=220 ", &[], true).await.unwrap_err().code(), Code::ProtocolClosed);
        assert_eq!(check("#banner=220 ", &[], false).await.unwrap_err().code(), Code::ProtocolTimeout);
        let endless: Vec<&[u8]> = vec![&[b'a'; 512]; 12];
        assert_eq!(check("#banner=b", &endless, false).await.unwrap_err().code(), Code::ExpectBanner);
        let hostile = check("#banner=b", &[b"\x1b[2J\xff\n"], true).await.unwrap_err();
        assert!(hostile.text().contains("\\u{1b}[2J"), "{}", hostile.text());
    }
}
