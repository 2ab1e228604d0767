//! `unix:/path`: a stream socket accepts a connection, and it stays open as with `tcp:`.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::Result;
use tokio::net::UnixStream;

use super::banner::{self, Accept, Over};
use super::expect::Spec;
use super::path::TargetPath;
use super::{Kind, Parts, Ready, gone};
use crate::attempt::Attempt;
use crate::net::Net;
use crate::net::connect::unix_failure;
use crate::reason::{Reason, Stage};

#[derive(Clone, Debug)]
pub(crate) struct Unix {
    path: PathBuf,
    /// The path as the log shows it.
    name: String,
    accept: Accept,
    gone: bool,
    /// The expectations as the log shows them.
    shown: String,
}

impl Kind for Unix {
    const NAMES: &'static [&'static str] = &["unix"];
    const FORM: &'static str = "unix:/PATH";
    const HELP: &'static [(&'static str, &'static str)] =
        &[("unix:/PATH", "a unix socket accepts a connection, which stays open")];
    const EXPECTATIONS: &'static [Spec] =
        &[banner::HOLD, banner::SEND, banner::BANNER, banner::BANNER_MATCH, gone::GONE];

    /// Parses `unix:/path` or `unix:///path`.
    fn parse(parts: &Parts<'_>) -> Result<Self> {
        const FORM: &str = "expected unix:/PATH";
        let raw = parts.address.strip_prefix("//").unwrap_or(parts.address);
        let TargetPath { path, name } = TargetPath::socket(raw, parts.fill, FORM)?;
        let it = &parts.expectations;
        let gone = gone::is_given(it, Self::EXPECTATIONS)?;
        Ok(Self { name, path, accept: Accept::parse(it, parts.fill)?, gone, shown: it.shown() })
    }

    fn waits(&self) -> Duration {
        if self.gone { Duration::ZERO } else { self.accept.waits() }
    }

    fn holds(&self) -> bool {
        !self.gone && self.accept.holds()
    }

    async fn probe(&self, net: &Net, attempt: &Attempt) -> Result<Ready, Reason> {
        if self.gone {
            return gone::probe_socket(&self.path, &self.name, attempt).await;
        }
        attempt.enter(Stage::Connect, &self.name);
        let stream = UnixStream::connect(&self.path).await.map_err(|error| unix_failure(&self.name, &error))?;
        attempt.accept();
        Ok(self.accept.check(net, stream, Over::Unix, &self.name, attempt).await?.ready(&self.name))
    }
}

impl fmt::Display for Unix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "unix:{}{}", self.name, self.shown)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::attempt::Bounds;
    use crate::env::Env;
    use crate::kind::{Given, Target};
    use crate::net::names::resolv_conf::SystemFiles;
    use crate::reason::Code;
    use anyhow::bail;
    use std::os::unix::net::{UnixDatagram, UnixListener};
    use std::path::Path;

    fn parse(text: &str) -> Result<Unix> {
        let env: Env = [("RUN", "/run/a b")].into_iter().collect();
        let (target, _) = Target::parse(text, Given { env: &env, ca_file: false })?;
        let Target::Unix(unix) = target else { bail!("{target} is of another kind") };
        Ok(*unix)
    }

    async fn probe(path: &Path, expectations: &str) -> Result<Ready, Reason> {
        let bounds = Bounds { attempt: Duration::from_secs(3), connect: Duration::from_secs(1) };
        let net = Net::plain(SystemFiles::default());
        let unix = parse(&format!("unix:{}{expectations}", path.display())).unwrap();
        unix.probe(&net, &Attempt::new(bounds, false)).await
    }

    #[test]
    fn paths_are_parsed_and_shown() {
        for (text, shown) in [
            ("unix:/run/a.sock", "unix:/run/a.sock"),
            ("unix:///run/a.sock", "unix:/run/a.sock"),
            ("unix:$(RUN)/s%23#hold=0", "unix:$(RUN)/s%23#hold=0"),
            ("unix:/run/a#banner=x", "unix:/run/a#banner=x"),
        ] {
            assert_eq!(parse(text).unwrap().to_string(), shown);
        }
        for (text, says) in [
            ("unix:run/a.sock", "absolute"),
            ("unix:", "absolute"),
            ("unix://host/a.sock", "absolute"),
            ("unix:/a%00", "NUL"),
            ("unix:/a#min=2", "expectation 1"),
            ("unix:/a#gone#hold=1s", "#gone excludes"),
        ] {
            let message = format!("{:#}", parse(text).unwrap_err());
            assert!(message.contains(says), "{text}: {message}");
        }
        assert!(parse(&format!("unix:/{}", "a".repeat(107))).is_err());
    }

    #[tokio::test]
    async fn a_probe_tells_missing_refusing_and_listening_sockets_apart() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("s");
        assert_eq!(probe(&path, "").await.unwrap_err().code(), Code::LocalMissing);
        assert!(probe(&path, "#gone").await.is_ok());
        let listener = UnixListener::bind(&path).unwrap();
        assert!(probe(&path, "").await.is_ok());
        assert_eq!(probe(&path, "#gone").await.unwrap_err().code(), Code::ExpectGone);
        drop(listener);
        assert_eq!(probe(&path, "").await.unwrap_err().code(), Code::ConnectRefused);
        let datagram = dir.path().join("d");
        let _bound = UnixDatagram::bind(&datagram).unwrap();
        assert!(probe(&datagram, "").await.unwrap_err().text().contains("not a stream socket"));
        std::fs::write(dir.path().join("f"), "").unwrap();
        assert_eq!(probe(&dir.path().join("f"), "").await.unwrap_err().code(), Code::ConnectRefused);
    }
}
