#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""From the maker's station to a device that enrols without a person: real software TPMs, a real server; and what must not
happen on the way: more units than ordered, a unit twice, forged, replayed and foreign manifests, a chip that is not the unit."""
import json
import os
import shutil
import tempfile
import time

from device import AGENT, CLI, ENV, LIB, Device, Operator, accept_release, need, run
from server import BIN, Server, case, finish

ENV["PATH"] = f"{os.path.abspath(BIN)}:{ENV['PATH']}"


class Maker:
    """A maker's folder, its passphrase, and commands in it."""

    def __init__(self, top, folder, name):
        self.dir, self.labels = os.path.join(top, folder), os.path.join(top, f"{folder}-labels")
        os.mkdir(self.labels)
        facts = json.loads(need(CLI, "factory", "init", "--dir", self.dir, "--name", name, "--mark",
                                os.path.join(top, f"{folder}.mark"), "--json"))
        self.key, self.passphrase = facts["maker"], facts["passphrase"]

    def __call__(self, command, *words, text=None):
        return run(CLI, "factory", command, *words, "--dir", self.dir, "--json", input=text)

    def need(self, command, *words, text=None):
        code, out, err = self(command, *words, text=text)
        if code != 0:
            raise RuntimeError(f"factory {command}: exit {code}: {err}")
        return json.loads(out)

    def add(self, order, device, serial, *more):
        unit = os.path.join(self.labels, f"{serial}.unit")
        need(AGENT, "identity", "--root", f"tpm2:{device.tcti}", "--out", unit)
        return self("add", unit, "--order", order, "--serial", serial, "--model", "gw-1", *more)

    def batch(self, order, out):
        return self.need("batch", "--order", order, "--out", out, text=self.passphrase + "\n")


def check_order(maker, device):
    case("factory.order_is_opened", maker("order", "PO-1", "--quota", "2")[0] == 0)
    code, _, err = maker("order", "PO-1", "--quota", "9")
    case("factory.quota_is_not_raised_by_asking_again", code == 1 and "PO-1" in err, f"{code} {err}")
    code, out, err = maker.add("PO-1", device[0], "SN-0", "--labels", maker.labels)
    case("factory.unit_is_entered", code == 0 and json.loads(out)["units"] == 1, f"{code} {err}")
    first = json.loads(out)
    code, out, err = maker.add("PO-1", device[0], "SN-0", "--labels", maker.labels)
    case("factory.same_unit_again_is_not_counted", code == 0 and json.loads(out)["known"] is True and
         json.loads(out)["units"] == 1, f"{code} {out} {err}")
    code, _, err = maker.add("PO-1", device[0], "SN-7")
    case("factory.one_chip_has_one_serial_number", code == 1 and "SN-0" in err, f"{code} {err}")
    return first


def check_label(maker, unit):
    """Other programs read the label: what the QR code says is the whole id, from either form."""
    path, want = os.path.join(maker.labels, unit["short"]), "BEDPLATE:" + unit["device"].upper()
    need("pdftoppm", "-r", "300", "-png", "-singlefile", f"{path}.pdf", f"{path}.pdf")
    need("rsvg-convert", "--zoom", "4", "-o", f"{path}.svg.png", f"{path}.svg")
    for form in ("pdf", "svg"):
        read = need("zbarimg", "--raw", "-q", f"{path}.{form}.png")
        case(f"factory.label_as_{form}_is_read", read == want, read)
    text = need("pdftotext", f"{path}.pdf", "-")
    case("factory.label_has_what_people_compare", unit["short"][:11] in text and unit["short"][12:] in text and
         all(word in text for word in ("SN-0", "gw-1", "Acme")), text)
    with open(f"{path}.svg", encoding="utf-8") as f:
        case("factory.svg_has_it_too", unit["short"][:11] in f.read())


def check_station(maker, devices):
    """One unit a line; the chip is asked by the agent. The second order's units are left for the station."""
    maker.need("order", "PO-2", "--quota", "9")
    begin = time.monotonic()
    code, out, err = maker("station", "--order", "PO-2", "--model", "gw-1", "--root", f"tpm2:{devices[2].tcti}", "--labels",
                           maker.labels, text="SN-2\n\nSN-2\n")
    took = (time.monotonic() - begin) / 2
    lines = [json.loads(line) for line in out.splitlines()]
    case("factory.station_enters_a_unit_by_its_serial_number", code == 0 and [x["known"] for x in lines] == [False, True]
         and lines[0]["units"] == 1, f"{code} {out} {err}")
    print(f"# a unit took {lines[0]['took_ms'] / 1000:.1f} s at the station, {took:.1f} s with all around it")
    case("factory.station_writes_the_label", os.path.exists(os.path.join(maker.labels, lines[0]["short"] + ".pdf")))
    code, out, err = maker("station", "--order", "PO-2", "--model", "gw-1", "--root", "tpm2:swtpm:path=/nowhere", text="SN-3\n")
    case("factory.station_says_when_no_chip_answers", code == 1 and out == "" and "not read" in err, f"{code} {out} {err}")
    code, out, err = maker("station", "--order", "PO-8", "--model", "gw-1", "--root", f"tpm2:{devices[2].tcti}", text="SN-3\n")
    case("factory.station_needs_its_order", code == 1 and "PO-8" in err, f"{code} {out} {err}")


def check_idevid(maker, top):
    """A key without certificate gets an IDevID; openssl builds the chain."""
    key, csr, root = (os.path.join(top, n) for n in ("token.key", "token.csr", "maker-root.pem"))
    maker.need("order", "PO-3", "--quota", "1")
    need("openssl", "req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", key, "-subj",
         "/CN=whatever", "-out", csr)
    words = ("--order", "PO-3", "--serial", "TK-1", "--model", "token", "--csr", csr)
    code, _, err = maker("add", *words, "--labels", maker.labels, text="wrong\n")
    case("factory.idevid_needs_the_passphrase", code == 1 and "passphrase" in err, f"{code} {err}")
    code, _, err = maker("add", *words)
    case("factory.idevid_needs_a_place", code == 2, f"{code} {err}")
    unit = maker.need("add", *words, "--labels", maker.labels, text=maker.passphrase + "\n")
    cert = os.path.join(maker.labels, unit["short"] + ".pem")
    with open(cert, encoding="ascii") as f:
        before = f.read()
    again = maker.need("add", *words, "--labels", maker.labels)  # no passphrase: nothing is issued
    with open(cert, encoding="ascii") as f:
        case("factory.idevid_is_issued_once", again["known"] is True and f.read() == before)
    need("openssl", "x509", "-inform", "DER", "-in", os.path.join(maker.dir, "certs/root.der"), "-out", root)
    code, out, err = run("openssl", "verify", "-x509_strict", "-CAfile", root, "-untrusted", cert, cert)
    case("factory.openssl_verifies_the_idevid", code == 0, f"{out} {err}")
    text = need("openssl", "x509", "-in", cert, "-noout", "-text", "-nameopt", "RFC2253")
    case("factory.idevid_is_as_802_1ar_says", "Not After : Dec 31 23:59:59 9999 GMT" in text and "serialNumber=TK-1" in text and
         "Digital Signature" in text and "1.3.6.1.5.5.7.8.4" in text.replace("id-on-hardwareModuleName", "1.3.6.1.5.5.7.8.4")
         and "Authority Key Identifier" in text, text)
    with open(csr, "r+", encoding="ascii") as f:
        lines = f.read().splitlines()
        f.seek(0)
        f.write("\n".join([lines[0], lines[1][:20] + "AAAA" + lines[1][24:], *lines[2:]]))
    code, _, err = maker("add", "--order", "PO-2", "--serial", "TK-2", "--model", "token", "--csr", csr, "--labels", maker.labels,
                         text=maker.passphrase + "\n")
    case("factory.request_that_is_none_is_refused", code == 1 and "request" in err, f"{code} {err}")


def check_quota(maker, devices, top):
    manifest = os.path.join(top, "PO-1-1.manifest")
    case("factory.second_unit_is_entered", maker.add("PO-1", devices[1], "SN-1")[0] == 0)
    code, _, err = maker.add("PO-1", devices[3], "SN-3")
    case("factory.quota_holds", code == 1 and "all its 2 units" in err, f"{code} {err}")
    made = maker.batch("PO-1", manifest)
    case("factory.batch_is_closed", made == {"batch": 1, "units": 2, "new": True}, str(made))
    with open(manifest, "rb") as f:
        first = f.read()
    made = maker.batch("PO-1", manifest)
    with open(manifest, "rb") as f:
        case("factory.batch_is_written_again_as_it_was", made["new"] is False and f.read() == first, str(made))
    code, _, err = maker.add("PO-1", devices[3], "SN-3")
    case("factory.quota_holds_after_the_batch", code == 1 and "all its 2 units" in err, f"{code} {err}")
    copy = os.path.join(top, "copy")
    shutil.copy(os.path.join(maker.dir, "book"), copy)
    maker.need("order", "PO-4", "--quota", "1")
    shutil.copy(os.path.join(maker.dir, "book"), copy + ".now")
    shutil.copy(copy, os.path.join(maker.dir, "book"))
    code, _, err = maker("show")
    case("factory.older_copy_is_refused", code == 1 and "older copy" in err, f"{code} {err}")
    shutil.copy(copy + ".now", os.path.join(maker.dir, "book"))
    shown = maker.need("show")
    case("factory.show_tells_orders_and_key", shown["maker"] == maker.key and
         {o["order"]: o["units"] for o in shown["orders"]}["PO-1"] == 2, str(shown))
    return manifest, first


def importing(operate, path, *more):
    return run(CLI, "device", "import", path, "--zone", "north", "--config", operate.config, *more)


def written(top, name, data):
    path = os.path.join(top, name)
    with open(path, "wb") as f:
        f.write(data)
    return path


def check_import(operate, maker, other, manifest, good, top):
    code, out, err = importing(operate, manifest)
    case("import.a_new_maker_is_not_taken_on_its_word", code == 1 and maker.key in err, f"{code} {out} {err}")
    code, _, err = importing(operate, manifest, "--maker", other.key)
    case("import.another_key_than_the_named_one_is_refused", code == 1 and "maker" in err, f"{code} {err}")
    bent = bytearray(good)
    bent[good.index(b"SN-0")] ^= 1
    code, _, err = importing(operate, written(top, "bent", bytes(bent)), "--maker", maker.key)
    case("import.a_forged_manifest_is_refused", code == 1 and "bad-signature" in err, f"{code} {err}")
    code, _, err = importing(operate, written(top, "cut", good[:-1]), "--maker", maker.key)
    case("import.a_cut_manifest_is_refused", code == 1 and "malformed" in err, f"{code} {err}")
    code, out, err = importing(operate, manifest, "--maker", maker.key, "--json")
    case("import.the_named_makers_manifest_is_taken", code == 0 and json.loads(out)["units"] == 2 and
         json.loads(out)["pinned"] is True, f"{code} {out} {err}")
    code, _, err = importing(operate, manifest)
    case("import.a_replayed_manifest_is_refused", code == 1 and "batch" in err, f"{code} {err}")
    events = json.loads(operate("event", "ls", "--type", "manifest-refused"))
    case("import.each_refusal_is_an_event", len(events["events"]) == 5, str(len(events["events"])))


def check_foreign(operate, maker, other, third, devices, top):
    """Another maker under the first one's name, and one that announces the first one's unit."""
    theirs = os.path.join(top, "theirs.manifest")
    for m in (other, third):
        m.need("order", "X", "--quota", "9")
        m.add("X", devices[0], "SN-0")
    other.batch("X", theirs)
    code, _, err = importing(operate, theirs)
    case("import.a_foreign_manifest_is_refused", code == 1 and "another key is pinned" in err, f"{code} {err}")
    code, _, err = importing(operate, theirs, "--maker", other.key)
    case("import.naming_a_foreign_key_does_not_help", code == 1 and "another key is pinned" in err, f"{code} {err}")
    third.batch("X", theirs)
    code, _, err = importing(operate, theirs, "--maker", third.key)
    case("import.a_unit_of_two_makers_is_refused", code == 1 and "unit" in err and "SN-0" in err, f"{code} {err}")
    again = os.path.join(top, "PO-2-1.manifest")
    maker.batch("PO-2", again)
    code, out, err = importing(operate, again)
    case("import.a_pinned_maker_needs_no_naming", code == 0 and "1 units" in out, f"{code} {out} {err}")


def check_devices(s, operate, devices, top):
    accept_release(operate, devices[0], top)
    code, out, err = devices[0].enroll(s, "--wait", "0", "--json")
    case("factory.announced_device_enrols_without_a_person", code == 0, f"{code} {out} {err}")
    shown = json.loads(operate("device", "show", devices[0].status()["device"]))
    case("factory.it_is_where_its_batch_was_imported_for", shown["zone"] == "north" and shown["name"] == "SN-0" and
         shown["model"] == "gw-1", f"{shown['zone']} {shown['name']} {shown['model']}")
    claimed = json.loads(operate("event", "ls", "--type", "unit-claimed"))["events"]
    case("factory.claiming_is_an_event", len(claimed) == 1 and "SN-0" in claimed[0]["text"], str(claimed))
    code, _, err = devices[3].enroll(s, "--wait", "0")
    case("factory.device_of_no_manifest_waits", code == 1 and "waits for approval" in err, f"{code} {err}")
    # The unit whose chip lost a certificate after it left the maker proves one key only.
    lost = devices[1]
    listed = need("tpm2_getcap", "handles-nv-index", "-T", lost.tcti)
    case("factory.chip_has_two_certificates", "0x1C00002" in listed.replace("0x01C", "0x1C") and
         "0x1C00016" in listed.replace("0x01C", "0x1C"), listed)
    need("tpm2_nvundefine", "0x1C00016", "-C", "p", "-T", lost.tcti)
    code, _, err = lost.enroll(s, "--wait", "0")
    case("factory.chip_that_is_not_the_whole_unit_is_refused", code == 1 and "unit-mismatch" in err, f"{code} {err}")
    refused = json.loads(operate("event", "ls", "--type", "contact-refused"))["events"]
    case("factory.refusing_it_is_an_event", any("manifest" in e["text"] for e in refused), str(refused))


def main():
    top = tempfile.mkdtemp(prefix="bpf", dir="/tmp")
    devices = []
    try:
        with Server() as s:
            s.init()
            devices = [Device(top, name) for name in "abcd"]
            for name in ("issuercert.pem", "swtpm-localca-rootca-cert.pem"):
                shutil.copy(os.path.join(top, "maker", name), os.path.join(s.dir, "anchors", f"virtual-{name}"))
            maker, other, third = Maker(top, "m", "Acme"), Maker(top, "o", "Acme"), Maker(top, "t", "Emca")
            unit = check_order(maker, devices)
            check_label(maker, unit)
            check_station(maker, devices)
            check_idevid(maker, top)
            manifest, good = check_quota(maker, devices, top)
            if not case("factory.server_starts", s.start(), s.stderr()):
                return
            operate = Operator(s, top)
            check_import(operate, maker, other, manifest, good, top)
            check_foreign(operate, maker, other, third, devices, top)
            check_devices(s, operate, devices, top)
    finally:
        for d in devices:
            run(f"{LIB}/swtpm.sh", "stop", d.dir)
        shutil.rmtree(top, ignore_errors=True)
    finish()


main()
