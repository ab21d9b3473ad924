#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Ownership: chains made and checked with no server; a device that refuses a server that is not its owner's, is handed over to a
second owner's server with its keys erased, is retired there, and comes back by a permit once. Two real servers, real agents,
a software TPM each."""
import base64
import hashlib
import json
import os
import shutil
import signal
import sqlite3
import subprocess
import tempfile

from device import AGENT, CLI, ENV, LIB, Device, Operator, accept_release, need, run
from server import Server, case, finish

ROOTS = ["sha256:" + digit * 64 for digit in "12"]


class Paper:
    """A maker with two keys and owners with cards, in a folder."""

    def __init__(self, top):
        self.top = top
        for name in ("maker-1", "maker-2", "first", "second", "stranger"):
            need(CLI, "release", "keygen", "--out", self.at(name))
        need(CLI, "factory", "anchor", self.at("maker-1.pub"), self.at("maker-2.pub"), "--name", "Maker Ltd", "--out", self.at("anchor"))
        for name in ("first", "second", "stranger"):
            need(CLI, "ownership", "card", "--key", self.at(name), "--anchor", ROOTS[name == "second"], "--name", name, "--out",
                 self.at(name + ".card"))

    def at(self, name):
        return os.path.join(self.top, name)

    def assign(self, device, to, out, key="maker-1", *more):
        return run(CLI, "factory", "assign", device, "--to", self.at(to), "--maker", self.at("anchor"), "--key", self.at(key), "--out",
                   self.at(out), *more)

    def transfer(self, chain, to, key, out, *more):
        return run(CLI, "ownership", "transfer", self.at(chain), "--to", self.at(to), "--key", self.at(key), "--out", self.at(out), *more)


def check_paper(top):
    """What the maker and the owners do where their keys are."""
    p, device = Paper(top), "01" + "ab" * 32
    code, out, err = p.assign(device, "first.card", "chain-1")
    case("paper.the_maker_assigns", code == 0 and "assign" in out and "first" in out, f"{code} {out} {err}")
    code, _, err = p.assign(device, "first.card", "chain-0", "stranger")
    case("paper.nobody_else_assigns", code == 1 and "ownership-signer" in err and not os.path.exists(p.at("chain-0")), f"{code} {err}")
    code, _, err = p.assign("01ab", "first.card", "chain-0")
    case("paper.a_short_id_is_a_usage_error", code == 2, f"{code} {err}")
    code, out, err = p.transfer("chain-1", "second.card", "first", "chain-2", "--json")
    chain = json.loads(out) if code == 0 else {}
    case("paper.the_owner_hands_it_over", code == 0 and chain["epoch"] == 2 and chain["owner"] == "second", f"{code} {out} {err}")
    code, _, err = p.transfer("chain-2", "stranger.card", "first", "chain-3")
    case("paper.who_gave_it_away_gives_it_no_more", code == 1 and "ownership-signer" in err, f"{code} {err}")
    code, _, err = p.transfer("chain-1", "second", "first", "chain-3")
    case("paper.a_key_is_no_card", code == 1 and "card" in err, f"{code} {err}")
    code, out, _ = run(CLI, "ownership", "show", p.at("chain-2"))
    case("paper.a_chain_is_shown", code == 0 and "transfer  second" in out and "Maker Ltd" in out, out)
    for what, at in (("statement", 600), ("card", -40)):
        with open(p.at("chain-2"), "rb") as f:
            broken = bytearray(f.read())
        broken[at] ^= 1
        with open(p.at("broken"), "wb") as f:
            f.write(broken)
        code, _, err = run(CLI, "ownership", "show", p.at("broken"))
        case(f"paper.a_changed_{what}_is_refused", code == 1 and "[ownership-" in err, f"{code} {err}")
    need(CLI, "factory", "override", p.at("chain-2"), "--to", p.at("first.card"), "--key", p.at("maker-1"), "--out", p.at("half"))
    cosign = [CLI, "factory", "cosign", p.at("chain-2"), "--in", p.at("half"), "--out", p.at("chain-4"), "--key"]
    code, _, err = run(*cosign, p.at("maker-1"))
    case("paper.one_key_overrides_nothing", code == 1 and "ownership-cosigner" in err, f"{code} {err}")
    code, _, err = run(*cosign, p.at("maker-2"))
    case("paper.two_keys_of_the_maker_override", code == 0, f"{code} {err}")
    code, _, err = run(CLI, "ownership", "show", p.at("chain-4"))
    case("paper.an_override_waits", code == 1 and "ownership-waiting" in err, f"{code} {err}")
    code, out, err = run(CLI, "ownership", "retire", p.at("chain-2"), "--key", p.at("second"), "--out", p.at("chain-5"))
    case("paper.the_owner_ends_it", code == 0 and "retire" in out, f"{code} {err}")
    code, _, err = p.transfer("chain-5", "first.card", "second", "chain-6")
    case("paper.after_the_end_nothing_follows", code == 1 and "ownership-ended" in err, f"{code} {err}")


def device_id(d):
    """What a factory reads from the chip: the id of its first certified endorsement key."""
    path = os.path.join(d.dir, "ek.der")
    need("tpm2_nvread", "0x01c00002", "-o", path, "-T", d.tcti)
    pem = subprocess.run(["openssl", "x509", "-inform", "der", "-in", path, "-noout", "-pubkey"], capture_output=True, check=True).stdout
    der = subprocess.run(["openssl", "pkey", "-pubin", "-outform", "der"], input=pem, capture_output=True, check=True).stdout
    return "01" + hashlib.sha256(der).hexdigest()


def enroll(d, s, *more):
    """First contact with no anchor but the maker's, if any is given."""
    return run(AGENT, "enroll", "--server", f"https://localhost:{s.ports['enrol']}", "--root", f"tpm2:{d.tcti}", "--state", d.state,
               "--boot-log", f"{d.dir}/boot.log", "--ima-log", f"{d.dir}/ima.log", *more)


def events(s, number):
    db = sqlite3.connect(f"file:{s.dir}/store/bedplate.db?mode=ro", uri=True)
    count = db.execute("select count(*) from event where type = ?", (number,)).fetchone()[0]
    db.close()
    return count


IMPORTED, FORK, REFUSED, HANDED_OVER, LEFT, PERMITTED, RETURNED = range(120, 127)


class Plant:
    """A server with its operator, a release it accepts, and its owner's key opened for the day."""

    def __init__(self, top, name, s, device, maker):
        self.top = os.path.join(top, name)
        os.mkdir(self.top)
        self.s = s
        for cert in ("issuercert.pem", "swtpm-localca-rootca-cert.pem"):
            shutil.copy(os.path.join(maker, cert), os.path.join(s.dir, "anchors", f"virtual-{cert}"))
        if not s.start():
            raise RuntimeError(s.stderr())
        self.operate = Operator(s, self.top)
        accept_release(self.operate, device, self.top)
        self.card = os.path.join(s.dir, "certs/owner.cose")
        self.key = os.path.join(self.top, "owner-key.pem")
        subprocess.run(["openssl", "pkey", "-in", os.path.join(s.dir, "owner-key.pem"), "-passin", f"pass:{s.facts['passphrase']}", "-out",
                        self.key], check=True, capture_output=True)
        os.chmod(self.key, 0o600)

    def __call__(self, *words):
        return run(CLI, *words, "--config", self.operate.config, "--json")


def check_first_owner(p, d, device, first, second):
    code, _, err = enroll(d, first.s, "--wait", "0")
    case("owner.without_maker_or_anchor_nothing_is_trusted", code == 2 and "--anchor" in err, f"{code} {err}")
    anchor = p.at("anchor")
    code, _, err = enroll(d, first.s, "--maker", anchor, "--wait", "0")
    case("owner.a_server_without_a_chain_is_refused", code == 1 and "no-ownership" in err, f"{code} {err}")
    chain = p.at("first.chain")
    need(CLI, "factory", "assign", device, "--to", first.card, "--maker", anchor, "--key", p.at("maker-1"), "--out", chain)
    code, out, err = second("device", "claim", chain, "--zone", "north")
    case("owner.a_server_does_not_claim_what_is_another_owners", code == 1 and "ownership-owner" in err, f"{code} {out} {err}")
    code, out, err = first("device", "claim", chain)
    case("owner.a_claim_needs_a_zone", code == 1 and "zone" in err, f"{code} {out} {err}")
    code, out, err = first("device", "claim", chain, "--zone", "north", "--name", "press-1")
    case("owner.the_owners_server_claims_it", code == 0 and json.loads(out)["phase"] == "ours" and events(first.s, IMPORTED) == 1,
         f"{code} {out} {err}")
    code, _, err = enroll(d, first.s)
    status = d.status()
    case("owner.the_device_finds_its_owners_server_by_itself", code == 0 and status["device"] == device, f"{code} {err}")
    case("owner.it_says_that_it_verified", status["ownership"] == "device" and status["epoch"] == 1 and status["counted"], str(status))
    shown = json.loads(first.operate("device", "show", device))
    case("owner.it_was_claimed_without_anybody_approving", shown["zone"] == "north" and shown["name"] == "press-1", str(shown))


def check_wrong_server(p, d, device, first, second):
    """Another server, which has a chain of its own for the device: signed by a maker, but not the device's."""
    state = d.state
    d.state = os.path.join(d.dir, "fresh")
    other = os.path.join(p.top, "other-maker")
    need(CLI, "factory", "anchor", p.at("stranger.pub"), "--name", "Maker Ltd", "--out", other)
    need(CLI, "factory", "assign", device, "--to", second.card, "--maker", other, "--key", p.at("stranger"), "--out", p.at("wrong.chain"))
    code, out, err = second("device", "claim", p.at("wrong.chain"), "--zone", "north")
    case("owner.a_server_can_be_lied_to", code == 0, f"{code} {out} {err}")
    code, _, err = enroll(d, second.s, "--maker", p.at("anchor"), "--wait", "0")
    case("owner.the_device_refuses_a_foreign_makers_chain", code == 1 and "ownership-maker" in err, f"{code} {err}")
    code, _, err = run(AGENT, "status", "--state", d.state)
    case("owner.it_remembers_whom_it_refused", code == 1 and "ownership-maker" in err, f"{code} {err}")
    code, _, err = enroll(d, second.s, "--anchor", os.path.join(second.s.dir, "certs/root.der"), "--wait", "0")
    case("owner.an_anchor_does_not_replace_the_owner", code == 1 and "ownership-maker" in err, f"{code} {err}")
    db = sqlite3.connect(f"file:{second.s.dir}/store/bedplate.db?mode=ro", uri=True)
    seen = db.execute("select count(*) from device").fetchone()[0]
    db.close()
    case("owner.a_refused_server_heard_nothing_of_the_device", seen == 0, str(seen))
    code, _, err = enroll(d, first.s, "--maker", other, "--wait", "0")
    case("owner.a_device_has_one_maker_for_good", code == 1 and "another maker" in err, f"{code} {err}")
    d.state = state


def check_transfer(p, d, device, first, second):
    chain = p.at("second.chain")
    code, out, err = first("device", "transfer", device, "--to", second.card, "--key", p.at("stranger"), "--out", chain)
    case("transfer.needs_the_owners_key", code == 1 and "ownership-signer" in err and not os.path.exists(chain), f"{code} {out} {err}")
    code, out, err = first("device", "transfer", device, "--to", second.card, "--key", first.key, "--out", chain)
    case("transfer.is_signed_where_the_key_is", code == 0 and json.loads(out)["phase"] == "handed-over", f"{code} {out} {err}")
    fork = p.at("fork.chain")
    need(CLI, "ownership", "transfer", p.at("first.chain"), "--to", p.at("stranger.card"), "--key", first.key, "--out", fork)
    code, out, err = first("device", "claim", fork)
    case("transfer.a_second_one_of_the_epoch_is_a_fork", code == 1 and "ownership-fork" in err and events(first.s, FORK) == 1,
         f"{code} {out} {err}")
    code, out, err = first("device", "claim", p.at("first.chain"))
    case("transfer.an_older_chain_is_refused", code == 1 and "ownership-older" in err, f"{code} {out} {err}")
    before = set(os.listdir(d.state))
    d.start()
    code = d.process.wait(60)
    said = d.said()
    d.errors.close()
    d.process = None
    case("transfer.the_device_erases_its_keys", code == 0 and "handed over" in said, f"{code} {said}")
    after = set(os.listdir(d.state))
    case("transfer.no_key_of_the_owner_is_left", "slot-a.cbor" in before and not after & {"slot-a.cbor", "slot-b.cbor", "lockout.cbor", "head"},
         f"{before} {after}")
    shown = json.loads(first.operate("device", "show", device))
    case("transfer.the_first_owner_sees_it_gone", shown["state"] == "retired" and "handed over" in shown["state_reason"] and
         events(first.s, LEFT) == 1, str(shown))
    owned = json.loads(first.operate("device", "ownership", device))
    case("transfer.the_proof_is_kept", owned["phase"] == "gone" and owned["left"] and base64.b64decode(owned["chain"]), str(owned))
    code, _, err = enroll(d, first.s, "--wait", "0")
    case("transfer.the_device_trusts_the_first_owner_no_more", code == 1 and "ownership-owner" in err, f"{code} {err}")


def check_second_owner(p, d, device, first, second):
    code, _, err = enroll(d, second.s, "--wait", "0")
    case("second.a_chain_of_another_maker_is_refused", code == 1 and "ownership-maker" in err, f"{code} {err}")
    code, out, err = second("device", "claim", p.at("second.chain"), "--zone", "south")
    case("second.nor_does_its_server_take_two_makers", code == 1 and "ownership-maker" in err, f"{code} {out} {err}")


def check_extended(p, d, device, third):
    code, out, err = third("device", "claim", p.at("second.chain"), "--zone", "south")
    case("second.the_extended_chain_claims_it", code == 0 and json.loads(out)["epoch"] == 2, f"{code} {out} {err}")
    code, _, err = enroll(d, third.s)
    status = d.status()
    case("second.the_device_enrols_at_its_new_owners_server", code == 0 and status["device"] == device and status["epoch"] == 2,
         f"{code} {err} {status}")
    code, out, err = d.call("attest", "--json")
    case("second.it_attests_there", code == 0 and json.loads(out)["tier"] == "affirming", f"{code} {out} {err}")


def check_old_folder(d, old):
    """The folder as it was under the first owner is put back: the chip has counted since."""
    kept = d.state
    d.state = old
    code, _, err = run(AGENT, "enroll", "--server", "https://localhost:1", "--root", f"tpm2:{d.tcti}", "--state", old, "--boot-log",
                       f"{d.dir}/boot.log", "--ima-log", f"{d.dir}/ima.log", "--wait", "0")
    case("owner.an_older_folder_is_noticed", code == 1 and "older than the chip" in err, f"{code} {err}")
    d.state = kept


def check_certificate(plant, device):
    path, root = os.path.join(plant.top, "decommissioned"), os.path.join(plant.s.dir, "certs/root.der")
    code, out, err = plant("device", "decommission", device, "--out", path)
    case("retired.a_certificate_says_so", code == 0, f"{code} {out} {err}")
    code, out, err = run(CLI, "verify", path, "--anchor", root, "--json")
    said = json.loads(out) if code == 0 else {}
    case("retired.it_is_checked_with_no_server", code == 0 and said["device"] == device and said["reason"] == "worn out" and said["keys"] >= 4,
         f"{code} {out} {err}")
    with open(path, "rb") as f:
        changed = f.read().replace(b"worn out", b"worn OUT")
    with open(path + ".changed", "wb") as f:
        f.write(changed)
    code, _, err = run(CLI, "verify", path + ".changed", "--anchor", root)
    case("retired.a_changed_certificate_is_refused", code == 1 and "signature" in err, f"{code} {err}")
    code, _, err = run(CLI, "verify", path, "--anchor", "sha256:" + "0" * 64)
    case("retired.nor_is_another_root_taken", code == 1, f"{code} {err}")


def check_retired(d, device, plant):
    plant.operate("device", "retire", device, "--reason", "worn out")
    check_certificate(plant, device)
    d.state = os.path.join(d.dir, "returned")
    anchor = os.path.join(plant.s.dir, "certs/root.der")
    code, _, err = enroll(d, plant.s, "--anchor", anchor, "--wait", "0")
    case("retired.it_is_refused", code == 1 and "revoked" in err, f"{code} {err}")
    code, out, err = plant("device", "permit", device, "--reason", "repaired")
    case("retired.one_return_is_permitted", code == 0 and events(plant.s, PERMITTED) == 1, f"{code} {out} {err}")
    code, _, err = enroll(d, plant.s, "--anchor", anchor)
    case("retired.it_returns_by_the_permit", code == 0 and events(plant.s, RETURNED) == 1, f"{code} {err}")
    plant.operate("device", "retire", device, "--reason", "worn out for good")
    d.state = os.path.join(d.dir, "returned-again")
    code, _, err = enroll(d, plant.s, "--anchor", anchor, "--wait", "0")
    case("retired.a_permit_serves_once", code == 1 and "revoked" in err, f"{code} {err}")


def check_life(top):
    os.mkdir(os.path.join(top, "maker-papers"))
    p, devices = Paper(os.path.join(top, "maker-papers")), []
    try:
        with Server(options=["--attest-interval", "1000"]) as a, Server(options=["--attest-interval", "1000"]) as b, Server() as c:
            d = Device(top, "d")
            devices.append(d)
            device, plants = device_id(d), []
            for name, s in (("first", a), ("wrong", b), ("second", c)):
                s.init("--org", name)
                plants.append(Plant(top, name, s, d, ENV["BP_SWTPM_CA"]))
            first, wrong, second = plants
            check_first_owner(p, d, device, first, wrong)
            check_wrong_server(p, d, device, first, wrong)
            old = os.path.join(d.dir, "old")
            shutil.copytree(d.state, old)
            check_transfer(p, d, device, first, second)
            check_second_owner(p, d, device, first, wrong)
            check_extended(p, d, device, second)
            check_old_folder(d, old)
            check_retired(d, device, second)
    finally:
        for d in devices:
            if d.process:
                d.stop(signal.SIGKILL)
            run(f"{LIB}/swtpm.sh", "stop", d.dir)


def main():
    top = tempfile.mkdtemp(prefix="bpo", dir="/tmp")
    try:
        os.mkdir(os.path.join(top, "paper"))
        check_paper(os.path.join(top, "paper"))
        check_life(top)
    finally:
        shutil.rmtree(top, ignore_errors=True)
    finish()


main()
