//! `k8s:RESOURCE[/NAME]`: an object of the Kubernetes API is there and ready, seen by a watch the moment it changes.
//!
//! Between attempts it keeps which resource is meant, what it knows of the objects, and from where a watch goes on: a
//! watch that ends loses nothing, and needs no new list.

mod access;
mod api;
mod containers;
mod discovery;
mod follow;
mod heard;
mod known;
mod kubeconfig;
mod near;
mod objects;
mod pieces;
mod ready;
mod reasons;
mod resource;
mod scope;
mod slices;
mod why;
mod wire;
mod wish;
mod yaml;

use std::cell::RefCell;
use std::fmt;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use tokio::time::{self, Instant};

use super::expect::{Expectations, Spec};
use super::gone::GONE;
use super::{Kind, Parts, Ready, content};
use crate::attempt::Attempt;
use crate::net::Net;
use crate::reason::{Code, Reason};
use access::{Access, Session};
use api::Api;
use follow::{Held, May};
pub(crate) use heard::heard;
use known::Quorum;
use near::Near;
use resource::{Named, Resource, Rule};
use scope::{Scope, Which};
use wish::Wish;

/// How long an attempt may take up to the end of its list.
const LIST_MAX: Duration = Duration::from_secs(10);

/// How long a whole attempt may take: the list, and the longest watch.
const ATTEMPT_MAX: Duration = Duration::from_secs(5 * 60);

/// Objects of the API, and what is expected of them.
#[derive(Clone, Debug)]
pub(crate) struct K8s {
    access: Access,
    named: Named,
    name: Option<String>,
    namespace: Option<String>,
    selector: Option<String>,
    quorum: Quorum,
    wish: Wish,
    /// The target as the log shows it.
    shown: String,
    held: RefCell<Held>,
    near: RefCell<Near>,
}

impl Kind for K8s {
    const NAMES: &'static [&'static str] = &["k8s"];
    const FORM: &'static str = "k8s:RESOURCE/NAME";
    const HELP: &'static [(&'static str, &'static str)] =
        &[("k8s:RESOURCE[/NAME]", "the object is ready: a Job complete, a rollout done, …")];
    const EXPECTATIONS: &'static [Spec] = &[
        Spec::value("namespace", "NAME").says("the namespace [default: the Pod's own]"),
        Spec::value("selector", "LABELS").says("the objects with these labels, as for kubectl -l; each must be ready"),
        Spec::value("min", "N").says("at least N of them are ready, or N endpoints of a Service"),
        wish::CONDITION,
        content::JSON,
        GONE,
    ];

    /// Parses `RESOURCE` or `RESOURCE/NAME`.
    fn parse(parts: &Parts<'_>) -> Result<Self> {
        let it = &parts.expectations;
        let address = parts.fill.plain(parts.address).with_context(|| format!("expected {}", Self::FORM))?;
        let (resource, name) = match address.split_once('/') {
            Some((resource, name)) => (resource, Some(segment(name)?)),
            None => (address.as_str(), None),
        };
        let named = Named::parse(resource)?;
        let namespace = it.get("namespace").map(segment).transpose().context("#namespace")?;
        if let Named::Known(Resource { namespaced: false, singular, .. }) = &named
            && namespace.is_some()
        {
            bail!("#namespace: a {singular} is in no namespace: leave it out");
        }
        let selector = it.get("selector").map(selector).transpose().context("#selector")?;
        let wish = Wish::parse(it)?;
        let quorum = quorum(it, &named, name.as_deref(), selector.as_deref(), &wish)?;
        let shown = format!("k8s:{}{}", crate::text::printable(&address), it.shown());
        let access = Access::of(parts.given.env)?;
        let (held, near) = (RefCell::default(), RefCell::default());
        Ok(Self { access, named, name, namespace, selector, quorum, wish, shown, held, near })
    }

    fn check(&self) -> Result<()> {
        self.access.check()
    }

    /// Only a kubeconfig without a CA trusts the roots of the run.
    fn uses_tls(&self) -> bool {
        matches!(self.access, Access::Config(_))
    }

    fn attempt_timeout(&self) -> Option<Duration> {
        Some(ATTEMPT_MAX)
    }

    fn ready_when(&self) -> String {
        let rule = if let Named::Known(resource) = &self.named { resource.rule } else { Rule::Condition("Ready") };
        match rule {
            Rule::Job => "the Job is Complete".to_owned(),
            Rule::Pod => "the Pod is Ready".to_owned(),
            Rule::Deployment | Rule::StatefulSet | Rule::DaemonSet => "the newest generation is rolled out".to_owned(),
            Rule::ReplicaSet => "its replicas are available".to_owned(),
            Rule::Service => "the Service has a ready endpoint".to_owned(),
            Rule::Phase(phase) => format!("its phase is {phase}"),
            Rule::Condition(condition) => format!("its condition {condition} is True"),
            Rule::Exists => "it is there".to_owned(),
        }
    }

    /// Lists the objects, or goes on from the last list, and then watches them.
    async fn probe(&self, net: &Net, attempt: &Attempt) -> Result<Ready, Reason> {
        let session = self.access.read(net, attempt)?;
        if session.is_insecure {
            net.notice("the kubeconfig has insecure-skip-tls-verify: the API server's certificate is not verified");
        }
        let until = attempt.until().min(Instant::now() + LIST_MAX);
        let listed = time::timeout_at(until, self.list(net, &session, attempt)).await;
        let (api, scope) = listed.unwrap_or_else(|_| Err(attempt.cut_off()))?;
        let now = self.verdict(&scope);
        let watches = self.held.borrow().may == May::Watch && attempt.lingers();
        let outcome = match now {
            Err(reason) if watches => {
                attempt.tell(reason);
                tokio::select! {
                    biased;
                    outcome = self.watch(net, api, &scope, attempt) => outcome,
                    never = self.ask_when_due(net, &session, &scope, attempt) => match never {},
                }
            }
            Err(reason) if self.near.borrow().is_due() => {
                drop(api);
                attempt.tell(reason);
                Box::pin(self.ask(net, &session, &scope, attempt)).await;
                self.verdict(&scope)
            }
            now => now,
        };
        if outcome.is_ok() || !watches {
            // The next attempt, if there is one, asks again.
            self.held.borrow_mut().position = None;
        }
        outcome.map(Ready::noted)
    }
}

impl K8s {
    /// What is listed, for a resource that is known by now.
    fn scope(&self, resource: Resource, session: &Session) -> Scope {
        let namespace = self.namespace.as_ref().unwrap_or(&session.namespace).clone();
        let slices = resource.rule == Rule::Service && self.wish.is_empty() && self.quorum != Quorum::Gone;
        let (resource, which) = match (&self.name, &self.selector) {
            (Some(name), _) if slices => (resource::endpoint_slices(), Which::SlicesOf(name.clone())),
            (Some(name), _) => (resource, Which::Named(name.clone())),
            (None, Some(selector)) => (resource, Which::Selected(selector.clone())),
            (None, None) => (resource, Which::All),
        };
        Scope { namespace: resource.namespaced.then_some(namespace), resource, which }
    }

    /// Connects, finds the resource if that is needed, and lists the objects unless a watch can go on from an earlier list.
    async fn list<'a>(
        &self,
        net: &Net,
        session: &'a Session,
        attempt: &'a Attempt,
    ) -> Result<(Api<'a>, Scope), Reason> {
        let mut api = Api::connect(net, session, attempt).await?;
        let found = self.held.borrow().resource.clone();
        let resource = match (found, &self.named) {
            (Some(resource), _) => resource,
            (None, Named::Known(resource)) => resource.clone(),
            (None, Named::Unknown { resource, version, group }) => {
                match discovery::find(&mut api, resource, version.as_deref(), group.as_deref()).await {
                    Ok(found) => {
                        self.held.borrow_mut().resource = Some(found.clone());
                        found
                    }
                    // No object of a resource is there that is not there itself.
                    Err(reason) if reason.code() == Code::ExpectMissing && self.quorum == Quorum::Gone => {
                        self.held.borrow_mut().known = known::Known::default();
                        let scope = self.scope(unserved(resource, group.as_deref()), session);
                        return Ok((api, scope));
                    }
                    Err(reason) => return Err(reason),
                }
            }
        };
        let scope = self.scope(resource, session);
        if self.held.borrow().position.is_none() || !attempt.lingers() {
            self.fetch(net, &mut api, &scope, attempt).await?;
        }
        Ok((api, scope))
    }

    fn verdict(&self, scope: &Scope) -> Result<String, Reason> {
        let held = self.held.borrow();
        let verdict = held.known.verdict(scope, self.quorum);
        // Who may not list the one object may not list all of them.
        if scope.name().is_none() || held.may == May::Get { verdict } else { self.near.borrow_mut().look(verdict) }
    }
}

/// A resource that no group serves, for words.
fn unserved(name: &str, group: Option<&str>) -> Resource {
    Resource {
        group: group.unwrap_or_default().to_owned(),
        version: String::new(),
        plural: name.to_owned(),
        singular: name.to_owned(),
        namespaced: true,
        rule: Rule::Exists,
    }
}

/// How many objects must be ready.
fn quorum(it: &Expectations, named: &Named, name: Option<&str>, selector: Option<&str>, wish: &Wish) -> Result<Quorum> {
    let min = it.count("min")?.map(|min| min as usize);
    let is_service = matches!(named, Named::Known(resource) if resource.rule == Rule::Service);
    if name.is_some() && selector.is_some() {
        bail!(
            "#selector: a name is given too: give one of them (expected k8s:RESOURCE/NAME or k8s:RESOURCE#selector=LABELS)"
        );
    }
    if it.has(GONE.name) {
        for other in ["min", "condition", "json"] {
            if it.has(other) {
                bail!("#gone excludes #{other}: leave one of them out");
            }
        }
    } else if name.is_none() && selector.is_none() && min.is_none() {
        bail!(
            "the name is missing (expected k8s:RESOURCE/NAME, or k8s:RESOURCE with #selector=LABELS, #min=N or #gone for several objects)"
        );
    }
    if is_service && name.is_none() && wish.is_empty() && !it.has(GONE.name) {
        bail!("the name of the Service is missing (expected k8s:service/NAME, which counts its ready endpoints)");
    }
    match (it.has(GONE.name), min, name) {
        (true, ..) => Ok(Quorum::Gone),
        (_, Some(_), Some(_)) if !is_service || !wish.is_empty() => {
            bail!(
                "#min: one object is named (expected #min with #selector, or with a Service, whose endpoints it counts)"
            )
        }
        (_, Some(min), _) => Ok(Quorum::Min(min)),
        (_, None, _) => Ok(Quorum::Every),
    }
}

/// The name of an object or a namespace (apimachinery: pkg/api/validation/path/name.go).
fn segment(text: &str) -> Result<String> {
    let odd = |c: char| c.is_whitespace() || c.is_control() || c == '/' || c == '%' || c == '$';
    if text.is_empty() || text == "." || text == ".." || text.len() > 253 || text.contains(odd) {
        bail!("the name is not one of an object (expected a name such as api, without '/', '%' and blanks)");
    }
    Ok(text.to_owned())
}

fn selector(text: &str) -> Result<String> {
    if text.trim().is_empty() || text.len() > 4096 || text.contains(char::is_control) {
        bail!("found no labels (expected a selector as for kubectl -l, such as app=web,tier!=cache)");
    }
    Ok(text.trim().to_owned())
}

impl fmt::Display for K8s {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.shown)
    }
}
