"""Nameservers on 127.0.0.1 whose names appear, and the files that send every tool to them."""

import json
import signal
import socket
import struct
import subprocess
import threading
from pathlib import Path

from lib import process
from lib.servers import quiet, run

ADDRESS = socket.inet_aton("10.0.0.1")


def use(folder, more=""):
    """Puts resolv.conf, hosts and nsswitch.conf in front of the machine's own. It needs a mount namespace of its own.

    `more` is what resolv.conf has besides the nameserver."""
    files = {
        "resolv.conf": f"nameserver 127.0.0.1\n{more}",
        "hosts": "127.0.0.1 localhost\n",
        "nsswitch.conf": "hosts: files dns\n",
    }
    for name, text in files.items():
        (folder / name).write_text(text)
        subprocess.run(["mount", "--bind", folder / name, Path("/etc") / name], check=True)


class Nameserver:
    """A name without an entry does not exist (NXDOMAIN); one with an entry has one A record. The TTL is 0."""

    def __init__(self):
        self.names = set()
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind(("127.0.0.1", 53))
        threading.Thread(target=self.loop, daemon=True).start()

    def loop(self):
        while True:
            query, client = self.socket.recvfrom(4096)
            try:
                self.socket.sendto(self.answer(query), client)
            except (IndexError, UnicodeDecodeError, struct.error, OSError):
                continue

    def answer(self, query):
        labels, at = [], 12
        while query[at]:
            labels.append(query[at + 1 : at + 1 + query[at]].decode())
            at += 1 + query[at]
        question = query[12 : at + 5]
        kind = struct.unpack("!H", query[at + 1 : at + 3])[0]
        there = ".".join(labels).lower() in self.names
        answers = there and kind == 1
        # QR, AA, RA, and the query's RD; RFC 1035, section 4.1.1.
        flags = 0x8480 | (query[2] & 1) << 8 | (0 if there else 3)
        head = query[:2] + struct.pack("!HHHHH", flags, 1, answers, 0, 0)
        record = b"\xc0\x0c" + struct.pack("!HHIH", 1, 1, 0, 4) + ADDRESS
        return head + question + (record if answers else b"")


class Dnsmasq:
    """dnsmasq of Debian, on these processors: a nameserver that knows the names of one file, and none of the Internet.

    It answers as CoreDNS does for a cluster: the names that are there, and NXDOMAIN for all others. The kernel counts the queries."""

    PACKAGES = ["dnsmasq-base", "nftables"]

    def __init__(self, home, cores):
        self.names = home / "names"
        self.names.write_text("")
        options = ["--conf-file=/dev/null", "--no-resolv", "--no-hosts", "--local=/#/", "--listen-address=127.0.0.1"]
        options += ["--bind-interfaces", f"--addn-hosts={self.names}", "--keep-in-foreground", "--pid-file", "--user=root"]
        run(["nft", "add table inet bench; add chain inet bench in { type filter hook input priority 0; };"
                    "add rule inet bench in udp dport 53 counter"])
        self.process = quiet(["dnsmasq", *options], cores)

    def queries(self):
        """The queries since the start."""
        rules = json.loads(run(["nft", "-j", "list", "chain", "inet", "bench", "in"]))["nftables"]
        counters = (part["counter"] for entry in rules for part in entry.get("rule", {}).get("expr", []) if "counter" in part)
        return next(counters)["packets"]

    def cpu(self):
        return process.cpu(self.process.pid)

    def appear(self, name):
        self.names.write_text(f"10.0.0.1 {name}\n")
        self.process.send_signal(signal.SIGHUP)

    def end(self):
        self.process.kill()
        self.process.wait()
        run(["nft", "delete", "table", "inet", "bench"])
