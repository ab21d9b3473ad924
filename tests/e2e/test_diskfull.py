#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A server whose directory is a file system of 16 MiB that fills up: requests are refused with storage-full, nothing that
was acknowledged is lost, it says so once, and it recovers by itself when there is room again. Also a start on a full disk.

Needs root to mount: an ext4 image where the machine has loop devices, else a tmpfs; ends it again by its own path."""
import errno
import os
import shutil
import sqlite3
import subprocess
import sys

from server import Fleet, Server, case, finish, is_whole, missing, until

SIZE = 16 << 20
WORKERS = 4
STORE_RECOVERED = 2  # src/codec/event.h


def mount(s):
    """Moves the server's directory onto a small file system. Its kind, or None."""
    image, made = os.path.join(s.top, "image"), s.dir + ".made"
    with open(image, "wb") as f:
        f.truncate(SIZE)
    os.rename(s.dir, made)
    os.mkdir(s.dir)
    kind = None
    ext4 = subprocess.run(["mkfs.ext4", "-q", "-F", "-m", "0", image], capture_output=True, check=False) if shutil.which(
        "mkfs.ext4") else None
    if ext4 and ext4.returncode == 0 and subprocess.run(["mount", "-o", "loop", image, s.dir], capture_output=True,
                                                        check=False).returncode == 0:
        kind = "ext4"
    elif subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={SIZE}", "tmpfs", s.dir], capture_output=True,
                        check=False).returncode == 0:
        kind = "tmpfs"
    if kind:
        subprocess.run(["cp", "-a", made + "/.", s.dir], check=True)
    return kind


def fill(s):
    """Takes all the room there is, to the last block."""
    with open(os.path.join(s.dir, "filler"), "ab", buffering=0) as f:
        for step in (1 << 20, 1 << 12, 1):
            try:
                while True:
                    f.write(b"x" * step)
            except OSError as e:
                if e.errno != errno.ENOSPC:
                    raise


def make_room(s):
    os.unlink(os.path.join(s.dir, "filler"))


def recovered(s):
    db = sqlite3.connect(f"file:{s.dir}/store/bedplate.db?mode=ro", uri=True)
    try:
        return db.execute("select count(*) from event where type = ?", (STORE_RECOVERED,)).fetchone()[0]
    finally:
        db.close()


def acked(fleet, since):
    return sum(line.startswith("acked") for line in fleet.told[since:])


def refusals(fleet, since):
    return [line for line in fleet.told[since:] if line.startswith("refused")]


def is_full(line):
    return line.endswith(" 507 storage-full")


def is_each_refused(lines, times):
    """Whether each worker was: what one tells later was asked later, but one may tell late what it had before."""
    return all(sum(line.split()[1] == str(w) and is_full(line) for line in lines) >= times for w in range(WORKERS))


def becomes_full(name, s, fleet, newcomer):
    """Fills it while gateways ask; they are refused with that reason, and the processes stand."""
    processes = s.children()
    since = len(fleet.told)
    fill(s)
    # What the write-ahead log had room for is still taken; then each is refused.
    fleet.listen(60, lambda: is_each_refused(refusals(fleet, since), 2))
    got = refusals(fleet, since)
    case(f"diskfull.{name}.requests_are_refused_with_storage_full", len(got) >= 2 * WORKERS and all(map(is_full, got)),
         str([line for line in got if not is_full(line)][:3] or got[:3]))
    at_end = len(fleet.told)
    answer = fleet.do(f"join {newcomer}")
    case(f"diskfull.{name}.a_newcomer_gets_no_certificate", " failed " in answer and is_full(answer), answer)
    # One that shares a group of acts with a request that fails is refused with it; the next is answered.
    silent = [what for what in (("enrol", "/bedplate/v1/anchor"), ("operate", "/"), ("status", "/crl/issuing-0.crl"))
              if not until(10, lambda w=what: s.request(w[0], "GET", w[1])[0] == 200)]
    case(f"diskfull.{name}.what_needs_no_room_is_answered", not silent, str(silent))
    case(f"diskfull.{name}.no_process_ended", s.children() == processes, f"{processes} {s.children()}")
    case(f"diskfull.{name}.nothing_is_acknowledged_meanwhile", acked(fleet, at_end) == 0, str(fleet.told[at_end:][-3:]))


def has_room(name, s, fleet, newcomer):
    since = len(fleet.told)
    # While the disk fills up a last group may still fit after one that did not: that is a recovery of its own.
    before = recovered(s)
    make_room(s)
    fleet.listen(30, lambda: acked(fleet, since) >= 2 * WORKERS)
    case(f"diskfull.{name}.recovers_by_itself", acked(fleet, since) >= 2 * WORKERS, s.stderr()[-400:])
    answer = fleet.do(f"join {newcomer}")
    case(f"diskfull.{name}.the_newcomer_is_taken", " ok " in answer, answer)
    fleet.do("rest")
    case(f"diskfull.{name}.the_log_says_so_once", until(10, lambda: recovered(s) == before + 1), f"{before} {recovered(s)}")
    gone = missing(s, fleet.told)
    case(f"diskfull.{name}.nothing_acknowledged_is_missing", not gone, str(gone[:3]))


def run(s):
    with Fleet(s, 8) as fleet:
        if not case("diskfull.starts", s.start(), s.stderr()[-400:]):
            return
        fleet.use(s)
        fleet.do(f"work 0 {WORKERS}")
        fleet.listen(30, lambda: acked(fleet, 0) >= 4 * WORKERS)
        becomes_full("in_service", s, fleet, 6)
        has_room("in_service", s, fleet, 6)
        # Once more, ended and started while there is no room.
        fill(s)
        case("diskfull.ends_in_order", s.stop() == 0, s.stderr()[-400:])
        if not case("diskfull.starts_on_a_full_disk", s.start(), s.stderr()[-400:]):
            return
        fleet.use(s)
        fleet.do(f"work 0 {WORKERS}")
        becomes_full("after_a_start", s, fleet, 7)
        has_room("after_a_start", s, fleet, 7)
        s.stop()
        whole, report = is_whole(s)
        case("diskfull.the_log_is_whole", whole, report)


if os.getuid() != 0:
    print("skip diskfull: only root mounts a file system of its own")
    sys.exit(0)
with Server() as server:
    server.init()
    on = mount(server)
    if on is None:
        print("skip diskfull: this machine lets nobody mount a file system")
        sys.exit(0)
    print(f"# 16 MiB of {on}")
    try:
        run(server)
    finally:
        server.stop()
        subprocess.run(["umount", server.dir], check=False)
finish()
