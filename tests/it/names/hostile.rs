use std::net::UdpSocket;
use std::sync::Arc;
use std::time::Duration;

use hickory_resolver::proto::op::ResponseCode;

use super::scripted::{Asked, Server};
use crate::support::{Pod, Run};

/// One attempt against a server that answers with these packets: "DNS trouble", in time, whatever they are.
#[track_caller]
fn trouble(what: &str, script: impl Fn(&Asked) -> Vec<Vec<u8>> + Send + Sync + 'static) {
    let pod = Pod::new();
    let _server = pod.within(|| Server::at("127.0.0.1:53".parse().unwrap(), Arc::new(script))).unwrap();
    let ended = Run::new(["--once", "--log-format=json", "--connect-timeout=300ms", "dns:db"]).inside(&pod).end();
    let holds = ended.status.code() == Some(1) && ended.stderr.contains("\"code\":\"resolve.trouble\"");
    ended.expect(&format!("DNS trouble from {what}"), holds);
    ended.took(Duration::ZERO..Duration::from_millis(1500));
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
    ended
        .failure()
        .stderr_has("is not there, but 0000.a.a.a.")
        .took(Duration::from_secs(2)..Duration::from_millis(2500));
}

/// An answer counts only from the address that was asked: the socket is connected.
#[test]
fn answers_from_another_address() {
    let pod = Pod::new();
    let stranger = pod.within(|| UdpSocket::bind("127.0.0.9:53")).unwrap();
    let asked = pod.within(|| UdpSocket::bind("127.0.0.1:53")).unwrap();
    asked.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
    let answers = std::thread::spawn(move || {
        let mut packet = [0; 512];
        while let Ok((length, client)) = asked.recv_from(&mut packet) {
            // A name error to the letter, from somebody else.
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

/// xorshift: the same numbers in every run, so that a failure can be repeated.
struct Numbers(u64);

impl Numbers {
    fn next(&mut self, below: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % below as u64).unwrap()
    }

    /// A mixture of the seeds, cut, doubled and with bytes changed.
    fn mutant(&mut self, seeds: &[&str]) -> Vec<u8> {
        let mut text = Vec::new();
        for _ in 0..=self.next(3) {
            let seed = seeds[self.next(seeds.len())].as_bytes();
            let from = self.next(seed.len() + 1);
            text.extend_from_slice(&seed[from..from + self.next(seed.len() - from + 1)]);
        }
        for _ in 0..self.next(4) {
            const BYTES: &[u8] = b"\0\t\n\r #$%.:;?@[]{}0159az\x7f\x80\xc3\xbc\xff";
            let byte = BYTES[self.next(BYTES.len())];
            let at = self.next(text.len() + 1);
            if at < text.len() && self.next(2) == 0 { text[at] = byte } else { text.insert(at, byte) }
        }
        text
    }
}

/// The parsers that are ours, over a hundred thousand texts: nothing panics, and what comes out is in bounds.
#[test]
fn texts_of_every_kind_are_parsed_to_an_end() {
    use waitgate::net::{conf::ResolvConf, hosts, search};
    use waitgate::target::{Given, Target, address::Host};

    let seeds = [
        "nameserver 10.96.0.10\nsearch ns.svc.c.test svc.c.test c.test\noptions ndots:5\n",
        "nameserver fe80::1%eth0\nnameserver ::1\ndomain x\nsearch .\noptions rotate use-vc timeout:99999999999\n",
        "127.0.0.1 localhost\n::1 ip6-localhost # x\n10.0.0.1\tdb db.example\r\n",
        "dns://10.0.0.1:53/_http._tcp.web.ns?type=SRV#min=3#has=web-0.web#gone#timeout=1m30s",
        "tcp:[::1]:5432#hold=50ms#all",
        "dns:db.ns.svc.cluster.local.",
        "xn--bcher-kva.example 0x7f.1 010.0.0.1 1.2.3.4.5 $(HOST) ${HOST} %41%zz",
    ];
    let env = [("HOST", "db")].into_iter().collect();
    let mut numbers = Numbers(0x9e37_79b9_7f4a_7c15);
    for _ in 0..100_000 {
        let text = numbers.mutant(&seeds);
        let conf = ResolvConf::parse(Some(&text), |_| Some(1));
        assert!((1..=3).contains(&conf.nameservers.len()) && conf.ndots <= 15 && conf.search.len() <= 32);
        assert!(conf.oddities.len() <= 8);
        let written = String::from_utf8_lossy(&text);
        let word = written.split_whitespace().next().unwrap_or_default();
        let _ = hosts::addresses(text.as_slice(), word);
        if let Ok(Host::Name(name)) = Host::parse(word) {
            let steps = search::steps(&name, &conf);
            assert!(!steps.is_empty() || conf.no_tld_query, "{name:?}");
            assert!(steps.iter().all(|step| step.name.len() <= 253), "{name:?}");
        }
        if let Ok((target, _)) = Target::parse(word, Given { env: &env, ca_file: false }) {
            // What is shown can be given again, and then means the same.
            let shown = target.to_string();
            let again = Target::parse(&shown, Given { env: &env, ca_file: false });
            assert_eq!(again.map(|(target, _)| target.to_string()).ok(), Some(shown), "{word:?}");
        }
    }
}
