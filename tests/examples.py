"""Runs every file of examples/ for real: examples.py BINARY, as root.

A manifest's arguments and environment are taken from its YAML and rendered as
the kubelet would. Then waitgate runs with them in a network namespace of its own,
as a Pod would see it: resolv.conf with a search list, a DNS server that answers
Service names, Service addresses, user 65532 without capabilities. Nothing that it
waits for is there when it starts; each step of a case brings one thing, and
waitgate must go on waiting until the last.
"""

import dataclasses
import http.server
import json
import os
import pathlib
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import yaml

ROOT = pathlib.Path(__file__).resolve().parent.parent
EXAMPLES = ROOT / "examples"
NOBODY = 65534
AS_NOBODY = ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups"]
# What a restricted Pod leaves to its containers.
RESTRICTED = ["setpriv", "--reuid=65532", "--regid=65532", "--clear-groups",
              "--bounding-set=-all", "--no-new-privs"]
POD_NAME, POD_IP = "myapp", "10.244.0.7"


# ---- The world of one case: servers in the namespace, each started by a step.

class World:
    """The servers of one case. Everything runs in this process's namespaces."""

    def __init__(self, directory, case):
        self.dir = directory
        self.case = case
        self.children = []
        self.posts = []
        self.serial = 1
        self.records = {}

    def spawn(self, *argv):
        log = open(self.dir / "servers.log", "a")
        self.children.append(subprocess.Popen(argv, stdout=log, stderr=log, stdin=subprocess.DEVNULL))

    def address(self, address):
        subprocess.run(["ip", "address", "replace", f"{address}/32", "dev", "lo"], check=True)

    def knotc(self, *argv):
        command = ["knotc", "-c", self.dir / "knot.conf", "-b", *argv]
        return subprocess.run(command, capture_output=True).returncode == 0

    def prepare(self):
        """The Pod's surroundings: loopback, resolv.conf, hosts and a DNS server that knows no name yet."""
        subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
        self.address(self.case.nameserver)
        (self.dir / "resolv.conf").write_text(self.case.resolv_conf)
        (self.dir / "hosts").write_text(f"127.0.0.1 localhost\n::1 localhost\n{POD_IP} {POD_NAME}\n")
        for name in ("resolv.conf", "hosts"):
            subprocess.run(["mount", "--bind", self.dir / name, f"/etc/{name}"], check=True)
        self.write_zone()
        (self.dir / "knot.conf").write_text(f"""
server:
    rundir: {self.dir}
    listen: {self.case.nameserver}@53
control:
    listen: {self.dir}/knot.sock
database:
    storage: {self.dir}
zone:
  - domain: {self.case.zone}
    file: {self.dir}/zone
    zonefile-load: whole
    journal-content: none
    semantic-checks: off
""")
        self.spawn("knotd", "-c", self.dir / "knot.conf")
        wait_for(lambda: self.knotc("zone-status", self.case.zone), 20, "the DNS server")

    def write_zone(self):
        zone = "" if self.case.zone == "." else self.case.zone
        lines = [f"$ORIGIN {zone}.", "$TTL 5",
                 f"@ SOA ns.dns hostmaster {self.serial} 7200 1800 86400 5", "@ NS ns.dns",
                 f"ns.dns A {self.case.nameserver}"]
        suffix = ".default.svc" if zone else ""
        lines += [f"{name}{suffix} A {address}" for name, address in self.records.items()]
        (self.dir / "zone").write_text("\n".join(lines) + "\n")


# Steps: each returns a function of the world.

def names(**records):
    """The Services are created: their names resolve."""
    def step(world):
        world.serial += 1
        for name, address in records.items():
            world.records[name.replace("_", "-")] = address
            world.address(address)
        world.write_zone()
        assert world.knotc("zone-reload", world.case.zone), "knotc zone-reload failed"
    return step


def tcp(address, port):
    """A server that accepts, says nothing and keeps the connection open."""
    def step(world):
        world.address(address)
        listener = socket.create_server((address, port))
        kept = []

        def accept():
            while True:
                kept.append(listener.accept())
        threading.Thread(target=accept, daemon=True).start()
    return step


def nginx(address, port, path, status=200):
    """An nginx that knows one path."""
    def step(world):
        world.address(address)
        conf = world.dir / "nginx.conf"
        conf.write_text(f"""
user root; daemon off; pid {world.dir}/nginx.pid; error_log stderr;
events {{}}
http {{
    access_log off; client_body_temp_path {world.dir}/body;
    server {{
        listen {address}:{port};
        location = {path} {{ return {status}; }}
        location / {{ return 404; }}
    }}
}}
""")
        world.spawn("nginx", "-p", world.dir, "-c", conf, "-e", "stderr")
    return step


def registry(address, port):
    """Takes POSTs and remembers them; the first gets a 503."""
    def step(world):
        world.address(address)

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers["content-length"]))
                world.posts.append((self.path, body.decode()))
                self.send_response(503 if len(world.posts) == 1 else 201)
                self.send_header("content-length", "0")
                self.end_headers()

            def log_message(self, *_):
                pass
        server = http.server.ThreadingHTTPServer((address, port), Handler)
        threading.Thread(target=server.serve_forever, daemon=True).start()
    return step


def postgres(address):
    """A real cluster, from the one that was made for all cases."""
    def step(world):
        world.address(address)
        data = world.dir / "pg"
        subprocess.run(["cp", "-a", world.dir.parent / "pg", data], check=True)
        world.spawn(*AS_NOBODY, postgres_bin() / "postgres", "-D", data, "-h", address,
                    "-k", data, "-c", "fsync=off")
    return step


def database(name):
    """The database is created, some time after the server."""
    def step(world):
        sql(world.dir / "pg", f"CREATE DATABASE {name}")
    return step


def postgres_bin():
    found = sorted(pathlib.Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda p: int(p.parts[4]))
    return (found[-1] if found else pathlib.Path(shutil.which("initdb")).resolve()).parent


def sql(socket_dir, statement):
    command = [*AS_NOBODY, postgres_bin() / "psql", "-q", "-h", socket_dir, "-U", "postgres",
               "-d", "postgres", "-c", statement]
    wait_for(lambda: subprocess.run(command, capture_output=True).returncode == 0, 20, statement)


def make_cluster(directory):
    """Made once, copied by each case that needs one; role webapp has one password for all."""
    data = directory / "pg"
    data.mkdir()
    os.chown(data, NOBODY, NOBODY)
    subprocess.run([*AS_NOBODY, postgres_bin() / "initdb", "-D", data, "-U", "postgres", "--auth=trust",
                    "--no-sync", "-E", "UTF8", "--no-locale"], check=True, stdout=subprocess.DEVNULL)
    with open(data / "pg_hba.conf", "a") as hba:
        hba.write("host all all all scram-sha-256\n")
    server = subprocess.Popen([*AS_NOBODY, postgres_bin() / "postgres", "-D", data, "-h", "", "-k", data],
                              stderr=subprocess.DEVNULL)
    for role, password in PASSWORDS.items():
        sql(data, f"CREATE ROLE {role} LOGIN PASSWORD '{password}'")
    server.terminate()
    server.wait()


# ---- The cases: a file of examples/ and what comes, step by step.

POD_RESOLV_CONF = """search default.svc.cluster.local svc.cluster.local cluster.local
nameserver {nameserver}
options ndots:5
"""


@dataclasses.dataclass
class Case:
    steps: list
    # What the kubelet (or the user's shell) has beyond the file.
    env: dict = dataclasses.field(default_factory=dict)
    # Appended, where a real run would take too long.
    extra: list = dataclasses.field(default_factory=list)
    nameserver: str = "10.96.0.10"
    zone: str = "cluster.local"
    resolv_conf: str = ""
    # Checks the world when all is over.
    after: object = None


PASSWORDS = {"webapp": 's#ord & "fish"%'}
DB, API = "10.96.0.14", "10.96.0.80"

CASES = {
    "01-dns-before-nginx.yaml": Case([names(mysql=DB), tcp(DB, 3306)]),
    "02-tcp-address.yaml": Case([tcp("192.168.10.254", 6379)]),
    "03-postgres.yaml": Case([names(postgres=DB), postgres(DB)]),
    "03-postgres-login.yaml": Case([names(postgres=DB), postgres(DB), database("orders")]),
    "03-postgres-password.yaml": Case([names(postgres=DB), postgres(DB), database("orders")]),
    "03-postgres-url.yaml": Case([names(postgres=DB), postgres(DB), database("orders")]),
    "04-two-names.yaml": Case([names(testservice=API), names(testdb=DB)]),
    "05-own-nameserver.yaml": Case([names(testservice=API), names(testdb=DB)], nameserver="1.2.3.4"),
    "06-bounded.yaml": Case([names(myservice=API)]),
    "07-two-services.yaml": Case([names(myservice=API, mydb=DB), tcp(API, 80), tcp(DB, 80)]),
    "08-register.yaml": Case(
        [registry(API, 8000)],
        env={"MANAGEMENT_SERVICE_HOST": API, "MANAGEMENT_SERVICE_PORT": "8000"},
        after=lambda world: world.posts == [("/register", f"instance={POD_NAME}&ip={POD_IP}")] * 2),
    "09-initial-delay.yaml": Case([names(cache=DB), tcp(DB, 11211)], extra=["--initial-delay=1s"]),
    "10-timeout.yaml": Case([names(db=DB, cache=API), tcp(DB, 5432), tcp(API, 11211)]),
    "11-instead-of-crashing.yaml": Case([names(db=DB, stock=API), postgres(DB), nginx(API, 8080, "/healthz")]),
    "helm-deployment.yaml": Case(
        [names(shop_redis=DB, shop_api=API), tcp(DB, 6379), nginx(API, 80, "/healthz")]),
    # Docker's own DNS: no search list, single-label names.
    "compose.yaml": Case([names(db=DB), postgres(DB), database("orders")],
                         env={"DB_PASSWORD": PASSWORDS["webapp"]},
                         nameserver="127.0.0.11", zone=".", resolv_conf="nameserver {nameserver}\noptions ndots:0\n"),
    "docker-run.sh": Case([names(db=DB), tcp(DB, 5432)],
                          nameserver="127.0.0.11", zone=".", resolv_conf="nameserver {nameserver}\noptions ndots:0\n",
                          after=lambda world: (world.dir / "started").read_text() == "webapp:1\n"),
    "github-actions.yaml": Case([postgres("127.0.0.1"), nginx("127.0.0.1", 8080, "/healthz", 204)]),
    "app.Dockerfile": Case([names(db=DB), tcp(DB, 5432)],
                           nameserver="127.0.0.11", zone=".",
                           resolv_conf="nameserver {nameserver}\noptions ndots:0\n",
                           after=lambda world: (world.dir / "started").read_text() == "nginx -g daemon off;\n"),
}
for case in CASES.values():
    case.resolv_conf = (case.resolv_conf or POD_RESOLV_CONF).format(nameserver=case.nameserver)
CASES["05-own-nameserver.yaml"].resolv_conf = ""  # from its dnsConfig


# ---- From a file to an argument list and an environment.

def expand(text, env):
    """$(NAME) as the kubelet expands it: unknown names stay, $$ is a literal $."""
    def value(match):
        if match[0] == "$$":
            return "$"
        return env.get(match[1], match[0])
    return re.sub(r"\$\$|\$\(([A-Za-z_.-][\w.-]*)\)", value, text)


def kubernetes(documents, case):
    """The init container's command line and environment."""
    secrets = {doc["metadata"]["name"]: doc["stringData"] for doc in documents if doc["kind"] == "Secret"}
    fields = {"metadata.name": POD_NAME, "status.podIP": POD_IP}
    pod = next(doc for doc in documents if doc["kind"] in ("Pod", "Deployment"))
    spec = pod["spec"] if pod["kind"] == "Pod" else pod["spec"]["template"]["spec"]
    if "dnsConfig" in spec:
        config = spec["dnsConfig"]
        assert spec["dnsPolicy"] == "None" and config["nameservers"] == [case.nameserver]
        options = " ".join(f"{o['name']}:{o['value']}" for o in config["options"])
        case.resolv_conf = (f"search {' '.join(config['searches'])}\nnameserver {case.nameserver}\n"
                            f"options {options}\n")
    (container,) = spec["initContainers"]
    check_restricted(container)
    env = dict(case.env)
    for variable in container.get("env", []):
        source = variable.get("valueFrom", {})
        if "secretKeyRef" in source:
            value = secrets[source["secretKeyRef"]["name"]][source["secretKeyRef"]["key"]]
        elif "fieldRef" in source:
            value = fields[source["fieldRef"]["fieldPath"]]
        else:
            value = expand(variable["value"], env)
        env[variable["name"]] = value
    assert all(isinstance(arg, str) for arg in container["args"]), "an argument that is not a string"
    return ["waitgate", *(expand(arg, env) for arg in container["args"])], env


def check_restricted(container):
    """What every manifest of ours says: small requests, no CPU limit, the restricted standard."""
    assert container["image"] == f"waitgate:{version()}", container["image"]
    assert container["resources"] == {"requests": {"memory": "16Mi", "cpu": "10m"}, "limits": {"memory": "16Mi"}}
    assert container["securityContext"] == {
        "runAsNonRoot": True, "allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]}, "seccompProfile": {"type": "RuntimeDefault"}}


def version():
    return re.search(r'^version = "(.+)"', (ROOT / "Cargo.toml").read_text(), re.MULTILINE)[1]


def command_of(name, case):
    """The command line and environment of an example, whatever kind of file it is."""
    text = (EXAMPLES / name).read_text()
    if name == "docker-run.sh":
        return ["sh", str(EXAMPLES / name)], {}
    if name.endswith("Dockerfile"):
        words = dict(re.findall(r"^(ENTRYPOINT|CMD) (.*)", text, re.MULTILINE))
        return json.loads(words["ENTRYPOINT"]) + json.loads(words["CMD"]), {}
    for event in yaml.parse(text):
        assert not getattr(event, "flow_style", False), f"a flow list or map in line {event.start_mark.line + 1}"
    documents = list(yaml.safe_load_all(text.replace("{{ .Release.Name }}", "shop")))
    if name == "compose.yaml":
        (service,) = [s for n, s in documents[0]["services"].items() if n == "waitgate"]
        assert service["image"] == f"waitgate:{version()}"
        env = {key: re.sub(r"\$\{(\w+):\?[^}]*\}", lambda m: case.env[m[1]], value)
               for key, value in service["environment"].items()}
        return ["waitgate", *(arg.replace("$$", "$") for arg in service["command"])], env
    if name == "github-actions.yaml":
        (step,) = [s for s in documents[0]["jobs"]["test"]["steps"] if s["name"].startswith("Wait")]
        return ["bash", "-e", "-c", step["run"]], {}
    return kubernetes(documents, case)


# `docker run [OPTION]... IMAGE [ARG]...` without a docker: waitgate is run, and of
# anything else the name is kept.
DOCKER = """#!/bin/sh
shift
while case $1 in -*) ;; *) false ;; esac; do shift; done
image=$1
shift
case $image in
    waitgate:{version}) exec {bin}/waitgate "$@" ;;
    *) echo "$image" >"{dir}/started" ;;
esac
"""
NGINX = """#!/bin/sh
echo "nginx $*" >"{dir}/started"
"""


# ---- Running one case, in namespaces of its own.

def wait_for(condition, seconds, what):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"not within {seconds} s: {what}"
        time.sleep(0.02)


class Gate:
    """waitgate, running, and what it says."""

    def __init__(self, argv, env):
        self.lines = []
        self.ended = threading.Event()
        self.process = subprocess.Popen(RESTRICTED + argv, env=env, stdin=subprocess.DEVNULL,
                                        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        threading.Thread(target=self.read, daemon=True).start()

    def read(self):
        for line in self.process.stdout:
            self.lines.append(line.rstrip())
        self.ended.set()

    def keeps_waiting(self, before):
        """Three more attempts are reported and it is still there."""
        seen = len(self.lines)
        wait_for(lambda: self.ended.is_set() or len(self.lines) >= seen + 3, 30, f"it says nothing {before}")
        assert not self.ended.is_set(), f"it ended {before}"


def run_case(name, binary, directory):
    case = CASES[name]
    world = World(directory, case)
    argv, env = command_of(name, case)
    tools = directory / "bin"
    tools.mkdir()
    shutil.copy(binary, tools / "waitgate")
    for tool, script in {"docker": DOCKER, "nginx": NGINX}.items():
        (tools / tool).write_text(script.format(bin=tools, dir=directory, version=version()))
        (tools / tool).chmod(0o755)
    (directory / "started").touch()
    (directory / "started").chmod(0o666)
    # A line for each attempt, so that waiting can be seen.
    env |= {"PATH": f"{tools}:/usr/bin:/bin", "WAITGATE_VERBOSE": "true"}

    # In an empty namespace the plan is printed and nothing is asked.
    if argv[0] == "waitgate":
        dry = subprocess.run([*RESTRICTED, *argv, *case.extra, "--dry-run"] if "--" not in argv
                             else [*RESTRICTED, argv[0], "--dry-run", *argv[1:]],
                             env=env, capture_output=True, text=True)
        assert dry.returncode == 0 and dry.stdout.strip(), f"--dry-run: {dry}"
        assert_no_secret(dry.stdout + dry.stderr)

    world.prepare()
    started = time.monotonic()
    gate = Gate(argv + case.extra, env)
    try:
        gate.keeps_waiting("with nothing there yet")
        for number, step in enumerate(case.steps, 1):
            seen = len(gate.lines)
            step(world)
            if number < len(case.steps):
                gate.keeps_waiting(f"after step {number} of {len(case.steps)}")
        wait_for(gate.ended.is_set, 30, "it does not end after the last step")
        status = gate.process.wait()
        assert status == 0, f"exit status {status}"
        assert any("  ready after " in line for line in gate.lines[seen:]), "no target got ready by the last step"
        assert_no_secret("\n".join(gate.lines))
        assert case.after is None or case.after(world), f"not as expected afterwards: {world.posts}"
        delay = [float(arg.split("=")[1][:-1]) for arg in case.extra if arg.startswith("--initial-delay")]
        assert time.monotonic() - started >= sum(delay), "it did not keep to --initial-delay"
    except AssertionError as error:
        servers = directory / "servers.log"
        log = servers.read_text().splitlines()[-10:] if servers.exists() else []
        raise AssertionError("\n".join([str(error), *gate.lines[-12:], *log])) from None
    finally:
        for child in world.children:
            child.kill()
    steps = len(case.steps)
    print(f"{steps} step{'s' if steps > 1 else ''}, {len(gate.lines)} lines"
          + (f", with {' '.join(case.extra)} appended" if case.extra else ""))


def assert_no_secret(text):
    for secret in (*PASSWORDS.values(), "s%23ord"):
        assert secret not in text, f"a secret in the output:\n{text}"


def main():
    if sys.argv[1] == "--case":
        try:
            run_case(sys.argv[2], sys.argv[3], pathlib.Path(sys.argv[4]))
        except AssertionError as error:
            print(error or "an assertion failed")
            raise
        # Threads of servers are still blocked in accept.
        sys.stdout.flush()
        os._exit(0)

    # The schema of the JSON log is tests/it's: nothing of it runs.
    files = {path.name for path in EXAMPLES.iterdir()} - {"demo", "README.md", "json-schema.json"}
    readme = (EXAMPLES / "README.md").read_text()
    passed, failed = 0, 0
    with tempfile.TemporaryDirectory(prefix="waitgate-examples.") as temporary:
        directory = pathlib.Path(temporary)
        directory.chmod(0o711)
        make_cluster(directory)

        def run(name):
            if name not in CASES or name not in files:
                return name, False, "has no case in tests/examples.py" if name in files else "is not in examples/"
            if f"]({name})" not in readme:
                return name, False, "is not in examples/README.md"
            own = directory / name
            own.mkdir()
            own.chmod(0o755)
            # With its process namespace every server of a case ends.
            result = subprocess.run(
                ["unshare", "--net", "--mount", "--propagation=private", "--pid", "--fork", "--kill-child",
                 "--mount-proc", sys.executable, __file__, "--case", name, sys.argv[1], own],
                capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=180)
            return name, result.returncode == 0, result.stdout.strip() or result.stderr.strip()

        with ThreadPoolExecutor(os.cpu_count()) as pool:
            for name, good, text in pool.map(run, sorted(files | CASES.keys())):
                passed, failed = (passed + 1, failed) if good else (passed, failed + 1)
                print(f"ok    {name}: {text}" if good else f"FAIL  {name}\n      " + text.replace("\n", "\n      "),
                      flush=True)
    print(f"{passed} passed, {failed} failed")
    sys.exit(failed > 0 or passed == 0)


main()
