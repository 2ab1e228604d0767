//! A resource as kubectl spells it (`job`, `deploy`, `certificates.v1.cert-manager.io`), and the resources that are built in.

use anyhow::{Result, bail};

/// When an object of a resource is ready, if the target does not say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Rule {
    Job,
    Pod,
    Deployment,
    StatefulSet,
    DaemonSet,
    ReplicaSet,
    /// Its EndpointSlices are listed in its place.
    Service,
    /// `status.phase` is this one.
    Phase(&'static str),
    /// The condition of this type is True.
    Condition(&'static str),
    /// It is there: the resource has no status.
    Exists,
}

/// A resource of the API.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Resource {
    /// Empty for the core group.
    pub(super) group: String,
    pub(super) version: String,
    pub(super) plural: String,
    /// For messages: "job", "certificate".
    pub(super) singular: String,
    pub(super) namespaced: bool,
    pub(super) rule: Rule,
}

/// A built-in resource: its plural, singular and short names, its group and version, whether it is namespaced, its rule.
/// kubernetes: staging/src/k8s.io/api, and pkg/registry/*/*/storage (ShortNames). Beta versions are not here.
type Row = (&'static str, &'static str, &'static [&'static str], &'static str, &'static str, bool, Rule);

const BUILT_IN: &[Row] = &[
    ("pods", "pod", &["po"], "", "v1", true, Rule::Pod),
    ("services", "service", &["svc"], "", "v1", true, Rule::Service),
    ("namespaces", "namespace", &["ns"], "", "v1", false, Rule::Phase("Active")),
    ("nodes", "node", &["no"], "", "v1", false, Rule::Condition("Ready")),
    ("persistentvolumeclaims", "persistentvolumeclaim", &["pvc"], "", "v1", true, Rule::Phase("Bound")),
    ("persistentvolumes", "persistentvolume", &["pv"], "", "v1", false, Rule::Phase("Bound")),
    ("configmaps", "configmap", &["cm"], "", "v1", true, Rule::Exists),
    ("secrets", "secret", &[], "", "v1", true, Rule::Exists),
    ("serviceaccounts", "serviceaccount", &["sa"], "", "v1", true, Rule::Exists),
    ("deployments", "deployment", &["deploy"], "apps", "v1", true, Rule::Deployment),
    ("statefulsets", "statefulset", &["sts"], "apps", "v1", true, Rule::StatefulSet),
    ("daemonsets", "daemonset", &["ds"], "apps", "v1", true, Rule::DaemonSet),
    ("replicasets", "replicaset", &["rs"], "apps", "v1", true, Rule::ReplicaSet),
    ("jobs", "job", &[], "batch", "v1", true, Rule::Job),
    ("cronjobs", "cronjob", &["cj"], "batch", "v1", true, Rule::Exists),
    ("ingresses", "ingress", &["ing"], "networking.k8s.io", "v1", true, Rule::Exists),
    (
        "customresourcedefinitions",
        "customresourcedefinition",
        &["crd", "crds"],
        "apiextensions.k8s.io",
        "v1",
        false,
        Rule::Condition("Established"),
    ),
    ("apiservices", "apiservice", &[], "apiregistration.k8s.io", "v1", false, Rule::Condition("Available")),
];

/// The resource that lists a Service's endpoints.
pub(super) fn endpoint_slices() -> Resource {
    Resource {
        group: "discovery.k8s.io".into(),
        version: "v1".into(),
        plural: "endpointslices".into(),
        singular: "endpointslice".into(),
        namespaced: true,
        rule: Rule::Service,
    }
}

/// What a target names before the slash.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Named {
    Known(Resource),
    /// Only the API server knows it. The group or the version may be missing.
    Unknown {
        resource: String,
        version: Option<String>,
        group: Option<String>,
    },
}

impl Named {
    /// Parses `TYPE`, `TYPE.GROUP` or `TYPE.VERSION.GROUP`, in upper or lower case, as kubectl does
    /// (apimachinery: pkg/runtime/schema/group_version.go, ParseResourceArg).
    pub(super) fn parse(text: &str) -> Result<Self> {
        const FORM: &str =
            "expected a resource as kubectl spells it, such as job, deploy, crd or certificates.v1.cert-manager.io";
        let text = text.to_ascii_lowercase();
        let is_label = |label: &str| {
            let inner = label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
            !label.is_empty() && label.len() <= 63 && inner && !label.starts_with('-') && !label.ends_with('-')
        };
        if text.len() > 253 || !text.split('.').all(is_label) {
            bail!("the resource is not one ({FORM})");
        }
        let (resource, rest) = text.split_once('.').map_or((text.as_str(), None), |(name, rest)| (name, Some(rest)));
        let (version, group) = match rest.map(|rest| rest.split_once('.').unwrap_or((rest, ""))) {
            None => (None, None),
            Some((first, group)) if is_version(first) => (Some(first.to_owned()), Some(group.to_owned())),
            Some(_) => (None, rest.map(str::to_owned)),
        };
        let known = BUILT_IN.iter().find(|(plural, singular, short, its_group, its_version, ..)| {
            let named = resource == *plural || resource == *singular || short.contains(&resource);
            let grouped = group.as_deref().is_none_or(|group| group == *its_group);
            named && grouped && version.as_deref().is_none_or(|version| version == *its_version)
        });
        Ok(match known {
            Some((plural, singular, _, group, version, namespaced, rule)) => Self::Known(Resource {
                group: (*group).into(),
                version: (*version).into(),
                plural: (*plural).into(),
                singular: (*singular).into(),
                namespaced: *namespaced,
                rule: *rule,
            }),
            None => Self::Unknown { resource: resource.to_owned(), version, group },
        })
    }
}

/// Whether `text` is a version of the API: v1, v2beta3 (apimachinery: pkg/version/helpers.go).
fn is_version(text: &str) -> bool {
    let Some(rest) = text.strip_prefix('v') else { return false };
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let stage = ["alpha", "beta"].iter().find_map(|stage| rest.split_once(stage));
    stage.map_or_else(|| digits(rest), |(major, minor)| digits(major) && digits(minor))
}

impl Resource {
    /// The path of the group and version: /api/v1, /apis/batch/v1.
    pub(super) fn base(&self) -> String {
        if self.group.is_empty() {
            format!("/api/{}", self.version)
        } else {
            format!("/apis/{}/{}", self.group, self.version)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spellings_of_kubectl() {
        for (text, plural, group) in [
            ("job", "jobs", "batch"),
            ("Jobs", "jobs", "batch"),
            ("jobs.batch", "jobs", "batch"),
            ("jobs.v1.batch", "jobs", "batch"),
            ("po", "pods", ""),
            ("svc", "services", ""),
            ("pods.v1", "pods", ""),
            ("deploy.apps", "deployments", "apps"),
            ("crd", "customresourcedefinitions", "apiextensions.k8s.io"),
        ] {
            let Named::Known(found) = Named::parse(text).unwrap() else { panic!("{text}") };
            assert_eq!((found.plural.as_str(), found.group.as_str()), (plural, group), "{text}");
        }
        let unknown = |resource: &str, version: Option<&str>, group: Option<&str>| Named::Unknown {
            resource: resource.into(),
            version: version.map(str::to_owned),
            group: group.map(str::to_owned),
        };
        for (text, named) in [
            ("certificates.v1.cert-manager.io", unknown("certificates", Some("v1"), Some("cert-manager.io"))),
            ("certificates.cert-manager.io", unknown("certificates", None, Some("cert-manager.io"))),
            ("cert", unknown("cert", None, None)),
            ("services.v1.serving.knative.dev", unknown("services", Some("v1"), Some("serving.knative.dev"))),
            ("cronjobs.v1beta1.batch", unknown("cronjobs", Some("v1beta1"), Some("batch"))),
        ] {
            assert_eq!(Named::parse(text).unwrap(), named, "{text}");
        }
        for invalid in ["", ".", "a..b", "a/b", "a b", "-a", "a_b"] {
            assert!(Named::parse(invalid).unwrap_err().to_string().contains("(expected"), "{invalid}");
        }
    }
}
