//! The parsers that are ours, over texts made up at random.

use crate::support::door;

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

/// The text as resolv.conf and hosts file, with its first word as the name, and that word as a target.
fn parsed(text: &[u8]) {
    let written = String::from_utf8_lossy(text);
    let word = written.split_whitespace().next().unwrap_or_default();
    door::names(&[b"\0", word.as_bytes(), b"\n", text].concat());
    door::target(word);
}

/// A hundred thousand of them: nothing panics, and what comes out is in bounds.
#[test]
fn texts_of_every_kind_are_parsed_to_an_end() {
    let seeds = [
        "nameserver 10.96.0.10\nsearch ns.svc.c.test svc.c.test c.test\noptions ndots:5\n",
        "nameserver fe80::1%eth0\nnameserver ::1\ndomain x\nsearch .\noptions rotate use-vc timeout:99999999999\n",
        "127.0.0.1 localhost\n::1 ip6-localhost # x\n10.0.0.1\tdb db.example\r\n",
        "dns://10.0.0.1:53/_http._tcp.web.ns?type=SRV#min=3#has=web-0.web#gone#timeout=1m30s",
        "tcp:[::1]:5432#hold=50ms#all",
        "dns:db.ns.svc.cluster.local.",
        "mongodb://app:$(SECRET)@$(HOST),b:1,%2Fs.sock/$(SECRET)?authSource=$(SECRET)&replicaSet=$(SECRET)&tls=true#role=primary#set=a",
        "mongodb+srv://$(SECRET):$(SECRET)@a.b.c/d?tlsCAFile=$(SECRET)&authMechanism=PLAIN&srvServiceName=x&loadBalanced=true",
        "xn--bcher-kva.example 0x7f.1 010.0.0.1 1.2.3.4.5 $(HOST) ${HOST} %41%zz",
    ];
    let mut numbers = Numbers(0x9e37_79b9_7f4a_7c15);
    for _ in 0..100_000 {
        let text = numbers.mutant(&seeds);
        parsed(&text);
    }
}
