//! The request: the method, the headers and the data. waitgate reads the files among them again for each attempt.

use anyhow::{Result, bail};
use bytes::Bytes;
use reqwest::header::{
    AUTHORIZATION, CONNECTION, CONTENT_LENGTH, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, TE, TRAILER,
    TRANSFER_ENCODING, UPGRADE,
};
use reqwest::{Method, Url};

use super::exchange::{self, Outgoing};
use super::proxy::Proxy;
use super::tls;
use super::url::{Location, Login};
use crate::attempt::Attempt;
use crate::kind::Parts;
use crate::kind::header::Header;
use crate::kind::path::{NamedFile, TargetPath, after_at};
use crate::kind::tls_options::TlsOptions;
use crate::net::Net;
use crate::reason::Reason;
use crate::secret::{Form, Secret};

/// The request as the target describes it. An attempt reads its files and sends an [`Outgoing`].
#[derive(Clone)]
pub(super) struct Request {
    url: Url,
    login: Option<Login>,
    method: Method,
    headers: Vec<Header>,
    data: Option<Data>,
    tls: TlsOptions,
    proxy: Option<Proxy>,
    socket: Option<TargetPath>,
}

/// Where the data comes from.
#[derive(Clone)]
enum Data {
    Given(Bytes),
    File(NamedFile),
}

impl Request {
    pub(super) fn parse(parts: &Parts<'_>, location: Location) -> Result<Self> {
        let Location { url, login, socket, .. } = location;
        let Parts { expectations, fill, .. } = parts;
        let mut headers = Header::all(expectations, *fill, &set_by_waitgate)?;
        let is_authorization = |header: &Header| header.name == AUTHORIZATION;
        if login.is_some() && headers.iter().any(is_authorization) {
            bail!("#header: Authorization is given, and a user in the URL too: give one of them");
        }
        if let Some((text, written)) = expectations.written("bearer").next() {
            let Some((path, written)) = after_at(text, written) else {
                bail!(
                    "#bearer: the '@' is missing (expected @FILE; a token itself is #header=Authorization:Bearer TOKEN)"
                );
            };
            let file = NamedFile::new(path, written).map_err(|error| error.context("#bearer"))?;
            if login.is_some() || headers.iter().any(is_authorization) {
                bail!("#bearer: a user in the URL or #header=Authorization is given too: give one of them");
            }
            headers.push(Header::bearer(file));
        }
        let data = match expectations.written("data").next() {
            None => None,
            Some((text, written)) => Some(match after_at(text, written) {
                Some(("", _)) => bail!("#data: found '@' alone (expected TEXT or @FILE)"),
                Some((path, written)) => {
                    let file = NamedFile::new(path, written).map_err(|error| error.context("#data"))?;
                    Data::File(file)
                }
                None => {
                    fill.note_as(Form::Text, text);
                    Data::Given(Bytes::copy_from_slice(text.as_bytes()))
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
        for header in &self.headers {
            headers.append(&header.name, header.read(attempt)?);
        }
        let data = match &self.data {
            None => None,
            Some(Data::Given(data)) => Some(data.clone()),
            Some(Data::File(file)) => {
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

/// Why a target may not give a header of this name.
fn set_by_waitgate(name: &HeaderName) -> Option<String> {
    let own = [CONNECTION, CONTENT_LENGTH, TE, TRAILER, TRANSFER_ENCODING, UPGRADE];
    own.contains(name).then(|| format!("waitgate sets {name} itself"))
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
