//! Bytes from a nameserver that means harm.

use std::net::UdpSocket;
use std::sync::Arc;
use std::time::Duration;

use hickory_resolver::proto::op::ResponseCode;

use crate::support::scripted::{Asked, Server};
use crate::support::{Pod, Run};

/// One attempt against a server that answers with these packets: "DNS trouble", in time, whatever they are.
#[track_caller]
fn trouble(what: &str, script: impl Fn(&Asked) -> Vec<Vec<u8>> + Send + Sync + 'static) {
    let pod = Pod::new();
    let _server = pod.within(|| Server::at("127.0.0.1:53".parse().unwrap(), Arc::new(script))).unwrap();
    let ended = Run::new(["--once", "--log-format=json", "--connect-timeout=300ms", "dns:db"]).inside(&pod).end();
    let holds = ended.status.code() == Some(1) && ended.stderr.contains("\"code\":\"resolve.trouble\"");
    ended.expect(&format!("DNS trouble from {what}"), holds);
    ended.took(Duration::ZERO..Duration::from_millis(2500));
}

/// An answer, bent.
fn bent(asked: &Asked, bend: impl Fn(&mut Vec<u8>)) -> Vec<Vec<u8>> {
    let mut packet = asked.answer("db A 10.6.6.6");
    bend(&mut packet);
    vec![packet]
}

#[test]
fn packets_that_answer_nothing() {
    trouble("another id", |asked| bent(asked, |packet| packet[0] ^= 1));
    trouble("another question", |asked| bent(asked, |packet| packet[13] ^= 3));
    trouble("a question", |asked| bent(asked, |packet| packet[2] &= 0x7f));
    trouble("a name that points at itself", |asked| {
        bent(asked, |packet| {
            // The question is kept: the answer's owner is a pointer to its own place.
            let at = u16::try_from(12 + 4 + 4).unwrap();
            packet.truncate(usize::from(at));
            packet.extend((0xc000 | at).to_be_bytes());
            packet.extend([0, 1, 0, 1, 0, 0, 0, 30, 0, 4, 10, 6, 6, 6]);
        })
    });
    trouble("a count without records", |asked| bent(asked, |packet| packet[6] = 0xff));
    trouble("half an answer", |asked| bent(asked, |packet| packet.truncate(packet.len() - 3)));
    trouble("an empty packet", |_| vec![vec![]]);
    trouble("the largest packet", |_| vec![vec![0xff; 60_000]]);
    trouble("another protocol", |_| vec![b"SSH-2.0-OpenSSH_9.2\r\n".to_vec()]);
    trouble("a flood", |asked| vec![vec![asked.name.len().try_into().unwrap(); 40]; 200]);
    trouble("an alias of itself", |asked| vec![asked.answer("db CNAME db.")]);
}

#[test]
fn answers_of_64_kib() {
    // Truncated over UDP, and then as long as a message can be over TCP.
    let truncated = |asked: &Asked| {
        let mut message = asked.message(ResponseCode::NoError, "");
        message.metadata.truncation = true;
        message.to_vec().unwrap()
    };
    trouble("64 KiB of noise", move |asked| if asked.tcp { vec![vec![0x5a; 65_535]] } else { vec![truncated(asked)] });
    let pod = Pod::new();
    let script = move |asked: &Asked| {
        let record = |n: u32| format!("db A 10.1.{}.{}\n", n / 256, n % 256);
        let records: String = (0..3500).map(record).collect();
        vec![if asked.tcp { asked.answer(&records) } else { truncated(asked) }]
    };
    let _server = pod.within(|| Server::at("127.0.0.1:53".parse().unwrap(), Arc::new(script))).unwrap();
    Run::new(["--once", "dns:db?type=A#min=3500"]).inside(&pod).end().success();
}

/// As many names as fit into one answer, each as long as a name can be: they share all but their first label.
fn long_names(asked: &Asked) -> Vec<u8> {
    let mut packet = asked.answer("");
    let labels = b"\x01a".repeat(120);
    let mut shared: Option<u16> = None;
    let mut count: u16 = 0;
    while packet.len() < 65_000 {
        let mut name = format!("\x04{count:04x}").into_bytes();
        // The owner is the question's name; type NS, class IN, 30 s.
        packet.extend([0xc0, 12, 0, 2, 0, 1, 0, 0, 0, 30]);
        if let Some(at) = shared {
            name.extend((0xc000 | at).to_be_bytes());
        } else {
            shared = Some(u16::try_from(packet.len() + 2 + name.len()).unwrap());
            name.extend(&labels);
            name.push(0);
        }
        packet.extend(u16::try_from(name.len()).unwrap().to_be_bytes());
        packet.extend(name);
        count += 1;
    }
    packet[6..8].copy_from_slice(&count.to_be_bytes());
    packet
}

/// What an answer costs to read stays in proportion to its length: nothing but the network holds up a deadline.
#[test]
fn thousands_of_long_names() {
    let pod = Pod::new();
    let script = |asked: &Asked| {
        let mut message = asked.message(ResponseCode::NoError, "");
        message.metadata.truncation = true;
        vec![if asked.tcp { long_names(asked) } else { message.to_vec().unwrap() }]
    };
    let _server = pod.within(|| Server::at("127.0.0.1:53".parse().unwrap(), Arc::new(script))).unwrap();
    let ended = Run::new(["--timeout=2s", "dns:db?type=NS#has=ns.example"]).inside(&pod).end();
    ended.failure().stderr_has("is not there, but 0000.a.a.a.").took(Duration::from_secs(2)..Duration::from_secs(4));
}

/// An answer counts only from the address that was asked: the socket is connected.
#[test]
fn answers_from_another_address() {
    let pod = Pod::new();
    let stranger = pod.within(|| UdpSocket::bind("127.0.0.9:53")).unwrap();
    let asked = pod.within(|| UdpSocket::bind("127.0.0.1:53")).unwrap();
    asked.set_read_timeout(Some(Duration::from_secs(2))).unwrap();
    let answers = std::thread::spawn(move || {
        let mut packet = [0; 512];
        while let Ok((length, client)) = asked.recv_from(&mut packet) {
            // A name error to the letter, from another address.
            let mut answer = packet[..length].to_vec();
            answer[2] |= 0x80;
            answer[3] = 0x83;
            answer[11] = 0;
            answer.truncate(12 + 4 + 4);
            let _ = stranger.send_to(&answer, client);
        }
    });
    let ended = Run::new(["--once", "--connect-timeout=300ms", "dns:db"]).inside(&pod).end();
    ended.failure().stderr_has("no answer from nameserver 127.0.0.1").nowhere("NXDOMAIN");
    drop(pod);
    answers.join().unwrap();
}
