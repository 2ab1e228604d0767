//! What people write by mistake instead of a target, and what to write.
//!
//! No message repeats the text: `hunter2@db:5432` has the shape of a target without a kind.

use super::{LEFT_OUT, forms, names};
use crate::text::nearest;

/// What is wrong around a target as a whole, before it is split into parts.
pub(super) fn around(text: &str) -> Option<&'static str> {
    let first = text.chars().next()?;
    Some(match first {
        '\u{feff}' => "found a byte order mark before it: save the text without one (as UTF-8, not as UTF-8 with BOM)",
        '"' | '\'' => {
            "found a quotation mark at the start: here it is a part of the text, so leave it out (a shell and YAML take their own away, docker's --env-file does not)"
        }
        _ if first.is_whitespace() => "found a blank at the start: leave it out",
        _ if text == "waitgate" || text.ends_with("/waitgate") && !text.contains(':') => {
            "found the name of the program: the image starts waitgate already, so leave it out of args"
        }
        _ => return None,
    })
}

/// What is wrong in an address that was written for a shell. `rest` follows the kind's colon.
///
/// In a user and a password these characters may be meant as they are.
pub(super) fn for_a_shell(rest: &str) -> Option<&'static str> {
    let authority = rest.strip_prefix("//").unwrap_or(rest).split(['/', '?']).next().unwrap_or_default();
    let server = authority.rsplit('@').next().unwrap_or_default();
    if server.contains("${") {
        return Some(
            "found '${' in the address: no shell runs here; write $(NAME) to fill in an environment variable, without a default",
        );
    }
    let mut references = server.split("$(").skip(1).map(|after| after.split(')').next().unwrap_or_default());
    references.any(|name| name.contains(char::is_whitespace)).then_some(
        "found $( ) with a command in it: no shell runs here; a Service of the Pod's own namespace is found by its short name",
    )
}

/// What to say about an address without a colon.
pub(super) fn no_colon(address: &str) -> String {
    // The connection strings of libpq, lib/pq, GORM and Npgsql: keywords in the place of a URL.
    let lower = address.to_ascii_lowercase();
    if ["host=", "server=", "dbname=", "database="].iter().any(|keyword| lower.contains(keyword)) {
        return format!("found keywords such as host=…: write a URL in their place (expected {})", forms());
    }
    format!("the kind and its colon are missing (expected {})", forms())
}

/// What to say about a kind that is not in the table. `rest` follows its colon.
pub(super) fn unknown_kind(kind: &str, rest: &str) -> String {
    let forms = forms();
    match kind {
        // `db+postgresql:` is Celery's, `r2dbc:postgresql:` is Java's.
        _ if kind.ends_with("+postgresql")
            || rest.starts_with("postgresql:")
            || rest.starts_with("pool:postgresql:") =>
        {
            return format!(
                "the kind before the first colon is unknown: leave out what comes before postgresql: (expected {forms})"
            );
        }
        "udp" => return format!("no probe can tell whether a UDP port is ready (expected {forms})"),
        _ => {}
    }
    if let Some(feature) = left_out(kind) {
        return format!("this build has no kind {feature}:, a cargo feature left it out (expected {forms})");
    }
    let port = rest.split(['#', '/']).next().unwrap_or_default();
    if !port.is_empty() && port.bytes().all(|b| b.is_ascii_digit()) {
        let host = if kind == "localhost" { "localhost" } else { "HOST" };
        return format!(
            "the kind before the first colon is missing: write tcp:{host}:PORT to wait for the port (expected {forms})"
        );
    }
    match nearest(kind, names(), 1) {
        Some(known) => format!("the kind before the first colon is unknown: did you mean {known}:? (expected {forms})"),
        None if rest.starts_with("//") => format!(
            "the kind before the first colon is unknown: write tcp: before the whole URL to wait for its host and port (expected {forms})"
        ),
        None => format!(
            "the kind before the first colon is unknown (for a server that listens, tcp:HOST:PORT waits for its port) (expected {forms})"
        ),
    }
}

/// The kind that a cargo feature left out of this build, if `kind` means one.
fn left_out(kind: &str) -> Option<&'static str> {
    LEFT_OUT.iter().find(|feature| kind.starts_with(**feature)).copied()
}

/// What to say about the value of the variable `name`, if it is a URL of a server that waitgate has no kind for.
pub(super) fn foreign_url(name: &str, value: &str) -> Option<String> {
    let (scheme, _) = value.split_once("://")?;
    let scheme = scheme.to_ascii_lowercase();
    let is_scheme = scheme.starts_with(|c: char| c.is_ascii_alphabetic())
        && scheme.bytes().all(|b| b.is_ascii_alphanumeric() || b"+-.".contains(&b));
    if !is_scheme || scheme == "udp" || left_out(&scheme).is_some() || nearest(&scheme, names(), 1).is_some() {
        return None;
    }
    let instead = if scheme.ends_with("+srv") {
        "write dns:_SERVICE._tcp.NAME?type=SRV to wait for its record".to_owned()
    } else {
        format!("write tcp:$({name}) to wait for its host and port")
    };
    Some(format!("its value is a URL of a kind that waitgate does not have: {instead} (expected {})", forms()))
}

/// What to say about a JDBC URL of a database that no kind knows. `known` are the words after jdbc: that are known.
pub(super) fn unknown_jdbc<'a>(known: impl Iterator<Item = &'a &'static str>) -> String {
    let forms: Vec<String> = known.map(|name| format!("jdbc:{name}://HOST/DATABASE")).collect();
    if forms.is_empty() {
        return "this build has no kind with a JDBC URL, a cargo feature left it out".to_owned();
    }
    format!(
        "the database of the jdbc: URL is unknown: tcp:HOST:PORT waits for the port of any other (expected {})",
        forms.join(", ")
    )
}

/// Names that people know from other tools, and ours.
const OTHER_NAMES: &[(&str, &str)] = &[
    ("code", "status"),
    ("expect-status", "status"),
    ("status-code", "status"),
    ("statuscode", "status"),
    ("interval", "max-pause"),
    ("pause", "max-pause"),
    ("wait", "timeout"),
    ("regex", "match"),
    ("contains", "body"),
    ("headers", "header"),
    ("count", "min"),
    ("absent", "gone"),
    ("replicaset", "set"),
];

/// What belongs into the address of a database, not after a `#`.
const IN_THE_ADDRESS: &[&str] =
    &["sslmode", "ssl-mode", "sslrootcert", "ssl-ca", "tls", "user", "database", "dbname", "host", "port"];

/// What to say about an expectation, the one at `position`, that the kind does not take: it takes `names`. `text`
/// follows its `#`.
///
/// The message never repeats it: it may be the end of a password that has a raw `#`.
pub(super) fn unknown_expectation(position: usize, name: &str, text: &str, kind: &str, names: &[&str]) -> String {
    let list = names.join(", ");
    // An `@` after a raw `#`: the `#` has cut a password in two.
    if text.contains('@') {
        return format!(
            "found '@' after a '#': in a password '#' is written %23; after the address comes #name=value ({kind}: takes {list})"
        );
    }
    let mode = match kind {
        "postgres" | "postgresql" => "sslmode",
        "mysql" | "mariadb" | "mysql2" => "ssl-mode",
        _ => "",
    };
    if !mode.is_empty() && IN_THE_ADDRESS.contains(&name) {
        return format!(
            "expectation {position} belongs into the address: write {kind}://USER@HOST/DATABASE?{mode}=MODE ({kind}: takes {list})"
        );
    }
    let other = OTHER_NAMES.iter().find(|(other, ours)| *other == name && names.contains(ours));
    let other = other.map(|(_, ours)| *ours);
    // Half of a short word is another word.
    let most = if name.len() <= 4 { 1 } else { 2 };
    match other.or_else(|| nearest(name, names.iter().copied(), most)) {
        Some(known) => {
            format!("expectation {position} is unknown: did you mean #{known}? ({kind}: takes {list})")
        }
        None => format!("expectation {position} is unknown: {kind}: takes {list} (a literal '#' is written %23)"),
    }
}

/// Which of the kind's expectations, with these `names`, comes after a `#` in the value of `env:NAME`. It would not be in
/// force there.
///
/// A `#` in the user or the password of a URL is not meant.
pub(super) fn expectation_in<'a>(address: &str, mut names: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let after_login = match address.split_once("//") {
        Some((_, rest)) => {
            let authority = rest.split(['/', '?']).next().unwrap_or_default();
            authority.rfind('@').map_or(rest, |at| &rest[at + 1..])
        }
        None => address,
    };
    let found = after_login.split('#').skip(1).map(|piece| piece.split('=').next().unwrap_or_default());
    let found: Vec<&str> = found.collect();
    names.find(|name| found.contains(name))
}

/// The login in a URL, as it is written: the user and the password between `//` and the last `@` of the authority.
pub(super) fn login_in(address: &str) -> Option<(&str, &str)> {
    let (_, rest) = address.split_once("//")?;
    let authority = rest.split(['/', '?']).next()?;
    let (login, _) = authority.rsplit_once('@')?;
    Some(login.split_once(':').unwrap_or((login, "")))
}
