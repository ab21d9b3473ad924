#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The roll-over drill: a fleet that attests without pause moves to a new issuing key of another algorithm. Certificates of
both count and are revoked by lists of both, until the old one is taken out by an explicit act, which refuses too early. The
root's key that signs the new one is in the hands of two by then."""
import base64
import hashlib
import os
import signal
import sqlite3
import subprocess

from server import BIN, Fleet, Server, case, finish, until

ROLLED, RETIRED = 138, 139
ES256, ES384 = "ecdsa-with-SHA256", "ecdsa-with-SHA384"


def ca(s, *words):
    done = subprocess.run([f"{BIN}/bedplated", "ca", *words, "--dir", s.dir], capture_output=True, text=True, check=False)
    return done.returncode, done.stdout + done.stderr


def openssl(*words, given=None):
    done = subprocess.run(["openssl", *words], input=given, capture_output=True, check=False)
    return done.returncode, done.stdout.decode(errors="replace") + done.stderr.decode(errors="replace")


def rows(s, text, *values):
    db = sqlite3.connect(f"file:{s.dir}/store/bedplate.db?mode=ro", uri=True)
    try:
        return db.execute(text, values).fetchall()
    finally:
        db.close()


def newest(s):
    return rows(s, "select der, serial from certificate order by rowid desc limit 1")[0]


def issuer_and_algorithm(der):
    text = openssl("x509", "-inform", "DER", "-noout", "-text", given=der)[1]
    lines = [line.strip() for line in text.splitlines()]
    name = next(line for line in lines if line.startswith("Issuer:"))
    return name, next(line for line in lines if line.startswith("Signature Algorithm:")).split()[-1]


def renewed(s, times):
    return until(30, lambda: s.stderr().count("has replaced every process that reads certificates") == times)


def pem(s, name):
    path = os.path.join(s.top, name + ".pem")
    openssl("x509", "-inform", "DER", "-in", f"{s.dir}/certs/{name}.der", "-out", path)
    return path


def status_of(s, label, by):
    """What openssl says over OCSP of the certificate in LABEL.pem, whose issuer was `by`."""
    both = os.path.join(s.top, f"ca-{by}.pem")
    if not os.path.exists(both):
        with open(both, "w", encoding="ascii") as f:
            for name in ("root", by):
                with open(pem(s, name), encoding="ascii") as part:
                    f.write(part.read())
    return openssl("ocsp", "-issuer", os.path.join(s.top, f"{by}.pem"), "-cert", os.path.join(s.top, f"{label}.pem"), "-CAfile", both,
                   "-url", f"http://localhost:{s.ports['status']}/ocsp")


def list_names(s, number, issuer, serial):
    """Whether the list of that number is the issuer's, and names the serial."""
    status, _, der = s.request("status", "GET", f"/crl/issuing-{number}.crl")
    path = os.path.join(s.top, f"{number}.crl")
    with open(path, "wb") as f:
        f.write(der)
    code, said = openssl("crl", "-inform", "DER", "-in", path, "-CAfile", pem(s, issuer), "-noout", "-text")
    return status == 200 and code == 0 and "verify OK" in said, serial.hex().upper() in said


def secret_file(s, name, text):
    path = os.path.join(s.top, name)
    with os.fdopen(os.open(path, os.O_CREAT | os.O_WRONLY, 0o600), "w") as f:
        f.write(text + "\n")
    return path


def digest_of(path):
    with open(path, "rb") as f:
        return hashlib.sha256(f.read()).hexdigest()


def ceremony(s, key, phrase):
    """The root's key goes into the hands of two; the words by which they open it."""
    first, second = secret_file(s, "first", "the part of the first holder"), secret_file(s, "second", "and that of the second")
    out, told = os.path.join(s.top, "root.two"), os.path.join(s.top, "transcript")
    code, said = ca(s, "root", "--root-key", key, "--passphrase-file", phrase, "--first", first, "--second", second, "--out", out,
                    "--transcript", told)
    case("ceremony.done", code == 0, said)
    code, said = ca(s, "transcript", "--transcript", told)
    steps = dict((line.split()[1], line.split()[2]) for line in said.splitlines()) if code == 0 else {}
    case("ceremony.transcript_tells_each_step", list(steps) == [
        "root-certificate", "key-as-it-came", "key-for-two-holders", "first-part-alone-refused", "second-part-alone-refused",
        "opens-with-both-parts"] and steps["root-certificate"] == "sha256:" + digest_of(f"{s.dir}/certs/root.der") and
        steps["key-for-two-holders"] == "sha256:" + digest_of(out), said)
    alone = ca(s, "rollover", "--root-key", out, "--passphrase-file", first)[0]
    both = ca(s, "rollover", "--root-key", out, "--first", first, "--second", phrase)[0]
    case("ceremony.one_holder_is_not_enough", alone == 1 and both == 1 and not os.path.exists(f"{s.dir}/certs/issuing-1.der"))
    with open(told, "rb") as f:
        data = bytearray(f.read())
    data[-1] ^= 1
    with open(told + ".changed", "wb") as f:
        f.write(data)
    case("ceremony.changed_transcript_is_refused", ca(s, "transcript", "--transcript", told + ".changed")[0] == 1)
    return "--root-key", out, "--first", second, "--second", first


def drill(s, fleet, phrase):
    case("rollover.joins_before", fleet.do("join 0").startswith("join 0 ok 2 active"), s.stderr()[-400:])
    fleet.do("join 1")
    old_der, old_serial = newest(s)
    case("rollover.issued_by_the_first", issuer_and_algorithm(old_der)[1] == ES256)
    # What is wrong changes nothing.
    key = os.path.join(s.dir, "root-key.pem")
    before = sorted(os.listdir(os.path.join(s.dir, "certs")))
    wrong = os.path.join(s.top, "wrong")
    with os.fdopen(os.open(wrong, os.O_CREAT | os.O_WRONLY, 0o600), "w") as f:
        f.write("A" * 26)
    case("rollover.wrong_passphrase", ca(s, "rollover", "--root-key", key, "--passphrase-file", wrong)[0] == 1)
    code, said = ca(s, "rollover", "--root-key", f"{s.dir}/recovery-key.pem", "--passphrase-file", phrase)
    case("rollover.not_the_roots_key", code == 1 and "not the key" in said, said)
    case("rollover.nothing_to_retire", ca(s, "retire")[0] == 1)
    case("rollover.refusals_change_nothing", sorted(os.listdir(os.path.join(s.dir, "certs"))) == before)
    # The drill, while gateways attest.
    fleet.do("work 0 2")
    two = ceremony(s, key, phrase)
    code, said = ca(s, "rollover", *two, "--algorithm", "p384", "--transcript", os.path.join(s.top, "used"))
    case("rollover.made", code == 0, said)
    code, said = ca(s, "transcript", "--transcript", os.path.join(s.top, "used"))
    case("ceremony.use_of_the_key_is_told", code == 0 and "issuing-certificate-signed sha256:" +
         digest_of(f"{s.dir}/certs/issuing-1.der") in said, said)
    os.kill(s.process.pid, signal.SIGHUP)
    case("rollover.processes_are_replaced", renewed(s, 1), s.stderr()[-600:])
    told = len(fleet.told)
    fleet.listen(20, lambda: len({line.split()[1] for line in fleet.told[told:] if line.startswith("acked")}) == 2)
    fleet.do("rest")
    case("rollover.fleet_attests_on", {line.split()[1] for line in fleet.told[told:] if line.startswith("acked")} == {"0", "1"},
         fleet.told[-4:])
    case("rollover.old_certificate_counts", until(20, lambda: fleet.do("attest 0").startswith("attest 0 ok 2 active")))
    line = fleet.do("join 2")
    new_der, new_serial = newest(s)
    name, algorithm = issuer_and_algorithm(new_der)
    case("rollover.joins_after", line.startswith("join 2 ok 2 active"), line)
    case("rollover.issued_by_the_new", algorithm == ES384 and "issuing 1" in name, (name, algorithm))
    case("rollover.told", [r[0] for r in rows(s, "select count(*) from event where type = ?", ROLLED)] == [1])
    # Both are shown, both verify, both have lists.
    status, _, body = s.request("enrol", "GET", "/.well-known/est/cacerts")
    shown = openssl("pkcs7", "-inform", "DER", "-print_certs", given=base64.b64decode(body))[1].replace(" = ", "=")
    case("rollover.cacerts_shows_both", status == 200 and "CN=Bedplate device issuing\n" in shown and
         "CN=Bedplate device issuing 1\n" in shown, shown[:400])
    for label, der, by in (("old", old_der, "issuing"), ("new", new_der, "issuing-1")):
        path = os.path.join(s.top, f"{label}.pem")
        openssl("x509", "-inform", "DER", "-out", path, given=der)
        code, said = openssl("verify", "-x509_strict", "-CAfile", pem(s, "root"), "-untrusted", pem(s, by), path)
        case(f"rollover.{label}_verifies", code == 0, said)
    for label, by in (("old", "issuing"), ("new", "issuing-1")):
        code, said = status_of(s, label, by)
        case(f"rollover.{label}_is_answered_for", code == 0 and f"{label}.pem: good" in said, said)
    from_cookie = revoke(s, fleet, 1)
    case("rollover.revoked", from_cookie)
    ok = until(20, lambda: list_names(s, 0, "issuing", old_serial) == (True, True))
    case("rollover.list_of_the_old_issuer", ok, list_names(s, 0, "issuing", old_serial))
    ok = until(20, lambda: list_names(s, 1, "issuing-1", old_serial) == (True, True))
    case("rollover.list_of_the_new_issuer", ok, list_names(s, 1, "issuing-1", old_serial))
    code, said = status_of(s, "old", "issuing")
    case("rollover.old_is_answered_revoked", code == 0 and "old.pem: revoked" in said, said)
    for number, name in ((0, "issuing"), (1, "issuing-1")):
        with open(f"{s.dir}/certs/{name}.der", "rb") as f:
            case(f"rollover.certificate_{number}_is_served", s.request("status", "GET", f"/ca/issuing-{number}.cer")[2] == f.read())
    name = openssl("x509", "-inform", "DER", "-noout", "-ext", "authorityInfoAccess", given=new_der)[1]
    case("rollover.certificates_name_their_own_issuer", "/ca/issuing-1.cer" in name, name)
    case("rollover.no_list_of_others", s.request("status", "GET", "/crl/issuing-2.crl")[0] == 404)
    case("rollover.revoked_is_off", " failed " in fleet.do("attest 1"))
    case("rollover.not_twice", ca(s, "rollover", "--root-key", key, "--passphrase-file", phrase)[0] == 1)
    # The end of the old one.
    code, said = ca(s, "retire")
    case("rollover.too_early_to_retire", code == 1 and "may still count" in said, said)
    s.stop()
    s.keep_ports()
    db = sqlite3.connect(f"{s.dir}/store/bedplate.db")
    # As if the week had passed; keys that answer for the old one are no reason to keep it.
    db.execute("update certificate set not_after_ms = 1 where serial <> ? and profile <> 'ocsp'", (new_serial,))
    db.commit()
    db.close()
    if os.geteuid() == 0:
        for f in os.listdir(f"{s.dir}/store"):
            os.chown(f"{s.dir}/store/{f}", 1880000004, 1880000005)
    code, said = ca(s, "retire")
    case("rollover.retired", code == 0, said)
    case("rollover.nothing_of_it_is_left", not os.path.exists(f"{s.dir}/keys/ca/issuing.pem") and
         not os.path.exists(f"{s.dir}/certs/issuing.der"))
    case("rollover.starts_again", s.start(), s.stderr()[-400:])
    fleet.use(s)
    case("rollover.new_certificate_counts", until(20, lambda: fleet.do("attest 2").startswith("attest 2 ok 2 active")))
    case("rollover.old_certificate_is_refused", " failed " in fleet.do("attest 0"))
    case("rollover.retirement_told", [r[0] for r in rows(s, "select count(*) from event where type = ?", RETIRED)] == [1])
    code, said = status_of(s, "old", "issuing")
    case("rollover.old_is_not_answered_for", "unauthorized" in said, said)
    case("rollover.old_list_is_gone", s.request("status", "GET", "/crl/issuing-0.crl")[0] == 404)


def revoke(s, fleet, i):
    """By an administrator, over the page's API."""
    import json
    status, headers, body = s.request("operate", "POST", "/api/v1/session", json.dumps({"code": s.facts["code"]}),
                                      {"Content-Type": "application/json"})
    if status not in (200, 201):
        return False
    name = fleet.do(f"id {i}").split()[2]
    answer = s.request("operate", "POST", f"/api/v1/devices/{name}/revoke", json.dumps({"reason": "drill"}),
                       {"Content-Type": "application/json", "Cookie": headers["Set-Cookie"].split(";")[0],
                        "X-Bedplate-Csrf": json.loads(body)["csrf"]})
    return answer[0] in (200, 204)


with Server(options=["--workers", "2"]) as server:
    server.init()
    secret = os.path.join(server.top, "phrase")
    with os.fdopen(os.open(secret, os.O_CREAT | os.O_WRONLY, 0o600), "w") as out:
        out.write(server.facts["passphrase"] + "\n")
    with Fleet(server, 3) as gateways:
        if case("rollover.server_starts", server.start(), server.stderr()):
            gateways.use(server)
            drill(server, gateways, secret)
            server.stop()
finish()
