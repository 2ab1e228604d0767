#!/usr/bin/env python3
"""tests/bodies.py BINARY: what servers send without end stays within the memory limit and the deadline.

Each target waits for two seconds for something that never comes; it must then end with status 1, within
2.2 s, and with at most 8 MiB resident. The containers' limit in the examples is 16Mi.
"""
import socket
import subprocess
import sys
import threading
import time

LIMIT = 8192  # kB
OK = b"HTTP/1.1 200 OK\r\n\r\n"


def server(start, piece, pause=0.0, asked=True):
    """A server that answers every connection with `start`, then `piece` without end."""
    listener = socket.create_server(("127.0.0.1", 0))

    def serve(connection):
        try:
            if asked:
                connection.recv(4096)
            connection.sendall(start)
            while True:
                connection.sendall(piece)
                time.sleep(pause)
        except OSError:
            connection.close()

    def accept():
        while True:
            connection, _ = listener.accept()
            threading.Thread(target=serve, args=(connection,), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    return "http://127.0.0.1:%d/" % listener.getsockname()[1]


def run(binary, target):
    """Status, seconds, and the most memory that was resident, in kB."""
    begun = time.monotonic()
    process = subprocess.Popen([binary, "-t", "2s", target], stderr=subprocess.PIPE)
    peak = 0
    while process.poll() is None:
        try:
            with open("/proc/%d/status" % process.pid) as status:
                peak = max([peak] + [int(line.split()[1]) for line in status if line.startswith("VmHWM")])
        except (OSError, IndexError):
            pass
        time.sleep(0.01)
    return process.returncode, time.monotonic() - begun, peak, process.stderr.read().decode()


def main():
    text = server(OK, b"a" * 65536)
    targets = [
        ("a body without end, match=", text + "#match=b$"),
        ("the same, a pattern that is hard", text + "#match=(a?){50}b"),
        ("the same, one that outlasts the attempt", text + "#match=((a?){40}){20}b"),
        ("the same, body=", text + "#body=b"),
        ("the same, all together", text + "#body=b#match=b#json=/a"),
        ("JSON: [1,1,1", server(OK + b"[", b"1," * 32768) + "#json=/0=2"),
        ("JSON: [[[[", server(OK, b"[" * 65536) + "#json=/0/0=2"),
        ("JSON: [{},{}", server(OK + b"[", b'{"a":1},' * 8192) + "#json=/0/a=2"),
        ("one byte every 100 ms", server(OK, b"a", 0.1) + "#body=b"),
        ("a header without end", server(b"HTTP/1.1 200 OK\r\nX: ", b"a" * 65536)),
        ("headers without end", server(b"HTTP/1.1 200 OK\r\n", b"X: 1\r\n" * 10000)),
        ("a banner without end", server(b"", b"a" * 65536, asked=False).replace("http://", "tcp:").rstrip("/") + "#banner=b"),
    ]
    bad = 0
    for name, target in targets:
        status, seconds, peak, log = run(sys.argv[1], target)
        good = status == 1 and seconds < 2.2 and 0 < peak <= LIMIT
        print("%-4s  %s: status %d, %.2f s, %d kB" % ("ok" if good else "FAIL", name, status, seconds, peak))
        if not good:
            bad += 1
            print(log)
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
