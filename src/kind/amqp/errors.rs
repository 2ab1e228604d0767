//! What a server's refusal means for its readiness, by its reply code (AMQP 0-9-1 specification, section 1.2 of its reference)
//! and, where RabbitMQ has one code for several things, by its words (rabbitmq-server: deps/rabbit/src/rabbit_reader.erl).

use super::frame::{Fields, NoMethod, Wire};
use crate::attempt::Attempt;
use crate::kind::unanswered::{self, Spoken};
use crate::net::sniff::Protocol;
use crate::net::stream::Peer;
use crate::reason::{Code, Hint, Reason};

/// The most characters of a server's words in a reason.
pub(super) const WORDS_MAX: usize = 300;

/// What waitgate was doing when the server refused it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Doing {
    /// The header is sent, and Connection.Start is awaited.
    Greeting,
    LogIn,
    OpenVhost,
    OpenChannel,
    DeclareQueue,
    Publish,
}

impl Doing {
    /// For the sentence of an attempt that is cut off, and for a connection that ends: "after the login".
    pub(super) fn what(self) -> &'static str {
        match self {
            Self::Greeting => "the protocol header",
            Self::LogIn => "the login",
            Self::OpenVhost => "the opening of the vhost",
            Self::OpenChannel => "the opening of a channel",
            Self::DeclareQueue => "the question for the queue",
            Self::Publish => "a message",
        }
    }
}

/// What a server closes a connection or a channel with.
pub(super) struct Refusal {
    number: u16,
    /// The server's own words. They decide, and only their quoted form is shown.
    words: String,
}

impl Refusal {
    /// From the arguments of Connection.Close or Channel.Close.
    pub(super) fn parse(arguments: &[u8]) -> Option<Self> {
        let mut fields = Fields(arguments);
        let number = fields.short()?;
        let words = String::from_utf8_lossy(fields.text()?).into_owned();
        Some(Self { number, words })
    }

    /// The reason for this refusal while waitgate was doing something.
    pub(super) fn reason(&self, peer: &Peer, doing: Doing, attempt: &Attempt) -> Reason {
        let number = self.number;
        let said = attempt.quote(self.words.trim_end_matches('.'), WORDS_MAX);
        let said = if said.is_empty() { format!("reply code {number}") } else { said };
        let of = |code: Code, what: &str| Reason::new(code, format!("{what}: {said}")).with_key(number);
        let there = |code: Code, what: &str| of(code, &format!("the server is there ({peer}), but {what}"));
        let has = |words: &str| self.words.contains(words);
        match (number, doing) {
            (403, Doing::LogIn) => there(Code::ProtocolPassword, "it refuses the login").with_hint(Hint::Credentials),
            (320, _) => of(Code::ProtocolNotAccepting, &format!("{peer} ends all connections")),
            // 402 is of the specification, and 404 is Qpid's.
            (402 | 404, Doing::OpenVhost) => no_vhost(there(Code::ProtocolNoDatabase, "the vhost is not")),
            (530, Doing::OpenVhost) if self.words.ends_with("not found") => {
                no_vhost(there(Code::ProtocolNoDatabase, "the vhost is not"))
            }
            // RabbitMQ's limits on a vhost and on a user have the code of a vhost that is refused.
            (530 | 506, _) if has("connection limit") || has("user limit") => {
                there(Code::ProtocolTooManyClients, "it has no connection left for us")
            }
            (541 | 530, Doing::OpenVhost) if has(" is down") => {
                there(Code::ProtocolNotAccepting, "the vhost is down").with_key("vhost")
            }
            (530 | 403, Doing::OpenVhost) => {
                there(Code::ProtocolNotAuthorized, "the user may not use the vhost").with_key("vhost")
            }
            (404, Doing::DeclareQueue) => there(Code::ExpectMissing, "it does not have the queue").with_key("queue"),
            // Another connection has declared it for itself alone. For every other client it is as good as missing.
            (405, Doing::DeclareQueue) => {
                there(Code::ExpectState, "the queue belongs to another connection alone (exclusive)").with_key("locked")
            }
            (403, Doing::DeclareQueue) => {
                there(Code::ProtocolForbidden, "the user may not ask for the queue (it needs a permission on it)")
                    .with_key("queue")
            }
            (403, Doing::Publish) => {
                there(Code::ProtocolForbidden, "the user may not publish to the default exchange (amq.default)")
                    .with_key("publish")
            }
            _ => of(Code::ProtocolError, &format!("{peer} answered {} with an error", doing.what())),
        }
    }
}

fn no_vhost(reason: Reason) -> Reason {
    reason.with_key("vhost")
}

/// The reason of a server that lets no publisher work: an alarm of its memory or its disk.
pub(super) fn blocked(peer: &Peer, said: &[u8], attempt: &Attempt) -> Reason {
    let said = attempt.quote(said, WORDS_MAX);
    Reason::new(Code::ExpectState, format!("{peer} takes no message now, an alarm blocks publishers: {said}"))
        .with_key("blocked")
}

/// AMQP 0-9-1, as reasons know it.
pub(super) const AMQP: Spoken =
    Spoken { name: "AMQP", protocol: Some(Protocol::Amqp), wants_tls: |peer| unanswered::wants_tls(peer, "amqps") };

/// The reason when no method came.
pub(super) fn no_method(why: &NoMethod, wire: &Wire, doing: Doing) -> Reason {
    match why {
        NoMethod::Version(version) => other_version(wire.peer(), *version),
        NoMethod::No(why) => AMQP.no_answer(why, wire.stream(), wire.greeted, doing.what()),
    }
}

/// The reason for a server that closes instead of an answer to the login. The specification has no other way to refuse one,
/// and RabbitMQ before 3.0 has none either.
pub(super) fn closed_after_login(peer: &Peer) -> Reason {
    let text =
        format!("the server is there ({peer}), but it closed the connection after the login: it refuses the login");
    Reason::new(Code::ProtocolPassword, text).with_key("closed").with_hint(Hint::Credentials)
}

/// The reason for a server that offers another version. The four octets are the protocol's id, and its major, minor and
/// revision. Those of 0-8 and 0-9 have another order.
fn other_version(peer: &Peer, version: [u8; 4]) -> Reason {
    let offered = match version {
        [0, 0, 9, 1] => {
            let text = format!("{peer} speaks AMQP 0-9-1 and ended the session at once");
            return Reason::new(Code::ProtocolError, text).with_key("header");
        }
        [id, 1, 0, 0] => match id {
            0 => "AMQP 1.0".to_owned(),
            2 => "AMQP 1.0 over TLS".to_owned(),
            3 => "AMQP 1.0 with SASL".to_owned(),
            _ => format!("AMQP 1.0 (protocol id {id})"),
        },
        [1, 1, 0, 9] => "AMQP 0-9".to_owned(),
        [1, 1, 0, 10] => "AMQP 0-10".to_owned(),
        [1, 1, 8, 0] | [1, 1, 9, 1] => "AMQP 0-8".to_owned(),
        [a, b, c, d] => format!("another version of AMQP ({a}.{b}.{c}.{d})"),
    };
    Reason::new(Code::ProtocolOther, format!("{peer} offers {offered}, and not AMQP 0-9-1, which amqp: speaks"))
        .with_key("version")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reason::Cost;

    fn of(number: u16, words: &str, doing: Doing) -> Reason {
        let second = std::time::Duration::from_secs(1);
        let attempt = Attempt::new(crate::attempt::Bounds { attempt: second, connect: second }, false);
        let peer = Peer::Tcp(([10, 0, 0, 1], 5672).into());
        Refusal { number, words: words.into() }.reason(&peer, doing, &attempt)
    }

    /// The words are those of RabbitMQ 3.10 and 3.13.
    #[test]
    fn each_refusal_has_its_reason() {
        let login = "ACCESS_REFUSED - Login was refused using authentication mechanism PLAIN. For details see the broker logfile.";
        for (number, words, doing, code, key) in [
            (403, login, Doing::LogIn, Code::ProtocolPassword, "403"),
            (530, "NOT_ALLOWED - vhost shop not found", Doing::OpenVhost, Code::ProtocolNoDatabase, "vhost"),
            (402, "INVALID_PATH", Doing::OpenVhost, Code::ProtocolNoDatabase, "vhost"),
            (
                530,
                "NOT_ALLOWED - access to vhost 'shop' refused for user 'app'",
                Doing::OpenVhost,
                Code::ProtocolNotAuthorized,
                "vhost",
            ),
            (
                530,
                "NOT_ALLOWED - access to vhost 'shop' refused for user 'app': connection limit (1) is reached",
                Doing::OpenVhost,
                Code::ProtocolTooManyClients,
                "530",
            ),
            (
                530,
                "NOT_ALLOWED - connection refused for user 'app': user connection limit (1) is reached",
                Doing::OpenVhost,
                Code::ProtocolTooManyClients,
                "530",
            ),
            (
                541,
                "INTERNAL_ERROR - access to vhost '/' refused for user 'app': vhost '/' is down",
                Doing::OpenVhost,
                Code::ProtocolNotAccepting,
                "vhost",
            ),
            (541, "INTERNAL_ERROR", Doing::OpenVhost, Code::ProtocolError, "541"),
            (
                320,
                "CONNECTION_FORCED - broker forced connection closure with reason 'shutdown'",
                Doing::DeclareQueue,
                Code::ProtocolNotAccepting,
                "320",
            ),
            (404, "NOT_FOUND - no queue 'q' in vhost '/'", Doing::DeclareQueue, Code::ExpectMissing, "queue"),
            (405, "RESOURCE_LOCKED - cannot obtain exclusive access", Doing::DeclareQueue, Code::ExpectState, "locked"),
            (403, "ACCESS_REFUSED - configure access", Doing::DeclareQueue, Code::ProtocolForbidden, "queue"),
            (403, "ACCESS_REFUSED - write access", Doing::Publish, Code::ProtocolForbidden, "publish"),
            (501, "FRAME_ERROR - cannot decode", Doing::LogIn, Code::ProtocolError, "501"),
            (503, "", Doing::LogIn, Code::ProtocolError, "503"),
        ] {
            let reason = of(number, words, doing);
            assert_eq!((reason.code(), reason.key()), (code, key), "{number} {words}");
        }
        assert!(of(503, "", Doing::LogIn).text().ends_with("reply code 503"));
        assert_eq!(of(403, login, Doing::LogIn).cost(), Cost::Credentials);
    }

    #[test]
    fn a_version_is_called_by_its_name() {
        let peer = Peer::Tcp(([10, 0, 0, 1], 5672).into());
        let text = |version| other_version(&peer, version).text().to_owned();
        assert!(text([3, 1, 0, 0]).contains("offers AMQP 1.0 with SASL, and not AMQP 0-9-1"));
        assert!(text([1, 1, 8, 0]).contains("AMQP 0-8"));
        assert!(text([1, 1, 0, 9]).contains("AMQP 0-9,"));
        assert!(text([7, 7, 7, 7]).contains("(7.7.7.7)"));
        assert_eq!(other_version(&peer, [0, 0, 9, 1]).code(), Code::ProtocolError);
    }
}
