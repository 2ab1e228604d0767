//! One request: what is sent, over which connection, and what came back.

use std::cell::Cell;
use std::future::{Future, poll_fn};
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};

use anyhow::{Result, bail};
use bytes::Bytes;
use futures_util::future::{MaybeDone, maybe_done};
use reqwest::header::{
    AUTHORIZATION, CONNECTION, CONTENT_LENGTH, CONTENT_TYPE, HOST, HeaderMap, HeaderName, HeaderValue, TE, TRAILER,
    TRANSFER_ENCODING, UPGRADE, USER_AGENT,
};
use reqwest::{Client, Method, Response, Url, redirect, retry};
use tokio::time;
use tower_layer::Layer;
use tower_service::Service;

use super::failure;
use super::url::Login;
use crate::net::Net;
use crate::net::connect::{self, race};
use crate::reason::{Code, Hint, Reason, Stage};
use crate::target::address::Host;
use crate::target::expect::Expectations;
use crate::trail::Trail;

/// More headers than this are refused; hyper bounds their bytes.
const HEADERS: usize = 100;

/// What is sent, on every attempt anew.
#[derive(Clone)]
pub(super) struct Request {
    url: Url,
    login: Option<Login>,
    method: Method,
    headers: HeaderMap,
    data: Option<Bytes>,
}

/// What came back: the head, and the body as long as nobody asks for it still on its way.
pub(super) struct Answer {
    pub(super) response: Response,
    pub(super) address: SocketAddr,
}

impl Request {
    pub(super) fn parse(url: Url, login: Option<Login>, expectations: &Expectations) -> Result<Self> {
        let mut headers = HeaderMap::new();
        for text in expectations.all("header") {
            let (name, value) = header(text).map_err(|error| error.context("#header"))?;
            if name == HOST && headers.contains_key(HOST) {
                bail!("#header: Host is given twice: give it once");
            }
            headers.append(name, value);
        }
        if login.is_some() && headers.contains_key(AUTHORIZATION) {
            bail!("#header: Authorization is given, and a user in the URL too: give one of them");
        }
        let data = expectations.get("data").map(|text| Bytes::copy_from_slice(text.as_bytes()));
        if let Some(data) = &data
            && !headers.contains_key(CONTENT_TYPE)
        {
            headers.insert(CONTENT_TYPE, content_type(data));
        }
        headers.entry(USER_AGENT).or_insert(HeaderValue::from_static(concat!("waitgate/", env!("CARGO_PKG_VERSION"))));
        headers.insert(CONNECTION, HeaderValue::from_static("close"));
        let method = match expectations.get("method") {
            Some(text) => method(text).map_err(|error| error.context("#method"))?,
            None if data.is_some() => Method::POST,
            None => Method::GET,
        };
        // hyper leaves it out where there is nothing to send, and some servers then answer 411.
        if data.as_ref().is_none_or(Bytes::is_empty) && [Method::POST, Method::PUT, Method::PATCH].contains(&method) {
            headers.insert(CONTENT_LENGTH, HeaderValue::from_static("0"));
        }
        Ok(Self { url, login, method, headers, data })
    }

    pub(super) fn url(&self) -> &Url {
        &self.url
    }

    pub(super) fn port(&self) -> u16 {
        self.url.port_or_known_default().unwrap_or(80)
    }

    /// Asks at `url` next, on the same host.
    pub(super) fn redirect(&mut self, url: Url) {
        self.url = url;
    }

    /// Sends the request to the first address that accepts a connection (and finishes the TLS handshake).
    pub(super) async fn send(
        &self,
        net: &Net,
        host: &Host,
        addresses: &[SocketAddr],
        trail: &Trail,
    ) -> Result<Answer, Reason> {
        let shaking = Cell::new(None);
        // The race is about connections only. Whoever comes first is polled alone from there on, so the
        // request goes out once, whatever the number of addresses: a POST is not ours to repeat.
        let first = race(addresses, trail, async |address| self.connect(net, address, &shaking, trail).await).await;
        let InFlight { mut sending, address } = first.map_err(|failed| connect::explain(net, host, &failed))?;
        trail.accept();
        trail.enter(Stage::Protocol, format_args!("{address} accepted the connection and the request"));
        sending.as_mut().await;
        match sending.as_mut().take_output() {
            Some(Ok(response)) => Ok(Answer { response, address }),
            Some(Err(error)) => Err(failure::answering(&error, &self.url, address, trail).await),
            None => Err(Reason::new(Code::ProtocolClosed, format!("{address} was asked twice"))),
        }
    }

    /// Starts the request, and returns as soon as its connection stands.
    async fn connect(
        &self,
        net: &Net,
        address: SocketAddr,
        shaking: &Cell<Option<SocketAddr>>,
        trail: &Trail,
    ) -> Result<InFlight, Reason> {
        let progress = Arc::new(Progress::default());
        let client = self.client(net, address, &progress)?;
        let mut sending: Pin<Box<MaybeDone<Sending>>> = Box::pin(maybe_done(self.execute(client)));
        let bound = trail.connect_timeout();
        let mut late = pin!(time::sleep(bound));
        let in_time = poll_fn(|cx| {
            let done = sending.as_mut().poll(cx).is_ready();
            if progress.tls.load(Ordering::Relaxed) {
                shaking.set(Some(address));
                trail.accept();
            }
            // Of several addresses, the one that came furthest is the one to name.
            if let Some(address) = shaking.get()
                && trail.stage() < Stage::Tls
            {
                trail.enter(Stage::Tls, address);
            }
            if done || progress.stands.load(Ordering::Relaxed) {
                return Poll::Ready(true);
            }
            // The bound is on connecting; a handshake has the attempt's.
            if progress.tls.load(Ordering::Relaxed) { Poll::Pending } else { late.as_mut().poll(cx).map(|()| false) }
        })
        .await;
        if !in_time {
            return Err(connect::timed_out(address, bound));
        }
        if progress.stands.load(Ordering::Relaxed) {
            return Ok(InFlight { sending, address });
        }
        let Some(Err(error)) = sending.as_mut().take_output() else {
            return Err(Reason::new(Code::LocalSocket, format!("cannot connect to {address}")));
        };
        #[cfg(feature = "tls")]
        if progress.tls.load(Ordering::Relaxed) {
            return Err(failure::handshaking(&error, &self.url, address, trail).await);
        }
        Err(failure::connecting(&error, address))
    }

    fn execute(&self, client: Client) -> Sending {
        let mut request = reqwest::Request::new(self.method.clone(), self.url.clone());
        *request.headers_mut() = self.headers.clone();
        *request.body_mut() = self.data.clone().map(Into::into);
        let mut request = reqwest::RequestBuilder::from_parts(client, request);
        if let Some(Login { user, password }) = &self.login {
            request = request.basic_auth(user.expose(), password.as_ref().map(crate::secret::Secret::expose));
        }
        Box::pin(request.send())
    }

    /// A client for one address and one attempt: no pool, no proxy, no redirects, no resolver of its own.
    fn client(&self, net: &Net, address: SocketAddr, progress: &Arc<Progress>) -> Result<Client, Reason> {
        let builder = Client::builder()
            .no_proxy()
            .redirect(redirect::Policy::none())
            .retry(retry::never())
            .referer(false)
            .http1_only()
            .http1_max_headers(HEADERS)
            .pool_max_idle_per_host(0)
            .connector_layer(Watch(Arc::clone(progress)))
            .resolve_to_addrs(self.url.host_str().unwrap_or_default(), &[address]);
        #[cfg(feature = "tls")]
        let builder = builder.tls_backend_preconfigured(handshake::config(net, &self.url, progress));
        #[cfg(not(feature = "tls"))]
        let _ = net;
        builder
            .build()
            .map_err(|_| Reason::new(Code::LocalSocket, "the HTTP client cannot be set up").hint(Hint::Limits))
    }
}

type Sending = Pin<Box<dyn Future<Output = reqwest::Result<Response>> + Send>>;

/// A request whose connection stands.
struct InFlight {
    sending: Pin<Box<MaybeDone<Sending>>>,
    address: SocketAddr,
}

/// How far a connection came. reqwest's connectors cannot see the `Trail`: their futures must be `Send`.
#[derive(Debug, Default)]
struct Progress {
    /// TCP is accepted and the TLS handshake has begun.
    tls: AtomicBool,
    /// The request can go out.
    stands: AtomicBool,
}

/// Tells when a connection stands.
#[derive(Clone)]
struct Watch(Arc<Progress>);

impl<S> Layer<S> for Watch {
    type Service = Watched<S>;

    fn layer(&self, inner: S) -> Self::Service {
        Watched { inner, progress: Arc::clone(&self.0) }
    }
}

#[derive(Clone)]
struct Watched<S> {
    inner: S,
    progress: Arc<Progress>,
}

/// reqwest's request and connection types cannot be named, so this is for any.
impl<S, R> Service<R> for Watched<S>
where
    S: Service<R, Future: Send + 'static>,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<S::Response, S::Error>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: R) -> Self::Future {
        let connecting = self.inner.call(request);
        let progress = Arc::clone(&self.progress);
        Box::pin(async move {
            let connection = connecting.await?;
            progress.stands.store(true, Ordering::Relaxed);
            Ok(connection)
        })
    }
}

#[cfg(feature = "tls")]
mod handshake {
    use super::{Arc, Net, Ordering, Progress, Url};
    use rustls::client::{ClientSessionStore, Resumption, Tls12ClientSessionValue, Tls13ClientSessionValue};
    use rustls::pki_types::ServerName;
    use rustls::{ClientConfig, NamedGroup, RootCertStore};

    /// The configuration for `url`; the roots take memory, so plain HTTP goes without.
    pub(super) fn config(net: &Net, url: &Url, progress: &Arc<Progress>) -> ClientConfig {
        let mut config = if url.scheme() == "https" { ClientConfig::clone(&net.tls.config()) } else { rootless() };
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        config.resumption = Resumption::store(Arc::new(Begun(Arc::clone(progress))));
        config
    }

    /// reqwest wants a configuration even where no TLS is spoken. This one trusts nobody.
    fn rootless() -> ClientConfig {
        ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()
            .expect("ring must support the default TLS versions")
            .with_root_certificates(RootCertStore::empty())
            .with_no_client_auth()
    }

    /// Tells when a handshake begins: that is when rustls looks for a session to resume. There is never one,
    /// since every attempt looks at the certificate anew.
    #[derive(Debug)]
    struct Begun(Arc<Progress>);

    impl ClientSessionStore for Begun {
        fn set_kx_hint(&self, _: ServerName<'static>, _: NamedGroup) {}

        fn kx_hint(&self, _: &ServerName<'_>) -> Option<NamedGroup> {
            None
        }

        fn set_tls12_session(&self, _: ServerName<'static>, _: Tls12ClientSessionValue) {}

        fn tls12_session(&self, _: &ServerName<'_>) -> Option<Tls12ClientSessionValue> {
            None
        }

        fn remove_tls12_session(&self, _: &ServerName<'static>) {}

        fn insert_tls13_ticket(&self, _: ServerName<'static>, _: Tls13ClientSessionValue) {}

        fn take_tls13_ticket(&self, _: &ServerName<'static>) -> Option<Tls13ClientSessionValue> {
            self.0.tls.store(true, Ordering::Relaxed);
            None
        }
    }
}

fn header(text: &str) -> Result<(HeaderName, HeaderValue)> {
    const FORM: &str = "expected NAME:VALUE, such as Host:example.org";
    let Some((name, value)) = text.split_once(':') else {
        bail!("{FORM}: the colon is missing");
    };
    let Ok(name) = HeaderName::from_bytes(name.as_bytes()) else {
        bail!("{FORM}: a header's name has letters, digits and '-', and no blank before the colon");
    };
    if [CONNECTION, CONTENT_LENGTH, TE, TRAILER, TRANSFER_ENCODING, UPGRADE].contains(&name) {
        bail!("{FORM}: {name} is waitgate's own to set");
    }
    let value = value.strip_prefix(' ').unwrap_or(value);
    if value.contains(['\r', '\n']) {
        bail!(
            "{FORM}: the value of {name} holds a line break; where it comes out of a Secret, that was made with a line break at its end"
        );
    }
    let Ok(mut value) = HeaderValue::from_bytes(value.as_bytes()) else {
        bail!("{FORM}: the value of {name} holds a control character");
    };
    value.set_sensitive(true);
    Ok((name, value))
}

fn method(text: &str) -> Result<Method> {
    const FORM: &str = "expected a method such as GET, HEAD or POST";
    let Ok(method) = Method::from_bytes(text.as_bytes()) else {
        bail!("{FORM}: a method is one word of letters");
    };
    if method == Method::CONNECT {
        bail!("{FORM}: CONNECT asks a proxy for a tunnel, it has no answer to expect");
    }
    let upper = text.to_ascii_uppercase();
    if upper != text && ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE"].contains(&upper.as_str())
    {
        bail!("{FORM}: methods are upper case, write {upper}");
    }
    Ok(method)
}

/// A guess, for whoever does not say it: an object or an array is JSON, the rest is a form.
fn content_type(data: &[u8]) -> HeaderValue {
    let trimmed = data.trim_ascii();
    let json = matches!((trimmed.first(), trimmed.last()), (Some(b'{'), Some(b'}')) | (Some(b'['), Some(b']')));
    HeaderValue::from_static(if json { "application/json" } else { "application/x-www-form-urlencoded" })
}
