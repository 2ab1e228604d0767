//! A conversation up to the point where the fault comes.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use rustls::{ServerConfig, ServerConnection};

use super::{Fault, conn::Conn};

/// What a server says; it may depend on what it has heard last.
type Words = Arc<dyn Fn(&[u8]) -> Vec<u8> + Send + Sync>;

/// One step of a conversation.
#[derive(Clone)]
pub(crate) enum Step {
    /// Reads what the client says next.
    Hear,
    /// Says this.
    Say(Vec<u8>),
    /// The TLS handshake.
    Tls(Arc<ServerConfig>),
}

pub(crate) fn hear() -> Step {
    Step::Hear
}

pub(crate) fn say(bytes: impl Into<Vec<u8>>) -> Step {
    Step::Say(bytes.into())
}

/// A conversation: `before` the fault, the right answer at this point, and what follows it if nothing goes wrong.
#[derive(Clone)]
pub(crate) struct Script {
    before: Vec<Step>,
    answer: Words,
    after: Vec<Step>,
    endless: Words,
    version: Words,
    oversized: Words,
}

/// Neither text nor the beginning of a message of any protocol, the same in every run.
pub(super) fn garbage() -> Vec<u8> {
    let mut state = 0x9e37_79b9_u32;
    let next = |_| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 24).to_le_bytes()[0] | 0x80
    };
    (0..96).map(next).collect()
}

impl Script {
    /// The fault comes after these steps, in place of `answer`.
    pub(crate) fn new(before: impl Into<Vec<Step>>, answer: impl Into<Vec<u8>>) -> Self {
        let answer = answer.into();
        let endless = answer.clone();
        Self::answering(before, move |_| answer.clone()).endless(endless)
    }

    pub(crate) fn answering(
        before: impl Into<Vec<Step>>,
        answer: impl Fn(&[u8]) -> Vec<u8> + Send + Sync + 'static,
    ) -> Self {
        let answer: Words = Arc::new(answer);
        let nothing: Words = Arc::new(|_| garbage());
        Self {
            before: before.into(),
            endless: Arc::clone(&answer),
            answer,
            after: Vec::new(),
            version: Arc::clone(&nothing),
            oversized: nothing,
        }
    }

    /// A TLS server's first flight, after the ClientHello; these steps come before that.
    pub(crate) fn handshake(mut before: Vec<Step>, config: &Arc<ServerConfig>) -> Self {
        before.push(hear());
        let config = Arc::clone(config);
        let flight = move |heard: &[u8]| {
            let mut session = ServerConnection::new(Arc::clone(&config)).expect("the configuration is complete");
            let (mut hello, mut flight) = (heard, Vec::new());
            let _ = session.read_tls(&mut hello).map(|_| session.process_new_packets());
            let _ = session.write_tls(&mut flight);
            flight
        };
        // A warning that is no error (RFC 5246 section 7.2.2), over and over; the hello of SSL 3.0; a record of 64 KiB.
        let alerts = [0x15, 3, 3, 0, 2, 1, 90].repeat(512);
        let old = [&[0x16, 3, 0, 0, 0x2a, 2, 0, 0, 0x26, 3, 0][..], &[7; 32], &[0, 0, 4, 0]].concat();
        let large = [&[0x16, 3, 3, 0xff, 0xff][..], &vec![2; 0xffff]].concat();
        Self::answering(before, flight).endless(alerts).version(old).oversized(large)
    }

    /// The same after these steps.
    pub(crate) fn after(mut self, mut steps: Vec<Step>) -> Self {
        steps.append(&mut self.before);
        self.before = steps;
        self
    }

    /// What follows a right answer until the client has what it wants.
    pub(crate) fn then(mut self, after: impl Into<Vec<Step>>) -> Self {
        self.after = after.into();
        self
    }

    pub(crate) fn with_answer(mut self, answer: impl Fn(&[u8]) -> Vec<u8> + Send + Sync + 'static) -> Self {
        self.answer = Arc::new(answer);
        self
    }

    /// What is repeated without an end.
    pub(crate) fn endless(mut self, again: impl Into<Vec<u8>>) -> Self {
        let again = again.into();
        self.endless = Arc::new(move |_| again.clone());
        self
    }

    pub(crate) fn version(mut self, version: impl Into<Vec<u8>>) -> Self {
        let version = version.into();
        self.version = Arc::new(move |_| version.clone());
        self
    }

    pub(crate) fn oversized(mut self, oversized: impl Into<Vec<u8>>) -> Self {
        let oversized = oversized.into();
        self.oversized = Arc::new(move |_| oversized.clone());
        self
    }

    /// Every word depends on what was heard: each is made by `patch` of the heard bytes and itself.
    pub(crate) fn patched(mut self, patch: fn(&[u8], &[u8]) -> Vec<u8>) -> Self {
        for words in [&mut self.answer, &mut self.endless, &mut self.version, &mut self.oversized] {
            let plain = Arc::clone(words);
            *words = Arc::new(move |heard| patch(heard, &plain(heard)));
        }
        self
    }

    pub(crate) fn serve(&self, stream: TcpStream, fault: Fault) {
        let _ = stream.set_nodelay(true);
        self.speak(Conn::Tcp(stream), fault);
    }

    pub(crate) fn serve_unix(&self, stream: UnixStream, fault: Fault) {
        self.speak(Conn::Unix(stream), fault);
    }

    fn speak(&self, conn: Conn, fault: Fault) {
        let mut heard = Vec::new();
        let Some(mut conn) = walk(conn, &self.before, &mut heard) else { return };
        let answer = (self.answer)(&heard);
        let part = |length: usize| answer[..length.min(answer.len())].to_vec();
        let once = match fault {
            Fault::None => {
                if conn.write_all(&answer).is_ok()
                    && let Some(conn) = walk(conn, &self.after, &mut heard)
                {
                    conn.linger();
                }
                return;
            }
            Fault::Reset => return conn.reset(),
            Fault::Close => return conn.close(),
            Fault::CutAndClose => {
                let _ = conn.write_all(&part(answer.len() / 2)).and_then(|()| conn.flush());
                return conn.close();
            }
            Fault::Drip => {
                for byte in answer {
                    if conn.write_all(&[byte]).is_err() {
                        return;
                    }
                    thread::sleep(Duration::from_secs(1));
                }
                Vec::new()
            }
            Fault::Endless | Fault::Memory => {
                let again = (self.endless)(&heard);
                let again = again.repeat(65536_usize.div_ceil(again.len().max(1)));
                while conn.write_all(&again).is_ok() {
                    if fault == Fault::Endless {
                        thread::sleep(Duration::from_millis(5));
                    }
                }
                return;
            }
            Fault::Garbage => garbage(),
            Fault::FirstByte => part(1),
            Fault::Half => part(answer.len() / 2),
            Fault::AllButOne => part(answer.len() - 1),
            Fault::Version => (self.version)(&heard),
            Fault::Oversized => (self.oversized)(&heard),
            // Silence; the others do not come over a connection.
            _ => Vec::new(),
        };
        if conn.write_all(&once).and_then(|()| conn.flush()).is_ok() {
            conn.linger();
        }
    }
}

/// Takes the steps. `None` if the client has gone.
fn walk(mut conn: Conn, steps: &[Step], heard: &mut Vec<u8>) -> Option<Conn> {
    for step in steps {
        match step {
            Step::Hear => {
                let mut chunk = vec![0; 65536];
                let length = conn.read(&mut chunk).ok().filter(|length| *length > 0)?;
                chunk.truncate(length);
                *heard = chunk;
            }
            Step::Say(bytes) => conn.write_all(bytes).and_then(|()| conn.flush()).ok()?,
            Step::Tls(config) => conn = conn.upgraded(config)?,
        }
    }
    Some(conn)
}
