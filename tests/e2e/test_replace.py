#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A gateway is replaced by a spare as docs/guide/replace-a-gateway.md tells, word by word, against a real server and agents
with software TPMs; then what a crash in the middle of it leaves, and who is no spare.

The commands are the indented lines of the guide. The test types them as they stand: `bedplate` on the operator's computer,
`bedplate-agent` on the spare, where a wrapper puts the software TPM in the place of /dev/tpmrm0."""
import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import tempfile

from device import AGENT, CLI, ENV, LIB, Device, Operator, accept_release, run
from server import Server, case, finish, until

GUIDE = "docs/guide/replace-a-gateway.md"
TAG, SPARE = "PRESS-1", "spare-7"
LINES = 45  # of a page


def commands():
    """The indented lines, each with the heading that it stands under."""
    found, heading = [], ""
    with open(GUIDE, encoding="utf-8") as f:
        text = f.read()
    for line in text.splitlines():
        heading = line[3:] if line.startswith("## ") else heading
        if line.startswith("    "):
            found.append((heading, line.strip()))
    return text, found


class Desk:
    """The operator's computer: `bedplate` is on its path and its configuration in its home."""

    def __init__(self, top, operator):
        self.env = {**ENV, "HOME": os.path.join(top, "home"), "PATH": f"{os.path.dirname(os.path.abspath(CLI))}:{ENV['PATH']}"}
        self.env.pop("XDG_CONFIG_HOME", None)
        shutil.copytree(operator.config, os.path.join(top, "home/.config/bedplate"))

    def type(self, line):
        done = subprocess.run(["sh", "-c", line], capture_output=True, text=True, check=False, timeout=120, env=self.env)
        return done.returncode, done.stdout, done.stderr


class Spare:
    """The spare's console. Its agent is ours; where the guide says /dev/tpmrm0 the emulator is, and its logs are files."""

    def __init__(self, s, device, top):
        self.device, self.process = device, None
        folder = os.path.join(top, "spare-bin")
        os.mkdir(folder)
        path = os.path.join(folder, "bedplate-agent")
        with open(path, "w", encoding="utf-8") as f:
            f.write(f"""#!/bin/sh
command=$1; shift
for word in "$@"; do
    shift
    case $word in
        tpm2:device:/dev/tpmrm0) word={shlex.quote('tpm2:' + device.tcti)} ;;
        /var/lib/bedplate-agent) word={shlex.quote(device.state)} ;;
    esac
    set -- "$@" "$word"
done
[ "$command" != enroll ] || set -- "$@" --boot-log {device.dir}/boot.log --ima-log {device.dir}/ima.log --device-port {s.ports['device']}
exec {os.path.abspath(AGENT)} "$command" "$@"
""")
        os.chmod(path, 0o755)
        self.env = {**ENV, "PATH": f"{folder}:{ENV['PATH']}"}

    def type(self, line):
        done = subprocess.run(["sh", "-c", line], capture_output=True, text=True, check=False, timeout=120, env=self.env)
        return done.returncode, done.stdout, done.stderr

    def leave_running(self, line):
        self.process = subprocess.Popen(["sh", "-c", f"exec {line}"], env=self.env, stderr=subprocess.DEVNULL)

    def stop(self):
        if self.process:
            self.process.terminate()
            self.process.wait(60)


def shown(text, name):
    """A value of what `bedplate … show` printed."""
    found = re.search(rf"^{name}\s+(.*)$", text, re.M)
    return found.group(1).strip() if found else ""


def follow(s, operate, old, spare, top):
    """Step by step. Each command must be of the kind that is expected there: a guide that changes changes this test."""
    text, steps = commands()
    case("replace.the_guide_fits_on_a_page", 20 < len(text.splitlines()) <= LINES, str(len(text.splitlines())))
    desk, console = Desk(top, operate), Spare(s, spare, top)
    typed = [line for _, line in steps]
    want = ["bedplate position show", "bedplate device invite", "--root", "bedplate-agent run", "bedplate device show",
            "bedplate device replace", "bedplate position show", "bedplate event ls"]
    if not case("replace.the_guide_has_the_steps_that_are_tested",
                len(typed) == len(want) and all(t.startswith(w) for t, w in zip(typed, want)), str(typed)):
        return console
    code, out, err = desk.type(typed[0])
    case("replace.step_1_names_the_old_gateway", code == 0 and shown(out, "device") == old.status()["device"], f"{out} {err}")
    code, out, err = desk.type(typed[1])
    line = out.splitlines()[0] if out else ""
    case("replace.step_2_prints_a_line", code == 0 and line.startswith("bedplate-agent enroll"), f"{out} {err}")
    code, out, err = console.type(f"{line} {typed[2]}")
    case("replace.step_2_enrols_the_spare", code == 0, f"{code} {out} {err}")
    console.leave_running(typed[3])
    good = until(60, lambda: shown(desk.type(typed[4])[1], "state") == "active")
    out = desk.type(typed[4])[1]
    case("replace.step_3_shows_a_good_spare", good and shown(out, "trust") == "affirming" and shown(out, "zone") == "spares", out)
    old.start()
    heard = until(60, lambda: json.loads(operate("device", "show", TAG))["trust"] == "affirming")
    code, out, err = desk.type(typed[5])
    case("replace.step_4_moves_the_place", heard and code == 0 and TAG in out, f"{code} {out} {err}")
    check_after(operate, old, spare, desk, typed)
    return console


def check_after(operate, old, spare, desk, typed):
    new, gone = spare.status()["device"], old.status()["device"]
    out = desk.type(typed[6])[1]
    good = until(60, lambda: shown(desk.type(typed[6])[1], "trust") == "affirming")
    case("replace.step_5_shows_the_spare", good and shown(out, "device") == new and shown(out, "zone") == "hall-1", out)
    code, out, err = desk.type(typed[7])
    case("replace.step_5_lists_the_event", code == 0 and "position-filled" in out, f"{out} {err}")
    d = json.loads(operate("device", "show", new))
    case("replace.the_spare_has_name_zone_and_site", (d["position"], d["name"], d["zone"], d["site"]) ==
         (TAG, "press", "hall-1", "plant"), json.dumps(d))
    d = json.loads(operate("device", "show", gone))
    case("replace.the_old_one_is_retired_and_revoked", d["state"] == "retired" and d["certificate"]["state"] == "revoked" and
         d["position"] == "" and d["name"] == "", json.dumps(d)[:400])
    cut = until(60, lambda: "no answer" in old.said() or "revoked" in old.said())
    old.stop()
    code, out, err = old.call("attest")
    case("replace.the_old_one_still_running_is_cut_off", cut and code != 0, f"{code} {out} {err}")
    case("replace.nothing_of_it_is_judged_any_more", json.loads(operate("device", "show", gone))["verdict"] == d["verdict"])
    events = json.loads(operate("event", "ls", "--device", gone))["events"]
    case("replace.the_old_one_has_one_event_of_it", sum(e["type"] == "device-replaced" for e in events) == 1 and
         not any(e["type"] == "device-retired" for e in events), json.dumps([e["type"] for e in events]))
    first = json.loads(operate("device", "show", new))["verdict"]
    again = until(60, lambda: json.loads(operate("device", "show", new))["verdict"] > first)
    d = json.loads(operate("device", "show", new))
    case("replace.the_spare_is_judged_in_its_new_zone", again and d["trust"] == "affirming", json.dumps(d)[:400])


def check_no_spare(operate, old, spare):
    """Neither a retired device, nor one that fills a place, nor one that nobody knows."""
    config = ("--config", operate.config)
    for name, who in (("a_retired_device", old.status()["device"]), ("the_device_that_is_there", spare.status()["device"])):
        code, _, err = run(CLI, "device", "replace", TAG, "--with", who, *config)
        case(f"replace.{name}_is_no_spare", code == 1 and "not-a-spare" in err, f"{code} {err}")
    code, _, err = run(CLI, "device", "replace", TAG, "--with", "01" + "5a" * 32, *config)
    case("replace.an_unknown_device_is_no_spare", code == 1 and "not-found" in err, f"{code} {err}")
    code, _, err = run(CLI, "device", "replace", "NOWHERE", "--with", spare.status()["device"], *config)
    case("replace.an_unknown_place_is_refused", code == 1 and "not-found" in err, f"{code} {err}")


def check_crash(s, operate, spare, third):
    """The keeper ends between the old device's end and the position's move: neither happened."""
    s.stop()
    s.program, s.env = s.program.replace("bedplated", "bedplated-crash"), {"BP_CRASH": "registry.old-off-position-not-moved:1"}
    s.options += [w for name in ("device", "enrol", "operate", "status") for w in (f"--{name}-port", str(s.ports[name]))]
    if not case("replace.server_starts_again", s.start(), s.stderr()[-300:]):
        return
    case("replace.a_third_device_attests", until(60, lambda: third.call("attest")[0] == 0))
    code, _, err = run(CLI, "device", "replace", TAG, "--with", third.status()["device"], "--config", operate.config)
    died = os.path.exists(os.path.join(s.dir, "store/crashed"))
    case("replace.a_crash_in_the_middle_is_told", died and code != 0, f"{code} {err} {died}")
    after = until(60, lambda: run(CLI, "position", "show", TAG, "--json", "--config", operate.config)[1])
    d = json.loads(after)["device"] if after else {}
    case("replace.and_left_everything_as_it_was", d.get("id") == spare.status()["device"] and d.get("state") == "active", after)
    code, _, err = run(CLI, "device", "replace", TAG, "--with", third.status()["device"], "--config", operate.config)
    case("replace.and_it_goes_when_it_is_asked_again", code == 0, f"{code} {err}")


def check_succession(s, operate, top, old, new):
    """The same box with a new root: one administrator proposes, another one approves."""
    code = json.loads(operate("operator", "code", "--role", "admin", "--name", "ben"))["code"]
    ben = os.path.join(top, "ben")
    run(CLI, "login", "--config", ben, "--server", f"https://localhost:{s.ports['operate']}", "--anchor",
        os.path.join(s.dir, "certs/root.der"), "--code", code, "--name", "ben")
    until(60, lambda: new.call("attest")[0] == 0)
    asked, out, err = run(CLI, "device", "succeed", TAG, new.status()["device"], "--reason", "its TPM was reset", "--json",
                          "--config", operate.config)
    act = json.loads(out) if asked == 0 else {}
    if not case("replace.a_succession_is_proposed", asked == 0 and act["state"] == "open", f"{asked} {out} {err}"):
        return
    holder = json.loads(operate("position", "show", TAG))["device"]
    case("replace.proposing_changes_nothing", holder["id"] == old.status()["device"] and holder["state"] == "active", str(holder))
    words = ("action", "approve", act["id"], act["digest"], "--json", "--config")
    asked, _, err = run(CLI, *words, operate.config)
    case("replace.its_author_does_not_approve_it", asked == 1 and "same-person" in err, f"{asked} {err}")
    asked, out, err = run(CLI, *words, ben)
    case("replace.another_administrator_approves_it", asked == 0 and json.loads(out)["state"] == "done", f"{asked} {out} {err}")
    holder = json.loads(operate("position", "show", TAG))["device"]
    case("replace.the_new_root_fills_the_place", holder["id"] == new.status()["device"], str(holder))
    code, out, err = old.call("attest")
    case("replace.the_old_root_is_off", code != 0, f"{code} {out} {err}")
    code, out, err = new.call("attest")
    case("replace.the_new_root_attests_in_its_place", code == 0, f"{code} {out} {err}")


def main():
    top = tempfile.mkdtemp(prefix="bpr", dir="/tmp")
    devices, console = [], None
    try:
        with Server(options=["--attest-interval", "1000"]) as s:
            s.init()
            devices = [Device(top, name) for name in ("a", "b", "c", "d")]
            for name in ("issuercert.pem", "swtpm-localca-rootca-cert.pem"):
                shutil.copy(os.path.join(top, "maker", name), os.path.join(s.dir, "anchors", f"virtual-{name}"))
            if not case("replace.server_starts", s.start(), s.stderr()):
                return
            operate = Operator(s, top)
            accept_release(operate, devices[0], top)
            operate("position", "add", TAG, "--zone", "hall-1", "--site", "plant", "--name", "press")
            for d, place in ((devices[0], ("--position", TAG)), (devices[2], ("--zone", "spares")), (devices[3], ("--zone", "spares"))):
                made = json.loads(operate("device", "invite", *place))
                need_code, _, err = d.enroll(s, "--code", made["code"])
                case(f"replace.device_{'abcd'[devices.index(d)]}_enrols", need_code == 0, err)
            console = follow(s, operate, devices[0], devices[1], top)
            check_no_spare(operate, devices[0], devices[1])
            check_crash(s, operate, devices[1], devices[2])
            check_succession(s, operate, top, devices[2], devices[3])
    finally:
        if console:
            console.stop()
        for d in devices:
            if d.process and d.process.poll() is None:
                d.stop(signal.SIGKILL)
            run(f"{LIB}/swtpm.sh", "stop", d.dir)
        shutil.rmtree(top, ignore_errors=True)
    finish()


main()
