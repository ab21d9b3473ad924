# SPDX-License-Identifier: Apache-2.0
"""Every habit of a client that a server can meet, for each client: the forms of requests and answers, versions of TLS, labels,
templates of requests, nonces, waiting. docs/protocol/device.md has the table."""
import base64
import json
import os
import re
import signal
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "e2e"))
from device import ENV, need, run  # noqa: E402
from server import case, until  # noqa: E402
from est_clients import (EST, Answer, Libest, Pki, certificates, check_form, curl, has_length, is_line, is_lines, lines,  # noqa: E402
                         openssl_filter, read, refused, same_key, wire, with_tpm, write)


def get(place, what, *more, d=None, listener="enrol"):
    """A GET, or with --data a POST, by curl."""
    done = subprocess.run(["curl", "-s", "-i", "--http1.1", "--max-time", "20", "--cacert", place.path("root.pem"), *more,
                           place.url(what, listener)], env=with_tpm(d) if d else ENV, capture_output=True, check=False)
    return Answer(done.stdout) if done.returncode == 0 else Answer(b"no answer: curl %d\r\n\r\n" % done.returncode)


def post(place, what, body, length=None):
    text, _ = wire(place.s, f"POST {EST}{what} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Type: "
                   f"application/pkcs10\r\nContent-Length: {length or len(body)}\r\n\r\n".encode() + body)
    return Answer(text)


# ---- the forms of answers ----

def check_answers(place):
    """One line for whoever reads one; lines for libest, which reads no more than 1,024 characters of one."""
    by_curl = get(place, "cacerts")
    case("est.matrix.curl.cacerts_is_one_line", by_curl.status == 200 and has_length(by_curl) and is_line(by_curl.body), str(by_curl))
    case("est.matrix.curl.reads_cacerts", certificates(base64.b64decode(by_curl.body)) == 2)
    case("est.matrix.libest.would_not_read_that_line", len(by_curl.body) > 1024 and
         certificates(openssl_filter(by_curl.body)) == 0 and openssl_filter(by_curl.body.rstrip(b"\n")) == b"")
    for client in (Libest(place), Libest(place, "Cisco EST client 1.0")):
        answer = client.ask("cacerts")
        name = client.name.split()[0].lower()
        case(f"est.matrix.{name}.cacerts_is_in_lines", answer.status == 200 and has_length(answer) and is_lines(answer.body), str(answer))
        case(f"est.matrix.{name}.reads_cacerts", certificates(openssl_filter(answer.body)) == 2, str(answer))
        answer = client.ask("csrattrs")
        case(f"est.matrix.{name}.reads_csrattrs", answer.status == 200 and
             openssl_filter(answer.body) == base64.b64decode(get(place, "csrattrs").body) != b"", str(answer))


def check_versions(place, pki):
    for version in ("1.2", "1.3"):
        answer = get(place, "cacerts", f"--tlsv{version}", "--tls-max", version)
        case(f"est.matrix.curl.tls_{version}", answer.status == 200, str(answer))
    if pki:
        newer = Pki(place, "strongswan-1.3.conf")
        for name, program in (("its_own_version", pki), ("tls_1.3", newer)):
            code, err, got = program.estca(f"cacerts-{name.replace('.', '-')}-")
            case(f"est.matrix.pki.{name}", code == 0 and len(got) == 2, f"{code} {got} {err[-400:]}")


# ---- the forms of requests ----

def check_requests(place, d, der):
    """A request in any form of base64 is read, and answered in the form that who sends such a one reads."""
    flat = base64.b64encode(der)
    forms = {"one_line": (flat, False), "one_line_and_lf": (flat + b"\n", True), "lines_of_64": (lines(der), True),
             "lines_of_76": (lines(der, 76), True), "lines_of_64_with_crlf": (lines(der, 64, b"\r\n"), True),
             "lines_of_76_with_crlf": (lines(der, 76, b"\r\n"), True), "no_end_at_the_last_line": (lines(der).rstrip(b"\n"), True),
             "one_line_and_crlf": (flat + b"\r\n", True)}
    cert = None
    for name, (body, in_lines) in forms.items():
        answer = post(place, "simpleenroll", body)
        cert = answer.certificate(f"{d.dir}/form.pem")
        case(f"est.matrix.request.{name}", cert and same_key(cert, der) and has_length(answer) and
             (is_lines if in_lines else is_line)(answer.body), str(answer))
    check_form("matrix.request.answer", post(place, "simpleenroll", flat))
    # Whoever tries without a password first, as libest does, has its answer at the first try: there is no password.
    answer = Libest(place).ask("simpleenroll", der)
    case("est.matrix.libest.enrols_at_the_first_try", answer.status == 200 and "www-authenticate" not in answer.headers and
         certificates(openssl_filter(answer.body)) == 1, str(answer))
    answer = curl(place, "simpleenroll", der, "-u", "somebody:something")
    case("est.matrix.curl.a_password_changes_nothing", answer.status == 200, str(answer))
    code, _, err = d.call("csr", "--install", cert or "/dev/null")
    case("est.matrix.agent.the_certificate_serves", code == 0 and d.call("attest")[0] == 0, f"{code} {err}")


def check_refusals(place):
    """Refusals too have a length and a small head, and none asks for a password."""
    wrong = base64.b64encode(b"\x30\x03\x02\x01\x00")
    for name, status, answer in (("bad_request", 400, post(place, "simpleenroll", wrong)),
                                 ("no_base64", 400, post(place, "simpleenroll", b"=*=")),
                                 ("no_such_address", 404, get(place, "north/nothing")),
                                 ("no_certificate", 403, get(place, "nonce")),
                                 ("method", 405, get(place, "simpleenroll")),
                                 ("too_large", 413, post(place, "simpleenroll", b"", length=600000))):
        case(f"est.matrix.refusal.{name}", answer.status == status and has_length(answer) and
             "www-authenticate" not in answer.headers, str(answer))


# ---- labels ----

def check_labels(place, operate, der, app):
    """der: of a device of zone north. app: of the same device, for an application."""
    case("est.matrix.curl.label_of_the_zone", curl(place, "north/simpleenroll", der).status == 200)
    for label in ("south", "nothing"):
        answer = curl(place, f"{label}/simpleenroll", der)
        case(f"est.matrix.curl.label_{label}_is_refused", refused(answer, "no-such-label", 404), str(answer))
    for client, ask in (("curl", lambda what: get(place, what)), ("libest", Libest(place).ask)):
        case(f"est.matrix.{client}.cacerts_under_a_label", certificates(openssl_filter(lines(base64.b64decode(ask("south/cacerts").body)))) == 2)
    operate("service", "add", "historian", "--profile", "app-client")
    answer = curl(place, "historian/simpleenroll", app)
    cert = answer.certificate(place.path("historian.pem"))
    names = run("openssl", "x509", "-in", cert, "-noout", "-ext", "subjectAltName")[1] if cert else ""
    case("est.matrix.curl.label_of_a_service", cert and same_key(cert, app) and ":historian" in names, f"{answer} {names}")
    answer = Libest(place).ask("historian/simpleenroll", app)
    case("est.matrix.libest.label_of_a_service", answer.status == 200 and certificates(openssl_filter(answer.body)) == 1, str(answer))


# ---- what a request should look like ----

def template(der):
    """[(depth, kind, value)] by openssl's own reader of ASN.1."""
    out = subprocess.run(["openssl", "asn1parse", "-inform", "der"], input=der, capture_output=True, check=True).stdout.decode()
    rows = re.findall(r"d=(\d+) .*?(?:cons|prim): (.*?) *(?::(.*))?$", out, re.M)
    return [(int(depth), kind.strip(), value) for depth, kind, value in rows]


def check_template(place):
    """csrattrs read by openssl asn1parse says which key to make; with it openssl makes a request that is taken."""
    rows = template(base64.b64decode(get(place, "csrattrs").body))
    case("est.matrix.csrattrs.is_the_template_of_rfc_9908", (2, "OBJECT", "1.2.840.113549.1.9.16.2.61") in rows and
         (4, "INTEGER", "00") in rows, str(rows))
    case("est.matrix.csrattrs.wants_no_subject_and_no_attributes", [r for r in rows if r[0] == 4] ==
         [(4, "INTEGER", "00"), (4, "cont [ 0 ]", ""), (4, "cont [ 1 ]", "")], str(rows))
    key = [value for depth, kind, value in rows if depth == 6 and kind == "OBJECT"]
    case("est.matrix.csrattrs.names_kind_and_curve", len(key) == 2 and key[0] == "id-ecPublicKey", str(rows))
    return key[1] if len(key) == 2 else ""


def request(place, name, *kind):
    key, p10 = place.path(f"{name}.key"), place.path(f"{name}.der")
    need("openssl", "genpkey", *kind, "-out", key)
    need("openssl", "req", "-new", "-sha256", "-key", key, "-subj", f"/CN={name}", "-outform", "der", "-out", p10)
    return key, read(p10)


def check_conforming(place, curve):
    """Brownfield is on: a request by the template is taken, others are not."""
    key, der = request(place, "by-template", "-algorithm", "EC", "-pkeyopt", f"ec_paramgen_curve:{curve}")
    answer = curl(place, "simpleenroll", der)
    cert = answer.certificate(place.path("by-template.pem"))
    case("est.matrix.curl.a_request_by_the_template_is_taken", cert and same_key(cert, der), str(answer))
    for name, kind in (("p384", ("-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-384")),
                       ("rsa", ("-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048"))):
        answer = curl(place, "simpleenroll", request(place, name, *kind)[1])
        case(f"est.matrix.curl.another_kind_is_refused_{name}", refused(answer, "bad-csr", 400), str(answer))
    return key, cert


def check_brownfield(place, pki, curve):
    """A device that cannot attest, by each client; libest renews over its certificate."""
    key, cert = check_conforming(place, curve)
    pem = write(place.path("both.pem"), read(cert) + read(key))
    _, der = request(place, "next", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256")
    answer = Libest(place).ask("simplereenroll", der, cert=pem)
    case("est.matrix.libest.renews", answer.status == 200 and is_lines(answer.body) and certificates(openssl_filter(answer.body)) == 1,
         str(answer))
    answer = Libest(place).ask("simplereenroll", der)
    case("est.matrix.libest.renews_nothing_without_a_certificate", refused(answer, "wrong-issuer"), str(answer))
    if pki:
        _, p10 = pki.request("password")
        done = pki.est(p10, place.path("password.pem"), "--userpass", "somebody:something")
        case("est.matrix.pki.a_password_changes_nothing", done[0] == 0, str(done))


# ---- nonces ----

def check_nonces(place, d, key):
    """The nonce of an attestation, over the certificate of the device."""
    for listener in ("enrol", "device"):
        answer = get(place, "nonce", *key.tls(), d=d, listener=listener)
        v = json.loads(answer.body) if answer.status == 200 else {}
        case(f"est.matrix.curl.nonce_at_{listener}", re.fullmatch(r"[A-Za-z0-9_-]{43}", v.get("nonce", "")) is not None and
             v["respInfo"]["seq"] > 0 and has_length(answer), str(answer))
    kind = ("-H", "Content-Type: application/est-attestation-freshness+json", "--data")
    ours = json.dumps({"len": 32, "type": "1.3.6.1.4.1.32473.1.3.1"})
    case("est.matrix.curl.nonce_asked_for", get(place, "north/nonce", *key.tls(), *kind, ours, d=d).status == 200)
    answer = get(place, "nonce", *key.tls(), *kind, json.dumps({"type": "1.2.3"}), d=d)
    case("est.matrix.curl.nonce_for_other_evidence_is_refused", refused(answer, "malformed", 400), str(answer))
    case("est.matrix.curl.nonce_without_a_certificate_is_refused", refused(get(place, "nonce"), "wrong-issuer"))


# ---- waiting ----

class Waiting:
    """pki asks again and again for a device that waits for approval; it is halted while an operator and the device act, so that
    the moment of its next asking is no matter."""

    def __init__(self, place, pki, der):
        self.to = place.path("waited.pem")
        self.process = pki.poll(write(place.path("waiting.p10"), der), self.to)
        asleep = until(60, lambda: "going to sleep" in self.said() or self.process.poll() is not None)
        self.process.send_signal(signal.SIGSTOP)
        case("est.matrix.pki.is_told_to_wait_ten_seconds", asleep and "polling every 10 seconds" in self.said(), self.said())

    def said(self):
        return read(f"{self.to}.said").decode(errors="replace")

    def go_on(self):
        self.process.send_signal(signal.SIGCONT)
        code = self.process.wait(120)
        # By then the agent has the certificate for this key, and a first one is not given twice.
        again = self.said().count("negotiated TLS") == 2 and "EST request failed: HTTP 403" in self.said()
        case("est.matrix.pki.asks_again_and_takes_the_answer", code != 0 and again, f"{code} {self.said()}")
