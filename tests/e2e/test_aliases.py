#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A chip has several certified endorsement keys: all are proven at first contact and recorded; shown by any of them alone it is the
device that it was, refused when that is retired or revoked, and back by a permit. A real server, real agents, a software TPM each."""
import hashlib
import json
import os
import shutil
import subprocess
import tempfile

from device import CLI, LIB, Device, Operator, accept_release, need, run
from server import Server, case, finish

PLACES = {"rsa-2048": "0x01c00002", "p-384": "0x01c00016"}


def spki_of(d, place):
    """SHA-256 of the key that the certificate in the chip's memory is of."""
    path = os.path.join(d.dir, "ek.der")
    need("tpm2_nvread", place, "-o", path, "-T", d.tcti)
    pem = subprocess.run(["openssl", "x509", "-inform", "der", "-in", path, "-noout", "-pubkey"], capture_output=True, check=True).stdout
    der = subprocess.run(["openssl", "pkey", "-pubin", "-outform", "der"], input=pem, capture_output=True, check=True).stdout
    return hashlib.sha256(der).hexdigest()


class Chip:
    """One TPM; each `enroll` is by an agent that knows nothing of before."""

    def __init__(self, s, operate, top, name):
        self.s, self.operate, self.d, self.count = s, operate, Device(top, name), 0

    def enroll(self, *more):
        self.count += 1
        self.d.state = os.path.join(self.d.dir, f"state-{self.count}")
        return self.d.enroll(self.s, "--wait", "0", *more)

    def invited(self, *more):
        return self.enroll("--code", json.loads(self.operate("device", "invite", "--zone", "north"))["code"], *more)

    def id(self):
        return self.d.status()["device"]


def show(operate, device):
    return json.loads(operate("device", "show", device))


def events(operate, device, kind):
    return json.loads(operate("event", "ls", "--device", device, "--type", kind))["events"]


def check_recorded(chip, operate):
    code, _, err = chip.invited()
    case("aliases.the_chip_enrols", code == 0, f"{code} {err}")
    device = chip.id()
    want = {kind: spki_of(chip.d, place) for kind, place in PLACES.items()}
    keys = {k["spki"]: k["alias"] for k in show(operate, device)["keys"] if k["role"] == "ek"}
    case("aliases.both_keys_are_recorded", keys == {want["rsa-2048"]: False, want["p-384"]: True}, f"{keys} {want}")
    case("aliases.the_id_is_of_the_identity_key", device == "01" + want["rsa-2048"], device)
    told = events(operate, device, "alias-proven")
    case("aliases.the_proof_is_an_event", len(told) == 1 and want["p-384"] in json.dumps(told), str(told))
    code, out, _ = run(CLI, "device", "show", device, "--config", operate.config)
    case("aliases.people_see_them", code == 0 and "identity key" in out and "alias" in out and want["p-384"] in out, out)
    return device


def check_recognised(chip, operate, device):
    code, _, err = chip.enroll("--ek", "p-384")
    case("aliases.the_other_key_alone_is_the_same_device", code == 0 and chip.id() == device, f"{code} {err} {chip.id()}")
    shown = show(operate, device)
    case("aliases.it_is_held_as_with_the_first_key", shown["state"] == "quarantined" and "attestation key" in shown["state_reason"],
         f"{shown['state']} {shown['state_reason']}")
    case("aliases.and_that_is_an_event", len(events(operate, device, "known-by-alias")) == 1)
    operate("device", "release", device, "--reason", "looked at it")
    code, out, err = chip.d.call("attest")
    case("aliases.it_attests_under_the_other_key", code == 0 and "affirming" in out, f"{code} {out} {err}")
    code, _, err = chip.invited()
    case("aliases.with_both_it_is_still_one_device", code == 0 and chip.id() == device, f"{code} {err}")
    keys = [k for k in show(operate, device)["keys"] if k["role"] == "ek"]
    case("aliases.no_key_came_twice", len(keys) == 2 and len(events(operate, device, "alias-proven")) == 1, str(keys))
    code, _, err = chip.enroll("--ek", "p-256")
    case("aliases.a_key_that_the_chip_has_not_is_told", code == 1 and "no certified endorsement key p-256" in err, f"{code} {err}")
    code, _, err = chip.enroll("--ek", "rsa")
    case("aliases.a_key_that_nobody_has_is_a_usage_error", code == 2 and "--ek" in err, f"{code} {err}")


def check_off(chip, operate, device, word):
    """Retired or revoked, whichever key it shows. Of one source five refusals a minute are written whole: no more are made here."""
    refused = len(events(operate, device, "contact-refused"))
    for ek in ("p-384", "rsa-2048"):
        code, _, err = chip.enroll("--ek", ek)
        said = err.count("another endorsement key") == (1 if ek == "p-384" else 0)
        case(f"aliases.{word}_it_is_refused_by_{ek}", code == 1 and "revoked" in err and f"device is {word}" in err and said, f"{code} {err}")
        told = events(operate, device, "contact-refused")
        case(f"aliases.{word}_and_refused_by_{ek}_is_an_event_of_it", len(told) == refused + 1 and word in json.dumps(told[0]), str(told[:1]))
        refused = len(told)
    keys = [k for k in show(operate, device)["keys"] if k["role"] == "ek"]
    case(f"aliases.{word}_the_tombstone_covers_both", len(keys) == 2 and all(k["tombstone"] for k in keys), str(keys))


def check_return(chip, operate, device):
    for more in (["--ek", "all"], ["--ek", "p-384"]):
        code, _, err = chip.invited(*more)
        case(f"aliases.no_invitation_helps_by_{more[1]}", code == 1 and "revoked" in err, f"{code} {err}")
    for ek in ("p-384", "rsa-2048"):
        operate("device", "permit", device, "--reason", "repaired")
        code, _, err = chip.enroll("--ek", ek)
        case(f"aliases.a_permit_serves_{ek}", code == 0 and chip.id() == device and show(operate, device)["state"] != "retired", f"{code} {err}")
        operate("device", "retire", device, "--reason", "worn out again")
    code, _, err = chip.enroll("--ek", "p-384")
    case("aliases.it_serves_once", code == 1 and "revoked" in err, f"{code} {err}")


def check_two_devices(chip, operate):
    """An agent that hid a key made two devices of one chip; it comes to light when both are proven at once."""
    ids = []
    for ek in PLACES:
        code, _, err = chip.invited("--ek", ek)
        case(f"aliases.an_agent_that_shows_{ek}_alone_is_served", code == 0, f"{code} {err}")
        ids.append(chip.id())
    case("aliases.what_was_never_proven_is_not_known", ids[0] != ids[1], str(ids))
    code, _, err = chip.enroll()
    case("aliases.one_chip_is_not_two_devices", code == 1 and "two-devices" in err, f"{code} {err}")
    told = json.loads(operate("event", "ls", "--type", "contact-refused"))["events"]
    case("aliases.and_that_is_told", "two devices" in json.dumps(told[0]), str(told[:1]))


def main():
    top = tempfile.mkdtemp(prefix="bpk", dir="/tmp")
    chips = []
    try:
        with Server(options=["--attest-interval", "1000"]) as s:
            s.init()
            first = Chip(s, None, top, "a")
            chips.append(first)
            for name in ("issuercert.pem", "swtpm-localca-rootca-cert.pem"):
                shutil.copy(os.path.join(top, "maker", name), os.path.join(s.dir, "anchors", f"virtual-{name}"))
            if not case("aliases.server_starts", s.start(), s.stderr()):
                return
            operate = Operator(s, top)
            first.operate = operate
            accept_release(operate, first.d, top)
            chips += [Chip(s, operate, top, name) for name in "bc"]
            device = check_recorded(first, operate)
            check_recognised(first, operate, device)
            operate("device", "retire", device, "--reason", "worn out")
            check_off(first, operate, device, "retired")
            chips[1].invited()
            stolen = chips[1].id()
            operate("device", "revoke", stolen, "--reason", "stolen")
            check_off(chips[1], operate, stolen, "revoked")
            code, _, err = run(CLI, "device", "permit", stolen, "--reason", "found", "--config", operate.config)
            case("aliases.a_revoked_chip_gets_no_permit", code == 1, f"{code} {err}")
            check_two_devices(chips[2], operate)
            check_return(first, operate, device)
    finally:
        for chip in chips:
            run(f"{LIB}/swtpm.sh", "stop", chip.d.dir)
        shutil.rmtree(top, ignore_errors=True)
    finish()


main()
