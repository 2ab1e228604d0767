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
    ACCEPT_ENCODING, CONNECTION, CONTENT_LENGTH, CONTENT_TYPE, HOST, HeaderMap, HeaderValue, USER_AGENT,
};
use reqwest::{Client, Method, Response, StatusCode, Url, redirect, retry};
use tokio::time;

use super::connector::{Progress, Watch};
use super::errors::Failed;
use super::place::Place;
use super::proxy::Proxy;
use super::tls;
use super::upload::{self, Alive};
use super::url::Login;
use crate::attempt::Attempt;
use crate::kind::path::TargetPath;
use crate::net::Net;
use crate::net::address::Host;
use crate::net::connect;
use crate::net::race::race;
use crate::net::threads::Running;
use crate::reason::{Code, Hint, Reason, Stage};
use crate::secret::Secret;

/// An answer with more headers than this is an error. (hyper bounds their bytes.)
const HEADERS_MAX: usize = 100;

/// The longest name of a host, in characters (RFC 1035 section 2.3.4). A server may send a longer one.
pub(super) const HOST_MAX: usize = 253;

/// The request of one attempt, with the contents of its files.
pub(super) struct Outgoing {
    pub(super) url: Url,
    pub(super) login: Option<Login>,
    pub(super) method: Method,
    pub(super) headers: HeaderMap,
    pub(super) data: Option<Bytes>,
    pub(super) tls: tls::Config,
    pub(super) proxy: Option<Proxy>,
    pub(super) socket: Option<TargetPath>,
    /// "after a redirect to HOST:PORT", if waitgate has followed one.
    pub(super) after: Option<String>,
    /// Whether the place after the redirect does not get the login or a header of the target.
    pub(super) stripped: bool,
}

/// The answer. Its head has come; its body is not read yet.
pub(super) struct Answer {
    pub(super) response: Response,
    /// The address or the socket, for messages.
    pub(super) from: String,
    /// Keeps the connection while the body is read.
    pub(super) _alive: Option<Alive>,
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

    pub(super) fn is_on_socket(&self) -> bool {
        self.socket.is_some()
    }

    /// Whether `url` is of another origin than this request's: another scheme, host or port (RFC 6454 section 4).
    pub(super) fn leaves_for(&self, url: &Url) -> bool {
        (url.scheme(), url.host_str(), port(url)) != (self.url.scheme(), self.url.host_str(), self.port())
    }

    /// Whether a repetition of this request does more than ask a question.
    pub(super) fn acts(&self) -> bool {
        self.data.is_some() || !self.method.is_safe()
    }

    /// Prepares the request for `url`, because of the redirect `status`.
    ///
    /// Another origin gets nothing that the target gave: no login, no header, no data, no client certificate and no
    /// server name. It does not get them back either if it redirects to the first origin again.
    pub(super) fn redirect(&mut self, mut url: Url, status: StatusCode, attempt: &Attempt) {
        // RFC 9110 section 15.4: 307 and 308 repeat the request, the others turn it into a GET.
        if matches!(status.as_u16(), 301..=303) && self.method != Method::GET && self.method != Method::HEAD {
            self.method = Method::GET;
            self.data = None;
            for name in [CONTENT_LENGTH, CONTENT_TYPE] {
                self.headers.remove(name);
            }
        }
        if self.leaves_for(&url) {
            self.stripped |= self.login.is_some() || self.headers.values().any(HeaderValue::is_sensitive);
            self.login = None;
            self.data = None;
            self.headers = own_headers();
            self.tls.leave_origin();
        }
        // A server must not choose the user that waitgate shows to another one. This cannot fail: the URL has a host.
        let _ = (url.set_username(""), url.set_password(None));
        self.url = url;
        let host = attempt.quote(self.url.host_str().unwrap_or_default(), HOST_MAX);
        self.after = Some(match self.socket {
            Some(_) => "after a redirect".to_owned(),
            None => format!("after a redirect to {host}:{}", self.port()),
        });
    }

    /// Says in a reason that it concerns another place than the target's URL. `first` is the kind of that URL.
    pub(super) fn placed(&self, reason: Reason, first: &str) -> Reason {
        let Some(after) = &self.after else { return reason };
        let placed = reason.with_text(format!("{after}: {}", reason.text()));
        match reason.hint() {
            // http: takes no #ca, and a kind in its place would not change where the redirect leads.
            Some(Hint::CaFile) if first == "http" => {
                placed.with_text(format!("{}: give its CA with --ca-file", placed.text())).with_hint(None)
            }
            Some(Hint::UseKind(_)) => placed.with_hint(None),
            Some(Hint::Credentials | Hint::Forbidden) if self.stripped => placed
                .with_text(format!(
                    "{}: another origin does not get the target's login and headers: give its own URL",
                    placed.text()
                ))
                .with_hint(None),
            _ => placed,
        }
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
        if let Some(socket) = &self.socket {
            attempt.enter(Stage::Connect, &socket.name);
            let connected = self.connect(net, Place::Socket(socket), &handshaking, attempt).await?;
            return self.receive(connected, attempt).await;
        }
        // The addresses race only until one has connected. From then on only that one is polled, so the request goes
        // out once, whatever the number of addresses: waitgate must not repeat a POST.
        let first = race(addresses, attempt, async |address| {
            let connect = async || self.connect(net, Place::Address(address), &handshaking, attempt).await;
            net.refusals.heed(address, attempt, connect).await
        });
        let first = first.await;
        self.receive(first.map_err(|failed| self.unreached(net, host, &failed))?, attempt).await
    }

    /// Waits for the answer to a request whose connection is made.
    async fn receive(&self, request: InFlight<'_>, attempt: &Attempt) -> Result<Answer, Reason> {
        let InFlight { mut sending, place, progress, alive } = request;
        attempt.accept();
        attempt.enter(Stage::Protocol, format_args!("{place} accepted the connection and the request"));
        sending.as_mut().await;
        match sending.as_mut().take_output() {
            Some(Ok(response)) => Ok(Answer { response, from: place.to_string(), _alive: alive }),
            Some(Err(error)) => {
                let reason = self.failed(&error, &self.wire_url(), place, &progress).answering(attempt).await;
                // The hint is about the server, and does not help with the proxy.
                Err(if self.is_proxied() && !self.tunnels() {
                    reason.with_text(format!("the proxy {}", reason.text())).with_hint(None)
                } else {
                    reason
                })
            }
            None => Err(Reason::new(Code::ProtocolClosed, format!("the request to {place} has no outcome"))),
        }
    }

    /// Starts the request, and returns as soon as the connection is made (and the TLS handshake is finished).
    ///
    /// `handshaking` is the address that is in its TLS handshake.
    async fn connect<'a>(
        &self,
        net: &Net,
        place: Place<'a>,
        handshaking: &Cell<Option<SocketAddr>>,
        attempt: &Attempt,
    ) -> Result<InFlight<'a>, Reason> {
        let progress = Arc::new(Progress::default());
        let client = self.client(net, place, &progress)?;
        let (sending, alive) = self.execute(net, client);
        let mut sending: Pin<Box<MaybeDone<Sending>>> = Box::pin(maybe_done(sending));
        let tunnel = self.tunnels();
        if tunnel {
            // Until TLS begins, waitgate cannot see which of the two it waits for.
            let awaited = format_args!("the proxy {place} was asked to accept a connection and to open a tunnel");
            attempt.enter(Stage::Protocol, awaited);
        }
        let bound = attempt.connect_timeout();
        let mut timeout = pin!(time::sleep(bound));
        let mut changed = pin!(progress.changed.notified());
        let in_time = poll_fn(|cx| {
            while changed.as_mut().poll(cx).is_ready() {
                changed.set(progress.changed.notified());
            }
            let done = sending.as_mut().poll(cx).is_ready();
            if progress.tls.load(Ordering::Relaxed) {
                handshaking.set(place.address());
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
            return Err(connect::timed_out(place, bound));
        }
        if progress.connected.load(Ordering::Relaxed) {
            return Ok(InFlight { sending, place, progress: Arc::clone(&progress), alive });
        }
        let Some(Err(error)) = sending.as_mut().take_output() else {
            return Err(Reason::new(Code::LocalSocket, format!("cannot connect to {place}")));
        };
        #[cfg(feature = "tls")]
        if progress.tls.load(Ordering::Relaxed) {
            if handshaking.get() == place.address() {
                handshaking.set(None);
            }
            return Err(self.failed(&error, &self.wire_url(), place, &progress).handshaking(attempt).await);
        }
        Err(self.failed(&error, &self.wire_url(), place, &progress).connecting(attempt).await)
    }

    /// Whether a proxy is asked to open a tunnel.
    fn tunnels(&self) -> bool {
        self.is_proxied() && self.url.scheme() == "https"
    }

    fn failed<'a>(
        &self,
        error: &'a reqwest::Error,
        url: &'a Url,
        place: Place<'a>,
        progress: &'a Progress,
    ) -> Failed<'a> {
        Failed { error, url, place, tunnel: self.tunnels(), progress }
    }

    /// The reason when no address has connected.
    fn unreached(&self, net: &Net, host: &Host, failed: &[(SocketAddr, Reason)]) -> Reason {
        let (connects_to, port) = self.connects_to(host);
        let reason = connect::explain(net, connects_to, failed);
        if self.is_proxied() && reason.stage() == Stage::Connect {
            reason.with_text(format!("the proxy {connects_to}:{port} cannot be reached: {}", reason.text()))
        } else {
            reason
        }
    }

    fn execute(&self, net: &Net, client: Client) -> (Sending, Option<Alive>) {
        let mut request = reqwest::Request::new(self.method.clone(), self.wire_url());
        *request.headers_mut() = self.headers.clone();
        if self.tls.name().is_some()
            && let Ok(authority) = HeaderValue::from_str(&authority(&self.url))
        {
            request.headers_mut().entry(HOST).or_insert(authority);
        }
        let (body, alive) = self.data.clone().map(upload::body).unzip();
        *request.body_mut() = body;
        let alive = alive.flatten();
        let mut request = reqwest::RequestBuilder::from_parts(client, request);
        if let Some(Login { user, password }) = &self.login {
            request = request.basic_auth(user.expose(), password.as_ref().map(Secret::expose));
        }
        let answered = alive.as_ref().map(Alive::answered);
        let sending = async move {
            let outcome = request.send().await;
            // From now on the rest of the answer comes before the rest of the data.
            answered.inspect(|answered| answered.store(true, Ordering::Relaxed));
            outcome
        };
        (net.threads.start(Box::pin(sending)), alive)
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
    fn client(&self, net: &Net, place: Place<'_>, progress: &Arc<Progress>) -> Result<Client, Reason> {
        let builder = Client::builder()
            .no_proxy()
            .redirect(redirect::Policy::none())
            .retry(retry::never())
            .referer(false)
            .http1_only()
            .http1_max_headers(HEADERS_MAX)
            .pool_max_idle_per_host(0)
            .connector_layer(Watch(Arc::clone(progress)));
        let builder = match place {
            Place::Address(address) => builder.resolve_to_addrs(&self.looked_up_name(), &[address]),
            Place::Socket(socket) => builder.unix_socket(socket.path.as_path()),
        };
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

/// The headers of every request, whatever the target says.
///
/// Without Accept-Encoding a server may choose any coding (RFC 9110 section 12.5.3).
pub(super) fn own_headers() -> HeaderMap {
    HeaderMap::from_iter([
        (USER_AGENT, HeaderValue::from_static(concat!("waitgate/", env!("CARGO_PKG_VERSION")))),
        (ACCEPT_ENCODING, HeaderValue::from_static("identity")),
        (CONNECTION, HeaderValue::from_static("close")),
    ])
}

type Sending = Running<reqwest::Result<Response>>;

/// A request whose connection is made.
struct InFlight<'a> {
    sending: Pin<Box<MaybeDone<Sending>>>,
    place: Place<'a>,
    progress: Arc<Progress>,
    alive: Option<Alive>,
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
