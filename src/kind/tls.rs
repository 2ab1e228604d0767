//! `tls:HOST:PORT`: the TLS handshake ends, and the certificate is verified and long enough valid.

use std::fmt;
use std::net::SocketAddr;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Result, bail};

use super::banner::{self, Accept, Accepted};
use super::expect::{Expectations, Spec, Zero, any_duration};
use super::tls_options::{self, TlsOptions};
use super::{Kind, Parts, Ready, endpoint, gone};
use crate::attempt::Attempt;
use crate::net::address::Host;
use crate::net::race::race;
use crate::net::stream::Stream;
use crate::net::tls::{Verify, day, valid_until};
use crate::net::{Net, connect};
use crate::reason::{Code, Reason};
use crate::text;

/// How long the server's certificate must be valid from now on.
const VALID_FOR: Spec = Spec::value("valid-for", "DURATION").says("the certificate is valid for so long from now on");

/// The longest such duration: ten years.
const VALID_FOR_MAX: Duration = Duration::from_secs(3650 * 24 * 60 * 60);

#[derive(Clone, Debug)]
pub(crate) struct Tls {
    host: Host,
    port: u16,
    options: TlsOptions,
    valid_for: Option<Duration>,
    accept: Accept,
    gone: bool,
    /// The expectations as the log shows them.
    shown: String,
}

impl Kind for Tls {
    const NAMES: &'static [&'static str] = &["tls"];
    const FORM: &'static str = "tls:HOST:PORT";
    const HELP: &'static [(&'static str, &'static str)] =
        &[("tls:HOST:PORT", "the TLS handshake ends and the certificate is verified")];
    const EXPECTATIONS: &'static [Spec] = &[
        tls_options::CA,
        tls_options::CERT,
        tls_options::KEY,
        tls_options::SERVERNAME,
        tls_options::INSECURE,
        VALID_FOR,
        banner::HOLD,
        banner::SEND,
        banner::BANNER,
        banner::BANNER_MATCH,
        gone::GONE,
    ];

    fn parse(parts: &Parts<'_>) -> Result<Self> {
        let (host, port) = endpoint::parse(parts, Self::FORM)?;
        let it = &parts.expectations;
        let gone = gone::is_given(it, Self::EXPECTATIONS)?;
        let (options, accept) = (TlsOptions::parse(it)?, Accept::parse(it)?);
        Ok(Self { host, port, options, valid_for: valid_for(it)?, accept, gone, shown: it.shown() })
    }

    fn waits(&self) -> Duration {
        if self.gone { Duration::ZERO } else { self.accept.waits() }
    }

    fn warnings(&self) -> Vec<String> {
        if self.options.is_insecure() { vec![tls_options::INSECURE_WARNING.to_owned()] } else { Vec::new() }
    }

    fn uses_tls(&self) -> bool {
        !self.gone
    }

    async fn probe(&self, net: &Net, attempt: &Attempt) -> Result<Ready, Reason> {
        if self.gone {
            return gone::probe(net, &self.host, self.port, attempt).await;
        }
        let addresses = connect::resolve(net, &self.host, self.port, attempt).await?;
        let accepted = race(&addresses, attempt, async |address| self.accepts(net, address, attempt).await).await;
        let (address, accepted, until) = accepted.map_err(|failed| connect::explain(net, &self.host, &failed))?;
        let by = until.map_or_else(|| address.to_string(), |until| format!("{address}, valid until {}", day(until)));
        Ok(accepted.ready(by))
    }
}

impl Tls {
    async fn accepts(
        &self,
        net: &Net,
        address: SocketAddr,
        attempt: &Attempt,
    ) -> Result<(SocketAddr, Accepted, Option<u64>), Reason> {
        let stream = connect::to(net, address, attempt).await?;
        let stream = self.options.handshake(net, &self.host, Verify::Full, stream, attempt).await?;
        let until = self.lasts(&stream)?;
        let accepted = self.accept.check(net, stream, &address, attempt).await?;
        Ok((address, accepted, until))
    }

    /// Whether the certificate is valid for long enough, and until when. Without `valid-for=` nothing is said of it.
    fn lasts(&self, stream: &Stream) -> Result<Option<u64>, Reason> {
        let Some(least) = self.valid_for else { return Ok(None) };
        let peer = stream.peer();
        let Some(until) = valid_until(stream) else {
            let text = format!("{peer} has a certificate whose dates cannot be read");
            return Err(Reason::new(Code::ExpectCertificate, text).with_key("unreadable"));
        };
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        let left = Duration::from_secs(until.saturating_sub(now));
        if left < least {
            let text =
                format!("{peer} has a certificate that is valid until {}, for less than {}", day(until), days(least));
            return Err(Reason::new(Code::ExpectCertificate, text));
        }
        Ok(Some(until))
    }
}

/// In days, if they are whole.
fn days(duration: Duration) -> String {
    const DAY: u64 = 24 * 60 * 60;
    match duration.as_secs() {
        seconds if seconds >= DAY && seconds.is_multiple_of(DAY) => format!("{}d", seconds / DAY),
        _ => text::duration(duration),
    }
}

fn valid_for(it: &Expectations) -> Result<Option<Duration>> {
    let Some(text) = it.get(VALID_FOR.name) else { return Ok(None) };
    let least = any_duration(text, Zero::Invalid).map_err(|error| error.context("#valid-for"))?;
    if least > VALID_FOR_MAX {
        bail!("#valid-for: found more than ten years (expected a duration such as 24h or 30d, at most 3650d)");
    }
    Ok(Some(least))
}

impl fmt::Display for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "tls:{}:{}{}", self.host, self.port, self.shown)
    }
}
