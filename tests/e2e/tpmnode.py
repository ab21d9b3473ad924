# SPDX-License-Identifier: Apache-2.0
"""A node like /dev/tpmrm0 in front of a software TPM: whoever opens the path writes one command and reads one response, by one
descriptor that it keeps. It is a terminal without line discipline; a thread carries bytes to the TPM's socket and back."""
import os
import pty
import socket
import threading
import tty


class TpmNode:
    """with TpmNode(socket path) as n: n.path is the node."""

    def __init__(self, tpm):
        self.ours, self.theirs = pty.openpty()
        tty.setraw(self.theirs)
        os.set_blocking(self.ours, True)
        self.path = os.ttyname(self.theirs)
        self.tpm = tpm

    def _message(self):
        """One whole command: tag, then its length in four bytes."""
        data = b""
        while len(data) < 10 or len(data) < int.from_bytes(data[2:6], "big"):
            more = os.read(self.ours, 4096)
            if not more:
                return b""
            data += more
        return data

    def _carry(self):
        try:
            while True:
                command = self._message()
                if not command:
                    return
                with socket.socket(socket.AF_UNIX) as s:
                    s.connect(self.tpm)
                    s.sendall(command)
                    answer = b""
                    while len(answer) < 10 or len(answer) < int.from_bytes(answer[2:6], "big"):
                        more = s.recv(4096)
                        if not more:
                            return
                        answer += more
                os.write(self.ours, answer)
        except OSError:
            return  # the node is being closed

    def __enter__(self):
        threading.Thread(target=self._carry, daemon=True).start()
        return self

    def __exit__(self, *_):
        os.close(self.theirs)
        os.close(self.ours)
