#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""kill -9 at named places and at random: after the restart nothing that was acknowledged is missing, and the log is whole.

Eight gateways ask without pause, four of them new, while the keeper ends at a place in the middle of its work
(bedplated-crash), or any process is killed at a moment that chance picks. BP_FULL=yes: every place at three counts and 50
random kills."""
import os
import random
import signal

from server import Fleet, Server, case, finish, is_whole, missing, until

PLACES = ["store.before-begin", "store.after-begin", "store.before-commit", "store.after-commit",
          "log.event-without-tree", "log.after-append", "log.between-tiles", "log.tiles-not-noted",
          "registry.device-without-keys", "registry.certificate-without-state",
          "keeper.before-reply", "keeper.in-act", "keeper.before-commit", "keeper.committed-not-told",
          "keeper.told-not-answered", "keeper.head-not-kept", "keeper.issued-not-kept",
          "keeper.verdict-without-evidence", "keeper.event-without-verdict", "keeper.trust-without-events"]
FULL = os.environ.get("BP_FULL") == "yes"
SEED = int(os.environ.get("BP_SEED", "20261127"))
chance = random.Random(SEED)


def acked(fleet, since):
    return sum(line.startswith("acked") for line in fleet.told[since:])


def round_(name, s, fleet, first, kill):
    """One life of the server with eight gateways at work, and one death in the middle of it."""
    since = len(fleet.told)
    if not s.start():
        case(f"kill.{name}", False, s.stderr()[-400:])
        s.stop()
        return
    fleet.use(s)
    fleet.do(f"work {first} {first + 8}")
    died = kill(s, fleet, since)
    at_death = len(fleet.told)
    fleet.listen(20, lambda: acked(fleet, at_death) >= 16)
    resumed = acked(fleet, at_death) >= 16
    fleet.do("rest")
    ended = s.stop() == 0
    gone = missing(s, fleet.told[since:])
    whole, report = is_whole(s)
    case(f"kill.{name}", died and resumed and ended and not gone and whole,
         f"seed {SEED}: died {died}, resumed {resumed}, ended {ended}, missing {gone[:3]}, {report} {s.stderr()[-300:]}")


def at_place(s, fleet, _):
    marker = os.path.join(s.dir, "store/crashed")
    fleet.listen(20, lambda: os.path.exists(marker))
    hit = os.path.exists(marker)
    if hit:
        os.remove(marker)
    return hit


def at_random(s, fleet, since):
    fleet.listen(10, lambda: acked(fleet, since) >= 8 + chance.randrange(60))
    name, pid = chance.choice(sorted(s.children().items()))
    os.kill(pid, signal.SIGKILL)
    return bool(until(15, lambda: s.children().get(name) not in (None, pid)))


plan = [(f"at.{place.replace('-', '_')}{f'.{n}' if FULL else ''}", at_place, f"{place}:{n}")
        for place in PLACES for n in ((1, 3, 8) if FULL else (chance.randrange(1, 4),))]
plan += [(f"at_random.{i}", at_random, "") for i in range(50 if FULL else 5)]
GATEWAYS = 60
with Server("bedplated-crash") as server:
    server.init()
    with Fleet(server, GATEWAYS) as gateways:
        at = 0
        for label, how, where in plan:
            server.env = {"BP_CRASH": where}
            round_(label, server, gateways, at, how)
            at = (at + 4) % (GATEWAYS - 8)
        lost = ["acked 0 certificate 00", f"acked 0 verdict {'00' * 33} 1"]
        case("kill.what_is_lost_would_be_seen", missing(server, lost) == lost)
finish()
