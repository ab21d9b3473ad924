#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""kill -9 at named places and at random: after the restart nothing that was acknowledged is missing, and the log is whole.

Eight gateways ask without pause, four of them new in each round, while the keeper ends at a place in the middle of its work
(bedplated-crash), or any process is killed at a moment that chance picks. BP_FULL=yes: every place at three counts and 50
random kills."""
import os
import random
import shutil
import sqlite3
from types import SimpleNamespace

from kills import PATIENCE, acked, is_replaced, kill
from server import CERTIFICATE_ISSUED, VERDICT, Fleet, Server, case, finish, is_whole, missing

PLACES = ["store.before-begin", "store.after-begin", "store.before-commit", "store.after-commit",
          "store.before-checkpoint", "store.after-checkpoint",
          "log.event-without-tree", "log.after-append", "log.between-tiles", "log.tiles-not-noted",
          "registry.device-without-keys", "registry.certificate-without-state",
          "keeper.before-reply", "keeper.in-act", "keeper.before-commit", "keeper.committed-not-told",
          "keeper.told-not-answered", "keeper.head-not-kept", "keeper.issued-not-kept",
          "keeper.verdict-without-evidence", "keeper.event-without-verdict", "keeper.trust-without-events"]
FULL = os.environ.get("BP_FULL") == "yes"
SEED = int(os.environ.get("BP_SEED", "20261127"))
chance = random.Random(SEED)
NEW, KNOWN = 4, 4             # gateways of a round
COUNTS = (1, 2, NEW)          # a place that only newcomers reach is not reached more often


def round_(name, s, fleet, first, end):
    """One life of the server with its gateways at work, and one death in the middle of it."""
    since = len(fleet.told)
    if not s.start():
        case(f"kill.{name}", False, s.stderr()[-400:])
        s.stop()
        return
    fleet.use(s)
    fleet.do(f"work {first} {first + KNOWN + NEW}")
    died = end(s, fleet, since)
    at_death = len(fleet.told)
    fleet.listen(PATIENCE, lambda: acked(fleet, at_death) >= 16)
    resumed = acked(fleet, at_death) >= 16
    fleet.do("rest")
    ended = s.stop() == 0
    gone = missing(s, fleet.told[since:])
    whole, report = is_whole(s)
    case(f"kill.{name}", died and resumed and ended and not gone and whole,
         f"seed {SEED}: died {died}, resumed {resumed}, ended {ended}, missing {gone[:3]}, {report} {s.stderr()[-300:]}")


def at_place(s, fleet, _):
    marker = os.path.join(s.dir, "store/crashed")
    fleet.listen(PATIENCE, lambda: os.path.exists(marker))
    hit = os.path.exists(marker)
    if hit:
        os.remove(marker)
    return hit


def at_random(s, fleet, since):
    acks = 8 + chance.randrange(60)
    fleet.listen(PATIENCE, lambda: acked(fleet, since) >= acks)
    name = chance.choice(sorted(s.children()))
    return is_replaced(s, name, kill(s, name))


plan = [(f"at.{place.replace('-', '_')}{f'.{n}' if FULL else ''}", at_place, f"{place}:{n}")
        for place in PLACES for n in (COUNTS if FULL else (chance.randrange(1, NEW),))]
plan += [(f"at_random.{i}", at_random, "") for i in range(50 if FULL else 5)]
with Server("bedplated-crash") as server:
    server.init()
    with Fleet(server, KNOWN + NEW * len(plan)) as gateways:
        for i, (label, how, where) in enumerate(plan):
            server.env = {"BP_CRASH": where}
            round_(label, server, gateways, NEW * i, how)
        gone_since = missing(server, gateways.told)
        case("kill.nothing_of_an_earlier_round_is_missing", not gone_since and len(gateways.told) > 16 * len(plan),
             f"{len(gateways.told)} told, missing {gone_since[:3]}")
        lost = ["acked 0 certificate 00", f"acked 0 verdict {'00' * 33} 1"]
        case("kill.what_is_lost_would_be_seen", missing(server, lost) == lost)
        without = SimpleNamespace(dir=os.path.join(server.top, "without"))
        shutil.copytree(os.path.join(server.dir, "store"), os.path.join(without.dir, "store"))
        with sqlite3.connect(os.path.join(without.dir, "store/bedplate.db")) as db:
            db.execute("delete from event where type in (?, ?)", (VERDICT, CERTIFICATE_ISSUED))
        db.close()
        acks = [line for line in gateways.told if line.startswith("acked")]
        case("kill.a_lost_event_would_be_seen", acks and missing(without, acks) == acks)
finish()
