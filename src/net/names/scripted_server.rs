//! A nameserver for tests, on loopback. A closure decides what it answers.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use hickory_resolver::proto::op::{Message, MessageType, OpCode, ResponseCode};
use hickory_resolver::proto::rr::{Name, RData, Record, RecordType};

/// A question that the server received.
#[derive(Clone, Debug)]
pub(crate) struct Asked {
    pub(crate) id: u16,
    pub(crate) name: String,
    pub(crate) rtype: RecordType,
    pub(crate) edns: bool,
    pub(crate) tcp: bool,
    message: Message,
}

/// The packets that the server sends for a question. It sends them unchanged.
pub(crate) type Script = dyn Fn(&Asked) -> Vec<Vec<u8>> + Send + Sync;

pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    asked: Arc<Mutex<Vec<Asked>>>,
    over: Arc<AtomicBool>,
    threads: Vec<thread::JoinHandle<()>>,
}

/// Ends the threads and closes the ports.
impl Drop for Server {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}

/// Answers questions over TCP until the client closes. Each message follows its length.
fn serve_stream(mut stream: TcpStream, log: &Mutex<Vec<Asked>>, script: &Script) -> std::io::Result<()> {
    stream.set_nonblocking(false)?;
    stream.set_read_timeout(Some(Duration::from_secs(5)))?;
    loop {
        let mut length = [0; 2];
        stream.read_exact(&mut length)?;
        let mut packet = vec![0; usize::from(u16::from_be_bytes(length))];
        stream.read_exact(&mut packet)?;
        let question = Asked::read(&packet, true);
        log.lock().unwrap().push(question.clone());
        for packet in script(&question) {
            // One write, so that the length and the packet are not sent as two segments.
            let length = u16::try_from(packet.len()).unwrap().to_be_bytes();
            stream.write_all(&[&length[..], &packet].concat())?;
        }
    }
}

impl Server {
    /// A server on a free port.
    pub(crate) fn new(script: impl Fn(&Asked) -> Vec<Vec<u8>> + Send + Sync + 'static) -> Self {
        let script: Arc<Script> = Arc::new(script);
        loop {
            let free = UdpSocket::bind("127.0.0.1:0").and_then(|socket| socket.local_addr()).unwrap();
            // The same port has to be free for TCP, too.
            if let Ok(server) = Self::at(free, Arc::clone(&script)) {
                return server;
            }
        }
    }

    /// A server at a given address, for tests in a network namespace of their own.
    pub(crate) fn at(address: SocketAddr, script: Arc<Script>) -> std::io::Result<Self> {
        let (udp, tcp) = (UdpSocket::bind(address)?, TcpListener::bind(address)?);
        let asked = Arc::new(Mutex::new(Vec::new()));
        let over = Arc::new(AtomicBool::new(false));
        let (log, rules, end) = (Arc::clone(&asked), Arc::clone(&script), Arc::clone(&over));
        udp.set_read_timeout(Some(Duration::from_millis(50))).unwrap();
        let for_udp = thread::spawn(move || {
            let mut buffer = [0; 4096];
            while !end.load(Ordering::Relaxed) {
                let Ok((length, peer)) = udp.recv_from(&mut buffer) else { continue };
                let question = Asked::read(&buffer[..length], false);
                log.lock().unwrap().push(question.clone());
                for packet in rules(&question) {
                    let _ = udp.send_to(&packet, peer);
                }
            }
        });
        let (log, end) = (Arc::clone(&asked), Arc::clone(&over));
        tcp.set_nonblocking(true).unwrap();
        let for_tcp = thread::spawn(move || {
            while !end.load(Ordering::Relaxed) {
                if let Ok((stream, _)) = tcp.accept() {
                    let (log, script) = (Arc::clone(&log), Arc::clone(&script));
                    thread::spawn(move || serve_stream(stream, &log, &*script));
                } else {
                    thread::sleep(Duration::from_millis(5));
                }
            }
        });
        Ok(Self { address, asked, over, threads: vec![for_udp, for_tcp] })
    }

    /// A server that never answers.
    pub(crate) fn silent() -> Self {
        Self::new(|_| vec![])
    }

    /// A server that knows these `name type value` lines. No other name exists.
    pub(crate) fn zone(lines: &'static str) -> Self {
        Self::new(move |asked| vec![asked.answer_from(lines)])
    }

    /// The questions, as `name type`, in the order in which they came.
    pub(crate) fn asked(&self) -> Vec<String> {
        self.log().iter().map(|asked| format!("{} {}", asked.name, asked.rtype)).collect()
    }

    pub(crate) fn log(&self) -> Vec<Asked> {
        self.asked.lock().unwrap().clone()
    }
}

impl Asked {
    fn read(packet: &[u8], tcp: bool) -> Self {
        let message = Message::from_vec(packet).unwrap();
        let query = &message.queries[0];
        let name = query.name().to_ascii();
        Self {
            id: message.metadata.id,
            name: name.strip_suffix('.').unwrap_or(&name).to_owned(),
            rtype: query.query_type(),
            edns: message.edns.is_some(),
            tcp,
            message,
        }
    }

    /// An answer with these records. A test may change it before it is sent.
    pub(crate) fn message(&self, code: ResponseCode, records: &str) -> Message {
        let mut message = Message::new(self.id, MessageType::Response, OpCode::Query);
        message.metadata.response_code = code;
        message.metadata.recursion_available = true;
        message.metadata.recursion_desired = true;
        message.add_queries(self.message.queries.iter().cloned());
        message.add_answers(records.lines().filter_map(record));
        message
    }

    pub(crate) fn answer(&self, records: &str) -> Vec<u8> {
        self.message(ResponseCode::NoError, records).to_vec().unwrap()
    }

    pub(crate) fn code(&self, code: ResponseCode) -> Vec<u8> {
        self.message(code, "").to_vec().unwrap()
    }

    /// A denial that may be cached for `ttl` seconds.
    pub(crate) fn denial(&self, code: ResponseCode, ttl: u32) -> Vec<u8> {
        use hickory_resolver::proto::rr::rdata::SOA;
        let mut message = self.message(code, "");
        let soa = SOA::new(Name::root(), Name::root(), 1, 1, 1, 1, ttl);
        message.add_authority(Record::from_rdata(Name::root(), ttl, RData::SOA(soa)));
        message.to_vec().unwrap()
    }

    fn answer_from(&self, lines: &str) -> Vec<u8> {
        let of_name = |line: &&str| line.split(' ').next() == Some(self.name.as_str());
        let known: Vec<&str> = lines.lines().map(str::trim).filter(of_name).collect();
        if known.is_empty() {
            return self.denial(ResponseCode::NXDomain, 30);
        }
        let rtype = self.rtype.to_string();
        let wanted = |line: &&str| line.split(' ').nth(1).is_some_and(|it| it == rtype || it == "CNAME");
        let found: Vec<&str> = known.into_iter().filter(wanted).collect();
        if found.is_empty() { self.denial(ResponseCode::NoError, 5) } else { self.answer(&found.join("\n")) }
    }
}

/// A record from `name type value`, with a TTL of 30 s.
fn record(line: &str) -> Option<Record> {
    let mut words = line.split_whitespace();
    let owner = Name::from_ascii(format!("{}.", words.next()?)).unwrap();
    let rtype: RecordType = words.next()?.parse().unwrap();
    let rest: Vec<&str> = words.collect();
    let data = RData::try_from_str(rtype, &rest.join(" ")).unwrap();
    Some(Record::from_rdata(owner, 30, data))
}

/// The bound for tests: long enough for packets on a busy machine, and short enough for a test that waits for silence.
pub(crate) const BOUND: Duration = Duration::from_millis(1500);
