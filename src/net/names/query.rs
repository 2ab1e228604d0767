//! Asks one nameserver one question.

use std::cell::Cell;
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use futures_util::stream::{FuturesUnordered, StreamExt};
use hickory_resolver::proto::op::ResponseCode;
use rustix::io::Errno;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UdpSocket};
use tokio::time::{self, Instant};

use super::answer::NoAnswer;
use super::message::{self, Answer, Packet, Question};
use crate::text::os_error;

/// How long a question waits for an answer before it is sent again.
const RESEND_AFTER: Duration = Duration::from_millis(333);

/// How many times one nameserver is sent the question.
const SENDS_MAX: usize = 3;

/// The largest UDP packet that is read, in bytes. An answer has at most the payload that the question allows.
const DATAGRAM_MAX: usize = 4096;

/// Asks `server` until `until`. With `tcp` it does not try UDP first.
///
/// An answer counts if it comes from the address that was asked and has our random id and our question. Everything else
/// is ignored. The socket is connected, so a closed port is seen at once. SERVFAIL, REFUSED and similar codes are
/// errors.
pub(crate) async fn ask(
    server: SocketAddr,
    question: &Question,
    tcp: bool,
    until: Instant,
) -> Result<Answer, NoAnswer> {
    let heard = Cell::new(Heard::Nothing);
    let exchange = async {
        let answer = if tcp { None } else { over_udp(server, question, &heard).await? };
        let answer = match answer {
            Some(answer) => answer,
            None if tcp => over_tcp(server, question, &heard).await?,
            // UDP works and TCP does not: report the truncated answer.
            None => {
                heard.set(Heard::Truncated);
                over_tcp(server, question, &heard).await.map_err(|error| match error {
                    NoAnswer::Local(_) => error,
                    _ => NoAnswer::Truncated,
                })?
            }
        };
        match answer.code {
            ResponseCode::NoError | ResponseCode::NXDomain if !answer.lame => Ok(answer),
            ResponseCode::NoError => Err(NoAnswer::Lame),
            code => Err(NoAnswer::Code(code)),
        }
    };
    match time::timeout_at(until, exchange).await {
        Ok(outcome) => outcome,
        Err(_) => Err(match heard.get() {
            Heard::Nothing => NoAnswer::Silent,
            Heard::Noise => NoAnswer::Garbled,
            Heard::Truncated => NoAnswer::Truncated,
        }),
    }
}

/// What came before the time was over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Heard {
    Nothing,
    Noise,
    Truncated,
}

/// The answer over UDP; `None` if it was truncated.
///
/// The question is sent again from a new socket, and the old socket still listens. So the attempt survives a lost
/// packet, and also a firewall that has a wrong entry for the old port. It is then sent without EDNS: some firewalls drop
/// what they do not know, and answers of more than 512 bytes.
async fn over_udp(server: SocketAddr, question: &Question, heard: &Cell<Heard>) -> Result<Option<Answer>, NoAnswer> {
    let mut exchanges = FuturesUnordered::new();
    let mut sent = 0;
    let mut edns = true;
    loop {
        if sent < SENDS_MAX {
            sent += 1;
            exchanges.push(datagram(server, question, edns && sent == 1, heard));
        }
        let answer = if sent < SENDS_MAX {
            match time::timeout(RESEND_AFTER, exchanges.next()).await {
                Ok(answer) => answer,
                Err(_) => continue,
            }
        } else {
            exchanges.next().await
        };
        match answer {
            Some(Ok(Packet::Truncated)) | None => return Ok(None),
            // A server without EDNS answers with one of these codes (RFC 6891 section 7): ask again without EDNS.
            Some(Ok(Packet::Answer(answer)))
                if edns && matches!(answer.code, ResponseCode::FormErr | ResponseCode::NotImp) =>
            {
                edns = false;
                exchanges = FuturesUnordered::new();
                sent = 0;
            }
            Some(Ok(Packet::Answer(answer))) => return Ok(Some(answer)),
            Some(Ok(Packet::Garbled | Packet::Foreign)) => {}
            // There is no socket left to send the question again. The earlier ones may still get an answer.
            Some(Err(NoAnswer::Local(_))) if !exchanges.is_empty() => {}
            Some(Err(no_answer)) => return Err(no_answer),
        }
    }
}

/// Sends one packet and returns the first answer to it.
async fn datagram(
    server: SocketAddr,
    question: &Question,
    edns: bool,
    heard: &Cell<Heard>,
) -> Result<Packet, NoAnswer> {
    let id = random_id()?;
    let bytes = question.encode(id, edns).ok_or(NoAnswer::Unaskable)?;
    let any: SocketAddr =
        if server.is_ipv4() { (Ipv4Addr::UNSPECIFIED, 0).into() } else { (Ipv6Addr::UNSPECIFIED, 0).into() };
    let socket = UdpSocket::bind(any).await.map_err(|error| failure(&error))?;
    socket.connect(server).await.map_err(|error| failure(&error))?;
    socket.send(&bytes).await.map_err(|error| failure(&error))?;
    let mut buffer = vec![0; DATAGRAM_MAX];
    loop {
        let length = socket.recv(&mut buffer).await.map_err(|error| failure(&error))?;
        match message::read(&buffer[..length], question, id) {
            Packet::Foreign | Packet::Garbled => heard.set(Heard::Noise),
            packet => return Ok(packet),
        }
    }
}

/// The answer over TCP, where each message follows its length (RFC 7766 section 8).
async fn over_tcp(server: SocketAddr, question: &Question, heard: &Cell<Heard>) -> Result<Answer, NoAnswer> {
    let id = random_id()?;
    let bytes = question.encode(id, false).ok_or(NoAnswer::Unaskable)?;
    let mut framed = u16::try_from(bytes.len()).map_err(|_| NoAnswer::Unaskable)?.to_be_bytes().to_vec();
    framed.extend(bytes);
    let mut stream = TcpStream::connect(server).await.map_err(|error| failure(&error))?;
    stream.write_all(&framed).await.map_err(|error| failure(&error))?;
    loop {
        let length = stream.read_u16().await.map_err(|error| failure(&error))?;
        let mut packet = vec![0; usize::from(length)];
        stream.read_exact(&mut packet).await.map_err(|error| failure(&error))?;
        match message::read(&packet, question, id) {
            Packet::Answer(answer) => return Ok(answer),
            Packet::Foreign | Packet::Garbled | Packet::Truncated => heard.set(Heard::Noise),
        }
    }
}

/// A random id. An attacker that does not see the question cannot guess it.
fn random_id() -> Result<u16, NoAnswer> {
    let [high, low, ..] = getrandom::u32().map_err(|_| NoAnswer::Local(Errno::IO))?.to_be_bytes();
    Ok(u16::from_be_bytes([high, low]))
}

/// What an error of a socket means for the nameserver.
fn failure(error: &io::Error) -> NoAnswer {
    match error.raw_os_error().map(Errno::from_raw_os_error) {
        Some(Errno::CONNREFUSED | Errno::CONNRESET | Errno::PIPE) => NoAnswer::Refused,
        Some(
            errno @ (Errno::MFILE | Errno::NFILE | Errno::NOBUFS | Errno::NOMEM | Errno::ADDRNOTAVAIL | Errno::AGAIN),
        ) => NoAnswer::Local(errno),
        Some(Errno::PERM | Errno::ACCESS) => NoAnswer::Denied,
        Some(_) => NoAnswer::Unreachable(os_error(error)),
        // The stream ended in the middle of a message.
        None => NoAnswer::Garbled,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::names::message::Content;
    use crate::net::names::scripted_server::{BOUND, Server};
    use hickory_resolver::proto::rr::{Name, RecordType};

    fn question() -> Question {
        Question { name: Name::from_ascii("db.ns.").unwrap(), rtype: RecordType::A }
    }

    async fn asked(server: SocketAddr, tcp: bool, bound: Duration) -> Result<usize, NoAnswer> {
        let answer = ask(server, &question(), tcp, Instant::now() + bound).await?;
        match answer.content(&question(), &mut Vec::new()) {
            Content::Records(records, ..) => Ok(records.len()),
            other => panic!("{other:?}"),
        }
    }

    const ZONE: &str = "db.ns A 10.0.0.1\ndb.ns A 10.0.0.2";
    const SHORT: Duration = Duration::from_millis(100);

    #[tokio::test]
    async fn a_server_answers_over_udp_and_over_tcp() {
        let server = Server::zone(ZONE);
        assert_eq!(asked(server.address, false, BOUND).await, Ok(2));
        assert_eq!(asked(server.address, true, BOUND).await, Ok(2));
        let log = server.log();
        assert!(log[0].edns && !log[0].tcp && log[1].tcp && log.len() == 2);
    }

    #[tokio::test]
    async fn a_truncated_answer_is_asked_for_again_over_tcp() {
        let server = Server::new(|asked| {
            let mut message = asked.message(ResponseCode::NoError, if asked.tcp { ZONE } else { "" });
            message.metadata.truncation = !asked.tcp;
            vec![message.to_vec().unwrap()]
        });
        assert_eq!(asked(server.address, false, BOUND).await, Ok(2));
        let stuck = Server::new(|asked| {
            let mut message = asked.message(ResponseCode::NoError, "");
            message.metadata.truncation = true;
            if asked.tcp { vec![] } else { vec![message.to_vec().unwrap()] }
        });
        assert_eq!(asked(stuck.address, false, SHORT).await, Err(NoAnswer::Truncated));
    }

    #[tokio::test]
    async fn packets_that_do_not_answer_the_question_are_ignored() {
        let server = Server::new(|asked| {
            let mut foreign = asked.message(ResponseCode::NXDomain, "");
            foreign.metadata.id ^= 1;
            let mut other = asked.message(ResponseCode::NXDomain, "");
            other.queries.clear();
            let garbled = asked.answer(ZONE);
            let garbled = garbled[..garbled.len() - 2].to_vec();
            vec![foreign.to_vec().unwrap(), other.to_vec().unwrap(), vec![], vec![0; 3000], garbled, asked.answer(ZONE)]
        });
        assert_eq!(asked(server.address, false, BOUND).await, Ok(2));
        let noise = Server::new(|_| vec![b"HTTP/1.1 400 Bad Request\r\n\r\n".to_vec()]);
        assert_eq!(asked(noise.address, false, SHORT).await, Err(NoAnswer::Garbled));
        assert_eq!(asked(noise.address, true, SHORT).await, Err(NoAnswer::Garbled));
    }

    #[tokio::test]
    async fn an_old_server_is_asked_without_edns() {
        for code in [ResponseCode::FormErr, ResponseCode::NotImp] {
            let server = Server::new(move |asked| vec![if asked.edns { asked.code(code) } else { asked.answer(ZONE) }]);
            assert_eq!(asked(server.address, false, BOUND).await, Ok(2));
        }
    }

    #[tokio::test]
    async fn each_failure_has_its_own_error() {
        for code in [ResponseCode::ServFail, ResponseCode::Refused, ResponseCode::FormErr] {
            let server = Server::new(move |asked| vec![asked.code(code)]);
            assert_eq!(asked(server.address, false, BOUND).await, Err(NoAnswer::Code(code)));
        }
        assert_eq!(asked(Server::silent().address, false, SHORT).await, Err(NoAnswer::Silent));
        let lame = Server::new(|asked| {
            let mut message = asked.message(ResponseCode::NoError, "");
            message.metadata.recursion_available = false;
            vec![message.to_vec().unwrap()]
        });
        assert_eq!(asked(lame.address, false, BOUND).await, Err(NoAnswer::Lame));
        let closed = std::net::UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        assert_eq!(asked(closed, false, BOUND).await, Err(NoAnswer::Refused));
        assert_eq!(asked(closed, true, BOUND).await, Err(NoAnswer::Refused));
    }

    #[tokio::test]
    async fn a_lost_packet_is_sent_again_under_another_id_and_from_another_port() {
        use std::sync::atomic::{AtomicU32, Ordering};
        let seen = AtomicU32::new(0);
        let server =
            Server::new(
                move |asked| {
                    if seen.fetch_add(1, Ordering::Relaxed) == 0 { vec![] } else { vec![asked.answer(ZONE)] }
                },
            );
        assert_eq!(asked(server.address, false, BOUND).await, Ok(2));
        assert_eq!(server.asked(), ["db.ns A", "db.ns A"]);
    }

    #[tokio::test]
    async fn a_question_is_sent_again_without_edns() {
        let server = Server::new(|asked| if asked.edns { vec![] } else { vec![asked.answer(ZONE)] });
        assert_eq!(asked(server.address, false, BOUND).await, Ok(2));
        assert_eq!(server.log().iter().map(|asked| asked.edns).collect::<Vec<_>>(), [true, false]);
    }

    #[tokio::test]
    async fn a_late_answer_to_the_first_packet_counts() {
        let server = Server::new(|asked| {
            std::thread::sleep(Duration::from_millis(500));
            vec![asked.answer(ZONE)]
        });
        let started = std::time::Instant::now();
        assert_eq!(asked(server.address, false, BOUND).await, Ok(2));
        assert!(started.elapsed() < Duration::from_millis(900), "{:?}", started.elapsed());
    }
}
