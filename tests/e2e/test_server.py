#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The server as its peers meet it: listeners, one request through each, any process killed and replaced, an orderly end,
and what a peer cannot do: stay half open, come too often, send too much, read too slowly."""
import os
import select
import signal
import socket
import ssl
import subprocess
import time

from server import BIN, Server, case, finish, until

ANCHOR = "/bedplate/v1/anchor"
CRL = "/crl/issuing-0.crl"


def root_der(s):
    with open(os.path.join(s.dir, "certs/root.der"), "rb") as f:
        return f.read()


def answers(s, listener, path, status=200):
    """Whether the listener answers now; connections may be refused while a process is being replaced."""
    try:
        return s.request(listener, "GET", path, timeout=5)[0] == status
    except OSError:
        return False


def device_cert(s):
    """A key and a certificate as the issuing CA would give: the test reads the CA's key from the disk, as root may."""
    base = os.path.join(s.top, "device")
    ca, key = os.path.join(s.dir, "certs/issuing.der"), os.path.join(s.dir, "keys/ca/issuing.pem")
    script = f"""set -e
openssl ecparam -name prime256v1 -genkey -noout -out {base}.key
openssl req -new -key {base}.key -subj /CN=test -out {base}.csr
openssl x509 -inform der -in {ca} -out {base}.ca
printf 'keyUsage=critical,digitalSignature\\nextendedKeyUsage=clientAuth\\nauthorityKeyIdentifier=keyid\\nsubjectKeyIdentifier=hash\\nbasicConstraints=critical,CA:FALSE\\n' >{base}.ext
openssl x509 -req -in {base}.csr -CA {base}.ca -CAkey {key} -set_serial 0x4711 -days 1 -extfile {base}.ext -out {base}.crt
cat {base}.key {base}.crt >{base}.pem"""
    subprocess.run(["sh", "-c", script], check=True, capture_output=True)
    return f"{base}.pem"


def check_round_trips(s):
    status, headers, body = s.request("enrol", "GET", ANCHOR)
    case("server.enrol.round_trip", status == 200 and body == root_der(s), f"{status} {body[:80]}")
    case("server.enrol.answers_are_not_stored", headers["Cache-Control"] == "no-store", str(headers))
    status, _, body = s.request("status", "GET", CRL)
    case("server.status.round_trip", status == 200 and body[:1] == b"\x30", f"{status}")
    status, headers, body = s.request("operate", "GET", "/")
    case("server.operate.page", status == 200 and headers["Content-Encoding"] == "gzip", f"{status} {headers}")
    csp = headers["Content-Security-Policy"] or ""
    case("server.operate.page_loads_only_from_here", "default-src 'none'" in csp and "unsafe" not in csp, csp)
    tag = headers["ETag"]
    status, headers, body = s.request("operate", "GET", "/", headers={"If-None-Match": tag})
    case("server.operate.page_is_not_sent_twice", status == 304 and body == b"", f"{status}")
    status, headers, body = s.request("operate", "GET", "/api/v1/overview")
    case("server.operate.api_needs_a_session",
         status == 401 and headers["Content-Type"] == "application/problem+json", f"{status} {body}")
    status, _, body = s.request("operate", "GET", "/api/v1/stream")
    case("server.operate.stream_needs_a_session", status == 401, f"{status} {body}")
    status, _, body = s.request("operate", "GET", "/no-such-file")
    case("server.operate.no_such_file", status == 404, f"{status}")
    status, _, _ = s.request("operate", "POST", "/", body=b"x")
    case("server.operate.page_is_only_read", status == 405, f"{status}")
    status, _, _ = s.request("status", "POST", CRL, body=b"")
    case("server.status.is_only_read", status == 405, f"{status}")


def check_device(s):
    try:
        with s.connect("device") as sock:
            sock.sendall(b"GET /bedplate/v1/nonce HTTP/1.1\r\nHost: localhost\r\n\r\n")
            refused = sock.recv(1) == b""
    except (ssl.SSLError, OSError):
        refused = True
    case("server.device.asks_for_a_certificate", refused)
    status, headers, body = s.request("device", "GET", "/bedplate/v1/nonce", cert=device_cert(s))
    case("server.device.a_certificate_alone_is_no_device",
         status == 403 and headers["Content-Type"] == "application/problem+json", f"{status} {body}")
    with s.connect("device", cert=f"{s.top}/device.pem") as sock:
        case("server.device.tls_1_3", sock.version() == "TLSv1.3", sock.version())


def check_names(s):
    """The page's name never asks for a certificate; the operators' name does, and a device's is refused there."""
    with s.connect("operate", cert=f"{s.top}/device.pem"):
        case("server.operate.page_ignores_certificates", True)
    context = s.tls(cert=f"{s.top}/device.pem")
    context.check_hostname = False
    refused = False
    try:
        plain = socket.create_connection(("127.0.0.1", s.ports["operate"]), timeout=10)
        with context.wrap_socket(plain, server_hostname="operator.localhost") as sock:
            sock.sendall(b"GET /api/v1/overview HTTP/1.1\r\nHost: localhost\r\n\r\n")
            refused = sock.recv(1) == b""
    except (ssl.SSLError, OSError):
        refused = True
    case("server.operate.a_device_is_no_operator", refused)


def check_kills(s):
    paths = {"enrol": ANCHOR, "status": CRL, "operate": "/"}
    for name, old in sorted(s.children().items()):
        os.kill(old, signal.SIGKILL)
        fresh = until(15, lambda: s.children().get(name) not in (None, old))
        works = until(20, lambda: all(answers(s, listener, path) for listener, path in paths.items()))
        case(f"server.kill.{name}.is_replaced", fresh, s.stderr()[-500:])
        case(f"server.kill.{name}.service_resumes", works, s.stderr()[-500:])


def check_independence(s):
    """While one front stands still, the others serve."""
    for stopped, path, listener in (("front-device-0", "/", "operate"), ("front-operate-0", ANCHOR, "enrol")):
        pid = s.children()[stopped]
        os.kill(pid, signal.SIGSTOP)
        case(f"server.stopped.{stopped}.others_serve", answers(s, listener, path))
        os.kill(pid, signal.SIGCONT)


def read_all(sock, seconds):
    """Everything until the other side closes; None when it does not."""
    data, end = b"", time.monotonic() + seconds
    while True:
        left = end - time.monotonic()
        if left <= 0 or not select.select([sock], [], [], left)[0]:
            return None
        try:
            piece = sock.recv(65536)
        except OSError:
            return data
        if not piece:
            return data
        data += piece


def check_bounds(s):
    status, _, _ = s.request("enrol", "POST", "/bedplate/v1/hello", body=b"x" * (70 << 10))
    case("server.bounds.body_too_long_is_refused", status == 413, f"{status}")
    status, _, body = s.request("enrol", "POST", "/bedplate/v1/attest", body=b"x" * (1000 << 10))
    case("server.bounds.evidence_may_be_a_mebibyte", status in (400, 415), f"{status} {body[:200]}")
    bad = s.connect("status")
    bad.sendall(b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n")
    answer = read_all(bad, 10)
    case("server.bounds.ambiguous_request_is_refused_and_closed", answer is not None and b" 400 " in answer, str(answer))
    held = [socket.create_connection(("127.0.0.1", s.ports["status"])) for _ in range(256)]
    extra = socket.create_connection(("127.0.0.1", s.ports["status"]), timeout=10)
    case("server.bounds.one_address_has_its_share", read_all(extra, 10) == b"")
    case("server.bounds.others_are_served_meanwhile", answers(s, "operate", "/"))
    for sock in held:
        sock.close()
    case("server.bounds.the_share_comes_back", until(10, lambda: answers(s, "status", CRL)))


def check_half_open(s):
    """A connection that never speaks TLS, and one that never ends its head, are closed in their time."""
    silent = socket.create_connection(("127.0.0.1", s.ports["enrol"]))
    slow = s.connect("status")
    slow.sendall(b"GET / HTTP/1.1\r\nHos")
    case("server.half_open.silent_handshake_is_ended", read_all(silent, 20) == b"")
    answer = read_all(slow, 20)
    case("server.half_open.endless_head_is_ended", answer is not None and b" 408 " in answer, str(answer))


def check_refusals(s):
    port = str(s.ports["enrol"])
    second = subprocess.run([f"{BIN}/bedplated", "run", "--dir", s.dir, "--device-port", "0", "--enrol-port", port,
                             "--operate-port", "0", "--status-port", "0"], capture_output=True, text=True, check=False,
                            timeout=30)
    case("server.run.a_taken_port_is_refused", second.returncode == 3 and "enrol" in second.stderr, second.stderr)
    for options, what in ((["--dir", s.dir, "--workers", "0"], "workers"), (["--dir"], "dir"), (["--oops", "1"], "oops")):
        done = subprocess.run([f"{BIN}/bedplated", "run", *options], capture_output=True, text=True, check=False)
        case(f"server.run.usage.{what}", done.returncode == 2, f"{done.returncode} {done.stderr}")
    done = subprocess.run([f"{BIN}/bedplated", "run", "--dir", s.top], capture_output=True, text=True, check=False)
    case("server.run.another_directory_is_refused", done.returncode == 1, f"{done.returncode} {done.stderr}")


def check_root_key(top):
    """Outside an evaluation the root's key, the recovery key and the owner's key must be gone before the server runs."""
    made = os.path.join(top, "strict")
    subprocess.run([f"{BIN}/bedplated", "init", "--dir", made, "--name", "localhost", "--json"], check=True,
                   capture_output=True)
    run = [f"{BIN}/bedplated", "run", "--dir", made, "--workers", "1", "--device-port", "0", "--enrol-port", "0",
           "--operate-port", "0", "--status-port", "0"]
    done = subprocess.run(run, capture_output=True, text=True, check=False, timeout=30)
    case("server.run.root_key_must_be_moved", done.returncode == 1 and "root-key.pem" in done.stderr, done.stderr)
    os.rename(f"{made}/root-key.pem", f"{top}/root-key.pem")
    done = subprocess.run(run, capture_output=True, text=True, check=False, timeout=30)
    case("server.run.recovery_key_must_be_moved", done.returncode == 1 and "recovery-key.pem" in done.stderr, done.stderr)
    os.rename(f"{made}/recovery-key.pem", f"{top}/recovery-key.pem")
    done = subprocess.run(run, capture_output=True, text=True, check=False, timeout=30)
    case("server.run.owner_key_must_be_moved", done.returncode == 1 and "owner-key.pem" in done.stderr, done.stderr)
    os.rename(f"{made}/owner-key.pem", f"{top}/owner-key.pem")
    with subprocess.Popen(run, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        lines = [process.stdout.readline() for _ in range(5)]
        process.terminate()
        case("server.run.without_it_all_is_well", lines[4] == "ready\n" and process.wait(15) == 0, str(lines))


def check_check(s):
    import json
    done = subprocess.run([f"{BIN}/bedplated", "check", "--dir", s.dir, "--json"], capture_output=True, text=True,
                          check=False)
    try:
        report = json.loads(done.stdout)
    except ValueError:
        report = {}
    case("server.check.says_that_all_is_in_order",
         done.returncode == 0 and report.get("ok") is True and report["fences"]["seccomp"] is True
         and {f["part"] for f in report["findings"]} >= {"directory", "root key", "store", "log"}, done.stdout)
    os.rename(f"{s.dir}/certs/log.der", f"{s.dir}/certs/log.away")
    done = subprocess.run([f"{BIN}/bedplated", "check", "--dir", s.dir, "--json"], capture_output=True, text=True,
                          check=False)
    os.rename(f"{s.dir}/certs/log.away", f"{s.dir}/certs/log.der")
    case("server.check.says_what_is_not", done.returncode == 1 and '"ok":false' in done.stdout, done.stdout)


def check_anchors(s):
    old = s.children()["signer-ca"]
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout",
                    f"{s.top}/ek.key", "-out", f"{s.dir}/anchors/virtual-test.pem", "-subj", "/CN=maker", "-days", "1"],
                   check=True, capture_output=True)
    case("server.anchors.a_new_issuer_is_read", until(10, lambda: s.children().get("signer-ca") not in (None, old)))


with Server() as server:
    if case("server.starts", server.start(), server.stderr() if server.process else ""):
        case("server.listeners", set(server.ports) == {"device", "enrol", "operate", "status"}, str(server.ports))
        check_round_trips(server)
        check_device(server)
        check_names(server)
        check_bounds(server)
        check_half_open(server)
        check_refusals(server)
        check_root_key(server.top)
        check_check(server)
        check_anchors(server)
        check_independence(server)
        check_kills(server)
        case("server.no_process_leaves_by_itself", server.process.poll() is None)
        names = dict(server.children())
        case("server.term.ends_with_0", server.stop() == 0, "")
        case("server.term.leaves_nobody", not any(os.path.exists(f"/proc/{p}") for p in names.values()))
        case("server.starts_again", server.start(), server.stderr()[-500:])
        names = dict(server.children())
        server.stop(signal.SIGKILL)
        case("server.parent_killed.leaves_nobody",
             until(5, lambda: not any(os.path.exists(f"/proc/{p}") for p in names.values())))
finish()
