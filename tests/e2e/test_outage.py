#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The server is gone for as long as the site is to go on without it, with a real Mosquitto, its helper, clients with certificates
of applications and an agent beside it. Every wall clock moves on (clock.c) while all of them run: live sessions stay, new ones
are let in, whoever was revoked before stays out; and when the server is back, everything renews by itself."""
import json
import os
import shutil
import signal
import sqlite3
import subprocess
import tempfile

from device import LIB, Device, Operator, accept_release, run
from mqtt import BIN, Broker, Client, Helper, pem, write
from server import Clock, Fleet, Server, case, finish, until

T = 30 * 86400  # what a new server's site tolerates
VERDICT, SERVER_RETURNED = 32, 63  # types of events, src/codec/event.h
STEPS = 8  # of the outage; live sessions are looked at in each
REVOKED = 2
CLIENTS = [(0, "historian"), (0, "recorder"), (1, "historian"), (3, "recorder"), (REVOKED, "historian")]


def certify(fleet, top, who):
    """Certificate and key of an application, in files for a client that is not ours."""
    i, service = who
    words = fleet.do(f"service {i} {service}").split()
    if len(words) != 4 or "failed" in words:
        return None
    paths = os.path.join(top, f"{service}-{i}.pem"), os.path.join(top, f"{service}-{i}.key")
    write(paths[0], pem("CERTIFICATE", bytes.fromhex(words[2])))
    write(paths[1], pem("EC PRIVATE KEY", bytes.fromhex(words[3])), 0o600)
    return paths


def ends(path, what="x509", option="-enddate", form="PEM"):
    """The end of a certificate, or of a list, in seconds."""
    text = subprocess.run(["openssl", what, "-in", path, "-inform", form, "-noout", option], capture_output=True, text=True, check=True).stdout
    return int(subprocess.run(["date", "-u", "-d", text.strip().split("=")[1], "+%s"], capture_output=True, text=True, check=True).stdout)


def events(s, kind):
    db = sqlite3.connect(f"file:{s.dir}/store/bedplate.db?mode=ro", uri=True)
    n = db.execute("select count(*) from event where type = ?", (kind,)).fetchone()[0]
    db.close()
    return n


def verdicts(s):
    return events(s, VERDICT)


def all_work(name, broker, files):
    """Each client opens a session of its own, and uses it."""
    refused = {}
    for who, paths in files.items():
        client = Client(broker, paths)
        if not client.works():
            refused[who] = client.refused or "no answer"
        client.close()
    return case(name, not refused and len(files) > 0, f"{refused} {broker.said()[-600:]}")


def stays_out(name, broker, paths):
    return case(name, not Client(broker, paths).is_in(), "it is in")


def prepare(s, top, fleet, agent):
    operate = Operator(s, top)
    accept_release(operate, agent, top)
    for service in ("historian", "recorder"):
        operate("service", "add", service, "--profile", "app-client")
    fleet.use(s)
    for i in range(4):
        case(f"outage.join_{i}", fleet.do(f"join {i}").startswith(f"join {i} ok 2 active"))
    files = {who: certify(fleet, top, who) for who in CLIENTS}
    if not case("outage.applications_are_certified", all(files.values()), str(files)):
        return None
    line = json.loads(operate("device", "invite", "--zone", "north"))
    code, _, err = agent.enroll(s, "--code", line["code"])
    case("outage.agent_enrols", code == 0, err)
    for service in ("historian", "recorder"):
        code, _, err = agent.call("service", "add", service, "--out", os.path.join(agent.dir, service))
        case(f"outage.agent_has_{service}", code == 0, err)
    return operate, files


def check_before(s, operate, fleet, broker, helper, files):
    """Sessions that are to live through it; one client is revoked, and that is known to the broker."""
    revoked = files.pop((REVOKED, "historian"))
    live = {who: Client(broker, paths) for who, paths in files.items() if who[0] != 3}
    gone = Client(broker, revoked)
    case("outage.before.all_are_in", gone.works() and all(c.works() for c in live.values()), broker.said()[-800:])
    operate("device", "revoke", fleet.do(f"id {REVOKED}").split()[2], "--reason", "a test")
    case("outage.before.the_revoked_is_cut", gone.cut_after(30) is not None, helper.said()[-800:])
    stays_out("outage.before.the_revoked_stays_out", broker, revoked)
    last = max(ends(paths[0]) for paths in files.values())
    list_end = ends(os.path.join(broker.dir, "crl.pem"), "crl", "-nextupdate")
    case("outage.before.no_certificate_outlives_the_list", list_end >= last, f"list until {list_end}, certificates until {last}")
    return live, revoked


def check_during(s, clock, broker, helper, agent, files, live, revoked):
    s.stop()
    begun = clock.ahead
    case("outage.helper_says_so", until(30, lambda: "does not answer" in helper.said()), helper.said()[-400:])
    alive = True
    for step in range(1, STEPS + 1):
        clock.move(begun + T * step // STEPS - 60)
        alive = case(f"outage.live_sessions_work_after_{step}_eighths", alive and all(c.works() for c in live.values()), broker.said()[-600:])
    all_work("outage.new_sessions_work_at_its_end", broker, files)
    stays_out("outage.the_revoked_stays_out_at_its_end", broker, revoked)
    done = subprocess.run([f"{BIN}/bedplate-broker", "check", "--dir", broker.dir], capture_output=True, text=True, check=False,
                          env=broker.env)
    case("outage.an_old_list_is_an_alarm", done.returncode == 1, f"{done.returncode} {done.stdout} {done.stderr}")
    # A power cut in the middle of it: nothing needs the server to start.
    helper.stop(signal.SIGKILL)
    broker.stop()
    helper.start()
    case("outage.broker_starts_without_server", broker.start(), broker.said()[-600:])
    all_work("outage.new_sessions_work_after_a_restart", broker, files)
    stays_out("outage.the_revoked_stays_out_after_a_restart", broker, revoked)
    case("outage.the_agent_goes_on_trying", agent.process.poll() is None and "no answer from localhost" in agent.said(), agent.said()[-600:])


def renewed(agent, before):
    return {name: ends(f"{agent.dir}/{name}/cert.pem") > end for name, end in before.items()}


def check_after(s, top, clock, fleet, broker, helper, agent, operate, files, revoked):
    before = {name: ends(f"{agent.dir}/{name}/cert.pem") for name in ("historian", "recorder")}
    back = clock.now()
    case("outage.server_comes_back", s.start(60), s.stderr()[-600:])
    case("outage.it_knows_that_it_was_away", until(20, lambda: events(s, SERVER_RETURNED) == 1), s.stderr()[-400:])
    helper.port = s.ports["status"]
    case("outage.helper_hears_it", until(60, lambda: "answers again" in helper.said()), helper.said()[-400:])
    # Its own certificate ran out long ago: it says hello again, with fresh evidence.
    seen = verdicts(s)
    case("outage.agent_is_back", until(180, lambda: verdicts(s) > seen + 2 and agent.said().rstrip().endswith("gateway 1.0")), agent.said()[-800:])
    # What fell due meanwhile is spread over six hours; they pass in steps, as the agent's rounds do.
    steps = 0
    while not all(renewed(agent, before).values()) and steps < 14:
        clock.move(clock.ahead + 1800)
        steps += 1
        seen = verdicts(s)
        until(20, lambda: verdicts(s) > seen + 3 or all(renewed(agent, before).values()))
    case("outage.agents_applications_are_renewed", all(renewed(agent, before).values()), agent.said()[-800:])
    case("outage.before_they_ran_out", clock.now() < min(before.values()), f"{clock.now()} {before}")
    case("outage.within_six_hours", clock.now() - back < 7 * 3600, f"{clock.now() - back}")
    case("outage.agent_runs_on", agent.process.poll() is None and "wrong" not in agent.said().rstrip().split("\n")[-1], agent.said()[-600:])
    fleet.use(s)
    for i in (0, 1, 3):
        line = fleet.do(f"join {i}")
        case(f"outage.join_again_{i}", line.startswith(f"join {i} ok 2 active"), line)
    old = dict(files)
    again = {who: certify(fleet, top, who) for who in files}
    case("outage.applications_are_certified_again", all(again.values()), str(again))
    all_work("outage.after.new_certificates_work", broker, again)
    stays_out("outage.after.the_revoked_stays_out", broker, revoked)
    line = fleet.do(f"join {REVOKED}")
    case("outage.after.the_revoked_joins_no_more", " failed " in line, line)
    last = Client(broker, old[(1, "historian")])
    case("outage.after.in_service", last.works(), last.refused)
    done = subprocess.run([f"{BIN}/bedplated", "check", "--dir", s.dir, "--json"], capture_output=True, text=True, check=False)
    case("outage.after.the_server_is_whole", done.returncode == 0, done.stdout)


def check(s, top, clock, fleet, agent):
    made = prepare(s, top, fleet, agent)
    if made is None:
        return
    operate, files = made
    s.keep_ports()
    broker = Broker(s.top, os.path.join(s.dir, "certs/root.der"), s.ports["status"], clock.env)
    helper = Helper(broker, s.ports["status"])
    helper.start()
    try:
        case("outage.list_is_put_in_force", until(30, lambda: os.path.exists(os.path.join(broker.dir, "crl.pem"))), helper.said())
        if not case("outage.broker_starts", broker.start(), broker.said()[-800:]):
            return
        agent.start()
        case("outage.agent_runs", until(60, lambda: "affirming" in agent.said()), agent.said())
        live, revoked = check_before(s, operate, fleet, broker, helper, files)
        check_during(s, clock, broker, helper, agent, files, live, revoked)
        check_after(s, top, clock, fleet, broker, helper, agent, operate, files, revoked)
    finally:
        helper.stop()
        broker.stop()


def main():
    top = tempfile.mkdtemp(prefix="bpo", dir="/tmp")
    os.chmod(top, 0o755)
    clock, agent = Clock(top), None
    try:
        with Server(env=clock.env, options=["--attest-interval", "1000"]) as s:
            s.init()
            agent = Device(top, "a")
            agent.env = clock.env
            for name in ("issuercert.pem", "swtpm-localca-rootca-cert.pem"):
                shutil.copy(os.path.join(top, "maker", name), os.path.join(s.dir, "anchors", f"virtual-{name}"))
            with Fleet(s, 4, clock.env) as fleet:
                if case("outage.server_starts", s.start(), s.stderr()[-600:]):
                    check(s, top, clock, fleet, agent)
    finally:
        if agent is not None:
            if agent.process:
                agent.stop(signal.SIGKILL)
            run(f"{LIB}/swtpm.sh", "stop", agent.dir)
        shutil.rmtree(top, ignore_errors=True)
    finish()


main()
