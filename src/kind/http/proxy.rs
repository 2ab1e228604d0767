//! `proxy`: the request goes through the proxy that the environment names, unless NO_PROXY lists the host.

use std::net::IpAddr;

use anyhow::{Result, bail};

use crate::env::{Env, Fill, percent_decode};
use crate::net::address::{self, Host};
use crate::secret::{Form, Secret};
use crate::text::InForm as _;

/// A proxy that speaks plain HTTP.
#[derive(Clone, Debug)]
pub(super) struct Proxy {
    pub(super) host: Host,
    pub(super) port: u16,
    /// The proxy's URL for reqwest, with the user and the password.
    pub(super) url: Secret,
}

impl Proxy {
    /// The proxy for `kind`://`host`:`port`, or `None` if NO_PROXY lists the host.
    pub(super) fn of(env: &Env, kind: &str, host: &Host, port: u16, fill: Fill<'_>) -> Result<Option<Self>> {
        let first = |names: &[&'static str]| -> Result<Option<(&'static str, String)>> {
            for name in names {
                if let Some(value) = env.text(name)? {
                    return Ok(Some((*name, value.to_owned())));
                }
            }
            Ok(None)
        };
        let names: &[&'static str] = match kind {
            "https" => &["https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"],
            _ => &["http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"],
        };
        let Some((name, value)) = first(names)? else {
            bail!("#proxy: no proxy is set in the environment: set one of {}, or leave #proxy out", names.join(", "));
        };
        let proxy = Self::parse(&value, fill).map_err(|error| error.context(name))?;
        let exceptions = first(&["no_proxy", "NO_PROXY"])?.map(|(_, value)| value).unwrap_or_default();
        Ok((!is_excepted(&exceptions, host, port)).then_some(proxy))
    }

    /// Parses `http://[USER:PASSWORD@]HOST[:PORT]`, or the same without `http://`.
    fn parse(text: &str, fill: Fill<'_>) -> Result<Self> {
        const FORM: &str = "expected http://[USER:PASSWORD@]HOST[:PORT]";
        let rest = match text.split_once("://") {
            Some((kind, rest)) if kind.eq_ignore_ascii_case("http") => rest,
            Some(_) => bail!("waitgate can use only a proxy that speaks plain HTTP ({FORM})"),
            None => text,
        };
        let authority = rest.strip_suffix('/').unwrap_or(rest);
        let (login, server) = address::userinfo(authority).in_form(FORM)?;
        if let Some(login) = login {
            if login.contains(['@', '/', '?', '#']) {
                bail!("in a user or a password write %40 for '@', %2F for '/', %3F for '?' and %23 for '#' ({FORM})");
            }
            let decoded = percent_decode(login).in_form(FORM)?;
            let (user, password) = decoded.split_once(':').unwrap_or((&decoded, ""));
            fill.note_login(user, password);
            fill.note_as(Form::Word, user);
        }
        let (raw_host, raw_port) = address::split(server);
        let host = Host::parse(raw_host).in_form(FORM)?;
        // 80, as in every http: URL. (curl takes 1080.)
        let port = raw_port.map_or(Ok(80), address::port).in_form(FORM)?;
        let login = login.map(|login| format!("{login}@")).unwrap_or_default();
        Ok(Self { url: Secret::new(format!("http://{login}{host}:{port}/")), host, port })
    }
}

/// Whether the list of NO_PROXY holds `host`. An item is a name (which includes the names below it), an address or a
/// network, each with or without a port, or `*` for every host.
fn is_excepted(list: &str, host: &Host, port: u16) -> bool {
    list.split([',', ' ']).filter(|item| !item.is_empty()).any(|item| {
        if item == "*" {
            return true;
        }
        let (item, item_port) = match address::split(item) {
            (item, Some(number)) if number.bytes().all(|byte| byte.is_ascii_digit()) => (item, Some(number)),
            _ => (item, None),
        };
        if item_port.is_some_and(|number| number.parse() != Ok(port)) {
            return false;
        }
        match host {
            Host::Ip(ip) => contains_ip(item, *ip),
            Host::Name(name) => {
                let name = name.trim_end_matches('.').to_ascii_lowercase();
                let item = item.trim_start_matches("*.").trim_matches('.').to_ascii_lowercase();
                name == item || name.strip_suffix(item.as_str()).is_some_and(|rest| rest.ends_with('.'))
            }
        }
    })
}

/// Whether `network`, an address or ADDRESS/BITS, contains `ip`.
fn contains_ip(network: &str, ip: IpAddr) -> bool {
    let (address, bits) = match network.split_once('/') {
        Some((address, bits)) => (address, Some(bits)),
        None => (network, None),
    };
    let address = address.trim_start_matches('[').trim_end_matches(']');
    let Ok(address) = address.parse::<IpAddr>() else { return false };
    let (width, a, b) = match (address, ip) {
        (IpAddr::V4(a), IpAddr::V4(b)) => (32, u128::from(a.to_bits()), u128::from(b.to_bits())),
        (IpAddr::V6(a), IpAddr::V6(b)) => (128, a.to_bits(), b.to_bits()),
        _ => return false,
    };
    match bits.map_or(Ok(width), str::parse::<u32>) {
        Ok(0) => true,
        Ok(bits) if bits <= width => (a ^ b) >> (width - bits) == 0,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(vars: &[(&str, &str)], kind: &str, host: &str) -> Result<Option<Proxy>> {
        Proxy::of(&vars.iter().copied().collect(), kind, &Host::parse(host).unwrap(), 80, Fill::none())
    }

    #[test]
    fn the_environment_names_the_proxy() {
        let vars = [("HTTP_PROXY", "http://upper:1"), ("http_proxy", "u:p@lower:3128/"), ("ALL_PROXY", "http://all:2")];
        let proxy = of(&vars, "http", "api").unwrap().unwrap();
        assert_eq!((proxy.host.to_string().as_str(), proxy.port), ("lower", 3128));
        assert_eq!(proxy.url.expose(), "http://u:p@lower:3128/");
        assert!(!format!("{proxy:?}").contains("u:p"));
        assert_eq!(of(&vars, "https", "api").unwrap().unwrap().host.to_string(), "all");
        for bad in ["socks5://x", "https://x", "http://", "x:port", "u:hunter2/@x", "u:hunter%2@x", "u:hunter2@x@y"] {
            let message = format!("{:#}", of(&[("HTTP_PROXY", bad)], "http", "api").unwrap_err());
            assert!(
                message.starts_with("HTTP_PROXY: ")
                    && message.contains("(expected http://")
                    && !message.contains("hunter"),
                "{message}"
            );
        }
        assert!(format!("{:#}", of(&[], "http", "api").unwrap_err()).contains("http_proxy, HTTP_PROXY"));
    }

    #[test]
    fn no_proxy_lists_hosts_and_networks() {
        for (list, host, excepted) in [
            ("*", "api", true),
            ("api", "api", true),
            (".svc", "api.ns.svc.", true),
            ("svc,other", "api.ns.SVC", true),
            ("*.local", "a.cluster.local", true),
            ("vc", "api.svc", false),
            ("api:80", "api", true),
            ("api:81", "api", false),
            ("10.0.0.0/8, 192.168.1.1", "10.1.2.3", true),
            ("10.0.0.0/8,192.168.1.1", "192.168.1.1", true),
            ("10.0.0.0/8", "11.0.0.1", false),
            ("0.0.0.0/0", "11.0.0.1", true),
            ("10.0.0.0/33", "10.0.0.0", false),
            ("::1", "[::1]", true),
            ("[::1]:80", "[::1]", true),
            ("fd00::/8", "[fd12::1]", true),
            ("fd00::/8", "10.0.0.1", false),
            ("", "api", false),
        ] {
            assert_eq!(is_excepted(list, &Host::parse(host).unwrap(), 80), excepted, "{list} {host}");
        }
    }
}
