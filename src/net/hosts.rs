//! The hosts file, as glibc's `files` backend reads it (nss/nss_files/files-hosts.c): pure.

use std::io::BufRead;
use std::net::IpAddr;

/// The addresses that the text of a hosts file gives to `name`, in the order of the file, each once.
///
/// `name` is compared as it was given, without regard to case, with canonical names and aliases
/// alike; every line that has it counts. Lines that do not begin with an address are skipped.
#[must_use]
pub fn addresses(mut text: impl BufRead, name: &str) -> Vec<IpAddr> {
    let mut found = Vec::new();
    let mut line = Vec::new();
    // A line at a time: the file of a machine that blocks names by it has hundreds of thousands.
    while text.read_until(b'\n', &mut line).is_ok_and(|length| length > 0) {
        entry(&line, name, &mut found);
        line.clear();
    }
    found
}

/// Adds the address of `line`, if it is one for `name`.
fn entry(line: &[u8], name: &str, found: &mut Vec<IpAddr>) {
    let line = line.split(|byte| *byte == b'#').next().unwrap_or_default();
    let mut words = line.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty());
    let Some(address) = words.next() else { return };
    // The names first: few lines have the one that is looked for, and to parse every address is slow.
    if !words.any(|word| word.eq_ignore_ascii_case(name.as_bytes())) {
        return;
    }
    if let Some(ip) = std::str::from_utf8(address).ok().and_then(|text| text.parse().ok())
        && !found.contains(&ip)
    {
        found.push(ip);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
