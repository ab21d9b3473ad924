#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A real Mosquitto beside a real server: revoked clients are disconnected at once and stay out, nobody else notices; lists
that are older, foreign or none are not taken; and with the server gone for days everything brokered goes on."""
import http.client
import http.server
import os
import select
import signal
import subprocess
import threading
import time

from mqtt import BIN, Broker, Client, Helper, pem, write
from server import Fleet, Operator, Server, case, finish, until

CRL = "/crl/issuing-0.crl"


def files_of(fleet, top, i):
    """Certificate and key of a gateway, for a client that is not ours."""
    _, _, cert, key = fleet.do(f"key {i}").split()
    paths = os.path.join(top, f"client-{i}.pem"), os.path.join(top, f"client-{i}.key")
    write(paths[0], pem("CERTIFICATE", bytes.fromhex(cert)))
    write(paths[1], pem("EC PRIVATE KEY", bytes.fromhex(key)), 0o600)
    return paths


def revoke(operator, fleet, i):
    device = fleet.do(f"id {i}").split()[2]
    status, _, body = operator.ask("POST", f"/devices/{device}/revoke", {"reason": "a test"})
    return case(f"broker.revoke_{i}_is_taken", status in (200, 204), f"{status} {body}")


class Stale:
    """A status listener that says what it is told to say: an attacker in the way, or a mirror that stands still."""

    def __init__(self, answers):
        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self):  # noqa: N802 - the library's name
                body = answers.get(self.path.split("?")[0], b"")
                self.send_response(200 if body else 404)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.port = self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def stop(self):
        self.server.shutdown()
        self.server.server_close()


def list_of(s):
    status, _, body = s.request("status", "GET", CRL)
    return body if status == 200 else b""


def number_of(der):
    done = subprocess.run(["openssl", "crl", "-inform", "DER", "-noout", "-crlnumber"], input=der, capture_output=True, check=True)
    return int(done.stdout.decode().split("=")[1], 16)


class Held:
    """A request for the list after the one that there is."""

    def __init__(self, s, number):
        self.client = http.client.HTTPConnection("localhost", s.ports["status"], timeout=70)
        self.client.request("GET", f"{CRL}?after={number}")

    def is_answered(self, seconds):
        return bool(select.select([self.client.sock], [], [], seconds)[0])

    def body(self):
        return self.client.getresponse().read()


def check_state(broker):
    done = subprocess.run([f"{BIN}/bedplate-broker", "check", "--dir", broker.dir], capture_output=True, text=True, check=False)
    return done.returncode, done.stdout


def in_force(broker):
    with open(os.path.join(broker.dir, "crl.pem"), "rb") as f:
        return f.read()


def check_cut(s, operator, fleet, broker, helper, files):
    a, b = Client(broker, files[0]), Client(broker, files[1])
    case("broker.clients_are_in", a.works() and b.works(), f"{a.refused} {b.refused} {broker.said()[-800:]}")
    ticket = a.sock.session
    old = list_of(s)
    held = Held(s, number_of(old))
    case("broker.request_is_held", not held.is_answered(0.5))
    begun = time.monotonic()
    revoke(operator, fleet, 0)
    cut = a.cut_after(20)
    told = time.monotonic() - begun
    case("broker.session_is_cut", cut is not None, helper.said()[-800:])
    print(f"# revoke to the end of the MQTT session: {told * 1000:.0f} ms")
    case("broker.held_request_is_answered", held.is_answered(20) and number_of(held.body()) > number_of(old))
    case("broker.others_go_on", b.works())
    again = Client(broker, files[0])
    case("broker.revoked_is_refused", not again.is_in(), "it is in")
    resumed = Client(broker, files[0], session=ticket, context=a.context)
    case("broker.a_kept_session_does_not_come_back", not resumed.is_in(), "resumed")
    case("broker.others_come_anew", Client(broker, files[1]).works())
    code, out = check_state(broker)
    case("broker.check_says_current", code == 0 and "1 revoked" in out, out)
    b.close()
    return old


def check_killed(operator, fleet, broker, helper, files):
    """What was revoked while the helper was dead, or between its list and its word to the broker, is made up for."""
    a = Client(broker, files[1])
    case("broker.in_before_the_kill", a.works(), a.refused)
    helper.stop(9)
    revoke(operator, fleet, 1)
    case("broker.without_helper_it_stays", a.works())
    helper.start()
    case("broker.made_up_for_after_a_kill", a.cut_after(30) is not None, helper.said()[-800:])
    case("broker.and_it_stays_out", not Client(broker, files[1]).is_in())


def check_lies(s, broker, helper, old, other, foreign_ca):
    helper.stop()
    before = in_force(broker)
    answers = {name: s.request("status", "GET", name)[2] for name in ("/ca/root.cer", "/ca/issuing.cer")}
    for name, body, word in (("an_older_list", old, "older"), ("a_list_of_another_issuer", other, "issuer"),
                             ("no_list", b"<html>welcome</html>", "no revocation list")):
        stale = Stale({**answers, CRL: body})
        _, err = helper.once(stale.port)
        stale.stop()
        case(f"broker.refuses_{name}", word in err and in_force(broker) == before, err)
    with open(f"{s.dir}/certs/operators.der", "rb") as f:
        operators = f.read()
    for name, cert, word in (("an_issuing_ca_of_another_root", foreign_ca, "none of the root's"),
                             ("an_authority_that_signs_no_lists", operators, "its list is of another issuer")):
        stale = Stale({CRL: list_of(s), "/ca/issuing-1.cer": cert, "/crl/issuing-1.crl": list_of(s)})
        _, err = helper.once(stale.port, 2)
        stale.stop()
        case(f"broker.refuses_{name}", "issuing CA 1 was refused: " in err and word in err and in_force(broker).count(b"X509 CRL") == 2, err)
    helper.start()


def check_roll(s, operator, fleet, broker, helper, files):
    """The server moves to another issuing CA: clients of both are let in, revoked ones of both are not, and nobody is told."""
    secret = os.path.join(s.top, "phrase")
    write(secret, s.facts["passphrase"] + "\n", 0o600)
    steady = Client(broker, files[3])
    done = subprocess.run([f"{BIN}/bedplated", "ca", "rollover", "--dir", s.dir, "--root-key", f"{s.dir}/root-key.pem",
                           "--passphrase-file", secret, "--algorithm", "p384"], capture_output=True, text=True, check=False)
    case("broker.roll_is_made", done.returncode == 0, done.stderr)
    os.kill(s.process.pid, signal.SIGHUP)
    case("broker.roll_is_noticed", until(60, lambda: "of issuing CA 1 is in force" in helper.said()), helper.said()[-800:])
    issuing = pem("CERTIFICATE", s.request("status", "GET", "/ca/issuing-1.cer")[2])
    for i in (4, 5):
        case(f"broker.roll_join_{i}", until(20, lambda i=i: fleet.do(f"join {i}").startswith(f"join {i} ok 2 active")))
        paths = files_of(fleet, s.top, i)
        with open(paths[0], "a", encoding="ascii") as f:
            f.write(issuing)
        files.append(paths)
    case("broker.roll_old_session_goes_on", steady.works())
    case("broker.roll_old_client_comes_anew", Client(broker, files[3]).works())
    case("broker.roll_revoked_before_stays_out", not Client(broker, files[0]).is_in())
    a, b = Client(broker, files[4]), Client(broker, files[5])
    case("broker.roll_new_clients_are_in", a.works() and b.works(), f"{a.refused} {b.refused} {broker.said()[-600:]}")
    revoke(operator, fleet, 4)
    case("broker.roll_new_client_is_cut", a.cut_after(30) is not None, helper.said()[-800:])
    case("broker.roll_and_stays_out", not Client(broker, files[4]).is_in())
    helper.stop(9)
    revoke(operator, fleet, 5)
    helper.start()
    case("broker.roll_made_up_for_after_a_kill", b.cut_after(30) is not None, helper.said()[-800:])
    case("broker.roll_others_go_on", steady.works())
    lists = in_force(broker).count(b"BEGIN X509 CRL")
    case("broker.roll_lists_of_both_are_in_force", lists == 2, lists)
    code, out = check_state(broker)
    case("broker.roll_check_says_current", code == 0 and "4 revoked" in out, out)
    steady.close()


def check_outage(s, broker, helper, files, fleet, operator):
    """The server is gone; the clock of the broker runs ahead by nearly as long as a management certificate lives."""
    s.stop()
    case("broker.helper_says_so", until(30, lambda: "does not answer" in helper.said()), helper.said()[-400:])
    broker.stop()
    case("broker.starts_without_server", broker.start("+6d"), broker.said()[-800:])
    a, b = Client(broker, files[2]), Client(broker, files[3])
    case("broker.outage.new_connections_work", a.works() and b.works(), f"{a.refused} {b.refused}")
    case("broker.outage.revoked_stays_out", not Client(broker, files[0]).is_in() and not Client(broker, files[1]).is_in())
    a.close()
    b.close()
    broker.stop()
    broker.start()
    case("broker.server_comes_back", s.start(), s.stderr()[-400:])
    helper.stop()
    helper.port = s.ports["status"]
    helper.start()
    fleet.use(s)
    a = Client(broker, files[2])
    case("broker.in_after_the_outage", a.works(), a.refused)
    revoke(operator, fleet, 2)
    case("broker.cut_after_the_outage", a.cut_after(30) is not None, helper.said()[-400:])


def main():
    with Server() as other:
        other.init()
        case("broker.other_server_starts", other.start(), other.stderr()[-400:])
        foreign = until(20, lambda: list_of(other)), other.request("status", "GET", "/ca/issuing.cer")[2]
    with Server() as s:
        s.init()
        with Fleet(s, 6) as fleet:
            serve(s, fleet, foreign)


def serve(s, fleet, foreign):
    if case("broker.server_starts", s.start(), s.stderr()[-400:]):
        fleet.use(s)
        for i in range(4):
            case(f"broker.join_{i}", fleet.do(f"join {i}").startswith(f"join {i} ok 2 active"))
        files = [files_of(fleet, s.top, i) for i in range(4)]
        operator, broker = Operator(s), Broker(s.top, os.path.join(s.dir, "certs/root.der"), s.ports["status"])
        helper = Helper(broker, s.ports["status"])
        helper.start()
        case("broker.list_is_put_in_force", until(20, lambda: os.path.exists(os.path.join(broker.dir, "crl.pem"))), helper.said())
        case("broker.starts", broker.start(), broker.said()[-800:])
        try:
            old = check_cut(s, operator, fleet, broker, helper, files)
            check_killed(operator, fleet, broker, helper, files)
            check_lies(s, broker, helper, old, *foreign)
            check_roll(s, operator, fleet, broker, helper, files)
            check_outage(s, broker, helper, files, fleet, operator)
        finally:
            helper.stop()
            broker.stop()


main()
finish()
