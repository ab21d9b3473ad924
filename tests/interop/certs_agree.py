#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Reads what make-certs wrote with python3-cryptography and holds every field against the profile."""
import sys
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, pkcs7
from cryptography.x509.oid import ExtendedKeyUsageOID as Eku

folder, bad, count = sys.argv[1], 0, 0
load = lambda name: open(f"{folder}/{name}", "rb").read()
certs = {n: x509.load_der_x509_certificate(load(n + ".der")) for n in
         "root issuing infra operators brownfield server d-7Q2X operator b-1 log result bind recovery ocsp a-client a-server a-opcua".split()}


def check(name, ok):
    global bad, count
    count += 1
    bad += not ok
    print(f"ok x509.{name}" if ok else f"not ok x509.{name}: differs")


def ext(cert, kind):
    try:
        return cert.extensions.get_extension_for_class(kind)
    except x509.ExtensionNotFound:
        return None


POLICY = "1.3.6.1.4.1.32473.1.1."
# name: issuer, path length or None, extended use, policy, critical extensions
WANT = {
    "root": ("root", 1, None, None), "issuing": ("root", 0, [Eku.SERVER_AUTH, Eku.CLIENT_AUTH], "14"),
    "infra": ("root", 0, Eku.SERVER_AUTH, None), "operators": ("root", 0, Eku.CLIENT_AUTH, "2"),
    "brownfield": ("brownfield", 0, Eku.CLIENT_AUTH, "3"), "server": ("infra", None, Eku.SERVER_AUTH, None),
    "d-7Q2X": ("issuing", None, Eku.CLIENT_AUTH, "1"), "operator": ("operators", None, Eku.CLIENT_AUTH, "2"),
    "a-client": ("issuing", None, Eku.CLIENT_AUTH, "4"), "a-server": ("issuing", None, Eku.SERVER_AUTH, "4"),
    "a-opcua": ("issuing", None, [Eku.SERVER_AUTH, Eku.CLIENT_AUTH], "4"),
    "b-1": ("brownfield", None, Eku.CLIENT_AUTH, "3"),
    "log": ("root", None, x509.ObjectIdentifier("1.3.6.1.4.1.32473.1.2.1"), None),
    "result": ("root", None, x509.ObjectIdentifier("1.3.6.1.4.1.32473.1.2.2"), None),
    "bind": ("root", None, x509.ObjectIdentifier("1.3.6.1.4.1.32473.1.2.3"), None),
    "recovery": ("root", None, x509.ObjectIdentifier("1.3.6.1.4.1.32473.1.2.4"), None),
    "ocsp": ("issuing", None, Eku.OCSP_SIGNING, None),
}
for name, (by, depth, eku, policy) in WANT.items():
    c, issuer = certs[name], certs[by]
    bc, ku, e, p = (ext(c, k) for k in (x509.BasicConstraints, x509.KeyUsage, x509.ExtendedKeyUsage,
                                        x509.CertificatePolicies))
    check(name + ".basic", (bc is None) if depth is None else bc.critical and bc.value.ca and bc.value.path_length == depth)
    opens = name == "recovery"  # for devices' envelopes; it signs nothing
    check(name + ".usage", ku.critical and ku.value.digital_signature == (depth is None and not opens) and
          ku.value.key_cert_sign == ku.value.crl_sign == (depth is not None) and ku.value.key_agreement == opens)
    check(name + ".extended", (e is None) if eku is None else list(e.value) == (eku if isinstance(eku, list) else [eku]))
    check(name + ".policy", (p is None) if policy is None else
          [i.policy_identifier.dotted_string for i in p.value] == [POLICY + n for n in policy])
    digest = hashes.Hash(hashes.SHA256())
    digest.update(c.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint))
    check(name + ".key_id", ext(c, x509.SubjectKeyIdentifier).value.digest == digest.finalize()[:20])
    check(name + ".authority", ext(c, x509.AuthorityKeyIdentifier).value.key_identifier ==
          ext(issuer, x509.SubjectKeyIdentifier).value.digest and c.issuer == issuer.subject)
    check(name + ".serial", 0 < c.serial_number.bit_length() <= 127)
    issuer.public_key().verify(c.signature, c.tbs_certificate_bytes, ec.ECDSA(c.signature_hash_algorithm))
    check(name + ".signature", True)
device = certs["d-7Q2X"]
check("device.urn", ext(device, x509.SubjectAlternativeName).value.get_values_for_type(
    x509.UniformResourceIdentifier) == ["urn:bedplate:device:d-7Q2X"])
for name, kind in (("a-client", 0), ("a-server", 2), ("a-opcua", 2)):
    san = ext(certs[name], x509.SubjectAlternativeName).value
    check(name + ".urn", [n.value for n in san][:1] == [f"urn:bedplate:device:{name}:historian"] and
          isinstance(list(san)[0], x509.UniformResourceIdentifier))
    check(name + ".names", san.get_values_for_type(x509.DNSName) == ["d-7q2x", "press.plant"][:kind] and
          len(list(san)) == 1 + kind)
    check(name + ".commits", ext(certs[name], x509.KeyUsage).value.content_commitment == (name == "a-opcua"))
never = ext(certs["issuing"], x509.NameConstraints)
check("issuing.constraints", never.critical and never.value.permitted_subtrees is None and
      [n.value for n in never.value.excluded_subtrees] == ["localhost", "plant.example"])
check("device.subject", device.subject.rfc4514_string() == "CN=d-7Q2X,O=Werk Süd")
check("device.crl", ext(device, x509.CRLDistributionPoints).value[0].full_name[0].value ==
      "http://localhost:8080/crl/issuing-0.crl")
check("device.access", [(d.access_method._name, d.access_location.value) for d in ext(device, x509.AuthorityInformationAccess).value] ==
      [("OCSP", "http://localhost:8080/ocsp"), ("caIssuers", "http://localhost:8080/ca/issuing.cer")])
check("ocsp.nocheck", ext(certs["ocsp"], x509.OCSPNoCheck) is not None and ext(device, x509.OCSPNoCheck) is None)
check("ocsp.asks_nothing", ext(certs["ocsp"], x509.CRLDistributionPoints) is None and
      ext(certs["ocsp"], x509.AuthorityInformationAccess) is None)
check("server.names", ext(certs["server"], x509.SubjectAlternativeName).value.get_values_for_type(x509.DNSName) ==
      ["localhost", "plant.example"])
nc = ext(certs["infra"], x509.NameConstraints)
check("infra.constraints", nc.critical and [n.value for n in nc.value.permitted_subtrees] ==
      ["localhost", "plant.example"] and len(nc.value.excluded_subtrees) == 2)
check("brownfield.no_end", (getattr(certs["brownfield"], "not_valid_after_utc", None) or certs["brownfield"].not_valid_after).year == 9999)
two, none = (x509.load_der_x509_crl(load(n + ".crl")) for n in ("two", "none"))
check("crl.signed", all(l.is_signature_valid(certs["issuing"].public_key()) for l in (two, none)))
check("crl.entries", [e.serial_number for e in two] == [0x8f01, 0x710203] and len(list(none)) == 0)
check("crl.reason", two[0].extensions[0].value.reason == x509.ReasonFlags.key_compromise and not list(two[1].extensions))
check("crl.numbers", [ext(l, x509.CRLNumber).value.crl_number for l in (two, none)] == [300, 0])
check("certs_only", pkcs7.load_der_pkcs7_certificates(load("certs.p7")) == [device, certs["issuing"]])
sys.exit(1 if bad or count < 157 else 0)
