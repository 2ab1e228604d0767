"""Processes that a bench starts: when they ended, what they cost, and the end of those that do not end by themselves."""

import os
import re
import select
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
TICK = os.sysconf("SC_CLK_TCK")


def enter(binary, *namespaces, arguments=()):
    """Starts the script again in namespaces of its own: no packet leaves them, and no process outlives the script.

    Variables that a tool or a client could read (a proxy, a login) stay outside."""
    kept = {name: value for name, value in os.environ.items() if not re.match("PG|WAITGATE_|(?i:.*proxy)", name)}
    root = [] if os.geteuid() == 0 else ["--map-root-user"]
    spaces = ["--net", "--pid", "--fork", "--kill-child", "--mount-proc", *namespaces]
    argv = ["unshare", *root, *spaces, sys.executable, sys.argv[0], str(binary), *arguments]
    os.execvpe("unshare", argv, {**kept, "INSIDE": "yes"})


def folder():
    """A folder in memory that ends with the script, however it ends: a mount of its own mount namespace.

    Not on the disk, because a server's recovery would measure the disk."""
    subprocess.run(["mount", "-t", "tmpfs", "-o", "mode=1777", "tmpfs", "/dev/shm"], check=True)
    home = Path("/dev/shm/bench")
    home.mkdir(mode=0o755)
    return home


def inside():
    return os.environ.get("INSIDE") == "yes"


def arguments(parts):
    """The arguments of a bench: parts of it, and the binary (default: the one of `cargo build --release`)."""
    chosen = [word for word in sys.argv[1:] if word in parts]
    others = [word for word in sys.argv[1:] if word not in parts]
    if len(others) > 1 or others and others[0].startswith("-"):
        sys.exit(f"usage: {sys.argv[0]} [WAITGATE]" + (f" [{'|'.join(parts)}]..." if parts else ""))
    binary = Path(others[0] if others else ROOT / "target/release/waitgate").resolve()
    if not binary.exists():
        if others:
            sys.exit(f"{sys.argv[0]}: there is no {others[0]}")
        subprocess.run(["cargo", "build", "--locked", "--release"], cwd=ROOT, check=True)
    return binary, chosen or list(parts)


def install(*packages):
    """Debian's packages. What apt cannot install is left out: the rows that need it say so."""
    for package in packages:
        subprocess.run([ROOT / "tests/install", package], stdout=sys.stderr, check=False)


class Run:
    """A tool that runs, in a process group of its own."""

    def __init__(self, argv, **options):
        self.log = tempfile.TemporaryFile()
        self.started = time.monotonic()
        options = {"stdin": subprocess.DEVNULL, "stdout": self.log, "stderr": self.log, "process_group": 0, **options}
        self.process = subprocess.Popen(list(map(str, argv)), **options)

    def end(self, within):
        """Waits for the end of the tool, and kills the tool after that long: its status is None then.

        Popen.wait with a limit looks every 50 ms only, which would be most of a reaction. A pidfd tells at once."""
        pidfd = os.pidfd_open(self.process.pid)
        try:
            over = select.poll()
            over.register(pidfd, select.POLLIN)
            done = over.poll(within * 1000)
            self.ended = time.monotonic()
        finally:
            os.close(pidfd)
        if done:
            self.status = self.process.wait()
        else:
            self.kill()
            self.status = None
        return self

    def kill(self):
        """Ends the tool with its children. Returns their seconds of CPU, or None if the tool had ended by itself."""
        if self.process.poll() is not None:
            return None
        children = cpu(*tree(self.process.pid)[1:])
        os.killpg(self.process.pid, signal.SIGKILL)
        # wait4 counts in microseconds; /proc/PID/stat in hundredths of a second.
        _, status, used = os.wait4(self.process.pid, 0)
        self.process.returncode = os.waitstatus_to_exitcode(status)
        return used.ru_utime + used.ru_stime + children

    def output(self, since=0):
        self.log.seek(since)
        return self.log.read().decode(errors="replace")


NULL = [(os.POSIX_SPAWN_OPEN, 0, "/dev/null", os.O_RDONLY, 0)]
NULL += [(os.POSIX_SPAWN_OPEN, to, "/dev/null", os.O_WRONLY, 0) for to in (1, 2)]
ENVIRONMENT = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C", "HOME": "/nonexistent"}


def spend(argv, environment=ENVIRONMENT):
    """One run without output: its status, seconds from its start to its end, and seconds of CPU with its children.

    posix_spawn, because subprocess.Popen itself takes about as long as the tool."""
    argv = list(map(str, argv))
    start = time.perf_counter()
    pid = os.posix_spawnp(argv[0], argv, environment, file_actions=NULL)
    _, status, used = os.wait4(pid, 0)
    return os.waitstatus_to_exitcode(status), time.perf_counter() - start, used.ru_utime + used.ru_stime


def peak(argv):
    """The most memory of one run, in MB, by GNU time; None if the run failed.

    Not by wait4 from here: exec keeps the peak of the process that forked (setmax_mm_hiwater_rss in fs/exec.c), and
    Python is larger than most tools. GNU time is smaller."""
    with tempfile.NamedTemporaryFile("r") as out:
        status, _, _ = spend(["/usr/bin/time", "-f", "%M", "-o", out.name, *argv])
        return int(out.read().split()[-1]) / 1024 if status == 0 else None


def tree(pid):
    """A process and its descendants."""
    pids = [pid]
    for one in pids:
        try:
            pids += map(int, Path(f"/proc/{one}/task/{one}/children").read_text().split())
        except OSError:
            continue
    return pids


def resident(pid, field="VmRSS"):
    """MB of a process and its descendants now (or VmHWM: of each the most so far)."""
    total = 0
    for one in tree(pid):
        try:
            found = re.search(rf"^{field}:\s*(\d+)", Path(f"/proc/{one}/status").read_text(), re.MULTILINE)
        except OSError:
            continue
        total += int(found[1]) if found else 0
    return total / 1024


def cpu(*pids):
    """Seconds of these processes, and of their children that have ended."""
    ticks = 0
    for one in pids:
        try:
            ticks += sum(map(int, Path(f"/proc/{one}/stat").read_text().rpartition(")")[2].split()[11:15]))
        except OSError:
            continue
    return ticks / TICK
