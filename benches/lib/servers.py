"""Real servers of Debian for the benches: PostgreSQL, MariaDB and Redis, which start from a crash or a large file."""

import os
import pwd
import shutil
import signal
import socket
import subprocess
import time
from pathlib import Path

from lib import process

HOST = "127.0.0.1"
PACKAGES = ["mariadb-client", "mariadb-server", "postgresql", "redis-server"]


def quiet(argv, cores=None, **options):
    """A process with an empty environment and no output, on these processors."""
    options = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, **options}
    env = {"PATH": "/usr/local/sbin:/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C"}
    if cores:
        options["preexec_fn"] = lambda: os.sched_setaffinity(0, cores)
    return subprocess.Popen(argv, env=env, **options)


def run(argv, **options):
    child = quiet(argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, **options)
    output = child.communicate()[0].decode(errors="replace")
    if child.returncode:
        raise RuntimeError(f"{argv}: {output}")
    return output


def unused():
    with socket.create_server((HOST, 0)) as server:
        return server.getsockname()[1]


class Server:
    """One server in a folder. `prepare` makes the folder, in the state of a crash; `begin` starts the server from a copy.

    `size` is the percentage of the data from which it recovers, `cores` the processors that it gets (None: all)."""

    def __init__(self, home, size=100, cores=None):
        self.template, self.folder, self.port = home / self.name, home / f"{self.name}-run", unused()
        self.size, self.cores, self.process = size, cores, None

    def as_nobody(self, argv):
        nobody = pwd.getpwnam("nobody")
        return ["setpriv", f"--reuid={nobody.pw_uid}", f"--regid={nobody.pw_gid}", "--clear-groups", *map(str, argv)]

    def start(self, folder, argv):
        self.log = folder / "log"
        with open(self.log, "ab") as log:
            self.process = quiet(self.as_nobody(argv), self.cores, stdout=log, stderr=log, cwd=folder)

    def copy(self):
        """A fresh copy of what the crash left."""
        shutil.rmtree(self.folder, ignore_errors=True)
        run(["cp", "-a", self.template, self.folder])
        (self.folder / "log").write_bytes(b"")

    def stop(self, how):
        self.process.send_signal(how)
        self.process.wait()

    def crash(self):
        """The fastest end. PostgreSQL's own word for it is an immediate shutdown: SIGKILL would leave its children."""
        self.stop(signal.SIGQUIT if self.name == "postgres" else signal.SIGKILL)

    def until(self, words, begin=0, limit=120):
        end = time.monotonic() + limit
        while words not in self.log.read_bytes()[begin:]:
            if time.monotonic() > end or self.process.poll() is not None:
                raise RuntimeError(f"{self.name} did not say {words}: {self.log.read_text()[-2000:]}")
            time.sleep(0.005)

    def cpu(self):
        """Seconds of the server and of its children, those that have ended too."""
        return process.cpu(*process.tree(self.process.pid))

    def sockets(self):
        return len(os.listdir(f"/proc/{self.process.pid}/fd"))

    def folders(self):
        self.template.mkdir()
        shutil.chown(self.template, "nobody")


class Postgres(Server):
    name, ready = "postgres", b"database system is ready to accept connections"

    def programs(self):
        return max(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: int(path.parent.name))

    def begin(self, folder):
        self.start(folder, [self.programs() / "postgres", "-D", folder / "data"])

    def sockets(self):
        """A session is a process here. (Some children are the server's own.)"""
        return len(Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split())

    def prepare(self):
        self.folders()
        folder = self.template
        initdb = [self.programs() / "initdb", "--no-sync", "--auth=trust", "-U", "postgres", "--locale=C", "-D"]
        run(self.as_nobody([*initdb, folder / "data"]), cwd=folder)
        with open(folder / "data/postgresql.conf", "a") as conf:
            conf.write(f"listen_addresses = '{HOST}'\nport = {self.port}\nunix_socket_directories = ''\nfsync = off\n")
            conf.write("max_wal_size = 20GB\ncheckpoint_timeout = 1h\nautovacuum = off\nmax_connections = 1000\n")
        self.begin(folder)
        self.until(self.ready)
        psql = ["psql", "-qX", "-h", HOST, "-p", str(self.port), "-U", "postgres", "-c"]
        run([*psql, "CREATE TABLE t (a int PRIMARY KEY, b text)"])
        run([*psql, "CHECKPOINT"])
        run([*psql, f"INSERT INTO t SELECT i, md5(i::text) FROM generate_series(1, {25000 * self.size}) i ORDER BY 2"])
        run([*psql, "UPDATE t SET b = b || 'x' WHERE a % 2 = 0"])
        self.crash()


class MariaDb(Server):
    name, ready = "mariadb", b"ready for connections"

    def begin(self, folder):
        options = [f"--datadir={folder}/data", f"--bind-address={HOST}", f"--port={self.port}", f"--socket={folder}/s"]
        options += ["--innodb-log-file-size=2G", "--innodb-buffer-pool-size=256M", "--skip-name-resolve"]
        options += ["--innodb-flush-log-at-trx-commit=0", "--innodb-max-dirty-pages-pct=99", "--max-connections=1000"]
        mariadbd = shutil.which("mariadbd", path="/usr/sbin:/usr/local/sbin:/usr/bin")
        self.start(folder, [mariadbd, "--no-defaults", *options, "--pid-file=pid"])

    def prepare(self):
        self.folders()
        folder = self.template
        install = ["mariadb-install-db", "--no-defaults", "--auth-root-authentication-method=normal", "--skip-test-db"]
        run(self.as_nobody([*install, "--user=nobody", f"--datadir={folder}/data"]), cwd=folder)
        self.begin(folder)
        self.until(self.ready)
        sql = "CREATE DATABASE d; USE d; CREATE TABLE t (a INT PRIMARY KEY, b CHAR(32)) ENGINE=InnoDB;"
        sql += f"INSERT INTO t SELECT seq, MD5(seq) FROM seq_1_to_{15000 * self.size} ORDER BY MD5(seq);"
        sql += "UPDATE t SET b = REVERSE(b) WHERE a % 2 = 0;"
        run(["mariadb", "--no-defaults", f"--socket={folder}/s", "-u", "root", "-e", sql])
        self.crash()


class Redis(Server):
    name, ready = "redis", b"Ready to accept connections"

    def begin(self, folder):
        options = ["--bind", HOST, "--port", self.port, "--dir", folder, "--save", "", "--enable-debug-command", "yes"]
        self.start(folder, ["redis-server", *options])

    def prepare(self):
        self.folders()
        folder = self.template
        self.begin(folder)
        self.until(self.ready)
        for words in (["debug", "populate", str(50000 * self.size), "key", "40"], ["save"]):
            run(["redis-cli", "-h", HOST, "-p", str(self.port), *words])
        self.crash()
