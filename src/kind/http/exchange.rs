//! Sends the request over one connection, and gets the answer.

use std::cell::Cell;
use std::future::{Future, poll_fn};
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::Poll;

use bytes::Bytes;
use futures_util::future::{MaybeDone, maybe_done};
use reqwest::header::{
    AUTHORIZATION, CONTENT_LENGTH, CONTENT_TYPE, COOKIE, HOST, HeaderMap, HeaderValue, PROXY_AUTHORIZATION,
};
use reqwest::{Client, Method, Response, StatusCode, Url, redirect, retry};
use tokio::time;

use super::connector::{Progress, Watch};
use super::errors;
use super::proxy::Proxy;
use super::tls;
use super::url::Login;
use crate::attempt::Attempt;
use crate::net::Net;
use crate::net::address::Host;
use crate::net::connect;
use crate::net::race::race;
use crate::reason::{Code, Hint, Reason, Stage};

/// An answer with more headers than this is an error. (hyper bounds their bytes.)
const HEADERS_MAX: usize = 100;

/// The request of one attempt, with the contents of its files.
pub(super) struct Outgoing {
    pub(super) url: Url,
    pub(super) login: Option<Login>,
    pub(super) method: Method,
    pub(super) headers: HeaderMap,
    pub(super) data: Option<Bytes>,
    pub(super) tls: tls::Config,
    pub(super) proxy: Option<Proxy>,
}

/// The answer. Its head has come; its body is not read yet.
pub(super) struct Answer {
    pub(super) response: Response,
    pub(super) address: SocketAddr,
}

impl Outgoing {
    pub(super) fn url(&self) -> &Url {
        &self.url
    }

    pub(super) fn port(&self) -> u16 {
        port(&self.url)
    }

    /// Where to connect to: the proxy, or `host`, which the URL names.
    pub(super) fn connects_to<'a>(&'a self, host: &'a Host) -> (&'a Host, u16) {
        self.proxy.as_ref().map_or((host, self.port()), |proxy| (&proxy.host, proxy.port))
    }

    pub(super) fn is_proxied(&self) -> bool {
        self.proxy.is_some()
    }

    /// Prepares the request for `url`, because of the redirect `status`.
    ///
    /// It drops what is meant only for this host: the login, the server name, and headers such as Cookie.
    pub(super) fn redirect(&mut self, url: Url, status: StatusCode) {
        if url.host_str() != self.url.host_str() {
            self.login = None;
            self.tls.forget_name();
            for name in [AUTHORIZATION, COOKIE, HOST, PROXY_AUTHORIZATION] {
                self.headers.remove(name);
            }
        }
        // RFC 9110 section 15.4: 307 and 308 repeat the request, the others turn it into a GET.
        if matches!(status.as_u16(), 301..=303) && self.method != Method::GET && self.method != Method::HEAD {
            self.method = Method::GET;
            self.data = None;
            for name in [CONTENT_LENGTH, CONTENT_TYPE] {
                self.headers.remove(name);
            }
        }
        self.url = url;
    }

    /// Sends the request to the first address that accepts a connection (and finishes the TLS handshake).
    pub(super) async fn send(
        &self,
        net: &Net,
        host: &Host,
        addresses: &[SocketAddr],
        attempt: &Attempt,
    ) -> Result<Answer, Reason> {
        let handshaking = Cell::new(None);
        // The addresses race only until one has connected. From then on only that one is polled, so the request goes
        // out once, whatever the number of addresses: waitgate must not repeat a POST.
        let first = race(addresses, attempt, async |address| {
            let connect = async || self.connect(net, address, &handshaking, attempt).await;
            net.refusals.heed(address, attempt, connect).await
        });
        let first = first.await;
        let InFlight { mut sending, address } =
            first.map_err(|failed| connect::explain(net, self.connects_to(host).0, &failed))?;
        attempt.accept();
        attempt.enter(Stage::Protocol, format_args!("{address} accepted the connection and the request"));
        sending.as_mut().await;
        match sending.as_mut().take_output() {
            Some(Ok(response)) => Ok(Answer { response, address }),
            Some(Err(error)) => {
                let reason = errors::answering(&error, &self.wire_url(), address, attempt).await;
                // The hint is about the server, and does not help with the proxy.
                let from_proxy = self.is_proxied() && self.url.scheme() == "http";
                Err(if from_proxy {
                    reason.with_text(format!("the proxy {}", reason.text())).with_hint(None)
                } else {
                    reason
                })
            }
            None => Err(Reason::new(Code::ProtocolClosed, format!("the request to {address} has no outcome"))),
        }
    }

    /// Starts the request, and returns as soon as the connection is made (and the TLS handshake is finished).
    ///
    /// `handshaking` is the address that is in its TLS handshake.
    async fn connect(
        &self,
        net: &Net,
        address: SocketAddr,
        handshaking: &Cell<Option<SocketAddr>>,
        attempt: &Attempt,
    ) -> Result<InFlight, Reason> {
        let progress = Arc::new(Progress::default());
        let client = self.client(net, address, &progress)?;
        let mut sending: Pin<Box<MaybeDone<Sending>>> = Box::pin(maybe_done(self.execute(client)));
        let tunnel = self.is_proxied() && self.url.scheme() == "https";
        if tunnel {
            // Until TLS begins, waitgate cannot see which of the two it waits for.
            let awaited = format_args!("the proxy {address} was asked to accept a connection and to open a tunnel");
            attempt.enter(Stage::Protocol, awaited);
        }
        let bound = attempt.connect_timeout();
        let mut timeout = pin!(time::sleep(bound));
        let in_time = poll_fn(|cx| {
            let done = sending.as_mut().poll(cx).is_ready();
            if progress.tls.load(Ordering::Relaxed) {
                handshaking.set(Some(address));
                attempt.accept();
            }
            // If there are several addresses, name the one that got furthest.
            if let Some(address) = handshaking.get()
                && attempt.stage() != Stage::Tls
            {
                attempt.enter(Stage::Tls, address);
            }
            if done || progress.connected.load(Ordering::Relaxed) {
                return Poll::Ready(true);
            }
            // The connect timeout does not bound a TLS handshake: only the attempt's bound does. It does not bound a
            // tunnel either: waitgate cannot see when the proxy has accepted the connection.
            if tunnel || progress.tls.load(Ordering::Relaxed) {
                return Poll::Pending;
            }
            timeout.as_mut().poll(cx).map(|()| false)
        })
        .await;
        if !in_time {
            return Err(connect::timed_out(address, bound));
        }
        if progress.connected.load(Ordering::Relaxed) {
            return Ok(InFlight { sending, address });
        }
        let Some(Err(error)) = sending.as_mut().take_output() else {
            return Err(Reason::new(Code::LocalSocket, format!("cannot connect to {address}")));
        };
        #[cfg(feature = "tls")]
        if progress.tls.load(Ordering::Relaxed) {
            if handshaking.get() == Some(address) {
                handshaking.set(None);
            }
            return Err(errors::handshaking(&error, &self.wire_url(), address, attempt).await);
        }
        Err(errors::connecting(&error, address, tunnel))
    }

    fn execute(&self, client: Client) -> Sending {
        let mut request = reqwest::Request::new(self.method.clone(), self.wire_url());
        *request.headers_mut() = self.headers.clone();
        if self.tls.name().is_some()
            && let Ok(authority) = HeaderValue::from_str(&authority(&self.url))
        {
            request.headers_mut().entry(HOST).or_insert(authority);
        }
        *request.body_mut() = self.data.clone().map(Into::into);
        let mut request = reqwest::RequestBuilder::from_parts(client, request);
        if let Some(Login { user, password }) = &self.login {
            request = request.basic_auth(user.expose(), password.as_ref().map(crate::secret::Secret::expose));
        }
        Box::pin(request.send())
    }

    /// The URL for reqwest, which takes the name for the TLS handshake from it.
    fn wire_url(&self) -> Url {
        let mut url = self.url.clone();
        if let Some(name) = self.tls.name() {
            // This cannot fail: `TlsOptions::parse` has checked the name. `execute` sets the Host header.
            let _ = url.set_host(Some(name));
        }
        url
    }

    /// The name that reqwest looks up: the proxy's, or the URL's.
    fn looked_up_name(&self) -> String {
        match &self.proxy {
            Some(proxy) => proxy.host.to_string(),
            None => self.wire_url().host_str().unwrap_or_default().to_owned(),
        }
    }

    /// A client for one address and one attempt. It keeps no connections, follows no redirects, resolves no names, and
    /// uses a proxy only if the target asks for one.
    fn client(&self, net: &Net, address: SocketAddr, progress: &Arc<Progress>) -> Result<Client, Reason> {
        let builder = Client::builder()
            .no_proxy()
            .redirect(redirect::Policy::none())
            .retry(retry::never())
            .referer(false)
            .http1_only()
            .http1_max_headers(HEADERS_MAX)
            .pool_max_idle_per_host(0)
            .connector_layer(Watch(Arc::clone(progress)))
            .resolve_to_addrs(&self.looked_up_name(), &[address]);
        let builder = match &self.proxy {
            None => builder,
            Some(proxy) => match reqwest::Proxy::all(proxy.url.expose()) {
                Ok(proxy) => builder.proxy(proxy),
                Err(_) => return Err(Reason::new(Code::LocalSocket, "the proxy's URL cannot be used")),
            },
        };
        #[cfg(feature = "tls")]
        let builder = builder.tls_backend_preconfigured(self.tls.client(net, &self.url, progress));
        #[cfg(not(feature = "tls"))]
        let _ = net;
        builder
            .build()
            .map_err(|_| Reason::new(Code::LocalSocket, "the HTTP client cannot be set up").with_hint(Hint::Limits))
    }
}

type Sending = Pin<Box<dyn Future<Output = reqwest::Result<Response>> + Send>>;

/// A request whose connection is made.
struct InFlight {
    sending: Pin<Box<MaybeDone<Sending>>>,
    address: SocketAddr,
}

/// The port that `url` names or implies.
pub(super) fn port(url: &Url) -> u16 {
    url.port_or_known_default().unwrap_or(80)
}

/// `HOST[:PORT]`, as in a Host header.
fn authority(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default();
    url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"))
}
