//! The URL of a target: waitgate splits the text first, and replaces each `$(NAME)` afterwards.

use std::fmt::Write as _;

use anyhow::{Result, anyhow, bail};
use reqwest::Url;

use crate::env::{self, Fill};
use crate::kind::Parts;
use crate::kind::path::TargetPath;
use crate::net::address::{self, Host};
use crate::secret::{Form, HIDDEN, Secret};
use crate::text::printable;

/// The kind for HTTP over a unix socket.
pub(super) const UNIX: &str = "http+unix";

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
    /// With `http+unix:`, the socket. Then the host is localhost.
    pub(super) socket: Option<TargetPath>,
    /// For the request: without userinfo, and without the dot that ends a full name.
    pub(super) url: Url,
    pub(super) login: Option<Login>,
    /// For the log, without secrets.
    pub(super) shown: String,
}

impl Location {
    pub(super) fn parse(parts: &Parts<'_>) -> Result<Self> {
        let kind = parts.kind;
        if kind == UNIX {
            return Self::on_a_socket(parts);
        }
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
        // The same after an '@' in the password: what follows it would be shown as the host.
        if userinfo.is_some() && path_and_query.contains('@') {
            bail!(
                "found an '@' after the login and the host: in a password '@' is written %40, '/' %2F and '?' %3F, and in a path or a query '@' is written %40 (expected {form})"
            );
        }
        let port_text = port.map(|port| format!(":{port}")).unwrap_or_default();
        let origin = format!("{kind}://{}{port_text}", wire_name(&host));
        let url = url(&origin, path_and_query, parts.fill).map_err(in_form)?;
        let mut shown = format!("{kind}://");
        if login.is_some() {
            shown.push_str(HIDDEN);
            shown.push('@');
        }
        let _ = write!(shown, "{host}{port_text}");
        shown.push_str(&shown_path(path_and_query, parts.fill));
        Ok(Self { host, socket: None, url, login, shown })
    }

    /// Parses `/PATH.sock:/PATH`, or `//%2FPATH.sock/PATH` as Docker's clients write it.
    fn on_a_socket(parts: &Parts<'_>) -> Result<Self> {
        const FORM: &str = "expected http+unix:/PATH.sock:/PATH";
        let in_form = |error: anyhow::Error| anyhow!("{error:#} ({FORM})");
        let rest = parts.address;
        let authority = rest.strip_prefix("//").filter(|rest| !rest.starts_with('/'));
        let (raw, path_and_query) = if let Some(rest) = authority {
            rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()))
        } else {
            let rest = rest.strip_prefix("//").unwrap_or(rest);
            rest.split_once(":/").map_or((rest, ""), |(path, _)| (path, &rest[path.len() + 1..]))
        };
        if authority.is_some() && !env::refers(raw) && !raw.starts_with('%') {
            bail!("found a host where the path of a socket should be ({FORM})");
        }
        let socket = TargetPath::socket(raw, parts.fill, FORM)?;
        let url = url("http://localhost", path_and_query, parts.fill).map_err(in_form)?;
        let shown = format!("{UNIX}:{}:{}", socket.name, shown_path(path_and_query, parts.fill));
        let shown = shown.strip_suffix(':').map(str::to_owned).unwrap_or(shown);
        Ok(Self { host: Host::Name("localhost".to_owned()), socket: Some(socket), url, login: None, shown })
    }
}

/// The URL of an origin, such as `http://db:80`, with a path and a query as they are written in the target.
fn url(origin: &str, path_and_query: &str, fill: Fill<'_>) -> Result<Url> {
    let (raw_path, raw_query) = parted(path_and_query);
    note_path(raw_path, raw_query, fill);
    let mut text = format!("{origin}{}", encoded(raw_path, fill, true)?);
    if let Some(raw) = raw_query {
        text.push('?');
        text.push_str(&encoded(raw, fill, false)?);
    }
    // The message shows neither the text nor the parser's error: the query may hold a token.
    Url::parse(&text).map_err(|_| anyhow!("this is not a URL: check the characters of the host and the path"))
}

/// The path, and the query if there is one.
fn parted(path_and_query: &str) -> (&str, Option<&str>) {
    path_and_query.split_once('?').map_or((path_and_query, None), |(path, query)| (path, Some(query)))
}

/// The path and the query for the log.
fn shown_path(path_and_query: &str, fill: Fill<'_>) -> String {
    if fill.is_none() {
        // The whole URL came out of a variable.
        return if matches!(path_and_query, "" | "/") { String::new() } else { format!("/{HIDDEN}") };
    }
    let (path, query) = parted(path_and_query);
    let query = query.map(|raw| format!("?{}", printable(&shown_query(raw)))).unwrap_or_default();
    format!("{}{query}", printable(path))
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
