//! Kubernetes 1.36's view of every manifest: its schemas, and no field that they do not know.

use std::fs;
use std::path::PathBuf;

use super::{are_valid, exists, root};

#[test]
fn the_examples_are_valid() {
    let others = ["compose.yaml", "compose-healthcheck.yaml", "github-actions.yaml", "gitlab-ci.yaml"];
    let is_manifest = |path: &PathBuf| {
        path.extension().is_some_and(|extension| extension == "yaml") && !others.iter().any(|name| path.ends_with(name))
    };
    let paths = fs::read_dir(root().join("examples")).unwrap().map(|entry| entry.unwrap().path());
    let files: Vec<_> = paths.filter(is_manifest).collect();
    assert!(files.len() >= 18, "{files:?}");
    are_valid(&files);
}

#[test]
fn the_patches_of_kustomize_are_valid() {
    let folder = root().join("deploy/kustomize");
    are_valid(&[exists(&folder.join("example/deployments.yaml"))]);
}

/// A manifest that is wrong is seen to be wrong.
#[test]
#[should_panic(expected = "initContainer")]
fn a_wrong_field_is_found() {
    let text = fs::read_to_string(root().join("examples/12-job.yaml")).unwrap();
    super::is_valid(&text.replace("initContainers:", "initContainer:"));
}
