//! The kinds: what every kind is, the table of them, and what they are given.
//!
//! A new kind is one file or folder here, its `mod` line, and one row in the table. The table makes the enum, the list of forms in
//! messages, the section of `--help`, the feature gates and the completions.

#[cfg(feature = "amqp")]
mod amqp;
#[cfg(any(feature = "mysql", feature = "postgres"))]
mod answer;
mod banner;
pub(crate) mod content;
mod credentials;
#[cfg(feature = "dns")]
mod dns;
mod endpoint;
pub(crate) mod expect;
mod file;
mod gone;
#[cfg(feature = "grpc")]
pub(crate) mod grpc;
#[cfg(any(feature = "grpc", feature = "http"))]
mod header;
pub(crate) mod help;
#[cfg(feature = "http")]
mod http;
#[cfg(feature = "k8s")]
pub(crate) mod k8s;
#[cfg(feature = "kafka")]
pub(crate) mod kafka;
#[cfg(feature = "mongodb")]
mod mongodb;
#[cfg(feature = "mysql")]
mod mysql;
#[cfg(any(
    feature = "amqp",
    feature = "kafka",
    feature = "mongodb",
    feature = "mysql",
    feature = "postgres",
    feature = "redis"
))]
mod no_answer;
mod parse;
pub(crate) mod path;
#[cfg(feature = "postgres")]
pub(crate) mod postgres;
mod protocols;
#[cfg(feature = "redis")]
pub(crate) mod redis;
mod regex;
#[cfg(any(feature = "kafka", feature = "mongodb"))]
mod scram;
#[cfg(any(
    feature = "amqp",
    feature = "grpc",
    feature = "mongodb",
    feature = "kafka",
    feature = "mysql",
    feature = "postgres"
))]
mod servers;
mod slips;
mod split;
mod tcp;
#[cfg(feature = "tls")]
mod tls;
mod tls_options;
#[cfg(any(feature = "amqp", feature = "kafka", feature = "mongodb", feature = "redis"))]
mod unanswered;
mod unix;

use std::fmt;
use std::pin::Pin;
use std::time::Duration;

use anyhow::Result;

use crate::attempt::Attempt;
use crate::env::{Env, Fill};
use crate::net::Net;
use crate::net::sniff::Protocol;
use crate::reason::Reason;
use crate::text::printable;
use expect::{Expectations, Spec};
use parse::note_login;
#[cfg(any(feature = "http", feature = "tls"))]
pub(crate) use protocols::instead;
#[cfg(any(
    feature = "amqp",
    feature = "grpc",
    feature = "http",
    feature = "kafka",
    feature = "mongodb",
    feature = "mysql",
    feature = "postgres",
    feature = "redis"
))]
pub(crate) use protocols::other_protocol;
pub(crate) use protocols::{spoken, spoken_by};

/// What every kind of target is. Parsing is pure; a probe tries the target once.
pub(crate) trait Kind: Sized + fmt::Display {
    /// The words before the colon; the first one is the kind's own.
    const NAMES: &'static [&'static str];
    /// Other words that applications' URLs have before the colon. No list shows them.
    const ALSO: &'static [&'static str] = &[];
    /// The shortest form of an address, for lists.
    const FORM: &'static str;
    /// For `--help`: forms, and when they are ready.
    const HELP: &'static [(&'static str, &'static str)];
    /// What it takes beyond the expectations that every kind takes.
    const EXPECTATIONS: &'static [Spec];
    /// The protocols that it waits for, each with the word before the colon. Hints of other kinds use it.
    const SPEAKS: &'static [(Protocol, &'static str)] = &[];
    /// The words after `jdbc:` that mean this kind. The address then has the form of that JDBC driver.
    const JDBC: &'static [&'static str] = &[];
    /// Whether `+driver` after its name is dropped, as in SQLAlchemy's `postgresql+psycopg2`.
    const DROPS_DRIVER: bool = false;
    /// What a blank in the address means.
    const BLANK: &'static str =
        "found a blank in the address: one target is one argument, and a blank in a URL or a path is written %20";

    /// Parses the address and the expectations. A message repeats nothing that could be secret.
    fn parse(parts: &Parts<'_>) -> Result<Self>;

    /// Tries the target once.
    async fn probe(&self, net: &Net, attempt: &Attempt) -> Result<Ready, Reason>;

    /// What is odd about the target and not wrong.
    fn warnings(&self) -> Vec<String> {
        Vec::new()
    }

    /// Looks, before the first attempt, for what waiting would not bring. An error ends the run at once.
    fn check(&self) -> Result<()> {
        Ok(())
    }

    /// Whether an attempt may speak TLS.
    fn uses_tls(&self) -> bool {
        false
    }

    /// How long an attempt waits in any case, even if the server answers at once.
    fn waits(&self) -> Duration {
        Duration::ZERO
    }

    /// Whether nothing but `hold` is left to wait for once a connection is accepted, and nothing is sent.
    fn holds(&self) -> bool {
        false
    }

    /// When the target is ready without its expectations, for --dry-run. The default is what `--help` says first.
    fn ready_when(&self) -> String {
        let ready = Self::HELP.first().map(|(_, ready)| *ready).unwrap_or_default();
        ready.split(';').next().unwrap_or_default().to_owned()
    }

    /// How long the target itself lets an attempt take. It lengthens the default bound, and no bound that the user gives.
    fn attempt_timeout(&self) -> Option<Duration> {
        None
    }
}

/// An attempt that runs, or a part of it: in a box, so that what is around it is in the binary once.
pub(crate) type Probing<'a> = Pin<Box<dyn Future<Output = Result<Ready, Reason>> + 'a>>;

macro_rules! kinds {
    ($($module:ident::$name:ident $(if $feature:literal)?;)*) => {
        /// One target: one argument, its kind, its address and its expectations.
        #[derive(Clone, Debug)]
        pub(crate) enum Target {
            $($(#[cfg(feature = $feature)])? #[doc = concat!("See `kind::", stringify!($module), "`.")] $name(Box<$module::$name>),)*
        }

        /// The kinds of this build.
        const KINDS: &[Row] = &[$($(#[cfg(feature = $feature)])? Row::of::<$module::$name>(Parser::$name),)*];

        /// The kinds that a cargo feature left out.
        const LEFT_OUT: &[&str] = &[$($(#[cfg(not(feature = $feature))] $feature,)?)*];

        /// Which kind parses a target.
        #[derive(Clone, Copy)]
        enum Parser {
            $($(#[cfg(feature = $feature)])? $name,)*
        }

        impl Parser {
            fn parse(self, parts: &Parts<'_>) -> Result<Target> {
                Ok(match self {
                    $($(#[cfg(feature = $feature)])? Self::$name => Target::$name(Box::new(Kind::parse(parts)?)),)*
                })
            }
        }

        impl Target {
            /// Tries the target once. Boxed for each kind: the attempts of a small kind do not take the memory of the largest
            /// one, and no target takes any while it pauses.
            pub(crate) fn probe<'a>(&'a self, net: &'a Net, attempt: &'a Attempt) -> Probing<'a> {
                match self { $($(#[cfg(feature = $feature)])? Self::$name(kind) => Box::pin(kind.probe(net, attempt)),)* }
            }

            /// What is odd about the target and not wrong.
            pub(crate) fn warnings(&self) -> Vec<String> {
                match self { $($(#[cfg(feature = $feature)])? Self::$name(kind) => kind.warnings(),)* }
            }

            /// Looks for what waiting would not bring.
            pub(crate) fn check(&self) -> Result<()> {
                match self { $($(#[cfg(feature = $feature)])? Self::$name(kind) => kind.check(),)* }
            }

            /// Whether an attempt may speak TLS, so that a root that cannot be used is worth a warning.
            pub(crate) fn uses_tls(&self) -> bool {
                match self { $($(#[cfg(feature = $feature)])? Self::$name(kind) => kind.uses_tls(),)* }
            }

            /// How long an attempt waits in any case.
            pub(crate) fn waits(&self) -> Duration {
                match self { $($(#[cfg(feature = $feature)])? Self::$name(kind) => kind.waits(),)* }
            }

            /// Whether nothing but `hold` is left to wait for once a connection is accepted.
            pub(crate) fn holds(&self) -> bool {
                match self { $($(#[cfg(feature = $feature)])? Self::$name(kind) => kind.holds(),)* }
            }

            /// When the target is ready without its expectations, for --dry-run.
            pub(crate) fn ready_when(&self) -> String {
                match self { $($(#[cfg(feature = $feature)])? Self::$name(kind) => kind.ready_when(),)* }
            }

            /// How long the target itself lets an attempt take.
            pub(crate) fn attempt_timeout(&self) -> Option<Duration> {
                match self { $($(#[cfg(feature = $feature)])? Self::$name(kind) => kind.attempt_timeout(),)* }
            }
        }

        /// The target as the log shows it: recognisable, secrets hidden.
        impl fmt::Display for Target {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                match self { $($(#[cfg(feature = $feature)])? Self::$name(kind) => kind.fmt(f),)* }
            }
        }
    };
}

kinds! {
    dns::Dns if "dns";
    tcp::Tcp;
    tls::Tls if "tls";
    unix::Unix;
    file::File;
    http::Http if "http";
    k8s::K8s if "k8s";
    postgres::Postgres if "postgres";
    mysql::MySql if "mysql";
    redis::Redis if "redis";
    amqp::Amqp if "amqp";
    grpc::Grpc if "grpc";
    mongodb::MongoDb if "mongodb";
    kafka::Kafka if "kafka";
}

/// What the table knows of a kind.
struct Row {
    names: &'static [&'static str],
    also: &'static [&'static str],
    form: &'static str,
    help: &'static [(&'static str, &'static str)],
    expectations: &'static [Spec],
    speaks: &'static [(Protocol, &'static str)],
    jdbc: &'static [&'static str],
    drops_driver: bool,
    blank: &'static str,
    parser: Parser,
}

impl Row {
    const fn of<K: Kind>(parser: Parser) -> Self {
        Self {
            names: K::NAMES,
            also: K::ALSO,
            form: K::FORM,
            help: K::HELP,
            expectations: K::EXPECTATIONS,
            speaks: K::SPEAKS,
            jdbc: K::JDBC,
            drops_driver: K::DROPS_DRIVER,
            blank: K::BLANK,
            parser,
        }
    }

    /// The kind of this name, and the name without a driver.
    fn named(kind: &str) -> Option<(&'static Self, &'static str)> {
        KINDS.iter().find_map(|row| {
            let bare = if row.drops_driver { kind.split('+').next().unwrap_or_default() } else { kind };
            row.names.iter().chain(row.also).find(|name| **name == bare).map(|name| (row, *name))
        })
    }

    /// The kind of this name after `jdbc:`.
    fn in_jdbc(kind: &str) -> Option<(&'static Self, &'static str)> {
        KINDS.iter().find_map(|row| row.jdbc.iter().find(|name| **name == kind).map(|name| (row, *name)))
    }
}

/// The forms of a target's address, for the end of a message.
pub(crate) fn forms() -> String {
    let forms: Vec<&str> = KINDS.iter().map(|row| row.form).collect();
    format!("{} or env:NAME", forms.join(", "))
}

/// The words before the colon.
pub(crate) fn names() -> impl Iterator<Item = &'static str> {
    KINDS.iter().flat_map(|row| row.names.iter().copied()).chain(["env"])
}

/// The environment variables that `postgres:` reads, for the man page.
#[cfg(feature = "postgres")]
pub(crate) fn postgres_variables() -> impl Iterator<Item = &'static str> {
    postgres::variables()
}

/// What the meaning of a target depends on, beside its text.
#[derive(Clone, Copy)]
pub(crate) struct Given<'a> {
    /// The environment, for `$(NAME)`, `env:NAME` and libpq's variables.
    pub(crate) env: &'a Env,
    /// Whether --ca-file is given.
    pub(crate) ca_file: bool,
}

/// One target's text, split and known to be of a kind, for that kind's parser.
pub(crate) struct Parts<'a> {
    /// What follows the kind's colon, up to the first `#`, unfilled.
    pub(crate) address: &'a str,
    /// The kind's name, one of `NAMES` or `ALSO`.
    pub(crate) kind: &'static str,
    /// Whether the kind's name followed `jdbc:`.
    #[cfg_attr(
        not(any(feature = "mysql", feature = "postgres")),
        expect(dead_code, reason = "no kind has a JDBC form")
    )]
    pub(crate) jdbc: bool,
    /// The expectations.
    pub(crate) expectations: Expectations,
    /// How to fill the address.
    pub(crate) fill: Fill<'a>,
    /// What else is known.
    pub(crate) given: Given<'a>,
}

/// A ready answer, and what is worth saying about it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Ready {
    /// For the ready line: "10.0.0.1:5432", "200 from 10.0.0.1:80", "redirected to another host".
    pub(crate) note: Option<String>,
}

impl Ready {
    /// Ready, with a note.
    pub(crate) fn noted(note: impl AsRef<str>) -> Self {
        Self { note: Some(printable(note.as_ref())) }
    }
}
