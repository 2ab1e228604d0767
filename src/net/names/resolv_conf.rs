//! resolv.conf, read as glibc reads it (resolv/res_init.c), and the paths of the system's files.

use std::io::Read as _;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6};
use std::path::PathBuf;

use crate::file;
use crate::net::address::loose_ipv4;

/// The paths of the system's files.
#[derive(Clone, Debug)]
pub(crate) struct SystemFiles {
    /// `/etc/resolv.conf`.
    pub(crate) resolv_conf: PathBuf,
    /// `/etc/hosts`.
    pub(crate) hosts: PathBuf,
}

impl Default for SystemFiles {
    fn default() -> Self {
        Self { resolv_conf: "/etc/resolv.conf".into(), hosts: "/etc/hosts".into() }
    }
}

/// How much of resolv.conf is read, in bytes. The kubelet allows a search list of 2048 characters.
const CONF_MAX: u64 = 64 * 1024;

/// How much of the hosts file is read, in bytes. Each attempt reads it, and the deadline must not wait for that.
const HOSTS_MAX: u64 = 1024 * 1024;

impl SystemFiles {
    /// The text of resolv.conf; `None` if it cannot be read.
    pub(crate) fn read_resolv_conf(&self) -> Option<Vec<u8>> {
        let mut text = Vec::new();
        file::open(&self.resolv_conf, CONF_MAX).ok()?.read_to_end(&mut text).ok()?;
        Some(text)
    }

    /// Whether there is something at the path of resolv.conf.
    pub(crate) fn has_resolv_conf(&self) -> bool {
        self.resolv_conf.symlink_metadata().is_ok()
    }

    /// The text of the hosts file, up to 1 MiB; empty if it cannot be read.
    pub(crate) fn read_hosts(&self) -> Vec<u8> {
        let mut text = Vec::new();
        let read = file::open(&self.hosts, HOSTS_MAX).map(|mut file| file.read_to_end(&mut text));
        if !matches!(read, Ok(Ok(_))) {
            return Vec::new();
        }
        // A line that the limit cuts could end in a shorter name.
        if text.len() as u64 == HOSTS_MAX {
            text.truncate(text.iter().rposition(|byte| *byte == b'\n').unwrap_or(0));
        }
        text
    }
}

/// The number of nameservers that glibc asks (resolv/bits/types/res_state.h: MAXNS).
const NAMESERVERS_MAX: usize = 3;

/// The largest `ndots` (resolv/resolv.h: RES_MAXNDOTS).
const NDOTS_MAX: usize = 15;

/// The number of search domains that the kubelet allows (ExpandedDNSConfig). glibc has no limit.
const SEARCH_DOMAINS_MAX: usize = 32;

/// The port of every nameserver: resolv.conf cannot give another one.
pub(crate) const DNS_PORT: u16 = 53;

/// What resolv.conf says.
///
/// waitgate ignores some options on purpose: `timeout` and `attempts` (--connect-timeout and --attempt-timeout are the
/// bounds), `single-request` and `single-request-reopen` (every question has its own socket), `edns0` (always on),
/// `trust-ad` (waitgate does not look at the AD bit), `sortlist`.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "each is an option of resolv.conf that is on or off")]
pub(crate) struct ResolvConf {
    /// The nameservers, in order: at least one, at most three.
    pub(crate) nameservers: Vec<SocketAddr>,
    /// The search list. `""` is the root (`search .`).
    pub(crate) search: Vec<String>,
    /// A name with at least this many dots is asked as given before the search list is used.
    pub(crate) ndots: usize,
    /// Begin with another nameserver for each question.
    pub(crate) rotate: bool,
    /// Ask over TCP.
    pub(crate) use_vc: bool,
    /// Do not ask for IPv6 addresses.
    pub(crate) no_aaaa: bool,
    /// Do not ask for a name without a dot as given.
    pub(crate) no_tld_query: bool,
    /// Where the nameservers come from.
    pub(crate) origin: Origin,
    /// What was skipped, in words, for one warning.
    pub(crate) oddities: Vec<String>,
}

/// Where the nameservers come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Origin {
    /// `nameserver` lines.
    Stated,
    /// The file has no usable nameserver: 127.0.0.1, as in glibc.
    NoNameserver,
    /// There is no file: 127.0.0.1, as in glibc.
    NoFile,
    /// The file cannot be read, or it is not a regular file: 127.0.0.1, as in glibc.
    Unreadable,
}

impl ResolvConf {
    /// Reads the text of resolv.conf; `None` means that there is no file. `zone` gives the index of a network interface
    /// by its name, for `nameserver fe80::1%eth0`.
    pub(crate) fn parse(text: Option<&[u8]>, zone: impl Fn(&str) -> Option<u32>) -> Self {
        let mut conf = Self {
            nameservers: Vec::new(),
            search: Vec::new(),
            ndots: 1,
            rotate: false,
            use_vc: false,
            no_aaaa: false,
            no_tld_query: false,
            origin: Origin::Stated,
            oddities: Vec::new(),
        };
        for line in text.unwrap_or_default().split(|byte| *byte == b'\n') {
            conf.line(&String::from_utf8_lossy(line), &zone);
        }
        if conf.nameservers.is_empty() {
            conf.nameservers.push((Ipv4Addr::LOCALHOST, DNS_PORT).into());
            conf.origin = if text.is_some() { Origin::NoNameserver } else { Origin::NoFile };
        }
        conf
    }

    /// The cluster's domain, if this is the resolv.conf of a Pod.
    ///
    /// The kubelet writes `NAMESPACE.svc.DOMAIN`, `svc.DOMAIN` and `DOMAIN` (pkg/kubelet/network/dns/dns.go:
    /// generateSearchesForDNSClusterFirst).
    pub(crate) fn cluster_domain(&self) -> Option<&str> {
        self.search.iter().find_map(|domain| {
            let after = |text: &str| text.strip_prefix("svc.").map(str::len);
            let length = after(domain).or_else(|| after(domain.split_once('.')?.1))?;
            domain.get(domain.len() - length..)
        })
    }

    fn line(&mut self, line: &str, zone: &impl Fn(&str) -> Option<u32>) {
        // A directive begins in the first column, and a space or tab follows it. glibc takes all other lines as
        // comments.
        let Some((directive, rest)) = line.split_once([' ', '\t']) else { return };
        let mut words = rest.split([' ', '\t', '\r']).filter(|word| !word.is_empty());
        match directive {
            "nameserver" => {
                let Some(word) = words.next() else { return };
                match nameserver(word, zone) {
                    Some(server) if self.nameservers.len() < NAMESERVERS_MAX => self.nameservers.push(server),
                    Some(_) => self.odd("a nameserver beyond the third"),
                    None => self.odd(format_args!("the nameserver {word:?}")),
                }
            }
            // The last of these lines counts. An empty one does not.
            "domain" => self.set_search(words.take(1)),
            "search" => self.set_search(words),
            "options" => words.for_each(|word| self.option(word)),
            _ => {}
        }
    }

    fn set_search<'a>(&mut self, domains: impl Iterator<Item = &'a str>) {
        let mut domains = domains.peekable();
        if domains.peek().is_none() {
            return;
        }
        self.search.clear();
        for word in domains {
            // glibc removes one leading dot (res_query.c: __res_context_search). A trailing dot means nothing here.
            let domain = word.strip_prefix('.').unwrap_or(word);
            let domain = domain.strip_suffix('.').unwrap_or(domain);
            let label = |label: &str| (1..=63).contains(&label.len()) && label.bytes().all(|b| b.is_ascii_graphic());
            if !domain.is_empty() && (domain.len() > 253 || !domain.split('.').all(label)) {
                self.odd(format_args!("the search domain {word:?}"));
            } else if self.search.len() == SEARCH_DOMAINS_MAX {
                self.odd("a search domain beyond the thirty-second");
            } else {
                self.search.push(domain.to_owned());
            }
        }
    }

    fn option(&mut self, word: &str) {
        // glibc compares only the beginning of the word and ignores the rest. So does this.
        const WITHOUT_EFFECT: [&str; 15] = [
            "timeout:",
            "attempts:",
            "edns0",
            "single-request",
            "trust-ad",
            "no-reload",
            "debug",
            "no-check-names",
            "inet6",
            "ip6-bytestring",
            "ip6-dotint",
            "no-ip6-dotint",
            "no-inet6",
            "insecure1",
            "insecure2",
        ];
        if let Some(number) = word.strip_prefix("ndots:") {
            let digits = number.split(|c: char| !c.is_ascii_digit()).next().unwrap_or_default();
            if number.starts_with('-') {
                return self.odd(format_args!("the option {word:?}"));
            }
            // As with atoi, text that is not a number is 0. A number that is too large is the maximum.
            self.ndots = if digits.is_empty() { 0 } else { digits.parse().unwrap_or(NDOTS_MAX).min(NDOTS_MAX) };
        } else if word.starts_with("rotate") {
            self.rotate = true;
        } else if word.starts_with("use-vc") {
            self.use_vc = true;
        } else if word.starts_with("no-aaaa") {
            self.no_aaaa = true;
        } else if word.starts_with("no-tld-query") || word.starts_with("no_tld_query") {
            self.no_tld_query = true;
        } else if !WITHOUT_EFFECT.iter().any(|known| word.starts_with(known)) {
            self.odd(format_args!("the option {word:?}"));
        }
    }

    fn odd(&mut self, what: impl std::fmt::Display) {
        const ODDITIES_MAX: usize = 8;
        if self.oddities.len() < ODDITIES_MAX {
            self.oddities.push(what.to_string().chars().take(100).collect());
        }
    }
}

/// The address of a nameserver: IPv4 in any form that inet_aton takes, IPv6 with a zone by number or name.
fn nameserver(word: &str, zone: &impl Fn(&str) -> Option<u32>) -> Option<SocketAddr> {
    if let Ok(ip) = word.parse::<Ipv4Addr>() {
        return Some((ip, DNS_PORT).into());
    }
    let (ip, scope) = match word.split_once('%') {
        Some((ip, scope)) => (ip, scope.parse().ok().or_else(|| zone(scope))),
        None => (word, None),
    };
    match ip.parse::<Ipv6Addr>() {
        // glibc ignores a zone that does not exist. The connection then fails, and the kernel's error says why.
        Ok(ip) => Some(SocketAddrV6::new(ip, DNS_PORT, 0, scope.unwrap_or(0)).into()),
        Err(_) => loose_ipv4(word).map(|ip| (IpAddr::V4(ip), DNS_PORT).into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> ResolvConf {
        ResolvConf::parse(Some(text.as_bytes()), |name| (name == "eth0").then_some(7))
    }

    fn servers(text: &str) -> Vec<String> {
        parse(text).nameservers.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn the_resolv_conf_of_a_pod_is_read() {
        let conf = parse(
            "search ns.svc.cluster.local svc.cluster.local cluster.local\nnameserver 10.96.0.10\noptions ndots:5\n",
        );
        assert_eq!(conf.nameservers, ["10.96.0.10:53".parse().unwrap()]);
        assert_eq!(conf.search, ["ns.svc.cluster.local", "svc.cluster.local", "cluster.local"]);
        assert_eq!((conf.ndots, conf.origin), (5, Origin::Stated));
        assert!(conf.oddities.is_empty());
    }

    #[test]
    fn nameservers() {
        assert_eq!(
            servers("nameserver 10.0.0.1\nnameserver ::1 # two\nnameserver\t127.1"),
            ["10.0.0.1:53", "[::1]:53", "127.0.0.1:53"]
        );
        let four = parse("nameserver 1.1.1.1\nnameserver 1.1.1.2\nnameserver 1.1.1.3\nnameserver 1.1.1.4\n");
        assert_eq!((four.nameservers.len(), four.oddities.len()), (3, 1));
        assert_eq!(
            servers("nameserver fe80::1%eth0\nnameserver fe80::2%3\nnameserver fe80::3%nope"),
            ["[fe80::1%7]:53", "[fe80::2%3]:53", "[fe80::3]:53"]
        );
        for none in ["", "#nameserver 1.1.1.1", ";nameserver 1.1.1.1", " nameserver 1.1.1.1", "nameserver1.1.1.1"] {
            assert_eq!(servers(none), ["127.0.0.1:53"], "{none}");
            assert_eq!(parse(none).origin, Origin::NoNameserver);
        }
        assert_eq!(parse("nameserver bad\n").oddities, ["the nameserver \"bad\""]);
        assert_eq!(ResolvConf::parse(None, |_| None).origin, Origin::NoFile);
    }

    #[test]
    fn the_last_search_or_domain_line_wins() {
        assert_eq!(parse("search a b\ndomain c d\n").search, ["c"]);
        assert_eq!(parse("domain c\nsearch\ta  b\r\n").search, ["a", "b"]);
        assert_eq!(parse("search a\nsearch \n").search, ["a"]);
        assert_eq!(parse("search . .a b.").search, ["", "a", "b"]);
    }

    #[test]
    fn bad_search_domains_are_skipped_and_listed() {
        let conf = parse(&format!("search good bad..name {} ok\n", "x".repeat(64)));
        assert_eq!(conf.search, ["good", "ok"]);
        assert_eq!(conf.oddities.len(), 2);
        assert_eq!(parse(&format!("search {}", "a ".repeat(40))).search.len(), 32);
    }

    #[test]
    fn options() {
        let conf = parse("options rotate use-vc no-aaaa edns0 trust-ad single-request-reopen timeout:1 attempts:9");
        assert!(conf.rotate && conf.use_vc && conf.no_aaaa && !conf.no_tld_query && conf.oddities.is_empty());
        for (text, ndots) in
            [("ndots:5", 5), ("ndots:16", 15), ("ndots:99999999999999999999", 15), ("ndots:x", 0), ("ndots:2x", 2)]
        {
            assert_eq!(parse(&format!("options {text}\n")).ndots, ndots, "{text}");
        }
        let odd = parse("options ndots:-1 wibble\noptions no-tld-query");
        assert_eq!((odd.ndots, odd.oddities.len(), odd.no_tld_query), (1, 2, true));
    }

    #[test]
    fn the_list_of_oddities_is_bounded() {
        let odd = parse(&"options wibble\n".repeat(10_000));
        assert_eq!(odd.oddities.len(), 8);
        assert!(parse(&format!("options {}\n", "w".repeat(10_000))).oddities[0].len() <= 100);
        parse(&"\0\u{ff}\r\t".repeat(1000));
    }
}
