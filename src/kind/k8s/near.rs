//! The nearest name: asked for once, after the object has been missing for a while.
//!
//! The list and the watch are about one name. So a slip in that name looks like an object that is not there yet. The
//! names of the other objects tell it apart. An object that comes soon costs no question.

use std::cell::RefCell;
use std::convert::Infallible;
use std::time::Duration;

use tokio::time::{self, Instant};

use super::K8s;
use super::access::Session;
use super::api::Api;
use super::objects::Node;
use super::pieces::Pieces;
use super::scope::Scope;
use crate::attempt::{Attempt, Bounds};
use crate::net::Net;
use crate::reason::{Code, Reason};
use crate::text::distance;

/// How long the object is missing before the question, at least.
const AFTER: Duration = Duration::from_secs(9);

/// The question comes within this time after that, at random: many Pods that start together must not ask together.
const SPREAD_MS: u64 = 2000;

/// How long the question may take, with its connection.
const ASK_MAX: Duration = Duration::from_secs(5);

/// The longest name of an object (apimachinery: pkg/util/validation/validation.go, DNS1123SubdomainMaxLength).
const NAME_MAX: usize = 253;

/// Names without the rest of the objects (Kubernetes API concepts, "Metadata-only fetches"). A server that cannot do
/// this sends whole objects, and only their names are kept.
const METADATA: &str = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1,application/json";

/// What is known of a near name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) enum Near {
    /// The object is not missing.
    #[default]
    Here,
    /// It is missing. The question is due at this instant.
    Missing(Instant),
    /// The question was asked. Here is the near name, if there is one.
    Asked(Option<String>),
}

impl Near {
    /// Notes whether the object is missing, and adds the near name to the reason.
    pub(super) fn look(&mut self, verdict: Result<String, Reason>) -> Result<String, Reason> {
        let is_missing = matches!(&verdict, Err(reason) if reason.code() == Code::ExpectMissing);
        match self {
            Self::Asked(Some(name)) if is_missing => verdict.map_err(|reason| {
                let text = format!("{}; did you mean {name}, which is there?", reason.text());
                reason.with_text(text).with_key("near")
            }),
            Self::Here if is_missing => {
                let spread = getrandom::u64().map_or(SPREAD_MS, |random| random % SPREAD_MS);
                *self = Self::Missing(Instant::now() + AFTER + Duration::from_millis(spread));
                verdict
            }
            Self::Missing(_) if !is_missing => {
                *self = Self::Here;
                verdict
            }
            _ => verdict,
        }
    }

    /// Whether it is time to ask.
    pub(super) fn is_due(&self) -> bool {
        matches!(self, Self::Missing(at) if *at <= Instant::now())
    }

    /// When to look again whether it is time. `None`: never.
    fn next(&self) -> Option<Instant> {
        match self {
            Self::Here => Some(Instant::now() + AFTER),
            Self::Missing(at) => Some(*at),
            Self::Asked(_) => None,
        }
    }
}

/// Waits until it is time to ask, which may never come. It looks again after a while if the object is not missing now.
async fn due(near: &RefCell<Near>) {
    while !near.borrow().is_due() {
        let next = near.borrow().next();
        match next {
            Some(next) => time::sleep_until(next).await,
            None => std::future::pending().await,
        }
    }
}

impl K8s {
    /// Asks when it is time, beside a watch, and tells the reason with the near name.
    pub(super) async fn ask_when_due(
        &self,
        net: &Net,
        session: &Session,
        scope: &Scope,
        attempt: &Attempt,
    ) -> Infallible {
        loop {
            due(&self.near).await;
            // Boxed: only a target that asks needs the memory.
            Box::pin(self.ask(net, session, scope, attempt)).await;
            if let Err(reason) = self.verdict(scope) {
                attempt.tell(reason);
            }
        }
    }

    /// Asks for the names, over a connection of its own: the watch needs the other one. Whatever goes wrong, the run
    /// never asks again, and says nothing about it.
    pub(super) async fn ask(&self, net: &Net, session: &Session, scope: &Scope, attempt: &Attempt) {
        self.near.replace(Near::Asked(None));
        // Not the attempt of the watch: its reason stays what it is.
        let aside = Attempt::new(Bounds { attempt: ASK_MAX, connect: attempt.connect_timeout() }, false);
        let near = time::timeout(ASK_MAX, names(net, session, scope, &aside)).await.ok().flatten();
        self.near.replace(Near::Asked(near.map(|name| attempt.quote(name, NAME_MAX))));
    }
}

/// The near name among those that the API lists. `None`, too, if it does not list them.
async fn names(net: &Net, session: &Session, scope: &Scope, attempt: &Attempt) -> Option<String> {
    let wanted = scope.name()?;
    let mut api = Api::connect(net, session, attempt).await.ok()?;
    api.get(&scope.names(api.prefix()), METADATA).await.ok()?.ok()?;
    let (mut pieces, mut near) = (Pieces::of_list(), None);
    while let Some(bytes) = api.piece().await.ok()? {
        let fed = pieces.feed(bytes, |json| {
            if let Some(object) = Node::of_object(json) {
                near = nearer(wanted, near.take(), scope.name_of(&object));
            }
        });
        fed.ok()?;
    }
    near
}

/// `near`, or `name` if that is nearer to `wanted`.
fn nearer(wanted: &str, near: Option<String>, name: &str) -> Option<String> {
    if far(wanted, name) < near.as_deref().map_or(usize::MAX, |near| far(wanted, near)) {
        Some(name.to_owned())
    } else {
        near
    }
}

/// How far the name is from the wanted one: in letters, or else because one of them is the other with more parts, as Helm
/// and the API's controllers make names. The largest number: they have nothing to do with each other.
fn far(wanted: &str, name: &str) -> usize {
    // web-1 is no slip for web-0: it may come later.
    if without_digits(wanted).eq(without_digits(name)) {
        return usize::MAX;
    }
    // Half of a short name is another name.
    let most = if wanted.len() <= 4 { 1 } else { 2 };
    // Without the beginning that they share: only so many letters of a name are compared.
    let shared = wanted.chars().zip(name.chars()).take_while(|(a, b)| a == b).map(|(a, _)| a.len_utf8()).sum::<usize>();
    let letters = distance(&wanted[shared..], &name[shared..]);
    if letters <= most && letters < name.len() {
        return letters;
    }
    let has = |whole: &str, part: &str| {
        part.len() > 2
            && (whole.strip_prefix(part).is_some_and(|rest| rest.starts_with('-'))
                || whole.strip_suffix(part).is_some_and(|rest| rest.ends_with('-')))
    };
    if has(name, wanted) || has(wanted, name) { most + 1 } else { usize::MAX }
}

fn without_digits(name: &str) -> impl Iterator<Item = u8> {
    name.bytes().filter(|byte| !byte.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn near(wanted: &str, names: &[&str]) -> Option<String> {
        names.iter().fold(None, |near, name| nearer(wanted, near, name))
    }

    #[test]
    fn the_nearest_name() {
        for (wanted, names, found) in [
            ("migrte", &["api", "migrate", "migrates"] as &[&str], "migrate"),
            ("migrate", &["shop-migrate", "web"], "shop-migrate"),
            ("web", &["web-7d4b9c-x2x2p"], "web-7d4b9c-x2x2p"),
            ("shop-db", &["db", "shop-db-backup"], "shop-db-backup"),
            ("shop-api", &["shop-api-old", "shop-apis"], "shop-apis"),
            ("migrate", &["cache", "migration-of-users", ""], ""),
            ("db", &["api", "redis"], ""),
            ("web-1", &["web-0", "web-10"], ""),
            ("prod-monitoring-kube-prometheus-api", &["prod-monitoring-kube-prometheus-web"], ""),
            (
                "prod-monitoring-kube-prometheus-api",
                &["prod-monitoring-kube-prometheus-app"],
                "prod-monitoring-kube-prometheus-app",
            ),
            ("bücher", &["bucher"], "bucher"),
        ] {
            assert_eq!(near(wanted, names).unwrap_or_default(), found, "{wanted}");
        }
    }

    fn missing() -> Result<String, Reason> {
        Err(Reason::new(Code::ExpectMissing, "there is no job migrte (yet)"))
    }

    #[tokio::test(start_paused = true)]
    async fn the_question_is_due_once_the_object_has_been_missing_for_a_while() {
        let near = RefCell::new(Near::Here);
        let state = Reason::new(Code::ExpectState, "is not Complete yet");
        let waits = async |at_most: u64| {
            let begun = Instant::now();
            let mut waits = std::pin::pin!(due(&near));
            let ended = time::timeout(Duration::from_secs(at_most), &mut waits).await;
            assert!(near.try_borrow_mut().is_ok(), "the watch notes what it sees while this waits");
            ended.ok().map(|()| begun.elapsed().as_secs())
        };
        let look = |verdict| near.borrow_mut().look(verdict);
        assert_eq!(waits(100).await, None, "nothing is missing");
        let _ = look(missing());
        time::advance(Duration::from_secs(5)).await;
        // A look again is no new beginning.
        let _ = look(missing());
        assert!(matches!(waits(100).await, Some(4..=6)));
        // It has come, and it is gone again.
        let _ = look(Err(state));
        assert_eq!(waits(100).await, None);
        let _ = look(missing());
        assert!(matches!(waits(100).await, Some(9..=11)));
        near.replace(Near::Asked(None));
        assert_eq!(look(missing()), missing());
        assert_eq!(waits(1000).await, None, "never again");
        near.replace(Near::Asked(Some("migrate".into())));
        let reason = look(missing()).unwrap_err();
        assert_eq!(reason.text(), "there is no job migrte (yet); did you mean migrate, which is there?");
        assert_eq!(look(Ok("is Complete".into())), Ok("is Complete".into()));
    }
}
