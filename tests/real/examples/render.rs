//! From a file of examples/ to the command line and the environment that it comes to.

use std::{collections::BTreeMap, fs};

use regex_lite::{Captures, Regex};
use saphyr::{LoadableYamlNode as _, Yaml};
use serde_json::{Value, json};

use super::{Case, POD_IP, POD_NAME, path};

#[derive(Clone)]
pub(super) struct Command {
    pub(super) words: Vec<String>,
    pub(super) env: BTreeMap<String, String>,
}

impl Command {
    fn new<const N: usize>(words: [&str; N]) -> Self {
        Self { words: words.map(str::to_owned).into(), env: BTreeMap::new() }
    }
}

/// The command of an example, whatever kind of file it is. A resolv.conf of its own becomes the case's.
#[track_caller]
pub(super) fn command(file: &str, case: &mut Case) -> Command {
    let text = fs::read_to_string(path(file)).unwrap();
    if file == "docker-run.sh" {
        return Command::new(["sh", "-c", &text]);
    }
    if file.ends_with(".service") {
        return unit(&text, case);
    }
    if file.ends_with("Dockerfile") {
        let words = |instruction: &str| -> Vec<String> {
            let words = text.lines().find_map(|line| line.strip_prefix(instruction)).expect("the instruction");
            serde_json::from_str(words).expect("its exec form")
        };
        return Command { words: [words("ENTRYPOINT "), words("CMD ")].concat(), env: BTreeMap::new() };
    }
    let documents = documents(&block_yaml(file));
    match file {
        "action.yml" => action(&documents[0]),
        "gitlab-ci.yaml" => {
            let waits = |line: &&str| line.starts_with("waitgate ");
            Command::new(["bash", "-e", "-c", only(strings(&documents[0]["test"]["script"]).into_iter().filter(waits))])
        }
        "compose.yaml" => compose(&documents[0], case),
        "github-actions.yaml" => {
            let steps = documents[0]["jobs"]["test"]["steps"].as_array().unwrap();
            let waits = |step: &&Value| step["name"].as_str().unwrap().starts_with("Wait");
            let step = only(steps.iter().filter(waits));
            Command::new(["bash", "-e", "-c", step["run"].as_str().unwrap()])
        }
        _ => kubernetes(&documents, case),
    }
}

/// The text of a file of YAML, without a flow list or map in it.
#[track_caller]
fn block_yaml(file: &str) -> String {
    let text = fs::read_to_string(path(file)).unwrap();
    for (number, line) in text.lines().enumerate() {
        assert!(!has_flow(line), "a flow list or map in line {} of {file}", number + 1);
    }
    text.replace("{{ .Release.Name }}", "shop")
}

/// The command of a file that looks once: a readiness probe, or the health check of an image or of compose.
#[track_caller]
pub(super) fn once(file: &str) -> Command {
    let words = if file.ends_with("Dockerfile") {
        let text = fs::read_to_string(path(file)).unwrap();
        let line = only(text.lines().filter_map(|line| line.strip_prefix("HEALTHCHECK ")));
        serde_json::from_str(line.split_once(" CMD ").expect("a command").1).expect("its exec form")
    } else if file.starts_with("compose") {
        let document = only(documents(&block_yaml(file)));
        let words = strings(&document["services"]["web"]["healthcheck"]["test"]).into_iter().map(str::to_owned);
        let words: Vec<String> = words.collect();
        assert_eq!(words[0], "CMD", "no shell is needed");
        words[1..].to_vec()
    } else {
        let document = only(documents(&block_yaml(file)));
        let container = only(document["spec"]["template"]["spec"]["containers"].as_array().unwrap());
        strings(&container["readinessProbe"]["exec"]["command"])
            .into_iter()
            .map(|word| word.replace("/usr/local/bin/", ""))
            .collect()
    };
    assert_eq!(words[..2], ["waitgate", "--once"]);
    Command { words, env: BTreeMap::new() }
}

/// `--timeout=8m` in seconds.
#[track_caller]
fn timeout<'a>(mut args: impl Iterator<Item = &'a str>) -> u64 {
    let minutes = args.find_map(|arg| arg.strip_prefix("--timeout=")?.strip_suffix('m'));
    minutes.and_then(|minutes| minutes.parse::<u64>().ok()).expect("--timeout in minutes") * 60
}

/// What systemd makes of ExecStartPre= (systemd.service, "Command lines").
#[track_caller]
fn unit(text: &str, case: &Case) -> Command {
    let line = only(text.lines().filter_map(|line| line.strip_prefix("ExecStartPre=/usr/local/bin/")));
    let word = Regex::new(r#""([^"]*)"|(\S+)"#).expect("a pattern");
    let plain = |found: Captures<'_>| found.get(1).or(found.get(2)).expect("a word").as_str().to_owned();
    let words = word.captures_iter(line).map(plain).map(|word| word.replace("$$", "$").replace("%%", "%"));
    let words: Vec<String> = words.collect();
    let limit = only(text.lines().filter_map(|line| line.strip_prefix("TimeoutStartSec=")?.strip_suffix("min")));
    assert!(timeout(words.iter().map(String::as_str)) < limit.parse::<u64>().unwrap() * 60, "waitgate gives up first");
    Command { words, env: case.env.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect() }
}

/// What GitHub makes of the action with these inputs.
#[track_caller]
fn action(document: &Value) -> Command {
    let steps = document["runs"]["steps"].as_array().unwrap();
    let step = only(steps.iter().filter(|step| step["name"] == "Wait"));
    let script = step["run"].as_str().unwrap();
    assert!(!script.contains("${{"), "an input in a script is a part of the script");
    let input = |name: &str| match name {
        "targets" => "# for the tests\npostgres:127.0.0.1:5432\nhttp://127.0.0.1:8080/healthz#status=204\n".to_owned(),
        "options" => "--parallel\n\n--max-pause=2s".to_owned(),
        "binary" => "waitgate".to_owned(),
        other => document["inputs"][other]["default"].as_str().expect("a default").to_owned(),
    };
    let reference = Regex::new(r"\$\{\{ inputs\.(\w+) \}\}").expect("a pattern");
    let filled = |text: &str| reference.replace_all(text, |found: &Captures<'_>| input(&found[1])).into_owned();
    let env = step["env"].as_object().unwrap().iter();
    let env = env.map(|(name, value)| (name.clone(), filled(value.as_str().unwrap()))).collect();
    // GitHub's shell: bash.
    Command { env, ..Command::new(["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", script]) }
}

/// Whether a value begins with a bracket or a brace outside of quotes: people paste block lists, and change them.
fn has_flow(line: &str) -> bool {
    let value = Regex::new(r"^\s*(- +)*([^\s'\x22#]+:\s+)?[\[{]").expect("a pattern");
    value.is_match(line)
}

#[track_caller]
fn only<T>(items: impl IntoIterator<Item = T>) -> T {
    let mut items = items.into_iter();
    let first = items.next().expect("one");
    assert!(items.next().is_none(), "only one");
    first
}

fn documents(text: &str) -> Vec<Value> {
    Yaml::load_from_str(text).expect("YAML").iter().map(json_of).collect()
}

fn json_of(yaml: &Yaml<'_>) -> Value {
    match yaml {
        Yaml::Sequence(items) => items.iter().map(json_of).collect(),
        Yaml::Mapping(entries) => {
            let entry =
                |(key, value): (&Yaml<'_>, &Yaml<'_>)| (key.as_str().expect("a name").to_owned(), json_of(value));
            Value::Object(entries.iter().map(entry).collect())
        }
        scalar => {
            let text = scalar.as_str().map(Value::from);
            let plain = || scalar.as_bool().map(Value::from).or_else(|| scalar.as_integer().map(Value::from));
            text.or_else(plain).unwrap_or_default()
        }
    }
}

/// `$(NAME)` as the kubelet expands it: unknown names stay, `$$` is a literal `$`.
fn expand(text: &str, env: &BTreeMap<String, String>) -> String {
    let reference = Regex::new(r"\$\$|\$\(([A-Za-z_.-][\w.-]*)\)").expect("a pattern");
    let value = |found: &Captures<'_>| match found.get(1) {
        None => "$".to_owned(),
        Some(name) => env.get(name.as_str()).map_or(&found[0], String::as_str).to_owned(),
    };
    reference.replace_all(text, value).into_owned()
}

#[track_caller]
fn strings(list: &Value) -> Vec<&str> {
    list.as_array().expect("a list").iter().map(|item| item.as_str().expect("a string")).collect()
}

fn image() -> String {
    format!("waitgate:{}", env!("CARGO_PKG_VERSION"))
}

/// The init container's.
#[track_caller]
fn kubernetes(documents: &[Value], case: &mut Case) -> Command {
    let secret = |reference: &Value| {
        let of_name =
            |document: &&Value| document["kind"] == "Secret" && document["metadata"]["name"] == reference["name"];
        let secret = only(documents.iter().filter(of_name));
        secret["stringData"][reference["key"].as_str().unwrap()].as_str().expect("a key of the Secret").to_owned()
    };
    let field = |path: &Value| match path.as_str() {
        Some("metadata.name") => POD_NAME.to_owned(),
        Some("status.podIP") => POD_IP.to_owned(),
        _ => panic!("unknown field {path}"),
    };
    let pod =
        documents.iter().find(|document| ["Pod", "Deployment", "Job"].iter().any(|kind| document["kind"] == *kind));
    let pod = pod.expect("a Pod, a Deployment or a Job");
    let spec = if pod["kind"] == "Pod" { &pod["spec"] } else { &pod["spec"]["template"]["spec"] };
    if let Some(config) = spec.get("dnsConfig") {
        case.resolv_conf = resolv_conf(config, case.nameserver);
        assert_eq!(spec["dnsPolicy"], "None");
    }
    // A Job may have nothing but waitgate.
    let alone = || spec["containers"].as_array().filter(|list| list.iter().all(|it| it["name"] == "waitgate"));
    let container = only(spec["initContainers"].as_array().or_else(alone).expect("waitgate"));
    is_restricted(container);
    if let Some(path) = container.get("terminationMessagePath") {
        let option = format!("--termination-log={}", path.as_str().unwrap());
        assert!(strings(&container["args"]).contains(&option.as_str()), "the kubelet reads {path}");
    }
    if pod["kind"] == "Job" {
        assert_eq!(spec["restartPolicy"], "Never", "the Pod and its reason stay");
        // activeDeadlineSeconds is that of all Pods together, and would delete the last one.
        let pods = pod["spec"]["backoffLimit"].as_u64().expect("a backoffLimit") + 1;
        let timeout = timeout(strings(&container["args"]).into_iter());
        assert!(pods * timeout < pod["spec"]["activeDeadlineSeconds"].as_u64().expect("a deadline"), "{pods} Pods");
    }
    let mut env: BTreeMap<_, _> = case.env.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect();
    for variable in container["env"].as_array().into_iter().flatten() {
        let source = &variable["valueFrom"];
        let value = if let Some(reference) = source.get("secretKeyRef") {
            secret(reference)
        } else if let Some(reference) = source.get("fieldRef") {
            field(&reference["fieldPath"])
        } else {
            expand(variable["value"].as_str().unwrap(), &env)
        };
        env.insert(variable["name"].as_str().unwrap().to_owned(), value);
    }
    let args = strings(&container["args"]).into_iter().map(|arg| expand(arg, &env));
    Command { words: ["waitgate".to_owned()].into_iter().chain(args).collect(), env }
}

/// What the kubelet makes of a dnsConfig.
fn resolv_conf(config: &Value, nameserver: &str) -> String {
    assert_eq!(config["nameservers"], json!([nameserver]));
    let options = config["options"].as_array().unwrap().iter();
    let options = options.map(|it| format!("{}:{}", it["name"].as_str().unwrap(), it["value"].as_str().unwrap()));
    format!(
        "search {}\nnameserver {nameserver}\noptions {}\n",
        strings(&config["searches"]).join(" "),
        options.collect::<Vec<_>>().join(" ")
    )
}

/// What every manifest of ours says: small requests, no CPU limit, the restricted standard.
#[track_caller]
fn is_restricted(container: &Value) {
    assert_eq!(container["image"], image());
    assert_eq!(
        container["resources"],
        json!({"requests": {"memory": "16Mi", "cpu": "10m"}, "limits": {"memory": "16Mi"}})
    );
    assert_eq!(
        container["securityContext"],
        json!({
            "runAsNonRoot": true,
            "allowPrivilegeEscalation": false,
            "readOnlyRootFilesystem": true,
            "capabilities": {"drop": ["ALL"]},
            "seccompProfile": {"type": "RuntimeDefault"},
        })
    );
}

/// The service's, with what compose itself puts in.
#[track_caller]
fn compose(document: &Value, case: &Case) -> Command {
    let service = &document["services"]["waitgate"];
    assert_eq!(service["image"], image());
    let reference = Regex::new(r"\$\{(\w+):\?[^}]*\}").expect("a pattern");
    let value = |found: &Captures<'_>| {
        let known = case.env.iter().find(|(name, _)| *name == &found[1]);
        known.expect("a variable of the case").1
    };
    let env = service["environment"].as_object().unwrap().iter().map(|(name, text)| {
        let text = reference.replace_all(text.as_str().unwrap(), value);
        (name.clone(), text.into_owned())
    });
    let args = strings(&service["command"]).into_iter().map(|arg| arg.replace("$$", "$"));
    Command { words: ["waitgate".to_owned()].into_iter().chain(args).collect(), env: env.collect() }
}
