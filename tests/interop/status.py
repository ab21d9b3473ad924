#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Programs that are not ours agree with a running server on the status of good, revoked and unknown certificates: the openssl
program over OCSP and with revocation lists for every authority of the path, GnuTLS's certtool and ocsptool."""
import base64
import os
import subprocess
import sys
import urllib.parse

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "e2e"))
from mqtt import pem, write  # noqa: E402
from server import Fleet, Operator, Server, case, finish, until  # noqa: E402

GOOD, REVOKED = 0, 1


def run(*words, **more):
    done = subprocess.run(words, capture_output=True, check=False, timeout=60, **more)
    return done.returncode, (done.stdout + done.stderr).decode(errors="replace")


class Desk:
    """What a relying party has in its folder: everything fetched from the status listener, nothing else."""

    def __init__(self, s, fleet):
        self.s, self.top = s, s.top
        for name, target, label in (("root", "/ca/root.cer", "CERTIFICATE"), ("issuing", "/ca/issuing.cer", "CERTIFICATE"),
                                    ("root-crl", "/crl/root-0.crl", "X509 CRL")):
            write(self.path(name), pem(label, s.request("status", "GET", target)[2]))
        write(self.path("both"), self.text("issuing") + self.text("root"))
        for i in (GOOD, REVOKED):
            write(self.path(f"device-{i}"), pem("CERTIFICATE", bytes.fromhex(fleet.do(f"key {i}").split()[2])))
            write(self.path(f"chain-{i}"), self.text(f"device-{i}") + self.text("both"))
        self.url = f"http://localhost:{s.ports['status']}/ocsp"

    def path(self, name):
        return os.path.join(self.top, f"{name}.pem")

    def text(self, name):
        with open(self.path(name), encoding="ascii") as f:
            return f.read()

    def fetch_list(self):
        der = self.s.request("status", "GET", "/crl/issuing-0.crl")[2]
        write(self.path("crl"), pem("X509 CRL", der))
        write(self.path("crls"), self.text("crl") + self.text("root-crl"))

    def openssl(self, about, *more):
        return run("openssl", "ocsp", "-issuer", self.path("issuing"), *about, "-url", self.url, "-CAfile", self.path("both"), *more)

    def by_get(self, i):
        """The same question in the address, put together by openssl and carried by us."""
        question, answer = os.path.join(self.top, "question"), os.path.join(self.top, "answer")
        run("openssl", "ocsp", "-issuer", self.path("issuing"), "-cert", self.path(f"device-{i}"), "-reqout", question, "-no_nonce")
        with open(question, "rb") as f:
            text = urllib.parse.quote(base64.b64encode(f.read()).decode(), safe="")
        status, headers, body = self.s.request("status", "GET", f"/ocsp/{text}")
        with open(answer, "wb") as f:
            f.write(body)
        ok = status == 200 and headers["Content-Type"] == "application/ocsp-response"
        return ok, run("openssl", "ocsp", "-respin", answer, "-issuer", self.path("issuing"), "-cert", self.path(f"device-{i}"),
                       "-CAfile", self.path("both"), "-no_nonce")[1]

    def verify(self, i):
        return run("openssl", "verify", "-x509_strict", "-crl_check_all", "-CAfile", self.path("root"), "-untrusted",
                   self.path("issuing"), "-CRLfile", self.path("crls"), "-purpose", "sslclient", self.path(f"device-{i}"))

    def certtool(self, i):
        return run("certtool", "--verify", "--load-ca-certificate", self.path("both"), "--load-crl", self.path("crls"), "--infile",
                   self.path(f"chain-{i}"))

    def ocsptool(self, i):
        return run("ocsptool", f"--ask={self.url}", "--load-issuer", self.path("issuing"), "--load-cert", self.path(f"device-{i}"),
                   "--load-trust", self.path("both"))


def is_said(out, status):
    return "Response verify OK" in out and f": {status}" in out


def before(d):
    for i in (GOOD, REVOKED):
        out = d.openssl(("-cert", d.path(f"device-{i}")))[1]
        case(f"status.openssl.good_{i}", is_said(out, "good") and "WARNING: no nonce" not in out, out)
    d.fetch_list()
    code, out = d.verify(REVOKED)
    case("status.lists.good_before", code == 0, out)
    code, out = d.certtool(REVOKED)
    case("status.certtool.good_before", code == 0 and "Verified. The certificate is trusted" in out, out)


def after(d):
    for name, more in (("nonce", ()), ("no_nonce", ("-no_nonce",)), ("again", ("-no_nonce",)), ("sha256", ("-sha256",))):
        hashed = ("-sha256",) if name == "sha256" else ()
        more = () if name == "sha256" else more
        out = d.openssl((*hashed, "-cert", d.path(f"device-{GOOD}")), *more)[1]
        case(f"status.openssl.good_{name}", is_said(out, "good"), out)
        out = d.openssl((*hashed, "-cert", d.path(f"device-{REVOKED}")), *more)[1]
        case(f"status.openssl.revoked_{name}", is_said(out, "revoked"), out)
    out = d.openssl(("-serial", "0x4217"))[1]
    case("status.openssl.unknown", is_said(out, "unknown"), out)
    out = d.openssl(("-cert", d.path(f"device-{GOOD}"), "-cert", d.path(f"device-{REVOKED}"), "-serial", "0x4217"))[1]
    case("status.openssl.three_in_one", all(is_said(out, word) for word in ("good", "revoked", "unknown")), out)
    for i, word in ((GOOD, "good"), (REVOKED, "revoked")):
        ok, out = d.by_get(i)
        case(f"status.openssl.get_{word}", ok and is_said(out, word), out)
        code, out = d.ocsptool(i)
        case(f"status.ocsptool.{word}", f"Certificate Status: {word}" in out and "Verifying OCSP Response: Success" in out, out)
    d.fetch_list()
    code, out = d.verify(GOOD)
    case("status.lists.good", code == 0, out)
    code, out = d.verify(REVOKED)
    case("status.lists.revoked", code != 0 and "certificate revoked" in out, out)
    code, out = d.certtool(GOOD)
    case("status.certtool.good", code == 0 and "Verified. The certificate is trusted" in out, out)
    code, out = d.certtool(REVOKED)
    case("status.certtool.revoked", code != 0 and "revoked" in out, out)
    code, out = run("certtool", "--verify-crl", "--load-ca-certificate", d.path("both"), "--infile", d.path("crl"))
    case("status.certtool.list_is_signed", code == 0 and "Verified" in out, out)


with Server() as server:
    server.init()
    with Fleet(server, 2) as gateways:
        if case("status.server_starts", server.start(), server.stderr()):
            gateways.use(server)
            joined = [gateways.do(f"join {i}").startswith(f"join {i} ok 2") for i in (GOOD, REVOKED)]
            case("status.devices_join", all(joined))
            desk, person = Desk(server, gateways), Operator(server)
            before(desk)
            device = gateways.do(f"id {REVOKED}").split()[2]
            status_, _, body_ = person.ask("POST", f"/devices/{device}/revoke", {"reason": "a test"})
            case("status.revoked_by_a_person", status_ in (200, 204), f"{status_} {body_}")
            case("status.openssl.revoked_at_once", is_said(desk.openssl(("-cert", desk.path(f"device-{REVOKED}")))[1], "revoked"))
            number = os.path.getsize(desk.path("crl"))
            until(20, lambda: (desk.fetch_list(), os.path.getsize(desk.path("crl")) != number)[1])
            after(desk)
finish()
