#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Enrolment over secure transport with clients that are not ours: curl carries requests of keys that are in a TPM, and
strongSwan's pki those of a device that cannot attest. Whoever was vouched for gets a certificate; nobody else does.

curl and openssl use keys of the TPM through an engine (tpm_engine.c): the agent takes no part in these requests."""
import base64
import json
import os
import re
import shutil
import signal
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "e2e"))
from device import CLI, LIB, Device, Operator, accept_release, need, run  # noqa: E402
from server import Server, case, finish, until  # noqa: E402
import est_evidence  # noqa: E402
import est_matrix  # noqa: E402
from est_clients import (EST, Answer, Pki, Place, TpmKey, check_wire, curl, fingerprints, read, refused, request_of,  # noqa: E402
                         same_key, serial, skip, stranger_in, wire, write)

# ---- keys in the TPM, pre-approved or not ----

def check_not_preapproved(place, operate, d):
    """Known and approved, but no release is accepted: nothing vouches for its key."""
    answer = curl(place, "simpleenroll", stranger_in(d))
    case("est.curl.a_key_in_an_unknown_tpm_is_refused", refused(answer, "not-preapproved"), str(answer))
    code, _, err = d.enroll(place.s, "--wait", "0")
    case("est.agent.unapproved_is_refused", code == 1 and "waits for approval" in err, f"{code} {err}")
    operate("device", "approve", d.status()["device"], "--zone", "north")
    code, _, err = d.enroll(place.s, "--wait", "0")
    case("est.agent.without_an_affirming_verdict_is_refused", code == 1 and "Not appraised" in err, f"{code} {err}")
    answer = curl(place, "simpleenroll", request_of(d, TpmKey(d, "a").key))
    case("est.curl.without_an_affirming_verdict_is_refused", refused(answer, "not-preapproved"), str(answer))


def check_waiting(place, operate, d, pki):
    code, _, err = d.enroll(place.s, "--wait", "0")
    case("est.agent.waits_for_approval", code == 1 and "waits for approval" in err, f"{code} {err}")
    der = request_of(d, TpmKey(d, "a").key)
    answer = curl(place, "simpleenroll", der)
    case("est.curl.waits_for_approval", answer.status == 202, str(answer))
    case("est.curl.is_told_when_to_ask_again", re.fullmatch(r"[1-9][0-9]*", answer.headers.get("retry-after", "")), str(answer))
    waiting = est_matrix.Waiting(place, pki, der) if pki else None
    operate("device", "approve", d.status()["device"], "--zone", "north")
    answer = curl(place, "simpleenroll", der)
    case("est.curl.approval_alone_does_not_vouch", refused(answer, "not-preapproved"), str(answer))
    code, _, err = d.enroll(place.s)
    case("est.agent.enrols_then", code == 0, f"{code} {err}")
    if waiting:
        waiting.go_on()


def check_agent(place, d):
    code, _, err = d.enroll(place.s)
    case("est.agent.enrols", code == 0, f"{code} {err}")
    d.start()
    until(30, lambda: "affirming" in d.said())
    d.process.send_signal(signal.SIGHUP)
    case("est.agent.renews", until(30, lambda: "certificate renewed" in d.said()), d.said())
    d.stop()
    case("est.agent.renewal_is_of_another_key", d.status()["generation"] == 2, str(d.status()))


def csr_new(place, d):
    """The request of a new key that is in the TPM and that fresh evidence vouches for."""
    code, pem, err = d.call("csr", "--new")
    if code != 0:
        raise RuntimeError(f"csr --new: {err}")
    write(place.path("new.pem"), pem + "\n")
    need("openssl", "req", "-verify", "-in", place.path("new.pem"), "-outform", "der", "-out", place.path("new.der"))
    return read(place.path("new.der"))


def is_ours(place, cert, der, issuer):
    """Of the key that was asked for, valid under the issuer and under none of the others."""
    others = [n for n in ("root", "brownfield") if n != ("root" if issuer == "issuing" else issuer)]
    verify = ["openssl", "verify", "-x509_strict", "-purpose", "sslclient", "-untrusted", place.path("issuing.pem"), "-CAfile"]
    good = run(*verify, place.path(("root" if issuer == "issuing" else issuer) + ".pem"), cert)[0] == 0
    return good and same_key(cert, der) and all(run(*verify, place.path(f"{n}.pem"), cert)[0] != 0 for n in others)


def check_curl_enrols(place, d):
    der = csr_new(place, d)
    answer = curl(place, "simpleenroll", der)
    cert = answer.certificate(f"{d.dir}/enrolled.pem")
    case("est.curl.enrols", cert and is_ours(place, cert, der, "issuing"), str(answer))
    names = run("openssl", "x509", "-in", cert, "-noout", "-subject")[1] if cert else ""
    case("est.curl.a_name_that_was_asked_for_is_not_given", cert and "anybody" not in names, names)
    code, _, err = d.call("csr", "--install", cert or "/dev/null")
    case("est.curl.the_certificate_serves", code == 0 and d.call("attest")[0] == 0, f"{code} {err}")
    answer = curl(place, "simpleenroll", stranger_in(d))
    case("est.curl.another_key_of_the_same_tpm_is_refused", refused(answer, "not-preapproved"), str(answer))


def slots(d):
    """(in use, other one)"""
    now = d.status()["generation"]
    return sorted((TpmKey(d, n) for n in "ab"), key=lambda k: k.generation != now)


def check_curl_renews(place, d):
    """Mutual TLS with the key in the TPM, on the enrol listener with TLS 1.2 and on the device listener with TLS 1.3."""
    for listener, version in (("enrol", ("--tls-max", "1.2")), ("device", ("--tlsv1.3",))):
        der = csr_new(place, d)
        current = slots(d)[0]
        tls = (*current.tls(), *version)
        answer = curl(place, "simplereenroll", der, *tls, d=d, listener=listener)
        cert = answer.certificate(f"{d.dir}/renewed-{listener}.pem")
        case(f"est.curl.renews_at_{listener}", cert and is_ours(place, cert, der, "issuing") and
             serial(cert) != serial(current.cert), str(answer))
        answer = curl(place, "simplereenroll", stranger_in(d), *tls, d=d, listener=listener)
        case(f"est.curl.renewal_of_an_unknown_key_is_refused_at_{listener}", refused(answer, "not-preapproved"), str(answer))
        code, _, err = d.call("csr", "--install", cert or "/dev/null")
        case(f"est.curl.renewed_at_{listener}_it_serves", code == 0 and d.call("attest")[0] == 0, f"{code} {err}")
    answer = curl(place, "simplereenroll", der)
    case("est.curl.renewal_without_a_certificate_is_refused", refused(answer, "wrong-issuer"), str(answer))
    lines = base64.encodebytes(csr_new(place, d)).replace(b"\n", b"\r\n")
    text, _ = wire(place.s, b"POST " + EST.encode() + b"simpleenroll HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
                   b"Content-Type: application/pkcs10\r\nContent-Length: %d\r\n\r\n" % len(lines) + lines)
    a = Answer(text)
    case("est.lines.a_request_in_lines_is_read", a.status == 200, str(a))
    case("est.lines.is_answered_in_lines", a.body.endswith(b"\n") and 1 < max(len(x) for x in a.body.split(b"\n")) <= 64, str(a))


def check_one_for_another(place, a, b):
    """A device's certificate renews no key of another one, however well vouched for."""
    der = csr_new(place, b)
    own = slots(a)[0]
    answer = curl(place, "simplereenroll", der, *own.tls(), d=a)
    case("est.curl.renews_no_key_of_another_device", refused(answer, "not-preapproved"), str(answer))


def check_withdrawn(place, operate, d):
    """The same requests after the release that made its verdict affirming was withdrawn."""
    own, der = slots(d)[0], csr_new(place, d)
    release = re.search(r"[0-9a-f]{64}", operate("release", "ls")).group(0)
    operate("release", "withdraw", release, "--reason", "a test")
    code, _, err = d.call("csr", "--new")
    case("est.agent.withdrawn_nothing_is_vouched_for", code == 1 and "vouches for no key" in err, f"{code} {err}")
    case("est.curl.withdrawn_enrolment_is_refused", refused(curl(place, "simpleenroll", der), "not-preapproved"))
    case("est.curl.withdrawn_renewal_is_refused", refused(curl(place, "simplereenroll", der, *own.tls(), d=d), "not-preapproved"))


# ---- what cannot attest ----

def forbidden(done):
    return done[0] != 0 and "HTTP 403" in done[1]


def check_brownfield_off(place, pki):
    code, err, got = pki.estca("off")
    case("est.pki.estca", code == 0 and got == fingerprints(place, "root", "issuing"), f"{code} {got} {err[-500:]}")
    _, p10 = pki.request("old")
    done = pki.est(p10, place.path("old.pem"))
    case("est.pki.brownfield_off_enrolment_is_refused", forbidden(done) and not os.path.exists(place.path("old.pem")), str(done))


def check_brownfield_on(place, pki, operate):
    case("est.brownfield.an_operator_switches_it_on", '"enabled": true' in operate("brownfield", "on"))
    code, err, got = pki.estca("on")
    case("est.pki.brownfield_on_estca", code == 0 and got == fingerprints(place, "root", "issuing", "brownfield"), f"{code} {got} {err[-500:]}")
    p10, cert = place.path("old.p10"), place.path("old.pem")
    need("openssl", "req", "-inform", "der", "-in", p10, "-verify", "-noout")
    done = pki.est(p10, cert)
    case("est.pki.enrols_under_the_brownfield_ca", done[0] == 0 and is_ours(place, cert, read(p10), "brownfield"), str(done))
    case("est.pki.trusts_what_it_got", "Issued certificate is trusted" in done[1], done[1][-500:])
    _, new = pki.request("new")
    done = pki.est(new, place.path("new.pem"), "--cert", cert, "--key", place.path("old.key"))
    case("est.pki.re_enrols_with_a_new_key", done[0] == 0 and is_ours(place, place.path("new.pem"), read(new), "brownfield") and
         serial(cert) != serial(place.path("new.pem")), str(done))


def old_device(operate):
    return [d for d in json.loads(operate("device", "ls"))["devices"] if d["kind"] == "brownfield"]


def check_not_appraised(place, operate):
    found = old_device(operate)
    case("est.brownfield.is_one_device", len(found) == 1, str(found))
    d = found[0]
    case("est.brownfield.has_no_trust", d["tier"] == "none" and d["trust"] == "none" and d["verdict"] is None, str(d))
    case("est.brownfield.shows_not_appraised", d["reason"] == "Not appraised: it cannot attest", str(d))
    for command in (("device", "ls"), ("device", "show", d["id"])):
        code, out, err = run(CLI, *command, "--config", operate.config)
        case(f"est.brownfield.{command[1]}_says_not_appraised", code == 0 and "Not appraised: it cannot attest" in out, out + err)
    shown = run(CLI, "device", "show", d["id"], "--config", operate.config)[1]
    case("est.brownfield.no_tile_is_green", "affirming" not in shown, shown)
    events = operate("event", "ls", "--type", "brownfield-issued")
    case("est.brownfield.each_certificate_is_an_event", events.count('"brownfield-issued"') == 2, events)
    return d["id"]


def check_brownfield_bounds(place, d):
    """Where such a certificate does not count, and who may not have one."""
    tls = ("--cert", place.path("new.pem"), "--key", place.path("new.key"))
    answer = curl(place, "simplereenroll", read(place.path("new.p10")), *tls, listener="device")
    case("est.brownfield.certificate_does_not_open_the_device_listener", answer.status == 0, str(answer))
    own = slots(d)[0]
    answer = curl(place, "simpleenroll", request_of(d, own.key))
    case("est.brownfield.a_device_that_can_attest_has_to", refused(answer, "key-in-use"),
         str(answer))
    case("est.brownfield.one_key_one_device", refused(curl(place, "simpleenroll", read(place.path("old.p10"))), "key-in-use"))


def check_brownfield_ends(place, pki, operate, device):
    operate("brownfield", "off")
    _, p10 = pki.request("third")
    tls = ("--cert", place.path("new.pem"), "--key", place.path("new.key"))
    done = pki.est(p10, place.path("third.pem"), *tls)
    case("est.pki.switched_off_re_enrolment_is_refused", forbidden(done), str(done))
    operate("brownfield", "on")
    done = pki.est(p10, place.path("third.pem"), *tls)
    case("est.pki.switched_on_again_it_re_enrols", done[0] == 0, str(done))
    operate("device", "revoke", device, "--reason", "a test")
    _, p10 = pki.request("fourth")
    done = pki.est(p10, place.path("fourth.pem"), *tls)
    case("est.pki.revoked_it_does_not", done[0] != 0 and not os.path.exists(place.path("fourth.pem")), str(done))


# ---- order ----

def check_matrix(place, operate, d, pki):
    est_matrix.check_answers(place)
    est_matrix.check_versions(place, pki)
    est_matrix.check_refusals(place)
    est_matrix.check_nonces(place, d, slots(d)[0])
    der = csr_new(place, d)
    est_matrix.check_requests(place, d, der)
    est_matrix.check_labels(place, operate, der, csr_new(place, d))
    return est_matrix.check_template(place)


def with_server(s, top, devices):
    devices += [Device(top, "a"), Device(top, "b")]
    a, b = devices
    for name in ("issuercert.pem", "swtpm-localca-rootca-cert.pem"):
        shutil.copy(os.path.join(top, "maker", name), os.path.join(s.dir, "anchors", f"virtual-{name}"))
    if not case("est.server_starts", s.start(), s.stderr()):
        return
    place, operate = Place(s, top), Operator(s, top)
    check_wire(s)
    check_not_preapproved(place, operate, a)
    accept_release(operate, a, top)
    check_agent(place, a)
    check_curl_enrols(place, a)
    check_curl_renews(place, a)
    pki = Pki(place)
    missing = pki.missing()
    if missing:
        skip("est.pki", missing)
    curve = check_matrix(place, operate, a, None if missing else pki)
    est_evidence.check_evidence(place, operate, a, slots(a)[0])
    check_waiting(place, operate, b, None if missing else pki)
    check_one_for_another(place, a, b)
    check_withdrawn(place, operate, a)
    if not missing:
        check_brownfield_off(place, pki)
        check_brownfield_on(place, pki, operate)
        device = check_not_appraised(place, operate)
        check_brownfield_bounds(place, a)
        check_brownfield_ends(place, pki, operate, device)
        est_matrix.check_brownfield(place, pki, curve)


def main():
    for need_one in ("curl", "openssl", "swtpm", "swtpm_setup", "tpm2_create"):
        if not shutil.which(need_one):
            skip("est", f"{need_one} is not installed")
            return
    top = tempfile.mkdtemp(prefix="bpe", dir="/tmp")
    devices = []
    try:
        with Server() as s:
            s.init()
            with_server(s, top, devices)
    finally:
        for d in devices:
            if d.process:
                d.stop(signal.SIGKILL)
            run(f"{LIB}/swtpm.sh", "stop", d.dir)
        shutil.rmtree(top, ignore_errors=True)
    finish()


main()
