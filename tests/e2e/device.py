# SPDX-License-Identifier: Apache-2.0
"""A process-level device (a software TPM of its own, logs, our agent) and an operator, for tests with a real server."""
import json
import os
import re
import signal
import subprocess
import tempfile

from server import BIN

LIB = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib")
AGENT, CLI = f"{BIN}/bedplate-agent", f"{BIN}/bedplate"
ENV = {**os.environ, "TSS2_LOG": "all+NONE"}


def run(*words, env=None, **more):
    """(exit code, output, errors) of a program that ends by itself."""
    done = subprocess.run(words, capture_output=True, text=True, check=False, timeout=120, env={**ENV, **(env or {})}, **more)
    return done.returncode, done.stdout.strip(), done.stderr.strip()


def need(*words, **more):
    code, out, err = run(*words, **more)
    if code != 0:
        raise RuntimeError(f"{' '.join(words)}: exit {code}: {err}")
    return out


class Device:
    """A TPM, logs that it was extended by, and an agent's folder."""

    def __init__(self, top, name):
        self.dir = os.path.join(top, name)
        os.mkdir(self.dir, 0o700)
        self.state = os.path.join(self.dir, "state")
        self.process, self.env = None, {}  # more of the environment: of its agent alone
        ENV["BP_SWTPM_CA"] = os.path.join(top, "maker")
        need(f"{LIB}/swtpm.sh", "make", self.dir)
        self.power_on()
        need(f"{LIB}/make-logs", self.dir, "--program", AGENT)
        self.measure()

    def power_on(self):
        self.tcti = need(f"{LIB}/swtpm.sh", "start", self.dir)

    def measure(self):
        """What firmware and kernel would have told the TPM since it was switched on."""
        with open(f"{self.dir}/extends", encoding="utf-8") as f:
            need("tpm2_pcrextend", *f.read().split(), "-T", self.tcti)

    def power_off(self):
        need(f"{LIB}/swtpm.sh", "kill", self.dir)

    def enroll(self, s, *more, anchor=None, port=None):
        anchor = anchor or os.path.join(s.dir, "certs/root.der")
        return run(AGENT, "enroll", "--server", f"https://localhost:{port or s.ports['enrol']}", "--anchor", anchor, "--root",
                   f"tpm2:{self.tcti}", "--state", self.state, "--boot-log", f"{self.dir}/boot.log", "--ima-log",
                   f"{self.dir}/ima.log", *more, env=self.env)

    def call(self, command, *more):
        return run(AGENT, command, "--state", self.state, *more, env=self.env)

    def status(self):
        code, out, err = self.call("status", "--json")
        return json.loads(out) if code == 0 else {"error": err}

    def start(self):
        self.errors = tempfile.TemporaryFile("w+")
        self.process = subprocess.Popen([AGENT, "run", "--state", self.state], stderr=self.errors, env={**ENV, **self.env})

    def said(self):
        self.errors.flush()
        return os.pread(self.errors.fileno(), 1 << 20, 0).decode()

    def stop(self, how=signal.SIGTERM):
        self.process.send_signal(how)
        code = self.process.wait(60)
        self.errors.close()
        self.process = None
        return code


class Operator:
    def __init__(self, s, top):
        self.config = os.path.join(top, "operator")
        need(CLI, "login", "--config", self.config, "--server", f"https://localhost:{s.ports['operate']}", "--anchor",
             os.path.join(s.dir, "certs/root.der"), "--code", s.facts["code"])

    def __call__(self, *words):
        return need(CLI, *words, "--config", self.config, "--json")


def accept_release(operate, device, top):
    """The logs of a device become a release of its maker, accepted everywhere."""
    made, key, signed = (os.path.join(top, n) for n in ("release", "maker.pem", "release.signed"))
    need(CLI, "release", "create", "--counter", "1", "--from-log", f"{device.dir}/boot.log", "--ima-log",
         f"{device.dir}/ima.log", "--model", "process", "--product", "gateway", "--version", "1.0", "--out", made)
    need(CLI, "release", "keygen", "--out", key)
    need(CLI, "release", "sign", "--in", made, "--key", key, "--out", signed)
    published = operate("release", "publish", signed, "--maker", f"{key}.pub")
    release = re.search(r"[0-9a-f]{64}", published).group(0)
    operate("release", "accept", release)
