//! A list, and then a watch from it: the way of every client of the API (Kubernetes API concepts, "Efficient detection of
//! changes"). Without the right to watch, each attempt lists; without the right to list, it gets the one object.

use std::time::Duration;

use tokio::time::{self, Instant};

use super::K8s;
use super::api::Api;
use super::discovery::not_served;
use super::known::Known;
use super::objects::Node;
use super::pieces::Pieces;
use super::reasons::Refusal;
use super::resource::Resource;
use super::scope::Scope;
use crate::attempt::Attempt;
use crate::net::Net;
use crate::reason::{Code, Cost, Reason};

const JSON: &str = "application/json";

/// The largest single object, in bytes.
const OBJECT_MAX: usize = 3 * 1024 * 1024;

/// The shortest and the longest watch, in seconds. The server ends it then; each watch has a random time between them, so
/// that the watches of many Pods do not end together.
const WATCH: (u64, u64) = (120, 240);

/// How long the server may be late with the end of the watch. After that the connection counts as half open.
const LATE: Duration = Duration::from_secs(15);

/// How long the server may take to begin the watch.
const BEGIN_MAX: Duration = Duration::from_secs(15);

/// After a watch has ended, the next one begins within this time. When an API server restarts, all its watches end at once.
const SPREAD: Duration = Duration::from_secs(1);

/// What is known between attempts.
#[derive(Clone, Debug, Default)]
pub(super) struct Held {
    /// The resource, if it had to be looked up.
    pub(super) resource: Option<Resource>,
    pub(super) known: Known,
    /// The resourceVersion from which a watch goes on.
    pub(super) position: Option<String>,
    pub(super) may: May,
}

/// What the API server lets waitgate do, as far as it is known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum May {
    #[default]
    Watch,
    List,
    Get,
}

impl K8s {
    /// Fills what is known by a list, or by a get where a list is forbidden.
    pub(super) async fn fetch(
        &self,
        net: &Net,
        api: &mut Api<'_>,
        scope: &Scope,
        attempt: &Attempt,
    ) -> Result<(), Reason> {
        let get = scope.get(api.prefix());
        if self.held.borrow().may != May::Get {
            match self.pages(api, scope, attempt).await? {
                Ok(()) => return Ok(()),
                Err(refusal) if refusal.status == 403 && get.is_some() => {}
                Err(refusal) => return Err(self.refused(api, scope, &refusal)),
            }
        }
        let path = get.unwrap_or_default();
        let mut known = Known::default();
        match api.get(&path, JSON).await? {
            Ok(()) => {
                let body = api.body(OBJECT_MAX).await?;
                let Some(object) = Node::of_object(&body) else { return Err(not_json(scope)) };
                known.put(scope, &self.wish, &object, &body, attempt);
            }
            Err(refusal) if refusal.status == 404 && refusal.names_object => {}
            Err(refusal) => return Err(self.refused(api, scope, &refusal)),
        }
        let mut held = self.held.borrow_mut();
        (held.known, held.may) = (known, May::Get);
        notice(net, scope, "list");
        Ok(())
    }

    /// Lists all pages. Only then is what was known before replaced.
    async fn pages(&self, api: &mut Api<'_>, scope: &Scope, attempt: &Attempt) -> Result<Result<(), Refusal>, Reason> {
        let mut known = Known::default();
        let mut next: Option<String> = None;
        loop {
            if let Err(refusal) = api.get(&scope.list(api.prefix(), next.as_deref()), JSON).await? {
                return Ok(Err(refusal));
            }
            let mut pieces = Pieces::of_list();
            let mut whole = true;
            while let Some(bytes) = api.piece().await? {
                let fed = pieces.feed(bytes, |json| match Node::of_object(json) {
                    Some(object) => known.put(scope, &self.wish, &object, json, attempt),
                    None => whole = false,
                });
                fed.map_err(|_| api.too_long())?;
            }
            let Some(list) = Node::of_object(pieces.rest()).filter(|_| whole) else { return Err(not_json(scope)) };
            let metadata = list.get("metadata");
            match metadata.get("continue").text() {
                "" => {
                    let mut held = self.held.borrow_mut();
                    held.known = known;
                    held.position = Some(metadata.get("resourceVersion").text().to_owned()).filter(|it| !it.is_empty());
                    return Ok(Ok(()));
                }
                more => next = Some(more.to_owned()),
            }
        }
    }

    /// Watches from the last position until the objects are enough, or the watch ends. Then the reason is why not, and the
    /// next attempt goes on.
    pub(super) async fn watch(
        &self,
        net: &Net,
        mut api: Api<'_>,
        scope: &Scope,
        attempt: &Attempt,
    ) -> Result<String, Reason> {
        let seconds = between(WATCH.0, WATCH.1);
        let position = self.held.borrow().position.clone();
        let Some(position) = position else { return self.verdict(scope) };
        let path = scope.watch(api.prefix(), &position, seconds);
        let begun = match time::timeout(BEGIN_MAX, api.get(&path, JSON)).await {
            Ok(begun) => begun?,
            Err(_) => return Err(attempt.cut_off()),
        };
        if let Err(refusal) = begun {
            self.held.borrow_mut().position = None;
            return match refusal.status {
                403 => {
                    self.held.borrow_mut().may = May::List;
                    notice(net, scope, "watch");
                    self.verdict(scope)
                }
                // Gone: the position is too old. The next attempt lists.
                410 => self.later(scope),
                _ => Err(self.refused(&api, scope, &refusal)),
            };
        }
        let mut last = self.verdict(scope).err();
        if let Some(reason) = &last {
            attempt.tell(reason.clone());
        }
        let until = Instant::now() + Duration::from_secs(seconds) + LATE;
        let mut pieces = Pieces::of_watch();
        loop {
            // However it ends, the next attempt says what is wrong, if something is.
            let Ok(Ok(Some(bytes))) = time::timeout_at(until, api.piece()).await else { return self.later(scope) };
            let mut lost = false;
            let fed = pieces.feed(bytes, |json| {
                lost = lost || !self.event(scope, json, attempt);
            });
            let now = self.verdict(scope);
            match now {
                Ok(note) => return Ok(note),
                Err(reason) if last.as_ref() != Some(&reason) => {
                    attempt.tell(reason.clone());
                    last = Some(reason);
                }
                Err(_) => {}
            }
            if fed.is_err() || lost {
                self.held.borrow_mut().position = None;
                return self.later(scope);
            }
        }
    }

    /// Takes one event. `false`: the position is lost, and a list is needed.
    fn event(&self, scope: &Scope, json: &[u8], attempt: &Attempt) -> bool {
        let Some(event) = Node::of_event(json) else { return false };
        let object = event.get("object");
        let mut held = self.held.borrow_mut();
        match event.get("type").text() {
            "ADDED" | "MODIFIED" => held.known.put(scope, &self.wish, object, inner(json), attempt),
            "DELETED" => held.known.remove(object),
            "BOOKMARK" => {}
            // A Status: the position is too old, or the server cannot go on.
            "ERROR" => return false,
            _ => return true,
        }
        match object.at(&["metadata", "resourceVersion"]).text() {
            "" => {}
            version => held.position = Some(version.to_owned()),
        }
        true
    }

    /// The verdict of a watch that has ended, with a random pause before the next one.
    fn later(&self, scope: &Scope) -> Result<String, Reason> {
        let spread = u64::try_from(SPREAD.as_millis()).unwrap_or_default();
        self.verdict(scope).map_err(|reason| reason.with_pause(Duration::from_millis(between(0, spread))))
    }

    fn refused(&self, api: &Api<'_>, scope: &Scope, refusal: &Refusal) -> Reason {
        match refusal.status {
            403 => {
                let reason = api.refused(refusal, &scope.words());
                let role = if scope.namespace.is_some() { "a Role" } else { "a ClusterRole" };
                let text = format!("{}; {role}{} needs the rule {}", reason.text(), scope.place(), scope.rule());
                reason.with_text(text)
            }
            404 => {
                // The resource may have another version by now.
                self.held.borrow_mut().resource = None;
                not_served(&format!("{} in {}", scope.resource.plural, scope.resource.base()))
            }
            410 => Reason::new(Code::ProtocolNotAccepting, "the list expired before its last page: it begins again")
                .with_cost(Cost::Work),
            _ => api.refused(refusal, &scope.words()),
        }
    }
}

/// The object inside an event: what follows `"object":`. `json=` looks at the object alone.
fn inner(event: &[u8]) -> &[u8] {
    const NAME: &[u8] = b"\"object\":";
    let begin = event.windows(NAME.len()).position(|window| window == NAME).map_or(0, |at| at + NAME.len());
    event[begin..].trim_ascii_end().strip_suffix(b"}").unwrap_or_default()
}

/// Says once in the log that changes are seen late.
fn notice(net: &Net, scope: &Scope, verb: &str) {
    net.notice(&format!(
        "{}: no right to {verb} {}, so waitgate asks again and again, and sees a change later (the rule {} lets it watch)",
        scope.words(),
        scope.resource.plural,
        scope.rule()
    ));
}

fn not_json(scope: &Scope) -> Reason {
    Reason::new(Code::ProtocolOther, format!("the answer about {} is not the JSON of the API", scope.words()))
}

/// A random number between the two. Without randomness it is the larger one.
fn between(low: u64, high: u64) -> u64 {
    low + getrandom::u64().map_or(high - low, |random| random % (high - low + 1))
}
