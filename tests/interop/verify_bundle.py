#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""verify_bundle.py - checks a bundle (docs/protocol/bundle.md) with python3-cryptography, python3-cbor2 and hashlib; none
of our code.

usage: verify_bundle.py FILE... --anchor sha256:HEX [--tiles DIR]
       --tiles DIR  the log's tiles (C2SP tlog-tiles): the head is computed from them as well

Prints "FILE: good" or "FILE: REASON" for each; exit 0 when all are good, 1 when one is not. It checks everything that a
signature or a digest covers; it does not appraise.
"""
import base64
import hashlib
import io
import os
import re
import sys

import cbor2
from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa, utils

STATEMENT = "1.3.6.1.4.1.32473.1.2."
PCRS = 0x004FFF


class Bad(Exception):
    pass


def need(good, reason):
    if not good:
        raise Bad(reason)


def sha(data):
    return hashlib.sha256(data).digest()


def load(data, reason):
    """One deterministic item and nothing behind it."""
    stream = io.BytesIO(data)
    value = cbor2.CBORDecoder(stream).decode()
    need(stream.read(1) == b"" and cbor2.dumps(value, canonical=True) == data, reason)
    return value


def ecdsa(key, der, data, algorithm=hashes.SHA256):
    try:
        key.verify(der, data, ec.ECDSA(algorithm()))
        return True
    except InvalidSignature:
        return False


def spki(key):
    return key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)


# --- chain ---

def is_signed(cert, issuer):
    if cert.issuer != issuer.subject:
        return False
    # The two statements of the algorithm are one (RFC 5280, 4.1.1.2), and the signature has no unused bits.
    whole = cert.public_bytes(serialization.Encoding.DER)
    algorithm = {"1.2.840.10045.4.3.2": b"\x30\x0a\x06\x08\x2a\x86\x48\xce\x3d\x04\x03\x02",
                 "1.2.840.10045.4.3.3": b"\x30\x0a\x06\x08\x2a\x86\x48\xce\x3d\x04\x03\x03"}.get(
                     cert.signature_algorithm_oid.dotted_string)
    rest = cert.tbs_certificate_bytes + (algorithm or b"?")
    tail = len(cert.signature) + 1
    bits = b"\x03" + (bytes([tail]) if tail < 128 else b"\x81" + bytes([tail])) + b"\x00" + cert.signature
    n = len(rest) + len(bits)
    head = b"\x30\x82" + n.to_bytes(2, "big") if n > 255 else b"\x30\x81" + bytes([n])
    if algorithm is None or head + rest + bits != whole or cert.tbs_certificate_bytes.count(algorithm) < 1:
        return False
    return ecdsa(issuer.public_key(), cert.signature, cert.tbs_certificate_bytes, type(cert.signature_hash_algorithm))


def check_chain(ders, anchor):
    need(len(ders) == 4, "form-chain: four certificates are meant")
    need(sha(ders[3]) == anchor, "chain-anchor: the root is not the anchor")
    certs = [x509.load_der_x509_certificate(d) for d in ders]
    for cert, der in zip(certs, ders):
        need(cert.public_bytes(serialization.Encoding.DER) == der, "chain-form: not DER")
    root = certs[3]
    need(is_signed(root, root), "chain-signature: the root is not signed by itself")
    basic = root.extensions.get_extension_for_class(x509.BasicConstraints).value
    need(basic.ca and root.extensions.get_extension_for_class(x509.KeyUsage).value.key_cert_sign, "chain-profile: root")
    for n, cert in enumerate(certs[:3], 1):
        need(is_signed(cert, root), "chain-signature: a certificate is not signed by the root")
        usages = [u.dotted_string for u in cert.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value]
        need(usages == [STATEMENT + str(n)], "chain-role: another role")
        names = [e.oid for e in cert.extensions]
        need(x509.ExtensionOID.BASIC_CONSTRAINTS not in names, "chain-profile: an authority")
    return certs


def check_times(certs, time_ms):
    import datetime
    at = datetime.datetime(1970, 1, 1) + datetime.timedelta(milliseconds=time_ms)
    need(all(c.not_valid_before <= at <= c.not_valid_after for c in certs), "chain-time: not valid at the verdict's time")


# --- log ---

def check_head(text, key):
    body, _, tail = text.rpartition("\n\n")
    need(body and tail.endswith("\n") and tail.count("\n") == 1, "head-form: one signature is meant")
    signed = body + "\n"
    lines = body.split("\n")
    need(len(lines) >= 3 and all(lines) and re.fullmatch("0|[1-9][0-9]*", lines[1]), "head-form: not a checkpoint")
    match = re.fullmatch("\u2014 ([^ ]+) ([A-Za-z0-9+/=]+)\n", tail)
    need(match and match.group(1) == lines[0], "head-form: signed by another name")
    raw = base64.b64decode(match.group(2), validate=True)
    need(base64.b64encode(raw).decode() == match.group(2), "head-form: base64")
    root = base64.b64decode(lines[2], validate=True)
    need(len(root) == 32 and base64.b64encode(root).decode() == lines[2], "head-form: root")
    need(raw[:4] == sha(spki(key))[:4] and ecdsa(key, raw[4:], signed.encode()), "head-signature: not by the log's key")
    return int(lines[1]), root


def node(left, right):
    return sha(b"\x01" + left + right)


def root_by_proof(index, size, leaf, proof):
    """RFC 9162, 2.1.3.2."""
    need(index < size, "inclusion")
    fn, sn, r = index, size - 1, leaf
    for p in proof:
        need(sn != 0, "inclusion: the proof is too long")
        if fn & 1 or fn == sn:
            r = node(p, r)
            while not fn & 1 and fn != 0:
                fn, sn = fn >> 1, sn >> 1
        else:
            r = node(r, p)
        fn, sn = fn >> 1, sn >> 1
    need(sn == 0, "inclusion: the proof is too short")
    return r


def root_of(leaves):
    """RFC 9162, 2.1.1."""
    if len(leaves) == 1:
        return leaves[0]
    k = 1 << (len(leaves) - 1).bit_length() - 1
    return node(root_of(leaves[:k]), root_of(leaves[k:]))


def read_tiles(folder, size):
    leaves = []
    for n in range((size + 255) // 256):
        width = min(256, size - n * 256)
        name = "/".join(("x" if i else "") + part for i, part in
                        reversed(list(enumerate(reversed(re.findall("...", f"{n:03d}".zfill(-(-len(f"{n:03d}") // 3) * 3)))))))
        path = os.path.join(folder, "tile", "0", name)
        if width < 256 and not os.path.exists(path):
            # A partial tile: this width, or a later, longer one.
            widths = sorted(int(w) for w in os.listdir(path + ".p") if int(w) >= width)
            need(widths, f"tiles: none of width {width}")
            path = os.path.join(path + ".p", str(widths[0]))
        data = open(path, "rb").read()
        leaves += [data[i:i + 32] for i in range(0, width * 32, 32)]
    need(len(leaves) == size and all(len(leaf) == 32 for leaf in leaves), "tiles: too short")
    return leaves


# --- objects ---

def sign1(data, key, content, name):
    tag = load(data, f"{name}-form")
    need(isinstance(tag, cbor2.CBORTag) and tag.tag == 18 and len(tag.value) == 4, f"{name}-form")
    protected, unprotected, payload, signature = tag.value
    header = load(protected, f"{name}-form")
    need(unprotected == {} and header == {1: -7, 3: content, 4: sha(spki(key))}, f"{name}-signature: header")
    need(len(signature) == 64, f"{name}-signature: size")
    der = utils.encode_dss_signature(int.from_bytes(signature[:32], "big"), int.from_bytes(signature[32:], "big"))
    need(ecdsa(key, der, cbor2.dumps(["Signature1", protected, b"", payload])), f"{name}-signature")
    return load(payload, f"{name}-form")


class Reader:
    def __init__(self, data):
        self.data, self.at = data, 0

    def take(self, n):
        need(self.at + n <= len(self.data), "quote-form: cut")
        self.at += n
        return self.data[self.at - n:self.at]

    def number(self, n):
        return int.from_bytes(self.take(n), "big")

    def sized(self):
        return self.take(self.number(2))

    def end(self):
        need(self.at == len(self.data), "quote-form: bytes left over")


def tpm_public(data):
    """The key and the name of a TPM2B_PUBLIC (TPM 2.0 Part 2, 12.2.4)."""
    r = Reader(data)
    need(r.number(2) == len(data) - 2, "binding-key: size")
    kind, name_alg = r.number(2), r.number(2)
    r.take(4)
    r.sized()
    need(name_alg == 0x000B and r.number(2) == 0x0010, "binding-key: form")
    if r.number(2) != 0x0010:
        r.take(2)
    if kind == 0x0023:
        curve = {3: ec.SECP256R1(), 4: ec.SECP384R1()}[r.number(2)]
        if r.number(2) != 0x0010:
            r.take(2)
        x, y = r.sized(), r.sized()
        key = ec.EllipticCurvePublicNumbers(int.from_bytes(x, "big"), int.from_bytes(y, "big"), curve).public_key()
    else:
        need(kind == 0x0001, "binding-key: kind")
        r.take(2)
        exponent = r.number(4) or 65537
        key = rsa.RSAPublicNumbers(exponent, int.from_bytes(r.sized(), "big")).public_key()
    r.end()
    return key, b"\x00\x0b" + sha(data[2:])


def check_quote(attest, signature, key, extra, names):
    r = Reader(signature)
    scheme, algorithm = r.number(2), {0x0B: hashes.SHA256, 0x0C: hashes.SHA384}[r.number(2)]
    if scheme == 0x0018:
        der = utils.encode_dss_signature(int.from_bytes(r.sized(), "big"), int.from_bytes(r.sized(), "big"))
        r.end()
        need(ecdsa(key, der, attest, algorithm), "quote-signature")
    else:
        need(scheme == 0x0014, "quote-signature: scheme")
        raw = r.sized()
        r.end()
        key.verify(raw, attest, padding.PKCS1v15(), algorithm())
    r = Reader(attest)
    need(r.take(6) == b"\xffTCG\x80\x18", "quote-form: not a quote")
    need(r.sized() in names, "quote-parent: not a child of the endorsement key")
    need(r.sized() == extra, "quote-extra-data")
    r.take(17 + 8)
    need(r.number(4) == 1 and r.number(2) == 0x000B, "quote-selection")
    need(int.from_bytes(r.take(r.number(1)), "little") == PCRS, "quote-selection")
    r.sized()
    r.end()


def references_digest(rows):
    d = bytes(32)
    for release, state, zone, _ in rows:
        d = sha(d + release + bytes([state]) + zone.encode())
    return d


def ima_pcr(data):
    """PCR 10 after the entries, and how many they are; every SHA-1 template digest is that of its data."""
    pcr, at, count = bytes(32), 0, 0
    while at < len(data):
        need(data[at:at + 4] == b"\x0a\0\0\0", "logs: not PCR 10")
        digest = data[at + 4:at + 24]
        n = int.from_bytes(data[at + 24:at + 28], "little")
        need(data[at + 28:at + 28 + n] in (b"ima-ng", b"ima-sig", b"ima-buf"), "logs: template")
        at += 28 + n
        n = int.from_bytes(data[at:at + 4], "little")
        body = data[at + 4:at + 4 + n]
        need(len(body) == n, "logs: cut")
        at += 4 + n
        count += 1
        if digest == bytes(20):
            pcr = sha(pcr + b"\xff" * 32)
        else:
            need(hashlib.sha1(body).digest() == digest, "logs: data does not match")
            pcr = sha(pcr + sha(body))
    return pcr, count


def check_logs(logs, state):
    rest = list(logs)
    if state and rest and state[9] and sha(rest[0]) == state[9]:
        rest.pop(0)
    if state and rest:
        pcr, count = ima_pcr(rest[0])
        need(count == state[11][0] and pcr == state[11][1], "logs: another list")
        rest.pop(0)
    need(not rest, "logs: not what the state rests on")


def check(data, anchor, tiles):
    b = load(data, "form: not deterministic")
    need(isinstance(b, dict) and list(b) == list(range(1, 16)) and (b[1], b[2], b[3]) == ("bundle", 1, 0), "form: type")
    log, results, binder, root = check_chain(b[11], anchor)
    size, head = check_head(b[4], log.public_key())
    index, proof_size, proof = b[5]
    need(size == proof_size, "inclusion-size")
    leaf = sha(b"\0" + sha(b[6]))
    need(all(len(h) == 32 for h in proof) and root_by_proof(index, size, leaf, proof) == head, "inclusion")
    if tiles:
        leaves = read_tiles(tiles, size)
        need(leaves[index] == leaf and root_of(leaves) == head, "tiles: they do not lead to the head")
    event = load(b[6], "event-form")
    need((event[1], event[2], event[6]) == ("event", 1, 32) and event[4] == index, "event-form: not this verdict")
    check_times([log, results, binder, root], event[5])
    details = event[11]
    need(details["ear"] == sha(b[7]) and details["evidence"] == sha(b[8]), "event: other bytes")
    nonce, seq, issued = b[9]
    need(details["seq"] == seq, "event: seq")

    ear = sign1(b[7], results.public_key(), "application/eat+cwt", "result")
    ours = ear[266]["bedplate"]
    need(ours[-75003] == sha(b[8]) and ear[10] == nonce and ours[-75006] == issued, "result: other inputs")
    need(ours[-75001] == event[9] and ours[1000] == details["tier"] and ours[-75008] == details["reason"],
         "result-verdict: result and event differ")

    signed, channel = b[10]
    bound = sign1(signed, binder.public_key(), "application/vnd.bedplate.ak-binding+cbor", "binding")
    need(bound[4] == ours[-75002], "binding-device")
    key, name = tpm_public(bound[9])
    need(name == bound[5], "binding-key")
    need(len(bound[10]) == len(bound[8]) and all(len(n) == 34 for n in bound[10]), "binding-form: names")

    collection = load(b[8], "quote-form")
    about = load(collection["about"][1], "quote-form")
    need(about[4] == bound[4] and (about[5], about[6]) == (seq, issued), "quote-nonce")
    attest, signature = load(collection["quote"][1], "quote-form")
    need(collection["quote"][0] == "application/vnd.bedplate.quote+cbor", "quote-form: media type")
    covered = sha(cbor2.dumps({k: v for k, v in collection.items() if k != "quote"}, canonical=True))
    extra = sha(b"bedplate-quote-v1" + nonce + about[4] + about[7] + channel + covered)
    need(len(nonce) == 32 and len(channel) == 32, "quote-nonce: size")
    check_quote(attest, signature, key, extra, bound[10])

    rows = b[12]
    need(all(sha(r[3]) == r[0] for r in rows), "references-id")
    need([(r[0], r[2]) for r in rows] == sorted({(r[0], r[2]) for r in rows}), "references-order")
    need(ours[-75004] == references_digest(rows), "references-set")
    need(sha(b[13]) == ours[-75005] if -75005 in ours else b[13] == b"", "policy")
    need(sha(b[14]) == details["state"] if "state" in details else b[14] == b"", "state")
    check_logs(b[15], load(b[14], "state-form") if b[14] else None)


def reason_of(path, anchor, tiles):
    try:
        check(open(path, "rb").read(), anchor, tiles)
        return None
    except Bad as e:
        return str(e) or "bad"
    except Exception as e:  # a form that the libraries refuse
        return f"form: {type(e).__name__}"


def main():
    files, anchor, tiles, words = [], None, None, iter(sys.argv[1:])
    for word in words:
        if word == "--anchor":
            anchor = bytes.fromhex(next(words).removeprefix("sha256:"))
        elif word == "--tiles":
            tiles = next(words)
        else:
            files.append(word)
    if anchor is None or not files:
        print(__doc__, file=sys.stderr)
        return 2
    bad = 0
    for path in files:
        reason = reason_of(path, anchor, tiles)
        print(f"{path}: {reason or 'good'}")
        bad += reason is not None
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
