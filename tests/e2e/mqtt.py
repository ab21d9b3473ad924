# SPDX-License-Identifier: Apache-2.0
"""A real Mosquitto on loopback, the helper beside it, and clients with certificates, for the tests of this folder."""
import os
import select
import socket
import ssl
import subprocess
import time

from server import BIN, until

SETUP = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../packaging/mosquitto-setup")


def run(*words):
    done = subprocess.run(words, capture_output=True, text=True, check=False, timeout=60)
    if done.returncode != 0:
        raise RuntimeError(f"{' '.join(words)}: exit {done.returncode}: {done.stderr}")


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def write(path, text, mode=0o644):
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode), "w", encoding="utf-8") as f:
        f.write(text)


def pem(label, der):
    return ssl.DER_cert_to_PEM_cert(der).replace("CERTIFICATE", label)


class Broker:
    """The broker and the folders of its helper as packaging/mosquitto-setup makes them, under a folder of the test."""

    def __init__(self, top, root, status, env=None):
        self.top, self.process, self.port, self.control = top, None, free_port(), free_port()
        self.env = {**os.environ, **(env or {})}
        self.prefix = os.path.join(top, "machine")
        run(SETUP, "--name", "localhost", "--root", root, "--status", f"http://localhost:{status}", "--prefix", self.prefix,
            "--listen", "127.0.0.1", "--port", str(self.port), "--control-port", str(self.control))
        self.dir = f"{self.prefix}/var/lib/bedplate-broker"
        self.own = f"{self.prefix}/etc/mosquitto/bedplate"
        self.log = os.path.join(top, "broker.log")
        user = "user root\n" if os.geteuid() == 0 else ""
        os.makedirs(f"{self.prefix}/run/mosquitto")
        write(self.path("broker.conf"), f"{user}pid_file {self.pid_file()}\ninclude_dir {self.prefix}/etc/mosquitto/conf.d\n")

    def pid_file(self):
        return f"{self.prefix}/run/mosquitto/mosquitto.pid"

    def path(self, name):
        return os.path.join(self.top, name)

    def start(self, offset=""):
        """offset: by how much its clock is ahead, as faketime says it ("+6d")."""
        words = ["/usr/sbin/mosquitto", "-c", self.path("broker.conf")]
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(["faketime", "-f", offset, *words] if offset else words, stdout=log, stderr=log,
                                            env=self.env)
        return until(20, self.is_up)

    def is_up(self):
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=2):
                return True
        except OSError:
            return False

    def stop(self):
        if self.process is None or self.process.poll() is not None:
            self.process = None
            return
        with open(self.pid_file(), encoding="ascii") as f:
            pid = int(f.read())
        os.kill(pid, 15)
        self.process.wait(20)
        self.process = None

    def said(self):
        with open(self.log, encoding="utf-8", errors="replace") as f:
            return f.read()


class Helper:
    def __init__(self, broker, port):
        self.broker, self.port, self.process = broker, port, None
        self.log = broker.path("helper.log")

    def words(self, *more, port=None):
        """The line of the unit, with our program and address in it."""
        with open(f"{self.broker.prefix}/etc/systemd/system/bedplate-broker.service", encoding="utf-8") as f:
            line = next(line for line in f if line.startswith("ExecStart="))
        words = line.strip().split("=", 1)[1].split()
        words[0] = f"{BIN}/bedplate-broker"
        words[words.index("--status") + 1] = f"http://localhost:{port or self.port}"
        return [*words, *more]

    def start(self):
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(self.words(), stdout=log, stderr=log, env=self.broker.env)

    def once(self, port, rounds=1):
        """Some rounds against another address; what it said."""
        done = subprocess.run(self.words("--rounds", str(rounds), port=port), capture_output=True, text=True, check=False,
                              timeout=120)
        return done.returncode, done.stderr

    def stop(self, how=15):
        if self.process:
            self.process.send_signal(how)
            self.process.wait(20)
        self.process = None

    def said(self):
        with open(self.log, encoding="utf-8", errors="replace") as f:
            return f.read()


class Client:
    """One MQTT session over TLS; refused tells why when there is none."""

    def __init__(self, broker, files, session=None, context=None):
        self.refused, self.sock = "", None
        self.context = context or ssl.create_default_context(cafile=f"{broker.own}/broker.pem")
        if context is None:
            self.context.load_cert_chain(*files)
        try:
            plain = socket.create_connection(("127.0.0.1", broker.port), timeout=10)
            self.sock = self.context.wrap_socket(plain, server_hostname="localhost", session=session)
            name = os.urandom(6).hex().encode()
            self.sock.sendall(b"\x10" + bytes([12 + len(name)]) + b"\0\4MQTT\4\2\0\x3c" + len(name).to_bytes(2, "big") + name)
            answer = self.sock.recv(4)
            if answer != b"\x20\x02\0\0":
                self.refused = f"answer {answer.hex()}"
        except OSError as e:
            self.refused = str(e) or type(e).__name__
        if self.refused and self.sock:
            self.sock.close()
            self.sock = None

    def is_in(self):
        return self.sock is not None

    def works(self):
        """A ping is answered."""
        if not self.sock:
            return False
        try:
            self.sock.sendall(b"\xc0\0")
            return self.sock.recv(2) == b"\xd0\0"
        except OSError:
            return False

    def cut_after(self, seconds):
        """Seconds until the broker ended the session; None: it did not."""
        begun = time.monotonic()
        while time.monotonic() - begun < seconds:
            if select.select([self.sock], [], [], 0.05)[0]:
                try:
                    if self.sock.recv(16) == b"":
                        return time.monotonic() - begun
                except OSError:
                    return time.monotonic() - begun
        return None

    def close(self):
        if self.sock:
            self.sock.close()
