#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A server is backed up while it runs, loses its store and gets the backup back: it sees that the store is older than what it
signed, grants nothing, lists the loss, and goes on after a person accepted it; what was revoked since stays so, what was issued
since is known, and a device that keeps a head of the lost part is told, once. Cuts and a full disk leave no half state."""
import glob
import json
import os
import random
import shutil
import sqlite3
import subprocess
import tempfile
import time

from device import CLI, LIB, Device, Operator, accept_release, run
from server import BIN, Fleet, Server, case, finish, until

CRL = "/crl/issuing-0.crl"
LOG_BROKEN, HEAD_UNKNOWN = 144, 145  # src/codec/event.h
KILLS = 12
chance = random.Random(os.environ.get("BP_SEED", "20261128"))


def bedplated(s, word, *more):
    return run(f"{BIN}/bedplated", word, "--dir", s.dir, "--json", *more)


def findings(s):
    """{part: (ok, text)} of what check says."""
    done = subprocess.run([f"{BIN}/bedplated", "check", "--dir", s.dir, "--json"], capture_output=True, text=True, check=False)
    return {f["part"]: (f["ok"], f["text"]) for f in json.loads(done.stdout)["findings"]}


def query(s, sql, *values):
    db = sqlite3.connect(f"file:{s.dir}/store/bedplate.db?mode=ro", uri=True)
    try:
        return db.execute(sql, values).fetchone()[0]
    finally:
        db.close()


def events(s, kind):
    return query(s, "select count(*) from event where type = ?", kind)


def head(s):
    with open(os.path.join(s.dir, "log/checkpoint"), encoding="utf-8") as f:
        return int(f.read().split("\n")[1])


def head_of_signer(s):
    return json.loads(bedplated(s, "log-break")[1])["signed"]


def is_signed(s):
    """Whether a head is over everything that is stored."""
    return until(20, lambda: query(s, "select size - signed_size from tree") == 0)


def crl(s):
    status, _, der = s.request("status", "GET", CRL)
    return der if status == 200 else b""


def serial_of(fleet, i):
    return bytes.fromhex(fleet.do(f"id {i}").split()[4])


def device_of(fleet, i):
    return fleet.do(f"id {i}").split()[2]


def state_of(s, device):
    names = {4: "active", 6: "revoked"}
    n = query(s, "select state from device where id = ?", bytes.fromhex(device))
    return names.get(n, n)


def overview(operate):
    return json.loads(operate("overview"))


def refused(operate, *words):
    code, out, err = run(CLI, *words, "--config", operate.config, "--json")
    return code != 0 and "recovering" in out + err


def restart(s, fleet):
    good = s.start()
    fleet.use(s)
    return good


def put_back_by_hand(s, operate, fleet):
    """Nobody ran a command: a folder was copied over the other one. And the right one is put back again."""
    older, newer = os.path.join(s.top, "older"), os.path.join(s.top, "newer")
    s.stop()
    shutil.copytree(os.path.join(s.dir, "store"), older)
    restart(s, fleet)
    case("backup.by_hand.serves_before", fleet.do("attest 0").startswith("attest 0 ok 2"), s.stderr()[-300:])
    is_signed(s)
    s.stop()
    os.rename(os.path.join(s.dir, "store"), newer)
    os.rename(older, os.path.join(s.dir, "store"))
    restart(s, fleet)
    case("backup.an_older_store_is_recognised", until(10, lambda: overview(operate)["server"]["recovering"]), str(overview(operate)["server"]))
    line = fleet.do("attest 0")
    case("backup.by_hand.nothing_is_granted", "503 recovering" in line, line)
    said = findings(s)["recovery"]
    case("backup.by_hand.check_says_so", not said[0] and "older" in said[1], said)
    s.stop()
    shutil.rmtree(os.path.join(s.dir, "store"))
    os.rename(newer, os.path.join(s.dir, "store"))
    restart(s, fleet)
    good = until(10, lambda: fleet.do("attest 0").startswith("attest 0 ok 2"))
    case("backup.by_hand.the_right_one_serves_again", good and not overview(operate)["server"]["recovering"], s.stderr()[-300:])


def back_up(s, fleet, file):
    fleet.do("work 1 3")
    fleet.listen(30, lambda: sum(line.startswith("acked") for line in fleet.told) >= 4)
    code, out, err = bedplated(s, "backup", "--to", file)
    fleet.do("rest")
    case("backup.made_while_it_runs", code == 0 and json.loads(out)["events"] > 0, f"{code} {err}")
    case("backup.nobody_else_reads_it", os.stat(file).st_mode & 0o777 == 0o600, oct(os.stat(file).st_mode))
    with open(file, "rb") as f:
        text = f.read()
    with open(os.path.join(s.dir, "secrets/owner"), "rb") as f:
        case("backup.holds_no_secret", f.read() not in text and b"PRIVATE KEY" not in text)
    case("backup.leaves_nothing_beside_it", glob.glob(file + "*") == [file], glob.glob(file + "*"))
    return json.loads(out)


def refuse_bad_files(s, file):
    """Nothing is changed by what is no backup of this server."""
    with open(file, "rb") as f:
        whole = f.read()
    tail = len(whole) - 104
    bad = os.path.join(s.top, "bad.backup")

    def tried(name, content, word):
        with open(bad, "wb") as f:
            f.write(content)
        before = os.stat(os.path.join(s.dir, "store/bedplate.db"))
        code, _, err = bedplated(s, "restore", "--from", bad)
        after = os.stat(os.path.join(s.dir, "store/bedplate.db"))
        case(f"backup.refuses_{name}", code == 1 and word in err and before.st_ino == after.st_ino, f"{code} {err}")

    tried("a_flipped_bit", whole[:5000] + bytes([whole[5000] ^ 1]) + whole[5001:], "damaged")
    tried("a_cut_file", whole[:-1], "no backup")
    tried("another_servers", whole[:tail + 40] + bytes(32) + whole[tail + 72:], "another server")
    tried("another_size_of_head", whole[:tail + 32] + bytes(8) + whole[tail + 40:], "damaged")
    tried("a_plain_database", whole[:tail], "no backup")


def lose(s, operate, fleet, file):
    """What happens after the backup and is lost with it."""
    fleet.do("join 4")
    device = device_of(fleet, 3)
    operate("device", "revoke", device, "--reason", "stolen")
    listed = until(20, lambda: serial_of(fleet, 3) in crl(s))
    case("backup.revoked_after_it", listed and state_of(s, device) == "revoked")
    code, _, err = bedplated(s, "restore", "--from", file)
    case("backup.restore_refuses_a_server_that_runs", code == 1 and "runs" in err, f"{code} {err}")
    is_signed(s)
    return device


def recover(s, operate, fleet, d):
    """The server starts, is read from, and grants nothing."""
    case("backup.the_older_store_starts", restart(s, fleet), s.stderr()[-400:])
    case("backup.the_page_says_so", overview(operate)["server"]["recovering"] is True)
    case("backup.devices_are_read", len(json.loads(operate("device", "ls"))["devices"]) >= 4)
    answers = [fleet.do("attest 0"), fleet.do("join 5")]
    case("backup.nothing_is_granted", all("503 recovering" in a for a in answers), answers)
    code, _, err = d.call("attest")
    case("backup.a_device_is_told_to_wait", code != 0 and "recovering" in err, f"{code} {err}")
    case("backup.no_list_and_no_status_is_given", s.request("status", "GET", CRL)[0] == 503)
    case("backup.people_grant_nothing", refused(operate, "device", "invite", "--zone", "north"))
    revoked = device_of(fleet, 2)
    operate("device", "revoke", revoked, "--reason", "in doubt")
    case("backup.people_still_revoke", state_of(s, revoked) == "revoked")
    case("backup.no_head_is_signed_meanwhile", query(s, "select size - signed_size from tree") > 0)
    said = findings(s)["recovery"]
    case("backup.check_says_so", not said[0], said)


def accept_loss(s, signed):
    code, out, err = bedplated(s, "log-break")
    facts = json.loads(out) if code == 0 else {}
    case("backup.the_loss_is_listed", code == 0 and facts["loss"] and facts["signed"] == signed > facts["kept"] and
         facts["certificates"] >= 1 and facts["forgotten"] == 1 and facts["list"] > facts["stored_list"], f"{code} {out} {err}")
    code, out, err = run(f"{BIN}/bedplated", "log-break", "--dir", s.dir)
    case("backup.the_loss_is_listed_for_people", code == 0 and "are lost" in out and f"--accept {signed}" in out, f"{code} {out} {err}")
    code, _, err = bedplated(s, "log-break", "--accept", str(signed), "--reason", "a test")
    case("backup.accepting_refuses_a_server_that_runs", code == 1 and "runs" in err, f"{code} {err}")
    s.stop()
    code, _, err = bedplated(s, "log-break", "--accept", str(signed - 1), "--reason", "a test")
    case("backup.accepting_less_than_is_lost_is_refused", code == 1 and "at least" in err and events(s, LOG_BROKEN) == 0, f"{code} {err}")
    case("backup.accepting_needs_a_reason", bedplated(s, "log-break", "--accept", str(signed))[0] == 2)
    code, out, err = bedplated(s, "log-break", "--accept", str(signed), "--reason", "the disk failed")
    case("backup.accepted_in_the_log", code == 0 and events(s, LOG_BROKEN) == 1 and json.loads(out)["devices"] == 1, f"{code} {out} {err}")
    code, _, err = bedplated(s, "log-break", "--accept", str(signed), "--reason", "again")
    case("backup.accepted_once", code == 1 and ("accepted before" in err or "nothing is lost" in err) and events(s, LOG_BROKEN) == 1, f"{code} {err}")


def go_on(s, operate, fleet, d, stolen, new_serial, signed):
    case("backup.starts_after_it", restart(s, fleet), s.stderr()[-400:])
    served = until(20, lambda: fleet.do("attest 0").startswith("attest 0 ok 2"))
    case("backup.grants_again", served and not overview(operate)["server"]["recovering"], fleet.do("attest 0"))
    case("backup.revoked_since_the_backup_stays_off", state_of(s, stolen) == "revoked" and not fleet.do("poll 3").endswith("ok"))
    case("backup.issued_since_the_backup_is_revoked",
         until(20, lambda: serial_of(fleet, 3) in crl(s) and new_serial in crl(s)) and not fleet.do("poll 4").endswith("ok"))
    case("backup.what_served_once_has_ended", query(s, "select count(*) from invitation where used_by = 0 and expires_ms > 0") == 0)
    case("backup.the_log_goes_on", is_signed(s) and until(20, lambda: findings(s)["log"][0]), str(findings(s)))
    whole = findings(s)
    case("backup.check_says_whole", all(ok for ok, _ in whole.values()), str(whole))
    code, _, err = d.call("attest")
    case("backup.device_is_told_once", code == 1 and "gave up its history" in err and "the disk failed" in err and
         os.path.exists(f"{d.state}/head.void"), f"{code} {err}")
    code, _, err = d.call("attest")
    case("backup.device_goes_on", code == 0, f"{code} {err}")
    with open(f"{d.state}/head.void", encoding="utf-8") as f:
        void = f.read()
    case("backup.the_void_head_is_kept_as_proof", int(void.split("\n")[1]) <= signed)
    # The statement served; the same head again is an attempt to have it served twice.
    with open(f"{d.state}/head", "w", encoding="utf-8") as f:
        f.write(void)
    code, _, err = d.call("attest")
    case("backup.the_statement_serves_once", code == 1 and "gave up" not in err, f"{code} {err}")


def cut(s, file):
    """kill -9 of restore at random moments: the store is the old or the new one, whole."""
    bad, done, killed = [], 0, 0
    begun = time.monotonic()
    bedplated(s, "restore", "--from", file)
    whole = time.monotonic() - begun
    for i in range(KILLS):
        p = subprocess.Popen([f"{BIN}/bedplated", "restore", "--dir", s.dir, "--from", file], stdout=subprocess.DEVNULL,
                             stderr=subprocess.DEVNULL)
        try:
            p.wait(whole * chance.random())
            done += 1
        except subprocess.TimeoutExpired:
            p.kill()
            p.wait()
            killed += 1
        said = findings(s)
        if not said["store"][0] or not said["log"][0] or query(s, "pragma integrity_check") != "ok":
            bad.append((i, said))
    case("backup.killed_at_any_moment_leaves_a_whole_store", not bad and killed > 0, f"{done} done, {killed} killed, {bad[:1]}")
    code, _, err = bedplated(s, "restore", "--from", file)
    case("backup.restores_after_kills", code == 0 and findings(s)["store"][0], f"{code} {err}")


def full(s, file):
    """No room for the next backup: the one before stays."""
    small = os.path.join(s.top, "small")
    os.mkdir(small)
    if os.getuid() != 0 or subprocess.run(["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", small], capture_output=True,
                                          check=False).returncode != 0:
        print("skip backup.full_disk: this machine lets nobody mount a file system")
        return
    try:
        at = os.path.join(small, "b")
        with open(at, "wb") as f:
            f.write(b"the one before")
        code, _, err = bedplated(s, "backup", "--to", at)
        with open(at, "rb") as f:
            case("backup.full_disk_leaves_the_old_file", code == 1 and f.read() == b"the one before" and os.listdir(small) == ["b"],
                 f"{code} {err} {os.listdir(small)} {os.stat(file).st_size}")
    finally:
        subprocess.run(["umount", small], check=False)


def story(s, fleet, d, top):
    """From the first gateway to the device that was told."""
    file = os.path.join(s.top, "one.backup")
    if not case("backup.server_starts", s.start(), s.stderr()[-400:]):
        return
    s.keep_ports()
    fleet.use(s)
    operate = Operator(s, top)
    accept_release(operate, d, top)
    invitation = json.loads(operate("device", "invite", "--zone", "north"))["code"]
    code, _, err = d.enroll(s, "--code", invitation)
    joined = [fleet.do(f"join {i}") for i in range(4)]
    case("backup.devices_join", code == 0 and all(" ok " in j for j in joined), f"{err} {joined}")
    put_back_by_hand(s, operate, fleet)
    back_up(s, fleet, file)
    stolen = lose(s, operate, fleet, file)
    code, _, err = d.call("attest")
    case("backup.the_device_keeps_a_head_of_what_will_be_lost", code == 0, f"{code} {err}")
    is_signed(s)
    new_serial, signed = serial_of(fleet, 4), head(s)
    s.stop()
    refuse_bad_files(s, file)
    cut(s, file)
    full(s, file)
    code, out, err = bedplated(s, "restore", "--from", file)
    case("backup.restored", code == 0 and json.loads(out)["mark"] == "put-back", f"{code} {out} {err}")
    case("backup.what_was_there_is_kept", len(glob.glob(os.path.join(s.dir, "store.replaced-*"))) >= 1)
    recover(s, operate, fleet, d)
    accept_loss(s, head_of_signer(s))
    go_on(s, operate, fleet, d, stolen, new_serial, signed)
    s.stop()


def main():
    top = tempfile.mkdtemp(prefix="bpb", dir="/tmp")
    devices = []
    try:
        with Server() as s:
            s.init()
            devices.append(Device(top, "a"))
            for name in ("issuercert.pem", "swtpm-localca-rootca-cert.pem"):
                shutil.copy(os.path.join(top, "maker", name), os.path.join(s.dir, "anchors", f"virtual-{name}"))
            with Fleet(s, 6) as fleet:
                story(s, fleet, devices[0], top)
    finally:
        for d in devices:
            run(f"{LIB}/swtpm.sh", "stop", d.dir)
        shutil.rmtree(top, ignore_errors=True)
    finish()


main()
