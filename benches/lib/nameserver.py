"""A nameserver on 127.0.0.1 whose names appear, and the files that send every tool to it."""

import socket
import struct
import subprocess
import threading
from pathlib import Path

ADDRESS = socket.inet_aton("10.0.0.1")


def use(folder):
    """Puts resolv.conf, hosts and nsswitch.conf in front of the machine's own. It needs a mount namespace of its own."""
    files = {
        "resolv.conf": "nameserver 127.0.0.1\n",
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
