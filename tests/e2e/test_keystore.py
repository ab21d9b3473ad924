#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A server whose issuing keys lie in a token. With SoftHSM devices enrol, and the token is taken away and put back while the
server runs: nothing crashes, nothing is issued meanwhile, and people are told. With a TPM through its PKCS #11 module,
over a node as the kernel's is, the keys are made, cannot leave, and issue behind the fences."""
import json
import os
import shutil
import sqlite3
import subprocess
import tempfile

from server import BIN, Fleet, Server, case, finish, until
from tpmnode import TpmNode

SIGNER = 1880000008  # uid of signer ca when root starts the server (src/fleet/proc/proc.h)
LIB = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib")
SOFTHSM = "/usr/lib/softhsm/libsofthsm2.so"
TPM2 = "/usr/lib/x86_64-linux-gnu/libtpm2_pkcs11.so.1"
LOST, BACK = 136, 137
PIN = "12345678"


def run(*words):
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise RuntimeError(f"{' '.join(words)}: exit {done.returncode}: {done.stdout}{done.stderr}")
    return done.stdout


def give(folder):
    """The signer's process works with the token, so it is the signer's."""
    if os.geteuid() == 0:
        for at, _, files in os.walk(folder):
            for name in ["", *files]:
                os.chown(os.path.join(at, name) if name else at, SIGNER, SIGNER)


def uri(module, pin):
    return f"pkcs11:token=plant?module-path={module}&pin-source=file:{pin}"


def write_pin(top):
    path = os.path.join(top, "pin")
    with os.fdopen(os.open(path, os.O_CREAT | os.O_WRONLY, 0o600), "w") as f:
        f.write(PIN + "\n")
    return path


def keys_of(s):
    """{name: (ok, text)} of what check says about keys."""
    done = subprocess.run([f"{BIN}/bedplated", "check", "--dir", s.dir, "--json"], capture_output=True, text=True, check=False)
    return {f["part"][4:]: (f["ok"], f["text"]) for f in json.loads(done.stdout)["findings"] if f["part"].startswith("key ")}


def count(s, event):
    db = sqlite3.connect(f"file:{s.dir}/store/bedplate.db?mode=ro", uri=True)
    try:
        return db.execute("select count(*) from event where type = ?", (event,)).fetchone()[0]
    finally:
        db.close()


def certificates(s):
    db = sqlite3.connect(f"file:{s.dir}/store/bedplate.db?mode=ro", uri=True)
    try:
        return db.execute("select count(*) from certificate").fetchone()[0]
    finally:
        db.close()


def made(name, s):
    keys = keys_of(s)
    inside = ("issuing", "infra", "operators", "brownfield")
    case(f"{name}.keys_cannot_leave", all("made there, cannot leave" in keys[k][1] for k in inside), keys)
    files = os.listdir(os.path.join(s.dir, "keys/ca"))
    case(f"{name}.no_file_holds_them", sorted(files) == ["bind.pem", "pin"], files)
    with open(os.path.join(s.dir, "server.yaml"), encoding="utf-8") as f:
        case(f"{name}.settings_hold_no_pin", PIN not in f.read())


def enrols(s, fleet, i):
    line = fleet.do(f"join {i}")
    return line.startswith(f"join {i} ok 2 active"), line + s.stderr()[-600:]


def soft_hsm(top):
    tokens, away = os.path.join(top, "hsm/tokens"), os.path.join(top, "hsm/away")
    os.makedirs(tokens)
    conf = os.path.join(top, "hsm/softhsm2.conf")
    with open(conf, "w", encoding="utf-8") as f:
        f.write(f"directories.tokendir = {tokens}\nobjectstore.backend = file\nlog.level = ERROR\n")
    os.environ["SOFTHSM2_CONF"] = conf
    run("softhsm2-util", "--init-token", "--free", "--label", "plant", "--pin", PIN, "--so-pin", "87654321")
    pin = write_pin(top)
    with Server() as s:
        s.init("--key-store", uri(SOFTHSM, pin), "--key-reach", os.path.join(top, "hsm"))
        os.unlink(pin)  # the server has its own copy
        made("softhsm", s)
        give(os.path.join(top, "hsm"))
        with Fleet(s, 5) as fleet:
            if not case("softhsm.server_starts", s.start(), s.stderr()):
                return
            fleet.use(s)
            case("softhsm.device_enrols", *enrols(s, fleet, 0))
            before, pids, issued = count(s, LOST), s.children(), certificates(s)
            os.rename(tokens, away)
            line = fleet.do("join 1")
            case("softhsm.gone_is_unavailable", " failed " in line and " 503 " in line, line)
            case("softhsm.gone_issues_nothing", certificates(s) == issued, certificates(s))
            case("softhsm.gone_is_told", until(10, lambda: count(s, LOST) == before + 1), count(s, LOST))
            case("softhsm.gone_attests_still", fleet.do("attest 0").startswith("attest 0 ok 2 active"))
            case("softhsm.gone_ends_nobody", s.children() == pids, f"{pids} {s.children()}")
            ok, text = keys_of(s)["issuing"]
            case("softhsm.gone_is_seen_by_check", not ok and "does not answer" in text, text)
            os.rename(away, tokens)
            case("softhsm.back_is_told", until(20, lambda: count(s, BACK) == 1), s.stderr()[-600:])
            case("softhsm.back_enrols_without_restart", *enrols(s, fleet, 2))
            case("softhsm.back_ended_nobody", s.children() == pids, f"{pids} {s.children()}")
            case("softhsm.told_once_each", (count(s, LOST), count(s, BACK)) == (before + 1, 1))
            said = s.stderr()
            case("softhsm.log_says_both", said.count("the token of a key does not answer") == 1 and
                 said.count("the token answers again") == 1, said[-600:])
            s.stop()
            s.keep_ports()
            os.rename(tokens, away)
            if case("softhsm.starts_without_its_token", s.start(), s.stderr()[-600:]):
                fleet.use(s)
                case("softhsm.attests_without_it", until(20, lambda: fleet.do("attest 0").startswith("attest 0 ok")))
                os.rename(away, tokens)
                case("softhsm.enrols_when_it_comes", *enrols(s, fleet, 3))
                s.stop()


def tpm_issues(top, store, node):
    os.chmod(node, 0o666)
    os.environ.update(TPM2_PKCS11_STORE=store, TPM2_PKCS11_TCTI=f"device:{node}", TSS2_LOG="all+NONE")
    tool = ("pkcs11-tool", "--module", TPM2)
    run(*tool, "--slot-index", "0", "--init-token", "--label", "plant", "--so-pin", "sosopin")
    run(*tool, "--token-label", "plant", "--init-pin", "--login", "--login-type", "so", "--so-pin", "sosopin", "--pin", PIN)
    pin = write_pin(top)
    with Server() as s:
        s.init("--key-store", uri(TPM2, pin), "--key-reach", f"{store} {node}")
        made("tpm", s)  # each answer of check holds a signature by the key
        give(store)
        with Fleet(s, 2) as fleet:
            if case("tpm.server_starts", s.start(), s.stderr()):
                fleet.use(s)
                pids = s.children()
                case("tpm.device_enrols", *enrols(s, fleet, 0))
                case("tpm.another_enrols", *enrols(s, fleet, 1))
                case("tpm.issues_behind_the_fences", s.children() == pids and certificates(s) == 2, (pids, s.children(), certificates(s)))
                s.stop()
        os.rename(store, store + ".away")
        ok, text = keys_of(s)["issuing"]
        case("tpm.gone_is_seen_by_check", not ok and "does not answer" in text, text)


def tpm(top):
    folder, store = os.path.join(top, "t"), os.path.join(top, "store")
    os.mkdir(store)
    os.environ["BP_SWTPM_CA"] = os.path.join(top, "maker")
    run(f"{LIB}/swtpm.sh", "make", folder)
    run(f"{LIB}/swtpm.sh", "start", folder)
    try:
        with TpmNode(f"{folder}/s") as node:
            tpm_issues(top, store, node.path)
    finally:
        run(f"{LIB}/swtpm.sh", "kill", folder)


for test in (soft_hsm, tpm):
    place = tempfile.mkdtemp(prefix="bp-ks-")
    os.chmod(place, 0o755)
    try:
        test(place)
    finally:
        shutil.rmtree(place, ignore_errors=True)
finish()
