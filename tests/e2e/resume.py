# SPDX-License-Identifier: Apache-2.0
"""Devices of ours as TLS clients that offer a session and cut their links: for the tests and the figures of resumption."""
import os
import select
import socket
import ssl
import struct

from mqtt import pem, write
from server import until

RESET = struct.pack("ii", 1, 0)


class Visitor:
    """Gateway i of a Fleet, with an address of its own (127.0.0.2 and up), as a client that is not ours."""

    def __init__(self, server, fleet, i):
        _, _, cert, key = fleet.do(f"key {i}").split()
        files = os.path.join(server.top, f"visitor-{i}.pem"), os.path.join(server.top, f"visitor-{i}.key")
        write(files[0], pem("CERTIFICATE", bytes.fromhex(cert)))
        write(files[1], pem("EC PRIVATE KEY", bytes.fromhex(key)), 0o600)
        self.context = server.tls()
        self.context.load_cert_chain(*files)
        self.port, self.source, self.sock, self.session = server.ports["device"], f"127.0.0.{i + 2}", None, None

    def connect(self, offer=None):
        """A connection; whether the server took the session that was offered."""
        plain = socket.socket()
        plain.settimeout(20)
        plain.bind((self.source, 0))
        plain.connect(("127.0.0.1", self.port))
        self.sock = self.context.wrap_socket(plain, server_hostname="localhost", session=offer)
        return self.sock.session_reused

    def ticket(self):
        """Waits for the server's ticket; False when the server ended the connection instead."""
        self.session = None
        self.sock.setblocking(False)
        try:
            while not (self.session and self.session.has_ticket):
                if not select.select([self.sock], [], [], 20)[0]:
                    return False
                try:
                    self.sock.recv(1)
                    return False  # nothing was asked: this is its end
                except ssl.SSLWantReadError:
                    self.session = self.sock.session
        except OSError:
            return False
        self.sock.settimeout(20)
        return True

    def asks(self):
        """The status of one answer, 0: none."""
        try:
            self.sock.sendall(b"GET /bedplate/v1/nonce HTTP/1.1\r\nHost: localhost\r\n\r\n")
            head = self.sock.recv(65536)
            return int(head.split()[1]) if head.startswith(b"HTTP/1.1 ") else 0
        except OSError:
            return 0

    def cut(self, by_reset=True):
        """No close_notify: a reset, or the end of the stream."""
        if by_reset:
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        self.sock.close()

    def visit(self, offer=None, by_reset=True):
        """A connection, its ticket, and a cut; None when there was none, else whether it was resumed."""
        try:
            resumed = self.connect(offer)
        except OSError:
            return None
        good = self.ticket()
        self.cut(by_reset)
        return resumed if good else None


def fronts(server):
    return {name: pid for name, pid in server.children().items() if name.startswith("front-device")}


def held_by(server):
    """{front: connections to the device listener that it holds}, as the kernel lists them; for root, to whom alone a fenced
    process is open."""
    with open("/proc/net/tcp", encoding="utf-8") as f:
        rows = [line.split() for line in f][1:]
    listed = {f"socket:[{r[9]}]" for r in rows if r[3] == "01" and int(r[1].rsplit(":", 1)[1], 16) == server.ports["device"]}
    held = {}
    for name, pid in fronts(server).items():
        names = (f"/proc/{pid}/fd/{fd}" for fd in os.listdir(f"/proc/{pid}/fd"))
        held[name] = sum(1 for n in names if os.path.lexists(n) and os.readlink(n) in listed)
    return held


def spread_of(server, count):
    """The same once it is so many; {} for who may not look."""
    if os.geteuid() != 0:
        return {}
    return until(10, lambda: sum(held_by(server).values()) == count and held_by(server)) or held_by(server)
