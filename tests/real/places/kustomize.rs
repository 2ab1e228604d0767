//! deploy/kustomize, rendered by the Kustomize in kubectl.

use std::process::Command;

use super::{are_accepted, documents, init_containers, is_valid, kube_tool, output, root, strings};

#[test]
fn the_component_adds_the_container_where_the_label_is() {
    let mut command = Command::new(kube_tool("kubectl"));
    command.arg("kustomize").arg(root().join("deploy/kustomize/example"));
    let rendered = output(&mut command, "").unwrap_or_else(|why| panic!("{why}"));
    is_valid(&rendered);

    let documents = documents(&rendered);
    assert_eq!(documents.len(), 2);
    assert!(init_containers(&documents, "docs").is_empty(), "it has no label:\n{rendered}");
    let containers = init_containers(&documents, "web");
    // It waits before the Deployment's own init container.
    let names: Vec<_> = containers.iter().map(|container| container["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["waitgate", "migrate"]);
    let image = format!("registry.example/tools/waitgate:{}", env!("CARGO_PKG_VERSION"));
    assert_eq!(containers[0]["image"].as_str(), Some(image.as_str()));

    // The targets of the annotation are taken as they are written.
    let env = containers[0]["env"].as_sequence().unwrap();
    let targets = env.iter().find(|variable| variable["name"].as_str() == Some("WAITGATE_TARGETS")).unwrap();
    assert_eq!(
        targets["valueFrom"]["fieldRef"]["fieldPath"].as_str(),
        Some("metadata.annotations['waitgate/targets']")
    );
    let web = documents.iter().find(|document| document["metadata"]["name"].as_str() == Some("web")).unwrap();
    let annotation = web["spec"]["template"]["metadata"]["annotations"]["waitgate/targets"].as_str().unwrap();
    let env = [("WAITGATE_TARGETS", annotation), ("DB_PASSWORD", "hunter2")];
    let plan = are_accepted(&strings(&containers[0]["args"]), &env);
    assert!(plan.contains("http://api/healthz") && !plan.contains("hunter2"), "{plan}");
}
