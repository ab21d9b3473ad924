# SPDX-License-Identifier: Apache-2.0
"""One request of an ordinary EST client that attests and gets the certificate: the nonce by curl, statements of the TPM by
tpm2-tools, the attribute by openssl asn1parse, the signature by openssl, and the request by curl (enrol listener) or openssl
s_client, which tells the exporter of its connection (device listener). Only the attestation key is the one that our agent
enrolled. Formats are written from docs/protocol/evidence.md and draft-ietf-lamps-csr-attestation-28."""
import base64
import hashlib
import json
import os
import re
import struct
import subprocess
import sys

import cbor2

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "e2e"))
from device import need  # noqa: E402
from server import case  # noqa: E402
from est_clients import EST, Answer, curl, read, refused, request_of, same_key, with_tpm, write  # noqa: E402
from est_matrix import get  # noqa: E402

QUOTED = [*range(12), 14]
AK_AT = "0x81010020"
MEDIA = "application/vnd.bedplate."


def sha(*parts):
    return hashlib.sha256(b"".join(parts)).digest()


def enc(v):
    return cbor2.dumps(v, canonical=True)


def der(tag, *parts):
    body = b"".join(parts)
    n = len(body)
    size = bytes([n]) if n < 128 else bytes([0x80 + (n.bit_length() + 7) // 8]) + n.to_bytes((n.bit_length() + 7) // 8, "big")
    return bytes([tag]) + size + body


class Attester:
    """The device's TPM by tpm2-tools. Its attestation key lies at a handle of its own, as do the keys that are made here."""

    def __init__(self, d):
        self.d, self.made = d, 0
        kept = cbor2.loads(read(f"{d.state}/device.cbor"))
        blob = cbor2.loads(kept[12])
        self.id, self.auth = kept[10], kept[13]
        write(self.path("ak.pub"), blob[8])
        write(self.path("ak.priv"), blob[9])
        parent = {1: "rsa", 2: "ecc"}[kept[11]]
        self.tool("tpm2_createek", "-G", parent, "-c", self.path("ek.ctx"))
        self.tool("tpm2_startauthsession", "--policy-session", "-S", self.path("session"), flush=False)
        self.tool("tpm2_policysecret", "-S", self.path("session"), "-c", "e", flush=False)
        self.tool("tpm2_load", "-C", self.path("ek.ctx"), "-P", f"session:{self.path('session')}", "-u", self.path("ak.pub"), "-r",
                  self.path("ak.priv"), "-c", self.path("ak.ctx"), flush=False)
        self.tool("tpm2_flushcontext", self.path("session"))
        self.tool("tpm2_evictcontrol", "-C", "o", "-c", self.path("ak.ctx"), AK_AT)

    def path(self, name):
        return os.path.join(self.d.dir, f"attester-{name}")

    def tool(self, *words, flush=True):
        need(*words, "-T", self.d.tcti)
        if flush:
            need("tpm2_flushcontext", "-t", "-T", self.d.tcti)

    def new_key(self):
        """(path for the engine, TPM2B_PUBLIC, handle) of a key that the TPM made and keeps."""
        self.made += 1
        key, handle = self.path(f"key-{self.made}"), 0x81010030 + self.made
        self.tool("tpm2_createprimary", "-C", "o", "-G", "ecc256:aes128cfb", "-c", self.path("srk.ctx"), "-a",
                  "fixedtpm|fixedparent|sensitivedataorigin|userwithauth|noda|restricted|decrypt")
        self.tool("tpm2_create", "-C", self.path("srk.ctx"), "-G", "ecc256:ecdsa-sha256", "-u", f"{key}.pub", "-r", f"{key}.priv", "-a",
                  "fixedtpm|fixedparent|sensitivedataorigin|userwithauth|noda|sign")
        self.tool("tpm2_load", "-C", self.path("srk.ctx"), "-u", f"{key}.pub", "-r", f"{key}.priv", "-c", f"{key}.ctx", flush=False)
        self.tool("tpm2_evictcontrol", "-C", "o", "-c", f"{key}.ctx", hex(handle))
        return key, read(f"{key}.pub"), handle

    def certify(self, handle, qualifying):
        """TPM2_Certify as bytes, since tpm2_certify takes no qualifying data: (TPMS_ATTEST, TPMT_SIGNATURE)."""
        password = struct.pack(">IHB", 0x40000009, 0, 0)
        auths = password + struct.pack(">H", 0) + password + struct.pack(">H", len(self.auth)) + self.auth
        body = struct.pack(">III", handle, int(AK_AT, 16), len(auths)) + auths + struct.pack(">H", 32) + qualifying + b"\0\x10"
        write(self.path("command"), struct.pack(">HII", 0x8002, 10 + len(body), 0x148) + body)
        need("tpm2_send", "-T", self.d.tcti, "-o", self.path("response"), self.path("command"))
        answer = read(self.path("response"))
        code, size = struct.unpack(">II", answer[6:14])
        if code != 0:
            raise RuntimeError(f"TPM2_Certify: 0x{code:x}")
        body = answer[14:14 + size]
        n = struct.unpack(">H", body[:2])[0]
        return body[2:2 + n], body[2 + n:]

    def evidence(self, nonce, seq, issued_ms, ldevid, pub, handle, binding=bytes(32)):
        log, ima = read(f"{self.d.dir}/boot.log"), read(f"{self.d.dir}/ima.log")
        self.tool("tpm2_pcrread", "sha256:" + ",".join(map(str, QUOTED)), "-o", self.path("pcrs"))
        raw = read(self.path("pcrs"))
        about = {1: "about", 2: 1, 3: 0, 4: self.id, 5: seq, 6: issued_ms, 7: ldevid, 8: [], 9: "tpm2-tools"}
        statement = self.certify(handle, sha(b"bedplate-key-v1", nonce, self.id))
        members = {"about": [MEDIA + "about+cbor", enc(about)], "boot": [MEDIA + "tcg-log", log],
                   "ima": [MEDIA + "ima+cbor", enc([0, ima])], "keys": [MEDIA + "keys+cbor", enc([[pub, *statement]])],
                   "pcrs": [MEDIA + "pcrs+cbor", enc([raw[i:i + 32] for i in range(0, len(raw), 32)])]}
        extra = sha(b"bedplate-quote-v1", nonce, self.id, ldevid, binding, sha(enc(members)))
        self.tool("tpm2_quote", "-c", AK_AT, "-p", f"hex:{self.auth.hex()}", "-l", "sha256:" + ",".join(map(str, QUOTED)), "-q",
                  extra.hex(), "-g", "sha256", "-m", self.path("quote"), "-s", self.path("signature"))
        quote = [read(self.path("quote")), read(self.path("signature"))]
        return enc({**members, "quote": [MEDIA + "quote+cbor", enc(quote)]})


def attribute(place, evidence, times=1):
    """The attestation attribute, by openssl's own writer of ASN.1."""
    conf = write(place.path("attribute.conf"), f"""asn1=SEQUENCE:attribute
[attribute]
type=OID:1.2.840.113549.1.9.16.2.59
values=SET:values
[values]
bundle=SEQUENCE:bundle
[bundle]
attestations=SEQUENCE:attestations
[attestations]
one=SEQUENCE:statement
[statement]
type=OID:1.3.6.1.4.1.32473.1.3.1
stmt=FORMAT:HEX,OCTETSTRING:{evidence.hex()}
""")
    need("openssl", "asn1parse", "-genconf", conf, "-noout", "-out", place.path("attribute.der"))
    return read(place.path("attribute.der")) * times


def request(place, d, key, attributes):
    """A request with these attributes that the TPM signs for openssl; openssl reads it back."""
    plain = write(place.path("plain.der"), request_of(d, key))
    need("openssl", "req", "-inform", "der", "-in", plain, "-noout", "-pubkey", "-out", place.path("plain.pub"))
    need("openssl", "pkey", "-pubin", "-in", place.path("plain.pub"), "-outform", "der", "-out", place.path("plain.spki"))
    info = der(0x30, b"\2\1\0", der(0x30), read(place.path("plain.spki")), der(0xa0, attributes))
    done = subprocess.run(["openssl", "dgst", "-sha256", "-engine", "tpmkey", "-keyform", "engine", "-sign", key],
                          input=info, env=with_tpm(d), capture_output=True, check=False)
    if done.returncode != 0:
        raise RuntimeError(f"openssl dgst: {done.stderr.decode()}")
    out = der(0x30, info, bytes.fromhex("300a06082a8648ce3d040302"), der(3, b"\0", done.stdout))
    need("openssl", "req", "-inform", "der", "-in", write(place.path("attested.der"), out), "-verify", "-noout")
    return out


def spki_hash(cert):
    done = subprocess.run(f"openssl x509 -in {cert} -noout -pubkey | openssl pkey -pubin -outform der", shell=True,
                          capture_output=True, check=True)
    return sha(done.stdout)


def fresh(place, own, d, listener):
    """(nonce, seq, issued_ms) of the nonce endpoint."""
    answer = get(place, "nonce", *own.tls(), d=d, listener=listener)
    v = json.loads(answer.body)
    return base64.urlsafe_b64decode(v["nonce"] + "="), v["respInfo"]["seq"], v["respInfo"]["issued_ms"]


def newest(operate):
    """Number of the newest verdict in the log."""
    return json.loads(operate("event", "ls", "--type", "verdict", "--limit", "1"))["events"][0]["number"]


class SClient:
    """openssl s_client at the device listener: a connection whose exporter it tells, and then one request over it."""

    def __init__(self, place, own, d):
        self.process = subprocess.Popen(
            ["openssl", "s_client", "-connect", f"localhost:{place.s.ports['device']}", "-servername", "localhost", "-CAfile",
             place.path("root.pem"), "-verify_return_error", "-tls1_3", "-cert", own.cert, "-engine", "tpmkey", "-keyform", "engine",
             "-key", own.key, "-keymatexport", "EXPORTER-bedplate-attest", "-keymatexportlen", "32", "-nocommands", "-ign_eof"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=with_tpm(d))
        self.exporter = b""
        for line in self.process.stdout:
            found = re.search(rb"Keying material: ([0-9A-F]{64})", line)
            if found:
                self.exporter = bytes.fromhex(found.group(1).decode())
                break

    def post(self, what, der_):
        body = base64.b64encode(der_)
        self.process.stdin.write((f"POST {EST}{what} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Type: "
                                  f"application/pkcs10\r\nContent-Length: {len(body)}\r\n\r\n").encode() + body)
        self.process.stdin.flush()
        text = self.process.stdout.read()
        self.process.wait(60)
        at = text.find(b"HTTP/1.1 ")
        answer = Answer(text[at:])
        answer.body = answer.body[:int(answer.headers.get("content-length", "0"))]
        return answer


def check_evidence(place, operate, d, own):
    """own: the device's key and certificate in use."""
    a = Attester(d)
    ldevid = spki_hash(own.cert)
    verdicts = newest(operate)
    key, pub, handle = a.new_key()
    nonce, seq, issued = fresh(place, own, d, "enrol")
    evidence = a.evidence(nonce, seq, issued, ldevid, pub, handle)
    whole = request(place, d, key, attribute(place, evidence))
    other = a.new_key()[0]
    tls = (*own.tls(), "--tls-max", "1.2")
    for name, attested, code in (("of_another_key", request(place, d, other, attribute(place, evidence)), "attestation-refused"),
                                 ("twice", request(place, d, key, attribute(place, evidence, 2)), "attestation-refused"),
                                 ("cut", request(place, d, key, attribute(place, evidence[:-1])), "malformed")):
        answer = curl(place, "simplereenroll", attested, *tls, d=d)
        case(f"est.evidence.{name}_is_refused", refused(answer, code, 400), str(answer))
    answer = curl(place, "simpleenroll", whole)
    case("est.evidence.without_the_devices_certificate_is_refused", refused(answer, "wrong-issuer"), str(answer))
    now = newest(operate)
    case("est.evidence.what_was_refused_left_no_verdict", now == verdicts, f"{verdicts} {now}")
    nonce, seq, issued = fresh(place, own, d, "enrol")
    whole = request(place, d, key, attribute(place, a.evidence(nonce, seq, issued, ldevid, pub, handle)))
    answer = curl(place, "simplereenroll", whole, *tls, d=d)
    cert = answer.certificate(place.path("attested.pem"))
    case("est.evidence.curl_attests_and_renews_in_one_request", cert and same_key(cert, whole), str(answer))
    now = newest(operate)
    case("est.evidence.it_is_a_verdict_like_any_other", now != verdicts, f"{verdicts} {now}")
    answer = curl(place, "simplereenroll", whole, *tls, d=d)
    case("est.evidence.the_same_again_is_refused", refused(answer, "replayed", 409), str(answer))
    check_bound(place, a, own, ldevid)


def check_bound(place, a, own, ldevid):
    """At the device listener evidence is bound to the connection that it comes over."""
    key, pub, handle = a.new_key()
    nonce, seq, issued = fresh(place, own, a.d, "device")
    unbound = request(place, a.d, key, attribute(place, a.evidence(nonce, seq, issued, ldevid, pub, handle)))
    answer = curl(place, "simplereenroll", unbound, *own.tls(), d=a.d, listener="device")
    case("est.evidence.bound_to_no_connection_is_refused", refused(answer, "evidence-refused", 400), str(answer))
    connection = SClient(place, own, a.d)
    case("est.evidence.s_client_tells_its_exporter", len(connection.exporter) == 32)
    nonce, seq, issued = fresh(place, own, a.d, "device")
    bound = request(place, a.d, key, attribute(place, a.evidence(nonce, seq, issued, ldevid, pub, handle, connection.exporter)))
    answer = curl(place, "simplereenroll", bound, *own.tls(), d=a.d, listener="device")
    case("est.evidence.bound_to_another_connection_is_refused", refused(answer, "evidence-refused", 400), str(answer))
    answer = connection.post("simplereenroll", bound)
    cert = answer.certificate(place.path("bound.pem"))
    case("est.evidence.s_client_attests_and_renews_in_one_request", cert and same_key(cert, bound), str(answer))
