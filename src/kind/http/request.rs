//! The request: the method, the headers and the data. waitgate reads the files among them again for each attempt.

use anyhow::{Result, bail};
use bytes::Bytes;
use reqwest::header::{
    ACCEPT, ACCEPT_CHARSET, ACCEPT_LANGUAGE, AUTHORIZATION, CONNECTION, CONTENT_LENGTH, CONTENT_TYPE, HOST, HeaderMap,
    HeaderName, HeaderValue, TE, TRAILER, TRANSFER_ENCODING, UPGRADE, USER_AGENT,
};
use reqwest::{Method, Url};

use super::exchange::{self, Outgoing};
use super::proxy::Proxy;
use super::tls;
use super::url::{Location, Login};
use crate::attempt::Attempt;
use crate::env;
use crate::kind::Parts;
use crate::kind::path::{NamedFile, TargetPath, after_at};
use crate::kind::tls_options::TlsOptions;
use crate::net::Net;
use crate::reason::{Code, Reason};
use crate::secret::{Form, Secret};

/// The request as the target describes it. An attempt reads its files and sends an [`Outgoing`].
#[derive(Clone)]
pub(super) struct Request {
    url: Url,
    login: Option<Login>,
    method: Method,
    headers: Vec<(HeaderName, Source<HeaderValue>)>,
    data: Option<Source<Bytes>>,
    tls: TlsOptions,
    proxy: Option<Proxy>,
    socket: Option<TargetPath>,
}

/// Where a header's value or the data comes from.
#[derive(Clone)]
enum Source<T> {
    Given(T),
    /// A file, and the text before its content, such as "Bearer ".
    File(NamedFile, String),
}

impl Request {
    pub(super) fn parse(parts: &Parts<'_>, location: Location) -> Result<Self> {
        let Location { url, login, socket, .. } = location;
        let Parts { expectations, fill, .. } = parts;
        let mut headers: Vec<(HeaderName, Source<HeaderValue>)> = Vec::new();
        for (text, written) in expectations.written("header") {
            let (name, value) = header(text, written).map_err(|error| error.context("#header"))?;
            if name == HOST && headers.iter().any(|(name, _)| name == HOST) {
                bail!("#header: Host is given twice: give it once");
            }
            if name == AUTHORIZATION && login.is_some() {
                bail!("#header: Authorization is given, and a user in the URL too: give one of them");
            }
            if let Source::Given(value) = &value
                && !is_public(&name)
            {
                let value = String::from_utf8_lossy(value.as_bytes());
                fill.note(&value);
                fill.note_as(Form::Text, credential(&value));
            }
            headers.push((name, value));
        }
        if let Some((text, written)) = expectations.written("bearer").next() {
            let Some((path, written)) = after_at(text, written) else {
                bail!(
                    "#bearer: the '@' is missing (expected @FILE; a token itself is #header=Authorization:Bearer TOKEN)"
                );
            };
            let file = NamedFile::new(path, written).map_err(|error| error.context("#bearer"))?;
            if login.is_some() || headers.iter().any(|(name, _)| name == AUTHORIZATION) {
                bail!("#bearer: a user in the URL or #header=Authorization is given too: give one of them");
            }
            headers.push((AUTHORIZATION, Source::File(file, "Bearer ".to_owned())));
        }
        let data = match expectations.written("data").next() {
            None => None,
            Some((text, written)) => Some(match after_at(text, written) {
                Some(("", _)) => bail!("#data: found '@' alone (expected TEXT or @FILE)"),
                Some((path, written)) => {
                    let file = NamedFile::new(path, written).map_err(|error| error.context("#data"))?;
                    Source::File(file, String::new())
                }
                None => {
                    fill.note_as(Form::Text, text);
                    Source::Given(Bytes::copy_from_slice(text.as_bytes()))
                }
            }),
        };
        let method = match expectations.get("method") {
            Some(text) => method(text).map_err(|error| error.context("#method"))?,
            None if data.is_some() => Method::POST,
            None => Method::GET,
        };
        if let Some(given) = TlsOptions::given(expectations).filter(|_| parts.kind != "https") {
            bail!("#{given}: {}: does not speak TLS (expected https://HOST[:PORT]/PATH)", parts.kind);
        }
        let tls = TlsOptions::parse(expectations)?;
        Ok(Self { url, login, method, headers, data, tls, proxy: None, socket })
    }

    pub(super) fn url(&self) -> &Url {
        &self.url
    }

    pub(super) fn port(&self) -> u16 {
        exchange::port(&self.url)
    }

    /// Sends the request through `proxy`, if there is one.
    pub(super) fn via(&mut self, proxy: Option<Proxy>) {
        self.proxy = proxy;
    }

    /// The unix socket of an `http+unix:` target.
    pub(super) fn socket(&self) -> Option<&TargetPath> {
        self.socket.as_ref()
    }

    pub(super) fn is_insecure(&self) -> bool {
        self.tls.is_insecure()
    }

    /// What one attempt sends: this request, with the files as they are now.
    pub(super) fn read(&self, net: &Net, attempt: &Attempt) -> Result<Outgoing, Reason> {
        let mut headers = HeaderMap::new();
        for (name, source) in &self.headers {
            let value = match source {
                Source::Given(value) => value.clone(),
                Source::File(file, word) => {
                    let value = header_in(file, word, name)?;
                    let text = String::from_utf8_lossy(value.as_bytes());
                    attempt.hide_as(Form::Text, &Secret::new(text.strip_prefix(word.as_str()).unwrap_or(&text)));
                    value
                }
            };
            headers.append(name, value);
        }
        let data = match &self.data {
            None => None,
            Some(Source::Given(data)) => Some(data.clone()),
            Some(Source::File(file, _)) => {
                let data = file.read(&format!("#data=@{}", file.written))?;
                attempt.hide_as(Form::Text, &Secret::new(String::from_utf8_lossy(&data)));
                Some(Bytes::from(data))
            }
        };
        if let Some(data) = &data
            && !headers.contains_key(CONTENT_TYPE)
        {
            headers.insert(CONTENT_TYPE, content_type(data));
        }
        for (name, value) in &exchange::own_headers() {
            headers.entry(name).or_insert_with(|| value.clone());
        }
        // hyper leaves the header out if there is no data, and some servers then answer 411.
        let empty = data.as_ref().is_none_or(Bytes::is_empty);
        if empty && [Method::POST, Method::PUT, Method::PATCH].contains(&self.method) {
            headers.insert(CONTENT_LENGTH, HeaderValue::from_static("0"));
        }
        Ok(Outgoing {
            url: self.url.clone(),
            login: self.login.clone(),
            method: self.method.clone(),
            headers,
            data,
            tls: tls::Config::read(&self.tls, net)?,
            proxy: self.proxy.clone(),
            socket: self.socket.clone(),
            after: None,
            stripped: false,
        })
    }
}

/// Whether the header never carries a credential: servers repeat its value in ordinary words.
fn is_public(name: &HeaderName) -> bool {
    [ACCEPT, ACCEPT_CHARSET, ACCEPT_LANGUAGE, CONTENT_TYPE, HOST, USER_AGENT].contains(name)
}

/// The credential in a header's value: what follows the one word before it, as in "Bearer TOKEN".
fn credential(value: &str) -> &str {
    value.split_once(' ').map_or(value, |(_, credential)| credential)
}

/// A header's value that a file holds, after `word`. A line break at the file's end is not part of the value.
fn header_in(file: &NamedFile, word: &str, name: &HeaderName) -> Result<HeaderValue, Reason> {
    let what = format!("#header={name}:{word}@{}", file.written);
    let content = file.read(&what)?;
    let unusable = |why: &str| Reason::new(Code::LocalFile, format!("{what} cannot be used: {why}")).with_key(why);
    let end = content.iter().rposition(|byte| !matches!(byte, b'\r' | b'\n')).map_or(0, |last| last + 1);
    let Some(value) = content.get(..end).filter(|value| !value.is_empty()) else {
        return Err(unusable("it is empty"));
    };
    match HeaderValue::from_bytes(&[word.as_bytes(), value].concat()) {
        Ok(mut value) => {
            value.set_sensitive(true);
            Ok(value)
        }
        Err(_) => Err(unusable("it holds a line break or another control character")),
    }
}

fn header(text: &str, written: &str) -> Result<(HeaderName, Source<HeaderValue>)> {
    const FORM: &str = "expected NAME:VALUE, NAME:@FILE or NAME:WORD @FILE, such as Host:example.org";
    let Some((name, value)) = text.split_once(':') else {
        bail!("the colon is missing ({FORM})");
    };
    let Ok(name) = HeaderName::from_bytes(name.as_bytes()) else {
        bail!("a header's name has letters, digits and '-', and no blank before the colon ({FORM})");
    };
    if [CONNECTION, CONTENT_LENGTH, TE, TRAILER, TRANSFER_ENCODING, UPGRADE].contains(&name) {
        bail!("waitgate sets {name} itself ({FORM})");
    }
    let unpadded = |value| -> &str { str::strip_prefix(value, ' ').unwrap_or(value) };
    let value = unpadded(value);
    let written = unpadded(written.split_once(':').map_or("", |(_, value)| value));
    // One word may come before the file, as in "Bearer @FILE".
    let word = written.split_once(" @").map_or("", |(word, _)| word);
    let word = if word.contains(char::is_whitespace) || env::refers(word) { "" } else { word };
    let after = |text| {
        let rest = str::strip_prefix(text, word)?;
        if word.is_empty() { Some(rest) } else { rest.strip_prefix(' ') }
    };
    if let (Some(value), Some(written)) = (after(value), after(written))
        && let Some((path, written)) = after_at(value, written)
    {
        if path.is_empty() {
            bail!("the file's path is missing after the '@' of {name} ({FORM})");
        }
        let word = if word.is_empty() { String::new() } else { format!("{word} ") };
        return Ok((name, Source::File(NamedFile::new(path, written)?, word)));
    }
    if value.contains(['\r', '\n']) {
        bail!(
            "the value of {name} holds a line break; if it comes from a Secret, the Secret's value ends with one ({FORM})"
        );
    }
    let Ok(mut value) = HeaderValue::from_bytes(value.as_bytes()) else {
        bail!("the value of {name} holds a control character ({FORM})");
    };
    value.set_sensitive(true);
    Ok((name, Source::Given(value)))
}

fn method(text: &str) -> Result<Method> {
    const FORM: &str = "expected a method such as GET, HEAD or POST";
    let Ok(method) = Method::from_bytes(text.as_bytes()) else {
        bail!("a method is one word of letters ({FORM})");
    };
    if method == Method::CONNECT {
        bail!("CONNECT asks a proxy for a tunnel, so there is no answer to check ({FORM})");
    }
    let upper = text.to_ascii_uppercase();
    if upper != text && ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE"].contains(&upper.as_str())
    {
        bail!("a method is upper case: write {upper} ({FORM})");
    }
    Ok(method)
}

/// A guess, if the target sets no Content-Type: an object or an array is JSON, other data is a form.
fn content_type(data: &[u8]) -> HeaderValue {
    let trimmed = data.trim_ascii();
    let json = matches!((trimmed.first(), trimmed.last()), (Some(b'{'), Some(b'}')) | (Some(b'['), Some(b']')));
    HeaderValue::from_static(if json { "application/json" } else { "application/x-www-form-urlencoded" })
}
