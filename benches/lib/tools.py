"""The waiters beside waitgate: how each is installed, and its arguments for each task (None: it cannot do that).

Each tool has its own defaults. Only the limit is given, because a trial must end, and what a tool does not wait without."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

from lib.page import say
from lib.process import ROOT

HOME = ROOT / "target/rivals"
LIMIT = "90s"


class Tool:
    name = package = binary = install = None

    def tcp(self, address, limit=LIMIT):
        return None

    def http(self, url, limit=LIMIT):
        return None

    def dns(self, name, limit=LIMIT):
        return None

    def file(self, path, limit=LIMIT):
        return None

    def postgres(self, url, limit=LIMIT):
        return None

    def redis(self, address, limit=LIMIT):
        return None

    def then(self, address, *command):
        return None

    def here(self):
        return Path(self.binary).exists() if self.binary else True


class Waitgate(Tool):
    name, more = "waitgate", ""

    def __init__(self, binary, name=None, more=""):
        self.binary, self.name, self.more = binary, name or self.name, more

    def wait(self, target, limit=LIMIT):
        return [self.binary, "-t", limit, "--termination-log=", target]

    def tcp(self, address, limit=LIMIT):
        return self.wait(f"tcp:{address}{self.more}", limit)

    def http(self, url, limit=LIMIT):
        return self.wait(url, limit)

    def dns(self, name, limit=LIMIT):
        return self.wait(f"dns:{name}", limit)

    def file(self, path, limit=LIMIT):
        return self.wait(f"file:{path}", limit)

    postgres = http

    def redis(self, address, limit=LIMIT):
        return self.wait(f"redis:{address}", limit)

    def then(self, address, *command):
        return [*self.tcp(address), "--", *command]


class Crate(Tool):
    """A crate, by `cargo install --locked`."""

    features = ()

    def __init__(self):
        crate, version = self.name.split()
        home = HOME / f"{crate}-{version}"
        self.binary = home / "bin" / crate
        self.install = ["cargo", "install", "--locked", "--quiet", "--root", home, "--target-dir", HOME / "build"]
        self.install += [*(f"--features={feature}" for feature in self.features), f"{crate}@{version}"]


class Holdon(Crate):
    name, features = "holdon 0.4.0", ("postgres",)

    def wait(self, target, limit=LIMIT):
        return [self.binary, "-t", limit, target]

    http = postgres = wait

    def tcp(self, address, limit=LIMIT):
        # It takes [::1]:80, and not tcp://[::1]:80.
        return self.wait(address if address.startswith("[") else f"tcp://{address}", limit)

    def dns(self, name, limit=LIMIT):
        return self.wait(f"dns://{name}", limit)

    def file(self, path, limit=LIMIT):
        return self.wait(f"file://{path}", limit)

    def then(self, address, *command):
        return [*self.tcp(address), "--", *command]


class Initium(Crate):
    name = "initium 2.1.0"

    def wait(self, target, limit=LIMIT):
        return [self.binary, "wait-for", "--timeout", limit, "--target", target]

    http = wait

    def tcp(self, address, limit=LIMIT):
        return self.wait(f"tcp://{address}", limit)


class Tarry(Crate):
    name = "tarry 0.1.5"

    def tcp(self, address, limit=LIMIT):
        return [self.binary, "tcp", address, "--timeout", limit]

    def http(self, url, limit=LIMIT):
        return [self.binary, "http", url, "--timeout", limit]

    def file(self, path, limit=LIMIT):
        return [self.binary, "file", path, "--timeout", limit]


class WaitUp(Crate):
    name = "waitup 1.1.1"

    def http(self, target, limit=LIMIT):
        return [self.binary, "--timeout", limit, target]

    def tcp(self, address, limit=LIMIT):
        return None if address.startswith("[") else self.http(address, limit)  # it takes no IPv6 address

    def then(self, address, *command):
        return [*self.tcp(address), "--", *command]


class WaitOn(Tool):
    name, binary = "wait-on 9.5.1", HOME / "wait-on-9.5.1/node_modules/.bin/wait-on"
    install = ["npm", "install", "--silent", "--no-save", "--prefix", HOME / "wait-on-9.5.1", "wait-on@9.5.1"]

    def wait(self, target, limit=LIMIT):
        return [self.binary, "-t", limit, target]

    def tcp(self, address, limit=LIMIT):
        return self.wait(f"tcp:{address}", limit)

    def http(self, url, limit=LIMIT):
        return self.wait(re.sub("^(https?):", r"\1-get:", url), limit)

    def file(self, path, limit=LIMIT):
        return self.wait(f"file:{path}", limit)


class WaitForIt(Tool):
    """The script of vishnubob, as Debian has it."""

    name, binary, package = "wait-for-it", "/usr/bin/wait-for-it", "wait-for-it"

    def tcp(self, address, limit=LIMIT):
        if address.startswith("["):
            return None  # it takes the first colon for the one before the port
        return [self.binary, address, "-t", limit.removesuffix("s")]

    def then(self, address, *command):
        return [*self.tcp(address), "--", *command]


class Loop(Tool):
    """A shell loop, as manifests have it. It has no limit of its own."""

    def __init__(self, what, pause=None, **checks):
        self.name = f"{what}, `sleep {pause}`" if pause else what
        self.pause, self.checks = pause, checks

    def loop(self, kind, limit, **values):
        check = self.checks.get(kind)
        if check is None or limit != LIMIT:
            return None
        check = check.format(**values)
        return ["sh", "-c", f"until {check}; do sleep {self.pause}; done" if self.pause else check]

    def tcp(self, address, limit=LIMIT):
        host, _, port = address.rpartition(":")
        return self.loop("tcp", limit, host=host.strip("[]"), port=port)

    def http(self, url, limit=LIMIT):
        return self.loop("http", limit, url=url)

    def dns(self, name, limit=LIMIT):
        return self.loop("dns", limit, name=name)

    def file(self, path, limit=LIMIT):
        return self.loop("file", limit, path=path)

    def postgres(self, url, limit=LIMIT):
        return self.loop("postgres", limit, url=url)


def nc(pause):
    # What `nc -z` does elsewhere. Debian's busybox has no -z: it connects, and runs `true` with the connection.
    return Loop("busybox nc", pause, tcp="busybox nc {host} {port} -e /bin/true 2>/dev/null")


def loops():
    """Loops that wait for names, web servers and files."""
    return [
        Loop("busybox nslookup", 2, dns="busybox nslookup {name} >/dev/null 2>&1"),
        Loop("busybox nslookup", 1, dns="busybox nslookup {name} >/dev/null 2>&1"),
        Loop("getent hosts", 1, dns="getent hosts {name} >/dev/null"),
        Loop("dig", 1, dns='[ -n "$(dig +short {name})" ]'),
        Loop("curl -sf", 1, http="curl -sf -o /dev/null {url}"),
        # The numbers that the option asks for; the pauses are curl's own: 1 s, doubled each time.
        Loop("curl --retry", None, http="exec curl -sf --retry 100 --retry-connrefused -o /dev/null {url}"),
        Loop("[ -e ]", 1, file="[ -e {path} ]"),
    ]


def waiters():
    """The tools that registries serve."""
    return [Holdon(), WaitOn(), WaitUp(), Tarry(), Initium(), WaitForIt()]


def install(tools):
    """Installs what is missing, which takes a network, and says what is left out."""
    for tool in tools:
        if tool.here():
            continue
        argv = [ROOT / "tests/install", tool.package] if tool.package else tool.install
        if argv[0] == "npm":
            (HOME / tool.name.replace(" ", "-")).mkdir(parents=True, exist_ok=True)
        done = shutil.which(argv[0]) and subprocess.run(argv, stdout=sys.stderr, check=False).returncode == 0
        if not done or not tool.here():
            say(f"{tool.name} could not be installed and is left out")
