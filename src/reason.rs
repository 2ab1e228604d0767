//! Why an attempt was not ready: a stage, a class, a stable code, and what happened in words.

use std::fmt;

pub use crate::hint::Hint;

/// How far an attempt came. The order is the order of an attempt, so a later stage is progress.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stage {
    /// Before the network: a file, a descriptor, this machine.
    Local,
    /// Finding addresses for the name.
    Resolve,
    /// Connecting to one of them.
    Connect,
    /// The TLS handshake.
    Tls,
    /// Talking the kind's protocol.
    Protocol,
    /// The answer came; it is not what the target expects.
    Expect,
}

impl Stage {
    /// The contract's word for it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Local => "local",
            Self::Resolve => "resolve",
            Self::Connect => "connect",
            Self::Tls => "tls",
            Self::Protocol => "protocol",
            Self::Expect => "expect",
        }
    }
}

/// What a failed attempt costs others; the cap of the pause follows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// One SYN, often answered on the node.
    Refused,
    /// DNS queries, a backend process, a server's work.
    Work,
    /// Credentials were refused: every attempt is a failed login in somebody's log.
    Credentials,
}

macro_rules! codes {
    ($($(#[doc = $doc:literal])+ $name:ident = $stage:ident $class:ident $text:literal,)*) => {
        /// Every reason by its stable name, `stage.word`.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Code { $($(#[doc = $doc])+ $name,)* }

        impl Code {
            /// Every code, in the order of the stages.
            pub const ALL: &[Self] = &[$(Self::$name,)*];

            /// The stage that failed.
            #[must_use]
            pub fn stage(self) -> Stage {
                match self { $(Self::$name => Stage::$stage,)* }
            }

            /// What an attempt that ends so costs others, unless the reason itself knows better.
            #[must_use]
            pub fn class(self) -> Class {
                match self { $(Self::$name => Class::$class,)* }
            }

            /// The stable name, for logs, JSON and `--explain`.
            #[must_use]
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$name => $text,)* }
            }

            /// What it says, in a sentence.
            #[must_use]
            pub fn summary(self) -> &'static str {
                match self { $(Self::$name => concat!($($doc),+).trim_ascii(),)* }
            }
        }
    };
}

codes! {
    /// No file descriptor left for a socket.
    LocalDescriptors = Local Work "local.descriptors",
    /// A file that the target reads anew each attempt cannot be read.
    LocalFile = Local Refused "local.file",
    /// This machine did not let a socket be made or used.
    LocalSocket = Local Work "local.socket",

    /// The name does not exist under any of the names asked.
    ResolveNoSuchName = Resolve Work "resolve.no-such-name",
    /// The name exists and has no address (or no record of the type asked for).
    ResolveNoAddresses = Resolve Work "resolve.no-addresses",
    /// The DNS did not give a usable answer: SERVFAIL, REFUSED, garbage.
    ResolveTrouble = Resolve Work "resolve.trouble",
    /// No nameserver answered within the bounds.
    ResolveTimeout = Resolve Work "resolve.timeout",
    /// No nameserver could be reached at all.
    ResolveUnreachable = Resolve Work "resolve.unreachable",

    /// Every address refused the connection.
    ConnectRefused = Connect Refused "connect.refused",
    /// Nothing came back to the connection attempt.
    ConnectTimeout = Connect Work "connect.timeout",
    /// No route, or the host did not answer on its link.
    ConnectUnreachable = Connect Work "connect.unreachable",
    /// A unix socket's path does not exist.
    ConnectMissing = Connect Refused "connect.missing",
    /// A local rule forbids the connection.
    ConnectDenied = Connect Work "connect.denied",

    /// The TLS handshake did not end within the bounds.
    TlsTimeout = Tls Work "tls.timeout",
    /// The connection ended during the TLS handshake.
    TlsClosed = Tls Work "tls.closed",
    /// What answered does not speak TLS.
    TlsNotTls = Tls Work "tls.not-tls",
    /// The server says that it does not do TLS.
    TlsUnsupported = Tls Work "tls.unsupported",
    /// The certificate's issuer is not trusted.
    TlsUnknownIssuer = Tls Work "tls.unknown-issuer",
    /// The certificate is for another name.
    TlsWrongName = Tls Work "tls.wrong-name",
    /// The certificate has expired.
    TlsExpired = Tls Work "tls.expired",
    /// The certificate is not valid yet.
    TlsNotYetValid = Tls Work "tls.not-yet-valid",
    /// The server wants a client certificate, or another one.
    TlsClientCertificate = Tls Credentials "tls.client-certificate",
    /// Any other failure of the handshake.
    TlsFailed = Tls Work "tls.failed",

    /// The connection was accepted, and no complete answer came.
    ProtocolTimeout = Protocol Work "protocol.timeout",
    /// The connection was accepted and then closed.
    ProtocolClosed = Protocol Work "protocol.closed",
    /// What answered does not speak HTTP.
    ProtocolNotHttp = Protocol Work "protocol.not-http",
    /// What answered does not speak PostgreSQL's protocol.
    ProtocolNotPostgres = Protocol Work "protocol.not-postgres",
    /// A TLS server was spoken to in plain text.
    ProtocolTlsWanted = Protocol Work "protocol.tls-wanted",
    /// The answer passes the bounds that waitgate keeps.
    ProtocolTooLarge = Protocol Work "protocol.too-large",
    /// PostgreSQL is starting up, recovering or shutting down (57P03).
    ProtocolNotAccepting = Protocol Work "protocol.not-accepting",
    /// PostgreSQL has no connection left for us (53300).
    ProtocolTooManyClients = Protocol Work "protocol.too-many-clients",
    /// A pooler answered; its server did not.
    ProtocolPooler = Protocol Work "protocol.pooler",
    /// The password was refused (28P01).
    ProtocolPassword = Protocol Credentials "protocol.password",
    /// The server has no place for this user, host or database in `pg_hba.conf` (28000).
    ProtocolNotAuthorized = Protocol Credentials "protocol.not-authorized",
    /// The database does not exist (3D000).
    ProtocolNoDatabase = Protocol Work "protocol.no-database",
    /// The server answered with an error of its own.
    ProtocolError = Protocol Work "protocol.error",

    /// The answer did not come to its end within the bounds.
    ExpectTimeout = Expect Work "expect.timeout",
    /// The HTTP status is not among those expected.
    ExpectStatus = Expect Work "expect.status",
    /// A redirect that cannot be followed.
    ExpectRedirect = Expect Work "expect.redirect",
    /// The body, a match in it or a JSON value is not the one expected.
    ExpectBody = Expect Work "expect.body",
    /// Fewer records or addresses than expected.
    ExpectRecords = Expect Work "expect.records",
    /// The expected record or address is not among those found.
    ExpectValue = Expect Work "expect.value",
    /// Fewer addresses accept than expected.
    ExpectQuorum = Expect Refused "expect.quorum",
    /// The banner is not the one expected.
    ExpectBanner = Expect Work "expect.banner",
    /// The server has another role: a standby where a primary is expected, or the other way round.
    ExpectRole = Expect Work "expect.role",
    /// The query's answer is not the one expected.
    ExpectQuery = Expect Work "expect.query",
    /// It is still there, and expected to be gone.
    ExpectGone = Expect Work "expect.gone",
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Why an attempt was not ready.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reason {
    code: Code,
    class: Class,
    key: String,
    text: String,
    hint: Option<Hint>,
}

impl Reason {
    /// A reason; `text` says what happened and to which address, in words, without secrets.
    ///
    /// Control characters in it (a server may have sent some) are escaped here.
    pub fn new(code: Code, text: impl AsRef<str>) -> Self {
        Self { code, class: code.class(), key: String::new(), text: printable(text.as_ref()), hint: None }
    }

    /// The same with a hint, where the evidence for it is at hand.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<Option<Hint>>) -> Self {
        self.hint = hint.into();
        self
    }

    /// The same with another class than the code's own (a 401 is a matter of credentials).
    #[must_use]
    pub fn class(mut self, class: Class) -> Self {
        self.class = class;
        self
    }

    /// What tells this reason from another of the same code: an HTTP status, an SQLSTATE.
    ///
    /// Addresses and times do not belong here: they change with every attempt, and the log has
    /// a line for each reason that is new, not for each attempt.
    #[must_use]
    pub fn key(mut self, key: impl fmt::Display) -> Self {
        self.key = key.to_string();
        self
    }

    /// The same in other words: for one reason out of several that are told together.
    #[must_use]
    pub fn with_text(&self, text: impl AsRef<str>) -> Self {
        Self { text: printable(text.as_ref()), ..self.clone() }
    }

    /// Its stable name.
    #[must_use]
    pub fn code(&self) -> Code {
        self.code
    }

    /// The stage that failed.
    #[must_use]
    pub fn stage(&self) -> Stage {
        self.code.stage()
    }

    /// What the attempt cost others.
    #[must_use]
    pub fn cost(&self) -> Class {
        self.class
    }

    /// What happened, in words.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// What it means here, where the evidence is at hand.
    #[must_use]
    pub fn hinted(&self) -> Option<Hint> {
        self.hint
    }

    /// What a person would call the same reason: its code, its key, and what to look at.
    #[must_use]
    pub fn identity(&self) -> (Code, &str, Option<Hint>) {
        (self.code, &self.key, self.hint)
    }

    /// Whether a person would call the two the same.
    #[must_use]
    pub fn is_like(&self, other: &Self) -> bool {
        self.identity() == other.identity()
    }
}

/// `text` with every control character escaped, so that nothing a server sends can steer a terminal or forge a log line.
#[must_use]
pub fn printable(text: &str) -> String {
    let hostile = |c: char| {
        c.is_control()
            || matches!(c, '\u{2028}' | '\u{2029}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if hostile(c) { out.extend(c.escape_default()) } else { out.push(c) }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_begins_with_its_stage_and_is_unique() {
        for (i, code) in Code::ALL.iter().enumerate() {
            assert!(code.as_str().starts_with(&format!("{}.", code.stage().as_str())), "{code}");
            assert!(Code::ALL[i + 1..].iter().all(|other| other.as_str() != code.as_str()), "{code}");
        }
    }

    #[test]
    fn stages_are_in_the_order_of_an_attempt() {
        assert!(Stage::Local < Stage::Resolve && Stage::Resolve < Stage::Connect);
        assert!(Stage::Connect < Stage::Tls && Stage::Tls < Stage::Protocol && Stage::Protocol < Stage::Expect);
    }

    #[test]
    fn nothing_steers_the_terminal() {
        let reason = Reason::new(Code::ProtocolNotHttp, "answered \u{1b}[2J\r\nready\u{202e}");
        assert_eq!(reason.text(), "answered \\u{1b}[2J\\r\\nready\\u{202e}");
    }

    #[test]
    fn the_same_code_and_key_are_one_reason() {
        let refused = |by: &str| Reason::new(Code::ConnectRefused, format!("refused by {by}"));
        assert!(refused("10.0.0.1:1").is_like(&refused("10.0.0.2:1")));
        let status = |n: u16| Reason::new(Code::ExpectStatus, n.to_string()).key(n);
        assert!(!status(500).is_like(&status(503)));
    }
}
