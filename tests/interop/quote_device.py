#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""tests/interop/quote_device - a device made of tpm2-tools and this script: no code of ours on its side.

usage: quote_device.py DIR          DIR is empty; TPM2TOOLS_TCTI names the TPM

Extends PCRs by tpm2_pcrextend from a boot log and an IMA list that it makes up (a test's input, not a machine's), then
for each case of main() writes DIR/case/NAME/ with what a server gets: evidence, nonce, device-id, ldevid, ak.pub,
ek.pub and corim, and its file `want` with the answer that must come: "VERDICT CODE". Formats are written from the documents: CBOR
(RFC 8949), docs/protocol/evidence.md and references.md, TCG PC Client Platform Firmware Profile, TPM 2.0 Part 2, and the
kernel's IMA list."""
import hashlib
import os
import struct
import subprocess
import sys

QUOTED = [*range(12), 14]
AS_OF = 1790000000000
DIR = sys.argv[1]


def sha(*parts):
    return hashlib.sha256(b"".join(parts)).digest()


def tool(*words):
    """One of tpm2-tools; its objects leave the TPM at once, which has room for three and no manager."""
    subprocess.run(words, check=True, cwd=DIR, stdout=subprocess.DEVNULL)
    if words[0] not in ("tpm2_pcrextend", "tpm2_pcrread"):
        subprocess.run(["tpm2_flushcontext", "-t"], check=True, cwd=DIR, stdout=subprocess.DEVNULL)


def read(name):
    with open(os.path.join(DIR, name), "rb") as f:
        return f.read()


def write(name, data):
    with open(os.path.join(DIR, name), "wb") as f:
        f.write(data)


# --- CBOR ---

class Tag:
    def __init__(self, number, item):
        self.number, self.item = number, item


def head(major, n):
    if n < 24:
        return bytes([major << 5 | n])
    size = 0 if n < 1 << 8 else 1 if n < 1 << 16 else 2 if n < 1 << 32 else 3
    return bytes([major << 5 | 24 + size]) + n.to_bytes(1 << size, "big")


def enc(v):
    if isinstance(v, bool):
        return b"\xf5" if v else b"\xf4"
    if isinstance(v, int):
        return head(0, v)
    if isinstance(v, bytes):
        return head(2, len(v)) + v
    if isinstance(v, str):
        return head(3, len(v.encode())) + v.encode()
    if isinstance(v, list):
        return head(4, len(v)) + b"".join(map(enc, v))
    if isinstance(v, dict):
        return head(5, len(v)) + b"".join(sorted(enc(k) + enc(x) for k, x in v.items()))
    return head(6, v.number) + enc(v.item)


# --- what it booted and ran ---

GLOBAL = bytes.fromhex("61dfe48bca93d211aa0d00e098032b8c")
SECURITY = bytes.fromhex("cbb219d73a3d9645a3bcdad00e67656f")


def variable(guid, name, value):
    return guid + struct.pack("<QQ", len(name), len(value)) + name.encode("utf-16-le") + value


def boot():
    """(pcr, type, data, digest, mkey or None) of each event."""
    out = [(0, 8, b"\0\0", sha(b"\0\0"), "boot/0/required"), (0, 0x80000008, bytes(16), sha(b"firmware"), "boot/0/required")]
    for guid, name, value in ((GLOBAL, "SecureBoot", b"\1"), (GLOBAL, "PK", b"pk"), (GLOBAL, "KEK", b"kek"),
                              (SECURITY, "db", b"db"), (SECURITY, "dbx", b"")):
        data = variable(guid, name, value)
        out.append((7, 0x80000001, data, sha(data), None if name == "SecureBoot" else "variable/" + name))
    out.append((7, 4, bytes(4), sha(bytes(4)), None))
    order = variable(GLOBAL, "BootOrder", b"\1\0")
    out.append((1, 0x80000002, order, sha(order), None))
    out += [(pcr, 4, bytes(4), sha(bytes(4)), None) for pcr in range(7)]
    return out + [(4, 0x80000003, b"path", sha(b"loader"), "boot/4/required"),
                  (9, 6, b"\1\0\0\0\0\0\0\0", sha(b"initrd"), "boot/9/required"),
                  (11, 13, b"kernel", sha(b"kernel image"), "boot/11/required"),
                  (14, 13, b"shim", sha(b"list of owners"), "boot/14/required")]


def log_of(events):
    out = struct.pack("<II20sI", 0, 3, bytes(20), 33) + b"Spec ID Event03\0" + struct.pack("<IBBBBIHHB", 0, 0, 2, 0, 2, 1, 11, 32, 0)
    for pcr, kind, data, digest, _ in events:
        out += struct.pack("<IIIH", pcr, kind, 1, 11) + digest + struct.pack("<I", len(data)) + data
    return out


def ima_entry(path, digest):
    field = b"sha256:\0" + digest
    data = struct.pack("<I", len(field)) + field + struct.pack("<I", len(path) + 1) + path.encode() + b"\0" + struct.pack("<I", 0)
    return data, struct.pack("<I", 10) + hashlib.sha1(data).digest() + struct.pack("<I", 7) + b"ima-sig" + struct.pack("<I", len(data)) + data


def extend(pcr, digest):
    tool("tpm2_pcrextend", f"{pcr}:sha256={digest.hex()}")


def pcr_values(pcrs=None):
    tool("tpm2_pcrread", "sha256:" + ",".join(map(str, pcrs or QUOTED)), "-o", "pcrs.bin")
    raw = read("pcrs.bin")
    return [raw[i:i + 32] for i in range(0, len(raw), 32)]


PROGRAMS = ["/usr/bin/agent", "/bin/busybox"]


def start():
    events = boot()
    for pcr, _, _, digest, _ in events:
        extend(pcr, digest)
    entries = [ima_entry("boot_aggregate", sha(*pcr_values(range(10))))]
    entries += [ima_entry(p, sha(p.encode())) for p in PROGRAMS]
    for data, _ in entries:
        extend(10, sha(data))
    refs = [{0: key, 1: {2: [[1, digest]], 11: f"component {i}"}} for i, (_, _, _, digest, key) in enumerate(events) if key]
    refs.append({0: "rule/secure-boot", 1: {3: {1: True}}})
    refs += [{0: "ima", 1: {2: [[1, sha(p.encode())]], 11: p}} for p in PROGRAMS]
    comid = {1: {0: "made by a stranger"}, 4: {0: [[{0: {1: "somebody", 2: "test"}}, refs]]}}
    corim = enc(Tag(501, {0: "stranger 1", 1: [Tag(506, enc(comid))],
                          3: Tag(32, "tag:bedplate.example,2026:references#1")}))
    return log_of(events), b"".join(e for _, e in entries), corim


# --- evidence ---

NONCE, DEVICE, LDEVID = sha(b"nonce"), b"\1" + sha(b"identity key"), sha(b"session key")


def collection(log, ima, values, seq=1, issued_ms=AS_OF):
    about = {1: "about", 2: 1, 3: 0, 4: DEVICE, 5: seq, 6: issued_ms, 7: LDEVID, 8: [], 9: "tpm2-tools"}
    media = "application/vnd.bedplate."
    return {"about": [media + "about+cbor", enc(about)], "boot": [media + "tcg-log", log],
            "ima": [media + "ima+cbor", enc([0, ima])], "pcrs": [media + "pcrs+cbor", enc(values)]}


def extra(members, nonce=NONCE):
    return sha(b"bedplate-quote-v1", nonce, DEVICE, LDEVID, bytes(32), sha(enc(members)))


def quote(data, key="ak.ctx", pcrs=QUOTED, bank="sha256"):
    tool("tpm2_quote", "-c", key, "-l", f"{bank}:" + ",".join(map(str, pcrs)), "-q", data.hex(), "-g", "sha256",
         "-m", "quote.msg", "-s", "quote.sig")
    return read("quote.msg"), read("quote.sig")


def sign(message, key):
    """What any user of the TPM may ask for: a signature over bytes that do not look like the TPM's own."""
    write("message", message)
    tool("tpm2_hash", "-C", "o", "-g", "sha256", "-t", "ticket", "-o", "digest", "message")
    tool("tpm2_sign", "-c", key, "-g", "sha256", "-s", "ecdsa", "-t", "ticket", "-o", "other.sig", "message")
    return read("other.sig")


def put(case, want, members, statement, ak="ak.pub", **files):
    media = "application/vnd.bedplate.quote+cbor"
    out = {"evidence": enc({**members, "quote": [media, enc(list(statement))]}), "nonce": NONCE, "device-id": DEVICE,
           "ldevid": LDEVID, "ak.pub": read(ak), "ek.pub": read("ek.pub"), "want": (want + "\n").encode(), **files}
    os.makedirs(os.path.join(DIR, "case", case))
    for name, data in out.items():
        write(os.path.join("case", case, name), data)


def flip(data, at):
    return data[:at] + bytes([data[at] ^ 1]) + data[at + 1:]


def main():
    tool("tpm2_createek", "-G", "rsa", "-c", "ek.ctx", "-u", "ek.pub")
    for name in ("ak", "second"):
        tool("tpm2_createak", "-C", "ek.ctx", "-c", f"{name}.ctx", "-G", "ecc", "-g", "sha256", "-s", "ecdsa", "-u", f"{name}.pub",
             "-n", f"{name}.name")
    tool("tpm2_createprimary", "-C", "o", "-c", "primary.ctx", "-Q")
    attester = "fixedtpm|fixedparent|sensitivedataorigin|userwithauth|restricted|sign"
    for name, attributes in (("free", "fixedtpm|fixedparent|sensitivedataorigin|userwithauth|sign"),
                             ("open", "sensitivedataorigin|userwithauth|restricted|sign"), ("stored", attester)):
        tool("tpm2_create", "-C", "primary.ctx", "-G", "ecc:ecdsa-sha256:null", "-a", attributes, "-u", f"{name}.pub",
             "-r", f"{name}.priv")
        tool("tpm2_load", "-C", "primary.ctx", "-u", f"{name}.pub", "-r", f"{name}.priv", "-c", f"{name}.ctx")
    for hierarchy in "eo":
        tool("tpm2_createprimary", "-C", hierarchy, "-G", "ecc:ecdsa-sha256:null", "-a", attester, "-c", f"top-{hierarchy}.ctx", "-Q")
        tool("tpm2_readpublic", "-c", f"top-{hierarchy}.ctx", "-o", f"top-{hierarchy}.pub")
    log, ima, corim = start()
    values = pcr_values()
    good = collection(log, ima, values)
    message, signature = quote(extra(good))
    both = message, signature
    more = {"corim": corim}

    put("honest", "affirming -", good, both, **more)
    earlier = collection(log, ima, values, 0, AS_OF - 600000)
    put("nonce", "refused nonce-time", earlier, quote(extra(earlier, sha(b"earlier nonce"))), **more)
    put("other-nonce", "refused extra-data", good, quote(extra(good, sha(b"other"))), **more)
    put("selection", "refused pcr-selection", good, quote(extra(good), pcrs=range(10)), **more)
    put("relabelled", "refused pcr-selection", good, quote(extra(good), pcrs=[16, *range(1, 12), 14]), **more)
    put("magic", "refused magic", good, (flip(message, 0), sign(flip(message, 0), "ak.ctx")), **more)
    tool("tpm2_certify", "-C", "ak.ctx", "-c", "second.ctx", "-g", "sha256", "-o", "certify.msg", "-s", "certify.sig", "-f", "tss")
    put("type", "refused attest-type", good, (read("certify.msg"), read("certify.sig")), **more)
    put("signature", "refused signature", good, (message, flip(signature, len(signature) - 1)), **more)
    put("other-key", "refused signature", good, quote(extra(good), key="second.ctx"), **more)
    changed = collection(log, ima, [flip(values[0], 0)] + values[1:])
    put("digest", "refused pcr-digest", changed, quote(extra(changed)), **more)
    put("key-unrestricted", "refused ak-attributes", good, quote(extra(good), key="free.ctx"), ak="free.pub", **more)
    put("key-may-leave", "refused ak-attributes", good, quote(extra(good), key="open.ctx"), ak="open.pub", **more)
    for case, key in (("key-primary", "top-e"), ("key-primary-owner", "top-o"), ("key-below-storage", "stored")):
        put(case, "refused ak-parent", good, quote(extra(good), key=f"{key}.ctx"), ak=f"{key}.pub", **more)
    member = collection(log, ima, values)
    member["boot"] = [member["boot"][0], log[:-1]]
    put("member", "refused extra-data", member, both, **more)
    added = {**good, "extra": ["text/plain", b"x"]}
    put("member-added", "refused extra-data", added, both, **more)
    put("trailing-bytes", "refused attest-form", good, (message + b"\0", signature), **more)
    put("trailing-signature", "refused signature-form", good, (message, signature + b"\0"), **more)
    broken = flip(log, len(log) - 40)
    edited = collection(broken, ima, values)
    put("edited-log", "contraindicated boot-replay", edited, quote(extra(edited)), **more)
    short = collection(log, ima[:ima.rindex(b"ima-sig") - 28], values)
    put("edited-list", "contraindicated ima-replay", short, quote(extra(short)), **more)
    data, entry = ima_entry("/tmp/foreign", sha(b"foreign"))
    extend(10, sha(data))
    values = pcr_values()
    foreign = collection(log, ima + entry, values)
    put("foreign-program", "contraindicated ima-program", foreign, quote(extra(foreign)), **more)


if __name__ == "__main__":
    main()
