"""The least login of each server: is it accepted now? A bench polls with these to know the first moment."""

import socket
import struct
import time


def exactly(connection, count):
    data = b""
    while len(data) < count:
        more = connection.recv(count - len(data))
        if not more:
            raise OSError("the server closed the connection")
        data += more
    return data


def postgres(connection):
    """StartupMessage, then messages up to ReadyForQuery ('Z'), or ErrorResponse ('E')."""
    words = b"\0\3\0\0user\0postgres\0database\0postgres\0\0"
    connection.sendall(struct.pack("!I", len(words) + 4) + words)
    while True:
        kind, length = struct.unpack("!cI", exactly(connection, 5))
        exactly(connection, length - 4)
        if kind in (b"Z", b"E"):
            connection.sendall(b"X\0\0\0\4")  # Terminate
            return kind == b"Z"


def mysql(connection):
    """The server's handshake, then a login as root without a password; 0 begins the OK packet."""

    def packet():
        head = exactly(connection, 4)
        return exactly(connection, int.from_bytes(head[:3], "little"))

    if packet()[:1] != b"\x0a":  # protocol version 10; ERR is 255
        return False
    # CLIENT_PROTOCOL_41, CLIENT_SECURE_CONNECTION, CLIENT_PLUGIN_AUTH; the packet limit; utf8mb4
    login = struct.pack("<IIB23x", 0x200 | 0x8000 | 0x80000, 1 << 24, 45) + b"root\0\0mysql_native_password\0"
    connection.sendall(len(login).to_bytes(3, "little") + b"\1" + login)
    answer = packet()[:1]
    if answer == b"\xfe":  # another method is asked for; no password is an empty answer there too
        connection.sendall(b"\0\0\0\3")
        answer = packet()[:1]
    if answer == b"\0":
        connection.sendall(b"\1\0\0\0\1")  # COM_QUIT
    return answer == b"\0"


def redis(connection):
    connection.sendall(b"PING\r\n")
    return exactly(connection, 5) == b"+PONG"


LOGINS = {"postgres": postgres, "mariadb": mysql, "redis": redis}


def first(name, host, port, limit=120):
    """Polls until a login works; returns the time when the answer was there."""
    end = time.monotonic() + limit
    while time.monotonic() < end:
        try:
            with socket.create_connection((host, port), timeout=5) as connection:
                connection.settimeout(5)
                if LOGINS[name](connection):
                    return time.monotonic()
        except OSError:
            pass
        time.sleep(0.01)  # each try costs the server a session
    raise RuntimeError(f"{name} accepted no login in {limit} s")
