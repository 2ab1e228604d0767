//! Hosts and ports in targets.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use anyhow::{Context as _, Result, bail};

use crate::env::{self, Fill};
use crate::text::InForm as _;

/// A host: an address that needs no query, or a name for the resolver.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Host {
    /// An IP literal.
    Ip(IpAddr),
    /// A name as the target gives it, with its trailing dot if it has one.
    Name(String),
}

impl Host {
    /// Parses a host after `$(NAME)` was filled in. An IPv6 address may have brackets around it.
    ///
    /// C libraries read some forms differently (`127.1`, `0x7f.1`, `010.0.0.1`). These are an error, and the error
    /// gives the form that all of them read alike (RFC 6943 section 3.1.1).
    pub(crate) fn parse(text: &str) -> Result<Self> {
        let bare = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).unwrap_or(text);
        if bare.is_empty() {
            bail!("the host is missing");
        }
        if let Ok(ip) = bare.parse::<Ipv6Addr>() {
            return Ok(Self::Ip(IpAddr::V6(ip)));
        }
        if text.contains(['/', '\\']) {
            bail!(
                "found a slash in the host: is it a URL, such as a Kubernetes service link (NAME_PORT=tcp://…)? The host and the port are in NAME_SERVICE_HOST and NAME_SERVICE_PORT"
            );
        }
        if bare.contains(':') || bare.len() != text.len() {
            if bare.contains('%') {
                bail!("a zone after '%' is not supported in a host: give an address that is valid on every link");
            }
            // A port beside the host was split off before, so this came out of a variable.
            if let Some((name, port)) = text.rsplit_once(':')
                && !port.is_empty()
                && port.bytes().all(|b| b.is_ascii_digit())
            {
                if name.contains(':') {
                    bail!("found a port in the place of the host alone, or an IPv6 address with a mistake in it");
                }
                bail!("found a port in the host's variable: give host and port each its own variable");
            }
            bail!("the host has the colons or brackets of an IPv6 address but is not one");
        }
        if let Ok(ip) = text.parse::<Ipv4Addr>() {
            return Ok(Self::Ip(IpAddr::V4(ip)));
        }
        if let Some(ip) = loose_ipv4(text) {
            bail!("the host is an address in a form that programs read differently: write {ip}");
        }
        if text.contains('$') {
            bail!("found '$' in the host: no shell runs here; write $(NAME) to fill in an environment variable");
        }
        if !text.is_ascii() {
            bail!("the host is not ASCII: write an internationalised name in its xn-- form");
        }
        if !text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.')) {
            bail!("a name has letters, digits, '-', '_' and '.' only");
        }
        let labels = text.strip_suffix('.').unwrap_or(text);
        if labels.len() > 253 {
            bail!("a name has at most 253 characters");
        }
        if labels.split('.').any(|label| label.is_empty() || label.len() > 63) {
            bail!("each label of a name, between the dots, has 1 to 63 characters");
        }
        // RFC 3696 section 2: a top-level domain is never all digits, so this is an address with a mistake in it.
        if labels.rsplit('.').next().is_some_and(|last| last.bytes().all(|b| b.is_ascii_digit())) {
            bail!("a host that ends in a number must be an IPv4 address: four numbers from 0 to 255");
        }
        Ok(Self::Name(text.to_owned()))
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ip(IpAddr::V6(ip)) => write!(f, "[{ip}]"),
            Self::Ip(ip) => write!(f, "{ip}"),
            Self::Name(name) => f.write_str(name),
        }
    }
}

/// The address that `inet_aton` reads in `text`: one to four parts, each decimal, octal or hex.
pub(crate) fn loose_ipv4(text: &str) -> Option<Ipv4Addr> {
    let parts: Vec<&str> = text.split('.').collect();
    let number = |part: &str| -> Option<u32> {
        let (digits, radix) = match part.strip_prefix("0x").or_else(|| part.strip_prefix("0X")) {
            Some(hex) => (hex, 16),
            None if part.len() > 1 && part.starts_with('0') => (&part[1..], 8),
            None => (part, 10),
        };
        if digits.starts_with('+') { None } else { u32::from_str_radix(digits, radix).ok() }
    };
    let (last, head) = parts.split_last()?;
    if parts.len() > 4 || (parts.len() == 1 && !text.starts_with("0x")) {
        return None;
    }
    let mut value: u32 = 0;
    for part in head {
        let octet = number(part).filter(|octet| *octet < 256)?;
        value = value << 8 | octet;
    }
    let bits = 8 * (4 - u32::try_from(head.len()).ok()?);
    let tail = number(last)?;
    if bits < 32 && tail >> bits != 0 {
        return None;
    }
    Some(Ipv4Addr::from(if bits == 32 { tail } else { value << bits | tail }))
}

/// The error for a port such as `tcp://10.0.0.1:6379`.
const SERVICE_LINK: &str = "found a URL for a port: a Kubernetes service link NAME_PORT holds tcp://ADDRESS:PORT; the number alone is in NAME_SERVICE_PORT";

/// An error for `HOST:tcp://ADDRESS:PORT`. The kubelet turns `HOST:$(REDIS_PORT)` into this before waitgate starts.
/// `raw` is an address without its kind and slashes.
pub(crate) fn refuse_service_link(raw: &str) -> Result<()> {
    let link = ["tcp", "udp", "sctp"].iter().any(|protocol| {
        let before = raw.split_once(&format!(":{protocol}://")).map(|(before, _)| before);
        before.is_some_and(|before| !before.contains(['/', '?']))
    });
    if link {
        bail!("{SERVICE_LINK}");
    }
    Ok(())
}

/// Parses a port after `$(NAME)` was filled in.
pub(crate) fn port(text: &str) -> Result<u16> {
    if text.contains('$') {
        bail!("found '$' in the port: no shell runs here; write $(NAME) to fill in an environment variable");
    }
    if text.contains("://") {
        bail!("{SERVICE_LINK}");
    }
    if text.is_empty() {
        bail!("the port is missing");
    }
    if !text.bytes().all(|b| b.is_ascii_digit()) {
        bail!("the port is not a number from 1 to 65535");
    }
    match text.parse() {
        Ok(0) | Err(_) => bail!("the port is not within 1 to 65535"),
        Ok(port) => Ok(port),
    }
}

/// Splits raw `HOST:PORT`, `[V6]:PORT` or `HOST`, before `$(NAME)` is filled in: a reference has no ':' and no bracket.
pub(crate) fn split(raw: &str) -> (&str, Option<&str>) {
    match raw.rsplit_once(':') {
        Some((host, _)) if host.contains('[') && !host.ends_with(']') => (raw, None),
        // An IPv6 address without brackets has no port. Host::parse takes it, or its error says what is wrong.
        Some((host, _)) if host.contains(':') && !host.starts_with('[') => (raw, None),
        Some((host, port)) => (host, Some(port)),
        None => (raw, None),
    }
}

/// Splits raw `USER[:PASSWORD]@HOST[:PORT]` at the `@`. Without an `@` there is no first part.
pub(crate) fn userinfo(authority: &str) -> Result<(Option<&str>, &str)> {
    match authority.split_once('@') {
        Some((_, server)) if server.contains('@') => {
            bail!("found more than one '@' before the path: an '@' in a user or password is written %40")
        }
        Some((userinfo, server)) => Ok((Some(userinfo), server)),
        None => Ok((None, authority)),
    }
}

/// Parses raw `HOST:PORT`. Every error ends with `form`, the expected form.
pub(crate) fn host_port(raw: &str, form: &str, fill: Fill<'_>) -> Result<(Host, u16)> {
    let expected = format!("expected {form}");
    refuse_service_link(raw).in_form(&expected)?;
    if raw.contains("://") {
        bail!(
            "found a URL after the kind: give it as the target itself (a Kubernetes service link, NAME_PORT=tcp://…, is one), or its host and port alone (expected {form})"
        );
    }
    if let Some(found) = raw.chars().find(|c| matches!(c, '?' | '&' | ';')) {
        bail!(
            "found '{found}' after the host: an expectation comes after a '#', as in #timeout=5m, and each target is an argument of its own (expected {form})"
        );
    }
    if raw.starts_with('[') && !raw.contains(']') {
        bail!("the ']' at the end of the IPv6 address is missing (expected {form})");
    }
    if raw.contains(',') {
        bail!("found a ',': a target has one host and one port; give each its own target (expected {form})");
    }
    let (host, number) = split(raw);
    let Some(number) = number else {
        if raw.contains(':') && !raw.starts_with('[') {
            bail!("write an IPv6 address in brackets, [::1]:5432 (expected {form})");
        }
        // tcp:$(REDIS_PORT), and waitgate fills in the variable.
        if filled(raw, fill).in_form(&expected)?.contains("://") {
            bail!(
                "{raw} holds a URL, as a Kubernetes service link does: its host and port are in NAME_SERVICE_HOST and NAME_SERVICE_PORT (expected {form})"
            );
        }
        bail!("the port is missing (expected {form})");
    };
    let host = self::host(host, fill).in_form(&expected)?;
    let port = port_in(number, fill).in_form(&expected)?;
    Ok((host, port))
}

/// Parses a raw host, and fills in its `$(NAME)`.
pub(crate) fn host(raw: &str, fill: Fill<'_>) -> Result<Host> {
    filled(raw, fill).and_then(|text| name_variable(raw, Host::parse(&text)))
}

/// Parses a raw port, and fills in its `$(NAME)`.
pub(crate) fn port_in(raw: &str, fill: Fill<'_>) -> Result<u16> {
    filled(raw, fill).and_then(|text| name_variable(raw, port(&text)))
}

/// Adds the variable's name to the error if `raw` is one `$(NAME)` and nothing more.
fn name_variable<T>(raw: &str, parsed: Result<T>) -> Result<T> {
    let whole = raw.strip_prefix("$(").and_then(|rest| rest.strip_suffix(')')).is_some_and(env::is_name);
    if whole { parsed.with_context(|| raw.to_owned()) } else { parsed }
}

/// Fills in a host or a port. If a variable is empty, the error names it: the later error would not.
fn filled(raw: &str, fill: Fill<'_>) -> Result<String> {
    let text = fill.plain(raw)?;
    if text.is_empty() && env::refers(raw) {
        bail!("{raw} is empty: set it to a value");
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::env::Env;

    #[test]
    fn hosts() {
        for good in ["db", "db.ns.svc.cluster.local.", "_sip._tcp.x", "a-b", "1a.b", "xn--bcher-kva.example"] {
            assert_eq!(Host::parse(good).unwrap(), Host::Name(good.into()));
        }
        assert_eq!(Host::parse("10.0.0.1").unwrap().to_string(), "10.0.0.1");
        assert_eq!(Host::parse("[::1]").unwrap().to_string(), "[::1]");
        assert_eq!(Host::parse("::ffff:1.2.3.4").unwrap().to_string(), "[::ffff:1.2.3.4]");
    }

    #[test]
    fn an_ambiguous_ipv4_form_is_an_error_that_gives_the_canonical_form() {
        for (loose, canonical) in [
            ("127.1", "127.0.0.1"),
            ("0x7f.1", "127.0.0.1"),
            ("010.0.0.1", "8.0.0.1"),
            ("0x7f000001", "127.0.0.1"),
            ("10.0.258", "10.0.1.2"),
            ("127.0.0.01", "127.0.0.1"),
        ] {
            let message = Host::parse(loose).unwrap_err().to_string();
            assert!(message.ends_with(&format!("write {canonical}")), "{loose}: {message}");
        }
    }

    #[test]
    fn text_that_is_not_a_host_is_an_error() {
        for bad in [
            "",
            "[]",
            "a..b",
            ".a",
            "a b",
            "${HOST}",
            "$HOST",
            "bücher.de",
            "tcp://10.0.0.1:1",
            "[::1",
            "1:2",
            "fe80::1%eth0",
            "1.2.3.4.5",
            "256.1.1.1",
            "a@b",
        ] {
            assert!(Host::parse(bad).is_err(), "{bad}");
        }
        assert!(Host::parse(&"a".repeat(64)).is_err());
        assert!(Host::parse(&["a"; 128].join(".")).is_err());
    }

    #[test]
    fn a_service_link_is_found_only_in_the_place_of_a_port() {
        for link in ["redis:tcp://10.0.0.1:6379", "u:p@db:tcp://10.0.0.1:5432/x", "[::1]:udp://10.0.0.1:53"] {
            assert!(refuse_service_link(link).is_err(), "{link}");
        }
        for other in ["redis:6379", "api/a:tcp://b", "api?next=x:tcp://b", "tcp://10.0.0.1:6379", "x:http://y"] {
            assert!(refuse_service_link(other).is_ok(), "{other}");
        }
    }

    #[test]
    fn host_and_port() {
        let env: Env = [("E", ""), ("H", "db"), ("P", "5432"), ("REDIS_PORT", "tcp://10.0.0.1:6379"), ("HP", "db:1")]
            .into_iter()
            .collect();
        let parse = |raw| host_port(raw, "tcp:HOST:PORT", Fill::from_env(&env));
        assert_eq!(parse("$(H):$(P)").unwrap(), (Host::Name("db".into()), 5432));
        assert_eq!(parse("[::1]:80").unwrap().0.to_string(), "[::1]");
        let error = |raw| format!("{:#}", parse(raw).unwrap_err());
        assert!(error("$(E):80").contains("$(E) is empty"));
        for (raw, found) in [("db:80?hold=1s", '?'), ("db:80&timeout=1s", '&'), ("db:80;tcp:b:1", ';')] {
            assert!(error(raw).contains(&format!("found '{found}'")) && error(raw).contains("#timeout=5m"), "{raw}");
        }
        assert!(error("[::1:80").contains("the ']'"));
        assert!(error("db:$(HP)").contains("$(HP): the port is not a number"));
        assert!(error("redis:$(REDIS_PORT)").contains("NAME_SERVICE_PORT"));
        assert!(error("redis:tcp://10.0.0.1:6379").contains("NAME_SERVICE_PORT"), "the kubelet has filled it");
        assert!(error("$(REDIS_PORT):6379").contains("NAME_SERVICE_HOST"));
        assert!(error("redis").contains("the port is missing"));
        assert!(error("$(REDIS_PORT)").contains("$(REDIS_PORT) holds a URL"));
        assert!(error("tcp://10.0.0.1:6379").contains("a URL after the kind"));
        assert!(error("a:1,b:2").contains("one host and one port"));
        assert!(error("::1:80").contains("brackets"));
        for bad in ["db:", "db:0", "db:65536", "db:http", ":80", "db:-1", "$(HP):1", "db:8 0"] {
            assert!(error(bad).ends_with("(expected tcp:HOST:PORT)"), "{bad}");
        }
    }
}
