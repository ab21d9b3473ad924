#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What each process of the server can reach, tried from inside it (bedplated-probe), started by root and by a user; and
what it can reach once a fence is taken away, so that each fence is seen to be there."""
import os
import re

from server import USER, Server, case, finish, until

KINDS = ["front-device-0", "front-operate-0", "appraiser-0", "keeper", "reader-0", "signer-tls", "signer-log",
         "signer-ca"]
KEYS = ["key-tls", "key-log", "key-ca", "secret"]
OTHER = ["outside", "plant", "socket", "connect", "fork", "execve", "ptrace-parent", "ptrace-me"]
STORE = ["store", "store-write"]
# What a kind does for a living.
MAY = {"keeper": {"store", "store-write"}, "reader-0": {"store"}, "signer-log": {"state-log"}}


def probe(user, without=""):
    """{kind: {attempt: worked}} and each kind's /proc status, from one run of the server."""
    with Server("bedplated-probe", user=user, env={"BP_PROBE_WITHOUT": without}) as s:
        if not s.start():
            return None, s.stderr()
        until(10, lambda: all(f"probe {k} end" in s.stderr() for k in KINDS))
        tries = {k: {} for k in KINDS}
        for kind, what, how in re.findall(r"^probe (\S+) (\S+) (worked|refused)", s.stderr(), re.M):
            tries[kind][what] = how == "worked"
        status = {}
        for name, pid in s.children().items():
            with open(f"/proc/{pid}/status", encoding="utf-8") as f:
                status[name] = dict(line.split(":", 1) for line in f.read().splitlines() if ":" in line)
            status[name]["owner"] = os.stat(f"/proc/{pid}/environ").st_uid  # root's when not dumpable
        return tries, status


def check_all(who, user):
    tries, status = probe(user)
    if not case(f"fences.{who}.started", tries is not None, status):
        return
    for kind in KINDS:
        may = MAY.get(kind, set())
        for group, attempts in (("keys", KEYS), ("store", STORE), ("state", ["state-log"]), ("other", OTHER)):
            bad = [a for a in attempts if tries[kind].get(a) is not (a in may)]
            case(f"fences.{who}.{kind}.{group}", not bad, f"{bad}: {tries[kind]}")
        st = status.get(kind, {})
        case(f"fences.{who}.{kind}.kernel_says_so",
             st.get("Seccomp", "").strip() == "2" and st.get("NoNewPrivs", "").strip() == "1" and st["owner"] == 0,
             str({k: st.get(k) for k in ("Seccomp", "NoNewPrivs", "owner")}))
    uids = [st["Uid"].split()[0] for st in status.values()]
    if user is None:
        case(f"fences.{who}.own_uids", len(set(uids)) == len(KINDS) and "0" not in uids, str(uids))
    else:
        case(f"fences.{who}.uid_is_the_users", set(uids) == {str(user)}, str(uids))


def check_without(who, user, without, kind, attempts):
    """With these fences taken away, these attempts of that kind work: the test sees it."""
    tries, status = probe(user, without)
    name = f"fences.{who}.without_{without.replace(',', '_').replace('-', '_')}"
    if not case(f"{name}.started", tries is not None, status):
        return None
    missed = [a for a in attempts if not tries[kind].get(a)]
    case(f"{name}.{kind}.is_seen", not missed, f"{missed} still refused: {tries[kind]}")
    return status


if os.geteuid() != 0:
    print("skip fences: needs root, to start the server by root and by a user")
else:
    check_all("root", None)
    check_all("user", USER)
    check_without("user", USER, "seccomp", "signer-ca", ["socket", "fork", "ptrace-me"])
    check_without("user", USER, "landlock", "keeper", ["key-tls", "key-ca", "outside", "plant"])
    check_without("user", USER, "landlock,seccomp", "front-device-0", ["key-ca", "secret", "store", "connect", "execve"])
    check_without("root", None, "uid,landlock,seccomp", "signer-tls", ["key-ca", "secret", "store-write"])
    check_without("root", None, "root,landlock,seccomp", "appraiser-0", ["outside", "execve"])
    st = check_without("user", USER, "not-dumpable", "keeper", [])
    case("fences.user.without_not_dumpable.keeper.is_seen_outside", st is not None and st["keeper"]["owner"] == USER, "")
    st = check_without("user", USER, "no-new-privs,landlock,seccomp", "keeper", ["execve"])
    case("fences.user.without_no_new_privs.keeper.is_seen_outside",
         st is not None and st["keeper"]["NoNewPrivs"].strip() == "0", "")
    finish()
