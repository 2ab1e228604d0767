//! A nameserver whose fault is the first label of the name that is asked for: `half.test` gets half of an answer.

use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use super::{Fault, Script, hear, script::garbage};
use crate::support::Fake;

/// It answers over UDP and TCP. Faults of a stream come over TCP, after an answer over UDP that says so (RFC 2181
/// section 9: the TC bit).
pub(crate) struct Nameserver {
    over: Arc<AtomicBool>,
    _tcp: Fake,
}

/// The faults that a nameserver can have.
pub(crate) const FAULTS: [Fault; 12] = [
    Fault::Silence,
    Fault::Reset,
    Fault::Close,
    Fault::CutAndClose,
    Fault::Garbage,
    Fault::Drip,
    Fault::Endless,
    Fault::FirstByte,
    Fault::Half,
    Fault::AllButOne,
    Fault::Version,
    Fault::Oversized,
];

impl Nameserver {
    /// The faults that it knows, and silence under other circumstances.
    pub(crate) fn faults() -> impl Iterator<Item = Fault> {
        FAULTS.into_iter().chain([Fault::Descriptors, Fault::Signal])
    }

    /// It says that each name has `address`, unless the name is a fault.
    pub(crate) fn on(at: SocketAddr, address: Ipv4Addr) -> Self {
        let udp = UdpSocket::bind(at).expect("the Pod's ports are free");
        udp.set_read_timeout(Some(Duration::from_millis(50))).expect("a socket takes a timeout");
        let over = Arc::new(AtomicBool::new(false));
        let ended = Arc::clone(&over);
        thread::spawn(move || {
            let mut packet = [0; 1500];
            while !ended.load(Ordering::Relaxed) {
                if let Ok((length, peer)) = udp.recv_from(&mut packet) {
                    for reply in datagrams(&packet[..length], address) {
                        let _ = udp.send_to(&reply, peer);
                    }
                }
            }
        });
        let tcp = Fake::on(at, move |stream| {
            let mut question = [0; 1500];
            let length = stream.peek(&mut question).unwrap_or(0);
            let asked = question.get(2..length).unwrap_or_default();
            over_tcp(address).serve(stream, fault(asked));
        });
        Self { over, _tcp: tcp }
    }
}

impl Drop for Nameserver {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
    }
}

/// The fault in the first label of the question.
fn fault(question: &[u8]) -> Fault {
    let length = usize::from(question.get(12).copied().unwrap_or_default());
    let label = question.get(13..13 + length).unwrap_or_default().to_ascii_lowercase();
    FAULTS.into_iter().chain([Fault::Signal]).find(|it| it.label().as_bytes() == label).unwrap_or(Fault::None)
}

/// The question without what follows it, as an answer with these flags.
fn head(question: &[u8], flags: u8) -> Vec<u8> {
    let labels = question.get(12..).unwrap_or_default();
    let end = 12 + labels.iter().position(|byte| *byte == 0).unwrap_or_default() + 5;
    let mut head = question.get(..end).unwrap_or(question).to_vec();
    if let Some(fixed) = head.get_mut(2..12) {
        fixed.copy_from_slice(&[flags, 0x80, 0, 1, 0, 0, 0, 0, 0, 0]);
    }
    head
}

/// The right answer (RFC 1035 section 4): one A record, or none for another type.
fn answer(question: &[u8], address: Ipv4Addr) -> Vec<u8> {
    let mut answer = head(question, 0x81);
    if answer.get(answer.len() - 4..) == Some(&[0, 1, 0, 1]) {
        answer[7] = 1;
        answer.extend_from_slice(&[0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 5, 0, 4]);
        answer.extend_from_slice(&address.octets());
    }
    answer
}

fn datagrams(question: &[u8], address: Ipv4Addr) -> Vec<Vec<u8>> {
    let answer = answer(question, address);
    let part = |length: usize| vec![answer[..length].to_vec()];
    match fault(question) {
        Fault::None => vec![answer],
        Fault::Silence | Fault::Signal => vec![],
        Fault::Garbage => vec![garbage()],
        Fault::FirstByte => part(1),
        Fault::Half => part(answer.len() / 2),
        Fault::AllButOne => part(answer.len() - 1),
        // A question in place of an answer, an unknown operation, and an id that was not asked.
        Fault::Version => {
            let (mut strange, mut other) = (answer.clone(), answer.clone());
            strange[2] |= 0x78;
            other[0] ^= 0xff;
            vec![question.to_vec(), strange, other]
        }
        _ => vec![head(question, 0x83)],
    }
}

/// Each message follows its length. The endless one has an id that was not asked, the oversized one 65,535 bytes of CNAMEs.
fn over_tcp(address: Ipv4Addr) -> Script {
    fn framed(message: &[u8]) -> Vec<u8> {
        let length = u16::try_from(message.len()).expect("it is short").to_be_bytes();
        [&length[..], message].concat()
    }
    fn patch(heard: &[u8], marker: &[u8]) -> Vec<u8> {
        let question = heard.get(2..).unwrap_or_default();
        let mut message = head(question, 0x81);
        if marker.is_empty() {
            message[0] ^= 0xff;
            return framed(&message);
        }
        // An alias of itself, as often as it fits.
        let alias = [0xc0, 12, 0, 5, 0, 1, 0, 0, 0, 5, 0, 2, 0xc0, 12];
        let count = (65_535 - message.len()) / alias.len();
        message[6..8].copy_from_slice(&u16::try_from(count).expect("it is below 4,682").to_be_bytes());
        message.extend(alias.repeat(count));
        framed(&message)
    }
    let script = Script::new([hear()], []).endless([]).oversized([1]).patched(patch);
    script.with_answer(move |heard| framed(&answer(heard.get(2..).unwrap_or_default(), address)))
}
