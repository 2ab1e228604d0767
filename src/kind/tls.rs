//! `tls:HOST:PORT`: the TLS handshake ends, and the certificate is verified and long enough valid.

use std::fmt;
use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Result, bail};
use tokio::time::Instant;

use super::banner::{self, Accept, Accepted, Over};
use super::expect::{Expectations, Spec, Zero, any_duration};
use super::tls_options::{self, TlsOptions};
use super::{Kind, Parts, Ready, endpoint, gone, instead};
use crate::attempt::Attempt;
use crate::net::address::Host;
use crate::net::race::race;
use crate::net::sniff::{self, Protocol};
use crate::net::stream::Stream;
use crate::net::tls::{self, Verify, day};
use crate::net::{Net, connect};
use crate::reason::{Code, Hint, Reason};
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
        let (options, accept) = (TlsOptions::parse(it)?, Accept::parse(it, parts.fill)?);
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

    fn ready_when(&self) -> String {
        let verified = if self.options.is_insecure() { "" } else { " and the certificate is verified" };
        format!("the TLS handshake ends{verified}")
    }

    fn holds(&self) -> bool {
        !self.gone && self.accept.holds()
    }

    async fn probe(&self, net: &Net, attempt: &Attempt) -> Result<Ready, Reason> {
        if self.gone {
            return gone::probe(net, &self.host, self.port, attempt).await;
        }
        let addresses = connect::resolve(net, &self.host, self.port, attempt).await?;
        let accepted = race(&addresses, attempt, async |address| self.accepts(net, address, attempt).await).await;
        let (address, accepted, until) = accepted.map_err(|failed| connect::explain(net, &self.host, &failed))?;
        Ok(accepted.ready(match until {
            Some(until) => format!("{address}, with a certificate that is valid until {}", day(until)),
            None => address.to_string(),
        }))
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
        let began = Instant::now();
        let shaken = self.options.handshake(net, &self.host, Verify::Full, stream, attempt).await;
        let took = began.elapsed();
        let stream = match shaken {
            Ok(stream) => stream,
            Err(reason) => return Err(explained(reason, address, attempt).await),
        };
        let until = self.lasts(&stream)?;
        let accepted = self.accept.check(net, stream, Over::Tls(took), &address, attempt).await?;
        Ok((address, accepted, until))
    }

    /// Whether the certificate is valid for long enough, and until when. Without `valid-for=` nothing is said of it.
    fn lasts(&self, stream: &Stream) -> Result<Option<u64>, Reason> {
        let Some(least) = self.valid_for else { return Ok(None) };
        let peer = stream.peer().clone();
        let Some(valid) = tls::validity(stream) else {
            let text = format!("{peer} has a certificate whose dates cannot be read");
            return Err(Reason::new(Code::ExpectCertificate, text).with_key("unreadable"));
        };
        let (now, until) = (tls::now(), *valid.end());
        // With #insecure, no one else has looked at the dates.
        if now < *valid.start() {
            let text = format!("{peer} has a certificate that is not valid before {}", day(*valid.start()));
            return Err(Reason::new(Code::ExpectCertificate, text).with_key("early"));
        }
        let left = Duration::from_secs(until.saturating_sub(now));
        if left < least {
            let text =
                format!("{peer} has a certificate that is valid until {}, for less than {}", day(until), days(least));
            return Err(Reason::new(Code::ExpectCertificate, text));
        }
        Ok(Some(until))
    }
}

/// The reason of a failed handshake. If the server closed the connection, or answered in bytes that tell nothing, a second
/// look tells which protocol it speaks: OpenSSL's clients and servers close without a word, and Redis waits for a line.
pub(super) async fn explained(reason: Reason, address: SocketAddr, attempt: &Attempt) -> Reason {
    // Without a protocol in the first bytes, the handshake itself suspects HTTP.
    let is_guess = match reason.code() {
        Code::TlsClosed => true,
        Code::TlsNotTls => reason.hint() == Some(Hint::UseKind("http")),
        _ => false,
    };
    if !is_guess {
        return reason;
    }
    match sniff::look(address, attempt).await {
        Err(reason) => reason,
        Ok(Some(Protocol::Tls) | None) => reason.with_hint(None),
        Ok(Some(protocol)) => Reason::new(Code::TlsNotTls, format!("{address} answered in {protocol}, not in TLS"))
            .with_key(protocol)
            .with_hint(instead(Some(protocol))),
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
