"""A server that logs in as MySQL 8 does: python3 sha2.py ADDRESS PORT CERT KEY LOG

It speaks the handshake, COM_PING and COM_QUIT alone. The user's name says what it asks for:
  fast    caching_sha2_password, and it remembers the password
  full    caching_sha2_password, and it does not: it asks for the password itself
  sha256  sha256_password
  clear   mysql_clear_password
  native  mysql_native_password
The password is always hunter2. LOG gets a line for what each handshake came to, and one for each password that was readable
on the way.
"""
import hashlib
import os
import socket
import ssl
import struct
import sys
import threading

PASSWORD = b"hunter2"
SSL, PLUGIN_AUTH, WITH_DB = 1 << 11, 1 << 19, 1 << 3
CAPABILITIES = 1 | 1 << 2 | WITH_DB | 1 << 9 | SSL | 1 << 13 | 1 << 15 | PLUGIN_AUTH


class Session:
    def __init__(self, connection, context, log):
        self.connection, self.context, self.log = connection, context, log
        self.sequence, self.tls = 0, False
        # A NUL would end it.
        self.nonce = bytes(byte % 127 + 1 for byte in os.urandom(20))

    def write(self, body):
        self.connection.sendall(struct.pack("<I", len(body))[:3] + bytes([self.sequence]) + body)
        self.sequence = (self.sequence + 1) % 256

    def exactly(self, count):
        data = b""
        while len(data) < count:
            more = self.connection.recv(count - len(data))
            if not more:
                raise EOFError
            data += more
        return data

    def read(self):
        header = self.exactly(4)
        body = self.exactly(header[0] | header[1] << 8 | header[2] << 16)
        self.sequence = (header[3] + 1) % 256
        if PASSWORD in body and not self.tls:
            self.say("readable password")
        return body

    def say(self, line):
        with open(self.log, "a") as log:
            log.write(line + "\n")

    def refuse(self, user):
        self.say(f"refused {user}")
        self.write(b"\xff" + struct.pack("<H", 1045) + b"#28000Access denied for user '" + user.encode() + b"'")

    def proves(self, answer):
        once = hashlib.sha256(PASSWORD).digest()
        mask = hashlib.sha256(hashlib.sha256(once).digest() + self.nonce).digest()
        return answer == bytes(a ^ b for a, b in zip(once, mask))

    def proves_natively(self, answer):
        once = hashlib.sha1(PASSWORD).digest()
        mask = hashlib.sha1(self.nonce + hashlib.sha1(once).digest()).digest()
        return answer == bytes(a ^ b for a, b in zip(once, mask))

    def switch(self, plugin, data=b""):
        self.write(b"\xfe" + plugin + b"\0" + data)
        return self.read()

    def login(self, user, answer, plugin):
        if user == "native":
            return self.proves_natively(self.switch(b"mysql_native_password", self.nonce + b"\0"))
        if user == "sha256":
            return self.switch(b"sha256_password", self.nonce + b"\0") == PASSWORD + b"\0"
        if user == "clear":
            return self.switch(b"mysql_clear_password") == PASSWORD + b"\0"
        if plugin != b"caching_sha2_password":
            answer = self.switch(b"caching_sha2_password", self.nonce + b"\0")
        if not answer or answer == b"\0":
            return False
        if user == "fast" and self.proves(answer):
            self.write(b"\x01\x03")
            return True
        self.write(b"\x01\x04")
        return self.read() == PASSWORD + b"\0"

    def run(self):
        low, high = CAPABILITIES & 0xFFFF, CAPABILITIES >> 16
        self.write(
            b"\x0a8.0.36\0" + struct.pack("<I", 7) + self.nonce[:8] + b"\0" + struct.pack("<HBHH", low, 255, 2, high)
            + bytes([21]) + bytes(10) + self.nonce[8:] + b"\0caching_sha2_password\0"
        )
        body = self.read()
        if struct.unpack("<I", body[:4])[0] & SSL and len(body) == 32:
            self.connection = self.context.wrap_socket(self.connection, server_side=True)
            self.tls = True
            body = self.read()
        capabilities = struct.unpack("<I", body[:4])[0]
        user, rest = body[32:].split(b"\0", 1)
        user = user.decode()
        answer, rest = rest[1:1 + rest[0]], rest[1 + rest[0]:]
        if capabilities & WITH_DB:
            rest = rest.split(b"\0", 1)[1]
        plugin = rest.split(b"\0")[0] if capabilities & PLUGIN_AUTH else b"mysql_native_password"
        if user not in ("fast", "full", "sha256", "clear", "native") or not self.login(user, answer, plugin):
            self.refuse(user)
            return
        self.say(f"accepted {user}")
        ok = b"\0\0\0\x02\0\0\0"
        self.write(ok)
        while True:
            command = self.read()
            if command[:1] == b"\x01":
                self.say(f"quit {user}")
                return
            self.write(ok)


def serve(connection, context, log):
    session = Session(connection, context, log)
    try:
        session.run()
    except (EOFError, OSError):
        session.say("aborted")
    finally:
        session.connection.close()


def main():
    address, port, cert, key, log = sys.argv[1:]
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(cert, key)
    with socket.create_server((address, int(port))) as listener:
        while True:
            connection, _ = listener.accept()
            threading.Thread(target=serve, args=(connection, context, log), daemon=True).start()


main()
