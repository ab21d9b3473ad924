#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""zlint.py - holds one certificate of each profile, and those that `init` makes, against every lint of zlint that comes from
an RFC. What is not passed must stand in zlint.exceptions, and what stands there must not be passed."""
import glob
import json
import os
import re
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
TOP = os.path.dirname(os.path.dirname(HERE))
ZLINT = os.path.join(TOP, "scripts/zlint")
SOURCES = "RFC5280,RFC5480,RFC5891"
bad = passed = 0


def case(name, ok, why=""):
    global bad, passed
    passed, bad = passed + (1 if ok else 0), bad + (0 if ok else 1)
    print(f"ok zlint.{name}" if ok else f"not ok zlint.{name}: {why}")


def lint(files):
    """{file: {lint: result}} of those that ran."""
    done = subprocess.run([ZLINT, "-format", "der", "-includeSources", SOURCES, *files], capture_output=True, text=True,
                          check=False)
    found, at, text = [], 0, done.stdout.strip()
    while at < len(text):
        value, at = json.JSONDecoder().raw_decode(text, at)
        found.append({k: v["result"] for k, v in value.items() if v["result"] not in ("NA", "NE")})
        while at < len(text) and text[at].isspace():
            at += 1
    if len(found) != len(files):
        raise RuntimeError(f"zlint read {len(found)} of {len(files)} certificates: {done.stderr[-300:]}")
    return dict(zip(files, found))


def exceptions():
    rows = set()
    with open(os.path.join(HERE, "zlint.exceptions"), encoding="utf-8") as f:
        for line in f:
            if line.strip() and not line.startswith("#"):
                profile, name, reason = line.split(None, 2)
                rows.add((profile, name)) if reason.strip() else sys.exit(f"zlint.exceptions: no reason: {line}")
    return rows


def profiles():
    """How many there are, by the enumeration itself."""
    with open(os.path.join(TOP, "src/pki/x509.h"), encoding="utf-8") as f:
        body = re.search(r"enum bp_cert_profile \{(.*?)BP_CERT_PROFILES", f.read(), re.S).group(1)
    return len(re.findall(r"^\s*BP_CERT_\w+,", body, re.M))


with tempfile.TemporaryDirectory(prefix="bp-zlint-") as top:
    each, site = os.path.join(top, "each"), os.path.join(top, "site")
    os.mkdir(each)
    subprocess.run([f"{TOP}/build/dev/tests/interop/make-certs", each, str(int(time.time() * 1000))], check=True)
    subprocess.run([f"{TOP}/build/dev/bin/bedplated", "init", "--dir", site, "--name", "plant.example", "--json"], check=True,
                   stdout=subprocess.DEVNULL)
    made, kept = sorted(glob.glob(f"{each}/*.der")), sorted(glob.glob(f"{site}/certs/*.der"))
    profile = [path for path in made if not path.endswith("/a-false.der")]  # a second one, which only its names make wrong
    case("one_of_each_profile", len(profile) == profiles() and len(kept) > 8, f"{len(profile)} {len(kept)} of {profiles()}")
    excused, used = exceptions(), set()
    for path, results in lint(made + kept).items():
        name = os.path.splitext(os.path.basename(path))[0]
        failed = {k for k, v in results.items() if v != "pass"}
        used |= {(name, k) for k in failed if (name, k) in excused}
        left = sorted(k for k in failed if (name, k) not in excused)
        case(f"{'init.' if path in kept else ''}{name}", len(results) > 20 and not left, left or f"only {len(results)} lints ran")
    case("every_exception_is_needed", used == excused, sorted(excused - used))
    # A check that cannot fail shows nothing: one that breaks rules on purpose.
    wrong = os.path.join(top, "wrong.der")
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout",
                    "/dev/null", "-subj", "/CN=" + "a" * 64 + "/C=Germany"[:5], "-outform", "DER", "-out", wrong, "-days", "9",
                    "-addext", "basicConstraints=CA:TRUE,pathlen:0", "-addext", "keyUsage=digitalSignature"],
                   check=True, capture_output=True)
    case("a_wrong_one_is_told", any(v != "pass" for v in lint([wrong])[wrong].values()))
print(f"{passed} passed, {bad} failed, 0 skipped")
sys.exit(0 if bad == 0 and passed > 0 else 1)
