#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""with_server.py - the page in Chromium against a server of its own with two attested devices.

The devices are process-level ones: our agent, each with a software TPM of its own and logs that tests/lib/make-logs
wrote and its TPM was extended by. While the page looks, one of them runs a program that no release contains. Prints the
lines of run.mjs; exits 0 when all passed. Everything it starts ends with it, by pid."""
import json
import os
import shutil
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
import server as s  # noqa: E402

HERE = os.path.dirname(os.path.abspath(__file__))
AGENT, CLI = f"{s.BIN}/bedplate-agent", f"{s.BIN}/bedplate"
ZONE, MODEL, SERVICE = "hall-1", "process", "historian"


def run(*words, **more):
    done = subprocess.run(words, capture_output=True, text=True, check=False, timeout=180, **more)
    if done.returncode != 0:
        raise RuntimeError(f"{os.path.basename(words[0])} {' '.join(words[1:3])}: exit {done.returncode}: "
                           f"{(done.stderr or done.stdout)[-400:]}")
    return done.stdout


class Device:
    def __init__(self, top, number):
        self.name, self.dir, self.state = f"gateway-{number}", os.path.join(top, f"t{number}"), os.path.join(top, f"a{number}")
        self.agent = None
        os.mkdir(self.dir)
        env = {**os.environ, "BP_SWTPM_CA": os.path.join(top, "ca")}
        run("tests/lib/swtpm.sh", "make", self.dir, env=env)
        self.tcti = run("tests/lib/swtpm.sh", "start", self.dir).strip()
        # The logs of a start, and the TPM's registers with them.
        run("tests/lib/make-logs", self.dir, "--program", AGENT)
        with open(f"{self.dir}/extends", encoding="utf-8") as f:
            for line in f:
                run("tpm2_pcrextend", line.strip(), env={**os.environ, "TPM2TOOLS_TCTI": self.tcti})

    def enroll(self, server, root, code):
        run(AGENT, "enroll", "--server", f"https://localhost:{server.ports['enrol']}", "--anchor", root, "--root",
            f"tpm2:{self.tcti}", "--state", self.state, "--device-port", str(server.ports["device"]), "--code", code,
            "--boot-log", f"{self.dir}/boot.log", "--ima-log", f"{self.dir}/ima.log")
        with open(f"{self.dir}/agent.log", "wb") as out:
            self.agent = subprocess.Popen([AGENT, "run", "--state", self.state], stdout=out, stderr=out)

    def stop(self):
        if self.agent and self.agent.poll() is None:
            self.agent.terminate()
            try:
                self.agent.wait(10)
            except subprocess.TimeoutExpired:
                self.agent.kill()
                self.agent.wait()
        subprocess.run(["tests/lib/swtpm.sh", "stop", self.dir], check=False)


def attack(folder, tcti):
    """Runs a foreign program on the device: its kernel would log it, then extend the TPM."""
    with tempfile.TemporaryDirectory() as made:
        payload = os.path.join(made, "payload")
        shutil.copy("/bin/true", payload)
        run("tests/lib/make-logs", made, "--program", AGENT, "--program", payload)
        with open(f"{made}/extends", encoding="utf-8") as f:
            last = f.read().split("\n")[-2]
        shutil.copy(f"{made}/ima.log", f"{folder}/ima.new")
        os.rename(f"{folder}/ima.new", f"{folder}/ima.log")
        run("tpm2_pcrextend", last, env={**os.environ, "TPM2TOOLS_TCTI": tcti})


def prepare(server, devices, facts, top):
    """Releases accepted, devices enrolled; the code for the page."""
    config = ["--config", os.path.join(top, "cli")]
    run(CLI, "login", "--server", f"https://localhost:{server.ports['operate']}", "--anchor", facts["root"], "--code",
        facts["code"], "--name", "test", *config)
    first = devices[0].dir
    run(CLI, "release", "create", "--from-log", f"{first}/boot.log", "--ima-log", f"{first}/ima.log", "--model", MODEL,
        "--product", "gateway", "--version", "1.0.0", "--counter", "1", "--out", f"{top}/release", *config)
    run(CLI, "release", "keygen", "--out", f"{top}/maker", *config)
    run(CLI, "release", "sign", "--in", f"{top}/release", "--key", f"{top}/maker", "--out", f"{top}/release.cose", *config)
    run(CLI, "release", "publish", f"{top}/release.cose", "--maker", f"{top}/maker.pub", *config)
    listed = json.loads(run(CLI, "release", "ls", "--json", *config))
    release = (listed["releases"] if isinstance(listed, dict) else listed)[0]["id"]
    run(CLI, "release", "accept", release, *config)
    for d in devices:
        made = json.loads(run(CLI, "device", "invite", "--zone", ZONE, "--model", MODEL, "--name", d.name, "--json", *config))
        d.enroll(server, facts["root"], made["code"])
    run(CLI, "service", "add", SERVICE, "--profile", "app-client", *config)
    for d in devices:
        run(AGENT, "service", "add", SERVICE, "--state", d.state, "--out", f"{d.state}-{SERVICE}")
    return json.loads(run(CLI, "operator", "code", "--role", "admin", "--name", "browser", "--json", *config))["code"]


def main():
    if len(sys.argv) == 4 and sys.argv[1] == "--attack":
        attack(sys.argv[2], sys.argv[3])
        return 0
    for need in ("swtpm", "tpm2_pcrextend", "node", os.environ.get("BP_CHROMIUM", "/usr/bin/chromium")):
        if shutil.which(need) is None:
            print(f"skip browser: {need} is not installed")
            return 0
    server, devices = s.Server(options=["--attest-interval", "2000"]), []
    top = tempfile.mkdtemp(prefix="bp-br-")  # short: sockets of the TPMs lie below
    try:
        facts = server.init()
        devices = [Device(top, n) for n in (1, 2)]
        shutil.copy(f"{top}/ca/issuercert.pem", f"{server.dir}/anchors/virtual-issuer.pem")
        shutil.copy(f"{top}/ca/swtpm-localca-rootca-cert.pem", f"{server.dir}/anchors/virtual-root.pem")
        if not server.start(60):
            raise RuntimeError(f"the server is not ready: {server.stderr()[-400:]}")
        code = prepare(server, devices, facts, top)
        red = devices[1]
        shots = ["--shots", os.environ["BP_SHOTS"]] if "BP_SHOTS" in os.environ else []
        return subprocess.run(["node", f"{HERE}/run.mjs", "--url", f"https://localhost:{server.ports['operate']}", "--code", code,
                               "--devices", "2", "--red", red.name, "--service", SERVICE, "--position", "=A1-K3",
                               "--root", f"{server.dir}/certs/root.der", *shots,
                               "--attack", f"python3 {HERE}/with_server.py --attack {red.dir} {red.tcti}"], check=False).returncode
    except (RuntimeError, OSError, subprocess.TimeoutExpired, KeyError, ValueError) as e:
        print(f"not ok browser.setup: {e}")
        return 1
    finally:
        for d in devices:
            d.stop()
        server.__exit__()
        shutil.rmtree(top, ignore_errors=True)


sys.exit(main())
