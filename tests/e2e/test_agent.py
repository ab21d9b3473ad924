#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A device's life against a real server: our agent with a software TPM of its own, on this host (a process-level device),
from the waiting room to a renewed certificate, its lockout value in escrow, through a lost server, kills at random moments and a cleared chip."""
import base64
import json
import os
import random
import shutil
import signal
import sqlite3
import subprocess
import tempfile
import time

from device import AGENT, CLI, ENV, LIB, Device, Operator, accept_release, need, run
from server import Server, case, finish, until

KILLS = 12


def check_waiting_room(s, operate, d):
    code, _, err = d.enroll(s, "--wait", "0")
    case("agent.unknown_device_waits", code == 1 and "waits for approval" in err, f"{code} {err}")
    device = d.status()["device"]
    code, _, err = d.call("attest")
    case("agent.waiting_device_has_no_certificate", code == 1 and "enroll" in err, f"{code} {err}")
    operate("device", "approve", device, "--zone", "north")
    code, out, err = d.enroll(s, "--json")
    case("agent.approved_device_enrols", code == 0 and json.loads(out)["device"] == device, f"{code} {err}")
    case("agent.process_level_device_says_so", code == 0 and json.loads(out)["process_level"] is True, out)
    code, out, err = d.enroll(s)
    case("agent.enrolling_again_changes_nothing", code == 0 and d.status()["generation"] == 1, f"{code} {err}")


def check_anchor(s, d):
    code, _, err = d.enroll(s, "--wait", "0", anchor="sha256:" + "0" * 64)
    case("agent.another_anchor_is_refused", code in (1, 3) and "device" not in d.status(), f"{code} {err}")
    code, _, err = d.enroll(s, "--wait", "0", anchor="sha256:xyz")
    case("agent.an_anchor_that_is_none_is_a_usage_error", code == 2, f"{code} {err}")


def check_invitation(s, operate, d):
    line = operate("device", "invite", "--zone", "north")
    code_text = json.loads(line)["code"]
    code, _, err = d.enroll(s, "--code", "A" * len(code_text))
    case("agent.a_wrong_invitation_is_refused", code == 1 and "bad-invitation" in err, f"{code} {err}")
    code, _, err = d.enroll(s, "--code", code_text, anchor=s.facts["root"])
    case("agent.an_invited_device_enrols_by_the_roots_hash", code == 0, f"{code} {err}")


def check_attest(s, operate, d):
    code, out, err = d.call("attest", "--json")
    case("agent.attest_is_affirming", code == 0 and json.loads(out)["tier"] == "affirming", f"{code} {out} {err}")
    devices = json.loads(operate("device", "ls"))
    text = json.dumps(devices)
    case("agent.the_operator_sees_a_virtual_root", d.status()["device"] in text and "virtual" in text, text)
    with open(f"{d.state}/head", encoding="utf-8") as f:
        head = f.read().split("\n")
    with open(f"{d.state}/log.der", "rb") as f, open(os.path.join(s.dir, "certs/log.der"), "rb") as real:
        case("agent.it_keeps_the_certificate_of_the_logs_key", f.read() == real.read())
    shutil.copy(os.path.join(s.dir, "certs/result.der"), f"{d.state}/log.der")
    os.rename(f"{d.state}/head", f"{d.state}/head-kept")
    code, out, err = d.call("attest", "--json")
    case("agent.a_certificate_that_is_not_the_logs_is_asked_for_again", code == 0 and os.path.exists(f"{d.state}/head"), err)
    os.remove(f"{d.state}/head-kept")
    case("agent.it_keeps_the_logs_head", head[0] == "localhost/log" and int(head[1]) > 0, str(head))


def check_policy(operate, d, top):
    """A policy that trusts no virtual root is tried on the fleet; nothing comes of it."""
    path, before = os.path.join(top, "strict.yaml"), json.loads(operate("policy", "show"))
    rules = ("zone: '*'\nrules:\n  - {name: chip, when: root_class <> 'discrete', verdict: forbid, actions: [hold], reason: No chip of its own}\n"
             "tests:\n  - {name: virtual, claims: {root_class: virtual, tier: 2}, expect: refuse}\n")

    def check(version, more="", *options):
        with open(path, "w", encoding="utf-8") as f:
            f.write(f"version: {version}\n{rules}{more}")
        return run(CLI, "policy", "check", path, "--config", operate.config, *options)

    case("policy.show_gives_the_tests_back", len(before["tests"]) > 3 and before["tests"][0]["expect"] == "permit", str(before["tests"]))
    code, out, err = check(before["version"] + 1, "", "--json")
    answer = json.loads(out) if code == 0 else {}
    case("policy.check_judges_the_fleet", code == 0 and answer["judged"] >= 1 and answer["tests"] == 1, f"{code} {out} {err}")
    mine = [c for c in answer.get("changes", []) if c["id"] == d.status()["device"]]
    case("policy.check_says_what_would_change", len(mine) == 1 and mine[0]["now"]["tier"] == "affirming" and
         mine[0]["then"]["tier"] == "contraindicated" and mine[0]["then"]["actions"] == ["hold"], out)
    code, out, err = check(before["version"] + 1)
    case("policy.check_says_it_to_people", code == 0 and "No chip of its own" in out and "contraindicated" in out, f"{code} {out} {err}")
    code, out, err = check(before["version"])
    case("policy.check_of_an_old_version_is_no", code == 1 and "not above the one in force" in err, f"{code} {out} {err}")
    code, out, err = check(before["version"] + 1, "  - {name: wrong, claims: {tier: 2}, expect: permit}\n")
    case("policy.check_runs_the_documents_own_tests", code == 1 and "test wrong" in err, f"{code} {out} {err}")
    code, out, err = check(before["version"] + 1, "colour: red\n")
    case("policy.check_refuses_what_is_no_policy", code == 1 and "line" in err, f"{code} {out} {err}")
    case("policy.check_changes_nothing", json.loads(operate("policy", "show")) == before and d.call("attest")[0] == 0)


def check_escrow(s, operate, a, b):
    """The lockout value: set by the agent, kept by the server, opened only with the owner's recovery key."""
    key, words = os.path.join(s.dir, "recovery-key.pem"), s.facts["passphrase"] + "\n"
    device = {d: d.status()["device"] for d in (a, b)}

    def recover(d, passphrase=words, path=key):
        return run(CLI, "device", "recover", device[d], "--key", path, "--config", operate.config, "--json", input=passphrase)

    shown = json.loads(operate("device", "show", device[a]))
    case("escrow.the_operator_sees_that_it_is_set", shown["lockout"]["state"] == "set" and "escrow" in shown["chain"][0]["text"]
         and a.status()["lockout"] == "set", f"{shown['lockout']} {a.status()}")
    with open(f"{a.state}/lockout.cbor", "rb") as f:
        kept = f.read()
    code, out, err = recover(a)
    values = json.loads(out)["values"] if code == 0 else []
    case("escrow.the_recovery_key_opens_it", len(values) == 1 and values[0]["state"] == "set", f"{code} {out} {err}")
    value = values[0]["value"] if values else "00"
    case("escrow.the_agent_kept_no_copy", bytes.fromhex(value) not in kept)
    case("escrow.it_is_the_roots", run("tpm2_dictionarylockout", "-c", "-p", f"hex:{value}", "-T", a.tcti)[0] == 0)
    case("escrow.clearing_is_disabled_even_with_it", run("tpm2_clear", f"hex:{value}", "-T", a.tcti)[0] != 0)
    case("escrow.another_passphrase_opens_nothing", recover(a, "wrong\n")[0] == 1)
    code, out, err = recover(b, path=os.path.join(s.dir, "root-key.pem"))
    case("escrow.the_roots_key_opens_nothing", code == 1 and out == "", f"{code} {out} {err}")
    types = [e["type"] for e in json.loads(operate("event", "ls", "--device", device[a]))["events"]]
    case("escrow.giving_and_fetching_are_events", {"lockout-escrowed", "lockout-set", "escrow-read"} <= set(types), str(types))
    case("escrow.they_come_in_order", types.index("lockout-escrowed") > types.index("lockout-set"), str(types))
    return value


def check_escrow_of_another(s, operate, a, b):
    """The rows of two devices are swapped behind the server's back: what opens is not of the device that was asked for."""
    s.stop()
    db = sqlite3.connect(f"{s.dir}/store/bedplate.db")
    n = [db.execute("select n from device where hex(id) = ?", (d.status()["device"].upper(),)).fetchone()[0] for d in (a, b)]
    db.execute("update escrow set device = ? - device", (sum(n),))
    db.commit()
    db.close()
    case("escrow.server_is_back", s.start(), s.stderr())
    code, out, err = run(CLI, "device", "recover", a.status()["device"], "--key", os.path.join(s.dir, "recovery-key.pem"),
                         "--config", operate.config, "--json", input=s.facts["passphrase"] + "\n")
    case("escrow.a_value_of_another_device_is_none", code == 1 and out == "" and "another device" in err, f"{code} {out} {err}")


def check_foreign(s, operate, d):
    """Somebody set a value before we came: it is told, and not tried."""
    need("tpm2_changeauth", "-c", "lockout", "theirs", "-T", d.tcti)
    line = operate("device", "invite", "--zone", "north")
    code, out, err = d.enroll(s, "--code", json.loads(line)["code"], "--json")
    case("escrow.a_foreign_value_does_not_hinder", code == 0 and json.loads(out)["lockout"] == "foreign", f"{code} {out} {err}")
    case("escrow.a_foreign_value_is_told", "not set from here" in err, err)
    shown = json.loads(operate("device", "show", json.loads(out)["device"]))
    case("escrow.the_operator_sees_that_it_is_foreign", shown["lockout"]["state"] == "foreign", str(shown["lockout"]))
    case("escrow.a_foreign_value_was_not_tried", run("tpm2_dictionarylockout", "-c", "-p", "theirs", "-T", d.tcti)[0] == 0)
    code, out, err = run(CLI, "device", "recover", json.loads(out)["device"], "--key", os.path.join(s.dir, "recovery-key.pem"),
                         "--config", operate.config, input=s.facts["passphrase"] + "\n")
    case("escrow.nothing_of_it_can_be_recovered", code == 1 and "escrow" in err, f"{code} {err}")


def private_kib(pid):
    with open(f"/proc/{pid}/smaps_rollup", encoding="utf-8") as f:
        return sum(int(line.split()[1]) for line in f if line.startswith("Private_"))


def check_run(s, d):
    d.start()
    case("agent.run_attests", until(30, lambda: "affirming" in d.said()), d.said())
    d.process.send_signal(signal.SIGHUP)
    case("agent.run_renews", until(30, lambda: "certificate renewed" in d.said()), d.said())
    case("agent.renewal_takes_the_other_slot", d.status()["generation"] == 2, str(d.status()))
    case("agent.private_memory_is_small", private_kib(d.process.pid) <= 6144, f"{private_kib(d.process.pid)} KiB")
    s.stop()
    case("agent.a_lost_server_is_told", until(30, lambda: "no answer from localhost" in d.said()), d.said())
    ports = [w for name in ("device", "enrol", "operate", "status") for w in (f"--{name}-port", str(s.ports[name]))]
    s.options += ports
    case("agent.server_is_back", s.start(), s.stderr())
    case("agent.and_found_again", until(60, lambda: d.said().rstrip().endswith("gateway 1.0")), d.said())
    code, _, err = d.call("attest")
    case("agent.one_agent_a_folder", code == 3 and "another agent" in err, f"{code} {err}")
    case("agent.run_ends_in_good_order", d.stop() == 0)


def check_kills(d):
    """The agent is killed while it renews; whatever the moment, the folder is whole and the device is who it was."""
    chance = random.Random(20261127)
    before, whole = d.status(), 0
    for _ in range(KILLS):
        d.start()
        until(30, lambda: "affirming" in d.said())
        d.process.send_signal(signal.SIGHUP)
        time.sleep(chance.uniform(0, 0.8))  # the moment of the power cut: any is right
        d.stop(signal.SIGKILL)
        now = d.status()
        whole += 1 if now.get("enrolled") and now["device"] == before["device"] else 0
    case("agent.killed_at_any_moment_it_keeps_its_state", whole == KILLS, f"{whole} of {KILLS}")
    code, out, err = d.call("attest")
    case("agent.killed_often_it_still_attests", code == 0, f"{code} {out} {err}")
    d.start()
    until(30, lambda: "affirming" in d.said())
    d.process.send_signal(signal.SIGHUP)
    case("agent.killed_often_it_still_renews", until(30, lambda: "certificate renewed" in d.said()) and d.stop() == 0
         and d.status()["generation"] > before["generation"], str(d.status()))
    left = [n for n in os.listdir(d.state) if n.count(".") > 1]
    case("agent.nothing_half_written_is_left", not left, str(left))


def check_request(s, d):
    """An ordinary EST client carries the request of a key that is in the TPM."""
    request = os.path.join(d.dir, "request")
    curl = ["curl", "-s", "--cacert", os.path.join(d.dir, "root.pem"), "-H", "content-type: application/pkcs10", "-w",
            "\n%{http_code}", "--data-binary", f"@{request}", f"https://localhost:{s.ports['enrol']}/.well-known/est/simpleenroll"]
    need("openssl", "x509", "-inform", "der", "-in", os.path.join(s.dir, "certs/root.der"), "-out", os.path.join(d.dir, "root.pem"))
    pem = d.call("csr", "--new")[1]
    verify = run("openssl", "req", "-verify", "-noout", input=pem + "\n")
    case("agent.its_request_is_one", verify[0] == 0, verify[2])
    der = subprocess.run(["openssl", "req", "-outform", "der"], input=(pem + "\n").encode(), capture_output=True, check=True).stdout
    with open(request, "wb") as f:
        f.write(base64.b64encode(der))
    answer = need(*curl).rsplit("\n", 1)
    case("agent.curl_enrols_a_key_that_was_vouched_for", answer[1] == "200", str(answer))
    cert = os.path.join(d.dir, "cert.pem")
    cms = base64.b64decode(answer[0]) if answer[1] == "200" else b""
    subprocess.run(["openssl", "pkcs7", "-inform", "der", "-print_certs", "-out", cert], input=cms, check=False, capture_output=True)
    code, _, err = d.call("csr", "--install", cert)
    case("agent.and_the_agent_takes_it_in", code == 0 and d.call("attest")[0] == 0, f"{code} {err}")
    stranger = subprocess.run(["openssl", "req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout",
                               os.path.join(d.dir, "key"), "-subj", "/CN=x", "-outform", "der"], capture_output=True, check=True).stdout
    with open(request, "wb") as f:
        f.write(base64.b64encode(stranger))
    answer = need(*curl).rsplit("\n", 1)
    case("agent.curl_does_not_enrol_another_key", answer[1] == "403" and "not-preapproved" in answer[0], str(answer))


def list_of_revoked(s, d):
    """The CRL of the moment, as PEM."""
    with open(os.path.join(d.dir, "crl.der"), "wb") as f:
        f.write(s.request("status", "GET", "/crl/issuing-0.crl")[2])
    need("openssl", "crl", "-inform", "der", "-in", os.path.join(d.dir, "crl.der"), "-out", os.path.join(d.dir, "crl.pem"))
    return os.path.join(d.dir, "crl.pem")


def check_service(s, operate, d):
    """A program of the device gets a key in the chip and a certificate that others can judge."""
    out = os.path.join(d.dir, "historian")
    key, cert, ca = (os.path.join(out, n) for n in ("key.pem", "cert.pem", "ca.pem"))
    code, _, err = d.call("service", "add", "historian", "--out", out)
    case("agent.a_service_that_nobody_added_is_refused", code == 1 and "no-such-label" in err and not os.path.exists(cert), f"{code} {err}")
    operate("service", "add", "historian", "--profile", "app-client")
    code, _, err = d.call("service", "add", "historian", "--out", out)
    case("agent.a_service_gets_key_and_certificate", code == 0 and all(os.path.exists(f) for f in (key, cert, ca)), f"{code} {err}")
    case("agent.its_key_is_for_the_folders_group", os.stat(key).st_mode & 0o777 == 0o640 and os.stat(out).st_mode & 0o777 == 0o750)
    verify = ["openssl", "verify", "-x509_strict", "-CAfile", ca, "-untrusted", cert, "-purpose", "sslclient"]
    policy = ["-policy", "1.3.6.1.4.1.32473.1.1.4", "-explicit_policy"]
    case("agent.openssl_takes_the_services_certificate", run(*verify, *policy, cert)[0] == 0, str(run(*verify, *policy, cert)))
    shown = run("openssl", "x509", "-in", cert, "-noout", "-ext", "subjectAltName")[1]
    case("agent.it_names_device_and_service", "URI:urn:bedplate:device:" in shown and ":historian" in shown, shown)
    tpm = {**ENV, "TPM2OPENSSL_TCTI": d.tcti}
    with open(os.path.join(d.dir, "said"), "w", encoding="utf-8") as f:
        f.write("something")
    signed = subprocess.run(["openssl", "dgst", "-sha256", "-provider", "tpm2", "-provider", "default", "-propquery", "?provider=tpm2",
                             "-sign", key, "-out", f"{d.dir}/signature", f"{d.dir}/said"], env=tpm, capture_output=True, text=True, check=False)
    with open(f"{d.dir}/service.pub", "w", encoding="utf-8") as f:
        f.write(need("openssl", "x509", "-in", cert, "-noout", "-pubkey") + "\n")
    checked = run("openssl", "dgst", "-sha256", "-verify", f"{d.dir}/service.pub", "-signature", f"{d.dir}/signature", f"{d.dir}/said")
    case("agent.other_programs_sign_with_its_key", signed.returncode == 0 and checked[0] == 0, f"{signed.stderr} {checked}")
    listed = json.loads(d.call("service", "ls", "--json")[1])
    case("agent.it_lists_the_service", [v["service"] for v in listed] == ["historian"] and listed[0]["certified"], str(listed))
    device = d.status()["device"]
    mine = [c for c in json.loads(operate("device", "show", device))["certificates"] if c["service"] == "historian"]
    case("agent.the_operator_sees_the_services_certificate", len(mine) == 1 and mine[0]["state"] == "good", str(mine))
    operate("device", "quarantine", device, "--reason", "a test")
    crl = [*verify, "-crl_check", "-CRLfile"]
    case("agent.quarantine_suspends_it", until(20, lambda: run(*crl, list_of_revoked(s, d), cert)[0] != 0))
    code, _, err = d.call("service", "add", "historian", "--out", out)
    case("agent.a_quarantined_device_renews_no_service", code == 1 and "quarantined" in err, f"{code} {err}")
    operate("device", "release", device, "--reason", "a test")
    case("agent.released_it_counts_again", until(20, lambda: run(*crl, list_of_revoked(s, d), cert)[0] == 0))
    operate("service", "add", "web", "--profile", "app-server", "--zone", "north")
    d.start()
    until(30, lambda: "affirming" in d.said())
    code, said, err = d.call("service", "add", "web", "--out", os.path.join(d.dir, "web"))
    case("agent.a_running_agent_is_asked", code == 0 and "running agent" in said, f"{code} {said} {err}")
    d.process.send_signal(signal.SIGHUP)
    case("agent.a_running_agent_fetches_it", until(30, lambda: os.path.exists(os.path.join(d.dir, "web", "cert.pem"))), d.said())
    d.stop()
    code, _, err = d.call("service", "remove", "historian")
    case("agent.a_service_is_removed_with_its_files", code == 0 and os.listdir(out) == [], f"{code} {err}")


def check_power_cut(d):
    d.power_off()
    code, _, err = d.call("attest")
    case("agent.without_its_chip_it_says_so", code == 3 and "root" in err, f"{code} {err}")
    d.power_on()
    d.measure()
    code, out, err = d.call("attest")
    case("agent.a_power_cut_of_the_chip_is_no_alarm", code == 0, f"{code} {out} {err}")
    # An emulator calls its clock safe again within seconds, though it is behind what the server has seen.
    safe = until(60, lambda: "safe: yes" in need("tpm2_readclock", "-T", d.tcti))
    code, out, err = d.call("attest")
    case("agent.a_clock_that_calls_itself_safe_again_is_no_alarm", safe and code == 0, f"{code} {out} {err}")


def check_another_chip(a, b):
    """The folder of one device beside the chip of another: nothing loads."""
    moved = os.path.join(b.dir, "moved")
    shutil.copytree(a.state, moved)
    with open(os.path.join(moved, "device.cbor"), "r+b") as f:
        text = f.read()
        where = text.replace(a.tcti.encode(), b.tcti.encode())
        f.seek(0)
        f.write(where)
        f.truncate()
    code, _, err = run(AGENT, "attest", "--state", moved)
    case("agent.a_folder_beside_another_chip_is_nothing", len(a.tcti) == len(b.tcti) and code == 1 and
         "chip was cleared or is another one" in err, f"{code} {err}")


def check_clear(d):
    """Software that has root on the device cannot; who holds the platform (here: no firmware took its authorisation) can."""
    code, _, err = run("tpm2_clear", "-T", d.tcti)
    case("agent.clearing_by_software_is_refused", code != 0, f"{code} {err}")
    case("agent.and_its_keys_are_still_there", d.call("attest")[0] == 0)
    need("tpm2_clearcontrol", "-C", "p", "c", "-T", d.tcti)
    need("tpm2_clear", "-c", "p", "-T", d.tcti)
    code, _, err = d.call("attest")
    case("agent.a_cleared_chip_shows", code == 1 and "chip was cleared or is another one" in err, f"{code} {err}")


def main():
    top = tempfile.mkdtemp(prefix="bpa", dir="/tmp")
    devices = []
    try:
        with Server(options=["--attest-interval", "1000"]) as s:
            s.init()
            devices = [Device(top, "a"), Device(top, "b")]
            for name in ("issuercert.pem", "swtpm-localca-rootca-cert.pem"):
                shutil.copy(os.path.join(top, "maker", name), os.path.join(s.dir, "anchors", f"virtual-{name}"))
            if not case("agent.server_starts", s.start(), s.stderr()):
                return
            operate = Operator(s, top)
            accept_release(operate, devices[0], top)
            check_anchor(s, devices[0])
            check_waiting_room(s, operate, devices[0])
            check_invitation(s, operate, devices[1])
            check_attest(s, operate, devices[0])
            check_policy(operate, devices[0], top)
            check_escrow(s, operate, *devices)
            devices.append(Device(top, "c"))
            check_foreign(s, operate, devices[2])
            check_run(s, devices[0])
            check_request(s, devices[0])
            check_service(s, operate, devices[0])
            check_kills(devices[0])
            check_power_cut(devices[0])
            check_another_chip(*devices[:2])
            check_escrow_of_another(s, operate, *devices[:2])
            check_clear(devices[1])
    finally:
        for d in devices:
            if d.process:
                d.stop(signal.SIGKILL)
            run(f"{LIB}/swtpm.sh", "stop", d.dir)
        shutil.rmtree(top, ignore_errors=True)
    finish()


main()
