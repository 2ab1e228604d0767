//! The places where people put waitgate, each tried by the tool that belongs to it. `tests/kube-tools` installs Helm,
//! kubectl and the schemas of Kubernetes.

/// charts/: rendered by Helm.
mod helm;
/// deploy/kustomize: rendered by Kustomize.
mod kustomize;
/// Every manifest, against the schemas of Kubernetes.
mod manifests;
/// docker compose and systemd.
mod others;

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use saphyr::{LoadableYamlNode as _, Yaml};

use crate::support::Run;

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// A program of target/kube-tools.
#[track_caller]
fn kube_tool(name: &str) -> PathBuf {
    let path = root().join("target/kube-tools/bin").join(name);
    assert!(path.exists(), "{} is not there: run tests/kube-tools", path.display());
    path
}

/// What a program prints to stdout, and what to stderr if it fails.
#[track_caller]
fn output(command: &mut Command, stdin: &str) -> Result<String, String> {
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| panic!("{command:?}: {error}"));
    // A program that fails early may not read it.
    let _ = child.stdin.take().expect("a pipe").write_all(stdin.as_bytes());
    let output = child.wait_with_output().unwrap();
    let text = |bytes| String::from_utf8(bytes).expect("UTF-8");
    if output.status.success() { Ok(text(output.stdout)) } else { Err(text(output.stdout) + &text(output.stderr)) }
}

/// Checks each object in these files as a Kubernetes 1.36 server would, unknown fields too.
#[track_caller]
fn are_valid(files: &[PathBuf]) {
    assert!(!files.is_empty());
    let mut command = Command::new(kube_tool("kubernetes-validate"));
    command.args(["-k", "1.36", "--strict"]).args(files);
    let said = output(&mut command, "").unwrap_or_else(|why| panic!("{why}"));
    for file in files {
        assert!(said.contains(&*file.to_string_lossy()), "{} was not looked at:\n{said}", file.display());
    }
}

/// The same for one text.
#[track_caller]
fn is_valid(yaml: &str) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("rendered.yaml");
    std::fs::write(&file, yaml).unwrap();
    are_valid(&[file]);
}

/// The init containers of the one Pod template in each document, by the object's name.
#[track_caller]
fn init_containers<'a>(documents: &'a [Yaml<'a>], name: &str) -> Vec<&'a Yaml<'a>> {
    let named = |document: &&Yaml<'_>| document["metadata"]["name"].as_str() == Some(name);
    let document = documents.iter().find(named).unwrap_or_else(|| panic!("no object {name}"));
    let spec = &document["spec"]["template"]["spec"];
    let list = spec.as_mapping_get("initContainers").and_then(|list| list.as_sequence());
    list.map(|list| list.iter().collect()).unwrap_or_default()
}

fn documents(yaml: &str) -> Vec<Yaml<'_>> {
    Yaml::load_from_str(yaml).unwrap_or_else(|error| panic!("{error}:\n{yaml}"))
}

fn strings(list: &Yaml<'_>) -> Vec<String> {
    list.as_sequence().expect("a list").iter().map(|item| item.as_str().expect("a text").to_owned()).collect()
}

/// waitgate accepts the arguments. It has these variables, and `$$(` is `$(` after the kubelet.
#[track_caller]
fn are_accepted(args: &[String], env: &[(&str, &str)]) -> String {
    let args = args.iter().map(|arg| arg.replace("$$(", "$(")).chain(["--dry-run".to_owned()]);
    let run = env.iter().fold(Run::new(args), |run, (name, value)| run.env(name, value));
    let ended = run.end();
    ended.success();
    ended.stdout.clone()
}

fn exists(path: &Path) -> PathBuf {
    assert!(path.exists(), "{}", path.display());
    path.to_owned()
}
