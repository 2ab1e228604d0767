"""What it costs to wait: CPU and memory on a port that refuses, and the memory of one process with many targets."""

import subprocess
import time
from pathlib import Path

from lib.kube import Api
from lib.loopback import at, bound
from lib.page import columns, row, say, wanted
from lib.process import Run, resident
from lib.tools import Tool, Waitgate, nc, waiters

SECONDS = 20


class Floor(Tool):
    """lib/floor.c: the system calls of waitgate's attempts, and nothing else."""

    name = "the system calls alone, in C"

    def __init__(self, folder):
        self.binary = folder / "floor"
        source = Path(__file__).with_name("floor.c")
        subprocess.run(["cc", "-O2", "-static", "-o", self.binary, source], check=True)

    def tcp(self, address, limit=None):
        return [self.binary, address.split(":")[1]]


def waiting(binary, folder, names):
    """All contenders wait at the same time, each for a port of its own."""
    tools = [Waitgate(binary), Floor(folder), *waiters(), nc(1), nc(2)]
    held, runs = [], []
    for tool in tools:
        if tool.here():
            held.append(bound())
            runs.append((tool.name, Run(tool.tcp(at(held[-1])))))
    most = dict.fromkeys((name for name, _ in runs), 0.0)
    own = dict(most)
    end = time.monotonic() + SECONDS
    while (left := end - time.monotonic()) > 0:
        for name, run in runs:
            most[name] = max(most[name], resident(run.process.pid))
            own[name] = max(own[name], resident(run.process.pid, "RssAnon"))
        time.sleep(min(left, 0.2))
    used = {name: run.kill() for name, run in runs}
    ended = {name for name, seconds in used.items() if seconds is None}
    print(f"\n### {SECONDS} s on a port that refuses")
    columns("", "CPU", "most memory", "of it not from files")
    for name, _ in runs:
        if name in ended:
            say(f"failed: {name} did not wait {SECONDS} s")
            row(name, *["failed"] * 3)
        else:
            row(name, f"{used[name] * 1000:.0f} ms", f"{most[name]:.1f} MB", f"{own[name]:.1f} MB")
    gone = "waitgate" in ended
    wanted("waitgate", ("CPU", 16, None if gone else used["waitgate"] * 1000, "ms"),
           ("memory", 2.5, None if gone else most["waitgate"], "MB"))


def unready(binary, folder, names):
    """1,000 targets of one kind, none of them ready: nothing listens, no name exists, no Job is complete."""
    api, port = Api(folder), bound()
    number = at(port).split(":")[1]
    every = [f"127.0.{count // 250}.{count % 250 + 1}:{number}" for count in range(1000)]
    targets = {kind: [f"{kind}:{address}" for address in every] for kind in
               ("tcp", "tls", "postgres", "mysql", "redis", "amqp", "grpc", "mongodb", "kafka")}
    targets["dns"] = [f"dns:name-{count}.test" for count in range(1000)]
    targets["unix"] = [f"unix:{folder}/socket-{count}" for count in range(1000)]
    targets["file"] = [f"file:{folder}/file-{count}" for count in range(1000)]
    targets["http"] = [f"http://{address}/" for address in every]
    targets["k8s"] = [f"k8s:job/job-{count}" for count in range(1000)]
    environment = {"KUBECONFIG": str(api.config), "PATH": "/usr/bin:/bin"}
    print("\n### 1,000 targets of one kind with `--parallel`, none of them ready, for 6 s")
    columns("kind", "most memory", "CPU")
    found = []
    for kind, arguments in targets.items():
        run = Run([binary, "-q", "-t", "1m", "--termination-log=", "--parallel", *arguments], env=environment)
        time.sleep(6)
        if run.process.poll() is None:
            memory = resident(run.process.pid, "VmHWM")
            found.append(memory)
            row(f"`{kind}:`", f"{memory:.1f} MB", f"{run.kill() * 1000:.0f} ms")
        else:
            say(f"failed: 1,000 {kind}: it ended: {run.output()[-300:]}")
            row(f"`{kind}:`", "failed", "failed")
    wanted("waitgate", ("memory of the largest", 12, max(found) if len(found) == len(targets) else None, "MB"))
