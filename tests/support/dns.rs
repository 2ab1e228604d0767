//! A real DNS server (Knot DNS), and one that answers as a test says and remembers what it was asked.

use std::{
    fmt::Write as _,
    fs,
    net::{IpAddr, SocketAddr, UdpSocket},
    process::{Child, Stdio},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use super::{PATIENCE, Pod};

/// Knot DNS at 127.0.0.1:53 of a Pod, master of the zone `cluster.test` or another. Any other name it refuses.
pub(crate) struct Knot {
    server: Child,
    folder: TempDir,
    zone: String,
    serial: u32,
}

impl Knot {
    /// `records` are lines of the zone file, such as `db.default.svc A 10.0.0.1`.
    #[track_caller]
    pub(crate) fn start(pod: &Pod, records: &str) -> Self {
        Self::start_at(pod, "127.0.0.1@53", records)
    }

    #[track_caller]
    pub(crate) fn start_at(pod: &Pod, listen: &str, records: &str) -> Self {
        Self::start_zone(pod, listen, "cluster.test", records)
    }

    /// The same for another zone, which may be the root's: `.`.
    #[track_caller]
    pub(crate) fn start_zone(pod: &Pod, listen: &str, zone: &str, records: &str) -> Self {
        let folder = tempfile::tempdir().expect("must be able to make a temporary folder");
        let path = folder.path().display();
        // The zone `broken.test` has no file, so that questions for it get SERVFAIL.
        let conf = format!(
            "server:\n  rundir: {path}\n  listen: {listen}\n  udp-workers: 1\n  tcp-workers: 1\n  background-workers: 1\n\
             log:\n  - target: stderr\n    any: info\n\
             database:\n  storage: {path}\n  journal-db-max-size: 1M\n\
             template:\n  - id: default\n    storage: {path}\n    zonefile-sync: -1\n    journal-content: none\n\
             zone:\n  - domain: {zone}\n    file: zone\n  - domain: broken.test\n"
        );
        fs::write(folder.path().join("knot.conf"), conf).expect("the folder is ours");
        write_zone(&folder, zone, 1, records);
        let log = fs::File::create(folder.path().join("log")).expect("the folder is ours");
        let server = pod
            .server("knotd")
            .arg("--config")
            .arg(folder.path().join("knot.conf"))
            .stdin(Stdio::null())
            .stdout(log.try_clone().expect("a file can be cloned"))
            .stderr(log)
            .spawn()
            .expect("must be able to start knotd");
        let mut knot = Self { server, folder, zone: zone.to_owned(), serial: 1 };
        knot.until("server started");
        knot
    }

    /// Replaces the zone's records.
    #[track_caller]
    pub(crate) fn serve(&mut self, records: &str) {
        self.serial += 1;
        write_zone(&self.folder, &self.zone, self.serial, records);
        self.signal(Signal::HUP);
        self.until(&format!("-> {}", self.serial));
    }

    /// Signals the server; a stopped one is a nameserver that went silent.
    #[track_caller]
    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.server), signal).expect("the server is our child");
        // Each thread of a stopped server has to have seen it.
        let tasks = format!("/proc/{}/task", self.server.id());
        let stopped = || {
            fs::read_dir(&tasks).expect("the server is our child").filter_map(Result::ok).all(|task| {
                let stat = fs::read_to_string(task.path().join("stat")).unwrap_or_default();
                stat.rsplit(") ").next().is_some_and(|state| state.starts_with('T'))
            })
        };
        let limit = Instant::now() + PATIENCE;
        while signal == Signal::STOP && !stopped() {
            assert!(Instant::now() < limit, "the server does not stop");
            std::thread::sleep(std::time::Duration::from_millis(5));
        }
    }

    #[track_caller]
    fn until(&mut self, text: &str) {
        let limit = Instant::now() + PATIENCE;
        loop {
            let log = fs::read_to_string(self.folder.path().join("log")).unwrap_or_default();
            if log.contains(text) {
                return;
            }
            let over = !matches!(self.server.try_wait(), Ok(None));
            assert!(!over && Instant::now() < limit, "knotd was expected to log {text:?}:\n{log}");
            thread::sleep(Duration::from_millis(10));
        }
    }
}

impl Drop for Knot {
    fn drop(&mut self) {
        let _ = self.server.kill();
        let _ = self.server.wait();
    }
}

/// The minimum of 7 s is how long a negative answer may be kept.
fn write_zone(folder: &TempDir, zone: &str, serial: u32, records: &str) {
    let origin = zone.trim_end_matches('.');
    let mut text = format!("$ORIGIN {origin}.\n$TTL 5\n@ SOA ns root {serial} 60 60 600 7\n@ NS ns\nns A 127.0.0.1\n");
    let _ = writeln!(text, "{records}");
    fs::write(folder.path().join("zone"), text).expect("the folder is ours");
}

/// What [`Names`] says to one question.
#[derive(Debug, Clone)]
pub(crate) enum Answer {
    Addresses(Vec<IpAddr>),
    NoData,
    Code(u8),
    Silence,
}

pub(crate) const SERVFAIL: u8 = 2;
pub(crate) const NXDOMAIN: u8 = 3;
pub(crate) const REFUSED: u8 = 5;
pub(crate) const A: u16 = 1;
pub(crate) const AAAA: u16 = 28;

/// A DNS server over UDP that answers as a test says, and remembers every question.
pub(crate) struct Names {
    asked: Arc<Mutex<Vec<Asked>>>,
    over: Arc<AtomicBool>,
}

/// A question that the server got.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Asked {
    /// Lower case, without the trailing dot.
    pub(crate) name: String,
    pub(crate) kind: u16,
}

impl Names {
    /// Serves on 127.0.0.1:53 of the Pod.
    #[track_caller]
    pub(crate) fn start(pod: &Pod, answer: impl Fn(&Asked) -> Answer + Send + 'static) -> Self {
        Self::start_at(pod, ([127, 0, 0, 1], 53).into(), answer)
    }

    #[track_caller]
    pub(crate) fn start_at(pod: &Pod, addr: SocketAddr, answer: impl Fn(&Asked) -> Answer + Send + 'static) -> Self {
        let socket = pod.within(|| UdpSocket::bind(addr)).expect("the Pod's ports are free");
        Self::serve(socket, answer)
    }

    pub(crate) fn serve(socket: UdpSocket, answer: impl Fn(&Asked) -> Answer + Send + 'static) -> Self {
        socket.set_read_timeout(Some(Duration::from_millis(50))).expect("a socket takes a timeout");
        let names = Self { asked: Arc::default(), over: Arc::default() };
        let (asked, over) = (Arc::clone(&names.asked), Arc::clone(&names.over));
        thread::spawn(move || {
            let mut packet = [0; 1500];
            while !over.load(Ordering::Relaxed) {
                let Ok((length, client)) = socket.recv_from(&mut packet) else {
                    continue;
                };
                let Some((question, end)) = parse(&packet[..length]) else {
                    continue;
                };
                asked.lock().expect("no thread panics with this lock").push(question.clone());
                if let Some(reply) = encode(&packet[..end], &question, &answer(&question)) {
                    let _ = socket.send_to(&reply, client);
                }
            }
        });
        names
    }

    pub(crate) fn asked(&self) -> Vec<Asked> {
        self.asked.lock().expect("no thread panics with this lock").clone()
    }

    /// The names in the order in which they were first asked.
    pub(crate) fn names(&self) -> Vec<String> {
        let mut names: Vec<String> = Vec::new();
        for asked in self.asked() {
            if !names.contains(&asked.name) {
                names.push(asked.name);
            }
        }
        names
    }
}

impl Drop for Names {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
    }
}

/// The question, and where it ends.
fn parse(packet: &[u8]) -> Option<(Asked, usize)> {
    let mut at = 12;
    let mut name = String::new();
    loop {
        let length = usize::from(*packet.get(at)?);
        at += 1;
        if length == 0 {
            break;
        }
        if !name.is_empty() {
            name.push('.');
        }
        name.push_str(&String::from_utf8_lossy(packet.get(at..at + length)?).to_lowercase());
        at += length;
    }
    let kind = u16::from_be_bytes([*packet.get(at)?, *packet.get(at + 1)?]);
    Some((Asked { name, kind }, at + 4))
}

/// The header and the question come back as they were, but for the flags and counts.
fn encode(asked: &[u8], question: &Asked, answer: &Answer) -> Option<Vec<u8>> {
    let (code, addresses) = match answer {
        Answer::Silence => return None,
        Answer::Code(code) => (*code, [].as_slice()),
        Answer::NoData => (0, [].as_slice()),
        Answer::Addresses(addresses) => (0, addresses.as_slice()),
    };
    let records: Vec<Vec<u8>> = addresses
        .iter()
        .filter_map(|address| match (address, question.kind) {
            (IpAddr::V4(v4), A) => Some(v4.octets().to_vec()),
            (IpAddr::V6(v6), AAAA) => Some(v6.octets().to_vec()),
            _ => None,
        })
        .collect();
    let mut reply = asked.to_vec();
    reply[2] = 0x85; // an answer, authoritative, recursion desired
    reply[3] = 0x80 | code; // recursion available
    reply[4..12].copy_from_slice(&[0, 1, 0, u8::try_from(records.len()).ok()?, 0, 0, 0, 0]);
    for data in records {
        reply.extend_from_slice(&[0xc0, 12]); // the name of the question
        reply.extend_from_slice(&question.kind.to_be_bytes());
        reply.extend_from_slice(&[0, 1, 0, 0, 0, 5]); // class IN, five seconds to live
        reply.extend_from_slice(&u16::try_from(data.len()).ok()?.to_be_bytes());
        reply.extend_from_slice(&data);
    }
    Some(reply)
}
