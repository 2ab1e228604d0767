//! The hosts file, read as glibc's `files` backend reads it (nss/nss_files/files-hosts.c). Pure.

use std::io::BufRead;
use std::net::IpAddr;

/// The addresses that a hosts file has for `name`, in the order of the file, each once.
///
/// `name` is compared as given, in upper or lower case, with the canonical name and the aliases of each line. Lines
/// that do not begin with an address are skipped.
pub(crate) fn addresses(mut text: impl BufRead, name: &str) -> Vec<IpAddr> {
    let mut found = Vec::new();
    let mut line = Vec::new();
    // One line at a time: a machine that blocks advertisements this way has hundreds of thousands of lines.
    while text.read_until(b'\n', &mut line).is_ok_and(|length| length > 0) {
        entry(&line, name, &mut found);
        line.clear();
    }
    found
}

/// Adds the address of `line` if the line has `name`.
fn entry(line: &[u8], name: &str, found: &mut Vec<IpAddr>) {
    let line = line.split(|byte| *byte == b'#').next().unwrap_or_default();
    let mut words = line.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty());
    let Some(address) = words.next() else { return };
    // The names are compared first: few lines have the right one, and to parse every address is slow.
    if !words.any(|word| word.eq_ignore_ascii_case(name.as_bytes())) {
        return;
    }
    if let Some(ip) = std::str::from_utf8(address).ok().and_then(|text| text.parse().ok())
        && !found.contains(&ip)
    {
        found.push(ip);
    }
}

/// What the hosts file says about the Pod itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Own {
    pub(crate) addresses: Vec<IpAddr>,
    /// Its full name, in lower case, if the Pod has a subdomain: `HOSTNAME.SUBDOMAIN.NAMESPACE.svc.DOMAIN`.
    pub(crate) name: Option<String>,
    /// Whether it shares the node's network.
    pub(crate) host_network: bool,
}

/// What a hosts file says about the machine with this host name.
///
/// For a Pod with a subdomain (the Pods of a StatefulSet have one) the kubelet writes `ADDRESS
/// HOSTNAME.SUBDOMAIN.NAMESPACE.svc.DOMAIN HOSTNAME`, and for other Pods `ADDRESS HOSTNAME`. With hostNetwork it copies
/// the node's file and adds a heading of its own (pkg/kubelet/kubelet_pods.go: managedHostsFileContent,
/// nodeHostsFileContent).
pub(crate) fn own(text: impl BufRead, hostname: &str) -> Own {
    let short = hostname.split('.').next().unwrap_or_default();
    let mut own = Own::default();
    for line in text.split(b'\n').map_while(Result::ok) {
        let Ok(line) = std::str::from_utf8(&line) else { continue };
        own.host_network |= line.starts_with("# Kubernetes-managed hosts file (host network)");
        let mut words = line.split('#').next().unwrap_or_default().split_ascii_whitespace();
        let Some(address) = words.next() else { continue };
        let is_own = |name: &str| name.eq_ignore_ascii_case(hostname) || name.eq_ignore_ascii_case(short);
        if short.is_empty() || !words.clone().any(is_own) {
            continue;
        }
        let Ok(ip) = address.parse::<IpAddr>() else { continue };
        own.addresses.push(ip);
        let full = |name: &&str| name.split_once('.').is_some_and(|(head, _)| head.eq_ignore_ascii_case(short));
        own.name = own.name.take().or_else(|| words.find(full).map(str::to_ascii_lowercase));
    }
    own
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pods_own_lines_are_read() {
        let text = "# Kubernetes-managed hosts file.\n127.0.0.1\tlocalhost\nfe00::0\tip6-localnet\n\
            10.244.0.7\tdb-0.db.shop.svc.cluster.local\tdb-0\nfd00::7\tdb-0.db.shop.svc.cluster.local\tdb-0\n\
            10.9.9.9 db-1 db-01 x.db-0 # db-0\n";
        let own_of = |hostname| own(text.as_bytes(), hostname);
        let db = Own {
            addresses: vec!["10.244.0.7".parse().unwrap(), "fd00::7".parse().unwrap()],
            name: Some("db-0.db.shop.svc.cluster.local".into()),
            host_network: false,
        };
        assert_eq!(own_of("db-0"), db);
        // setHostnameAsFQDN.
        assert_eq!(own_of("db-0.db.shop.svc.cluster.local"), db);
        assert_eq!(own_of("db-1"), Own { addresses: vec!["10.9.9.9".parse().unwrap()], ..Own::default() });
        for other in ["web", "", "."] {
            assert_eq!(own_of(other), Own::default(), "{other:?}");
        }
        assert!(own(&b"# Kubernetes-managed hosts file (host network).\n127.0.0.1 localhost\n"[..], "n1").host_network);
        assert_eq!(own(&b"\xff\xfe web\nnone web\n10.0.0.1\n"[..], "web"), Own::default());
    }

    fn find(text: &str, name: &str) -> String {
        let found: Vec<String> = addresses(text.as_bytes(), name).iter().map(ToString::to_string).collect();
        found.join(" ")
    }

    #[test]
    fn every_line_with_the_name_counts() {
        let text = "# Kubernetes-managed hosts file.\n127.0.0.1\tlocalhost\n::1 localhost ip6-localhost\n\
            10.0.0.1 db db.example # primary\n  10.0.0.2\tDB\r\nfd00::1 other DB.Example\n10.0.0.1 db\n10.9.9.9 last";
        assert_eq!(find(text, "db"), "10.0.0.1 10.0.0.2");
        assert_eq!(find(text, "Db.exAmple"), "10.0.0.1 fd00::1");
        assert_eq!(find(text, "localhost"), "127.0.0.1 ::1");
        assert_eq!(find(text, "last"), "10.9.9.9");
        assert_eq!(find(text, "primary"), "");
        assert_eq!(find(text, "db."), "");
        assert_eq!(find(text, "10.0.0.1"), "");
    }

    #[test]
    fn lines_without_an_address_are_skipped() {
        assert_eq!(find("db db\n127.1 db\n1.2.3.4%eth0 db\n\n \n#\n10.0.0.1\nfe80::1%eth0 db\n", "db"), "");
        assert_eq!(addresses(&b"\xff\xfe db\n10.0.0.1 \xff db"[..], "db").len(), 1);
    }
}
