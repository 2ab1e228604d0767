//! Every file of examples/, run as it is written.
//!
//! A manifest's arguments and environment are taken from its YAML and rendered as the kubelet would. Then waitgate
//! runs with them in a Pod: a resolv.conf with a search list, a DNS server that answers Service names, Service
//! addresses, user 65532 without capabilities. Nothing that it waits for is there when it starts; each step of a case
//! brings one thing, and waitgate must go on waiting until the last.

/// From a file to a command line and an environment.
mod render;
/// The servers of a case, each started by a step.
mod world;

use std::{
    collections::BTreeSet,
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    thread,
    time::{Duration, Instant},
};

use tempfile::TempDir;

use crate::support::{PATIENCE, Run, run::Running};
use render::Command;
use world::{
    Step::{
        self, Broker, Database, Elected, Health, Kafka, Kubernetes, Loaded, Loading, Memcached, MongoDb, MySql, Names,
        Postgres, Queue, Registry, Tcp, Topic, Web, ZooKeeper,
    },
    World,
};

/// The password of the role `webapp`, with every character that has a meaning on the way to it.
const PASSWORD: &str = "s#ord & \"fish\"%";
const POD_NAME: &str = "myapp";
const POD_IP: &str = "10.244.0.7";
const DB: &str = "10.96.0.14";
const API: &str = "10.96.0.80";
const KUBERNETES: &str = "10.96.0.1";
const API_SERVER: [(&str, &str); 2] = [("KUBERNETES_SERVICE_HOST", KUBERNETES), ("KUBERNETES_SERVICE_PORT", "443")];

/// What a restricted Pod leaves to its containers.
const RESTRICTED: [&str; 6] =
    ["setpriv", "--reuid=65532", "--regid=65532", "--clear-groups", "--bounding-set=-all", "--no-new-privs"];

/// What comes step by step, and what is around it.
struct Case {
    steps: Vec<Step>,
    /// What the kubelet (or the user's shell) has beyond the file.
    env: Vec<(&'static str, &'static str)>,
    /// Appended to the arguments.
    extra: Option<&'static str>,
    nameserver: &'static str,
    zone: &'static str,
    resolv_conf: String,
    /// Checks the world when all is over.
    after: fn(&World),
}

/// In a Pod of a cluster.
fn pod<const N: usize>(steps: [Step; N]) -> Case {
    let nameserver = "10.96.0.10";
    let resolv_conf = format!(
        "search default.svc.cluster.local svc.cluster.local cluster.local\nnameserver {nameserver}\noptions ndots:5\n"
    );
    let (env, after) = (Vec::new(), |_: &World| ());
    Case { steps: steps.into(), env, extra: None, nameserver, zone: "cluster.local", resolv_conf, after }
}

/// In a container of Docker, whose own DNS has no search list and names of one label.
fn docker<const N: usize>(steps: [Step; N]) -> Case {
    let nameserver = "127.0.0.11";
    let resolv_conf = format!("nameserver {nameserver}\noptions ndots:0\n");
    Case { nameserver, zone: ".", resolv_conf, ..pod(steps) }
}

impl Case {
    fn env<const N: usize>(self, env: [(&'static str, &'static str); N]) -> Self {
        Self { env: env.into(), ..self }
    }

    fn after(self, after: fn(&World)) -> Self {
        Self { after, ..self }
    }
}

macro_rules! examples {
    ($($test:ident = $file:literal: $case:expr;)+) => {
        /// The files that have a case.
        const FILES: &[&str] = &[$($file),+];

        $(#[test]
        fn $test() {
            run($file, $case);
        })+
    };
}

examples! {
    dns_before_nginx = "01-dns-before-nginx.yaml": pod([Names(&[("mysql", DB)]), MySql(DB)]);
    tcp_address = "02-tcp-address.yaml": pod([Tcp("192.168.10.254", 6379)]);
    postgres = "03-postgres.yaml": pod([Names(&[("postgres", DB)]), Postgres(DB)]);
    postgres_login = "03-postgres-login.yaml": pod([Names(&[("postgres", DB)]), Postgres(DB), Database("orders")]);
    postgres_password = "03-postgres-password.yaml":
        pod([Names(&[("postgres", DB)]), Postgres(DB), Database("orders")]);
    postgres_url = "03-postgres-url.yaml": pod([Names(&[("postgres", DB)]), Postgres(DB), Database("orders")]);
    two_names = "04-two-names.yaml": pod([Names(&[("testservice", API)]), Names(&[("testdb", DB)])]);
    // Its resolv.conf is made from its dnsConfig.
    own_nameserver = "05-own-nameserver.yaml": Case {
        nameserver: "1.2.3.4",
        resolv_conf: String::new(),
        ..pod([Names(&[("testservice", API)]), Names(&[("testdb", DB)])])
    };
    bounded = "06-bounded.yaml": pod([Names(&[("myservice", API)])]);
    two_services = "07-two-services.yaml":
        pod([Names(&[("myservice", API), ("mydb", DB)]), Tcp(API, 80), Tcp(DB, 80)]);
    register = "08-register.yaml": pod([Registry(API, 8000)])
        .env([("MANAGEMENT_SERVICE_HOST", API), ("MANAGEMENT_SERVICE_PORT", "8000")])
        .after(|world| {
            let post = ("POST".to_owned(), "/register".to_owned(), format!("instance={POD_NAME}&ip={POD_IP}"));
            assert_eq!(world.requests(), [post.clone(), post]);
        });
    initial_delay = "09-initial-delay.yaml":
        Case { extra: Some("--initial-delay=1s"), ..pod([Names(&[("cache", DB)]), Tcp(DB, 11211)]) };
    timeout = "10-timeout.yaml": pod([Names(&[("db", DB), ("cache", API)]), Tcp(DB, 5432), Tcp(API, 11211)]);
    instead_of_crashing = "11-instead-of-crashing.yaml":
        pod([Names(&[("db", DB), ("stock", API)]), Postgres(DB), Web(API, 8080, "/healthz", 200)]);
    job = "12-job.yaml": pod([Names(&[("db", DB)]), Postgres(DB)]);
    termination_message = "13-termination-message.yaml": pod([Names(&[("db", DB)]), Tcp(DB, 5432)]);
    mysql = "15-mysql.yaml": pod([Names(&[("mysql", DB)]), MySql(DB), Database("orders")]);
    redis = "16-redis.yaml": pod([Names(&[("redis", DB)]), Loading(DB), Loaded]);
    mongodb = "21-mongodb.yaml": pod([
        Names(&[("mongodb-0.mongodb", DB), ("mongodb-1.mongodb", API)]),
        MongoDb(&[DB, API]),
        Elected,
    ]);
    zookeeper = "17-zookeeper.yaml": pod([
        Names(&[("zookeeper", API), ("memcached", DB)]),
        Tcp(API, 2181),
        ZooKeeper(API),
        Memcached(DB),
    ]);
    grpc = "23-grpc.yaml": pod([
        Names(&[("cart", API)]),
        Tcp(API, 50051),
        Health(API, "NOT_SERVING"),
        Health(API, "SERVING"),
    ]);
    kafka = "22-kafka.yaml": pod([Names(&[("kafka", DB)]), Kafka(DB), Topic("orders")]);
    k8s_job = "18-k8s-job.yaml": pod([Kubernetes(KUBERNETES)]).env(API_SERVER);
    k8s_service = "19-k8s-service.yaml": pod([Kubernetes(KUBERNETES)]).env(API_SERVER);
    rabbitmq = "20-rabbitmq.yaml": pod([Names(&[("rabbitmq", DB)]), Broker(DB), Queue("orders")]);
    helm_deployment = "helm-deployment.yaml":
        pod([Names(&[("shop-redis", DB), ("shop-api", API)]), Tcp(DB, 6379), Web(API, 80, "/healthz", 200)]);
    compose = "compose.yaml":
        docker([Names(&[("db", DB)]), Postgres(DB), Database("orders")]).env([("DB_PASSWORD", PASSWORD)]);
    docker_run = "docker-run.sh": docker([Names(&[("db", DB)]), Tcp(DB, 5432)])
        .after(|world| assert_eq!(world.started(), "webapp:1\n"));
    github_actions = "github-actions.yaml":
        pod([Postgres("127.0.0.1"), Web("127.0.0.1", 8080, "/healthz", 204)]);
    action = "action.yml": pod([Postgres("127.0.0.1"), Web("127.0.0.1", 8080, "/healthz", 204)]);
    gitlab_ci = "gitlab-ci.yaml":
        docker([Names(&[("db", DB), ("api", API)]), Postgres(DB), Web(API, 8080, "/healthz", 200)]);
    systemd_unit = "shop.service":
        pod([Names(&[("db", DB)]), Postgres(DB), Database("orders")]).env([("DB_PASSWORD", PASSWORD)]);
    argocd_presync = "argocd-presync.yaml": pod([Names(&[("db", DB)]), Postgres(DB)]);
    app_dockerfile = "app.Dockerfile": docker([Names(&[("db", DB)]), Tcp(DB, 5432)])
        .after(|world| assert_eq!(world.started(), "nginx -g daemon off;\n"));
}

/// The files with a command that does not wait.
const ONCE: [&str; 3] = ["14-probe.yaml", "app.Dockerfile", "compose-healthcheck.yaml"];

/// It says why within its second, or is ready.
#[track_caller]
fn looks_once(file: &str, steps: &[(Step, &str)], limit: Duration) {
    let tools = tools();
    let case = pod([]);
    let command = render::once(file);
    let mut world = World::new(&case, tools.path());
    let once = |world: &World| restricted(&command, None, &tools, |run| run.inside(&world.pod)).end();
    for (step, reason) in steps {
        once(&world).failure().took(Duration::ZERO..limit).stderr_has("not ready").stderr_has(reason);
        world.take(step);
    }
    once(&world).success();
}

/// The kubelet gives it one second.
#[test]
fn probe() {
    let steps = [(Names(&[("db", DB)]), "db"), (Tcp(DB, 5432), "10.96.0.14:5432")];
    looks_once(ONCE[0], &steps, Duration::from_secs(1));
}

/// Docker gives it two.
#[test]
fn health_checks() {
    for file in &ONCE[1..] {
        looks_once(file, &[(Web("127.0.0.1", 80, "/", 200), "127.0.0.1:80")], Duration::from_secs(2));
    }
}

fn path(file: &str) -> PathBuf {
    // GitHub wants it at the root.
    if file == "action.yml" { folder().join("..").join(file) } else { folder().join(file) }
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("examples")
}

/// And each is in the list that people read.
#[test]
fn each_file_has_a_case() {
    // The schema of the JSON log is for json_schema.rs; the demo is for people.
    let others = ["demo", "README.md", "json-schema.json"];
    let names = fs::read_dir(folder()).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let names = names.chain(["action.yml".to_owned()]);
    let files: BTreeSet<String> = names.filter(|name| !others.contains(&name.as_str())).collect();
    let known = || FILES.iter().copied().chain(ONCE);
    assert_eq!(files, known().map(str::to_owned).collect());
    let readme = fs::read_to_string(folder().join("README.md")).unwrap();
    for file in known() {
        let link = if file == "action.yml" { "](../action.yml)".to_owned() } else { format!("]({file})") };
        assert!(readme.contains(&link), "examples/README.md does not name {file}");
    }
}

/// `docker run [OPTION]... IMAGE [ARG]...` without a docker: waitgate is run, and of anything else the name is kept.
const DOCKER: &str = r#"#!/bin/sh
shift
while case $1 in -*) ;; *) false ;; esac; do shift; done
image=$1
shift
case $image in
    waitgate:VERSION) exec FOLDER/waitgate "$@" ;;
    *) echo "$image" >FOLDER/started ;;
esac
"#;

const NGINX: &str = "#!/bin/sh\necho \"nginx $*\" >FOLDER/started\n";

/// A folder with waitgate and with stand-ins for what an example starts.
fn tools() -> TempDir {
    let folder = tempfile::Builder::new().permissions(fs::Permissions::from_mode(0o755)).tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    fs::copy(env!("CARGO_BIN_EXE_waitgate"), path("waitgate")).unwrap();
    for (name, script) in [("docker", DOCKER), ("nginx", NGINX)] {
        let script = script.replace("VERSION", env!("CARGO_PKG_VERSION"));
        fs::write(path(name), script.replace("FOLDER", &folder.path().to_string_lossy())).unwrap();
        fs::set_permissions(path(name), fs::Permissions::from_mode(0o755)).unwrap();
    }
    fs::write(path("started"), "").unwrap();
    fs::set_permissions(path("started"), fs::Permissions::from_mode(0o666)).unwrap();
    folder
}

/// The command with `more` arguments, as in a container.
fn restricted(command: &Command, more: Option<&str>, tools: &TempDir, outer: impl FnOnce(Run) -> Run) -> Run {
    let run = Run::program(&command.words[0], command.words[1..].iter().map(String::as_str).chain(more));
    let run = outer(run).through(RESTRICTED).env("PATH", format!("{}:/usr/bin:/bin", tools.path().display()));
    // A line for each attempt, so that waiting can be seen.
    let run = run.env("WAITGATE_VERBOSE", "true");
    command.env.iter().fold(run, |run, (name, value)| run.env(name, value))
}

fn has_no_secret(text: &str) {
    for secret in [PASSWORD, "s%23ord"] {
        assert!(!text.contains(secret), "a secret in the output:\n{text}");
    }
}

#[track_caller]
fn wait_for(what: &str, running: &Running, holds: impl Fn() -> bool) {
    let limit = Instant::now() + PATIENCE;
    while !holds() {
        assert!(Instant::now() < limit, "not within {PATIENCE:?}: {what}: {running}");
        thread::sleep(Duration::from_millis(20));
    }
}

/// Three more attempts are reported and it is still there.
#[track_caller]
fn keeps_waiting(running: &Running, when: &str) {
    let seen = running.lines().len();
    wait_for(&format!("more lines {when}"), running, || running.has_ended() || running.lines().len() >= seen + 3);
    assert!(!running.has_ended(), "it ended {when}: {running}");
}

#[track_caller]
fn run(file: &str, mut case: Case) {
    let tools = tools();
    let command = render::command(file, &mut case);

    // Where there is no network at all, the plan is printed and nothing is asked.
    if command.words[0] == "waitgate" {
        let mut dry = command.clone();
        dry.words.splice(1..1, case.extra.map(str::to_owned).into_iter().chain(["--dry-run".to_owned()]));
        let ended = restricted(&dry, None, &tools, |run| run.through(["unshare", "--net"])).end();
        ended.success().expect("a plan", !ended.stdout.trim().is_empty());
        has_no_secret(&format!("{}{}", ended.stdout, ended.stderr));
    }

    let mut world = World::new(&case, tools.path());
    let running = restricted(&command, case.extra, &tools, |run| run.inside(&world.pod)).start();
    keeps_waiting(&running, "with nothing there yet");
    let mut seen = 0;
    for (number, step) in case.steps.iter().enumerate() {
        seen = running.lines().len();
        world.take(step);
        if number + 1 < case.steps.len() {
            keeps_waiting(&running, &format!("after step {} of {}", number + 1, case.steps.len()));
        }
    }
    let ended = running.end();
    ended.success();
    let ready = ended.stderr.lines().skip(seen).any(|line| line.contains("  ready after "));
    ended.expect("a target that got ready by the last step", ready);
    has_no_secret(&format!("{}{}", ended.stdout, ended.stderr));
    (case.after)(&world);
    let delay = case.extra.and_then(|option| option.strip_prefix("--initial-delay=")?.strip_suffix('s')?.parse().ok());
    ended.expect("the delay to be kept to", ended.elapsed >= Duration::from_secs(delay.unwrap_or(0)));
}
