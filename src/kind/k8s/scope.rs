//! What is listed and watched: a resource, a namespace, and a name or a selector. It makes the paths of the requests.

use std::fmt::Write as _;

use super::objects::Node;
use super::resource::Resource;

/// How many objects a page of a list has, as for kubectl.
const PAGE: u32 = 500;

/// The label of an EndpointSlice that names its Service (kubernetes:
/// staging/src/k8s.io/api/discovery/v1/well_known_labels.go, LabelServiceName).
const SERVICE_NAME: &str = "kubernetes.io/service-name";

/// Which objects of the resource.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Which {
    Named(String),
    /// The EndpointSlices of this Service.
    SlicesOf(String),
    Selected(String),
    All,
}

/// Everything that a list, a watch or a get is about.
#[derive(Clone, Debug)]
pub(super) struct Scope {
    pub(super) resource: Resource,
    /// `None` for a resource of the whole cluster.
    pub(super) namespace: Option<String>,
    pub(super) which: Which,
}

impl Scope {
    fn collection(&self, prefix: &str) -> String {
        let namespace = self.namespace.as_ref().map(|name| format!("/namespaces/{}", encoded(name)));
        format!("{prefix}{}{}/{}", self.resource.base(), namespace.unwrap_or_default(), self.resource.plural)
    }

    /// The path of the one object that has the name.
    pub(super) fn get(&self, prefix: &str) -> Option<String> {
        let Which::Named(name) = &self.which else { return None };
        Some(format!("{}/{}", self.collection(prefix), encoded(name)))
    }

    /// The path of a page of the list.
    pub(super) fn list(&self, prefix: &str, next: Option<&str>) -> String {
        let mut path = format!("{}?limit={PAGE}{}", self.collection(prefix), self.selectors());
        if let Some(next) = next {
            let _ = write!(path, "&continue={}", encoded(next));
        }
        path
    }

    /// The path of a watch that follows a list.
    pub(super) fn watch(&self, prefix: &str, version: &str, seconds: u64) -> String {
        format!(
            "{}?watch=1&allowWatchBookmarks=true&timeoutSeconds={seconds}&resourceVersion={}{}",
            self.collection(prefix),
            encoded(version),
            self.selectors()
        )
    }

    /// The path of a page of the list with the objects of every name.
    pub(super) fn names(&self, prefix: &str) -> String {
        format!("{}?limit={PAGE}", self.collection(prefix))
    }

    /// The name of the one object that is meant.
    pub(super) fn name(&self) -> Option<&str> {
        match &self.which {
            Which::Named(name) | Which::SlicesOf(name) => Some(name),
            Which::Selected(_) | Which::All => None,
        }
    }

    /// The name that an object of [`Scope::names`] shows to be there.
    pub(super) fn name_of<'a>(&self, object: &'a Node) -> &'a str {
        let metadata = object.get("metadata");
        let name = if let Which::SlicesOf(_) = self.which {
            metadata.at(&["labels", SERVICE_NAME])
        } else {
            metadata.get("name")
        };
        name.text()
    }

    fn selectors(&self) -> String {
        match &self.which {
            Which::Named(name) => format!("&fieldSelector={}", encoded(&format!("metadata.name={name}"))),
            Which::SlicesOf(name) => format!("&labelSelector={}", encoded(&format!("{SERVICE_NAME}={name}"))),
            Which::Selected(selector) => format!("&labelSelector={}", encoded(selector)),
            Which::All => String::new(),
        }
    }

    /// The rule that a Role needs for this, as YAML in one line. `get` is only for where a list is forbidden.
    pub(super) fn rule(&self) -> String {
        let names = match &self.which {
            Which::Named(name) => format!(", resourceNames: [{name}]"),
            _ => String::new(),
        };
        let verbs = if names.is_empty() { "list, watch" } else { "get, list, watch" };
        let group = if self.resource.group.is_empty() { "\"\"" } else { &self.resource.group };
        format!("{{apiGroups: [{group}], resources: [{}]{names}, verbs: [{verbs}]}}", self.resource.plural)
    }

    /// What is waited for, in words: "job migrate", "pods with app=web".
    pub(super) fn words(&self) -> String {
        match &self.which {
            Which::Named(name) => format!("{} {name}", self.resource.singular),
            Which::SlicesOf(name) => format!("service {name}"),
            Which::Selected(selector) => format!("{} with {selector}", self.resource.plural),
            Which::All => self.resource.plural.clone(),
        }
    }

    /// " in the namespace demo", or nothing.
    pub(super) fn place(&self) -> String {
        self.namespace.as_ref().map(|name| format!(" in the namespace {name}")).unwrap_or_default()
    }
}

/// As the value of a query or a segment of a path has it (RFC 3986 section 2.3).
fn encoded(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => out.push(char::from(byte)),
            _ => {
                let _ = write!(out, "%{byte:02X}");
            }
        }
    }
    out
}
