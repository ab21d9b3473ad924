# SPDX-License-Identifier: Apache-2.0
"""A real server on loopback for the tests of this folder: made, started, looked at and ended by pid."""
import calendar
import http.client
import json
import os
import select
import shutil
import signal
import socket
import sqlite3
import ssl
import struct
import subprocess
import sys
import tempfile
import time

BIN = os.environ.get("BP_BIN", "build/dev/bin")
USER = 65534  # nobody: who the server is started as when it is not root
passed = failed = 0


def case(name, ok, why=""):
    """One line a case, as the test programs print it."""
    global passed, failed
    if ok:
        passed += 1
        print(f"ok {name}")
    else:
        failed += 1
        print(f"not ok {name}: {why}")
    sys.stdout.flush()
    return ok


def finish():
    print(f"{passed} passed, {failed} failed, 0 skipped")
    sys.exit(0 if failed == 0 and passed > 0 else 1)


def until(seconds, what):
    """Waits for a condition; its last value is the answer."""
    end = time.monotonic() + seconds
    while True:
        value = what()
        if value or time.monotonic() > end:
            return value
        time.sleep(0.02)


def children_of(pid):
    """{name: pid} of the server's processes, from their command lines."""
    found = {}
    for entry in os.listdir("/proc"):
        if not entry.isdigit():
            continue
        try:
            with open(f"/proc/{entry}/stat", encoding="utf-8") as f:
                ppid = int(f.read().rsplit(")", 1)[1].split()[1])
            with open(f"/proc/{entry}/cmdline", "rb") as f:
                words = f.read().split(b"\0")
        except OSError:
            continue
        if ppid == pid and len(words) > 3 and words[1] == b"--child":
            kind, index = words[2].decode(), words[3].decode()
            many = kind in ("front-device", "front-operate", "appraiser", "reader")
            found[f"{kind}-{index}" if many else kind] = int(entry)
    return found


VERDICT, CERTIFICATE_ISSUED = 32, 48  # types of events, src/codec/event.h


def missing(s, told):
    """What was acknowledged and is not in the store, or is there without its event."""
    db = sqlite3.connect(f"file:{s.dir}/store/bedplate.db?mode=ro", uri=True)
    rows = {row[0]: row[1] for row in db.execute("select hex(id), n from device")}
    issued = {bytes(row[0]) for row in db.execute(
        "select c.serial from event e join certificate c on c.device = e.device "
        "where e.type = ? and instr(e.body, c.serial) > 0", (CERTIFICATE_ISSUED,))}
    gone = []
    for line in told:
        words = line.split()
        if words[:1] != ["acked"]:
            continue
        if words[2] == "verdict":
            n = rows.get(words[3].upper(), 0)
            found = db.execute("select count(*) from verdict v join event e on e.number = v.event and e.device = v.device "
                               "where v.device = ? and v.seq = ? and e.type = ? and length(e.body) > 0",
                               (n, int(words[4]), VERDICT)).fetchone()[0]
        else:
            found = bytes.fromhex(words[3]) in issued
        if found != 1:
            gone.append(line)
    db.close()
    return gone


def is_whole(s):
    done = subprocess.run([f"{BIN}/bedplated", "check", "--dir", s.dir, "--json"], capture_output=True, text=True,
                          check=False)
    return done.returncode == 0 and json.loads(done.stdout)["ok"], done.stdout


class Server:
    """with Server() as s: s.ports["device"], s.dir, s.stderr(), s.children()"""

    def __init__(self, program="bedplated", user=None, env=None, options=(), made=None):
        self.program, self.user, self.env, self.options = f"{BIN}/{program}", user, env or {}, list(options)
        self.top = made.top if made else tempfile.mkdtemp(prefix="bp-e2e-")
        self.owns = made is None
        os.chmod(self.top, 0o755)
        self.dir = os.path.join(self.top, "server")
        self.made = made is not None
        self.process, self.ports = None, {}

    def _as_user(self):
        if self.user is None:
            return {}
        return {"user": self.user, "group": self.user, "extra_groups": []}

    def init(self, *options):
        if self.user is not None:
            os.chown(self.top, self.user, self.user)
        done = subprocess.run([f"{BIN}/bedplated", "init", "--dir", self.dir, "--name", "localhost", "--evaluation",
                               "--json", *options], capture_output=True, text=True, check=False, **self._as_user())
        if done.returncode != 0:
            raise RuntimeError(f"init: exit {done.returncode}: {done.stderr}")
        self.facts = json.loads(done.stdout)
        self.made = True
        return self.facts

    def start(self, wait=20):
        """Starts it; True once it said that it is ready."""
        if not self.made:
            self.init()
        self.errors = open(os.path.join(self.top, "stderr"), "a+b")  # noqa: SIM115 - closed in stop
        ports = [] if "--device-port" in self.options else [
            "--device-port", "0", "--enrol-port", "0", "--operate-port", "0", "--status-port", "0"]
        self.process = subprocess.Popen([self.program, "run", "--dir", self.dir, "--workers", "1", "--readers", "1",
                                         *ports, *self.options],
                                        stdout=subprocess.PIPE, stderr=self.errors,
                                        env={**os.environ, **self.env}, **self._as_user())
        end = time.monotonic() + wait
        text = ""
        while "ready\n" not in text:
            left = end - time.monotonic()
            if left <= 0 or not select.select([self.process.stdout], [], [], left)[0]:
                break
            piece = os.read(self.process.stdout.fileno(), 4096).decode()
            if not piece:
                break
            text += piece
        for line in text.splitlines():
            words = line.split()
            if words and words[0] == "listening":
                self.ports[words[1]] = int(words[2].rsplit(":", 1)[1])
        return "ready\n" in text

    def keep_ports(self):
        """The next start listens where this one did: gateways in software look nowhere else."""
        self.options += [w for name, port in self.ports.items() for w in (f"--{name}-port", str(port))]

    def stderr(self):
        with open(os.path.join(self.top, "stderr"), encoding="utf-8", errors="replace") as f:
            return f.read()

    def children(self):
        return children_of(self.process.pid)

    def stop(self, how=signal.SIGTERM, wait=15):
        """The exit code, or None when it had to be killed."""
        code = None
        if self.process and self.process.poll() is None:
            self.process.send_signal(how)
            try:
                code = self.process.wait(wait)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        elif self.process:
            code = self.process.returncode
        if self.process:
            self.process.stdout.close()
            self.errors.close()
        self.process = None
        return code

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()
        if self.owns:
            shutil.rmtree(self.top, ignore_errors=True)

    # ---- clients ----

    def tls(self, name="localhost", cert=None):
        context = ssl.create_default_context()
        with open(os.path.join(self.dir, "certs/root.der"), "rb") as f:
            context.load_verify_locations(cadata=f.read())
        if cert:
            context.load_cert_chain(cert)
        return context

    def connect(self, listener, name="localhost", cert=None, timeout=10):
        plain = socket.create_connection(("127.0.0.1", self.ports[listener]), timeout=timeout)
        if listener == "status":
            return plain
        return self.tls(cert=cert).wrap_socket(plain, server_hostname=name)

    def request(self, listener, method, path, body=None, headers=None, name="localhost", cert=None, timeout=10):
        """(status, headers, body) of one request over a connection of its own."""
        sock = self.connect(listener, name, cert, timeout)
        http_ = http.client.HTTPConnection("localhost", self.ports[listener], timeout=timeout)
        http_.sock = sock
        try:
            http_.request(method, path, body=body, headers=headers or {})
            answer = http_.getresponse()
            return answer.status, answer.headers, answer.read()
        finally:
            http_.close()


class Clock:
    """A wall clock that stands apart from this machine's (clock.c): for the programs that are started with its env, it moves under
    them when the test moves it. Whoever runs as another user may read the file."""

    def __init__(self, folder, name="clock"):
        self.path, self.ahead = os.path.join(folder, name), 0
        self.env = {"LD_PRELOAD": os.path.abspath(os.path.join(os.path.dirname(BIN), "tests/e2e/test_clock.so")), "BP_TEST_CLOCK": self.path}
        with open(self.path, "wb") as f:
            f.write(struct.pack("=q", 0))
        os.chmod(self.path, 0o644)

    def move(self, seconds):
        """Now it is so far ahead of this machine's."""
        self.ahead = int(seconds)
        with open(self.path, "r+b", buffering=0) as f:
            f.write(struct.pack("=q", self.ahead))

    def show(self, year):
        """Now it says the first of March of that year: of 2106 a date that 32 bits do not hold."""
        self.move(calendar.timegm((year, 3, 1, 12, 0, 0)) - time.time())

    def now(self):
        return time.time() + self.ahead


class Operator:
    """A session of the page, from the code that init printed."""

    def __init__(self, server):
        self.server, self.cookie, self.csrf = server, "", ""
        status, headers, body = self.ask("POST", "/session", {"code": server.facts["code"]})
        self.signed_in = status in (200, 201)
        if self.signed_in:
            self.cookie = headers["Set-Cookie"].split(";")[0]
            self.csrf = json.loads(body)["csrf"]

    def ask(self, method, path, body=None):
        headers = {"Cookie": self.cookie, "X-Bedplate-Csrf": self.csrf, "Content-Type": "application/json"}
        return self.server.request("operate", method, "/api/v1" + path, json.dumps(body) if body is not None else None,
                                   {k: v for k, v in headers.items() if v and (body is not None or k != "Content-Type")})


class Fleet:
    """Gateways in software (fleet.c). Made before the server starts; "with" ends it."""

    def __init__(self, server, count, env=None):
        self.told, self.rest = [], b""
        self.process = subprocess.Popen([os.path.join(os.path.dirname(BIN), "tests/e2e/fleet"), server.dir, str(count)], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, env={**os.environ, **(env or {})})
        if self.line() != "prepared":
            raise RuntimeError("the gateways were not prepared")

    def line(self):
        while b"\n" not in self.rest:  # not through a buffer of Python's, which select would not see
            piece = os.read(self.process.stdout.fileno(), 65536)
            if not piece:
                return ""
            self.rest += piece
        line, self.rest = self.rest.split(b"\n", 1)
        return line.decode().strip()

    def do(self, text):
        """The answer to one line; lines of workers that come before it are kept in `told`."""
        self.process.stdin.write(text.encode() + b"\n")
        self.process.stdin.flush()
        word = {"work": "working", "renew": "working", "rest": "resting"}.get(text.split()[0], text.split()[0])
        while True:
            line = self.line()
            if not line or line.split()[0] in (word, "what?"):
                return line
            self.told.append(line)

    def listen(self, seconds, until_=lambda: False):
        """Reads what workers tell."""
        end = time.monotonic() + seconds
        while time.monotonic() < end and not until_():
            if b"\n" in self.rest or select.select([self.process.stdout], [], [], 0.05)[0]:
                self.told.append(self.line())

    def use(self, server):
        return self.do(f"ports {server.ports['enrol']} {server.ports['device']}")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.stdin.close()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.process.stdout.close()
