//! What is known of the objects, from a list and the events after it, and whether they are enough.

use super::objects::Node;
use super::ready::{Judged, has_ended, is_leaving};
use super::scope::{Scope, Which};
use super::slices;
use super::wish::Wish;
use crate::attempt::Attempt;
use crate::reason::{Code, Reason};
use crate::text::count;

/// So many objects are enough to count. More of them would not fit into the memory of an init container.
const OBJECTS_MAX: usize = 20_000;

/// The longest cause in a reason, in characters.
const CAUSE_MAX: usize = 400;

/// The objects by their names.
#[derive(Clone, Debug, Default)]
pub(super) struct Known {
    /// In the order of the names. (A BTreeMap would weigh 10 KB more, and the API lists by name.)
    objects: Vec<(String, Object)>,
    /// There are more than waitgate counts.
    too_many: bool,
}

#[derive(Clone, Debug)]
enum Object {
    Judged { judged: Judged, life: Life },
    Slice(slices::Endpoints),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Life {
    Present,
    /// It is being deleted.
    Leaving,
    /// It is a Pod that has ended.
    Ended,
}

impl Life {
    fn of(scope: &Scope, wish: &Wish, object: &Node) -> Self {
        if is_leaving(object) {
            Self::Leaving
        } else if wish.is_empty() && has_ended(scope.resource.rule, object) {
            Self::Ended
        } else {
            Self::Present
        }
    }
}

/// What is expected of the objects as a whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Quorum {
    /// Each of them, and at least one.
    Every,
    /// So many.
    Min(usize),
    /// None is there.
    Gone,
}

impl Known {
    /// Takes an object from a list or an event. `json` is its text.
    pub(super) fn put(&mut self, scope: &Scope, wish: &Wish, object: &Node, json: &[u8], attempt: &Attempt) {
        let name = object.at(&["metadata", "name"]).text();
        if name.is_empty() {
            return;
        }
        let place = self.place(name);
        if self.objects.len() >= OBJECTS_MAX && place.is_err() {
            self.too_many = true;
            return;
        }
        let known = if matches!(scope.which, Which::SlicesOf(_)) {
            Object::Slice(slices::Endpoints::of(object))
        } else {
            let judged = wish.judge(scope.resource.rule, object, json, attempt).map_err(|mut why| {
                why.text = attempt.quote(&why.text, CAUSE_MAX);
                why
            });
            Object::Judged { judged, life: Life::of(scope, wish, object) }
        };
        match place {
            Ok(at) => self.objects[at].1 = known,
            Err(at) => self.objects.insert(at, (name.to_owned(), known)),
        }
    }

    /// Where the object of this name is, or where it would be.
    fn place(&self, name: &str) -> Result<usize, usize> {
        self.objects.binary_search_by(|(known, _)| known.as_str().cmp(name))
    }

    fn all(&self) -> impl Iterator<Item = &Object> {
        self.objects.iter().map(|(_, object)| object)
    }

    /// The object has been deleted.
    pub(super) fn remove(&mut self, object: &Node) {
        if let Ok(at) = self.place(object.at(&["metadata", "name"]).text()) {
            self.objects.remove(at);
        }
    }

    /// Whether the objects are enough: a note for the ready line, or why not.
    pub(super) fn verdict(&self, scope: &Scope, quorum: Quorum) -> Result<String, Reason> {
        if self.too_many {
            let text = format!("there are more than {OBJECTS_MAX} {}: a narrower selector= is needed", scope.words());
            return Err(Reason::new(Code::ProtocolTooLarge, text));
        }
        match (quorum, &scope.which) {
            (Quorum::Gone, _) => self.gone(scope),
            (_, Which::Named(_)) => self.named(scope),
            (quorum, Which::SlicesOf(_)) => self.service(scope, if let Quorum::Min(min) = quorum { min } else { 1 }),
            (quorum, _) => self.several(scope, quorum),
        }
    }

    fn gone(&self, scope: &Scope) -> Result<String, Reason> {
        let names: Vec<&str> = self.objects.iter().map(|(name, _)| name.as_str()).collect();
        match names.as_slice() {
            [] => Ok(format!("{} is not there", scope.words())),
            [first, rest @ ..] => {
                let more = if rest.is_empty() { String::new() } else { format!(" and {} more", rest.len()) };
                let leaving = self.all().all(|it| matches!(it, Object::Judged { life: Life::Leaving, .. }));
                let how = if leaving { ", being deleted" } else { "" };
                let text = format!("still there: {} {first}{more}{how}", scope.resource.singular);
                Err(Reason::new(Code::ExpectGone, text).with_key(how))
            }
        }
    }

    fn named(&self, scope: &Scope) -> Result<String, Reason> {
        let judged = self.all().find_map(|it| if let Object::Judged { judged, .. } = it { Some(judged) } else { None });
        match judged {
            None => Err(missing(&format!("there is no {}{} (yet)", scope.words(), scope.place()))),
            Some(Ok(has)) => Ok(format!("{} {has}", scope.words())),
            Some(Err(why)) => {
                Err(Reason::new(Code::ExpectState, format!("{} {}", scope.words(), why.text)).with_key(&why.key))
            }
        }
    }

    fn service(&self, scope: &Scope, min: usize) -> Result<String, Reason> {
        let slices = || self.all().filter_map(|it| if let Object::Slice(slice) = it { Some(slice) } else { None });
        if slices().next().is_none() {
            let text = format!(
                "{} has no EndpointSlice{}: there is no such Service (yet), or it has no selector",
                scope.words(),
                scope.place()
            );
            return Err(missing(&text));
        }
        let ready = distinct(slices().flat_map(|slice| &slice.ready));
        if ready >= min {
            return Ok(format!("{} has {}", scope.words(), count(ready, "ready endpoint")));
        }
        let not = distinct(slices().flat_map(|slice| &slice.not_ready));
        let have = match ready {
            0 => "no ready endpoint".to_owned(),
            some => count(some, "ready endpoint"),
        };
        let wanted = if min == 1 { String::new() } else { format!(" of at least {min}") };
        let others = match not {
            0 => ": no other Pod is behind it".to_owned(),
            some => format!(": {} not ready", count(some, "endpoint") + if some == 1 { " is" } else { " are" }),
        };
        let text = format!("{} has {have}{wanted}{others}", scope.words());
        Err(Reason::new(Code::ExpectState, text).with_key(if not == 0 { "no endpoints" } else { "not ready" }))
    }

    /// Objects that are being deleted and Pods that have ended do not count, and nothing waits for them.
    fn several(&self, scope: &Scope, quorum: Quorum) -> Result<String, Reason> {
        let present = || {
            self.objects.iter().filter_map(|(name, it)| match it {
                Object::Judged { judged, life: Life::Present } => Some((name, judged)),
                _ => None,
            })
        };
        let all = present().count();
        let ready = present().filter(|(_, judged)| judged.is_ok()).count();
        let wanted = if let Quorum::Min(min) = quorum { min } else { all.max(1) };
        if ready >= wanted {
            return Ok(format!("{ready} of {all} {}", scope.words()));
        }
        if all == 0 {
            let others = match self.objects.len() {
                0 => String::new(),
                others => format!(", except {others} that are being deleted or have ended"),
            };
            return Err(missing(&format!("there are no {}{} (yet){others}", scope.words(), scope.place())));
        }
        let first = present().find_map(|(name, judged)| Some((name, judged.as_ref().err()?)));
        let least = if let Quorum::Min(min) = quorum { format!(", and at least {min} must be") } else { String::new() };
        let (cause, key) = match first {
            Some((name, why)) => (format!("; {name} {}", why.text), why.key.as_str()),
            None => (String::new(), "too few"),
        };
        let text = format!("{ready} of {all} {} are ready{least}{cause}", scope.words());
        Err(Reason::new(Code::ExpectState, text).with_key(key))
    }
}

fn missing(text: &str) -> Reason {
    Reason::new(Code::ExpectMissing, text)
}

/// How many different names there are.
fn distinct<'a>(names: impl Iterator<Item = &'a String>) -> usize {
    let mut names: Vec<&str> = names.map(String::as_str).collect();
    names.sort_unstable();
    names.dedup();
    names.len()
}
