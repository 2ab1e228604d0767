//! charts/, rendered by Helm: the named template, its values and its errors.

use std::fs;
use std::path::Path;
use std::process::Command;

use expect_test::expect_file;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::{are_accepted, documents, init_containers, is_valid, kube_tool, output, root, strings};

/// `helm dependency update`, `helm lint --strict` and `helm template` of one chart, whose folder is the argument. Values
/// are on stdin. Prints the manifests in the order of their files.
const HELM: &str = r#"
import sys, yaml
import helm_python as helm
# JSON is YAML too.
chart, values = sys.argv[1], yaml.safe_load(sys.stdin)
try:
    helm.dependency_update(chart)
    with helm.Chart.load(chart) as loaded:
        manifests = loaded.render(values, name="shop", namespace="default")
    for folder, of in [(chart, values), (chart + "/../waitgate", {})]:
        for finding in helm.lint(folder, of, strict=True, kube_version="v1.36.0")["messages"]:
            # 1 is information, such as a recommended icon.
            assert finding["severity"] <= 1, finding
except helm.HelmError as error:
    sys.exit(str(error))
for name in sorted(manifests):
    print("---\n# " + name)
    print(manifests[name].strip())
"#;

/// A copy of charts/, where Helm may write.
struct Charts {
    folder: TempDir,
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap().map(Result::unwrap) {
        let to = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy(&entry.path(), &to);
        } else {
            fs::copy(entry.path(), to).unwrap();
        }
    }
}

impl Charts {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        copy(&root().join("charts"), folder.path());
        Self { folder }
    }

    /// Puts one template in the place of those of charts/example.
    fn with_template(self, text: &str) -> Self {
        let templates = self.folder.path().join("example/templates");
        fs::remove_dir_all(&templates).unwrap();
        fs::create_dir(&templates).unwrap();
        fs::write(templates.join("own.yaml"), text).unwrap();
        self
    }

    fn render(&self, values: &Value) -> Result<String, String> {
        self.render_yaml(&values.to_string())
    }

    fn render_yaml(&self, values: &str) -> Result<String, String> {
        let mut command = Command::new(kube_tool("python3"));
        // Helm keeps its files in the home directory.
        command.args(["-c", HELM]).arg(self.folder.path().join("example")).env("HOME", self.folder.path());
        output(&mut command, values)
    }

    #[track_caller]
    fn refused(&self, values: &Value, why: &str) {
        let error = self.render(values).expect_err("an error");
        assert!(error.contains(why), "expected {why:?}:\n{error}");
    }
}

/// A Pod whose init container comes from the template called with `dict`.
fn pod(dict: &str) -> String {
    format!(
        "apiVersion: v1\nkind: Pod\nmetadata:\n  name: own\nspec:\n  initContainers:\n    \
         {{{{- include \"waitgate.initContainer\" ({dict}) | nindent 4 }}}}\n  containers:\n    - name: own\n      image: nginx:1\n"
    )
}

/// The init container of [`pod`] with these values.
#[track_caller]
fn container(dict: &str, values: &Value) -> String {
    let rendered = Charts::new().with_template(&pod(dict)).render(values).unwrap_or_else(|why| panic!("{why}"));
    is_valid(&rendered);
    rendered
}

#[test]
fn the_example_is_rendered_as_shown() {
    let rendered = Charts::new().render(&json!({})).unwrap_or_else(|why| panic!("{why}"));
    expect_file!["rendered.yaml"].assert_eq(&rendered);
    is_valid(&rendered);
    let documents = documents(&rendered);
    for name in ["shop-web", "shop-migrate"] {
        let containers = init_containers(&documents, name);
        are_accepted(&strings(&containers[0]["args"]), &[("DB_PASSWORD", "hunter2")]);
    }
}

/// The values of the library are those of every manifest in examples/.
#[test]
fn the_defaults_are_current() {
    let read = |path: &str| fs::read_to_string(root().join(path)).unwrap();
    let version = env!("CARGO_PKG_VERSION");
    let values = read("charts/waitgate/values.yaml");
    let chart = read("charts/waitgate/Chart.yaml");
    assert_eq!(documents(&values)[0]["image"]["tag"].as_str(), Some(version));
    assert_eq!(documents(&chart)[0]["appVersion"].as_str(), Some(version));
    let example = read("examples/13-termination-message.yaml");
    let example = &documents(&example)[0]["spec"]["initContainers"][0];
    for key in ["resources", "securityContext"] {
        assert_eq!(documents(&values)[0][key], example[key], "{key}");
    }
}

/// The blocks of the chart's README: the dependency, the template and the values.
#[test]
fn the_readme_is_true() {
    let readme = fs::read_to_string(root().join("charts/waitgate/README.md")).unwrap();
    let blocks = |language: &str| -> Vec<String> {
        let fence = format!("```{language}\n");
        let starts = readme.split(&fence).skip(1);
        starts.map(|rest| rest.split("```").next().unwrap().to_owned()).collect()
    };
    let (yaml, template) = (blocks("yaml"), blocks("gotemplate"));
    let example = fs::read_to_string(root().join("charts/example/Chart.yaml")).unwrap();
    assert!(example.contains(&yaml[0]), "the dependency of the example is the one shown:\n{}", yaml[0]);

    let (web, call) = (root().join("charts/example/templates/web.yaml"), template[0].lines().nth(2).unwrap());
    assert!(fs::read_to_string(web).unwrap().contains(call), "the example calls the template as shown: {call}");
    let rendered = Charts::new().with_template(&pod("dict \"root\" $")).render_yaml(&yaml[1]);
    let rendered = rendered.unwrap_or_else(|why| panic!("{why}"));
    is_valid(&rendered);
    let documents = documents(&rendered);
    let own = &documents[0]["spec"]["initContainers"][0];
    assert!(own["image"].as_str().unwrap().starts_with("registry.example/tools/waitgate:"));
    are_accepted(&strings(&own["args"]), &[("DB_PASSWORD", "hunter2")]);

    // Each value has a row.
    let values = fs::read_to_string(root().join("charts/waitgate/values.yaml")).unwrap();
    for key in self::documents(&values)[0].as_mapping().unwrap().keys().map(|key| key.as_str().unwrap()) {
        assert!(readme.contains(&format!("`{key}`")) || readme.contains(&format!("`{key}.")), "no row for {key}");
    }
}

/// The schema knows each option that makes sense, and no other.
#[test]
fn the_schema_has_the_options() {
    let schema = fs::read_to_string(root().join("charts/waitgate/values.schema.json")).unwrap();
    let schema: Value = serde_json::from_str(&schema).unwrap();
    let known: Vec<_> = schema["properties"]["options"]["properties"].as_object().unwrap().keys().cloned().collect();
    let command = crate::support::door::command();
    // They print a text and do not wait.
    let others = ["help", "version", "explain"];
    let mut options: Vec<_> = command.get_arguments().filter_map(|arg| arg.get_long()).collect();
    options.retain(|option| !others.contains(option));
    options.sort_unstable();
    assert_eq!(known, options);
}

#[test]
fn values_reach_the_container() {
    let values = json!({"waitgate": {
        "name": "wait-for-db",
        "image": {"registry": "", "tag": "", "digest": format!("sha256:{}", "0a".repeat(32)), "pullPolicy": "Always"},
        "targets": ["tcp:db:5432#timeout=1m", "http://api/a?b=\"c\"&d: e"],
        "options": {"timeout": null, "parallel": true, "verbose": false, "successes": 3, "termination-log": ""},
        "envFrom": [{"secretRef": {"name": "db"}}],
        "volumeMounts": [{"name": "ca", "mountPath": "/ca", "readOnly": true}],
        "resources": {"limits": null},
        "securityContext": {"runAsUser": 1000},
    }});
    let rendered = container("dict \"root\" $", &values);
    for line in [
        "- name: \"wait-for-db\"",
        &format!("image: \"waitgate@sha256:{}\"", "0a".repeat(32)),
        "imagePullPolicy: \"Always\"",
        "name: db",
        "mountPath: /ca",
        "runAsUser: 1000",
        "readOnlyRootFilesystem: true",
    ] {
        assert!(rendered.contains(line), "no {line:?}:\n{rendered}");
    }
    assert!(!rendered.contains("limits:") && rendered.contains("requests:"), "{rendered}");
    let documents = documents(&rendered);
    let args = strings(&documents[0]["spec"]["initContainers"][0]["args"]);
    assert_eq!(
        args,
        ["--parallel", "--successes=3", "--termination-log=", "tcp:db:5432#timeout=1m", "http://api/a?b=\"c\"&d: e"]
    );
}

/// A false and an empty value count too, and the call changes nothing for the next call.
#[test]
fn the_call_wins_over_the_values() {
    let values = json!({"waitgate": {"options": {"parallel": true}, "targets": ["tcp:a:1"]}});
    let call = "dict \"root\" $ \"targets\" (list \"tcp:b:1\") \"options\" (dict \"parallel\" false \"timeout\" \"0\") \
                \"securityContext\" (dict \"readOnlyRootFilesystem\" false) \"env\" list";
    let rendered = container(call, &values);
    let yaml = documents(&rendered);
    let own = &yaml[0]["spec"]["initContainers"][0];
    assert_eq!(strings(&own["args"]), ["--timeout=0", "tcp:b:1"]);
    assert_eq!(own["securityContext"]["readOnlyRootFilesystem"].as_bool(), Some(false));
    assert_eq!(own["securityContext"]["runAsNonRoot"].as_bool(), Some(true));
    assert!(!rendered.contains("DB_PASSWORD"), "{rendered}");

    let twice = pod(call).replace("  containers:", "  containers: # and once more\n    {{- include \"waitgate.initContainer\" (dict \"root\" $ \"name\" \"two\") | nindent 4 }}");
    let rendered = Charts::new().with_template(&twice).render(&values).unwrap_or_else(|why| panic!("{why}"));
    let yaml = documents(&rendered);
    assert_eq!(strings(&yaml[0]["spec"]["containers"][0]["args"]), ["--parallel", "--timeout=4m", "tcp:a:1"]);
}

#[test]
fn mistakes_are_named() {
    let charts = Charts::new();
    let with = |key: &str, value: Value| json!({"waitgate": {key: value}});
    charts.refused(&json!({"waitgate": {"targets": [], "env": []}}), "no target (expected a list in targets");
    charts.refused(&with("targets", json!("tcp:db:5432")), "at '/targets': got string, want array");
    charts.refused(&with("targets", json!(["db"])), "at '/targets/0'");
    charts.refused(&with("options", json!({"timout": "1m"})), "additional properties 'timout' not allowed");
    charts.refused(&with("image", json!({"tag": ""})), "no tag and no digest");
    charts.refused(&with("image", json!({"tag": 0.1})), "at '/image/tag': got number, want string");
    charts.refused(&with("image", json!({"digest": "sha256:12"})), "at '/image/digest'");
    charts.refused(&with("image", json!({"registry": "registry.example/"})), "at '/image/registry'");
    charts.refused(&with("target", json!(["tcp:db:5432"])), "additional properties 'target' not allowed");
    let call = |dict: &str, why: &str| Charts::new().with_template(&pod(dict)).refused(&json!({}), why);
    charts.refused(&json!({"waitgate": null}), "waitgate");
    call("dict", "no root (expected");
    call("dict \"root\" $ \"target\" \"tcp:a:1\"", "unknown key target (expected root, name, image, targets");
    call("dict \"root\" $ \"targets\" \"tcp:a:1\"", "targets is no list (expected a list");
    call("dict \"root\" $ \"targets\" (list (dict \"tcp\" \"a:1\"))", "a target is no text, but a map");
}

/// An example for a chart without the library.
#[test]
fn helm_deployment_is_rendered() {
    let text = fs::read_to_string(root().join("examples/helm-deployment.yaml")).unwrap();
    let rendered = Charts::new().with_template(&text).render(&json!({})).unwrap_or_else(|why| panic!("{why}"));
    is_valid(&rendered);
    let documents = documents(&rendered);
    let args = strings(&init_containers(&documents, "shop-web")[0]["args"]);
    assert_eq!(args, ["--timeout=4m", "tcp:shop-redis:6379", "http://shop-api/healthz"]);
    are_accepted(&args, &[]);
}
