//! One session: the greeting, the login, the vhost, the queue, and the farewell.

use std::time::Duration;

use tokio::time::{self, Instant};

use super::errors::{self, Doing, Refusal, no_method};
use super::frame::{self, FRAME_MAX, Fields, HEADER, Id, NoMethod, Out, Wire, field_of, id};
use super::mechanism::{self, Login};
use crate::attempt::Attempt;
use crate::kind::Ready;
use crate::kind::no_answer::NoAnswer;
use crate::kind::unanswered::Failed;
use crate::net::stream::Stream;
use crate::reason::{Code, Reason, Stage};

/// How long the farewell may take. It only keeps the server's log quiet.
const FAREWELL: Duration = Duration::from_millis(500);

/// How long the stream stays open after the farewell of a session with a channel. RabbitMQ ends the processes of a channel after
/// its answer, and logs an error of a supervisor if the end of the stream comes before they have ended.
const CHANNEL_ENDS: Duration = Duration::from_millis(50);

/// The farewell ends this long before the attempt does.
const MARGIN: Duration = Duration::from_millis(20);

/// The longest time without a sign of life from waitgate, in seconds, after which a server may drop its session, if the server
/// proposes none.
const HEARTBEAT: u16 = 60;

/// The same for a session that publishes. A RabbitMQ with an alarm reads nothing after a message, not even the end of the
/// stream: only its own heartbeat, which fails, ends the session there.
const HEARTBEAT_OF_A_PUBLISHER: u16 = 2;

/// The one channel.
const CHANNEL: u16 = 1;

/// What a session asks for.
pub(super) struct Wish<'a> {
    /// `None`: the greeting is enough.
    pub(super) login: Option<Login<'a>>,
    pub(super) vhost: &'a str,
    pub(super) queue: Option<&'a str>,
    /// Whether a message must be taken.
    pub(super) publish: bool,
}

/// One session with a server.
struct Session<'a> {
    wire: Wire,
    attempt: &'a Attempt,
    doing: Doing,
    /// Whether the vhost is open: from then on a session ends with Connection.Close.
    open: bool,
    /// Whether a channel was opened.
    channel: bool,
    /// Whether the server says why it refuses a login.
    says_refusals: bool,
    /// What the server says of the alarm that blocks publishers.
    blocked: Option<Vec<u8>>,
}

/// One session, from the protocol header to its end.
pub(super) async fn run(stream: Stream, wish: &Wish<'_>, attempt: &Attempt) -> Result<Ready, Failed> {
    let mut session = Session {
        wire: Wire::new(stream),
        attempt,
        doing: Doing::Greeting,
        open: false,
        channel: false,
        says_refusals: false,
        blocked: None,
    };
    let outcome = session.converse(wish).await;
    // The outcome is known. It would be lost if the attempt were cut off here.
    let until = (Instant::now() + FAREWELL).min(attempt.until() - MARGIN);
    let _ = time::timeout_at(until, session.farewell()).await;
    outcome.map_err(|reason| Failed::new(reason, session.wire.stream().first()))
}

/// One question, and the method that answers it.
struct Step {
    doing: Doing,
    bytes: Vec<u8>,
    wanted: Id,
}

impl Session<'_> {
    async fn converse(&mut self, wish: &Wish<'_>) -> Result<Ready, Reason> {
        let mut note = String::new();
        let mut step = Step { doing: Doing::Greeting, bytes: HEADER.to_vec(), wanted: id::START };
        loop {
            let answer = match self.ask(step).await {
                Err(reason) if self.doing == Doing::LogIn => return Err(self.refused_login(reason, wish)),
                answer => answer?,
            };
            step = match self.next(&answer, wish, &mut note)? {
                Some(step) => step,
                None => return Ok(Ready::noted(note)),
            };
        }
    }

    /// Reads the answer to the last question. Returns the next question, or `None` if the session has shown everything.
    fn next(&mut self, answer: &[u8], wish: &Wish<'_>, note: &mut String) -> Result<Option<Step>, Reason> {
        let mut fields = Fields(answer);
        match (self.doing, &wish.login) {
            (Doing::Greeting, login) => {
                let start = Start::parse(answer).ok_or_else(|| self.malformed())?;
                self.says_refusals = start.says_refusals;
                let peer = self.wire.peer();
                let name = self.attempt.quote(&start.product, 60);
                let name = if name.is_empty() { "AMQP" } else { &name };
                let Some(login) = login else {
                    *note = format!("{name} at {peer}");
                    return Ok(None);
                };
                *note = format!("logged in at {peer}, {name}");
                return self.log_in(login, &start).map(Some);
            }
            (Doing::LogIn, login) => {
                let tune_ok = tune_ok(&mut fields, login.is_some_and(|login| login.publishes));
                let mut bytes = tune_ok.ok_or_else(|| self.malformed())?;
                let mut open = Out::method(0, id::OPEN);
                open.text(wish.vhost).bytes(b"\0\0");
                bytes.extend_from_slice(&open.end());
                return Ok(Some(Step { doing: Doing::OpenVhost, bytes, wanted: id::OPEN_OK }));
            }
            (Doing::OpenVhost, _) => self.open = true,
            (Doing::OpenChannel, _) => self.channel = true,
            (Doing::DeclareQueue, _) => {
                let (Some(_), Some(messages), Some(consumers)) = (fields.text(), fields.long(), fields.long()) else {
                    return Err(self.malformed());
                };
                let (messages, consumers) = (count(messages, "message"), count(consumers, "consumer"));
                let said = format!("; the queue has {messages} and {consumers}");
                note.push_str(&said);
            }
            (Doing::Publish, _) => note.push_str(", which takes messages"),
        }
        let asked = self.doing;
        Ok(match wish.queue {
            _ if asked == Doing::OpenVhost && (wish.queue.is_some() || wish.publish) => {
                let mut open = Out::method(CHANNEL, id::CHANNEL_OPEN);
                open.text("");
                Some(Step { doing: Doing::OpenChannel, bytes: open.end(), wanted: id::CHANNEL_OPEN_OK })
            }
            Some(queue) if asked == Doing::OpenChannel => Some(declare(queue)),
            _ if wish.publish && asked != Doing::Publish => Some(publish()),
            _ => {
                if let Some(said) = &self.blocked {
                    note.push_str(", which blocks publishers: ");
                    note.push_str(&self.attempt.quote(said, errors::WORDS_MAX));
                }
                None
            }
        })
    }

    /// Answers Connection.Start. Connection.Tune is the answer.
    fn log_in(&self, login: &Login<'_>, start: &Start) -> Result<Step, Reason> {
        let Some((mechanism, response)) = login.answer(&start.mechanisms) else {
            let offered = self.attempt.quote(&start.mechanisms, 100);
            let peer = self.wire.peer();
            let text = format!("{peer} offers no way to log in that the target can use: it offers {offered}");
            return Err(Reason::new(Code::ProtocolAuthMethod, text).with_key("offer"));
        };
        let mut answer = Out::method(0, id::START_OK);
        answer.long_text(&client_properties()).text(mechanism).long_text(&response).text("en_US");
        Ok(Step { doing: Doing::LogIn, bytes: answer.end(), wanted: id::TUNE })
    }

    fn refused_login(&self, reason: Reason, wish: &Wish<'_>) -> Reason {
        let peer = self.wire.peer();
        // A server that can say so would have said it (authentication_failure_close).
        if reason.code() == Code::ProtocolClosed && reason.key() == "later" && !self.says_refusals {
            return errors::closed_after_login(peer);
        }
        match &wish.login {
            Some(login) => login.explain(reason, peer),
            None => reason,
        }
    }

    /// Asks one question and waits for its answer.
    async fn ask(&mut self, Step { doing, bytes, wanted }: Step) -> Result<Vec<u8>, Reason> {
        self.doing = doing;
        self.attempt
            .enter(Stage::Protocol, format_args!("{} accepted the connection and {}", self.wire.peer(), doing.what()));
        // A server that refuses a connection may close it before it reads. Then the write may fail, and its words are still
        // there to be read.
        let sent = self.wire.write(&bytes).await;
        loop {
            let method = match (self.wire.method().await, &sent) {
                (Ok(method), _) => method,
                (Err(NoMethod::No(NoAnswer::Closed)), Err(why)) => return Err(no_method(why, &self.wire, doing)),
                (Err(why), _) => return Err(no_method(&why, &self.wire, doing)),
            };
            match (method.channel, method.id) {
                (0, id::CLOSE) => {
                    self.open = false;
                    let _ = self.wire.write(&Out::method(0, id::CLOSE_OK).end()).await;
                    return Err(self.refused(&method.arguments));
                }
                (CHANNEL, id::CHANNEL_CLOSE) if self.open => {
                    let _ = self.wire.write(&Out::method(CHANNEL, id::CHANNEL_CLOSE_OK).end()).await;
                    return Err(self.refused(&method.arguments));
                }
                (0, id::BLOCKED) => {
                    let mut fields = Fields(&method.arguments);
                    self.blocked = Some(fields.text().unwrap_or_default().to_vec());
                }
                (0, id::UNBLOCKED) => self.blocked = None,
                // The mechanisms that waitgate has need no second step.
                (0, id::SECURE) if doing == Doing::LogIn => {
                    let text = format!("{} asks a question in the login that waitgate cannot answer", self.wire.peer());
                    return Err(Reason::new(Code::ProtocolAuthMethod, text).with_key("secure"));
                }
                (_, found) if found == wanted => return Ok(method.arguments),
                _ => return Err(self.malformed()),
            }
            if let (Doing::Publish, Some(said)) = (doing, &self.blocked) {
                // It reads nothing more: no farewell would be answered.
                self.open = false;
                return Err(errors::blocked(self.wire.peer(), said, self.attempt));
            }
        }
    }

    fn refused(&self, arguments: &[u8]) -> Reason {
        match Refusal::parse(arguments) {
            Some(refusal) => refusal.reason(self.wire.peer(), self.doing, self.attempt),
            None => self.malformed(),
        }
    }

    fn malformed(&self) -> Reason {
        no_method(&NoAnswer::Malformed.into(), &self.wire, self.doing)
    }

    /// Ends the session as the protocol wants it. Before the vhost is open there is no way to do so: RabbitMQ takes a
    /// Connection.Close for an error there (rabbit_reader.erl: handle_method0), and the end of the stream for less.
    async fn farewell(&mut self) {
        if self.open {
            let mut close = Out::method(0, id::CLOSE);
            // Reply code 200, and no method that is to blame.
            close.bytes(b"\0\xc8").text("ready").bytes(b"\0\0\0\0");
            if self.wire.write(&close.end()).await.is_ok() {
                while let Ok(method) = self.wire.method().await {
                    if method.id == id::CLOSE_OK {
                        if self.channel {
                            time::sleep(CHANNEL_ENDS).await;
                        }
                        break;
                    }
                }
            }
        }
        self.wire.shutdown().await;
    }
}

/// Answers Connection.Tune; `None` if it is too short.
fn tune_ok(tune: &mut Fields<'_>, publishes: bool) -> Option<Vec<u8>> {
    let (_, frame_max, heartbeat) = (tune.short()?, tune.long()?, tune.short()?);
    let frame_max = if frame_max == 0 { FRAME_MAX } else { frame_max.min(FRAME_MAX) };
    let own = if publishes { HEARTBEAT_OF_A_PUBLISHER } else { HEARTBEAT };
    let heartbeat = if heartbeat == 0 { own } else { heartbeat.min(own) };
    let mut tune_ok = Out::method(0, id::TUNE_OK);
    tune_ok.bytes(&CHANNEL.to_be_bytes()).bytes(&frame_max.to_be_bytes()).bytes(&heartbeat.to_be_bytes());
    Some(tune_ok.end())
}

/// Asks for a queue without making it: a passive Queue.Declare.
fn declare(queue: &str) -> Step {
    // Reserved, the name, the bits (passive alone), and no arguments.
    let mut declare = Out::method(CHANNEL, id::QUEUE_DECLARE);
    declare.bytes(b"\0\0").text(queue).bytes(b"\x01\0\0\0\0");
    Step { doing: Doing::DeclareQueue, bytes: declare.end(), wanted: id::QUEUE_DECLARE_OK }
}

/// Publishes an empty message to the default exchange, for a queue that does not exist. The server drops it, or it says
/// that it lets no publisher work. The end of the channel is its answer: it answers in order.
fn publish() -> Step {
    let queue = format!("waitgate.no-queue.{:016x}", getrandom::u64().unwrap_or_default());
    let mut publish = Out::method(CHANNEL, id::BASIC_PUBLISH);
    // Reserved, the default exchange, the queue, and no bits.
    publish.bytes(b"\0\0\0").text(&queue).bytes(b"\0");
    let mut close = Out::method(CHANNEL, id::CHANNEL_CLOSE);
    close.bytes(b"\0\xc8\0\0\0\0\0");
    let bytes = [publish.end(), frame::empty_content(CHANNEL), close.end()].concat();
    Step { doing: Doing::Publish, bytes, wanted: id::CHANNEL_CLOSE_OK }
}

fn count(number: u32, what: &str) -> String {
    crate::text::count(usize::try_from(number).unwrap_or(usize::MAX), what)
}

/// Connection.Start: what a server says of itself.
struct Start {
    /// `RabbitMQ 3.10.8`
    product: String,
    /// The ways to log in, with blanks between them.
    mechanisms: String,
    /// Whether the server says why it refuses a login.
    says_refusals: bool,
}

impl Start {
    fn parse(arguments: &[u8]) -> Option<Self> {
        let mut fields = Fields(arguments);
        // The version that the server chose: 0-9 for 0-9-1 too.
        let (_, _) = (fields.octet()?, fields.octet()?);
        let properties = fields.long_text()?;
        let mechanisms = String::from_utf8_lossy(fields.long_text()?).into_owned();
        let _locales = fields.long_text()?;
        let word = |name| match field_of(properties, name)? {
            (b'S', text) => Some(String::from_utf8_lossy(text).into_owned()),
            _ => None,
        };
        let product = [word("product"), word("version")].map(Option::unwrap_or_default).join(" ").trim().to_owned();
        let says_refusals = field_of(properties, "capabilities")
            .and_then(|(_, capabilities)| field_of(capabilities, mechanism::FAILURE_CLOSE))
            .is_some_and(|(kind, value)| kind == b't' && value != b"\0");
        Some(Self { product, mechanisms, says_refusals })
    }
}

/// What waitgate says of itself. RabbitMQ tells why it refuses a login, and that it blocks publishers, only to a client that can
/// read this (<https://www.rabbitmq.com/docs/auth-notification>).
fn client_properties() -> Vec<u8> {
    let mut capabilities = Out::default();
    capabilities.text(mechanism::FAILURE_CLOSE).bytes(b"t\x01").text("connection.blocked").bytes(b"t\x01");
    let mut properties = Out::default();
    properties.text("capabilities").bytes(b"F").long_text(&capabilities.0);
    let texts = [("product", "waitgate"), ("version", env!("CARGO_PKG_VERSION")), ("connection_name", "waitgate")];
    for (name, value) in texts {
        properties.text(name).bytes(b"S").long_text(value.as_bytes());
    }
    properties.0
}
