#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What ./demo measures cuts with (scripts/demo/until-cut): a cut is seen, one that does not come is not made up."""
import os
import signal
import socket
import subprocess

from server import case, finish

TOOL = "scripts/demo/until-cut"


class Pair:
    """A connection that this process holds both ends of."""

    def __init__(self):
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.near = socket.create_connection(("127.0.0.1", self.port))
        self.far, _ = self.listener.accept()

    def close(self):
        for s in (self.near, self.far, self.listener):
            s.close()


def measure(port, *command, seconds="20", pid=None):
    done = subprocess.run([TOOL, "--pid", str(pid or os.getpid()), "--port", str(port), "--seconds", seconds, *command],
                          capture_output=True, text=True, check=False, timeout=60)
    return done.returncode, done.stdout.split()


def tell(what):
    """A command that has this process do something: it sends a signal."""
    return ("sh", "-c", f"kill -{what} {os.getpid()}")


def main():
    pair = Pair()
    signal.signal(signal.SIGUSR1, lambda *_: pair.far.close())
    signal.signal(signal.SIGUSR2, lambda *_: None)
    code, out = measure(pair.port, *tell("USR2"), seconds="2")
    case("until_cut.a_session_that_goes_on_is_not_cut", code == 1 and out == [], f"{code} {out}")
    code, out = measure(pair.port, "false")
    case("until_cut.a_command_that_fails_measures_nothing", code == 3 and out == [], f"{code} {out}")
    code, out = measure(pair.port, *tell("USR1"))
    case("until_cut.a_cut_is_seen", code == 0 and len(out) == 2 and all(0 <= int(ms) < 20000 for ms in out), f"{code} {out}")
    code, out = measure(pair.port, "true")
    case("until_cut.what_is_cut_already_is_no_session", code == 2 and out == [], f"{code} {out}")
    pair.close()
    pair = Pair()
    code, out = measure(pair.port, "true", pid=os.getppid())
    case("until_cut.the_connection_of_another_process_is_not_taken", code == 2 and out == [], f"{code} {out}")
    pair.close()
    finish()


main()
