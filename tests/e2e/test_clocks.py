#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Clocks that are wrong: a device's at 1970, 2036 and 2106, the server's years ahead for an hour, and a broker's helper that gets
no lists. Each is told in words, nothing is let in by it, and all is well again when the clock is right. A real server, a real
agent with a software TPM, the real helper; each has a wall clock of its own that the test moves (clock.c)."""
import json
import os
import shutil
import signal
import sqlite3
import tempfile

from device import LIB, Device, Operator, accept_release, run
from mqtt import Broker, Helper
from server import Clock, Server, case, finish, until

CLOCK_JUMPED = 3  # type of event, src/codec/event.h
YEARS = 10 * 366 * 86400


def events(s, kind):
    db = sqlite3.connect(f"file:{s.dir}/store/bedplate.db?mode=ro", uri=True)
    n = db.execute("select count(*) from event where type = ?", (kind,)).fetchone()[0]
    db.close()
    return n


def affirms(d):
    return d.said().rstrip().split("\n")[-1].startswith(("bedplate-agent: affirming", "bedplate-agent: this machine's clock"))


def check_first(s, operate, d, clock):
    """Before it knows anybody: only an anchor in its hands tells a device without a clock what time it is at least."""
    invite = json.loads(operate("device", "invite", "--zone", "north"))["code"]
    clock.show(1970)
    code, _, err = d.enroll(s, "--code", invite, anchor=s.facts["root"])
    case("clocks.at_1970_a_hash_is_not_enough", code == 3 and "not yet valid" in err and "clock (1970-" in err, f"{code} {err}")
    clock.show(2106)
    code, _, err = d.enroll(s, "--code", invite)
    case("clocks.at_2106_nobody_is_enrolled", code == 3 and "expired" in err and "clock (2106-" in err, f"{code} {err}")
    clock.show(1970)
    code, _, err = d.enroll(s, "--code", invite)
    case("clocks.at_1970_an_anchor_is", code == 0, f"{code} {err}")


def check_calls(d, clock):
    """One call, one process: there is no answer yet from which it could know better."""
    for year in (2036, 2106):
        clock.show(year)
        code, _, err = d.call("attest")
        case(f"clocks.at_{year}_the_server_seems_to_have_run_out", code == 3 and "expired" in err and f"clock ({year}-" in err, f"{code} {err}")
    clock.show(1970)
    code, out, err = d.call("attest")
    case("clocks.at_1970_its_own_certificate_says_more", code == 0, f"{code} {out} {err}")
    clock.move(0)
    code, out, err = d.call("attest")
    case("clocks.corrected_it_attests", code == 0, f"{code} {out} {err}")


def check_running(s, d, clock):
    """A running agent goes by the server's time, over new connections too; the wrong clock is told once."""
    for year in (1970, 2036, 2106):
        clock.move(0)
        d.start()
        case(f"clocks.runs_before_{year}", until(60, lambda: "affirming" in d.said()), d.said())
        clock.show(year)
        case(f"clocks.{year}_is_told", until(30, lambda: "this machine's clock is wrong; by the server's it is 20" in d.said()), d.said())
        s.stop()
        until(30, lambda: "no answer" in d.said())
        case(f"clocks.server_is_back_in_{year}", s.start(60), s.stderr()[-400:])
        case(f"clocks.in_{year}_it_comes_back_to_it", until(120, lambda: affirms(d) and "no answer" in d.said()), d.said())
        clock.move(0)
        case(f"clocks.after_{year}_it_is_right_again", until(60, lambda: "clock is right again" in d.said()), d.said())
        case(f"clocks.after_{year}_the_agent_ends_in_order", d.stop() == 0)


def check_server(s, d, broker, helper, ahead):
    """The server's clock is years ahead and then right again: nothing from that time keeps anybody away."""
    d.start()
    until(60, lambda: "affirming" in d.said())
    before = in_force(broker)
    jumps = events(s, CLOCK_JUMPED)
    ahead.move(YEARS)
    case("clocks.the_servers_jump_is_an_event", until(30, lambda: events(s, CLOCK_JUMPED) == jumps + 1), s.stderr()[-400:])
    case("clocks.lists_from_then_are_refused", until(60, lambda: "not valid yet" in helper.said()), helper.said()[-600:])
    case("clocks.the_list_in_force_stays", in_force(broker) == before)
    case("clocks.the_agent_says_that_clocks_differ", until(60, lambda: "clock is wrong; by the server's it is 20" in d.said()), d.said()[-600:])
    d.process.send_signal(signal.SIGHUP)  # it renews now: the worst moment there is
    until(30, lambda: "no answer" in d.said() or "renewed" in d.said())
    ahead.move(0)
    case("clocks.the_way_back_is_an_event", until(30, lambda: events(s, CLOCK_JUMPED) == jumps + 2), s.stderr()[-400:])
    case("clocks.the_helper_takes_lists_again", until(60, lambda: in_force(broker) != before), helper.said()[-600:])
    case("clocks.the_agent_comes_back", until(180, lambda: affirms(d)), d.said()[-1200:])
    d.stop()
    code, out, err = d.call("attest")
    case("clocks.and_after_a_restart_too", code == 0, f"{code} {out} {err}")
    d.start()
    until(60, lambda: "affirming" in d.said())
    d.process.send_signal(signal.SIGHUP)
    case("clocks.and_renews", until(60, lambda: "certificate renewed" in d.said()), d.said()[-600:])
    d.stop()


def in_force(broker):
    with open(os.path.join(broker.dir, "crl.pem"), "rb") as f:
        return f.read()


def check_no_lists(s, helper, broker):
    """The status listener is gone for the helper: told once, and again when lists come."""
    before = helper.said().count("does not answer")
    s.stop()
    case("clocks.no_lists_are_told", until(60, lambda: helper.said().count("does not answer") == before + 1), helper.said()[-400:])
    case("clocks.without_lists_the_last_one_counts", b"X509 CRL" in in_force(broker))
    case("clocks.server_is_back", s.start(60), s.stderr()[-400:])
    case("clocks.lists_again", until(60, lambda: helper.said().rstrip().endswith("as before") or "answers again" in helper.said()), helper.said()[-400:])


def check(s, top, d, of_device, of_server):
    operate = Operator(s, top)
    accept_release(operate, d, top)
    s.keep_ports()
    broker = Broker(s.top, os.path.join(s.dir, "certs/root.der"), s.ports["status"])
    helper = Helper(broker, s.ports["status"])
    helper.start()
    try:
        case("clocks.a_list_is_in_force", until(30, lambda: os.path.exists(os.path.join(broker.dir, "crl.pem"))), helper.said())
        check_first(s, operate, d, of_device)
        check_calls(d, of_device)
        check_running(s, d, of_device)
        check_server(s, d, broker, helper, of_server)
        check_no_lists(s, helper, broker)
    finally:
        helper.stop()


def main():
    top = tempfile.mkdtemp(prefix="bpc", dir="/tmp")
    os.chmod(top, 0o755)
    of_device, of_server, d = Clock(top, "device-clock"), Clock(top, "server-clock"), None
    try:
        with Server(env=of_server.env, options=["--attest-interval", "1000"]) as s:
            s.init()
            d = Device(top, "a")
            d.env = of_device.env
            for name in ("issuercert.pem", "swtpm-localca-rootca-cert.pem"):
                shutil.copy(os.path.join(top, "maker", name), os.path.join(s.dir, "anchors", f"virtual-{name}"))
            if case("clocks.server_starts", s.start(60), s.stderr()[-600:]):
                check(s, top, d, of_device, of_server)
    finally:
        if d is not None:
            if d.process:
                d.stop(signal.SIGKILL)
            run(f"{LIB}/swtpm.sh", "stop", d.dir)
        shutil.rmtree(top, ignore_errors=True)
    finish()


main()
