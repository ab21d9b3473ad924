# SPDX-License-Identifier: Apache-2.0
"""What the tests that kill processes of a server share."""
import os
import signal

from server import until

PATIENCE = 120  # seconds that something may take on a busy machine before it counts as not happening


def acked(fleet, since):
    """How many answers gateways told of after the first `since` lines."""
    return sum(line.startswith("acked") for line in fleet.told[since:])


def kill(s, name):
    """kill -9 of one process of the server. Its pid."""
    pid = s.children()[name]
    os.kill(pid, signal.SIGKILL)
    return pid


def is_replaced(s, name, pid):
    return bool(until(PATIENCE, lambda: s.children().get(name) not in (None, pid)))
