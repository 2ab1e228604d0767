//! When an accepted connection is ready: it stays open, or the server sends the expected text first.

use std::fmt::Display;
use std::time::Duration;

use anyhow::{Result, bail};
use tokio::io::{AsyncRead, AsyncReadExt as _};
use tokio::time;

use super::expect::{Expectations, Spec, Zero};
use super::regex::Pattern;
use crate::attempt::Attempt;
use crate::reason::{Code, Hint, Reason, Stage};

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

/// What is expected of an accepted connection.
#[derive(Clone, Debug)]
pub(super) struct Accept {
    hold: Duration,
    text: Option<String>,
    pattern: Option<Pattern>,
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
        if it.has("hold") && (text.is_some() || pattern.is_some()) {
            bail!("#hold: a banner is expected too, and it proves more than an open connection: leave #hold out");
        }
        let hold = it.duration("hold", Zero::Allowed)?.unwrap_or(DEFAULT_HOLD);
        Ok(Self { hold, text, pattern })
    }

    /// How long the check takes at least, if the server is ready.
    pub(super) fn waits(&self) -> Duration {
        if self.text.is_some() || self.pattern.is_some() { Duration::ZERO } else { self.hold }
    }

    /// Checks a connection that `peer` has accepted.
    pub(super) async fn check(
        &self,
        mut stream: impl AsyncRead + Unpin,
        peer: &impl Display,
        attempt: &Attempt,
    ) -> Result<(), Reason> {
        attempt.enter(Stage::Protocol, format_args!("{peer} accepted the connection"));
        if self.text.is_some() || self.pattern.is_some() {
            return self.banner(stream, peer).await;
        }
        if self.hold.is_zero() {
            return Ok(());
        }
        match time::timeout(self.hold, stream.read(&mut [0; 1])).await {
            // The connection is still open, or the server has sent a byte: a server is there.
            Err(_) | Ok(Ok(1..)) => Ok(()),
            Ok(Ok(0) | Err(_)) => Err(closed(peer)),
        }
    }

    async fn banner(&self, mut stream: impl AsyncRead + Unpin, peer: &impl Display) -> Result<(), Reason> {
        let mut said = Vec::new();
        let mut piece = [0; 512];
        loop {
            let reading = stream.read(&mut piece);
            // A silent server has the whole attempt. A server that has sent something has a moment to go on.
            let read = if said.is_empty() {
                reading.await
            } else {
                match time::timeout(QUIET, reading).await {
                    Ok(read) => read,
                    Err(_) => return Err(other(&said, peer)),
                }
            };
            match read {
                Ok(0) | Err(_) if said.is_empty() => return Err(closed(peer)),
                Ok(0) | Err(_) => return Err(other(&said, peer)),
                Ok(read) => said.extend_from_slice(&piece[..read]),
            }
            said.truncate(BANNER_MAX);
            if self.is_expected(&said).await? {
                return Ok(());
            }
            if said.len() == BANNER_MAX {
                return Err(other(&said, peer));
            }
        }
    }

    async fn is_expected(&self, said: &[u8]) -> Result<bool, Reason> {
        let text = self.text.as_ref().is_none_or(|text| said.windows(text.len()).any(|found| found == text.as_bytes()));
        match &self.pattern {
            Some(pattern) if text => pattern.matches(said.to_vec(), "#banner-match").await,
            _ => Ok(text),
        }
    }
}

fn closed(peer: &impl Display) -> Reason {
    let text = format!("{peer} accepted the connection and closed it at once");
    Reason::new(Code::ProtocolClosed, text).with_hint(Hint::ProxyClosed)
}

/// The reason for another banner; it shows how the banner begins.
fn other(said: &[u8], peer: &impl Display) -> Reason {
    const SHOWN: usize = 60;
    let line = said.split(|byte| matches!(byte, b'\r' | b'\n')).find(|line| !line.is_empty()).unwrap_or_default();
    let shown: String = String::from_utf8_lossy(line).chars().take(SHOWN).collect();
    Reason::new(Code::ExpectBanner, format!("{peer} says \"{shown}\" first, which is not what is expected"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::env::{Env, Fill};
    use tokio::io::AsyncWriteExt as _;

    const SPECS: &[Spec] = &[HOLD, BANNER, BANNER_MATCH];

    fn parse(text: &str) -> Result<Accept> {
        let env = Env::default();
        Accept::parse(&Expectations::parse(text.split('#').skip(1), "tcp", SPECS, Fill::from_env(&env))?)
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
        tokio::select! {
            () = speak => unreachable!(),
            outcome = time::timeout(bounds.attempt, accept.check(client, &"10.0.0.1:22", &attempt)) =>
                outcome.unwrap_or_else(|_| Err(attempt.cut_off())),
        }
    }

    #[test]
    fn invalid_expectations() {
        for (text, says) in [
            ("#banner=", "found nothing"),
            ("#banner-match=(", "regular expression"),
            ("#banner=x#hold=1s", "leave #hold out"),
        ] {
            let message = format!("{:#}", parse(text).unwrap_err());
            assert!(message.contains(says), "{text}: {message}");
        }
        assert!(parse(&format!("#banner={}", "x".repeat(4097))).is_err());
    }

    #[tokio::test]
    async fn a_connection_must_stay_open() {
        assert!(check("", &[], false).await.is_ok());
        assert!(check("", &[b"220 mail"], true).await.is_ok());
        assert_eq!(check("", &[], true).await.unwrap_err().code(), Code::ProtocolClosed);
        assert!(check("#hold=0", &[], true).await.is_ok());
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
