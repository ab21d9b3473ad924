#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The command fleet-sim against a real server: gateways join, attest and are cut off; everywhere they show as software;
a server that does not know their chips lets none in."""
import json
import os
import subprocess

from server import BIN, Server, case, finish

COUNT, REVOKED = 6, 2


def bedplate(config, *words):
    done = subprocess.run([f"{BIN}/bedplate", *words, "--config", config, "--json"], capture_output=True, text=True, check=False,
                          timeout=240)
    return done.returncode, [json.loads(line) for line in done.stdout.splitlines()], done.stderr


def login(s, config):
    return bedplate(config, "login", "--server", f"https://localhost:{s.ports['operate']}", "--anchor",
                    os.path.join(s.dir, "certs/root.der"), "--code", s.facts["code"])


with Server() as server:
    server.init()
    operator = os.path.join(server.top, "operator")
    code, _, err = bedplate(operator, "fleet-sim", "--devices", "1", "--server-dir", server.dir)
    case("fleetsim.anchor_is_put", code == 0 and os.path.exists(f"{server.dir}/anchors/software-fleet-sim.pem"), err)
    if case("fleetsim.server_starts", server.start(), server.stderr()) and case("fleetsim.operator_signs_in", login(server, operator)[0] == 0):
        code, lines, err = bedplate(operator, "fleet-sim", "--devices", str(COUNT), "--seconds", "2", "--window", "1", "--rate", "20",
                                    "--renew", "1", "--revoke", str(REVOKED))
        phases = [line["phase"] for line in lines]
        case("fleetsim.ends_well", code == 0, f"{code} {err}")
        case("fleetsim.all_join", phases[:1] == ["join"] and lines[0]["answers"] == COUNT, str(lines))
        attested = [line for line in lines if line["phase"] == "attest"]
        case("fleetsim.all_attest", sum(line["answers"] for line in attested) >= COUNT and not any(line["refused"] for line in attested), str(lines))
        case("fleetsim.the_rate_is_kept", 0 < sum(line["answers"] for line in attested) <= 45, str(attested))
        renewed = [line for line in lines if line["phase"] == "renew"]
        case("fleetsim.all_renew", sum(line["answers"] for line in renewed) >= COUNT and not any(line["refused"] for line in renewed), str(lines))
        case("fleetsim.revoked_ones_are_cut", sum(line["answers"] for line in lines if line["phase"] == "revoke") == REVOKED, str(lines))
        devices = bedplate(operator, "device", "ls")[1][0]["devices"]
        case("fleetsim.all_show_as_software", len(devices) == COUNT and all(d["root_class"] == "software" for d in devices), str(devices)[:300])
        states = sorted(d["state"] for d in devices)
        case("fleetsim.states_are_right", states == ["active"] * (COUNT - REVOKED) + ["revoked"] * REVOKED, str(states))
        code, lines, err = bedplate(operator, "fleet-sim", "--devices", "2", "--seconds", "1")
        case("fleetsim.a_second_fleet_joins", code == 0 and lines[0]["answers"] == 2, f"{code} {err}")
        code, lines, err = bedplate(operator, "fleet-sim", "--devices", "0")
        case("fleetsim.no_devices_is_a_usage_error", code == 2 and not lines, f"{code} {err}")
        server.stop()

with Server() as server:
    server.init()
    operator = os.path.join(server.top, "operator")
    if case("fleetsim.other_server_starts", server.start(), server.stderr()) and login(server, operator)[0] == 0:
        code, lines, err = bedplate(operator, "fleet-sim", "--devices", "2", "--seconds", "1")
        case("fleetsim.unknown_chips_do_not_join", code == 1 and lines[0]["answers"] == 0, f"{code} {lines} {err}")
        case("fleetsim.the_reason_is_told", "hello" in err and "status 4" in err, err)
        devices = bedplate(operator, "device", "ls")[1][0]["devices"]
        case("fleetsim.nothing_was_registered", devices == [], str(devices)[:300])
        server.stop()
finish()
