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
import socket
import ssl
import subprocess
import sys
import tempfile

import cbor2

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "e2e"))
from device import CLI, ENV, LIB, Device, Operator, accept_release, need, run  # noqa: E402
from server import Server, case, finish, until  # noqa: E402

EST = "/.well-known/est/"
ENGINES = os.path.abspath("build/dev/tests/interop")


def skip(name, why):
    print(f"skip {name}: {why}", flush=True)


def read(path):
    with open(path, "rb") as f:
        return f.read()


def write(path, data):
    with open(path, "wb" if isinstance(data, bytes) else "w") as f:
        f.write(data)
    return path


class Place:
    """Files of the test: the server's certificates as PEM, and settings of foreign programs."""

    def __init__(self, s, top):
        self.s, self.top = s, top
        for name in ("root", "issuing", "brownfield", "infra"):
            need("openssl", "x509", "-inform", "der", "-in", f"{s.dir}/certs/{name}.der", "-out", self.path(f"{name}.pem"))
        # strongSwan 5.9 reads no address ranges in name constraints, which our infrastructure CA has (critical).
        write(self.path("strongswan.conf"), "libstrongswan {\n x509 {\n enforce_critical = no\n }\n}\n")

    def path(self, name):
        return os.path.join(self.top, name)

    def url(self, what, listener="enrol"):
        return f"https://localhost:{self.s.ports[listener]}{EST}{what}"


# ---- keys that are in a TPM ----

class TpmKey:
    """A key of the agent's state folder, laid out for the engine."""

    def __init__(self, d, slot):
        kept = cbor2.loads(read(f"{d.state}/slot-{slot}.cbor"))
        blob = cbor2.loads(kept[6])
        self.d, self.generation = d, kept[4]
        self.key, self.cert = f"{d.dir}/slot-{slot}", f"{d.dir}/slot-{slot}.pem"
        for name, data in (("pub", blob[8]), ("priv", blob[9]), ("auth", kept[7])):
            write(f"{self.key}.{name}", data)
        if kept[8]:
            write(self.cert, ssl.DER_cert_to_PEM_cert(kept[8]))

    def tls(self):
        """What curl is told to be this device."""
        return "--engine", "tpmkey", "--key-type", "ENG", "--cert", self.cert, "--key", self.key


def with_tpm(d):
    return {**ENV, "OPENSSL_ENGINES": ENGINES, "TPM_ENGINE_TCTI": d.tcti}


def request_of(d, key):
    """A request (DER) that the TPM signs and none of our programs sees."""
    done = subprocess.run(["openssl", "req", "-new", "-sha256", "-subj", "/CN=anybody", "-outform", "der", "-engine", "tpmkey",
                           "-keyform", "engine", "-key", key], env=with_tpm(d), capture_output=True, check=False)
    if done.returncode != 0:
        raise RuntimeError(f"openssl req: {done.stderr.decode()}")
    return done.stdout


def stranger_in(d):
    """A key that the same TPM made and holds, but that no evidence ever named."""
    srk, key = f"{d.dir}/srk.ctx", f"{d.dir}/stranger"
    need("tpm2_createprimary", "-C", "o", "-G", "ecc256:aes128cfb", "-c", srk, "-a",
         "fixedtpm|fixedparent|sensitivedataorigin|userwithauth|noda|restricted|decrypt", "-T", d.tcti)
    need("tpm2_create", "-C", srk, "-G", "ecc256:ecdsa-sha256", "-u", f"{key}.pub", "-r", f"{key}.priv", "-a",
         "fixedtpm|fixedparent|sensitivedataorigin|userwithauth|noda|sign", "-T", d.tcti)
    need("tpm2_flushcontext", "-t", "-T", d.tcti)
    return request_of(d, key)


# ---- curl ----

class Answer:
    def __init__(self, text):
        head, _, body = text.partition(b"\r\n\r\n")
        lines = head.decode().split("\r\n")
        self.status = int(lines[0].split()[1]) if lines[0].startswith("HTTP/") else 0
        self.headers = {k.lower(): v.strip() for k, v in (line.split(":", 1) for line in lines[1:])}
        self.head, self.body = head, body

    def __str__(self):
        return f"{self.status} {self.headers} {self.body[:300]!r}"

    def certificate(self, to):
        """The certificate of a 200, written as PEM. None: there is none."""
        if self.status != 200:
            return None
        cms = base64.b64decode(self.body)
        made = subprocess.run(["openssl", "pkcs7", "-inform", "der", "-print_certs"], input=cms, capture_output=True, check=False)
        text = made.stdout.decode()
        return write(to, text) if text.count("BEGIN CERTIFICATE") == 1 else None


def curl(place, what, der, *more, d=None, listener="enrol"):
    body = write(place.path("body"), base64.b64encode(der))
    done = subprocess.run(["curl", "-s", "-i", "--http1.1", "--max-time", "20", "--cacert", place.path("root.pem"), "-H",
                           "Content-Type: application/pkcs10", "--data-binary", f"@{body}", *more, place.url(what, listener)],
                          env=with_tpm(d) if d else ENV, capture_output=True, check=False)
    return Answer(done.stdout) if done.returncode == 0 else Answer(b"no answer: curl %d\r\n\r\n" % done.returncode)


def refused(answer, code, status=403):
    return answer.status == status and f'"code":"{code}"' in answer.body.decode().replace(" ", "")


def same_key(cert, der):
    of_cert = need("openssl", "x509", "-in", cert, "-noout", "-pubkey")
    of_request = subprocess.run(["openssl", "req", "-inform", "der", "-noout", "-pubkey"], input=der, capture_output=True,
                                check=True).stdout.decode().strip()
    return of_cert == of_request


def serial(cert):
    return need("openssl", "x509", "-in", cert, "-noout", "-serial")


# ---- the listener as bytes ----

def wire(s, request, tls12=True):
    """The answer's bytes, and the protocol it came over."""
    context = s.tls()
    context.maximum_version = ssl.TLSVersion.TLSv1_2 if tls12 else ssl.TLSVersion.TLSv1_3
    with socket.create_connection(("127.0.0.1", s.ports["enrol"]), timeout=10) as plain:
        with context.wrap_socket(plain, server_hostname="localhost") as t:
            t.sendall(request)
            text = b""
            while True:
                piece = t.recv(65536)
                if not piece:
                    return text, t.version()
                text += piece


def check_form(name, text):
    a = Answer(text)
    case(f"est.{name}.header_below_1024_bytes", len(a.head) + 4 < 1024, str(len(a.head)))
    case(f"est.{name}.says_its_length", a.headers.get("content-length") == str(len(a.body)) and
         "transfer-encoding" not in a.headers, str(a))
    case(f"est.{name}.type", a.headers.get("content-type") == "application/pkcs7-mime; smime-type=certs-only", str(a))
    case(f"est.{name}.one_line_of_base64_and_lf", re.fullmatch(rb"[A-Za-z0-9+/]+={0,2}\n", a.body) is not None, str(a))


def check_wire(s):
    ask = b"GET " + EST.encode() + b"cacerts HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
    text, version = wire(s, ask)
    case("est.speaks_tls_1_2", version == "TLSv1.2", version)
    case("est.speaks_tls_1_3", wire(s, ask, tls12=False)[1] == "TLSv1.3")
    check_form("cacerts", text)


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


def check_waiting(place, operate, d):
    code, _, err = d.enroll(place.s, "--wait", "0")
    case("est.agent.waits_for_approval", code == 1 and "waits for approval" in err, f"{code} {err}")
    der = request_of(d, TpmKey(d, "a").key)
    answer = curl(place, "simpleenroll", der)
    case("est.curl.waits_for_approval", answer.status == 202, str(answer))
    case("est.curl.is_told_when_to_ask_again", re.fullmatch(r"[1-9][0-9]*", answer.headers.get("retry-after", "")), str(answer))
    operate("device", "approve", d.status()["device"], "--zone", "north")
    answer = curl(place, "simpleenroll", der)
    case("est.curl.approval_alone_does_not_vouch", refused(answer, "not-preapproved"), str(answer))
    code, _, err = d.enroll(place.s)
    case("est.agent.enrols_then", code == 0, f"{code} {err}")


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

class Pki:
    """strongSwan's pki."""

    def __init__(self, place):
        self.place = place
        self.env = {**ENV, "STRONGSWAN_CONF": place.path("strongswan.conf")}

    def missing(self):
        """Why it cannot be used here, or nothing."""
        if not shutil.which("pki"):
            return "strongSwan's pki is not installed"
        made = self("--gen", "--type", "ecdsa", "--size", "256")[0] == 0
        return "" if made else "strongSwan makes no EC keys: libstrongswan-standard-plugins is not installed"

    def __call__(self, *words, to=None):
        done = subprocess.run(["pki", *words], env=self.env, cwd=self.place.top, capture_output=True, check=False, timeout=60)
        if to and done.returncode == 0:
            write(to, done.stdout)
        return done.returncode, done.stderr.decode(errors="replace")

    def request(self, name):
        key, p10 = self.place.path(f"{name}.key"), self.place.path(f"{name}.p10")
        self("--gen", "--type", "ecdsa", "--size", "256", "--outform", "pem", to=key)
        self("--req", "--in", key, "--type", "priv", "--dn", f"O=Acme, CN={name}", "--digest", "sha256", to=p10)
        return key, p10

    def est(self, p10, to, *more):
        """Exit code and what it said; the certificate is in `to` when there is one."""
        return self("--est", "--url", f"https://localhost:{self.place.s.ports['enrol']}", "--in", p10, "--cacert",
                    self.place.path("root.pem"), "--cacert", self.place.path("brownfield.pem"), "--outform", "pem", *more, to=to)

    def estca(self, name):
        code, err = self("--estca", "--url", f"https://localhost:{self.place.s.ports['enrol']}", "--cacert",
                         self.place.path("root.pem"), "--caout", name, "--outform", "pem", "--force")
        made = [self.place.path(n) for n in os.listdir(self.place.top) if n.startswith(name) and n.endswith(".pem")]
        return code, err, sorted(need("openssl", "x509", "-in", n, "-noout", "-fingerprint", "-sha256") for n in made)


def fingerprints(place, *names):
    return sorted(need("openssl", "x509", "-in", place.path(f"{n}.pem"), "-noout", "-fingerprint", "-sha256") for n in names)


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
    check_waiting(place, operate, b)
    check_one_for_another(place, a, b)
    check_withdrawn(place, operate, a)
    pki = Pki(place)
    missing = pki.missing()
    if missing:
        skip("est.pki", missing)
    else:
        check_brownfield_off(place, pki)
        check_brownfield_on(place, pki, operate)
        device = check_not_appraised(place, operate)
        check_brownfield_bounds(place, a)
        check_brownfield_ends(place, pki, operate, device)


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
