//! What is waited for: one argv item, its kind, its address and its expectations.

mod accept;
pub mod address;
#[cfg(feature = "dns")]
pub mod dns;
pub mod expect;
pub mod file;
mod gone;
#[cfg(feature = "http")]
pub mod http;
mod pattern;
#[cfg(feature = "postgres")]
pub mod postgres;
pub mod tcp;
pub mod unix;

use std::fmt;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};

use crate::net::Net;
use crate::reason::Reason;
use crate::trail::Trail;
use crate::vars::{Env, Fill};
use expect::{Expectations, Spec, Zero};

/// One target. The set is closed: a new kind is one file, one variant and the arms below.
#[derive(Clone, Debug)]
pub enum Target {
    /// A name in the DNS, or in the hosts file.
    #[cfg(feature = "dns")]
    Dns(dns::Dns),
    /// A TCP port.
    Tcp(tcp::Tcp),
    /// A unix socket.
    Unix(unix::Unix),
    /// A URL.
    #[cfg(feature = "http")]
    Http(Box<http::Http>),
    /// A PostgreSQL server.
    #[cfg(feature = "postgres")]
    Postgres(Box<postgres::Postgres>),
}

/// What the whole command line says that the meaning of a target depends on.
#[derive(Clone, Copy)]
pub struct Given<'a> {
    /// The environment, for `$(NAME)`, `env:NAME` and libpq's variables.
    pub env: &'a Env,
    /// Whether --ca-file is given.
    pub ca_file: bool,
}

/// One target's text, split and known to be of a kind, on its way to that kind's parser.
pub struct Parts<'a> {
    /// What stands behind the kind's colon, up to the first `#`, unfilled.
    pub address: &'a str,
    /// The kind as written, in lower case: `https`, `postgresql+psycopg2`.
    pub kind: &'a str,
    /// What stands behind it.
    pub expectations: Expectations,
    /// How to fill the address.
    pub fill: Fill<'a>,
    /// What else is known.
    pub given: Given<'a>,
}

/// A ready answer; what is worth saying about it, if anything.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ready {
    /// For the ready line: "10.0.0.1:5432", "200 from 10.0.0.1:80", "redirected to another host".
    pub note: Option<String>,
}

impl Ready {
    /// Ready, and worth a word.
    #[must_use]
    pub fn noted(note: impl AsRef<str>) -> Self {
        Self { note: Some(crate::reason::printable(note.as_ref())) }
    }
}

/// A target's own bounds, where they differ from the run's.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Overrides {
    /// Give up on this target after this long, counted from its first attempt.
    pub timeout: Option<Duration>,
    /// Bound on one attempt.
    pub attempt_timeout: Option<Duration>,
    /// Bound on each DNS question and on connecting to one address.
    pub connect_timeout: Option<Duration>,
    /// Longest pause.
    pub max_pause: Option<Duration>,
    /// Ready answers in a row.
    pub successes: Option<u32>,
}

/// How many times in a row something must be gone before it is, unless `successes=` says otherwise.
const GONE: u32 = 3;

/// The kinds of this build, for messages.
pub const KINDS: &str = {
    match (cfg!(feature = "dns"), cfg!(feature = "http"), cfg!(feature = "postgres")) {
        (true, true, true) => {
            "dns:NAME, tcp:HOST:PORT, http://HOST/PATH, https://HOST/PATH, postgres://HOST/DATABASE, unix:/PATH or env:NAME"
        }
        _ => "a target of a kind that this build has (tcp:HOST:PORT is always there)",
    }
};

impl Target {
    /// Parses one argv item. Nothing of it is repeated in a message unless it is known to be harmless.
    pub fn parse(text: &str, given: Given<'_>) -> Result<(Self, Overrides)> {
        if text.is_empty() {
            bail!("expected {KINDS}, found nothing");
        }
        let mut pieces = text.split('#');
        let address = pieces.next().unwrap_or_default();
        if let Some(name) = address.strip_prefix("env:") {
            if !crate::vars::is_name(name) {
                bail!("expected env:NAME, the name of an environment variable that holds a target's address");
            }
            let value = given.env.text(name)?.with_context(|| {
                format!("env:{name}: {name} is not set in the environment, or empty: set it to {KINDS}")
            })?;
            if value.starts_with("env:") {
                bail!("env:{name}: expected the address itself, found another env:NAME, which is not followed");
            }
            // The value is taken whole: a `#` in it is the password's, and no `$(NAME)` in it is ours.
            return Self::of_kind(value.trim_end_matches(['\r', '\n']), pieces, Fill::none(), given)
                .with_context(|| {
                    if value.contains('#') {
                        format!("env:{name} (a '#' in its value belongs to the address: expectations are written env:{name}#name=value)")
                    } else {
                        format!("env:{name}")
                    }
                });
        }
        Self::of_kind(address, pieces, Fill::from_env(given.env), given)
    }

    fn of_kind<'a>(
        address: &str,
        expectations: impl Iterator<Item = &'a str>,
        fill: Fill<'_>,
        given: Given<'_>,
    ) -> Result<(Self, Overrides)> {
        let Some((kind, rest)) = address.split_once(':') else {
            bail!("expected {KINDS}: the kind and its colon are missing");
        };
        let kind = kind.to_ascii_lowercase();
        // SQLAlchemy's postgresql+psycopg2: names a driver that is no business of ours.
        let family =
            if kind.starts_with("postgres+") || kind.starts_with("postgresql+") { "postgres" } else { kind.as_str() };
        let own: &'static [Spec] = match family {
            #[cfg(feature = "dns")]
            "dns" => dns::EXPECTATIONS,
            "tcp" => tcp::EXPECTATIONS,
            "unix" => unix::EXPECTATIONS,
            #[cfg(feature = "http")]
            "http" | "https" => http::EXPECTATIONS,
            #[cfg(feature = "postgres")]
            "postgres" | "postgresql" => postgres::EXPECTATIONS,
            _ => bail!("{}", unknown_kind(&kind)),
        };
        if address.contains(|c: char| c.is_whitespace()) && family != "postgres" && family != "postgresql" {
            bail!(
                "expected {KINDS}, found a blank in the address: one target is one argument, without blanks (in a URL a blank is %20)"
            );
        }
        let shown = match family {
            "postgresql" => "postgres",
            other => other,
        };
        let expectations = Expectations::parse(expectations, shown, own, fill)?;
        let overrides = Overrides {
            timeout: expectations.duration("timeout", Zero::Refused)?,
            attempt_timeout: expectations.duration("attempt-timeout", Zero::Refused)?,
            connect_timeout: expectations.duration("connect-timeout", Zero::Refused)?,
            max_pause: expectations.duration("max-pause", Zero::Refused)?,
            // One answer that something is not there proves little: a server restarts, a name is made anew.
            successes: expectations.count("successes")?.or_else(|| expectations.has("gone").then_some(GONE)),
        };
        let parts = Parts { address: rest, kind: &kind, expectations, fill, given };
        let target = match family {
            #[cfg(feature = "dns")]
            "dns" => Self::Dns(dns::Dns::parse(&parts)?),
            #[cfg(feature = "http")]
            "http" | "https" => Self::Http(Box::new(http::Http::parse(&parts)?)),
            #[cfg(feature = "postgres")]
            "postgres" | "postgresql" => Self::Postgres(Box::new(postgres::Postgres::parse(&parts)?)),
            "unix" => Self::Unix(unix::Unix::parse(&parts)?),
            _ => Self::Tcp(tcp::Tcp::parse(&parts)?),
        };
        Ok((target, overrides))
    }

    /// Tries the target once.
    pub async fn probe(&self, net: &Net, trail: &Trail) -> Result<Ready, Reason> {
        match self {
            #[cfg(feature = "dns")]
            Self::Dns(dns) => dns.probe(net, trail).await,
            Self::Tcp(tcp) => tcp.probe(net, trail).await,
            Self::Unix(unix) => unix.probe(trail).await,
            #[cfg(feature = "http")]
            Self::Http(http) => http.probe(net, trail).await,
            #[cfg(feature = "postgres")]
            Self::Postgres(postgres) => postgres.probe(net, trail).await,
        }
    }

    /// What is odd about it and not wrong.
    #[must_use]
    pub fn warnings(&self) -> Vec<String> {
        match self {
            #[cfg(feature = "dns")]
            Self::Dns(_) => Vec::new(),
            Self::Tcp(_) | Self::Unix(_) => Vec::new(),
            #[cfg(feature = "http")]
            Self::Http(http) => http.warnings(),
            #[cfg(feature = "postgres")]
            Self::Postgres(postgres) => postgres.ignored().to_vec(),
        }
    }

    /// Whether an attempt may speak TLS, so that a CA file that cannot be used is worth an error.
    #[must_use]
    pub fn uses_tls(&self) -> bool {
        match self {
            #[cfg(feature = "dns")]
            Self::Dns(_) => false,
            Self::Tcp(_) | Self::Unix(_) => false,
            #[cfg(feature = "http")]
            Self::Http(http) => http.uses_tls(),
            #[cfg(feature = "postgres")]
            Self::Postgres(postgres) => postgres.uses_tls(),
        }
    }
}

/// The target as the log shows it: recognisable, secrets hidden.
impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            #[cfg(feature = "dns")]
            Self::Dns(dns) => dns.fmt(f),
            Self::Tcp(tcp) => tcp.fmt(f),
            Self::Unix(unix) => unix.fmt(f),
            #[cfg(feature = "http")]
            Self::Http(http) => http.fmt(f),
            #[cfg(feature = "postgres")]
            Self::Postgres(postgres) => postgres.fmt(f),
        }
    }
}

/// An unknown kind is not echoed: `hunter2@db:5432` has the shape of one.
fn unknown_kind(kind: &str) -> String {
    const KNOWN: [&str; 7] = ["dns", "tcp", "http", "https", "postgres", "unix", "env"];
    match kind {
        "jdbc" => return "expected postgres://USER@HOST/DATABASE: a jdbc: URL is Java's own form; leave out jdbc: and write user and password into the URL".into(),
        "udp" => return format!("expected {KINDS}: no probe can tell whether a UDP port is ready"),
        "file" | "redis" | "mysql" | "grpc" => {
            return format!("expected {KINDS}: this build has no kind {kind}:; for a server that listens, tcp:HOST:PORT waits for its port");
        }
        _ => {}
    }
    let compiled_out = ["dns", "http", "https", "postgres", "postgresql"].contains(&kind);
    if compiled_out {
        return format!("expected {KINDS}: this build has no kind {kind}:; it was left out by a cargo feature");
    }
    let nearest = KNOWN.iter().map(|known| (expect::distance(kind, known), *known)).min();
    match nearest {
        Some((1, known)) => {
            format!("expected {KINDS}: the kind before the first colon is none of these; did you mean {known}:?")
        }
        _ => format!("expected {KINDS}: the kind before the first colon is none of these"),
    }
}
