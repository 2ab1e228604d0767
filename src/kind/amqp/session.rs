//! One session: the greeting, the login, the vhost, the queue, and the farewell.

use std::time::Duration;

use tokio::time::{self, Instant};

use super::errors::{self, Doing, Refusal, no_method};
use super::frame::{self, FRAME_MAX, Fields, HEADER, Id, NoMethod, Wire, field_of, id};
use super::mechanism::{self, Login};
use crate::attempt::Attempt;
use crate::kind::Ready;
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

/// Why a session failed.
pub(super) struct Failed {
    pub(super) reason: Reason,
    /// The server closed the connection without a byte.
    pub(super) silent: bool,
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
        blocked: None,
    };
    let outcome = session.converse(wish).await;
    let silent = session.wire.stream().first().is_empty();
    // The outcome is known. It would be lost if the attempt were cut off here.
    let until = (Instant::now() + FAREWELL).min(attempt.until() - MARGIN);
    let _ = time::timeout_at(until, session.farewell()).await;
    outcome.map_err(|reason| Failed { silent: silent && reason.code() == Code::ProtocolClosed, reason })
}

impl Session<'_> {
    async fn converse(&mut self, wish: &Wish<'_>) -> Result<Ready, Reason> {
        let start = self.ask(Doing::Greeting, HEADER, id::START).await?;
        let start = Start::parse(&start).ok_or_else(|| self.malformed())?;
        let peer = self.wire.peer();
        let name = self.attempt.quote(&start.product, 60);
        let name = if name.is_empty() { "AMQP".to_owned() } else { name };
        let Some(login) = &wish.login else { return Ok(Ready::noted(format!("{name} at {peer}"))) };
        let tune_ok = self.log_in(login, &start).await?;
        self.open(tune_ok, wish).await?;
        let mut note = format!("logged in at {peer}, {name}");
        if let Some(queue) = wish.queue {
            note.push_str(&self.queue(queue).await?);
        }
        if wish.publish {
            self.publish().await?;
            note.push_str(", which takes messages");
        }
        if let Some(said) = &self.blocked {
            note.push_str(", which blocks publishers: ");
            note.push_str(&self.attempt.quote(said, errors::WORDS_MAX));
        }
        Ok(Ready::noted(note))
    }

    /// Answers Connection.Start, up to Connection.Tune. Returns the answer to that one, which goes out with the next method.
    async fn log_in(&mut self, login: &Login<'_>, start: &Start) -> Result<Vec<u8>, Reason> {
        let peer = self.wire.peer();
        let Some((mechanism, response)) = login.answer(&start.mechanisms) else {
            let offered = self.attempt.quote(&start.mechanisms, 100);
            let text = format!("{peer} offers no way to log in that the target can use: it offers {offered}");
            return Err(Reason::new(Code::ProtocolAuthMethod, text).with_key("offer"));
        };
        let start_ok = frame::method(
            0,
            id::START_OK,
            &[&client_properties(), &frame::text(mechanism), &frame::long_text(&response), &frame::text("en_US")],
        );
        let tune = match self.ask(Doing::LogIn, &start_ok, id::TUNE).await {
            // A server that can say so would have said it (authentication_failure_close).
            Err(reason) if reason.code() == Code::ProtocolClosed && reason.key() == "later" && !start.says_refusals => {
                return Err(errors::closed_after_login(&peer));
            }
            Err(reason) => return Err(login.explain(reason, &peer)),
            Ok(tune) => tune,
        };
        let mut fields = Fields(&tune);
        let limits = (fields.short(), fields.long(), fields.short());
        let (Some(_), Some(frame_max), Some(heartbeat)) = limits else { return Err(self.malformed()) };
        let frame_max = if frame_max == 0 { FRAME_MAX } else { frame_max.min(FRAME_MAX) };
        let own = if login.publishes { HEARTBEAT_OF_A_PUBLISHER } else { HEARTBEAT };
        let heartbeat = if heartbeat == 0 { own } else { heartbeat.min(own) };
        let limits: [&[u8]; 3] = [&CHANNEL.to_be_bytes(), &frame_max.to_be_bytes(), &heartbeat.to_be_bytes()];
        Ok(frame::method(0, id::TUNE_OK, &limits))
    }

    async fn open(&mut self, tune_ok: Vec<u8>, wish: &Wish<'_>) -> Result<(), Reason> {
        let open = frame::method(0, id::OPEN, &[&frame::text(wish.vhost), b"\0\0"]);
        self.ask(Doing::OpenVhost, &[tune_ok, open].concat(), id::OPEN_OK).await?;
        self.open = true;
        if wish.queue.is_some() || wish.publish {
            let channel = frame::method(CHANNEL, id::CHANNEL_OPEN, &[b"\0"]);
            self.ask(Doing::OpenChannel, &channel, id::CHANNEL_OPEN_OK).await?;
            self.channel = true;
        }
        Ok(())
    }

    /// Asks for a queue without making it: a passive Queue.Declare.
    async fn queue(&mut self, name: &str) -> Result<String, Reason> {
        // Reserved, the name, the bits (passive alone), and no arguments.
        let declare = frame::method(CHANNEL, id::QUEUE_DECLARE, &[b"\0\0", &frame::text(name), b"\x01\0\0\0\0"]);
        let answer = self.ask(Doing::DeclareQueue, &declare, id::QUEUE_DECLARE_OK).await?;
        let mut fields = Fields(&answer);
        let (Some(_), Some(messages), Some(consumers)) = (fields.text(), fields.long(), fields.long()) else {
            return Err(self.malformed());
        };
        let (messages, consumers) = (count(messages, "message"), count(consumers, "consumer"));
        Ok(format!("; the queue has {messages} and {consumers}"))
    }

    /// Publishes an empty message to the default exchange, for a queue that does not exist. The server drops it, or it says
    /// that it lets no publisher work. The end of the channel is its answer: it answers in order.
    async fn publish(&mut self) -> Result<(), Reason> {
        let to = frame::text(&format!("waitgate.no-queue.{:016x}", getrandom::u64().unwrap_or_default()));
        // Reserved, the default exchange, the queue, and no bits.
        let publish = frame::method(CHANNEL, id::BASIC_PUBLISH, &[b"\0\0\0", &to, b"\0"]);
        let close = frame::method(CHANNEL, id::CHANNEL_CLOSE, &[&200_u16.to_be_bytes(), b"\0\0\0\0\0"]);
        let bytes = [publish, frame::empty_content(CHANNEL), close].concat();
        self.ask(Doing::Publish, &bytes, id::CHANNEL_CLOSE_OK).await.map(drop)
    }

    /// Sends `bytes` and waits for the method `wanted`.
    async fn ask(&mut self, doing: Doing, bytes: &[u8], wanted: Id) -> Result<Vec<u8>, Reason> {
        self.doing = doing;
        let peer = self.wire.peer();
        self.attempt.enter(Stage::Protocol, format_args!("{peer} accepted the connection and {}", doing.what()));
        // A server that refuses a connection may close it before it reads. Then the write may fail, and its words are still
        // there to be read.
        let sent = self.wire.write(bytes).await;
        loop {
            let method = match (self.wire.method().await, &sent) {
                (Ok(method), _) => method,
                (Err(NoMethod::Closed), Err(why)) => return Err(no_method(why, &self.wire, doing)),
                (Err(why), _) => return Err(no_method(&why, &self.wire, doing)),
            };
            match (method.channel, method.id) {
                (0, id::CLOSE) => {
                    self.open = false;
                    let _ = self.wire.write(&frame::method(0, id::CLOSE_OK, &[])).await;
                    return Err(self.refused(&method.arguments));
                }
                (CHANNEL, id::CHANNEL_CLOSE) if self.open => {
                    let _ = self.wire.write(&frame::method(CHANNEL, id::CHANNEL_CLOSE_OK, &[])).await;
                    return Err(self.refused(&method.arguments));
                }
                (0, id::BLOCKED) => {
                    let mut fields = Fields(&method.arguments);
                    self.blocked = Some(fields.text().unwrap_or_default().to_vec());
                }
                (0, id::UNBLOCKED) => self.blocked = None,
                // The mechanisms that waitgate has need no second step.
                (0, id::SECURE) if doing == Doing::LogIn => {
                    let text = format!("{peer} asks a question in the login that waitgate cannot answer");
                    return Err(Reason::new(Code::ProtocolAuthMethod, text).with_key("secure"));
                }
                (_, found) if found == wanted => return Ok(method.arguments),
                _ => return Err(self.malformed()),
            }
            if let (Doing::Publish, Some(said)) = (doing, &self.blocked) {
                // It reads nothing more: no farewell would be answered.
                self.open = false;
                return Err(errors::blocked(&peer, said, self.attempt));
            }
        }
    }

    fn refused(&self, arguments: &[u8]) -> Reason {
        match Refusal::parse(arguments) {
            Some(refusal) => refusal.reason(&self.wire.peer(), self.doing, self.attempt),
            None => self.malformed(),
        }
    }

    fn malformed(&self) -> Reason {
        no_method(&NoMethod::Malformed, &self.wire, self.doing)
    }

    /// Ends the session as the protocol wants it. Before the vhost is open there is no way to do so: RabbitMQ takes a
    /// Connection.Close for an error there (rabbit_reader.erl: handle_method0), and the end of the stream for less.
    async fn farewell(&mut self) {
        if self.open {
            let close = frame::method(0, id::CLOSE, &[&200_u16.to_be_bytes(), &frame::text("ready"), b"\0\0\0\0"]);
            if self.wire.write(&close).await.is_ok() {
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
        let product = [word("product"), word("version")].into_iter().flatten().collect::<Vec<_>>().join(" ");
        let says_refusals = field_of(properties, "capabilities")
            .and_then(|(_, capabilities)| field_of(capabilities, mechanism::FAILURE_CLOSE))
            .is_some_and(|(kind, value)| kind == b't' && value != b"\0");
        Some(Self { product, mechanisms, says_refusals })
    }
}

/// What waitgate says of itself. RabbitMQ tells why it refuses a login, and that it blocks publishers, only to a client that can
/// read this (<https://www.rabbitmq.com/docs/auth-notification>).
fn client_properties() -> Vec<u8> {
    let flag = |name: &str| [&frame::text(name)[..], b"t\x01"].concat();
    let text =
        |name: &str, value: &str| [frame::text(name), b"S".to_vec(), frame::long_text(value.as_bytes())].concat();
    let capabilities = [flag(mechanism::FAILURE_CLOSE), flag("connection.blocked")].concat();
    let properties = [
        frame::text("capabilities"),
        b"F".to_vec(),
        frame::long_text(&capabilities),
        text("product", "waitgate"),
        text("version", env!("CARGO_PKG_VERSION")),
        text("connection_name", "waitgate"),
    ];
    frame::long_text(&properties.concat())
}
