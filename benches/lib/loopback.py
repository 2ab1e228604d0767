"""Servers in Python for the benches: ports that refuse or drop, and small answers."""

import contextlib
import socket
import ssl
import subprocess
import threading
from functools import partial


def bound():
    """A port that refuses connections, until its owner lets it listen."""
    server = socket.socket()
    server.bind(("127.0.0.1", 0))
    return server


def listener(backlog=64, host="127.0.0.1"):
    return socket.create_server((host, 0), backlog=backlog)


def at(server):
    return "127.0.0.1:%d" % server.getsockname()[1]


def serve(answer, server=None):
    """Starts a server that gives each connection to `answer`; returns its address."""
    server = server or listener()

    def one(connection):
        with connection, contextlib.suppress(OSError, ValueError):
            answer(connection)

    def loop():
        while True:
            with contextlib.suppress(OSError):
                connection = server.accept()[0]
                if server.family != socket.AF_UNIX:
                    # Without it a second small write waits for the client's delayed ACK, 40 ms.
                    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                threading.Thread(target=one, args=(connection,), daemon=True).start()

    threading.Thread(target=loop, daemon=True).start()
    return at(server) if server.family == socket.AF_INET else None


def silent(connection):
    while connection.recv(4096):
        pass


def request(connection):
    """The method and the path of the next request; None at the end of the connection."""
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        more = connection.recv(4096)
        if not more:
            return None
        head += more
    method, path, _ = head.decode(errors="replace").split(" ", 2)
    return method, path


def answers(status, connection):
    if request(connection):
        connection.sendall(b"HTTP/1.1 %d X\r\nContent-Length: 0\r\nConnection: close\r\n\r\n" % status)


def by_path(status_of):
    """A web server that answers a path with `status_of(path)`."""

    def answer(connection):
        while asked := request(connection):
            connection.sendall(b"HTTP/1.1 %d X\r\nContent-Length: 0\r\n\r\n" % status_of(asked[1]))

    return serve(answer, listener(1024))


def asks_for_a_password(connection):
    """A PostgreSQL server without TLS. It asks for a login by SCRAM and refuses it."""
    connection.recv(4096)
    asked = b"\0\0\0\x0aSCRAM-SHA-256\0\0"
    connection.sendall(b"R" + (len(asked) + 4).to_bytes(4) + asked)
    if connection.recv(4096):
        error = b"SFATAL\0VFATAL\0C28P01\0Mpassword authentication failed\0\0"
        connection.sendall(b"E" + (len(error) + 4).to_bytes(4) + error)


def drops(held):
    """A port whose accept queue is full: the kernel drops every further SYN."""
    full = listener(0)
    held.append(full)
    for _ in range(4):
        client = socket.socket()
        client.setblocking(False)
        client.connect_ex(full.getsockname())
        held.append(client)
    return at(full)


def self_signed(folder, name="self"):
    """The files of a certificate for 127.0.0.1 and of its key. It is its own CA."""
    certificate, key = folder / f"{name}.pem", folder / f"{name}.key"
    argv = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    argv += ["-subj", f"/CN={name}", "-addext", "subjectAltName=IP:127.0.0.1", "-out", certificate, "-keyout", key]
    subprocess.run(argv, check=True, stderr=subprocess.DEVNULL)
    return certificate, key


def with_tls(certificate, key, backlog=64):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    # The handshake is the connection's own thread's work: a slow client must not hold the others up.
    return context.wrap_socket(listener(backlog), server_side=True, do_handshake_on_connect=False)


def serve_tls(answer, certificate, key):
    def shaken(connection):
        connection.do_handshake()
        answer(connection)

    return serve(shaken, with_tls(certificate, key, 1024))


ok = partial(answers, 200)
