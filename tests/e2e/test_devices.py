#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Devices against the real processes: first contact to verdict, service through killed processes, revoked is off, and a
front that lies: it gets no verdict and no certificate."""
import http.client
import json
import os
import signal
import sqlite3
import time

from server import Fleet, Operator, Server, case, finish, until


def counts(s):
    """Verdicts that are affirming, and certificates, as the store says."""
    db = sqlite3.connect(f"file:{s.dir}/store/bedplate.db?mode=ro", uri=True)
    try:
        tiers = [c[1] for c in db.execute("pragma table_info(verdict)")]
        column = "tier" if "tier" in tiers else tiers[5]
        return (db.execute(f"select count(*) from verdict where {column} = 2").fetchone()[0],
                db.execute("select count(*) from certificate").fetchone()[0])
    finally:
        db.close()


def check_service(s, fleet):
    case("devices.join", fleet.do("join 0").startswith("join 0 ok 2 active"), fleet.do("attest 0"))
    case("devices.attest", fleet.do("attest 0").startswith("attest 0 ok 2 active"))
    for name in ("keeper", "appraiser-0", "signer-log", "signer-tls", "front-device-0", "signer-ca"):
        old = s.children()[name]
        os.kill(old, signal.SIGKILL)
        works = until(20, lambda: fleet.do("attest 0").startswith("attest 0 ok 2 active"))
        case(f"devices.kill.{name}.attests_again", works, s.stderr()[-400:])


def check_stream(s, operator, fleet):
    """The page's stream: open to a session, tells of what happens, and ends when the session does."""
    sock = s.connect("operate")
    client = http.client.HTTPConnection("localhost", s.ports["operate"], timeout=20)
    client.sock = sock
    client.request("GET", "/api/v1/stream", headers={"Cookie": operator.cookie})
    answer = client.getresponse()
    case("devices.stream.begins", answer.status == 200 and answer.headers["Content-Type"] == "text/event-stream")
    fleet.do("join 1")
    text = b""
    while b"event: change" not in text or not text.endswith(b"\n\n"):
        piece = answer.read1(65536)
        if not piece:
            break
        text += piece
    data = [json.loads(line[6:]) for line in text.decode().split("\n") if line.startswith("data: ")]
    case("devices.stream.tells", bool(data) and "number" in data[0], text.decode()[:300])
    client.close()


def check_revoked(s, operator, fleet):
    fleet.do("join 2")
    device, spki, _ = fleet.do("id 2").split()[2:5]
    case("devices.revoke.was_in_service", fleet.do("poll 2") == "poll 2 ok")
    begun = time.monotonic()
    status, _, body = operator.ask("POST", f"/devices/{device}/revoke", {"reason": "a test"})
    if not case("devices.revoke.is_taken", status in (200, 204), f"{status} {body}"):
        return
    cut = until(5, lambda: not fleet.do("poll 2").endswith("ok"))
    case("devices.revoke.session_is_cut", cut, f"after {time.monotonic() - begun:.2f} s")
    case("devices.revoke.stays_off", not fleet.do("attest 2").startswith("attest 2 ok"))
    os.kill(s.children()["front-device-0"], signal.SIGKILL)
    until(15, lambda: fleet.do("poll 0") == "poll 0 ok")
    case("devices.revoke.a_new_front_knows_it", not fleet.do("poll 2").endswith("ok"))
    case("devices.revoke.others_go_on", fleet.do("attest 0").startswith("attest 0 ok 2"), spki)


def check_hostile(s, fleet):
    """Gateway 1 is the attacker's; the front is his too and says what he likes about gateway 0."""
    fleet.do("join 0")
    fleet.do("join 1")
    victim = fleet.do("id 0").split()[3]
    own = fleet.do("exporter 1").split()[2]

    def refused(name, forge, act):
        fleet.do(f"forge {forge}")
        line = fleet.do(act)
        fleet.do("forge -")
        case(f"hostile.{name}", " failed " in line, line)

    fleet.do("forge target=/no/such/place")
    line = fleet.do("attest 1")
    case("hostile.front_really_lies", " 404 " in line, line)
    fleet.do(f"forge exporter={own}")
    line = fleet.do("attest 1")
    case("hostile.front_that_says_the_truth_is_believed", line.startswith("attest 1 ok 2"), line)
    before = counts(s)
    refused("evidence_of_one_as_anothers", f"peer={victim}", "attest 1")
    refused("evidence_over_another_channel", f"exporter={'5a' * 32}", "attest 1")
    refused("certificate_by_another_identity", f"peer={victim}", "grab 1")
    refused("certificate_without_evidence", f"exporter={own}", "grab 1")
    refused("device_as_brownfield", "issuer=brownfield", "grab 1")
    refused("device_as_operator", f"listener=operate issuer=operator peer={victim} target=/api/v1/codes", "attest 1")
    refused("enrolled_as_new", "listener=enrol target=/.well-known/est/simpleenroll", "grab 1")
    for op in ("appraise", "issue", "issue-operator", "bind", "append", "sign-results"):
        refused(f"asks_the_keeper_to_{op.replace('-', '_')}", f"op={op}", "attest 1")
    after = counts(s)
    case("hostile.no_verdict_was_made", after[0] == before[0], f"{before} {after}")
    case("hostile.no_certificate_was_made", after[1] == before[1], f"{before} {after}")
    fleet.do("pose 1 0")
    refused("poses_as_another", f"peer={victim}", "attest 1")
    case("hostile.posing_made_nothing", counts(s) == after, f"{after} {counts(s)}")
    case("hostile.the_victim_goes_on", fleet.do("attest 0").startswith("attest 0 ok 2 active"))


with Server() as server:
    server.init()
    with Fleet(server, 3) as gateways:
        if case("devices.server_starts", server.start(), server.stderr()):
            gateways.use(server)
            person = Operator(server)
            case("devices.operator_signs_in", person.signed_in)
            check_service(server, gateways)
            check_stream(server, person, gateways)
            check_revoked(server, person, gateways)
            server.stop()

with Server("bedplated-probe") as server:
    server.init()
    with Fleet(server, 2) as gateways:
        if case("hostile.server_starts", server.start(), server.stderr()):
            gateways.use(server)
            check_hostile(server, gateways)
            server.stop()
finish()
