//! `http:` and `https:`: the server answers a request as expected.

mod body;
mod check;
mod complaint;
mod connector;
mod errors;
mod exchange;
mod place;
mod proxy;
mod request;
mod status;
mod tls;
mod tunnel;
mod upload;
mod url;

#[cfg(test)]
mod tests;

use std::fmt;
use std::net::SocketAddr;

use anyhow::{Result, bail};

use super::expect::Spec;
use super::header::HEADER;
use super::{Kind, Parts, Ready, content, gone, tls_options};
use crate::attempt::Attempt;
use crate::net::address::Host;
use crate::net::sniff::Protocol;
use crate::net::{Net, connect};
use crate::reason::{Code, Reason};
use check::{Check, Step};
use exchange::Outgoing;
use proxy::Proxy;
use request::Request;
use url::Location;

/// waitgate follows at most this many redirects, as the kubelet does (kubernetes: pkg/probe/http/http.go).
const REDIRECTS_MAX: u32 = 10;

/// A URL, the request that waitgate sends to it, and the answer that it expects.
#[derive(Clone)]
pub(crate) struct Http {
    host: Host,
    request: Request,
    check: Check,
    gone: bool,
    /// The target as the log shows it.
    shown: String,
}

impl Kind for Http {
    const NAMES: &'static [&'static str] = &["http", "https", url::UNIX];
    const FORM: &'static str = "http://HOST/PATH, https://HOST/PATH";
    const HELP: &'static [(&'static str, &'static str)] = &[
        ("http://HOST[:PORT]/PATH", "GET is answered with 200 to 399; also https:"),
        ("http+unix:/PATH.sock:/PATH", "the same over a unix socket"),
    ];
    const EXPECTATIONS: &'static [Spec] = &[
        Spec::value("status", "200,204,300-399").says("the statuses that are ready [default: 200-399]"),
        Spec::value("method", "METHOD").says("the method of the request [default: GET, or POST with data=]"),
        HEADER,
        Spec::value("bearer", "@FILE").says("Authorization: Bearer with the token in FILE").secret(),
        Spec::value("data", "TEXT or @FILE").says("the body of the request").secret(),
        Spec::value("answer-header", "NAME or NAME:VALUE").says("the answer has this header").repeatable(),
        content::BODY,
        content::MATCH,
        content::JSON,
        Spec::flag("follow").says("follow redirects to other hosts too"),
        Spec::flag("proxy").says("use the proxy that http_proxy, https_proxy and no_proxy name"),
        tls_options::CA,
        tls_options::CERT,
        tls_options::KEY,
        tls_options::SERVERNAME,
        tls_options::INSECURE,
        gone::GONE,
    ];
    const SPEAKS: &'static [(Protocol, &'static str)] = &[(Protocol::Http, "http"), (Protocol::Tls, "https")];

    /// Parses what follows `http:`, `https:` or `http+unix:`.
    fn parse(parts: &Parts<'_>) -> Result<Self> {
        if parts.kind == "https" && cfg!(not(feature = "tls")) {
            bail!("this build has no TLS: a cargo feature left it out (expected http://HOST[:PORT]/PATH)");
        }
        let location = Location::parse(parts)?;
        let (host, shown) = (location.host.clone(), location.shown.clone());
        let is_on_socket = location.socket.is_some();
        if let Some(name) = ["proxy", "follow"].into_iter().find(|name| is_on_socket && parts.expectations.has(name)) {
            bail!("#{name}: the request goes over a unix socket, and to no other place: leave #{name} out");
        }
        let gone = gone::is_given(&parts.expectations, Self::EXPECTATIONS)?;
        let check = Check::parse(&parts.expectations)?;
        let mut request = Request::parse(parts, location)?;
        if parts.expectations.has("proxy") {
            if parts.expectations.has("servername") {
                bail!("#proxy: waitgate would ask the proxy for the name in #servername: give one of them");
            }
            request.via(Proxy::of(parts.given.env, parts.kind, &host, request.port(), parts.fill)?);
        }
        let shown = format!("{shown}{}", parts.expectations.shown());
        Ok(Self { host, request, check, gone, shown })
    }

    /// Sends the request to the first address that accepts a connection, and follows the redirects in its answers.
    async fn probe(&self, net: &Net, attempt: &Attempt) -> Result<Ready, Reason> {
        if self.gone {
            return match self.request.socket() {
                Some(socket) => gone::probe_socket(&socket.path, &socket.name, attempt).await,
                None => gone::probe(net, &self.host, self.request.port(), attempt).await,
            };
        }
        let request = self.request.read(net, attempt)?;
        if self.request.socket().is_some() {
            return self.ask(request, net, Vec::new(), attempt).await;
        }
        let (host, port) = request.connects_to(&self.host);
        let addresses = connect::resolve(net, host, port, attempt).await?;
        self.ask(request, net, addresses, attempt).await
    }

    fn warnings(&self) -> Vec<String> {
        let insecure = self.request.is_insecure().then(|| tls_options::INSECURE_WARNING.to_owned());
        insecure.into_iter().collect()
    }

    /// A redirect may lead from `http:` to `https:`; that does not count.
    fn uses_tls(&self) -> bool {
        self.request.url().scheme() == "https"
    }
}

impl Http {
    async fn ask(
        &self,
        mut request: Outgoing,
        net: &Net,
        mut addresses: Vec<SocketAddr>,
        attempt: &Attempt,
    ) -> Result<Ready, Reason> {
        let mut host = self.host.clone();
        let mut followed = 0;
        loop {
            let placed = |reason| request.placed(reason, self.request.url().scheme());
            let answer = request.send(net, &host, &addresses, attempt).await.map_err(placed)?;
            let (url, status) = match self.check.judge(net, answer, &request, attempt).await.map_err(placed)? {
                Step::Ready(note) if followed == 0 => return Ok(Ready::noted(note)),
                Step::Ready(note) => {
                    return Ok(Ready::noted(format!("{note} after {}", redirects(followed))));
                }
                Step::Follow(url, status) => (url, status),
            };
            if followed == REDIRECTS_MAX {
                let last = if let Some(socket) = self.request.socket() {
                    socket.name.clone()
                } else {
                    let host = attempt.quote(request.url().host_str().unwrap_or_default(), exchange::HOST_MAX);
                    format!("{host}:{}", request.port())
                };
                let text = format!("more than {}, the last one on {last}", redirects(REDIRECTS_MAX));
                return Err(Reason::new(Code::ExpectRedirect, text).with_key("loop"));
            }
            followed += 1;
            let other_host = url.host_str() != request.url().host_str();
            request.redirect(url, status, attempt);
            attempt.moved(request.after.as_deref().unwrap_or_default());
            if other_host {
                attempt.led_by_server();
            }
            if request.is_proxied() {
                continue;
            }
            if other_host {
                host = Host::parse(request.url().host_str().unwrap_or_default()).map_err(|_| {
                    let text = format!("{host} redirects to a host whose name cannot be looked up");
                    Reason::new(Code::ExpectRedirect, text).with_key("host")
                })?;
                let found = connect::resolve(net, &host, request.port(), attempt).await;
                addresses = found.map_err(|reason| request.placed(reason, self.request.url().scheme()))?;
            }
            for address in &mut addresses {
                address.set_port(request.port());
            }
            let name = if let Host::Name(name) = &host { Some(name.as_str()) } else { None };
            connect::expect_silence(net, name, &addresses, attempt);
        }
    }
}

fn redirects(count: u32) -> String {
    if count == 1 { "1 redirect".to_owned() } else { format!("{count} redirects") }
}

impl fmt::Display for Http {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.shown)
    }
}

/// The same as `Display`, because the parts hold secrets.
impl fmt::Debug for Http {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Http").field(&self.shown).finish()
    }
}
