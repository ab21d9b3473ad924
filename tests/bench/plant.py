# SPDX-License-Identifier: Apache-2.0
"""A real server (release build, default settings) with a simulated fleet on this machine, for the programs of ./bench."""
import http.client
import json
import multiprocessing
import os
import re
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
TOP = os.path.dirname(os.path.dirname(HERE))
BIN = os.environ.setdefault("BP_BIN", os.path.join(TOP, "build/release/bin"))
sys.path.insert(0, os.path.join(TOP, "tests/e2e"))
from server import Server  # noqa: E402 - the path comes first

TRIAL = 24  # gateways that join first, to tell how many a minute takes
JOIN_S = float(os.environ.get("BP_BENCH_JOIN_S", "60"))
DEVICES_MAX = int(os.environ.get("BP_BENCH_DEVICES", "1000"))
SOURCES = 60000  # all of them come from one address, which the server limits otherwise


def wanted(names):
    """Whether the command line asks for any of these figures; says no by ending the program."""
    words = [w for w in sys.argv[1:] if not w.startswith("--")]
    if words and not any(n.startswith(w) for n in names for w in words):
        sys.exit(0)


def figure(name, unit, better, limit, target, load, values):
    text = [f"better={better}", f"limit={limit}", f"target={target}", f"load={load}"]
    print("\t".join(["figure", name, unit, *text, *(f"{v:.3f}" for v in values)]), flush=True)


def load_average():
    return f"{os.cpu_count()} cores shared with other work, load average {os.getloadavg()[0]:.1f}"


def private_kib(pid):
    with open(f"/proc/{pid}/smaps_rollup", encoding="utf-8") as f:
        return sum(int(line.split()[1]) for line in f if line.startswith("Private_"))


def cpu_s(pids):
    """Processor seconds that processes have used so far; one that is gone counts as 0."""
    total = 0
    for pid in pids:
        try:
            with open(f"/proc/{pid}/stat", encoding="utf-8") as f:
                words = f.read().rsplit(")", 1)[1].split()
        except OSError:
            continue
        total += int(words[11]) + int(words[12])
    return total / os.sysconf("SC_CLK_TCK")


def bare_handshakes(seconds):
    """Full TLS 1.3 handshakes a second with P-256 certificates both ways, openssl to openssl on this machine; what an
    enrolment cannot be faster than. And the server's processor microseconds of each. (None, None): the openssl program did
    not do it."""
    with tempfile.TemporaryDirectory(prefix="bpb", dir="/tmp") as top:
        made = subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days",
                               "2", "-subj", "/CN=localhost", "-keyout", f"{top}/key", "-out", f"{top}/cert"], capture_output=True,
                              check=False)
        if made.returncode != 0:
            return None, None
        own = ["-cert", f"{top}/cert", "-key", f"{top}/key", "-CAfile", f"{top}/cert", "-tls1_3"]
        server = subprocess.Popen(["openssl", "s_server", "-accept", "0", "-Verify", "2", "-quiet", *own], stdin=subprocess.DEVNULL,
                                  stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        try:
            port, before = port_of(server.pid), cpu_s([server.pid])
            done = subprocess.run(["openssl", "s_time", "-connect", f"localhost:{port}", "-new", "-time", str(seconds), *own],
                                  capture_output=True, text=True, check=False)
            spent = cpu_s([server.pid]) - before
        finally:
            server.kill()
            server.wait()
    found = re.search(r"(\d+) connections in (\d+) real seconds", done.stdout)
    if not found or not int(found.group(1)) or not int(found.group(2)):
        return None, None
    return int(found.group(1)) / int(found.group(2)), spent / int(found.group(1)) * 1e6


def port_of(pid):
    """The port on which a process listens, by the kernel's list; waits until it does."""
    for _ in range(200):
        sockets = set()
        for fd in os.listdir(f"/proc/{pid}/fd"):
            try:
                sockets.add(os.readlink(f"/proc/{pid}/fd/{fd}"))
            except OSError:
                continue
        for table in ("tcp", "tcp6"):
            with open(f"/proc/net/{table}", encoding="utf-8") as f:
                for line in list(f)[1:]:
                    words = line.split()
                    if words[3] == "0A" and f"socket:[{words[9]}]" in sockets:
                        return int(words[1].rsplit(":", 1)[1], 16)
        time.sleep(0.05)
    raise RuntimeError("openssl s_server does not listen")


class Plant:
    """with Plant() as p: server up, operator signed in, simulated chips accepted."""

    def __init__(self):
        workers = str(min(os.cpu_count() or 1, 4))
        self.server = Server(options=["--workers", workers, "--readers", "2", "--per-source", str(SOURCES)])
        self.config = os.path.join(self.server.top, "operator")
        self.workers = workers

    def bedplate(self, *words):
        done = subprocess.run([f"{BIN}/bedplate", *words, "--config", self.config, "--json"], capture_output=True,
                              text=True, check=False)
        if done.returncode != 0:
            raise RuntimeError(f"bedplate {words[0]}: exit {done.returncode}: {done.stderr}")
        return [json.loads(line) for line in done.stdout.splitlines()]

    def __enter__(self):
        self.server.init()
        self.bedplate("fleet-sim", "--devices", "1", "--server-dir", self.server.dir)
        if not self.server.start(60):
            raise RuntimeError(f"the server did not start: {self.server.stderr()[-500:]}")
        self.bedplate("login", "--server", f"https://localhost:{self.server.ports['operate']}", "--code",
                      self.server.facts["code"], "--anchor", os.path.join(self.server.dir, "certs/root.der"))
        return self

    def __exit__(self, *_):
        self.server.stop()
        self.server.__exit__()

    def devices(self, most=DEVICES_MAX, seconds=JOIN_S):
        """How many join within that time, by a trial that also warms up."""
        rate = self.bedplate("fleet-sim", "--devices", str(TRIAL), "--seconds", "1")[0]["rate"]
        return max(200, min(most, int(rate * seconds) // 50 * 50))

    def fleet(self, devices, *options):
        """A simulated fleet that runs; its lines by next_line()."""
        return subprocess.Popen([f"{BIN}/bedplate", "fleet-sim", "--devices", str(devices), "--config", self.config,
                                 "--json", *options], stdout=subprocess.PIPE, text=True)

    def scanner(self):
        return Scanner(self.server, self.config)


def next_line(fleet, phase):
    """The next line of figures, which must be of that phase."""
    line = fleet.stdout.readline()
    if not line:
        raise RuntimeError(f"the simulated fleet ended with {fleet.wait()} before its line on {phase}")
    told = json.loads(line)
    if told["phase"] != phase:
        raise RuntimeError(f"a line on {phase} was to come: {line}")
    return told


class Scanner:
    """A reader of the API in a loop, in a process of its own: all devices page by page, then events. `with` runs it."""

    def __init__(self, server, config):
        self.server, self.config = server, config
        self.pages = multiprocessing.Value("L", 0)

    def _run(self):
        cert, key = (os.path.join(self.config, n) for n in ("certificate.pem", "key.pem"))
        import socket
        import ssl
        context = ssl.create_default_context()
        with open(os.path.join(self.server.dir, "certs/root.der"), "rb") as f:
            context.load_verify_locations(cadata=f.read())
        context.load_cert_chain(cert, key)
        plain = socket.create_connection(("127.0.0.1", self.server.ports["operate"]), timeout=60)
        client = http.client.HTTPConnection("operator.localhost")
        client.sock = context.wrap_socket(plain, server_hostname="operator.localhost")

        def get(path):
            client.request("GET", "/api/v1" + path)
            answer = client.getresponse()
            body = answer.read()
            if answer.status != 200:
                raise RuntimeError(f"GET {path}: {answer.status} {body[:200]}")
            self.pages.value += 1
            return json.loads(body)

        while True:
            after = ""
            while True:
                page = get(f"/devices?limit=500{after}")
                if not page.get("next"):
                    break
                after = f"&after={page['next']}"
            for _ in range(4):
                get("/events?limit=500")

    def __enter__(self):
        self.process = multiprocessing.Process(target=self._run, daemon=True)
        self.process.start()
        while self.pages.value == 0:
            if not self.process.is_alive():
                raise RuntimeError("the reader of the API ended")
            time.sleep(0.01)
        self.begun, self.first = time.monotonic(), self.pages.value
        return self

    def rate(self):
        return (self.pages.value - self.first) / (time.monotonic() - self.begun)

    def __exit__(self, *_):
        self.process.terminate()
        self.process.join()
