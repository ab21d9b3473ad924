#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""By what sessions agree on keys: openssl's programs against every listener of a running server and against our own clients.
Where the library has X25519MLKEM768 both ends put it first; an older peer is served as before."""
import hashlib
import json
import os
import re
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "e2e"))
from server import BIN, Server, case, finish  # noqa: E402

HYBRID = "X25519MLKEM768"


def run(*words, **more):
    done = subprocess.run(words, stdin=subprocess.DEVNULL, capture_output=True, check=False, timeout=60, **more)
    return done.returncode, (done.stdout + done.stderr).decode(errors="replace")


def library_has_it():
    """Asked of the openssl program, not of ours."""
    return HYBRID.lower() in run("openssl", "list", "-kem-algorithms")[1].lower()


def agreed(s, listener, *options):
    """The group of one session, as openssl s_client says it; None: there was no session."""
    code, said = run("openssl", "s_client", "-connect", f"localhost:{s.ports[listener]}", "-servername", "localhost", "-verify_quiet",
                     *options)
    found = re.search(r"^Negotiated TLS1\.3 group: (\S+)", said, re.M) or re.search(r"^(?:Server|Peer) Temp Key: ([^, ]+)(?:, (prime256v1|secp\w+))?",
                                                                                   said, re.M)
    if code != 0 and "Verify return code" not in said or found is None or "Cipher is (NONE)" in said:
        return None
    return (found.group(2) if found.re.groups > 1 and found.group(2) else found.group(1)).upper()


def listeners(s, hybrid):
    for name in ("device", "enrol", "operate"):
        best = agreed(s, name)
        case(f"groups.{name}_best", best == (HYBRID if hybrid else "X25519"), best)
        case(f"groups.{name}_older_x25519", agreed(s, name, "-groups", "X25519") == "X25519")
        old = agreed(s, name, "-groups", "P-256")
        case(f"groups.{name}_older_p256", old in ("ECDH", "PRIME256V1", "SECP256R1"), old)
        case(f"groups.{name}_none_in_common", agreed(s, name, "-groups", "P-521") is None)
        if hybrid:
            case(f"groups.{name}_hybrid_alone", agreed(s, name, "-groups", HYBRID) == HYBRID)
            second = agreed(s, name, "-groups", f"*X25519:{HYBRID}")
            case(f"groups.{name}_hybrid_though_a_share_of_another_came", second == HYBRID, second)
    case("groups.enrol_tls12", agreed(s, "enrol", "-tls1_2") is not None)
    case("groups.device_no_tls12", agreed(s, "device", "-tls1_2") is None)


class Peer:
    """openssl s_server with a certificate of its own; what our clients offer it."""

    def __init__(self, top, *options):
        key, cert = os.path.join(top, "peer.key"), os.path.join(top, "peer.pem")
        if not os.path.exists(cert):
            run("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", key, "-out", cert,
                "-subj", "/CN=peer", "-addext", "subjectAltName=DNS:localhost", "-addext", "keyUsage=critical,digitalSignature,keyCertSign")
        self.anchor = hashlib.sha256(subprocess.run(["openssl", "x509", "-in", cert, "-outform", "DER"], capture_output=True,
                                                    check=True).stdout).hexdigest()
        # By lines: a client that waits for an answer leaves the end of the handshake in the buffer.
        self.process = subprocess.Popen(["stdbuf", "-oL", "openssl", "s_server", "-accept", "127.0.0.1:0", "-cert", cert, "-key", key, "-www",
                                         *options],
                                        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        self.port = 0
        for line in self.process.stdout:
            found = re.match(rb"ACCEPT \S*:(\d+)", line)
            if found:
                self.port = int(found.group(1))
                break

    def handshake(self, words, env):
        """What is said until the handshake with a client of ours is over, which then gets no answer."""
        client, said = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=env), []
        for line in self.process.stdout:
            said.append(line.decode(errors="replace"))
            if "Finished" in said[-1] or "Alert" in said[-1]:
                break
        for process in (client, self.process):
            process.kill()
            process.wait()
        self.process.stdout.close()
        return "".join(said)


def offered(top, *options):
    """The groups that a client of ours offers, best first, those that it sent a share of, from the bytes of its hello, and all."""
    peer = Peer(top, "-trace", *options)
    env = {**os.environ, "HOME": top, "XDG_CONFIG_HOME": os.path.join(top, "config")}
    said = peer.handshake([f"{BIN}/bedplate", "login", "--server", f"https://localhost:{peer.port}", "--code", "A" * 26,
                           "--anchor", f"sha256:{peer.anchor}"], env)
    hello = said.partition("ClientHello")[2].partition("ServerHello")[0]
    groups = hello.partition("supported_groups")[2].partition("extension_type")[0]
    shares = hello.partition("key_share")[2].partition("extension_type")[0]
    return ([n.upper() for n in re.findall(r"^\s+(\S+)(?: \(P-\d+\))? \(\d+\)$", groups, re.M)],
            [n.group(1).upper() for n in re.finditer(r"NamedGroup: ([A-Za-z0-9]+)", shares)], said)


def clients(s, hybrid):
    groups, shares, said = offered(s.top)
    case("groups.client_offers_the_best_first", groups[:2] == ([HYBRID, "ECDH_X25519"] if hybrid else ["ECDH_X25519", "SECP256R1"]) or
         groups[:2] == ([HYBRID, "X25519"] if hybrid else ["X25519", "SECP256R1"]), (groups, said[:1500]))
    case("groups.client_sends_shares_of_both_kinds", len(shares) == (2 if hybrid else 1), shares)
    older = offered(s.top, "-groups", "X25519")[2]
    case("groups.client_of_an_older_server", "HelloRetryRequest" not in older and "Finished" in older, older[-600:])


with Server() as server:
    server.init()
    if case("groups.server_starts", server.start(), server.stderr()):
        has = library_has_it()
        done = subprocess.run([f"{BIN}/bedplated", "check", "--dir", server.dir, "--json"], capture_output=True, text=True, check=False)
        text = next(f["text"] for f in json.loads(done.stdout)["findings"] if f["part"] == "openssl")
        case("groups.check_says_which", f"agree on keys by {HYBRID if has else 'X25519'} where" in text, text)
        listeners(server, has)
        clients(server, has)
        server.stop()
finish()
