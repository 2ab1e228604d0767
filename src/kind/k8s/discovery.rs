//! Which group, version and plural a resource has that is not built in: the API server tells.

use super::api::Api;
use super::objects::Node;
use super::pieces::Pieces;
use super::resource::{Resource, Rule};
use crate::reason::{Code, Reason};

/// The longest answer about one group or version, in bytes.
const ANSWER_MAX: usize = 512 * 1024;

/// All groups in one answer (KEP-3352; stable since Kubernetes 1.30, and v2beta1 is on since 1.27).
const AGGREGATED: &str = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,application/json;g=apidiscovery.k8s.io;v=v2beta1;as=APIGroupDiscoveryList";

const JSON: &str = "application/json";

/// Looks a resource up by its name, and its version and group if they are given.
pub(super) async fn find(
    api: &mut Api<'_>,
    name: &str,
    version: Option<&str>,
    group: Option<&str>,
) -> Result<Resource, Reason> {
    let Some(group) = group else { return anywhere(api, name).await };
    let version = match version {
        Some(version) => version.to_owned(),
        None => preferred(api, group).await?,
    };
    let (path, core) = match group {
        "" => (format!("{}/api/{version}", api.prefix()), "the core group".to_owned()),
        group => (format!("{}/apis/{group}/{version}", api.prefix()), format!("{group}/{version}")),
    };
    let answer = document(api, &path, &core).await?;
    let found = answer.get("resources").items().iter().find(|it| {
        let text = |member: &str| it.get(member).text();
        let short = it.get("shortNames").items().iter().any(|short| short.text() == name);
        text("name") == name || text("singularName") == name || text("kind").eq_ignore_ascii_case(name) || short
    });
    match found {
        Some(it) => {
            let namespaced = *it.get("namespaced") == Node::Bool(true);
            Ok(resource(group, &version, it.get("name").text(), it.get("singularName").text(), namespaced))
        }
        None => Err(absent(&format!("{core} has no resource {name} (yet)"))),
    }
}

/// The preferred version of a group.
async fn preferred(api: &mut Api<'_>, group: &str) -> Result<String, Reason> {
    let path = format!("{}/apis/{group}", api.prefix());
    let answer = document(api, &path, group).await?;
    match answer.at(&["preferredVersion", "version"]).text() {
        "" => Err(absent(&format!("the group {group} has no version (yet)"))),
        version => Ok(version.to_owned()),
    }
}

/// Looks in all groups, as kubectl does for a name alone. The first one that has it wins, in the server's order.
async fn anywhere(api: &mut Api<'_>, name: &str) -> Result<Resource, Reason> {
    let path = format!("{}/apis", api.prefix());
    api.get(&path, AGGREGATED).await?.map_err(|refusal| api.refused(&refusal, "its list of resources"))?;
    let mut pieces = Pieces::of_list();
    let mut found: Option<Resource> = None;
    while let Some(bytes) = api.piece().await? {
        let fed = pieces.feed(bytes, |group| {
            if found.is_none() {
                found = Node::of_document(group).and_then(|group| in_group(&group, name));
            }
        });
        fed.map_err(|_| api.too_long())?;
    }
    found.ok_or_else(|| {
        absent(&format!("no group of the API has a resource {name} (yet): with its group (RESOURCE.GROUP) it is found by one request"))
    })
}

fn in_group(group: &Node, name: &str) -> Option<Resource> {
    // The first version is the preferred one.
    let version = group.get("versions").items().first()?;
    let it = version.get("resources").items().iter().find(|it| {
        let text = |path: &[&str]| it.at(path).text();
        let short = it.get("shortNames").items().iter().any(|short| short.text() == name);
        text(&["resource"]) == name
            || text(&["singularResource"]) == name
            || text(&["responseKind", "kind"]).eq_ignore_ascii_case(name)
            || short
    })?;
    Some(resource(
        group.at(&["metadata", "name"]).text(),
        version.get("version").text(),
        it.get("resource").text(),
        it.get("singularResource").text(),
        it.get("scope").text() == "Namespaced",
    ))
}

fn resource(group: &str, version: &str, plural: &str, singular: &str, namespaced: bool) -> Resource {
    let singular = if singular.is_empty() { plural } else { singular };
    Resource {
        group: group.to_owned(),
        version: version.to_owned(),
        plural: plural.to_owned(),
        singular: singular.to_owned(),
        namespaced,
        rule: Rule::Condition("Ready"),
    }
}

/// A small document. A group that is not served is a 404.
async fn document(api: &mut Api<'_>, path: &str, what: &str) -> Result<Node, Reason> {
    if let Err(refusal) = api.get(path, JSON).await? {
        return Err(match refusal.status {
            404 => not_served(what),
            _ => api.refused(&refusal, what),
        });
    }
    let body = api.body(ANSWER_MAX).await?;
    Node::of_document(&body)
        .ok_or_else(|| Reason::new(Code::ProtocolOther, format!("the answer about {what} is not JSON")))
}

/// The reason when a group or a version is not served.
pub(super) fn not_served(what: &str) -> Reason {
    absent(&format!(
        "{what} is not served (yet): its CustomResourceDefinition is not there, or its version is another one"
    ))
}

fn absent(text: &str) -> Reason {
    Reason::new(Code::ExpectMissing, text).with_key("resource")
}
