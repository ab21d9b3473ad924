# SPDX-License-Identifier: Apache-2.0
"""Clients that are not ours, for est.py and est_matrix.py: curl and openssl with keys of a software TPM, strongSwan's pki,
and requests as libest makes them."""
import base64
import os
import re
import shutil
import socket
import ssl
import subprocess
import sys

import cbor2

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "e2e"))
from device import ENV, need  # noqa: E402
from server import case  # noqa: E402

EST = "/.well-known/est/"
ENGINES = os.path.abspath("build/dev/tests/interop")


def skip(name, why):
    print(f"skip {name}: {why}", flush=True)


def read(path):
    with open(path, "rb") as f:
        return f.read()


def write(path, data):
    with open(path, "wb" if isinstance(data, bytes) else "w") as f:
        f.write(data)
    return path


class Place:
    """Files of the test: the server's certificates as PEM, and settings of foreign programs."""

    def __init__(self, s, top):
        self.s, self.top = s, top
        for name in ("root", "issuing", "brownfield", "infra"):
            need("openssl", "x509", "-inform", "der", "-in", f"{s.dir}/certs/{name}.der", "-out", self.path(f"{name}.pem"))
        # strongSwan 5.9 reads no address ranges in name constraints, which our infrastructure CA has (critical).
        conf = "libstrongswan {\n x509 {\n enforce_critical = no\n }\n}\n"
        write(self.path("strongswan.conf"), conf)
        write(self.path("strongswan-1.3.conf"), conf + "libtls {\n version_min = 1.3\n version_max = 1.3\n}\n")

    def path(self, name):
        return os.path.join(self.top, name)

    def url(self, what, listener="enrol"):
        return f"https://localhost:{self.s.ports[listener]}{EST}{what}"


# ---- keys that are in a TPM ----

class TpmKey:
    """A key of the agent's state folder, laid out for the engine."""

    def __init__(self, d, slot):
        kept = cbor2.loads(read(f"{d.state}/slot-{slot}.cbor"))
        blob = cbor2.loads(kept[6])
        self.d, self.generation = d, kept[4]
        self.key, self.cert = f"{d.dir}/slot-{slot}", f"{d.dir}/slot-{slot}.pem"
        for name, data in (("pub", blob[8]), ("priv", blob[9]), ("auth", kept[7])):
            write(f"{self.key}.{name}", data)
        if kept[8]:
            write(self.cert, ssl.DER_cert_to_PEM_cert(kept[8]))

    def tls(self):
        """What curl is told to be this device."""
        return "--engine", "tpmkey", "--key-type", "ENG", "--cert", self.cert, "--key", self.key


def with_tpm(d):
    return {**ENV, "OPENSSL_ENGINES": ENGINES, "TPM_ENGINE_TCTI": d.tcti}


def request_of(d, key):
    """A request (DER) that the TPM signs and none of our programs sees."""
    done = subprocess.run(["openssl", "req", "-new", "-sha256", "-subj", "/CN=anybody", "-outform", "der", "-engine", "tpmkey",
                           "-keyform", "engine", "-key", key], env=with_tpm(d), capture_output=True, check=False)
    if done.returncode != 0:
        raise RuntimeError(f"openssl req: {done.stderr.decode()}")
    return done.stdout


def stranger_in(d):
    """A key that the same TPM made and holds, but that no evidence ever named."""
    srk, key = f"{d.dir}/srk.ctx", f"{d.dir}/stranger"
    need("tpm2_createprimary", "-C", "o", "-G", "ecc256:aes128cfb", "-c", srk, "-a",
         "fixedtpm|fixedparent|sensitivedataorigin|userwithauth|noda|restricted|decrypt", "-T", d.tcti)
    need("tpm2_create", "-C", srk, "-G", "ecc256:ecdsa-sha256", "-u", f"{key}.pub", "-r", f"{key}.priv", "-a",
         "fixedtpm|fixedparent|sensitivedataorigin|userwithauth|noda|sign", "-T", d.tcti)
    need("tpm2_flushcontext", "-t", "-T", d.tcti)
    return request_of(d, key)


# ---- curl ----

class Answer:
    def __init__(self, text):
        head, _, body = text.partition(b"\r\n\r\n")
        lines = head.decode().split("\r\n")
        self.status = int(lines[0].split()[1]) if lines[0].startswith("HTTP/") else 0
        self.headers = {k.lower(): v.strip() for k, v in (line.split(":", 1) for line in lines[1:])}
        self.head, self.body = head, body

    def __str__(self):
        return f"{self.status} {self.headers} {self.body[:300]!r}"

    def certificate(self, to):
        """The certificate of a 200, written as PEM. None: there is none."""
        if self.status != 200:
            return None
        cms = base64.b64decode(self.body)
        made = subprocess.run(["openssl", "pkcs7", "-inform", "der", "-print_certs"], input=cms, capture_output=True, check=False)
        text = made.stdout.decode()
        return write(to, text) if text.count("BEGIN CERTIFICATE") == 1 else None


def curl(place, what, der, *more, d=None, listener="enrol"):
    body = write(place.path("body"), base64.b64encode(der))
    done = subprocess.run(["curl", "-s", "-i", "--http1.1", "--max-time", "20", "--cacert", place.path("root.pem"), "-H",
                           "Content-Type: application/pkcs10", "--data-binary", f"@{body}", *more, place.url(what, listener)],
                          env=with_tpm(d) if d else ENV, capture_output=True, check=False)
    return Answer(done.stdout) if done.returncode == 0 else Answer(b"no answer: curl %d\r\n\r\n" % done.returncode)


def refused(answer, code, status=403):
    return answer.status == status and f'"code":"{code}"' in answer.body.decode().replace(" ", "")


def same_key(cert, der):
    of_cert = need("openssl", "x509", "-in", cert, "-noout", "-pubkey")
    of_request = subprocess.run(["openssl", "req", "-inform", "der", "-noout", "-pubkey"], input=der, capture_output=True,
                                check=True).stdout.decode().strip()
    return of_cert == of_request


def serial(cert):
    return need("openssl", "x509", "-in", cert, "-noout", "-serial")


# ---- the listener as bytes ----

def wire(s, request, tls12=True, cert=None):
    """The answer's bytes, and the protocol it came over. cert: a PEM file with certificate and key."""
    context = s.tls(cert=cert)
    context.maximum_version = ssl.TLSVersion.TLSv1_2 if tls12 else ssl.TLSVersion.TLSv1_3
    with socket.create_connection(("127.0.0.1", s.ports["enrol"]), timeout=10) as plain:
        with context.wrap_socket(plain, server_hostname="localhost") as t:
            t.sendall(request)
            text = b""
            while True:
                piece = t.recv(65536)
                if not piece:
                    return text, t.version()
                text += piece


def has_length(a):
    """A head that the smallest client has room for, and a length: never chunks."""
    return len(a.head) + 4 < 1024 and a.headers.get("content-length") == str(len(a.body)) and "transfer-encoding" not in a.headers


def is_line(body):
    return re.fullmatch(rb"[A-Za-z0-9+/]+={0,2}\n", body) is not None


def is_lines(body):
    return re.fullmatch(rb"([A-Za-z0-9+/]{64}\n)+([A-Za-z0-9+/=]{1,64}\n)?", body) is not None


def check_form(name, a):
    case(f"est.{name}.has_a_length_and_a_head_below_1024_bytes", has_length(a), f"{len(a.head)} {a}")
    case(f"est.{name}.type", a.headers.get("content-type") == "application/pkcs7-mime; smime-type=certs-only", str(a))
    case(f"est.{name}.one_line_of_base64_and_lf", is_line(a.body), str(a))


def check_wire(s):
    ask = b"GET " + EST.encode() + b"cacerts HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
    text, version = wire(s, ask)
    case("est.speaks_tls_1_2", version == "TLSv1.2", version)
    case("est.speaks_tls_1_3", wire(s, ask, tls12=False)[1] == "TLSv1.3")
    check_form("cacerts", Answer(text))


# ---- strongSwan ----

class Pki:
    """strongSwan's pki: one line of base64, no name, nothing but a whole answer at once."""

    def __init__(self, place, conf="strongswan.conf"):
        self.place = place
        self.env = {**ENV, "STRONGSWAN_CONF": place.path(conf)}

    def missing(self):
        """Why it cannot be used here, or nothing."""
        if not shutil.which("pki"):
            return "strongSwan's pki is not installed"
        made = self("--gen", "--type", "ecdsa", "--size", "256")[0] == 0
        return "" if made else "strongSwan makes no EC keys: libstrongswan-standard-plugins is not installed"

    def __call__(self, *words, to=None):
        done = subprocess.run(["pki", *words], env=self.env, cwd=self.place.top, capture_output=True, check=False, timeout=60)
        if to and done.returncode == 0:
            write(to, done.stdout)
        return done.returncode, done.stderr.decode(errors="replace")

    def request(self, name):
        key, p10 = self.place.path(f"{name}.key"), self.place.path(f"{name}.p10")
        self("--gen", "--type", "ecdsa", "--size", "256", "--outform", "pem", to=key)
        self("--req", "--in", key, "--type", "priv", "--dn", f"O=Acme, CN={name}", "--digest", "sha256", to=p10)
        return key, p10

    def words(self, p10, *more):
        anchors = [w for name in ("root", "issuing", "brownfield") for w in ("--cacert", self.place.path(f"{name}.pem"))]
        return ("--est", "--url", f"https://localhost:{self.place.s.ports['enrol']}", "--in", p10, *anchors, "--outform", "pem", *more)

    def est(self, p10, to, *more):
        """Exit code and what it said; the certificate is in `to` when there is one."""
        return self(*self.words(p10, *more), to=to)

    def poll(self, p10, to):
        """A process that asks until it is no longer told to wait; what it says is in `to`.said."""
        with open(to, "wb") as out, open(f"{to}.said", "wb") as said:
            return subprocess.Popen(["pki", *self.words(p10, "--interval", "1", "--maxpolltime", "120")], env=self.env,
                                    cwd=self.place.top, stdout=out, stderr=said)

    def estca(self, name):
        code, err = self("--estca", "--url", f"https://localhost:{self.place.s.ports['enrol']}", "--cacert",
                         self.place.path("root.pem"), "--caout", name, "--outform", "pem", "--force")
        made = [self.place.path(n) for n in os.listdir(self.place.top) if n.startswith(name) and n.endswith(".pem")]
        return code, err, sorted(need("openssl", "x509", "-in", n, "-noout", "-fingerprint", "-sha256") for n in made)


def fingerprints(place, *names):
    return sorted(need("openssl", "x509", "-in", place.path(f"{n}.pem"), "-noout", "-fingerprint", "-sha256") for n in names)


# ---- libest ----

def lines(der, width=64, end=b"\n"):
    text = base64.b64encode(der)
    return b"".join(text[i:i + width] + end for i in range(0, len(text), width))


def openssl_filter(body):
    """Base64 as libest reads it: nothing without a line end, and no more than 1,024 characters of a line."""
    return subprocess.run(["openssl", "base64", "-d"], input=body, capture_output=True, check=False).stdout


def certificates(cms):
    done = subprocess.run(["openssl", "pkcs7", "-inform", "der", "-print_certs"], input=cms, capture_output=True, check=False)
    return done.stdout.decode().count("BEGIN CERTIFICATE") if done.returncode == 0 else 0


class Libest:
    """What Cisco's libest sends, which is no package of Debian's: TLS 1.2 at most, its name, a request in lines of 64, no
    password at the first try; and OpenSSL's filter for what comes back."""

    def __init__(self, place, name="libest 3.2.0p"):
        self.place, self.name = place, name

    def ask(self, what, der=None, cert=None):
        s = self.place.s
        head = (f"{'GET' if der is None else 'POST'} {EST}{what} HTTP/1.1\r\nUser-Agent: {self.name}\r\nConnection: close\r\n"
                f"Host: localhost:{s.ports['enrol']}\r\nAccept: */*\r\n")
        body = b"" if der is None else lines(der)
        if der is not None:
            head += f"Content-Type: application/pkcs10\r\nContent-Length: {len(body)}\r\n"
        return Answer(wire(s, head.encode() + b"\r\n" + body, cert=cert)[0])
