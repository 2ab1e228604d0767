"""A Kafka broker that takes logins: broker.py HOST:PORT MECHANISM... The user is app, the password hunter2. With the variables
CERT and KEY, the names of files, it speaks TLS.

It speaks ApiVersions 0, Metadata 1 to 4, SaslHandshake 0 to 1 and SaslAuthenticate 0, as Kafka 2.0 does. Its one topic is orders.
librdkafka and kafka-python log in here too, in the same test: what they take for a broker is one.
"""

import base64
import hashlib
import hmac
import os
import socketserver
import ssl
import struct
import sys

HOST, PORT = sys.argv[1].rsplit(":", 1)
MECHANISMS = sys.argv[2:]
USER, PASSWORD = "app", "hunter2"
KEYS = {3: (1, 4), 17: (0, 1), 18: (0, 0), 36: (0, 0)}


def string(text):
    return struct.pack(">h", len(text)) + text.encode()


class Refused(Exception):
    """The login is refused."""


def plain(_):
    token = yield b""
    _, user, password = token.decode().split("\0")
    if (user, password) != (USER, PASSWORD):
        raise Refused("Authentication failed: Invalid username or password")
    return b""


def scram(name):
    """RFC 5802."""
    token = yield b""
    bare = token.decode().split(",", 2)[2]
    user, nonce = bare.split(",")[0][2:], bare.split(",")[1][2:] + base64.b64encode(os.urandom(9)).decode()
    salt, iterations = os.urandom(12), 4096
    first = f"r={nonce},s={base64.b64encode(salt).decode()},i={iterations}"
    token = yield first.encode()
    without, proof = token.decode().rsplit(",p=", 1)
    salted = hashlib.pbkdf2_hmac(name, PASSWORD.encode(), salt, iterations)
    sign = lambda key, text: hmac.new(key, text, name).digest()
    signed = f"{bare},{first},{without}".encode()
    client = sign(salted, b"Client Key")
    wanted = bytes(a ^ b for a, b in zip(client, sign(hashlib.new(name, client).digest(), signed)))
    if user != USER or not hmac.compare_digest(wanted, base64.b64decode(proof)):
        raise Refused("Authentication failed during authentication due to invalid credentials with SASL mechanism SCRAM")
    return b"v=" + base64.b64encode(sign(sign(salted, b"Server Key"), signed))


LOGINS = {"PLAIN": (plain, None), "SCRAM-SHA-256": (scram, "sha256"), "SCRAM-SHA-512": (scram, "sha512")}


class Connection(socketserver.BaseRequestHandler):
    def read(self, count):
        data = b""
        while len(data) < count:
            more = self.request.recv(count - len(data))
            if not more:
                raise ConnectionError
            data += more
        return data

    def answer(self, number, body):
        self.request.sendall(struct.pack(">ii", len(body) + 4, number) + body)

    def handle(self):
        try:
            if "CERT" in os.environ:
                context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
                context.load_cert_chain(os.environ["CERT"], os.environ["KEY"])
                self.request = context.wrap_socket(self.request, server_side=True)
            self.serve()
        except (OSError, EOFError):
            pass

    def serve(self):
        login = None
        ready = not MECHANISMS
        while True:
            (length,) = struct.unpack(">i", self.read(4))
            request = self.read(length)
            key, version, number, client = struct.unpack(">hhih", request[:10])
            body = request[10 + max(client, 0):]
            if key == 18:
                error = 0 if version == 0 else 35
                ranges = b"".join(struct.pack(">hhh", key, *KEYS[key]) for key in sorted(KEYS))
                self.answer(number, struct.pack(">hi", error, len(KEYS)) + ranges)
            elif key == 17:
                name = body[2:].decode()
                known = name in MECHANISMS
                error = 34 if not MECHANISMS else 0 if known else 33
                listed = b"".join(map(string, MECHANISMS))
                self.answer(number, struct.pack(">hi", error, len(MECHANISMS)) + listed)
                if error == 33:
                    return
                if known:
                    make, parameter = LOGINS[name]
                    login = make(parameter)
                    next(login)
            elif key == 36 and login:
                (size,) = struct.unpack(">i", body[:4])
                try:
                    token = login.send(body[4:4 + size])
                except StopIteration as end:
                    ready, token = True, end.value
                except Refused as refused:
                    self.answer(number, struct.pack(">h", 58) + string(str(refused)) + struct.pack(">i", 0))
                    return
                self.answer(number, struct.pack(">hh", 0, -1) + struct.pack(">i", len(token)) + token)
            elif key == 3 and ready:
                self.answer(number, self.metadata(version, body))
            else:
                return

    def metadata(self, version, body):
        (count,) = struct.unpack(">i", body[:4])
        asked, at = [], 4
        for _ in range(max(count, 0)):
            (size,) = struct.unpack(">h", body[at:at + 2])
            asked.append(body[at + 2:at + 2 + size].decode())
            at += 2 + size
        asked = ["orders"] if count < 0 else asked
        out = b"\0\0\0\0" if version >= 3 else b""
        out += struct.pack(">ii", 1, 1) + string(HOST) + struct.pack(">ih", int(PORT), -1)
        out += string("cluster") if version >= 2 else b""
        out += struct.pack(">ii", 1, len(asked))
        for name in asked:
            known = name == "orders"
            out += struct.pack(">h", 0 if known else 3) + string(name) + b"\0" + struct.pack(">i", known)
            out += struct.pack(">hiiiiii", 0, 0, 1, 1, 1, 1, 1) if known else b""
        return out


class Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True


Server((HOST, int(PORT)), Connection).serve_forever()
