#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""kill -9 of signer, keeper or front while certificates are issued and renewed and a device is being revoked. What must hold
after each: what was told of is stored, the record holds every certificate that anybody has, no serial is there twice, whoever
was revoked stays out, and every head that was ever published is one of the log.

    test_crash.py [KILLS] [--seed S] [--seconds N] [--state FILE]

Kill number K is drawn from seed and K alone. With a file of state a run goes on behind the last kill that is in it, ends after
N seconds, and prints "cases N failures N" (scripts/campaigns/crash); without one it is the sample of ./check."""
import argparse
import base64
import hashlib
import http.client
import os
import random
import sqlite3
import threading
import time

from kills import PATIENCE, acked, is_replaced, kill
from server import Fleet, Operator, Server, case, finish, is_whole, missing, until
import server as harness

KINDS = ("signer-ca", "signer-log", "signer-tls", "keeper", "front-device-0", "front-operate-0")
RENEWING, NEW = 3, 2  # gateways that renew through a whole life of the server; newcomers of each kill, beside the one revoked
LIFE = 20             # kills that one server takes
REVOKED, OFF = 2, 6   # state of a certificate, state of a device (src/fleet/store/store.h)
CRL = "/crl/issuing-0.crl"
RECORD_HEAD, RECORD_ENTRY, SERIAL = 24, 112, 16  # src/fleet/signer/record.h


def store_of(s):
    return sqlite3.connect(f"file:{s.dir}/store/bedplate.db?mode=ro", uri=True)


def recorded(s):
    """Serials of the record of what was about to be signed, in its order."""
    with open(os.path.join(s.dir, "state/ca/issued"), "rb") as f:
        rest = f.read()[RECORD_HEAD:]
    return [rest[at:at + SERIAL] for at in range(0, len(rest) - RECORD_ENTRY + 1, RECORD_ENTRY)]


def told_serials(fleet):
    return {bytes.fromhex(line.split()[3]) for line in fleet.told if line.startswith("acked") and line.split()[2] == "certificate"}


def wrong_records(s, fleet):
    """Why the record of what was signed, the store and what gateways have do not fit; empty: they do."""
    db = store_of(s)
    stored = {bytes(row[0]) for row in db.execute("select serial from certificate where device > 0")}
    db.close()
    all_ = recorded(s)  # read last: what is stored meanwhile was recorded before
    known, had = set(all_), told_serials(fleet)
    if len(known) != len(all_):
        return f"{len(all_) - len(known)} serials are there twice"
    if not had or not had <= known or not stored <= known:
        return f"{len(had)} certificates are in use, {len(had - known)} of them and {len(stored - known)} of the store not recorded"
    return ""


def not_off(s, victims):
    """Revoked devices that the store does not know as such, with all their certificates."""
    db = store_of(s)
    found = []
    for device, _ in victims:
        row = db.execute("select n, state from device where id = ?", (bytes.fromhex(device),)).fetchone()
        good = db.execute("select count(*) from certificate where device = ? and state <> ?", (row[0], REVOKED)).fetchone()[0]
        any_ = db.execute("select count(*) from certificate where device = ?", (row[0],)).fetchone()[0]
        if row[1] != OFF or good != 0 or any_ == 0:
            found.append(device)
    db.close()
    return found


def root_of(peaks):
    root = None
    for _, peak in reversed(peaks):
        root = peak if root is None else hashlib.sha256(b"\x01" + peak + root).digest()
    return root or hashlib.sha256(b"").digest()


def foreign_heads(s, heads):
    """Published heads (size: root) that are no head of the events that are stored; also an event that is not its digest."""
    peaks, left, n = [], dict(heads), 0
    db = store_of(s)
    for digest, body in db.execute("select digest, body from event order by number"):
        if body is not None and hashlib.sha256(body).digest() != bytes(digest):
            left[-1] = f"event {n}"
        peaks.append((0, hashlib.sha256(b"\x00" + bytes(digest)).digest()))
        while len(peaks) > 1 and peaks[-1][0] == peaks[-2][0]:
            (level, b), (_, a) = peaks.pop(), peaks.pop()
            peaks.append((level + 1, hashlib.sha256(b"\x01" + a + b).digest()))
        n += 1
        if n in left and left[n] == root_of(peaks):
            del left[n]
    db.close()
    return left


class Life:
    """One server, its gateways and an operator, over some kills."""

    def __init__(self, s, fleet):
        self.s, self.fleet, self.victims, self.heads, self.next = s, fleet, [], {}, RENEWING
        fleet.use(s)
        self.operator = Operator(s)
        fleet.do(f"renew 0 {RENEWING}")

    def note_head(self):
        """The head that is published; one size has one root, and none is smaller than one before."""
        with open(os.path.join(self.s.dir, "log/checkpoint"), encoding="utf-8") as f:
            _, size, root = f.read().split("\n")[:3]
        size, root = int(size), base64.b64decode(root)
        good = self.heads.get(size, root) == root and size >= max(self.heads, default=0)
        self.heads[size] = root
        return good

    def is_revoked(self, device):
        """Asks until somebody says that it is so: the request, or a reader that saw it stored."""
        try:
            status, _, _ = self.operator.ask("POST", f"/devices/{device}/revoke", {"reason": "a test"})
            if status in (200, 204):
                return True
            _, _, body = self.operator.ask("GET", f"/devices/{device}")
            return b'"state":"revoked"' in body.replace(b" ", b"")
        except (OSError, http.client.HTTPException):
            return False

    def kill(self, chance):
        """Newcomers are issued certificates, others renew, one is being revoked: in the middle of it a process dies."""
        first, self.next = self.next, self.next + NEW + 1
        victim = first + NEW
        joined = until(PATIENCE, lambda: " ok " in self.fleet.do(f"join {victim}"))
        device, _, serial = self.fleet.do(f"id {victim}").split()[2:5]
        was_in = until(PATIENCE, lambda: self.fleet.do(f"poll {victim}") == f"poll {victim} ok")
        self.fleet.do(f"work {first} {first + NEW}")
        since, acks = len(self.fleet.told), 1 + chance.randrange(12)
        self.fleet.listen(PATIENCE, lambda: acked(self.fleet, since) >= acks)
        name, killed = chance.choice(KINDS), []
        assassin = threading.Timer(chance.random() * 0.08, lambda: killed.append(kill(self.s, name)))
        assassin.start()
        revoked = until(PATIENCE, lambda: self.is_revoked(device))
        assassin.join()
        replaced = bool(killed) and is_replaced(self.s, name, killed[0])
        at_death = len(self.fleet.told)
        self.fleet.listen(PATIENCE, lambda: acked(self.fleet, at_death) >= 8)
        resumed = acked(self.fleet, at_death) >= 8
        self.fleet.do(f"rest {first} {first + NEW}")
        if revoked:
            self.victims.append((device, bytes.fromhex(serial)))
        stays_out = not self.fleet.do(f"poll {victim}").endswith("ok")
        why = wrong_records(self.s, self.fleet) or not_off(self.s, self.victims) or missing(self.s, self.fleet.told[since:])
        head = self.note_head()
        return (joined and was_in and revoked and replaced and resumed and stays_out and head and not why,
                f"{name}: joined {joined}, was in {was_in}, revoked {revoked}, replaced {replaced}, resumed {resumed}, "
                f"stays out {stays_out}, head {head}, {why or 'records fit'} {self.s.stderr()[-300:]}")

    def is_listed(self):
        _, _, der = self.s.request("status", "GET", CRL)
        return all(serial in der for _, serial in self.victims)

    def end(self, name):
        """The server ends in order; then everything is looked at once more, and whether that would show a lie."""
        self.fleet.do(f"rest 0 {self.next}")
        listed = bool(until(PATIENCE, self.is_listed))
        ended = self.s.stop() == 0
        self.note_head()
        case(f"crash.{name}.every_revoked_certificate_is_listed", listed and self.victims, f"{len(self.victims)} victims")
        gone = missing(self.s, self.fleet.told)
        case(f"crash.{name}.nothing_acknowledged_is_missing", ended and not gone, f"ended {ended}, missing {gone[:3]}")
        why = wrong_records(self.s, self.fleet)
        case(f"crash.{name}.recorded_before_issued_and_once", not why, why)
        bad = not_off(self.s, self.victims)
        case(f"crash.{name}.revoked_stays_revoked", not bad, str(bad[:3]))
        foreign = foreign_heads(self.s, self.heads)
        case(f"crash.{name}.every_head_is_one_of_the_log", len(self.heads) > 1 and not foreign, f"{len(self.heads)} heads, {foreign}")
        whole, report = is_whole(self.s)
        case(f"crash.{name}.check_says_whole", whole, report)

    def would_be_seen(self):
        """Each check once against a copy of what it looks at in which it is broken."""
        size = max(self.heads)
        case("crash.a_foreign_head_would_be_seen", foreign_heads(self.s, {size: bytes(32)}) == {size: bytes(32)})
        path = os.path.join(self.s.dir, "state/ca/issued")
        with open(path, "rb") as f:
            whole = f.read()
        for word, broken in (("twice", whole + whole[-RECORD_ENTRY:]), ("not recorded", whole[:RECORD_HEAD + RECORD_ENTRY])):
            with open(path, "wb") as f:
                f.write(broken)
            case(f"crash.record_{word.replace(' ', '_')}_would_be_seen", word in wrong_records(self.s, self.fleet))
        with open(path, "wb") as f:
            f.write(whole)
        with sqlite3.connect(os.path.join(self.s.dir, "store/bedplate.db")) as db:
            db.execute("update certificate set state = 1 where serial = ?", (self.victims[0][1],))
        db.close()
        case("crash.a_certificate_that_is_good_again_would_be_seen", not_off(self.s, self.victims) == [self.victims[0][0]])


def live(first, last, seed, until_time, is_first):
    """Kills first to last - 1 on one server. [(number, held)], those that there was time for."""
    held = []
    with Server() as s:
        s.init()
        with Fleet(s, RENEWING + (NEW + 1) * (last - first)) as fleet:
            if not case(f"crash.life_at_{first}.starts", s.start(), s.stderr()[-400:]):
                return [(first, False)]
            life = Life(s, fleet)
            for number in range(first, last):
                if number > first and time.monotonic() > until_time:
                    break
                good, why = life.kill(random.Random(f"{seed}/{number}"))
                held.append((number, bool(case(f"crash.kill.{number}", good, f"seed {seed}: {why}"))))
            before = harness.failed
            life.end(f"life_at_{first}")
            if is_first:
                life.would_be_seen()
            if harness.failed != before:
                held[-1] = (held[-1][0], False)
    return held


def read_state(path):
    """The number behind the last kill in the file; 0 when it is not there."""
    if not path or not os.path.exists(path):
        return 0
    with open(path, encoding="utf-8") as f:
        return sum(1 for line in f if line.strip())


def main():
    words = argparse.ArgumentParser(description="kills of a server's processes; see the head of this file")
    words.add_argument("kills", nargs="?", type=int, default=10)
    words.add_argument("--seed", default=os.environ.get("BP_SEED", "20261128"))
    words.add_argument("--seconds", type=int, default=0)
    words.add_argument("--state")
    a = words.parse_args()
    until_time = time.monotonic() + a.seconds if a.seconds else float("inf")
    first = begun = read_state(a.state)
    failures = 0
    while first < a.kills and (first == begun or time.monotonic() < until_time):
        held = live(first, min(first + LIFE, a.kills), a.seed, until_time, first == begun)
        if a.state:
            with open(a.state, "a", encoding="utf-8") as f:
                f.writelines(f"{number} {'held' if good else 'broken'}\n" for number, good in held)
        failures += sum(not good for _, good in held)
        first += len(held)
    if a.state:
        print(f"# kills {begun} to {first - 1} of seed {a.seed}, {a.kills - first} left")
        print(f"cases {first - begun} failures {failures}")
    finish()


main()
