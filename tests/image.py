"""Builds the image from the Dockerfile and runs it for real: image.py BINARY.

tests/image starts this as root, in network, mount and process namespaces of its
own. No registry is asked: this machine's own /usr, mounted read-only into images
that hold only what that needs, replaces the image of Rust, nginx, PostgreSQL and
the application.
"""

import hashlib
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import threading
import time

import yaml

ROOT = pathlib.Path(__file__).resolve().parent.parent
STORE = ROOT / "target" / "podman"
NAMES = pathlib.Path("/run/names")
VERSION = re.search(r'^version = "(.+)"', (ROOT / "Cargo.toml").read_text(), re.MULTILINE)[1]
IMAGE = f"waitgate:{VERSION}"
BUDGET = 4_200_000
NETWORK = "shop"
# Service names are answered as a Pod finds them, by a server outside the containers.
NAMESERVER = "10.96.0.10"
NAMESERVER_6 = "fd00:96::10"
ADDRESSES = {"db": "10.89.0.14", "stock": "10.89.0.80"}

# This machine's programs, in a container. /usr/local stays the image's own.
HOST_USR = [f"/usr/{name}:/usr/{name}:ro" for name in ("bin", "sbin", "lib", "lib64", "libexec", "share", "include", "aarch64-linux-gnu")
            if pathlib.Path("/usr", name).is_dir()]

CONTAINERS_CONF = f"""
[containers]
default_ulimits = ["nofile=1024:1024", "nproc=1024:1024"]
dns_servers = ["{NAMESERVER}"]
dns_searches = ["default.svc.cluster.local", "svc.cluster.local", "cluster.local"]
dns_options = ["ndots:5"]
[network]
network_backend = "netavark"
network_config_dir = "/run/networks"
[engine]
runtime = "runc"
cgroup_manager = "cgroupfs"
events_logger = "file"
# Not in /dev/shm, which is shared with the user's own podman.
lock_type = "file"
"""


# ---- podman, and checks.

def podman(*argv, check=True, **options):
    options = {"capture_output": True, "text": True, "stdin": subprocess.DEVNULL, "timeout": 120} | options
    result = subprocess.run(["podman", "--root", STORE / "store", "--runroot", "/run/podman-tests", *argv], **options)
    if check and result.returncode != 0:
        raise AssertionError(f"podman {' '.join(map(str, argv))}: status {result.returncode}\n{result.stdout}{result.stderr}")
    return result


def inspect(container):
    return json.loads(podman("inspect", container).stdout)[0]


def logs(container):
    result = podman("logs", container, check=False)
    return result.stdout + result.stderr


def wait_for(condition, seconds, what):
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {seconds} s: {what() if callable(what) else what}")
        time.sleep(0.02)
    return found


COUNTS = {"passed": 0, "failed": 0, "skipped": 0}


class Skipped(Exception):
    """What this machine cannot do; it is counted and said."""


def check(name, function, *argv):
    try:
        figure = function(*argv)
        COUNTS["passed"] += 1
        print(f"ok    {name}" + (f": {figure}" if figure else ""), flush=True)
    except Skipped as reason:
        COUNTS["skipped"] += 1
        print(f"skip  {name}: {reason}", flush=True)
    except (AssertionError, subprocess.SubprocessError, OSError, LookupError) as error:
        COUNTS["failed"] += 1
        text = str(error) or f"line {error.__traceback__.tb_next.tb_lineno}: not so"
        print(f"FAIL  {name}\n      " + text.strip().replace("\n", "\n      "), flush=True)


# ---- Images.

def fingerprint(files, *more):
    """What an image is made of; a change of any of it builds anew."""
    digest = hashlib.sha256("\0".join(more).encode())
    for path in files:
        digest.update(f"\0{path.relative_to(ROOT)}\0".encode() + path.read_bytes())
    return digest.hexdigest()[:16]


def image_inputs(architecture):
    names = ("Dockerfile", ".dockerignore", "Cargo.toml", "Cargo.lock", "release/build", "release/no-unwind.ld", "release/hot.ld")
    files = [ROOT / name for name in names]
    files += sorted(path for path in (ROOT / "src").rglob("*") if path.is_file())
    return fingerprint(files, architecture, subprocess.check_output(["rustc", "--version"], text=True))


def built_from(image, inputs):
    result = podman("image", "inspect", image, "--format", "{{index .Labels \"inputs\"}}", check=False)
    return result.returncode == 0 and result.stdout.strip() == inputs


def build(image, context, inputs, *options, containerfile=None):
    if built_from(image, inputs):
        return "as built before from the same inputs"
    started = time.monotonic()
    podman("build", "--pull=never", "--network=none", "--label", f"inputs={inputs}", "-t", image,
           *(["-f", containerfile] if containerfile else []), *options, context, timeout=1500)
    return f"in {time.monotonic() - started:.0f} s"


def stand_in(directory):
    """Directories, links and a few lines of /etc around this machine's /usr."""
    root = directory / "stand-in" / "root"
    for name in ("usr/local/bin", "usr/include", "etc/nginx", "var/log/nginx", "var/lib/nginx", "run", "proc", "dev",
                 "sys", "root", "data", "rustup", "cargo", *(v.split(":")[0][1:] for v in HOST_USR)):
        (root / name).mkdir(parents=True, exist_ok=True)
    for name in ("bin", "sbin", "lib", "lib64"):
        if pathlib.Path("/", name).is_symlink():
            (root / name).symlink_to(os.readlink(f"/{name}"))
    # The links from /usr/bin/cc and the like.
    shutil.copytree("/etc/alternatives", root / "etc/alternatives", symlinks=True)
    for name in ("tmp", "data"):
        (root / name).mkdir(exist_ok=True)
        (root / name).chmod(0o1777)
    (root / "etc/passwd").write_text("root:x:0:0::/root:/bin/sh\npostgres:x:70:70::/data:/bin/sh\n")
    (root / "etc/group").write_text("root:x:0:\npostgres:x:70:\n")
    (root / "etc/nginx/nginx.conf").write_text("""
user root; error_log stderr; pid /tmp/nginx.pid;
events {}
http { access_log off; client_body_temp_path /tmp/body;
       server { listen 8080; location = /healthz { return 200; } location / { return 404; } } }
""")
    containerfile = "FROM scratch\nCOPY root /\nENV RUSTUP_HOME=/rustup CARGO_HOME=/cargo " \
                    "PATH=/cargo/bin:/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin\n"
    (root.parent / "Containerfile").write_text(containerfile)
    build("localhost/machine:1", root.parent, fingerprint([pathlib.Path(__file__)]))
    for name in ("rust:1", "nginx:1", "orders:1"):
        podman("tag", "localhost/machine:1", f"localhost/{name}")


def toolchain():
    """Mounts for a build: an overlay over each, so that it may write and nothing here changes."""
    rustup = os.environ.get("RUSTUP_HOME") or pathlib.Path.home() / ".rustup"
    cargo = os.environ.get("CARGO_HOME") or pathlib.Path.home() / ".cargo"
    volumes = [*HOST_USR, f"{rustup}:/rustup:O", f"{cargo}:/cargo:O"]
    # The builder's image, which the Dockerfile names by a digest, and no cargo-auditable, which comes from a registry.
    arguments = ["--build-arg=RUST_IMAGE=localhost/rust:1", "--build-arg=CARGO_AUDITABLE="]
    return arguments + [word for volume in volumes for word in ("--volume", volume)]


def has_target(target):
    """Whether Rust's std for the target is here, or could be fetched."""
    return subprocess.run(["rustup", "target", "list", "--installed"], capture_output=True, text=True,
                          check=True).stdout.split().count(target) > 0


def last_stage(image, binary, *options):
    """The Dockerfile's last stage around this binary."""
    with tempfile.TemporaryDirectory() as context:
        shutil.copyfile(binary, f"{context}/waitgate")
        pathlib.Path(context, "waitgate").chmod(0o755)
        last = (ROOT / "Dockerfile").read_text().split("\nFROM scratch\n")[1]
        pathlib.Path(context, "Containerfile").write_text("FROM scratch\n" + last.replace("--from=builder /", ""))
        podman("build", "--pull=never", "-t", image, *options, context)


def same_digest(binary):
    """The image of the same binary at the same time of the source (SOURCE_DATE_EPOCH): twice the same bytes."""
    digests = set()
    for number in (1, 2):
        image = f"localhost/again:{number}"
        last_stage(image, binary, "--no-cache", "--timestamp=1767225600")
        inspected = json.loads(podman("image", "inspect", image).stdout)[0]
        digests.add((inspected["Id"], inspected["Digest"], *inspected["RootFS"]["Layers"]))
        podman("rmi", image)
    assert len(digests) == 1, digests
    return digests.pop()[1]


def build_image(binary):
    inputs = image_inputs("amd64")
    if has_target(f"{os.uname().machine}-unknown-linux-musl"):
        return build(IMAGE, ROOT, inputs, *toolchain())
    # The image all the same, so that the rest can be shown.
    last_stage(IMAGE, binary)
    raise Skipped("no musl target in this toolchain; only its last stage was built, around a glibc binary")


def files_of(image):
    mounted = pathlib.Path(podman("image", "mount", image).stdout.strip())
    found = {str(path.relative_to(mounted)): path for path in mounted.rglob("*") if not path.is_dir()}
    assert list(found) == ["usr/local/bin/waitgate"], f"other files in the image: {list(found)}"
    return found["usr/local/bin/waitgate"]


def contents(image):
    path = files_of(image)
    size = path.stat().st_size
    config = json.loads(podman("image", "inspect", image).stdout)[0]["Config"]
    assert config["User"] == "65532:65532", config
    assert config["Entrypoint"] == ["/usr/local/bin/waitgate"] and not config.get("Cmd"), config
    assert path.stat().st_mode & 0o777 == 0o755, oct(path.stat().st_mode)
    labels = {name.removeprefix("org.opencontainers.image."): value for name, value in config["Labels"].items()}
    assert labels["title"] == "waitgate" and labels["description"] and labels["licenses"], labels
    assert labels["version"] == VERSION, labels
    podman("image", "umount", image)
    return f"one file, {size} bytes; labels of version {labels['version']}"


def size(image):
    packed = len(subprocess.check_output(["gzip", "-9", "-c", files_of(image)]))
    bytes_ = files_of(image).stat().st_size
    podman("image", "umount", image)
    assert bytes_ <= BUDGET, f"{bytes_} bytes, at most {BUDGET}"
    return f"{bytes_} bytes, {packed} compressed; at most {BUDGET}"


def arm64():
    """The other architecture: cross-built from the same file, then run under emulation."""
    if os.uname().machine != "x86_64" or not has_target("aarch64-unknown-linux-musl"):
        raise Skipped("no aarch64-unknown-linux-musl in this toolchain")
    image = f"waitgate:{VERSION}-arm64"
    # podman 4.3 does not fill in BUILDPLATFORM by itself.
    how = build(image, ROOT, image_inputs("arm64"), "--platform=linux/arm64", "--build-arg=BUILDPLATFORM=linux/amd64",
                *toolchain())
    assert inspect(image)["Architecture"] == "arm64"
    binary = files_of(image)
    said = subprocess.check_output(["qemu-aarch64-static", binary, "--version"], text=True, timeout=60).strip()
    assert said == f"waitgate {VERSION}", said
    wrong = subprocess.run(["qemu-aarch64-static", binary, "tcp:nowhere"], capture_output=True, text=True, timeout=60)
    assert wrong.returncode == 1 and "port" in wrong.stderr, wrong
    size = binary.stat().st_size
    podman("image", "umount", image)
    return f"{size} bytes, {how}"


# ---- Running it.

# As Pod Security "restricted" has it; podman's own seccomp profile is RuntimeDefault.
RESTRICTED = ["--read-only", "--cap-drop=all", "--security-opt=no-new-privileges", "--memory=16m", f"--network={NETWORK}"]
ANY_USER = ["--user=1000690000:0", *RESTRICTED[:-1]]


def runs_alone():
    said = podman("run", "--rm", *RESTRICTED, IMAGE, "--version").stdout.strip()
    assert said == f"waitgate {VERSION}", said
    return said


def by_path():
    """`command: [waitgate, …]` in a manifest replaces the entry point, by name."""
    podman("run", "--rm", *RESTRICTED, "--entrypoint", "waitgate", IMAGE, "--version")


def any_user():
    podman("run", "--rm", *RESTRICTED, "--user=1000690000:0", IMAGE, "--dry-run", "tcp:db:5432")


def ipv6_only():
    """A Pod of a cluster without IPv4: its address, its nameserver and the server are IPv6."""
    podman("network", "create", "--disable-dns", "--ipv6", "--subnet=fd00:89::/64", "six")
    subprocess.run(["ip", "address", "add", f"{NAMESERVER_6}/128", "dev", "lo"], check=True)
    serve_names(NAMESERVER_6)
    volumes = [word for volume in HOST_USR for word in ("--volume", volume)]
    listener = "import socket, time; s = socket.create_server(('::', 8080), family=socket.AF_INET6); time.sleep(100)"
    podman("run", "-d", "--name", "edge", "--network=six", "--ip6=fd00:89::80", *volumes, "machine:1", "/usr/bin/python3", "-c", listener)
    (NAMES / "edge").write_text("fd00:89::80 edge.default.svc.cluster.local\n")
    result = podman("run", "--rm", *ANY_USER, "--network=six", f"--dns={NAMESERVER_6}", "--dns-search=default.svc.cluster.local",
                    IMAGE, "-t", "15s", "dns:edge", "tcp:edge:8080", "tcp:[fd00:89::80]:8080", check=False)
    remove("edge")
    lines = result.stderr.strip().splitlines()
    assert result.returncode == 0 and any("fd00:89::80" in line for line in lines), result.stderr
    return lines[-1]


def host_network():
    """hostNetwork: true: the node's own addresses, also those of its loopback."""
    result = podman("run", "--rm", *ANY_USER, "--network=host", f"--dns={NAMESERVER}", IMAGE, "-t", "2s",
                    f"tcp:{NAMESERVER}:53", "dns:db.default.svc.cluster.local", check=False)
    assert result.returncode == 1 and "resolve.no-such-name" in result.stderr, result.stderr
    assert f"tcp:{NAMESERVER}:53  ready" in result.stderr, result.stderr
    return result.stderr.strip().splitlines()[-1]


def refuses():
    result = podman("run", "--rm", *RESTRICTED, IMAGE, check=False)
    assert result.returncode == 1 and result.stderr.strip(), result


def signal(name, directory):
    """As process 1: a last line, a termination message and status 1, at once."""
    container = f"signal-{name.lower()}"
    message = directory / f"termination-{name}"
    message.touch()
    message.chmod(0o666)
    podman("run", "-d", "--name", container, *RESTRICTED, "-v", f"{message}:/dev/termination-log",
           IMAGE, "tcp:127.0.0.1:5432")
    wait_for(lambda: "127.0.0.1:5432  " in logs(container), 20, "a reason")
    # podman stop is SIGTERM, and SIGKILL after so many seconds.
    started = time.monotonic()
    podman(*(["stop", "-t", "10"] if name == "TERM" else ["kill", "-s", name]), container)
    podman("wait", container)
    took = time.monotonic() - started
    status = inspect(container)["State"]["ExitCode"]
    last = logs(container).strip().splitlines()[-1]
    assert status == 1, f"exit status {status}"
    assert took < 2, f"it took {took:.1f} s"
    assert "tcp:127.0.0.1:5432" in last, f"last line: {last}"
    assert "tcp:127.0.0.1:5432" in message.read_text(), f"termination message: {message.read_text()!r}"
    podman("rm", container)
    return last


def server(name, image, *command, options=()):
    """A container that others find by its name, from now on."""
    volumes = [word for volume in HOST_USR for word in ("--volume", volume)]
    address = [f"--ip={ADDRESSES[name]}"] if name in ADDRESSES else []
    podman("run", "-d", "--name", name, f"--network={NETWORK}", *address, *options, *volumes, image, *command)
    if address:
        (NAMES / name).write_text(f"{ADDRESSES[name]} {name}.default.svc.cluster.local\n")


def remove(name):
    podman("rm", "-f", "-t", "0", name)
    (NAMES / name).unlink()


def start_names():
    """A DNS server that answers for what is in NAMES, and denies all else."""
    subprocess.run(["ip", "address", "add", f"{NAMESERVER}/32", "dev", "lo"], check=True)
    NAMES.mkdir()
    serve_names(NAMESERVER)


def serve_names(address):
    # It goes into the background once it listens, and ends with our namespaces.
    subprocess.run(["dnsmasq", "--conf-file=/dev/null", "--pid-file=", "--user=root", "--no-resolv", "--no-hosts",
                    f"--hostsdir={NAMES}", "--local=/#/", "--bind-interfaces", f"--listen-address={address}"],
                   check=True)


POSTGRES = """
set -e
bin=$(dirname "$(ls -d /usr/lib/postgresql/*/bin/initdb | tail -n 1)")
"$bin/initdb" -D /data/pg -U postgres --auth=trust --no-sync >/dev/null
exec "$bin/postgres" -D /data/pg -h '*' -k /tmp -c fsync=off
"""


def start_postgres():
    server("db", "machine:1", "sh", "-c", POSTGRES, options=["--user=70:70"])


def pod_of(example):
    """An example's Deployment as `podman play kube` takes it.

    It is no kubelet: it drops a finished init container with its logs unless the
    annotation says otherwise, restarts a failing one without a pause, and the
    application's image is not here.
    """
    document = yaml.safe_load((ROOT / "examples" / example).read_text())
    template = document["spec"]["template"]
    spec = template["spec"] | {"restartPolicy": "Never"}
    (application,) = spec["containers"]
    application |= {
        "command": ["/usr/bin/sleep", "1000"],
        "volumeMounts": [{"name": f"usr{i}", "mountPath": volume.split(":")[1], "readOnly": True}
                         for i, volume in enumerate(HOST_USR)]}
    spec["volumes"] = [{"name": f"usr{i}", "hostPath": {"path": volume.split(":")[0]}} for i, volume in enumerate(HOST_USR)]
    return {"apiVersion": "v1", "kind": "Pod", "spec": spec,
            "metadata": {"name": "orders", "labels": template["metadata"]["labels"],
                         "annotations": {"io.podman.annotations.init.container.type": "always"}}}


class Pod:
    """examples/11-instead-of-crashing.yaml, played; each method is one check, in order."""

    INIT, APP = "orders-waitgate", "orders-orders"

    def __init__(self, directory):
        self.file = directory / "pod.json"
        self.file.write_text(json.dumps(pod_of("11-instead-of-crashing.yaml")))
        # It returns only when the init container has ended.
        self.played = None
        self.thread = threading.Thread(target=self.play, daemon=True)

    def play(self):
        self.played = podman("play", "kube", f"--network={NETWORK}", self.file, check=False, timeout=240)

    def state(self, container):
        result = podman("inspect", container, "--format", "{{.State.Status}}", check=False)
        return result.stdout.strip() if result.returncode == 0 else "absent"

    def log(self):
        return logs(self.INIT) + (f"\nplay kube: {self.played}" if self.played else "")

    def still_shut(self):
        assert self.state(self.INIT) == "running", self.log()
        assert self.state(self.APP) in ("created", "absent"), self.state(self.APP)

    def says(self, text):
        wait_for(lambda: re.search(text, logs(self.INIT)) or (self.played and self.played.returncode), 40,
                 lambda: f"{text} in:\n{self.log()}")
        assert re.search(text, logs(self.INIT)), self.log()

    def starts(self):
        self.thread.start()
        self.says("postgres:db:5432  ")
        self.still_shut()
        return logs(self.INIT).strip().splitlines()[-1]

    def restricted(self):
        """Read from outside: what the process in the container may do."""
        data = inspect(self.INIT)
        pid = data["State"]["Pid"]
        status = dict(line.split(":\t", 1) for line in pathlib.Path(f"/proc/{pid}/status").read_text().splitlines()
                      if ":\t" in line)
        assert status["Name"] == "waitgate" and status["NSpid"].split()[-1] == "1", status
        assert set(status["Uid"].split()) == {"65532"} == set(status["Gid"].split()), (status["Uid"], status["Gid"])
        assert int(status["CapEff"], 16) == 0 == int(status["CapBnd"], 16), (status["CapEff"], status["CapBnd"])
        assert status["NoNewPrivs"].strip() == "1", status["NoNewPrivs"]
        assert status["Seccomp"].strip() == "2", status["Seccomp"]
        root = next(line.split() for line in pathlib.Path(f"/proc/{pid}/mountinfo").read_text().splitlines()
                    if line.split()[4] == "/")
        assert "ro" in root[5].split(","), root
        assert data["HostConfig"]["Memory"] == 16 << 20, data["HostConfig"]["Memory"]
        limits = re.findall(r"^\d+:([^:]*):(.*)$", pathlib.Path(f"/proc/{pid}/cgroup").read_text(), re.MULTILINE)
        paths = {("/sys/fs/cgroup/memory" if controllers == "memory" else "/sys/fs/cgroup") + path
                 for controllers, path in limits if controllers in ("memory", "")}
        found = [int(pathlib.Path(path, name).read_text()) for path in paths
                 for name in ("memory.limit_in_bytes", "memory.max") if pathlib.Path(path, name).exists()]
        assert 16 << 20 in found, f"limits in force: {found}"
        return "uid 65532, no capability, no new privileges, seccomp, read-only, 16 MiB"

    def database_first(self):
        start_postgres()
        self.says("postgres:db:5432  ready")
        self.says("http://stock:8080/healthz  ")
        self.still_shut()
        status = pathlib.Path(f"/proc/{inspect(self.INIT)['State']['Pid']}/status").read_text()
        return "resident at most " + re.search(r"VmHWM:\s*(.*)", status)[1]

    def then_open(self):
        server("stock", "nginx:1", "nginx", "-g", "daemon off;")
        wait_for(lambda: self.state(self.APP) == "running" or self.played, 40, self.log)
        self.thread.join(60)
        assert self.played and self.played.returncode == 0, self.played
        init, application = inspect(self.INIT)["State"], inspect(self.APP)["State"]
        assert init["ExitCode"] == 0 and application["Status"] == "running", (init, application)
        assert init["FinishedAt"] <= application["StartedAt"], (init, application)
        return logs(self.INIT).strip().splitlines()[-1]


def gives_up(directory, writable):
    """A Pod whose gate times out, under any UID and a read-only root: the message that `kubectl describe` shows."""
    name = "late" if writable else "mute"
    message = directory / f"termination-{name}"
    message.write_text("")
    message.chmod(0o666 if writable else 0o444)
    context = {"runAsUser": 1000690000, "readOnlyRootFilesystem": True, "allowPrivilegeEscalation": False,
               "capabilities": {"drop": ["ALL"]}}
    gate = {"name": "gate", "image": IMAGE, "args": ["--timeout=1s", "tcp:127.0.0.1:5432", "tcp:127.0.0.1:6379"],
            # The kubelet gives it to every container; podman does not.
            "env": [{"name": "KUBERNETES_SERVICE_HOST", "value": "10.96.0.1"}],
            "securityContext": context, "volumeMounts": [{"name": "message", "mountPath": "/dev/termination-log"}]}
    pod = {"apiVersion": "v1", "kind": "Pod",
           "metadata": {"name": name, "annotations": {"io.podman.annotations.init.container.type": "always"}},
           "spec": {"restartPolicy": "Never", "initContainers": [gate],
                    "containers": [{"name": "app", "image": IMAGE, "args": ["--version"]}],
                    "volumes": [{"name": "message", "hostPath": {"path": str(message), "type": "File"}}]}}
    file = directory / f"{name}.json"
    file.write_text(json.dumps(pod))
    podman("play", "kube", f"--network={NETWORK}", file, check=False)
    state = inspect(f"{name}-gate")["State"]
    last = logs(f"{name}-gate").strip().splitlines()[-1]
    assert state["ExitCode"] == 1 and inspect(f"{name}-app")["State"]["Status"] == "created", state
    assert last.startswith("waitgate: timed out after 1s: 0 of 2 targets ready; tcp:127.0.0.1:5432 ("), last
    assert last.endswith("; not tried: tcp:127.0.0.1:6379"), last
    assert message.read_text() == (last if writable else ""), message.read_text()
    podman("pod", "rm", "--force", "--time=0", name)
    return message.read_text()


def own_image(directory):
    """examples/app.Dockerfile: the gate in another image, which it turns into the application."""
    podman("build", "--pull=never", "-t", "own:1", "-f", ROOT / "examples/app.Dockerfile", directory)
    remove("db")
    server("own", "own:1")
    wait_for(lambda: "tcp:db:5432  " in logs("own"), 20, lambda: logs("own"))
    pid = inspect("own")["State"]["Pid"]
    assert pathlib.Path(f"/proc/{pid}/comm").read_text() == "waitgate\n"
    start_postgres()
    wait_for(lambda: pathlib.Path(f"/proc/{pid}/comm").read_text() == "nginx\n", 40, lambda: logs("own"))


def main():
    binary = sys.argv[1]
    subprocess.run(["mount", "-t", "tmpfs", "-o", "mode=755", "tmpfs", "/run"], check=True)
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    STORE.mkdir(parents=True, exist_ok=True)
    (STORE / "containers.conf").write_text(CONTAINERS_CONF)
    os.environ["CONTAINERS_CONF"] = str(STORE / "containers.conf")
    # Its build caches, otherwise in /var/tmp.
    os.environ["TMPDIR"] = str(STORE / "tmp")
    (STORE / "tmp").mkdir(exist_ok=True)
    try:
        # What an interrupted run left.
        podman("pod", "rm", "--all", "--force", "--time=0")
        podman("rm", "--all", "--force", "--time=0")
        podman("network", "create", "--disable-dns", "--subnet=10.89.0.0/24", NETWORK)
        start_names()
        with tempfile.TemporaryDirectory(prefix="waitgate-image.") as temporary:
            directory = pathlib.Path(temporary)
            stand_in(directory)
            check("built from the Dockerfile", build_image, binary)
            check("size", size, IMAGE)
            check("contents", contents, IMAGE)
            check("the same digest, built twice", same_digest, binary)
            check("arm64, cross-built and emulated", arm64)
            check("runs restricted", runs_alone)
            check("runs by its name", by_path)
            check("runs as any user", any_user)
            check("IPv6 only", ipv6_only)
            check("hostNetwork", host_network)
            check("refuses an empty list", refuses)
            check("SIGTERM as process 1", signal, "TERM", directory)
            check("SIGINT as process 1", signal, "INT", directory)
            pod = Pod(directory)
            check("a Pod: the gate holds with nothing there", pod.starts)
            check("a Pod: what the init container may do", pod.restricted)
            check("a Pod: shut with the database alone", pod.database_first)
            check("a Pod: open when all is ready", pod.then_open)
            check("a Pod that gives up: its termination message", gives_up, directory, True)
            check("a Pod that gives up: a message that cannot be left", gives_up, directory, False)
            check("in an application's own image", own_image, directory)
    finally:
        podman("pod", "rm", "--all", "--force", "--time=0", check=False)
        podman("rm", "--all", "--force", "--time=0", check=False)
        # Layers of builds before this one.
        podman("image", "prune", "--force", check=False)
    print(f"{COUNTS['passed']} passed, {COUNTS['failed']} failed, {COUNTS['skipped']} skipped")
    sys.exit(COUNTS["failed"] > 0 or COUNTS["passed"] == 0)


main()
