//! The host and the port of a target that has nothing else: `HOST:PORT`, or a URL that an application has, of which only
//! these two count.

use anyhow::{Context as _, Result, bail};

use super::{Parts, note_login, slips};
use crate::env::{self, Fill};
use crate::net::address::{self, Host};
use crate::text::InForm as _;

/// The ports of URLs that name none, as their clients have them (IANA's registry of service names; NATS, Kafka and MongoDB
/// by their documentation).
const PORTS: &[(&str, u16)] = &[
    ("amqp", 5672),
    ("amqps", 5671),
    ("http", 80),
    ("https", 443),
    ("kafka", 9092),
    ("kafkas", 9092),
    ("ldap", 389),
    ("ldaps", 636),
    ("mariadb", 3306),
    ("mongodb", 27017),
    ("mqtt", 1883),
    ("mqtts", 8883),
    ("mysql", 3306),
    ("nats", 4222),
    ("postgres", 5432),
    ("postgresql", 5432),
    ("redis", 6379),
    ("rediss", 6379),
    ("smtp", 25),
    ("smtps", 465),
    ("sqlserver", 1433),
    ("valkey", 6379),
    ("ws", 80),
    ("wss", 443),
];

/// Parses `HOST:PORT`, `//HOST:PORT`, a URL, or `$(NAME)` with one of them in it. `form` is the expected form.
pub(super) fn parse(parts: &Parts<'_>, form: &str) -> Result<(Host, u16)> {
    let (raw, fill) = (parts.address, parts.fill);
    let Some(name) = only_reference(raw.strip_prefix("//").unwrap_or(raw)) else {
        return endpoint(raw, form, fill);
    };
    let value = fill.plain(name).in_form(&format!("expected {form}"))?;
    let value = value.trim_end_matches(['\r', '\n']);
    if let Some(slip) = slips::around(value) {
        bail!("{name}: its value: {slip} (expected {form})");
    }
    if value.contains(|c: char| c.is_whitespace() || c.is_control()) {
        bail!("{name}: found a blank or a line break in its value: it must hold one address (expected {form})");
    }
    let fill = Fill::none().sharing(fill);
    note_login(value, fill);
    endpoint(value, form, fill).with_context(|| name.to_owned())
}

/// `raw` if it is one `$(NAME)` and nothing else.
pub(super) fn only_reference(raw: &str) -> Option<&str> {
    let inner = raw.strip_prefix("$(")?.strip_suffix(')')?;
    env::is_name(inner).then_some(raw)
}

fn endpoint(raw: &str, form: &str, fill: Fill<'_>) -> Result<(Host, u16)> {
    let raw = raw.strip_prefix("jdbc:").unwrap_or(raw);
    match raw.split_once("://") {
        // A scheme has no colon. HOST:tcp://… is a service link in the place of a port.
        Some((scheme, rest)) if !scheme.is_empty() && !scheme.contains([':', '/', '$']) => {
            url(scheme, rest, form, fill)
        }
        _ => {
            let raw = raw.strip_prefix("//").unwrap_or(raw);
            if raw.contains('@') {
                bail!("found '@': without a URL's scheme, it takes no user and no password (expected {form})");
            }
            if let Some((server, path)) = raw.split_once('/')
                && !path.is_empty()
                && address::split(server).1.is_some_and(|port| port.parse::<u16>().is_ok())
            {
                bail!("found a path after the port: this kind asks for none (expected {form})");
            }
            address::host_port(raw.strip_suffix('/').unwrap_or(raw), form, fill)
        }
    }
}

/// The host and the port of a URL. All else in it is left aside.
fn url(scheme: &str, rest: &str, form: &str, fill: Fill<'_>) -> Result<(Host, u16)> {
    let expected = format!("expected {form}, or a URL with one host");
    let scheme = scheme.to_ascii_lowercase();
    if scheme.ends_with("+srv") {
        bail!("a {scheme}: URL names a DNS record, and no host and port: wait for dns:NAME?type=SRV ({expected})");
    }
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    // A raw '/', '?' or '#' ends the authority. A second '@' after it, or one in the path, shows that it belongs to a
    // password, whose rest would be shown as the host.
    let tail = &rest[authority.len()..];
    let in_path = tail.split(['?', '#']).next().is_some_and(|path| path.contains('@'));
    if in_path || authority.contains('@') && tail.contains('@') {
        bail!(
            "found '@' after '/', '?' or '#': in a user and a password these are written %40, %2F, %3F and %23 ({expected})"
        );
    }
    let (_, server) = address::userinfo(authority).in_form(&expected)?;
    // SQL Server's parameters follow a semicolon.
    let server = server.split(';').next().unwrap_or_default();
    if server.contains(',') {
        bail!("found several hosts in the URL: give each its own target ({expected})");
    }
    let (host, number) = address::split(server);
    if let Some(number) = number.filter(|number| !number.is_empty()) {
        return address::host_port(&format!("{host}:{number}"), form, fill);
    }
    let bare = scheme.split('+').next().unwrap_or_default();
    let Some((_, port)) = PORTS.iter().find(|(known, _)| *known == bare) else {
        bail!("the URL has no port, and the port of its scheme is not known ({expected})");
    };
    address::host_port(&format!("{host}:{port}"), form, fill)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::env::Env;
    use crate::kind::{Given, Target};

    const ENV: &[(&str, &str)] = &[
        ("ADDR", "db:5432"),
        ("NATS", "nats://app:hunter2@nats:4222/x?tls=1#y"),
        ("REDIS_PORT", "tcp://10.0.0.1:6379"),
        ("V6", "[fd00::1]:80\n"),
        ("JDBC", "jdbc:postgresql://db/shop?user=app"),
        ("MSSQL", "jdbc:sqlserver://db;databaseName=hunter2"),
        ("MANY", "mongodb://a:1,b:2/x"),
        ("SRV", "mongodb+srv://cluster.example"),
        ("HOST", "db"),
        ("SLASH", "nats://u:x@hunter2/y@h:4222"),
        ("MARK", "nats://u:x@hunter2?y@h:4222"),
        ("ODD", "odd://host/"),
        ("QUOTED", "\"db:5432\""),
        ("LINES", "a:1\nb:2"),
        ("PW", "redis://:hunter2@db/hunter2"),
    ];

    fn parse(text: &str) -> Result<String> {
        let env: Env = ENV.iter().copied().collect();
        Target::parse(text, Given { env: &env, ca_file: false }).map(|(target, _)| target.to_string())
    }

    #[test]
    fn host_and_port_count_and_nothing_else_is_shown() {
        for (text, shown) in [
            ("tcp:$(ADDR)", "tcp:db:5432"),
            ("tcp://$(ADDR)", "tcp:db:5432"),
            ("tcp:$(NATS)", "tcp:nats:4222"),
            ("tcp:$(REDIS_PORT)#hold=0", "tcp:10.0.0.1:6379#hold=0"),
            ("tcp:$(V6)", "tcp:[fd00::1]:80"),
            ("tcp:$(JDBC)", "tcp:db:5432"),
            ("tcp:$(MSSQL)", "tcp:db:1433"),
            ("tcp:$(PW)", "tcp:db:6379"),
            ("tcp:nats://u:p@nats:4222/x", "tcp:nats:4222"),
            ("tcp:amqp+ssl://$(HOST):1/", "tcp:db:1"),
            ("tcp:https://[::1]/x", "tcp:[::1]:443"),
            ("tcp:$(HOST):80", "tcp:db:80"),
            ("tcp:tcp://10.0.0.1:6379", "tcp:10.0.0.1:6379"),
        ] {
            assert_eq!(parse(text).unwrap(), shown, "{text}");
        }
    }

    #[test]
    fn what_has_no_host_and_port_is_an_error_without_the_value() {
        for (text, words) in [
            ("tcp:$(HOST)", "$(HOST): the port is missing"),
            ("tcp:$(MANY)", "$(MANY): found several hosts"),
            ("tcp:$(SRV)", "dns:NAME?type=SRV"),
            ("tcp:$(ODD)", "$(ODD): the URL has no port"),
            ("tcp:$(QUOTED)", "$(QUOTED): its value: found a quotation mark"),
            ("tcp:$(LINES)", "$(LINES): found a blank or a line break"),
            ("tcp:$(UNSET)", "$(UNSET) is not set"),
            ("tcp:db:tcp://10.0.0.1:5432", "NAME_SERVICE_PORT"),
            ("tcp:u@h:1", "found '@'"),
            ("tcp:redis://a@b@h:1", "more than one '@'"),
            ("tcp:$(SLASH)", "found '@' after '/'"),
            ("tcp:$(MARK)", "found '@' after '/'"),
        ] {
            let message = format!("{:#}", parse(text).unwrap_err());
            assert!(message.contains(words) && !message.contains("hunter2"), "{text}: {message}");
        }
    }
}
