//! `tcp:HOST:PORT`: a connection is accepted, and still open after `hold`.

use std::fmt;
use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Result, bail};
use tokio::io::AsyncReadExt;
use tokio::time;

use super::address::{self, Host};
use super::expect::{Spec, Zero};
use super::{Parts, Ready};
use crate::net::Net;
use crate::net::connect::{self, race};
use crate::reason::{Code, Hint, Reason, Stage};
use crate::trail::Trail;

/// What `tcp:` expects beyond the common ones.
pub const EXPECTATIONS: &[Spec] = &[Spec::value("hold", "DURATION")];

/// Long enough for a front on the same machine to notice that it has nobody to talk to
/// (docker-proxy to a refusing backend closes within 12 ms), short enough to cost nothing.
const HOLD: Duration = Duration::from_millis(50);

/// A TCP port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tcp {
    host: Host,
    port: u16,
    hold: Duration,
    shown: String,
}

impl Tcp {
    /// Parses `tcp:HOST:PORT` or `tcp://HOST:PORT`.
    pub fn parse(parts: &Parts<'_>) -> Result<Self> {
        const FORM: &str = "tcp:HOST:PORT";
        let raw = parts.address.strip_prefix("//").unwrap_or(parts.address);
        if raw.contains('@') {
            bail!("expected {FORM}, found '@': tcp: takes no user and no password");
        }
        let raw = raw.strip_suffix('/').unwrap_or(raw);
        let (host, port) = address::host_port(raw, FORM, parts.fill)?;
        let hold = parts.expectations.duration("hold", Zero::Allowed)?.unwrap_or(HOLD);
        Ok(Self { host, port, hold, shown: parts.expectations.shown(&[]) })
    }

    /// Connects to any address and keeps the connection for `hold`.
    pub async fn probe(&self, net: &Net, trail: &Trail) -> Result<Ready, Reason> {
        let addresses = connect::resolve(net, &self.host, self.port, trail).await?;
        let accepted = race(&addresses, trail, async |address| self.accepts(address, trail).await).await;
        let address = accepted.map_err(|failed| connect::explain(net, &self.host, &failed))?;
        Ok(Ready::noted(format!("accepted by {address}")))
    }

    async fn accepts(&self, address: SocketAddr, trail: &Trail) -> Result<SocketAddr, Reason> {
        let mut stream = connect::one(address, trail).await?;
        if self.hold.is_zero() {
            return Ok(address);
        }
        trail.enter(Stage::Protocol, format_args!("{address} accepted the connection"));
        let mut byte = [0; 1];
        match time::timeout(self.hold, stream.read(&mut byte)).await {
            // Still open, or the server spoke first: somebody is there.
            Err(_) | Ok(Ok(1..)) => Ok(address),
            Ok(Ok(0) | Err(_)) => Err(Reason::new(
                Code::ProtocolClosed,
                format!("{address} accepted the connection and closed it at once"),
            )
            .hint(Hint::FrontClosed)),
        }
    }
}

impl fmt::Display for Tcp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "tcp:{}:{}{}", self.host, self.port, self.shown)
    }
}
