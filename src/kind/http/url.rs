//! The URL of a target: waitgate splits the text first, and replaces each `$(NAME)` afterwards.

use std::fmt::Write as _;

use anyhow::{Result, anyhow, bail};
use reqwest::Url;

use crate::env::{self, Fill};
use crate::kind::Parts;
use crate::net::address::{self, Host};
use crate::secret::{Form, HIDDEN, Secret};
use crate::text::printable;

/// A user and a password, for Basic authentication.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Login {
    pub(super) user: Secret,
    pub(super) password: Option<Secret>,
}

/// Where the request goes.
pub(super) struct Location {
    /// For the resolver: the name as written in the target.
    pub(super) host: Host,
    /// For the request: without userinfo, and without the dot that ends a full name.
    pub(super) url: Url,
    pub(super) login: Option<Login>,
    /// For the log, without secrets.
    pub(super) shown: String,
}

impl Location {
    pub(super) fn parse(parts: &Parts<'_>) -> Result<Self> {
        let kind = parts.kind;
        let form = format!("{kind}://HOST[:PORT]/PATH");
        let in_form = |error: anyhow::Error| anyhow!("{error:#} (expected {form})");
        let Some(rest) = parts.address.strip_prefix("//") else {
            bail!("the two slashes after {kind}: are missing (expected {form})");
        };
        address::refuse_service_link(rest).map_err(in_form)?;
        let path_at = rest.find(['/', '?']).unwrap_or(rest.len());
        let (authority, path_and_query) = rest.split_at(path_at);
        let (userinfo, server) = address::userinfo(authority).map_err(in_form)?;

        let login = userinfo.map(|userinfo| login(userinfo, parts.fill)).transpose().map_err(in_form)?;
        let (raw_host, raw_port) = address::split(server);
        if raw_port.is_none() && raw_host.contains(':') && !raw_host.starts_with('[') {
            bail!("an IPv6 address needs brackets, as in {kind}://[::1]:8080/ (expected {form})");
        }
        let fill = |raw| parts.fill.plain(raw).map_err(in_form);
        let host = address::host(raw_host, parts.fill).map_err(in_form)?;
        let port = match raw_port {
            Some(raw) => Some(address::port(&fill(raw)?).map_err(in_form)?),
            None => None,
        };

        // A '/' in a password ends the authority early: the digits before it then pass for a port.
        if userinfo.is_none()
            && raw_port.is_some()
            && path_and_query.split('?').next().unwrap_or_default().contains('@')
        {
            bail!(
                "found a '@' in the path, after a port: in a password '/' is written %2F, and in a path '@' is written %40 (expected {form})"
            );
        }
        let (raw_path, raw_query) = match path_and_query.split_once('?') {
            Some((path, query)) => (path, Some(query)),
            None => (path_and_query, None),
        };
        note_path(raw_path, raw_query, parts.fill);
        let port_text = port.map(|port| format!(":{port}")).unwrap_or_default();
        let mut text = format!("{kind}://{}{port_text}", wire_name(&host));
        text.push_str(&encoded(raw_path, parts.fill, true).map_err(in_form)?);
        if let Some(raw) = raw_query {
            text.push('?');
            text.push_str(&encoded(raw, parts.fill, false).map_err(in_form)?);
        }
        // The message shows neither the text nor the parser's error: the query may hold a token.
        let Ok(url) = Url::parse(&text) else {
            bail!("this is not a URL: check the characters of the host and the path (expected {form})");
        };

        let mut shown = format!("{kind}://");
        if login.is_some() {
            shown.push_str(HIDDEN);
            shown.push('@');
        }
        let _ = write!(shown, "{host}{port_text}");
        if parts.fill.is_none() {
            // The whole URL came out of a variable.
            if !matches!(path_and_query, "" | "/") {
                shown.push('/');
                shown.push_str(HIDDEN);
            }
        } else {
            shown.push_str(&printable(raw_path));
            if let Some(raw) = raw_query {
                shown.push('?');
                shown.push_str(&printable(&shown_query(raw)));
            }
        }
        Ok(Self { host, url, login, shown })
    }
}

/// The name without the dot that ends a full name. Servers compare the Host header, and clients a certificate's names,
/// with the form without the dot.
fn wire_name(host: &Host) -> String {
    let text = host.to_string();
    text.strip_suffix('.').map(str::to_owned).unwrap_or(text)
}

fn login(raw: &str, fill: Fill<'_>) -> Result<Login> {
    let (user, password) = match raw.split_once(':') {
        Some((user, password)) => (user, Some(password)),
        None => (raw, None),
    };
    let user = fill.decoded(user)?;
    // RFC 7617 section 2: the first colon ends the user.
    if user.contains(':') {
        bail!("found a ':' in the user, which ends it: write http://$(USER):$(PASSWORD)@HOST, one variable for each");
    }
    let password = password.map(|raw| fill.decoded(raw)).transpose()?;
    Ok(Login { user: Secret::new(user), password: password.map(Secret::new) })
}

/// A path or a query. The text of the target is a URL's text and stays; the value of each `$(NAME)` is encoded.
///
/// A slash in the value stays a slash in a path, so a variable can hold a base path.
fn encoded(raw: &str, fill: Fill<'_>, path: bool) -> Result<String> {
    let literal = |text: &str| {
        if text.chars().any(char::is_control) {
            bail!("found a control character: write it percent-encoded");
        }
        let mut rest = text.as_bytes();
        while let Some(at) = rest.iter().position(|b| *b == b'%') {
            if !matches!(rest.get(at + 1..at + 3), Some(digits) if digits.iter().all(u8::is_ascii_hexdigit)) {
                bail!("found a '%' without two hex digits: write %25 for a literal '%'");
            }
            rest = &rest[at + 3..];
        }
        Ok(text.to_owned())
    };
    fill.with(raw, literal, |value| percent_encode(value, path))
}

/// Encodes everything except the unreserved characters (RFC 3986 section 2.3).
fn percent_encode(text: &str, slashes_stay: bool) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) || (slashes_stay && byte == b'/') {
            out.push(char::from(byte));
        } else {
            let _ = write!(out, "%{byte:02X}");
        }
    }
    out
}

/// Notes what the log hides of the path and the query: the values of the query, and the path too if the URL came out of a
/// variable. The values of `$(NAME)` are noted already. A literal value of one to three bytes is a number or a flag.
fn note_path(path: &str, query: Option<&str>, fill: Fill<'_>) {
    let note = |written: &str| {
        if !env::refers(written) || fill.is_none() {
            fill.note(written);
            fill.note(&env::percent_decode(written).unwrap_or_default());
        }
    };
    if fill.is_none() {
        note(path.trim_matches('/'));
        path.split('/').for_each(|step| fill.note_as(Form::Word, step));
    }
    for piece in query.unwrap_or_default().split('&') {
        let value = piece.split_once('=').map_or(piece, |(_, value)| value);
        if fill.is_none() || value.len() > 3 {
            note(value);
        }
    }
}

/// The names in the query. A value, or a piece without a name, may be a token: it is hidden.
fn shown_query(raw: &str) -> String {
    let pieces = raw.split('&').map(|piece| match piece.split_once('=') {
        Some((name, _)) if !env::refers(name) => format!("{name}={HIDDEN}"),
        None if piece.is_empty() => String::new(),
        _ => HIDDEN.to_owned(),
    });
    pieces.collect::<Vec<_>>().join("&")
}
