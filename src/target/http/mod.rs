//! `http:` and `https:`: a request is answered as expected.

mod check;
mod failure;
mod instead;
mod request;
mod url;

#[cfg(test)]
mod tests;

use std::fmt;
use std::net::SocketAddr;

use anyhow::{Result, bail};

use super::address::Host;
use super::expect::Spec;
use super::{Parts, Ready};
use crate::net::{Net, connect};
use crate::reason::{Code, Reason};
use crate::trail::Trail;
use check::{Check, Step};
use request::Request;
use url::Location;

/// What `http:` and `https:` expect beyond the common ones.
pub const EXPECTATIONS: &[Spec] = &[
    Spec::value("status", "200,204,300-399"),
    Spec::value("method", "METHOD"),
    Spec::value("header", "NAME:VALUE").repeatable(),
    Spec::value("data", "TEXT"),
];

/// Expectations whose values are nobody's business.
const SECRET: &[&str] = &["header", "data"];

/// How many redirects are followed, as the kubelet has it (kubernetes: pkg/probe/http/http.go).
const REDIRECTS: u32 = 10;

/// A URL, the request that it is asked with, and the answer that it must give.
#[derive(Clone)]
pub struct Http {
    host: Host,
    request: Request,
    check: Check,
    shown: String,
}

impl Http {
    /// Parses what stands behind `http:` or `https:`.
    pub fn parse(parts: &Parts<'_>) -> Result<Self> {
        if parts.kind == "https" && cfg!(not(feature = "tls")) {
            bail!("expected http://HOST[:PORT]/PATH: this build has no TLS, it was left out by a cargo feature");
        }
        let Location { host, url, login, shown } = Location::parse(parts)?;
        let check = Check::parse(&parts.expectations)?;
        let request = Request::parse(url, login, &parts.expectations)?;
        let shown = format!("{shown}{}", parts.expectations.shown(SECRET));
        Ok(Self { host, request, check, shown })
    }

    /// Sends the request to the first address that accepts a connection, and follows its redirects.
    pub async fn probe(&self, net: &Net, trail: &Trail) -> Result<Ready, Reason> {
        let addresses = connect::resolve(net, &self.host, self.request.port(), trail).await?;
        self.ask(net, addresses, trail).await
    }

    async fn ask(&self, net: &Net, mut addresses: Vec<SocketAddr>, trail: &Trail) -> Result<Ready, Reason> {
        let mut request = self.request.clone();
        let mut followed = 0;
        loop {
            let answer = request.send(net, &self.host, &addresses, trail).await?;
            let url = match self.check.judge(answer, request.url(), trail).await? {
                Step::Ready(note) if followed == 0 => return Ok(Ready::noted(note)),
                Step::Ready(note) => return Ok(Ready::noted(format!("{note} after {}", redirects(followed)))),
                Step::Follow(url) => url,
            };
            if followed == REDIRECTS {
                let text = format!("more than {} on {}", redirects(REDIRECTS), self.host);
                return Err(Reason::new(Code::ExpectRedirect, text).key("loop"));
            }
            followed += 1;
            request.redirect(url);
            for address in &mut addresses {
                address.set_port(request.port());
            }
        }
    }

    /// Whether TLS is spoken from the start.
    #[must_use]
    pub fn uses_tls(&self) -> bool {
        self.request.url().scheme() == "https"
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

/// As Display: the parts hold secrets.
impl fmt::Debug for Http {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Http").field(&self.shown).finish()
    }
}
